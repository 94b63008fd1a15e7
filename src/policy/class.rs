//! The kinds of defects.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Policy;

/// A kind of defect of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// A required cell is gone: the row has expired, but a cell without TTL survives. Kong does not see it.
    GhostRow,
    /// The row stands under a partition constant that Kong never reads.
    ForeignPartition,
    /// A second workspace prefix stands behind the first (Kong 2.x could write it twice). Kong strips one.
    DoublePrefix,
    /// A value of a fixed-size type with no bytes at all, which Cassandra allows.
    ZeroLength,
    /// U+0000 in text.
    NulCharacter,
    /// Text that is not UTF-8.
    InvalidUtf8,
    /// Text that is not JSON in a JSON column.
    InvalidJson,
    /// JSON with an escaped U+0000 or a lone surrogate, which jsonb refuses.
    JsonEscape,
    /// JSON nested too deeply for `PostgreSQL`.
    JsonDepth,
    /// A number outside the range of the target column.
    OutOfRange,
    /// A number that is not finite, or too large inside JSON or numeric.
    InvalidNumber,
    /// NULL in a NOT NULL column.
    NullInNotNull,
    /// More characters than the column takes.
    TooLong,
    /// An instant outside `PostgreSQL`'s range.
    TimestampRange,
    /// Text that is not a uuid in a uuid column.
    InvalidUuid,
    /// Bytes that do not follow the layout of the CQL type.
    Malformed,
    /// A value too large for an entry of an index of the target.
    IndexEntry,
    /// A `ws_id` that differs from the one of the row's parent.
    WorkspaceMismatch,
    /// The row refers to a row that does not exist.
    MissingParent,
    /// The row has the same unique key as another.
    Duplicate,
    /// A constraint or trigger of the target refuses the row, for another reason.
    Refused,
}

impl Class {
    /// All of them.
    pub const ALL: [Self; 21] = [
        Self::GhostRow,
        Self::ForeignPartition,
        Self::DoublePrefix,
        Self::ZeroLength,
        Self::NulCharacter,
        Self::InvalidUtf8,
        Self::InvalidJson,
        Self::JsonEscape,
        Self::JsonDepth,
        Self::OutOfRange,
        Self::InvalidNumber,
        Self::NullInNotNull,
        Self::TooLong,
        Self::TimestampRange,
        Self::InvalidUuid,
        Self::Malformed,
        Self::IndexEntry,
        Self::WorkspaceMismatch,
        Self::MissingParent,
        Self::Duplicate,
        Self::Refused,
    ];

    /// Its name on the command line and in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GhostRow => "ghost-row",
            Self::ForeignPartition => "foreign-partition",
            Self::DoublePrefix => "double-prefix",
            Self::ZeroLength => "zero-length",
            Self::NulCharacter => "nul-character",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::InvalidJson => "invalid-json",
            Self::JsonEscape => "json-escape",
            Self::JsonDepth => "json-depth",
            Self::OutOfRange => "out-of-range",
            Self::InvalidNumber => "invalid-number",
            Self::NullInNotNull => "null-in-not-null",
            Self::TooLong => "too-long",
            Self::TimestampRange => "timestamp-range",
            Self::InvalidUuid => "invalid-uuid",
            Self::Malformed => "malformed",
            Self::IndexEntry => "index-entry",
            Self::WorkspaceMismatch => "workspace-mismatch",
            Self::MissingParent => "missing-parent",
            Self::Duplicate => "duplicate",
            Self::Refused => "refused",
        }
    }

    /// What is the matter with such a row, in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::GhostRow => "expired, only a remnant left",
            Self::ForeignPartition => "under a partition Kong never reads",
            Self::DoublePrefix => "a second workspace prefix behind the first",
            Self::ZeroLength => "a value without bytes in a type of fixed size",
            Self::NulCharacter => "text with the character U+0000",
            Self::InvalidUtf8 => "text that is not UTF-8",
            Self::InvalidJson => "text that is not JSON",
            Self::JsonEscape => "JSON with an escape that jsonb refuses",
            Self::JsonDepth => "JSON nested too deeply",
            Self::OutOfRange => "a number outside the column's range",
            Self::InvalidNumber => "a number that is not finite or too large",
            Self::NullInNotNull => "NULL in a NOT NULL column",
            Self::TooLong => "more characters than the column takes",
            Self::TimestampRange => "an instant outside PostgreSQL's range",
            Self::InvalidUuid => "text that is not a uuid",
            Self::Malformed => "bytes that do not follow their CQL type",
            Self::IndexEntry => "a value too large for an index",
            Self::WorkspaceMismatch => "another workspace than its parent's",
            Self::MissingParent => "refers to a row that does not exist",
            Self::Duplicate => "the same unique key as another row",
            Self::Refused => "refused by a constraint or trigger of the target",
        }
    }

    /// Whether only the target can tell, and not the row alone.
    pub fn shows_on_target_only(self) -> bool {
        matches!(
            self,
            Self::IndexEntry
                | Self::WorkspaceMismatch
                | Self::MissingParent
                | Self::Duplicate
                | Self::Refused
        )
    }

    /// The class of that name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// The policies it can have; the first is the default.
    pub fn policies(self) -> &'static [Policy] {
        use Policy::{Fail, Quarantine, Repair, Skip};
        match self {
            Self::GhostRow | Self::ForeignPartition => &[Skip, Quarantine, Fail],
            Self::DoublePrefix | Self::ZeroLength | Self::WorkspaceMismatch => {
                &[Repair, Quarantine, Skip, Fail]
            }
            _ => &[Quarantine, Skip, Fail],
        }
    }

    /// What becomes of it unless the user chose otherwise.
    pub fn default_policy(self) -> Policy {
        self.policies().first().copied().unwrap_or(Policy::Fail)
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
