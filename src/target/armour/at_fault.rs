//! Which rows break a key: their ids, where ids they are, and never what stands in them.

use super::inventory::{Armour, ForeignKeyArmour, IndexArmour};
use super::read;
use super::statements::{DUPLICATES, EXCLUDED, ORPHANS};
use super::steps::{Step, StepKind};
use crate::error::{Error, ErrorKind, Result};
use crate::target::identifier::{qualified, quote};

/// Ids that an error names.
const NAMED: usize = 5;
/// An index entry may fill about a third of a page; a key that comes near it is suspect. In bytes.
const LARGE_KEY: u32 = 2_500;

/// Explains why the step failed with one of the codes of [`guarded`](super::statements::guarded); looks which rows are at fault.
///
/// # Errors
/// When the look itself fails.
pub(super) async fn explain(
    client: &tokio_postgres::Client,
    armour: &Armour,
    step: &Step,
    code: &str,
) -> Result<Error> {
    let table = &step.table;
    match code {
        DUPLICATES if step.kind == StepKind::Index => {
            let Some(index) = armour.index(table, &step.name) else { return Ok(of_step(step)) };
            let found = duplicates(client, armour, step, index).await?;
            let cause = format!("rows with the same key as another: {}{}", found.rows, found.ids());
            Ok(of_step(step).because(cause))
        }
        ORPHANS => {
            let key = armour.foreign_key(&step.schema, table, &step.name);
            let Some(key) = key else { return Ok(of_step(step)) };
            let found = orphans(client, key).await?;
            let cause = format!("rows that refer to none of {}: {}{}", key.parent, found.rows, found.ids());
            Ok(of_step(step).because(cause))
        }
        EXCLUDED | DUPLICATES => Ok(of_step(step).because("rows exclude each other")),
        _ => {
            let suspects = match armour.index(table, &step.name) {
                Some(index) if step.kind == StepKind::Index && index.method == "btree" => {
                    large(client, armour, step, index).await?
                }
                _ => Found::default(),
            };
            let cause = if suspects.rows == 0 {
                "a value cannot be indexed: it is too large, or the index's expression fails on it".to_owned()
            } else {
                format!(
                    "a value is too large for the index; rows that come near its limit or above: {}{}",
                    suspects.rows,
                    suspects.ids()
                )
            };
            Ok(of_step(step).because(cause).and_remedy(
                "rows that were deleted count as long as transactions run on this database that began before; end those",
            ))
        }
    }
}

fn of_step(step: &Step) -> Error {
    Error::new(ErrorKind::Row, format!("cannot {step}")).remedy(
        "correct or delete these rows on the target (and on the source, if the run begins anew), then `kongferry migrate --resume`",
    )
}

/// Rows at fault.
#[derive(Default)]
struct Found {
    /// How many.
    rows: i64,
    /// Ids of the first.
    named: Vec<String>,
}

impl Found {
    fn ids(&self) -> String {
        match self.named.as_slice() {
            [] => String::new(),
            ids => format!(", such as {}", ids.join(", ")),
        }
    }

    /// From a query that gives number and ids.
    async fn of(client: &tokio_postgres::Client, step: &str, sql: &str) -> Result<Self> {
        let found = read::rows(client, step, sql, &[]).await?;
        let row = found.first().ok_or_else(|| read::unexpected(step))?;
        Ok(Self { rows: read::get(row, 0, step)?, named: read::get(row, 1, step)? })
    }
}

/// SQL text for the ids of a row of `alias`: the columns of a primary key of uuids, or NULL.
fn id_of(columns: &[String], alias: &str) -> String {
    if columns.is_empty() {
        return "NULL::text".to_owned();
    }
    let parts: Vec<String> =
        columns.iter().map(|column| format!("{alias}.{}::text", quote(column))).collect();
    parts.join(" || '/' || ")
}

/// Columns of the primary key of a disarmed table when an error may name them.
fn ids<'a>(armour: &'a Armour, table: &str) -> &'a [String] {
    match armour.tables.get(table) {
        Some(table) if table.primary_key_is_id => &table.primary_key,
        _ => &[],
    }
}

async fn duplicates(
    client: &tokio_postgres::Client,
    armour: &Armour,
    step: &Step,
    index: &IndexArmour,
) -> Result<Found> {
    let mut conditions: Vec<String> = index.predicate.iter().map(|it| format!("({it})")).collect();
    if !index.nulls_equal {
        conditions.extend(index.expressions.iter().map(|it| format!("{it} IS NOT NULL")));
    }
    let sql = format!(
        "SELECT coalesce(sum(n), 0)::bigint,
                coalesce((array_agg(id ORDER BY id) FILTER (WHERE id IS NOT NULL))[1:{NAMED}], '{{}}')
         FROM (SELECT count(*) AS n, min({}) AS id FROM {} t {} GROUP BY {} HAVING count(*) > 1) d",
        id_of(ids(armour, &step.table), "t"),
        qualified(&step.schema, &step.table),
        filter(&conditions),
        index.expressions.join(", "),
    );
    Found::of(client, &format!("cannot look for duplicates in {}", step.table), &sql).await
}

async fn orphans(client: &tokio_postgres::Client, key: &ForeignKeyArmour) -> Result<Found> {
    let columns: Vec<String> = key.columns.iter().map(|column| format!("c.{}", quote(column))).collect();
    let equal: Vec<String> = columns
        .iter()
        .zip(&key.parent_columns)
        .map(|(column, parent)| format!("p.{} = {column}", quote(parent)))
        .collect();
    let whole: Vec<String> = columns.iter().map(|column| format!("{column} IS NOT NULL")).collect();
    let none: Vec<String> = columns.iter().map(|column| format!("{column} IS NULL")).collect();
    // MATCH FULL refuses a key that is NULL in part; otherwise such a key refers to nothing.
    let refers = if key.match_full { format!("NOT ({})", none.join(" AND ")) } else { whole.join(" AND ") };
    let sql = format!(
        "SELECT count(*), coalesce((array_agg(id ORDER BY id) FILTER (WHERE id IS NOT NULL))[1:{NAMED}], '{{}}')
         FROM (SELECT {} AS id FROM {} c WHERE {refers} AND NOT EXISTS (SELECT 1 FROM {} p WHERE {})) o",
        id_of(&key.ids, "c"),
        qualified(&key.schema, &key.table),
        qualified(&key.parent_schema, &key.parent),
        equal.join(" AND "),
    );
    Found::of(client, &format!("cannot look for missing parents of {}", key.table), &sql).await
}

async fn large(
    client: &tokio_postgres::Client,
    armour: &Armour,
    step: &Step,
    index: &IndexArmour,
) -> Result<Found> {
    // An expression could fail on the very row.
    if !index.plain {
        return Ok(Found::default());
    }
    let sizes: Vec<String> =
        index.expressions.iter().map(|it| format!("coalesce(pg_column_size({it}), 0)")).collect();
    let sql = format!(
        "SELECT count(*), coalesce((array_agg(id ORDER BY id) FILTER (WHERE id IS NOT NULL))[1:{NAMED}], '{{}}')
         FROM (SELECT {} AS id FROM {} t WHERE {} > {LARGE_KEY}) l",
        id_of(ids(armour, &step.table), "t"),
        qualified(&step.schema, &step.table),
        sizes.join(" + "),
    );
    Found::of(client, &format!("cannot look for large values in {}", step.table), &sql).await
}

fn filter(conditions: &[String]) -> String {
    if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) }
}
