//! Puts back what was kept of the target: bootstrap rows that gave way, column defaults that changed.

use std::collections::BTreeSet;

use super::{Ledger, unexpected};
use crate::error::Result;
use crate::target::archive::Archive;
use crate::target::identifier::{qualified, quote};
use crate::target::{LoadTransaction, failure};

impl Ledger {
    /// Where this run keeps what it changes.
    pub fn archive(&self) -> Archive {
        Archive::of(self.run)
    }

    /// Columns whose defaults were kept, as `table.column`: the run changed them.
    pub async fn changed_defaults(&self) -> Result<BTreeSet<String>> {
        let what = "read the column defaults that were kept";
        let sql = "SELECT table_name || '.' || column_name FROM kongferry.kept_default WHERE run = $1";
        let rows = self.target.client().await?.query(sql, &[&self.run]).await;
        rows.map_err(|error| failure::statement(&error, format!("cannot {what}")))?
            .iter()
            .map(|row| row.try_get(0).map_err(|_| unexpected(what)))
            .collect()
    }

    /// Tables with kept rows.
    pub async fn kept_tables(&self, transaction: &mut LoadTransaction) -> Result<Vec<String>> {
        let what = "read what was kept of the target";
        transaction
            .query(
                format!("cannot {what}"),
                "SELECT DISTINCT table_name FROM kongferry.kept_row WHERE run = $1 ORDER BY 1",
                &[&self.run],
            )
            .await?
            .iter()
            .map(|row| row.try_get(0).map_err(|_| unexpected(what)))
            .collect()
    }

    /// Writes the kept rows of `table` back.
    pub async fn restore_rows(
        &self,
        transaction: &mut LoadTransaction,
        schema: &str,
        table: &str,
    ) -> Result<u64> {
        let name = qualified(schema, table);
        let sql = format!(
            "INSERT INTO {name} SELECT (kept.content::{name}).* FROM kongferry.kept_row kept
             WHERE kept.run = $1 AND kept.table_name = $2 ORDER BY kept.place"
        );
        let what = format!("cannot put back the bootstrap rows of {table}");
        transaction.execute(what, &sql, &[&self.run, &table]).await
    }

    /// Sets the kept column defaults again; returns how many.
    pub async fn restore_defaults(&self, transaction: &mut LoadTransaction, schema: &str) -> Result<usize> {
        let what = "read the column defaults that were kept";
        let sql = "SELECT table_name, column_name, expression FROM kongferry.kept_default WHERE run = $1";
        let rows = transaction.query(format!("cannot {what}"), sql, &[&self.run]).await?;
        for row in &rows {
            let read = || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let (table, column, expression): (String, String, String) =
                read().map_err(|_| unexpected(what))?;
            let sql = format!(
                "ALTER TABLE {} ALTER COLUMN {} SET DEFAULT {expression}",
                qualified(schema, &table),
                quote(&column)
            );
            transaction.batch(format!("cannot put back the default of {table}.{column}"), &sql).await?;
        }
        Ok(rows.len())
    }
}
