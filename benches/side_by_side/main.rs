//! kongferry beside the bare scan and its peers, in one run; `./bench` starts the servers and calls this.
//!
//! The contenders take turns within a round, after whole scans that only warm the servers up; medians count. Contenders that
//! move rows are checked: the target has to hold as many of each table as the source.

#![allow(clippy::doc_markdown, reason = "the doc comments of arguments are help text")]

mod alone;
mod contender;
mod host;
mod peers;
mod place;
mod process;
mod report;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use contender::{Contender, Run, contenders};
use host::{Host, first_line};
use peers::{Cqlsh, Dsbulk};
use place::Place;
use report::{Figures, Report, Size};

/// A contender whose first run takes longer, in seconds, runs once.
const LONG: f64 = 120.0;

/// Compares kongferry with the bare scan and its peers on two running servers. See ./bench --help.
#[derive(Debug, Parser)]
struct Cli {
    /// Cassandra node, HOST:PORT.
    #[arg(long)]
    cassandra: Option<String>,
    /// A superuser's URL of PostgreSQL's maintenance database.
    #[arg(long)]
    postgres: Option<String>,
    /// Directory of the programs kongferry and kong-estate [default: those built along with this]
    #[arg(long)]
    programs: Option<PathBuf>,
    /// Directory that the script that started Cassandra was given, for snapshots.
    #[arg(long)]
    node: Option<PathBuf>,
    /// Sizes of the estate, smallest first.
    #[arg(long, value_delimiter = ',', default_value = "100000")]
    consumers: Vec<u64>,
    /// Runs of each contender that is not slow.
    #[arg(long, default_value_t = 3)]
    repeat: usize,
    /// Everything once, with the contents of what was loaded compared as well.
    #[arg(long)]
    smoke: bool,
    /// Directory for the results.
    #[arg(long, default_value = ".")]
    out: PathBuf,
    /// Directory for scratch files.
    #[arg(long, default_value = "scratch")]
    scratch: PathBuf,
    /// DSBulk's jars.
    #[arg(long, requires_all = ["java", "psql"])]
    dsbulk: Option<PathBuf>,
    /// Java, for DSBulk.
    #[arg(long)]
    java: Option<PathBuf>,
    /// psql, for what DSBulk unloads.
    #[arg(long)]
    psql: Option<PathBuf>,
    /// cqlsh.
    #[arg(long)]
    cqlsh: Option<PathBuf>,
    /// Date for the report.
    #[arg(long, default_value = "")]
    date: String,
    /// Commit for the report.
    #[arg(long, default_value = "")]
    commit: String,
    /// What cargo passes to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<ExitCode, String> {
    // `cargo bench` without arguments runs every benchmark; without servers there is nothing to measure.
    let (Some(cassandra), Some(postgres)) = (cli.cassandra.clone(), cli.postgres.clone()) else {
        println!("no servers are named; ./bench starts them and runs this");
        return Ok(ExitCode::SUCCESS);
    };
    fs::create_dir_all(&cli.out).map_err(|error| format!("cannot create {}: {error}", cli.out.display()))?;
    let absolute = |path: &PathBuf| std::path::absolute(path).map_err(|error| error.to_string());
    let built = PathBuf::from(env!("CARGO_BIN_EXE_kongferry"));
    let programs = cli.programs.clone().or_else(|| built.parent().map(PathBuf::from)).unwrap_or_default();
    let node = cli.node.as_ref().map(absolute).transpose()?;
    let place = Place::open(cassandra, postgres, absolute(&programs)?, absolute(&cli.scratch)?, node).await?;
    let host = Host::look(&place, cli.java.as_deref().and_then(|java| java.to_str()), peers(&cli)).await;
    let mut sizes = Vec::new();
    for consumers in &cli.consumers {
        let size = measure(&cli, &place, *consumers).await?;
        if cli.smoke && size.tables.get("consumers") != Some(consumers) {
            return Err(format!("the estate does not hold {consumers} consumers"));
        }
        sizes.push(size);
    }
    let report = Report::of(cli.date, cli.commit, host, sizes);
    let text = report.render();
    print!("{text}");
    let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
    for (name, text) in [("bench.json", json + "\n"), ("bench.txt", text)] {
        let path = cli.out.join(name);
        fs::write(&path, text).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    }
    Ok(if report.failed() { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The versions of the peers' programs.
fn peers(cli: &Cli) -> Vec<String> {
    let mut versions = Vec::new();
    if cli.dsbulk.is_some() {
        versions.push("DSBulk 1.10.0".to_owned());
        versions.extend(
            cli.psql.as_deref().and_then(|psql| psql.to_str()).map(|psql| first_line(psql, "--version")),
        );
    }
    versions.extend(
        cli.cqlsh.as_deref().and_then(|cqlsh| cqlsh.to_str()).map(|cqlsh| first_line(cqlsh, "--version")),
    );
    versions
}

/// Runs everyone over the estate of so many consumers.
async fn measure(cli: &Cli, place: &Place, consumers: u64) -> Result<Size, String> {
    eprintln!("estate of {consumers} consumers");
    place.estate(consumers).await?;
    let dsbulk = match (&cli.dsbulk, &cli.java, &cli.psql) {
        (Some(jars), Some(java), Some(psql)) => {
            Some(Dsbulk { jars: jars.clone(), java: java.clone(), psql: psql.clone() })
        }
        _ => None,
    };
    let all = contenders(place, dsbulk, cli.cqlsh.clone().map(Cqlsh));
    // The first scans after a start run at a quarter of the speed.
    let mut tables = BTreeMap::new();
    for _ in 0..if cli.smoke { 1 } else { 2 } {
        let (run, counts) = contender::scan(place, consumers)?;
        eprintln!("  warming up: {} rows in {:.1} s", run.rows, run.seconds);
        tables = counts;
    }
    let rounds = if cli.smoke { 1 } else { cli.repeat.max(1) };
    let mut runs: Vec<(Vec<Run>, Option<String>)> = all.iter().map(|_| (Vec::new(), None)).collect();
    for round in 1..=rounds {
        for (contender, (runs, failure)) in all.iter().zip(&mut runs) {
            let slow = runs.first().is_some_and(|run| run.seconds > LONG);
            if slow || failure.is_some() {
                continue;
            }
            match contender.run(place, consumers, &tables, cli.smoke).await {
                Ok(run) => {
                    eprintln!("  round {round}: {:<20} {:>7.1} s", contender.name, run.seconds);
                    runs.push(run);
                }
                Err(error) => {
                    eprintln!("  round {round}: {:<20} FAILED: {error}", contender.name);
                    *failure = Some(error);
                }
            }
        }
    }
    compare_contents(&all, &mut runs);
    let figures = all.iter().zip(runs);
    let figures = figures
        .map(|(contender, (runs, failure))| Figures::of(contender.name, contender.what, &runs, failure))
        .collect();
    Ok(Size::of(consumers, tables, figures))
}

/// Loads have to agree in what they wrote, where it was digested: each is held against the first.
fn compare_contents(all: &[Contender], runs: &mut [(Vec<Run>, Option<String>)]) {
    let mut first: Option<(&str, String)> = None;
    for (contender, (runs, failure)) in all.iter().zip(runs) {
        for content in runs.iter().filter_map(|run| run.content.as_ref()) {
            match &first {
                None => first = Some((contender.name, content.clone())),
                Some((name, other)) if other != content => {
                    *failure = Some(format!("it wrote something else than {name}"));
                }
                Some(_) => {}
            }
        }
    }
}
