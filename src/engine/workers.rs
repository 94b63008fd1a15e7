//! Workers: each takes one piece of work at a time and owns it from its first page to its end.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::events::{Event, Events};
use super::plan::TablePlan;
use super::totals::TableTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Split;

/// How long work that is under way may go on after an interruption, before its statements are cancelled on the target.
pub const FINISHING: Duration = Duration::from_secs(3);
/// When it is given up, though no answer has come: connections are closed, and the servers roll back.
pub const GIVING_UP: Duration = Duration::from_secs(6);

/// Asks workers to end: they roll back what is open and take nothing new.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<watch::Sender<Asked>>);

#[derive(Debug, Clone, Copy, Default)]
struct Asked {
    to_end: bool,
    /// When the user, or the system, wanted an end.
    interrupted: Option<Instant>,
}

impl Stop {
    /// Asks, because the run has failed: what is under way may take its time.
    pub fn ask(&self) {
        self.0.send_modify(|asked| asked.to_end = true);
    }

    /// Asks for an end within seconds.
    pub fn interrupt(&self) {
        self.0.send_modify(|asked| {
            asked.to_end = true;
            asked.interrupted.get_or_insert_with(Instant::now);
        });
    }

    /// Whether somebody asked.
    pub fn asked(&self) -> bool {
        self.0.borrow().to_end
    }

    /// Whether an end within seconds is wanted.
    pub fn interrupted(&self) -> bool {
        self.0.borrow().interrupted.is_some()
    }

    /// An `Interrupted` error when somebody asked; workers call it between pages.
    pub fn check(&self) -> Result<()> {
        if self.asked() { Err(interruption()) } else { Ok(()) }
    }

    /// Waits until `time` after the interruption; for ever, when there is none.
    pub async fn interrupted_for(&self, time: Duration) {
        let mut asked = self.0.subscribe();
        let since = asked.wait_for(|asked| asked.interrupted.is_some()).await;
        let since = since.ok().and_then(|asked| asked.interrupted);
        match since {
            Some(since) => tokio::time::sleep_until(since + time).await,
            None => std::future::pending().await,
        }
    }

    /// The outcome of `work`, which is given up `time` after an interruption.
    ///
    /// # Errors
    /// `Interrupted` then; else those of `work`.
    pub async fn bound<T>(&self, time: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            outcome = work => outcome,
            () = self.interrupted_for(time) => Err(interruption()),
        }
    }
}

/// The error of work that ends because somebody asked.
pub fn interruption() -> Error {
    Error::new(ErrorKind::Interrupted, "the run was interrupted")
}

/// A piece of work: some splits of one table that belong into one transaction.
#[derive(Debug, Clone)]
pub struct Piece {
    /// The table.
    pub plan: Arc<TablePlan>,
    /// The splits: one, or all when the table wants one transaction.
    pub splits: Vec<Split>,
}

/// The pieces of some tables, in order.
pub fn pieces(tables: &[Arc<TablePlan>]) -> VecDeque<Piece> {
    tables
        .iter()
        .flat_map(|plan| pieces_of(plan).into_iter().map(|splits| Piece { plan: plan.clone(), splits }))
        .collect()
}

/// The splits of a table, by transaction.
pub fn pieces_of(plan: &TablePlan) -> Vec<Vec<Split>> {
    if plan.one_transaction {
        vec![plan.splits.clone()]
    } else {
        plan.splits.iter().map(|split| vec![split.clone()]).collect()
    }
}

/// What the workers brought home: totals by table position, and every failure.
#[derive(Debug, Default)]
pub struct Harvest {
    /// Totals of what was completed, by position of the table in the plan.
    pub totals: Vec<TableTotals>,
    /// What failed, first one first; interruptions that only follow from another failure are left out.
    pub failures: Vec<Error>,
}

/// Runs `work` on every piece with `workers` at a time. After a failure no new piece is begun, unless `keep_going` says to
/// collect the failures of all tables.
pub async fn run<F, Fut>(
    pieces: VecDeque<Piece>,
    workers: usize,
    table_count: usize,
    stop: &Stop,
    events: &Events,
    work: F,
) -> Harvest
where
    F: Fn(Piece) -> Fut + Clone + Send + 'static,
    Fut: Future<Output = Result<TableTotals>> + Send,
{
    let mut open = vec![0_usize; table_count];
    for piece in &pieces {
        if let Some(count) = open.get_mut(piece.plan.position) {
            *count += 1;
        }
    }
    let shared = Arc::new(Mutex::new(Shared {
        queue: pieces,
        open,
        harvest: Harvest { totals: vec![TableTotals::default(); table_count], failures: Vec::new() },
    }));
    let mut tasks = JoinSet::new();
    for _ in 0..workers.max(1) {
        let (shared, stop, events, work) = (shared.clone(), stop.clone(), events.clone(), work.clone());
        tasks.spawn(async move {
            while let Some(piece) = Shared::claim(&shared, &stop) {
                let (position, share) =
                    (piece.plan.position, piece.splits.iter().map(|split| split.share).sum());
                let outcome = work(piece).await;
                if outcome.is_err() {
                    stop.ask();
                }
                let table_done = Shared::book(&shared, position, outcome);
                events.tell(Event::SplitDone { table: position, share });
                if table_done {
                    events.tell(Event::TableDone { table: position });
                }
            }
        });
    }
    while let Some(joined) = tasks.join_next().await {
        if joined.is_err() {
            let bug = Error::new(ErrorKind::Internal, "a worker ended without an outcome");
            shared.lock().unwrap_or_else(PoisonError::into_inner).harvest.failures.push(bug);
        }
    }
    let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
    let mut harvest = std::mem::take(&mut shared.harvest);
    if harvest.failures.iter().any(|failure| failure.kind() != ErrorKind::Interrupted) {
        harvest.failures.retain(|failure| failure.kind() != ErrorKind::Interrupted);
    } else {
        harvest.failures.truncate(1);
    }
    harvest
}

/// What workers share. The lock is held for moments only, never over an await.
#[derive(Debug)]
struct Shared {
    queue: VecDeque<Piece>,
    /// Pieces of each table that are not booked yet.
    open: Vec<usize>,
    harvest: Harvest,
}

impl Shared {
    fn claim(shared: &Mutex<Self>, stop: &Stop) -> Option<Piece> {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if stop.asked() {
            if !shared.queue.is_empty() && shared.harvest.failures.is_empty() {
                shared.harvest.failures.push(interruption());
            }
            return None;
        }
        shared.queue.pop_front()
    }

    /// Books an outcome; true when it was the table's last piece.
    fn book(shared: &Mutex<Self>, position: usize, outcome: Result<TableTotals>) -> bool {
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(totals) => {
                if let Some(sum) = shared.harvest.totals.get_mut(position) {
                    sum.merge(totals);
                }
                shared.open.get_mut(position).is_some_and(|open| {
                    *open -= 1;
                    *open == 0
                })
            }
            Err(error) => {
                shared.harvest.failures.push(error);
                false
            }
        }
    }
}
