//! Kong's tables, as the catalogs in fixtures/ record them, for the tests of this folder.

use crate::estate::KongVersion;
use crate::estate::catalog::{CassandraCatalog, KeyPart, PostgresCatalog};
use crate::source::{self, ColumnKind, CqlType};
use crate::target::catalog::{self as target, PgKind, PgType, UniqueKey};

/// The open-source Kong versions with catalogs.
pub(super) const VERSIONS: [&str; 2] = ["2.8", "3.3"];

/// The Enterprise versions with catalogs.
pub(super) const ENTERPRISE: [&str; 2] = ["2.8-enterprise", "3.3-enterprise"];

/// All of them.
pub(super) fn editions() -> impl Iterator<Item = &'static str> {
    VERSIONS.into_iter().chain(ENTERPRISE)
}

/// Both catalogs of a Kong version.
pub(super) fn catalogs(version: &str) -> (source::Catalog, target::Catalog) {
    if version.ends_with("-enterprise") {
        let file = |side: &str| {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/catalogs");
            std::fs::read_to_string(format!("{folder}/kong-{version}-{side}.json")).unwrap()
        };
        return (
            source_catalog(serde_json::from_str(&file("cassandra")).unwrap()),
            target_catalog(serde_json::from_str(&file("postgres")).unwrap()),
        );
    }
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
        let ttl = i32::try_from(table.default_time_to_live).unwrap();
        (name.clone(), source::Table { name, columns, default_time_to_live: ttl })
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
        let unique = table.constraints.iter().filter_map(|constraint| {
            let columns = constraint.definition.strip_prefix("UNIQUE (")?.strip_suffix(')')?;
            let columns = columns.split(", ").map(str::to_owned).collect();
            Some(UniqueKey { name: constraint.name.clone(), columns })
        });
        let unique = unique.collect();
        (name.clone(), target::Table { name, kind: 'r', columns, unique, ..Default::default() })
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
            "float" => CqlType::Float,
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
        "character(32)" => PgKind::Varchar(Some(32)),
        "character(6)" => PgKind::Varchar(Some(6)),
        "double precision" => PgKind::Double,
        "integer" => PgKind::Int4,
        "json" => PgKind::Json,
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
