//! `workspace_entity_counters`: how many entities of each kind a workspace of Kong Enterprise holds.
//!
//! Kong keeps the numbers as it goes and lets a workspace be deleted only when they are zero. They are not copied but counted
//! anew, since a counter of Cassandra is only roughly right and rows may have stayed behind.

use std::collections::BTreeSet;

use super::catalog::Catalog;
use super::identifier::{qualified, quote};
use super::{LoadTransaction, Target};
use crate::error::Result;

/// The table.
pub const COUNTERS: &str = "workspace_entity_counters";
/// Its columns.
const COLUMNS: [&str; 3] = ["workspace_id", "entity_type", "count"];
/// Column of an entity that says its workspace.
const WORKSPACE_COLUMN: &str = "ws_id";
/// Belongs to a workspace, and Kong does not count it.
const UNCOUNTED: &str = "oauth2_tokens";
/// Of these Kong counts only [`PROXY_CONSUMER`]s: those behind admins, developers and applications come and go with them and
/// would keep a workspace from ever being empty. (`kong migrations reinitialize-workspace-entity-counters` counts all.)
const CONSUMERS: &str = "consumers";
/// `consumers.type` of an ordinary consumer.
const PROXY_CONSUMER: u8 = 0;

/// Whether the target keeps counters.
pub fn has_counters(catalog: &Catalog) -> bool {
    catalog
        .tables
        .get(COUNTERS)
        .is_some_and(|table| COLUMNS.iter().all(|column| table.column(column).is_some()))
}

/// Counts the rows of `tables` per workspace and puts the result in the place of all counters, in one transaction; returns
/// the number of counters. Does nothing on a target without counters.
pub async fn recount(target: &Target, catalog: &Catalog, tables: &BTreeSet<String>) -> Result<u64> {
    if !has_counters(catalog) {
        return Ok(0);
    }
    let mut transaction = target.begin().await?;
    transaction.delete_all(COUNTERS).await?;
    let mut counters = 0;
    for table in tables {
        counters += count(&mut transaction, catalog, table).await?;
    }
    transaction.commit().await?;
    Ok(counters)
}

/// Writes the counters of one table.
async fn count(transaction: &mut LoadTransaction, catalog: &Catalog, table: &str) -> Result<u64> {
    let Some(known) = catalog.tables.get(table) else { return Ok(0) };
    if table == UNCOUNTED || known.column(WORKSPACE_COLUMN).is_none() {
        return Ok(0);
    }
    let only = if table == CONSUMERS && known.column("type").is_some() {
        format!(" AND e.{} = {PROXY_CONSUMER}", quote("type"))
    } else {
        String::new()
    };
    // A row whose workspace does not exist (possible where no foreign key watches) is counted nowhere.
    let sql = format!(
        "INSERT INTO {} (workspace_id, entity_type, count)
         SELECT w.id, $1::text, count(*) FROM {} e JOIN {} w ON w.id = e.{WORKSPACE_COLUMN}
         WHERE true{only} GROUP BY w.id",
        qualified(&catalog.schema, COUNTERS),
        qualified(&catalog.schema, table),
        qualified(&catalog.schema, super::bootstrap::WORKSPACES),
    );
    transaction.execute(format!("cannot count the rows of {table} per workspace"), &sql, &[&table]).await
}
