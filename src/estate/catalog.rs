//! Kong's tables as data: one catalog per version and store, and the migrations a fresh Gateway has executed.
//!
//! The files stand in fixtures/catalogs and are compiled in.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::{Edition, KongVersion};
use crate::error::{Error, ErrorKind, Result};

/// Stands in column defaults for the id of the workspace that bootstrap creates.
pub const DEFAULT_WORKSPACE: &str = "{{default_ws_id}}";

/// Kong's tables on Cassandra.
#[derive(Debug, Clone, Deserialize)]
pub struct CassandraCatalog {
    /// Tables by name.
    pub tables: BTreeMap<String, CassandraTable>,
}

/// A table on Cassandra.
#[derive(Debug, Clone, Deserialize)]
pub struct CassandraTable {
    /// Partition key in key order, clustering columns in key order, then the others by name.
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
    /// Direction of a clustering column.
    #[serde(default)]
    pub order: Order,
}

/// The direction of a clustering column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Order {
    /// Ascending.
    #[default]
    Asc,
    /// Descending.
    Desc,
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
    pub indexes: Vec<IndexDefinition>,
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

/// An index that belongs to no constraint.
#[derive(Debug, Clone, Deserialize)]
pub struct IndexDefinition {
    /// Its name.
    pub name: String,
    /// What follows `USING`.
    pub definition: String,
    /// Whether it refuses duplicates.
    #[serde(default)]
    pub unique: bool,
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

/// The text of the catalog of that name in fixtures/catalogs.
macro_rules! catalog {
    ($name:literal) => {
        include_str!(concat!("../../fixtures/catalogs/kong-", $name, ".json"))
    };
}

impl CassandraCatalog {
    /// The catalog of the open-source `version`.
    pub fn of(version: KongVersion) -> Result<Self> {
        Self::of_edition(version, Edition::OpenSource)
    }

    /// The catalog of `version` in `edition`; that of Enterprise holds the open-source tables too.
    pub fn of_edition(version: KongVersion, edition: Edition) -> Result<Self> {
        parse(match (version, edition) {
            (KongVersion::V2_8, Edition::OpenSource) => catalog!("2.8-cassandra"),
            (KongVersion::V3_3, Edition::OpenSource) => catalog!("3.3-cassandra"),
            (KongVersion::V2_8, Edition::Enterprise) => catalog!("2.8-enterprise-cassandra"),
            (KongVersion::V3_3, Edition::Enterprise) => catalog!("3.3-enterprise-cassandra"),
        })
    }
}

impl PostgresCatalog {
    /// The catalog of the open-source `version`.
    pub fn of(version: KongVersion) -> Result<Self> {
        Self::of_edition(version, Edition::OpenSource)
    }

    /// The catalog of `version` in `edition`; that of Enterprise holds the open-source tables too. Column defaults may hold
    /// [`DEFAULT_WORKSPACE`].
    pub fn of_edition(version: KongVersion, edition: Edition) -> Result<Self> {
        parse(match (version, edition) {
            (KongVersion::V2_8, Edition::OpenSource) => catalog!("2.8-postgres"),
            (KongVersion::V3_3, Edition::OpenSource) => catalog!("3.3-postgres"),
            (KongVersion::V2_8, Edition::Enterprise) => catalog!("2.8-enterprise-postgres"),
            (KongVersion::V3_3, Edition::Enterprise) => catalog!("3.3-enterprise-postgres"),
        })
    }
}

impl Migrations {
    /// The migrations of the open-source `version`.
    pub fn of(version: KongVersion) -> Result<Self> {
        Self::of_edition(version, Edition::OpenSource)
    }

    /// The migrations of `version` in `edition`. The names of the steps that Enterprise adds are plausible, not observed.
    pub fn of_edition(version: KongVersion, edition: Edition) -> Result<Self> {
        let mut migrations: Self = parse(match version {
            KongVersion::V2_8 => catalog!("2.8-migrations"),
            KongVersion::V3_3 => catalog!("3.3-migrations"),
        })?;
        if edition == Edition::Enterprise {
            let more: Self = parse(match version {
                KongVersion::V2_8 => catalog!("2.8-enterprise-migrations"),
                KongVersion::V3_3 => catalog!("3.3-enterprise-migrations"),
            })?;
            migrations.subsystems.extend(more.subsystems);
        }
        Ok(migrations)
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

    fn all() -> impl Iterator<Item = (KongVersion, Edition)> {
        KongVersion::ALL
            .into_iter()
            .flat_map(|version| Edition::ALL.into_iter().map(move |edition| (version, edition)))
    }

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
    fn enterprise_has_the_open_source_tables_and_more() {
        for version in KongVersion::ALL {
            let enterprise = CassandraCatalog::of_edition(version, Edition::Enterprise).unwrap().tables;
            let open = CassandraCatalog::of(version).unwrap().tables;
            assert!(open.keys().all(|name| enterprise.contains_key(name)));
            assert!(enterprise.contains_key(Edition::MARK) && !open.contains_key(Edition::MARK));
            let enterprise = PostgresCatalog::of_edition(version, Edition::Enterprise).unwrap().tables;
            assert!(
                PostgresCatalog::of(version).unwrap().tables.keys().all(|it| enterprise.contains_key(it))
            );
            let of_workspace = |column: &PostgresColumn| {
                column.default.as_ref().is_some_and(|default| default.contains(DEFAULT_WORKSPACE))
            };
            let tables = enterprise.values().filter(|table| table.columns.iter().any(of_workspace));
            assert_eq!(tables.count(), 9);
            let steps = Migrations::of_edition(version, Edition::Enterprise).unwrap().subsystems;
            assert!(steps.contains_key("core") && steps.contains_key("enterprise"));
        }
    }

    #[test]
    fn every_index_names_a_column_of_its_table() {
        for (version, edition) in all() {
            for (name, table) in CassandraCatalog::of_edition(version, edition).unwrap().tables {
                assert!(table.columns.iter().any(|column| column.key == Some(KeyPart::Partition)), "{name}");
                for index in &table.indexes {
                    assert!(table.columns.iter().any(|column| column.name == index.column), "{}", index.name);
                }
            }
        }
    }

    #[test]
    fn the_sync_tags_trigger_is_on_every_table_with_tags() {
        for (version, edition) in all() {
            let catalog = PostgresCatalog::of_edition(version, edition).unwrap();
            let tagged = catalog.tables.iter().filter(|(name, table)| {
                name.as_str() != "tags" && table.columns.iter().any(|column| column.name == "tags")
            });
            for (name, table) in tagged {
                assert!(table.triggers.iter().any(|trigger| trigger.call == "sync_tags()"), "{name}");
            }
        }
    }
}
