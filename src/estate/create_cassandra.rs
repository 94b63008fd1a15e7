//! Kong's schema on Cassandra, with the rows a fresh Gateway leaves.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::{SystemTime, UNIX_EPOCH};

use scylla::client::session::Session;
use scylla::value::CqlTimestamp;
use uuid::Uuid;

use secrecy::SecretString;

use super::catalog::{CassandraCatalog, CassandraTable, KeyPart, Migrations, Order};
use super::connect::cassandra_error;
use super::seed::{self, Store};
use super::{Edition, KongVersion};
use crate::error::{Error, ErrorKind, Result};

/// How a side is created. On `PostgreSQL`, replication and indexes mean nothing.
#[derive(Debug, Clone)]
pub struct CreateOptions {
    /// Replication factor of `SimpleStrategy`.
    pub replication: u32,
    /// Whether to create Kong's secondary indexes. Without them inserts are several times faster.
    pub indexes: bool,
    /// Id of the workspace `default`; random when `None`, as Kong does.
    pub workspace: Option<Uuid>,
    /// The edition; open source unless told otherwise.
    pub edition: Edition,
    /// Password of the first administrator, as `KONG_PASSWORD` gives it to the bootstrap of Enterprise: with it there is an
    /// administrator `kong_admin`.
    pub admin_password: Option<SecretString>,
}

impl Default for CreateOptions {
    fn default() -> Self {
        Self {
            replication: 1,
            indexes: true,
            workspace: None,
            edition: Edition::default(),
            admin_password: None,
        }
    }
}

/// Creates `keyspace` (unless it exists and is empty) with all tables of `version` and the bootstrap rows. Returns the id of
/// the workspace `default`.
///
/// # Errors
/// `Preflight` when the keyspace already holds tables; `Source` when the server refuses a statement.
pub async fn create_cassandra(
    session: &Session,
    keyspace: &str,
    version: KongVersion,
    options: &CreateOptions,
) -> Result<Uuid> {
    check_name(keyspace)?;
    let existing = names_in(session, keyspace, "tables", "table_name").await?;
    if !existing.is_empty() {
        return Err(Error::new(
            ErrorKind::Preflight,
            format!("keyspace {keyspace} already holds {} tables", existing.len()),
        )
        .remedy(format!("name another keyspace, or drop this one first: DROP KEYSPACE \"{keyspace}\"")));
    }
    let catalog = CassandraCatalog::of_edition(version, options.edition)?;
    change(
        session,
        format!(
            "CREATE KEYSPACE IF NOT EXISTS \"{keyspace}\" \
             WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': {}}}",
            options.replication
        ),
        format!("cannot create keyspace {keyspace}"),
    )
    .await?;
    // One change after another: sent side by side they take as long, and nodes of a cluster may disagree over them.
    for (name, table) in &catalog.tables {
        let what = format!("cannot create table {keyspace}.{name}");
        change(session, create_table(keyspace, name, table), what).await?;
    }
    if options.indexes {
        create_indexes(session, keyspace, version).await?;
    }
    agree(session).await?;
    bootstrap(session, keyspace, version, options).await
}

/// Creates those of Kong's secondary indexes that `keyspace` does not have yet.
///
/// # Errors
/// `Source` when the server refuses a statement.
pub async fn create_indexes(session: &Session, keyspace: &str, version: KongVersion) -> Result<()> {
    check_name(keyspace)?;
    let catalog = live_catalog(session, keyspace, version).await?;
    for (table, definition) in &catalog.tables {
        for index in &definition.indexes {
            let statement = format!(
                "CREATE INDEX IF NOT EXISTS \"{}\" ON \"{keyspace}\".\"{table}\" (\"{}\")",
                index.name, index.column
            );
            let what = format!("cannot create index {} on {keyspace}.{table}", index.name);
            change(session, statement, what).await?;
        }
    }
    agree(session).await
}

/// Drops those of Kong's secondary indexes that `keyspace` has; returns how many.
///
/// # Errors
/// `Source` when the server refuses a statement.
pub async fn drop_indexes(session: &Session, keyspace: &str, version: KongVersion) -> Result<usize> {
    check_name(keyspace)?;
    let live: BTreeSet<String> = session
        .query_unpaged("SELECT index_name FROM system_schema.indexes WHERE keyspace_name = ?", (keyspace,))
        .await
        .map_err(|error| cassandra_error(format!("cannot list the indexes of {keyspace}"), &error))?
        .into_rows_result()
        .map_err(|error| Error::new(ErrorKind::Internal, "the list of indexes has no rows").because(error))?
        .rows::<(String,)>()
        .map_err(|error| {
            Error::new(ErrorKind::Internal, "the list of indexes has another shape").because(error)
        })?
        .filter_map(|row| row.ok().map(|(name,)| name))
        .collect();
    let catalog = live_catalog(session, keyspace, version).await?;
    let mut dropped = 0;
    for index in catalog.tables.values().flat_map(|table| &table.indexes) {
        if live.contains(&index.name) {
            let statement = format!("DROP INDEX \"{keyspace}\".\"{}\"", index.name);
            change(session, statement, format!("cannot drop index {}", index.name)).await?;
            dropped += 1;
        }
    }
    agree(session).await?;
    Ok(dropped)
}

/// The catalog of `version` in the edition whose tables `keyspace` has.
async fn live_catalog(session: &Session, keyspace: &str, version: KongVersion) -> Result<CassandraCatalog> {
    let tables = names_in(session, keyspace, "tables", "table_name").await?;
    let edition = if tables.contains(Edition::MARK) { Edition::Enterprise } else { Edition::OpenSource };
    CassandraCatalog::of_edition(version, edition)
}

/// The names that a table of `system_schema` lists for `keyspace`; none when there is no such keyspace.
async fn names_in(session: &Session, keyspace: &str, kind: &str, column: &str) -> Result<BTreeSet<String>> {
    let shape = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Source, format!("the list of {kind} has another shape than expected"))
            .because(error)
    };
    let cql = format!("SELECT {column} FROM system_schema.{kind} WHERE keyspace_name = ?");
    let rows = session
        .query_unpaged(cql, (keyspace,))
        .await
        .map_err(|error| cassandra_error(format!("cannot list the {kind} of {keyspace}"), &error))?
        .into_rows_result()
        .map_err(|error| shape(&error))?;
    let mut names = BTreeSet::new();
    for row in rows.rows::<(String,)>().map_err(|error| shape(&error))? {
        names.insert(row.map_err(|error| shape(&error))?.0);
    }
    Ok(names)
}

/// Keyspace names are written into statements, so only those that Cassandra itself allows pass.
fn check_name(keyspace: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if (1..=48).contains(&keyspace.len()) && keyspace.chars().all(allowed) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Usage, "this is not a name a keyspace can have")
        .remedy("use at most 48 letters, digits and underscores"))
}

async fn change(session: &Session, statement: String, what: String) -> Result<()> {
    session.query_unpaged(statement, ()).await.map_err(|error| cassandra_error(what, &error))?;
    Ok(())
}

async fn agree(session: &Session) -> Result<()> {
    session.await_schema_agreement().await.map_err(|error| {
        Error::new(ErrorKind::Source, "the nodes do not agree on the new schema")
            .because(error)
            .remedy("see nodetool describecluster")
    })?;
    Ok(())
}

fn create_table(keyspace: &str, name: &str, table: &CassandraTable) -> String {
    let key = |part| {
        let columns: Vec<String> = table
            .columns
            .iter()
            .filter(|column| column.key == Some(part))
            .map(|column| format!("\"{}\"", column.name))
            .collect();
        columns.join(", ")
    };
    let mut cql = format!("CREATE TABLE \"{keyspace}\".\"{name}\" (");
    for column in &table.columns {
        let _ = write!(cql, "\"{}\" {}, ", column.name, column.ty);
    }
    let _ = write!(cql, "PRIMARY KEY (({})", key(KeyPart::Partition));
    let clustering = key(KeyPart::Clustering);
    if !clustering.is_empty() {
        let _ = write!(cql, ", {clustering}");
    }
    let _ = write!(
        cql,
        ")) WITH default_time_to_live = {} AND gc_grace_seconds = {}",
        table.default_time_to_live, table.gc_grace_seconds
    );
    let descending =
        |part: &&str| table.columns.iter().any(|column| column.name == *part && column.order == Order::Desc);
    let clustering: Vec<&str> = table
        .columns
        .iter()
        .filter(|column| column.key == Some(KeyPart::Clustering))
        .map(|column| column.name.as_str())
        .collect();
    if clustering.iter().any(&descending) {
        let order: Vec<String> = clustering
            .iter()
            .map(|part| format!("\"{part}\" {}", if descending(part) { "DESC" } else { "ASC" }))
            .collect();
        let _ = write!(cql, " AND CLUSTERING ORDER BY ({})", order.join(", "));
    }
    cql
}

/// The rows a fresh Gateway leaves: the workspace `default`, the cluster id, and `schema_meta` (empty sets are NULL here).
async fn bootstrap(
    session: &Session,
    keyspace: &str,
    version: KongVersion,
    options: &CreateOptions,
) -> Result<Uuid> {
    let workspace = options.workspace.unwrap_or_else(Uuid::new_v4);
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let created_at = CqlTimestamp(i64::try_from(seconds).unwrap_or(0) * 1000);
    session
        .query_unpaged(
            format!("INSERT INTO \"{keyspace}\".workspaces (id, name, created_at) VALUES (?, 'default', ?)"),
            (workspace, created_at),
        )
        .await
        .map_err(|error| cassandra_error("cannot write the workspace default", &error))?;
    session
        .query_unpaged(
            format!("INSERT INTO \"{keyspace}\".parameters (key, value) VALUES ('cluster_id', ?)"),
            (Uuid::new_v4().to_string(),),
        )
        .await
        .map_err(|error| cassandra_error("cannot write the cluster id", &error))?;
    for (subsystem, migrations) in Migrations::of_edition(version, options.edition)?.subsystems {
        session
            .query_unpaged(
                format!(
                    "INSERT INTO \"{keyspace}\".schema_meta (key, subsystem, last_executed, executed) \
                     VALUES ('schema_meta', ?, ?, ?)"
                ),
                (&subsystem, migrations.steps.last(), &migrations.steps),
            )
            .await
            .map_err(|error| cassandra_error("cannot write schema_meta", &error))?;
    }
    if options.edition == Edition::Enterprise {
        let rows = seed::rows(Store::Cassandra(created_at.0), workspace, options.admin_password.as_ref());
        for row in rows {
            let (columns, values): (Vec<_>, Vec<_>) = row.cells.into_iter().unzip();
            let statement = format!(
                "INSERT INTO \"{keyspace}\".\"{}\" ({}) VALUES ({})",
                row.table,
                columns.join(", "),
                vec!["?"; columns.len()].join(", ")
            );
            session.query_unpaged(statement, values).await.map_err(|error| {
                cassandra_error(format!("cannot write the seed of {}", row.table), &error)
            })?;
        }
    }
    Ok(workspace)
}
