//! What a run has left behind on the target, as the ledger knows it.

use super::{Ledger, unexpected};
use crate::error::Result;
use crate::target::identifier::qualified;
use crate::target::{LoadTransaction, failure};

/// How a table changed after its run was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Changes {
    /// Rows there are.
    pub rows: u64,
    /// Rows that came, or changed.
    pub changed: u64,
}

/// Rows of a table that a run is answerable for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loaded {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// Of these, rows that came back from quarantine, perhaps after the run was done.
    pub retried: u64,
}

impl Ledger {
    /// Whether any task is done.
    pub async fn has_begun(&self, transaction: &mut LoadTransaction) -> Result<bool> {
        let what = "read how far the run is";
        let sql = "SELECT EXISTS(SELECT 1 FROM kongferry.task WHERE run = $1 AND state = 'done')";
        let rows = transaction.query(format!("cannot {what}"), sql, &[&self.run_id()]).await?;
        rows.first().and_then(|row| row.try_get(0).ok()).ok_or_else(|| unexpected(what))
    }

    /// Marks the open tasks of `part` as done; false when none is open. Waits for whoever works on them.
    pub async fn take_part(&self, transaction: &mut LoadTransaction, part: &str) -> Result<bool> {
        let taken = transaction
            .execute(
                format!("cannot mark {part} as done in the ledger"),
                "UPDATE kongferry.task SET state = 'done', totals = '{}', done_at = clock_timestamp()
                 WHERE run = $1 AND part = $2 AND state = 'open'",
                &[&self.run_id(), &part],
            )
            .await?;
        Ok(taken > 0)
    }

    /// Rows that the run loaded and that are still due, by table; those that came back from quarantine included.
    pub async fn loaded(&self) -> Result<Vec<Loaded>> {
        let mut loaded = std::collections::BTreeMap::<String, u64>::new();
        for (table, totals) in self.totals().await? {
            *loaded.entry(table).or_default() += totals.loaded;
        }
        let accounts = self.accounts().await?;
        Ok(loaded
            .into_iter()
            .map(|(table, rows)| {
                let account = accounts.get(&table);
                let changed = account.map_or(0, super::TableAccounts::changed);
                let retried = account.and_then(|account| account.changes.get(&super::Why::Retried));
                let retried = retried.map_or(0, |change| change.added);
                Loaded { rows: rows.saturating_add_signed(changed), retried, table }
            })
            .collect())
    }

    /// How `table` changed after the run was done. A row carries the id of the transaction that wrote it, which survives
    /// freezing.
    pub async fn changes_since_done(&self, schema: &str, table: &str) -> Result<Changes> {
        let what = format!("look for changes in table {table}");
        let sql = format!(
            "SELECT count(*), count(*) FILTER (WHERE age(t.xmin) < age(
                 ((r.done_txid % 4294967296)::text)::xid)) FROM {} t, kongferry.run r WHERE r.id = $1",
            qualified(schema, table)
        );
        let client = self.target.client().await?;
        let row = client
            .query_one(&sql, &[&self.run_id()])
            .await
            .map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        let read = || Ok::<(i64, i64), tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
        let (rows, changed) = read().map_err(|_| unexpected(&what))?;
        Ok(Changes { rows: u64::try_from(rows).unwrap_or(0), changed: u64::try_from(changed).unwrap_or(0) })
    }
}
