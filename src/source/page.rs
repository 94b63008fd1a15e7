//! Pages: a number of rows as CQL value bytes.

use async_trait::async_trait;
use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::Result;

/// What is read of a table, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    /// Table to read.
    pub table: String,
    /// Cells of each row, in this order.
    pub items: Vec<SelectItem>,
}

/// One cell of a selection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelectItem {
    /// The value of a column.
    Column(String),
    /// Remaining lifetime of a column's cell in seconds (int), NULL when it does not expire.
    Ttl(String),
    /// Write time of a column's cell in microseconds since 1970 (bigint), NULL when there is no cell.
    WriteTime(String),
}

/// Some rows of a split.
///
/// `body` holds the rows one after the other, each row the cells of the selection, each cell as in the CQL native protocol
/// v4: a big-endian `i32` length (negative for NULL) and that many bytes.
#[derive(Debug, Clone)]
pub struct Page {
    /// Number of rows in `body`.
    pub rows: usize,
    /// The cells.
    pub body: Bytes,
    /// The coordinator's clock when the page was requested, in whole seconds since 1970: a cell with a remaining TTL of `n`
    /// expires at `read_at + n`.
    pub read_at: i64,
}

/// The pages of one split, in order.
#[async_trait]
pub trait Pages: Send {
    /// The next page, `None` after the last. A page may be empty. The page after it is already under way when this returns.
    async fn next(&mut self) -> Result<Option<Page>>;
}
