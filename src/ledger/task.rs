//! Tasks: what a run consists of, who may begin with which, and what came of them.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_postgres::Row;

use super::{Ledger, guard, to_json, unexpected, unreadable};
use crate::engine::totals::TableTotals;
use crate::error::Result;
use crate::source::Split;
use crate::target::armour::{Step, StepKind};
use crate::target::{LoadTransaction, failure};

/// Who works on a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// Those who read the source and load.
    Load,
    /// Those who build what follows on the target alone.
    Settle,
}

impl Lane {
    fn as_str(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Settle => "settle",
        }
    }
}

/// The work of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Work {
    /// The bootstrap rows give way to the source's workspaces.
    Seed,
    /// Indexes, constraints and triggers are taken off the tables.
    Disarm,
    /// These splits of a table are loaded, in one transaction.
    Copy(Vec<Split>),
    /// A part of what was taken off is put back.
    Restore(Step),
    /// Rows that break a key are repaired or taken away. Written down when a key is refused.
    Police,
    /// The rows that a table's trigger would have written into `tags`.
    Tags,
    /// Triggers and storage parameters of all tables; the catalogs must then be as they were.
    Finish(Vec<Step>),
    /// Sequences and counters.
    Derive,
    /// VACUUM ANALYZE.
    Vacuum,
}

impl Work {
    /// Its kind in one word, as the names of failpoints have it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Seed => "seed",
            Self::Disarm => "disarm",
            Self::Copy(_) => "copy",
            Self::Restore(step) => match step.kind {
                StepKind::Index => "index",
                StepKind::Keys => "keys",
                StepKind::ForeignKey => "foreign_key",
                StepKind::Validate => "validate",
                StepKind::Finish => "finish",
            },
            Self::Police => "police",
            Self::Tags => "tags",
            Self::Finish(_) => "finish",
            Self::Derive => "derive",
            Self::Vacuum => "vacuum",
        }
    }
}

/// A task to be written into the ledger.
#[derive(Debug, Clone, PartialEq)]
pub struct NewTask {
    /// Who works on it.
    pub lane: Lane,
    /// What is to be done.
    pub work: Work,
    /// What it is called in messages, such as `copy consumers 3`.
    pub label: String,
    /// The table it is about.
    pub table: Option<String>,
    /// The part of the run it belongs to, such as `copy consumers`. A part is done when none of its tasks is open.
    pub part: String,
    /// Parts that must be done before.
    pub needs: Vec<String>,
    /// Of those that can begin, the one with the greatest priority goes first.
    pub priority: i64,
    /// Share of the table's space, for progress.
    pub share: f64,
}

/// A task that was claimed.
#[derive(Debug, Clone, PartialEq)]
pub struct Task {
    /// Its number within the run.
    pub id: i32,
    /// What is to be done.
    pub work: Work,
    /// What it is called in messages.
    pub label: String,
    /// The table it is about.
    pub table: Option<String>,
    /// Share of the table's space.
    pub share: f64,
    /// Whether nobody else had failed or done a task of this part before; only for progress.
    pub part: String,
}

/// How far a part of a run is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskCount {
    /// The part.
    pub part: String,
    /// Its table.
    pub table: Option<String>,
    /// Tasks that are done.
    pub done: u64,
    /// Tasks that are open, those under way included.
    pub open: u64,
    /// Open tasks that nobody works on.
    pub unclaimed: u64,
    /// Open tasks that failed before.
    pub failed: u64,
    /// What the last one said when it failed.
    pub failure: Option<String>,
    /// Rows loaded by the tasks that are done.
    pub rows: u64,
}

impl Ledger {
    /// Writes tasks down.
    pub(super) async fn add_tasks(&self, transaction: &mut LoadTransaction, tasks: &[NewTask]) -> Result<()> {
        self.add_tasks_from(transaction, 1, tasks).await
    }

    /// Writes tasks down, numbered from `first` on.
    pub(super) async fn add_tasks_from(
        &self,
        transaction: &mut LoadTransaction,
        first: i32,
        tasks: &[NewTask],
    ) -> Result<()> {
        let works = tasks.iter().map(|task| to_json(&task.work)).collect::<Result<Vec<_>>>()?;
        // Arrays of arrays must be rectangular, so the needs travel as JSON.
        let needs = tasks.iter().map(|task| to_json(&task.needs)).collect::<Result<Vec<_>>>()?;
        let lanes: Vec<&str> = tasks.iter().map(|task| task.lane.as_str()).collect();
        let labels: Vec<&str> = tasks.iter().map(|task| task.label.as_str()).collect();
        let tables: Vec<Option<&str>> = tasks.iter().map(|task| task.table.as_deref()).collect();
        let parts: Vec<&str> = tasks.iter().map(|task| task.part.as_str()).collect();
        let priorities: Vec<i64> = tasks.iter().map(|task| task.priority).collect();
        let shares: Vec<f64> = tasks.iter().map(|task| task.share).collect();
        transaction
            .execute(
                "cannot write the tasks into the ledger",
                "INSERT INTO kongferry.task (run, id, lane, work, label, table_name, part, needs, priority, share)
                 SELECT $1, $10::integer + t.id::integer - 1, t.lane, t.work::jsonb, t.label, t.table_name, t.part,
                        ARRAY(SELECT pg_catalog.jsonb_array_elements_text(t.needs::jsonb)), t.priority, t.share
                 FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::bigint[],
                                        $9::double precision[])
                      WITH ORDINALITY t (lane, work, label, table_name, part, needs, priority, share, id)",
                &[&self.run, &lanes, &works, &labels, &tables, &parts, &needs, &priorities, &shares, &first],
            )
            .await?;
        Ok(())
    }

    /// Claims the next task of `lane` that can begin: its row stays locked until `transaction` ends. So does the lock of the
    /// run: the session that held it from the start can have ended without this process noticing, and somebody may have undone the
    /// run since.
    ///
    /// # Errors
    /// `Target` when the run was taken over or ended by somebody else.
    pub async fn claim(&self, transaction: &mut LoadTransaction, lane: Lane) -> Result<Option<Task>> {
        guard::hold(transaction).await?;
        let rows = transaction
            .query_prepared(
                "cannot claim a task",
                "WITH waiting AS (
                     SELECT coalesce(array_agg(DISTINCT part), '{}') AS parts FROM kongferry.task
                     WHERE run = $1 AND state = 'open')
                 SELECT t.id, t.work::text, t.label, t.table_name, t.share, t.part FROM kongferry.task t
                 WHERE t.run = $1 AND t.lane = $2 AND t.state = 'open'
                   AND EXISTS (SELECT 1 FROM kongferry.run r WHERE r.id = $1 AND r.state = 'loading') AND NOT t.needs && (SELECT parts FROM waiting)
                 ORDER BY t.priority DESC, t.id LIMIT 1 FOR UPDATE OF t SKIP LOCKED",
                &[&self.run, &lane.as_str()],
            )
            .await?;
        rows.first().map(read_task).transpose()
    }

    /// Marks a claimed task done, in the transaction that did its work.
    pub async fn done(
        &self,
        transaction: &mut LoadTransaction,
        task: &Task,
        totals: &TableTotals,
        worker: &str,
        took: Duration,
    ) -> Result<()> {
        let totals = to_json(totals)?;
        transaction
            .query_prepared(
                format!("cannot mark {} as done in the ledger", task.label),
                "UPDATE kongferry.task SET state = 'done', totals = $3::text::jsonb, worker = $4, seconds = $5, failure = NULL,
                        done_at = clock_timestamp()
                 WHERE run = $1 AND id = $2",
                &[&self.run, &task.id, &totals, &worker, &took.as_secs_f64()],
            )
            .await
            .map(drop)
    }

    /// Notes that a task failed, after its transaction was rolled back. `why` holds no value of a row.
    pub async fn failed(&self, task: &Task, why: &str) -> Result<()> {
        self.target
            .client()
            .await?
            .execute(
                "UPDATE kongferry.task SET failures = failures + 1, failure = $3 WHERE run = $1 AND id = $2 AND state = 'open'",
                &[&self.run, &task.id, &why],
            )
            .await
            .map(drop)
            .map_err(|error| failure::statement(&error, "cannot note a failure in the ledger"))
    }

    /// Open tasks of `lane`, those under way included.
    pub async fn open_tasks(&self, lane: Lane) -> Result<u64> {
        let what = "count the open tasks";
        let sql = "SELECT count(*), (SELECT state = 'loading' FROM kongferry.run WHERE id = $1)
                   FROM kongferry.task WHERE run = $1 AND lane = $2 AND state = 'open'";
        let row = self
            .target
            .client()
            .await?
            .query_one(sql, &[&self.run, &lane.as_str()])
            .await
            .map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        let (open, loading): (i64, Option<bool>) =
            row.try_get(0).and_then(|open| Ok((open, row.try_get(1)?))).map_err(|_| unexpected(what))?;
        if open > 0 && loading != Some(true) {
            return Err(super::taken_over());
        }
        Ok(u64::try_from(open).unwrap_or(0))
    }

    /// What the tasks that are done add up to, by table.
    pub async fn totals(&self) -> Result<Vec<(String, TableTotals)>> {
        let what = "add up the ledger";
        let rows = self
            .target
            .client()
            .await?
            .query(
                "SELECT table_name, totals::text FROM kongferry.task
                 WHERE run = $1 AND state = 'done' AND table_name IS NOT NULL AND lane = 'load'",
                &[&self.run],
            )
            .await
            .map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        rows.iter()
            .map(|row| {
                let read = || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
                let (table, totals): (String, String) = read().map_err(|_| unexpected(what))?;
                Ok((table, serde_json::from_str(&totals).map_err(|_| unreadable("totals"))?))
            })
            .collect()
    }

    /// Seconds that reading the source will take from now on, at the pace of the last five minutes; `None` when nothing was read in
    /// them, or nothing is left to read.
    pub async fn seconds_left(&self) -> Result<Option<f64>> {
        let what = "read how fast the run is";
        // A part of the table's space stands for as many of its rows, which are its priority.
        let sql = "WITH read AS (
                       SELECT state, share * greatest(priority, 1) AS rows, done_at > clock_timestamp() - interval '5 minutes' AS late,
                              extract(epoch FROM clock_timestamp() - done_at + seconds * interval '1 second') AS ago
                       FROM kongferry.task WHERE run = $1 AND part LIKE 'copy %')
                   SELECT (sum(rows) FILTER (WHERE state = 'open') * least(max(ago) FILTER (WHERE late), 300)
                           / nullif(sum(rows) FILTER (WHERE late), 0))::double precision FROM read";
        let client = self.target.client().await?;
        let row = client.query_one(sql, &[&self.run]).await;
        let row = row.map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        row.try_get(0).map_err(|_| unexpected(what))
    }

    /// How far each part is, in the order in which the run goes through them.
    pub async fn progress(&self) -> Result<Vec<TaskCount>> {
        let what = "read how far the run is";
        // Whoever works on a task holds its row locked; all locks taken here end with the transaction.
        let mut transaction = self.target.begin().await?;
        let rows = transaction
            .query(
                format!("cannot {what}"),
                "WITH unclaimed AS (
                     SELECT id FROM kongferry.task WHERE run = $1 AND state = 'open' FOR UPDATE SKIP LOCKED)
                 SELECT part, max(table_name), count(*) FILTER (WHERE state = 'done'), count(*) FILTER (WHERE state = 'open'),
                        count(u.id), count(*) FILTER (WHERE state = 'open' AND failures > 0), max(failure),
                        coalesce(sum((totals->>'loaded')::bigint), 0)::bigint
                 FROM kongferry.task t LEFT JOIN unclaimed u USING (id) WHERE run = $1 GROUP BY part ORDER BY min(t.id)",
                &[&self.run],
            )
            .await?;
        transaction.rollback().await?;
        rows.iter().map(read_count).collect::<Result<_, _>>().map_err(|_| unexpected(what))
    }
}

fn read_task(row: &Row) -> Result<Task> {
    let what = "read a task";
    let read = || {
        Ok::<_, tokio_postgres::Error>((
            row.try_get::<_, i32>(0)?,
            row.try_get::<_, String>(1)?,
            row.try_get(2)?,
            row.try_get(3)?,
            row.try_get(4)?,
            row.try_get(5)?,
        ))
    };
    let (id, work, label, table, share, part) = read().map_err(|_| unexpected(what))?;
    let work = serde_json::from_str(&work).map_err(|_| unreadable("a task"))?;
    Ok(Task { id, work, label, table, share, part })
}

fn read_count(row: &Row) -> Result<TaskCount, tokio_postgres::Error> {
    let count = |index: usize| Ok(u64::try_from(row.try_get::<_, i64>(index)?).unwrap_or(0));
    Ok(TaskCount {
        part: row.try_get(0)?,
        table: row.try_get(1)?,
        done: count(2)?,
        open: count(3)?,
        unclaimed: count(4)?,
        failed: count(5)?,
        failure: row.try_get(6)?,
        rows: count(7)?,
    })
}
