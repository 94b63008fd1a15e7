//! The transaction that loads a split.

use std::fmt::Display;

use deadpool_postgres::Object;
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::connect::Client;
use super::copy::CopyStream;
use super::failure;
use super::identifier::{qualified, quote};
use crate::error::{Error, ErrorKind, Result};

/// A transaction that owns its connection.
///
/// It ends with [`commit`](Self::commit) or [`rollback`](Self::rollback), which give the connection back to the pool. Dropped
/// before that (an error, a cancelled task), it closes the connection: the server rolls back, and no half-open
/// transaction ever gets into the pool.
///
/// Rows, and what is written about them, belong into the same transaction: see [`execute`](Self::execute).
#[derive(Debug)]
pub struct LoadTransaction {
    /// `None` once it has ended, or was given up.
    client: Option<Client>,
    schema: String,
}

impl LoadTransaction {
    /// Begins a transaction on `client` for tables of `schema`.
    pub(super) async fn begin(client: Client, schema: String) -> Result<Self> {
        let transaction = Self { client: Some(client), schema };
        // Explicit, since roles carry defaults for both.
        transaction
            .run("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "cannot begin a transaction")
            .await?;
        Ok(transaction)
    }

    /// Opens a COPY into `columns` of `table`.
    pub async fn copy<'tx>(&'tx mut self, table: &str, columns: &[String]) -> Result<CopyStream<'tx>> {
        let schema = self.schema.clone();
        CopyStream::open(self, &schema, table, columns).await
    }

    /// Opens a COPY into `columns` of a table of another schema.
    pub async fn copy_into<'tx>(
        &'tx mut self,
        schema: &str,
        table: &str,
        columns: &[String],
    ) -> Result<CopyStream<'tx>> {
        CopyStream::open(self, schema, table, columns).await
    }

    /// Lets constraints speak up that wait for the end of the transaction.
    ///
    /// # Errors
    /// `Row` when one does not hold.
    pub async fn check_deferred(&mut self) -> Result<()> {
        let sql = "SET CONSTRAINTS ALL IMMEDIATE";
        self.client()?
            .batch_execute(sql)
            .await
            .map_err(|error| failure::load(&error, "cannot load the rows", None))
    }

    /// Deletes all rows of `table` and returns how many there were. DELETE and not TRUNCATE: triggers fire, and a foreign
    /// key that still points to a row is respected.
    pub async fn delete_all(&mut self, table: &str) -> Result<u64> {
        let name = qualified(&self.schema, table);
        let what = format!("cannot empty table {table}");
        self.client()?
            .execute(&format!("DELETE FROM {name}"), &[])
            .await
            .map_err(|error| failure::statement_needing(&error, what, &format!("DELETE ON {name}")))
    }

    /// Runs a statement; `what` says what failed if it does, such as `cannot write the ledger`.
    pub async fn execute(
        &mut self,
        what: impl Display,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<u64> {
        self.client()?.execute(sql, params).await.map_err(|error| failure::statement(&error, what))
    }

    /// Runs statements without parameters; `what` as for [`execute`](Self::execute).
    pub async fn batch(&mut self, what: impl Display, sql: &str) -> Result<()> {
        self.client()?.batch_execute(sql).await.map_err(|error| failure::statement(&error, what))
    }

    /// Runs a query; `what` as for [`execute`](Self::execute).
    pub async fn query(
        &mut self,
        what: impl Display,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        self.client()?.query(sql, params).await.map_err(|error| failure::statement(&error, what))
    }

    /// Runs a query that comes again and again: each connection prepares it once. Not for tables whose columns may change.
    pub async fn query_prepared(
        &mut self,
        what: impl Display,
        sql: &str,
        params: &[&(dyn ToSql + Sync)],
    ) -> Result<Vec<Row>> {
        let client = self.client()?;
        let rows = async { client.query(&client.prepare_cached(sql).await?, params).await }.await;
        rows.map_err(|error| failure::statement(&error, what))
    }

    /// Sets a savepoint. Its name is used up by [`release`](Self::release) only.
    pub async fn savepoint(&mut self, name: &str) -> Result<()> {
        self.run(&format!("SAVEPOINT {}", quote(name)), "cannot set a savepoint").await
    }

    /// Undoes everything since the savepoint, a failure included; the savepoint stays.
    pub async fn rollback_to(&mut self, name: &str) -> Result<()> {
        self.run(&format!("ROLLBACK TO SAVEPOINT {}", quote(name)), "cannot go back to a savepoint").await
    }

    /// Forgets the savepoint and keeps what was done since.
    pub async fn release(&mut self, name: &str) -> Result<()> {
        self.run(&format!("RELEASE SAVEPOINT {}", quote(name)), "cannot release a savepoint").await
    }

    /// Commits.
    ///
    /// # Errors
    /// Also when an earlier statement failed, in which case everything is rolled back. When the connection is lost in the
    /// middle, nobody but the server knows whether it committed.
    pub async fn commit(mut self) -> Result<()> {
        // A bare COMMIT of a failed transaction is answered with ROLLBACK, which is no error; the SELECT makes it one.
        self.client()?
            .batch_execute("SELECT 1; COMMIT")
            .await
            .map_err(|error| failure::load(&error, "cannot commit", None))?;
        drop(self.client.take());
        Ok(())
    }

    /// Rolls back.
    pub async fn rollback(mut self) -> Result<()> {
        if self.client.is_some() {
            self.run("ROLLBACK", "cannot roll back").await?;
            drop(self.client.take());
        }
        Ok(())
    }

    /// Closes the connection, and with it the transaction.
    pub(super) fn give_up(&mut self) {
        if let Some(client) = self.client.take() {
            drop(Object::take(client));
        }
    }

    /// Schema of the tables.
    pub(super) fn schema(&self) -> &str {
        &self.schema
    }

    async fn run(&self, sql: &str, what: &str) -> Result<()> {
        self.client()?.batch_execute(sql).await.map_err(|error| failure::statement(&error, what))
    }

    /// Its connection.
    pub(super) fn client(&self) -> Result<&Client> {
        self.client.as_ref().ok_or_else(|| {
            Error::new(ErrorKind::Target, "the transaction was given up after an earlier failure")
        })
    }
}

impl Drop for LoadTransaction {
    fn drop(&mut self) {
        self.give_up();
    }
}
