//! Policing: what Cassandra never enforced, and only several rows together show.
//!
//! In: tables that are loaded, while their keys are still off, and an index or key that was refused for what stands in the rows.
//! Out: rows that satisfy every key, in the order in which one step feeds the next:
//!
//! 1. `workspaces`: a `ws_id` that differs from the one of the row's parents is repaired, and a cache key that holds it;
//! 2. `orphans`: rows that refer to rows that do not exist are taken away, in any depth;
//! 3. `duplicates`: of several rows with the same unique key one stays;
//! 4. `unfit`: rows are taken away whose values are too large for an index;
//!
//! and again, until nothing changes. `removal` takes rows away with everything that depends on them, so that nothing goes by a
//! cascade; `account` writes each change into the ledger.
//!
//! All of it is one transaction of one task, in which nobody else works on the target. Rows are marked in a temporary table and
//! changed set-wise: no statement holds a value of a row, and none can fail with one in its message.

mod account;
mod duplicates;
mod orphans;
mod read_again;
mod relations;
mod removal;
mod unfit;
mod workspaces;

pub use read_again::SecondLook;
pub use workspaces::CacheKeyForm;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use crate::engine::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, Orders};
use crate::policy::{Class, Keep, Policy};
use crate::report::table::{counted, grouped};
use crate::target::armour::Armour;
use crate::target::bootstrap::WORKSPACES;
use crate::target::identifier::{qualified, quote};
use crate::target::tags::TAGS;
use crate::target::{Catalog, LoadTransaction};

/// Passes after which rows that still change each other will never come to rest.
const PASSES: usize = 10;
/// Longest wait for a table: some other session reads it.
const LOCK_TIMEOUT: &str = "60s";
/// Memory of one sort or hash, in bytes: below what one index build may have, since a query can have several.
const MOST_MEMORY: u64 = 256 << 20;
/// Ids that an error names.
const NAMED: i32 = 5;

/// Marked rows: what is wrong with each, where it stands, and which key it breaks.
const MARKED: &str = "
    CREATE TEMPORARY TABLE kongferry_bad (
        table_name text NOT NULL, at tid NOT NULL, class text NOT NULL, rule text NOT NULL, reason text NOT NULL,
        UNIQUE (table_name, at)) ON COMMIT DROP;
    CREATE TEMPORARY TABLE kongferry_gone (id uuid) ON COMMIT DROP;
    CREATE TEMPORARY TABLE kongferry_failed (rule text) ON COMMIT DROP;";

/// Who polices the rows of a run.
pub struct Police<'a> {
    /// The transaction of the task.
    transaction: &'a mut LoadTransaction,
    /// The ledger of the run.
    ledger: &'a Ledger,
    /// The task.
    task: i32,
    /// What is off the tables, or was.
    armour: &'a Armour,
    /// Columns of the tables.
    catalog: &'a Catalog,
    /// Tables to be policed, parents first.
    beats: Vec<Arc<TablePlan>>,
    /// Whether the source's workspaces were copied.
    with_workspaces: bool,
    /// What becomes of what is found.
    orders: Orders,
    /// Rows by table and what became of them.
    findings: BTreeMap<(String, Finding), u64>,
    /// The run's start in seconds since 1970.
    started: i64,
    /// Who can read rows of the source again.
    second_look: Option<&'a dyn SecondLook>,
    /// Whether somebody asked to end.
    stop: &'a (dyn Fn() -> Result<()> + Sync),
}

/// What became of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Finding {
    ReadAgain,
    Moved,
    Removed(Class, Policy),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReadAgain => {
                f.write_str("read again from the source, where it was written after its table was read")
            }
            Self::Moved => f.write_str("moved to the workspace of their parents"),
            Self::Removed(class, Policy::Skip) => write!(f, "left behind: {class}"),
            Self::Removed(class, _) => write!(f, "put into quarantine: {class}"),
        }
    }
}

/// What is to be policed.
pub struct Precinct<'a> {
    /// What is off the tables, or was.
    pub armour: &'a Armour,
    /// The target's tables as they were before the run.
    pub catalog: &'a Catalog,
    /// Tables of the run, parents first.
    pub beats: Vec<Arc<TablePlan>>,
    /// Memory for one index build, in bytes.
    pub memory: u64,
    /// The run's start in seconds since 1970.
    pub started: i64,
    /// Who can read rows of the source again: a parent that was written during the load is not missing.
    pub second_look: Option<&'a dyn SecondLook>,
    /// Fails when somebody asked to end.
    pub stop: &'a (dyn Fn() -> Result<()> + Sync),
}

/// Polices the tables within `transaction`, and returns what was done in words, one line per table and class.
///
/// # Errors
/// `Row` when the policy of a class is to fail, or when somebody must decide which of several rows stays: nothing is changed.
pub async fn police(
    transaction: &mut LoadTransaction,
    ledger: &Ledger,
    task: i32,
    precinct: Precinct<'_>,
) -> Result<Vec<String>> {
    let Precinct { armour, catalog, beats, memory, started, second_look, stop } = precinct;
    let with_workspaces = beats.iter().any(|beat| beat.table == WORKSPACES);
    let beats = beats.into_iter().filter(|beat| armour.tables.contains_key(&beat.table)).collect();
    ledger.be_alone(transaction, task).await?;
    let orders = ledger.orders(transaction).await?;
    let findings = BTreeMap::new();
    let mut police = Police {
        transaction,
        ledger,
        task,
        armour,
        catalog,
        beats,
        with_workspaces,
        orders,
        findings,
        started,
        second_look,
        stop,
    };
    police.begin(memory).await?;
    for _ in 0..PASSES {
        let mut changed = police.move_to_parents().await?;
        changed += police.read_parents_again().await?;
        changed += police.remove_orphans().await?;
        changed += police.remove_duplicates().await?;
        changed += police.remove_unfit().await?;
        if changed == 0 {
            return Ok(police.told());
        }
    }
    Err(Error::new(
        ErrorKind::Row,
        format!("after {PASSES} rounds of policing, rows still change each other"),
    )
    .because("tables refer to each other in a circle, and their rows lie in different workspaces")
    .remedy("correct the ws_id of these rows on the source, then `kongferry undo` and begin anew"))
}

impl Police<'_> {
    async fn begin(&mut self, memory: u64) -> Result<()> {
        let mut names: Vec<&str> = self.beats.iter().map(|beat| beat.table.as_str()).collect();
        if self.armour.tables.contains_key(TAGS) {
            names.push(TAGS);
        }
        names.sort_unstable();
        names.dedup();
        let names: Vec<String> = names.into_iter().map(|name| self.name(name)).collect();
        let memory = memory.min(MOST_MEMORY) >> 10;
        let sql = format!(
            "SET LOCAL search_path = pg_catalog; SET LOCAL lock_timeout = '{LOCK_TIMEOUT}';
             SET LOCAL work_mem = '{}kB'; SET LOCAL extra_float_digits = 3;
             LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE; {MARKED}",
            memory.max(64),
            names.join(", ")
        );
        self.transaction.batch("cannot begin to police the rows", &sql).await
    }

    /// What was done, for people.
    fn told(&self) -> Vec<String> {
        self.findings
            .iter()
            .map(|((table, finding), rows)| format!("{table}: {} {finding}", counted(*rows, "row")))
            .collect()
    }

    fn found(&mut self, table: &str, finding: Finding, rows: u64) {
        if rows > 0 {
            *self.findings.entry((table.to_owned(), finding)).or_default() += rows;
        }
    }

    /// `table` in the schema of the run.
    fn name(&self, table: &str) -> String {
        qualified(&self.armour.schema, table)
    }

    fn tables(&self) -> Vec<String> {
        self.beats.iter().map(|beat| beat.table.clone()).collect()
    }

    fn has_column(&self, table: &str, column: &str) -> bool {
        self.catalog.tables.get(table).is_some_and(|table| table.column(column).is_some())
    }

    /// SQL text for the primary key of a row of `alias`, as text.
    fn key_of(&self, table: &str, alias: &str) -> String {
        let columns = self.armour.tables.get(table).map_or(&[][..], |table| &table.primary_key);
        let parts: Vec<String> =
            columns.iter().map(|column| format!("coalesce({alias}.{}::text, '')", quote(column))).collect();
        if parts.is_empty() { "''::text".to_owned() } else { parts.join(" || '/' || ") }
    }

    /// The same where it may be told: the columns of the primary key are uuids. A text could be a secret.
    fn id_of(&self, table: &str, alias: &str) -> Option<String> {
        let known = self.armour.tables.get(table)?;
        (known.primary_key_is_id && !known.primary_key.is_empty()).then(|| self.key_of(table, alias))
    }

    /// The policy of a class.
    fn policy(&self, class: Class) -> Policy {
        self.orders.policies.of(class)
    }

    fn keep(&self) -> Option<Keep> {
        self.orders.on_duplicate
    }

    /// Names of the indexes that are in place and valid.
    async fn standing_indexes(&mut self) -> Result<BTreeSet<String>> {
        self.names(
            "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND i.indisvalid",
        )
        .await
    }

    /// The foreign keys that are in place and validated, as `table.name`.
    async fn standing_keys(&mut self) -> Result<BTreeSet<String>> {
        self.names(
            "SELECT c.relname::text || '.' || k.conname::text FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
             JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND k.contype = 'f' AND k.convalidated",
        )
        .await
    }

    async fn names(&mut self, sql: &str) -> Result<BTreeSet<String>> {
        let what = "cannot see which keys are in place";
        let rows = self.transaction.query(what, sql, &[&self.armour.schema]).await?;
        rows.iter().map(|row| row.try_get(0).map_err(|_| unexpected(what))).collect()
    }

    /// The ids of some marked rows of `table` that meet `condition` (on `b`), for an error; empty where ids must not be told.
    async fn ids(&mut self, table: &str, condition: &str) -> Result<String> {
        let Some(id) = self.id_of(table, "t") else { return Ok(String::new()) };
        let what = format!("cannot name the rows of {table} at fault");
        let sql = format!(
            "SELECT {id} FROM {} t JOIN pg_temp.kongferry_bad b ON b.at = t.ctid AND b.table_name = $1
             WHERE {condition} ORDER BY 1 LIMIT {NAMED}",
            self.name(table)
        );
        let rows = self.transaction.query(&what, &sql, &[&table]).await?;
        let ids: Vec<String> =
            rows.iter().map(|row| row.try_get(0).map_err(|_| unexpected(&what))).collect::<Result<_>>()?;
        Ok(if ids.is_empty() { String::new() } else { format!(", such as {}", ids.join(", ")) })
    }

    /// The failure of a class whose policy is to fail. Its rows are marked.
    async fn refuse(&mut self, class: Class) -> Result<Error> {
        let marked = self.marked(class).await?;
        let (table, rows) = marked.first().cloned().unwrap_or_default();
        let ids = self.ids(&table, &format!("b.class = '{class}'")).await?;
        let others: Vec<String> =
            marked.iter().skip(1).map(|(table, rows)| format!("{table}: {}", grouped(*rows))).collect();
        let others = if others.is_empty() { String::new() } else { format!("; also {}", others.join(", ")) };
        let rules = self.rules(class).await?;
        let option = match class {
            Class::MissingParent => {
                "with `--on-orphan quarantine`, `kongferry migrate --resume` puts them into quarantine; or"
            }
            _ => "",
        };
        Ok(Error::new(ErrorKind::Row, format!("{table}: {} of class {class}, whose policy is to fail", counted(rows, "row")))
            .because(format!("rows at fault by {rules}: {}{ids}{others}", grouped(rows)))
            .remedy(
                format!(
                    "{option} correct them on the source, then `kongferry undo` and `kongferry migrate`, with another --policy \
                     {class}=... if they may stay behind"
                )
                .trim_start(),
            ))
    }

    /// Keys and indexes that the marked rows of a class break, for people.
    async fn rules(&mut self, class: Class) -> Result<String> {
        let what = "cannot list the keys that rows break";
        let sql = "SELECT coalesce(string_agg(DISTINCT rule, ', '), '') FROM pg_temp.kongferry_bad WHERE class = $1";
        let rows = self.transaction.query(what, sql, &[&class.as_str()]).await?;
        rows.first().and_then(|row| row.try_get(0).ok()).ok_or_else(|| unexpected(what))
    }

    /// Marked rows of a class, by table.
    async fn marked(&mut self, class: Class) -> Result<Vec<(String, u64)>> {
        let what = "cannot count the rows that break keys";
        let sql = "SELECT table_name, count(*) FROM pg_temp.kongferry_bad WHERE class = $1 GROUP BY 1 ORDER BY 2 DESC, 1";
        let rows = self.transaction.query(what, sql, &[&class.as_str()]).await?;
        rows.iter()
            .map(|row| {
                let read = || Ok::<(String, i64), tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
                let (table, rows) = read().map_err(|_| unexpected(what))?;
                Ok((table, u64::try_from(rows).unwrap_or(0)))
            })
            .collect()
    }
}

/// SQL text for where the marked rows of `table` stand: a list of places, which the server goes to directly.
fn places(table: &str) -> String {
    format!(
        "ANY (ARRAY(SELECT at FROM pg_temp.kongferry_bad WHERE table_name = {}))",
        crate::target::identifier::literal(table)
    )
}

/// The error for an answer that has not the form it was asked for.
fn unexpected(what: &str) -> Error {
    Error::new(ErrorKind::Target, what).because("unexpected answer")
}
