//! Station 1: the Cassandra side, read-only.
//!
//! In: a connection. Out: a [`Catalog`], the [`Split`]s of a table, and [`Page`]s of CQL value bytes. The live cluster
//! ([`cluster`]) is one implementation of [`Source`], a snapshot of its files ([`snapshot`]) the other; nothing downstream may
//! know which one it reads from.

use std::sync::Arc;

use async_trait::async_trait;

use crate::error::Result;

pub mod catalog;
pub mod cells;
pub mod cluster;
pub mod cql_type;
mod cql_type_text;
pub mod kong;
mod one_row;
pub mod page;
pub mod sizing;
mod slices;
pub mod snapshot;
pub mod split;
mod token_ranges;
mod uuid_order;

pub use catalog::{Catalog, Column, ColumnKind, Table};
pub use cql_type::CqlType;
pub use page::{Page, Pages, SelectItem, Selection};
pub use sizing::PageSizing;
pub use split::{Cut, Range, Split};

/// Where rows come from.
#[async_trait]
pub trait Source: Send + Sync {
    /// What the source holds; read once when it was opened.
    fn catalog(&self) -> &Catalog;

    /// Cuts `table` into splits that tile its whole space without gap or overlap.
    async fn splits(&self, table: &Table, cut: Cut) -> Result<Vec<Split>>;

    /// About how many rows `table` holds, for plans and progress; `None` when the source cannot say.
    async fn estimate(&self, _table: &Table) -> Option<u64> {
        None
    }

    /// What is worth saying of what was read, once it was: for the end of a run and for its report.
    fn remarks(&self) -> Vec<String> {
        Vec::new()
    }

    /// Opens one split for reading. `sizing` is shared by all splits of the table, so that what one worker learned about the
    /// width of rows serves the others.
    async fn open(
        &self,
        selection: Arc<Selection>,
        split: &Split,
        sizing: Arc<PageSizing>,
    ) -> Result<Box<dyn Pages>>;
}
