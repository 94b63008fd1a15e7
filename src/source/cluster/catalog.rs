//! Reading the catalog of a keyspace from `system_schema`, which 3.11 to 5.0 share.

use std::collections::BTreeMap;

use scylla::client::session::Session;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use scylla::statement::Consistency as DriverConsistency;
use scylla::statement::unprepared::Statement;

use super::failure::Trouble;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Column, ColumnKind, CqlType, Table};

/// The only partitioner whose tokens are numbers that can be cut into ranges.
const PARTITIONER: &str = "Murmur3Partitioner";

/// What a node says about itself and its cluster.
pub(super) struct Local {
    pub(super) cluster_name: String,
    pub(super) release_version: String,
    pub(super) datacenter: Option<String>,
}

/// Reads the node's own row, and refuses a partitioner that cannot be split.
pub(super) async fn local(session: &Session) -> Result<Local> {
    type Row = (Option<String>, Option<String>, Option<String>, Option<String>);
    let query = "SELECT cluster_name, release_version, partitioner, data_center FROM system.local";
    let rows: Vec<Row> = rows(session, query, ()).await?;
    let (cluster_name, release_version, partitioner, datacenter) =
        rows.into_iter().next().unwrap_or_default();
    let partitioner = partitioner.unwrap_or_default();
    let name = partitioner.rsplit('.').next().unwrap_or_default();
    if name != PARTITIONER {
        return Err(Error::new(ErrorKind::Preflight, format!("the cluster uses the partitioner {name}"))
            .remedy(format!("kongferry reads clusters with {PARTITIONER}, Cassandra's default since 1.2")));
    }
    Ok(Local {
        cluster_name: cluster_name.unwrap_or_default(),
        release_version: release_version.unwrap_or_default(),
        datacenter,
    })
}

/// Reads the tables of `keyspace`; materialised views and indexes are not among them.
pub(super) async fn tables(session: &Session, keyspace: &str) -> Result<BTreeMap<String, Table>> {
    let exists: Vec<(String,)> = rows(
        session,
        "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
        (keyspace,),
    )
    .await?;
    if exists.is_empty() {
        return Err(no_such_keyspace(session, keyspace).await);
    }
    let user_types = user_types(session, keyspace).await?;
    let listed: Vec<(String, Option<i32>)> = rows(
        session,
        "SELECT table_name, default_time_to_live FROM system_schema.tables WHERE keyspace_name = ?",
        (keyspace,),
    )
    .await?;
    let mut tables: BTreeMap<String, (Table, Vec<(i32, Column)>)> = listed
        .into_iter()
        .map(|(name, ttl)| {
            let table =
                Table { name: name.clone(), columns: Vec::new(), default_time_to_live: ttl.unwrap_or(0) };
            (name, (table, Vec::new()))
        })
        .collect();
    let columns: Vec<(String, String, String, i32, String)> = rows(
        session,
        "SELECT table_name, column_name, kind, position, type FROM system_schema.columns WHERE keyspace_name = ?",
        (keyspace,),
    )
    .await?;
    for (table, name, kind, position, ty) in columns {
        let Some((_, columns)) = tables.get_mut(&table) else { continue };
        let kind = match kind.as_str() {
            "partition_key" => ColumnKind::PartitionKey,
            "clustering" => ColumnKind::Clustering,
            "static" => ColumnKind::Static,
            _ => ColumnKind::Regular,
        };
        columns.push((position, Column { name, ty: CqlType::parse(&ty).with_user_types(&user_types), kind }));
    }
    Ok(tables.into_iter().map(|(name, (table, columns))| (name, with_columns(table, columns))).collect())
}

/// Puts the columns in the catalog's order.
fn with_columns(mut table: Table, mut columns: Vec<(i32, Column)>) -> Table {
    let group = |kind| match kind {
        ColumnKind::PartitionKey => 0,
        ColumnKind::Clustering => 1,
        ColumnKind::Static | ColumnKind::Regular => 2,
    };
    columns.sort_by(|(a_place, a), (b_place, b)| {
        (group(a.kind), a_place, &a.name).cmp(&(group(b.kind), b_place, &b.name))
    });
    table.columns = columns.into_iter().map(|(_, column)| column).collect();
    table
}

async fn user_types(session: &Session, keyspace: &str) -> Result<BTreeMap<String, Vec<(String, CqlType)>>> {
    type Row = (String, Option<Vec<String>>, Option<Vec<String>>);
    let types: Vec<Row> = rows(
        session,
        "SELECT type_name, field_names, field_types FROM system_schema.types WHERE keyspace_name = ?",
        (keyspace,),
    )
    .await?;
    let fields = |names: Option<Vec<String>>, types: Option<Vec<String>>| {
        let types = types.unwrap_or_default().into_iter().map(|ty| CqlType::parse(&ty));
        names.unwrap_or_default().into_iter().zip(types).collect()
    };
    Ok(types.into_iter().map(|(name, names, types)| (name, fields(names, types))).collect())
}

/// Names the keyspaces that a Kong has been bootstrapped in, for whoever mistyped.
async fn no_such_keyspace(session: &Session, keyspace: &str) -> Error {
    let all: Result<Vec<(String, String)>> =
        rows(session, "SELECT keyspace_name, table_name FROM system_schema.tables", ()).await;
    let mut kongs: Vec<_> = all
        .unwrap_or_default()
        .into_iter()
        .filter(|(_, table)| table == "schema_meta")
        .map(|(keyspace, _)| keyspace)
        .collect();
    kongs.sort();
    let remedy = if kongs.is_empty() {
        "no keyspace of this cluster holds a Kong: check that it is the right cluster".to_owned()
    } else {
        format!("keyspaces that hold a Kong: {}", kongs.join(", "))
    };
    Error::new(ErrorKind::Preflight, format!("keyspace {keyspace} does not exist")).remedy(remedy)
}

/// All rows of a query on the system tables, which every node answers by itself.
async fn rows<Row>(session: &Session, cql: &str, values: impl SerializeRow) -> Result<Vec<Row>>
where
    Row: for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
{
    let mut statement = Statement::new(cql);
    statement.set_consistency(DriverConsistency::One);
    statement.set_is_idempotent(true);
    let answer = session
        .query_unpaged(statement, values)
        .await
        .map_err(|error| Trouble::from(&error).while_reading("the catalog").before_writing())?;
    let unreadable = || {
        Trouble::Malformed("the system tables are not those of Cassandra 3.11 to 5.0")
            .while_reading("the catalog")
            .before_writing()
    };
    let answer = answer.into_rows_result().map_err(|_| unreadable())?;
    let rows = answer.rows::<Row>().map_err(|_| unreadable())?;
    rows.collect::<std::result::Result<_, _>>().map_err(|_| unreadable())
}
