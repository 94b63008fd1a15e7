//! Which nodes hold which tokens: the ring, and where Cassandra puts the replicas of a keyspace on it.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

/// A node's place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Member {
    /// Its tokens.
    pub tokens: BTreeSet<i64>,
    /// Data centre.
    pub datacenter: String,
    /// Rack.
    pub rack: String,
    /// Address that the other nodes know it by, where one of them tells.
    pub address: Option<String>,
}

/// How a keyspace is replicated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// So many replicas on the nodes that follow a token, wherever these are.
    Simple(usize),
    /// So many in each data centre, on different racks as far as that goes.
    ByDatacenter(BTreeMap<String, usize>),
    /// On every node.
    Everywhere,
}

impl Replication {
    /// Reads the options of a keyspace; `None` for a strategy that is not Cassandra's own.
    pub(super) fn parse(options: &BTreeMap<String, String>) -> Option<Self> {
        let class = options.get("class")?;
        // Transient replicas count: "3/1" is three, one of them transient.
        let number = |text: &String| text.split('/').next()?.trim().parse::<usize>().ok();
        match class.rsplit('.').next()? {
            "SimpleStrategy" => options.get("replication_factor").and_then(number).map(Self::Simple),
            "NetworkTopologyStrategy" => {
                let datacenters = options.iter().filter(|(name, _)| *name != "class");
                let factors = datacenters.map(|(name, factor)| Some((name.clone(), number(factor)?)));
                factors.collect::<Option<_>>().map(Self::ByDatacenter)
            }
            "LocalStrategy" | "EverywhereStrategy" => Some(Self::Everywhere),
            _ => None,
        }
    }
}

/// What is missing in one data centre, or in the whole cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The data centre; `None` for replicas that are placed without regard to data centres.
    pub datacenter: Option<String>,
    /// Replicas of each row.
    pub replicas: usize,
    /// Most replicas of a row that are absent.
    pub absent: usize,
}

/// What the nodes that are there lack.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    /// By data centre, those with nothing absent too.
    pub shortfalls: Vec<Shortfall>,
    /// Part of the token space of which no replica is there at all, 0 to 1.
    pub uncovered: f64,
}

/// Works out what is missing when only the nodes `present` are there. Members without tokens hold nothing.
pub(super) fn coverage(
    ring: &BTreeMap<Uuid, Member>,
    replication: &Replication,
    present: &BTreeSet<Uuid>,
) -> Coverage {
    let mut tokens: Vec<(i64, Uuid)> =
        ring.iter().flat_map(|(id, member)| member.tokens.iter().map(|token| (*token, *id))).collect();
    tokens.sort_unstable();
    let groups: Vec<(Option<String>, usize)> = match replication {
        Replication::Simple(factor) => vec![(None, *factor)],
        Replication::Everywhere => vec![(None, ring.len())],
        Replication::ByDatacenter(factors) => {
            factors.iter().map(|(name, factor)| (Some(name.clone()), *factor)).collect()
        }
    };
    let mut coverage = Coverage::default();
    let mut absent = vec![0; groups.len()];
    let mut replicas = vec![0; groups.len()];
    let mut uncovered = 0_u64;
    for (n, (token, _)) in tokens.iter().enumerate() {
        let mut there = 0;
        for (((datacenter, factor), absent), most) in groups.iter().zip(&mut absent).zip(&mut replicas) {
            let around = tokens.iter().cycle().skip(n).take(tokens.len()).map(|(_, id)| *id);
            let of_range = replicas_of(ring, around, datacenter.as_deref(), *factor);
            let missing = of_range.iter().filter(|id| !present.contains(id)).count();
            there += of_range.len() - missing;
            *absent = missing.max(*absent);
            *most = of_range.len().max(*most);
        }
        if there == 0 {
            let before =
                tokens.get(n.checked_sub(1).unwrap_or(tokens.len() - 1)).map_or(*token, |(token, _)| *token);
            let width = token.wrapping_sub(before).cast_unsigned();
            // One token is the whole ring.
            uncovered = uncovered.saturating_add(if width == 0 { u64::MAX } else { width });
        }
    }
    for (((datacenter, _), absent), replicas) in groups.into_iter().zip(absent).zip(replicas) {
        coverage.shortfalls.push(Shortfall { datacenter, replicas, absent });
    }
    // Sixteen bits are enough to tell a part in per cent.
    coverage.uncovered = f64::from(u16::try_from(uncovered >> 48).unwrap_or(u16::MAX)) / f64::from(u16::MAX);
    if uncovered > 0 {
        coverage.uncovered = coverage.uncovered.max(1.0 / f64::from(u16::MAX));
    }
    coverage
}

/// The replicas of a range whose nodes, clockwise, are `around`.
fn replicas_of(
    ring: &BTreeMap<Uuid, Member>,
    around: impl Iterator<Item = Uuid>,
    datacenter: Option<&str>,
    factor: usize,
) -> BTreeSet<Uuid> {
    let inside = |member: &Member| datacenter.is_none_or(|name| member.datacenter == name);
    let nodes = ring.values().filter(|member| inside(member) && !member.tokens.is_empty());
    let racks_there: BTreeSet<&str> = nodes.map(|member| member.rack.as_str()).collect();
    // A rack takes a second replica only when there are not enough racks for all.
    let mut repeats = factor.saturating_sub(racks_there.len());
    let mut racks = BTreeSet::new();
    let mut replicas = BTreeSet::new();
    for id in around {
        if replicas.len() >= factor {
            break;
        }
        let Some(member) = ring.get(&id).filter(|member| inside(member)) else { continue };
        if replicas.contains(&id) {
            continue;
        }
        if datacenter.is_none() || racks.insert(member.rack.as_str()) {
            replicas.insert(id);
        } else if repeats > 0 {
            repeats -= 1;
            replicas.insert(id);
        }
    }
    replicas
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(nodes: &[(&str, &str, &[i64])]) -> BTreeMap<Uuid, Member> {
        let member = |(n, (datacenter, rack, tokens)): (usize, &(&str, &str, &[i64]))| {
            let member = Member {
                tokens: tokens.iter().copied().collect(),
                datacenter: (*datacenter).to_owned(),
                rack: (*rack).to_owned(),
                address: None,
            };
            (id(n), member)
        };
        nodes.iter().enumerate().map(member).collect()
    }

    fn id(n: usize) -> Uuid {
        Uuid::from_u128(u128::try_from(n).unwrap())
    }

    fn absent(
        ring: &BTreeMap<Uuid, Member>,
        replication: &Replication,
        present: &[usize],
    ) -> (Vec<usize>, f64) {
        let present = present.iter().map(|n| id(*n)).collect();
        let coverage = coverage(ring, replication, &present);
        (coverage.shortfalls.iter().map(|shortfall| shortfall.absent).collect(), coverage.uncovered)
    }

    #[test]
    fn simple_replicas_follow_the_token() {
        let quarter = i64::MAX / 2;
        let ring = ring(&[
            ("dc1", "r", &[i64::MIN]),
            ("dc1", "r", &[-quarter]),
            ("dc1", "r", &[0]),
            ("dc1", "r", &[quarter]),
        ]);
        let (missing, uncovered) = absent(&ring, &Replication::Simple(1), &[0, 1, 2]);
        assert_eq!(missing, [1]);
        assert!((uncovered - 0.25).abs() < 0.001, "{uncovered}");
        assert_eq!(absent(&ring, &Replication::Simple(2), &[0, 1, 2]), (vec![1], 0.0));
        let (missing, uncovered) = absent(&ring, &Replication::Simple(2), &[0, 1]);
        assert_eq!(missing, [2]);
        assert!((uncovered - 0.25).abs() < 0.001, "{uncovered}");
        assert_eq!(absent(&ring, &Replication::Simple(3), &[0, 1, 2, 3]), (vec![0], 0.0));
    }

    #[test]
    fn racks_share_the_replicas_of_a_data_centre() {
        // Two racks, two replicas: each rack has everything.
        let ring = ring(&[
            ("dc1", "a", &[0, 400]),
            ("dc1", "a", &[100, 500]),
            ("dc1", "b", &[200, 600]),
            ("dc1", "b", &[300, 700]),
            ("dc2", "a", &[50]),
        ]);
        let factors = BTreeMap::from([("dc1".to_owned(), 2), ("dc2".to_owned(), 1)]);
        let replication = Replication::ByDatacenter(factors);
        assert_eq!(absent(&ring, &replication, &[0, 1, 4]), (vec![1, 0], 0.0));
        assert_eq!(absent(&ring, &replication, &[0, 1, 2, 3]), (vec![0, 1], 0.0));
        assert_eq!(absent(&ring, &replication, &[4]), (vec![2, 0], 0.0));
        assert!(absent(&ring, &replication, &[0]).1 > 0.0);
    }

    #[test]
    fn the_options_of_a_keyspace() {
        let options = |pairs: &[(&str, &str)]| {
            let pairs = pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            Replication::parse(&pairs.collect())
        };
        let simple = [("class", "org.apache.cassandra.locator.SimpleStrategy"), ("replication_factor", "3")];
        assert_eq!(options(&simple), Some(Replication::Simple(3)));
        let by_datacenter = [("class", "NetworkTopologyStrategy"), ("dc1", "3/1")];
        let factors = BTreeMap::from([("dc1".to_owned(), 3)]);
        assert_eq!(options(&by_datacenter), Some(Replication::ByDatacenter(factors)));
        assert_eq!(options(&[("class", "com.example.Odd")]), None);
    }
}
