//! Digests add up, so that neither order nor parallelism matters.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Seconds of one class of expiring rows.
pub const CLASS_SECONDS: i64 = 60;

/// A digest of 128 bits, or a sum of such, modulo 2^128. As text 32 hexadecimal digits.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(pub u128);

impl Digest {
    /// The sum of both.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.wrapping_add(other.0))
    }

    /// What `other` and the result add up to this.
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        Self(self.0.wrapping_sub(other.0))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

impl FromStr for Digest {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        u128::from_str_radix(text, 16).map(Self).map_err(|_| NoDigest)
    }
}

impl TryFrom<String> for Digest {
    type Error = NoDigest;

    fn try_from(text: String) -> Result<Self, NoDigest> {
        text.parse()
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}

/// The error for a text that is no digest, or no sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a digest")]
pub struct NoDigest;

/// One row: its digest, and when it expires.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowDigest {
    /// Its digest.
    pub digest: Digest,
    /// Seconds since 1970, rounded down, at which it expires; `None` for never.
    pub expires: Option<i64>,
}

/// Rows and their digests, added up. Signed: it can be a difference as well.
///
/// Rows that expire may vanish from the target at any moment from their instant on (Kong's clean-up, and the triggers of 3.3).
/// So those that expire soon are added up by minute as well, and sums can be compared without the rows that are over.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContentSum {
    /// Rows.
    pub rows: i64,
    /// Their digests.
    pub digest: Digest,
    /// Of these, rows that expire soon, by the minute since 1970 in which they do.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    expiring: BTreeMap<i64, (i64, Digest)>,
}

impl ContentSum {
    /// So many rows without content.
    pub fn of_rows(rows: i64) -> Self {
        Self { rows, ..Self::default() }
    }

    /// Adds a row. Its minute is kept when it expires before `horizon`, in seconds since 1970.
    #[inline]
    pub fn add(&mut self, row: RowDigest, horizon: i64) {
        self.rows += 1;
        self.digest = self.digest.plus(row.digest);
        if let Some(instant) = row.expires.filter(|instant| *instant < horizon) {
            let (rows, digest) = self.expiring.entry(instant.div_euclid(CLASS_SECONDS)).or_default();
            *rows += 1;
            *digest = digest.plus(row.digest);
        }
    }

    /// Adds the rows of another sum.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.digest = self.digest.plus(other.digest);
        for (minute, (rows, digest)) in &other.expiring {
            let sum = self.expiring.entry(*minute).or_default();
            *sum = (sum.0 + rows, sum.1.plus(*digest));
        }
        self.expiring.retain(|_, sum| *sum != (0, Digest::default()));
    }

    /// Takes the rows of another sum away: what changed between two sums is one less the other.
    #[must_use]
    pub fn minus(mut self, other: &Self) -> Self {
        let negative = Self {
            rows: -other.rows,
            digest: Digest::default().minus(other.digest),
            expiring: other
                .expiring
                .iter()
                .map(|(minute, (rows, digest))| (*minute, (-rows, Digest::default().minus(*digest))))
                .collect(),
        };
        self.merge(&negative);
        self
    }

    /// Rows and digests without those that expire before `instant`, which must be a whole minute.
    pub fn alive_from(&self, instant: i64) -> (i64, Digest) {
        let over = self.expiring.range(..instant.div_euclid(CLASS_SECONDS));
        over.fold((self.rows, self.digest), |sum, (_, (rows, digest))| (sum.0 - rows, sum.1.minus(*digest)))
    }
}

/// The first whole minute at or after `instant`, in seconds since 1970.
pub fn whole_minute(instant: i64) -> i64 {
    (instant + CLASS_SECONDS - 1).div_euclid(CLASS_SECONDS) * CLASS_SECONDS
}

/// As the ledger keeps it.
impl fmt::Display for ContentSum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

impl FromStr for ContentSum {
    type Err = NoDigest;

    fn from_str(text: &str) -> Result<Self, NoDigest> {
        serde_json::from_str(text).map_err(|_| NoDigest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(digest: u128, expires: Option<i64>) -> RowDigest {
        RowDigest { digest: Digest(digest), expires }
    }

    fn sum(rows: &[RowDigest]) -> ContentSum {
        let mut sum = ContentSum::default();
        for row in rows {
            sum.add(*row, 1_000);
        }
        sum
    }

    #[test]
    fn order_does_not_matter_and_nothing_cancels_by_twos() {
        let rows = [row(u128::MAX, None), row(5, Some(61)), row(7, Some(2_000))];
        let mut parts = sum(&rows[1..]);
        parts.merge(&sum(&rows[..1]));
        assert_eq!(parts, sum(&rows));
        assert_ne!(sum(&[rows[1], rows[1]]), sum(&[rows[2], rows[2]]));
        assert_ne!(sum(&[rows[1], rows[1]]).digest, Digest(0));
    }

    #[test]
    fn what_has_expired_can_be_left_out() {
        let rows =
            [row(1, None), row(2, Some(59)), row(4, Some(60)), row(8, Some(120)), row(16, Some(5_000))];
        let sum = sum(&rows);
        assert_eq!(sum.alive_from(0), (5, Digest(31)));
        assert_eq!(sum.alive_from(60), (4, Digest(29)));
        assert_eq!(sum.alive_from(120), (3, Digest(25)));
        assert_eq!(sum.alive_from(180), (2, Digest(17)));
        assert_eq!((whole_minute(60), whole_minute(61), whole_minute(-1)), (60, 120, 0));
    }

    #[test]
    fn a_difference_is_what_has_to_be_added() {
        let (before, after) = (sum(&[row(1, None), row(2, Some(59))]), sum(&[row(9, None)]));
        let change = after.clone().minus(&before);
        assert_eq!(change.rows, -1);
        let mut applied = before;
        applied.merge(&change);
        assert_eq!(applied, after);
        assert_eq!(change.to_string().parse(), Ok(change));
    }

    #[test]
    fn text_gives_the_same_back() {
        let digest = Digest(0xabc);
        assert_eq!(digest.to_string(), format!("{:0>32}", "abc"));
        assert_eq!(digest.to_string().parse(), Ok(digest));
        assert_eq!("x".parse::<Digest>(), Err(NoDigest));
        assert_eq!("{}".parse(), Ok(ContentSum::default()));
    }
}
