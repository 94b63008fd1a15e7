//! Connections to the target: a pool in which every session has the same settings, whatever role and server carry.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use tokio_postgres::config::{Host, SslMode, SslNegotiation};
use tokio_postgres::{CancelToken, NoTls};

use super::catalog::Catalog;
use super::failure::{self, Endpoint};
use super::identifier::quote;
use super::probe;
use super::transaction::LoadTransaction;
use crate::error::{Error, ErrorKind, Result};

/// A pooled connection; dereferences to [`tokio_postgres::Client`].
pub type Client = deadpool_postgres::Client;

/// Longest wait for the TCP connection to one address.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest wait for a session to be ready: connection, authentication, settings.
const SESSION_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for a free connection. The pool is as large as the number of its users, so nobody should wait.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// Silence after which the connection is probed, so that a vanished server is noticed within about a minute.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
/// Time between two probes.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
/// Unanswered probes after which the connection counts as lost.
const KEEPALIVE_RETRIES: u32 = 3;

/// How long sent data may stay unacknowledged, so that a server that vanished in the middle of a COPY is noticed.
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// What the driver takes where a URL says nothing of `keepalives_idle`.
const DRIVERS_KEEPALIVE_IDLE: Duration = Duration::from_secs(2 * 60 * 60);
/// How long a simple query may stay without an answer: a checkpoint on slow disks can hold one up for many seconds.
const STALL_TIMEOUT: Duration = Duration::from_secs(60);
/// Longest wait for a cancellation to be delivered.
const CANCEL_TIMEOUT: Duration = Duration::from_secs(2);

/// How to reach the target.
#[derive(Clone)]
pub struct TargetConfig {
    /// Hosts, database, role and the like.
    pub pg: tokio_postgres::Config,
    /// Schema of Kong's tables; without one, the session's current schema, else `public`, as Kong does.
    pub schema: Option<String>,
    /// Password; goes before one in `pg`.
    pub password: Option<SecretString>,
    /// Connections at most.
    pub pool_size: usize,
    /// How long the target may leave a simple query unanswered while a run works.
    pub stall_timeout: Duration,
    /// Name under which the sessions appear in `pg_stat_activity`.
    pub application_name: String,
}

impl TargetConfig {
    /// A configuration with a pool of four connections.
    pub fn new(pg: tokio_postgres::Config) -> Self {
        Self {
            pg,
            schema: None,
            password: None,
            pool_size: 4,
            stall_timeout: STALL_TIMEOUT,
            application_name: "kongferry".to_owned(),
        }
    }

    /// Reads `postgres://user@host:5432/database?sslmode=prefer&schema=kong`. `schema` and
    /// `stall_timeout` (seconds) are additions of kongferry, the rest is libpq's, with `keepalives_idle`, `keepalives_interval` and
    /// `tcp_user_timeout` among it.
    ///
    /// # Errors
    /// `Configuration` when it cannot be read or demands TLS; the URL is not repeated, it may hold a password.
    pub fn from_url(url: &str) -> Result<Self> {
        let unreadable = |cause: &str| {
            Error::new(ErrorKind::Configuration, "the URL of the target cannot be read")
                .because(cause.to_owned())
                .remedy("write it as postgres://user@host:5432/database")
        };
        if !(url.starts_with("postgres://") || url.starts_with("postgresql://")) {
            return Err(unreadable("it does not start with postgres://"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut schema = None;
        let mut stall_timeout = STALL_TIMEOUT;
        let mut options = Vec::new();
        for option in query.split('&').filter(|option| !option.is_empty()) {
            match option.split_once('=') {
                Some(("schema", value)) => {
                    let decoded = percent_decode_str(value).decode_utf8();
                    schema = Some(decoded.map_err(|_| unreadable("its schema is not UTF-8"))?.into_owned());
                }
                Some(("sslmode", mode @ ("verify-ca" | "verify-full"))) => return Err(tls_demanded(mode)),
                Some(("stall_timeout", value)) => {
                    let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                    let seconds =
                        seconds.ok_or_else(|| unreadable("stall_timeout is no number of seconds"))?;
                    stall_timeout = Duration::from_secs(seconds);
                }
                // Weaker than prefer only in the order of attempts.
                Some(("sslmode", "allow")) => options.push("sslmode=prefer"),
                _ => options.push(option),
            }
        }
        let rest = if options.is_empty() { base.to_owned() } else { format!("{base}?{}", options.join("&")) };
        // The driver's error names the option at fault and repeats no value.
        let pg: tokio_postgres::Config = rest.parse().map_err(|error: tokio_postgres::Error| {
            unreadable(
                &std::error::Error::source(&error)
                    .map_or_else(|| error.to_string(), ToString::to_string)
                    .chars()
                    .filter(|c| !c.is_control())
                    .collect::<String>(),
            )
        })?;
        Ok(Self { schema: schema.filter(|schema| !schema.is_empty()), stall_timeout, ..Self::new(pg) })
    }

    /// The driver's configuration with everything that holds for all sessions.
    fn session(&self) -> Result<tokio_postgres::Config> {
        if self.pg.get_ssl_mode() == SslMode::Require {
            return Err(tls_demanded("require"));
        }
        if self.pg.get_ssl_negotiation() == SslNegotiation::Direct {
            return Err(tls_demanded("sslnegotiation=direct"));
        }
        let mut pg = self.pg.clone();
        pg.application_name(&self.application_name)
            .connect_timeout(self.pg.get_connect_timeout().copied().unwrap_or(CONNECT_TIMEOUT))
            .keepalives(true)
            .keepalives_interval(self.pg.get_keepalives_interval().unwrap_or(KEEPALIVE_INTERVAL))
            .keepalives_retries(self.pg.get_keepalives_retries().unwrap_or(KEEPALIVE_RETRIES))
            .tcp_user_timeout(self.pg.get_tcp_user_timeout().copied().unwrap_or(UNACKNOWLEDGED));
        if self.pg.get_keepalives_idle() == DRIVERS_KEEPALIVE_IDLE {
            pg.keepalives_idle(KEEPALIVE_IDLE);
        }
        if let Some(password) = &self.password {
            pg.password(password.expose_secret());
        }
        if pg.get_hosts().is_empty() && pg.get_hostaddrs().is_empty() {
            pg.host("127.0.0.1");
        }
        Ok(pg)
    }

    fn endpoint(&self) -> Endpoint {
        let port = |index: usize| {
            let ports = self.pg.get_ports();
            ports.get(index).or(ports.first()).copied().unwrap_or(5432)
        };
        let mut hosts: Vec<String> = self
            .pg
            .get_hosts()
            .iter()
            .map(|host| match host {
                Host::Tcp(name) => name.clone(),
                #[cfg(unix)]
                Host::Unix(path) => path.display().to_string(),
            })
            .collect();
        if hosts.is_empty() {
            hosts = self.pg.get_hostaddrs().iter().map(ToString::to_string).collect();
        }
        if hosts.is_empty() {
            hosts.push("127.0.0.1".to_owned());
        }
        let address = hosts
            .iter()
            .enumerate()
            .map(|(index, host)| format!("{host}:{}", port(index)))
            .collect::<Vec<_>>()
            .join(",");
        let user = self.pg.get_user().unwrap_or("(the operating system's user)").to_owned();
        let database = self.pg.get_dbname().map_or_else(|| user.clone(), ToOwned::to_owned);
        Endpoint { address, database, user }
    }
}

impl fmt::Debug for TargetConfig {
    /// Without the password, and without `options`, which could hold anything.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetConfig")
            .field("endpoint", &self.endpoint())
            .field("schema", &self.schema)
            .field("pool_size", &self.pool_size)
            .finish_non_exhaustive()
    }
}

fn tls_demanded(mode: &str) -> Error {
    Error::new(
        ErrorKind::Configuration,
        format!("the target demands TLS ({mode}), which kongferry cannot speak to PostgreSQL yet"),
    )
    .remedy("use sslmode=prefer or sslmode=disable over a network you trust, such as an SSH tunnel")
}

/// What the server says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Such as `16.4`.
    pub version: String,
    /// Such as 160004.
    pub version_num: u32,
    /// Name of the database.
    pub database: String,
    /// Identifies the database cluster; `None` when the role may not read it.
    pub system_identifier: Option<String>,
}

/// The target: a pool of connections, all set up alike, and the schema they work in.
#[derive(Clone)]
pub struct Target {
    pool: Pool,
    endpoint: Endpoint,
    schema: String,
    server: Server,
    stall_timeout: Duration,
    sessions: Sessions,
}

/// How to cancel what the sessions of a pool do. Grows with every connection that is opened, which are few.
type Sessions = Arc<Mutex<Vec<CancelToken>>>;

impl Target {
    /// Connects, and refuses what cannot be a target: a standby, a read-only or non-UTF8 database, a missing schema, a
    /// server before 9.6, a proxy that pools transactions.
    ///
    /// # Errors
    /// `Preflight`, or `Configuration` when TLS is demanded.
    pub async fn connect(config: &TargetConfig) -> Result<Self> {
        let pg = config.session()?;
        let endpoint = config.endpoint();
        let probed = probe::probe(&pg, &endpoint, config.schema.as_deref(), SESSION_TIMEOUT)
            .await
            .map_err(Error::before_writing)?;
        let sessions = Sessions::default();
        let pool = build_pool(pg, config.pool_size.max(1), &probed.schema, Arc::clone(&sessions))?;
        let (schema, server) = (probed.schema, probed.server);
        let stall_timeout = config.stall_timeout;
        let target = Self { pool, endpoint, schema, server, stall_timeout, sessions };
        drop(target.client().await.map_err(Error::before_writing)?);
        Ok(target)
    }

    /// A connection from the pool. Settings changed on it outlive its use: restore them, or use `SET LOCAL`.
    pub async fn client(&self) -> Result<Client> {
        self.pool.get().await.map_err(|error| failure::pool(&error, &self.endpoint))
    }

    /// Opens no more than `size` connections from now on.
    pub fn limit_connections(&self, size: usize) {
        self.pool.resize(size.max(1));
    }

    /// Begins a transaction on a connection of its own.
    pub async fn begin(&self) -> Result<LoadTransaction> {
        LoadTransaction::begin(self.client().await?, self.schema.clone()).await
    }

    /// Asks the server to cancel whatever the sessions of this process are doing: an index build knows nothing of a client
    /// that is gone. Those that do nothing are not disturbed.
    pub async fn cancel_all(&self) {
        let tokens = self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let cancels =
            tokens.iter().map(|token| tokio::time::timeout(CANCEL_TIMEOUT, token.cancel_query(NoTls)));
        // A session that has ended cannot be cancelled, nor can one of a server that is gone.
        drop(futures::future::join_all(cancels).await);
    }

    /// How long the target may leave a simple query unanswered while a run works.
    pub fn stall_timeout(&self) -> Duration {
        self.stall_timeout
    }

    /// Reads the catalog of the schema.
    pub async fn catalog(&self) -> Result<Catalog> {
        super::catalog_read::read(&*self.client().await?, &self.schema).await
    }

    /// Schema of Kong's tables.
    pub fn schema(&self) -> &str {
        &self.schema
    }

    /// What the server says of itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Where the connections lead.
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target")
            .field("endpoint", &self.endpoint)
            .field("schema", &self.schema)
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}

fn build_pool(pg: tokio_postgres::Config, size: usize, schema: &str, sessions: Sessions) -> Result<Pool> {
    let settings: Arc<str> = format!("{SETTINGS}SET search_path = {};", quote(schema)).into();
    let manager = Manager::from_config(pg, NoTls, ManagerConfig { recycling_method: RecyclingMethod::Fast });
    Pool::builder(manager)
        .max_size(size)
        .runtime(Runtime::Tokio1)
        .wait_timeout(Some(WAIT_TIMEOUT))
        .create_timeout(Some(SESSION_TIMEOUT))
        .recycle_timeout(Some(SESSION_TIMEOUT))
        .post_create(Hook::async_fn(move |client, _| {
            let settings = Arc::clone(&settings);
            sessions.lock().unwrap_or_else(PoisonError::into_inner).push(client.cancel_token());
            Box::pin(async move { set_up(client, &settings).await.map_err(HookError::Backend) })
        }))
        .build()
        .map_err(|_| Error::new(ErrorKind::Internal, "cannot build the pool of PostgreSQL connections"))
}

/// Applies [`SETTINGS`], or these with more behind them, to a new session.
pub(super) async fn set_up(
    client: &tokio_postgres::Client,
    settings: &str,
) -> Result<(), tokio_postgres::Error> {
    // In a message of its own: a timeout runs over the whole of a message, and the role's may be short.
    client.batch_execute("SET statement_timeout = 0").await?;
    client.batch_execute(settings).await
}

/// Settings of every session. Roles and databases carry their own (`ALTER ROLE ... SET`), so none is left to chance;
/// `session_replication_role` is not touched, since triggers and foreign keys must work.
///
/// `row_security = off` makes a policy that hides rows an error instead of a wrong count. Timeouts that exist only on newer
/// servers are set where they exist. Notices stay away, since a trigger can write values into them; where the role may, the
/// server's log is kept free of DETAIL, which holds whole rows. The server's keepalives end the transaction of a kongferry
/// whose host vanished; where it can, the server also looks in the middle of a statement whether its client is still there, so
/// that a killed kongferry leaves no index build behind. Not every operating system can.
pub(super) const SETTINGS: &str = "
    SET client_encoding = 'UTF8';
    SET TimeZone = 'UTC';
    SET DateStyle = 'ISO';
    SET IntervalStyle = 'postgres';
    SET bytea_output = 'hex';
    SET extra_float_digits = 3;
    SET standard_conforming_strings = on;
    SET row_security = off;
    SET client_min_messages = error;
    SET tcp_keepalives_idle = 60;
    SET tcp_keepalives_interval = 10;
    SET tcp_keepalives_count = 6;
    SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings
        WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',
                       'idle_session_timeout', 'transaction_timeout');
    SELECT pg_catalog.set_config(name, '120000', false) FROM pg_catalog.pg_settings WHERE name = 'tcp_user_timeout';
    DO $$ BEGIN
        PERFORM pg_catalog.set_config(name, '5000', false) FROM pg_catalog.pg_settings
            WHERE name = 'client_connection_check_interval';
    EXCEPTION WHEN OTHERS THEN NULL; END $$;
    SELECT pg_catalog.set_config('synchronous_commit', 'on', false)
        WHERE pg_catalog.current_setting('synchronous_commit') = 'off';
    SELECT pg_catalog.set_config('log_error_verbosity', 'terse', false)
        WHERE pg_catalog.current_setting('is_superuser') = 'on';
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tls_is_refused_plainly_and_no_url_is_repeated() {
        for mode in ["require", "verify-ca", "verify-full"] {
            let url = format!("postgres://kong:geheim@db.internal:5432/kong?sslmode={mode}");
            let error = TargetConfig::from_url(&url).and_then(|config| config.session()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.report().contains(mode) && error.report().contains("TLS"), "{}", error.report());
            assert!(!error.report().contains("geheim"));
        }
        for url in
            ["mysql://geheim@h/db", "postgres://u:geheim@h:port/db", "postgres://u:geheim@h/db?nope=geheim"]
        {
            let error = TargetConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(!format!("{} {error:?}", error.report()).contains("geheim"), "{error:?}");
        }
    }

    #[test]
    fn a_url_gives_schema_and_endpoint_and_hides_the_password() {
        let url = "postgres://kong:geheim@db:5433/gw?sslmode=disable&schema=Kong%20A";
        let config = TargetConfig::from_url(url).unwrap();
        assert_eq!(config.schema.as_deref(), Some("Kong A"));
        let endpoint = config.endpoint();
        assert_eq!((endpoint.address.as_str(), endpoint.database.as_str()), ("db:5433", "gw"));
        assert!(!format!("{config:?}").contains("geheim"));
        assert!(TargetConfig::from_url("postgres://h/db?sslmode=prefer").unwrap().session().is_ok());
    }
}
