//! Cutting the token space: from the ring of a cluster to the splits of a table. Pure; asks no server.

use std::net::SocketAddr;

use super::{Cut, Range, Split};

/// Lower end of the token space. No partition has this token, and as an upper bound it would mean "unbounded".
const OPEN_BELOW: i64 = i64::MIN;
/// Upper end of the token space, a token like any other.
const OPEN_ABOVE: i64 = i64::MAX;

/// Part of the token space `after < token <= upto`, with the nodes that hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TokenRange {
    /// Exclusive lower bound; `i64::MIN` is open.
    after: i64,
    /// Inclusive upper bound; `i64::MAX` is open.
    upto: i64,
    /// Nodes with replicas.
    replicas: Vec<SocketAddr>,
}

impl TokenRange {
    /// The whole token space, of which nothing is known.
    pub(super) fn whole() -> Self {
        Self { after: OPEN_BELOW, upto: OPEN_ABOVE, replicas: Vec::new() }
    }

    /// Number of tokens.
    fn width(&self) -> i128 {
        i128::from(self.upto) - i128::from(self.after)
    }

    /// Nodes with replicas.
    pub(super) fn replicas(&self) -> &[SocketAddr] {
        &self.replicas
    }

    /// Whether partitions with this token are inside.
    pub(super) fn holds(&self, token: i64) -> bool {
        self.after < token && token <= self.upto
    }

    /// As the range of a split.
    pub(super) fn range(&self) -> Range {
        Range::Tokens {
            after: (self.after != OPEN_BELOW).then_some(self.after),
            upto: (self.upto != OPEN_ABOVE).then_some(self.upto),
        }
    }
}

/// The ranges of a ring given as the tokens of its nodes, each with the replicas of the range that ends there.
///
/// The range that wraps around the end of the space is cut there; neighbours with the same replicas become one.
pub(super) fn ranges_of_ring(mut ring: Vec<(i64, Vec<SocketAddr>)>) -> Vec<TokenRange> {
    ring.sort_by_key(|(token, _)| *token);
    let Some((_, wrapped)) = ring.first().cloned() else {
        return vec![TokenRange::whole()];
    };
    let mut ranges: Vec<TokenRange> = Vec::new();
    let mut after = OPEN_BELOW;
    for (upto, replicas) in ring.into_iter().chain([(OPEN_ABOVE, wrapped)]) {
        if upto <= after {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if same_nodes(&last.replicas, &replicas) => last.upto = upto,
            _ => ranges.push(TokenRange { after, upto, replicas }),
        }
        after = upto;
    }
    ranges
}

fn same_nodes(a: &[SocketAddr], b: &[SocketAddr]) -> bool {
    a.len() == b.len() && a.iter().all(|node| b.contains(node))
}

/// What lies between the tokens of some partitions, so that the partitions and these gaps make up the whole space.
pub(super) fn gaps_between(mut tokens: Vec<i64>) -> Vec<TokenRange> {
    tokens.sort_unstable();
    let mut gaps = Vec::new();
    let mut after = OPEN_BELOW;
    for token in tokens {
        let upto = token.saturating_sub(1);
        if upto > after {
            gaps.push(TokenRange { after, upto, replicas: Vec::new() });
        }
        after = token;
    }
    if after < OPEN_ABOVE {
        gaps.push(TokenRange { after, upto: OPEN_ABOVE, replicas: Vec::new() });
    }
    gaps
}

/// Cuts the space of a table into token splits.
///
/// About `cut.parts` come out, of equal width as far as the ring allows: at least one for each of `ranges`, since a split
/// that spans nodes with different replicas is read through a coordinator that has to ask others. A table with less than a
/// part for every range (`worth`, from its estimated size) is cut without regard to the ring.
pub(super) fn token_splits(table: &str, ranges: &[TokenRange], cut: Cut, worth: usize) -> Vec<Split> {
    let parts = cut.parts.min(worth).max(1);
    let whole = [TokenRange::whole()];
    let ranges = if parts < ranges.len() && (parts < cut.parts || parts == 1) { &whole } else { ranges };
    let mut pieces = subdivided(ranges, parts);
    if cut.shifted {
        shift(&mut pieces);
    }
    let total: i128 = pieces.iter().map(TokenRange::width).sum();
    let split = |(index, piece): (usize, TokenRange)| {
        let share = fraction(piece.width(), total);
        let range = piece.range();
        let mut replicas = piece.replicas;
        // Neighbours merged into one range have the same replicas: take turns, so that all of them work.
        if !replicas.is_empty() {
            let turn = index % replicas.len();
            replicas.rotate_left(turn);
        }
        Split { table: table.to_owned(), index, range, replicas, share }
    };
    pieces.into_iter().enumerate().map(split).collect()
}

/// Each range in as many equal pieces as its share of `parts`, at least one.
fn subdivided(ranges: &[TokenRange], parts: usize) -> Vec<TokenRange> {
    let total: i128 = ranges.iter().map(TokenRange::width).sum::<i128>().max(1);
    let parts = i128::try_from(parts).unwrap_or(1);
    let mut pieces = Vec::new();
    for range in ranges {
        let width = range.width();
        let count = ((width * parts * 2 + total) / (total * 2)).clamp(1, width.max(1));
        let mut after = range.after;
        for piece in 1..=count {
            let upto = i64::try_from(i128::from(range.after) + width * piece / count).unwrap_or(range.upto);
            pieces.push(TokenRange { after, upto, replicas: range.replicas.clone() });
            after = upto;
        }
    }
    pieces
}

/// Moves every inner cut to the middle of the piece above it.
fn shift(pieces: &mut [TokenRange]) {
    for at in 1..pieces.len() {
        if let Some([below, above]) = pieces.get_mut(at - 1..=at) {
            // Rounded down, so that the piece above keeps at least one token.
            let middle = (i128::from(above.after) + i128::from(above.upto)).div_euclid(2);
            let cut = i64::try_from(middle).unwrap_or(above.after);
            below.upto = cut;
            above.after = cut;
        }
    }
}

/// `part` of `total`, for display and estimates.
#[allow(clippy::cast_precision_loss, reason = "a share is an estimate for progress bars")]
pub(super) fn fraction(part: i128, total: i128) -> f64 {
    if total == 0 { 0.0 } else { part as f64 / total as f64 }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn node(n: u8) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, n], 9042))
    }

    /// Whether `splits` cover the token space in order, without gap or overlap.
    pub(in crate::source) fn tile(splits: &[Split]) -> Result<(), String> {
        let mut expected = None;
        for (place, split) in splits.iter().enumerate() {
            let Range::Tokens { after, upto } = split.range else {
                return Err(format!("{split}: no tokens"));
            };
            if split.index != place {
                return Err(format!("{split}: stands at {place}"));
            }
            if after != expected {
                return Err(format!("{split}: starts after {after:?}, not {expected:?}"));
            }
            if after == Some(i64::MIN) || upto == Some(i64::MIN) {
                return Err(format!("{split}: the lowest token as a bound means unbounded"));
            }
            match upto {
                None if place + 1 == splits.len() => return Ok(()),
                None => return Err(format!("{split}: open above before the end")),
                Some(upto) if after.is_some_and(|after| upto <= after) => {
                    return Err(format!("{split}: empty"));
                }
                Some(_) => expected = upto,
            }
        }
        Err("open above is missing".to_owned())
    }

    fn token() -> impl Strategy<Value = i64> {
        prop_oneof![
            4 => any::<i64>(),
            1 => Just(i64::MIN), 1 => Just(i64::MAX), 1 => Just(i64::MIN + 1), 1 => -3_i64..3,
        ]
    }

    proptest! {
        #[test]
        fn token_splits_tile_the_space(
            ring in proptest::collection::vec((token(), proptest::collection::vec(1_u8..6, 0..4)), 0..40),
            parts in 0_usize..200, worth in 0_usize..300, shifted: bool,
        ) {
            let ring = ring.into_iter()
                .map(|(token, nodes)| (token, nodes.into_iter().map(node).collect())).collect();
            let ranges = ranges_of_ring(ring);
            let splits = token_splits("t", &ranges, Cut { parts, shifted }, worth);
            prop_assert_eq!(tile(&splits), Ok(()));
            let total: f64 = splits.iter().map(|split| split.share).sum();
            prop_assert!((total - 1.0).abs() < 1e-9, "shares add up to {total}");
            prop_assert!(splits.len() <= parts.max(1) + ranges.len());
        }

        #[test]
        fn a_token_is_in_a_gap_or_a_partition(
            partitions in proptest::collection::vec(token(), 0..10), probe in token(),
        ) {
            // Every partition has a token above the lowest.
            let partitions: Vec<i64> = partitions.into_iter().filter(|token| *token != i64::MIN).collect();
            prop_assume!(probe != i64::MIN);
            let gaps = gaps_between(partitions.clone());
            let inside = gaps.iter().filter(|gap| gap.after < probe && probe <= gap.upto).count();
            prop_assert_eq!(inside, usize::from(!partitions.contains(&probe)));
            prop_assert!(gaps.iter().all(|gap| gap.after < gap.upto));
        }
    }

    #[test]
    fn the_vnodes_of_one_node_are_one_range() {
        let ring = (-8..8).map(|n| (n * 1_000_000_007, vec![node(1)])).collect();
        assert_eq!(ranges_of_ring(ring), vec![TokenRange { replicas: vec![node(1)], ..TokenRange::whole() }]);
    }

    #[test]
    fn the_wrapping_range_belongs_to_the_owner_of_the_first_token() {
        let ranges = ranges_of_ring(vec![(100, vec![node(2)]), (-100, vec![node(1)])]);
        let bounds: Vec<_> = ranges.iter().map(|r| (r.after, r.upto, r.replicas.clone())).collect();
        assert_eq!(
            bounds,
            [(i64::MIN, -100, vec![node(1)]), (-100, 100, vec![node(2)]), (100, i64::MAX, vec![node(1)])]
        );
    }

    #[test]
    fn a_small_table_is_not_cut_along_a_large_ring() {
        let ring = (0..100_i64).map(|n| (n * 1000, vec![node(u8::try_from(n % 7).unwrap())])).collect();
        let ranges = ranges_of_ring(ring);
        let cut = Cut { parts: 32, shifted: false };
        assert_eq!(token_splits("t", &ranges, cut, 1).len(), 1);
        assert!(token_splits("t", &ranges, cut, 1000).len() >= ranges.len());
    }

    #[test]
    fn shifted_cuts_repeat_none_of_the_others() {
        let ranges = ranges_of_ring(vec![(-50, vec![node(1)]), (77, vec![node(2)])]);
        let cuts = |shifted| -> Vec<_> {
            let splits = token_splits("t", &ranges, Cut { parts: 16, shifted }, 16);
            splits
                .into_iter()
                .map(|s| s.range)
                .filter_map(|r| match r {
                    Range::Tokens { upto, .. } => upto,
                    Range::Slice { .. } => None,
                })
                .collect()
        };
        let (plain, shifted): (Vec<i64>, Vec<i64>) = (cuts(false), cuts(true));
        assert_eq!(plain.len(), shifted.len());
        assert!(shifted.iter().all(|cut| !plain.contains(cut)));
    }

    #[test]
    fn merged_neighbours_take_turns_among_their_replicas() {
        let ranges = ranges_of_ring(vec![(0, vec![node(1), node(2), node(3)])]);
        let splits = token_splits("t", &ranges, Cut { parts: 3, shifted: false }, 3);
        let first: Vec<_> = splits.iter().map(|split| split.replicas[0]).collect();
        assert_eq!(first, [node(1), node(2), node(3)]);
    }
}
