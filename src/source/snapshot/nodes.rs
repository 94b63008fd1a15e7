//! Which nodes of the cluster a snapshot holds, as far as the directories have the keyspace `system` with them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use uuid::Uuid;

use super::directories::{NodeDirectory, SnapshotPlace, files, find, refused};
use super::failure::while_opening;
use super::ring::{Member, Replication};
use crate::error::Result;
use crate::sstable::{Column, ColumnKind, Definition, Descriptor, SsTable, Table, Tokens};

/// What is known of the nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Nodes {
    /// Name of the cluster, where any directory tells it.
    pub cluster_name: Option<String>,
    /// Host ids of the nodes whose directories are there.
    pub present: BTreeSet<Uuid>,
    /// Host ids of nodes that those know of, and that are not there.
    pub absent: BTreeSet<Uuid>,
    /// Directories that do not say which node they are of.
    pub unknown: Vec<NodeDirectory>,
    /// Places of all nodes, as those that are there know them.
    pub ring: BTreeMap<Uuid, Member>,
    /// How the keyspace is replicated, where a directory has keyspace `system_schema`.
    pub replication: Option<Replication>,
}

impl Nodes {
    /// Looks into each directory.
    ///
    /// # Errors
    ///
    /// When directories are of different clusters, or two of the same node.
    pub(super) fn of(place: &SnapshotPlace, keyspace: &str, tag: Option<&str>, now: i64) -> Result<Self> {
        let mut nodes = Self::default();
        let mut named: BTreeMap<Uuid, &NodeDirectory> = BTreeMap::new();
        for directory in &place.nodes {
            if nodes.replication.is_none() {
                nodes.replication = replication(directory, keyspace, tag, now)?;
            }
            let Some(node) = Node::read(directory, tag, now)? else {
                nodes.unknown.push(directory.clone());
                continue;
            };
            match &nodes.cluster_name {
                Some(name) if *name != node.cluster_name => {
                    let message =
                        format!("{directory} is of the cluster {}, not of {name}", node.cluster_name);
                    return Err(refused(message).remedy("keep the snapshots of different clusters apart"));
                }
                _ => nodes.cluster_name = Some(node.cluster_name),
            }
            if let Some(other) = named.insert(node.host_id, directory) {
                return Err(refused(format!("{directory} and {other} are of the same node"))
                    .remedy("name each node's directory once"));
            }
            nodes.present.insert(node.host_id);
            for (id, member) in node.peers {
                // A node knows itself best, and the others alike.
                let known = nodes.ring.entry(id).or_insert_with(|| member.clone());
                known.address = known.address.take().or(member.address);
            }
            let address = nodes.ring.remove(&node.host_id).and_then(|member| member.address);
            nodes.ring.insert(node.host_id, Member { address, ..node.member });
        }
        nodes.absent = nodes.ring.keys().filter(|id| !nodes.present.contains(id)).copied().collect();
        Ok(nodes)
    }
}

/// A node as it knew itself and the others.
struct Node {
    cluster_name: String,
    host_id: Uuid,
    member: Member,
    peers: BTreeMap<Uuid, Member>,
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
const KEYSPACES: SystemTable = SystemTable { name: "keyspaces", clustering: &[] };

/// Columns that say where a node is; `local` and both tables of peers have them.
const WHERE: [&str; 4] = ["host_id", "data_center", "rack", "tokens"];

impl Node {
    /// Reads what a node's directory says of it; `None` when it does not have these tables.
    fn read(directory: &NodeDirectory, tag: Option<&str>, now: i64) -> Result<Option<Self>> {
        let Some(found) = tables_of(directory, "system", tag) else { return Ok(None) };
        let read = |table: &SystemTable, columns: &[&str]| match found
            .get(table.name)
            .and_then(|paths| paths.first())
        {
            Some(path) => rows(path, ("system", table), columns, now),
            None => Ok(Vec::new()),
        };
        let local = read(&LOCAL, &["cluster_name", WHERE[0], WHERE[1], WHERE[2], WHERE[3]])?;
        let Some((_, [name, place @ ..])) = local.first().map(|(key, cells)| (key, cells.as_slice())) else {
            return Ok(None);
        };
        let (Some(name), Some((host_id, member))) = (name.text(), member_of(place)) else { return Ok(None) };
        let mut peers = BTreeMap::new();
        for table in &PEERS {
            for (key, cells) in read(table, &WHERE)? {
                let Some((id, mut member)) = member_of(&cells) else { continue };
                member.address = address(&key);
                peers.entry(id).or_insert(member);
            }
        }
        Ok(Some(Self { cluster_name: name, host_id, member, peers }))
    }
}

/// The tables of a keyspace that a directory has; `None` when it has none of it.
fn tables_of(
    directory: &NodeDirectory,
    keyspace: &str,
    tag: Option<&str>,
) -> Option<super::directories::Found> {
    let place = SnapshotPlace { nodes: vec![directory.clone()], tag: tag.map(str::to_owned) };
    find(&place, keyspace).ok().map(|(found, _)| found)
}

/// How `keyspace` is replicated, where the directory tells it.
fn replication(
    directory: &NodeDirectory,
    keyspace: &str,
    tag: Option<&str>,
    now: i64,
) -> Result<Option<Replication>> {
    let found = tables_of(directory, "system_schema", tag);
    let Some(path) = found.as_ref().and_then(|found| found.get(KEYSPACES.name)?.first()) else {
        return Ok(None);
    };
    let rows = rows(path, ("system_schema", &KEYSPACES), &["replication"], now)?;
    let row = rows.iter().find(|(key, _)| key.as_slice() == keyspace.as_bytes());
    Ok(row.and_then(|(_, cells)| Replication::parse(&text_map(cells.first()?.value.as_ref()?)?)))
}

/// Host id and place of a node, from the columns [`WHERE`].
fn member_of(cells: &[SystemCell]) -> Option<(Uuid, Member)> {
    let [host_id, datacenter, rack, tokens] = cells else { return None };
    let id = Uuid::from_slice(host_id.value.as_ref()?).ok()?;
    let token = |text: &Vec<u8>| std::str::from_utf8(text).ok()?.parse().ok();
    let member = Member {
        tokens: tokens.elements.iter().filter_map(token).collect(),
        datacenter: datacenter.text().unwrap_or_default(),
        rack: rack.text().unwrap_or_default(),
        address: None,
    };
    Some((id, member))
}

/// An address as `inet` is stored.
fn address(bytes: &[u8]) -> Option<String> {
    let address = match bytes.len() {
        4 => IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?),
        _ => IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?),
    };
    Some(address.to_string())
}

/// A frozen map of texts.
fn text_map(value: &[u8]) -> Option<BTreeMap<String, String>> {
    let (count, mut rest) = value.split_first_chunk::<4>()?;
    let mut text = || {
        let (length, more) = rest.split_first_chunk::<4>()?;
        let (text, more) = more.split_at_checked(usize::try_from(i32::from_be_bytes(*length)).ok()?)?;
        rest = more;
        String::from_utf8(text.to_vec()).ok()
    };
    (0..i32::from_be_bytes(*count)).map(|_| Some((text()?, text()?))).collect()
}

/// A cell of a system table.
#[derive(Debug, Default)]
struct SystemCell {
    /// Its value, unless it is a collection.
    value: Option<Vec<u8>>,
    /// Elements of a set.
    elements: Vec<Vec<u8>>,
}

impl SystemCell {
    fn text(&self) -> Option<String> {
        self.value.as_ref().map(|value| String::from_utf8_lossy(value).into_owned())
    }
}

/// Partition key and some columns of the rows of a small table.
type SystemRow = (Vec<u8>, Vec<SystemCell>);

fn rows(path: &Path, of: (&str, &SystemTable), columns: &[&str], now: i64) -> Result<Vec<SystemRow>> {
    let (keyspace, table) = of;
    let failed = |error| while_opening(&format!("{keyspace}.{}", table.name), &error);
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
        let cell = |place| SystemCell {
            value: row.cell(place).map(|cell| cell.value.to_vec()),
            elements: row.elements(place).map(|cell| cell.path.to_vec()).collect(),
        };
        rows.push((row.partition_key().to_vec(), (first..first + columns.len()).map(cell).collect()));
    }
    Ok(rows)
}
