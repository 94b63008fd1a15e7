//! What will be read, in which order, in which parts.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::kept_cells::KeptTable;
use super::keyring::Keyring;
use super::write_times;
use crate::canonical::{Collection, FormColumn, RowForm};
use crate::error::{Error, ErrorKind, Result};
use crate::police::CacheKeyForm;
use crate::policy::Policies;
use crate::schema_map::decide::{Decided, Decision};
use crate::schema_map::{Origin, Output, Production, Sequence, TableMapping};
use crate::source::{CqlType, Cut, PageSizing, Selection, Source, Split};
use crate::target;
use crate::target::levels::load_levels;
use crate::transform::{RowShaper, ShaperContext};

/// Pages that may be in memory at once per worker: one being shaped, one on its way, one being sent.
const PAGES_PER_WORKER: usize = 3;
/// Wanted splits per worker: enough that the last ones end together, few enough that a split is worth a transaction.
const SPLITS_PER_WORKER: usize = 8;
/// A page needs no more than this, in bytes: beyond it throughput does not grow.
const MOST_PAGE_BYTES: usize = 1 << 20;

/// The plan of a run.
#[derive(Debug)]
pub struct Plan {
    /// Tables to copy, parents first.
    pub tables: Vec<Arc<TablePlan>>,
    /// Tables that stay behind, with the reason.
    pub skipped: Vec<SkippedTable>,
    /// Remarks for the user.
    pub notes: Vec<String>,
    /// Kong Enterprise's keyring on the source; empty for the open-source Gateway.
    pub keyring: Keyring,
}

/// One table to copy.
#[derive(Debug)]
pub struct TablePlan {
    /// Its name.
    pub table: String,
    /// Position in [`Plan::tables`].
    pub position: usize,
    /// Foreign-key level: all its parents are in lower ones.
    pub level: usize,
    /// The target's bootstrap rows give way to the source's.
    pub merge: bool,
    /// All splits go into one transaction: rows refer to rows of the same table, and constraints stay in place.
    pub one_transaction: bool,
    /// All splits go into one COPY statement: rows refer to rows of the same table, which `PostgreSQL` checks when a
    /// statement ends.
    pub one_statement: bool,
    /// Where its map comes from.
    pub origin: Origin,
    /// Hash of the map's text.
    pub map_hash: u64,
    /// What is read.
    pub selection: Arc<Selection>,
    /// How a row is shaped.
    pub shaper: Arc<RowShaper>,
    /// What describes the cells of a row in quarantine.
    pub origin_of_cells: Arc<str>,
    /// How a tuple is digested.
    pub form: Arc<RowForm>,
    /// Target columns in COPY order.
    pub columns: Vec<String>,
    /// Sequences behind written columns.
    pub sequences: Vec<Sequence>,
    /// Target column that holds the instant of expiry.
    pub expiry_column: Option<String>,
    /// Its stored cache key and what that is made of, where the map knows.
    pub cache_key: Option<CacheKeyForm>,
    /// Parts to read.
    pub splits: Vec<Split>,
    /// Estimated rows, where the source can tell.
    pub estimate: Option<u64>,
    /// Page sizing shared by the table's splits.
    pub sizing: Arc<PageSizing>,
}

/// A table that is not copied.
#[derive(Debug, Clone)]
pub struct SkippedTable {
    /// Its name.
    pub table: String,
    /// Why, in the words of its map.
    pub reason: String,
}

/// How a plan is made.
#[derive(Debug, Clone, Copy)]
pub struct PlanOptions {
    /// Splits that are read at the same time.
    pub workers: usize,
    /// Byte budget of all pages in flight.
    pub memory_bytes: usize,
    /// Cut elsewhere than the plain plan does, for a second count.
    pub shifted: bool,
    /// Indexes, constraints and triggers stay in place during the load.
    pub keep_constraints: bool,
    /// What becomes of bad rows.
    pub policies: Policies,
    /// Read also when each row was written last.
    pub write_times: bool,
}

impl PlanOptions {
    /// Bytes one page aims at.
    pub fn page_bytes(&self) -> usize {
        (self.memory_bytes / (self.workers.max(1) * PAGES_PER_WORKER)).clamp(1, MOST_PAGE_BYTES)
    }

    fn cut(&self) -> Cut {
        let parts = self.workers.max(1) * SPLITS_PER_WORKER;
        Cut { parts: if self.shifted { parts + 1 } else { parts }, shifted: self.shifted }
    }
}

impl Plan {
    /// Brings decisions, levels and splits together. Every map is compiled here, so that a pair of types without a codec
    /// stops the run before a row moves.
    pub async fn make(
        source: &dyn Source,
        target: &target::Catalog,
        decisions: Vec<Decision>,
        context: ShaperContext<'_>,
        options: PlanOptions,
    ) -> Result<Self> {
        let mut copied: Vec<(TableMapping, bool)> = Vec::new();
        let (mut skipped, mut notes) = (Vec::new(), Vec::new());
        for decision in decisions {
            match decision.action {
                Decided::Copy { mapping, merge } => copied.push((mapping, merge)),
                Decided::Skip { reason, .. } => skipped.push(SkippedTable { table: decision.table, reason }),
            }
        }
        let names: BTreeSet<String> = copied.iter().map(|(mapping, _)| mapping.table.clone()).collect();
        let levels = if options.keep_constraints {
            load_levels(target, &names)?
        } else {
            // Nothing watches while the rows arrive; the order is for reading the plan only.
            load_levels(target, &names).unwrap_or_default()
        };
        if let Some(cycle) = levels.cycles.first().filter(|_| options.keep_constraints) {
            return Err(Error::new(
                ErrorKind::Preflight,
                format!(
                    "the tables {} refer to each other in a circle of foreign keys",
                    cycle.tables.join(", ")
                ),
            )
            .remedy("load without --keep-constraints, or leave one of them out with --skip-tables"));
        }
        notes.extend(levels.outside.iter().map(|key| {
            let (schema, parent) = &key.parent;
            format!(
                "{}: rows refer to {schema}.{parent}, which is not copied ({})",
                key.table, key.constraint
            )
        }));
        let watched = |table: &str| options.keep_constraints && levels.self_referencing.contains_key(table);
        let mut tables = Vec::with_capacity(copied.len());
        for (mut mapping, merge) in copied {
            notes.extend(mapping.notes.iter().map(|note| format!("{}: {note}", mapping.table)));
            let Some(described) = source.catalog().tables.get(&mapping.table) else { continue };
            if options.write_times {
                write_times::select(&mut mapping, described);
            }
            let shaper = Arc::new(RowShaper::compile(&mapping, context)?);
            let origin_of_cells = KeptTable::of(described, &mapping.selection, context).to_json()?.into();
            let splits = source.splits(described, options.cut()).await?;
            let estimate = source.estimate(described).await;
            let expiry_column = expiry_column(&mapping);
            tables.push(TablePlan {
                position: 0,
                level: levels
                    .levels
                    .iter()
                    .position(|level| level.contains(&mapping.table))
                    .unwrap_or(levels.levels.len()),
                merge,
                one_transaction: watched(&mapping.table),
                one_statement: watched(&mapping.table),
                shaper,
                origin_of_cells,
                cache_key: CacheKeyForm::of(&mapping),
                form: Arc::new(row_form(&mapping, expiry_column.as_deref())),
                columns: mapping.outputs.iter().map(|output| output.column.clone()).collect(),
                expiry_column,
                splits,
                estimate,
                sizing: Arc::new(PageSizing::new(options.page_bytes())),
                origin: mapping.origin,
                map_hash: mapping.hash,
                sequences: mapping.sequences,
                selection: Arc::new(mapping.selection),
                table: mapping.table,
            });
        }
        tables.sort_by(|a, b| (a.level, &a.table).cmp(&(b.level, &b.table)));
        for (position, table) in tables.iter_mut().enumerate() {
            table.position = position;
        }
        Ok(Self {
            tables: tables.into_iter().map(Arc::new).collect(),
            skipped,
            notes,
            keyring: Keyring::default(),
        })
    }

    /// Names of the tables to copy.
    pub fn copied(&self) -> BTreeSet<String> {
        self.tables.iter().map(|table| table.table.clone()).collect()
    }

    /// Names of the tables that are not copied.
    pub fn left_out(&self) -> BTreeSet<String> {
        self.skipped.iter().map(|table| table.table.clone()).collect()
    }

    /// Tables by foreign-key level, lowest first.
    pub fn levels(&self) -> impl Iterator<Item = &[Arc<TablePlan>]> {
        self.tables.chunk_by(|a, b| a.level == b.level)
    }
}

/// Target column that holds the instant of expiry.
fn expiry_column(mapping: &TableMapping) -> Option<String> {
    let expires = |output: &&Output| matches!(output.from, Production::ExpiresAt { .. });
    mapping.outputs.iter().find(expires).map(|output| output.column.clone())
}

/// How the tuples of a mapping are digested.
fn row_form(mapping: &TableMapping, expiry: Option<&str>) -> RowForm {
    let columns: Vec<FormColumn<'_>> = mapping
        .outputs
        .iter()
        .map(|output| FormColumn {
            name: &output.column,
            ty: &output.ty,
            collection: match output.from {
                Production::Copy { item } | Production::Default { item: Some(item), .. } => {
                    mapping.types.get(item).and_then(collection)
                }
                _ => None,
            },
        })
        .collect();
    RowForm::new(&mapping.table, &columns, expiry)
}

/// Cassandra stores no empty collection: it is NULL.
fn collection(ty: &CqlType) -> Option<Collection> {
    match ty {
        CqlType::Set(_) => Some(Collection::Set),
        CqlType::List(_) | CqlType::Map(..) => Some(Collection::Other),
        _ => None,
    }
}
