//! The first look at a server: may it be a target at all?

use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_postgres::{NoTls, SimpleQueryMessage};

use super::connect::{self, SETTINGS, Server};
use super::failure::{self, Endpoint};
use crate::error::{Error, ErrorKind, Result};

/// Oldest server that is known to work, as `server_version_num`.
const OLDEST_VERSION: u32 = 90_600;
/// Rounds of statements on two connections; a proxy that pools transactions mixes them up in the first already, unless it
/// hands out its connections in turn.
const PROXY_ROUNDS: usize = 3;

/// What the first look found.
pub(super) struct Probed {
    pub(super) server: Server,
    pub(super) schema: String,
}

/// A connection outside the pool; ends when dropped.
struct Session {
    client: tokio_postgres::Client,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Looks at the server and refuses what cannot be a target.
pub(super) async fn probe(
    pg: &tokio_postgres::Config,
    endpoint: &Endpoint,
    schema: Option<&str>,
    timeout: Duration,
) -> Result<Probed> {
    let first = open(pg, endpoint, timeout).await?;
    let second = open(pg, endpoint, timeout).await?;
    refuse_transaction_pooling(&first, &second, endpoint).await?;
    drop(second);
    let settle = |error| failure::connect(&error, endpoint);
    connect::set_up(&first.client, SETTINGS).await.map_err(settle)?;
    inspect(&first.client, endpoint, schema).await
}

async fn open(pg: &tokio_postgres::Config, endpoint: &Endpoint, timeout: Duration) -> Result<Session> {
    let connecting = tokio::time::timeout(timeout, pg.connect(NoTls));
    let (client, connection) = connecting
        .await
        .map_err(|_| {
            Error::new(ErrorKind::Target, format!("PostgreSQL at {} cannot be reached", endpoint.address))
                .because("no answer in time")
                .remedy("check host and port of the target, and that the server is up")
        })?
        .map_err(|error| failure::connect(&error, endpoint))?;
    // An error of the connection reaches the statement that was under way.
    let task = tokio::spawn(async move { drop(connection.await) });
    Ok(Session { client, task })
}

/// Two connections that are open at the same time have two server processes, and each keeps its own settings, unless a
/// proxy lends out server connections per transaction. Savepoints, session settings and prepared statements would end up
/// anywhere then. Only simple queries are used: such a proxy may not know prepared statements.
async fn refuse_transaction_pooling(first: &Session, second: &Session, endpoint: &Endpoint) -> Result<()> {
    let mut processes = [None, None];
    for round in 0..PROXY_ROUNDS {
        for (mark, session) in [first, second].into_iter().enumerate() {
            if round == 0 {
                let set = format!("SET kongferry.connection = '{mark}'");
                ask(session, &set, endpoint).await?;
            }
            let process = ask(session, "SELECT pg_backend_pid()", endpoint).await?;
            let kept = ask(session, "SELECT current_setting('kongferry.connection', true)", endpoint).await?;
            let same_process = processes[mark].get_or_insert_with(|| process.clone()) == &process;
            if !same_process || kept != Some(mark.to_string()) {
                return Err(pooled(endpoint));
            }
        }
    }
    let [one, other] = processes;
    if one == other { Err(pooled(endpoint)) } else { Ok(()) }
}

/// The first value of the answer to a simple query.
async fn ask(session: &Session, sql: &str, endpoint: &Endpoint) -> Result<Option<String>> {
    let answer =
        session.client.simple_query(sql).await.map_err(|error| failure::connect(&error, endpoint))?;
    Ok(answer.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.try_get(0).ok().flatten().map(str::to_owned),
        _ => None,
    }))
}

fn pooled(endpoint: &Endpoint) -> Error {
    Error::new(
        ErrorKind::Preflight,
        format!(
            "{} is a connection pooler that lends out server connections per transaction",
            endpoint.address
        ),
    )
    .remedy("connect to PostgreSQL itself, or to a pooler in session mode (pool_mode = session)")
}

async fn inspect(
    client: &tokio_postgres::Client,
    endpoint: &Endpoint,
    schema: Option<&str>,
) -> Result<Probed> {
    let at = format!("database {} at {}", endpoint.database, endpoint.address);
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num'), current_setting('server_version'),
                    current_database()::text, pg_is_in_recovery(), current_setting('default_transaction_read_only'),
                    current_setting('server_encoding'), current_setting('session_replication_role'),
                    coalesce($1, current_schema()::text, 'public'),
                    n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE'), false)
             FROM (SELECT 1) one
             LEFT JOIN pg_namespace n ON n.nspname = coalesce($1, current_schema()::text, 'public')",
            &[&schema],
        )
        .await
        .map_err(|error| failure::statement(&error, format!("cannot inspect {at}")))?;
    let malformed =
        |_| Error::new(ErrorKind::Target, format!("cannot inspect {at}")).because("unexpected answer");
    let text = |index: usize| row.try_get::<_, String>(index).map_err(malformed);
    let flag = |index: usize| row.try_get::<_, bool>(index).map_err(malformed);
    let refuse = |message: String, remedy: &str| {
        Err(Error::new(ErrorKind::Preflight, message).remedy(remedy.to_owned()))
    };

    let (version, schema) = (text(1)?, text(7)?);
    let version_num: u32 = text(0)?.parse().unwrap_or(0);
    if version_num < OLDEST_VERSION {
        return refuse(
            format!("PostgreSQL {version} at {} is too old", endpoint.address),
            "use 9.6 or later",
        );
    }
    if flag(3)? {
        return refuse(format!("{at} is a standby, which takes no writes"), "connect to the primary");
    }
    if text(4)? != "off" {
        return refuse(
            format!("{at} is read-only for role {}", endpoint.user),
            "set default_transaction_read_only to off for the role and the database",
        );
    }
    let encoding = text(5)?;
    if encoding != "UTF8" {
        return refuse(
            format!("{at} is encoded in {encoding}, and Kong's text needs UTF8"),
            "create the database with ENCODING 'UTF8' TEMPLATE template0 and bootstrap Kong in it",
        );
    }
    if text(6)? != "origin" {
        return refuse(
            format!("role {} works in {at} with session_replication_role set", endpoint.user),
            "reset it (ALTER ROLE ... RESET session_replication_role): triggers and foreign keys must work",
        );
    }
    if !flag(8)? {
        return refuse(
            format!("schema {schema} does not exist in {at}"),
            "check pg_schema of the Gateway, and run kong migrations bootstrap with it",
        );
    }
    if !flag(9)? {
        return refuse(
            format!("role {} may not use schema {schema} in {at}", endpoint.user),
            &format!("GRANT USAGE ON SCHEMA {schema} TO {}", endpoint.user),
        );
    }
    let server = Server {
        version,
        version_num,
        database: text(2)?,
        system_identifier: system_identifier(client).await,
    };
    Ok(Probed { server, schema })
}

/// Identifies the database cluster in the report; hosted services may not let a role see it.
async fn system_identifier(client: &tokio_postgres::Client) -> Option<String> {
    let sql = "SELECT system_identifier::text FROM pg_control_system()";
    client.query_one(sql, &[]).await.ok()?.try_get(0).ok()
}
