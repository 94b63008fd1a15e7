//! Locks that cannot be had.

use crate::error::Error;
use crate::target::failure;

/// Whether the statement failed for a lock: in time, or for a deadlock.
pub(super) fn is_lock_failure(error: &tokio_postgres::Error) -> bool {
    error.code().is_some_and(|code| matches!(code.code(), "55P03" | "40P01"))
}

/// A failed statement; with what to do where a lock is the reason.
pub(super) fn refused(error: &tokio_postgres::Error, what: &str, waited: &str) -> Error {
    if is_lock_failure(error) {
        return refusal(error, what, waited);
    }
    let failed = failure::statement(error, what);
    match error.code().map(tokio_postgres::error::SqlState::code) {
        // Also what the server says when its table of locks is full.
        Some("53200") => failed.remedy("raise max_locks_per_transaction, or the memory of the server"),
        _ => failed,
    }
}

/// The failure to get a lock.
pub(super) fn refusal(error: &tokio_postgres::Error, what: &str, waited: &str) -> Error {
    failure::statement(error, what).remedy(format!(
        "stop the Gateways and end other sessions that work on the target's tables; kongferry waited {waited} for them"
    ))
}
