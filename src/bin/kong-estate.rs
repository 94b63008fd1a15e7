//! Builds Kong schemas on empty servers and fills them with synthetic estates, for the demo, tests and benchmarks.

#![allow(clippy::doc_markdown, reason = "the doc comments of arguments are help text")]

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::{Args, Parser, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use kongferry::error::{Error, ErrorKind, Result};
use kongferry::estate::{
    self, CreateOptions, Edition, FillSpec, KongVersion, Progress, ScanSpec, connect_cassandra,
    connect_postgres,
};
use kongferry::report::table::counted;
use scylla::client::session::Session;
use secrecy::SecretString;

/// Builds Kong schemas on empty servers and fills them with synthetic estates.
///
/// For demonstrations, tests and benchmarks. It refuses keyspaces and databases that already hold something.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Creates Kong's tables on Cassandra, on PostgreSQL or on both, with the rows a fresh Gateway leaves.
    Create(Create),
    /// Fills a freshly created keyspace with an estate; the same seed gives the same rows.
    Fill(Fill),
    /// Creates Kong's secondary indexes that a keyspace does not have yet.
    Index(Index),
    /// Reads tables as fast as the driver can and drops what comes: the measure of a migration.
    Scan(Scan),
}

/// Where the estate is.
#[derive(Debug, Args)]
struct Place {
    /// Cassandra node, HOST:PORT.
    #[arg(long, value_name = "HOST:PORT")]
    cassandra: String,
    /// Keyspace of the estate.
    #[arg(long, default_value = "kong")]
    keyspace: String,
    #[command(flatten)]
    login: Login,
}

/// How to log in to Cassandra.
#[derive(Debug, Args)]
struct Login {
    /// Cassandra user.
    #[arg(long, requires = "password_env")]
    user: Option<String>,
    /// Environment variable that holds the user's password.
    #[arg(long, value_name = "VAR", requires = "user")]
    password_env: Option<String>,
}

#[derive(Debug, Args)]
struct Create {
    /// Kong version: 2.8 or 3.3.
    #[arg(long, value_name = "VERSION")]
    kong: String,
    /// Creates the tables of Kong Gateway Enterprise, too.
    #[arg(long)]
    enterprise: bool,
    /// Bootstraps Enterprise as with KONG_PASSWORD, which holds the password: with an administrator kong_admin.
    #[arg(long, requires = "enterprise")]
    password_bootstrap: bool,
    /// Cassandra node, HOST:PORT.
    #[arg(long, value_name = "HOST:PORT", required_unless_present = "postgres")]
    cassandra: Option<String>,
    /// Keyspace to create.
    #[arg(long, default_value = "kong")]
    keyspace: String,
    #[command(flatten)]
    login: Login,
    /// Replication factor of the keyspace (SimpleStrategy).
    #[arg(long, default_value_t = 1, value_name = "N")]
    replication: u32,
    /// Leaves out Kong's secondary indexes on Cassandra, for a fast fill.
    #[arg(long)]
    without_indexes: bool,
    /// Database for Kong's tables, postgres://user@host:port/database.
    #[arg(long, value_name = "URL", env = "KONG_ESTATE_POSTGRES", hide_env_values = true)]
    postgres: Option<String>,
    /// Schema for Kong's tables in that database.
    #[arg(long, default_value = "public")]
    schema: String,
}

#[derive(Debug, Args)]
struct Fill {
    #[command(flatten)]
    place: Place,
    /// Consumers; everything else follows in realistic proportion.
    #[arg(long, default_value_t = 1_000, value_name = "N")]
    consumers: u64,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1, value_name = "S")]
    seed: u64,
    /// Workspaces, the default one included.
    #[arg(long, default_value_t = 3, value_name = "W")]
    workspaces: u64,
    /// Credentials of each consumer.
    #[arg(long, default_value_t = 2, value_name = "N")]
    credentials_per_consumer: u64,
    /// Makes all credentials after the first basic-auth, instead of mixed kinds.
    #[arg(long)]
    only_basic_auth: bool,
    /// Services, instead of a number that fits the consumers. They all stand in one partition.
    #[arg(long, value_name = "N")]
    services: Option<u64>,
    /// Routes, instead of twice the services. They all stand in one partition.
    #[arg(long, value_name = "N")]
    routes: Option<u64>,
    /// Rows with a huge text besides.
    #[arg(long, default_value_t = 0, value_name = "N")]
    wide_rows: u64,
    /// Bytes of that text.
    #[arg(long, default_value_t = 5_000_000, value_name = "BYTES")]
    wide_bytes: usize,
    /// Adds legal but odd rows, as old estates hold them.
    #[arg(long)]
    odd: bool,
    /// Inserts in flight.
    #[arg(long, default_value_t = 256, value_name = "N")]
    concurrency: usize,
    /// Drops the keyspace's secondary indexes before the fill and creates them again afterwards.
    #[arg(long)]
    bulk: bool,
}

#[derive(Debug, Args)]
struct Index {
    #[command(flatten)]
    place: Place,
}

#[derive(Debug, Args)]
struct Scan {
    #[command(flatten)]
    place: Place,
    /// Tables to read, separated by commas.
    #[arg(long, value_name = "TABLES", value_delimiter = ',', required = true)]
    tables: Vec<String>,
    /// Token ranges read at the same time [default: as kongferry, twice the cores, 4 to 16]
    #[arg(long, value_name = "N")]
    in_flight: Option<usize>,
    /// Token ranges each table is cut into [default: as kongferry, eight times those in flight]
    #[arg(long, value_name = "N")]
    ranges: Option<usize>,
    /// Prints one line of JSON.
    #[arg(long)]
    json: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("kong-estate: {}", error.report());
            ExitCode::from(error.exit_code())
        }
    }
}

async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Create(create) => create.run().await,
        Command::Fill(fill) => fill.run().await,
        Command::Index(index) => index.run().await,
        Command::Scan(scan) => scan.run().await,
    }
}

impl Login {
    async fn connect(&self, contact: &str) -> Result<Session> {
        let password = self.password()?;
        connect_cassandra(contact, self.user.as_deref().zip(password.as_ref())).await
    }

    fn password(&self) -> Result<Option<SecretString>> {
        match &self.password_env {
            Some(variable) => std::env::var(variable).map(SecretString::from).map(Some).map_err(|_| {
                Error::new(
                    ErrorKind::Configuration,
                    format!("environment variable {variable} holds no password"),
                )
            }),
            None => Ok(None),
        }
    }
}

impl Create {
    async fn run(self) -> Result<()> {
        let version: KongVersion = self.kong.parse()?;
        let edition = if self.enterprise { Edition::Enterprise } else { Edition::OpenSource };
        let kong = if self.enterprise { format!("{version} Enterprise") } else { version.to_string() };
        let options = CreateOptions {
            replication: self.replication,
            indexes: !self.without_indexes,
            edition,
            admin_password: self.password_bootstrap.then(admin_password).transpose()?,
            ..CreateOptions::default()
        };
        if let Some(contact) = &self.cassandra {
            let start = Instant::now();
            let session = self.login.connect(contact).await?;
            let workspace = estate::create_cassandra(&session, &self.keyspace, version, &options).await?;
            println!(
                "Kong {kong} on Cassandra: keyspace {}, workspace default {workspace} ({:.1} s)",
                self.keyspace,
                start.elapsed().as_secs_f64()
            );
        }
        if let Some(url) = &self.postgres {
            let start = Instant::now();
            let client = connect_postgres(url).await?;
            let workspace = estate::create_postgres_with(&client, &self.schema, version, &options).await?;
            println!(
                "Kong {kong} on PostgreSQL: schema {}, workspace default {workspace} ({:.1} s)",
                self.schema,
                start.elapsed().as_secs_f64()
            );
        }
        Ok(())
    }
}

/// The password in KONG_PASSWORD, where the bootstrap of Enterprise looks for it.
fn admin_password() -> Result<SecretString> {
    std::env::var("KONG_PASSWORD")
        .ok()
        .filter(|password| !password.is_empty())
        .map(SecretString::from)
        .ok_or_else(|| {
            Error::new(ErrorKind::Configuration, "environment variable KONG_PASSWORD holds no password")
                .remedy("set it, or leave out --password-bootstrap")
        })
}

impl Fill {
    async fn run(self) -> Result<()> {
        let Place { cassandra, keyspace, login } = &self.place;
        let session = login.connect(cassandra).await?;
        let spec = FillSpec {
            seed: self.seed,
            consumers: self.consumers,
            workspaces: self.workspaces,
            credentials_per_consumer: self.credentials_per_consumer,
            only_basic_auth: self.only_basic_auth,
            services: self.services,
            routes: self.routes,
            wide_rows: self.wide_rows,
            wide_bytes: self.wide_bytes,
            odd: self.odd,
            concurrency: self.concurrency,
            bulk: self.bulk,
        };
        let progress = Arc::new(Progress::default());
        let watcher = tokio::spawn(show(Arc::clone(&progress)));
        let outcome = estate::fill_with_progress(&session, keyspace, &spec, &progress).await;
        watcher.abort();
        println!("{}", outcome?);
        Ok(())
    }
}

impl Index {
    async fn run(self) -> Result<()> {
        let Place { cassandra, keyspace, login } = &self.place;
        let start = Instant::now();
        let session = login.connect(cassandra).await?;
        let version = estate::version_of(&session, keyspace).await?;
        estate::create_indexes(&session, keyspace, version).await?;
        println!(
            "secondary indexes of Kong {version} in keyspace {keyspace} ({:.1} s)",
            start.elapsed().as_secs_f64()
        );
        Ok(())
    }
}

/// Token ranges of a table for each that is read at a time; as many as kongferry cuts.
const RANGES_PER_READER: usize = 8;

/// As many token ranges at a time as kongferry reads unless told otherwise.
fn default_in_flight() -> usize {
    (2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get)).clamp(4, 16)
}

impl Scan {
    async fn run(self) -> Result<()> {
        let Place { cassandra, keyspace, login } = &self.place;
        let password = login.password()?;
        let session =
            estate::connect_for_scan(cassandra, login.user.as_deref().zip(password.as_ref())).await?;
        let in_flight = self.in_flight.unwrap_or_else(default_in_flight);
        let spec = ScanSpec {
            tables: self.tables,
            ranges: self.ranges.unwrap_or(in_flight * RANGES_PER_READER),
            in_flight,
        };
        let scanned = estate::scan(Arc::new(session), keyspace, &spec).await?;
        let (rows, seconds) = (scanned.rows(), scanned.time.as_secs_f64());
        if self.json {
            let line = serde_json::json!({
                "tables": scanned.tables,
                "rows": rows,
                "seconds": seconds,
                "ranges": spec.ranges,
                "in_flight": spec.in_flight,
            });
            println!("{line}");
            return Ok(());
        }
        for (table, rows) in &scanned.tables {
            println!("{table}: {}", counted(*rows, "row"));
        }
        println!(
            "{} in {seconds:.1} s ({} token ranges of each table, {in_flight} at a time)",
            counted(rows, "row"),
            spec.ranges
        );
        Ok(())
    }
}

/// Shows the progress of a fill on standard error: a bar on a terminal, a line now and then elsewhere.
async fn show(progress: Arc<Progress>) {
    let on_terminal = std::io::stderr().is_terminal();
    let bar = if on_terminal { ProgressBar::new(0) } else { ProgressBar::hidden() };
    if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} entities  {msg}  {eta}") {
        bar.set_style(style);
    }
    let start = Instant::now();
    let every = if on_terminal { Duration::from_millis(200) } else { Duration::from_secs(10) };
    let mut ticks = tokio::time::interval(every);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        let (units, expected) = (progress.units(), progress.units_expected());
        let rate = u128::from(progress.rows()) * 1000 / start.elapsed().as_millis().max(1);
        if on_terminal {
            bar.set_length(u64::try_from(expected).unwrap_or(0));
            bar.set_position(u64::try_from(units).unwrap_or(0));
            bar.set_message(format!("{} rows, {rate}/s", progress.rows()));
        } else {
            eprintln!("{units} of {expected} entities, {} rows, {rate} rows/s", progress.rows());
        }
    }
}
