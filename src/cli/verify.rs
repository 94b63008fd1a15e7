//! `kongferry verify`: do both sides hold the same?

use std::collections::BTreeMap;

use clap::Args;

use super::args::{ConnectionArgs, ReadingArgs, TableArgs};
use super::{interrupt, sides};
use crate::engine::events::Event;
use crate::engine::plan::PlanOptions;
use crate::engine::scan::{ScanOptions, scan};
use crate::engine::totals::TableTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Ledger, Run, RunState};
use crate::report::progress::Observer;
use crate::report::table::counted;
use crate::verify::counts::{self, Basis};

/// Compare what both sides hold; changes nothing.
///
/// The source is read again with splits cut elsewhere than `migrate` cut them, so a split that was forgotten shows. Rows
/// that expire meanwhile are no difference, and rows in quarantine are accounted for. Exit code 6 when the counts differ, 5 when
/// they agree and rows lie in quarantine.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Compare numbers of rows, table by table.
    #[arg(long, required = true)]
    counts: bool,
    #[command(flatten)]
    connections: ConnectionArgs,
    #[command(flatten)]
    tables: TableArgs,
    #[command(flatten)]
    reading: ReadingArgs,
}

/// Runs it.
pub async fn run(args: VerifyArgs) -> Result<()> {
    let (maps, choice) = (args.tables.maps()?, args.tables.choice());
    let (events, observer) = Observer::start(args.reading.quiet);
    let stop = interrupt::watch();
    let outcome = async {
        let sides = sides::open(&args.connections, &args.reading, &events).await?;
        let run = Run::newest(&sides.target).await.map_err(Error::before_writing)?;
        let run = run.filter(|run| run.state != RunState::Undone);
        let policies = run.as_ref().map(|run| run.terms.policies).unwrap_or_default();
        let options = PlanOptions { policies, ..args.reading.plan_options(true) };
        let plan = sides.plan(&maps, &choice, options, &events).await?;
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
