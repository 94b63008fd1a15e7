//! The one place where failures of the driver and of Cassandra become errors of this crate.
//!
//! Nothing of the server's own text is passed on: what is needed of it is recognised, and said in our words.

use std::fmt;
use std::io;
use std::time::Duration;

use scylla::errors::{
    ConnectionError, ConnectionPoolError, ConnectionSetupRequestErrorKind, DbError, ExecutionError,
    MetadataError, MetadataFetchErrorKind, NewSessionError, NextPageError, NextRowError, PrepareError,
    RequestAttemptError, RequestError,
};

use super::Consistency;
use crate::error::{Error, ErrorKind};

/// Why a request failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    /// The coordinator waited in vain for replicas.
    ReplicasSlow { received: i32, required: i32 },
    /// No answer within the request timeout.
    NoAnswer(Duration),
    /// A replica gave up reading.
    ReadFailed { failures: i32, tombstones: bool },
    /// Too few replicas are alive for the consistency.
    Unavailable { consistency: &'static str, required: i32, alive: i32 },
    /// The coordinator sheds load or is just starting.
    Overloaded,
    /// The server broke down on the request.
    ServerError,
    /// No connection to any node, or it broke.
    Disconnected(String),
    /// A guardrail of the server refuses pages of this many rows.
    PageTooLarge,
    /// The role lacks the right to read.
    NotPermitted,
    /// User name or password are wrong.
    AuthenticationFailed,
    /// The server wants a user name and password.
    AuthenticationRequired,
    /// The server refuses the request for good.
    Refused(&'static str),
    /// The answer cannot be read.
    Malformed(&'static str),
}

impl Trouble {
    /// Whether the same request may succeed later or on another node.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::ReplicasSlow { .. }
            | Self::NoAnswer(_)
            | Self::ReadFailed { .. }
            | Self::Unavailable { .. }
            | Self::Overloaded
            | Self::ServerError
            | Self::Disconnected(_)
            | Self::PageTooLarge => true,
            Self::NotPermitted
            | Self::AuthenticationFailed
            | Self::AuthenticationRequired
            | Self::Refused(_)
            | Self::Malformed(_) => false,
        }
    }

    /// Whether the request asks for more rows than the server can gather in one go.
    pub(super) fn wants_smaller_page(&self) -> bool {
        matches!(
            self,
            Self::ReplicasSlow { .. }
                | Self::NoAnswer(_)
                | Self::ReadFailed { .. }
                | Self::Overloaded
                | Self::PageTooLarge
        )
    }

    /// Whether the node has more to do than it can. A broken connection says nothing of the kind, and tombstones are met by one
    /// page as well as by many.
    pub(super) fn wants_fewer_pages(&self) -> bool {
        matches!(
            self,
            Self::ReplicasSlow { .. }
                | Self::NoAnswer(_)
                | Self::Unavailable { .. }
                | Self::Overloaded
                | Self::ServerError
        )
    }

    /// Whether it may pass by waiting. Tombstones and guardrails do not; only a smaller page or another node helps there.
    pub(super) fn wants_time(&self) -> bool {
        !matches!(self, Self::ReadFailed { .. } | Self::PageTooLarge)
    }

    /// What the user can do about it.
    fn remedy(&self) -> &'static str {
        match self {
            Self::ReplicasSlow { .. } | Self::NoAnswer(_) | Self::Overloaded => {
                "read slower (--max-rows-per-second), with fewer workers (--workers) or smaller pages (--memory), then resume"
            }
            Self::ReadFailed { .. } => {
                "look for `TombstoneOverwhelmingException` in the server's log; if it is there, lower gc_grace_seconds of the \
                 table and compact it, or raise tombstone_failure_threshold in cassandra.yaml, then resume"
            }
            Self::Unavailable { .. } => {
                "bring the missing nodes up, or choose a lower --consistency, then resume"
            }
            Self::Disconnected(_) => "check that the nodes are up and reachable from here, then resume",
            Self::ServerError => "look into the server's log, then resume",
            Self::PageTooLarge => "raise page_size_fail_threshold in cassandra.yaml, then resume",
            Self::NotPermitted => "grant the role SELECT on the keyspace",
            Self::AuthenticationFailed => "check user name and password",
            Self::AuthenticationRequired => "give a user name and a password",
            Self::Refused(_) | Self::Malformed(_) => {
                "check that the tables do not change during the run and that all nodes run one Cassandra version"
            }
        }
    }

    /// The error of reading `what`.
    pub(super) fn while_reading(&self, what: &str) -> Error {
        Error::new(ErrorKind::Source, format!("reading {what} failed")).because(self).remedy(self.remedy())
    }

    /// The error of reading `what` from a cluster of these `nodes`.
    pub(super) fn while_reading_from(&self, what: &str, nodes: &str) -> Error {
        let message = format!("reading {what} failed");
        Error::new(ErrorKind::Source, message).because(format!("{self} ({nodes})")).remedy(self.remedy())
    }

    /// The error of connecting to `contacts` as `user`.
    pub(super) fn while_connecting(&self, contacts: &str, user: Option<&str>) -> Error {
        let message = match (self, user) {
            (Self::AuthenticationFailed, Some(user)) => {
                format!("Cassandra at {contacts} refuses user {user}")
            }
            _ => format!("cannot connect to Cassandra at {contacts}"),
        };
        let remedy = match self {
            Self::Disconnected(_) | Self::NoAnswer(_) => {
                "check that host and port are those of Cassandra's native transport (9042 by default) and need no TLS"
            }
            other => other.remedy(),
        };
        Error::new(ErrorKind::Preflight, message).because(self).remedy(remedy)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReplicasSlow { received, required } => {
                write!(f, "the read timed out on the server ({received} of {required} replicas answered)")
            }
            Self::NoAnswer(timeout) => write!(f, "no answer within {} s", timeout.as_secs()),
            Self::ReadFailed { tombstones: true, .. } => f.write_str("the read met too many tombstones"),
            Self::ReadFailed { failures, .. } => {
                write!(f, "the read failed on {failures} replicas, most often because of too many tombstones")
            }
            Self::Unavailable { consistency, required, alive } => {
                write!(f, "consistency {consistency} needs {required} replicas, {alive} are alive")
            }
            Self::Overloaded => f.write_str("the node is overloaded or still starting"),
            Self::ServerError => f.write_str("the server reports an internal error"),
            Self::Disconnected(how) => write!(f, "no connection ({how})"),
            Self::PageTooLarge => f.write_str("a guardrail of the server refuses the page size"),
            Self::NotPermitted => f.write_str("the role may not read the table"),
            Self::AuthenticationFailed => f.write_str("authentication failed"),
            Self::AuthenticationRequired => f.write_str("authentication is required"),
            Self::Refused(how) | Self::Malformed(how) => f.write_str(how),
        }
    }
}

/// What went wrong with a socket, in few words.
pub(super) fn io_cause(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut => "timed out".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => "connection reset".to_owned(),
        io::ErrorKind::HostUnreachable | io::ErrorKind::NetworkUnreachable => "unreachable".to_owned(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => "connection closed".to_owned(),
        other => other.to_string(),
    }
}

impl From<&DbError> for Trouble {
    fn from(error: &DbError) -> Self {
        match error {
            DbError::ReadTimeout { received, required, .. } => {
                Self::ReplicasSlow { received: *received, required: *required }
            }
            DbError::ReadFailure { numfailures, .. } => {
                Self::ReadFailed { failures: *numfailures, tombstones: false }
            }
            DbError::Unavailable { consistency, required, alive } => Self::Unavailable {
                consistency: Consistency::name_of_driver(*consistency),
                required: *required,
                alive: *alive,
            },
            DbError::Overloaded | DbError::IsBootstrapping | DbError::RateLimitReached { .. } => {
                Self::Overloaded
            }
            DbError::ServerError => Self::ServerError,
            DbError::Unauthorized => Self::NotPermitted,
            DbError::AuthenticationError => Self::AuthenticationFailed,
            DbError::Invalid | DbError::SyntaxError | DbError::ConfigError => {
                Self::Refused("the server does not accept the query")
            }
            DbError::ProtocolError => {
                Self::Refused("the server does not speak version 4 of the CQL protocol")
            }
            _ => Self::Refused("the server answered with an error that reading does not produce"),
        }
    }
}

impl From<&RequestAttemptError> for Trouble {
    fn from(error: &RequestAttemptError) -> Self {
        match error {
            RequestAttemptError::DbError(error @ DbError::ReadFailure { .. }, text) => {
                match Self::from(error) {
                    Self::ReadFailed { failures, .. } => Self::ReadFailed {
                        failures,
                        tombstones: text.to_ascii_lowercase().contains("tombstone"),
                    },
                    other => other,
                }
            }
            RequestAttemptError::DbError(DbError::Invalid, text) if text.contains("page size") => {
                Self::PageTooLarge
            }
            RequestAttemptError::DbError(error, _) => error.into(),
            RequestAttemptError::BrokenConnectionError(_) => Self::Disconnected("it broke".to_owned()),
            RequestAttemptError::UnableToAllocStreamId => Self::Overloaded,
            RequestAttemptError::SerializationError(_) | RequestAttemptError::CqlRequestSerialization(_) => {
                Self::Refused("the query cannot be encoded for the types of the table")
            }
            RequestAttemptError::RepreparedIdChanged { .. } => {
                Self::Refused("the statement changed its meaning when it was prepared again")
            }
            _ => Self::Malformed("the answer of the server cannot be read"),
        }
    }
}

impl From<&ConnectionError> for Trouble {
    fn from(error: &ConnectionError) -> Self {
        match error {
            ConnectionError::ConnectTimeout => Self::Disconnected("timed out".to_owned()),
            ConnectionError::IoError(error) => Self::Disconnected(io_cause(error)),
            ConnectionError::ConnectionSetupRequestError(error) => match error.get_error() {
                ConnectionSetupRequestErrorKind::DbError(error, _) => error.into(),
                ConnectionSetupRequestErrorKind::MissingAuthentication => Self::AuthenticationRequired,
                ConnectionSetupRequestErrorKind::BrokenConnection(_) => {
                    Self::Disconnected("the peer hung up while greeting".to_owned())
                }
                _ => Self::Disconnected("the peer does not answer as Cassandra does".to_owned()),
            },
            _ => Self::Disconnected("it broke".to_owned()),
        }
    }
}

impl From<&ConnectionPoolError> for Trouble {
    fn from(error: &ConnectionPoolError) -> Self {
        match error {
            ConnectionPoolError::Broken { last_connection_error } => last_connection_error.into(),
            _ => Self::Disconnected("not connected yet".to_owned()),
        }
    }
}

impl From<&PrepareError> for Trouble {
    fn from(error: &PrepareError) -> Self {
        match error {
            PrepareError::ConnectionPoolError(error) => error.into(),
            PrepareError::AllAttemptsFailed { first_attempt } => first_attempt.into(),
            _ => Self::Malformed("the nodes disagree about the statement"),
        }
    }
}

impl From<&ExecutionError> for Trouble {
    fn from(error: &ExecutionError) -> Self {
        match error {
            ExecutionError::LastAttemptError(error) => error.into(),
            ExecutionError::PrepareError(error) => error.into(),
            ExecutionError::ConnectionPoolError(error) => error.into(),
            ExecutionError::EmptyPlan => Self::Disconnected("the node is gone".to_owned()),
            ExecutionError::RequestTimeout(timeout) => Self::NoAnswer(*timeout),
            ExecutionError::BadQuery(_) => {
                Self::Refused("the query cannot be encoded for the types of the table")
            }
            _ => Self::Refused("the driver refuses the query"),
        }
    }
}

impl From<&NewSessionError> for Trouble {
    fn from(error: &NewSessionError) -> Self {
        match error {
            NewSessionError::MetadataError(error) => error.into(),
            NewSessionError::FailedToResolveAnyHostname(_) => {
                Self::Disconnected("unknown host name".to_owned())
            }
            _ => Self::Refused("the driver refuses the settings"),
        }
    }
}

impl From<&MetadataError> for Trouble {
    fn from(error: &MetadataError) -> Self {
        let fetch = match error {
            MetadataError::ConnectionPoolError(error) => return error.into(),
            MetadataError::Peers(_) => {
                return Self::Refused(
                    "its tokens are not those of Murmur3Partitioner, the only partitioner supported",
                );
            }
            MetadataError::FetchError(error) => &error.error,
            _ => return Self::Malformed("what the node says about the cluster cannot be read"),
        };
        match fetch {
            MetadataFetchErrorKind::PrepareError(error) => error.into(),
            MetadataFetchErrorKind::NextRowError(NextRowError::NextPageError(
                NextPageError::RequestFailure(error),
            )) => match error {
                RequestError::LastAttemptError(error) => error.into(),
                RequestError::ConnectionPoolError(error) => error.into(),
                RequestError::RequestTimeout(timeout) => Self::NoAnswer(*timeout),
                _ => Self::Disconnected("the node is gone".to_owned()),
            },
            _ => Self::Malformed("what the node says about the cluster cannot be read"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(error: DbError, text: &str) -> Trouble {
        Trouble::from(&RequestAttemptError::DbError(error, text.to_owned()))
    }

    #[test]
    fn the_servers_text_is_recognised_but_not_passed_on() {
        let failure = DbError::ReadFailure {
            consistency: scylla::statement::Consistency::LocalQuorum,
            received: 0,
            required: 1,
            numfailures: 1,
            data_present: false,
        };
        let trouble = attempt(failure, "1 failures: READ_TOO_MANY_TOMBSTONES from /10.0.0.1 (key hunter2)");
        assert_eq!(trouble, Trouble::ReadFailed { failures: 1, tombstones: true });
        let report = trouble.while_reading("consumers split 3").report();
        assert!(report.contains("consumers split 3") && report.contains("gc_grace_seconds"), "{report}");
        assert!(!report.contains("hunter2"), "{report}");
    }

    #[test]
    fn too_few_replicas_are_counted() {
        let level = scylla::statement::Consistency::LocalQuorum;
        let error = DbError::Unavailable { consistency: level, required: 2, alive: 1 };
        let text = attempt(error, "").while_reading("consumers split 0").to_string();
        assert!(text.contains("consistency local_quorum needs 2 replicas, 1 are alive"), "{text}");
    }

    #[test]
    fn a_refused_page_size_asks_for_smaller_pages() {
        let text = "Query for table consumers with page size 5000 exceeds failure threshold of 500";
        assert_eq!(attempt(DbError::Invalid, text), Trouble::PageTooLarge);
        assert!(!attempt(DbError::Invalid, "unknown column").is_transient());
    }

    #[test]
    fn connecting_is_preflight_and_reading_is_source() {
        let trouble = Trouble::AuthenticationFailed;
        let error = trouble.while_connecting("db1:9042", Some("kong"));
        assert_eq!(error.kind(), ErrorKind::Preflight);
        assert!(error.to_string().contains("db1:9042 refuses user kong"), "{error}");
        assert_eq!(trouble.while_reading("x").kind(), ErrorKind::Source);
    }
}
