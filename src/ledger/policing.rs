//! Policing in the ledger: written down when a key is refused, alone with the tables, and what it changed.

use std::collections::BTreeMap;

use super::quarantine::Why;
use super::task::{Lane, NewTask, Task, Work};
use super::{Ledger, to_json, unexpected, unreadable};
use crate::error::Result;
use crate::policy::{Keep, Policies, PolicyChoice};
use crate::target::{LoadTransaction, failure};

/// Times that one step may be refused before its failure counts: policing leaves nothing behind that could refuse it again,
/// but rows that are deleted can still be seen by others.
const ROUNDS: i64 = 3;

/// What a refused step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Postponed {
    /// Its rows are policed, then it comes again.
    UntilPoliced,
    /// Policing has been there and found nothing that it could take away.
    InVain,
}

/// What is to be done with the rows that are found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orders {
    /// What becomes of each class.
    pub policies: Policies,
    /// Which of several rows with the same key stays, if somebody decided.
    pub on_duplicate: Option<Keep>,
    /// Whether the source is written while it is read.
    pub live: bool,
}

/// What later changes of one kind did to the loaded rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Change {
    /// Rows that came.
    pub added: u64,
    /// Rows that went.
    pub removed: u64,
}

impl Change {
    /// Rows that came less those that went.
    pub fn sum(self) -> i64 {
        let signed = |rows: u64| i64::try_from(rows).unwrap_or(i64::MAX);
        signed(self.added) - signed(self.removed)
    }
}

impl Ledger {
    /// Postpones the claimed `task`, which was refused for what stands in the rows, until these are policed; in the transaction
    /// that claimed it, which is to be committed without marking it done. `needs` are the parts that load rows.
    pub async fn postpone(
        &self,
        transaction: &mut LoadTransaction,
        task: &Task,
        needs: Vec<String>,
    ) -> Result<Postponed> {
        let what = "write into the ledger that rows are to be policed";
        let failed = || format!("cannot {what}");
        // Two steps may be refused at once. Rows that refer to the run can still be written meanwhile.
        let lock = "SELECT 1 FROM kongferry.run WHERE id = $1 FOR NO KEY UPDATE";
        transaction.query(failed(), lock, &[&self.run]).await?;
        let sql = "
            SELECT (SELECT max(p.part) FROM kongferry.task p WHERE p.run = t.run AND p.work = '\"police\"' AND p.state = 'open'),
                   (SELECT count(*) FROM kongferry.task p
                    WHERE p.run = t.run AND p.work = '\"police\"' AND p.state = 'done' AND p.part = ANY (t.needs)),
                   (SELECT count(*) FROM kongferry.task p
                    WHERE p.run = t.run AND p.work = '\"police\"' AND p.state = 'done' AND p.part = ANY (t.needs)
                      AND p.id = (SELECT max(l.id) FROM kongferry.task l
                                  WHERE l.run = t.run AND l.work = '\"police\"' AND l.part = ANY (t.needs))
                      AND NOT EXISTS (SELECT 1 FROM kongferry.change c WHERE c.run = p.run AND c.task = p.id)),
                   (SELECT coalesce(max(p.id), 0) + 1 FROM kongferry.task p WHERE p.run = t.run)
            FROM kongferry.task t WHERE t.run = $1 AND t.id = $2";
        let rows = transaction.query(failed(), sql, &[&self.run, &task.id]).await?;
        let row = rows.first().ok_or_else(|| unexpected(what))?;
        let read = || {
            Ok::<_, tokio_postgres::Error>((
                row.try_get(0)?,
                row.try_get(1)?,
                row.try_get(2)?,
                row.try_get(3)?,
            ))
        };
        let (open, waited, in_vain, next): (Option<String>, i64, i64, i32) =
            read().map_err(|_| unexpected(what))?;
        if in_vain > 0 || waited >= ROUNDS {
            return Ok(Postponed::InVain);
        }
        let part = if let Some(part) = open {
            part
        } else {
            let part = format!("police {next}");
            let police = NewTask {
                lane: Lane::Settle,
                work: Work::Police,
                label: "policing rows that break keys".to_owned(),
                table: None,
                part: part.clone(),
                needs,
                priority: i64::MAX,
                share: 0.0,
            };
            self.add_tasks_from(transaction, next, &[police]).await?;
            part
        };
        transaction
            .execute(
                failed(),
                "UPDATE kongferry.task SET needs = needs || $3::text WHERE run = $1 AND id = $2",
                &[&self.run, &task.id, &part],
            )
            .await?;
        Ok(Postponed::UntilPoliced)
    }

    /// Waits until nobody works on any other step on the target, and keeps others from beginning one before `transaction` ends.
    /// Who works on a task holds its row locked, so no table lock can be in the way of another.
    pub async fn be_alone(&self, transaction: &mut LoadTransaction, task: i32) -> Result<()> {
        transaction
            .query(
                "cannot wait for the other steps of the run",
                "SELECT id FROM kongferry.task WHERE run = $1 AND state = 'open' AND lane = 'settle' AND id <> $2
                 ORDER BY id FOR UPDATE",
                &[&self.run, &task],
            )
            .await
            .map(drop)
    }

    /// Opens tasks of these parts again that are done; returns how many.
    pub async fn reopen(&self, transaction: &mut LoadTransaction, parts: &[String]) -> Result<u64> {
        transaction
            .execute(
                "cannot open steps of the ledger again",
                "UPDATE kongferry.task SET state = 'open', totals = NULL, worker = NULL, done_at = NULL, seconds = NULL
                 WHERE run = $1 AND part = ANY ($2) AND state = 'done'",
                &[&self.run, &parts],
            )
            .await
    }

    /// Tables whose rows of `tags` have been written.
    pub async fn tables_with_tags(&self, transaction: &mut LoadTransaction) -> Result<Vec<String>> {
        let what = "see which tags have been written";
        let sql =
            "SELECT table_name FROM kongferry.task WHERE run = $1 AND work = '\"tags\"' AND state = 'done'";
        let rows = transaction.query(format!("cannot {what}"), sql, &[&self.run]).await?;
        rows.iter().map(|row| row.try_get(0).map_err(|_| unexpected(what))).collect()
    }

    /// What the run is to do with bad rows, as the ledger has it now.
    pub async fn orders(&self, transaction: &mut LoadTransaction) -> Result<Orders> {
        let what = "read what becomes of bad rows";
        let sql = "SELECT (terms->'policies')::text, (terms->'on_duplicate')::text,
                          coalesce((terms->>'live')::boolean, false) FROM kongferry.run WHERE id = $1";
        let rows = transaction.query(format!("cannot {what}"), sql, &[&self.run]).await?;
        let row = rows.first().ok_or_else(|| unexpected(what))?;
        let read = || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (policies, keep, live): (Option<String>, Option<String>, bool) =
            read().map_err(|_| unexpected(what))?;
        let parse = |_| unreadable("policies");
        Ok(Orders {
            policies: policies
                .map_or(Ok(Policies::default()), |text| serde_json::from_str(&text))
                .map_err(parse)?,
            live,
            on_duplicate: keep.map_or(Ok(None), |text| serde_json::from_str(&text)).map_err(parse)?,
        })
    }

    /// Writes a decision that was made after the beginning into the terms of the run.
    pub async fn decide(&self, on_duplicate: Option<Keep>, on_orphan: Option<PolicyChoice>) -> Result<()> {
        let what = "write the decision into the ledger";
        let client = self.target.client().await?;
        let failed = |error: tokio_postgres::Error| failure::statement(&error, format!("cannot {what}"));
        if let Some(keep) = on_duplicate {
            let sql = "UPDATE kongferry.run SET terms = jsonb_set(terms, '{on_duplicate}', $2::text::jsonb) WHERE id = $1";
            client.execute(sql, &[&self.run, &to_json(&keep)?]).await.map_err(failed)?;
        }
        if let Some(choice) = on_orphan {
            let sql = "UPDATE kongferry.run SET terms = jsonb_set(terms, ARRAY['policies', $2], $3::text::jsonb) WHERE id = $1";
            let policy = to_json(&choice.policy)?;
            client.execute(sql, &[&self.run, &choice.class.as_str(), &policy]).await.map_err(failed)?;
        }
        Ok(())
    }

    /// What was changed of the loaded rows afterwards, by table and reason. A repaired row went in one form and came in
    /// another.
    pub async fn changes(&self) -> Result<BTreeMap<(String, Why), Change>> {
        let what = "add up the changes in the ledger";
        let sql = "SELECT table_name, pg_catalog.to_json(why)::text, coalesce(sum(rows) FILTER (WHERE rows > 0), 0)::bigint,
                          coalesce(-sum(rows) FILTER (WHERE rows < 0), 0)::bigint
                   FROM kongferry.change WHERE run = $1 GROUP BY 1, why";
        let client = self.target.client().await?;
        let rows = client.query(sql, &[&self.run]).await;
        let rows = rows.map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        let mut changes = BTreeMap::new();
        for row in rows {
            let read = || {
                Ok::<_, tokio_postgres::Error>((
                    row.try_get(0)?,
                    row.try_get(1)?,
                    row.try_get(2)?,
                    row.try_get(3)?,
                ))
            };
            let (table, why, added, removed): (String, String, i64, i64) =
                read().map_err(|_| unexpected(what))?;
            let why: Why = serde_json::from_str(&why).map_err(|_| unreadable("a change"))?;
            let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
            changes.insert((table, why), Change { added: count(added), removed: count(removed) });
        }
        Ok(changes)
    }
}
