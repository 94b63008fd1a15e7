//! The machine and the servers, for whoever reads the figures later.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use serde::Serialize;

use crate::place::Place;

/// Settings of PostgreSQL that decide how fast it loads.
const SETTINGS: [&str; 8] = [
    "fsync",
    "full_page_writes",
    "synchronous_commit",
    "shared_buffers",
    "max_wal_size",
    "maintenance_work_mem",
    "max_parallel_maintenance_workers",
    "wal_level",
];

/// What the figures were measured on.
#[derive(Debug, Serialize)]
pub struct Host {
    /// Model of the processor.
    pub processor: String,
    /// Cores this process may use.
    pub cores: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Kernel release.
    pub kernel: String,
    /// The Java of Cassandra and DSBulk.
    pub java: String,
    /// Release of Cassandra.
    pub cassandra: String,
    /// Its heap.
    pub cassandra_heap: String,
    /// Release of PostgreSQL.
    pub postgres: String,
    /// Its settings.
    pub postgres_settings: BTreeMap<String, String>,
    /// Versions of the peers' programs.
    pub peers: Vec<String>,
}

impl Host {
    /// Looks around; what cannot be found stays empty.
    pub async fn look(place: &Place, java: Option<&str>, peers: Vec<String>) -> Self {
        let mut postgres_settings = BTreeMap::new();
        for name in SETTINGS {
            let value = place.setting(name).await;
            // Old servers do not have all of them.
            if !value.is_empty() {
                postgres_settings.insert(name.to_owned(), value);
            }
        }
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':'))
                .map_or(String::new(), |(_, value)| value.trim().to_owned())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory_kib: u64 = memory.split_whitespace().next().and_then(|kib| kib.parse().ok()).unwrap_or(0);
        Self {
            processor: field(&read("/proc/cpuinfo"), "model name"),
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            memory_bytes: memory_kib * 1024,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            java: java.map_or(String::new(), |java| first_line(java, "-version")),
            cassandra: place.cassandra_release().await,
            cassandra_heap: std::env::var("KONGFERRY_CASSANDRA_HEAP").unwrap_or_else(|_| "1g".to_owned()),
            postgres: place.setting("server_version").await,
            postgres_settings,
            peers,
        }
    }
}

/// The first line a program says about its version.
pub fn first_line(program: &str, option: &str) -> String {
    let Ok(said) = Command::new(program).arg(option).output() else { return String::new() };
    let text = [said.stdout, said.stderr].concat();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()
}
