//! The one place that turns errors of the driver and the pool into the crate's [`Error`].
//!
//! `PostgreSQL` quotes values in its messages (`invalid input syntax for type uuid: "..."`) and whole rows in DETAIL. Neither
//! is ever repeated: a cause is put together from the SQLSTATE and the names of table, column and constraint. The full
//! text stands in the server's log.

use std::error::Error as _;
use std::fmt::Display;
use std::io;

use deadpool_postgres::{HookError, PoolError, TimeoutType};
use tokio_postgres::error::DbError;

use super::sqlstate;
use crate::error::{Error, ErrorKind};

/// Longest name `PostgreSQL` keeps, in bytes (`NAMEDATALEN` - 1).
const LONGEST_NAME: usize = 63;

/// Where a connection leads, in words that hold no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `host:port`, several separated by commas.
    pub address: String,
    /// Database name.
    pub database: String,
    /// Role name.
    pub user: String,
}

/// A COPY that failed.
#[derive(Debug, Clone)]
pub struct CopyFailure {
    /// What happened.
    pub error: Error,
    /// The row at fault, counted from 0 over everything sent through the stream; unknown for foreign keys, which are
    /// checked when a statement ends.
    pub row: Option<u64>,
    /// The column at fault, when the server names it.
    pub column: Option<String>,
}

impl CopyFailure {
    /// A failure that has nothing to do with a row.
    pub(super) fn unlocated(error: Error) -> Self {
        Self { error, row: None, column: None }
    }
}

impl From<CopyFailure> for Error {
    fn from(failure: CopyFailure) -> Self {
        failure.error
    }
}

/// The failure of a statement. `what` says what was being done: `cannot count table "kong"."acls"`.
pub fn statement(error: &tokio_postgres::Error, what: impl Display) -> Error {
    explain(error, ErrorKind::Target, what, None)
}

/// Like [`statement`], for one that needs a privilege: `grant` is written as in GRANT, `SELECT ON "kong"."acls"`.
pub fn statement_needing(error: &tokio_postgres::Error, what: impl Display, grant: &str) -> Error {
    explain(error, ErrorKind::Target, what, Some(grant))
}

/// The failure of a statement that loads rows: a value or key that is refused is the row's fault.
pub(super) fn load(error: &tokio_postgres::Error, what: impl Display, grant: Option<&str>) -> Error {
    let kind = match error.as_db_error().map(|db| db.code().code()) {
        // The tuples themselves are laid out by kongferry.
        Some("22P04") => ErrorKind::Internal,
        Some(code) if matches!(sqlstate::class(code), "22" | "23" | "54" | "P0") => ErrorKind::Row,
        _ => ErrorKind::Target,
    };
    explain(error, kind, what, grant)
}

/// The failure of a COPY of `columns`; `before` rows went through earlier statements of the same stream.
pub(super) fn copy(
    error: &tokio_postgres::Error,
    table: &str,
    columns: &[String],
    grant: &str,
    before: u64,
) -> CopyFailure {
    let context = error.as_db_error().and_then(|db| copy_context(db.where_()?));
    let row = context.as_ref().map(|(line, _)| before + line.saturating_sub(1));
    let named = error.as_db_error().and_then(DbError::column).map(str::to_owned);
    let column =
        named.or_else(|| context.and_then(|(_, column)| column)).filter(|name| columns.contains(name));
    let at_row = row.map_or_else(String::new, |row| format!(", row {} of the split", row + 1));
    let at_column = column.as_ref().map_or_else(String::new, |column| format!(", column {column}"));
    let what = format!("cannot load table {table}{at_row}{at_column}");
    CopyFailure { error: load(error, what, Some(grant)), row, column }
}

/// The failure to get a connection.
pub(super) fn pool(error: &PoolError, endpoint: &Endpoint) -> Error {
    let server = &endpoint.address;
    match error {
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            connect(error, endpoint)
        }
        PoolError::Timeout(TimeoutType::Wait) => {
            Error::new(ErrorKind::Internal, format!("no connection to PostgreSQL at {server} became free"))
                .because("all connections of the pool were in use for too long")
        }
        PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
            unreachable_server(server, "no answer in time")
        }
        PoolError::Closed | PoolError::NoRuntimeSpecified | PoolError::PostCreateHook(_) => {
            Error::new(ErrorKind::Internal, "the pool of PostgreSQL connections is not usable")
        }
    }
}

/// The failure to connect, or to set up a session.
pub(super) fn connect(error: &tokio_postgres::Error, endpoint: &Endpoint) -> Error {
    let Endpoint { address, database, user } = endpoint;
    let Some(db) = error.as_db_error() else {
        if error.source().is_some_and(|cause| cause.to_string() == "password missing") {
            return Error::new(
                ErrorKind::Target,
                format!("PostgreSQL at {address} asks for the password of role {user}, and none is given"),
            )
            .remedy("set KONGFERRY_TARGET_PASSWORD");
        }
        return unreachable_server(address, &driver_cause(error));
    };
    let code = db.code().code();
    let label = sqlstate::label(code);
    let refused = |message: String| Error::new(ErrorKind::Target, message).because(&label);
    match code {
        "28P01" => refused(format!("PostgreSQL at {address} refuses the password of role {user}"))
            .remedy("check role and password of the target"),
        "28000" => refused(format!("PostgreSQL at {address} does not let role {user} into database {database}"))
            .remedy(
                "check that the role exists and may log in, and that pg_hba.conf lets it in from this host (without \
                 TLS, if sslmode is not given)",
            ),
        "3D000" => refused(format!("database {database} does not exist on PostgreSQL at {address}"))
            .remedy("check the database name of the target"),
        "42501" => refused(format!("role {user} may not connect to database {database} at {address}"))
            .remedy(format!("GRANT CONNECT ON DATABASE {database} TO {user}")),
        "53300" => refused(format!("PostgreSQL at {address} takes no more connections"))
            .remedy("use fewer workers, or raise max_connections or the role's connection limit"),
        "57P03" => refused(format!("PostgreSQL at {address} is starting up or shutting down"))
            .remedy("wait until it accepts connections, then run the command again"),
        "08P01" => refused(format!("cannot start a session on PostgreSQL at {address}"))
            .remedy("connect to the server itself, not to a connection pooler"),
        _ => explain(error, ErrorKind::Target, format!("cannot connect to PostgreSQL at {address}"), None),
    }
}

fn unreachable_server(address: &str, cause: &str) -> Error {
    Error::new(ErrorKind::Target, format!("PostgreSQL at {address} cannot be reached"))
        .because(cause)
        .remedy("check host and port of the target, and that the server is up")
}

fn explain(error: &tokio_postgres::Error, kind: ErrorKind, what: impl Display, grant: Option<&str>) -> Error {
    let Some(db) = error.as_db_error() else {
        let failed = Error::new(kind, what.to_string()).because(driver_cause(error));
        return if is_connection_loss(error) { failed.remedy(REMEDY_LOST) } else { failed };
    };
    let mut failed = Error::new(kind, what.to_string()).because(server_cause(db));
    if sqlstate::class(db.code().code()) == "40" {
        failed = failed.passing();
    }
    match remedy(db, grant) {
        Some(remedy) => failed.remedy(remedy),
        None => failed,
    }
}

const REMEDY_LOST: &str = "see in the server's log why it ended the connection; what was not committed is rolled back there; \
     run the command again when the server is up";

/// What the server said, from the parts that cannot hold a value.
fn server_cause(db: &DbError) -> String {
    let code = db.code().code();
    let cause = match denied_object(db) {
        Some(object) => format!("permission denied for {object}"),
        None => sqlstate::meaning(code).to_owned(),
    };
    let names: String = [("table", db.table()), ("column", db.column()), ("constraint", db.constraint())]
        .into_iter()
        .filter_map(|(kind, name)| Some(format!(", {kind} {}", plain_name(name?)?)))
        .collect();
    format!("{cause}{names} ({})", sqlstate::label(code))
}

fn remedy(db: &DbError, grant: Option<&str>) -> Option<String> {
    Some(match db.code().code() {
        "42501" => match (denied_object(db), grant) {
            (_, Some(grant)) => format!("GRANT {grant} to the role, or connect as the owner of the tables"),
            (Some(object), None) => {
                format!("grant the role access to {object}, or connect as the owner of the tables")
            }
            (None, None) => "connect as the owner of the tables".to_owned(),
        },
        "53100" => "free disk space on the database server, then run the command again".to_owned(),
        "53300" => "use fewer workers, or raise max_connections or the role's connection limit".to_owned(),
        "57014" => "someone cancelled it on the server; run the command again".to_owned(),
        "55P03" | "40P01" | "40001" => {
            "see that no Gateway or other client uses the database, then run the command again".to_owned()
        }
        "25006" => "connect to the primary, and see that default_transaction_read_only is off".to_owned(),
        _ if is_shutdown(db) => REMEDY_LOST.to_owned(),
        _ => return None,
    })
}

fn is_shutdown(db: &DbError) -> bool {
    matches!(db.code().code(), "57P01" | "57P02" | "57P03" | "57P05" | "25P03")
}

fn is_connection_loss(error: &tokio_postgres::Error) -> bool {
    error.is_closed() || io_cause(error).is_some()
}

fn io_cause(error: &tokio_postgres::Error) -> Option<&io::Error> {
    error.source()?.downcast_ref::<io::Error>()
}

/// What the driver said, when no answer of the server is behind it. The driver's words name no values; those of an
/// unexpected cause are left out.
fn driver_cause(error: &tokio_postgres::Error) -> String {
    if let Some(io) = io_cause(error) {
        return match io.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
            io::ErrorKind::TimedOut => "no answer in time".to_owned(),
            io::ErrorKind::NotFound => "its socket does not exist".to_owned(),
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::UnexpectedEof => "the connection was lost".to_owned(),
            io::ErrorKind::Other | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput
                if io.raw_os_error().is_none() =>
            {
                "what answers there does not speak PostgreSQL's protocol".to_owned()
            }
            _ if io.to_string().starts_with("failed to lookup address") => {
                "the host name cannot be resolved".to_owned()
            }
            // Text of the operating system, such as `No route to host`.
            _ => match io.raw_os_error() {
                Some(_) => io.to_string(),
                None => format!("input/output error ({:?})", io.kind()),
            },
        };
    }
    if error.is_closed() {
        return "the connection was lost".to_owned();
    }
    // Without its cause: the driver's own short sentence.
    error.to_string()
}

/// The object of `permission denied for table acls`. Messages of this code name objects only; the form is checked all the
/// same, and a translated message gives nothing.
fn denied_object(db: &DbError) -> Option<String> {
    if db.code().code() != "42501" {
        return None;
    }
    let (kind, name) = db.message().strip_prefix("permission denied for ")?.split_once(' ')?;
    let kind = if kind == "relation" { "table" } else { kind };
    let known = ["table", "schema", "sequence", "function", "database", "view", "type"];
    if !known.contains(&kind) {
        return None;
    }
    Some(format!("{kind} {}", plain_name(name)?))
}

fn plain_name(name: &str) -> Option<&str> {
    let plain = !name.is_empty() && name.len() <= LONGEST_NAME && !name.chars().any(char::is_control);
    plain.then_some(name)
}

/// Row number and column of the line `COPY t, line 7, column c` in an error's context. In text format a value would
/// follow the column after a colon: such a column is left out.
fn copy_context(context: &str) -> Option<(u64, Option<String>)> {
    let place = context.lines().find_map(|line| line.strip_prefix("COPY ")?.split_once(", line "))?.1;
    let digits = place.find(|c: char| !c.is_ascii_digit()).unwrap_or(place.len());
    let (number, rest) = place.split_at(digits);
    let column = rest.strip_prefix(", column ").filter(|name| !name.contains(':')).and_then(plain_name);
    Some((number.parse().ok()?, column.map(str::to_owned)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copy_context_gives_row_and_column_but_no_value() {
        assert_eq!(copy_context("COPY acls, line 7, column id"), Some((7, Some("id".to_owned()))));
        assert_eq!(copy_context("COPY acls, line 12"), Some((12, None)));
        assert_eq!(copy_context("COPY acls, line 3, column id: \"secret\""), Some((3, None)));
        let nested = "PL/pgSQL function sync_tags() line 5 at SQL statement\nCOPY acls, line 4";
        assert_eq!(copy_context(nested), Some((4, None)));
        assert_eq!(copy_context("SQL statement \"SELECT 1\""), None);
    }
}
