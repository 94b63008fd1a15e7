//! A table: what its columns are, and the SSTables that hold its rows.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::decode::{ColumnPlan, Encoding};
use super::descriptor::Version;
use super::error::{Error, ErrorKind, Result};
use super::marshal::Type;
use super::open::SsTable;
use super::order;
use super::rows::{Bound, Rows, Tokens};
use super::statistics::HeaderColumn;
use super::unfiltered::Deletion;

/// Place of a column in the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnKind {
    /// Part of the partition key.
    PartitionKey,
    /// A clustering column.
    Clustering,
    /// One value per partition.
    Static,
    /// Not in the key.
    Regular,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its place in the key.
    pub kind: ColumnKind,
    /// Its type, if known; SSTables name it too, and must then agree.
    pub ty: Option<Type>,
}

/// What a table is: SSTables do not hold the names of key columns, nor which columns were dropped.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Definition {
    /// Columns, those of the partition key in key order, and likewise the clustering columns.
    pub columns: Vec<Column>,
    /// When columns were dropped, microseconds since 1970, by name; also of those added again since.
    pub dropped: BTreeMap<String, i64>,
    /// Whether columns that are not listed are passed over; else an SSTable that has one is refused.
    pub some_columns: bool,
}

/// How cells with equal write times are settled; Cassandra changed the rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ties {
    /// Cassandra 3.11: what is dead now wins, then the greater value by signed bytes, then the later local time.
    V3,
    /// Cassandra 4.0 and later: what expires or is deleted wins, a deletion first, then the later local time, the shorter time
    /// to live, the greater value by unsigned bytes.
    V4,
}

/// A table over its SSTables.
pub struct Table {
    pub(super) columns: Vec<Resolved>,
    pub(super) key: Vec<usize>,
    pub(super) clustering: Vec<usize>,
    pub(super) clustering_types: Vec<Type>,
    pub(super) members: Vec<Member>,
    ties: Ties,
}

/// A column with the type it is read as.
#[derive(Debug, Clone)]
pub(super) struct Resolved {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
    pub(super) ty: Type,
    /// Place among the columns of the partition key, or among the clustering columns.
    pub(super) place: usize,
}

/// An SSTable of the table.
pub(super) struct Member {
    pub(super) sstable: Arc<SsTable>,
    pub(super) encoding: Arc<Encoding>,
}

impl Table {
    /// A table of these columns over these SSTables, of one node or of several.
    ///
    /// Ties are settled by the rules of the newest version among them; see [`Table::with_ties`].
    ///
    /// # Errors
    ///
    /// When an SSTable has another key or other types than the definition: it belongs to another table.
    pub fn new(definition: &Definition, sstables: impl IntoIterator<Item = Arc<SsTable>>) -> Result<Self> {
        let sstables: Vec<_> = sstables.into_iter().collect();
        let newest = sstables.iter().map(|sstable| sstable.descriptor.version).max();
        let ties = if newest.is_some_and(|version| version < Version::Na) { Ties::V3 } else { Ties::V4 };
        let mut counts = [0_usize; 2];
        let mut columns = Vec::new();
        for column in &definition.columns {
            let place = match column.kind {
                ColumnKind::PartitionKey => next(&mut counts, 0),
                ColumnKind::Clustering => next(&mut counts, 1),
                ColumnKind::Static | ColumnKind::Regular => 0,
            };
            let ty = column.ty.clone().unwrap_or_else(|| widest(column, place, &sstables));
            columns.push(Resolved { name: column.name.clone(), kind: column.kind, ty, place });
        }
        let of_kind = |kind| -> Vec<usize> {
            let places = columns.iter().enumerate().filter(|(_, column)| column.kind == kind);
            places.map(|(place, _)| place).collect()
        };
        let (key, clustering) = (of_kind(ColumnKind::PartitionKey), of_kind(ColumnKind::Clustering));
        let clustering_types = match sstables.first() {
            Some(sstable) => sstable.statistics.header.clustering.clone(),
            None => clustering.iter().filter_map(|place| columns.get(*place)).map(|c| c.ty.clone()).collect(),
        };
        let mut table = Self { columns, key, clustering, clustering_types, members: Vec::new(), ties };
        for sstable in sstables {
            let encoding = Arc::new(table.encoding(&sstable, definition)?);
            table.members.push(Member { sstable, encoding });
        }
        Ok(table)
    }

    /// The same with other rules for ties: those of the server that would read the files.
    #[must_use]
    pub fn with_ties(mut self, ties: Ties) -> Self {
        self.ties = ties;
        self
    }

    /// The rules for ties.
    pub fn ties(&self) -> Ties {
        self.ties
    }

    /// Place of the column of that name in the list of the definition.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    /// The type that values of the column at `place` are read as.
    pub fn column_type(&self, place: usize) -> Option<&Type> {
        self.columns.get(place).map(|column| &column.ty)
    }

    /// Its SSTables.
    pub fn sstables(&self) -> impl Iterator<Item = &Arc<SsTable>> {
        self.members.iter().map(|member| &member.sstable)
    }

    /// Reads the partitions of a range of tokens, as they are at `now`, seconds since 1970.
    pub fn scan(self: &Arc<Self>, tokens: Tokens, now: i64) -> Result<Rows> {
        Rows::scan(Arc::clone(self), tokens, now)
    }

    /// Reads the rows of one partition behind those that begin with the clustering values `after`, up to and with those that
    /// begin with `upto`, as they are at `now`. `key` is the partition key as it is stored. A partition with nothing but static
    /// columns gives no row.
    pub fn slice(
        self: &Arc<Self>,
        key: &[u8],
        after: Option<&[&[u8]]>,
        upto: Option<&[&[u8]]>,
        now: i64,
    ) -> Result<Rows> {
        Rows::slice(Arc::clone(self), key, after.map(Bound::new), upto.map(Bound::new), now)
    }

    /// How the rows of `sstable` become rows of this table, after a check that they can.
    fn encoding(&self, sstable: &SsTable, definition: &Definition) -> Result<Encoding> {
        let header = &sstable.statistics.header;
        let file = Arc::clone(&sstable.header_file);
        let mismatch = |what: String| Error::whole(ErrorKind::Mismatch, &file, what);
        let key = match &header.key {
            Type::Composite(types) => types.as_slice(),
            ty => std::slice::from_ref(ty),
        };
        for (kind, places, types) in
            [("partition", &self.key, key), ("clustering", &self.clustering, &header.clustering)]
        {
            let columns: Vec<_> = places.iter().filter_map(|place| self.columns.get(*place)).collect();
            if columns.len() != types.len() {
                let what = format!("has {} {kind} key columns, the table has {}", types.len(), columns.len());
                return Err(mismatch(what));
            }
            for (column, ty) in columns.into_iter().zip(types) {
                if !ascending(ty).reads_as(ascending(&column.ty)) {
                    let what = format!(
                        "the {kind} key column {} is {ty} here, and {} in the table",
                        column.name, column.ty
                    );
                    return Err(mismatch(what));
                }
            }
        }
        if header.clustering != self.clustering_types {
            return Err(mismatch(
                "the clustering columns are not in the order they have in other files".into(),
            ));
        }
        if let Some(ty) = header.clustering.iter().find(|ty| !order::is_ordered(ty)) {
            let what = format!("rows in the order of {ty} are not read here");
            return Err(Error::whole(ErrorKind::Unsupported, &file, what));
        }
        let plan = |column: &HeaderColumn, kind| -> Result<ColumnPlan> {
            let found = self.column(&column.name).and_then(|place| Some((place, self.columns.get(place)?)));
            let target = match found {
                Some((_, wanted)) if wanted.kind != kind => {
                    return Err(mismatch(format!("the column {} is {kind:?} here", column.name)));
                }
                Some((place, wanted)) if column.ty.reads_as(&wanted.ty) => Some(place),
                Some((_, wanted)) => {
                    let what = format!(
                        "the column {} is {} here, and {} in the table",
                        column.name, column.ty, wanted.ty
                    );
                    return Err(mismatch(what));
                }
                None if definition.some_columns || definition.dropped.contains_key(&column.name) => None,
                None => {
                    let what = format!("the column {} is neither one of the table nor dropped", column.name);
                    return Err(mismatch(what));
                }
            };
            let path = match &column.ty {
                Type::Set(element) => Some(element),
                Type::Map(key, _) => Some(key),
                _ => None,
            };
            if let Some(ty) = path.filter(|ty| !order::is_ordered(ty)) {
                let what = format!("elements in the order of {ty} are not read here");
                return Err(Error::whole(ErrorKind::Unsupported, &file, what));
            }
            // Elements of collections always have a length, whatever their type.
            let fixed = if column.ty.is_multi_cell() { None } else { column.ty.fixed_length() };
            let at = definition.dropped.get(&column.name).copied().unwrap_or(i64::MIN);
            Ok(ColumnPlan {
                target,
                fixed: fixed.and_then(|length| u64::try_from(length).ok()),
                multi_cell: column.ty.is_multi_cell(),
                dropped: Deletion { at, time: 0 },
            })
        };
        let plans = |columns: &[HeaderColumn], kind| {
            columns.iter().map(|column| plan(column, kind)).collect::<Result<_>>()
        };
        Ok(Encoding {
            version: sstable.descriptor.version,
            statics: plans(&header.statics, ColumnKind::Static)?,
            regulars: plans(&header.regulars, ColumnKind::Regular)?,
            clustering: header
                .clustering
                .iter()
                .map(|ty| ty.fixed_length().and_then(|length| u64::try_from(length).ok()))
                .collect(),
            header: header.clone(),
        })
    }
}

fn next(counts: &mut [usize; 2], which: usize) -> usize {
    let Some(count) = counts.get_mut(which) else { return 0 };
    *count += 1;
    *count - 1
}

fn ascending(ty: &Type) -> &Type {
    if let Type::Reversed(inner) = ty { inner } else { ty }
}

/// The type that the SSTables give a column whose type is not known: the one as which all others can be read.
fn widest(column: &Column, place: usize, sstables: &[Arc<SsTable>]) -> Type {
    let mut widest: Option<&Type> = None;
    for sstable in sstables {
        let header = &sstable.statistics.header;
        let found = match (column.kind, &header.key) {
            (ColumnKind::PartitionKey, Type::Composite(types)) => types.get(place),
            (ColumnKind::PartitionKey, ty) => Some(ty),
            (ColumnKind::Clustering, _) => header.clustering.get(place),
            (ColumnKind::Static, _) => named(&header.statics, &column.name),
            (ColumnKind::Regular, _) => named(&header.regulars, &column.name),
        };
        if let Some(found) = found
            && widest.is_none_or(|widest| widest.reads_as(found))
        {
            widest = Some(found);
        }
    }
    widest.cloned().unwrap_or(Type::Blob)
}

fn named<'c>(columns: &'c [HeaderColumn], name: &str) -> Option<&'c Type> {
    columns.iter().find(|column| column.name == name).map(|column| &column.ty)
}
