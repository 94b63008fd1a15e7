//! The keyspace as it is: its tables, its Kong version, and whether it is still empty.

use std::collections::BTreeMap;

use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::response::query_result::QueryRowsResult;
use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::estate::connect::cassandra_error;
use crate::estate::{Edition, KongVersion};

/// Tables that hold rows since bootstrap, or hold no entities.
const NOT_ENTITIES: [&str; 3] = ["workspaces", "parameters", "schema_meta"];

/// Rows that bootstrapping Enterprise leaves at most, with an administrator.
const SEEDED: [(&str, usize); 9] = [
    ("admins", 1),
    ("basicauth_credentials", 1),
    ("consumers", 1),
    ("oic_jwks", 1),
    ("rbac_role_endpoints", 8),
    ("rbac_roles", 4),
    ("rbac_user_roles", 2),
    ("rbac_users", 1),
    ("workspace_entities", 20),
];

/// The tables of one keyspace.
#[derive(Debug)]
pub(super) struct LiveKeyspace {
    pub(super) name: String,
    pub(super) tables: BTreeMap<String, LiveTable>,
}

/// A table with its columns.
#[derive(Debug, Default)]
pub(super) struct LiveTable {
    pub(super) columns: Vec<LiveColumn>,
}

/// A column with its CQL type.
#[derive(Debug)]
pub(super) struct LiveColumn {
    pub(super) name: String,
    pub(super) ty: String,
}

#[derive(DeserializeRow)]
struct ColumnRow {
    table_name: String,
    column_name: String,
    r#type: String,
}

impl LiveTable {
    pub(super) fn has_counters(&self) -> bool {
        self.columns.iter().any(|column| column.ty == "counter")
    }
}

impl LiveKeyspace {
    /// Reads the catalog of `keyspace`.
    pub(super) async fn read(session: &Session, keyspace: &str) -> Result<Self> {
        let cql = "SELECT table_name, column_name, type FROM system_schema.columns WHERE keyspace_name = ?";
        let result = session
            .query_unpaged(cql, (keyspace,))
            .await
            .map_err(|error| cassandra_error(format!("cannot read the catalog of {keyspace}"), &error))?;
        let rows = result.into_rows_result().map_err(shape)?;
        let mut tables: BTreeMap<String, LiveTable> = BTreeMap::new();
        for row in rows.rows::<ColumnRow>().map_err(shape)? {
            let ColumnRow { table_name, column_name, r#type } = row.map_err(shape)?;
            let columns = &mut tables.entry(table_name).or_default().columns;
            columns.push(LiveColumn { name: column_name, ty: r#type });
        }
        Ok(Self { name: keyspace.to_owned(), tables })
    }

    /// The Kong version whose tables these are.
    ///
    /// # Errors
    /// `Preflight` when they are none of a reference version.
    pub(super) fn version(&self) -> Result<KongVersion> {
        let has = |table: &str| self.tables.contains_key(table);
        if has("consumers") && has("sm_vaults") && has("key_sets") {
            Ok(KongVersion::V3_3)
        } else if has("consumers") && has("vaults_beta") {
            Ok(KongVersion::V2_8)
        } else {
            Err(Error::new(
                ErrorKind::Preflight,
                format!("keyspace {} does not hold the tables of Kong 2.8 or 3.3", self.name),
            )
            .remedy("create them with kong-estate create"))
        }
    }

    /// The edition whose tables these are.
    pub(super) fn edition(&self) -> Edition {
        if self.tables.contains_key(Edition::MARK) { Edition::Enterprise } else { Edition::OpenSource }
    }

    /// The id of the workspace `default`, when the keyspace holds nothing but what bootstrap leaves.
    ///
    /// # Errors
    /// `Preflight` when it holds entities, or no workspace `default`.
    pub(super) async fn fresh_workspace(&self, session: &Session) -> Result<Uuid> {
        for name in self.tables.keys().filter(|name| !NOT_ENTITIES.contains(&name.as_str())) {
            let seeded = SEEDED
                .iter()
                .find(|(table, _)| table == name && self.edition() == Edition::Enterprise)
                .map_or(0, |(_, rows)| *rows);
            let some = self.select(session, name, "*", &format!(" LIMIT {}", seeded + 1)).await?;
            if some.rows_num() > seeded {
                return Err(self.not_fresh(name));
            }
        }
        let parameters = self.select(session, "parameters", "key", "").await?;
        for row in parameters.rows::<(String,)>().map_err(shape)? {
            if row.map_err(shape)?.0 != "cluster_id" {
                return Err(self.not_fresh("parameters"));
            }
        }
        let workspaces = self.select(session, "workspaces", "id, name", "").await?;
        let workspaces: Vec<(Uuid, Option<String>)> = workspaces
            .rows::<(Uuid, Option<String>)>()
            .map_err(shape)?
            .collect::<std::result::Result<_, _>>()
            .map_err(shape)?;
        match workspaces.as_slice() {
            [(id, Some(name))] if name == "default" => Ok(*id),
            [] => Err(Error::new(ErrorKind::Preflight, format!("keyspace {} has no workspace", self.name))
                .remedy("run kong migrations bootstrap, or kong-estate create, to its end")),
            _ => Err(self.not_fresh("workspaces")),
        }
    }

    async fn select(
        &self,
        session: &Session,
        table: &str,
        columns: &str,
        tail: &str,
    ) -> Result<QueryRowsResult> {
        session
            .query_unpaged(format!("SELECT {columns} FROM \"{}\".\"{table}\"{tail}", self.name), ())
            .await
            .map_err(|error| cassandra_error(format!("cannot read {}.{table}", self.name), &error))?
            .into_rows_result()
            .map_err(shape)
    }

    fn not_fresh(&self, table: &str) -> Error {
        Error::new(
            ErrorKind::Preflight,
            format!("keyspace {} already holds entities (table {table})", self.name),
        )
        .remedy(format!(
            "create an estate in another keyspace, or drop this one first: DROP KEYSPACE \"{}\"",
            self.name
        ))
    }
}

fn shape(error: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Source, "the server answered in another shape than asked for").because(error)
}
