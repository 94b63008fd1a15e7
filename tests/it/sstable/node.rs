//! A Cassandra of the test's own, whose files can be read: it flushes, compacts and snapshots on demand.

use std::path::{Path, PathBuf};
use std::process::{self, Command};

use scylla::client::session::Session;
use scylla::client::session_builder::SessionBuilder;
use tokio::sync::{Mutex, MutexGuard};

/// What writes the files: a line of Cassandra, with or without what 5.0 has new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Writer {
    /// Name of the kind.
    pub name: &'static str,
    /// The line.
    pub line: &'static str,
    /// Version of its files.
    pub version: &'static str,
    settings: &'static [&'static str],
}

const NEW: &str = "storage_compatibility_mode: NONE";
const TRIES: &str = "sstable: {selected_format: bti}";
const LONG_IDS: &str = "uuid_sstable_identifiers_enabled: true";

/// Writers of every version there is a server for.
pub const WRITERS: [Writer; 5] = [
    Writer { name: "3.11", line: "3.11", version: "me", settings: &[] },
    Writer { name: "4.1", line: "4.1", version: "nb", settings: &[] },
    Writer { name: "5.0", line: "5.0", version: "nb", settings: &[] },
    Writer { name: "5.0-oa", line: "5.0", version: "oa", settings: &[NEW] },
    Writer { name: "5.0-da", line: "5.0", version: "da", settings: &[NEW, TRIES, LONG_IDS] },
];

/// A running node; ends with the value. Only one runs at a time, since each takes a gigabyte.
pub struct Node {
    pub writer: Writer,
    pub session: Session,
    /// Its CQL address.
    pub address: String,
    dir: PathBuf,
    _turn: MutexGuard<'static, ()>,
}

/// Waits until no other test of this kind has servers.
pub async fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::const_new(());
    TURN.lock().await
}

/// The script that starts and stops them.
pub fn script() -> Command {
    Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/cassandra"))
}

/// Runs it and gives what it prints.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {error}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Where a server of this test run keeps its files.
pub fn directory(name: &str) -> PathBuf {
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/run").join(process::id().to_string());
    runs.join(name)
}

impl Node {
    pub async fn start(writer: Writer) -> Self {
        let turn = turn().await;
        let dir = directory(&format!("sstable-{}", writer.name));
        let mut start = script();
        start.args(["start", writer.line]).arg(&dir).args([
            "--volatile",
            "--parent",
            &process::id().to_string(),
        ]);
        for setting in writer.settings {
            start.args(["--set", setting]);
        }
        let address = run(&mut start);
        let session =
            SessionBuilder::new().known_node(&address).fetch_schema_metadata(false).build().await.unwrap();
        Self { writer, session, address, dir, _turn: turn }
    }

    /// Runs a command of nodetool.
    pub fn tool(&self, arguments: &[&str]) {
        run(script().arg("tool").arg(&self.dir).args(arguments));
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data/data")
    }

    /// Where a snapshot of a table is, by table name.
    pub fn snapshot(&self, keyspace: &str, table: &str, tag: &str) -> PathBuf {
        let mut found = Vec::new();
        for entry in std::fs::read_dir(self.data().join(keyspace)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if name.rsplit_once('-').is_some_and(|(name, _)| name == table) {
                found.push(entry.path().join("snapshots").join(tag));
            }
        }
        assert_eq!(found.len(), 1, "directories of {table}");
        found.remove(0)
    }

    /// Runs one statement.
    pub async fn cql(&self, statement: &str) {
        if let Err(error) = self.session.query_unpaged(statement, ()).await {
            panic!("{statement}: {error}");
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = script().arg("stop").arg(&self.dir).arg("--now").output();
    }
}
