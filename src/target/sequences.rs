//! Sequences behind columns that were written: the next value must not be one that was loaded.

use super::Target;
use super::failure;
use super::identifier::{qualified, quote};
use crate::error::{Error, ErrorKind, Result};

/// A column that was written and whose default takes the next value of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FedColumn<'a> {
    /// Its table.
    pub table: &'a str,
    /// Its name.
    pub column: &'a str,
    /// Name of the sequence as SQL text has it; `None` for an identity column.
    pub sequence: Option<&'a str>,
}

impl FedColumn<'_> {
    /// SQL text for the sequence, as a `regclass`, with the parameters it needs.
    fn regclass(&self) -> &'static str {
        match self.sequence {
            Some(_) => "$1::text::regclass",
            None => "pg_catalog.pg_get_serial_sequence($1::text, $2::text)::regclass",
        }
    }

    /// Name of its sequence, or of its table where the column owns the sequence.
    fn owner(&self, schema: &str) -> String {
        self.sequence.map_or_else(|| qualified(schema, self.table), str::to_owned)
    }

    fn what(&self) -> String {
        format!("cannot set the sequence behind {}.{}", self.table, self.column)
    }
}

/// Sets the sequence to the greatest value of its column and returns that; `None` when no row has one from 1 on, so that
/// the sequence stays as it is.
pub async fn catch_up(target: &Target, column: &FedColumn<'_>) -> Result<Option<i64>> {
    let client = target.client().await?;
    let what = column.what();
    let unexpected = |_| Error::new(ErrorKind::Target, &what).because("unexpected answer");
    let (table, name) = (qualified(target.schema(), column.table), quote(column.column));
    let row = client
        .query_one(&format!("SELECT max({name})::bigint FROM {table}"), &[])
        .await
        .map_err(|error| failure::statement(&error, &what))?;
    let greatest: Option<i64> = row.try_get(0).map_err(unexpected)?;
    let Some(greatest) = greatest.filter(|greatest| *greatest > 0) else { return Ok(None) };
    // Where it is ahead, nobody has the values in between.
    let owner = column.owner(target.schema());
    let regclass = column.regclass();
    let result = if column.sequence.is_some() {
        let sql = format!("SELECT pg_catalog.setval({regclass}, $2::bigint)");
        client.query_one(&sql, &[&owner, &greatest]).await
    } else {
        let sql = format!("SELECT pg_catalog.setval({regclass}, $3::bigint)");
        client.query_one(&sql, &[&owner, &column.column, &greatest]).await
    };
    result.map_err(|error| failure::statement(&error, &what))?;
    Ok(Some(greatest))
}

/// Refuses a role that may not set the sequences.
///
/// # Errors
/// `Preflight`, with the GRANT that is missing.
pub async fn check_sequences(
    client: &tokio_postgres::Client,
    schema: &str,
    columns: &[FedColumn<'_>],
) -> Result<()> {
    let mut missing = Vec::new();
    for column in columns {
        let what = column.what();
        let sql = format!(
            "SELECT s::text, current_user::text, pg_catalog.has_sequence_privilege(s::oid, 'UPDATE') FROM (SELECT {}) q (s)",
            column.regclass()
        );
        let owner = column.owner(schema);
        let row = if column.sequence.is_some() {
            client.query_one(&sql, &[&owner]).await
        } else {
            client.query_one(&sql, &[&owner, &column.column]).await
        }
        .map_err(|error| failure::statement(&error, &what))?;
        let unexpected = |_| Error::new(ErrorKind::Target, &what).because("unexpected answer");
        let sequence: Option<String> = row.try_get(0).map_err(unexpected)?;
        let role: String = row.try_get(1).map_err(unexpected)?;
        let allowed: Option<bool> = row.try_get(2).map_err(unexpected)?;
        if let (Some(sequence), Some(false)) = (sequence, allowed) {
            missing.push((column.table, format!("GRANT UPDATE ON SEQUENCE {sequence} TO {};", quote(&role))));
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let (tables, grants): (Vec<&str>, Vec<String>) = missing.into_iter().unzip();
    Err(Error::new(
        ErrorKind::Preflight,
        format!("the role may not set the sequences behind columns of {}", tables.join(", ")),
    )
    .remedy(format!("connect as the owner of the tables, or: {}", grants.join(" "))))
}
