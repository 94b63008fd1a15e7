//! Reading a query page by page: which node, how many rows, and what to do when it fails.

use std::net::SocketAddr;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use scylla::cluster::Node;
use scylla::deserialize::row::ColumnIterator;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::response::query_result::QueryRowsResult;
use scylla::response::{PagingState, PagingStateResponse};
use scylla::statement::prepared::PreparedStatement;
use scylla::value::CqlValue;

use super::Shared;
use super::failure::Trouble;
use super::row_rate::RowRate;
use crate::source::{Page, PageSizing, cells};

/// Pauses before the attempts after a failed one, about half a minute in all: a node that restarts is back within that or
/// another one has taken over.
const PAUSES: [Duration; 6] = [
    Duration::from_millis(250),
    Duration::from_millis(750),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(15),
];

/// How often a failed page is asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Patience {
    /// As long as a passing trouble may last.
    Full,
    /// Once: the answer only makes a plan better.
    Short,
}

impl Patience {
    pub(super) fn pauses(self) -> &'static [Duration] {
        match self {
            Self::Full => &PAUSES,
            Self::Short => PAUSES.get(..1).unwrap_or_default(),
        }
    }
}

/// One query, ready to be read page by page.
pub(super) struct Reader {
    pub(super) shared: Arc<Shared>,
    pub(super) statement: PreparedStatement,
    pub(super) values: Vec<CqlValue>,
    /// Cells per row.
    pub(super) columns: usize,
    pub(super) sizing: Arc<PageSizing>,
    /// Nodes to ask first, in this order.
    pub(super) replicas: Vec<SocketAddr>,
    pub(super) patience: Patience,
    /// Table whose rows are read; `None` for questions of a plan, whose answers take more than a page's time.
    pub(super) table: Option<String>,
    /// What is read, for errors.
    pub(super) what: String,
    /// Most rows per page after a page failed; grows back with every page that does not.
    pub(super) most_rows: AtomicUsize,
}

/// A page, and where the next one starts.
pub(super) struct Fetched {
    pub(super) page: Page,
    pub(super) next: Option<PagingState>,
}

impl Reader {
    /// The page at `state`. After a failure it is asked for again from the same place, with half as many rows, of the next
    /// node.
    pub(super) async fn fetch(&self, state: PagingState) -> Result<Fetched, Trouble> {
        let mut pauses = self.patience.pauses().iter();
        let mut turn = 0;
        loop {
            let trouble = match self.attempt(state.clone(), turn).await {
                Ok(fetched) => {
                    let grown = self.most_rows.load(Ordering::Relaxed);
                    self.most_rows
                        .store(grown.saturating_add(grown / 4).saturating_add(1), Ordering::Relaxed);
                    return Ok(fetched);
                }
                Err(trouble) => trouble,
            };
            if trouble.wants_smaller_page() && self.halve() && !trouble.wants_time() {
                continue;
            }
            let Some(pause) = pauses.next().filter(|_| trouble.is_transient()) else { return Err(trouble) };
            if !trouble.wants_time() && turn > 0 {
                return Err(trouble);
            }
            tracing::debug!(what = %self.what, cause = %trouble, "page failed, trying again in {pause:?}");
            tokio::time::sleep(*pause).await;
            turn += 1;
        }
    }

    /// Asks for smaller pages from now on. False when one row is already the least.
    fn halve(&self) -> bool {
        let most = self.most_rows.load(Ordering::Relaxed).min(self.sizing.rows());
        self.most_rows.store((most / 2).max(1), Ordering::Relaxed);
        self.sizing.halve();
        most > 1
    }

    async fn attempt(&self, state: PagingState, turn: usize) -> Result<Fetched, Trouble> {
        let node = self.node(turn)?;
        let rate = self.shared.row_rate.as_ref();
        let most = rate.map_or(usize::MAX, RowRate::page_rows).min(self.most_rows.load(Ordering::Relaxed));
        let rows = self.sizing.rows().min(most).max(1);
        let mut statement = self.statement.clone();
        statement.set_page_size(i32::try_from(rows).unwrap_or(i32::MAX));
        let policy = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(Arc::clone(&node)), None);
        statement.set_load_balancing_policy(Some(policy));
        let asked = match rate {
            Some(rate) => Some(rate.ask(rows).await),
            None => None,
        };
        let permit = self.shared.flow.permit(&node).await?;
        let read_at = self.shared.clocks.seconds_at(&self.shared, &node).await;
        let started = Instant::now();
        let answer = self.shared.session.execute_single_page(&statement, &self.values, state).await;
        let took = started.elapsed();
        let (answer, next) = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let trouble = Trouble::from(&error);
                permit.failed(&trouble);
                return Err(trouble);
            }
        };
        let answer = answer.into_rows_result().map_err(|_| Trouble::Malformed("the answer holds no rows"))?;
        let rows = answer.rows_num();
        let body = body(&answer, self.columns)?;
        permit.arrived(self.table.as_deref().filter(|_| rows > 0), body.len(), took);
        if let Some(asked) = asked {
            asked.arrived(rows);
        }
        let widest = cells::widest_row(&body, rows, self.columns)
            .ok_or(Trouble::Malformed("the rows of the answer are not framed as its head says"))?;
        self.sizing.learn(rows, widest);
        Ok(Fetched { page: Page { rows, body, read_at }, next: following(next) })
    }

    /// The node for an attempt: replicas first, then the others; the next one with each turn.
    fn node(&self, turn: usize) -> Result<Arc<Node>, Trouble> {
        let nodes = self.shared.nodes(&self.replicas);
        let place = turn.checked_rem(nodes.len());
        place
            .and_then(|place| nodes.into_iter().nth(place))
            .ok_or_else(|| Trouble::Disconnected("no node is up".to_owned()))
    }
}

fn following(response: PagingStateResponse) -> Option<PagingState> {
    match response.into_paging_control_flow() {
        ControlFlow::Break(()) => None,
        ControlFlow::Continue(state) => Some(state),
    }
}

/// The area of the answer's frame that holds the rows, shared, not copied.
///
/// The driver hands it out only through a cell; any cell that is not NULL knows the whole area.
fn body(answer: &QueryRowsResult, columns: usize) -> Result<Bytes, Trouble> {
    let unreadable = Trouble::Malformed("the rows of the answer cannot be read");
    for row in answer.rows::<ColumnIterator>().map_err(|_| unreadable.clone())? {
        for column in row.map_err(|_| unreadable.clone())? {
            if let Some(slice) = column.map_err(|_| unreadable.clone())?.slice
                && !slice.as_original_frame_bytes().is_empty()
            {
                return Ok(slice.as_original_frame_bytes().clone());
            }
        }
    }
    // Nothing but NULLs.
    let cells = answer.rows_num().saturating_mul(columns);
    Ok(Bytes::from((-1_i32).to_be_bytes().repeat(cells)))
}
