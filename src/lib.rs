//! kongferry moves a Kong Gateway datastore from Apache Cassandra to `PostgreSQL` by copying the data itself.
//!
//! A row travels through the folders of this crate in this order:
//!
//! 1. [`source`] cuts each table into splits and reads them as pages of CQL value bytes;
//! 2. [`schema_map`] says, column by column, what happens to a table, checked against both live catalogs;
//! 3. [`transform`] shapes the bytes of a page into tuples of a binary COPY;
//! 4. [`target`] loads those tuples, one transaction per split;
//! 5. [`engine`] plans the run and drives the workers that own a split from first page to commit, which write each into the
//!    [`ledger`] in the same transaction;
//! 6. [`verify`] counts and compares both sides;
//! 7. [`report`] shows what happens while it happens, and what came of it.
//!
//! [`config`] and [`cli`] stand in front of it, [`error`], [`policy`] (what becomes of bad rows), [`police`] (which sees to it where
//! only several tables together show what is wrong) and [`schema_state`] (whether both
//! sides are at the same migration) beside it. [`sstable`] reads Cassandra's files and knows nothing of the rest. [`estate`] builds synthetic Kong estates for the demo,
//! the tests and the benchmarks; `kongferry` itself never writes to a source.

pub mod canonical;
pub mod cli;
pub mod config;
pub mod engine;
pub mod error;
pub mod estate;
mod failpoint;
pub mod ledger;
pub mod police;
pub mod policy;
pub mod report;
pub mod schema_map;
pub mod schema_state;
pub mod source;
pub mod sstable;
pub mod target;
pub mod transform;
pub mod verify;
