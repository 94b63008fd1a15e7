//! Counting rows of the target.

use std::collections::BTreeMap;

use tokio_postgres::IsolationLevel;

use super::failure;
use super::identifier::{qualified, quote};
use crate::error::{Error, ErrorKind, Result};

/// Which rows count as alive.
///
/// Kong 3.3 deletes up to two expired rows with every statement that inserts into a table with a ttl, so expired rows come and
/// go by design: only rows alive at a common instant can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AliveAfter {
    /// Column that holds the instant of expiry, NULL for never.
    pub column: String,
    /// Seconds since 1970; rows that expire at or before it are not counted.
    pub instant: i64,
}

/// Counts the rows of `table`, those alive after an instant if `alive` is given.
pub async fn count(
    client: &tokio_postgres::Client,
    schema: &str,
    table: &str,
    alive: Option<&AliveAfter>,
) -> Result<u64> {
    let name = qualified(schema, table);
    let what = format!("cannot count table {table}");
    let answer = match alive {
        None => client.query_one(&format!("SELECT count(*) FROM {name}"), &[]).await,
        Some(AliveAfter { column, instant }) => {
            let column = quote(column);
            let sql = format!(
                "SELECT count(*) FROM {name} WHERE {column} IS NULL OR {column} > to_timestamp($1::bigint)"
            );
            client.query_one(&sql, &[instant]).await
        }
    };
    let row =
        answer.map_err(|error| failure::statement_needing(&error, &what, &format!("SELECT ON {name}")))?;
    let count: i64 =
        row.try_get(0).map_err(|_| Error::new(ErrorKind::Target, &what).because("unexpected answer"))?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Counts several tables on one snapshot.
pub async fn count_all(
    client: &mut tokio_postgres::Client,
    schema: &str,
    tables: &BTreeMap<String, Option<AliveAfter>>,
) -> Result<BTreeMap<String, u64>> {
    let what = "cannot count the rows of the target";
    let transaction = client
        .build_transaction()
        .isolation_level(IsolationLevel::RepeatableRead)
        .read_only(true)
        .start()
        .await
        .map_err(|error| failure::statement(&error, what))?;
    let mut counts = BTreeMap::new();
    for (table, alive) in tables {
        counts.insert(table.clone(), count(transaction.client(), schema, table, alive.as_ref()).await?);
    }
    transaction.commit().await.map_err(|error| failure::statement(&error, what))?;
    Ok(counts)
}
