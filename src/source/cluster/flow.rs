//! Pages in flight: each node of the cluster is asked for as many at once as it bears.
//!
//! A permit is held from the request to the arrival of a page, never while the page waits to be shaped or loaded: whoever waits
//! for a COPY holds no permit that the others might wait for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use scylla::cluster::Node;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use uuid::Uuid;

use super::failure::Trouble;
use super::remarks::Remarks;
use super::window::{Arrival, Change, Window};

/// Time between two remarks about slower reading; the log has every change.
const REMARK_EVERY: Duration = Duration::from_secs(5);

/// The gates of all nodes.
pub(super) struct Flow {
    most: usize,
    gates: Mutex<HashMap<Uuid, Arc<Gate>>>,
    teller: Arc<Teller>,
}

impl Flow {
    /// Asks no node for more than `most` pages at once.
    pub(super) fn new(most: usize, remarks: Remarks) -> Self {
        let teller = Arc::new(Teller { remarks, last: Mutex::new(None) });
        Self { most, gates: Mutex::default(), teller }
    }

    /// Waits until `node` may be asked for one more page.
    pub(super) async fn permit(&self, node: &Node) -> Result<Permit, Trouble> {
        let gate = Arc::clone(lock(&self.gates).entry(node.host_id).or_insert_with(|| {
            let window = Window::new(self.most);
            Arc::new(Gate {
                node: super::address(node).to_string(),
                pages: Arc::new(Semaphore::new(window.limit())),
                state: Mutex::new(State { window, under_way: 0, owed: 0, told: false }),
                teller: Arc::clone(&self.teller),
            })
        }));
        let closed = |_| Trouble::Disconnected("the run ends".to_owned());
        let place = Arc::clone(&gate.pages).acquire_owned().await.map_err(closed)?;
        let (era, at_once) = {
            let mut state = lock(&gate.state);
            state.under_way += 1;
            (state.window.era(), state.under_way)
        };
        Ok(Permit { gate, place: Some(place), era, at_once })
    }
}

/// The way to one node.
struct Gate {
    /// Its address, for messages.
    node: String,
    /// As many places as the window has, less those owed.
    pages: Arc<Semaphore>,
    state: Mutex<State>,
    teller: Arc<Teller>,
}

struct State {
    window: Window,
    /// Pages asked for and not there yet.
    under_way: usize,
    /// Places to take away as they come back.
    owed: usize,
    /// Whether the last cut was remarked upon.
    told: bool,
}

/// Leave to ask a node for one page.
pub(super) struct Permit {
    gate: Arc<Gate>,
    place: Option<OwnedSemaphorePermit>,
    era: u64,
    at_once: usize,
}

impl Permit {
    /// The page arrived: so many bytes of `table`, after `took`.
    pub(super) fn arrived(self, table: Option<&str>, bytes: usize, took: Duration) {
        let page = Arrival { table, era: self.era, at_once: self.at_once, took, bytes };
        self.gate
            .change(|window| window.arrived(&page), || "its pages take far longer than before".to_owned());
    }

    /// The page did not arrive.
    pub(super) fn failed(self, trouble: &Trouble) {
        if trouble.wants_fewer_pages() {
            self.gate.change(|window| window.refused(self.era), || trouble.to_string());
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let Some(place) = self.place.take() else { return };
        let mut state = lock(&self.gate.state);
        state.under_way = state.under_way.saturating_sub(1);
        if state.owed > 0 {
            state.owed -= 1;
            place.forget();
        }
    }
}

impl Gate {
    fn change(&self, learn: impl FnOnce(&mut Window) -> Change, why: impl FnOnce() -> String) {
        let mut state = lock(&self.state);
        let change = learn(&mut state.window);
        let (limit, node) = (state.window.limit(), &self.node);
        match change {
            Change::None => {}
            Change::Grown | Change::Recovered => {
                if state.owed > 0 {
                    state.owed -= 1;
                } else {
                    self.pages.add_permits(1);
                }
                tracing::debug!("reading speeds up to {} from {node}", pages(limit));
                if change == Change::Recovered && std::mem::take(&mut state.told) {
                    let text = format!("reading is back to {} from {node}", pages(limit));
                    tracing::info!("{text}");
                    self.teller.remarks.tell(text);
                }
            }
            Change::Halved { from } => {
                let less = from - limit;
                state.owed += less - self.pages.forget_permits(less);
                let text = format!("reading slows down to {} from {node}: {}", pages(limit), why());
                tracing::info!("{text}");
                state.told |= self.teller.slower(text);
            }
        }
    }
}

/// Tells of slower reading, though not all the time.
struct Teller {
    remarks: Remarks,
    last: Mutex<Option<Instant>>,
}

impl Teller {
    /// Whether it was told.
    fn slower(&self, text: String) -> bool {
        let mut last = lock(&self.last);
        if last.is_some_and(|last| last.elapsed() < REMARK_EVERY) {
            return false;
        }
        *last = Some(Instant::now());
        self.remarks.tell(text);
        true
    }
}

fn pages(count: usize) -> String {
    format!("{count} page{} at once", if count == 1 { "" } else { "s" })
}

/// What is behind the lock is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
