//! Taking the armour off.

use std::collections::BTreeSet;

use super::inventory::Armour;
use super::locked;
use super::{read, snapshot, statements};
use crate::error::{Error, ErrorKind, Result};
use crate::target::identifier::qualified;
use crate::target::{LoadTransaction, failure};

/// Longest wait for the locks. A Gateway holds none for longer than a moment.
const LOCK_TIMEOUT: &str = "30s";
/// Differences that an error names.
const NAMED: usize = 5;

/// Takes the armour off inside `transaction`, which the caller commits together with what it writes down about it. The
/// tables stay locked until then. `new_defaults` names columns, as `table.column`, whose default was changed on purpose since
/// the armour was read.
///
/// # Errors
/// `Preflight` when the tables are not as the armour says (any more); `Target` when locks on them cannot be had or a
/// statement fails.
pub async fn take_off(
    transaction: &mut LoadTransaction,
    armour: &Armour,
    new_defaults: &BTreeSet<String>,
) -> Result<()> {
    take_off_within(transaction, armour, new_defaults, LOCK_TIMEOUT).await?;
    let usual = format!("SET LOCAL lock_timeout = 0; {}", snapshot::usual_search_path(&armour.schema));
    let client = transaction.client()?;
    client.batch_execute(&usual).await.map_err(|error| failure::statement(&error, WHAT))
}

const WHAT: &str = "cannot take indexes, keys and triggers off the tables";

/// Leaves `search_path` at `pg_catalog` and the lock timeout set.
pub(super) async fn take_off_within(
    transaction: &mut LoadTransaction,
    armour: &Armour,
    new_defaults: &BTreeSet<String>,
    lock_timeout: &str,
) -> Result<()> {
    let client = transaction.client()?;
    let own = armour.tables.keys().map(|table| (armour.schema.as_str(), table.as_str()));
    let children = armour.foreign_keys.iter().map(|key| (key.schema.as_str(), key.table.as_str()));
    let tables: BTreeSet<(&str, &str)> = own.chain(children).collect();
    if tables.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = tables.iter().map(|(schema, table)| qualified(schema, table)).collect();
    let lock = format!(
        "SET LOCAL lock_timeout = '{lock_timeout}';
         LOCK TABLE {} IN ACCESS EXCLUSIVE MODE",
        names.join(", ")
    );
    if let Err(error) = client.batch_execute(&lock).await {
        if !locked::is_lock_failure(&error) {
            return Err(failure::statement(&error, "cannot lock the tables"));
        }
        return Err(locked::refusal(&error, "cannot lock the tables", lock_timeout));
    }
    read::write_names_in_full(client).await?;
    let changed = snapshot::differences_within(client, armour, new_defaults).await?;
    if !changed.is_empty() {
        return Err(Error::new(
            ErrorKind::Preflight,
            "the target's tables were changed after their definitions were read",
        )
        .because(some_of(&changed))
        .remedy("see who changes the schema of the target, and run the command again"));
    }
    client
        .batch_execute(&statements::take_off(armour))
        .await
        .map_err(|error| locked::refused(&error, WHAT, lock_timeout))
}

/// The first of `lines`, and how many more there are.
pub(super) fn some_of(lines: &[String]) -> String {
    let named: Vec<&str> = lines.iter().take(NAMED).map(String::as_str).collect();
    match lines.len().checked_sub(NAMED).filter(|more| *more > 0) {
        Some(more) => format!("{}, and {more} more", named.join("; ")),
        None => named.join("; "),
    }
}
