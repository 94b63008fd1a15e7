//! Is the target fresh: does it hold nothing but what `kong migrations bootstrap` leaves?

use std::collections::BTreeSet;

use super::bootstrap::{bootstrap_rows, children_first};
use super::catalog::{Catalog, Table};
use super::failure;
use super::identifier::{qualified, quote};
use crate::error::{Error, ErrorKind, Result};

/// State of the migrations: compared, never copied.
const SCHEMA_META: &str = "schema_meta";
/// Row triggers of other tables fill it, and TRUNCATE leaves stale rows in it: judged even when it is ignored.
const TAGS: &str = "tags";

/// What a target holds beyond bootstrap.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Occupancy {
    /// Tables that hold rows, or rows beyond the bootstrap row.
    pub tables: Vec<String>,
    /// The statements that empty them, in order; they need the owner of the tables.
    pub statements: Vec<String>,
}

impl Occupancy {
    /// Whether there is nothing beyond bootstrap.
    pub fn is_fresh(&self) -> bool {
        self.tables.is_empty()
    }
}

/// Refuses a target that holds anything beyond bootstrap; changes nothing.
///
/// `ignore` names tables whose rows do not matter since they are not copied (events, metrics, sessions). One with a foreign
/// key to a table that does matter is judged all the same: its rows would hold that table's in place.
///
/// # Errors
/// `Preflight`, with the tables and the exact statements that would empty them.
pub async fn check_fresh(
    client: &tokio_postgres::Client,
    catalog: &Catalog,
    ignore: &BTreeSet<String>,
) -> Result<()> {
    let found = occupancy(client, catalog, ignore).await?;
    if found.is_fresh() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Preflight,
        format!(
            "the target is not fresh: schema {} of database {} holds rows in {}",
            catalog.schema,
            catalog.database,
            found.tables.join(", ")
        ),
    )
    .because("kongferry loads only into what kong migrations bootstrap leaves; nothing was changed")
    .remedy(format!(
        "check that this is the right database; if those rows are only from testing, stop its Gateway and delete them, \
         for good, with: BEGIN; {} COMMIT;",
        found.statements.join(" ")
    )))
}

/// What the target holds beyond bootstrap.
pub async fn occupancy(
    client: &tokio_postgres::Client,
    catalog: &Catalog,
    ignore: &BTreeSet<String>,
) -> Result<Occupancy> {
    let judged: Vec<&Table> =
        catalog.tables.values().filter(|table| is_judged(catalog, table, ignore)).collect();
    let tests: Vec<String> = judged.iter().map(|table| holds_rows(catalog, table)).collect();
    let what = "cannot see whether the target is fresh";
    // One array, so that all tables are one round trip and one snapshot.
    let holding: Vec<bool> = client
        .query_one(&format!("SELECT ARRAY[{}]::boolean[]", tests.join(", ")), &[])
        .await
        .map_err(|error| failure::statement(&error, what))?
        .try_get(0)
        .map_err(|_| Error::new(ErrorKind::Target, what).because("unexpected answer"))?;
    let filled: BTreeSet<&str> = judged
        .iter()
        .zip(holding)
        .filter(|(_, holds)| *holds)
        .map(|(table, _)| table.name.as_str())
        .collect();
    Ok(Occupancy {
        tables: filled.iter().map(|name| (*name).to_owned()).collect(),
        statements: emptying(catalog, &filled)?,
    })
}

fn is_judged(catalog: &Catalog, table: &Table, ignore: &BTreeSet<String>) -> bool {
    let matters = |name: &str| !ignore.contains(name) || name == TAGS;
    table.name != SCHEMA_META
        && (matters(&table.name)
            || table.foreign_keys.iter().any(|key| key.parent.0 == catalog.schema && matters(&key.parent.1)))
}

fn beyond_bootstrap(catalog: &Catalog, table: &Table) -> String {
    // NULL is not what bootstrap writes.
    bootstrap_rows(catalog, table)
        .map_or_else(String::new, |condition| format!(" WHERE NOT coalesce({condition}, false)"))
}

fn holds_rows(catalog: &Catalog, table: &Table) -> String {
    let name = qualified(&catalog.schema, &table.name);
    format!("EXISTS(SELECT 1 FROM {name}{})", beyond_bootstrap(catalog, table))
}

/// One TRUNCATE of the filled tables and of all that refer to them (it refuses otherwise), then, children first, the surplus
/// rows of the tables that keep their bootstrap rows. Those refer to nothing but each other.
fn emptying(catalog: &Catalog, filled: &BTreeSet<&str>) -> Result<Vec<String>> {
    let table = |name: &str| catalog.tables.get(name);
    let (kept, mut truncated): (BTreeSet<&str>, BTreeSet<&str>) = filled
        .iter()
        .partition(|name| table(name).is_some_and(|table| bootstrap_rows(catalog, table).is_some()));
    loop {
        let more: Vec<&str> = catalog
            .tables
            .values()
            .filter(|child| {
                !truncated.contains(child.name.as_str()) && bootstrap_rows(catalog, child).is_none()
            })
            .filter(|child| {
                child
                    .foreign_keys
                    .iter()
                    .any(|key| key.parent.0 == catalog.schema && truncated.contains(key.parent.1.as_str()))
            })
            .map(|child| child.name.as_str())
            .collect();
        if more.is_empty() {
            break;
        }
        truncated.extend(more);
    }
    let mut statements = Vec::new();
    if !truncated.is_empty() {
        let names: Vec<_> = truncated.iter().map(|name| qualified(&catalog.schema, name)).collect();
        statements.push(format!("TRUNCATE {};", names.join(", ")));
    }
    let kept: Vec<&Table> = children_first(catalog, kept)?.iter().filter_map(|name| table(name)).collect();
    if kept.iter().any(|table| !table.triggers.is_empty()) {
        // Kong's triggers name their tables without schema.
        statements.push(format!("SET LOCAL search_path = {};", quote(&catalog.schema)));
    }
    for table in kept {
        let name = qualified(&catalog.schema, &table.name);
        statements.push(format!("DELETE FROM {name}{};", beyond_bootstrap(catalog, table)));
    }
    Ok(statements)
}
