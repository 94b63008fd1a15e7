//! Rows that could not be loaded, kept whole in the target itself.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::schema::SCHEMA;
use super::{Ledger, to_json, unexpected, unreadable};
use crate::canonical::ContentSum;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Class;
use crate::target::{LoadTransaction, failure};

/// Columns of `kongferry.quarantine` in the order of a tuple.
const COLUMNS: [&str; 11] = [
    "run",
    "task",
    "table_name",
    "key",
    "class",
    "rule",
    "reason",
    "cells",
    "selection",
    "read_at",
    "content",
];
/// First byte of a binary jsonb value: the version of its format.
const JSONB_VERSION: u8 = 1;

/// The tuple of a row for a binary COPY; `None` when a field is too large for one.
fn tuple(run: Uuid, task: Option<i32>, row: &HeldRow) -> Option<Vec<u8>> {
    let mut tuple = i16::try_from(COLUMNS.len()).ok()?.to_be_bytes().to_vec();
    let mut field = |parts: Option<&[&[u8]]>| {
        let Some(parts) = parts else {
            tuple.extend((-1_i32).to_be_bytes());
            return Some(());
        };
        let length: usize = parts.iter().map(|part| part.len()).sum();
        tuple.extend(i32::try_from(length).ok()?.to_be_bytes());
        for part in parts {
            tuple.extend_from_slice(part);
        }
        Some(())
    };
    field(Some(&[run.as_bytes()]))?;
    field(
        task.map(i32::to_be_bytes).as_ref().map(|task| [task.as_slice()]).as_ref().map(<[_; 1]>::as_slice),
    )?;
    for text in [&row.table, &row.key, row.class.as_str(), &row.rule, &row.reason] {
        field(Some(&[text.as_bytes()]))?;
    }
    match &row.content {
        HeldContent::Cells { selection, cells, read_at } => {
            field(Some(&[cells]))?;
            field(Some(&[&[JSONB_VERSION], selection.as_bytes()]))?;
            field(Some(&[&read_at.to_be_bytes()]))?;
            field(None)?;
        }
        HeldContent::Loaded(content) => {
            (0..3).try_for_each(|_| field(None))?;
            field(Some(&[&[JSONB_VERSION], content.as_bytes()]))?;
        }
    }
    Some(tuple)
}

/// A row that could not be loaded.
#[derive(Debug, Clone, PartialEq)]
pub struct HeldRow {
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
    /// The row itself.
    pub content: HeldContent,
}

/// A row as it was met.
#[derive(Debug, Clone, PartialEq)]
pub enum HeldContent {
    /// As the source gave it: the body of a page of this row alone.
    Cells {
        /// Labels and CQL types of the cells, as JSON.
        selection: Arc<str>,
        /// The bytes.
        cells: Vec<u8>,
        /// The source's clock at the read, in milliseconds since 1970: TTLs count from it.
        read_at: i64,
    },
    /// As it was on the target, as jsonb made it of the row.
    Loaded(String),
}

impl Ledger {
    /// Writes rows into `kongferry.quarantine`, in the transaction that leaves them out or takes them away.
    pub async fn hold(
        &self,
        transaction: &mut LoadTransaction,
        task: Option<i32>,
        rows: &[HeldRow],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        // By COPY: values never stand in a statement, nor among the parameters that a server may log.
        let columns = COLUMNS.map(str::to_owned);
        let mut copy = transaction.copy_into(SCHEMA, "quarantine", &columns).await?;
        for row in rows {
            let tuple = tuple(self.run, task, row).ok_or_else(|| {
                Error::new(
                    ErrorKind::Target,
                    format!("{} row {} is too large for quarantine", row.table, row.key),
                )
            })?;
            copy.send(tuple.into()).await.map_err(Error::from)?;
        }
        let written = copy.finish().await.map_err(Error::from)?;
        if usize::try_from(written).is_ok_and(|written| written == rows.len()) {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Target, "rows vanished on their way into quarantine")
            .remedy("look for rules or triggers on kongferry.quarantine"))
    }

    /// Writes a signed line: loaded rows were changed, taken away (negative) or added after their split was done, in the
    /// transaction that does it. `digest` is what this adds to the content of the table, a [`ContentSum`] as text.
    pub async fn changed(
        &self,
        transaction: &mut LoadTransaction,
        task: Option<i32>,
        table: &str,
        why: Why,
        rows: i64,
        digest: Option<&str>,
    ) -> Result<()> {
        let why = to_json(&why)?;
        transaction
            .execute(
                format!("cannot write a change of {table} into the ledger"),
                "INSERT INTO kongferry.change (run, task, table_name, why, rows, digest)
                 VALUES ($1, $2, $3, $4::text::jsonb #>> '{}', $5, $6)",
                &[&self.run, &task, &table, &why, &rows, &digest],
            )
            .await
            .map(drop)
    }
}

impl Ledger {
    /// Writes down the rows (table and key) that the target refused and that stay behind, in the transaction that loads the others.
    pub async fn leave_behind(
        &self,
        transaction: &mut LoadTransaction,
        task: i32,
        rows: &[(String, String)],
    ) -> Result<()> {
        let (tables, keys): (Vec<&str>, Vec<&str>) =
            rows.iter().map(|(table, key)| (&**table, &**key)).unzip();
        transaction
            .execute(
                "cannot write into the ledger which rows stay behind",
                "INSERT INTO kongferry.accounted (run, task, table_name, key)
                 SELECT $1, $2, t, k FROM unnest($3::text[], $4::text[]) r (t, k)",
                &[&self.run, &task, &tables, &keys],
            )
            .await
            .map(drop)
    }

    /// Keys of the rows that are in quarantine, or were left behind after the target had seen them, by table.
    pub async fn held_keys(&self) -> Result<BTreeMap<String, BTreeSet<String>>> {
        let sql = "SELECT table_name, key, NULL::text[] FROM kongferry.quarantine WHERE run = $1 AND state = 'held'
                   UNION ALL SELECT table_name, key, columns FROM kongferry.accounted WHERE run = $1 AND columns IS NULL";
        let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (table, key, _) in self.keys(sql).await? {
            keys.entry(table).or_default().insert(key);
        }
        Ok(keys)
    }

    /// Keys of the rows that were repaired on the target, by table, with the columns that differ from the source for it.
    pub async fn repaired_keys(&self) -> Result<BTreeMap<String, BTreeMap<String, Vec<String>>>> {
        let sql =
            "SELECT table_name, key, columns FROM kongferry.accounted WHERE run = $1 AND columns IS NOT NULL";
        let mut keys: BTreeMap<String, BTreeMap<String, Vec<String>>> = BTreeMap::new();
        for (table, key, columns) in self.keys(sql).await? {
            keys.entry(table).or_default().entry(key).or_default().extend(columns.unwrap_or_default());
        }
        Ok(keys)
    }

    async fn keys(&self, sql: &str) -> Result<Vec<(String, String, Option<Vec<String>>)>> {
        let what = "read which rows are accounted for";
        let client = self.target.client().await?;
        let rows = client.query(sql, &[&self.run]).await;
        rows.map_err(|error| failure::statement(&error, format!("cannot {what}")))?
            .iter()
            .map(|row| {
                let read =
                    || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
                read().map_err(|_| unexpected(what))
            })
            .collect()
    }

    /// What the signed lines of the run add to the content of the tables, line by line.
    pub async fn content_changes(&self) -> Result<Vec<(String, ContentSum)>> {
        let what = "read the changes in the ledger";
        let sql = "SELECT table_name, rows, digest FROM kongferry.change WHERE run = $1 ORDER BY place";
        let client = self.target.client().await?;
        let rows = client.query(sql, &[&self.run]).await;
        rows.map_err(|error| failure::statement(&error, format!("cannot {what}")))?
            .iter()
            .map(|row| {
                let read =
                    || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
                let (table, rows, digest): (String, i64, Option<String>) =
                    read().map_err(|_| unexpected(what))?;
                let sum: ContentSum = match digest {
                    Some(text) => text.parse().map_err(|_| unreadable("the digest of a change"))?,
                    None => ContentSum::of_rows(rows),
                };
                Ok((table, sum))
            })
            .collect()
    }
}

/// Why loaded rows were changed afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Why {
    /// They went into quarantine.
    Quarantined,
    /// Their policy is to leave them behind.
    Skipped,
    /// They were repaired.
    Repaired,
    /// They came back from quarantine.
    Retried,
    /// They were read again from a live source.
    ReadAgain,
    /// They expired.
    Expired,
    /// Counters and the like, computed from the rows.
    Derived,
}
