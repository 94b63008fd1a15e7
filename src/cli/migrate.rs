//! `kongferry migrate`: the run.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use clap::Args;
use uuid::Uuid;

use super::args::{ConnectionArgs, LoadingArgs, ReadingArgs, TableArgs};
use super::{interrupt, sides};
use crate::engine::events::{Event, Events};
use crate::engine::migrate::{Hands, Landed, Voyage};
use crate::engine::plan::{Plan, PlanOptions};
use crate::engine::preflight::Sides;
use crate::engine::scan::{ScanOptions, scan};
use crate::engine::terms;
use crate::engine::totals::TableTotals;
use crate::engine::workers::Stop;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Run, RunState};
use crate::report::progress::Observer;
use crate::report::run_directory::RunDirectory;
use crate::report::table::{Align, TextTable, counted, grouped, spoken};
use crate::schema_map::MapSet;
use crate::target::armour::ServerResources;
use crate::verify::counts;

/// Rows that cannot be loaded are listed up to this number by a dry run.
const LISTED_REJECTS: usize = 100;

/// Copy the estate from Cassandra to PostgreSQL and count both sides.
///
/// The target must be a freshly bootstrapped Gateway datastore of the same Kong version, with no Gateway running on it. Its
/// default workspace and cluster id give way to the source's. Indexes, constraints and triggers are taken off the tables for
/// the load and put back afterwards, exactly as they were; what that takes is tried beforehand and rolled back. Everything is
/// written into schema kongferry of the target: after a failure --resume goes on, and `kongferry undo` goes back.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Read and shape everything, write nothing; lists every row that could not be loaded.
    #[arg(long, conflicts_with_all = ["resume", "join"])]
    dry_run: bool,
    /// Go on with the run that broke off on this target.
    #[arg(long, conflicts_with_all = ["join", "tables", "skip_tables", "include", "keep_constraints", "policy"])]
    resume: bool,
    /// Directory for what the run leaves in files [default: kongferry- and the first digits of the run's id, here]
    ///
    /// Before anything is taken off the tables, rearm.sql is written there: everything that puts it back, for psql.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Help another process, also from another host, with its run on this target: the id that it printed.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["tables", "skip_tables", "include", "keep_constraints", "policy"])]
    join: Option<Uuid>,
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    tables: TableArgs,
    #[command(flatten)]
    reading: ReadingArgs,
    #[command(flatten)]
    loading: LoadingArgs,
}

/// Runs it.
pub async fn run(args: MigrateArgs) -> Result<()> {
    let (events, observer) = Observer::start(args.reading.quiet);
    let stop = interrupt::watch();
    let begun = Instant::now();
    let outcome = go(&args, &stop, &events).await;
    drop(events);
    observer.finish();
    let (text, verdict) = outcome?;
    print!("{text}");
    verdict?;
    if args.dry_run {
        println!(
            "Dry run: every row read can be loaded, as far as one table's rows can show it. Nothing was written."
        );
    } else if args.join.is_some() {
        println!("Nothing of the run is open any more; the process that leads it counts both sides.");
    } else {
        println!(
            "Done in {}: the counts of both sides agree, and the target holds the very content that was read.",
            spoken(begun.elapsed())
        );
    }
    Ok(())
}

async fn go(args: &MigrateArgs, stop: &Stop, events: &Events) -> Result<(String, Result<()>)> {
    events.stage("Checking both sides");
    let maps = args.tables.maps()?;
    let (sides, builds) =
        sides::open_to_load(&args.connections, &args.reading, &args.loading, events).await?;
    let options =
        PlanOptions { keep_constraints: args.loading.keep_constraints, ..args.reading.plan_options(false) };
    if args.resume || args.join.is_some() {
        let run = unfinished(&sides, args.join).await?;
        return go_on(args, (sides, builds), &maps, options, run, stop, events).await;
    }
    let choice = args.tables.choice();
    sides.refuse_unfinished().await?;
    let plan = sides.plan(&maps, &choice, options, events).await?;
    sides::tell_advice(&sides, &plan, events).await;
    if args.dry_run {
        return dry_run(&sides, &plan, &args.reading, stop, events).await;
    }
    let armour = sides.check_target(&plan, options.keep_constraints, events).await?;
    let terms = terms::terms(&sides, &plan, &choice, &args.loading.policies()?, options.keep_constraints);
    let id = Uuid::new_v4();
    events.stage(format!("Run {id}"));
    match &armour {
        None => events.stage(format!("Copying {} tables", plan.tables.len())),
        Some(armour) => {
            let directory = RunDirectory::create(args.report.as_deref(), id)?;
            let script = armour.script(sides.target.server().version_num)?;
            directory.write("rearm.sql", &script)?;
        }
    }
    let voyage = voyage(args, (&sides, builds), plan, stop, events).await?;
    let landed = voyage.begin(id, terms, armour).await?;
    Ok(outcome(&voyage.plan, &landed))
}

/// The run to go on with.
async fn unfinished(sides: &Sides, wanted: Option<Uuid>) -> Result<Run> {
    let run = Run::newest(&sides.target).await.map_err(Error::before_writing)?;
    let refused = |what: String| Err(Error::new(ErrorKind::Preflight, what));
    match (run, wanted) {
        (None, _) => refused("there is no run on this target to go on with".to_owned())
            .map_err(|error| error.remedy("begin one: the same command without --resume")),
        (Some(run), Some(wanted)) if run.id != wanted => {
            refused(format!("the run on this target is {}, not {wanted}", run.id))
        }
        (Some(run), _) if run.state != RunState::Loading => {
            refused(format!("run {} on this target is over ({})", run.id, run.state.as_str())).map_err(
                |error| error.remedy("`kongferry status` shows it; `kongferry verify` compares again"),
            )
        }
        (Some(run), _) => Ok(run),
    }
}

/// Takes a run up where it stands.
async fn go_on(
    args: &MigrateArgs,
    (sides, builds): (Sides, usize),
    maps: &MapSet,
    options: PlanOptions,
    run: Run,
    stop: &Stop,
    events: &Events,
) -> Result<(String, Result<()>)> {
    let options = PlanOptions { keep_constraints: run.terms.keep_constraints, ..options };
    terms::check_target(&run.terms, &sides.target).await.map_err(Error::before_writing)?;
    // As it was before the run: now keys and foreign keys may be away.
    let sides = Sides { catalog: Arc::new(run.terms.catalog.clone()), ..sides };
    let plan = sides.plan(maps, &run.terms.choice, options, events).await?;
    terms::check(&run.terms, &sides, &plan)?;
    let voyage = voyage(args, (&sides, builds), plan, stop, events).await?;
    if args.join.is_some() {
        events.stage(format!("Joining run {}", run.id));
        voyage.join(run).await?;
        return Ok((String::new(), Ok(())));
    }
    events.stage(format!("Going on with run {} of {} UTC", run.id, run.began_at));
    let landed = voyage.resume(run).await?;
    Ok(outcome(&voyage.plan, &landed))
}

async fn voyage<'a>(
    args: &MigrateArgs,
    (sides, builds): (&'a Sides, usize),
    plan: Plan,
    stop: &'a Stop,
    events: &'a Events,
) -> Result<Voyage<'a>> {
    let server = ServerResources::read(&sides.target).await.map_err(Error::before_writing)?;
    Ok(Voyage {
        sides,
        plan: Arc::new(plan),
        hands: Hands { loaders: args.reading.workers(), settlers: builds },
        resources: server.share(builds),
        stop,
        events,
    })
}

/// The counts for people, and what they say.
fn outcome(plan: &Plan, landed: &Landed) -> (String, Result<()>) {
    let mut text = counts::render(&landed.counted);
    let totals: Vec<TableTotals> = landed.counted.iter().map(|count| count.totals.clone()).collect();
    for line in counts::remarks(&landed.counted).into_iter().chain(plan.keyring.summary(&totals)) {
        text.push_str(&format!("  {line}\n"));
    }
    let verdict = landed.verdict();
    if verdict.is_ok() {
        text.push_str(&format!("{}\n", landed.proof.summary()));
    }
    (text, verdict)
}

async fn dry_run(
    sides: &Sides,
    plan: &Plan,
    reading: &ReadingArgs,
    stop: &Stop,
    events: &Events,
) -> Result<(String, Result<()>)> {
    events.stage(format!("Reading and shaping {} tables; nothing is written", plan.tables.len()));
    events
        .tell(Event::Tables(plan.tables.iter().map(|table| (table.table.clone(), table.estimate)).collect()));
    let options = ScanOptions {
        workers: reading.workers(),
        started: crate::engine::now(),
        list_rejects: LISTED_REJECTS,
    };
    let begun = Instant::now();
    let (harvest, found, rejects) = scan(sides.source.clone(), plan, &options, stop, events).await;
    if let Some(failure) = harvest.failures.into_iter().next() {
        return Err(failure.before_writing());
    }
    let mut text = render_scan(plan, &harvest.totals, begun);
    for reject in &found {
        text.push_str(&format!("  {} {}\n", reject.table, reject.text));
    }
    let verdict = if rejects == 0 {
        Ok(())
    } else {
        Err(Error::new(ErrorKind::Row, format!("{} cannot be loaded as it stands", counted(rejects, "row")))
            .remedy("correct or delete the rows listed above on the source"))
    };
    Ok((text, verdict))
}

fn render_scan(plan: &Plan, totals: &[TableTotals], begun: Instant) -> String {
    let mut table = TextTable::new(&[
        ("table", Align::Left),
        ("read", Align::Right),
        ("skipped", Align::Right),
        ("loadable", Align::Right),
        ("normalised values", Align::Right),
    ]);
    let mut sums = [0_u64; 4];
    for (plan, totals) in plan.tables.iter().zip(totals) {
        let figures = [totals.read, totals.skipped_rows(), totals.loaded, totals.repaired_values()];
        for (sum, figure) in sums.iter_mut().zip(figures) {
            *sum += figure;
        }
        table.row([plan.table.clone()].into_iter().chain(figures.map(grouped)));
    }
    table.row(["total".to_owned()].into_iter().chain(sums.map(grouped)));
    format!("{}  read and shaped in {}\n", table.render(), spoken(begun.elapsed()))
}
