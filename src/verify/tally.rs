//! One table on both sides, added up in bounded memory: the source adds, the target takes away, and what is left differs.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::canonical::Digest;

/// Rows of a bucket that are wished for: few enough that a difference leads to few rows, enough that buckets stay small beside
/// the rows.
const ROWS_PER_BUCKET: u64 = 32;
/// Most buckets of a table, as a power of two: 2 MiB.
const MOST_BITS: u32 = 16;
/// Fewest, where nobody knows how many rows there are: 128 KiB.
const UNKNOWN_BITS: u32 = 12;

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Cassandra.
    Source,
    /// `PostgreSQL`.
    Target,
}

/// A row as it is added up.
#[derive(Debug, Clone, Copy)]
pub struct Seen {
    /// Hash of its key.
    pub key: u64,
    /// Its digest, whatever its instant of expiry.
    pub digest: Digest,
    /// That instant, in seconds since 1970.
    pub expires: Option<i64>,
}

/// What was added up.
#[derive(Debug)]
pub struct Tally {
    bits: u32,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Rows and digests of the source less those of the target, by the first bits of the key's hash. Rows that expire are not
    /// among them: some may be gone before the other side is read.
    buckets: Vec<(i64, Digest)>,
    rows: [u64; 2],
    expiring: [Vec<Expiring>; 2],
}

/// A row that expires: 24 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Expiring {
    key: u64,
    instant: i64,
    /// The lower half of its digest.
    digest: u64,
}

/// What the first look at a table found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Rows on the source and on the target.
    pub rows: [u64; 2],
    /// Rows that expired meanwhile, on one side only.
    pub expired: u64,
    /// Buckets in which rows differ.
    pub buckets: BTreeSet<u64>,
    /// Number of all buckets, as a power of two.
    pub bits: u32,
}

impl Tally {
    /// For about so many rows.
    pub fn new(rows: Option<u64>) -> Self {
        let bits = match rows {
            None | Some(0) => UNKNOWN_BITS,
            Some(rows) => (rows / ROWS_PER_BUCKET).max(1).ilog2().min(MOST_BITS),
        };
        let buckets = vec![(0, Digest::default()); 1 << bits];
        Self { bits, inner: Mutex::new(Inner { buckets, ..Inner::default() }) }
    }

    /// Adds rows of a side up.
    pub fn add(&self, side: Side, rows: &[Seen]) {
        let mut inner = self.lock();
        let at = side as usize;
        for row in rows {
            if let Some(count) = inner.rows.get_mut(at) {
                *count += 1;
            }
            if let Some(instant) = row.expires {
                if let Some(list) = inner.expiring.get_mut(at) {
                    list.push(Expiring { key: row.key, instant, digest: lower(row.digest) });
                }
                continue;
            }
            let place = usize::try_from(bucket(row.key, self.bits)).unwrap_or_default();
            if let Some((rows, digest)) = inner.buckets.get_mut(place) {
                match side {
                    Side::Source => (*rows, *digest) = (*rows + 1, digest.plus(row.digest)),
                    Side::Target => (*rows, *digest) = (*rows - 1, digest.minus(row.digest)),
                }
            }
        }
    }

    /// Says where the sides differ. Instants may differ by `tolerance` seconds; rows that expired before `over` may be on one
    /// side only.
    pub fn outcome(self, tolerance: i64, over: i64) -> Outcome {
        let bits = self.bits;
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut found = Outcome { rows: inner.rows, bits, ..Outcome::default() };
        for (place, sum) in (0_u64..).zip(&inner.buckets) {
            if *sum != (0, Digest::default()) {
                found.buckets.insert(place);
            }
        }
        let [mut source, mut target] = inner.expiring;
        source.sort_unstable();
        target.sort_unstable();
        let (mut source, mut target) = (source.into_iter().peekable(), target.into_iter().peekable());
        loop {
            let alone = match (source.peek(), target.peek()) {
                (None, None) => break,
                (Some(one), Some(other)) if one.key == other.key => {
                    if one.digest != other.digest || (one.instant - other.instant).abs() > tolerance {
                        found.buckets.insert(bucket(one.key, bits));
                    }
                    source.next();
                    target.next();
                    continue;
                }
                (Some(one), Some(other)) if one.key < other.key => source.next(),
                (Some(_), None) => source.next(),
                (_, Some(_)) => target.next(),
            };
            match alone {
                Some(row) if row.instant < over => found.expired += 1,
                Some(row) => drop(found.buckets.insert(bucket(row.key, bits))),
                None => {}
            }
        }
        found
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The bucket of a key's hash among `2^bits`.
pub fn bucket(key: u64, bits: u32) -> u64 {
    key.checked_shr(64 - bits).unwrap_or(0)
}

/// The lower half of a digest.
fn lower(digest: Digest) -> u64 {
    u64::try_from(digest.0 & u128::from(u64::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: u64, digest: u128, expires: Option<i64>) -> Seen {
        Seen { key: key << 32 | key << 60, digest: Digest(digest), expires }
    }

    fn outcome(source: &[Seen], target: &[Seen]) -> Outcome {
        let tally = Tally::new(Some(1 << 20));
        tally.add(Side::Target, target);
        tally.add(Side::Source, source);
        tally.outcome(5, 1_000)
    }

    #[test]
    fn equal_sides_leave_nothing() {
        let rows = [row(1, 1, None), row(2, u128::MAX, None), row(3, 7, Some(2_000))];
        let moved = [row(3, 7, Some(2_005)), rows[1], rows[0]];
        let found = outcome(&rows, &moved);
        assert!(found.buckets.is_empty(), "{found:?}");
        assert_eq!(found.rows, [3, 3]);
    }

    #[test]
    fn every_difference_leads_to_its_bucket() {
        let base = [row(1, 1, None), row(2, 2, None), row(3, 7, Some(2_000))];
        let at = |key| BTreeSet::from([bucket(row(key, 0, None).key, 15)]);
        let cases: [(Vec<Seen>, BTreeSet<u64>); 8] = [
            (vec![row(1, 9, None), base[1], base[2]], at(1)),
            (vec![base[0], base[2]], at(2)),
            (vec![base[0], base[1], base[2], row(4, 4, None)], at(4)),
            (vec![base[0], base[1]], at(3)),
            (vec![base[0], base[1], row(3, 7, Some(2_060))], at(3)),
            (vec![base[0], base[1], row(3, 8, Some(2_000))], at(3)),
            (vec![base[0], base[1], row(3, 7, None)], at(3)),
            (vec![row(1, 2, None), row(2, 1, None), base[2]], at(1).union(&at(2)).copied().collect()),
        ];
        for (changed, expected) in cases {
            let found: Outcome = outcome(&base, &changed);
            assert_eq!(found.bits, 15);
            assert_eq!(found.buckets, expected, "{changed:?}");
            assert_eq!(outcome(&changed, &base).buckets, found.buckets);
        }
    }

    #[test]
    fn rows_that_expired_meanwhile_are_no_difference() {
        let found = outcome(&[row(1, 1, Some(999)), row(2, 2, Some(1_000))], &[row(3, 3, Some(5))]);
        assert_eq!((found.expired, found.buckets.len()), (2, 1));
    }

    #[test]
    fn there_are_as_many_buckets_as_rows_ask_for() {
        let bits = |rows| Tally::new(rows).bits;
        assert_eq!((bits(None), bits(Some(1)), bits(Some(1_000)), bits(Some(u64::MAX))), (12, 0, 4, 16));
        assert_eq!(bucket(u64::MAX, 0), 0);
        assert_eq!(bucket(u64::MAX, 16), 0xffff);
    }
}
