//! Reads the SSTables of Apache Cassandra: bytes in, rows out.
//!
//! Stands alone: it knows nothing of kongferry, opens only what it is given, starts no threads and keeps no rows. An
//! [`SsTable`] is opened from a [`Folder`] (a directory, or bytes in memory); a [`Table`] is a [`Definition`] and any number of
//! SSTables, of one node or of several; [`Table::scan`] and [`Table::slice`] give its live [`Row`]s, merged as Cassandra merges
//! them when it reads, as of a given second.
//!
//! ```no_run
//! # use std::{path::Path, sync::Arc};
//! # use kongferry::sstable::{Column, ColumnKind, Definition, Descriptor, Result, SsTable, Table, Tokens};
//! # fn names(directory: &Path) -> Vec<String> { Vec::new() }
//! # fn main() -> Result<()> {
//! let directory = Path::new("data/kong/snis-5a1c395e15b211ee/snapshots/nightly");
//! let names = names(directory);
//! let mut sstables = Vec::new();
//! for descriptor in Descriptor::group(names.iter().map(String::as_str))?.keys() {
//!     sstables.push(Arc::new(SsTable::open(directory, descriptor)?));
//! }
//! let column = |name: &str, kind| Column { name: name.to_owned(), kind, ty: None };
//! let definition = Definition {
//!     columns: vec![
//!         column("partition", ColumnKind::PartitionKey),
//!         column("id", ColumnKind::Clustering),
//!         column("name", ColumnKind::Regular),
//!     ],
//!     ..Definition::default()
//! };
//! let table = Arc::new(Table::new(&definition, sstables)?);
//! let mut rows = table.scan(Tokens::default(), 1_700_000_000)?;
//! let mut values = Vec::new();
//! while let Some(row) = rows.next_row()? {
//!     // As in a row of the CQL protocol: a 32-bit length and the bytes of the value.
//!     row.write(1, &mut values);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Versions
//!
//! `md`, `me`, `na`, `nb`, `oa` and `da`, which are Cassandra 3.11 to 5.0 in both formats; LZ4, Snappy, Deflate, Zstandard and
//! none. Anything else is an error that names it, never an empty table: other versions and partitioners, materialized views'
//! deletions, tables `WITH COMPACT STORAGE`, rows in the order of decimals.
//!
//! # What is trusted
//!
//! Every chunk of the data has a checksum, which is checked before a byte of it is used. The files beside it have none (but
//! Statistics.db, from `na` on): a length in them is only a claim, and memory grows with the bytes that are there, not with what
//! they say; a place that an index gives is looked at in the data before it is believed. What no check can find: a changed
//! base of write times or expiry instants in Statistics.db of `md` and `me`, and a range deletion that the index of a large
//! partition conceals.
//!
//! # Memory
//!
//! One chunk, one row and the row before for every SSTable that overlaps the place that is read; up to 8192 tokens of
//! each Index.db; the list of blocks of one partition while a slice of it is opened.

mod bytes;
mod compression;
mod cursor;
mod decode;
mod descriptor;
mod error;
mod file;
mod index;
mod input;
mod marshal;
mod open;
mod order;
mod reconcile;
mod row;
mod rows;
mod statistics;
mod survey;
mod table;
mod token;
mod unfiltered;

pub use descriptor::{Component, Descriptor, Format, Version};
pub use error::{Error, ErrorKind, Place, Result};
pub use file::{Folder, ReadAt};
pub use marshal::Type;
pub use open::SsTable;
pub use row::{LiveCell, Row};
pub use rows::{Rows, Tokens};
pub use statistics::{Header, HeaderColumn, Statistics, Summary};
pub use survey::PartitionSample;
pub use table::{Column, ColumnKind, Definition, Table, Ties};
pub use token::token;
