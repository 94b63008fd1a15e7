//! What a comparison found, for people and for programs.

use serde::Serialize;

use super::content::TableFinding;
use super::drill::Different;
use crate::error::{Error, ErrorKind, Result};
use crate::report::table::{Align, TextTable, counted, grouped};
use crate::transform::instant_text;

/// Version of the JSON that [`json`] writes; docs/verify-json.md describes it.
pub const JSON_FORMAT: u32 = 1;

/// The findings as a table, and below it the rows that differ, at most `limit` of each table.
pub fn render(findings: &[TableFinding], limit: usize) -> String {
    let mut table = TextTable::new(&[
        ("table", Align::Left),
        ("source", Align::Right),
        ("target", Align::Right),
        ("left out", Align::Right),
        ("", Align::Left),
    ]);
    let mut sums = [0_u64; 3];
    for finding in findings {
        let figures = [finding.rows[0], finding.rows[1], finding.totals.skipped_rows() + finding.quarantined];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure;
        }
        let cells = figures.map(grouped);
        table.row([finding.table.clone()].into_iter().chain(cells).chain([verdict_of(finding)]));
    }
    table.row(["total".to_owned()].into_iter().chain(sums.map(grouped)).chain([String::new()]));
    let mut text = table.render();
    for finding in findings {
        for (reason, rows) in &finding.totals.skipped {
            text.push_str(&format!("  {}: {} left out: {reason}\n", finding.table, counted(*rows, "row")));
        }
        if finding.quarantined > 0 {
            let rows = counted(finding.quarantined, "row");
            text.push_str(&format!("  {}: {rows} left out: in quarantine\n", finding.table));
        }
    }
    written(findings, &mut text);
    findings.iter().filter(|finding| !finding.agrees()).for_each(|finding| list(finding, limit, &mut text));
    text
}

/// What was written on the source after the copy began.
fn written(findings: &[TableFinding], text: &mut String) {
    let mut any = false;
    for finding in findings {
        if let (rows, Some(newest)) = finding.written {
            let at = instant_text(newest.div_euclid(1_000));
            let (table, rows) = (&finding.table, counted(rows, "row"));
            text.push_str(&format!(
                "  {table}: {rows} written on the source after the copy began, the last at {at}\n"
            ));
            any = true;
        }
    }
    if any {
        text.push_str("  rows that were deleted on the source leave no write time; they show as rows only on the target\n");
    }
}

fn verdict_of(finding: &TableFinding) -> String {
    let differing = finding.differences.count() + count(finding.unloadable.len());
    match (finding.agrees(), finding.expired) {
        (true, 0) => "equal".to_owned(),
        (true, rows) => format!("equal, {} expired meanwhile", grouped(rows)),
        (false, _) if finding.unexplored > 0 => format!("DIFFERENT, more than {}", counted(differing, "row")),
        (false, _) => format!("DIFFERENT, {}", counted(differing, "row")),
    }
}

fn list(finding: &TableFinding, limit: usize, text: &mut String) {
    text.push_str(&format!("\n{}\n", finding.table));
    let found = &finding.differences;
    let missing = found.missing.iter().map(|key| ("missing on the target", key.clone()));
    let extra = found.extra.iter().map(|key| ("only on the target", key.clone()));
    let different = found.different.iter().map(|row| ("different", describe(row)));
    let unloadable = finding.unloadable.iter().map(|row| ("cannot be loaded", row.clone()));
    let mut lines = missing.chain(extra).chain(different).chain(unloadable);
    for (what, row) in lines.by_ref().take(limit) {
        text.push_str(&format!("  {what:<22} {row}\n"));
    }
    let left = count(lines.count());
    if left > 0 {
        text.push_str(&format!("  and {} more (--limit)\n", grouped(left)));
    }
    if finding.unexplored > 0 {
        let rest = grouped(finding.unexplored);
        text.push_str(&format!(
            "  and rows in {rest} further parts of the table, which were not looked into\n"
        ));
    }
}

fn describe(row: &Different) -> String {
    let columns = row.columns.join(", ");
    match row.expires_later {
        None => format!("{}: {columns}", row.key),
        Some(seconds) if seconds > 0 => format!("{}: {columns} (expires {seconds} s later)", row.key),
        Some(seconds) => format!("{}: {columns} (expires {} s earlier)", row.key, -seconds),
    }
}

/// The findings as JSON.
///
/// # Errors
/// Never for findings.
pub fn json(findings: &[TableFinding], limit: usize, share: f64) -> Result<String> {
    let tables = findings.iter().map(|finding| table_json(finding, limit)).collect();
    let equal = findings.iter().all(TableFinding::agrees);
    let report = Report { format: JSON_FORMAT, equal, sample: share, tables };
    serde_json::to_string_pretty(&report)
        .map_err(|_| Error::new(ErrorKind::Internal, "the findings cannot be written as JSON"))
}

#[derive(Serialize)]
struct Report<'a> {
    format: u32,
    equal: bool,
    sample: f64,
    tables: Vec<TableJson<'a>>,
}

#[derive(Serialize)]
struct TableJson<'a> {
    table: &'a str,
    equal: bool,
    source_rows: u64,
    target_rows: u64,
    skipped: u64,
    quarantined: u64,
    expired: u64,
    written_since: Written,
    missing: Listed<&'a String>,
    extra: Listed<&'a String>,
    different: Listed<&'a Different>,
    unloadable: Listed<&'a String>,
    unexplored_parts: u64,
}

#[derive(Serialize)]
struct Written {
    rows: u64,
    newest: Option<String>,
}

#[derive(Serialize)]
struct Listed<T> {
    count: u64,
    rows: Vec<T>,
}

fn listed<T>(rows: &[T], limit: usize) -> Listed<&T> {
    Listed { count: count(rows.len()), rows: rows.iter().take(limit).collect() }
}

fn table_json(finding: &TableFinding, limit: usize) -> TableJson<'_> {
    TableJson {
        table: &finding.table,
        equal: finding.agrees(),
        source_rows: finding.rows[0],
        target_rows: finding.rows[1],
        skipped: finding.totals.skipped_rows(),
        quarantined: finding.quarantined,
        expired: finding.expired,
        written_since: Written {
            rows: finding.written.0,
            newest: finding.written.1.map(|newest| instant_text(newest.div_euclid(1_000))),
        },
        missing: listed(&finding.differences.missing, limit),
        extra: listed(&finding.differences.extra, limit),
        different: listed(&finding.differences.different, limit),
        unloadable: listed(&finding.unloadable, limit),
        unexplored_parts: finding.unexplored,
    }
}

/// An error that names every table whose rows differ.
///
/// # Errors
/// `Difference` when there is one.
pub fn verdict(findings: &[TableFinding]) -> Result<()> {
    let different: Vec<&str> =
        findings.iter().filter(|finding| !finding.agrees()).map(|finding| finding.table.as_str()).collect();
    if different.is_empty() {
        return Ok(());
    }
    let message = format!("both sides differ in {}", different.join(", "));
    Err(Error::new(ErrorKind::Difference, message).remedy(
        "the rows stand above. While a Gateway writes on either side, some difference is to be expected; otherwise do not \
         switch over",
    ))
}

/// An error that says how many rows of the source lie in quarantine.
///
/// # Errors
/// `Quarantined` when there are any.
pub fn nothing_held(findings: &[TableFinding]) -> Result<()> {
    let held: u64 = findings.iter().map(|finding| finding.quarantined).sum();
    if held == 0 {
        return Ok(());
    }
    let message = format!("everything else is the same, and {} in quarantine", lie(held));
    Err(Error::new(ErrorKind::Quarantined, message).remedy(
        "`kongferry quarantine list` shows them and why; `kongferry quarantine retry` loads what was mended",
    ))
}

fn lie(rows: u64) -> String {
    format!("{} {}", counted(rows, "row"), if rows == 1 { "lies" } else { "lie" })
}

fn count(length: usize) -> u64 {
    u64::try_from(length).unwrap_or(u64::MAX)
}
