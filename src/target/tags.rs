//! `tags`: one row per entity, written by row triggers (`sync_tags`), or, after a load without them, set-wise.

use super::LoadTransaction;
use super::identifier::{literal, qualified};
use crate::error::Result;

/// The table.
pub const TAGS: &str = "tags";

/// Function of the triggers that write it.
pub const SYNC_TAGS: &str = "sync_tags";

/// Writes the rows of `tags` that the triggers of `table` would have written: one for each entity, untagged ones included
/// (`tags` NULL or empty, as in the entity). `tags` must not hold any of them yet. Returns their number.
pub async fn rebuild(transaction: &mut LoadTransaction, schema: &str, table: &str) -> Result<u64> {
    transaction.execute(format!("cannot write the tags of {table}"), &statement(schema, table), &[]).await
}

/// The statement of [`rebuild`].
pub(super) fn statement(schema: &str, table: &str) -> String {
    format!(
        "INSERT INTO {} (entity_id, entity_name, tags) SELECT e.id, {}, e.tags FROM {} e",
        qualified(schema, TAGS),
        literal(table),
        qualified(schema, table),
    )
}
