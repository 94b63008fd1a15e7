//! What the target's migrations left in `schema_meta`.

use std::collections::BTreeSet;

use tokio_postgres::Row;

use super::catalog::Catalog;
use super::failure;
use super::identifier::qualified;
use crate::error::{Error, ErrorKind, Result};
use crate::schema_state::SubsystemState;

/// Table in which Kong keeps the state of its migrations.
const TABLE: &str = "schema_meta";

/// Reads the state of each subsystem, by name. A NULL list is an empty one, as for Kong.
///
/// # Errors
/// `Preflight` when the schema was never bootstrapped.
pub async fn read(client: &tokio_postgres::Client, catalog: &Catalog) -> Result<Vec<SubsystemState>> {
    let bootstrapped = catalog.tables.get(TABLE).is_some_and(|table| table.column("subsystem").is_some());
    if !bootstrapped {
        return Err(not_bootstrapped(catalog));
    }
    let name = qualified(&catalog.schema, TABLE);
    let sql = format!(
        "SELECT subsystem, last_executed, executed, pending FROM {name} WHERE key = 'schema_meta' ORDER BY subsystem"
    );
    let what = "cannot read schema_meta of the target";
    let rows = client
        .query(&sql, &[])
        .await
        .map_err(|error| failure::statement_needing(&error, what, &format!("SELECT ON {name}")))?;
    if rows.is_empty() {
        return Err(not_bootstrapped(catalog));
    }
    rows.iter()
        .map(|row| state(row).map_err(|_| Error::new(ErrorKind::Target, what).because("unexpected types")))
        .collect()
}

fn state(row: &Row) -> Result<SubsystemState, tokio_postgres::Error> {
    let steps = |index: usize| -> Result<BTreeSet<String>, tokio_postgres::Error> {
        let list: Option<Vec<Option<String>>> = row.try_get(index)?;
        Ok(list.into_iter().flatten().flatten().collect())
    };
    Ok(SubsystemState {
        subsystem: row.try_get(0)?,
        last_executed: row.try_get(1)?,
        executed: steps(2)?,
        pending: steps(3)?,
    })
}

fn not_bootstrapped(catalog: &Catalog) -> Error {
    Error::new(
        ErrorKind::Preflight,
        format!("schema {} of database {} holds no Kong: its schema_meta is missing or empty", catalog.schema, catalog.database),
    )
    .remedy("run kong migrations bootstrap with the target Gateway's configuration, and do not start the Gateway yet")
}
