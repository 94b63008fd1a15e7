//! Whether the directories of a snapshot hold every row, in words.
//!
//! A row that reached W of R replicas is on one of the nodes at hand when fewer than W replicas are absent. Kong writes at ONE
//! unless it was told otherwise, so a single absent replica can be the only one that has a row, or the only one that knows of a
//! deletion.

use super::Nodes;
use super::instant::spoken_instant;
use super::ring::{Coverage, Shortfall, coverage};
use crate::report::table::counted;

/// What can be said of the completeness of a snapshot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every node of the cluster is there, or every replica of every row.
    Complete,
    /// Rows can be missing, or deleted rows be back; or are.
    Incomplete,
    /// Nobody can tell.
    Unknown,
}

/// The verdict and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completeness {
    /// The verdict.
    pub verdict: Verdict,
    /// Which nodes are there and what that means, in one sentence.
    pub finding: String,
    /// What would make it complete; empty when it is.
    pub remedy: String,
}

/// When the snapshots of the tables were taken, seconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The first.
    pub first: i64,
    /// The last.
    pub last: i64,
    /// Whether the manifests say so (Cassandra 4.1 and later); else it is what the files' times say, which a copy may change.
    pub recorded: bool,
}

impl Taken {
    /// Both as one.
    pub(super) fn and(self, other: Self) -> Self {
        Self {
            first: self.first.min(other.first),
            last: self.last.max(other.last),
            recorded: self.recorded && other.recorded,
        }
    }

    /// In words, for people.
    pub fn spoken(&self) -> String {
        let spread = counted(self.last.saturating_sub(self.first).unsigned_abs(), "second");
        let first = spoken_instant(self.first);
        let told = if self.recorded {
            ""
        } else {
            ", as far as the times of the files tell (before Cassandra 4.1 a manifest holds none)"
        };
        format!("taken at {first} and within {spread}{told}; each row is as of a moment in between")
    }
}

impl Completeness {
    /// Judges by what the nodes' own tables say.
    pub(super) fn judge(nodes: &Nodes, keyspace: &str) -> Self {
        let (present, absent) = (nodes.present.len(), nodes.absent.len());
        let cluster = nodes.cluster_name.as_deref().unwrap_or("without a name");
        if present == 0 {
            return Self {
                verdict: Verdict::Unknown,
                finding: "the snapshot is without keyspace system, so nobody can say whether its directories are all \
                          nodes of the cluster, or of one cluster at all"
                    .to_owned(),
                remedy: SYSTEM_TOO.to_owned(),
            };
        }
        let known = present + absent;
        let counts =
            format!("the snapshot has {present} of {} of cluster {cluster}", counted(count(known), "node"));
        if !nodes.unknown.is_empty() {
            let finding = match nodes.unknown.as_slice() {
                [one] => format!(
                    "{counts}, and {one} without keyspace system: nobody can say which node that is of"
                ),
                more => format!(
                    "{counts}, and {} directories without keyspace system: nobody can say which nodes those are of",
                    more.len()
                ),
            };
            return Self { verdict: Verdict::Unknown, finding, remedy: SYSTEM_TOO.to_owned() };
        }
        if absent == 0 {
            let all = counted(count(present), "node");
            return Self {
                verdict: Verdict::Complete,
                finding: format!("the snapshot has all {all} of cluster {cluster}"),
                remedy: String::new(),
            };
        }
        let Some(replication) = &nodes.replication else {
            return Self {
                verdict: Verdict::Incomplete,
                finding: format!(
                    "{counts}: rows can be missing (without keyspace system_schema nobody can say how {keyspace} is replicated)"
                ),
                remedy: absent_nodes(nodes),
            };
        };
        let coverage = coverage(&nodes.ring, replication, &nodes.present);
        if coverage.shortfalls.iter().all(|shortfall| shortfall.absent == 0) && coverage.uncovered == 0.0 {
            return Self {
                verdict: Verdict::Complete,
                finding: format!("{counts}, and all replicas of keyspace {keyspace}"),
                remedy: String::new(),
            };
        }
        Self {
            verdict: Verdict::Incomplete,
            finding: format!("{counts}: {}", lack(&coverage)),
            remedy: absent_nodes(nodes),
        }
    }
}

/// What to do about directories that say nothing.
const SYSTEM_TOO: &str = "take the snapshots with keyspaces system and system_schema (`nodetool snapshot -t TAG` without the name of a \
                          keyspace takes all), and name one directory for each node";

fn absent_nodes(nodes: &Nodes) -> String {
    let name = |id| {
        let address = nodes.ring.get(id).and_then(|member| member.address.clone());
        address.unwrap_or_else(|| format!("host id {id}"))
    };
    let names: Vec<String> = nodes.absent.iter().map(name).collect();
    format!("name the directories of the absent nodes as well: {}", names.join(", "))
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

/// What follows from the replicas that are absent.
fn lack(coverage: &Coverage) -> String {
    let place = |shortfall: &Shortfall| {
        shortfall.datacenter.as_ref().map_or_else(String::new, |name| format!(" in {name}"))
    };
    let factors: Vec<String> = coverage
        .shortfalls
        .iter()
        .map(|shortfall| format!("{}{}", shortfall.replicas, place(shortfall)))
        .collect();
    let factors = factors.join(" and ");
    if coverage.uncovered > 0.0 {
        let part = coverage.uncovered * 100.0;
        let part = if part < 1.0 { "less than 1".to_owned() } else { format!("{part:.0}") };
        return format!(
            "with replication factor {factors}, {part} % of the ring is on none of them, and its rows are missing"
        );
    }
    let mut text = format!(
        "with replication factor {factors} and writes at ONE, rows can be missing and deleted ones be back"
    );
    // Writes at LOCAL_QUORUM in one data centre are enough to be found there.
    let quorum = |shortfall: &&Shortfall| shortfall.absent < shortfall.replicas / 2 + 1;
    let safe: Vec<String> = coverage.shortfalls.iter().filter(quorum).map(place).collect();
    match safe.first() {
        None => text += ", and so can those written at QUORUM",
        Some(datacenter) if datacenter.is_empty() => text += "; writes at QUORUM or ALL are all there",
        Some(_) => text += &format!("; writes at LOCAL_QUORUM{} are all there", safe.join(" or")),
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::PathBuf;

    use uuid::Uuid;

    use super::super::ring::{Member, Replication};
    use super::*;

    /// Six nodes in one data centre, of which some are absent.
    fn six(absent: &[u128], replication: Option<Replication>) -> Nodes {
        let ids: BTreeSet<Uuid> = (0..6).map(Uuid::from_u128).collect();
        let member = |id: &Uuid| {
            let place = i64::try_from(id.as_u128()).unwrap() - 3;
            let member = Member {
                tokens: BTreeSet::from([place * (i64::MAX / 3)]),
                datacenter: "dc1".to_owned(),
                rack: "r1".to_owned(),
                address: Some(format!("10.0.0.{id}", id = id.as_u128())),
            };
            (*id, member)
        };
        let absent: BTreeSet<Uuid> = absent.iter().copied().map(Uuid::from_u128).collect();
        Nodes {
            cluster_name: Some("c".to_owned()),
            present: ids.difference(&absent).copied().collect(),
            absent,
            unknown: Vec::new(),
            ring: ids.iter().map(member).collect(),
            replication,
        }
    }

    fn judged(nodes: &Nodes) -> (Verdict, String) {
        let Completeness { verdict, finding, remedy } = Completeness::judge(nodes, "kong");
        (verdict, format!("{finding} / {remedy}"))
    }

    #[test]
    fn absent_nodes_and_what_follows() {
        let three = |absent: &[u128]| judged(&six(absent, Some(Replication::Simple(3))));
        assert_eq!(
            three(&[]),
            (Verdict::Complete, "the snapshot has all 6 nodes of cluster c / ".to_owned())
        );
        let (verdict, text) = three(&[5]);
        assert_eq!(verdict, Verdict::Incomplete);
        for part in [
            "5 of 6 nodes of cluster c: with replication factor 3 and writes at ONE, rows can be missing",
            "writes at QUORUM or ALL are all there",
            "10.0.0.5",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(three(&[4, 5]).1.contains("and so can those written at QUORUM"), "{:?}", three(&[4, 5]));
        assert!(
            three(&[3, 4, 5]).1.contains("17 % of the ring is on none of them"),
            "{:?}",
            three(&[3, 4, 5])
        );
        let by_datacenter = Replication::ByDatacenter(BTreeMap::from([("dc1".to_owned(), 3)]));
        let (_, text) = judged(&six(&[1], Some(by_datacenter)));
        assert!(text.contains("writes at LOCAL_QUORUM in dc1 are all there"), "{text}");
    }

    #[test]
    fn what_cannot_be_judged() {
        let (verdict, text) = judged(&six(&[1], None));
        assert!(verdict == Verdict::Incomplete && text.contains("without keyspace system_schema"), "{text}");
        assert_eq!(judged(&Nodes::default()).0, Verdict::Unknown);
        let more = Nodes { unknown: vec![PathBuf::from("/b").into()], ..six(&[], None) };
        let (verdict, text) = judged(&more);
        assert!(verdict == Verdict::Unknown && text.contains("/b without keyspace system"), "{text}");
    }
}
