//! Compares what both sides hold, row by row, in bounded memory.
//!
//! The first look adds digests up, in buckets by the hash of the key: the source adds, the target takes away. Buckets that are not
//! empty afterwards are looked at once more, row by row. So what is written meanwhile is compared twice before it counts.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::drill::{Differences, Gathered};
use super::key::{self, KeyForm};
use super::sides::{Look, read_source, read_target};
use super::tally::{Outcome, Seen, Side, Tally};
use crate::canonical::{OtherLayout, RowForm, Scratch};
use crate::engine::events::{Event, Events};
use crate::engine::plan::{Plan, TablePlan};
use crate::engine::preflight::Sides;
use crate::engine::totals::TableTotals;
use crate::engine::workers::Stop;
use crate::engine::write_times::written_after;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Page;
use crate::transform::Shaped;

/// Rows in buckets that differ are held in memory up to about this number per table; of more buckets only the first are looked
/// into.
const MOST_GATHERED: u64 = 200_000;
/// Rows that expire within this time after the sides were read may be on one side only, in seconds: clocks differ.
const EXPIRING_SECONDS: i64 = 60;

/// How to compare.
#[derive(Debug, Clone)]
pub struct CompareOptions {
    /// Splits of the source that are read at the same time.
    pub workers: usize,
    /// Parts of the target that are read at the same time.
    pub streams: usize,
    /// Seconds by which instants of expiry may differ.
    pub tolerance: i64,
    /// Share of the rows that are compared, picked by the hashes of their keys, 0 to 1.
    pub share: f64,
    /// Rows of the source that were written after this instant are counted, in microseconds since 1970; the plan must have been
    /// made with write times.
    pub since: Option<i64>,
    /// Rows that a run put into quarantine, by table: keys as text.
    pub held: BTreeMap<String, BTreeSet<String>>,
    /// Columns of rows that a run repaired on the target, by table and key.
    pub repaired: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// What was found in one table.
#[derive(Debug, Clone)]
pub struct TableFinding {
    /// Its name.
    pub table: String,
    /// What the source gave.
    pub totals: TableTotals,
    /// Rows on the source and on the target that were compared.
    pub rows: [u64; 2],
    /// Rows of the source that are in quarantine.
    pub quarantined: u64,
    /// Rows that expired meanwhile, on one side only.
    pub expired: u64,
    /// Rows of the source that were written after the given instant, and when the last one was, in microseconds since 1970.
    pub written: (u64, Option<i64>),
    /// Rows of the source that cannot be loaded as they are, and are not in quarantine either.
    pub unloadable: Vec<String>,
    /// Rows that differ.
    pub differences: Differences,
    /// Buckets that were not looked into, as there were too many.
    pub unexplored: u64,
}

impl TableFinding {
    /// Whether both sides hold the same.
    pub fn agrees(&self) -> bool {
        self.differences.is_empty() && self.unexplored == 0 && self.unloadable.is_empty()
    }
}

/// How the rows of a table are looked at.
#[derive(Debug)]
pub(super) struct TableLook {
    /// Any instant of expiry is the same.
    pub form: RowForm,
    /// Its key.
    pub key: KeyForm,
    /// Hashes of keys above this are not compared.
    most: u64,
    /// Rows in quarantine.
    held: BTreeSet<String>,
}

/// The first look.
#[derive(Debug)]
struct First {
    tables: Vec<Arc<TableLook>>,
    tallies: Vec<Tally>,
    left_out: std::sync::Mutex<LeftOut>,
    since: Option<i64>,
}

#[derive(Debug, Default)]
struct LeftOut {
    quarantined: BTreeMap<usize, u64>,
    unloadable: BTreeMap<usize, Vec<String>>,
    written: BTreeMap<usize, (u64, Option<i64>)>,
}

impl TableLook {
    /// Whether the row whose fields were found last takes part; its key and the key's hash.
    pub fn key_hash(&self, tuple: &[u8], scratch: &Scratch, key: &mut Vec<u8>) -> Option<u64> {
        key.clear();
        self.key.write(&self.form, tuple, scratch, key);
        let hash = key::hash(key);
        (hash <= self.most).then_some(hash)
    }

    /// Which tuples of a page are in quarantine; empty when none is.
    pub fn held_of(&self, table: &TablePlan, page: &Page, shaped: &Shaped) -> Vec<bool> {
        if self.held.is_empty() {
            return Vec::new();
        }
        let keys = table.shaper.keys_of(page);
        let (mut scratch, mut start) = (Scratch::default(), 0);
        let mut held = Vec::with_capacity(shaped.tuples.len());
        for mark in &shaped.tuples {
            let tuple = shaped.copy.get(start..mark.end).unwrap_or_default();
            start = mark.end;
            // By the key that the source has for it, or that the target had.
            let found = keys.get(mark.row).is_some_and(|key| self.held.contains(key))
                || (self.form.fields(tuple, &mut scratch).is_ok()
                    && self.held.contains(&self.key.text(&self.form, tuple, &scratch)));
            held.push(found);
        }
        held
    }
}

impl Look for First {
    fn tuples(
        &self,
        side: Side,
        table: &TablePlan,
        tuples: &[u8],
        left_out: &[bool],
        scratch: &mut Scratch,
    ) -> Result<usize, OtherLayout> {
        let (Some(look), Some(tally)) = (self.tables.get(table.position), self.tallies.get(table.position))
        else {
            return Err(OtherLayout);
        };
        let (mut seen, mut key, mut at) = (Vec::new(), Vec::new(), 0);
        for number in 0.. {
            let tuple = tuples.get(at..).unwrap_or_default();
            let Some(length) = look.form.fields(tuple, scratch)? else { break };
            at += length;
            if left_out.get(number) == Some(&true) {
                continue;
            }
            if let Some(hash) = look.key_hash(tuple, scratch, &mut key) {
                let row = look.form.digest_fields(tuple, scratch);
                seen.push(Seen { key: hash, digest: row.digest, expires: row.expires });
            }
        }
        tally.add(side, &seen);
        Ok(at)
    }

    fn page(&self, table: &TablePlan, page: &Page, shaped: &Shaped) -> Vec<bool> {
        let Some(look) = self.tables.get(table.position) else { return Vec::new() };
        let held = look.held_of(table, page, shaped);
        let written = self.since.map_or((0, None), |since| written_after(&table.selection, page, since));
        if written.0 > 0 {
            let mut left_out = self.left_out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let sum = left_out.written.entry(table.position).or_default();
            *sum = (sum.0 + written.0, sum.1.max(written.1));
        }
        let quarantined = held.iter().filter(|held| **held).count();
        if quarantined > 0 || !shaped.rejects.is_empty() {
            let mut left_out = self.left_out.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            *left_out.quarantined.entry(table.position).or_default() += count(quarantined);
            for reject in &shaped.rejects {
                if look.held.contains(&reject.key) {
                    *left_out.quarantined.entry(table.position).or_default() += 1;
                } else {
                    let text = format!("{}: column {}: {}", reject.key, reject.column, reject.reason);
                    left_out.unloadable.entry(table.position).or_default().push(text);
                }
            }
        }
        held
    }
}

/// Compares the tables of `plan` on both sides.
///
/// # Errors
/// When a side cannot be read to its end; that is never a difference.
pub async fn compare(
    sides: &Sides,
    plan: &Plan,
    options: &CompareOptions,
    stop: &Stop,
    events: &Events,
) -> Result<Vec<TableFinding>> {
    let looks: Vec<Arc<TableLook>> =
        plan.tables.iter().map(|table| Arc::new(look_at(sides, table, options))).collect();
    let first = Arc::new(First {
        tallies: plan.tables.iter().map(|table| Tally::new(table.estimate)).collect(),
        tables: looks.clone(),
        left_out: std::sync::Mutex::default(),
        since: options.since,
    });
    let told = plan.tables.iter().map(|table| (table.table.clone(), table.estimate)).collect();
    events.tell(Event::Tables(told));
    let (totals, over) =
        read_both(sides, &plan.tables, plan.tables.len(), Arc::clone(&first), options, stop, events).await?;
    let first = Arc::into_inner(first);
    let Some(First { tallies, left_out, .. }) = first else { return Err(busy()) };
    let outcomes: Vec<Outcome> =
        tallies.into_iter().map(|tally| tally.outcome(options.tolerance, over)).collect();
    let mut left_out = left_out.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut findings: Vec<TableFinding> = Vec::new();
    for ((table, totals), outcome) in plan.tables.iter().zip(totals).zip(&outcomes) {
        findings.push(TableFinding {
            table: table.table.clone(),
            totals,
            rows: outcome.rows,
            quarantined: left_out.quarantined.remove(&table.position).unwrap_or_default(),
            unloadable: left_out.unloadable.remove(&table.position).unwrap_or_default(),
            expired: outcome.expired,
            written: left_out.written.remove(&table.position).unwrap_or_default(),
            differences: Differences::default(),
            unexplored: 0,
        });
    }
    look_again(sides, plan, &looks, outcomes, &mut findings, options, stop, events).await?;
    Ok(findings)
}

/// Looks into the buckets that differ, row by row.
#[allow(clippy::too_many_arguments)]
async fn look_again(
    sides: &Sides,
    plan: &Plan,
    looks: &[Arc<TableLook>],
    outcomes: Vec<Outcome>,
    findings: &mut [TableFinding],
    options: &CompareOptions,
    stop: &Stop,
    events: &Events,
) -> Result<()> {
    let mut marked = Vec::new();
    for (finding, mut outcome) in findings.iter_mut().zip(outcomes) {
        let rows = outcome.rows.iter().sum::<u64>() >> outcome.bits;
        let most = usize::try_from(MOST_GATHERED / rows.max(1)).unwrap_or(usize::MAX).max(1);
        if let Some(from) = outcome.buckets.iter().nth(most).copied() {
            finding.unexplored = count(outcome.buckets.split_off(&from).len());
        }
        marked.push((outcome.bits, outcome.buckets));
    }
    let tables: Vec<Arc<TablePlan>> = plan
        .tables
        .iter()
        .filter(|table| marked.get(table.position).is_some_and(|(_, buckets)| !buckets.is_empty()))
        .cloned()
        .collect();
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<&str> = tables.iter().map(|table| table.table.as_str()).collect();
    events.stage(format!("Looking for the rows that differ in {}", names.join(", ")));
    let gathered = Arc::new(Gathered::new(looks.to_vec(), marked));
    let (_, over) =
        read_both(sides, &tables, plan.tables.len(), Arc::clone(&gathered), options, stop, events).await?;
    let gathered = Arc::into_inner(gathered).ok_or_else(busy)?;
    for (table, differences) in gathered.differences(plan, options, over) {
        if let Some(finding) = findings.get_mut(table) {
            finding.differences = differences;
        }
    }
    Ok(())
}

/// Reads both sides at the same time. Returns what the source gave, by position, and the instant before which rows that
/// expire may be on one side only.
async fn read_both(
    sides: &Sides,
    tables: &[Arc<TablePlan>],
    positions: usize,
    look: Arc<impl Look>,
    options: &CompareOptions,
    stop: &Stop,
    events: &Events,
) -> Result<(Vec<TableTotals>, i64)> {
    let (source, target) = (Arc::clone(&sides.source), sides.target.clone());
    let workers = options.workers;
    let target_look = Arc::clone(&look);
    let reading = read_target(&target, tables, options.streams, target_look, stop);
    let (harvest, read) =
        tokio::join!(read_source(source, tables, positions, workers, look, stop, events), async {
            let read = reading.await;
            if read.is_err() {
                // The other side need not be read to its end.
                stop.ask();
            }
            read
        });
    // When one side fails the other is only interrupted.
    let mut failures = harvest.failures;
    failures.extend(read.err());
    failures.sort_by_key(|failure| failure.kind() == ErrorKind::Interrupted);
    if let Some(failure) = failures.into_iter().next() {
        return Err(failure);
    }
    Ok((harvest.totals, crate::engine::now() + EXPIRING_SECONDS))
}

fn look_at(sides: &Sides, table: &TablePlan, options: &CompareOptions) -> TableLook {
    TableLook {
        form: table.form.with_any_instant(),
        key: KeyForm::of(table, &sides.catalog),
        most: most(options.share),
        held: options.held.get(&table.table).cloned().unwrap_or_default(),
    }
}

/// The greatest hash that takes part.
fn most(share: f64) -> u64 {
    // In steps of one in 65,536, which is exact enough and exact in arithmetic.
    let steps = (1..=65_536_u64).rev().find(|steps| {
        let upto = f64::from(u32::try_from(*steps).unwrap_or_default()) / 65_536.0;
        upto <= share
    });
    steps.map_or(u64::MAX >> 16, |steps| steps.checked_mul(1 << 48).map_or(u64::MAX, |end| end - 1))
}

fn busy() -> Error {
    Error::new(ErrorKind::Internal, "somebody still reads after both sides were read")
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_hashes_takes_part() {
        assert_eq!(most(1.0), u64::MAX);
        assert_eq!(most(0.5), u64::MAX / 2);
        assert_eq!(most(0.0), (1 << 48) - 1);
    }
}
