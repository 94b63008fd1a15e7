//! `kongferry verify`: do both sides hold the same?

use std::collections::BTreeMap;

use clap::Args;

use super::args::{ConnectionArgs, ReadingArgs, TableArgs};
use super::{interrupt, sides};
use crate::engine::events::{Event, Events};
use crate::engine::plan::PlanOptions;
use crate::engine::preflight::Sides;
use crate::engine::scan::{ScanOptions, scan};
use crate::engine::totals::TableTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Lane, Ledger, Run, RunState, refuse_unfinished};
use crate::report::progress::Observer;
use crate::report::table::counted;
use crate::target::connections::free_connections;
use crate::verify::content::{CompareOptions, compare};
use crate::verify::counts::{self, Basis};
use crate::verify::findings;

/// Compare what both sides hold, row by row; changes nothing.
///
/// Both sides are read in full, the source with splits cut elsewhere than `migrate` cut them, so a split that was forgotten shows.
/// Rows that differ are named by table, key and column, never by value. Rows that expire meanwhile are no difference, nor are
/// those that the last run put into quarantine. It works against any target, also one that was changed since. Exit code 0: both
/// sides hold the same; 6: they do not; 5: they do but for rows in quarantine.
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
        let run = last_run(&sides, &events).await?;
        let since = run.as_ref().map(|run| run.terms.started.saturating_mul(1_000_000));
        let options = PlanOptions { write_times: since.is_some(), ..plan_options(&args, run.as_ref()) };
        let plan = sides.plan(&maps, &choice, options, &events).await?;
        let (held, repaired) = match &run {
            Some(run) => {
                let ledger = Ledger::new(sides.target.clone(), run.id);
                (ledger.held_keys().await?, ledger.repaired_keys().await?)
            }
            None => (BTreeMap::new(), BTreeMap::new()),
        };
        events.stage(format!("Comparing {} tables", plan.tables.len()));
        let options = CompareOptions {
            workers: args.reading.workers(),
            streams: streams(&sides, args.reading.workers()).await?,
            tolerance: i64::from(args.expiry_tolerance),
            share: args.sample,
            since,
            held,
            repaired,
        };
        compare(&sides, &plan, &options, &stop, &events).await
    }
    .await;
    drop(events);
    observer.finish();
    let found = outcome?;
    if args.json {
        println!("{}", findings::json(&found, args.limit, args.sample)?);
        findings::verdict(&found)?;
        return findings::nothing_held(&found);
    }
    print!("{}", findings::render(&found, args.limit));
    findings::verdict(&found)?;
    if args.sample < 1.0 {
        println!("Both sides hold the same, as far as {} of the rows show it.", args.sample);
    } else {
        println!("Both sides hold the same.");
    }
    findings::nothing_held(&found)
}

/// Parts of the target that can be read at the same time: each needs a connection, and one more holds the snapshot.
async fn streams(sides: &Sides, wanted: usize) -> Result<usize> {
    let client = sides.target.client().await.map_err(Error::before_writing)?;
    let free = free_connections(&client, sides.target.server().version_num).await?;
    // The asking one is open already.
    Ok(wanted.min(free.free).max(1))
}

/// Rows are shaped under the policies of the last run.
fn plan_options(args: &VerifyArgs, run: Option<&Run>) -> PlanOptions {
    let policies = run.map(|run| run.terms.policies).unwrap_or_default();
    PlanOptions { policies, ..args.reading.plan_options(true) }
}

/// The last run on the target, unless it was undone.
///
/// # Errors
/// `Preflight` when it has not loaded everything yet.
async fn last_run(sides: &Sides, events: &Events) -> Result<Option<Run>> {
    let Some(run) = newest_run(sides, events).await else { return Ok(None) };
    if run.is_unfinished() {
        let ledger = Ledger::new(sides.target.clone(), run.id);
        let open = ledger.open_tasks(Lane::Load).await? + ledger.open_tasks(Lane::Settle).await?;
        if open > 0 || !run.armed {
            refuse_unfinished(&run)?;
        }
        events.notice(
            "the last run on this target loaded everything, but its proof did not hold or was not made",
        );
    }
    Ok(Some(run).filter(|run| run.state != RunState::Undone))
}

/// The newest run, where its ledger can be read: whoever verifies need not be who migrated.
async fn newest_run(sides: &Sides, events: &Events) -> Option<Run> {
    match Run::newest(&sides.target).await {
        Ok(run) => run,
        Err(error) => {
            events.notice(format!(
                "rows that the last run put into quarantine or repaired count as different: {error}"
            ));
            None
        }
    }
}

async fn compare_counts(args: VerifyArgs) -> Result<()> {
    let (maps, choice) = (args.tables.maps()?, args.tables.choice());
    let (events, observer) = Observer::start(args.reading.quiet);
    let stop = interrupt::watch();
    let outcome = async {
        let sides = sides::open(&args.connections, &args.reading, &events).await?;
        let run = newest_run(&sides, &events).await.filter(|run| run.state != RunState::Undone);
        let plan = sides.plan(&maps, &choice, plan_options(&args, run.as_ref()), &events).await?;
        events.stage("Counting the source again, with splits cut elsewhere");
        let tables = &plan.tables;
        events
            .tell(Event::Tables(tables.iter().map(|table| (table.table.clone(), table.estimate)).collect()));
        let options =
            ScanOptions { workers: args.reading.workers(), started: crate::engine::now(), list_rejects: 0 };
        let (harvest, _) = scan(sides.source.clone(), &plan, &options, &stop, &events).await;
        if let Some(failure) = harvest.failures.into_iter().next() {
            return Err(failure);
        }
        let accounts = match &run {
            Some(run) => Ledger::new(sides.target.clone(), run.id).accounts().await?,
            None => BTreeMap::new(),
        };
        let rejects = if run.is_some() {
            // Accounted for by the ledger.
            0
        } else {
            harvest.totals.iter().map(TableTotals::quarantined_rows).sum()
        };
        let counted =
            counts::compare(&sides.target, &plan, &harvest.totals, &accounts, Basis::Source).await?;
        Ok((counted, rejects, sides.source.remarks()))
    }
    .await;
    drop(events);
    observer.finish();
    let (counts, rejects, remarks) = outcome?;
    print!("{}", counts::render(&counts));
    for line in counts::remarks(&counts).into_iter().chain(remarks) {
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
    counts::nothing_held(&counts)
}
