//! A map that has met both catalogs: what to select, what to write.

use crate::source::{CqlType, Selection};
use crate::target::catalog::PgType;

use super::Origin;

/// How the rows of one table are shaped; the contract between maps and transform.
#[derive(Debug, Clone)]
pub struct TableMapping {
    /// Table name on both sides.
    pub table: String,
    /// Where the map comes from.
    pub origin: Origin,
    /// What is read: source columns and TTLs. All other fields refer to its items by position.
    pub selection: Selection,
    /// CQL type of each item of the selection (TTL items are `int`).
    pub types: Vec<CqlType>,
    /// Items that form the primary key of the source row; they name a row in errors.
    pub key: Vec<usize>,
    /// Items that must not be NULL, else the row is a ghost and is skipped.
    pub required: Vec<usize>,
    /// Items that hold passwords, secrets or tokens: counted by form for the report.
    pub secrets: Vec<usize>,
    /// Items that must hold this text, else the row is invisible to Kong and is skipped.
    pub constants: Vec<(usize, String)>,
    /// Target columns in COPY order.
    pub outputs: Vec<Output>,
    /// Hash (xxh3-64) of the map's text, for the report.
    pub hash: u64,
    /// Remarks for `plan`: columns that are not carried or keep their default.
    pub notes: Vec<String>,
    /// Sequences behind written columns, to be set to the maximum once all rows are there.
    pub sequences: Vec<Sequence>,
}

/// A written column whose default takes the next value of a sequence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// The column.
    pub column: String,
    /// Name of the sequence as the default writes it, quoted and qualified as needed, for `setval('...', ...)`; `None` for an
    /// identity column, whose sequence `pg_get_serial_sequence` tells.
    pub name: Option<String>,
}

/// One target column that is written.
#[derive(Debug, Clone)]
pub struct Output {
    /// Its name.
    pub column: String,
    /// Its type.
    pub ty: PgType,
    /// Whether it refuses NULL.
    pub not_null: bool,
    /// Where its value comes from.
    pub from: Production,
}

/// How the value of a target column is made. Numbers are positions in the selection.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs)]
pub enum Production {
    Copy {
        item: usize,
    },
    StripWorkspace {
        item: usize,
    },
    Timestamp {
        item: usize,
        whole_seconds: bool,
    },
    Workspace {
        item: usize,
    },
    /// `of` and `others` are TTL items; the earliest instant counts.
    ExpiresAt {
        of: usize,
        others: Vec<usize>,
    },
    Default {
        item: Option<usize>,
        value: String,
    },
    /// `parts`: positions of earlier or later *outputs* by column name, `None` for an empty part.
    CacheKey {
        item: usize,
        head: String,
        parts: Vec<Option<usize>>,
    },
    /// `active` where item `id` is among the active keys of the keyring, else item `state`, else `alive`.
    KeyringState {
        id: usize,
        state: usize,
    },
}
