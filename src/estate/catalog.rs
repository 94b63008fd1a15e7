//! Kong's tables as data: one catalog per version and store, and the migrations a fresh Gateway has executed.
//!
//! The files stand in fixtures/catalogs and are compiled in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::KongVersion;
use crate::error::{Error, ErrorKind, Result};

/// Kong's tables on Cassandra.
#[derive(Debug, Clone, Deserialize)]
pub struct CassandraCatalog {
    /// Tables by name.
    pub tables: BTreeMap<String, CassandraTable>,
}

/// A table on Cassandra.
#[derive(Debug, Clone, Deserialize)]
pub struct CassandraTable {
    /// Partition key in key order, clustering columns in key order (all ascending), then the others by name.
    pub columns: Vec<CassandraColumn>,
    /// Secondary indexes.
    #[serde(default)]
    pub indexes: Vec<CassandraIndex>,
    /// Table-wide TTL in seconds, 0 for none.
    #[serde(default)]
    pub default_time_to_live: u32,
    /// Seconds a tombstone is kept; Cassandra's own default unless the catalog says otherwise.
    #[serde(default = "ten_days")]
    pub gc_grace_seconds: u32,
}

/// A column on Cassandra.
#[derive(Debug, Clone, Deserialize)]
pub struct CassandraColumn {
    /// Its name.
    pub name: String,
    /// Its CQL type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Its place in the primary key, if any.
    #[serde(default)]
    pub key: Option<KeyPart>,
}

/// The part of the primary key a column belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyPart {
    /// The partition key.
    Partition,
    /// The clustering key.
    Clustering,
}

/// A secondary index on one column.
#[derive(Debug, Clone, Deserialize)]
pub struct CassandraIndex {
    /// Its name.
    pub name: String,
    /// The indexed column.
    pub column: String,
}

/// Kong's tables on `PostgreSQL`.
#[derive(Debug, Clone, Deserialize)]
pub struct PostgresCatalog {
    /// Tables by name.
    pub tables: BTreeMap<String, PostgresTable>,
}

/// A table on `PostgreSQL`.
#[derive(Debug, Clone, Deserialize)]
pub struct PostgresTable {
    /// Columns in attribute order.
    pub columns: Vec<PostgresColumn>,
    /// Constraints other than NOT NULL.
    #[serde(default)]
    pub constraints: Vec<Definition>,
    /// Indexes that belong to no constraint; the definition is what follows `USING`.
    #[serde(default)]
    pub indexes: Vec<Definition>,
    /// User triggers.
    #[serde(default)]
    pub triggers: Vec<Trigger>,
}

/// A column on `PostgreSQL`.
#[derive(Debug, Clone, Deserialize)]
pub struct PostgresColumn {
    /// Its name.
    pub name: String,
    /// Its type as `format_type` writes it.
    #[serde(rename = "type")]
    pub ty: String,
    /// Whether it refuses NULL.
    #[serde(default)]
    pub not_null: bool,
    /// Default expression.
    #[serde(default)]
    pub default: Option<String>,
}

/// A named object and its definition, without schema names.
#[derive(Debug, Clone, Deserialize)]
pub struct Definition {
    /// Its name.
    pub name: String,
    /// Its definition.
    pub definition: String,
}

/// A user trigger.
#[derive(Debug, Clone, Deserialize)]
pub struct Trigger {
    /// Its name.
    pub name: String,
    /// When it fires, such as `AFTER INSERT`.
    pub event: String,
    /// `ROW` or `STATEMENT`.
    pub for_each: String,
    /// The function with its arguments.
    pub call: String,
}

/// The migrations a fresh Gateway with the bundled plugins has executed.
#[derive(Debug, Clone, Deserialize)]
pub struct Migrations {
    /// Steps by subsystem.
    pub subsystems: BTreeMap<String, Subsystem>,
}

/// The migrations of one subsystem.
#[derive(Debug, Clone, Deserialize)]
pub struct Subsystem {
    /// Whether a step has a finish phase on `PostgreSQL`; after it, `pending` is `{}` there instead of NULL.
    pub finish_phase: bool,
    /// Steps in order of execution.
    pub steps: Vec<String>,
}

impl CassandraCatalog {
    /// The catalog of `version`.
    pub fn of(version: KongVersion) -> Result<Self> {
        parse(match version {
            KongVersion::V2_8 => include_str!("../../fixtures/catalogs/kong-2.8-cassandra.json"),
            KongVersion::V3_3 => include_str!("../../fixtures/catalogs/kong-3.3-cassandra.json"),
        })
    }
}

impl PostgresCatalog {
    /// The catalog of `version`.
    pub fn of(version: KongVersion) -> Result<Self> {
        parse(match version {
            KongVersion::V2_8 => include_str!("../../fixtures/catalogs/kong-2.8-postgres.json"),
            KongVersion::V3_3 => include_str!("../../fixtures/catalogs/kong-3.3-postgres.json"),
        })
    }
}

impl Migrations {
    /// The migrations of `version`.
    pub fn of(version: KongVersion) -> Result<Self> {
        parse(match version {
            KongVersion::V2_8 => include_str!("../../fixtures/catalogs/kong-2.8-migrations.json"),
            KongVersion::V3_3 => include_str!("../../fixtures/catalogs/kong-3.3-migrations.json"),
        })
    }
}

/// Cassandra's default for `gc_grace_seconds`.
fn ten_days() -> u32 {
    864_000
}

fn parse<T: DeserializeOwned>(json: &str) -> Result<T> {
    serde_json::from_str(json).map_err(|error| {
        Error::new(ErrorKind::Internal, "a compiled-in catalog cannot be read").because(error)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn catalogs_hold_the_tables_of_their_version() {
        let counts = |version| {
            (
                CassandraCatalog::of(version).unwrap().tables.len(),
                PostgresCatalog::of(version).unwrap().tables.len(),
                Migrations::of(version).unwrap().subsystems.len(),
            )
        };
        assert_eq!(counts(KongVersion::V2_8), (29, 30, 13));
        assert_eq!(counts(KongVersion::V3_3), (32, 32, 16));
    }

    #[test]
    fn every_index_names_a_column_of_its_table() {
        for version in KongVersion::ALL {
            for (name, table) in CassandraCatalog::of(version).unwrap().tables {
                assert!(table.columns.iter().any(|column| column.key == Some(KeyPart::Partition)), "{name}");
                for index in &table.indexes {
                    assert!(table.columns.iter().any(|column| column.name == index.column), "{}", index.name);
                }
            }
        }
    }

    #[test]
    fn the_sync_tags_trigger_is_on_every_table_with_tags() {
        for version in KongVersion::ALL {
            let catalog = PostgresCatalog::of(version).unwrap();
            let tagged = catalog.tables.iter().filter(|(name, table)| {
                name.as_str() != "tags" && table.columns.iter().any(|column| column.name == "tags")
            });
            for (name, table) in tagged {
                assert!(table.triggers.iter().any(|trigger| trigger.call == "sync_tags()"), "{name}");
            }
        }
    }
}
