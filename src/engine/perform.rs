//! What each kind of task does, within the transaction that claimed it.

use std::sync::Arc;

use super::crew::Crew;
use super::events::Event;
use super::hold::Quarantine;
use super::load::{Failure, Loading, load_within};
use super::plan::{Plan, TablePlan};
use super::totals::TableTotals;
use super::workers::Piece;
use super::{seed, settle, sift, tasks};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Postponed, Task, Work};
use crate::police::{self, Precinct};
use crate::source::Split;
use crate::target::armour::Step;
use crate::target::identifier::qualified;
use crate::target::{LoadTransaction, armour, tags};

/// What came of a task; the transaction is still to be committed.
pub enum Performed {
    /// Its work is done.
    Done(LoadTransaction, Box<TableTotals>),
    /// Rows broke a key. They are policed before the task comes again.
    Postponed(LoadTransaction),
}

/// The savepoint to which a load goes back when a row was refused; the claim before it stays.
const BEFORE_LOAD: &str = "kongferry_load";

/// Does the work of `task` and returns the transaction, which is still to be committed.
///
/// # Errors
/// The transaction is rolled back, and nothing of the task stays.
pub async fn perform(crew: &Crew, mut transaction: LoadTransaction, task: &Task) -> Result<Performed> {
    let mut totals = TableTotals::default();
    match &task.work {
        Work::Seed => {
            let (sides, archive) = (&crew.sides, crew.ledger.archive());
            let (transaction, totals) = seed::seed(
                loading(crew, Quarantine::Closed),
                &sides.catalog,
                &crew.plan,
                transaction,
                archive,
            )
            .await?;
            return Ok(Performed::Done(transaction, Box::new(totals)));
        }
        Work::Copy(splits) => {
            let (transaction, totals) = copy(crew, transaction, task, splits).await?;
            return Ok(Performed::Done(transaction, Box::new(totals)));
        }
        Work::Disarm => {
            crew.events.stage("Taking indexes, constraints and triggers off the tables");
            let changed = crew.ledger.changed_defaults().await?;
            armour::take_off(&mut transaction, armour_of(crew)?, &changed).await?;
            crew.ledger.set_armed(&mut transaction, false).await?;
            crew.events.stage(format!("Copying {} tables", crew.plan.tables.len()));
        }
        Work::Restore(step) => match restore(crew, &mut transaction, step).await {
            Err(error) if error.kind() == ErrorKind::Row => {
                return postpone(crew, transaction, task, error).await;
            }
            outcome => outcome?,
        },
        Work::Police => police(crew, &mut transaction, task).await?,
        Work::Tags => {
            let table = table_of(task)?;
            totals.loaded = tags::rebuild(&mut transaction, crew.sides.target.schema(), table).await?;
        }
        Work::Finish(steps) => finish(crew, &mut transaction, steps).await?,
        Work::Derive => settle::settle(&crew.sides, &crew.plan, &crew.events).await?,
        Work::Vacuum => vacuum(crew, table_of(task)?).await?,
    }
    Ok(Performed::Done(transaction, Box::new(totals)))
}

/// What an observer is told when `task` is done.
pub fn shown(plan: &Plan, task: &Task) -> Vec<Event> {
    let position = task.table.as_ref().and_then(|name| find(plan, name)).map(|table| table.position);
    match (&task.work, position) {
        (Work::Seed | Work::Copy(_), Some(table)) => vec![Event::SplitDone { table, share: task.share }],
        // Policing was not among the steps that were announced.
        (Work::Seed | Work::Copy(_), None) | (Work::Police, _) => Vec::new(),
        _ => vec![Event::StepDone],
    }
}

pub(super) fn loading<'a>(crew: &'a Crew, quarantine: Quarantine<'a>) -> Loading<'a> {
    Loading {
        quarantine,
        source: &*crew.sides.source,
        target: &crew.sides.target,
        started: crew.started,
        stop: &crew.stop,
        events: &crew.events,
    }
}

fn find<'a>(plan: &'a Plan, name: &str) -> Option<&'a Arc<TablePlan>> {
    plan.tables.iter().find(|table| table.table == name)
}

async fn copy(
    crew: &Crew,
    mut transaction: LoadTransaction,
    task: &Task,
    splits: &[Split],
) -> Result<(LoadTransaction, TableTotals)> {
    let table = table_of(task)?;
    let plan = find(&crew.plan, table).ok_or_else(|| stranger(task))?;
    let piece = Piece { plan: Arc::clone(plan), splits: splits.to_vec() };
    // A later commit that is synchronous comes before anything is called done, and the ledger's row shares this one's fate.
    let sql = "SET LOCAL synchronous_commit = off";
    transaction.batch("cannot set up the transaction of a split", sql).await?;
    let loading = loading(crew, Quarantine::Open { ledger: &crew.ledger, task: task.id });
    transaction.savepoint(BEFORE_LOAD).await?;
    let loaded = match load_within(loading, &piece, &mut transaction).await {
        Ok(totals) => transaction.check_deferred().await.map(|()| totals).map_err(Failure::of_copy),
        Err(failure) => Err(failure),
    };
    match loaded {
        Ok(totals) => Ok((transaction, totals)),
        Err(Failure::Other(error)) => Err(error),
        // COPY says which constraint refused, not which row: read again and find them all.
        Err(Failure::Refused(_)) => {
            transaction.rollback_to(BEFORE_LOAD).await?;
            let totals = sift::load_sifted(loading, &piece, &mut transaction).await?;
            Ok((transaction, totals))
        }
    }
}

async fn restore(crew: &Crew, transaction: &mut LoadTransaction, step: &Step) -> Result<()> {
    let armour = armour_of(crew)?;
    let refused = match armour::put_back(transaction, armour, step, &crew.resources).await {
        Err(error) if error.kind() == ErrorKind::Row && step.table == tags::TAGS => error,
        outcome => return outcome,
    };
    // Ids are unique per table only, and triggers would have written one row for both.
    let tables: Vec<&str> = crew.plan.tables.iter().map(|table| table.table.as_str()).collect();
    let merged = tags::merge_twins(transaction, crew.sides.target.schema(), &tables).await?;
    if merged == 0 {
        return Err(refused);
    }
    crew.events.notice(format!(
        "tags: {} in more than one table; as with Kong's triggers they share one row",
        crate::report::table::counted(merged, "id")
    ));
    armour::put_back(transaction, armour, step, &crew.resources).await
}

/// Has rows policed for which a step was refused; `refused` stands when that has been in vain.
async fn postpone(
    crew: &Crew,
    mut transaction: LoadTransaction,
    task: &Task,
    refused: Error,
) -> Result<Performed> {
    let needs = crew.plan.tables.iter().map(|table| tasks::copy(&table.table)).collect();
    match crew.ledger.postpone(&mut transaction, task, needs).await? {
        Postponed::InVain => Err(refused),
        Postponed::UntilPoliced => Ok(Performed::Postponed(transaction)),
    }
}

/// Repairs rows that break keys, or takes them away.
async fn police(crew: &Crew, transaction: &mut LoadTransaction, task: &Task) -> Result<()> {
    crew.events.stage("Rows break keys: looking for them in all tables");
    let stop = || crew.stop.check();
    let precinct = Precinct {
        armour: armour_of(crew)?,
        catalog: &crew.sides.catalog,
        beats: crew.plan.tables.clone(),
        memory: crew.resources.memory,
        started: crew.started,
        second_look: Some(crew),
        stop: &stop,
    };
    for line in police::police(transaction, &crew.ledger, task.id, precinct).await? {
        crew.events.notice(line);
    }
    Ok(())
}

/// The target's own schema must be what it was, before the run may be called armed.
async fn finish(crew: &Crew, transaction: &mut LoadTransaction, steps: &[Step]) -> Result<()> {
    let armour = armour_of(crew)?;
    for step in steps {
        armour::put_back(transaction, armour, step, &crew.resources).await?;
    }
    let changed = crew.ledger.changed_defaults().await?;
    let differences = armour::differences_in(transaction, armour, &changed).await?;
    if let Some(first) = differences.first() {
        return Err(Error::new(
            ErrorKind::Target,
            format!(
                "the catalog of the target is not what it was before: {} objects differ",
                differences.len()
            ),
        )
        .because(first)
        .remedy("find out who else changes tables on the target, then `kongferry migrate --resume`"));
    }
    crew.ledger.set_armed(transaction, true).await
}

/// Not in a transaction, so on a connection of its own; its outcome can be had twice.
async fn vacuum(crew: &Crew, table: &str) -> Result<()> {
    let name = qualified(crew.sides.target.schema(), table);
    let client = crew.sides.target.client().await?;
    client
        .batch_execute(&format!("VACUUM (ANALYZE) {name}"))
        .await
        .map_err(|error| crate::target::failure::statement(&error, format!("cannot vacuum table {table}")))
}

fn armour_of(crew: &Crew) -> Result<&armour::Armour> {
    crew.armour.as_deref().ok_or_else(|| {
        Error::new(ErrorKind::Internal, "a run that keeps its constraints has a task for disarmed tables")
    })
}

fn table_of(task: &Task) -> Result<&str> {
    task.table.as_deref().ok_or_else(|| stranger(task))
}

fn stranger(task: &Task) -> Error {
    Error::new(
        ErrorKind::Internal,
        format!("the ledger asks for {}, which is not in the plan of this run", task.label),
    )
}
