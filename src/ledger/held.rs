//! What lies in quarantine, and what becomes of it.

use tokio_postgres::Row;

use super::{Ledger, unexpected, unreadable};
use crate::error::Result;
use crate::policy::Class;
use crate::target::sieve::Refusal;
use crate::target::{LoadTransaction, failure};

/// Which rows of quarantine are meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HeldChoice {
    /// These ids only; empty for all.
    pub ids: Vec<i64>,
    /// Only rows of this table.
    pub table: Option<String>,
    /// Only rows of this class.
    pub class: Option<Class>,
}

/// A row in quarantine, without its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldHead {
    /// Its number in quarantine.
    pub id: i64,
    /// Its table.
    pub table: String,
    /// Its primary key as text.
    pub key: String,
    /// What is wrong with it.
    pub class: Class,
    /// Column or constraint it breaks.
    pub rule: String,
    /// Why, in words without the value.
    pub reason: String,
    /// When it came, as text in UTC.
    pub at: String,
}

/// The content of a row in quarantine.
#[derive(Debug, Clone, PartialEq)]
pub enum Kept {
    /// As the source gave it.
    Cells {
        /// Labels and CQL types, as JSON.
        selection: String,
        /// The body of a page of this row alone.
        cells: Vec<u8>,
        /// The source's clock at the read, in milliseconds since 1970.
        read_at: i64,
    },
    /// As it was on the target: a JSON object.
    Loaded(String),
}

const HEAD: &str =
    "id, table_name, key, class, rule, reason, pg_catalog.to_char(at, 'YYYY-MM-DD HH24:MI:SS')";
const CHOSEN: &str =
    "run = $1 AND state = 'held' AND (coalesce(cardinality($2::bigint[]), 0) = 0 OR id = ANY($2))
    AND ($3::text IS NULL OR table_name = $3) AND ($4::text IS NULL OR class = $4)";

impl Ledger {
    /// The chosen rows that lie in quarantine, after the row `after`, at most `limit`, in the order in which they came; with their
    /// content where that is asked for.
    pub async fn held(
        &self,
        choice: &HeldChoice,
        after: i64,
        limit: i64,
        with_content: bool,
    ) -> Result<Vec<(HeldHead, Option<Kept>)>> {
        let what = "read what lies in quarantine";
        let content = if with_content {
            "selection::text, cells, read_at, content::text"
        } else {
            "NULL, NULL, NULL, NULL"
        };
        let sql = format!(
            "SELECT {HEAD}, {content} FROM kongferry.quarantine WHERE {CHOSEN} AND id > $5 ORDER BY id LIMIT $6"
        );
        let class = choice.class.map(Class::as_str);
        let client = self.target.client().await?;
        let rows = client
            .query(&sql, &[&self.run, &choice.ids, &choice.table, &class, &after, &limit])
            .await
            .map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        rows.iter().map(|row| read(row, with_content)).collect()
    }

    /// How many chosen rows lie there, by table and class.
    pub async fn held_counts(&self, choice: &HeldChoice) -> Result<Vec<(String, Class, u64)>> {
        let what = "count what lies in quarantine";
        let sql = format!(
            "SELECT table_name, class, count(*) FROM kongferry.quarantine WHERE {CHOSEN} GROUP BY 1, 2 ORDER BY 1, 2"
        );
        let class = choice.class.map(Class::as_str);
        let client = self.target.client().await?;
        let rows = client
            .query(&sql, &[&self.run, &choice.ids, &choice.table, &class])
            .await
            .map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        rows.iter()
            .map(|row| {
                let read =
                    || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
                let (table, class, rows): (String, String, i64) = read().map_err(|_| unexpected(what))?;
                let class = Class::parse(&class).ok_or_else(|| unreadable("a class of rows"))?;
                Ok((table, class, u64::try_from(rows).unwrap_or(0)))
            })
            .collect()
    }

    /// Marks rows of quarantine as loaded, in the transaction that loads them. Waits for whoever else retries them.
    pub async fn mark_loaded(&self, transaction: &mut LoadTransaction, ids: &[i64]) -> Result<u64> {
        let sql = "UPDATE kongferry.quarantine SET state = 'loaded' WHERE run = $1 AND id = ANY($2) AND state = 'held'";
        transaction.execute("cannot mark rows of quarantine as loaded", sql, &[&self.run, &ids]).await
    }

    /// Writes down why a row that was tried again stays.
    pub async fn still_held(
        &self,
        transaction: &mut LoadTransaction,
        id: i64,
        class: Class,
        rule: &str,
        reason: &str,
    ) -> Result<()> {
        let sql =
            "UPDATE kongferry.quarantine SET class = $3, rule = $4, reason = $5 WHERE run = $1 AND id = $2";
        let what = "cannot write down why a row stays in quarantine";
        transaction.execute(what, sql, &[&self.run, &id, &class.as_str(), &rule, &reason]).await.map(drop)
    }

    /// [`still_held`](Self::still_held), for a row that the target refused.
    pub async fn still_refused(
        &self,
        transaction: &mut LoadTransaction,
        id: i64,
        refusal: &Refusal,
    ) -> Result<()> {
        self.still_held(transaction, id, refusal.class(), &refusal.rule(), &refusal.to_string()).await
    }
}

fn read(row: &Row, with_content: bool) -> Result<(HeldHead, Option<Kept>)> {
    let what = "read a row of quarantine";
    let head = || {
        Ok::<_, tokio_postgres::Error>((
            row.try_get(0)?,
            row.try_get(1)?,
            row.try_get(2)?,
            row.try_get::<_, String>(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
            row.try_get(6)?,
        ))
    };
    let (id, table, key, class, rule, reason, at) = head().map_err(|_| unexpected(what))?;
    let class = Class::parse(&class).ok_or_else(|| unreadable("a class of rows"))?;
    let head = HeldHead { id, table, key, class, rule, reason, at };
    if !with_content {
        return Ok((head, None));
    }
    let content = || {
        Ok::<_, tokio_postgres::Error>((
            row.try_get::<_, Option<String>>(7)?,
            row.try_get::<_, Option<Vec<u8>>>(8)?,
            row.try_get::<_, Option<i64>>(9)?,
            row.try_get::<_, Option<String>>(10)?,
        ))
    };
    match content().map_err(|_| unexpected(what))? {
        (Some(selection), Some(cells), Some(read_at), _) => {
            Ok((head, Some(Kept::Cells { selection, cells, read_at })))
        }
        (_, _, _, Some(content)) => Ok((head, Some(Kept::Loaded(content)))),
        _ => Err(unreadable("a row of quarantine without content")),
    }
}
