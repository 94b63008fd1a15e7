//! The bare parallel scan: tables read through the driver alone, and dropped.
//!
//! What a migration is measured against. It reads the columns that kongferry reads, `TTL()` included, in as many token ranges
//! and with as many in flight, and asks for the next page of a range before it drops the current one. Nothing is decoded.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use scylla::DeserializeRow;
use scylla::client::session::Session;
use scylla::response::PagingState;
use scylla::statement::Statement;
use scylla::statement::prepared::PreparedStatement;

use super::connect::{cassandra_error, prepare_error};
use crate::error::{Error, ErrorKind, Result};
use crate::schema_map::{MapSet, Rule, TableMap};

/// Rows per page: as many as kongferry asks for of narrow rows. Larger pages bring no more throughput.
const PAGE_ROWS: i32 = 5_000;

/// What to scan, and how.
#[derive(Debug, Clone)]
pub struct ScanSpec {
    /// The tables.
    pub tables: Vec<String>,
    /// Token ranges that each table is cut into.
    pub ranges: usize,
    /// Token ranges, of whichever table, that are read at the same time.
    pub in_flight: usize,
}

/// What a scan saw.
#[derive(Debug, Clone)]
pub struct Scanned {
    /// Rows of each table.
    pub tables: BTreeMap<String, u64>,
    /// Time from the first request for a page to the last answer.
    pub time: Duration,
}

impl Scanned {
    /// Rows of all tables together.
    pub fn rows(&self) -> u64 {
        self.tables.values().sum()
    }
}

/// Reads the tables of `spec` whole and drops what comes.
///
/// # Errors
/// `Usage` when the keyspace has no such table; `Source` when the server refuses a page.
pub async fn scan(session: Arc<Session>, keyspace: &str, spec: &ScanSpec) -> Result<Scanned> {
    let maps = MapSet::built_in()?;
    let mut parts = Vec::new();
    for table in &spec.tables {
        let columns = columns(&session, keyspace, table).await?;
        let mut statement = session
            .prepare(
                Statement::new(select(keyspace, table, &columns, maps.get(table))).with_page_size(PAGE_ROWS),
            )
            .await
            .map_err(|error| prepare_error(format!("cannot prepare the scan of {table}"), &error))?;
        statement.set_use_cached_result_metadata(true);
        parts.extend(ranges(spec.ranges).map(|range| (table.clone(), statement.clone(), range)));
    }
    let begun = Instant::now();
    let tables = stream::iter(parts)
        .map(|(table, statement, range)| {
            let reading = tokio::spawn(read(Arc::clone(&session), table.clone(), statement, range));
            async { Ok::<_, Error>((table, reading.await.map_err(broke_down)??)) }
        })
        .buffer_unordered(spec.in_flight.max(1))
        .try_fold(BTreeMap::new(), |mut tables, (table, rows)| async move {
            *tables.entry(table).or_insert(0) += rows;
            Ok(tables)
        })
        .await?;
    Ok(Scanned { tables, time: begun.elapsed() })
}

/// The whole ring in `parts` token ranges of equal width, lower bounds excluded: no key has the lowest token.
fn ranges(parts: usize) -> impl Iterator<Item = (i64, i64)> {
    let parts = i128::try_from(parts.max(1)).unwrap_or(1);
    let bound = move |part: i128| {
        let token = i128::from(i64::MIN) + (part << 64) / parts;
        i64::try_from(token).unwrap_or(i64::MAX)
    };
    (0..parts).map(move |part| (bound(part), bound(part + 1)))
}

/// Reads one token range to its end; returns its rows.
async fn read(
    session: Arc<Session>,
    table: String,
    statement: PreparedStatement,
    bounds: (i64, i64),
) -> Result<u64> {
    let fetch = |state: PagingState| {
        let (session, statement, table) = (Arc::clone(&session), statement.clone(), table.clone());
        tokio::spawn(async move {
            session
                .execute_single_page(&statement, bounds, state)
                .await
                .map_err(|error| cassandra_error(format!("cannot read a page of {table}"), &error))
        })
    };
    let (mut rows, mut coming) = (0, fetch(PagingState::start()));
    loop {
        let (answer, next) = coming.await.map_err(broke_down)??;
        let next = match next.into_paging_control_flow() {
            ControlFlow::Break(()) => None,
            ControlFlow::Continue(state) => Some(fetch(state)),
        };
        let page = answer
            .into_rows_result()
            .map_err(|error| Error::new(ErrorKind::Source, "the answer holds no rows").because(error))?;
        rows += u64::try_from(page.rows_num()).unwrap_or(u64::MAX);
        match next {
            Some(fetching) => coming = fetching,
            None => return Ok(rows),
        }
    }
}

fn broke_down(error: tokio::task::JoinError) -> Error {
    Error::new(ErrorKind::Internal, "a read broke down").because(error)
}

/// A column of the live table.
#[derive(DeserializeRow)]
struct Column {
    #[scylla(rename = "column_name")]
    name: String,
    #[scylla(rename = "type")]
    ty: String,
    kind: String,
    position: i32,
}

impl Column {
    /// Whether `TTL()` of it may be asked for.
    fn has_ttl(&self) -> bool {
        let refused = ["counter", "list<", "set<", "map<"];
        self.kind == "regular" && !refused.iter().any(|ty| self.ty.starts_with(ty))
    }
}

/// The columns of a table, by name.
async fn columns(session: &Session, keyspace: &str, table: &str) -> Result<Vec<Column>> {
    let shape = |error: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Source, "the list of columns has another shape than asked for").because(error)
    };
    let cql = "SELECT column_name, type, kind, position FROM system_schema.columns \
               WHERE keyspace_name = ? AND table_name = ?";
    let rows = session
        .query_unpaged(cql, (keyspace, table))
        .await
        .map_err(|error| cassandra_error(format!("cannot list the columns of {table}"), &error))?
        .into_rows_result()
        .map_err(|error| shape(&error))?;
    let columns: Vec<Column> = rows
        .rows::<Column>()
        .map_err(|error| shape(&error))?
        .collect::<std::result::Result<_, _>>()
        .map_err(|error| shape(&error))?;
    if columns.is_empty() {
        return Err(Error::new(ErrorKind::Usage, format!("keyspace {keyspace} has no table {table}"))
            .remedy("name tables as Cassandra does, separated by commas"));
    }
    Ok(columns)
}

/// The statement that reads a token range: the columns that the table's map carries over, and the lifetimes that an instant of
/// expiry is worked out from. All columns where there is no map.
fn select(keyspace: &str, table: &str, columns: &[Column], map: Option<&TableMap>) -> String {
    let rule = |name: &str| map.and_then(|map| map.columns.get(name)).map(|column| &column.rule);
    let mut items: Vec<String> = columns
        .iter()
        .filter(|column| {
            let given_up =
                matches!(rule(&column.name), Some(Rule::Drop | Rule::Leave | Rule::Constant { .. }));
            column.kind != "regular" || !given_up
        })
        .map(|column| quoted(&column.name))
        .collect();
    if let Some(map) = map {
        let expiry = map.columns.values().find_map(|column| match &column.rule {
            Rule::ExpiresAt { of, .. } => Some(of),
            _ => None,
        });
        let lifetimes = columns.iter().filter(|column| {
            let name = &column.name;
            expiry.is_some_and(|of| of == name || map.required.contains(name)) && column.has_ttl()
        });
        items.extend(lifetimes.map(|column| format!("TTL({})", quoted(&column.name))));
    }
    let mut key: Vec<&Column> = columns.iter().filter(|column| column.kind == "partition_key").collect();
    key.sort_by_key(|column| column.position);
    let key: Vec<String> = key.iter().map(|column| quoted(&column.name)).collect();
    let (items, token) = (items.join(", "), format!("token({})", key.join(", ")));
    format!("SELECT {items} FROM {}.{} WHERE {token} > ? AND {token} <= ?", quoted(keyspace), quoted(table))
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_tile_the_ring() {
        for parts in [1, 2, 3, 32, 1_000] {
            let ranges: Vec<_> = ranges(parts).collect();
            assert_eq!(ranges.len(), parts);
            assert_eq!((ranges[0].0, ranges[parts - 1].1), (i64::MIN, i64::MAX));
            assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
            assert!(ranges.iter().all(|(after, upto)| after < upto));
        }
    }

    #[test]
    fn a_table_with_lifetimes_is_read_as_kongferry_reads_it() {
        let column = |name: &str, ty: &str, kind: &str| Column {
            name: name.to_owned(),
            ty: ty.to_owned(),
            kind: kind.to_owned(),
            position: 0,
        };
        let columns = [
            column("consumer_id", "uuid", "regular"),
            column("created_at", "timestamp", "regular"),
            column("id", "uuid", "partition_key"),
            column("key", "text", "regular"),
            column("tags", "set<text>", "regular"),
        ];
        let maps = MapSet::built_in().unwrap();
        assert_eq!(
            select("kong", "keyauth_credentials", &columns, maps.get("keyauth_credentials")),
            "SELECT \"consumer_id\", \"created_at\", \"id\", \"key\", \"tags\", TTL(\"consumer_id\"), TTL(\"created_at\"), \
             TTL(\"key\") FROM \"kong\".\"keyauth_credentials\" WHERE token(\"id\") > ? AND token(\"id\") <= ?"
        );
        let plain = select("kong", "consumers", &columns[2..], maps.get("consumers"));
        assert!(!plain.contains("TTL"), "{plain}");
    }
}
