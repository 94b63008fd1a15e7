//! Those who work on a run: each claims one task at a time and owns it from its claim to its commit.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::events::{Event, Events};
use super::lookout::{self, Noticed};
use super::perform::{Performed, perform, shown};
use super::plan::Plan;
use super::preflight::Sides;
use super::workers::{GIVING_UP, Stop, interruption};
use crate::error::{Error, ErrorKind, Result};
use crate::failpoint;
use crate::ledger::{Lane, Ledger, Task, Work};
use crate::target::armour::{Armour, Resources};

/// Longest wait before the ledger is looked at again: others may have done what a task waits for.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// So long nobody wonders why nothing happens: a table or an index may keep another process busy.
const SAY_THAT_IT_WAITS: Duration = Duration::from_secs(20);
/// Deadlocks after which a worker takes them for a failure.
const MOST_COLLISIONS: u32 = 20;
/// A table's shares add up to 1, but for rounding.
const WHOLE: f64 = 0.999_999;

/// What all of them share. Cheap to clone.
#[derive(Clone)]
pub struct Crew {
    /// Both servers; the catalog is that of the target before the run.
    pub sides: Sides,
    /// What is copied, and how.
    pub plan: Arc<Plan>,
    /// The ledger of the run.
    pub ledger: Ledger,
    /// What is taken off the tables.
    pub armour: Option<Arc<Armour>>,
    /// Memory and parallelism of each index build.
    pub resources: Resources,
    /// The run's start in seconds since 1970.
    pub started: i64,
    /// Whether to end.
    pub stop: Stop,
    /// Who is told.
    pub events: Events,
    /// Host and process, for the ledger.
    pub worker: Arc<str>,
    /// What the user should also see in the result.
    pub noticed: Noticed,
}

/// What they share while they work.
#[derive(Debug, Default)]
struct Shared {
    /// A part of the run is done: what waited for it can begin.
    done: Notify,
    /// Open tasks by part, as far as this process knows.
    open: Mutex<BTreeMap<String, u64>>,
    failures: Mutex<Vec<Error>>,
    /// Share of each table that this process has done.
    shares: Mutex<Vec<f64>>,
    /// Tasks this process works on, and when that last changed.
    under_way: Mutex<(usize, Option<Instant>)>,
    said_that_it_waits: AtomicBool,
}

impl Crew {
    /// Works with so many on loading and so many on settling until nothing of the run is open.
    ///
    /// # Errors
    /// The first failure; others are told as notices. What was committed stays, each task whole.
    pub async fn work(&self, loaders: usize, settlers: usize) -> Result<()> {
        let open = self.ledger.progress().await?.into_iter().map(|part| (part.part, part.open)).collect();
        let none_done = vec![0.0; self.plan.tables.len()];
        let shared =
            Arc::new(Shared { open: Mutex::new(open), shares: Mutex::new(none_done), ..Shared::default() });
        let mut tasks = JoinSet::new();
        for (lane, count) in [(Lane::Load, loaders.max(1)), (Lane::Settle, settlers.max(1))] {
            for _ in 0..count {
                let (crew, shared) = (self.clone(), Arc::clone(&shared));
                tasks.spawn(async move {
                    if let Err(failure) = crew.work_on(lane, &shared).await {
                        crew.stop.ask();
                        shared.note(failure);
                    }
                });
            }
        }
        let all = async {
            while let Some(joined) = tasks.join_next().await {
                if joined.is_err() {
                    self.stop.ask();
                    shared.note(Error::new(ErrorKind::Internal, "a worker ended without an outcome"));
                }
            }
        };
        // Whoever is still at work then is dropped with its connection.
        tokio::select! {
            () = all => {}
            silent = lookout::look(&self.sides.target, &self.events, &self.noticed) => shared.note(silent),
            () = self.stop.interrupted_for(GIVING_UP) => shared.note(interruption()),
        }
        drop(tasks);
        let mut failures = std::mem::take(&mut *shared.failures());
        if failures.iter().any(|failure| failure.kind() != ErrorKind::Interrupted) {
            failures.retain(|failure| failure.kind() != ErrorKind::Interrupted);
        }
        let mut failures = failures.into_iter();
        let Some(first) = failures.next() else { return Ok(()) };
        for other in failures.filter(|other| other.kind() != ErrorKind::Interrupted) {
            self.events.notice(format!("failed as well: {other}"));
        }
        Err(first)
    }

    /// One of them: until nothing in the lane is open, or somebody asks to end.
    async fn work_on(&self, lane: Lane, shared: &Shared) -> Result<()> {
        let mut collisions = 0;
        loop {
            self.stop.check()?;
            let done = shared.done.notified();
            let mut transaction = self.sides.target.begin().await?;
            let Some(task) = self.ledger.claim(&mut transaction, lane).await? else {
                transaction.rollback().await?;
                if self.ledger.open_tasks(lane).await? == 0 {
                    return Ok(());
                }
                self.say_that_it_waits(shared);
                // Long enough not to load the server, short enough not to be noticed.
                let _ = tokio::time::timeout(LOOK_AGAIN, done).await;
                continue;
            };
            shared.begins();
            failpoint::pass(task.work.kind(), "claimed");
            let begun = Instant::now();
            let outcome: Result<bool> = async {
                let performed = perform(self, transaction, &task).await;
                let performed = match task.work {
                    Work::Seed => performed?,
                    // The seed has changed something.
                    _ => performed.map_err(Error::after_writing)?,
                };
                let (mut transaction, totals) = match performed {
                    Performed::Done(transaction, totals) => (transaction, totals),
                    Performed::Postponed(transaction) => {
                        transaction.commit().await?;
                        return Ok(false);
                    }
                };
                failpoint::pass(task.work.kind(), "worked");
                self.ledger.done(&mut transaction, &task, &totals, &self.worker, begun.elapsed()).await?;
                failpoint::pass(task.work.kind(), "noted");
                self.stop.check()?;
                transaction.commit().await?;
                Ok(true)
            }
            .await;
            shared.ends();
            match outcome {
                Ok(done) => {
                    failpoint::pass(task.work.kind(), "done");
                    if done {
                        self.show(&task, shared);
                    }
                    // Idle workers ask the server what they can do, so they are not woken for nothing.
                    if !done || shared.part_is_done(&task.part) {
                        shared.done.notify_waiters();
                    }
                }
                // Its statement was cancelled, perhaps.
                Err(_) if self.stop.interrupted() => return Err(interruption()),
                // Rows that refuse each other, loaded side by side: nothing of this task stayed, and the other one goes on.
                Err(failure) if failure.is_passing() && collisions < MOST_COLLISIONS => collisions += 1,
                Err(failure) => {
                    // The failure matters, not that the ledger could not note it.
                    drop(self.ledger.failed(&task, &failure.to_string()).await);
                    return Err(failure);
                }
            }
        }
    }

    /// Says so once, when this process has nothing to do and another one holds what is left.
    fn say_that_it_waits(&self, shared: &Shared) {
        if shared.idle_for() >= SAY_THAT_IT_WAITS && !shared.said_that_it_waits.swap(true, Ordering::Relaxed)
        {
            self.events.notice(
                "waiting for tasks that other sessions hold: `kongferry status` names these, and how to end one whose host is gone",
            );
        }
    }

    fn show(&self, task: &Task, shared: &Shared) {
        for event in shown(&self.plan, task) {
            if let Event::SplitDone { table, share } = event {
                let mut done = shared.shares.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(sum) = done.get_mut(table) {
                    *sum += share;
                    if *sum >= WHOLE {
                        self.events.tell(Event::TableDone { table });
                    }
                }
            }
            self.events.tell(event);
        }
    }
}

impl Shared {
    fn failures(&self) -> std::sync::MutexGuard<'_, Vec<Error>> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `part` is done with one more of its tasks. Tasks done by other processes are not known; whoever waits looks again.
    fn part_is_done(&self, part: &str) -> bool {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let left = open.get_mut(part).map_or(0, |left| {
            *left = left.saturating_sub(1);
            *left
        });
        left == 0
    }

    fn begins(&self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        *under_way = (under_way.0 + 1, None);
    }

    fn ends(&self) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        *under_way = (under_way.0.saturating_sub(1), None);
    }

    /// How long this process has had nothing to do.
    fn idle_for(&self) -> Duration {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.0 > 0 {
            return Duration::ZERO;
        }
        under_way.1.get_or_insert_with(Instant::now).elapsed()
    }

    fn note(&self, failure: Error) {
        self.failures().push(failure);
    }
}
