//! `tags`: one row per entity, written by row triggers (`sync_tags`), or, after a load without them, set-wise.

use super::LoadTransaction;
use super::identifier::{literal, qualified};
use crate::error::{Error, ErrorKind, Result};

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

/// Rows of `tags` that are not what the triggers of `tables` would have written, and those that are missing.
///
/// Ids that entities of several tables share are left out: whose row there is depends on the order of writing.
pub async fn astray(transaction: &mut LoadTransaction, schema: &str, tables: &[String]) -> Result<u64> {
    if tables.is_empty() {
        return Ok(0);
    }
    let what = "cannot compare the tags with their entities";
    let entities: Vec<String> = tables
        .iter()
        .map(|table| {
            let name = literal(table);
            format!("SELECT e.id, {name}::text AS name, e.tags FROM {} e", qualified(schema, table))
        })
        .collect();
    let entities = entities.join(" UNION ALL ");
    let names: Vec<String> = tables.iter().map(|table| literal(table)).collect();
    // The grouping is only paid for where something differs.
    let sql = format!(
        "WITH different AS (
             SELECT coalesce(e.id, t.entity_id) AS id FROM ({entities}) e
             FULL JOIN (SELECT entity_id, entity_name, tags FROM {tags} WHERE entity_name IN ({names})) t
                    ON t.entity_id = e.id AND t.entity_name = e.name
             WHERE e.id IS NULL OR t.entity_id IS NULL OR e.tags IS DISTINCT FROM t.tags)
         SELECT count(*) FROM different d
         WHERE (SELECT count(*) FROM ({entities}) e WHERE e.id = d.id) < 2",
        tags = qualified(schema, TAGS),
        names = names.join(", "),
    );
    let rows = transaction.query(what, &sql, &[]).await?;
    let count: Option<i64> = rows.first().and_then(|row| row.try_get(0).ok());
    count
        .map(|count| u64::try_from(count).unwrap_or(0))
        .ok_or_else(|| Error::new(ErrorKind::Target, what).because("unexpected answer"))
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
