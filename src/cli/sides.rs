//! From settings to two open servers.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::args::{ConnectionArgs, ReadingArgs};
use crate::engine::events::Events;
use crate::engine::plan::Plan;
use crate::engine::preflight::Sides;
use crate::error::{Error, ErrorKind, Result};
use crate::report::table::counted;
use crate::source::cluster::{Cluster, ClusterConfig, Remarks};
use crate::target::Target;
use crate::target::connections::free_connections;
use crate::target::settings::{Advice, ExpectedLoad, Settings};

/// Connections to the target beside the workers': one for counting, one for what is noticed meanwhile.
const CONNECTIONS_BESIDE_WORKERS: usize = 2;

/// Looks at the connections before they count as in use: sessions that ended, those that probed the server among them, take a
/// moment to leave.
const LOOKS: usize = 5;
/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Opens both sides for reading. Failures are refusals: nothing has been written yet.
pub async fn open(connections: &ConnectionArgs, reading: &ReadingArgs, events: &Events) -> Result<Sides> {
    let (source, mut target) = connections.settings()?;
    let consistency = match reading.consistency.as_deref().or(source.consistency.as_deref()) {
        Some(level) => level.parse()?,
        None => crate::source::cluster::Consistency::default(),
    };
    let events = events.clone();
    let config = ClusterConfig {
        contact_points: source.contact_points,
        keyspace: source.keyspace,
        username: source.user,
        password: source.password,
        consistency,
        local_datacenter: source.datacenter,
        // A worker has one page under way; no node needs more than all of them.
        pages_per_node: NonZeroUsize::new(reading.workers()).unwrap_or(NonZeroUsize::MIN),
        rows_per_second: reading.rows_per_second(),
        remarks: Remarks::to(move |remark| events.notice(remark)),
        ..ClusterConfig::default()
    };
    let cluster = Cluster::connect(&config).await.map_err(Error::before_writing)?;
    target.pool_size = reading.workers() + CONNECTIONS_BESIDE_WORKERS;
    let target = Target::connect(&target).await.map_err(Error::before_writing)?;
    let catalog = target.catalog().await.map_err(Error::before_writing)?;
    Ok(Sides { source: Arc::new(cluster), target, catalog: Arc::new(catalog) })
}

/// Opens both sides for a load, with no more workers than the target has free connections for.
///
/// # Errors
/// As [`open`]; `Preflight` when not even one worker has a connection, or not all that were asked for.
pub async fn open_to_load(
    connections: &ConnectionArgs,
    reading: &ReadingArgs,
    events: &Events,
) -> Result<Sides> {
    let sides = open(connections, reading, events).await?;
    bound_workers(&sides.target, reading, events).await.map_err(Error::before_writing)?;
    Ok(sides)
}

async fn bound_workers(target: &Target, reading: &ReadingArgs, events: &Events) -> Result<()> {
    let wanted = reading.workers();
    let client = target.client().await?;
    let mut looks = 1;
    let (free, most) = loop {
        let free = free_connections(&client, target.server().version_num).await?;
        // One is open already.
        let most = (free.free + 1).saturating_sub(CONNECTIONS_BESIDE_WORKERS);
        if wanted <= most {
            return Ok(());
        }
        if looks == LOOKS {
            break (free, most);
        }
        looks += 1;
        tokio::time::sleep(BETWEEN_LOOKS).await;
    };
    drop(client);
    let room =
        format!("PostgreSQL has room for {} ({})", counted(count(free.free + 1), "connection"), free.limit);
    let workers = |number: usize| counted(count(number), "worker");
    if most == 0 || reading.insists_on_workers() {
        let needed = if most == 0 { 1 } else { wanted };
        let fewer = if most == 0 { String::new() } else { format!(", or use --workers {most}") };
        let message = format!(
            "{} {} {} connections, and {room}",
            workers(needed),
            if needed == 1 { "needs" } else { "need" },
            needed + CONNECTIONS_BESIDE_WORKERS
        );
        return Err(Error::new(ErrorKind::Preflight, message)
            .remedy(format!("end other sessions, or raise the limit{fewer}")));
    }
    reading.allow_workers(most);
    target.limit_connections(most + CONNECTIONS_BESIDE_WORKERS);
    events.notice(format!("{} instead of {wanted}: {room}", workers(most)));
    Ok(())
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// Settings of the target that will slow the load of `plan`.
///
/// # Errors
/// When the target cannot be asked.
pub async fn advice(sides: &Sides, plan: &Plan) -> Result<Vec<Advice>> {
    let rows = plan.tables.iter().map(|table| table.estimate.unwrap_or_default());
    let load = ExpectedLoad { rows: rows.clone().sum(), largest_table: rows.max().unwrap_or_default() };
    Ok(Settings::read(&*sides.target.client().await?).await?.advice(load))
}

/// Tells of those settings. They are no reason to refuse a load, and neither is a server that does not tell them.
pub async fn tell_advice(sides: &Sides, plan: &Plan, events: &Events) {
    for Advice { setting, value, before, .. } in advice(sides, plan).await.unwrap_or_default() {
        events.notice(format!(
            "{setting} = {value} will slow the load; before it: {before} (`kongferry plan` says why, and how to set it back)"
        ));
    }
}
