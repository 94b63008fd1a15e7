//! Keeps rows and column defaults in schema `kongferry` before they change, so that the target can be put back.

use uuid::Uuid;

use super::LoadTransaction;
use super::identifier::qualified;
use crate::error::Result;

/// Where rows and defaults go before they change. Rows are kept in the text form of their type, which reads back exactly.
#[derive(Debug, Clone, Copy)]
pub struct Archive {
    run: Uuid,
}

impl Archive {
    /// The archive of run `run`, whose ledger exists.
    pub fn of(run: Uuid) -> Self {
        Self { run }
    }

    /// Keeps the rows of `table` for which `condition` holds.
    pub async fn keep_rows(
        &self,
        transaction: &mut LoadTransaction,
        schema: &str,
        table: &str,
        condition: &str,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO kongferry.kept_row (run, table_name, content) SELECT $1, $2, kept::text FROM {} kept WHERE {condition}",
            qualified(schema, table)
        );
        transaction
            .execute(format!("cannot keep the bootstrap rows of {table}"), &sql, &[&self.run, &table])
            .await
            .map(drop)
    }

    /// Keeps the default of a column.
    pub async fn keep_default(
        &self,
        transaction: &mut LoadTransaction,
        table: &str,
        column: &str,
        expression: &str,
    ) -> Result<()> {
        transaction
            .execute(
                format!("cannot keep the default of {table}.{column}"),
                "INSERT INTO kongferry.kept_default (run, table_name, column_name, expression) VALUES ($1, $2, $3, $4)",
                &[&self.run, &table, &column, &expression],
            )
            .await
            .map(drop)
    }
}
