//! Rows of each table on both sides.
//!
//! Rows that expire while the two sides are counted would make honest counts differ, so both sides count what is still alive
//! at one common instant shortly ahead.

use std::collections::BTreeMap;

use crate::engine::plan::Plan;
use crate::engine::totals::TableTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{TableAccounts, Why};
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
    /// Rows that should be: least and most (they differ only when rows expire around the common instant).
    pub expected: (u64, u64),
    /// Rows about to expire, which are not among these.
    pub expiring: u64,
    /// What the ledger tells beyond the totals.
    pub accounts: TableAccounts,
}

impl TableCount {
    /// Whether the counts agree and nothing read is unaccounted for.
    pub fn agrees(&self) -> bool {
        (self.expected.0..=self.expected.1).contains(&self.target) && self.totals.conserved()
    }
}

/// Whose rows are compared with the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Basis {
    /// Those the ledger says were loaded: the expiry instants on the target are the very same.
    Ledger,
    /// Those that reading the source again gives.
    Source,
}

/// Counts the target and compares with `totals` (by position in the plan), and with what the ledger tells beyond them.
pub async fn compare(
    target: &Target,
    plan: &Plan,
    totals: &[TableTotals],
    accounts: &BTreeMap<String, TableAccounts>,
    basis: Basis,
) -> Result<Vec<TableCount>> {
    let now = crate::engine::now();
    let instant = quiet_instant(totals, now + AHEAD_SECONDS);
    let slack = if basis == Basis::Ledger { 0 } else { EXPIRY_SLACK_SECONDS };
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
        .map(|(table, totals)| {
            let accounts = accounts.get(&table.table).cloned().unwrap_or_default();
            let beyond = beyond(totals, &accounts, basis);
            let expected = |instant| totals.alive_after(instant).saturating_add_signed(beyond);
            TableCount {
                table: table.table.clone(),
                target: counted.get(&table.table).copied().unwrap_or_default(),
                expected: (
                    expected(instant + slack),
                    expected(instant - slack) + maybe_expired(totals, &accounts, instant),
                ),
                expiring: totals.loaded.saturating_sub(totals.alive_after(instant - slack)),
                totals: totals.clone(),
                accounts,
            }
        })
        .collect())
}

/// Rows the target must have beyond those in `totals`, or lack.
fn beyond(totals: &TableTotals, accounts: &TableAccounts, basis: Basis) -> i64 {
    let signed = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
    match basis {
        Basis::Ledger => accounts.changed(),
        // Of what cannot be loaded as the source has it, what was retried is there. What only the target refuses looks good on
        // the source.
        Basis::Source => {
            signed(totals.quarantined_rows())
                - signed(accounts.held_rows())
                - signed(accounts.taken(Why::Skipped))
                - signed(accounts.skipped_by_target)
        }
    }
}

/// Of rows that went after the load, those that might have expired by `instant` and so are not among the others either.
fn maybe_expired(totals: &TableTotals, accounts: &TableAccounts, instant: i64) -> u64 {
    let went: u64 = accounts.changes.values().map(|change| change.removed.saturating_sub(change.added)).sum();
    totals.loaded.saturating_sub(totals.alive_after(instant)).min(went)
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
    let quarantined =
        |count: &TableCount| count.totals.quarantined_rows() + count.accounts.taken(Why::Quarantined);
    let any_quarantined = counts.iter().any(|count| quarantined(count) > 0);
    let mut header = vec![("table", Align::Left), ("read", Align::Right), ("skipped", Align::Right)];
    if any_quarantined {
        header.push(("quarantined", Align::Right));
    }
    header.extend([("loaded", Align::Right), ("on target", Align::Right), ("", Align::Left)]);
    let mut table = TextTable::new(&header);
    let mut sums = vec![0_u64; header.len() - 2];
    for count in counts {
        let loaded = count.totals.loaded.saturating_add_signed(count.accounts.changed());
        // Rows that expire within the next minute are neither missing nor extra.
        let expiring = count.expiring;
        let verdict = match (count.agrees(), expiring) {
            (true, 0) => "equal".to_owned(),
            (true, rows) => format!("equal, {} about to expire", grouped(rows)),
            (false, _) => "DIFFERENT".to_owned(),
        };
        let skipped = count.totals.skipped_rows() + count.accounts.taken(Why::Skipped);
        let mut figures = vec![count.totals.read, skipped];
        if any_quarantined {
            figures.push(quarantined(count));
        }
        figures.extend([loaded, count.target]);
        for (sum, figure) in sums.iter_mut().zip(&figures) {
            *sum += figure;
        }
        table.row([count.table.clone()].into_iter().chain(figures.into_iter().map(grouped)).chain([verdict]));
    }
    table.row(["total".to_owned()].into_iter().chain(sums.into_iter().map(grouped)).chain([String::new()]));
    table.render()
}

/// What was skipped and repaired, one line per table and reason; empty when nothing was.
pub fn remarks(counts: &[TableCount]) -> Vec<String> {
    let mut lines = Vec::new();
    for count in counts {
        for ((column, form), values) in &count.totals.forms {
            lines.push(format!("{}: {column}: {} stored as {form}", count.table, grouped(*values)));
        }
        for (class, rows) in &count.totals.skipped {
            let (rows, why) = (counted(*rows, "row"), class.meaning());
            lines.push(format!("{}: {rows} skipped: {why}", count.table));
        }
        for (class, rows) in &count.accounts.held {
            let (rows, why) = (counted(*rows, "row"), class.meaning());
            lines.push(format!("{}: {rows} in quarantine ({class}): {why}", count.table));
        }
        for (why, change) in &count.accounts.changes {
            let came = counted(change.added, "row");
            lines.push(match why {
                // They are told among what is skipped and held.
                Why::Quarantined => continue,
                Why::Skipped => {
                    format!("{}: {} left behind after the load", count.table, counted(change.removed, "row"))
                }
                Why::Repaired => format!("{}: {came} moved to the workspace of their parents", count.table),
                Why::Retried => format!("{}: {came} loaded from quarantine", count.table),
                Why::ReadAgain => format!("{}: {came} read again from the source", count.table),
                Why::Expired => format!("{}: {} expired", count.table, counted(change.removed, "row")),
                Why::Derived => format!("{}: {came} worked out anew", count.table),
            });
        }
        for (kind, values) in &count.totals.repaired {
            lines.push(format!("{}: {} normalised: {kind}", count.table, counted(*values, "value")));
        }
    }
    lines
}

/// An error that says how many rows lie in quarantine.
///
/// # Errors
/// `Quarantined` when there are any.
pub fn nothing_held(counts: &[TableCount]) -> Result<()> {
    let held: Vec<String> = counts
        .iter()
        .filter(|count| count.accounts.held_rows() > 0)
        .map(|count| format!("{} {}", count.table, grouped(count.accounts.held_rows())))
        .collect();
    if held.is_empty() {
        return Ok(());
    }
    let rows = counts.iter().map(|count| count.accounts.held_rows()).sum();
    Err(Error::new(
        ErrorKind::Quarantined,
        format!("everything else is there, and {} in quarantine", lie(rows)),
    )
    .because(held.join(", "))
    .remedy(
        "`kongferry quarantine list` shows them and why; after mending what they lack, `kongferry quarantine retry` loads them; \
         `kongferry quarantine export FILE` writes them out",
    ))
}

/// So many rows lie.
pub fn lie(rows: u64) -> String {
    format!("{} {}", counted(rows, "row"), if rows == 1 { "lies" } else { "lie" })
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
