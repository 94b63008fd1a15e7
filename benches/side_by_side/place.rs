//! The two servers: the estate on Cassandra, target databases on PostgreSQL, and what is asked of them between the runs.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use kongferry::estate;
use scylla::client::session::Session;
use tokio_postgres::Client;

use crate::process;

/// The tables that every contender moves, parents first.
pub const TABLES: [&str; 4] = ["workspaces", "consumers", "basicauth_credentials", "keyauth_credentials"];

/// A target as a fresh Gateway leaves it; every load gets a copy of its own.
const TEMPLATE: &str = "bench_template";

/// How long the compactions after a fill are waited for.
const COMPACTION: Duration = Duration::from_secs(900);

/// The servers, and where the programs and the scratch files are.
pub struct Place {
    /// Cassandra, `host:port`.
    pub cassandra: String,
    /// Maintenance database of PostgreSQL.
    pub postgres: String,
    /// Directory of kongferry and kong-estate.
    programs: PathBuf,
    /// Where the script that started Cassandra keeps it, for snapshots.
    node: Option<PathBuf>,
    /// Scratch files and the words of the programs.
    pub scratch: PathBuf,
    session: Session,
    client: Client,
}

impl Place {
    /// Connects, and makes the template of the target databases.
    pub async fn open(
        cassandra: String,
        postgres: String,
        programs: PathBuf,
        scratch: PathBuf,
        node: Option<PathBuf>,
    ) -> Result<Self, String> {
        let session = estate::connect_cassandra(&cassandra, None).await.map_err(|error| error.report())?;
        let client = estate::connect_postgres(&postgres).await.map_err(|error| error.report())?;
        std::fs::create_dir_all(&scratch)
            .map_err(|error| format!("cannot create {}: {error}", scratch.display()))?;
        let place = Self { cassandra, postgres, programs, node, scratch, session, client };
        if place
            .value(&format!("SELECT count(*)::text FROM pg_database WHERE datname = '{TEMPLATE}'"))
            .await?
            == "0"
        {
            place.execute(&format!("CREATE DATABASE {TEMPLATE}")).await?;
            let url = place.url_of(TEMPLATE);
            place.kong_estate(&["create", "--kong", "2.8", "--postgres", &url], "create-target")?;
        }
        Ok(place)
    }

    /// Name of the keyspace with that many consumers.
    pub fn keyspace(consumers: u64) -> String {
        format!("bench_{consumers}")
    }

    /// Creates and fills the estate unless an earlier run did, and waits until Cassandra has come to rest.
    pub async fn estate(&self, consumers: u64) -> Result<(), String> {
        let keyspace = Self::keyspace(consumers);
        let known = self
            .session
            .query_unpaged(
                "SELECT keyspace_name FROM system_schema.keyspaces WHERE keyspace_name = ?",
                (&keyspace,),
            )
            .await
            .map_err(|error| format!("cannot list the keyspaces: {error}"))?;
        if known.into_rows_result().is_ok_and(|rows| rows.rows_num() > 0) {
            eprintln!("keyspace {keyspace} is there already: its estate is used as it is");
        } else {
            let whole = ["--cassandra", &self.cassandra, "--keyspace", &keyspace];
            let create = [&["create", "--kong", "2.8", "--without-indexes"], &whole[..]].concat();
            self.kong_estate(&create, "create-source")?;
            let consumers = consumers.to_string();
            let fill = [&["fill", "--only-basic-auth", "--consumers", &consumers], &whole[..]].concat();
            self.kong_estate(&fill, "fill")?;
        }
        self.rest().await;
        if let Some(node) = &self.node {
            let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/cassandra");
            let mut command = Command::new(script);
            command.arg("tool").arg(node).args([
                "snapshot",
                "-t",
                &keyspace,
                &keyspace,
                "system",
                "system_schema",
            ]);
            process::run(&mut command, &self.scratch, "snapshot")?;
        }
        Ok(())
    }

    /// The snapshot of the estate as a source.
    pub fn snapshot(&self, consumers: u64) -> Option<String> {
        let data = self.node.as_ref()?.join("data/data");
        let keyspace = Self::keyspace(consumers);
        Some(format!("snapshot:{}?tag={keyspace}&keyspace={keyspace}", data.display()))
    }

    /// Waits until Cassandra compacts nothing any more. Before 4.0 it does not tell.
    async fn rest(&self) {
        let begun = Instant::now();
        while begun.elapsed() < COMPACTION {
            let tasks = self.session.query_unpaged("SELECT kind FROM system_views.sstable_tasks", ()).await;
            if !tasks.is_ok_and(|tasks| tasks.into_rows_result().is_ok_and(|rows| rows.rows_num() > 0)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        eprintln!("Cassandra still compacts after {} s; going on", COMPACTION.as_secs());
    }

    /// A fresh target database, with nothing of earlier runs left to write to disk.
    pub async fn target(&self, name: &str) -> Result<String, String> {
        self.drop_target(name).await?;
        self.execute(&format!("CREATE DATABASE {name} TEMPLATE {TEMPLATE}")).await?;
        self.execute("CHECKPOINT").await?;
        Ok(self.url_of(name))
    }

    /// Drops a target database.
    pub async fn drop_target(&self, name: &str) -> Result<(), String> {
        self.execute(&format!("DROP DATABASE IF EXISTS {name}")).await
    }

    /// Rows of the tables in the database of `url`.
    pub async fn counts(&self, url: &str) -> Result<BTreeMap<String, u64>, String> {
        let client = estate::connect_postgres(url).await.map_err(|error| error.report())?;
        let mut counts = BTreeMap::new();
        for table in TABLES {
            let count = first_value(&client, &format!("SELECT count(*)::text FROM {table}")).await?;
            counts.insert(table.to_owned(), count.parse().map_err(|_| format!("{table}: not a count"))?);
        }
        Ok(counts)
    }

    /// A digest of what the tables of the database of `url` hold, `tags` included: for expiry, whether there is any, since
    /// its instant depends on the second of the read.
    pub async fn content(&self, url: &str) -> Result<String, String> {
        let client = estate::connect_postgres(url).await.map_err(|error| error.report())?;
        first_value(&client, include_str!("content.sql")).await
    }

    /// What a query of the maintenance database answers, as text.
    pub async fn value(&self, sql: &str) -> Result<String, String> {
        first_value(&self.client, sql).await
    }

    /// A setting of the PostgreSQL server.
    pub async fn setting(&self, name: &str) -> String {
        self.value(&format!("SELECT current_setting('{name}', true)")).await.unwrap_or_default()
    }

    /// Release of the Cassandra node.
    pub async fn cassandra_release(&self) -> String {
        let answer = self.session.query_unpaged("SELECT release_version FROM system.local", ()).await;
        let release = answer.ok().and_then(|answer| answer.into_rows_result().ok());
        release
            .and_then(|rows| rows.first_row::<(String,)>().ok())
            .map_or_else(String::new, |(release,)| release)
    }

    async fn execute(&self, sql: &str) -> Result<(), String> {
        self.client.batch_execute(sql).await.map_err(|error| format!("{sql}: {error}"))
    }

    fn kong_estate(&self, arguments: &[&str], log: &str) -> Result<(), String> {
        let mut command = self.program("kong-estate");
        process::run(command.args(arguments), &self.scratch, log).map(drop)
    }

    /// A program of this project, to be run in the scratch directory.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.scratch);
        command
    }

    /// The URL of another database of the server.
    fn url_of(&self, database: &str) -> String {
        self.postgres.rsplit_once('/').map_or(String::new(), |(server, _)| format!("{server}/{database}"))
    }
}

async fn first_value(client: &Client, sql: &str) -> Result<String, String> {
    let row = client.query_one(sql, &[]).await.map_err(|error| format!("{sql}: {error}"))?;
    row.try_get::<_, Option<String>>(0)
        .map(Option::unwrap_or_default)
        .map_err(|error| format!("{sql}: {error}"))
}
