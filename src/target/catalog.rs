//! What the target holds: tables, columns, keys and triggers of one schema, as `pg_catalog` describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The catalog of one schema of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Catalog {
    /// Name of the database.
    pub database: String,
    /// Schema that holds Kong's tables.
    pub schema: String,
    /// `server_version_num`, such as 160004.
    pub server_version_num: u32,
    /// Tables by name.
    pub tables: BTreeMap<String, Table>,
}

/// A table of the target.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Its oid.
    pub oid: u32,
    /// `relkind`: `r` for an ordinary table, `p` for a partitioned one.
    pub kind: char,
    /// Columns in attribute order.
    pub columns: Vec<Column>,
    /// Columns of the primary key, in key order; empty when there is none.
    pub primary_key: Vec<String>,
    /// Unique constraints and unique indexes besides the primary key, those on expressions or with a WHERE left out.
    pub unique: Vec<UniqueKey>,
    /// Foreign keys of this table.
    pub foreign_keys: Vec<ForeignKey>,
    /// Names of user triggers, with `tgenabled`.
    pub triggers: Vec<(String, char)>,
}

/// A column of a target table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: PgType,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Default expression, if any; an identity column has `GENERATED ... AS IDENTITY`.
    pub default: Option<String>,
    /// Computed from other columns: cannot be written by COPY (an identity column can).
    pub generated: bool,
}

/// A unique key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UniqueKey {
    /// Name of the constraint or index.
    pub name: String,
    /// Its columns.
    pub columns: Vec<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKey {
    /// Name of the constraint.
    pub name: String,
    /// Columns of this table.
    pub columns: Vec<String>,
    /// Schema and name of the referenced table.
    pub parent: (String, String),
    /// Columns of the referenced table.
    pub parent_columns: Vec<String>,
    /// Whether it can be deferred to the end of the transaction.
    pub deferrable: bool,
}

/// A `PostgreSQL` type with what binary COPY needs of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PgType {
    /// Its oid; for arrays the oid of the array type.
    pub oid: u32,
    /// As `format_type` writes it, such as `timestamp with time zone`.
    pub name: String,
    /// What it is.
    pub kind: PgKind,
}

/// The types kongferry can write, and the rest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[allow(missing_docs)]
pub enum PgKind {
    Bool,
    Bytea,
    Date,
    Double,
    Inet,
    Int2,
    Int4,
    Int8,
    Interval,
    Json,
    Jsonb,
    Numeric,
    Real,
    /// text
    Text,
    Time,
    Timestamp,
    Timestamptz,
    Uuid,
    /// varchar or char with its limit in characters, if any.
    Varchar(Option<u32>),
    Array(Box<PgType>),
    /// Anything else; has no codec.
    Other,
}

impl Table {
    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
