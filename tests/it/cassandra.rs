//! A keyspace of one's own on a running Cassandra.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt as _, StreamExt as _};
use kongferry::source::cluster::{Cluster, ClusterConfig};
use kongferry::source::{Cut, PageSizing, SelectItem, Selection, Source, Split, cells};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::serialize::row::SerializeRow;
use uuid::Uuid;

use crate::support::servers;

/// Makes one test of each function for every Cassandra that always takes part.
macro_rules! on_each_cassandra {
    ($($name:ident),+ $(,)?) => {
        mod cassandra_3_11 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                crate::cassandra::Keyspace::lend("3.11", async |keyspace| super::$name(keyspace).await).await;
            })+
        }
        mod cassandra_5_0 {
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                crate::cassandra::Keyspace::lend("5.0", async |keyspace| super::$name(keyspace).await).await;
            })+
        }
    };
}
pub(crate) use on_each_cassandra;

/// A keyspace of its own on a running server.
pub struct Keyspace {
    /// Its name.
    pub name: String,
    host: String,
    port: u16,
    session: Session,
}

impl Keyspace {
    /// A new keyspace on the Cassandra of that line.
    pub async fn new(version: &str) -> Self {
        Self::open(servers::cassandra(version), SessionBuilder::new()).await
    }

    /// The same on a server that wants a password, as Cassandra's first user.
    pub async fn with_users() -> Self {
        Self::open(servers::cassandra_with_users(), SessionBuilder::new().user("cassandra", "cassandra"))
            .await
    }

    async fn open(server: &servers::Cassandra, builder: SessionBuilder) -> Self {
        // The driver cannot read every type that the tests make, and one such keyspace would keep it from connecting.
        let session =
            builder.known_node(server.address()).fetch_schema_metadata(false).build().await.unwrap();
        let name = format!("source_{}", Uuid::new_v4().simple());
        let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
        let create = format!("CREATE KEYSPACE {name} WITH replication = {replication}");
        session.query_unpaged(create, ()).await.unwrap();
        session.use_keyspace(&name, true).await.unwrap();
        Self { name, host: server.host.clone(), port: server.port, session }
    }

    /// Runs a test in a keyspace that is dropped afterwards, whatever comes of it.
    pub async fn lend(version: &str, test: impl AsyncFnOnce(&Self)) {
        let keyspace = Self::new(version).await;
        let outcome = AssertUnwindSafe(test(&keyspace)).catch_unwind().await;
        keyspace.run(&format!("DROP KEYSPACE {}", keyspace.name)).await;
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    /// Runs one statement.
    pub async fn run(&self, cql: &str) {
        self.session.query_unpaged(cql, ()).await.unwrap();
    }

    /// The one column of a query's rows.
    pub async fn column<T>(&self, cql: &str) -> Vec<T>
    where
        (T,): for<'frame, 'metadata> DeserializeRow<'frame, 'metadata>,
    {
        let answer = self.session.query_unpaged(cql, ()).await.unwrap().into_rows_result().unwrap();
        answer.rows::<(T,)>().unwrap().map(|row| row.unwrap().0).collect()
    }

    /// Writes many rows, some at a time.
    pub async fn insert(&self, cql: &str, rows: impl IntoIterator<Item = impl SerializeRow>) {
        let statement = &self.session.prepare(cql).await.unwrap();
        futures::stream::iter(rows)
            .for_each_concurrent(64, |row| async move {
                self.session.execute_unpaged(statement, row).await.unwrap();
            })
            .await;
    }

    /// Host and port of the server.
    pub fn server(&self) -> (String, u16) {
        (self.host.clone(), self.port)
    }

    /// How to read the keyspace.
    pub fn config(&self) -> ClusterConfig {
        ClusterConfig {
            contact_points: vec![self.server()],
            keyspace: self.name.clone(),
            ..ClusterConfig::default()
        }
    }

    /// The keyspace as a source, with the tables it has now.
    pub async fn source(&self) -> Cluster {
        Cluster::connect(&self.config()).await.unwrap()
    }
}

/// Cells of a row, NULL as `None`.
pub type Row = Vec<Option<Bytes>>;

/// A selection of columns.
pub fn columns(names: &[&str]) -> Vec<SelectItem> {
    names.iter().map(|name| SelectItem::Column((*name).to_owned())).collect()
}

/// The splits of a table.
pub async fn splits(source: &Cluster, table: &str, parts: usize, shifted: bool) -> Vec<Split> {
    let table = source.catalog().tables.get(table).unwrap();
    source.splits(table, Cut { parts, shifted }).await.unwrap()
}

/// The pages of one split, in order.
pub async fn read(
    source: &Cluster,
    split: &Split,
    items: &[SelectItem],
    sizing: &Arc<PageSizing>,
) -> Vec<Vec<Row>> {
    let selection = Arc::new(Selection { table: split.table.clone(), items: items.to_vec() });
    let mut pages = source.open(selection, split, Arc::clone(sizing)).await.unwrap();
    let mut read = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        read.push(cells::rows_of(&page, items.len()).unwrap());
    }
    read
}
