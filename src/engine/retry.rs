//! Rows of quarantine are tried again: shaped by the maps of now, and loaded into the armed target.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::events::Events;
use super::kept_cells::KeptTable;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Guard, HeldChoice, HeldHead, Kept, Ledger, Run, RunState, Why};
use crate::policy::{Class, Policies};
use crate::schema_map::{MapSet, TableMapping, resolve};
use crate::source::Page;
use crate::source::cells::rows_of;
use crate::target::catalog::PgKind;
use crate::target::counters::{self, COUNTERS};
use crate::target::seeding::default_workspace;
use crate::target::sequences::{FedColumn, catch_up};
use crate::target::sieve::{Refusal, Sieve};
use crate::target::{Catalog, LoadTransaction, Target, load_levels};
use crate::transform::{RowShaper, Shaped, ShaperContext};

/// Rows that are read from quarantine and tried at once.
const BATCH: i64 = 200;

/// What a retry needs.
pub struct Retry<'a> {
    /// The target.
    pub target: &'a Target,
    /// The run whose rows are tried.
    pub run: &'a Run,
    /// The maps of now.
    pub maps: &'a MapSet,
    /// What becomes of rows that could be repaired, or skipped.
    pub policies: Policies,
    /// Who is told.
    pub events: &'a Events,
}

/// What came of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Retried {
    /// Rows that are loaded now.
    pub loaded: u64,
    /// Rows that stay in quarantine.
    pub held: u64,
}

impl Retry<'_> {
    /// Tries the chosen rows, one transaction per table, parents first.
    ///
    /// # Errors
    /// `Preflight` when the run is not done; `SchemaMap` when a map does not fit the kept rows. Tables that were done before stay done.
    pub async fn go(&self, choice: &HeldChoice) -> Result<BTreeMap<String, Retried>> {
        let guard = Guard::alone(self.target).await?;
        if self.run.state != RunState::Done {
            return Err(Error::new(ErrorKind::Preflight, format!("run {} is not done", self.run.id)).remedy(
                "rows of quarantine are loaded into tables that are whole: `kongferry migrate --resume` completes the run",
            ));
        }
        let ledger = Ledger::new(self.target.clone(), self.run.id);
        let catalog = self.target.catalog().await?;
        let counts = ledger.held_counts(choice).await?;
        let names: BTreeSet<String> = counts.iter().map(|(table, ..)| table.clone()).collect();
        let levels = load_levels(&catalog, &names).unwrap_or_default();
        let ordered: Vec<&String> = levels.levels.iter().flatten().collect();
        let others = names.iter().filter(|name| !ordered.contains(name));
        let mut outcome = BTreeMap::new();
        for table in ordered.iter().copied().chain(others) {
            self.events.stage(format!("Trying rows of {table}"));
            let retried = self.table(&ledger, &catalog, choice, table).await?;
            outcome.insert(table.clone(), retried);
        }
        if outcome.values().any(|retried| retried.loaded > 0) && counters::has_counters(&catalog) {
            let copied: BTreeSet<String> =
                self.run.terms.tables.iter().map(|(table, _)| table.clone()).collect();
            if !copied.contains(COUNTERS) {
                counters::recount(self.target, &catalog, &copied).await?;
            }
        }
        drop(guard);
        Ok(outcome)
    }

    async fn table(
        &self,
        ledger: &Ledger,
        catalog: &Catalog,
        choice: &HeldChoice,
        table: &str,
    ) -> Result<Retried> {
        let Some(known) = catalog.tables.get(table) else {
            return Err(Error::new(
                ErrorKind::Preflight,
                format!("the target has no table {table} any more"),
            ));
        };
        let choice = HeldChoice { table: Some(table.to_owned()), ..choice.clone() };
        let whole: Vec<String> =
            known.columns.iter().filter(|it| !it.generated).map(|it| it.name.clone()).collect();
        let mut shapers: BTreeMap<String, Reshaper> = BTreeMap::new();
        let mut transaction = self.target.begin().await?;
        let mut retried = Retried::default();
        let mut progress = true;
        // A row can wait for another of the same table.
        let mut waiting: Option<BTreeSet<i64>> = None;
        while progress {
            progress = false;
            let mut orphans = BTreeSet::new();
            let mut after = 0;
            loop {
                let batch = ledger.held(&choice, after, BATCH, true).await?;
                let Some((last, _)) = batch.last() else { break };
                after = last.id;
                let batch: Vec<(HeldHead, Kept)> = batch
                    .into_iter()
                    .filter_map(|(head, kept)| Some((head, kept?)))
                    .filter(|(head, _)| waiting.as_ref().is_none_or(|waiting| waiting.contains(&head.id)))
                    .collect();
                let mut tried =
                    Batch { ledger, retry: self, catalog, table, whole: &whole, shapers: &mut shapers };
                if waiting.is_none() {
                    retried.held += u64::try_from(batch.len()).unwrap_or(u64::MAX);
                }
                let done = tried.go(&mut transaction, batch).await?;
                progress |= done.loaded > 0;
                retried.loaded += done.loaded;
                retried.held = retried.held.saturating_sub(done.loaded);
                orphans.extend(done.orphans);
            }
            progress &= !orphans.is_empty();
            waiting = Some(orphans);
        }
        if retried.loaded > 0 {
            let rows = i64::try_from(retried.loaded).unwrap_or(i64::MAX);
            ledger.changed(&mut transaction, None, table, Why::Retried, rows, None).await?;
        }
        transaction.commit().await?;
        for reshaper in shapers.values() {
            for sequence in &reshaper.mapping.sequences {
                let name = sequence.name.as_deref();
                catch_up(self.target, &FedColumn { table, column: &sequence.column, sequence: name }).await?;
            }
        }
        Ok(retried)
    }

    /// How rows that are kept with the description `selection` are shaped now.
    async fn reshaper(&self, catalog: &Catalog, table: &str, selection: &str) -> Result<Reshaper> {
        let kept = KeptTable::from_json(selection)?;
        let map = self.maps.get(table).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("no map describes table {table}")).remedy(format!(
                "write the one that was worked out with `kongferry map derive {table} > MAPS/{table}.toml`, then --map-dir MAPS"
            ))
        })?;
        let known = catalog.tables.get(table).cloned().unwrap_or_default();
        let mapping = resolve(map, &kept.table(table), &known)?;
        let missing = mapping.selection.items.iter().find(|item| !kept.items.contains(item));
        if missing.is_some() {
            return Err(Error::new(
                ErrorKind::SchemaMap,
                format!("the map of {table} reads a column that was not kept with its rows in quarantine"),
            )
            .remedy("drop that column in the map, or load these rows by a run of their own"));
        }
        let places = mapping
            .selection
            .items
            .iter()
            .filter_map(|item| kept.items.iter().position(|kept| kept == item))
            .collect();
        let client = self.target.client().await?;
        let default_workspace = default_workspace(&client, self.target.schema()).await?;
        let context =
            ShaperContext { default_workspace, active_keys: &kept.active_keys, policies: self.policies };
        let shaper = RowShaper::compile(&mapping, context)?;
        Ok(Reshaper { kept: kept.items.len(), places, shaper, mapping })
    }
}

/// Shapes kept rows.
struct Reshaper {
    /// Cells of a kept row.
    kept: usize,
    /// Which of them the map asks for, in its order.
    places: Vec<usize>,
    shaper: RowShaper,
    mapping: TableMapping,
}

impl Reshaper {
    /// The row as a page of the map's own selection.
    fn page(&self, cells: Vec<u8>, read_at: i64) -> Option<Page> {
        let read_at = read_at.div_euclid(1_000);
        let page = Page { rows: 1, body: Bytes::from(cells), read_at };
        let row = rows_of(&page, self.kept)?.pop()?;
        let mut body = Vec::new();
        for place in &self.places {
            match row.get(*place)? {
                None => body.extend((-1_i32).to_be_bytes()),
                Some(cell) => {
                    body.extend(i32::try_from(cell.len()).ok()?.to_be_bytes());
                    body.extend_from_slice(cell);
                }
            }
        }
        Some(Page { rows: 1, body: body.into(), read_at })
    }
}

/// Some rows of one table that are tried at once.
struct Batch<'a> {
    ledger: &'a Ledger,
    retry: &'a Retry<'a>,
    catalog: &'a Catalog,
    table: &'a str,
    /// All columns of the table that can be written.
    whole: &'a [String],
    /// By description of the kept cells.
    shapers: &'a mut BTreeMap<String, Reshaper>,
}

/// What came of a batch.
#[derive(Default)]
struct Done {
    loaded: u64,
    /// Rows whose parent is missing.
    orphans: Vec<i64>,
}

impl Batch<'_> {
    async fn go(&mut self, transaction: &mut LoadTransaction, rows: Vec<(HeldHead, Kept)>) -> Result<Done> {
        let mut done = Done::default();
        let mut from_target = Vec::new();
        let mut by_selection: BTreeMap<String, Vec<(i64, Vec<u8>, i64)>> = BTreeMap::new();
        for (head, kept) in rows {
            match kept {
                Kept::Loaded(_) => from_target.push(head.id),
                Kept::Cells { selection, cells, read_at } => {
                    by_selection.entry(selection).or_default().push((head.id, cells, read_at));
                }
            }
        }
        let version = self.retry.target.server().version_num;
        for (selection, rows) in by_selection {
            if !self.shapers.contains_key(&selection) {
                let reshaper = self.retry.reshaper(self.catalog, self.table, &selection).await?;
                self.shapers.insert(selection.clone(), reshaper);
            }
            let Some(reshaper) = self.shapers.get(&selection) else { continue };
            let columns: Vec<String> =
                reshaper.mapping.outputs.iter().map(|output| output.column.clone()).collect();
            let (mut tuples, mut ids) = (Vec::new(), Vec::new());
            for (id, cells, read_at) in rows {
                let mut shaped = Shaped::default();
                let page = reshaper.page(cells, read_at).ok_or_else(|| {
                    Error::new(ErrorKind::Target, format!("row {id} of quarantine is not whole"))
                        .remedy("has anybody changed kongferry.quarantine?")
                })?;
                reshaper.shaper.shape(&page, &mut shaped)?;
                if !shaped.tuples.is_empty() {
                    tuples.extend_from_slice(&shaped.copy);
                    ids.push(id);
                    continue;
                }
                if let Some(reject) = shaped.rejects.first() {
                    let (class, reason) = (reject.class(), reject.reason.to_string());
                    self.ledger.still_held(transaction, id, class, &reject.column, &reason).await?;
                }
            }
            if ids.is_empty() {
                continue;
            }
            let sieve = Sieve::open(transaction, self.table, &columns, version).await?;
            let refused = sieve.pass(transaction, tuples.into(), ids.len()).await?;
            self.book(transaction, &mut done, &ids, refused).await?;
        }
        if !from_target.is_empty() {
            let sieve = Sieve::open(transaction, self.table, self.whole, version).await?;
            let refused =
                sieve.pass_kept(transaction, self.retry.run.id, &from_target, &self.arrays()).await?;
            self.book(transaction, &mut done, &from_target, refused).await?;
        }
        Ok(done)
    }

    /// Columns that are arrays, with their types.
    fn arrays(&self) -> Vec<(String, String)> {
        let columns = self.catalog.tables.get(self.table).map_or(&[][..], |table| &table.columns);
        let arrays = columns.iter().filter(|column| matches!(column.ty.kind, PgKind::Array(_)));
        arrays.map(|column| (column.name.clone(), column.ty.name.clone())).collect()
    }

    async fn book(
        &self,
        transaction: &mut LoadTransaction,
        done: &mut Done,
        ids: &[i64],
        refused: Vec<(usize, Refusal)>,
    ) -> Result<()> {
        let mut staying = BTreeSet::new();
        for (place, refusal) in refused {
            let Some(id) = ids.get(place) else { continue };
            staying.insert(*id);
            if refusal.class() == Class::MissingParent {
                done.orphans.push(*id);
            }
            self.ledger.still_refused(transaction, *id, &refusal).await?;
        }
        let loaded: Vec<i64> = ids.iter().copied().filter(|id| !staying.contains(id)).collect();
        let marked = self.ledger.mark_loaded(transaction, &loaded).await?;
        if usize::try_from(marked).is_ok_and(|marked| marked == loaded.len()) {
            done.loaded += marked;
            return Ok(());
        }
        Err(Error::new(ErrorKind::Target, "somebody else changed rows of quarantine meanwhile")
            .remedy("nothing of this table was loaded; run it again"))
    }
}
