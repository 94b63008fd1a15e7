//! Real servers for the tests: started on first use, once per line and test run, ended with the test process.
//!
//! The scripts `tests/servers/cassandra` and `tests/servers/postgres` do the work; they can be called by hand as well.
//! A server that already runs is used instead when the environment names it:
//!
//! ```text
//! KONGFERRY_TEST_CASSANDRA_3_11=127.0.0.1:9042
//! KONGFERRY_TEST_POSTGRES_16=postgres://postgres@127.0.0.1:5432/postgres
//! ```
//!
//! Tests share a server: each creates keyspaces and databases under names of its own and leaves the rest alone.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::{Mutex, OnceLock, PoisonError};

use url::Url;

/// A running Cassandra node that wants no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cassandra {
    /// The line asked for, such as `3.11`.
    pub version: String,
    /// Host of the CQL address.
    pub host: String,
    /// Port of the CQL address.
    pub port: u16,
}

impl Cassandra {
    /// The CQL address as `host:port`.
    pub fn address(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// The URL of one keyspace, as `kongferry --source` takes it.
    pub fn url(&self, keyspace: &str) -> String {
        format!("cassandra://{}:{}/{keyspace}", self.host, self.port)
    }
}

/// A running `PostgreSQL` server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Postgres {
    /// The line asked for, such as `9.6`.
    pub version: String,
    /// Host of the server.
    pub host: String,
    /// Port of the server.
    pub port: u16,
    /// A superuser's URL of the maintenance database, where databases are created from.
    pub url: String,
    parsed: Url,
}

impl Postgres {
    /// The superuser's URL of another database of this server.
    pub fn database_url(&self, database: &str) -> String {
        let mut url = self.parsed.clone();
        url.set_path(database);
        url.into()
    }
}

/// The Cassandra of that line (`3.11`, `4.1`, `5.0`).
///
/// # Panics
///
/// When it cannot be started, with the reason: a test that does not run proves nothing.
pub fn cassandra(version: &str) -> &'static Cassandra {
    static SERVERS: Started<Cassandra> = Started::new();
    // Without `--volatile` a keyspace with Kong's tables takes five times as long.
    SERVERS.get("cassandra", version, &["--volatile"], |address| {
        let (host, port) = address.rsplit_once(':')?;
        Some(Cassandra { version: version.to_owned(), host: host.to_owned(), port: port.parse().ok()? })
    })
}

/// A Cassandra that wants a password; its first user is `cassandra`, with that word as the password.
///
/// # Panics
///
/// When it cannot be started, with the reason.
pub fn cassandra_with_users() -> &'static Cassandra {
    cassandra("5.0+users")
}

/// The `PostgreSQL` of that line (`9.6`, `12`, `15`, `16`, `17`, `18`).
///
/// # Panics
///
/// When it cannot be started, with the reason.
pub fn postgres(version: &str) -> &'static Postgres {
    static SERVERS: Started<Postgres> = Started::new();
    SERVERS.get("postgres", version, &[], |address| {
        let parsed = Url::parse(address).ok()?;
        Some(Postgres {
            version: version.to_owned(),
            host: parsed.host_str()?.to_owned(),
            port: parsed.port().unwrap_or(5432),
            url: address.to_owned(),
            parsed,
        })
    })
}

/// The name of a server of that line that a test may restart and spoil: it keeps what it has written.
pub fn own(version: &str) -> String {
    format!("{version}+own")
}

/// The names of two nodes of one cluster, on 127.0.0.1 and 127.0.0.2; the second keeps what it has written, and is started
/// before there is data.
pub fn two_nodes(version: &str) -> [String; 2] {
    ["first", "second"].map(|node| format!("{version}+{node}"))
}

/// The Cassandra lines to test on: 3.11 and 5.0, or the whole support matrix with `./test --long`.
pub fn cassandra_versions() -> &'static [&'static str] {
    if whole_matrix() { &["3.11", "4.1", "5.0"] } else { &["3.11", "5.0"] }
}

/// The `PostgreSQL` lines to test on: 9.6 and 16, or the whole support matrix with `./test --long`.
pub fn postgres_versions() -> &'static [&'static str] {
    if whole_matrix() { &["9.6", "12", "15", "16", "17", "18"] } else { &["9.6", "16"] }
}

/// True when `./test --long` asked for the whole support matrix.
pub fn whole_matrix() -> bool {
    env::var_os("KONGFERRY_TEST_MATRIX").is_some_and(|value| value == "1")
}

/// A server, or why there is none.
type Outcome<S> = Result<S, String>;

/// The servers of one kind, each started once; one that failed is not tried again.
struct Started<S: 'static> {
    /// By line.
    slots: Mutex<BTreeMap<String, &'static OnceLock<Outcome<S>>>>,
}

impl<S> Started<S> {
    const fn new() -> Self {
        Self { slots: Mutex::new(BTreeMap::new()) }
    }

    /// The map is locked only for the look-up, so that servers of different lines start side by side.
    fn get(
        &self,
        kind: &str,
        version: &str,
        options: &[&str],
        parse: impl FnOnce(&str) -> Option<S>,
    ) -> &'static S {
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = *slots.entry(version.to_owned()).or_insert_with(|| Box::leak(Box::new(OnceLock::new())));
        drop(slots);
        let outcome = slot.get_or_init(|| {
            let address = address(kind, version, options)?;
            parse(&address)
                .ok_or_else(|| format!("{kind} {version}: `{address}` is no address of such a server"))
        });
        match outcome {
            Ok(server) => server,
            Err(reason) => panic!("no {kind} {version} to test with: {reason}"),
        }
    }
}

/// Where the server listens: what the environment says, else what the script that starts one prints.
fn address(kind: &str, version: &str, options: &[&str]) -> Outcome<String> {
    let variable =
        format!("KONGFERRY_TEST_{}_{}", kind.to_uppercase(), version.replace(['.', '+'], "_").to_uppercase());
    if let Ok(address) = env::var(&variable) {
        return Ok(address);
    }
    started(kind, version, options, "unlimited")
}

/// Starts the server, unless it runs, and prints where it listens.
fn started(kind: &str, version: &str, options: &[&str], longest_file: &str) -> Outcome<String> {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (line, more): (_, &[&str]) = match version.split_once('+') {
        Some((line, "users")) => (line, &["--auth"]),
        Some((line, _)) => (line, &[]),
        None => (version, &[]),
    };
    let options = if version.ends_with("+own") || version.ends_with("+second") { &[] } else { options };
    let beside = version.strip_suffix("+second").map(|line| {
        let first = directory(checkout, kind, &format!("{line}+first"));
        ["--beside".into(), first.into_os_string(), "127.0.0.2".into()]
    });
    let output = Command::new("bash")
        .args(["-c", &format!("ulimit -S -f {longest_file}; exec \"$@\""), "start"])
        .arg(checkout.join("tests/servers").join(kind))
        .args(["start", line])
        .arg(directory(checkout, kind, version))
        .args(["--parent", &process::id().to_string()])
        .args(more)
        .args(options)
        .args(beside.into_iter().flatten())
        .output()
        .map_err(|error| format!("tests/servers/{kind} did not run: {error}"))?;
    if !output.status.success() {
        return Err(format!("tests/servers/{kind} failed\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn directory(checkout: &Path, kind: &str, version: &str) -> PathBuf {
    run_directory(checkout).join(format!("{kind}-{version}"))
}

/// Process id of a server that this process has started.
fn process(kind: &str, version: &str) -> String {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pid =
        fs::read_to_string(directory(checkout, kind, version).join("pid")).expect("it was started here");
    pid.split(' ').next().unwrap_or_default().to_owned()
}

/// Ends a server of a test's own with this signal, and waits until it is gone.
pub fn end(kind: &str, version: &str, signal: &str) {
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pid = process(kind, version);
    let killed = Command::new("kill").args([format!("-{signal}"), pid]).status();
    assert!(killed.expect("kill runs").success(), "no {kind} {version} to end");
    let stop = Command::new(checkout.join("tests/servers").join(kind))
        .arg("stop")
        .arg(directory(checkout, kind, version))
        .output();
    assert!(stop.expect("the script runs").status.success());
}

/// Starts a server of a test's own again, with its data, where it was.
pub fn start_again(kind: &str, version: &str) {
    start_again_with(kind, version, "unlimited");
}

/// The same, and it can write no file longer than so many KiB.
pub fn start_again_with(kind: &str, version: &str, longest_file: &str) {
    let before = address_of(kind, version);
    let now = started(kind, version, &[], longest_file)
        .unwrap_or_else(|why| panic!("{kind} {version} does not come back: {why}"));
    assert!(before.contains(&now) || now.contains(&before), "it came back elsewhere: {before}, {now}");
}

fn address_of(kind: &str, version: &str) -> String {
    if kind == "cassandra" { cassandra(version).address() } else { postgres(version).url.clone() }
}

/// The directory of this process below `.cache/run`. Those that ended processes left behind, logs mostly, go.
fn run_directory(checkout: &Path) -> PathBuf {
    static SWEPT: OnceLock<()> = OnceLock::new();
    let runs = checkout.join(".cache/run");
    SWEPT.get_or_init(|| {
        for entry in fs::read_dir(&runs).into_iter().flatten().flatten() {
            if !Path::new("/proc").join(entry.file_name()).exists() {
                // Another test process may be sweeping too; what is left over goes with the next run.
                let _ = fs::remove_dir_all(entry.path());
            }
        }
    });
    runs.join(process::id().to_string())
}
