//! Shaping alone: pages of realistic rows in memory, tuples thrown away. Prints nanoseconds per row on one core, and those that
//! the digest of a row takes.
//!
//! `cargo bench --bench shape` runs five samples of about a second for each table and prints the median and the spread. Where
//! the system tells it, time is that spent on the processor, so that a busy machine does not count.

// A bench stops at the first surprise, and its counts are far below 2^52.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kongferry::canonical::{ContentSum, FormColumn, RowForm, Scratch};
use kongferry::schema_map::{Origin, Output, Production, TableMapping};
use kongferry::source::{CqlType, Page, SelectItem, Selection};
use kongferry::target::catalog::{PgKind, PgType};
use kongferry::transform::{RowShaper, Shaped, ShaperContext};
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use uuid::Uuid;

/// Rows of a page: about what a page of half a megabyte holds.
const ROWS: usize = 2_000;
const SAMPLES: usize = 5;
const SAMPLE: Duration = Duration::from_millis(800);

/// Budget for a row of `consumers`.
const CONSUMERS_BUDGET: f64 = 400.0;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let sample = if std::env::args().any(|argument| argument == "--bench") { SAMPLE } else { Duration::ZERO };
    println!(
        "{:<12} {:>9} {:>9} {:>9} {:>9} {:>8} {:>12} {:>10}",
        "table", "ns/row", "min", "max", "B in", "B out", "rows/s", "digest ns"
    );
    for table in [consumers(), keyauth_credentials(), routes(), plugins()] {
        let (min, median, max, bytes_out) = measure(&table, sample);
        let bytes_in = table.page.body.len() / table.page.rows;
        let rate = 1e9 / median;
        println!(
            "{:<12} {median:>9.1} {min:>9.1} {max:>9.1} {bytes_in:>9} {bytes_out:>8} {rate:>12.0} {:>10.1}",
            table.mapping.table,
            measure_digest(&table, sample)
        );
        if table.mapping.table == "consumers" && !sample.is_zero() {
            let verdict = if median <= CONSUMERS_BUDGET { "within" } else { "OVER" };
            println!("{:<12} {verdict} the budget of {CONSUMERS_BUDGET} ns", "");
        }
    }
}

/// Fastest, median and slowest nanoseconds per row, and bytes per tuple.
fn measure(table: &Bench, sample: Duration) -> (f64, f64, f64, usize) {
    let context =
        ShaperContext { default_workspace: Some(Uuid::nil()), active_keys: &[], ..ShaperContext::default() };
    let shaper = RowShaper::compile(&table.mapping, context).unwrap();
    let mut out = Shaped::default();
    shaper.shape(&table.page, &mut out).unwrap();
    assert_eq!(out.tuples.len(), table.page.rows, "{:?}", out.rejects);
    let mut samples: Vec<f64> = (0..=SAMPLES)
        .map(|_| {
            let (start, clock) = (Instant::now(), Clock::start());
            let mut rows = 0;
            loop {
                shaper.shape(black_box(&table.page), &mut out).unwrap();
                black_box(&out.copy);
                rows += table.page.rows;
                if start.elapsed() >= sample {
                    return clock.elapsed() / rows as f64;
                }
            }
        })
        .skip(1)
        .collect();
    samples.sort_by(f64::total_cmp);
    (samples[0], samples[SAMPLES / 2], samples[SAMPLES - 1], out.copy.len() / table.page.rows)
}

/// Median nanoseconds that the digest of a tuple takes.
fn measure_digest(table: &Bench, sample: Duration) -> f64 {
    let context =
        ShaperContext { default_workspace: Some(Uuid::nil()), active_keys: &[], ..ShaperContext::default() };
    let shaper = RowShaper::compile(&table.mapping, context).unwrap();
    let mut out = Shaped::default();
    shaper.shape(&table.page, &mut out).unwrap();
    let outputs = &table.mapping.outputs;
    let columns: Vec<_> = outputs
        .iter()
        .map(|output| FormColumn { name: &output.column, ty: &output.ty, collection: None })
        .collect();
    let form = RowForm::new(&table.mapping.table, &columns, None);
    let mut scratch = Scratch::default();
    let mut samples: Vec<f64> = (0..=SAMPLES)
        .map(|_| {
            let (start, clock) = (Instant::now(), Clock::start());
            let (mut rows, mut sum) = (0, ContentSum::default());
            loop {
                let mut at = 0;
                while let Ok(Some((row, length))) = form.digest(&out.copy[at..], &mut scratch) {
                    sum.add(row, 0);
                    at += length;
                    rows += 1;
                }
                assert_eq!(at, out.copy.len());
                black_box(&sum);
                if start.elapsed() >= sample {
                    return clock.elapsed() / f64::from(rows);
                }
            }
        })
        .skip(1)
        .collect();
    samples.sort_by(f64::total_cmp);
    samples[SAMPLES / 2]
}

/// Processor time of this thread, or the wall clock.
enum Clock {
    Processor(f64),
    Wall(Instant),
}

impl Clock {
    fn start() -> Self {
        processor_time().map_or_else(|| Self::Wall(Instant::now()), Self::Processor)
    }

    /// Nanoseconds since the start.
    fn elapsed(&self) -> f64 {
        match self {
            Self::Processor(start) => processor_time().unwrap() - start,
            Self::Wall(start) => start.elapsed().as_nanos() as f64,
        }
    }
}

/// Linux: the first number of schedstat is the nanoseconds this thread has run.
fn processor_time() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    text.split_whitespace().next()?.parse().ok()
}

/// A table with a page of rows.
struct Bench {
    mapping: TableMapping,
    page: Page,
}

/// Collects the columns of a table and the cells of its rows.
struct Builder {
    table: &'static str,
    columns: Vec<(&'static str, CqlType, Target)>,
}

/// Type and rule of the target column, if there is one.
type Target = Option<(PgType, Rule)>;

#[derive(Clone, Copy)]
enum Rule {
    Copy,
    Strip,
    WholeSeconds,
    Workspace,
    /// The item is the TTL of a column.
    Expires,
    CacheKey(&'static [Option<usize>]),
}

impl Builder {
    fn new(table: &'static str) -> Self {
        Self { table, columns: Vec::new() }
    }

    fn column(mut self, name: &'static str, ty: CqlType, target: PgType, rule: Rule) -> Self {
        self.columns.push((name, ty, Some((target, rule))));
        self
    }

    fn source_only(mut self, name: &'static str, ty: CqlType) -> Self {
        self.columns.push((name, ty, None));
        self
    }

    /// Builds a page; `row` pushes the cells of one row.
    fn rows(self, mut row: impl FnMut(&mut StdRng, &mut Cells)) -> Bench {
        let mut random = StdRng::seed_from_u64(7);
        let mut cells = Cells(Vec::new());
        for _ in 0..ROWS {
            row(&mut random, &mut cells);
        }
        let page = Page { rows: ROWS, body: Bytes::from(cells.0), read_at: 1_700_000_000 };
        Bench { mapping: self.mapping(), page }
    }

    fn mapping(self) -> TableMapping {
        let mut outputs = Vec::new();
        let mut constants = Vec::new();
        let mut items = Vec::new();
        for (item, (name, _, target)) in self.columns.iter().enumerate() {
            items.push(match target {
                Some((_, Rule::Expires)) => SelectItem::Ttl((*name).to_owned()),
                _ => SelectItem::Column((*name).to_owned()),
            });
            let Some((ty, rule)) = target else {
                constants.push((item, self.table.to_owned()));
                continue;
            };
            let from = match rule {
                Rule::Copy => Production::Copy { item },
                Rule::Strip => Production::StripWorkspace { item },
                Rule::WholeSeconds => Production::Timestamp { item, whole_seconds: true },
                Rule::Workspace => Production::Workspace { item },
                Rule::Expires => Production::ExpiresAt { of: item, others: vec![] },
                Rule::CacheKey(parts) => {
                    Production::CacheKey { item, head: self.table.to_owned(), parts: parts.to_vec() }
                }
            };
            outputs.push(Output { column: (*name).to_owned(), ty: ty.clone(), not_null: item == 0, from });
        }
        TableMapping {
            table: self.table.to_owned(),
            origin: Origin::BuiltIn,
            selection: Selection { table: self.table.to_owned(), items },
            types: self.columns.into_iter().map(|(_, ty, _)| ty).collect(),
            key: vec![0],
            required: vec![],
            constants,
            outputs,
            notes: Vec::new(),
            sequences: Vec::new(),
            secrets: Vec::new(),
            hash: 0,
        }
    }
}

/// The body of a page.
struct Cells(Vec<u8>);

impl Cells {
    fn null(&mut self) {
        self.0.extend_from_slice(&(-1_i32).to_be_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(&i32::try_from(bytes.len()).unwrap().to_be_bytes());
        self.0.extend_from_slice(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn id(&mut self, random: &mut StdRng) {
        self.bytes(&random.random::<[u8; 16]>());
    }

    fn millis(&mut self, random: &mut StdRng) {
        self.bytes(&(random.random_range(1_400_000_000..1_700_000_000_i64) * 1_000).to_be_bytes());
    }

    fn boolean(&mut self, value: bool) {
        self.bytes(&[u8::from(value)]);
    }

    fn texts(&mut self, texts: &[&str]) {
        let mut set = i32::try_from(texts.len()).unwrap().to_be_bytes().to_vec();
        for text in texts {
            set.extend_from_slice(&i32::try_from(text.len()).unwrap().to_be_bytes());
            set.extend_from_slice(text.as_bytes());
        }
        self.bytes(&set);
    }
}

fn pg(oid: u32, kind: PgKind, name: &str) -> PgType {
    PgType { oid, name: name.to_owned(), kind }
}

fn uuid() -> PgType {
    pg(2_950, PgKind::Uuid, "uuid")
}

fn text() -> PgType {
    pg(25, PgKind::Text, "text")
}

fn texts() -> PgType {
    pg(1_009, PgKind::Array(Box::new(text())), "text[]")
}

fn instant() -> PgType {
    pg(1_184, PgKind::Timestamptz, "timestamp with time zone")
}

fn jsonb() -> PgType {
    pg(3_802, PgKind::Jsonb, "jsonb")
}

fn boolean() -> PgType {
    pg(16, PgKind::Bool, "boolean")
}

fn set() -> CqlType {
    CqlType::Set(Box::new(CqlType::Text))
}

const WS: &str = "3ee332ee-02e9-4566-a322-92ed644cb41e";

fn consumers() -> Bench {
    let ws = Uuid::parse_str(WS).unwrap();
    Builder::new("consumers")
        .column("id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("created_at", CqlType::Timestamp, instant(), Rule::WholeSeconds)
        .column("updated_at", CqlType::Timestamp, instant(), Rule::Copy)
        .column("username", CqlType::Text, text(), Rule::Strip)
        .column("custom_id", CqlType::Text, text(), Rule::Strip)
        .column("tags", set(), texts(), Rule::Copy)
        .column("ws_id", CqlType::Uuid, uuid(), Rule::Workspace)
        .rows(|random, cells| {
            let number: u32 = random.random();
            cells.id(random);
            cells.millis(random);
            cells.millis(random);
            cells.text(&format!("{WS}:user-{number}@example.com"));
            cells.text(&format!("{WS}:crm-{number:010}"));
            if number.is_multiple_of(2) {
                cells.texts(&["gold", "region-eu"]);
            } else {
                cells.null();
            }
            cells.bytes(ws.as_bytes());
        })
}

fn keyauth_credentials() -> Bench {
    let ws = Uuid::parse_str(WS).unwrap();
    Builder::new("keyauth_credentials")
        .column("id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("created_at", CqlType::Timestamp, instant(), Rule::WholeSeconds)
        .column("consumer_id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("key", CqlType::Text, text(), Rule::Strip)
        .column("tags", set(), texts(), Rule::Copy)
        .column("ttl", CqlType::Int, instant(), Rule::Expires)
        .column("ws_id", CqlType::Uuid, uuid(), Rule::Workspace)
        .rows(|random, cells| {
            let secret: u128 = random.random();
            cells.id(random);
            cells.millis(random);
            cells.id(random);
            cells.text(&format!("{WS}:{secret:032x}"));
            cells.null();
            if secret.is_multiple_of(4) {
                cells.bytes(&86_400_i32.to_be_bytes());
            } else {
                cells.null();
            }
            cells.bytes(ws.as_bytes());
        })
}

fn routes() -> Bench {
    let ws = Uuid::parse_str(WS).unwrap();
    let bigint = || pg(20, PgKind::Int8, "bigint");
    let records = || pg(3_807, PgKind::Array(Box::new(jsonb())), "jsonb[]");
    let headers = CqlType::Map(Box::new(CqlType::Text), Box::new(set()));
    let list = || CqlType::List(Box::new(CqlType::Text));
    Builder::new("routes")
        .column("id", CqlType::Uuid, uuid(), Rule::Copy)
        .source_only("partition", CqlType::Text)
        .column("created_at", CqlType::Timestamp, instant(), Rule::WholeSeconds)
        .column("updated_at", CqlType::Timestamp, instant(), Rule::Copy)
        .column("name", CqlType::Text, text(), Rule::Strip)
        .column("service_id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("protocols", set(), texts(), Rule::Copy)
        .column("methods", set(), texts(), Rule::Copy)
        .column("hosts", list(), texts(), Rule::Copy)
        .column("paths", list(), texts(), Rule::Copy)
        .column("snis", set(), texts(), Rule::Copy)
        .column("sources", set(), records(), Rule::Copy)
        .column("destinations", set(), records(), Rule::Copy)
        .column("headers", headers, jsonb(), Rule::Copy)
        .column("regex_priority", CqlType::Int, bigint(), Rule::Copy)
        .column("strip_path", CqlType::Boolean, boolean(), Rule::Copy)
        .column("preserve_host", CqlType::Boolean, boolean(), Rule::Copy)
        .column("https_redirect_status_code", CqlType::Int, pg(23, PgKind::Int4, "integer"), Rule::Copy)
        .column("path_handling", CqlType::Text, text(), Rule::Copy)
        .column("tags", set(), texts(), Rule::Copy)
        .column("ws_id", CqlType::Uuid, uuid(), Rule::Workspace)
        .rows(|random, cells| {
            let number: u32 = random.random();
            cells.id(random);
            cells.text("routes");
            cells.millis(random);
            cells.millis(random);
            cells.text(&format!("{WS}:route-{number}"));
            cells.id(random);
            cells.texts(&["http", "https"]);
            cells.texts(&["GET", "POST"]);
            cells.texts(&["api.example.com"]);
            cells.texts(&[&format!("/v1/items/{number}"), "/v1/status"]);
            cells.null();
            if number.is_multiple_of(8) {
                cells.texts(&[r#"{"ip":"10.0.0.0/8","port":1234}"#]);
            } else {
                cells.null();
            }
            cells.null();
            if number.is_multiple_of(4) {
                let name = b"\0\0\0\x01\0\0\0\x09x-version\0\0\0\x10\0\0\0\x02\0\0\0\x02v1\0\0\0\x02v2";
                cells.bytes(name);
            } else {
                cells.null();
            }
            cells.bytes(&0_i32.to_be_bytes());
            cells.boolean(true);
            cells.boolean(false);
            cells.bytes(&426_i32.to_be_bytes());
            cells.text("v0");
            cells.null();
            cells.bytes(ws.as_bytes());
        })
}

fn plugins() -> Bench {
    const CONFIG: &str = r#"{"minute":60,"hour":null,"policy":"redis","limit_by":"header","header_name":"x-api-client","path":null,"fault_tolerant":true,"hide_client_headers":false,"redis_host":"redis.internal.example.com","redis_port":6379,"redis_password":null,"redis_timeout":2000,"redis_database":0,"redis_ssl":false,"redis_ssl_verify":false,"redis_server_name":null,"second":null,"day":100000,"month":null,"year":null,"extra":{"allow":["group-1","admins ünï"],"deny":null,"nested":{"a":[1,2.5,-3e2,"\u00e9\n"]}}}"#;
    let ws = Uuid::parse_str(WS).unwrap();
    Builder::new("plugins")
        .column("id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("created_at", CqlType::Timestamp, instant(), Rule::WholeSeconds)
        .column("name", CqlType::Text, text(), Rule::Copy)
        .column("route_id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("service_id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("consumer_id", CqlType::Uuid, uuid(), Rule::Copy)
        .column("config", CqlType::Text, jsonb(), Rule::Copy)
        .column("enabled", CqlType::Boolean, boolean(), Rule::Copy)
        .column(
            "cache_key",
            CqlType::Text,
            text(),
            Rule::CacheKey(&[Some(2), Some(3), Some(4), Some(5), None, Some(11)]),
        )
        .column("protocols", set(), texts(), Rule::Copy)
        .column("tags", set(), texts(), Rule::Copy)
        .column("ws_id", CqlType::Uuid, uuid(), Rule::Workspace)
        .rows(|random, cells| {
            let service: [u8; 16] = random.random();
            cells.id(random);
            cells.millis(random);
            cells.text("rate-limiting");
            cells.null();
            cells.bytes(&service);
            cells.null();
            cells.text(CONFIG);
            cells.boolean(true);
            cells.text(&format!("plugins:rate-limiting::{}:::{WS}", Uuid::from_bytes(service)));
            cells.texts(&["grpc", "grpcs", "http", "https"]);
            cells.null();
            cells.bytes(ws.as_bytes());
        })
}
