//! From settings to two open servers.

use std::sync::Arc;

use super::args::{ConnectionArgs, ReadingArgs, SourceSide};
use crate::config::SourceSettings;
use crate::engine::preflight::Sides;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;
use crate::source::cluster::{Cluster, ClusterConfig};
use crate::source::snapshot::Snapshot;
use crate::target::Target;

/// Opens both sides. Failures are refusals: nothing has been written yet.
pub async fn open(connections: &ConnectionArgs, reading: &ReadingArgs) -> Result<Sides> {
    let (source, mut target) = connections.settings()?;
    let source: Arc<dyn Source> = match source {
        SourceSide::Cluster(settings) => {
            Arc::new(cluster(settings, reading).await.map_err(Error::before_writing)?)
        }
        SourceSide::Snapshot(config) if reading.consistency.is_none() => {
            Arc::new(Snapshot::open(config).await.map_err(Error::before_writing)?)
        }
        SourceSide::Snapshot(_) => {
            return Err(Error::new(ErrorKind::Usage, "a snapshot is read without --consistency").remedy(
                "name one directory for each node: all their rows are merged, as a read at ALL does",
            ));
        }
    };
    // One connection per worker, and one each for counting and for what is noticed meanwhile.
    target.pool_size = reading.workers() + 2;
    let target = Target::connect(&target).await.map_err(Error::before_writing)?;
    let catalog = target.catalog().await.map_err(Error::before_writing)?;
    Ok(Sides { source, target, catalog: Arc::new(catalog) })
}

/// Connects to the live cluster.
async fn cluster(source: SourceSettings, reading: &ReadingArgs) -> Result<Cluster> {
    let consistency = match reading.consistency.as_deref().or(source.consistency.as_deref()) {
        Some(level) => level.parse()?,
        None => crate::source::cluster::Consistency::default(),
    };
    let config = ClusterConfig {
        contact_points: source.contact_points,
        keyspace: source.keyspace,
        username: source.user,
        password: source.password,
        consistency,
        local_datacenter: source.datacenter,
        ..ClusterConfig::default()
    };
    Cluster::connect(&config).await
}
