//! What the integration tests share: servers, estates on them, the program as a child process, and what a migration must
//! bring about, computed without the program's own code.

use std::future::Future;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

pub mod database;
pub mod expected;
pub mod gate;
pub mod keyspace;
pub mod once;
pub mod program;
pub mod proxy;
pub mod servers;

use kongferry::estate::KongVersion;

/// A source line, a target line and the Kong version of both schemas.
#[derive(Debug, Clone, Copy)]
pub struct Pair {
    /// Cassandra line, such as `3.11`.
    pub cassandra: &'static str,
    /// PostgreSQL line, such as `9.6`.
    pub postgres: &'static str,
    /// Kong's schema on both.
    pub kong: KongVersion,
}

/// The pairs of servers an estate of that Kong version moves between: both Cassandra lines and both PostgreSQL lines in every
/// run (crossed over the two Kong versions, so that every combination of lines is met), or the whole support matrix with
/// `./test --long`.
pub fn pairs(kong: KongVersion) -> Vec<Pair> {
    let (sources, targets) = (servers::cassandra_versions(), servers::postgres_versions());
    let all = sources
        .iter()
        .flat_map(|cassandra| targets.iter().map(move |postgres| Pair { cassandra, postgres, kong }));
    if servers::whole_matrix() {
        return all.collect();
    }
    let straight = kong == KongVersion::V2_8;
    let place = |lines: &[&str], line: &str| lines.iter().position(|one| *one == line);
    all.filter(|pair| (place(sources, pair.cassandra) == place(targets, pair.postgres)) == straight).collect()
}

/// Runs `work` on the runtime all tests share, so that sessions opened by one test serve the others.
pub fn run<T>(work: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> = LazyLock::new(|| {
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
    });
    RUNTIME.block_on(work)
}

/// A name for a keyspace or database that nothing else on a shared server has.
pub fn unique(label: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("tests_{}_{}_{label}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}
