//! Splits: the parts of a table that are read, loaded and counted on their own.

use std::fmt;
use std::net::SocketAddr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// How finely a table is cut, and where the cuts fall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// Wanted number of splits; the source may give more (one per ring range) or fewer.
    pub parts: usize,
    /// Moves every inner cut by half a part, so that a second count does not repeat the cuts of the first.
    pub shifted: bool,
}

/// A part of one table. The ledger keeps it as JSON.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Split {
    /// Table it belongs to.
    pub table: String,
    /// Place in the table's list of splits, from 0.
    pub index: usize,
    /// What it covers.
    pub range: Range,
    /// Nodes that hold replicas, nearest first; empty when unknown.
    pub replicas: Vec<SocketAddr>,
    /// Share of the table's space, 0 to 1; the shares of all splits of a table add up to 1.
    pub share: f64,
}

/// What a split covers. Lower bounds are exclusive, upper bounds inclusive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Range {
    /// Partitions with `after < token <= upto`; `None` is open.
    Tokens {
        /// Exclusive lower bound.
        after: Option<i64>,
        /// Inclusive upper bound.
        upto: Option<i64>,
    },
    /// Rows of one partition with `after < clustering uuid <= upto` in Cassandra's uuid order; `None` is open.
    Slice {
        /// The text value of the partition key.
        partition: String,
        /// Exclusive lower bound.
        after: Option<Uuid>,
        /// Inclusive upper bound.
        upto: Option<Uuid>,
    },
}

impl fmt::Display for Split {
    /// `table split 3 (tokens (-100, 200])`: ids and tokens only, never a value of a row.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn bound<T: fmt::Display>(value: Option<&T>, open: &str) -> String {
            value.map_or_else(|| open.to_owned(), ToString::to_string)
        }
        write!(f, "{} split {} ", self.table, self.index)?;
        match &self.range {
            Range::Tokens { after, upto } => {
                write!(f, "(tokens ({}, {}])", bound(after.as_ref(), "-inf"), bound(upto.as_ref(), "+inf"))
            }
            Range::Slice { after, upto, .. } => {
                write!(f, "(ids ({}, {}])", bound(after.as_ref(), "first"), bound(upto.as_ref(), "last"))
            }
        }
    }
}
