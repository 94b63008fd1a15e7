//! The target as it is against the target as it must be.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Cell, Expected, Row, columns, facts, micros};
use crate::support::database::Database;
use crate::support::program::Run;

/// Differences that are shown; more would only scroll.
const SHOWN: usize = 25;

/// Seconds by which instants of expiry may differ.
const EXPIRY_TOLERANCE: i64 = 2;

/// Compares every row and column of `table` and returns what differs, one line each.
pub async fn differences(database: &Database, table: &str, expected: &Expected) -> Vec<String> {
    let columns = columns(database, table).await;
    let found = database.keyed_rows(table, facts::key(table)).await;
    let mut differences = Vec::new();
    for key in expected.rows.keys().filter(|key| !found.contains_key(*key)) {
        differences.push(format!("{table} {key}: is missing"));
    }
    for (key, row) in found {
        match expected.rows.get(&key) {
            None => differences.push(format!("{table} {key}: should not be there")),
            Some(expected) => compare_row(table, &key, expected, &cells(&columns, row), &mut differences),
        }
    }
    differences
}

fn compare_row(table: &str, key: &str, expected: &Row, found: &Row, differences: &mut Vec<String>) {
    for (column, expected) in expected {
        let found = &found[column];
        if !same_cell(expected, found) {
            differences.push(format!("{table} {key}: {column} should be {expected:?} and is {found:?}"));
        }
    }
}

/// A row of the target, its instants understood.
fn cells(columns: &[(String, String)], row: Value) -> Row {
    let Value::Object(mut row) = row else { panic!("a row is an object") };
    columns
        .iter()
        .map(|(column, ty)| {
            let cell = match row.remove(column).unwrap_or(Value::Null) {
                Value::String(text) if ty == "timestamp with time zone" => Cell::Instant(micros(&text)),
                Value::String(text) if ty == "timestamp without time zone" => {
                    Cell::Instant(micros(&format!("{text}+00:00")))
                }
                Value::Number(number) if ty == "double precision" => Cell::Double(number.as_f64().unwrap()),
                value => Cell::Value(value),
            };
            (column.clone(), cell)
        })
        .collect()
}

fn same_cell(expected: &Cell, found: &Cell) -> bool {
    match (expected, found) {
        (Cell::Value(expected), Cell::Value(found)) => same_json(expected, found),
        (Cell::Instant(expected), Cell::Instant(found)) => expected == found,
        // PostgreSQL before 12 shows 15 digits.
        (Cell::Double(expected), Cell::Double(found)) => (expected - found).abs() <= expected.abs() * 1e-14,
        (Cell::Expiry(expected), Cell::Instant(found)) => {
            (expected * 1_000_000 - found).abs() <= EXPIRY_TOLERANCE * 1_000_000
        }
        _ => false,
    }
}

/// Equal by meaning: 1.0 is 1, since jsonb keeps numbers and not their spelling.
pub fn same_json(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_json(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(name, one)| other.get(name).is_some_and(|other| same_json(one, other)))
        }
        _ => one == other,
    }
}

/// What the row triggers of these tables must have left in `tags`: entity id to table and tags.
fn tags(tables: &BTreeMap<&'static str, Expected>) -> BTreeMap<String, (String, Value)> {
    let mut tags = BTreeMap::new();
    for (table, expected) in tables {
        for (id, row) in &expected.rows {
            if let Some(Cell::Value(value)) = row.get("tags") {
                tags.insert(id.clone(), ((*table).to_owned(), value.clone()));
            }
        }
    }
    tags
}

/// Compares `tags` of the target with what the row triggers of these tables must have left there: one row per entity, tagged or
/// not.
#[track_caller]
pub fn assert_tags(
    tables: &BTreeMap<&'static str, Expected>,
    found: BTreeMap<String, Value>,
    tagged: &[&str],
    context: &str,
) {
    let rows: usize = tagged.iter().map(|table| tables[table].rows.len()).sum();
    let expected = tags(tables);
    assert_eq!(expected.len(), rows, "{context}: two entities share an id, or a table lacks its tags");
    let found: BTreeMap<String, (String, Value)> = found
        .into_iter()
        .map(|(id, row)| {
            (id, (row["entity_name"].as_str().unwrap_or_default().to_owned(), row["tags"].clone()))
        })
        .collect();
    let differences: Vec<String> = expected
        .keys()
        .chain(found.keys())
        .filter(|id| expected.get(*id) != found.get(*id))
        .map(|id| format!("tags {id}: should be {:?} and is {:?}", expected.get(id), found.get(id)))
        .collect();
    assert_none(&differences, context);
    assert!(expected.values().any(|(_, tags)| tags.is_null()), "no untagged entity in the estate");
    assert!(expected.values().any(|(_, tags)| tags.is_array()), "no tagged entity in the estate");
}

/// The printed table of counts: read, skipped, loaded, on target.
#[track_caller]
pub fn assert_counts(migrated: &Run, tables: &BTreeMap<&'static str, Expected>) {
    let mut sum = [0, 0, 0, 0];
    for (table, expected) in tables {
        let loaded = expected.rows.len();
        let counts = [expected.read(), expected.read() - loaded, loaded, loaded].map(|rows| rows as u64);
        assert_eq!(migrated.counts(table), counts, "counts of {table}\n{}", migrated.transcript());
        for (sum, count) in sum.iter_mut().zip(counts) {
            *sum += count;
        }
    }
    assert_eq!(migrated.counts("total"), sum, "{}", migrated.transcript());
}

/// Panics unless the run remarked on each of these tables in these words.
#[track_caller]
pub fn assert_remarks(migrated: &Run, remarks: &[(&str, &str)], context: &str) {
    for (table, remark) in remarks {
        let said = migrated
            .stdout
            .lines()
            .any(|line| line.trim_start().starts_with(&format!("{table}: ")) && line.contains(remark));
        assert!(said, "{context}: no remark on {table}: {remark}\n{}", migrated.transcript());
    }
}

/// Lines that only one of two sorted lists has.
pub fn differing(before: &[String], after: &[String]) -> Vec<String> {
    let gone = before.iter().filter(|line| !after.contains(line)).map(|line| format!("- {line}"));
    let new = after.iter().filter(|line| !before.contains(line)).map(|line| format!("+ {line}"));
    gone.chain(new).collect()
}

/// Panics with the first differences when there are any.
#[track_caller]
pub fn assert_none(differences: &[String], context: &str) {
    let shown = &differences[..differences.len().min(SHOWN)];
    assert!(differences.is_empty(), "{context}: {} differences\n{}", differences.len(), shown.join("\n"));
}
