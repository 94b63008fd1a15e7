//! Reading and shaping into a null sink against the bare parallel scan, and the memory a run takes.
//!
//!     KONGFERRY_BENCH_CASSANDRA=host:port KONGFERRY_BENCH_POSTGRES=postgres://... cargo bench --bench pipeline
//!
//! The first run fills keyspace `kongferry_bench_pipeline` (`KONGFERRY_BENCH_CONSUMERS`, 100,000 unless told otherwise) and
//! `kongferry_bench_wide` (1,000 consumers, 200 certificates of 5 MB); both stay for the next run. The target needs a
//! database in which Kong's tables may be created in schemas of those names.
//!
//! The bare scan is the driver and nothing else: the same columns, as many token ranges in flight, pages of 5,000 rows, the
//! bytes dropped. Contenders take turns within a round; the first round only warms the server up; medians of the others count.

#![allow(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::ops::ControlFlow;
use std::process::{Command, ExitCode, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kongferry::engine::plan::{Plan, PlanOptions};
use kongferry::engine::preflight::Sides;
use kongferry::engine::scan::{ScanOptions, scan};
use kongferry::engine::workers::Stop;
use kongferry::estate::{self, CreateOptions, FillSpec, KongVersion};
use kongferry::policy::Policies;
use kongferry::report::progress::Observer;
use kongferry::schema_map::{Choice, MapSet};
use kongferry::source::cluster::{Cluster, ClusterConfig};
use kongferry::source::{Range, SelectItem};
use kongferry::target::{Target, TargetConfig};
use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use scylla::response::PagingState;
use scylla::statement::Statement;

const BIG: &str = "kongferry_bench_pipeline";
const WIDE: &str = "kongferry_bench_wide";
const ROUNDS: usize = 5;
/// Token ranges in flight, for both contenders.
const WORKERS: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    let (Ok(cassandra), Ok(postgres)) =
        (std::env::var("KONGFERRY_BENCH_CASSANDRA"), std::env::var("KONGFERRY_BENCH_POSTGRES"))
    else {
        println!("KONGFERRY_BENCH_CASSANDRA and KONGFERRY_BENCH_POSTGRES name no servers: nothing measured");
        return ExitCode::SUCCESS;
    };
    let consumers = std::env::var("KONGFERRY_BENCH_CONSUMERS").map_or(100_000, |text| text.parse().unwrap());
    let session =
        SessionBuilder::new().known_node(&cassandra).fetch_schema_metadata(false).build().await.unwrap();
    let narrow = FillSpec { consumers, seed: 1, ..FillSpec::default() };
    prepare(&session, &postgres, BIG, &narrow).await;
    let wide =
        FillSpec { consumers: 1_000, seed: 1, wide_rows: 200, wide_bytes: 5_000_000, ..FillSpec::default() };
    prepare(&session, &postgres, WIDE, &wide).await;

    let ratio = dry_run_against_bare_scan(&session, &cassandra, &postgres).await;
    for (keyspace, what) in [(BIG, format!("{consumers} consumers")), (WIDE, "200 rows of 5 MB".to_owned())] {
        let peak = peak_memory(&cassandra, &postgres, keyspace);
        println!("peak memory of migrate --dry-run, {what}: {} MB", peak / 1024);
    }
    println!("dry run against the bare scan: {ratio:.2} (wanted 0.9)");
    if ratio >= 0.9 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Creates keyspace, schema and estate unless an earlier run did.
async fn prepare(session: &Session, postgres: &str, keyspace: &str, spec: &FillSpec) {
    let client = estate::connect_postgres(postgres).await.unwrap();
    let known = format!("SELECT 1 FROM pg_namespace WHERE nspname = '{keyspace}'");
    if !client.query(&known, &[]).await.unwrap().is_empty() {
        return;
    }
    println!("filling {keyspace}");
    let options = CreateOptions { indexes: false, ..CreateOptions::default() };
    estate::create_cassandra(session, keyspace, KongVersion::V2_8, &options).await.unwrap();
    estate::fill(session, keyspace, spec).await.unwrap();
    client.batch_execute(&format!("CREATE SCHEMA {keyspace}")).await.unwrap();
    estate::create_postgres(&client, keyspace, KongVersion::V2_8).await.unwrap();
}

async fn dry_run_against_bare_scan(session: &Session, cassandra: &str, postgres: &str) -> f64 {
    let (host, port) = cassandra.rsplit_once(':').unwrap();
    let config = ClusterConfig {
        contact_points: vec![(host.to_owned(), port.parse().unwrap())],
        keyspace: BIG.to_owned(),
        ..ClusterConfig::default()
    };
    let mut target = TargetConfig::from_url(postgres).unwrap();
    target.schema = Some(BIG.to_owned());
    let target = Target::connect(&target).await.unwrap();
    let catalog = Arc::new(target.catalog().await.unwrap());
    let source = Arc::new(Cluster::connect(&config).await.unwrap());
    let sides = Sides { source: source.clone(), target, catalog };
    let (events, observer) = Observer::start(true);
    let choice = Choice {
        tables: vec!["consumers".to_owned()],
        skip_tables: vec!["workspaces".to_owned(), "parameters".to_owned()],
        ..Choice::default()
    };
    let maps = MapSet::built_in().unwrap();
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let options = PlanOptions {
            workers: WORKERS,
            memory_bytes: 128 << 20,
            shifted: false,
            keep_constraints: false,
            policies: Policies::default(),
            write_times: false,
        };
        let plan = sides.plan(&maps, &choice, options, &events).await.unwrap();
        let begun = Instant::now();
        let rows = bare_scan(session, &plan).await;
        let bare_rate = rate(rows, begun);
        let scanning = ScanOptions { workers: WORKERS, started: 0, list_rejects: 0 };
        let begun = Instant::now();
        let (harvest, _) = scan(sides.source.clone(), &plan, &scanning, &Stop::default(), &events).await;
        let read: u64 = harvest.totals.iter().map(|totals| totals.read).sum();
        let our_rate = rate(usize::try_from(read).unwrap(), begun);
        assert!(harvest.failures.is_empty() && read == u64::try_from(rows).unwrap());
        println!("round {round}: bare scan {bare_rate:.0} rows/s, read and shaped {our_rate:.0} rows/s");
        if round > 0 {
            bare.push(bare_rate);
            ours.push(our_rate);
        }
    }
    drop(events);
    observer.finish();
    median(ours) / median(bare)
}

/// Reads the plan's columns of `consumers` through the driver alone and drops the bytes.
async fn bare_scan(session: &Session, plan: &Plan) -> usize {
    let table = &plan.tables[0];
    let columns: Vec<String> = table
        .selection
        .items
        .iter()
        .map(|item| match item {
            SelectItem::Column(name) => format!("\"{name}\""),
            SelectItem::WriteTime(name) => format!("WRITETIME({name})"),
            SelectItem::Ttl(name) => format!("TTL(\"{name}\")"),
        })
        .collect();
    let cql =
        format!("SELECT {} FROM {BIG}.consumers WHERE token(id) > ? AND token(id) <= ?", columns.join(", "));
    let prepared = &session.prepare(Statement::new(cql).with_page_size(5_000)).await.unwrap();
    let ranges = table.splits.iter().map(|split| match split.range {
        Range::Tokens { after, upto } => (after.unwrap_or(i64::MIN), upto.unwrap_or(i64::MAX)),
        Range::Slice { .. } => panic!("consumers is read by token ranges"),
    });
    futures::stream::iter(ranges)
        .map(|bounds| async move {
            let (mut rows, mut state) = (0, PagingState::start());
            loop {
                let (page, next) = session.execute_single_page(prepared, bounds, state).await.unwrap();
                rows += page.into_rows_result().unwrap().rows_num();
                match next.into_paging_control_flow() {
                    ControlFlow::Break(()) => return rows,
                    ControlFlow::Continue(more) => state = more,
                }
            }
        })
        .buffer_unordered(WORKERS)
        .fold(0, |sum, rows| async move { sum + rows })
        .await
}

/// Peak resident memory of a dry run in a process of its own, in KiB.
fn peak_memory(cassandra: &str, postgres: &str, keyspace: &str) -> u64 {
    let separator = if postgres.contains('?') { '&' } else { '?' };
    let mut child = Command::new(env!("CARGO_BIN_EXE_kongferry"))
        .args(["migrate", "--dry-run", "--quiet"])
        .args(["--source", &format!("cassandra://{cassandra}/{keyspace}")])
        .args(["--target", &format!("{postgres}{separator}schema={keyspace}")])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok());
        peak = peak.max(kib.unwrap_or(0));
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(child.wait().unwrap().success(), "the dry run of {keyspace} failed");
    peak
}

fn rate(rows: usize, begun: Instant) -> f64 {
    f64::from(u32::try_from(rows).unwrap()) / begun.elapsed().as_secs_f64()
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}
