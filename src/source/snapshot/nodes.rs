//! Which nodes of the cluster a snapshot holds, as far as the directories have the keyspace `system` with them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use uuid::Uuid;

use super::directories::{SnapshotPlace, files, find, refused};
use super::failure::while_opening;
use crate::error::Result;
use crate::sstable::{Column, ColumnKind, Definition, Descriptor, SsTable, Table, Tokens};

/// What is known of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Name of the cluster, where any directory tells it.
    pub cluster_name: Option<String>,
    /// Host ids of the nodes whose directories are there.
    pub present: BTreeSet<Uuid>,
    /// Host ids of nodes that those know of, and that are not there. With replication factor R and writes at W replicas, up to
    /// R - W nodes of each range can be absent without rows being missed.
    pub absent: BTreeSet<Uuid>,
    /// Directories that do not say which node they are of.
    pub unknown: Vec<PathBuf>,
}

impl Nodes {
    /// Looks into each directory.
    ///
    /// # Errors
    ///
    /// When directories are of different clusters, or two of the same node.
    pub(super) fn of(place: &SnapshotPlace, tag: Option<&str>, now: i64) -> Result<Self> {
        let mut nodes = Self::default();
        let mut known = BTreeSet::new();
        for root in &place.directories {
            let Some(node) = Node::read(root, tag, now)? else {
                nodes.unknown.push(root.clone());
                continue;
            };
            match &nodes.cluster_name {
                Some(name) if *name != node.cluster_name => {
                    let message =
                        format!("{} is of the cluster {}, not of {name}", root.display(), node.cluster_name);
                    return Err(refused(message).remedy("keep the snapshots of different clusters apart"));
                }
                _ => nodes.cluster_name = Some(node.cluster_name),
            }
            if !nodes.present.insert(node.host_id) {
                let message = format!("{} is of a node that another directory is of, too", root.display());
                return Err(refused(message).remedy("name each node's directory once"));
            }
            known.extend(node.peers);
        }
        nodes.absent = known.difference(&nodes.present).copied().collect();
        Ok(nodes)
    }
}

/// A node as it knew itself and the others.
struct Node {
    cluster_name: String,
    host_id: Uuid,
    peers: BTreeSet<Uuid>,
}

/// A table of the keyspace `system`: its key columns; the schema of system tables is in no snapshot.
struct SystemTable {
    name: &'static str,
    clustering: &'static [&'static str],
}

const LOCAL: SystemTable = SystemTable { name: "local", clustering: &[] };
const PEERS: [SystemTable; 2] = [
    SystemTable { name: "peers", clustering: &[] },
    // From Cassandra 4.0 on.
    SystemTable { name: "peers_v2", clustering: &["peer_port"] },
];

impl Node {
    /// Reads what a node's directory says of it; `None` when it does not have these tables.
    fn read(root: &Path, tag: Option<&str>, now: i64) -> Result<Option<Self>> {
        let place = SnapshotPlace { directories: vec![root.to_path_buf()], tag: tag.map(str::to_owned) };
        let Ok((found, _)) = find(&place, "system") else { return Ok(None) };
        let read = |table: &SystemTable, columns: &[&str]| match found
            .get(table.name)
            .and_then(|paths| paths.first())
        {
            Some(path) => rows(path, table, columns, now),
            None => Ok(Vec::new()),
        };
        let uuid = |value: Option<&Vec<u8>>| Uuid::from_slice(value?).ok();
        let local = read(&LOCAL, &["cluster_name", "host_id"])?;
        let Some([name, host_id]) = local.first().map(Vec::as_slice) else { return Ok(None) };
        let (Some(name), Some(host_id)) = (name, uuid(host_id.as_ref())) else { return Ok(None) };
        let mut peers = BTreeSet::new();
        for table in &PEERS {
            peers.extend(read(table, &["host_id"])?.iter().filter_map(|row| uuid(row.first()?.as_ref())));
        }
        Ok(Some(Self { cluster_name: String::from_utf8_lossy(name).into_owned(), host_id, peers }))
    }
}

/// Values of some columns of a small table.
fn rows(path: &Path, table: &SystemTable, columns: &[&str], now: i64) -> Result<Vec<Vec<Option<Vec<u8>>>>> {
    let failed = |error| while_opening(&format!("system.{}", table.name), &error);
    let names = files(path)?;
    let mut sstables = Vec::new();
    for descriptor in Descriptor::group(names.iter().map(String::as_str)).map_err(failed)?.keys() {
        sstables.push(Arc::new(SsTable::open(path, descriptor).map_err(failed)?));
    }
    let column = |name: &str, kind| Column { name: name.to_owned(), kind, ty: None };
    let mut all = vec![column("key", ColumnKind::PartitionKey)];
    all.extend(table.clustering.iter().map(|name| column(name, ColumnKind::Clustering)));
    let first = all.len();
    all.extend(columns.iter().map(|name| column(name, ColumnKind::Regular)));
    let definition = Definition { columns: all, some_columns: true, ..Definition::default() };
    let files = Arc::new(Table::new(&definition, sstables).map_err(failed)?);
    let mut scan = files.scan(Tokens::default(), now).map_err(failed)?;
    let mut rows = Vec::new();
    while let Some(row) = scan.next_row().map_err(failed)? {
        let value = |place| row.cell(place).map(|cell| cell.value.to_vec());
        rows.push((first..first + columns.len()).map(value).collect());
    }
    Ok(rows)
}
