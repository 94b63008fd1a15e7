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

/// Removes the rows of the entities of `table`.
pub async fn forget(transaction: &mut LoadTransaction, schema: &str, table: &str) -> Result<u64> {
    let sql = format!(
        "DELETE FROM {} WHERE entity_id IN (SELECT id FROM {})",
        qualified(schema, TAGS),
        qualified(schema, table)
    );
    transaction.execute(format!("cannot remove the tags of {table}"), &sql, &[]).await
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

/// Leaves one row per id where entities of several tables have the same, as the triggers do: the name of the table that was
/// written first stays, the tags are those of the last. `tables` in the order in which they would have been written. Returns
/// the number of such ids.
pub async fn merge_twins(transaction: &mut LoadTransaction, schema: &str, tables: &[&str]) -> Result<u64> {
    let tags = qualified(schema, TAGS);
    let sql = format!(
        "WITH twins AS (
             DELETE FROM {tags} WHERE entity_id IN (SELECT entity_id FROM {tags} GROUP BY entity_id HAVING count(*) > 1)
             RETURNING entity_id, entity_name, tags)
         INSERT INTO {tags} (entity_id, entity_name, tags)
         SELECT DISTINCT entity_id, pg_catalog.first_value(entity_name) OVER written, pg_catalog.last_value(tags) OVER written
         FROM twins
         WINDOW written AS (PARTITION BY entity_id ORDER BY pg_catalog.array_position($1::text[], entity_name)
                            ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)"
    );
    transaction.execute("cannot merge the tags of entities with the same id", &sql, &[&tables]).await
}
