//! Synthetic Kong estates: schemas on empty servers, and rows to fill them.
//!
//! In: a server and a [`KongVersion`]. Out: what `kong migrations bootstrap` leaves there ([`create_cassandra`],
//! [`create_postgres`]), and on Cassandra an estate of any size ([`fill()`]): every table of its edition, several workspaces,
//! deterministic by seed. [`scan()`] reads tables back and does nothing with them: the measure of how fast they can be read at
//! all. For the demo, the tests and the benchmarks; nothing here runs in a migration.

pub mod catalog;
mod connect;
mod create_cassandra;
mod create_postgres;
pub mod fill;
mod scan;
mod seed;
mod version;

pub use connect::{connect_cassandra, connect_for_scan, connect_postgres};
pub use create_cassandra::{CreateOptions, create_cassandra, create_indexes, drop_indexes};
pub use create_postgres::{create_postgres, create_postgres_with};
pub use fill::{FillSpec, Progress, Summary, edition_of, fill, fill_with_progress, version_of};
pub use scan::{ScanSpec, Scanned, scan};
pub use version::{Edition, KongVersion};
