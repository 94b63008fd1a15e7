//! What comes of shaping a page.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::policy::Class;

use super::census::Form;
use crate::canonical::RowDigest;

/// The outcome of one page. Reused from page to page by [`Shaped::clear`].
#[derive(Debug, Default)]
pub struct Shaped {
    /// Tuples of a binary COPY: no header, no trailer.
    pub copy: Vec<u8>,
    /// One mark per tuple in `copy`, in order.
    pub tuples: Vec<TupleMark>,
    /// Rows read from the page: tuples + skipped + rejects.
    pub read: u64,
    /// Rows left out on purpose, by [`Class`] as index.
    pub skipped: [u64; Class::ALL.len()],
    /// Values repaired without loss, by [`Repair`] as index.
    pub repaired: [u64; Repair::ALL.len()],
    /// Rows that cannot be loaded, or shall not be.
    pub rejects: Vec<Reject>,
    /// Loaded secrets by the item of the selection they come from and their form.
    pub forms: BTreeMap<(usize, Form), u64>,
    /// Ciphertexts of Enterprise's keyring in `copy`, by the id of their key.
    pub ciphertexts: BTreeMap<String, u64>,
    /// Expiry instants written (seconds since 1970), unsorted, one entry per tuple that expires.
    pub expiries: Vec<i64>,
}

/// Where a tuple ends and which row of the page it came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TupleMark {
    /// Offset of the byte after the tuple in [`Shaped::copy`].
    pub end: usize,
    /// Row of the page, from 0.
    pub row: usize,
    /// Its digest, once somebody has worked it out.
    pub digest: RowDigest,
}

/// A value that was repaired without loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Repair {
    /// Nothing was left of a workspace-prefixed value: NULL written.
    EmptyToNull,
    /// `$(VALUE)` left by Kong 2.1.0: NULL written.
    PlaceholderToNull,
    /// A second workspace prefix stood behind the first; one was stripped, as Kong does.
    DoublePrefix,
    /// Byte 37 is `:` but the first 36 bytes are no uuid; stripped, as Kong does.
    OddPrefix,
    /// NULL `ws_id`: the default workspace's id written.
    DefaultWorkspace,
    /// Cache key of an older form recomputed.
    CacheKey,
    /// Seconds in a millisecond column: multiplied by 1,000.
    SecondsAsMillis,
    /// Fraction of a second cut off.
    Fraction,
    /// NULL replaced by the column's default.
    Default,
    /// Another required cell expires before the one Kong reads: the earlier instant written.
    EarlierExpiry,
    /// Zero-length value of a fixed-size type: NULL written.
    ZeroLength,
}

/// A row that cannot be loaded as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reject {
    /// Row of the page, from 0.
    pub row: usize,
    /// Primary key of the source row as text.
    pub key: String,
    /// Column at fault: of the target, or of the source where its cell keeps the row from being read at all.
    pub column: String,
    /// Why, in words without the value.
    pub reason: Reason,
}

/// Why a row is not loaded: mostly a value that `PostgreSQL` would refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// U+0000 in text.
    NulCharacter,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// Text that is not JSON.
    InvalidJson,
    /// JSON that jsonb refuses: an escaped U+0000 or a lone surrogate.
    JsonEscape,
    /// JSON nested too deeply for `PostgreSQL`'s stack.
    JsonDepth,
    /// A number outside the range of the target type.
    OutOfRange,
    /// NULL in a NOT NULL column.
    NullInNotNull,
    /// More characters than the column takes.
    TooLong,
    /// A timestamp or date outside `PostgreSQL`'s range.
    TimestampRange,
    /// Text that is not a uuid in a uuid column.
    InvalidUuid,
    /// A number too large or not finite inside JSON or numeric.
    InvalidNumber,
    /// Bytes that do not follow the CQL type's layout.
    Malformed,
    /// A required cell is gone.
    Ghost,
    /// The row stands under a partition that Kong never reads.
    ForeignPartition,
    /// A second workspace prefix stands behind the first, and shall not be taken for what Kong takes it for.
    DoublePrefix,
    /// A zero-length value of a fixed-size type, which shall not become NULL.
    ZeroLength,
}

impl Reason {
    /// Its class.
    pub fn class(self) -> Class {
        match self {
            Self::NulCharacter => Class::NulCharacter,
            Self::InvalidUtf8 => Class::InvalidUtf8,
            Self::InvalidJson => Class::InvalidJson,
            Self::JsonEscape => Class::JsonEscape,
            Self::JsonDepth => Class::JsonDepth,
            Self::OutOfRange => Class::OutOfRange,
            Self::NullInNotNull => Class::NullInNotNull,
            Self::TooLong => Class::TooLong,
            Self::TimestampRange => Class::TimestampRange,
            Self::InvalidUuid => Class::InvalidUuid,
            Self::InvalidNumber => Class::InvalidNumber,
            Self::Malformed => Class::Malformed,
            Self::Ghost => Class::GhostRow,
            Self::ForeignPartition => Class::ForeignPartition,
            Self::DoublePrefix => Class::DoublePrefix,
            Self::ZeroLength => Class::ZeroLength,
        }
    }
}

impl Reject {
    /// What is wrong with the row.
    pub fn class(&self) -> Class {
        self.reason.class()
    }
}

impl Repair {
    /// All of them; position = index into [`Shaped::repaired`].
    pub const ALL: [Self; 11] = [
        Self::EmptyToNull,
        Self::PlaceholderToNull,
        Self::DoublePrefix,
        Self::OddPrefix,
        Self::DefaultWorkspace,
        Self::CacheKey,
        Self::SecondsAsMillis,
        Self::Fraction,
        Self::Default,
        Self::EarlierExpiry,
        Self::ZeroLength,
    ];
}

impl Shaped {
    /// Empties it and keeps its buffers.
    pub fn clear(&mut self) {
        self.copy.clear();
        self.tuples.clear();
        self.read = 0;
        self.skipped = [0; Class::ALL.len()];
        self.repaired = [0; Repair::ALL.len()];
        self.rejects.clear();
        self.forms.clear();
        self.ciphertexts.clear();
        self.expiries.clear();
    }

    /// The conservation law: every row read is a tuple, skipped, or rejected.
    pub fn is_conserved(&self) -> bool {
        let kept = u64::try_from(self.tuples.len()).ok();
        let rejected = u64::try_from(self.rejects.len()).ok();
        let sum =
            kept.zip(rejected).map(|(kept, rejected)| kept + self.skipped.iter().sum::<u64>() + rejected);
        sum == Some(self.read)
    }
}

impl fmt::Display for Repair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::EmptyToNull => "empty name to NULL",
            Self::PlaceholderToNull => "$(VALUE) left by Kong 2.1.0 to NULL",
            Self::DoublePrefix => "doubled workspace prefix, one stripped",
            Self::OddPrefix => "prefix that is no uuid stripped, as Kong does",
            Self::DefaultWorkspace => "NULL ws_id to the default workspace",
            Self::CacheKey => "old cache key recomputed",
            Self::SecondsAsMillis => "seconds in a millisecond column",
            Self::Fraction => "fraction of a second cut",
            Self::Default => "NULL to the column's default",
            Self::EarlierExpiry => "earlier expiry of another cell taken",
            Self::ZeroLength => "zero-length value to NULL",
        })
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NulCharacter => "text holds the character U+0000, which PostgreSQL cannot store",
            Self::InvalidUtf8 => "text is not valid UTF-8",
            Self::InvalidJson => "text is not valid JSON",
            Self::JsonEscape => "JSON holds an escaped U+0000 or a lone surrogate, which jsonb refuses",
            Self::JsonDepth => "JSON is nested too deeply for PostgreSQL",
            Self::OutOfRange => "number is outside the range of the target column",
            Self::NullInNotNull => "value is NULL, and the target column is NOT NULL",
            Self::TooLong => "text is longer than the target column allows",
            Self::TimestampRange => "instant is outside PostgreSQL's range",
            Self::InvalidUuid => "text is not a uuid",
            Self::InvalidNumber => "number is not finite or too large for the target column",
            Self::Malformed => "bytes do not follow the layout of the CQL type",
            Self::Ghost => "a required cell is gone: the row has expired, and only a remnant is left",
            Self::ForeignPartition => "the row stands under a partition that Kong never reads",
            Self::DoublePrefix => "a second workspace prefix stands behind the first",
            Self::ZeroLength => "value of a fixed-size type has no bytes",
        })
    }
}
