//! From settings to two open servers.

use std::sync::Arc;

use super::args::{ConnectionArgs, ReadingArgs};
use crate::engine::preflight::Sides;
use crate::error::{Error, Result};
use crate::source::cluster::{Cluster, ClusterConfig};
use crate::target::Target;

/// Opens both sides. Failures are refusals: nothing has been written yet.
pub async fn open(connections: &ConnectionArgs, reading: &ReadingArgs) -> Result<Sides> {
    let (source, mut target) = connections.settings()?;
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
    let cluster = Cluster::connect(&config).await.map_err(Error::before_writing)?;
    // One connection per worker, and one each for counting and for what is noticed meanwhile.
    target.pool_size = reading.workers() + 2;
    let target = Target::connect(&target).await.map_err(Error::before_writing)?;
    let catalog = target.catalog().await.map_err(Error::before_writing)?;
    Ok(Sides { source: Arc::new(cluster), target, catalog: Arc::new(catalog) })
}
