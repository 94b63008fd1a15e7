//! `kongferry verify`: do both sides hold the same?

use std::collections::BTreeMap;

use clap::Args;

use super::args::{ConnectionArgs, ReadingArgs, TableArgs};
use super::{interrupt, sides};
use crate::engine::events::Event;
use crate::engine::scan::{ScanOptions, scan};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Change, Ledger, Run, RunState, Why};
use crate::report::progress::Observer;
use crate::report::table::counted;
use crate::target::Target;
use crate::verify::counts;

/// Compare what both sides hold; changes nothing.
///
/// The source is read again with splits cut elsewhere than `migrate` cut them, so a split that was forgotten shows. Rows
/// that expire meanwhile are no difference. Exit code 6 when the counts differ.
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
        let mut counted = counts::compare(&sides.target, &plan, &harvest.totals, false).await?;
        match changes(&sides.target).await {
            Ok(changes) => counts::include(&mut counted, &changes),
            Err(error) => events
                .notice(format!("rows that were taken away after the load count as missing here: {error}")),
        }
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

/// What the last run changed of its rows after they were loaded.
async fn changes(target: &Target) -> Result<BTreeMap<(String, Why), Change>> {
    match Run::newest(target).await? {
        Some(run) if run.state != RunState::Undone => Ledger::new(target.clone(), run.id).changes().await,
        _ => Ok(BTreeMap::new()),
    }
}
