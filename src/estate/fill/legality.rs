//! Checks generated estates against the catalogs: every table filled, every value of its column's type, and every constraint of
//! the target kept.

use std::collections::{BTreeMap, BTreeSet};

use scylla::value::CqlValue;
use uuid::Uuid;

use super::{FillSpec, Generator, Row};
use crate::estate::catalog::{CassandraCatalog, PostgresCatalog};
use crate::estate::{Edition, KongVersion};

const DEFAULT_WORKSPACE: Uuid = uuid::uuid!("3ee332ee-02e9-4566-a322-92ed644cb41e");

/// Columns in which Kong puts the workspace before the value on Cassandra.
const PREFIXED: [(&str, &[&str]); 22] = [
    ("consumers", &["username", "custom_id", "username_lower"]),
    ("rbac_users", &["name"]),
    ("rbac_roles", &["name"]),
    ("files", &["path"]),
    ("developers", &["email", "custom_id"]),
    ("document_objects", &["path"]),
    ("applications", &["custom_id"]),
    ("application_instances", &["composite_id"]),
    ("consumer_groups", &["name"]),
    ("keyauth_enc_credentials", &["key"]),
    ("konnect_applications", &["client_id"]),
    ("services", &["name"]),
    ("routes", &["name"]),
    ("upstreams", &["name"]),
    ("basicauth_credentials", &["username"]),
    ("hmacauth_credentials", &["username"]),
    ("jwt_secrets", &["key"]),
    ("keyauth_credentials", &["key"]),
    ("oauth2_credentials", &["client_id"]),
    ("oauth2_tokens", &["access_token", "refresh_token"]),
    ("plugins", &["instance_name"]),
    ("keys", &["name"]),
];

type Cells = BTreeMap<String, String>;

fn spec(seed: u64) -> FillSpec {
    FillSpec { seed, consumers: 400, odd: true, wide_rows: 4, wide_bytes: 2_000, ..FillSpec::default() }
}

fn generator(version: KongVersion, edition: Edition) -> Generator {
    Generator::of_edition(&spec(5), version, edition, DEFAULT_WORKSPACE)
}

/// Every version in every edition.
fn estates() -> impl Iterator<Item = (KongVersion, Edition)> {
    KongVersion::ALL
        .into_iter()
        .flat_map(|version| Edition::ALL.into_iter().map(move |edition| (version, edition)))
}

fn ordinary_rows(generator: &Generator) -> Vec<Row> {
    generator.units().chain(generator.wide_units()).flat_map(|unit| generator.rows(unit)).collect()
}

/// Whether `value` is one of the CQL type of that name.
fn fits(value: &CqlValue, ty: &str) -> bool {
    let all = |values: &[CqlValue], ty: &str| values.iter().all(|value| fits(value, ty));
    match value {
        CqlValue::Uuid(_) => ty == "uuid",
        CqlValue::Text(_) => ty == "text",
        CqlValue::Int(_) => ty == "int",
        CqlValue::Boolean(_) => ty == "boolean",
        CqlValue::Timestamp(_) => ty == "timestamp",
        CqlValue::Counter(_) => ty == "counter",
        CqlValue::Set(values) => {
            ty.strip_prefix("set<").is_some_and(|of| all(values, of.trim_end_matches('>')))
        }
        CqlValue::List(values) => {
            ty.strip_prefix("list<").is_some_and(|of| all(values, of.trim_end_matches('>')))
        }
        CqlValue::Float(_) => ty == "float",
        CqlValue::Map(entries) => match entries.first() {
            Some((_, CqlValue::Int(_))) => ty == "map<text, int>",
            _ => ty == "map<text, frozen<set<text>>>",
        },
        _ => false,
    }
}

#[test]
fn every_table_is_filled_and_every_value_fits_its_column() {
    let mut known: BTreeMap<(String, String), String> = BTreeMap::new();
    for (version, edition) in estates() {
        for (table, definition) in CassandraCatalog::of_edition(version, edition).unwrap().tables {
            for column in definition.columns {
                known.insert((table.clone(), column.name), column.ty);
            }
        }
    }
    for (version, edition) in estates() {
        let generator = generator(version, edition);
        let mut rows = ordinary_rows(&generator);
        let filled: BTreeSet<&str> = rows.iter().map(|row| row.table).collect();
        let catalog = CassandraCatalog::of_edition(version, edition).unwrap();
        for table in catalog.tables.keys() {
            let by_bootstrap = ["parameters", "schema_meta"].contains(&table.as_str());
            assert_eq!(filled.contains(table.as_str()), !by_bootstrap, "{version} {table}");
        }
        rows.extend(generator.odd_rows());
        for row in &rows {
            assert!(catalog.tables.contains_key(row.table), "{version} has no {}", row.table);
            for (column, value) in &row.cells {
                let ty = known.get(&(row.table.to_owned(), (*column).to_owned()));
                assert!(ty.is_some_and(|ty| fits(value, ty)), "{}.{column} is {ty:?}", row.table);
            }
        }
    }
}

/// A cell as the target will hold it, for comparing only: `None` is NULL.
fn carried(row: &Row, column: &str, value: &CqlValue) -> Option<String> {
    let prefixed = PREFIXED.iter().any(|(table, columns)| *table == row.table && columns.contains(&column))
        || [("key_sets", "name"), ("legacy_files", "name")].contains(&(row.table, column))
        || (row.table, column) == ("oauth2_authorization_codes", "code");
    match value {
        CqlValue::Text(text) if prefixed => {
            let value = if text.as_bytes().get(36) == Some(&b':') { &text[37..] } else { text };
            (!value.is_empty() && value != "$(VALUE)").then(|| value.to_owned())
        }
        CqlValue::Text(text) => Some(text.clone()),
        CqlValue::Uuid(id) => Some(id.to_string()),
        other => Some(format!("{other:?}")),
    }
}

/// What is to arrive on the target, by table: rows without rewrites, ghosts and rows Kong does not see.
fn arriving(rows: &[Row], catalog: &PostgresCatalog) -> BTreeMap<String, Vec<Cells>> {
    let required: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("keyauth_credentials", ["key", "consumer_id"].as_slice()),
        ("oauth2_tokens", &["credential_id", "access_token"]),
        ("sessions", &["session_id"]),
        ("acme_storage", &["key", "value"]),
        ("keyauth_enc_credentials", &["consumer_id", "key"]),
        ("audit_objects", &["dao_name"]),
    ]);
    let mut tables: BTreeMap<String, Vec<Cells>> = BTreeMap::new();
    for row in rows.iter().filter(|row| row.counted && row.table != "tags") {
        let raw = |name: &str| row.cells.iter().find(|(column, _)| *column == name).map(|(_, value)| value);
        let unseen =
            raw("partition").is_some_and(|value| value.as_text().is_some_and(|text| text != row.table));
        let ghost = required.get(row.table).is_some_and(|names| names.iter().any(|name| raw(name).is_none()));
        let Some(table) = catalog.tables.get(row.table).filter(|_| !unseen && !ghost) else { continue };
        let mut cells = Cells::from_iter(substituted(row.table));
        for (column, value) in &row.cells {
            if let Some(value) = carried(row, column, value) {
                cells.insert((*column).to_owned(), value);
            }
        }
        if table.columns.iter().any(|column| column.name == "ws_id") {
            cells.entry("ws_id".to_owned()).or_insert_with(|| DEFAULT_WORKSPACE.to_string());
        }
        for (name, column) in
            [("plugins", "config"), ("plugins", "enabled"), ("targets", "weight"), ("upstreams", "slots")]
        {
            if row.table == name {
                cells.entry(column.to_owned()).or_insert_with(|| "default".to_owned());
            }
        }
        if row.table.contains("vaults") {
            cells.entry("config".to_owned()).or_insert_with(|| "{}".to_owned());
        }
        if row.table == "cluster_events" {
            cells.insert("expire_at".to_owned(), "later".to_owned());
        }
        tables.entry(row.table.to_owned()).or_default().push(cells);
    }
    let default = Cells::from([
        ("id".to_owned(), DEFAULT_WORKSPACE.to_string()),
        ("name".to_owned(), "default".to_owned()),
    ]);
    tables.entry("workspaces".to_owned()).or_default().push(default);
    tables
}

/// What Enterprise rows take for NULL.
fn substituted(table: &str) -> Vec<(String, String)> {
    let cells: &[(&str, &str)] = match table {
        "application_instances" => &[("suspended", "false")],
        "rbac_role_endpoints" | "rbac_role_entities" => &[("negative", "false")],
        "keyring_meta" => &[("state", "alive")],
        "legacy_files" => &[("auth", "true")],
        "event_hooks" => &[("config", "{}")],
        _ => &[],
    };
    cells.iter().map(|(column, value)| ((*column).to_owned(), (*value).to_owned())).collect()
}

/// The values of `columns`, unless one is NULL.
fn key(cells: &Cells, columns: &[&str]) -> Option<Vec<String>> {
    columns.iter().map(|column| cells.get(*column).cloned()).collect()
}

/// The columns named between the first pair of parentheses of `text`.
fn listed(text: &str) -> Vec<&str> {
    let inside = text.split_once('(').and_then(|(_, rest)| rest.split_once(')')).unwrap().0;
    inside.split(", ").map(|column| column.trim_matches('"')).collect()
}

/// Asserts that `rows` break no constraint of the target.
fn assert_legal(rows: &[Row], version: KongVersion, edition: Edition) {
    let catalog = PostgresCatalog::of_edition(version, edition).unwrap();
    let arriving = arriving(rows, &catalog);
    for (name, table) in &catalog.tables {
        let Some(rows) = arriving.get(name) else { continue };
        for column in table.columns.iter().filter(|column| column.not_null && column.default.is_none()) {
            assert!(
                rows.iter().all(|cells| cells.contains_key(&column.name)),
                "{name}.{} is NULL",
                column.name
            );
        }
        for constraint in &table.constraints {
            let definition = &constraint.definition;
            if let Some((from, to)) = definition.split_once(" REFERENCES ") {
                let (parent, _) = to.split_once('(').unwrap();
                let keys: BTreeSet<_> =
                    arriving[parent].iter().filter_map(|cells| key(cells, &listed(to))).collect();
                for cells in rows {
                    let dangling = key(cells, &listed(from)).is_some_and(|key| !keys.contains(&key));
                    assert!(!dangling, "{} does not hold for {cells:?}", constraint.name);
                }
            } else {
                let mut seen = BTreeSet::new();
                for cells in rows {
                    let fresh = key(cells, &listed(definition)).is_none_or(|key| seen.insert(key));
                    assert!(fresh, "{} does not hold for {cells:?}", constraint.name);
                }
            }
        }
    }
}

#[test]
fn ordinary_estates_keep_every_constraint() {
    for (version, edition) in estates() {
        assert_legal(&ordinary_rows(&generator(version, edition)), version, edition);
    }
}

#[test]
fn odd_rows_keep_every_constraint_once_repaired() {
    for (version, edition) in estates() {
        let generator = generator(version, edition);
        let mut rows = ordinary_rows(&generator);
        rows.extend(generator.odd_rows());
        assert_legal(&rows, version, edition);
    }
}

#[test]
fn columns_of_type_jsonb_hold_json() {
    for (version, edition) in estates() {
        let catalog = PostgresCatalog::of_edition(version, edition).unwrap();
        let generator = generator(version, edition);
        let mut rows = ordinary_rows(&generator);
        rows.extend(generator.odd_rows());
        let mut checked = 0;
        for row in &rows {
            for (column, value) in &row.cells {
                let ty = catalog.tables.get(row.table).and_then(|table| {
                    table.columns.iter().find(|it| it.name == *column).map(|column| column.ty.as_str())
                });
                let texts = match (ty, value) {
                    (Some("json"), CqlValue::Text(text)) if text.is_empty() => continue,
                    (Some("json" | "jsonb" | "jsonb[]"), CqlValue::Text(_)) => std::slice::from_ref(value),
                    (Some("jsonb[]"), CqlValue::Set(values)) => values.as_slice(),
                    _ => continue,
                };
                for text in texts.iter().filter_map(CqlValue::as_text) {
                    assert!(
                        serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok(),
                        "{}",
                        row.table
                    );
                    checked += 1;
                }
            }
        }
        assert!(checked > 50, "{checked}");
    }
}

#[test]
fn the_same_seed_gives_the_same_rows_and_another_seed_others() {
    let rows = |seed| {
        let (version, edition) = (KongVersion::V3_3, Edition::Enterprise);
        let generator = Generator::of_edition(&spec(seed), version, edition, DEFAULT_WORKSPACE);
        let mut rows = ordinary_rows(&generator);
        rows.extend(generator.odd_rows());
        rows
    };
    assert_eq!(rows(1), rows(1));
    let ids = |rows: Vec<Row>| -> BTreeSet<String> {
        rows.into_iter()
            .filter(|row| row.table == "consumers")
            .map(|row| format!("{:?}", row.cells[0]))
            .collect()
    };
    // The nil and the largest id are the same in every estate.
    assert!(ids(rows(1)).intersection(&ids(rows(2))).count() <= 1);
}

#[test]
fn names_unique_per_workspace_carry_the_prefix_of_their_own() {
    for row in ordinary_rows(&generator(KongVersion::V3_3, Edition::Enterprise)) {
        let Some((_, columns)) = PREFIXED.iter().find(|(table, _)| *table == row.table) else { continue };
        let cell = |name: &str| row.cells.iter().find(|(column, _)| *column == name).map(|(_, value)| value);
        let workspace = cell("ws_id").and_then(CqlValue::as_uuid).unwrap();
        for text in columns.iter().filter_map(|column| cell(column)).filter_map(CqlValue::as_text) {
            assert!(text.starts_with(&format!("{workspace}:")) && text.len() > 37, "{} {text}", row.table);
        }
    }
}

#[test]
fn stored_passwords_are_those_of_the_credentials() {
    let rows = ordinary_rows(&generator(KongVersion::V2_8, Edition::OpenSource));
    let mut checked = 0;
    for row in rows.iter().filter(|row| row.table == "basicauth_credentials") {
        let id = |name: &str| {
            row.cells
                .iter()
                .find(|(column, _)| *column == name)
                .and_then(|(_, value)| value.as_uuid())
                .unwrap()
        };
        let hash = super::basic_auth_hash(&super::basic_auth_password(id("id")), id("consumer_id"));
        assert!(row.cells.contains(&("password", CqlValue::Text(hash))));
        checked += 1;
    }
    assert!(checked > 100, "{checked}");
}
