//! The clocks of the nodes against ours.
//!
//! A remaining TTL counts from the clock of the node that coordinated the read, and an absolute expiry is that clock plus the
//! TTL; ours may be off by any amount.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use scylla::cluster::Node;
use scylla::policies::load_balancing::{NodeIdentifier, SingleTargetLoadBalancingPolicy};
use scylla::statement::Consistency as DriverConsistency;
use scylla::statement::unprepared::Statement;
use scylla::value::CqlTimeuuid;
use tokio::sync::Mutex;
use uuid::Uuid;

use super::Shared;

/// A measurement older than this is repeated: clocks drift, and may be set.
const GOOD_FOR: Duration = Duration::from_secs(60);
/// Round trips per measurement, of which the quickest counts: half of it is the uncertainty.
const ROUNDS: usize = 3;

/// Offsets of the nodes' clocks, by host id.
#[derive(Default)]
pub(super) struct Clocks(Mutex<HashMap<Uuid, Measured>>);

#[derive(Clone, Copy)]
struct Measured {
    /// Milliseconds that the node's clock is ahead of ours.
    ahead: i64,
    at: Instant,
}

impl Clocks {
    /// Whole seconds since 1970 on the clock of `node`, now.
    pub(super) async fn seconds_at(&self, shared: &Shared, node: &Arc<Node>) -> i64 {
        (our_millis() + self.ahead(shared, node).await).div_euclid(1000)
    }

    async fn ahead(&self, shared: &Shared, node: &Arc<Node>) -> i64 {
        let known = {
            let mut clocks = self.0.lock().await;
            let known = clocks.get_mut(&node.host_id);
            match known {
                Some(measured) if measured.at.elapsed() < GOOD_FOR => return measured.ahead,
                // Others go on with the old value while this one measures.
                Some(measured) => {
                    measured.at = Instant::now();
                    Some(measured.ahead)
                }
                None => None,
            }
        };
        let Some(ahead) = measure(shared, node).await else {
            // A node that cannot tell the time will hardly serve the page either; that failure gets reported.
            return known.unwrap_or_default();
        };
        self.0.lock().await.insert(node.host_id, Measured { ahead, at: Instant::now() });
        ahead
    }
}

/// Milliseconds that the clock of `node` is ahead of ours. `now()` is a version-1 uuid on every Cassandra, while the functions
/// that turn it into a number were renamed.
async fn measure(shared: &Shared, node: &Arc<Node>) -> Option<i64> {
    let mut statement = Statement::new("SELECT now() FROM system.local");
    statement.set_consistency(DriverConsistency::One);
    let policy = SingleTargetLoadBalancingPolicy::new(NodeIdentifier::Node(Arc::clone(node)), None);
    statement.set_load_balancing_policy(Some(policy));
    let mut best: Option<(Duration, i64)> = None;
    for _ in 0..ROUNDS {
        let (before, started) = (our_millis(), Instant::now());
        let answer = shared.session.query_unpaged(statement.clone(), ()).await.ok()?;
        let trip = started.elapsed();
        let (now,) = answer.into_rows_result().ok()?.first_row::<(CqlTimeuuid,)>().ok()?;
        let (seconds, nanos) = Uuid::from(now).get_timestamp()?.to_unix();
        let theirs = i64::try_from(seconds).ok()? * 1000 + i64::from(nanos / 1_000_000);
        let ahead = theirs - before - i64::try_from(trip.as_millis() / 2).ok()?;
        if best.is_none_or(|(shortest, _)| trip < shortest) {
            best = Some((trip, ahead));
        }
    }
    best.map(|(_, ahead)| ahead)
}

/// Milliseconds since 1970 on our clock.
fn our_millis() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}
