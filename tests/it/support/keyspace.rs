//! Source keyspaces: filled ones that all tests share and only read, and small ones of a test's own.

use std::collections::BTreeMap;
use std::sync::Arc;

use kongferry::estate::{self, CreateOptions, Edition, FillSpec, KongVersion};
use scylla::client::session::Session;
use scylla::response::query_result::QueryRowsResult;
use scylla::serialize::row::SerializeRow;
use scylla::value::Row;
use secrecy::SecretString;
use uuid::Uuid;

use super::database::Database;
use super::once::Once;
use super::servers::{self, Cassandra};
use super::unique;

/// Consumers of a filled estate; the other tables follow in proportion.
pub const CONSUMERS: u64 = 300;

/// A keyspace with Kong's tables.
#[derive(Debug, Clone)]
pub struct Keyspace {
    /// The server it is on.
    pub server: &'static Cassandra,
    /// A session, the same for all keyspaces of the server.
    pub session: Arc<Session>,
    /// Its name.
    pub name: String,
    /// Id of the workspace `default`.
    pub default_workspace: Uuid,
}

/// The filled estate of a Kong version on a Cassandra line. Filled once per run, and only read.
pub async fn filled(line: &str, version: KongVersion) -> &'static Keyspace {
    static FILLED: Once<Keyspace> = Once::new();
    let spec = FillSpec { consumers: CONSUMERS, ..FillSpec::default() };
    FILLED.get(&format!("{line} {version}"), || filled_with(line, version, spec)).await
}

/// An estate of this size with odd rows.
pub async fn filled_with(line: &str, version: KongVersion, size: FillSpec) -> Keyspace {
    let keyspace = empty(line, version, "filled", None).await;
    let spec = FillSpec { odd: true, concurrency: 64, ..size };
    estate::fill(&keyspace.session, &keyspace.name, &spec).await.unwrap();
    keyspace
}

/// Password of the administrator that the bootstrap of a filled Enterprise estate made.
pub const ADMIN_PASSWORD: &str = "söurce-kong-password";

/// The filled Enterprise estate of a Kong version, with odd rows and an administrator of the bootstrap: 2.8 on Cassandra 3.11,
/// 3.3 on 5.0. Filled once per run, and only read.
pub async fn enterprise(version: KongVersion) -> &'static Keyspace {
    static FILLED: Once<Keyspace> = Once::new();
    let line = if version == KongVersion::V2_8 { "3.11" } else { "5.0" };
    let make = || async move {
        let options = CreateOptions {
            indexes: false,
            edition: Edition::Enterprise,
            admin_password: Some(SecretString::from(ADMIN_PASSWORD)),
            ..CreateOptions::default()
        };
        let keyspace = created(line, version, "enterprise", &options).await;
        let spec = FillSpec { consumers: 100, odd: true, concurrency: 32, ..FillSpec::default() };
        estate::fill(&keyspace.session, &keyspace.name, &spec).await.unwrap();
        keyspace
    };
    FILLED.get(&version.to_string(), make).await
}

/// A keyspace as a fresh Gateway leaves it, without secondary indexes; `workspace` is the id of its workspace `default`.
pub async fn empty(line: &str, version: KongVersion, label: &str, workspace: Option<Uuid>) -> Keyspace {
    let options = CreateOptions { indexes: false, workspace, ..CreateOptions::default() };
    created(line, version, label, &options).await
}

async fn created(line: &str, version: KongVersion, label: &str, options: &CreateOptions) -> Keyspace {
    let server = servers::cassandra(line);
    let session = session(server).await;
    let name = unique(label);
    let default_workspace = estate::create_cassandra(&session, &name, version, options).await.unwrap();
    Keyspace { server, session, name, default_workspace }
}

/// A keyspace with a workspace `default` and the schema state that `target` has, and hardly a table: for tests that are about
/// tables of their own, and would spend most of their time making Kong's.
pub async fn bare(line: &str, label: &str, target: &Database) -> Keyspace {
    let server = servers::cassandra(line);
    let session = session(server).await;
    let keyspace = Keyspace { server, session, name: unique(label), default_workspace: Uuid::new_v4() };
    for statement in [
        "CREATE KEYSPACE {ks} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        "CREATE TABLE {ks}.schema_meta (key text, subsystem text, last_executed text, executed set<text>, pending set<text>,
                                        PRIMARY KEY (key, subsystem))",
        "CREATE TABLE {ks}.locks (key text PRIMARY KEY, owner text)",
        "CREATE TABLE {ks}.workspaces (id uuid PRIMARY KEY, name text, comment text, created_at timestamp, meta text, config text)",
    ] {
        keyspace.execute(statement, ()).await;
    }
    let insert = "INSERT INTO {ks}.schema_meta (key, subsystem, last_executed, executed) VALUES ('schema_meta', ?, ?, ?)";
    let query = "SELECT subsystem, last_executed, executed FROM schema_meta";
    for row in target.client.query(query, &[]).await.unwrap() {
        let (subsystem, last, executed): (String, String, Vec<String>) = (row.get(0), row.get(1), row.get(2));
        keyspace.execute(insert, (subsystem, last, executed)).await;
    }
    let insert = "INSERT INTO {ks}.workspaces (id, name) VALUES (?, 'default')";
    keyspace.execute(insert, (keyspace.default_workspace,)).await;
    keyspace
}

async fn session(server: &'static Cassandra) -> Arc<Session> {
    static SESSIONS: Once<Arc<Session>> = Once::new();
    let open = || async { Arc::new(estate::connect_cassandra(&server.address(), None).await.unwrap()) };
    SESSIONS.get(&server.address(), open).await.clone()
}

impl Keyspace {
    /// Its URL.
    pub fn url(&self) -> String {
        self.server.url(&self.name)
    }

    /// Runs a statement in which `{ks}` stands for the keyspace.
    #[track_caller]
    pub fn execute(
        &self,
        statement: &str,
        values: impl SerializeRow,
    ) -> impl Future<Output = Option<QueryRowsResult>> {
        let statement = statement.replace("{ks}", &self.name);
        async move {
            let result = self.session.query_unpaged(statement.as_str(), values).await;
            result.unwrap_or_else(|error| panic!("{statement}: {error}")).into_rows_result().ok()
        }
    }

    /// All rows a statement returns, under the names of their columns.
    pub async fn rows(&self, statement: &str) -> Vec<BTreeMap<String, Option<scylla::value::CqlValue>>> {
        let result = self.execute(statement, ()).await.expect("rows");
        let names: Vec<String> =
            result.column_specs().iter().map(|column| column.name().to_owned()).collect();
        result
            .rows::<Row>()
            .unwrap()
            .map(|row| names.iter().cloned().zip(row.unwrap().columns).collect())
            .collect()
    }

    /// Writes a row given as JSON; `ttl` in seconds.
    pub async fn insert(&self, table: &str, row: &serde_json::Value, ttl: Option<i32>) {
        let using = ttl.map_or_else(String::new, |ttl| format!(" USING TTL {ttl}"));
        self.execute(&format!("INSERT INTO {{ks}}.{table} JSON ?{using}"), (row.to_string(),)).await;
    }

    /// Makes the table of consumers in a bare keyspace, and this many of about 600 bytes each.
    pub async fn fill_consumers(&self, count: u32) {
        let table = "CREATE TABLE {ks}.consumers (id uuid PRIMARY KEY, created_at timestamp, username text, custom_id text,
                                                  tags set<text>, ws_id uuid)";
        self.execute(table, ()).await;
        let insert = format!("INSERT INTO {}.consumers (id, ws_id, username) VALUES (?, ?, ?)", self.name);
        let insert = self.session.prepare(insert).await.unwrap();
        for first in (0..count).step_by(100) {
            let inserts = (first..count.min(first + 100)).map(|number| {
                let id = Uuid::from_u128(u128::from(number) << 96 | 0x4000_8000_0000_0000_0000);
                let name = format!("{}:consumer-{number}-{}", self.default_workspace, "x".repeat(500));
                self.session.execute_unpaged(&insert, (id, self.default_workspace, name))
            });
            futures::future::try_join_all(inserts).await.unwrap();
        }
    }

    /// Drops it, where it is a test's own.
    pub async fn remove(self) {
        self.execute("DROP KEYSPACE {ks}", ()).await;
    }
}
