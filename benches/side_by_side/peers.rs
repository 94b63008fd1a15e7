//! The peers: DSBulk with psql, the way that guides describe, and cqlsh for the read half.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::contender::Run;
use crate::place::{Place, TABLES};
use crate::process::{self, Ended};

/// DSBulk's jars, the Java that runs them, and the psql that loads what they unload.
#[derive(Clone)]
pub struct Dsbulk {
    /// Directory of the jars.
    pub jars: PathBuf,
    /// Java.
    pub java: PathBuf,
    /// psql.
    pub psql: PathBuf,
}

/// The program cqlsh.
#[derive(Clone)]
pub struct Cqlsh(pub PathBuf);

/// What is unloaded of a table: a lifetime is no column of its own.
fn columns(table: &str) -> &'static str {
    match table {
        "workspaces" => "id, name, comment, created_at, meta, config",
        "consumers" => "id, ws_id, created_at, username, custom_id, tags",
        "basicauth_credentials" => "id, ws_id, created_at, consumer_id, username, password, tags",
        _ => "id, ws_id, created_at, consumer_id, key, tags",
    }
}

/// Unloads every table to CSV files, copies them into staging tables, and makes Kong's rows of them.
pub fn dsbulk(
    place: &Place,
    dsbulk: &Dsbulk,
    consumers: u64,
    target: &str,
    rows: u64,
) -> Result<Run, String> {
    let files = place.scratch.join("csv");
    let mut run = Run { seconds: 0.0, rows, peak_memory: 0, steps: Vec::new(), proof: None, content: None };
    let mut add = |step: String, ended: &Ended| {
        run.seconds += ended.seconds;
        run.peak_memory = run.peak_memory.max(ended.peak_memory);
        run.steps.push((step, ended.seconds));
    };
    let unloaded_at = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let mut script = include_str!("staging.sql").to_owned();
    for table in TABLES {
        let folder = files.join(table);
        empty(&folder)?;
        let ended = unload(place, dsbulk, consumers, table, &folder)?;
        add(format!("unload {table}"), &ended);
        for (file, head) in csv_files(&folder)? {
            script += &format!(
                "\\copy staged.{table} ({head}) FROM '{}' WITH (FORMAT csv, HEADER)\n",
                file.display()
            );
        }
    }
    script += include_str!("transform.sql");
    let path = place.scratch.join("load.sql");
    fs::write(&path, script).map_err(|error| format!("cannot write {}: {error}", path.display()))?;
    let mut command = Command::new(&dsbulk.psql);
    command.args([target, "--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]);
    command.args(["--set", &format!("unloaded_at={unloaded_at}"), "--file"]).arg(&path);
    let ended = process::run(&mut command, &place.scratch, "psql")?;
    add("psql".to_owned(), &ended);
    drop(fs::remove_dir_all(&files));
    Ok(run)
}

fn unload(
    place: &Place,
    dsbulk: &Dsbulk,
    consumers: u64,
    table: &str,
    folder: &Path,
) -> Result<Ended, String> {
    let lifetime = if table == "keyauth_credentials" { ", TTL(key) AS lifetime" } else { "" };
    let query = format!("SELECT {}{lifetime} FROM {}.{table}", columns(table), Place::keyspace(consumers));
    let (host, port) = place.cassandra.rsplit_once(':').ok_or("Cassandra's address has no port")?;
    let mut command = Command::new(&dsbulk.java);
    command.arg("-cp").arg(dsbulk.jars.join("*")).arg("com.datastax.oss.dsbulk.runner.DataStaxBulkLoader");
    command.args(["unload", "-h", host, "-port", port, "-query", &query, "-header", "true"]);
    // Quotes doubled, as PostgreSQL reads them.
    command.args(["--connector.csv.escape", "\\\"", "-url"]).arg(folder);
    command.arg("-logDir").arg(place.scratch.join("dsbulk-logs"));
    process::run(&mut command, &place.scratch, &format!("dsbulk-{table}"))
}

/// The files of a folder, each with the columns that its first line names.
fn csv_files(folder: &Path) -> Result<Vec<(PathBuf, String)>, String> {
    let broken = |error: std::io::Error| format!("cannot read {}: {error}", folder.display());
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).map_err(broken)? {
        let path = entry.map_err(broken)?.path();
        let mut head = String::new();
        BufReader::new(fs::File::open(&path).map_err(broken)?).read_line(&mut head).map_err(broken)?;
        files.push((path, head.trim().to_owned()));
    }
    files.sort();
    Ok(files)
}

/// Exports every table to a CSV file.
pub fn cqlsh(place: &Place, cqlsh: &Cqlsh, consumers: u64, rows: u64) -> Result<Run, String> {
    let files = place.scratch.join("cqlsh");
    empty(&files)?;
    let keyspace = Place::keyspace(consumers);
    let statements: Vec<String> = TABLES
        .map(|table| {
            let file = files.join(table);
            format!(
                "COPY {keyspace}.{table} ({}) TO '{}' WITH HEADER = TRUE;",
                columns(table),
                file.display()
            )
        })
        .to_vec();
    let (host, port) = place.cassandra.rsplit_once(':').ok_or("Cassandra's address has no port")?;
    let mut command = Command::new(&cqlsh.0);
    command.args([host, port, "-e", &statements.join(" ")]);
    let ended = process::run(&mut command, &place.scratch, "cqlsh")?;
    drop(fs::remove_dir_all(&files));
    let exported: u64 = ended
        .stdout
        .lines()
        .filter_map(|line| line.split_once(" rows exported")?.0.trim().parse::<u64>().ok())
        .sum();
    if exported != rows {
        return Err(format!("{exported} rows exported instead of {rows}"));
    }
    Ok(Run::of(&ended, rows))
}

/// Makes an empty folder.
fn empty(folder: &Path) -> Result<(), String> {
    drop(fs::remove_dir_all(folder));
    fs::create_dir_all(folder).map_err(|error| format!("cannot create {}: {error}", folder.display()))
}
