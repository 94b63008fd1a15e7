//! Finding the tables of a keyspace below the directories a user names, one for each node.
//!
//! A directory is a node's data directory or a copy of it, with `keyspace/table-id/snapshots/tag/` below; or a copied tree in
//! which `keyspace/table-id/` (or `table-id/` alone) holds the files of the snapshot itself.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::completeness::Taken;
use super::instant::parse_instant;
use crate::error::{Error, ErrorKind, Result};
use crate::sstable::Descriptor;

/// File in which nodetool lists the others.
const MANIFEST: &str = "manifest.json";
/// File in which Cassandra describes the table.
const SCHEMA: &str = "schema.cql";

/// The directory of one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeDirectory {
    /// What the user calls the node.
    pub name: Option<String>,
    /// Its data directory, or a copy of its snapshots.
    pub path: PathBuf,
}

impl From<PathBuf> for NodeDirectory {
    fn from(path: PathBuf) -> Self {
        Self { name: None, path }
    }
}

impl fmt::Display for NodeDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => write!(f, "{} (node {name})", self.path.display()),
            None => write!(f, "{}", self.path.display()),
        }
    }
}

/// Where to look.
#[derive(Debug, Clone, Default)]
pub struct SnapshotPlace {
    /// One directory for each node.
    pub nodes: Vec<NodeDirectory>,
    /// Name of the snapshot; may be left out when there is only one.
    pub tag: Option<String>,
}

/// The snapshot directories of each table, by table name and node.
pub(super) type Found = BTreeMap<String, Vec<PathBuf>>;

pub(super) fn refused(message: String) -> Error {
    Error::new(ErrorKind::Preflight, message)
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    refused(format!("the snapshot directory {} cannot be read", path.display()))
        .because(error)
        .remedy("let the user that runs kongferry read the copied snapshot; Cassandra's own files often belong to its user alone")
}

/// Names in a directory and whether each is a directory itself.
fn entries(path: &Path) -> Result<Vec<(String, bool)>> {
    let failed = |error: std::io::Error| unreadable(path, &error);
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_dir = fs::metadata(entry.path()).map_err(|error| unreadable(&entry.path(), &error))?.is_dir();
        let Ok(name) = entry.file_name().into_string() else { continue };
        names.push((name, is_dir));
    }
    names.sort();
    Ok(names)
}

/// The names of the files of a directory.
pub(super) fn files(path: &Path) -> Result<Vec<String>> {
    Ok(entries(path)?.into_iter().filter(|(_, is_dir)| !is_dir).map(|(name, _)| name).collect())
}

fn directories(path: &Path) -> Result<Vec<String>> {
    Ok(entries(path)?.into_iter().filter(|(_, is_dir)| *is_dir).map(|(name, _)| name).collect())
}

/// Table and id of a directory `table-<32 hexadecimal digits>`.
fn table_of(name: &str) -> Option<(&str, &str)> {
    let (table, id) = name.rsplit_once('-')?;
    (id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit())).then_some((table, id))
}

/// The directory that holds the tables of `keyspace`, if there is one.
fn keyspace_directory(root: &Path, keyspace: &str) -> Result<Option<PathBuf>> {
    for candidate in [root.join(keyspace), root.join("data").join(keyspace)] {
        if candidate.is_dir() {
            return Ok(Some(candidate));
        }
    }
    let is_keyspace = directories(root)?.iter().any(|name| table_of(name).is_some());
    Ok(is_keyspace.then(|| root.to_path_buf()))
}

/// What a table's directory holds.
enum Holds {
    /// Snapshots by these names.
    Snapshots(Vec<String>),
    /// The files of a snapshot.
    Files,
    Nothing,
}

fn look(path: &Path) -> Result<Holds> {
    let snapshots = path.join("snapshots");
    if snapshots.is_dir() {
        return Ok(Holds::Snapshots(directories(&snapshots)?));
    }
    let files = files(path)?;
    if files.iter().any(|name| name == MANIFEST || name == SCHEMA) {
        return Ok(Holds::Files);
    }
    // Files of versions that are not read here count as well: they must not look like no files.
    if files.iter().any(|name| !matches!(Descriptor::parse(name), Ok(None))) {
        return Err(refused(format!("{} holds SSTables, but neither manifest.json nor schema.cql", path.display())).remedy(
            "name a snapshot that `nodetool snapshot` took, with all its files, not the directory of a live table: \
             its files change while they are read",
        ));
    }
    Ok(Holds::Nothing)
}

/// Finds the tables of `keyspace` in all directories; the name of the snapshot comes with them.
pub(super) fn find(place: &SnapshotPlace, keyspace: &str) -> Result<(Found, Option<String>)> {
    let mut held = Vec::new();
    let mut tags = BTreeSet::new();
    for node in &place.nodes {
        let root = &node.path;
        let Some(tables) = keyspace_directory(root, keyspace)? else {
            return Err(refused(format!("{node} holds no keyspace {keyspace}")).remedy(
                "name, for each node, the directory with `KEYSPACE/TABLE-ID/snapshots/TAG` below it",
            ));
        };
        for name in directories(&tables)? {
            let table = table_of(&name).map_or(name.as_str(), |(table, _)| table).to_owned();
            let path = tables.join(&name);
            let holds = look(&path)?;
            if let Holds::Snapshots(names) = &holds {
                // Left behind by TRUNCATE and DROP: old data.
                let old = |tag: &String| tag.starts_with("truncated-") || tag.starts_with("dropped-");
                tags.extend(names.iter().filter(|tag| !old(tag)).cloned());
            }
            held.push((root, table, path, holds));
        }
    }
    let tag = match &place.tag {
        Some(tag) => Some(tag.clone()),
        None if tags.len() > 1 => {
            let names: Vec<_> = tags.into_iter().collect();
            return Err(refused(format!("there are several snapshots of keyspace {keyspace}"))
                .remedy(format!("choose one with --snapshot: {}", names.join(", "))));
        }
        None => tags.into_iter().next(),
    };
    let mut found = Found::new();
    let mut by_node: BTreeMap<(PathBuf, String), PathBuf> = BTreeMap::new();
    for (root, table, path, holds) in held {
        let path = match (holds, &tag) {
            (Holds::Files, _) => path,
            (Holds::Snapshots(names), Some(tag)) if names.contains(tag) => path.join("snapshots").join(tag),
            _ => continue,
        };
        if let Some(other) = by_node.insert((root.clone(), table.clone()), path.clone()) {
            let message = format!("table {table} is there twice: {} and {}", other.display(), path.display());
            return Err(refused(message)
                .remedy("keep the one whose id the present schema has; the other was dropped"));
        }
        found.entry(table).or_default().push(path);
    }
    if found.is_empty() {
        let what = tag.as_ref().map_or_else(|| "no snapshot".to_owned(), |tag| format!("no snapshot {tag}"));
        return Err(refused(format!("there is {what} of keyspace {keyspace}"))
            .remedy("take one with `nodetool snapshot -t TAG KEYSPACE` on every node"));
    }
    Ok((found, tag))
}

/// Compares a snapshot's files with its manifest. Tells when it was taken.
pub(super) fn check_manifest(path: &Path, names: &[String]) -> Result<Option<Taken>> {
    if !names.iter().any(|name| name == MANIFEST) {
        return Ok(file_time(&path.join(SCHEMA)));
    }
    let text =
        fs::read_to_string(path.join(MANIFEST)).map_err(|error| unreadable(&path.join(MANIFEST), &error))?;
    let no_manifest = || refused(format!("{} is not what nodetool writes", path.join(MANIFEST).display()));
    let manifest: serde_json::Value = serde_json::from_str(&text).map_err(|_| no_manifest())?;
    let listed = manifest.get("files").and_then(serde_json::Value::as_array).ok_or_else(no_manifest)?;
    let listed: BTreeSet<&str> = listed.iter().filter_map(serde_json::Value::as_str).collect();
    let mut below: BTreeSet<String> = names.iter().cloned().collect();
    // Secondary indexes lie in directories of their own, which are not read. 3.11 lists their files among the others.
    for directory in directories(path)? {
        below.extend(files(&path.join(directory))?);
    }
    if let Some(missing) = listed.iter().find(|listed| !listed.contains('/') && !below.contains(**listed)) {
        return Err(refused(format!(
            "{} is missing, which the snapshot's manifest lists",
            path.join(missing).display()
        ))
        .remedy("copy the snapshot again, with all its files"));
    }
    let surplus = names.iter().find(|name| name.ends_with("-Data.db") && !listed.contains(name.as_str()));
    if let Some(surplus) = surplus {
        return Err(refused(format!("{} is not in the snapshot's manifest", path.join(surplus).display()))
            .remedy("keep the files of one snapshot apart from other files"));
    }
    let created = manifest.get("created_at").and_then(serde_json::Value::as_str).and_then(parse_instant);
    Ok(match created {
        Some(at) => Some(Taken { first: at, last: at, recorded: true }),
        None => file_time(&path.join(MANIFEST)),
    })
}

/// When a file was written, in place of what a manifest should tell.
fn file_time(file: &Path) -> Option<Taken> {
    let written = fs::metadata(file).ok()?.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    let at = i64::try_from(written.as_secs()).ok()?;
    Some(Taken { first: at, last: at, recorded: false })
}

/// Reads a `schema.cql`.
pub(super) fn schema_text(path: &Path) -> Result<String> {
    let file = path.join(SCHEMA);
    fs::read_to_string(&file).map_err(|error| {
        refused(format!("{} cannot be read", file.display()))
            .because(error)
            .remedy("copy the snapshot again, with all its files: schema.cql says what its columns are")
    })
}
