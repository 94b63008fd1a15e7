//! Kong's tables, as the catalogs in fixtures/ record them, for the tests of this folder.

use crate::estate::KongVersion;
use crate::estate::catalog::{CassandraCatalog, KeyPart, PostgresCatalog};
use crate::source::{self, ColumnKind, CqlType};
use crate::target::catalog::{self as target, PgKind, PgType};

/// The Kong versions with catalogs.
pub(super) const VERSIONS: [&str; 2] = ["2.8", "3.3"];

/// Both catalogs of a Kong version.
pub(super) fn catalogs(version: &str) -> (source::Catalog, target::Catalog) {
    let version: KongVersion = version.parse().unwrap();
    (
        source_catalog(CassandraCatalog::of(version).unwrap()),
        target_catalog(PostgresCatalog::of(version).unwrap()),
    )
}

fn source_catalog(catalog: CassandraCatalog) -> source::Catalog {
    let tables = catalog.tables.into_iter().map(|(name, table)| {
        let columns = table.columns.into_iter().map(|column| {
            let kind = match column.key {
                Some(KeyPart::Partition) => ColumnKind::PartitionKey,
                Some(KeyPart::Clustering) => ColumnKind::Clustering,
                None => ColumnKind::Regular,
            };
            source::Column { ty: cql_type(&column.ty), name: column.name, kind }
        });
        let columns = columns.collect();
        (name.clone(), source::Table { name, columns, default_time_to_live: 0 })
    });
    source::Catalog { tables: tables.collect(), ..Default::default() }
}

fn target_catalog(catalog: PostgresCatalog) -> target::Catalog {
    let tables = catalog.tables.into_iter().map(|(name, table)| {
        let columns = table.columns.into_iter().map(|column| target::Column {
            ty: pg_type(&column.ty),
            name: column.name,
            not_null: column.not_null,
            default: column.default,
            generated: false,
        });
        let columns = columns.collect();
        (name.clone(), target::Table { name, kind: 'r', columns, ..Default::default() })
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
