//! Rows of each table on both sides.
//!
//! Rows that expire while the two sides are counted would make honest counts differ, so both sides count what is still alive
//! at one common instant shortly ahead.

use std::collections::BTreeMap;

use crate::engine::plan::Plan;
use crate::engine::totals::TableTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Change, Why};
use crate::report::table::{Align, TextTable, counted, grouped};
use crate::target::Target;
use crate::target::count::{AliveAfter, count_all};

/// How far ahead of now the common instant lies, in seconds: more than clocks of servers differ and counting one table takes.
const AHEAD_SECONDS: i64 = 60;
/// An expiry instant computed twice can differ by this much, in seconds: TTLs are whole seconds.
const EXPIRY_SLACK_SECONDS: i64 = 2;

/// The count of one table on both sides.
#[derive(Debug, Clone)]
pub struct TableCount {
    /// Its name.
    pub table: String,
    /// What the source side gave.
    pub totals: TableTotals,
    /// Rows of the target alive at the common instant.
    pub target: u64,
    /// Rows that came and went after their split was loaded, as the ledger has it.
    pub changed: BTreeMap<Why, Change>,
    /// Rows that should be: least and most (they differ only when rows expire around the common instant).
    pub expected: (u64, u64),
}

impl TableCount {
    /// Adds what was changed after the rows were loaded.
    fn change(&mut self, why: Why, change: Change) {
        let came = change.added.saturating_sub(change.removed);
        let went = change.removed.saturating_sub(change.added);
        // Of rows that went nobody knows whether they would have expired by now.
        let expired = self.totals.loaded.saturating_sub(self.expected.0).min(went);
        let shift = |rows: u64, went: u64| rows.saturating_add(came).saturating_sub(went);
        self.expected = (shift(self.expected.0, went), shift(self.expected.1, went - expired));
        self.changed.insert(why, change);
    }

    /// Rows that were loaded and have not been taken away since.
    fn left(&self) -> u64 {
        let sum =
            |rows: u64, change: &Change| rows.saturating_add(change.added).saturating_sub(change.removed);
        self.changed.values().fold(self.totals.loaded, sum)
    }

    /// Whether the counts agree and nothing read is unaccounted for.
    pub fn agrees(&self) -> bool {
        (self.expected.0..=self.expected.1).contains(&self.target) && self.totals.conserved()
    }
}

/// Counts the target and compares with `totals` (by position in the plan). With `exact` the expiry instants on the target
/// are the very ones in `totals`, as at the end of a migration.
pub async fn compare(
    target: &Target,
    plan: &Plan,
    totals: &[TableTotals],
    exact: bool,
) -> Result<Vec<TableCount>> {
    let now = crate::engine::now();
    let instant = quiet_instant(totals, now + AHEAD_SECONDS);
    let slack = if exact { 0 } else { EXPIRY_SLACK_SECONDS };
    let tables = plan
        .tables
        .iter()
        .map(|table| {
            let alive = table.expiry_column.clone().map(|column| AliveAfter { column, instant });
            (table.table.clone(), alive)
        })
        .collect();
    let mut client = target.client().await?;
    let counted = count_all(&mut client, target.schema(), &tables).await?;
    Ok(plan
        .tables
        .iter()
        .zip(totals)
        .map(|(table, totals)| TableCount {
            table: table.table.clone(),
            target: counted.get(&table.table).copied().unwrap_or_default(),
            expected: (totals.alive_after(instant + slack), totals.alive_after(instant - slack)),
            totals: totals.clone(),
            changed: BTreeMap::new(),
        })
        .collect())
}

/// Adds what the ledger says was changed after the rows were loaded: target = loaded + changes.
pub fn include(counts: &mut [TableCount], changes: &BTreeMap<(String, Why), Change>) {
    for ((table, why), change) in changes {
        if let Some(count) = counts.iter_mut().find(|count| count.table == *table) {
            count.change(*why, *change);
        }
    }
}

/// The first instant from `from` on around which no row expires, or `from` itself when there is none within a minute.
fn quiet_instant(totals: &[TableTotals], from: i64) -> i64 {
    let quiet = |instant: &i64| {
        totals.iter().all(|totals| {
            totals.alive_after(instant - EXPIRY_SLACK_SECONDS - 1)
                == totals.alive_after(instant + EXPIRY_SLACK_SECONDS)
        })
    };
    (from..from + 60).find(quiet).unwrap_or(from)
}

/// The counts as a table for people.
pub fn render(counts: &[TableCount]) -> String {
    let mut table = TextTable::new(&[
        ("table", Align::Left),
        ("read", Align::Right),
        ("skipped", Align::Right),
        ("loaded", Align::Right),
        ("on target", Align::Right),
        ("", Align::Left),
    ]);
    let mut sums = [0_u64; 4];
    for count in counts {
        let loaded = count.totals.loaded;
        // Rows that expire within the next minute are neither missing nor extra.
        let expiring = count.left().saturating_sub(count.expected.1);
        let verdict = match (count.agrees(), expiring) {
            (true, 0) => "equal".to_owned(),
            (true, rows) => format!("equal, {} about to expire", grouped(rows)),
            (false, _) => "DIFFERENT".to_owned(),
        };
        let figures = [count.totals.read, count.totals.skipped_rows(), loaded, count.target];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure;
        }
        table.row([count.table.clone()].into_iter().chain(figures.map(grouped)).chain([verdict]));
    }
    table.row(["total".to_owned()].into_iter().chain(sums.map(grouped)).chain([String::new()]));
    table.render()
}

/// What was skipped and repaired, one line per table and reason; empty when nothing was.
pub fn remarks(counts: &[TableCount]) -> Vec<String> {
    let mut lines = Vec::new();
    for count in counts {
        for ((column, form), values) in &count.totals.forms {
            lines.push(format!("{}: {column}: {} stored as {form}", count.table, grouped(*values)));
        }
        for (reason, rows) in &count.totals.skipped {
            lines.push(format!("{}: {} skipped: {reason}", count.table, counted(*rows, "row")));
        }
        for (why, change) in &count.changed {
            let rows = match why {
                Why::Repaired => change.added,
                _ => change.added + change.removed,
            };
            let rows = counted(rows, "row");
            lines.push(match why {
                Why::Quarantined => format!("{}: {rows} put into quarantine after the load", count.table),
                Why::Skipped => format!("{}: {rows} left behind after the load", count.table),
                Why::Repaired => format!("{}: {rows} moved to the workspace of their parents", count.table),
                Why::Retried => format!("{}: {rows} loaded from quarantine", count.table),
                Why::ReadAgain => format!("{}: {rows} read again from the source", count.table),
                Why::Expired => format!("{}: {rows} expired", count.table),
                Why::Derived => format!("{}: {rows} worked out anew", count.table),
            });
        }
        for (kind, values) in &count.totals.repaired {
            lines.push(format!("{}: {} normalised: {kind}", count.table, counted(*values, "value")));
        }
    }
    lines
}

/// An error that names every table whose counts differ.
///
/// # Errors
/// `Difference` when there is one.
pub fn verdict(counts: &[TableCount]) -> Result<()> {
    let different: Vec<String> = counts
        .iter()
        .filter(|count| !count.agrees())
        .map(|count| {
            let expected = if count.expected.0 == count.expected.1 {
                grouped(count.expected.0)
            } else {
                format!("{} to {}", grouped(count.expected.0), grouped(count.expected.1))
            };
            format!("{} (source gives {expected}, target holds {})", count.table, grouped(count.target))
        })
        .collect();
    if different.is_empty() {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Difference, format!("the counts differ in {}", different.join(", ")))
        .remedy("was a Gateway or another tool writing on either side? stop it and compare again with `kongferry verify --counts`; do not switch over"))
}
