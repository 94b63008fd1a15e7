//! One run per target database at a time.

use deadpool_postgres::Object;

use super::{taken_over, unexpected};
use crate::error::{Error, ErrorKind, Result};
use crate::target::{LoadTransaction, Target, failure};

/// Key of the advisory lock: the letters `kongferr`.
const KEY: i64 = 0x6b6f_6e67_6665_7272;

/// Holds the advisory lock of a target as long as it lives. Those who work on the same run share it; who begins, ends or
/// undoes a run has it alone.
#[derive(Debug)]
pub struct Guard {
    /// Out of the pool: the lock belongs to the session and must end with it.
    session: deadpool_postgres::ClientWrapper,
}

impl Guard {
    /// Nobody else works on this target.
    ///
    /// # Errors
    /// `Preflight` when somebody does.
    pub async fn alone(target: &Target) -> Result<Self> {
        Self::take(target, "pg_try_advisory_lock").await
    }

    /// Others may work on the same run.
    ///
    /// # Errors
    /// `Preflight` when somebody has it alone: is beginning, re-arming or undoing a run.
    pub async fn shared(target: &Target) -> Result<Self> {
        Self::take(target, "pg_try_advisory_lock_shared").await
    }

    async fn take(target: &Target, function: &str) -> Result<Self> {
        let session = Object::take(target.client().await?);
        let what = "lock the target against other runs";
        let row = session
            .query_one(&format!("SELECT pg_catalog.{function}($1::bigint)"), &[&KEY])
            .await
            .map_err(|error| failure::statement(&error, format!("cannot {what}")))?;
        if row.try_get(0).map_err(|_| unexpected(what))? {
            return Ok(Self { session });
        }
        Err(Error::new(ErrorKind::Preflight, "another kongferry works on this target").remedy(
            "wait until it has ended; `kongferry status` shows it. One that hangs on a host that is gone ends with its \
             connection within about two minutes",
        ))
    }

    /// Lets others in, once the run they can join exists.
    pub async fn share(&self) -> Result<()> {
        let sql = format!(
            "SELECT pg_catalog.pg_advisory_lock_shared({KEY}); SELECT pg_catalog.pg_advisory_unlock({KEY})"
        );
        self.session
            .batch_execute(&sql)
            .await
            .map_err(|error| failure::statement(&error, "cannot let others join the run"))
    }
}

/// Holds the lock of the target in `transaction` as well, shared with those who work on the same run.
pub(super) async fn hold(transaction: &mut LoadTransaction) -> Result<()> {
    let what = "lock the target against other runs";
    let sql = "SELECT pg_catalog.pg_try_advisory_xact_lock_shared($1::bigint)";
    let rows = transaction.query(format!("cannot {what}"), sql, &[&KEY]).await?;
    let held = rows.first().and_then(|row| row.try_get(0).ok()).ok_or_else(|| unexpected(what))?;
    if held { Ok(()) } else { Err(taken_over()) }
}
