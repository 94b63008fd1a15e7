//! The command line: what was typed, and one file per command.
//!
//! Help texts are the doc comments of the argument structs. Data goes to stdout, progress and notes to stderr.

mod args;
mod back;
mod interrupt;
mod map;
mod migrate;
mod plan;
mod quarantine;
mod sides;
mod status;
mod target_only;
mod verify;

use std::time::Duration;

use clap::{Parser, Subcommand};

use crate::error::{Error, ErrorKind, Result};

/// Moves a Kong Gateway datastore from Apache Cassandra to PostgreSQL by copying the data itself.
///
/// Every row of every workspace arrives as it is: ids, password hashes, tokens, timestamps and expiry times included.
/// The source is only read. Begin with `kongferry plan`, rehearse with `kongferry migrate --dry-run`.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, after_help = EXIT_CODES, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "Exit codes:
  0  done, and both sides hold the same
  1  internal error
  2  usage or configuration
  3  refused before anything was changed (unreachable server, wrong password, target not fresh, ...)
  4  interrupted; `kongferry migrate --resume` goes on
  5  everything else is done and agrees, and rows lie in quarantine: `kongferry quarantine list`
  6  source and target do not hold the same
  7  reading the source failed
  8  loading the target failed, or a row cannot be loaded";

#[derive(Debug, Subcommand)]
enum Command {
    Plan(plan::PlanArgs),
    Migrate(migrate::MigrateArgs),
    Verify(verify::VerifyArgs),
    Status(status::StatusArgs),
    #[command(subcommand)]
    Quarantine(quarantine::QuarantineCommand),
    Rearm(back::RearmArgs),
    Undo(back::UndoArgs),
    Clean(back::CleanArgs),
    #[command(subcommand)]
    Map(map::MapCommand),
}

/// Runs what was typed.
///
/// # Errors
/// Whatever failed; [`Error::exit_code`] is the process's exit code.
pub fn run(cli: Cli) -> Result<()> {
    log_to_stderr();
    match cli.command {
        Command::Map(command) => map::run(&command),
        Command::Plan(args) => block_on(plan::run(args)),
        Command::Migrate(args) => block_on(migrate::run(args)),
        Command::Verify(args) => block_on(verify::run(args)),
        Command::Status(args) => block_on(status::run(args)),
        Command::Quarantine(command) => block_on(quarantine::run(command)),
        Command::Rearm(args) => block_on(back::rearm(args)),
        Command::Undo(args) => block_on(back::undo(args)),
        Command::Clean(args) => block_on(back::clean(args)),
    }
}

/// Warnings of kongferry itself go to stderr; `KONGFERRY_LOG=kongferry=debug` shows more. The drivers are left out, since
/// their lines can carry values.
fn log_to_stderr() {
    use tracing_subscriber::filter::{EnvFilter, LevelFilter, filter_fn};
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::{Layer, Registry, fmt};
    let wanted = EnvFilter::builder()
        .with_default_directive(LevelFilter::WARN.into())
        .with_env_var("KONGFERRY_LOG")
        .from_env_lossy();
    let ours = filter_fn(|metadata| metadata.target().starts_with("kongferry"));
    let lines =
        fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(false).with_filter(wanted);
    // A second initialisation happens in tests only and changes nothing.
    let _ = tracing::subscriber::set_global_default(Registry::default().with(lines.with_filter(ours)));
}

fn block_on(work: impl Future<Output = Result<()>>) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(|error| {
        Error::new(ErrorKind::Internal, "cannot start the asynchronous runtime").because(error.kind())
    })?;
    let outcome = runtime.block_on(work);
    // A host name that is being looked up would be waited for.
    runtime.shutdown_timeout(Duration::from_millis(500));
    outcome
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        super::Cli::command().debug_assert();
    }
}
