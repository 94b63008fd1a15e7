//! How fast the source reads, on a running Cassandra: one partition read whole against slices of it, and a table by one token
//! range against many.
//!
//! `KONGFERRY_BENCH_CASSANDRA=host:port cargo bench --bench scan` fills keyspace `kongferry_bench_scan` on the first run (60,000
//! routes, 200,000 consumers) and reads it; the keyspace stays for the next run. Contenders take turns within a round, the first
//! round only warms the server up, and the medians of the others count. The exit code is 1 when 8 slices, 4 in
//! flight, bring less than `KONGFERRY_BENCH_SLICES` (1.6) times the single read. Needs a quiet machine: the ratio is that of the
//! cores the server gets.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use kongferry::source::cluster::{Cluster, ClusterConfig};
use kongferry::source::{Cut, PageSizing, Range, SelectItem, Selection, Source, Split, Table};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::serialize::row::SerializeRow;
use uuid::Uuid;

const KEYSPACE: &str = "kongferry_bench_scan";
const ROUTES: usize = 60_000;
const CONSUMERS: usize = 200_000;
const ROUNDS: usize = 5;
/// Pages of this size are within 10 % of the best that the driver was seen to do.
const PAGE_BYTES: usize = 1 << 20;

#[tokio::main]
async fn main() -> ExitCode {
    // `cargo test --benches` runs every benchmark with this argument; without a server there is nothing to measure.
    let Ok(server) = std::env::var("KONGFERRY_BENCH_CASSANDRA") else {
        println!("KONGFERRY_BENCH_CASSANDRA names no server (host:port): nothing measured");
        return ExitCode::SUCCESS;
    };
    fill(&server).await;
    let (host, port) = server.rsplit_once(':').unwrap();
    let config = ClusterConfig {
        contact_points: vec![(host.to_owned(), port.parse().unwrap())],
        keyspace: KEYSPACE.to_owned(),
        ..ClusterConfig::default()
    };
    let cluster = Arc::new(Cluster::connect(&config).await.unwrap());
    println!("Cassandra {}, medians of {ROUNDS} rounds", cluster.catalog().release_version);

    let routes = &cluster.catalog().tables["routes"];
    let whole = Range::Slice { partition: "routes".to_owned(), after: None, upto: None };
    let ratio = compare(&cluster, routes, ROUTES, whole, &[(8, 4), (8, 2), (16, 4)]).await;
    let consumers = &cluster.catalog().tables["consumers"];
    let whole = Range::Tokens { after: None, upto: None };
    compare(&cluster, consumers, CONSUMERS, whole, &[(32, 4), (16, 2), (32, 8)]).await;

    let wanted: f64 = std::env::var("KONGFERRY_BENCH_SLICES").map_or(1.6, |text| text.parse().unwrap());
    println!("slices against the single read: {ratio:.2} (wanted {wanted})");
    if ratio >= wanted { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reads `table` whole and by `ways` (parts, of which so many in flight), prints rows/s, and gives the ratio of the first way,
/// which is the one that counts: the best of several noisy ones would flatter.
async fn compare(
    cluster: &Arc<Cluster>,
    table: &Table,
    rows: usize,
    whole: Range,
    ways: &[(usize, usize)],
) -> f64 {
    let single =
        Split { table: table.name.clone(), index: 0, range: whole, replicas: Vec::new(), share: 1.0 };
    let mut contenders = vec![("read whole".to_owned(), vec![single], 1)];
    for (parts, in_flight) in ways {
        let splits = cluster.splits(table, Cut { parts: *parts, shifted: false }).await.unwrap();
        contenders.push((format!("{parts} splits, {in_flight} in flight"), splits, *in_flight));
    }
    let mut seconds = vec![Vec::new(); contenders.len()];
    for round in 0..=ROUNDS {
        for (place, (_, splits, in_flight)) in contenders.iter().enumerate() {
            let started = Instant::now();
            let read = scan(cluster, table, splits, *in_flight).await;
            assert_eq!(read, rows, "{}", table.name);
            if round > 0 {
                seconds[place].push(started.elapsed().as_secs_f64());
            }
        }
    }
    let median = |seconds: &[f64]| {
        let mut seconds = seconds.to_vec();
        seconds.sort_by(f64::total_cmp);
        seconds[seconds.len() / 2]
    };
    let base = median(&seconds[0]);
    for ((name, ..), seconds) in contenders.iter().zip(&seconds) {
        let ratio = base / median(seconds);
        let speed = f64::from(u32::try_from(rows).unwrap()) / median(seconds);
        println!("{:<10} {name:<24} {speed:>9.0} rows/s  {ratio:.2}", table.name);
    }
    base / median(&seconds[1])
}

/// Reads all columns of `splits`, and counts the rows.
async fn scan(cluster: &Arc<Cluster>, table: &Table, splits: &[Split], in_flight: usize) -> usize {
    let items = table.columns.iter().map(|column| SelectItem::Column(column.name.clone())).collect();
    let selection = Arc::new(Selection { table: table.name.clone(), items });
    let sizing = Arc::new(PageSizing::new(PAGE_BYTES));
    futures::stream::iter(splits.to_vec())
        .map(|split| {
            let (cluster, selection, sizing) =
                (Arc::clone(cluster), Arc::clone(&selection), Arc::clone(&sizing));
            let read = async move {
                let mut pages = cluster.open(selection, &split, sizing).await.unwrap();
                let mut rows = 0;
                while let Some(page) = pages.next().await.unwrap() {
                    rows += page.rows;
                }
                rows
            };
            async { tokio::spawn(read).await.unwrap() }
        })
        .buffer_unordered(in_flight)
        .fold(0, |sum, rows| async move { sum + rows })
        .await
}

/// Creates and fills the keyspace unless an earlier run has.
async fn fill(server: &str) {
    let session =
        SessionBuilder::new().known_node(server).fetch_schema_metadata(false).build().await.unwrap();
    let run = async |cql: &str| session.query_unpaged(cql, ()).await.unwrap();
    let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
    run(&format!("CREATE KEYSPACE IF NOT EXISTS {KEYSPACE} WITH replication = {replication}")).await;
    session.use_keyspace(KEYSPACE, true).await.unwrap();
    run("CREATE TABLE IF NOT EXISTS filled (what text PRIMARY KEY)").await;
    let filled = run("SELECT what FROM filled").await.into_rows_result().unwrap().rows_num();
    if filled > 0 {
        return;
    }
    println!("filling keyspace {KEYSPACE}: {ROUTES} routes, {CONSUMERS} consumers");
    run("CREATE TABLE IF NOT EXISTS routes (partition text, id uuid, created_at timestamp, updated_at timestamp, \
         destinations set<text>, headers map<text, frozen<set<text>>>, hosts list<text>, https_redirect_status_code int, \
         methods set<text>, name text, path_handling text, paths list<text>, preserve_host boolean, protocols set<text>, \
         regex_priority int, request_buffering boolean, response_buffering boolean, service_id uuid, snis set<text>, \
         sources set<text>, strip_path boolean, tags set<text>, ws_id uuid, PRIMARY KEY (partition, id))")
    .await;
    run("CREATE TABLE IF NOT EXISTS consumers (id uuid PRIMARY KEY, created_at timestamp, custom_id text, \
         tags set<text>, username text, ws_id uuid)")
    .await;
    let workspace = Uuid::new_v4();
    let route = |n: usize| {
        let paths = vec![format!("/api/v1/{n}"), format!("/api/v2/{n}")];
        let hosts = vec![format!("host-{n}.example.com")];
        let name = format!("{workspace}:route-{n}");
        (
            "routes",
            Uuid::new_v4(),
            name,
            hosts,
            paths,
            vec!["GET", "POST"],
            vec!["http", "https"],
            Uuid::new_v4(),
            workspace,
        )
    };
    let insert = "INSERT INTO routes (partition, id, name, hosts, paths, methods, protocols, service_id, ws_id, created_at, \
                  updated_at, https_redirect_status_code, path_handling, preserve_host, regex_priority, request_buffering, \
                  response_buffering, strip_path) \
                  VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1600000000000, 1600000000000, 426, 'v0', false, 0, true, true, true)";
    write(&session, insert, (0..ROUTES).map(route)).await;
    let consumer = |n: usize| {
        let (name, other) = (format!("{workspace}:user-{n}"), format!("{workspace}:custom-{n}"));
        (Uuid::new_v4(), name, other, vec![format!("team-{}", n % 50)], workspace)
    };
    let insert = "INSERT INTO consumers (id, username, custom_id, tags, ws_id, created_at) VALUES (?, ?, ?, ?, ?, 1600000000000)";
    write(&session, insert, (0..CONSUMERS).map(consumer)).await;
    run("INSERT INTO filled (what) VALUES ('all')").await;
}

async fn write(session: &Session, cql: &str, rows: impl Iterator<Item = impl SerializeRow>) {
    let statement = &session.prepare(cql).await.unwrap();
    futures::stream::iter(rows)
        .for_each_concurrent(128, |row| async move {
            session.execute_unpaged(statement, row).await.unwrap();
        })
        .await;
}
