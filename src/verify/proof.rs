//! The proof: the target, read back on one snapshot, holds the very rows that the ledger says were sent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use crate::canonical::{CLASS_SECONDS, ContentSum, Digest, OtherLayout, RowForm, Scratch, whole_minute};
use crate::engine::plan::{Plan, TablePlan};
use crate::engine::totals::EXPIRY_HORIZON_SECONDS;
use crate::engine::workers::Stop;
use crate::error::{Error, ErrorKind, Result};
use crate::report::table::{counted, grouped};
use crate::target::{LoadTransaction, Moment, Target, TupleStream, tags};

/// Rows that expire later than this after the snapshot need not be told apart: seconds, more than a minute.
const EXPIRED_AHEAD_SECONDS: i64 = 120;

/// What the proof found in one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableProof {
    /// Its name.
    pub table: String,
    /// Rows and digest by the ledger.
    pub expected: (i64, Digest),
    /// Rows and digest on the target.
    pub found: (i64, Digest),
}

impl TableProof {
    /// Whether they are the same.
    pub fn agrees(&self) -> bool {
        self.expected == self.found
    }
}

/// What the proof found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proof {
    /// By position of the table in the plan.
    pub tables: Vec<TableProof>,
    /// Rows of `tags` that are not those of their entities.
    pub tags_astray: u64,
}

impl Proof {
    /// What was proved, for people.
    pub fn summary(&self) -> String {
        let mut digest = Digest::default();
        let mut rows = 0;
        for table in &self.tables {
            digest = digest.plus(table.found.1);
            rows += u64::try_from(table.found.0).unwrap_or(0);
        }
        let tables = u64::try_from(self.tables.len()).unwrap_or(u64::MAX);
        format!("{} in {} verified, digest {digest}", counted(rows, "row"), counted(tables, "table"))
    }

    /// An error that names every table whose content is another.
    ///
    /// # Errors
    /// `Difference` when there is one.
    pub fn verdict(&self) -> Result<()> {
        let mut different: Vec<String> =
            self.tables.iter().filter(|table| !table.agrees()).map(describe).collect();
        if self.tags_astray > 0 {
            different
                .push(format!("tags ({} are not those of their entities)", counted(self.tags_astray, "row")));
        }
        if different.is_empty() {
            return Ok(());
        }
        Err(Error::new(
            ErrorKind::Difference,
            format!("the target does not hold what was read from the source: {}", different.join(", ")),
        )
        .remedy(
            "`kongferry verify` names the rows and columns. Was a Gateway or another tool writing on the target, or does a \
             trigger or rule of its own change rows there? `kongferry undo` puts the target back; do not switch over",
        ))
    }
}

fn describe(table: &TableProof) -> String {
    let count = |rows: i64| grouped(u64::try_from(rows).unwrap_or(0));
    if table.expected.0 == table.found.0 {
        format!("{} ({} rows, content differs)", table.table, count(table.found.0))
    } else {
        let (expected, found) = (count(table.expected.0), count(table.found.0));
        format!("{} ({expected} rows sent, target holds {found})", table.table)
    }
}

/// Reads the tables of `plan` back, in as many `streams`, and compares each with what the ledger says of it (`expected`, by
/// position). Rows that have expired by now may be there or not. `tags` must be what the entities of the `tagged` tables say. `started` is the run's start in seconds since 1970.
pub async fn prove(
    target: &Target,
    plan: &Plan,
    expected: &[ContentSum],
    tagged: &[String],
    started: i64,
    streams: usize,
    stop: &Stop,
) -> Result<Proof> {
    let mut moment = Moment::take(target).await?;
    // The ledger tells rows apart by their expiry no further ahead than this.
    let alive_from = whole_minute(moment.now()).min(started + EXPIRY_HORIZON_SECONDS - CLASS_SECONDS);
    let mut parts = VecDeque::new();
    for table in &plan.tables {
        for part in moment.parts(target, &table.table).await? {
            parts.push_back((Arc::clone(table), part));
        }
    }
    let mut session = moment.session(target).await?;
    let (found, tags_astray) = tokio::join!(
        add_up(target, &moment, parts, plan.tables.len(), streams, stop),
        tags::astray(&mut session, target.schema(), tagged)
    );
    let tags_astray = tags_astray?;
    session.rollback().await?;
    moment.end().await?;
    let tables = plan.tables.iter().zip(expected).zip(found?);
    Ok(Proof {
        tags_astray,
        tables: tables
            .map(|((table, expected), found)| TableProof {
                table: table.table.clone(),
                expected: expected.alive_from(alive_from),
                found: found.alive_from(alive_from),
            })
            .collect(),
    })
}

/// A table and the condition of one of its parts.
type Part = (Arc<TablePlan>, Option<String>);

/// Adds up what the parts hold, by position of the table.
async fn add_up(
    target: &Target,
    moment: &Moment,
    parts: VecDeque<Part>,
    tables: usize,
    streams: usize,
    stop: &Stop,
) -> Result<Vec<ContentSum>> {
    let streams = streams.clamp(1, parts.len().max(1));
    let parts = Arc::new(Mutex::new(parts));
    let horizon = moment.now();
    let mut readers: JoinSet<Result<Vec<ContentSum>>> = JoinSet::new();
    for _ in 0..streams {
        let mut session = moment.session(target).await?;
        let (parts, stop) = (Arc::clone(&parts), stop.clone());
        readers.spawn(async move {
            let mut sums = vec![ContentSum::default(); tables];
            loop {
                stop.check()?;
                let next = parts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((table, part)) = next else { break };
                let tuples = session.copy_out(&table.table, &table.columns, part.as_deref()).await?;
                let sum = content(tuples, &table.form, horizon + EXPIRED_AHEAD_SECONDS).await?;
                if let Some(all) = sums.get_mut(table.position) {
                    all.merge(&sum);
                }
            }
            session.rollback().await?;
            Ok(sums)
        });
    }
    let mut all = vec![ContentSum::default(); tables];
    while let Some(joined) = readers.join_next().await {
        let sums =
            joined.map_err(|_| Error::new(ErrorKind::Internal, "a reader ended without an outcome"))??;
        for (sum, part) in all.iter_mut().zip(&sums) {
            sum.merge(part);
        }
    }
    Ok(all)
}

/// Adds up the rows of a stream.
async fn content(mut tuples: TupleStream, form: &RowForm, horizon: i64) -> Result<ContentSum> {
    let (mut sum, mut scratch) = (ContentSum::default(), Scratch::default());
    while tuples.receive().await? {
        let (bytes, mut at) = (tuples.tuples(), 0);
        loop {
            match form.digest(bytes.get(at..).unwrap_or_default(), &mut scratch) {
                Ok(Some((row, length))) => {
                    sum.add(row, horizon);
                    at += length;
                }
                Ok(None) => break,
                Err(OtherLayout) => return Err(tuples.unexpected()),
            }
        }
        tuples.take(at);
    }
    if tuples.tuples().is_empty() { Ok(sum) } else { Err(tuples.unexpected()) }
}

/// Adds up the rows of `table` that satisfy `condition`, an SQL expression over `t` without literals of rows, as `transaction`
/// sees them. Whoever changes loaded rows does so before and after: the ledger's line is one less the other.
///
/// `started` is the run's start in seconds since 1970.
pub async fn content_of(
    transaction: &mut LoadTransaction,
    table: &TablePlan,
    condition: Option<&str>,
    started: i64,
) -> Result<ContentSum> {
    let tuples = transaction.copy_out(&table.table, &table.columns, condition).await?;
    content(tuples, &table.form, started + EXPIRY_HORIZON_SECONDS).await
}
