//! `kongferry migrate`: the run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use tokio::task::JoinHandle;
use uuid::Uuid;

use super::args::{ConnectionArgs, LoadingArgs, ReadingArgs, TableArgs};
use super::{interrupt, sides};
use crate::engine::events::{Event, Events};
use crate::engine::lookout::Noticed;
use crate::engine::migrate::{Hands, Landed, Voyage};
use crate::engine::plan::{Plan, PlanOptions};
use crate::engine::preflight::Sides;
use crate::engine::scan::{ScanOptions, scan};
use crate::engine::terms;
use crate::engine::totals::TableTotals;
use crate::engine::workers::{FINISHING, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, Run, RunState};
use crate::policy::{Class, Policies, Policy};
use crate::report::progress::Observer;
use crate::report::run_directory::RunDirectory;
use crate::report::table::{Align, TextTable, counted, grouped, spoken};
use crate::schema_map::MapSet;
use crate::target::armour::ServerResources;
use crate::verify::counts;

/// Rows that cannot be loaded are listed up to this number by a dry run.
const LISTED_REJECTS: usize = 100;

/// When everything is given up after an interruption, wherever the run is: later than those who work give up, who know more.
const LAST_MOMENT: Duration = Duration::from_secs(8);

/// Copy the estate from Cassandra to PostgreSQL and count both sides.
///
/// The target must be a freshly bootstrapped Gateway datastore of the same Kong version, with no Gateway running on it. Its
/// default workspace and cluster id give way to the source's. Indexes, constraints and triggers are taken off the tables for
/// the load and put back afterwards, exactly as they were; what that takes is tried beforehand and rolled back. Everything is
/// written into schema kongferry of the target: after a failure --resume goes on, and `kongferry undo` goes back.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Read and shape everything, write nothing; lists rows that could not be loaded, and what their policies would do with them.
    #[arg(long, conflicts_with_all = ["resume", "join"])]
    dry_run: bool,
    /// Go on with the run that broke off on this target.
    #[arg(long, conflicts_with_all = ["join", "tables", "skip_tables", "include", "keep_constraints", "live", "policy"])]
    resume: bool,
    /// Directory for what the run leaves in files [default: kongferry- and the first digits of the run's id, here]
    ///
    /// Before anything is taken off the tables, rearm.sql is written there: everything that puts it back, for psql.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    /// Help another process, also from another host, with its run on this target: the id that it printed.
    #[arg(long, value_name = "RUN", conflicts_with_all = ["tables", "skip_tables", "include", "keep_constraints", "live", "policy", "on_duplicate", "on_orphan"])]
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
    let outcome = stop.bound(LAST_MOMENT, Box::pin(go(&args, &stop, &events))).await.map_err(|failure| {
        match failure.kind() {
            ErrorKind::Interrupted => failure.remedy_if_none(
                "`kongferry status` shows whether a run has begun on the target; if so, `kongferry migrate --resume` goes on from \
                 there and `kongferry undo` goes back. Otherwise nothing was changed",
            ),
            _ => failure,
        }
    });
    drop(events);
    observer.finish();
    let Outcome { text, verdict, held } = outcome?;
    print!("{text}");
    verdict?;
    if args.dry_run {
        match &held {
            Ok(()) => println!(
                "Dry run: every row read can be loaded, as far as one table's rows can show it. Nothing was written."
            ),
            Err(_) => println!("Dry run: nothing was written."),
        }
    } else if args.join.is_some() {
        println!("Nothing of the run is open any more; the process that leads it counts both sides.");
    } else {
        println!(
            "Done in {}: the counts of both sides agree, and the target holds the very content that was read.",
            spoken(begun.elapsed())
        );
    }
    held
}

/// What came of a run.
struct Outcome {
    /// For people.
    text: String,
    /// Whether everything that was to be loaded is there.
    verdict: Result<()>,
    /// Whether nothing lies in quarantine.
    held: Result<()>,
}

async fn go(args: &MigrateArgs, stop: &Stop, events: &Events) -> Result<Outcome> {
    events.stage("Checking both sides");
    let maps = args.tables.maps()?;
    let (sides, builds) =
        sides::open_to_load(&args.connections, &args.reading, &args.loading, events).await?;
    let _canceller = Canceller::of(&sides, stop);
    let options = PlanOptions {
        keep_constraints: args.loading.keep_constraints,
        policies: args.loading.policies()?,
        ..args.reading.plan_options(false)
    };
    if args.resume || args.join.is_some() {
        let run = unfinished(&sides, args.join).await?;
        return go_on(args, (sides, builds), &maps, options, run, stop, events).await;
    }
    let choice = args.tables.choice();
    sides.refuse_unfinished().await?;
    let plan = sides.plan(&maps, &choice, options, events).await?;
    sides::tell_advice(&sides, &plan, events).await;
    if args.dry_run {
        return dry_run(&sides, &plan, (&args.reading, &options.policies), stop, events).await;
    }
    let armour = sides.check_target(&plan, options.keep_constraints, events).await?;
    let keep = args.loading.on_duplicate;
    let mut terms = terms::terms(&sides, &plan, &choice, &options.policies, keep, options.keep_constraints);
    terms.live = args.loading.live;
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
    Ok(outcome(&voyage, &landed))
}

/// Cancels what is under way on the target a while after an interruption, as long as it lives.
struct Canceller(JoinHandle<()>);

impl Canceller {
    fn of(sides: &Sides, stop: &Stop) -> Self {
        let (target, stop) = (sides.target.clone(), stop.clone());
        Self(tokio::spawn(async move {
            stop.interrupted_for(FINISHING).await;
            target.cancel_all().await;
        }))
    }
}

impl Drop for Canceller {
    fn drop(&mut self) {
        self.0.abort();
    }
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
) -> Result<Outcome> {
    let (keep_constraints, policies) = (run.terms.keep_constraints, run.terms.policies);
    let options = PlanOptions { keep_constraints, policies, ..options };
    terms::check_target(&run.terms, &sides.target).await.map_err(Error::before_writing)?;
    // As it was before the run: now keys and foreign keys may be away.
    let sides = Sides { catalog: Arc::new(run.terms.catalog.clone()), ..sides };
    let plan = sides.plan(maps, &run.terms.choice, options, events).await?;
    terms::check(&run.terms, &sides, &plan)?;
    Ledger::new(sides.target.clone(), run.id)
        .decide(args.loading.on_duplicate, args.loading.on_orphan()?)
        .await
        .map_err(Error::before_writing)?;
    sides.tell_other_sessions(events).await.map_err(Error::before_writing)?;
    let voyage = voyage(args, (&sides, builds), plan, stop, events).await?;
    if args.join.is_some() {
        events.stage(format!("Joining run {}", run.id));
        voyage.join(run).await?;
        return Ok(Outcome { text: String::new(), verdict: Ok(()), held: Ok(()) });
    }
    events.stage(format!("Going on with run {} of {} UTC", run.id, run.began_at));
    let landed = voyage.resume(run).await?;
    Ok(outcome(&voyage, &landed))
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
        noticed: Noticed::default(),
    })
}

/// The counts for people, and what they say.
fn outcome(voyage: &Voyage, landed: &Landed) -> Outcome {
    let counted = &landed.counted;
    let mut text = counts::render(counted);
    let totals: Vec<TableTotals> = counted.iter().map(|count| count.totals.clone()).collect();
    let lines = counts::remarks(counted).into_iter().chain(voyage.plan.keyring.summary(&totals));
    for line in lines.chain(voyage.sides.source.remarks()) {
        text.push_str(&format!("  {line}\n"));
    }
    for line in voyage.noticed.lines() {
        text.push_str(&format!("  while the run worked: {line}\n"));
    }
    let verdict = landed.verdict();
    if verdict.is_ok() {
        let took = landed.proving.as_secs_f64();
        text.push_str(&format!("{} (read back in {took:.1} s)\n", landed.proof.summary()));
    }
    Outcome { text, verdict, held: counts::nothing_held(counted) }
}

async fn dry_run(
    sides: &Sides,
    plan: &Plan,
    (reading, policies): (&ReadingArgs, &Policies),
    stop: &Stop,
    events: &Events,
) -> Result<Outcome> {
    events.stage(format!("Reading and shaping {} tables; nothing is written", plan.tables.len()));
    events
        .tell(Event::Tables(plan.tables.iter().map(|table| (table.table.clone(), table.estimate)).collect()));
    let options = ScanOptions {
        workers: reading.workers(),
        started: crate::engine::now(),
        list_rejects: LISTED_REJECTS,
    };
    let begun = Instant::now();
    let (harvest, found) = scan(sides.source.clone(), plan, &options, stop, events).await;
    if let Some(failure) = harvest.failures.into_iter().next() {
        return Err(failure.before_writing());
    }
    let mut text = render_scan(plan, &harvest.totals, begun);
    for reject in &found {
        text.push_str(&format!("  {} {}\n", reject.table, reject.text));
    }
    for line in sides.source.remarks() {
        text.push_str(&format!("  {line}\n"));
    }
    let (classes, verdict, held) = foresee(&harvest.totals, policies);
    text.push_str(&classes);
    Ok(Outcome { text, verdict, held })
}

/// What the policies would do with the bad rows of a dry run: by class in words, whether a run would fail, and whether it would
/// end with rows in quarantine.
fn foresee(totals: &[TableTotals], policies: &Policies) -> (String, Result<()>, Result<()>) {
    let mut rows: BTreeMap<Class, u64> = BTreeMap::new();
    for (class, found) in totals.iter().flat_map(|totals| totals.skipped.iter().chain(&totals.quarantined)) {
        *rows.entry(*class).or_default() += found;
    }
    let mut text = String::new();
    let (mut failing, mut held) = (0, 0);
    if !rows.is_empty() {
        let mut table = TextTable::new(&[
            ("class", Align::Left),
            ("rows", Align::Right),
            ("policy", Align::Left),
            ("", Align::Left),
        ]);
        for (class, found) in rows {
            let policy = policies.of(class);
            match policy {
                Policy::Fail => failing += found,
                Policy::Quarantine => held += found,
                Policy::Skip | Policy::Repair => {}
            }
            let cells = [class.to_string(), grouped(found), policy.to_string(), class.meaning().to_owned()];
            table.row(cells);
        }
        text = format!("\n{}", table.render());
    }
    let verdict = if failing == 0 {
        Ok(())
    } else {
        let rows = counted(failing, "row");
        Err(Error::new(
            ErrorKind::Row,
            format!("{rows} cannot be loaded, and the policy of their class is fail"),
        )
        .remedy("correct or delete the rows listed above on the source, or choose another policy"))
    };
    let held = if held == 0 {
        Ok(())
    } else {
        Err(Error::new(
            ErrorKind::Quarantined,
            format!("{} cannot be loaded as it stands and would go into quarantine", counted(held, "row")),
        )
        .remedy("correct or delete the rows listed above on the source; or migrate all the same, and see docs/bad-rows.md"))
    };
    (text, verdict, held)
}

fn render_scan(plan: &Plan, totals: &[TableTotals], begun: Instant) -> String {
    let any_rejected = totals.iter().any(|totals| totals.quarantined_rows() > 0);
    let mut header = vec![("table", Align::Left), ("read", Align::Right), ("skipped", Align::Right)];
    if any_rejected {
        header.push(("rejected", Align::Right));
    }
    header.extend([("loadable", Align::Right), ("normalised values", Align::Right)]);
    let mut table = TextTable::new(&header);
    let mut sums = vec![0_u64; header.len() - 1];
    for (plan, totals) in plan.tables.iter().zip(totals) {
        let mut figures = vec![totals.read, totals.skipped_rows()];
        if any_rejected {
            figures.push(totals.quarantined_rows());
        }
        figures.extend([totals.loaded, totals.repaired_values()]);
        for (sum, figure) in sums.iter_mut().zip(&figures) {
            *sum += figure;
        }
        table.row([plan.table.clone()].into_iter().chain(figures.into_iter().map(grouped)));
    }
    table.row(["total".to_owned()].into_iter().chain(sums.into_iter().map(grouped)));
    format!("{}  read and shaped in {}\n", table.render(), spoken(begun.elapsed()))
}
