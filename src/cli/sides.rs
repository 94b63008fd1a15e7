//! From settings to two open servers.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use super::args::{ConnectionArgs, LoadingArgs, ReadingArgs, SourceSide};
use crate::config::SourceSettings;
use crate::engine::events::Events;
use crate::engine::migrate::worker_name;
use crate::engine::plan::Plan;
use crate::engine::preflight::Sides;
use crate::error::{Error, ErrorKind, Result};
use crate::report::table::counted;
use crate::source::Source;
use crate::source::cluster::{Cluster, ClusterConfig, Remarks};
use crate::source::snapshot::{Completeness, Snapshot, Verdict};
use crate::target::Target;
use crate::target::connections::free_connections;
use crate::target::settings::{Advice, ExpectedLoad, Settings};

/// Connections to the target besides those that load and build: one holds the lock of the run, one counts and notes, one looks
/// around.
const CONNECTIONS_BESIDE: usize = 3;
/// Connections of each who builds: one holds the task, one does what no transaction may do.
const CONNECTIONS_PER_BUILD: usize = 2;

/// Looks at the connections before they count as in use: sessions that ended, those that probed the server among them, take a
/// moment to leave.
const LOOKS: usize = 5;
/// Time between two looks.
const BETWEEN_LOOKS: Duration = Duration::from_millis(200);

/// Opens both sides for reading. Failures are refusals: nothing has been written yet. What a snapshot may lack is told, and no reason
/// to refuse: nothing will be written.
pub async fn open(connections: &ConnectionArgs, reading: &ReadingArgs, events: &Events) -> Result<Sides> {
    open_with(connections, reading, 1, true, events).await
}

async fn open_with(
    connections: &ConnectionArgs,
    reading: &ReadingArgs,
    builds: usize,
    accept_incomplete: bool,
    events: &Events,
) -> Result<Sides> {
    let (source, mut target) = connections.settings()?;
    let source: Arc<dyn Source> = match source {
        SourceSide::Cluster(settings) => {
            Arc::new(cluster(settings, reading, events).await.map_err(Error::before_writing)?)
        }
        SourceSide::Snapshot(config) if reading.consistency.is_none() => {
            let snapshot = Snapshot::open(config).await.map_err(Error::before_writing)?;
            judge(&snapshot, accept_incomplete, events)?;
            Arc::new(snapshot)
        }
        SourceSide::Snapshot(_) => {
            return Err(Error::new(ErrorKind::Usage, "a snapshot is read without --consistency").remedy(
                "name one directory for each node: all their rows are merged, as a read at ALL does",
            ));
        }
    };
    target.pool_size = connections_for(reading.workers(), builds);
    // So that `status` can say whose session holds a task.
    target.application_name = format!("{} {}", target.application_name, worker_name());
    let target = Target::connect(&target).await.map_err(Error::before_writing)?;
    let catalog = target.catalog().await.map_err(Error::before_writing)?;
    Ok(Sides { source, target, catalog: Arc::new(catalog) })
}

/// Tells what a snapshot is of, and refuses one that may lack rows unless that is accepted.
fn judge(snapshot: &Snapshot, accept_incomplete: bool, events: &Events) -> Result<()> {
    let Completeness { verdict, finding, remedy } = snapshot.completeness();
    if *verdict != Verdict::Complete && !accept_incomplete {
        return Err(Error::new(ErrorKind::Preflight, finding.clone()).remedy(remedy.clone()).and_remedy(
            "or go on knowingly with --accept-incomplete, and compare with the live cluster afterwards: kongferry verify",
        ));
    }
    events.notice(finding.clone());
    if let Some(taken) = snapshot.taken() {
        events.notice(taken.spoken());
    }
    Ok(())
}

/// Connects to the live cluster.
async fn cluster(source: SourceSettings, reading: &ReadingArgs, events: &Events) -> Result<Cluster> {
    let consistency = match reading.consistency.as_deref().or(source.consistency.as_deref()) {
        Some(level) => level.parse()?,
        None => crate::source::cluster::Consistency::default(),
    };
    let events = events.clone();
    let defaults = ClusterConfig::default();
    let config = ClusterConfig {
        request_timeout: source.request_timeout.unwrap_or(defaults.request_timeout),
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
        ..defaults
    };
    Cluster::connect(&config).await
}

fn connections_for(workers: usize, builds: usize) -> usize {
    workers + CONNECTIONS_PER_BUILD * builds + CONNECTIONS_BESIDE
}

/// Opens both sides for a load, with no more workers and builds at once than the target has free connections for. Returns the
/// sides and how many can build.
///
/// # Errors
/// As [`open`]; `Preflight` when not even one worker has a connection, or not all that were asked for.
pub async fn open_to_load(
    connections: &ConnectionArgs,
    reading: &ReadingArgs,
    loading: &LoadingArgs,
    events: &Events,
) -> Result<(Sides, usize)> {
    let accept = connections.accept_incomplete();
    let sides = open_with(connections, reading, loading.builds(), accept, events).await?;
    let builds = bound(&sides.target, reading, loading.builds(), events).await;
    Ok((sides, builds.map_err(Error::before_writing)?))
}

/// Builds give way first, down to one at a time, then workers.
async fn bound(target: &Target, reading: &ReadingArgs, builds: usize, events: &Events) -> Result<usize> {
    let wanted = reading.workers();
    let client = target.client().await?;
    let mut looks = 1;
    let (limit, room) = loop {
        let free = free_connections(&client, target.server().version_num).await?;
        // One is open already.
        let room = free.free + 1;
        if connections_for(wanted, builds) <= room {
            return Ok(builds);
        }
        if looks == LOOKS {
            break (free.limit, room);
        }
        looks += 1;
        tokio::time::sleep(BETWEEN_LOOKS).await;
    };
    drop(client);
    let place = format!("PostgreSQL has room for {} ({limit})", counted(count(room), "connection"));
    let workers = |number: usize| counted(count(number), "worker");
    if connections_for(wanted, 1) <= room {
        let builds = (room - wanted - CONNECTIONS_BESIDE) / CONNECTIONS_PER_BUILD;
        target.limit_connections(room);
        events.notice(format!("{} at once: {place}", counted(count(builds), "index build")));
        return Ok(builds);
    }
    let most = room.saturating_sub(connections_for(0, 1));
    if most == 0 || reading.insists_on_workers() {
        let needed = if most == 0 { 1 } else { wanted };
        let fewer = if most == 0 { String::new() } else { format!(", or use --workers {most}") };
        let message = format!(
            "{} {} {} connections, and {place}",
            workers(needed),
            if needed == 1 { "needs" } else { "need" },
            connections_for(needed, 1)
        );
        return Err(Error::new(ErrorKind::Preflight, message)
            .remedy(format!("end other sessions, or raise the limit{fewer}")));
    }
    reading.allow_workers(most);
    target.limit_connections(room);
    events.notice(format!("{} instead of {wanted}: {place}", workers(most)));
    Ok(1)
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
