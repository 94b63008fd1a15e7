//! The way back: the target as it was before the run, in one transaction.

use std::collections::BTreeSet;

use super::events::Events;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Guard, Ledger, Loaded, Run, RunState};
use crate::report::table::{counted, grouped};
use crate::target::armour::{self, ServerResources};
use crate::target::bootstrap::tied_to;
use crate::target::identifier::{qualified, quote};
use crate::target::levels::load_levels;
use crate::target::tags::TAGS;
use crate::target::{Catalog, LoadTransaction, Target};

/// Longest wait for a table lock.
const LOCK_TIMEOUT: &str = "60s";

/// Empties every table that `run` filled, puts back whatever it took off, the bootstrap rows and the column defaults, and ends
/// it. One transaction: whatever interrupts it, the target is as it was before, or as it is now.
///
/// # Errors
/// `Preflight` when rows changed after the run was done and `discard_changes` does not allow to lose them.
pub async fn undo(target: &Target, run: &Run, discard_changes: bool, events: &Events) -> Result<()> {
    let guard = Guard::alone(target).await?;
    if run.state == RunState::Undone {
        return Err(Error::new(ErrorKind::Preflight, format!("run {} is undone already", run.id))
            .remedy("the target is as it was before; `kongferry clean` removes the ledger"));
    }
    let ledger = Ledger::new(target.clone(), run.id);
    if run.state == RunState::Done && !discard_changes {
        refuse_changes(&ledger, run).await?;
    }
    events.stage(format!("Undoing run {} of {} UTC", run.id, run.began_at));
    let resources = ServerResources::read(target).await?.share(1);
    let catalog = &run.terms.catalog;
    let mut transaction = target.begin().await?;
    let settings = format!(
        "SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'; SET LOCAL search_path = {}",
        quote(&catalog.schema)
    );
    transaction.batch("cannot begin to undo the run", &settings).await?;
    let kept = ledger.kept_tables(&mut transaction).await?;
    let filled = filled(run, &kept);
    if ledger.has_begun(&mut transaction).await? {
        let names: Vec<String> = filled.iter().map(|table| qualified(&catalog.schema, table)).collect();
        let truncate = format!("TRUNCATE {}", names.join(", "));
        transaction.batch("cannot empty the tables that the run filled", &truncate).await?;
    }
    restore_rows(&mut transaction, &ledger, catalog, &kept).await?;
    ledger.restore_defaults(&mut transaction, &catalog.schema).await?;
    if let Some(armour) = run.armour.as_ref().filter(|_| !run.armed) {
        for step in armour.steps() {
            armour::put_back(&mut transaction, armour, &step, &resources).await?;
        }
    }
    ledger.set_armed(&mut transaction, true).await?;
    ledger.end(&mut transaction, RunState::Undone).await?;
    if let Some(armour) = &run.armour {
        let differences = armour::differences_in(&transaction, armour, &BTreeSet::new()).await?;
        if let Some(first) = differences.first() {
            return Err(Error::new(
                ErrorKind::Target,
                format!(
                    "the catalog would not be what it was before: {}",
                    counted(as_count(&differences), "object")
                ),
            )
            .because(first)
            .remedy(
                "nothing was undone; find out who else changes tables on the target, then run it again",
            ));
        }
    }
    transaction.commit().await?;
    drop(guard);
    Ok(())
}

fn as_count(items: &[String]) -> u64 {
    u64::try_from(items.len()).unwrap_or(u64::MAX)
}

/// The tables that hold rows of the run, and those tied to them. They held nothing but bootstrap rows before, or the run would
/// not have begun.
fn filled(run: &Run, kept: &[String]) -> BTreeSet<String> {
    let catalog = &run.terms.catalog;
    let loaded = run.terms.tables.iter().map(|(table, _)| table);
    let tags = catalog.tables.get_key_value(TAGS).map(|(name, _)| name);
    tied_to(catalog, loaded.chain(kept).chain(tags).cloned().collect())
}

async fn restore_rows(
    transaction: &mut LoadTransaction,
    ledger: &Ledger,
    catalog: &Catalog,
    kept: &[String],
) -> Result<()> {
    let names: BTreeSet<String> = kept.iter().cloned().collect();
    for table in load_levels(catalog, &names)?.levels.iter().flatten().filter(|table| *table != TAGS) {
        ledger.restore_rows(transaction, &catalog.schema, table).await?;
    }
    if names.contains(TAGS) {
        // Where triggers are in place, they have just written rows of their own.
        transaction.delete_all(TAGS).await?;
        ledger.restore_rows(transaction, &catalog.schema, TAGS).await?;
    }
    Ok(())
}

/// Rows that came or changed since the run was done carry a younger transaction id; rows that went are missed in the count.
async fn refuse_changes(ledger: &Ledger, run: &Run) -> Result<()> {
    let mut changed = Vec::new();
    let schema = &run.terms.catalog.schema;
    for Loaded { table, rows: loaded, retried } in ledger.loaded().await? {
        let seen = ledger.changes_since_done(schema, &table).await?;
        if seen.changed > retried {
            changed.push(format!("{table}: {} new or changed", counted(seen.changed - retried, "row")));
        } else if seen.rows < loaded && !expires(run, &table) {
            changed.push(format!("{table}: {} gone", counted(loaded - seen.rows, "row")));
        }
    }
    if changed.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Preflight,
        format!(
            "rows of the target changed after the run was done, in {} tables",
            grouped(as_count(&changed))
        ),
    )
    .because(changed.join("; "))
    .remedy("to lose these changes for good: `kongferry undo --discard-changes`"))
}

/// Whether rows of the table go by themselves.
fn expires(run: &Run, table: &str) -> bool {
    let known = run.terms.catalog.tables.get(table);
    known.is_some_and(|table| ["ttl", "expire_at"].iter().any(|column| table.column(column).is_some()))
}
