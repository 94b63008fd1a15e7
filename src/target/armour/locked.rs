//! Locks that cannot be had.

use crate::error::Error;
use crate::target::failure;

/// Whether the statement failed for a lock: in time, or for a deadlock.
pub(super) fn is_lock_failure(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "55P03" | "40P01"))
}

/// A failed statement; with what to do where a lock is the reason.
pub(super) fn refused(error: &tokio_postgres::Error, what: &str, waited: &str) -> Error {
    if is_lock_failure(error) { refusal(error, what, waited) } else { failure::statement(error, what) }
}

/// The failure to get a lock.
pub(super) fn refusal(error: &tokio_postgres::Error, what: &str, waited: &str) -> Error {
    failure::statement(error, what).remedy(format!(
        "stop the Gateways and end other sessions that work on the target's tables; kongferry waited {waited} for them"
    ))
}
