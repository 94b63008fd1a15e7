//! The target as it is against the target as it must be.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Cell, Expected, Row, columns, facts, micros};
use crate::support::database::Database;

/// Differences that are shown; more would only scroll.
const SHOWN: usize = 25;

/// Seconds by which instants of expiry may differ.
const EXPIRY_TOLERANCE: i64 = 2;

/// Compares every row and column of `table` and returns what differs, one line each.
pub async fn differences(database: &Database, table: &str, expected: &Expected) -> Vec<String> {
    let columns = columns(database, table).await;
    let found = database.rows(table, facts::key(table)).await;
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
pub fn tags(tables: &BTreeMap<&'static str, Expected>) -> BTreeMap<String, (String, Value)> {
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

/// Panics with the first differences when there are any.
#[track_caller]
pub fn assert_none(differences: &[String], context: &str) {
    let shown = &differences[..differences.len().min(SHOWN)];
    assert!(differences.is_empty(), "{context}: {} differences\n{}", differences.len(), shown.join("\n"));
}
