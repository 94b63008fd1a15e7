//! Snapshots as a source: the SSTables that `nodetool snapshot` left, read without a server.
//!
//! A snapshot holds still: it can be read as often as one likes, and every instant of expiry is exact. Whether rows and cells are
//! alive is judged as of one instant, the same for the whole run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use async_trait::async_trait;

use super::{
    Catalog, Column, ColumnKind, Cut, PageSizing, Pages, Range, SelectItem, Selection, Source, Split, Table,
};
use crate::error::{Error, ErrorKind, Result};
use crate::sstable::{self, Definition, Descriptor, SsTable, Ties, Tokens, Type};

mod completeness;
mod directories;
mod failure;
mod instant;
mod nodes;
mod pages;
mod plan;
mod ring;
mod schema_cql;
mod ties;

pub use completeness::{Completeness, Taken, Verdict};
pub use directories::{NodeDirectory, SnapshotPlace};
pub use instant::{parse_instant, spoken_instant};
pub use nodes::Nodes;
pub use ring::{Coverage, Member, Replication, Shortfall};
pub use ties::TieCount;

use directories::{check_manifest, files, find, refused, schema_text};
use failure::{while_opening, while_reading};
use pages::{Item, Reading, SnapshotPages};
use schema_cql::TableSchema;
use ties::TiesMet;

/// Which snapshot, and as of when.
#[derive(Debug, Clone, Default)]
pub struct SnapshotConfig {
    /// Where its files are.
    pub place: SnapshotPlace,
    /// Keyspace that holds Kong's tables.
    pub keyspace: String,
    /// The instant at which rows are alive or expired, seconds since 1970; `None` for now.
    pub as_of: Option<i64>,
}

/// An open snapshot of one keyspace, of one node or of several.
pub struct Snapshot {
    catalog: Catalog,
    tables: BTreeMap<String, Arc<sstable::Table>>,
    as_of: i64,
    tag: Option<String>,
    nodes: Nodes,
    completeness: Completeness,
    taken: Option<Taken>,
    ties: Arc<TiesMet>,
}

impl Snapshot {
    /// Finds the tables of the keyspace and opens their files; reads no rows.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Preflight`] when the keyspace or the snapshot is not there, or there are several; when files are missing, do
    /// not belong to the table, are damaged as far as can be seen yet, or are of a version that is not read.
    pub async fn open(config: SnapshotConfig) -> Result<Self> {
        let opened = tokio::task::spawn_blocking(move || Self::open_now(&config)).await;
        opened.map_err(|_| Error::new(ErrorKind::Internal, "the thread that opens a snapshot ended"))?
    }

    fn open_now(config: &SnapshotConfig) -> Result<Self> {
        let (found, tag) = find(&config.place, &config.keyspace)?;
        let mut tables = BTreeMap::new();
        let mut catalog = Catalog { keyspace: config.keyspace.clone(), ..Catalog::default() };
        let mut taken: Option<Taken> = None;
        for (name, directories) in found {
            let (table, files, theirs) = open_table(&name, &directories)?;
            taken = taken.into_iter().chain(theirs).reduce(Taken::and);
            tables.insert(name.clone(), Arc::new(files));
            catalog.tables.insert(name, table);
        }
        let versions =
            tables.values().flat_map(|table| table.sstables()).map(|sstable| sstable.descriptor.version);
        if let Some(newest) = versions.max() {
            catalog.release_version = format!("SSTables of version {newest}");
        }
        // A table without rows at that time has no files; those of all tables must be judged by the same rules.
        let newest =
            if tables.values().any(|table| table.sstables().next().is_some() && table.ties() == Ties::V4) {
                Ties::V4
            } else {
                Ties::V3
            };
        let tables = tables.into_iter().map(|(name, table)| {
            let table = Arc::into_inner(table).map(|table| Arc::new(table.with_ties(newest)));
            Some((name, table?))
        });
        let tables: Option<_> = tables.collect();
        let tables =
            tables.ok_or_else(|| Error::new(ErrorKind::Internal, "a table of a snapshot is in use"))?;
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|time| i64::try_from(time.as_secs()).ok());
        let as_of = config.as_of.or(now).unwrap_or(0);
        let nodes = Nodes::of(&config.place, &config.keyspace, tag.as_deref(), as_of)?;
        let completeness = Completeness::judge(&nodes, &config.keyspace);
        catalog.cluster_name = nodes.cluster_name.clone().unwrap_or_default();
        let ties = Arc::new(TiesMet::new(newest));
        Ok(Self { catalog, tables, as_of, tag, nodes, completeness, taken, ties })
    }

    /// Name of the snapshot, where its directories have one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The instant at which rows are alive or expired, seconds since 1970.
    pub fn as_of(&self) -> i64 {
        self.as_of
    }

    /// Which nodes it is of.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// Whether it has every row, as far as anybody can tell.
    pub fn completeness(&self) -> &Completeness {
        &self.completeness
    }

    /// When it was taken, as far as that is known.
    pub fn taken(&self) -> Option<Taken> {
        self.taken
    }

    /// Cells with equal write times that were met so far, and by which rules they were settled.
    pub fn ties(&self) -> TieCount {
        self.ties.count()
    }

    fn files(&self, table: &str) -> Result<Arc<sstable::Table>> {
        let unknown = || Error::new(ErrorKind::Internal, format!("table {table} is not in the snapshot"));
        self.tables.get(table).cloned().ok_or_else(unknown)
    }
}

/// Opens the files of one table, of all nodes.
fn open_table(name: &str, directories: &[PathBuf]) -> Result<(Table, sstable::Table, Option<Taken>)> {
    let mut schema: Option<TableSchema> = None;
    let mut taken: Option<Taken> = None;
    let mut sstables = Vec::new();
    for path in directories {
        let names = files(path)?;
        taken = taken.into_iter().chain(check_manifest(path, &names)?).reduce(Taken::and);
        let theirs = TableSchema::parse(&schema_text(path)?)
            .map_err(|what| refused(format!("{}: {what}", path.join("schema.cql").display())))?;
        if theirs.name != name {
            let message =
                format!("{} is of table {}, not {name}", path.join("schema.cql").display(), theirs.name);
            return Err(refused(message).remedy("copy the snapshot again, each table into its own directory"));
        }
        for descriptor in Descriptor::group(names.iter().map(String::as_str))
            .map_err(|error| while_opening(name, &error))?
            .keys()
        {
            let sstable =
                SsTable::open(path.as_path(), descriptor).map_err(|error| while_opening(name, &error))?;
            sstables.push(Arc::new(sstable));
        }
        match &schema {
            None => schema = Some(theirs),
            Some(first) if first.id != theirs.id => {
                return Err(refused(format!("{} is of another table {name} than in the other directories", path.display()))
                    .remedy("the table was dropped and made again between the snapshots, or they are of different clusters"));
            }
            // A column that one node already had dropped is dropped.
            Some(first) if first != &theirs => {
                return Err(refused(format!(
                    "table {name} had other columns in {} than elsewhere",
                    path.display()
                ))
                .remedy("take the snapshots of all nodes when no schema change is under way"));
            }
            Some(_) => {}
        }
    }
    let schema = schema.unwrap_or_default();
    let definition = definition(&schema).map_err(|what| refused(format!("table {name}: {what}")))?;
    let files = sstable::Table::new(&definition, sstables).map_err(|error| while_opening(name, &error))?;
    Ok((catalog_table(&schema), files, taken))
}

/// The table as the reader of SSTables takes it.
fn definition(schema: &TableSchema) -> std::result::Result<Definition, String> {
    let mut columns = Vec::new();
    for column in &schema.columns {
        let kind = match column.kind {
            ColumnKind::PartitionKey => sstable::ColumnKind::PartitionKey,
            ColumnKind::Clustering => sstable::ColumnKind::Clustering,
            ColumnKind::Static => sstable::ColumnKind::Static,
            ColumnKind::Regular => sstable::ColumnKind::Regular,
        };
        let ty = Some(Type::from_cql(&column.ty, &schema.user_types)?);
        columns.push(sstable::Column { name: column.name.clone(), kind, ty });
    }
    Ok(Definition { columns, dropped: schema.dropped.clone(), some_columns: false })
}

/// The table as the catalog has it.
fn catalog_table(schema: &TableSchema) -> Table {
    let column = |column: &schema_cql::SchemaColumn| Column {
        name: column.name.clone(),
        ty: schema.cql_type(&column.ty),
        kind: column.kind,
    };
    let mut columns: Vec<Column> = schema.columns.iter().map(column).collect();
    let keys = columns
        .iter()
        .take_while(|c| matches!(c.kind, ColumnKind::PartitionKey | ColumnKind::Clustering))
        .count();
    if let Some(others) = columns.get_mut(keys..) {
        others.sort_by(|a, b| a.name.cmp(&b.name));
    }
    Table { name: schema.name.clone(), columns, default_time_to_live: schema.default_time_to_live }
}

#[async_trait]
impl Source for Snapshot {
    fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    async fn splits(&self, table: &Table, cut: Cut) -> Result<Vec<Split>> {
        let (files, table) = (self.files(&table.name)?, table.clone());
        let planned = tokio::task::spawn_blocking(move || plan::splits(&table, &files, cut)).await;
        planned.map_err(|_| Error::new(ErrorKind::Internal, "the thread that plans a snapshot ended"))?
    }

    async fn estimate(&self, table: &Table) -> Option<u64> {
        Some(plan::estimate(table, self.tables.get(&table.name)?.as_ref()))
    }

    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        if self.completeness.verdict != Verdict::Complete {
            remarks.push(self.completeness.finding.clone());
        }
        remarks.push(self.ties().to_string());
        remarks
    }

    async fn open(
        &self,
        selection: Arc<Selection>,
        split: &Split,
        sizing: Arc<PageSizing>,
    ) -> Result<Box<dyn Pages>> {
        let files = self.files(&selection.table)?;
        let place = |name: &str| {
            let unknown =
                || Error::new(ErrorKind::Internal, format!("{split}: no column {name} in the snapshot"));
            files.column(name).ok_or_else(unknown)
        };
        let item = |item: &SelectItem| match item {
            SelectItem::Column(name) => place(name).map(Item::Value),
            SelectItem::Ttl(name) => place(name).map(Item::Ttl),
            SelectItem::WriteTime(name) => place(name).map(Item::WriteTime),
        };
        let items = selection.items.iter().map(item).collect::<Result<_>>()?;
        let (what, range, as_of) = (split.to_string(), split.range.clone(), self.as_of);
        let ties = self.ties.of(split);
        let opened = tokio::task::spawn_blocking(move || {
            let rows = match range {
                Range::Tokens { after, upto } => files.scan(Tokens { after, upto }, as_of),
                Range::Slice { partition, after, upto } => {
                    let bound = |id: Option<uuid::Uuid>| id.map(uuid::Uuid::into_bytes);
                    let (after, upto) = (bound(after), bound(upto));
                    let after = after.as_ref().map(|id| [id.as_slice()]);
                    let upto = upto.as_ref().map(|id| [id.as_slice()]);
                    let bounds =
                        (after.as_ref().map(<[_; 1]>::as_slice), upto.as_ref().map(<[_; 1]>::as_slice));
                    files.slice(partition.as_bytes(), bounds.0, bounds.1, as_of)
                }
            };
            let rows = rows.map_err(|error| while_reading(&what, &error))?;
            Ok(SnapshotPages::open(Reading { rows, items, sizing, as_of, what, ties, last: 0 }))
        });
        let pages = opened
            .await
            .map_err(|_| Error::new(ErrorKind::Internal, "the thread that opens a split ended"))?;
        pages.map(|pages| -> Box<dyn Pages> { Box::new(pages) })
    }
}
