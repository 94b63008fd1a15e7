//! The run itself: written down in the ledger, worked off by a crew, and at its end both sides are counted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use uuid::Uuid;

use super::crew::Crew;
use super::events::{Event, Events};
use super::lookout::Noticed;
use super::plan::Plan;
use super::preflight::Sides;
use super::tasks::tasks;
use super::totals::TableTotals;
use super::workers::{GIVING_UP, Stop};
use crate::canonical::ContentSum;
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::ledger::{Guard, Lane, Ledger, Run, RunState, TableAccounts, Terms};
use crate::target::armour::{Armour, Resources};
use crate::verify::counts::{self, Basis, TableCount};
use crate::verify::proof::{Proof, prove};

/// How many work on a run in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hands {
    /// Splits that are read and loaded at the same time.
    pub loaders: usize,
    /// Indexes and constraints that are built at the same time.
    pub settlers: usize,
}

/// What came of a run.
#[derive(Debug)]
pub struct Landed {
    /// The counts of both sides.
    pub counted: Vec<TableCount>,
    /// The content of the target, compared with what was sent.
    pub proof: Proof,
    /// How long that took.
    pub proving: Duration,
}

impl Landed {
    /// Whether both sides hold the same.
    ///
    /// # Errors
    /// `Difference`, with the tables that differ.
    pub fn verdict(&self) -> Result<()> {
        counts::verdict(&self.counted)?;
        self.proof.verdict()
    }
}

/// What a run needs besides both servers.
pub struct Voyage<'a> {
    /// Both servers.
    pub sides: &'a Sides,
    /// What is copied.
    pub plan: Arc<Plan>,
    /// How many work on it.
    pub hands: Hands,
    /// Memory and parallelism of each index build.
    pub resources: Resources,
    /// Whether to end.
    pub stop: &'a Stop,
    /// Who is told.
    pub events: &'a Events,
    /// What happened meanwhile that belongs into the result.
    pub noticed: Noticed,
}

impl Voyage<'_> {
    /// Begins a run: writes it down, then works it off.
    ///
    /// # Errors
    /// The first failure. What was committed stays on the target, each task whole, and the run can be resumed or undone.
    pub async fn begin(&self, id: Uuid, terms: Terms, armour: Option<Armour>) -> Result<Landed> {
        let guard = Guard::alone(&self.sides.target).await?;
        let tasks = tasks(&self.plan, &self.sides.catalog, armour.as_ref());
        let ledger = Ledger::begin(&self.sides.target, id, &terms, armour.as_ref(), &tasks)
            .await
            .map_err(Error::before_writing)?;
        guard.share().await?;
        let counted = self.finish(ledger, terms.started, armour.map(Arc::new)).await;
        drop(guard);
        counted
    }

    /// Goes on with a run where it stands.
    pub async fn resume(&self, run: Run) -> Result<Landed> {
        let guard = Guard::shared(&self.sides.target).await?;
        let ledger = Ledger::new(self.sides.target.clone(), run.id);
        let counted = self.finish(ledger, run.terms.started, run.armour.map(Arc::new)).await;
        drop(guard);
        counted
    }

    /// Takes tasks of a run that another process leads, until none is open.
    pub async fn join(&self, run: Run) -> Result<()> {
        let guard = Guard::shared(&self.sides.target).await?;
        let ledger = Ledger::new(self.sides.target.clone(), run.id);
        let worked = self.work(&ledger, run.terms.started, run.armour.map(Arc::new)).await;
        drop(guard);
        worked
    }

    async fn finish(&self, ledger: Ledger, started: i64, armour: Option<Arc<Armour>>) -> Result<Landed> {
        // Where the triggers stayed on, they have written the tags themselves.
        let tagged = armour.as_ref().map_or_else(Vec::new, |armour| self.tagged(armour));
        self.work(&ledger, started, armour).await?;
        self.stop.bound(GIVING_UP, self.end(&ledger, started, &tagged)).await.map_err(left_behind)
    }

    async fn end(&self, ledger: &Ledger, started: i64, tagged: &[String]) -> Result<Landed> {
        let totals = self.totals(ledger).await?;
        self.events.stage("Counting both sides");
        let accounts = ledger.accounts().await?;
        for (table, totals) in self.plan.tables.iter().zip(&totals) {
            let nothing = TableAccounts::default();
            accounts.get(&table.table).unwrap_or(&nothing).check(&table.table, totals)?;
        }
        let counted =
            counts::compare(&self.sides.target, &self.plan, &totals, &accounts, Basis::Ledger).await?;
        self.events.stage("Reading the target back and comparing it with what was sent");
        let begun = Instant::now();
        let expected = self.expected(ledger, &totals).await?;
        let streams = self.hands.loaders;
        let proof =
            prove(&self.sides.target, &self.plan, &expected, tagged, started, streams, self.stop).await?;
        let landed = Landed { counted, proof, proving: begun.elapsed() };
        if landed.verdict().is_ok() {
            failpoint::pass("run", "counted");
            let mut transaction = self.sides.target.begin().await?;
            ledger.end(&mut transaction, RunState::Done).await?;
            failpoint::pass("run", "noted");
            transaction.commit().await?;
            failpoint::pass("run", "done");
        }
        Ok(landed)
    }

    /// Tables of the run whose entities have rows in `tags`.
    fn tagged(&self, armour: &Armour) -> Vec<String> {
        let copied = self.plan.copied();
        armour.tagged().into_iter().filter(|table| copied.contains(table)).collect()
    }

    /// What the ledger says that the target holds, by position of the table in the plan: the rows that were sent, and every
    /// change since.
    async fn expected(&self, ledger: &Ledger, totals: &[TableTotals]) -> Result<Vec<ContentSum>> {
        let mut expected: Vec<ContentSum> = totals.iter().map(|totals| totals.content.clone()).collect();
        for (name, change) in ledger.content_changes().await? {
            let position = self.plan.tables.iter().position(|table| table.table == name);
            if let Some(sum) = position.and_then(|position| expected.get_mut(position)) {
                sum.merge(&change);
            }
        }
        Ok(expected)
    }

    async fn work(&self, ledger: &Ledger, started: i64, armour: Option<Arc<Armour>>) -> Result<()> {
        let tables = &self.plan.tables;
        let told = tables.iter().map(|table| (table.table.clone(), table.estimate)).collect();
        self.events.tell(Event::Tables(told));
        self.events.tell(Event::Steps(ledger.open_tasks(Lane::Settle).await?));
        let crew = Crew {
            sides: self.sides.clone(),
            plan: Arc::clone(&self.plan),
            ledger: ledger.clone(),
            armour,
            resources: self.resources,
            started,
            stop: self.stop.clone(),
            events: self.events.clone(),
            worker: worker_name().into(),
            noticed: self.noticed.clone(),
        };
        let Err(failure) = crew.work(self.hands.loaders, self.hands.settlers).await else { return Ok(()) };
        if failure.kind() == ErrorKind::Preflight {
            // Only the first task refuses, before it changes anything: the next run may begin at once.
            let mut transaction = self.sides.target.begin().await?;
            ledger.end(&mut transaction, RunState::Undone).await?;
            transaction.commit().await?;
        }
        Err(left_behind(failure))
    }

    /// Sums of the ledger, by position of the table in the plan.
    async fn totals(&self, ledger: &Ledger) -> Result<Vec<TableTotals>> {
        let mut totals = vec![TableTotals::default(); self.plan.tables.len()];
        for (name, part) in ledger.totals().await? {
            let position = self.plan.tables.iter().position(|table| table.table == name);
            match position.and_then(|position| totals.get_mut(position)) {
                Some(sum) => sum.merge(part),
                None => {
                    return Err(Error::new(
                        ErrorKind::Internal,
                        format!("the ledger has rows of {name}, which is not in the plan"),
                    ));
                }
            }
        }
        Ok(totals)
    }
}

/// Host and process.
pub fn worker_name() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "host" } else { host.trim() };
    format!("{host}/{}", std::process::id())
}

/// Says what a run that broke off leaves, and both ways from there.
fn left_behind(failure: Error) -> Error {
    let ways = "the source is untouched, and whatever was committed on the target is in its ledger: `kongferry migrate --resume` \
                goes on from there, `kongferry undo` puts the target back as it was before";
    match failure.kind() {
        ErrorKind::Preflight => failure,
        ErrorKind::Interrupted => failure.remedy(ways),
        _ => failure.and_remedy(ways),
    }
}
