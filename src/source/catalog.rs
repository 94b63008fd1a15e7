//! What the source holds: tables and columns of one keyspace, as the server describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CqlType;

/// The catalog of one keyspace.
#[derive(Debug, Clone, Default)]
pub struct Catalog {
    /// Name of the cluster.
    pub cluster_name: String,
    /// Cassandra release, such as `3.11.19`.
    pub release_version: String,
    /// Name of the keyspace.
    pub keyspace: String,
    /// Tables by name.
    pub tables: BTreeMap<String, Table>,
}

/// A table of the source.
#[derive(Debug, Clone, Default)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// All columns: partition key in key order, clustering columns in key order, then the others by name.
    pub columns: Vec<Column>,
    /// Table-wide TTL in seconds, 0 for none.
    pub default_time_to_live: i32,
}

/// A column of a source table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: CqlType,
    /// Its place in the key, if any.
    pub kind: ColumnKind,
}

/// Place of a column in the primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Part of the partition key.
    PartitionKey,
    /// A clustering column.
    Clustering,
    /// One value per partition.
    Static,
    /// Not in the key.
    Regular,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// Columns of the partition key, in key order.
    pub fn partition_key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.kind == ColumnKind::PartitionKey)
    }

    /// Clustering columns, in key order.
    pub fn clustering_key(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.kind == ColumnKind::Clustering)
    }
}

impl Column {
    /// Whether `TTL(column)` may be asked for: not on key columns, counters and collections.
    pub fn has_ttl(&self) -> bool {
        self.kind == ColumnKind::Regular
            && !matches!(
                self.ty,
                CqlType::Counter
                    | CqlType::List(_)
                    | CqlType::Set(_)
                    | CqlType::Map(..)
                    | CqlType::Udt { .. }
                    | CqlType::Tuple(_)
            )
    }
}
