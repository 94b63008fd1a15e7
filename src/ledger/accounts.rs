//! What became of the rows of a run beyond its loading: held in quarantine, changed afterwards.

use std::collections::BTreeMap;

use super::quarantine::Why;
use super::{Ledger, unexpected, unreadable};
use crate::engine::totals::TableTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Class;
use crate::target::failure;

/// The accounts of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TableAccounts {
    /// What was added to the loaded rows afterwards, or taken from them (negative), by reason.
    pub changes: BTreeMap<Why, i64>,
    /// Rows that went into quarantine while their split was loaded, whatever became of them.
    pub held_at_load: u64,
    /// Rows that went into quarantine after they had been loaded, whatever became of them.
    pub held_later: u64,
    /// Rows that were left out while their split was loaded because the target refused them.
    pub skipped_by_target: u64,
    /// Rows that lie in quarantine now, by class.
    pub held: BTreeMap<Class, u64>,
}

impl TableAccounts {
    /// What all changes add up to.
    pub fn changed(&self) -> i64 {
        self.changes.values().sum()
    }

    /// Rows that lie in quarantine now.
    pub fn held_rows(&self) -> u64 {
        self.held.values().sum()
    }

    /// What was taken from the loaded rows for that reason.
    pub fn taken(&self, why: Why) -> u64 {
        let change = self.changes.get(&why).copied().unwrap_or_default();
        change.checked_neg().and_then(|taken| u64::try_from(taken).ok()).unwrap_or_default()
    }

    /// Holds the law of conservation up: what is counted as quarantined lies in quarantine.
    ///
    /// # Errors
    /// `Internal` when it is broken.
    pub fn check(&self, table: &str, totals: &TableTotals) -> Result<()> {
        totals.check_conserved(table)?;
        let (at_load, later) = (totals.quarantined_rows(), self.taken(Why::Quarantined));
        if (at_load, later) == (self.held_at_load, self.held_later) {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Internal,
            format!(
                "{table}: {} rows count as quarantined, and quarantine has {}",
                at_load + later,
                self.held_at_load + self.held_later
            ),
        )
        .remedy("has anybody deleted rows of kongferry.quarantine? If not, this is a bug: keep the output and report it"))
    }
}

impl Ledger {
    /// The accounts of all tables that have any.
    pub async fn accounts(&self) -> Result<BTreeMap<String, TableAccounts>> {
        let what = "read the accounts of the run";
        let failed = |error: tokio_postgres::Error| failure::statement(&error, format!("cannot {what}"));
        let client = self.target.client().await?;
        let mut accounts: BTreeMap<String, TableAccounts> = BTreeMap::new();
        let sql =
            "SELECT table_name, why, sum(rows)::bigint FROM kongferry.change WHERE run = $1 GROUP BY 1, 2";
        for row in client.query(sql, &[&self.run]).await.map_err(failed)? {
            let read = || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
            let (table, why, rows): (String, String, i64) = read().map_err(|_| unexpected(what))?;
            let why =
                serde_json::from_value(serde_json::Value::String(why)).map_err(|_| unreadable("a change"))?;
            accounts.entry(table).or_default().changes.insert(why, rows);
        }
        let sql = "SELECT table_name, class, count(*) FILTER (WHERE cells IS NOT NULL),
                          count(*) FILTER (WHERE cells IS NULL), count(*) FILTER (WHERE state = 'held')
                   FROM kongferry.quarantine WHERE run = $1 GROUP BY 1, 2";
        for row in client.query(sql, &[&self.run]).await.map_err(failed)? {
            let count = |index: usize| Ok(u64::try_from(row.try_get::<_, i64>(index)?).unwrap_or(0));
            let read = || {
                Ok::<_, tokio_postgres::Error>((
                    row.try_get::<_, String>(0)?,
                    row.try_get::<_, String>(1)?,
                    [count(2)?, count(3)?, count(4)?],
                ))
            };
            let (table, class, [at_load, later, held]) = read().map_err(|_| unexpected(what))?;
            let class = Class::parse(&class).ok_or_else(|| unreadable("a class of rows"))?;
            let account = accounts.entry(table).or_default();
            account.held_at_load += at_load;
            account.held_later += later;
            if held > 0 {
                account.held.insert(class, held);
            }
        }
        for (table, totals) in self.totals().await? {
            let skipped = totals.skipped_by_target();
            if skipped > 0 {
                accounts.entry(table).or_default().skipped_by_target += skipped;
            }
        }
        Ok(accounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_quarantined_must_lie_in_quarantine() {
        let mut totals = TableTotals::default();
        (totals.read, totals.loaded) = (5, 3);
        totals.quarantined.insert(Class::InvalidJson, 2);
        let mut accounts = TableAccounts { held_at_load: 2, ..TableAccounts::default() };
        assert!(accounts.check("t", &totals).is_ok());
        accounts.changes.insert(Why::Quarantined, -1);
        assert_eq!(accounts.check("t", &totals).unwrap_err().kind(), ErrorKind::Internal);
        accounts.held_later = 1;
        accounts.changes.insert(Why::Retried, 2);
        assert!(accounts.check("t", &totals).is_ok());
        assert_eq!(
            (accounts.changed(), accounts.taken(Why::Quarantined), accounts.taken(Why::Retried)),
            (1, 1, 0)
        );
        accounts.held_at_load = 1;
        assert!(accounts.check("t", &totals).is_err());
    }
}
