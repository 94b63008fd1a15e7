//! `kongferry status`: where the last run on a target stands.

use std::time::Duration;

use clap::Args;

use super::target_only::TargetArgs;
use crate::error::{Error, Result};
use crate::ledger::{HeldChoice, Ledger, Run, RunState, TaskCount};
use crate::policy::Class;
use crate::report::table::{Align, TextTable, counted, grouped, spoken};
use crate::target::sessions::{OwnSession, own_sessions};

/// Show the last run on a target: what is done, open, under way and failed, and who works on it.
#[derive(Debug, Args)]
pub struct StatusArgs {
    #[command(flatten)]
    target: TargetArgs,

    /// Every part of the run, also those that are done or have not begun.
    #[arg(long)]
    all: bool,
}

/// Runs it.
pub async fn run(args: StatusArgs) -> Result<()> {
    let target = args.target.open().await?;
    let Some(run) = Run::newest(&target).await.map_err(Error::before_writing)? else {
        println!("No run on this target.");
        return Ok(());
    };
    let ledger = Ledger::new(target.clone(), run.id);
    let counts = ledger.progress().await?;
    println!("{}", headline(&run));
    print!("{}", render(&counts, args.all));
    if run.is_unfinished()
        && let Some(left) = ledger.seconds_left().await?
    {
        let left = spoken(Duration::try_from_secs_f64(left).unwrap_or_default());
        println!(
            "About {left} left to copy, at the pace of the last five minutes; the last indexes, keys and the proof follow"
        );
    }
    if run.state != RunState::Undone {
        print!("{}", render_held(&ledger.held_counts(&HeldChoice::default()).await?));
    }
    if run.is_unfinished() {
        let sessions = own_sessions(&*target.client().await?).await?;
        print!("{}", render_sessions(&sessions));
        println!(
            "\nTo complete it: kongferry migrate --resume    To help it from another host: kongferry migrate --join {}\nTo go \
             back: kongferry undo",
            run.id
        );
    }
    Ok(())
}

fn headline(run: &Run) -> String {
    let state = match run.state {
        RunState::Loading => "not over",
        RunState::Done => "done, both sides agreed",
        RunState::Rearmed => "broken off, then re-armed",
        RunState::Undone => "undone",
    };
    let armed = if run.armed { "" } else { "; indexes, constraints and triggers are off the tables" };
    let ended = run.ended_at.as_ref().map_or_else(String::new, |at| format!(", ended {at} UTC"));
    format!(
        "Run {}: {state}{armed}\n  began {} UTC{ended}, kongferry {}\n  from keyspace {} of cluster {}\n",
        run.id, run.began_at, run.program, run.terms.keyspace, run.terms.cluster
    )
}

fn render(counts: &[TaskCount], all: bool) -> String {
    let mut table = TextTable::new(&[
        ("part", Align::Left),
        ("done", Align::Right),
        ("under way", Align::Right),
        ("open", Align::Right),
        ("rows", Align::Right),
        ("", Align::Left),
    ]);
    let (mut done, mut open) = (0, 0);
    for count in counts {
        done += count.done;
        open += count.open;
        let under_way = count.open.saturating_sub(count.unclaimed);
        let shown = all || under_way > 0 || count.failed > 0 || (count.done > 0 && count.open > 0);
        if shown {
            let failure = count.failure.as_ref().filter(|_| count.failed > 0);
            table.row([
                count.part.clone(),
                grouped(count.done),
                grouped(under_way),
                grouped(count.unclaimed),
                grouped(count.rows),
                failure.map_or_else(String::new, |why| format!("failed: {why}")),
            ]);
        }
    }
    let rows: u64 =
        counts.iter().filter(|count| count.part.starts_with("copy ")).map(|count| count.rows).sum();
    let sum =
        format!("{} of {} tasks done, {} rows loaded\n", grouped(done), grouped(done + open), grouped(rows));
    if table.is_empty() { sum } else { format!("{}{sum}", table.render()) }
}

fn render_held(counts: &[(String, Class, u64)]) -> String {
    if counts.is_empty() {
        return String::new();
    }
    let rows: u64 = counts.iter().map(|(.., rows)| rows).sum();
    let which: Vec<String> =
        counts.iter().map(|(table, class, rows)| format!("{table} {} {class}", grouped(*rows))).collect();
    let (rows, which) = (counted(rows, "row"), which.join(", "));
    format!("In quarantine: {rows} ({which}). To see them: kongferry quarantine list\n")
}

fn render_sessions(sessions: &[OwnSession]) -> String {
    if sessions.is_empty() {
        return "Nobody works on it.\n".to_owned();
    }
    let mut text = "\nSessions of kongferry on the target:\n".to_owned();
    for session in sessions {
        let process = if session.worker.is_empty() { "kongferry" } else { &session.worker };
        let from = session.client.as_deref().unwrap_or("a local socket");
        text.push_str(&format!(
            "  {} of {} from {from}, {} for {} s; if its host is gone: SELECT pg_terminate_backend({});\n",
            session.pid, process, session.state, session.seconds, session.pid
        ));
    }
    text
}
