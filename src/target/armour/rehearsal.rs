//! The rehearsal.

use std::collections::BTreeSet;

use super::inventory::Armour;
use super::put_back::{put_back, statements_of};
use super::resources::Resources;
use super::take_off::{some_of, take_off_within};
use super::{locked, snapshot};
use crate::error::{Error, ErrorKind, Result};
use crate::target::{LoadTransaction, Target, failure};

/// Longest wait for the locks: long enough for a request of a Gateway, and a clear refusal comes soon.
const LOCK_TIMEOUT: &str = "5s";
/// Where the second attempt begins.
const SAVEPOINT: &str = "kongferry_rehearsal";
/// The tables are empty, or hold a few rows of bootstrap.
const RESOURCES: Resources = Resources { memory: 1 << 20, parallel_workers: 0 };

/// In one transaction: takes the armour off, puts it back, compares the catalogs, and rolls back.
///
/// # Errors
/// `Preflight`, with the first objects that would not come back as they were, or what stands in the way.
pub async fn rehearse(target: &Target, armour: &Armour) -> Result<()> {
    let mut transaction = target.begin().await?;
    let outcome = rehearse_within(&mut transaction, armour, target.server().version_num).await;
    // After a failure as well, so that the connection goes back to the pool.
    let ended = transaction.rollback().await;
    outcome.map_err(Error::before_writing)?;
    ended
}

async fn rehearse_within(transaction: &mut LoadTransaction, armour: &Armour, version: u32) -> Result<()> {
    take_off_within(transaction, armour, &BTreeSet::new(), LOCK_TIMEOUT).await?;
    let steps = armour.steps();
    let mut all = format!("SAVEPOINT {SAVEPOINT}; {}\n", RESOURCES.settings(0, None));
    for step in &steps {
        all += &statements_of(armour, step, version)?;
        all.push('\n');
    }
    if let Err(error) = transaction.client()?.batch_execute(&all).await {
        if error.code().is_none() {
            return Err(failure::statement(&error, WHAT));
        }
        // Once more, step by step, to name the one that fails.
        transaction.rollback_to(SAVEPOINT).await?;
        for step in &steps {
            put_back(transaction, armour, step, &RESOURCES).await.map_err(|error| refused(&error))?;
        }
        return Err(locked::refused(&error, WHAT, LOCK_TIMEOUT));
    }
    let different = snapshot::differences_within(transaction.client()?, armour, &BTreeSet::new()).await?;
    if different.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Preflight,
        "the tables would not come back as they are after a load without their keys",
    )
    .because(some_of(&different))
    .remedy(KEEP))
}

const WHAT: &str = "cannot rehearse taking indexes, keys and triggers off the tables";
/// What always helps.
pub(super) const KEEP: &str = "load with --keep-constraints";

fn refused(error: &Error) -> Error {
    Error::new(ErrorKind::Preflight, WHAT).because(error).remedy(KEEP)
}
