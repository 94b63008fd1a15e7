//! `kongferry verify`: do both sides hold the same?

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;

use super::args::{ConnectionArgs, ReadingArgs, TableArgs};
use super::{interrupt, sides};
use crate::engine::events::{Event, Events};
use crate::engine::plan::PlanOptions;
use crate::engine::preflight::Sides;
use crate::engine::scan::{ScanOptions, scan};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Lane, Ledger, Run, RunState, refuse_unfinished};
use crate::report::progress::Observer;
use crate::report::table::counted;
use crate::target::connections::free_connections;
use crate::verify::content::{CompareOptions, compare};
use crate::verify::{counts, findings};

/// Compare what both sides hold, row by row; changes nothing.
///
/// Both sides are read in full, the source with splits cut elsewhere than `migrate` cut them, so a split that was forgotten shows.
/// Rows that differ are named by table, key and column, never by value. Rows that expire meanwhile are no difference, nor are
/// those that the last run put into quarantine. It works against any target, also one that was changed since. Exit code 0: both
/// sides hold the same; 6: they do not.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Compare only numbers of rows, table by table.
    #[arg(long, conflicts_with_all = ["sample", "limit", "json", "expiry_tolerance"])]
    counts: bool,
    /// Compare only this share of the rows, picked by their keys: 0.1 is a tenth. Both sides are read all the same.
    #[arg(long, value_name = "FRACTION", default_value_t = 1.0, value_parser = share)]
    sample: f64,
    /// Rows that are listed of each table at most.
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Print the result as JSON (docs/verify-json.md describes it).
    #[arg(long)]
    json: bool,
    /// Seconds by which instants of expiry may differ: the source tells remaining lifetimes in whole seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u32).range(0..=3_600))]
    expiry_tolerance: u32,
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    tables: TableArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("a number above 0, at most 1".to_owned()),
    }
}

/// Runs it.
pub async fn run(args: VerifyArgs) -> Result<()> {
    if args.counts { compare_counts(args).await } else { compare_rows(args).await }
}

async fn compare_rows(args: VerifyArgs) -> Result<()> {
    let (maps, choice) = (args.tables.maps()?, args.tables.choice());
    let (events, observer) = Observer::start(args.reading.quiet);
    let stop = interrupt::watch();
    let outcome = async {
        let sides = sides::open(&args.connections, &args.reading, &events).await?;
        let LastRun { held, since } = last_run(&sides, &events).await?;
        let plan_options = PlanOptions { write_times: since.is_some(), ..args.reading.plan_options(true) };
        let plan = sides.plan(&maps, &choice, plan_options, &events).await?;
        events.stage(format!("Comparing {} tables", plan.tables.len()));
        let options = CompareOptions {
            workers: args.reading.workers(),
            streams: streams(&sides, args.reading.workers()).await?,
            tolerance: i64::from(args.expiry_tolerance),
            share: args.sample,
            since,
            held,
        };
        compare(&sides, &plan, &options, &stop, &events).await
    }
    .await;
    drop(events);
    observer.finish();
    let found = outcome?;
    if args.json {
        println!("{}", findings::json(&found, args.limit, args.sample)?);
        return findings::verdict(&found);
    }
    print!("{}", findings::render(&found, args.limit));
    findings::verdict(&found)?;
    if args.sample < 1.0 {
        println!("Both sides hold the same, as far as {} of the rows show it.", args.sample);
    } else {
        println!("Both sides hold the same.");
    }
    Ok(())
}

/// Parts of the target that can be read at the same time: each needs a connection, and one more holds the snapshot.
async fn streams(sides: &Sides, wanted: usize) -> Result<usize> {
    let client = sides.target.client().await.map_err(Error::before_writing)?;
    let free = free_connections(&client, sides.target.server().version_num).await?;
    // The asking one is open already.
    Ok(wanted.min(free.free).max(1))
}

/// What the ledger of the target says.
#[derive(Debug, Default)]
struct LastRun {
    /// Rows in quarantine, by table.
    held: BTreeMap<String, BTreeSet<String>>,
    /// When the copy began, in microseconds since 1970.
    since: Option<i64>,
}

/// What the last run on the target left.
///
/// # Errors
/// `Preflight` when it has not loaded everything yet.
async fn last_run(sides: &Sides, events: &Events) -> Result<LastRun> {
    let Some(run) = Run::newest(&sides.target).await.map_err(Error::before_writing)? else {
        return Ok(LastRun::default());
    };
    let ledger = Ledger::new(sides.target.clone(), run.id);
    if run.is_unfinished() {
        let open = ledger.open_tasks(Lane::Load).await? + ledger.open_tasks(Lane::Settle).await?;
        if open > 0 || !run.armed {
            return refuse_unfinished(&run).map(|()| LastRun::default());
        }
        events.notice(
            "the last run on this target loaded everything, but its proof did not hold or was not made",
        );
    }
    if run.state == RunState::Undone {
        return Ok(LastRun::default());
    }
    let held = ledger.held_keys().await?;
    Ok(LastRun { held, since: Some(run.terms.started.saturating_mul(1_000_000)) })
}

async fn compare_counts(args: VerifyArgs) -> Result<()> {
    let (maps, choice) = (args.tables.maps()?, args.tables.choice());
    let (events, observer) = Observer::start(args.reading.quiet);
    let stop = interrupt::watch();
    let outcome = async {
        let sides = sides::open(&args.connections, &args.reading, &events).await?;
        let plan = sides.plan(&maps, &choice, args.reading.plan_options(true), &events).await?;
        events.stage("Counting the source again, with splits cut elsewhere");
        let tables = &plan.tables;
        events
            .tell(Event::Tables(tables.iter().map(|table| (table.table.clone(), table.estimate)).collect()));
        let options =
            ScanOptions { workers: args.reading.workers(), started: crate::engine::now(), list_rejects: 0 };
        let (harvest, _, rejects) = scan(sides.source.clone(), &plan, &options, &stop, &events).await;
        if let Some(failure) = harvest.failures.into_iter().next() {
            return Err(failure);
        }
        let counted = counts::compare(&sides.target, &plan, &harvest.totals, false).await?;
        Ok((counted, rejects))
    }
    .await;
    drop(events);
    observer.finish();
    let (counts, rejects) = outcome?;
    print!("{}", counts::render(&counts));
    for line in counts::remarks(&counts) {
        println!("  {line}");
    }
    if rejects > 0 {
        return Err(Error::new(
            ErrorKind::Difference,
            format!("the source holds {} that cannot be loaded as they are", counted(rejects, "row")),
        )
        .remedy("`kongferry migrate --dry-run` lists them"));
    }
    counts::verdict(&counts)?;
    println!("The counts of both sides agree.");
    Ok(())
}
