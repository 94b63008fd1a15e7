//! Connecting: quickly, or with one clear line about why not.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::client::{Compression, PoolSize};
use scylla::policies::retry::FallthroughRetryPolicy;
use secrecy::ExposeSecret;
use tokio::net::{TcpStream, lookup_host};
use tokio::time::timeout;

use super::ClusterConfig;
use super::failure::{Trouble, io_cause};
use crate::error::{Error, ErrorKind, Result};

/// How long a contact point has for its name to resolve and for its port to answer.
const REACH_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the driver has to learn about the cluster from a node that answers.
const SESSION_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may leave a keepalive request unanswered: it queues behind pages that are being sent.
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(120);

/// A session through those contact points that answer, and their addresses.
pub(super) async fn session(config: &ClusterConfig) -> Result<(Session, Vec<SocketAddr>)> {
    let reached = reach(&config.contact_points).await?;
    let profile = ExecutionProfile::builder()
        .consistency(config.consistency.of_driver())
        .request_timeout(Some(config.request_timeout))
        .retry_policy(Arc::new(FallthroughRetryPolicy::new()))
        .build();
    let mut builder = SessionBuilder::new()
        .known_nodes_addr(&reached)
        .compression(Some(Compression::Lz4))
        .pool_size(PoolSize::PerHost(config.connections_per_node))
        .connection_timeout(REACH_TIMEOUT)
        .keepalive_timeout(KEEPALIVE_TIMEOUT)
        .tcp_keepalive_interval(Duration::from_secs(30))
        .keyspaces_to_fetch([&config.keyspace])
        // Tables are read from `system_schema` by ourselves; the driver needs the replication of the keyspace only.
        .fetch_full_schema_metadata(false)
        .driver_config_reporting(false)
        .default_execution_profile_handle(profile.into_handle());
    if let Some(username) = &config.username {
        let password = config.password.as_ref().map_or("", |password| password.expose_secret());
        builder = builder.user(username, password);
    }
    let contacts = || reached.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let failed = |trouble: Trouble| trouble.while_connecting(&contacts(), config.username.as_deref());
    match timeout(SESSION_TIMEOUT, builder.build()).await {
        Ok(Ok(session)) => Ok((session, reached)),
        Ok(Err(error)) => Err(failed((&error).into())),
        Err(_) => Err(failed(Trouble::NoAnswer(SESSION_TIMEOUT))),
    }
}

/// The addresses of the contact points whose port answers.
async fn reach(contact_points: &[(String, u16)]) -> Result<Vec<SocketAddr>> {
    if contact_points.is_empty() {
        return Err(Error::new(ErrorKind::Configuration, "no contact point of Cassandra is given"));
    }
    let outcomes = join_all(contact_points.iter().map(|(host, port)| reach_one(host, *port))).await;
    let mut reached = Vec::new();
    let mut failures = Vec::new();
    for ((host, port), outcome) in contact_points.iter().zip(outcomes) {
        match outcome {
            Ok(address) => reached.push(address),
            Err(cause) => failures.push(format!("{host}:{port} ({cause})")),
        }
    }
    if reached.is_empty() {
        return Err(Error::new(
            ErrorKind::Preflight,
            format!("cannot reach Cassandra at {}", failures.join(", ")),
        )
        .remedy("check that host and port are right, the node is up, and no firewall stands between"));
    }
    for failure in failures {
        tracing::warn!("contact point {failure} does not answer; others do");
    }
    Ok(reached)
}

async fn reach_one(host: &str, port: u16) -> Result<SocketAddr, String> {
    let attempt = async {
        let addresses = lookup_host((host, port)).await.map_err(|_| "unknown host name".to_owned())?;
        let mut cause = "unknown host name".to_owned();
        for address in addresses {
            match TcpStream::connect(address).await {
                Ok(_) => return Ok(address),
                Err(error) => cause = io_cause(&error),
            }
        }
        Err(cause)
    };
    timeout(REACH_TIMEOUT, attempt).await.unwrap_or_else(|_| Err("timed out".to_owned()))
}
