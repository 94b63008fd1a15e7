//! `kongferry migrate`: the run.

use std::time::Instant;

use clap::Args;

use super::args::{ConnectionArgs, ReadingArgs, TableArgs};
use super::{interrupt, sides};
use crate::engine::events::{Event, Events};
use crate::engine::migrate::migrate;
use crate::engine::plan::Plan;
use crate::engine::preflight::Sides;
use crate::engine::scan::{ScanOptions, scan};
use crate::engine::totals::TableTotals;
use crate::engine::workers::Stop;
use crate::error::{Error, ErrorKind, Result};
use crate::report::progress::Observer;
use crate::report::table::{Align, TextTable, counted, grouped, spoken};
use crate::verify::counts;

/// Rows that cannot be loaded are listed up to this number by a dry run.
const LISTED_REJECTS: usize = 100;

/// Copy the estate from Cassandra to PostgreSQL and count both sides.
///
/// The target must be a freshly bootstrapped Gateway datastore of the same Kong version, with no Gateway running on it. Its
/// default workspace and cluster id give way to the source's. Every split is one transaction; a failure leaves no split half
/// loaded.
#[derive(Debug, Args)]
pub struct MigrateArgs {
    /// Read and shape everything, write nothing; lists every row that could not be loaded.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    tables: TableArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Runs it.
pub async fn run(args: MigrateArgs) -> Result<()> {
    let (maps, choice) = (args.tables.maps()?, args.tables.choice());
    let (events, observer) = Observer::start(args.reading.quiet);
    let stop = interrupt::watch();
    let begun = Instant::now();
    let outcome = async {
        events.stage("Checking both sides");
        let sides = sides::open_to_load(&args.connections, &args.reading, &events).await?;
        let plan = sides.plan(&maps, &choice, args.reading.plan_options(false), &events).await?;
        sides::tell_advice(&sides, &plan, &events).await;
        if args.dry_run {
            return dry_run(&sides, &plan, &args.reading, &stop, &events).await;
        }
        sides.check_target(&plan, &events).await?;
        events.stage(format!("Copying {} tables", plan.tables.len()));
        let counted = migrate(&sides, &plan, args.reading.workers(), &stop, &events).await?;
        let mut text = counts::render(&counted);
        let totals: Vec<TableTotals> = counted.iter().map(|count| count.totals.clone()).collect();
        for line in counts::remarks(&counted).into_iter().chain(plan.keyring.summary(&totals)) {
            text.push_str(&format!("  {line}\n"));
        }
        Ok((text, counts::verdict(&counted)))
    }
    .await;
    drop(events);
    observer.finish();
    let (text, verdict) = outcome?;
    print!("{text}");
    verdict?;
    if args.dry_run {
        println!(
            "Dry run: every row read can be loaded, as far as one table's rows can show it. Nothing was written."
        );
    } else {
        println!("Done in {}: the counts of both sides agree.", spoken(begun.elapsed()));
    }
    Ok(())
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
