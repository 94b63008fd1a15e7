//! Writes rows: one prepared statement per table over its live columns, with retries.

use std::collections::BTreeMap;
use std::time::Duration;

use scylla::client::session::Session;
use scylla::statement::prepared::PreparedStatement;
use scylla::value::{CqlValue, MaybeUnset};

use super::live::{LiveKeyspace, LiveTable};
use super::row::Row;
use crate::error::{Error, ErrorKind, Result};
use crate::estate::connect::{cassandra_error, is_transient, prepare_error};

/// Attempts at one row; with the waits between them about half a minute, longer than a node's flush or collection.
const ATTEMPTS: u32 = 9;

/// Wait before the second attempt; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Writes rows of one keyspace.
pub(super) struct Writer<'a> {
    session: &'a Session,
    tables: BTreeMap<&'a str, TableWriter<'a>>,
}

struct TableWriter<'a> {
    /// Columns in the order of the statement's markers.
    columns: Vec<&'a str>,
    plain: PreparedStatement,
    /// The same with a TTL as last marker; counters cannot expire.
    expiring: Option<PreparedStatement>,
}

impl<'a> Writer<'a> {
    /// Prepares the statements of all tables of `keyspace`.
    pub(super) async fn prepare(session: &'a Session, keyspace: &'a LiveKeyspace) -> Result<Self> {
        let mut tables = BTreeMap::new();
        for (name, table) in &keyspace.tables {
            let writer = if table.has_counters() {
                TableWriter::of_counters(session, &keyspace.name, name, table).await?
            } else {
                TableWriter::of_rows(session, &keyspace.name, name, table).await?
            };
            tables.insert(name.as_str(), writer);
        }
        Ok(Self { session, tables })
    }

    /// Writes `row`, without the cells whose columns the live table lacks.
    pub(super) async fn write(&self, row: Row) -> Result<()> {
        let Some(table) = self.tables.get(row.table) else {
            return Err(Error::new(ErrorKind::Preflight, format!("the keyspace has no table {}", row.table))
                .remedy("create it with kong-estate create"));
        };
        let Row { table: name, mut cells, ttl, .. } = row;
        let mut values: Vec<MaybeUnset<CqlValue>> = table
            .columns
            .iter()
            .map(|column| match cells.iter().position(|(cell, _)| cell == column) {
                Some(place) => MaybeUnset::Set(cells.swap_remove(place).1),
                None => MaybeUnset::Unset,
            })
            .collect();
        let statement = match (ttl, &table.expiring) {
            (Some(seconds), Some(expiring)) => {
                values.push(MaybeUnset::Set(CqlValue::Int(seconds)));
                expiring
            }
            _ => &table.plain,
        };
        let mut wait = FIRST_WAIT;
        for attempt in 1.. {
            match self.session.execute_unpaged(statement, &values).await {
                Ok(_) => break,
                // A counter that timed out may have counted, so it is not sent again.
                Err(error) if attempt < ATTEMPTS && statement.get_is_idempotent() && is_transient(&error) => {
                    tracing::debug!(table = name, attempt, "a write failed for now, trying again");
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                }
                Err(error) => {
                    let refusal = cassandra_error(format!("cannot write a row of {name}"), &error);
                    return Err(if is_transient(&error) {
                        refusal.remedy(
                            "keep fewer writes in flight (--concurrency), or give the node more memory",
                        )
                    } else {
                        refusal
                    });
                }
            }
        }
        Ok(())
    }
}

impl<'a> TableWriter<'a> {
    async fn of_rows(session: &Session, keyspace: &str, name: &str, table: &'a LiveTable) -> Result<Self> {
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        let quoted: Vec<String> = columns.iter().map(|column| format!("\"{column}\"")).collect();
        let insert = format!(
            "INSERT INTO \"{keyspace}\".\"{name}\" ({}) VALUES ({})",
            quoted.join(", "),
            vec!["?"; columns.len()].join(", ")
        );
        let expiring = prepare(session, name, format!("{insert} USING TTL ?")).await?;
        let plain = prepare(session, name, insert).await?;
        Ok(Self { columns, plain, expiring: Some(expiring) })
    }

    async fn of_counters(
        session: &Session,
        keyspace: &str,
        name: &str,
        table: &'a LiveTable,
    ) -> Result<Self> {
        let (counters, keys): (Vec<_>, Vec<_>) =
            table.columns.iter().partition(|column| column.ty == "counter");
        let additions: Vec<String> =
            counters.iter().map(|column| format!("\"{0}\" = \"{0}\" + ?", column.name)).collect();
        let conditions: Vec<String> = keys.iter().map(|column| format!("\"{}\" = ?", column.name)).collect();
        let update = format!(
            "UPDATE \"{keyspace}\".\"{name}\" SET {} WHERE {}",
            additions.join(", "),
            conditions.join(" AND ")
        );
        let mut plain = prepare(session, name, update).await?;
        plain.set_is_idempotent(false);
        let columns = counters.into_iter().chain(keys).map(|column| column.name.as_str()).collect();
        Ok(Self { columns, plain, expiring: None })
    }
}

async fn prepare(session: &Session, table: &str, cql: String) -> Result<PreparedStatement> {
    let mut statement = session
        .prepare(cql)
        .await
        .map_err(|error| prepare_error(format!("cannot prepare the insert into {table}"), &error))?;
    statement.set_is_idempotent(true);
    Ok(statement)
}
