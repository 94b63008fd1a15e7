//! Putting one piece of the armour back.

use std::fmt::Write as _;
use std::time::Duration;

use super::inventory::{Armour, ForeignKeyArmour};
use super::resources::Resources;
use super::steps::{Step, StepKind};
use super::{at_fault, locked, read, snapshot, statements};
use crate::error::{Error, ErrorKind, Result};
use crate::target::identifier::qualified;
use crate::target::{LoadTransaction, failure, sqlstate};

/// Longest wait for a lock, in one attempt: other steps can hold one while they validate millions of rows.
const LOCK_TIMEOUT: &str = "60s";
/// Attempts to get a lock.
const ATTEMPTS: usize = 5;
/// A row that was deleted is indexed all the same while older snapshots (autovacuum's, say) could see it, and fails if it
/// does not fit. So such a build is tried again after a while.
const DEAD_ROWS: Duration = Duration::from_secs(1);
/// Attempts with rows that do not fit in any case: not all sessions can be seen.
const HURRY: usize = 3;
/// Attempts as long as some other session is in a transaction, which may be why such rows still count.
const PATIENCE: usize = 10;
/// Between the savepoint and its release lies one attempt.
const SAVEPOINT: &str = "kongferry_armour";

/// Runs one step inside `transaction`. An object that is there already is left alone.
///
/// # Errors
/// `Row` when rows break the key, with the ids of some: the transaction can go on, and nothing of the step is left.
/// `Target` otherwise.
pub async fn put_back(
    transaction: &mut LoadTransaction,
    armour: &Armour,
    step: &Step,
    resources: &Resources,
) -> Result<()> {
    read::write_names_in_full(transaction.client()?).await?;
    let done = match plan(transaction.client()?, armour, step).await? {
        Some(sql) => attempt(transaction, armour, step, &sql, resources).await,
        None => Ok(()),
    };
    match done {
        Err(error) if error.kind() != ErrorKind::Row => Err(error),
        outcome => {
            let usual = snapshot::usual_search_path(&armour.schema);
            let reset = format!("{usual}; SET LOCAL lock_timeout = 0");
            let client = transaction.client()?;
            client.batch_execute(&reset).await.map_err(|error| failure::statement(&error, what(step)))?;
            outcome
        }
    }
}

/// What failed.
fn what(step: &Step) -> String {
    format!("cannot {step}")
}

/// In words for the server's log.
fn object(step: &Step) -> String {
    match step.kind {
        StepKind::Index => format!("index {} of {}", step.name, step.table),
        StepKind::ForeignKey | StepKind::Validate => format!("foreign key {} of {}", step.name, step.table),
        StepKind::Keys | StepKind::Finish => format!("a key of {}", step.table),
    }
}

/// The statements of the step as if nothing of it were there yet.
pub(super) fn statements_of(armour: &Armour, step: &Step, version: u32) -> Result<String> {
    let (schema, table, object) = (&step.schema, &step.table, object(step));
    Ok(match step.kind {
        StepKind::Index => statements::index(armour.index(table, &step.name).ok_or_else(unknown)?, &object),
        StepKind::Keys => {
            let own = armour.tables.get(table).ok_or_else(unknown)?;
            let mut sql = String::new();
            for key in &own.keys {
                let object = format!("{} of {table}", key.name);
                let _ = writeln!(sql, "{}", statements::key(schema, table, own, key, &object));
            }
            sql + &statements::trimmings(schema, table, own, version)
        }
        StepKind::ForeignKey => {
            let key = foreign_key(armour, step)?;
            statements::foreign_key(key) + &statements::foreign_key_comment(key)
        }
        StepKind::Validate => statements::validate(foreign_key(armour, step)?, &object),
        StepKind::Finish => statements::finish(schema, table, armour.tables.get(table).ok_or_else(unknown)?),
    })
}

fn foreign_key<'a>(armour: &'a Armour, step: &Step) -> Result<&'a ForeignKeyArmour> {
    armour.foreign_key(&step.schema, &step.table, &step.name).ok_or_else(unknown)
}

fn unknown() -> Error {
    Error::new(ErrorKind::Internal, "a step of putting indexes and keys back belongs to another run")
}

/// What is left to do of the step, given what is there.
async fn plan(client: &tokio_postgres::Client, armour: &Armour, step: &Step) -> Result<Option<String>> {
    let what = what(step);
    let version = if step.kind == StepKind::Keys { server_version(client, &what).await? } else { 0 };
    let all = statements_of(armour, step, version)?;
    match step.kind {
        StepKind::Index => {
            let index = armour.index(&step.table, &step.name).ok_or_else(unknown)?;
            let found = read::rows(client, &what, INDEX, &[&step.schema, &step.name]).await?;
            let Some(row) = found.first() else { return Ok(Some(all)) };
            let definition: Option<String> = read::get(row, 0, &what)?;
            let tablespace: String = read::get(row, 1, &what)?;
            if definition.as_deref() != Some(&index.definition) || tablespace != index.tablespace {
                return Err(in_the_way(step, &step.name));
            }
            Ok(None)
        }
        StepKind::Keys => {
            let own = armour.tables.get(&step.table).ok_or_else(unknown)?;
            let there = constraints(client, step).await?;
            let mut sql = String::new();
            for key in &own.keys {
                match there.iter().find(|(name, ..)| *name == key.name) {
                    Some((_, definition, _)) if *definition == key.definition => {}
                    Some(_) => return Err(in_the_way(step, &key.name)),
                    None => {
                        let object = format!("{} of {}", key.name, step.table);
                        let add = statements::key(&step.schema, &step.table, own, key, &object);
                        let _ = writeln!(sql, "{add}");
                    }
                }
            }
            Ok(Some(sql + &statements::trimmings(&step.schema, &step.table, own, version)))
        }
        StepKind::ForeignKey | StepKind::Validate => {
            let key = foreign_key(armour, step)?;
            let there = constraints(client, step).await?;
            let found = there.into_iter().find(|(name, ..)| *name == key.name);
            match found {
                Some((_, definition, _))
                    if definition.strip_suffix(" NOT VALID").unwrap_or(&definition) != key.definition =>
                {
                    Err(in_the_way(step, &key.name))
                }
                Some((.., true)) => Ok(None),
                Some((.., false)) => Ok((step.kind == StepKind::Validate).then_some(all)),
                None => Ok(Some(all)),
            }
        }
        StepKind::Finish => Ok(Some(all)),
    }
}

async fn server_version(client: &tokio_postgres::Client, what: &str) -> Result<u32> {
    let found = read::rows(client, what, "SELECT current_setting('server_version_num')::int", &[]).await?;
    let version: i32 = read::get(found.first().ok_or_else(|| read::unexpected(what))?, 0, what)?;
    u32::try_from(version).map_err(|_| read::unexpected(what))
}

/// NULL for what is no valid index.
const INDEX: &str = "
    SELECT CASE WHEN i.indisvalid THEN pg_get_indexdef(c.oid) END, coalesce(s.spcname::text, '')
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_index i ON i.indexrelid = c.oid
    LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace
    WHERE n.nspname = $1 AND c.relname = $2";

/// Name, definition, and whether it is validated, of the constraints of the step's table.
async fn constraints(client: &tokio_postgres::Client, step: &Step) -> Result<Vec<(String, String, bool)>> {
    let what = what(step);
    let sql = "SELECT k.conname::text, pg_get_constraintdef(k.oid), k.convalidated
               FROM pg_catalog.pg_constraint k
               JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = $1 AND c.relname = $2";
    let found = read::rows(client, &what, sql, &[&step.schema, &step.table]).await?;
    found
        .iter()
        .map(|row| Ok((read::get(row, 0, &what)?, read::get(row, 1, &what)?, read::get(row, 2, &what)?)))
        .collect()
}

fn in_the_way(step: &Step, name: &str) -> Error {
    Error::new(ErrorKind::Target, what(step))
        .because(format!("{name} exists in schema {}, and is not what was recorded", step.schema))
        .remedy(format!(
            "see what it is, rename or drop it ({} is not complete without the recorded one), then `kongferry migrate --resume`",
            qualified(&step.schema, &step.table)
        ))
}

/// Runs the statements; again when a lock could not be had or a row does not fit, and without helping processes when there
/// is no room for them.
async fn attempt(
    transaction: &mut LoadTransaction,
    armour: &Armour,
    step: &Step,
    sql: &str,
    resources: &Resources,
) -> Result<()> {
    let client = transaction.client()?;
    let mut workers = if may_have_help(armour, step) { resources.parallel_workers } else { 0 };
    let table = qualified(&step.schema, &step.table);
    let sorted = is_sort(armour, step).then_some(table.as_str());
    let mut attempts = 0;
    loop {
        attempts += 1;
        let whole = format!(
            "SAVEPOINT {SAVEPOINT}; {} SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';\n{sql}\nRELEASE SAVEPOINT {SAVEPOINT}",
            resources.settings(workers, sorted)
        );
        let Err(error) = client.batch_execute(&whole).await else { return Ok(()) };
        let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
        if code.is_empty() {
            return Err(failure::statement(&error, what(step)));
        }
        let back = format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}; RELEASE SAVEPOINT {SAVEPOINT}");
        client.batch_execute(&back).await.map_err(|error| failure::statement(&error, what(step)))?;
        if code == statements::UNFIT
            && (attempts < HURRY || attempts < PATIENCE && others_in_transaction(client, step).await?)
        {
            tokio::time::sleep(DEAD_ROWS).await;
            continue;
        }
        if code.starts_with("KF") {
            return Err(at_fault::explain(client, armour, step, &code).await?);
        }
        if sqlstate::class(&code) == "53" && workers > 0 {
            workers = 0;
        } else if !locked::is_lock_failure(&error) || attempts >= ATTEMPTS {
            return Err(locked::refused(&error, &what(step), LOCK_TIMEOUT));
        }
    }
}

/// Whether another session of the database holds rows that were deleted, as far as the role may see.
async fn others_in_transaction(client: &tokio_postgres::Client, step: &Step) -> Result<bool> {
    let what = what(step);
    let sql = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND (backend_xid IS NOT NULL OR backend_xmin IS NOT NULL))";
    let found = read::rows(client, &what, sql, &[]).await?;
    read::get(found.first().ok_or_else(|| read::unexpected(&what))?, 0, &what)
}

/// Whether the step sorts rows and does nothing else with its memory.
fn is_sort(armour: &Armour, step: &Step) -> bool {
    step.kind == StepKind::Index
        && armour.index(&step.table, &step.name).is_some_and(|index| index.method == "btree")
}

/// Processes that help write the values of duplicates, or those an expression fails on, into the server's log, and nothing
/// can keep them from it. So they may help only where no value can fail.
fn may_have_help(armour: &Armour, step: &Step) -> bool {
    step.kind == StepKind::Index
        && armour.index(&step.table, &step.name).is_some_and(|index| index.plain && !index.unique)
}
