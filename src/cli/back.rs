//! `kongferry undo`, `rearm` and `clean`: the ways back from a run, and its end.

use clap::Args;

use super::target_only::TargetArgs;
use crate::engine::events::Events;
use crate::engine::{rearm, undo};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Guard, HeldChoice, Ledger, Run, RunState};
use crate::report::progress::Observer;
use crate::target::Target;
use crate::verify::counts::lie;

/// Put the target back as it was before the last run.
///
/// Empties every table that the run filled, puts back indexes, constraints, triggers, the bootstrap rows and the column
/// defaults, all in one transaction. Works from any state: while broken off, after success, after rearm. Refuses (exit code 3)
/// when rows changed since the run was done.
#[derive(Debug, Args)]
pub struct UndoArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Lose rows that were written, changed or deleted on the target after the run was done.
    #[arg(long)]
    discard_changes: bool,
}

/// Put back what a run that broke off took off the tables, and leave the rows that are there.
///
/// Indexes, keys, foreign keys, triggers and the rows of `tags`. Can be repeated at any moment. To complete the load instead:
/// `kongferry migrate --resume`; to empty the tables as well: `kongferry undo`.
#[derive(Debug, Args)]
pub struct RearmArgs {
    #[command(flatten)]
    target: TargetArgs,
}

/// Remove schema kongferry from the target, once the move is final.
///
/// Refuses (exit code 3) while a run is not over, and while rows lie in quarantine. Afterwards `kongferry undo` is no longer
/// possible.
#[derive(Debug, Args)]
pub struct CleanArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Lose the rows that lie in quarantine; `kongferry quarantine export FILE` writes them out before.
    #[arg(long)]
    discard_quarantine: bool,
}

/// Runs `undo`.
pub async fn undo(args: UndoArgs) -> Result<()> {
    let (events, observer) = Observer::start(false);
    let outcome = async {
        let target = args.target.open().await?;
        let run = newest(&target).await?;
        undo::undo(&target, &run, args.discard_changes, &events).await
    }
    .await;
    end(events, observer);
    outcome?;
    println!("Undone: the target is as it was before the run. The ledger stays until `kongferry clean`.");
    Ok(())
}

/// Runs `rearm`.
pub async fn rearm(args: RearmArgs) -> Result<()> {
    let (events, observer) = Observer::start(false);
    let outcome = async {
        let target = args.target.open().await?;
        let run = newest(&target).await?;
        rearm::rearm(&target, &run, &events).await.map(|()| run)
    }
    .await;
    end(events, observer);
    let run = outcome?;
    if run.armed {
        println!("Nothing to put back: everything is in place.");
    } else {
        println!(
            "Everything is back in place. The rows that run {} loaded are there, but not all of the source's: `kongferry undo` \
             removes them.",
            run.id
        );
    }
    Ok(())
}

/// Runs `clean`.
pub async fn clean(args: CleanArgs) -> Result<()> {
    let target = args.target.open().await?;
    let guard = Guard::alone(&target).await?;
    let Some(run) = Run::newest(&target).await.map_err(Error::before_writing)? else {
        println!("Nothing to remove: there is no schema kongferry.");
        return Ok(());
    };
    if run.is_unfinished() {
        return Err(Error::new(
            ErrorKind::Preflight,
            format!("run {} is not over: its ledger is needed", run.id),
        )
        .remedy("`kongferry migrate --resume` completes it, `kongferry undo` goes back"));
    }
    let ledger = Ledger::new(target.clone(), run.id);
    let held: u64 = ledger.held_counts(&HeldChoice::default()).await?.iter().map(|(.., rows)| rows).sum();
    if held > 0 && run.state == RunState::Done && !args.discard_quarantine {
        return Err(Error::new(
            ErrorKind::Preflight,
            format!("{} of run {} in quarantine", lie(held), run.id),
        )
        .remedy(
            "`kongferry quarantine retry` loads them, `kongferry quarantine export FILE` writes them out; to lose them: \
             kongferry clean --discard-quarantine",
        ));
    }
    Ledger::drop_schema(&target).await?;
    drop(guard);
    match run.state {
        RunState::Done => println!("Removed schema kongferry. The run can no longer be undone."),
        _ => println!("Removed schema kongferry."),
    }
    Ok(())
}

async fn newest(target: &Target) -> Result<Run> {
    Run::newest(target).await.map_err(Error::before_writing)?.ok_or_else(|| {
        Error::new(ErrorKind::Preflight, "there is no run on this target")
            .remedy("check that it is the right database; nothing was changed")
    })
}

fn end(events: Events, observer: Observer) {
    drop(events);
    observer.finish();
}
