//! Kong's tables, as the catalogs in fixtures/ record them, for the tests of this folder.

use std::path::PathBuf;

use serde_json::Value;

use crate::source::{self, ColumnKind, CqlType};
use crate::target::catalog::{self as target, PgKind, PgType};

/// The Kong versions with catalogs.
pub(super) const VERSIONS: [&str; 2] = ["2.8", "3.3"];

/// Both catalogs of a Kong version.
pub(super) fn catalogs(version: &str) -> (source::Catalog, target::Catalog) {
    (source_catalog(&read(version, "cassandra")), target_catalog(&read(version, "postgres")))
}

fn read(version: &str, engine: &str) -> Value {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures/catalogs");
    let text = std::fs::read_to_string(folder.join(format!("kong-{version}-{engine}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn source_catalog(json: &Value) -> source::Catalog {
    let tables = json["tables"].as_object().unwrap().iter().map(|(name, table)| {
        let mut columns: Vec<_> = table["columns"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, column)| {
                let kind = match column["kind"].as_str().unwrap() {
                    "partition_key" => ColumnKind::PartitionKey,
                    "clustering" => ColumnKind::Clustering,
                    _ => ColumnKind::Regular,
                };
                let place = (kind as u8, column["position"].as_i64());
                let ty = cql_type(column["type"].as_str().unwrap());
                (place, source::Column { name: name.clone(), ty, kind })
            })
            .collect();
        columns.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));
        let columns = columns.into_iter().map(|(_, column)| column).collect();
        (name.clone(), source::Table { name: name.clone(), columns, default_time_to_live: 0 })
    });
    source::Catalog { tables: tables.collect(), ..Default::default() }
}

fn target_catalog(json: &Value) -> target::Catalog {
    let tables = json.as_object().unwrap().iter().map(|(name, table)| {
        let columns = table["columns"].as_array().unwrap().iter().map(|column| target::Column {
            name: column["name"].as_str().unwrap().to_owned(),
            ty: pg_type(column["type"].as_str().unwrap()),
            not_null: column["not_null"].as_bool().unwrap(),
            default: column["default"].as_str().map(str::to_owned),
            generated: false,
        });
        let columns = columns.collect();
        (name.clone(), target::Table { name: name.clone(), kind: 'r', columns, ..Default::default() })
    });
    target::Catalog { tables: tables.collect(), ..Default::default() }
}

/// The few CQL types that Kong uses.
fn cql_type(text: &str) -> CqlType {
    let inside = |kind: &str| text.strip_prefix(kind)?.strip_prefix('<')?.strip_suffix('>');
    if let Some(inner) = inside("frozen") {
        cql_type(inner)
    } else if let Some(inner) = inside("set") {
        CqlType::Set(Box::new(cql_type(inner)))
    } else if let Some(inner) = inside("list") {
        CqlType::List(Box::new(cql_type(inner)))
    } else if let Some((key, value)) = inside("map").and_then(|inner| inner.split_once(", ")) {
        CqlType::Map(Box::new(cql_type(key)), Box::new(cql_type(value)))
    } else {
        match text {
            "boolean" => CqlType::Boolean,
            "counter" => CqlType::Counter,
            "int" => CqlType::Int,
            "text" => CqlType::Text,
            "timestamp" => CqlType::Timestamp,
            "uuid" => CqlType::Uuid,
            other => panic!("CQL type {other} in the fixtures"),
        }
    }
}

/// The few `PostgreSQL` types that Kong uses.
fn pg_type(name: &str) -> PgType {
    let kind = match name {
        "bigint" => PgKind::Int8,
        "boolean" => PgKind::Bool,
        "integer" => PgKind::Int4,
        "jsonb" => PgKind::Jsonb,
        "smallint" => PgKind::Int2,
        "text" => PgKind::Text,
        "timestamp with time zone" => PgKind::Timestamptz,
        "timestamp without time zone" => PgKind::Timestamp,
        "uuid" => PgKind::Uuid,
        array => PgKind::Array(Box::new(pg_type(array.strip_suffix("[]").unwrap()))),
    };
    // No test here looks at oids.
    PgType { oid: 0, name: name.to_owned(), kind }
}
