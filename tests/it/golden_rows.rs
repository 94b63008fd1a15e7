//! Rows that a running Kong Gateway 2.8.5 wrote for the same entities into both of its datastores: loaded as they stand in
//! Cassandra, expected as they stand in PostgreSQL.
//!
//! The two runs of the Gateway that produced them differ in what each makes itself: the id of the workspace (and cache keys,
//! which contain it), the cluster id, times, generated secrets, and ids of entities that were given none.
//!
//! Texts above 400 characters were cut when the rows were recorded, on both sides alike. Cut JSON cannot be loaded, so its
//! place is taken by the JSON of the PostgreSQL side, which was not cut; the other columns of such rows are as recorded.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use kongferry::estate::KongVersion;
use serde_json::{Map, Value, json};
use uuid::{Uuid, uuid};

use crate::support::expected::{compare, micros, seconds_now};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::kongferry;
use crate::support::{database, pairs, run};

/// The workspace `default` of the Gateway on Cassandra.
const CASSANDRA_WORKSPACE: Uuid = uuid!("3ee332ee-02e9-4566-a322-92ed644cb41e");
/// The workspace `default` of the Gateway on PostgreSQL.
const POSTGRES_WORKSPACE: Uuid = uuid!("f33bc665-8715-4e43-9443-64b290b30e5b");

/// Columns that refer to another entity, and the table it is in.
const REFERENCES: [(&str, &str); 7] = [
    ("consumer_id", "consumers"),
    ("service_id", "services"),
    ("route_id", "routes"),
    ("upstream_id", "upstreams"),
    ("credential_id", "oauth2_credentials"),
    ("certificate_id", "certificates"),
    ("client_certificate_id", "certificates"),
];

/// The same entity in both datastores; one side is absent where no id ties the two together.
struct GoldenRow {
    table: String,
    cassandra: Option<Map<String, Value>>,
    postgres: Option<Map<String, Value>>,
}

#[test]
fn rows_of_a_real_gateway_arrive_as_it_would_have_written_them() {
    run(async {
        let golden = read();
        assert!(golden.len() > 50, "only {} golden rows", golden.len());
        for pair in pairs(KongVersion::V2_8) {
            let source =
                keyspace::empty(pair.cassandra, pair.kong, "golden", Some(CASSANDRA_WORKSPACE)).await;
            let target = database::fresh(pair.postgres, pair.kong).await;
            let begun = seconds_now();
            load(&source, &golden).await;
            let urls = ["--source", &source.url(), "--target", &target.url()];
            kongferry(&[&["migrate", "--include", "sessions"][..], &urls].concat()).exits(0);
            let written = begun..=seconds_now();

            let mut differences = Vec::new();
            for (table, rows) in by_table(&golden) {
                if table == "tags" {
                    continue;
                }
                let key = if table == "parameters" { "key" } else { "id" };
                let found = target.rows(table, key).await;
                for row in rows {
                    let Some(cassandra) = &row.cassandra else { continue };
                    let key = cassandra[key].as_str().unwrap();
                    let Some(found) = found.get(key) else {
                        differences.push(format!("{table} {key} is missing"));
                        continue;
                    };
                    let postgres = row.postgres.as_ref().or_else(|| twin(&golden, table, cassandra));
                    for (column, found) in found.as_object().unwrap() {
                        let same = match (column.as_str(), postgres) {
                            ("ttl", _) => same_expiry(&cassandra["ttl_seconds"], found, &written),
                            (_, Some(postgres)) => same_cell(table, column, cassandra, postgres, found),
                            (_, None) => true,
                        };
                        if !same {
                            let expected = postgres.map(|row| &row[column]);
                            differences.push(format!(
                                "{table} {key}: {column} is {found}; PostgreSQL had {expected:?}, Cassandra {:?}",
                                cassandra.get(column)
                            ));
                        }
                    }
                }
            }
            compare::assert_none(&differences, &format!("{pair:?}"));
            let leftover = target
                .texts(
                    "SELECT entity_id::text FROM tags t WHERE entity_name = 'consumers'
                                         AND NOT EXISTS (SELECT FROM consumers c WHERE c.id = t.entity_id)",
                )
                .await;
            assert!(leftover.is_empty(), "{pair:?}: tags of an entity that is not there: {leftover:?}");
            target.remove().await;
        }
    });
}

/// All golden rows, cut JSON restored.
fn read() -> Vec<GoldenRow> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/golden/rows-2.8");
    let mut golden = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let pairs: Vec<Value> = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        for pair in pairs {
            let mut cassandra = pair["cassandra"].as_object().cloned();
            let postgres = pair["postgres"].as_object().cloned();
            for (column, value) in cassandra.iter_mut().flatten() {
                let whole = postgres.as_ref().and_then(|row| row.get(column));
                if let (Value::String(text), Some(whole @ Value::Object(_))) = (&mut *value, whole)
                    && text.ends_with(" characters)")
                {
                    *value = json!(whole.to_string());
                }
            }
            let table = path.file_stem().unwrap().to_str().unwrap().to_owned();
            golden.push(GoldenRow { table, cassandra, postgres });
        }
    }
    golden
}

fn by_table(golden: &[GoldenRow]) -> BTreeMap<&str, Vec<&GoldenRow>> {
    let mut tables: BTreeMap<&str, Vec<&GoldenRow>> = BTreeMap::new();
    for row in golden {
        tables.entry(&row.table).or_default().push(row);
    }
    tables
}

/// Writes the Cassandra side with the TTLs that were left, and bare parents for references to entities that were not recorded.
async fn load(source: &Keyspace, golden: &[GoldenRow]) {
    let recorded: BTreeSet<&str> =
        golden.iter().filter_map(|row| row.cassandra.as_ref()?.get("id")?.as_str()).collect();
    for GoldenRow { table, cassandra, .. } in golden {
        let Some(mut row) = cassandra.clone() else { continue };
        let ttl = row.remove("ttl_seconds").and_then(|ttl| i32::try_from(ttl.as_i64()?).ok());
        for (column, parent) in REFERENCES {
            let Some(id) = row.get(column).and_then(Value::as_str).filter(|id| !recorded.contains(id)) else {
                continue;
            };
            let mut stub = json!({ "id": id, "ws_id": CASSANDRA_WORKSPACE.to_string() });
            if ["services", "routes", "certificates"].contains(&parent) {
                stub["partition"] = json!(parent);
            }
            source.insert(parent, &stub, None).await;
        }
        source.insert(table, &Value::Object(row), ttl).await;
    }
}

/// The PostgreSQL row of the same entity where the two runs gave it different ids.
fn twin<'a>(
    golden: &'a [GoldenRow],
    table: &str,
    cassandra: &Map<String, Value>,
) -> Option<&'a Map<String, Value>> {
    let natural = match table {
        "targets" => "target",
        "oauth2_tokens" => "access_token",
        _ => return None,
    };
    let prefix = format!("{CASSANDRA_WORKSPACE}:");
    let name = cassandra[natural].as_str()?;
    let name = name.strip_prefix(&prefix).unwrap_or(name);
    let rows = golden.iter().filter(|row| row.table == table && row.cassandra.is_none());
    rows.filter_map(|row| row.postgres.as_ref()).find(|row| row[natural] == json!(name))
}

fn same_cell(
    table: &str,
    column: &str,
    cassandra: &Map<String, Value>,
    postgres: &Map<String, Value>,
    found: &Value,
) -> bool {
    let made_by_each = matches!((table, column), (_, "id" | "ws_id") | ("parameters", "value"))
        // The secret of a key pair is generated and never used.
        || (table, column, cassandra.get("algorithm")) == ("jwt_secrets", "secret", Some(&json!("RS256")));
    if made_by_each {
        return *found == cassandra[column];
    }
    if ["created_at", "updated_at"].contains(&column) {
        let instant = |value: &Value| value.as_str().map(|text| micros(&text.replace('Z', "+00:00")));
        return instant(found) == instant(&cassandra[column]);
    }
    match &postgres[column] {
        Value::String(text) if column == "cache_key" => {
            *found == json!(text.replace(&POSTGRES_WORKSPACE.to_string(), &CASSANDRA_WORKSPACE.to_string()))
        }
        // An empty list is NULL on Cassandra, and sets come back sorted from it.
        Value::Array(expected) => {
            let sorted = |list: &[Value]| list.iter().map(ToString::to_string).collect::<BTreeSet<_>>();
            sorted(expected) == sorted(found.as_array().map_or(&[], Vec::as_slice))
        }
        expected => compare::same_json(expected, found),
    }
}

/// The instant is the one at which the source cell expires.
///
/// One key has a TTL on PostgreSQL only: a partial update without one drops it on Cassandra and keeps it on PostgreSQL.
fn same_expiry(ttl: &Value, found: &Value, written: &std::ops::RangeInclusive<i64>) -> bool {
    match (ttl.as_i64(), found.as_str()) {
        (None, None) => true,
        (Some(ttl), Some(found)) => {
            (written.start() + ttl - 2..=written.end() + ttl + 2).contains(&(micros(found) / 1_000_000))
        }
        _ => false,
    }
}
