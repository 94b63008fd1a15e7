//! The contenders: what each of them does once, and how it is seen that it lost nothing.

use std::collections::BTreeMap;

use crate::alone;
use crate::peers::{self, Cqlsh, Dsbulk};
use crate::place::{Place, TABLES};
use crate::process::{self, Ended};

/// Name of the bare parallel scan in the results.
pub const SCAN: &str = "bare parallel scan";
/// Name of a migration with the defaults.
pub const MIGRATE: &str = "migrate";
/// Name of a migration into armed tables.
pub const ARMED: &str = "migrate, armed";
/// Name of a dry run.
pub const DRY_RUN: &str = "migrate --dry-run";
/// Name of a dry run from a snapshot.
pub const SNAPSHOT_DRY_RUN: &str = "snapshot --dry-run";
/// Name of the same on one core.
pub const SNAPSHOT_ONE_CORE: &str = "snapshot --dry-run, 1 core";
/// Name of a migration from a snapshot.
pub const SNAPSHOT: &str = "migrate a snapshot";
/// Name of the load of prepared files.
pub const ALONE: &str = "PostgreSQL alone";
/// Name of the way of DSBulk and psql.
pub const DSBULK: &str = "DSBulk and psql";
/// Name of cqlsh's export.
pub const CQLSH: &str = "cqlsh COPY TO";

/// A contender.
pub struct Contender {
    /// Its name in the results.
    pub name: &'static str,
    /// What it does, in a few words.
    pub what: &'static str,
    way: Way,
}

enum Way {
    Scan,
    /// `kongferry migrate` with these options.
    Migrate(&'static [&'static str]),
    DryRun,
    /// A dry run from a snapshot, by this program where it is not to have all cores.
    SnapshotDryRun(Option<[&'static str; 3]>),
    Snapshot,
    Alone,
    Dsbulk(Dsbulk),
    Cqlsh(Cqlsh),
}

/// What came of one run.
pub struct Run {
    /// Wall time.
    pub seconds: f64,
    /// Rows read or moved.
    pub rows: u64,
    /// Most resident memory in bytes, of the step that needed most.
    pub peak_memory: u64,
    /// Seconds of the steps, where there are several.
    pub steps: Vec<(String, f64)>,
    /// Seconds of its end in which the target was read back and compared.
    pub proof: Option<f64>,
    /// Digest of what a load wrote, where it was asked for.
    pub content: Option<String>,
}

impl Run {
    /// A run of one step.
    pub fn of(ended: &Ended, rows: u64) -> Self {
        Self {
            seconds: ended.seconds,
            rows,
            peak_memory: ended.peak_memory,
            steps: Vec::new(),
            proof: None,
            content: None,
        }
    }
}

/// The contenders of this machine: those of kongferry always, the peers where they were given.
pub fn contenders(place: &Place, dsbulk: Option<Dsbulk>, cqlsh: Option<Cqlsh>) -> Vec<Contender> {
    let plain = |name, what, way| Contender { name, what, way };
    let mut all = vec![
        plain(SCAN, "the driver alone, pages dropped", Way::Scan),
        plain(DRY_RUN, "reads and shapes, writes nothing", Way::DryRun),
    ];
    if disarms(place) {
        let what = "disarms, loads, settles, counts both sides";
        all.push(plain(MIGRATE, what, Way::Migrate(&[])));
        let what = "--keep-constraints: loads in dependency order, counts both sides";
        all.push(plain(ARMED, what, Way::Migrate(&["--keep-constraints"])));
    } else {
        all.push(plain(ARMED, "loads in dependency order, counts both sides", Way::Migrate(&[])));
    }
    if place.snapshot(0).is_some() {
        let what = "the same from the files of a snapshot";
        all.push(plain(SNAPSHOT_DRY_RUN, what, Way::SnapshotDryRun(None)));
        let what = "the same, held to one core";
        all.push(plain(SNAPSHOT_ONE_CORE, what, Way::SnapshotDryRun(Some(["taskset", "-c", "0"]))));
        all.push(plain(SNAPSHOT, "migrate from the files of a snapshot", Way::Snapshot));
        all.push(plain(ALONE, "COPY of prepared binary files into bare tables, the same settle", Way::Alone));
    }
    all.extend(dsbulk.map(|dsbulk| {
        let what = "unload to CSV, \\copy into staging tables, SQL into armed tables";
        plain(DSBULK, what, Way::Dsbulk(dsbulk))
    }));
    all.extend(cqlsh.map(|cqlsh| plain(CQLSH, "CSV files, nothing loaded", Way::Cqlsh(cqlsh))));
    all
}

/// Whether this kongferry disarms tables for a load unless told otherwise.
fn disarms(place: &Place) -> bool {
    let help = place.program("kongferry").args(["migrate", "--help"]).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--keep-constraints"))
}

impl Contender {
    /// Runs once over the estate of so many consumers. `expected`, the rows by table, is what a load has to bring; with
    /// `digest` the content it wrote is digested as well.
    pub async fn run(
        &self,
        place: &Place,
        consumers: u64,
        expected: &BTreeMap<String, u64>,
        digest: bool,
    ) -> Result<Run, String> {
        let rows: u64 = expected.values().sum();
        match &self.way {
            Way::Scan => {
                let (run, counts) = scan(place, consumers)?;
                same(&counts, expected)?;
                Ok(run)
            }
            Way::DryRun => {
                let target = place.target("bench_dry_run").await?;
                let source = cluster(place, consumers);
                let ended = migrate(place, None, &source, &target, &["--dry-run"], "dry-run")?;
                place.drop_target("bench_dry_run").await?;
                reads(&ended.stdout, expected)?;
                Ok(Run::of(&ended, rows))
            }
            Way::Migrate(options) => {
                let target = place.target("bench_migrate").await?;
                let source = cluster(place, consumers);
                let ended = migrate(place, None, &source, &target, options, "migrate")?;
                let mut run = Run::of(&ended, rows);
                run.proof = Some(proof(&ended.stdout)?);
                loaded(place, "bench_migrate", run, &target, expected, digest).await
            }
            Way::SnapshotDryRun(by) => {
                let target = place.target("bench_dry_run").await?;
                let source = snapshot(place, consumers)?;
                let ended = migrate(place, *by, &source, &target, &["--dry-run"], "snapshot-dry-run")?;
                place.drop_target("bench_dry_run").await?;
                reads(&ended.stdout, expected)?;
                Ok(Run::of(&ended, rows))
            }
            Way::Snapshot => {
                let target = place.target("bench_snapshot").await?;
                let source = snapshot(place, consumers)?;
                let ended = migrate(place, None, &source, &target, &[], "snapshot")?;
                alone::prepare(place, consumers, &target).await?;
                loaded(place, "bench_snapshot", Run::of(&ended, rows), &target, expected, digest).await
            }
            Way::Alone => {
                let target = place.target("bench_alone").await?;
                let run = alone::run(place, consumers, &target, rows).await?;
                loaded(place, "bench_alone", run, &target, expected, digest).await
            }
            Way::Dsbulk(dsbulk) => {
                let target = place.target("bench_dsbulk").await?;
                let run = peers::dsbulk(place, dsbulk, consumers, &target, rows)?;
                loaded(place, "bench_dsbulk", run, &target, expected, digest).await
            }
            Way::Cqlsh(cqlsh) => peers::cqlsh(place, cqlsh, consumers, rows),
        }
    }
}

/// Runs the bare scan once; also the rows of each table, by which the others are judged.
pub fn scan(place: &Place, consumers: u64) -> Result<(Run, BTreeMap<String, u64>), String> {
    let mut command = place.program("kong-estate");
    command.args(["scan", "--json", "--cassandra", &place.cassandra]);
    command.args(["--keyspace", &Place::keyspace(consumers), "--tables", &TABLES.join(",")]);
    let ended = process::run(&mut command, &place.scratch, "scan")?;
    let said: serde_json::Value = serde_json::from_str(&ended.stdout)
        .map_err(|error| format!("the scan's words are no JSON: {error}"))?;
    let counts: BTreeMap<String, u64> = serde_json::from_value(said["tables"].clone())
        .map_err(|error| format!("the scan names no tables: {error}"))?;
    let rows = counts.values().sum();
    Ok((Run::of(&ended, rows), counts))
}

/// How long a migration says that reading the target back took.
fn proof(said: &str) -> Result<f64, String> {
    let found = said.split_once("(read back in ").and_then(|(_, rest)| rest.split_once(" s)"));
    found.and_then(|(seconds, _)| seconds.parse().ok()).ok_or_else(|| "migrate tells of no proof".to_owned())
}

fn cluster(place: &Place, consumers: u64) -> String {
    format!("cassandra://{}/{}", place.cassandra, Place::keyspace(consumers))
}

fn snapshot(place: &Place, consumers: u64) -> Result<String, String> {
    place.snapshot(consumers).ok_or_else(|| "there is no snapshot".to_owned())
}

fn migrate(
    place: &Place,
    by: Option<[&str; 3]>,
    source: &str,
    target: &str,
    options: &[&str],
    log: &str,
) -> Result<Ended, String> {
    let mut command = place.program("kongferry");
    if let Some([program, arguments @ ..]) = by {
        let kongferry = command.get_program().to_owned();
        command = std::process::Command::new(program);
        command.args(arguments).arg(kongferry).current_dir(&place.scratch);
    }
    command.args(["migrate", "--quiet"]).args(options);
    command.args(["--tables", &TABLES.join(",")]);
    command.args(["--source", source, "--target", target]);
    process::run(&mut command, &place.scratch, log)
}

/// Looks at what a load wrote, and drops the database.
async fn loaded(
    place: &Place,
    database: &str,
    mut run: Run,
    target: &str,
    expected: &BTreeMap<String, u64>,
    digest: bool,
) -> Result<Run, String> {
    let counts = place.counts(target).await?;
    if digest {
        run.content = Some(place.content(target).await?);
    }
    place.drop_target(database).await?;
    same(&counts, expected)?;
    Ok(run)
}

/// Fails, naming the table, unless the counts are those of the source.
fn same(counts: &BTreeMap<String, u64>, expected: &BTreeMap<String, u64>) -> Result<(), String> {
    for (table, rows) in expected {
        let found = counts.get(table).copied().unwrap_or(0);
        if found != *rows {
            return Err(format!("{table}: {found} rows instead of {rows}"));
        }
    }
    Ok(())
}

/// Fails unless the table of a dry run says that every row was read: a line per table, the rows read first.
fn reads(said: &str, expected: &BTreeMap<String, u64>) -> Result<(), String> {
    let counts = said
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            let (table, rows) = (words.next()?, words.next()?);
            Some((table.to_owned(), rows.replace(',', "").parse().ok()?))
        })
        .collect();
    same(&counts, expected)
}
