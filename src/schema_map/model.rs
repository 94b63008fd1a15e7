//! The model of a map file: one value of [`TableMap`] per table. docs/schema-maps.md is its reference for users.

use std::collections::BTreeMap;
use std::path::PathBuf;

/// What a map file says of one table.
#[derive(Debug, Clone)]
pub struct TableMap {
    /// Table name, the same on both sides.
    pub table: String,
    /// Copied, skipped, or merged with the rows a fresh Gateway leaves.
    pub action: Action,
    /// Why, for the person who reads `plan`; required unless the action is copy.
    pub reason: Option<String>,
    /// Word under which `--include` copies a table that is skipped by default; such a map has columns.
    pub include: Option<String>,
    /// Source columns that Kong requires: a row in which one is NULL has expired but for a cell without TTL (a ghost row)
    /// and is skipped and counted.
    pub required: Vec<String>,
    /// Source columns that hold passwords, secrets or tokens: their values are counted by form (bcrypt, SHA-1, plain text and
    /// so on) for the report.
    pub secrets: Vec<String>,
    /// Subsystem of Kong's migrations that makes the table, such as `key-auth`; `None` for `core`.
    pub subsystem: Option<String>,
    /// A table that old or unfinished upgrades leave on the source: skipped where the target lacks it.
    pub leftover: Option<Leftover>,
    /// Rules by column name.
    pub columns: BTreeMap<String, ColumnRule>,
    /// Where the map comes from.
    pub origin: Origin,
    /// The file's text, for `map show`.
    pub text: String,
    /// xxh3-64 of the text, for the report.
    pub hash: u64,
}

/// When a table on the source alone is skipped instead of refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leftover {
    /// Only where the source holds this table too, to which the rows have moved; `None`: always.
    pub beside: Option<String>,
    /// Only where the source does not hold this table, in whose company the rows would count; `None`: always.
    pub without: Option<String>,
    /// Why, for the person who reads `plan`.
    pub reason: String,
}

/// What happens to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Every row is copied.
    Copy,
    /// No row is copied, unless its `include` word is given.
    Skip,
    /// Every row is copied, and the target's bootstrap rows give way to them in the same transaction.
    Merge,
}

/// Where a map comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Compiled into the binary.
    BuiltIn,
    /// A file of `--map-dir`.
    Edited(PathBuf),
    /// Worked out from both catalogs and a sample of the rows, for a table that no map describes.
    Derived,
}

/// The rule of one column.
#[derive(Debug, Clone, PartialEq)]
pub struct ColumnRule {
    /// What to do.
    pub rule: Rule,
    /// The column exists only in some Kong versions, which the two live catalogs tell: on neither side, nothing to do; on
    /// the target alone, it keeps its default and `plan` says so. On the source alone it is an error all the same, as its
    /// data would be lost, unless the rule is drop or constant.
    pub if_present: bool,
}

/// What to do with a column.
#[derive(Debug, Clone, PartialEq)]
pub enum Rule {
    /// The source value as it is, converted as the pair of types requires.
    Copy,
    /// Text that Cassandra stores as `<ws uuid>:<value>`: when byte 37 is `:`, the first 37 bytes go, once. A value that is
    /// then empty, empty from the start, or literally `$(VALUE)` after a prefix (left by Kong 2.1.0) becomes NULL.
    StripWorkspace,
    /// A Kong timestamp: an instant before 2000-01-01 (but after 1970-01-01T00:00:00) is taken for seconds stored as
    /// milliseconds and multiplied; counted.
    Timestamp,
    /// Like `Timestamp`, and a fraction of a second is cut off, as Kong does on read.
    WholeSeconds,
    /// The row's workspace: NULL (rows of Kong 2.0 nodes) becomes the source's default workspace; counted.
    Workspace,
    /// Target column holding the instant of expiry: coordinator's clock at the request plus remaining TTL of column `of`.
    /// Where a `required` scalar cell expires earlier, the earlier instant is taken; counted.
    ExpiresAt {
        /// Source column whose TTL Kong reads.
        of: String,
        /// Kong gave these rows a lifetime only from some version on: where the target lacks the column and the source's table
        /// has no default TTL, there is nothing to write.
        optional: bool,
    },
    /// State of a key of the keyring: `active` for the id in the source's `keyring_meta_active`, else what is stored, else
    /// `alive`. Cassandra keeps `alive` for the active key too.
    KeyringState {
        /// Source column that holds the id of the key.
        of: String,
    },
    /// The source value (if the source has the column), and `value` where it is NULL or absent.
    Default {
        /// Scalar or JSON text, written as the target column's type.
        value: String,
    },
    /// A stored cache key `<head>:<part>:...`: copied, but recomputed where it ends in `:` (Kong 2.0) or `nil` (targets of a
    /// NULL workspace at the 3.0 upgrade); counted.
    CacheKey {
        /// First part, such as `plugins`.
        head: String,
        /// The further parts: source column names (shaped values) or empty strings, e.g. for acls
        /// `["consumer_id", "group", "", "", "", "ws_id"]`.
        parts: Vec<String>,
    },
    /// A source column that always holds `value` and has no target column; rows with another value are invisible to Kong and
    /// skipped, counted.
    Constant {
        /// The value, such as `services`.
        value: String,
    },
    /// A source column that is not carried.
    Drop,
    /// A target column that is left to its default.
    Leave,
}

impl Rule {
    /// The names that map files use, and the arguments that each needs.
    pub const NAMES: [(&'static str, &'static [&'static str]); 12] = [
        ("copy", &[]),
        ("strip_workspace", &[]),
        ("timestamp", &[]),
        ("whole_seconds", &[]),
        ("workspace", &[]),
        ("expires_at", &["of"]),
        ("default", &["value"]),
        ("cache_key", &["head", "parts"]),
        ("keyring_state", &["of"]),
        ("constant", &["value"]),
        ("drop", &[]),
        ("leave", &[]),
    ];

    /// Its name in map files.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::StripWorkspace => "strip_workspace",
            Self::Timestamp => "timestamp",
            Self::WholeSeconds => "whole_seconds",
            Self::Workspace => "workspace",
            Self::ExpiresAt { .. } => "expires_at",
            Self::Default { .. } => "default",
            Self::CacheKey { .. } => "cache_key",
            Self::KeyringState { .. } => "keyring_state",
            Self::Constant { .. } => "constant",
            Self::Drop => "drop",
            Self::Leave => "leave",
        }
    }
}

impl Action {
    /// Its name in map files and in `map list`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Copy => "copy",
            Self::Skip => "skip",
            Self::Merge => "merge",
        }
    }
}
