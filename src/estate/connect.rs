//! Connections for building estates, and what is told of a server's refusals.

use std::num::NonZeroUsize;
use std::time::Duration;

use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::client::{Compression, PoolSize};
use scylla::errors::{DbError, ExecutionError, PrepareError, RequestAttemptError};
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::NoTls;

use crate::error::{Error, ErrorKind, Result};
use crate::source::cluster::ClusterConfig;

/// How often the driver asks whether the nodes agree on the schema. Its default of 200 ms is longer than one node needs for
/// the whole change, and a schema is about a hundred changes.
const AGREEMENT_INTERVAL: Duration = Duration::from_millis(10);

/// Patience with one request. A node that flushes under a bulk fill can pause for several seconds.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(60);

/// Opens a session fit for [`create_cassandra`](super::create_cassandra) and [`fill`](super::fill()); `contact` is
/// `host:port`. Any other session works too, but the driver's defaults make each schema change several times slower.
///
/// # Errors
/// `Preflight` when no node answers or the login is refused.
pub async fn connect_cassandra(contact: &str, login: Option<(&str, &SecretString)>) -> Result<Session> {
    open(contact, builder(contact, login)).await
}

/// Opens a session fit for [`scan`](super::scan()), with the compression and the number of connections that kongferry reads with.
///
/// # Errors
/// As [`connect_cassandra`].
pub async fn connect_for_scan(contact: &str, login: Option<(&str, &SecretString)>) -> Result<Session> {
    let connections = PoolSize::PerHost(ClusterConfig::default().connections_per_node);
    let builder = builder(contact, login).compression(Some(Compression::Lz4)).pool_size(connections);
    open(contact, builder).await
}

fn builder(contact: &str, login: Option<(&str, &SecretString)>) -> SessionBuilder {
    let profile = ExecutionProfile::builder().request_timeout(Some(REQUEST_TIMEOUT)).build();
    let mut builder = SessionBuilder::new()
        .known_node(contact)
        .pool_size(PoolSize::PerHost(NonZeroUsize::MIN.saturating_add(3)))
        .default_execution_profile_handle(profile.into_handle())
        .fetch_schema_metadata(false)
        .refresh_metadata_on_auto_schema_agreement(false)
        .schema_agreement_interval(AGREEMENT_INTERVAL);
    if let Some((user, password)) = login {
        builder = builder.user(user, password.expose_secret());
    }
    builder
}

async fn open(contact: &str, builder: SessionBuilder) -> Result<Session> {
    builder.build().await.map_err(|error| {
        Error::new(ErrorKind::Preflight, format!("cannot connect to Cassandra at {contact}"))
            .because(error)
            .remedy("check host, CQL port, user and password")
    })
}

/// Connects to the database of `url`, such as `postgres://user@host:5432/kong`; drives the connection in the background.
///
/// # Errors
/// `Configuration` when the URL cannot be read, `Preflight` when the server refuses.
pub async fn connect_postgres(url: &str) -> Result<tokio_postgres::Client> {
    let config: tokio_postgres::Config = url.parse().map_err(|_| {
        Error::new(ErrorKind::Configuration, "the PostgreSQL URL cannot be read")
            .remedy("write it as postgres://user@host:5432/database")
    })?;
    let (client, connection) = config.connect(NoTls).await.map_err(|error| {
        Error::new(ErrorKind::Preflight, "cannot connect to PostgreSQL")
            .because(postgres_cause(&error))
            .remedy("check host, port, database, user and password")
    })?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(cause = %postgres_cause(&error), "the connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

/// Why `PostgreSQL` refused: its message without the DETAIL line, which carries row contents.
pub(super) fn postgres_cause(error: &tokio_postgres::Error) -> String {
    match error.as_db_error() {
        Some(db) => format!("{} ({})", db.message(), db.code().code()),
        None => error.to_string(),
    }
}

/// A failure while writing to Cassandra: `what` names the statement's purpose and its table.
pub(super) fn cassandra_error(what: impl Into<String>, error: &ExecutionError) -> Error {
    Error::new(ErrorKind::Source, what).because(execution_cause(error))
}

/// A statement that Cassandra would not prepare: `what` names its purpose and its table.
pub(super) fn prepare_error(what: impl Into<String>, error: &PrepareError) -> Error {
    let cause = match error {
        PrepareError::AllAttemptsFailed { first_attempt } => attempt_cause(first_attempt),
        other => other.to_string(),
    };
    Error::new(ErrorKind::Source, what).because(cause)
}

/// Whether a failed write may succeed a little later.
pub(super) fn is_transient(error: &ExecutionError) -> bool {
    match error {
        ExecutionError::RequestTimeout(_) | ExecutionError::ConnectionPoolError(_) => true,
        ExecutionError::LastAttemptError(attempt) => match attempt {
            RequestAttemptError::BrokenConnectionError(_) | RequestAttemptError::UnableToAllocStreamId => {
                true
            }
            RequestAttemptError::DbError(db, _) => matches!(
                db,
                DbError::Overloaded
                    | DbError::Unavailable { .. }
                    | DbError::WriteTimeout { .. }
                    | DbError::WriteFailure { .. }
                    | DbError::IsBootstrapping
                    | DbError::ServerError
            ),
            _ => false,
        },
        _ => false,
    }
}

fn execution_cause(error: &ExecutionError) -> String {
    match error {
        ExecutionError::LastAttemptError(attempt) => attempt_cause(attempt),
        ExecutionError::PrepareError(PrepareError::AllAttemptsFailed { first_attempt }) => {
            attempt_cause(first_attempt)
        }
        other => other.to_string(),
    }
}

/// The kind of refusal with the server's words, which name identifiers only: all values are bound.
fn attempt_cause(error: &RequestAttemptError) -> String {
    match error {
        RequestAttemptError::DbError(db, message) => format!("{db}: {message}"),
        other => other.to_string(),
    }
}
