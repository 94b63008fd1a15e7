//! `kongferry`: moves a Kong Gateway datastore from Apache Cassandra to `PostgreSQL`.

use std::process::ExitCode;

use clap::Parser;
use kongferry::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    match kongferry::cli::run(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", error.report());
            ExitCode::from(error.exit_code())
        }
    }
}
