//! Snapshots of two nodes that do not hold the same: read together they are what the live nodes answer at ALL, and one alone is
//! known to lack rows.

use std::path::PathBuf;
use std::time::Duration;

use kongferry::source::cluster::{Cluster, ClusterConfig, Consistency};
use kongferry::source::snapshot::{NodeDirectory, Snapshot, SnapshotConfig, SnapshotPlace, Verdict};
use kongferry::source::{Cut, Source as _};
use scylla::client::execution_profile::ExecutionProfile;
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::Consistency as Level;
use tokio::sync::MutexGuard;

use crate::snapshot_source::content;
use crate::sstable::node::{directory, run, script, turn};

const LINE: &str = "4.1";

/// Two nodes, of which one may be away.
struct Pair {
    dirs: [PathBuf; 2],
    addresses: [String; 2],
    _turn: MutexGuard<'static, ()>,
}

impl Pair {
    async fn start() -> Self {
        let turn = turn().await;
        let dirs = ["pair-one", "pair-two"].map(directory);
        let mut pair = Self { dirs, addresses: [String::new(), String::new()], _turn: turn };
        for node in 0..2 {
            pair.up(node).await;
        }
        pair
    }

    /// Starts a node, also again, and waits until both know of each other.
    async fn up(&mut self, node: usize) {
        let mut start = script();
        let parent = std::process::id().to_string();
        start.args(["start", LINE]).arg(&self.dirs[node]).args(["--volatile", "--parent", &parent]);
        if node == 1 {
            start.arg("--beside").arg(&self.dirs[0]).arg("127.0.0.2");
        }
        self.addresses[node] = run(&mut start);
        while node == 1 || !self.addresses[1].is_empty() {
            let said = run(script().arg("tool").arg(&self.dirs[0]).arg("status"));
            if said.lines().filter(|line| line.starts_with("UN ")).count() == 2 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    fn down(&self, node: usize) {
        run(script().arg("stop").arg(&self.dirs[node]));
    }

    fn tool(&self, node: usize, arguments: &[&str]) {
        run(script().arg("tool").arg(&self.dirs[node]).args(arguments));
    }

    async fn session(&self, node: usize, level: Level) -> Session {
        let profile = ExecutionProfile::builder().consistency(level).build();
        SessionBuilder::new()
            .known_node(&self.addresses[node])
            .default_execution_profile_handle(profile.into_handle())
            .fetch_schema_metadata(false)
            .build()
            .await
            .unwrap()
    }

    fn data(&self, node: usize) -> NodeDirectory {
        NodeDirectory { name: Some(format!("n{}", node + 1)), path: self.dirs[node].join("data/data") }
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for dir in &self.dirs {
            let _ = script().arg("stop").arg(dir).arg("--now").output();
        }
    }
}

async fn cql(session: &Session, statement: &str) {
    if let Err(error) = session.query_unpaged(statement, ()).await {
        panic!("{statement}: {error}");
    }
}

/// Rows that the nodes have in common.
async fn write_both(session: &Session) {
    for (keyspace, factor) in [("alone", 1), ("twice", 2)] {
        cql(
            session,
            &format!(
                "CREATE KEYSPACE {keyspace} WITH replication = \
                 {{'class': 'SimpleStrategy', 'replication_factor': {factor}}}"
            ),
        )
        .await;
        cql(
            session,
            &format!(
                "CREATE TABLE {keyspace}.people (id uuid PRIMARY KEY, name text, tags set<text>, number int)"
            ),
        )
        .await;
        cql(
            session,
            &format!(
                "CREATE TABLE {keyspace}.things (partition text, id uuid, name text, more map<text, text>, \
                 PRIMARY KEY (partition, id))"
            ),
        )
        .await;
        for n in 0..120 {
            let id = id(n);
            cql(
                session,
                &format!(
                    "INSERT INTO {keyspace}.people (id, name, tags, number) VALUES ({id}, 'old {n}', {{'a', 'b'}}, {n})"
                ),
            )
            .await;
            cql(
                session,
                &format!(
                    "INSERT INTO {keyspace}.things (partition, id, name, more) VALUES ('p{}', {id}, 'old', {{'k': 'v'}})",
                    n % 5
                ),
            )
            .await;
        }
    }
}

/// Changes that only one of the nodes hears of: those of node 0 are other ones than those of node 1.
async fn write_one(session: &Session, node: usize) {
    for n in (0..120).filter(|n| n % 2 == node) {
        let id = id(n);
        let statement = match n / 2 % 6 {
            0 => format!("DELETE FROM twice.people WHERE id = {id}"),
            1 => format!("UPDATE twice.people SET name = 'new', tags = tags - {{'a'}} WHERE id = {id}"),
            2 => format!("UPDATE twice.people USING TTL 100000 SET number = -1 WHERE id = {id}"),
            3 => format!("DELETE FROM twice.things WHERE partition = 'p{}' AND id = {id}", n % 5),
            4 => format!(
                "UPDATE twice.things SET more['k2'] = 'w' WHERE partition = 'p{}' AND id = {id}",
                n % 5
            ),
            _ => format!("INSERT INTO twice.people (id, name) VALUES ({}, 'only here')", self::id(n + 1000)),
        };
        cql(session, &statement).await;
    }
    let deleted = format!("DELETE FROM twice.things WHERE partition = 'p{node}' AND id < {}", id(60));
    cql(session, &deleted).await;
}

fn id(n: usize) -> uuid::Uuid {
    uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, n.to_string().as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn diverged_nodes_together_are_what_a_read_at_all_gives() {
    let mut pair = Pair::start().await;
    write_both(&pair.session(0, Level::All).await).await;
    for node in 0..2 {
        pair.down(1 - node);
        write_one(&pair.session(node, Level::One).await, node).await;
        pair.up(1 - node).await;
    }
    for node in 0..2 {
        pair.tool(node, &["snapshot", "-t", "diverged"]);
    }
    for keyspace in ["alone", "twice"] {
        let open = |nodes: Vec<NodeDirectory>| {
            let place = SnapshotPlace { nodes, tag: Some("diverged".into()) };
            Snapshot::open(SnapshotConfig { place, keyspace: keyspace.into(), as_of: None })
        };
        let both = open(vec![pair.data(0), pair.data(1)]).await.unwrap();
        assert_eq!(both.completeness().verdict, Verdict::Complete, "{:?}", both.completeness());
        assert!(both.completeness().finding.contains("all 2 nodes"), "{:?}", both.completeness());
        let mut ones = Vec::new();
        for node in 0..2 {
            let one = open(vec![pair.data(node)]).await.unwrap();
            let said = one.completeness();
            assert_eq!(said.verdict, Verdict::Incomplete, "{said:?}");
            let expected = match keyspace {
                "alone" => "% of the ring is on none of them",
                _ => {
                    "1 of 2 nodes of cluster kongferry-tests: with replication factor 2 and writes at ONE, rows can be missing"
                }
            };
            assert!(said.finding.contains(expected), "{said:?}");
            assert!(said.remedy.contains(["127.0.0.2", "127.0.0.1"][node]), "{said:?}");
            ones.push(one);
        }
        // Reading at ALL repairs the nodes, which is why the snapshots are taken before.
        let (host, port) = pair.addresses[0].rsplit_once(':').unwrap();
        let config = ClusterConfig {
            contact_points: vec![(host.to_owned(), port.parse().unwrap())],
            keyspace: keyspace.into(),
            consistency: Consistency::All,
            ..ClusterConfig::default()
        };
        let cluster = Cluster::connect(&config).await.unwrap();
        for (name, table) in &cluster.catalog().tables {
            let cut = Cut { parts: 3, shifted: false };
            let expected = content(&cluster, table, cut).await;
            assert!(expected.len() > 60, "{keyspace}.{name}: {} rows", expected.len());
            let found = content(&both, table, cut).await;
            assert!(
                found.keys().eq(expected.keys()),
                "{keyspace}.{name}: {} rows, not {}",
                found.len(),
                expected.len()
            );
            for (key, values) in &expected {
                for ((value, expires), (found, found_expires)) in values.iter().zip(&found[key]) {
                    assert_eq!(value, found, "{keyspace}.{name}");
                    let apart = expires.zip(*found_expires).map(|(a, b)| (a - b).abs());
                    assert!(expires.is_some() == found_expires.is_some() && apart.is_none_or(|s| s <= 1));
                }
            }
            for one in &ones {
                assert!(
                    content(one, table, cut).await != found,
                    "{keyspace}.{name}: one node has everything"
                );
            }
        }
    }
}
