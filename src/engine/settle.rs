//! The last step before counting: what follows from the rows that were loaded.
//!
//! Each part is a transaction of its own and can be repeated.

use std::collections::BTreeSet;

use super::events::Events;
use super::plan::Plan;
use super::preflight::Sides;
use crate::error::Result;
use crate::target::Catalog;
use crate::target::counters::{self, COUNTERS};
use crate::target::sequences::{FedColumn, catch_up, check_sequences};

/// Adds the tables that [`settle`] writes to those that are `loaded` and `emptied`, for the check of privileges.
pub fn add_tables(catalog: &Catalog, loaded: &mut BTreeSet<String>, emptied: &mut BTreeSet<String>) {
    if counters::has_counters(catalog) {
        loaded.insert(COUNTERS.to_owned());
        emptied.insert(COUNTERS.to_owned());
    }
}

/// Refuses what would make [`settle`] fail. Only looks.
///
/// # Errors
/// `Preflight`, with the GRANT that is missing.
pub async fn check(sides: &Sides, client: &tokio_postgres::Client, plan: &Plan) -> Result<()> {
    check_sequences(client, &sides.catalog.schema, &fed_columns(plan)).await
}

/// Sets sequences and counts the entities of each workspace.
pub async fn settle(sides: &Sides, plan: &Plan, events: &Events) -> Result<()> {
    let columns = fed_columns(plan);
    let counted = counters::has_counters(&sides.catalog) && !plan.copied().contains(COUNTERS);
    if columns.is_empty() && !counted {
        return Ok(());
    }
    events.stage("Working out what follows from the rows");
    for column in columns {
        if let Some(greatest) = catch_up(&sides.target, &column).await? {
            events.notice(format!(
                "{}.{}: the next value of its sequence comes after {greatest}",
                column.table, column.column
            ));
        }
    }
    if counted {
        let counters = counters::recount(&sides.target, &sides.catalog, &plan.copied()).await?;
        events.notice(format!("{COUNTERS}: {counters} counters, counted from the rows that were copied"));
    }
    Ok(())
}

fn fed_columns(plan: &Plan) -> Vec<FedColumn<'_>> {
    plan.tables
        .iter()
        .flat_map(|table| {
            table.sequences.iter().map(|sequence| FedColumn {
                table: &table.table,
                column: &sequence.column,
                sequence: sequence.name.as_deref(),
            })
        })
        .collect()
}
