//! Who else is connected to the target: perhaps a Gateway that should not run yet.

use super::failure;
use crate::error::{Error, ErrorKind, Result};

/// Sessions of one kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherSessions {
    /// `application_name`; Kong leaves it empty.
    pub application_name: String,
    /// Role.
    pub user: String,
    /// Address of the client; unknown for local sockets, and for roles that may not see it.
    pub client: Option<String>,
    /// How many.
    pub count: u64,
}

/// `server_version_num` from which `pg_stat_activity` names the kind of backend.
const WITH_BACKEND_TYPE: u32 = 100_000;

/// Client sessions in this database that do not share the first word of the application name of `client`'s own; further words
/// say which process it is.
pub async fn other_sessions(client: &tokio_postgres::Client, version_num: u32) -> Result<Vec<OtherSessions>> {
    let clients_only = if version_num >= WITH_BACKEND_TYPE {
        // A role without rights on a session sees no backend_type; autovacuum workers have no user.
        "usename IS NOT NULL AND coalesce(backend_type, 'client backend') = 'client backend'"
    } else {
        "coalesce(query, '') NOT LIKE 'autovacuum:%'"
    };
    let sql = format!(
        "SELECT coalesce(application_name, ''), coalesce(usename::text, ''), host(client_addr), count(*)
         FROM pg_stat_activity
         WHERE datname = current_database() AND pid <> pg_backend_pid() AND {clients_only}
           AND split_part(coalesce(application_name, ''), ' ', 1) <> split_part(current_setting('application_name'), ' ', 1)
         GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
    );
    let what = "cannot list the sessions of the target";
    let rows = client.query(&sql, &[]).await.map_err(|error| failure::statement(&error, what))?;
    rows.iter()
        .map(|row| {
            Ok(OtherSessions {
                application_name: row.try_get(0)?,
                user: row.try_get(1)?,
                client: row.try_get(2)?,
                count: u64::try_from(row.try_get::<_, i64>(3)?).unwrap_or(0),
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(|_| Error::new(ErrorKind::Target, what).because("unexpected answer"))
}

/// A session of kongferry itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnSession {
    /// Process id of its backend.
    pub pid: i32,
    /// Address of the client; unknown for local sockets.
    pub client: Option<String>,
    /// Such as `active` or `idle in transaction`.
    pub state: String,
    /// Seconds since its transaction began.
    pub seconds: i64,
    /// Host and process that opened it; empty when it does not say.
    pub worker: String,
}

/// Sessions in this database with the first word of the application name of `client`'s own that are in a transaction; its own left out.
pub async fn own_sessions(client: &tokio_postgres::Client) -> Result<Vec<OwnSession>> {
    let what = "cannot list the sessions of kongferry";
    let sql = "SELECT pid, host(client_addr), coalesce(state, 'unknown'),
                      extract(epoch FROM clock_timestamp() - xact_start)::bigint, split_part(application_name, ' ', 2)
               FROM pg_stat_activity
               WHERE datname = current_database() AND pid <> pg_backend_pid() AND xact_start IS NOT NULL
                 AND split_part(application_name, ' ', 1) = split_part(current_setting('application_name'), ' ', 1)
               ORDER BY xact_start";
    let rows = client.query(sql, &[]).await.map_err(|error| failure::statement(&error, what))?;
    rows.iter()
        .map(|row| {
            Ok(OwnSession {
                pid: row.try_get(0)?,
                client: row.try_get(1)?,
                state: row.try_get(2)?,
                seconds: row.try_get(3)?,
                worker: row.try_get(4)?,
            })
        })
        .collect::<Result<_, tokio_postgres::Error>>()
        .map_err(|_| Error::new(ErrorKind::Target, what).because("unexpected answer"))
}
