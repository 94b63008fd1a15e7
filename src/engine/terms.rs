//! What a run agreed to do: written down at its beginning, and compared by whoever goes on with it.

use super::plan::{Plan, TablePlan};
use super::preflight::Sides;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Terms;
use crate::policy::{Keep, Policies};
use crate::schema_map::Choice;
use crate::target::{Catalog, Target};

/// The terms of a new run.
pub fn terms(
    sides: &Sides,
    plan: &Plan,
    choice: &Choice,
    policies: &Policies,
    on_duplicate: Option<Keep>,
    keep_constraints: bool,
) -> Terms {
    let catalog = sides.source.catalog();
    Terms {
        cluster: catalog.cluster_name.clone(),
        keyspace: catalog.keyspace.clone(),
        keep_constraints,
        choice: choice.clone(),
        policies: *policies,
        on_duplicate,
        live: false,
        started: super::now(),
        tables: fingerprints(plan),
        catalog: (*sides.catalog).clone(),
    }
}

/// Refuses to go on under other terms: another source, other tables, another map.
///
/// # Errors
/// `Preflight`, naming what differs.
pub fn check(terms: &Terms, sides: &Sides, plan: &Plan) -> Result<()> {
    let catalog = sides.source.catalog();
    let differs = |what: String| {
        Err(Error::new(ErrorKind::Preflight, format!("this is not what the run agreed to do: {what}")).remedy(
            "go on with the same source, maps and options as at its beginning; or `kongferry undo`, and begin anew",
        ))
    };
    if (&terms.cluster, &terms.keyspace) != (&catalog.cluster_name, &catalog.keyspace) {
        return differs(format!(
            "it reads keyspace {} of cluster {}, not {} of {}",
            terms.keyspace, terms.cluster, catalog.keyspace, catalog.cluster_name
        ));
    }
    let now = fingerprints(plan);
    let changed = |from: &[(String, String)], to: &[(String, String)]| {
        let missing = from.iter().filter(|one| !to.contains(one)).map(|(table, _)| table.clone());
        missing.collect::<Vec<_>>()
    };
    let mut tables = changed(&terms.tables, &now);
    tables.extend(changed(&now, &terms.tables));
    tables.sort_unstable();
    tables.dedup();
    if tables.is_empty() {
        return Ok(());
    }
    differs(format!("columns, types or maps changed since in {}", tables.join(", ")))
}

/// Refuses to go on when somebody changed columns of the target meanwhile. Indexes, constraints and triggers may be away,
/// and the run itself changes defaults.
///
/// # Errors
/// `Preflight`, naming the tables.
pub async fn check_target(terms: &Terms, target: &Target) -> Result<()> {
    let live = target.catalog().await?;
    let columns = |catalog: &Catalog, table: &str| {
        catalog.tables.get(table).map(|table| {
            table.columns.iter().map(|column| (column.name.clone(), column.ty.clone())).collect::<Vec<_>>()
        })
    };
    let changed: Vec<&str> = terms
        .tables
        .iter()
        .map(|(table, _)| table.as_str())
        .filter(|table| columns(&terms.catalog, table) != columns(&live, table))
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Preflight,
        format!("columns of the target changed since the run began, in {}", changed.join(", ")),
    )
    .remedy("put them back, or `kongferry undo` and begin anew"))
}

fn fingerprints(plan: &Plan) -> Vec<(String, String)> {
    plan.tables.iter().map(|table| (table.table.clone(), fingerprint(table))).collect()
}

/// What is read of a table, by which map it is shaped, and where it goes.
fn fingerprint(table: &TablePlan) -> String {
    let text = format!("{:?} {:?} {:x}", table.selection.items, table.columns, table.map_hash);
    format!("{:016x}", xxhash_rust::xxh3::xxh3_64(text.as_bytes()))
}
