//! What a target must hold, computed row by row from the source with plain values: slow, and with nothing of the program in
//! it. The rules come from [`facts`]; both sides are compared by [`compare`].

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use scylla::value::CqlValue;
use serde_json::{Value, json};

use super::database::Database;
use super::keyspace::Keyspace;

pub mod compare;
pub mod enterprise;
pub mod facts;
mod instant;

pub use instant::micros;

/// A cell of the target.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// This value, JSON compared by meaning.
    Value(Value),
    /// A number of double precision, but for what the last of 15 digits cannot say.
    Double(f64),
    /// An instant in microseconds since 1970.
    Instant(i64),
    /// An instant of expiry in seconds since 1970, give or take two.
    Expiry(i64),
}

/// A row of the target: cells by column.
pub type Row = BTreeMap<String, Cell>;

/// The rows a table must hold, and the rows of the source that must not arrive.
#[derive(Debug, Default)]
pub struct Expected {
    /// Rows by key.
    pub rows: BTreeMap<String, Row>,
    /// Rows of which only a remnant is left.
    pub ghosts: usize,
    /// Rows under a partition Kong never reads.
    pub foreign: usize,
}

impl Expected {
    /// Rows of the source.
    pub fn read(&self) -> usize {
        self.rows.len() + self.ghosts + self.foreign
    }
}

/// A source row under the names of its columns.
type SourceRow = BTreeMap<String, Option<CqlValue>>;

/// Computes what `table` of the target must hold.
pub async fn expected(keyspace: &Keyspace, database: &Database, table: &str) -> Expected {
    let columns = columns(database, table).await;
    let now = seconds_now();
    let active_key = if table == "keyring_meta" { active_key(keyspace).await } else { None };
    let mut expected = Expected::default();
    for row in source_rows(keyspace, table).await {
        if facts::in_one_partition(table) && text(&row, "partition") != Some(table) {
            expected.foreign += 1;
            continue;
        }
        let required = facts::expiry(table).map_or(&[] as &[_], |(_, required)| required);
        if required.iter().any(|column| row[*column].is_none()) {
            expected.ghosts += 1;
            continue;
        }
        let mut shaped = shape(table, &columns, &row, keyspace, now);
        if active_key.as_deref().is_some_and(|id| text(&row, "id") == Some(id)) {
            shaped.insert("state".to_owned(), Cell::Value(json!("active")));
        }
        let part = |column: &&str| match &shaped[*column] {
            Cell::Value(Value::String(text)) => text.clone(),
            Cell::Value(Value::Number(number)) => number.to_string(),
            other => panic!("{table}.{column}: {other:?} is no part of a key"),
        };
        let key = facts::key(table).iter().map(part).collect::<Vec<_>>().join(" ");
        assert!(expected.rows.insert(key.clone(), shaped).is_none(), "{table}: {key} stands there twice");
    }
    expected
}

/// All rows of a source table, with `ttl(column)` beside the columns that may expire.
async fn source_rows(keyspace: &Keyspace, table: &str) -> Vec<SourceRow> {
    let mut items: Vec<String> = keyspace
        .rows(&format!(
            "SELECT column_name FROM system_schema.columns WHERE keyspace_name = '{{ks}}' AND table_name = '{table}'"
        ))
        .await
        .iter()
        .map(|row| format!("\"{}\"", text(row, "column_name").unwrap()))
        .collect();
    if let Some((of, required)) = facts::expiry(table) {
        for column in required.iter().chain([&of]) {
            let item = format!("TTL(\"{column}\") AS \"ttl of {column}\"");
            if !items.contains(&item) {
                items.push(item);
            }
        }
    }
    keyspace.rows(&format!("SELECT {} FROM {{ks}}.{table}", items.join(", "))).await
}

/// The key that the source's keyring encrypts with: a table beside `keyring_meta` names it.
async fn active_key(keyspace: &Keyspace) -> Option<String> {
    let rows = keyspace.rows("SELECT id FROM {ks}.keyring_meta_active WHERE active = 'active'").await;
    rows.first().and_then(|row| text(row, "id")).map(str::to_owned)
}

/// Name and type of each column of a target table.
pub async fn columns(database: &Database, table: &str) -> Vec<(String, String)> {
    let query = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute
                 WHERE attrelid = $1::text::regclass AND attnum > 0 AND NOT attisdropped";
    let rows = database.client.query(query, &[&table]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

fn shape(table: &str, columns: &[(String, String)], row: &SourceRow, keyspace: &Keyspace, now: i64) -> Row {
    let mut shaped = Row::new();
    for (column, ty) in columns {
        let cell = if column == "ttl" {
            expiry(table, row, now)
        } else {
            let source =
                row.get(column).unwrap_or_else(|| panic!("{table}.{column} is nowhere on the source"));
            value(table, column, ty, source.as_ref())
        };
        shaped.insert(column.clone(), cell);
    }
    if shaped.get("ws_id") == Some(&Cell::Value(Value::Null)) {
        shaped.insert("ws_id".to_owned(), Cell::Value(json!(keyspace.default_workspace.to_string())));
    }
    if let (Some(parts), Some(Cell::Value(Value::String(stored)))) =
        (facts::cache_key(table), shaped.get("cache_key"))
        && (stored.ends_with(':') || stored.ends_with("nil"))
    {
        let part = |column: &&str| match shaped.get(*column) {
            Some(Cell::Value(Value::String(text))) => text.clone(),
            _ => String::new(),
        };
        let key = format!("{table}:{}", parts.iter().map(part).collect::<Vec<_>>().join(":"));
        shaped.insert("cache_key".to_owned(), Cell::Value(json!(key)));
    }
    shaped
}

fn value(table: &str, column: &str, ty: &str, source: Option<&CqlValue>) -> Cell {
    let null = || match facts::default_for(table, column) {
        Some(default) => parsed(default),
        None => Value::Null,
    };
    Cell::Value(match (source, ty) {
        (None, _) => null(),
        // Without time zone, UTC is meant.
        (Some(CqlValue::Timestamp(instant)), "timestamp with time zone" | "timestamp without time zone") => {
            let mut milliseconds = instant.0;
            if (1..946_684_800_000).contains(&milliseconds) {
                milliseconds *= 1000;
            }
            if facts::cut_to_seconds(table, column) {
                milliseconds -= milliseconds.rem_euclid(1000);
            }
            return Cell::Instant(milliseconds * 1000);
        }
        (Some(CqlValue::Text(text)), "text") if facts::prefixed(table).contains(&column) => {
            without_prefix(text)
        }
        (Some(CqlValue::Text(text)), "text") => json!(text),
        (Some(CqlValue::Text(text)), ty) if ty.starts_with("character(") => {
            let width: usize = ty.trim_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
            json!(format!("{text:<width$}"))
        }
        (Some(CqlValue::Text(text)), "json") if text.is_empty() => Value::Null,
        (Some(CqlValue::Text(text)), "jsonb" | "json" | "jsonb[]") => parsed(text),
        (Some(CqlValue::Float(number)), "double precision") => return Cell::Double(shortest(*number)),
        (Some(CqlValue::Counter(number)), "bigint") => json!(number.0),
        (Some(CqlValue::Uuid(id)), "uuid") => json!(id.to_string()),
        (Some(CqlValue::Int(number)), "bigint" | "integer" | "smallint") => json!(number),
        (Some(CqlValue::Boolean(truth)), "boolean") => json!(truth),
        (Some(CqlValue::Set(items) | CqlValue::List(items)), "text[]" | "uuid[]") => {
            items.iter().map(plain).collect()
        }
        (Some(CqlValue::Set(items)), "jsonb[]") => {
            items.iter().map(|item| parsed(plain(item).as_str().unwrap())).collect()
        }
        (Some(CqlValue::Map(entries)), "jsonb" | "json") => Value::Object(
            entries
                .iter()
                .map(|(name, values)| (plain(name).as_str().unwrap().to_owned(), plain(values)))
                .collect(),
        ),
        (Some(other), ty) => panic!("{table}.{column}: no rule for {other:?} as {ty}"),
    })
}

/// What was entered before Cassandra made 32 bits of it: seven significant digits, one or two more where these name another
/// number.
fn shortest(number: f32) -> f64 {
    let texts = (6..9).map(|digits| format!("{number:.digits$e}"));
    let exact = |text: &String| text.parse::<f32>().unwrap().to_bits() == number.to_bits();
    texts.into_iter().find(exact).unwrap().parse().unwrap()
}

/// Kong's own test: byte 37 is a colon. Bytes, not characters.
fn without_prefix(stored: &str) -> Value {
    let rest = if stored.as_bytes().get(36) == Some(&b':') { &stored[37..] } else { stored };
    let placeholder = rest.len() < stored.len() && rest == "$(VALUE)";
    if rest.is_empty() || placeholder { Value::Null } else { json!(rest) }
}

/// The earliest of the TTLs that matter, as an instant.
fn expiry(table: &str, row: &SourceRow, now: i64) -> Cell {
    let (of, required) = facts::expiry(table).unwrap_or_else(|| panic!("{table} does not expire"));
    let left = required.iter().chain([&of]).filter_map(|column| match row[&format!("ttl of {column}")] {
        Some(CqlValue::Int(seconds)) => Some(i64::from(seconds)),
        _ => None,
    });
    left.min().map_or(Cell::Value(Value::Null), |left| Cell::Expiry(now + left))
}

fn plain(value: &CqlValue) -> Value {
    match value {
        CqlValue::Text(text) => json!(text),
        CqlValue::Uuid(id) => json!(id.to_string()),
        CqlValue::Int(number) => json!(number),
        CqlValue::Set(items) => items.iter().map(plain).collect(),
        other => panic!("no rule for {other:?} inside a collection"),
    }
}

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn text<'a>(row: &'a SourceRow, column: &str) -> Option<&'a str> {
    match &row[column] {
        Some(CqlValue::Text(text)) => Some(text),
        _ => None,
    }
}

/// Seconds since 1970.
pub fn seconds_now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}
