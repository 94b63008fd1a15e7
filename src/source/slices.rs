//! Cutting a table whose rows share a few partitions: slices of the clustering uuid. Pure; asks no server.
//!
//! Kong keeps `services`, `routes`, `snis`, `certificates` and `ca_certificates` in one partition each, which is one token:
//! token ranges would leave all rows to one worker. Slices run in Cassandra's uuid order, the first open below and the last
//! open above, so whatever ids there are, each lies in exactly one slice.

use std::net::SocketAddr;

use uuid::Uuid;

use super::token_ranges::{fraction, gaps_between};
use super::{Cut, Range, Split, uuid_order};

/// More slices of one partition than any plan asks for; keeps the arithmetic of bounds within its type.
const MOST_PARTS: u64 = 1 << 20;

/// Ids of one uuid version in a partition: where they begin and end in the order, and about how many there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Run {
    /// Version nibble.
    pub(super) version: u8,
    /// Key of the first id.
    pub(super) first: u64,
    /// Key of the last id.
    pub(super) last: u64,
    /// Estimated number of rows.
    pub(super) rows: u64,
}

/// A partition to be sliced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Partition {
    /// Value of the partition key.
    pub(super) value: String,
    /// Its token.
    pub(super) token: i64,
    /// What is known of its ids, in order. May be wrong or out of date: that makes slices uneven, not incomplete.
    pub(super) runs: Vec<Run>,
    /// Nodes with replicas.
    pub(super) replicas: Vec<SocketAddr>,
}

impl Partition {
    /// Estimated number of rows, at least 1.
    pub(super) fn rows(&self) -> u64 {
        self.runs.iter().fold(0, |sum: u64, run| sum.saturating_add(run.rows)).max(1)
    }
}

/// Cuts the space of a table into slices of its `partitions` and, between their tokens, splits for everything else: rows of
/// partitions that were not there when the plan was made.
///
/// About `cut.parts` slices come out in proportion to the rows, at least one for each partition.
pub(super) fn slice_splits(table: &str, partitions: &[Partition], cut: Cut) -> Vec<Split> {
    let total = partitions.iter().fold(0, |sum: u128, partition| sum + u128::from(partition.rows())).max(1);
    let mut splits = Vec::new();
    let mut push = |range, replicas: &[SocketAddr], share: f64| {
        let index = splits.len();
        let mut replicas = replicas.to_vec();
        if !replicas.is_empty() {
            let turn = index % replicas.len();
            replicas.rotate_left(turn);
        }
        splits.push(Split { table: table.to_owned(), index, range, replicas, share });
    };
    for partition in partitions {
        let weight = ratio(u128::from(partition.rows()), total);
        let wanted = u128::try_from(cut.parts).unwrap_or(1).saturating_mul(u128::from(partition.rows()));
        let parts = u64::try_from(wanted.saturating_add(total / 2) / total).unwrap_or(1).clamp(1, MOST_PARTS);
        let mut after = None;
        let mut begin = 0.0;
        for (upto, end) in
            bounds(&partition.runs, parts, cut.shifted).map(|(id, end)| (Some(id), end)).chain([(None, 1.0)])
        {
            let range = Range::Slice { partition: partition.value.clone(), after, upto };
            push(range, &partition.replicas, (end - begin) * weight);
            (after, begin) = (upto, end);
        }
    }
    for gap in gaps_between(partitions.iter().map(|partition| partition.token).collect()) {
        push(gap.range(), &[], 0.0);
    }
    splits
}

/// Inner bounds for `parts` slices with about equally many rows, ascending and without repeats; each with the share of rows
/// at or below it.
fn bounds(runs: &[Run], parts: u64, shifted: bool) -> impl Iterator<Item = (Uuid, f64)> {
    let total = runs.iter().fold(0, |sum: u128, run| sum + weight(run));
    let mut bounds: Vec<(Uuid, f64)> = Vec::new();
    for part in 1..if runs.is_empty() { 1 } else { parts } {
        let position = total / 2 * (u128::from(part) * 2 + u128::from(shifted)) / u128::from(parts);
        let Some(id) = id_at(runs, position) else { continue };
        let ascending = bounds.last().is_none_or(|(last, _)| uuid_order::compare(*last, id).is_lt());
        if ascending {
            bounds.push((id, ratio(position, total)));
        }
    }
    bounds.into_iter()
}

/// Rows of a run in finer units, so that runs of few rows can be cut as well.
fn weight(run: &Run) -> u128 {
    u128::from(run.rows.clamp(1, u64::MAX >> 8)) << 40
}

/// The id below which `position` units of weight lie, taking the ids of a run as evenly spread.
fn id_at(runs: &[Run], position: u128) -> Option<Uuid> {
    let mut below = 0;
    for run in runs {
        let inside = position.saturating_sub(below);
        if inside < weight(run) {
            let span = u128::from(run.last.saturating_sub(run.first));
            // 60 bits of span and up to 96 of weight: leave out what does not fit.
            let key = u128::from(run.first) + span * (inside >> 32) / (weight(run) >> 32).max(1);
            return Some(uuid_order::first_with(run.version, u64::try_from(key).ok()?));
        }
        below += weight(run);
    }
    None
}

fn ratio(part: u128, total: u128) -> f64 {
    fraction(i128::try_from(part).unwrap_or(i128::MAX), i128::try_from(total).unwrap_or(i128::MAX))
}

#[cfg(test)]
mod tests {
    use std::cmp::Ordering;

    use proptest::prelude::*;

    use super::super::uuid_order::tests::{any_id, compare_bytes};
    use super::*;

    fn run() -> impl Strategy<Value = Run> {
        let key = || any::<u64>().prop_map(|bits| bits >> 4);
        (0_u8..16, key(), key(), prop_oneof![0_u64..50, any::<u64>()]).prop_map(|(version, a, b, rows)| Run {
            version,
            first: a.min(b),
            last: a.max(b),
            rows,
        })
    }

    fn partitions() -> impl Strategy<Value = Vec<Partition>> {
        let partition =
            (any::<i64>(), proptest::collection::vec(run(), 0..5)).prop_map(|(token, mut runs)| {
                runs.sort_by_key(|run| (run.version, run.first));
                (token, runs)
            });
        proptest::collection::vec(partition, 1..5).prop_map(|list| {
            let named = |(n, (token, runs))| Partition {
                value: format!("p{n}"),
                token: i64::max(token, i64::MIN + 1),
                runs,
                replicas: Vec::new(),
            };
            list.into_iter().enumerate().map(named).collect()
        })
    }

    fn inside(id: Uuid, after: Option<Uuid>, upto: Option<Uuid>) -> bool {
        after.is_none_or(|bound| compare_bytes(bound, id) == Ordering::Less)
            && upto.is_none_or(|bound| compare_bytes(id, bound) != Ordering::Greater)
    }

    proptest! {
        #[test]
        fn every_id_of_every_partition_is_in_exactly_one_slice(
            partitions in partitions(), parts in 0_usize..80, shifted: bool,
            ids in proptest::collection::vec(any_id(), 1..40),
        ) {
            let splits = slice_splits("t", &partitions, Cut { parts, shifted });
            for partition in &partitions {
                let slices: Vec<_> = splits.iter().filter_map(|split| match &split.range {
                    Range::Slice { partition: of, after, upto } if *of == partition.value => Some((*after, *upto)),
                    _ => None,
                }).collect();
                let bounds = slices.iter().filter_map(|(_, upto)| *upto);
                for id in ids.iter().copied().chain(bounds) {
                    let holders = slices.iter().filter(|(after, upto)| inside(id, *after, *upto)).count();
                    prop_assert_eq!(holders, 1, "{} among {:?}", id, &slices);
                }
            }
        }

        #[test]
        fn every_token_belongs_to_a_sliced_partition_or_to_one_gap(
            partitions in partitions(), near in any::<proptest::sample::Index>(), off in -2_i64..=2, far: i64, pick: bool,
        ) {
            let splits = slice_splits("t", &partitions, Cut { parts: 8, shifted: false });
            let near = near.get(&partitions).token.saturating_add(off);
            let token = if pick { near } else { far }.max(i64::MIN + 1);
            let gaps = splits.iter().filter(|split| match split.range {
                Range::Tokens { after, upto } =>
                    after.is_none_or(|after| after < token) && upto.is_none_or(|upto| token <= upto),
                Range::Slice { .. } => false,
            }).count();
            let sliced = partitions.iter().any(|partition| partition.token == token);
            prop_assert_eq!(gaps, usize::from(!sliced));
        }

        #[test]
        fn shares_add_up_and_indexes_count(partitions in partitions(), parts in 0_usize..80, shifted: bool) {
            let splits = slice_splits("t", &partitions, Cut { parts, shifted });
            let total: f64 = splits.iter().map(|split| split.share).sum();
            prop_assert!((total - 1.0).abs() < 1e-9, "shares add up to {total}");
            prop_assert!(splits.iter().all(|split| (0.0..=1.0).contains(&split.share)));
            prop_assert!(splits.iter().enumerate().all(|(place, split)| split.index == place));
        }
    }

    fn random_ids(rows: u64) -> Run {
        Run { version: 4, first: 0, last: uuid_order::LAST_KEY, rows }
    }

    #[test]
    fn random_ids_are_cut_evenly() {
        let ids: Vec<_> = bounds(&[random_ids(1000)], 4, false).map(|(id, _)| id.to_string()).collect();
        let expected = ["3fffffff-ffff-4", "7fffffff-ffff-4", "bfffffff-ffff-4"];
        assert_eq!(ids.len(), 3);
        for (id, expected) in ids.iter().zip(expected) {
            assert!(id.starts_with(expected), "{id}");
        }
    }

    #[test]
    fn a_version_gets_slices_in_proportion_to_its_rows() {
        let time_ordered = Run { version: 7, first: 1 << 40, last: (1 << 40) + 1_000_000, rows: 3000 };
        let ids: Vec<_> = bounds(&[random_ids(1000), time_ordered], 8, false).map(|(id, _)| id).collect();
        let of_version = |version| ids.iter().filter(|id| uuid_order::version(**id) == version).count();
        assert_eq!((of_version(4), of_version(7)), (1, 6));
    }

    #[test]
    fn shifted_bounds_repeat_none_of_the_others() {
        let list = |shifted| bounds(&[random_ids(1000)], 8, shifted).map(|(id, _)| id).collect::<Vec<_>>();
        assert_eq!(list(true).len(), 7);
        assert!(list(true).iter().all(|id| !list(false).contains(id)));
    }

    #[test]
    fn ids_too_close_for_a_cut_stay_together() {
        let alike = Run { version: 4, first: 5, last: 5, rows: 1_000_000 };
        assert_eq!(bounds(&[alike], 8, false).count(), 1);
    }
}
