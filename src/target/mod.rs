//! Station 4: the `PostgreSQL` side.
//!
//! In: tuples of a binary COPY. Out: committed rows. Also what the target says of itself: its [`catalog`], the load order its
//! foreign keys ask for ([`levels`]), whether it is [`fresh`], and how many rows it holds ([`count`]).
//!
//! Errors of the driver never leave this module as they are: see [`failure`].

pub mod archive;
pub mod armour;
pub mod bootstrap;
pub mod catalog;
mod catalog_read;
mod connect;
pub mod connections;
mod copy;
mod copy_out;
pub mod count;
pub mod counters;
pub mod failure;
pub mod fresh;
pub mod identifier;
pub mod levels;
pub mod privileges;
mod probe;
pub mod schema_meta;
pub mod seeding;
pub mod sequences;
pub mod sessions;
pub mod settings;
pub mod sieve;
mod snapshot;
mod sqlstate;
pub mod tags;
mod transaction;
pub mod workspace_defaults;

pub use catalog::Catalog;
pub use connect::{Client, Server, Target, TargetConfig};
pub use copy::CopyStream;
pub use copy_out::TupleStream;
pub use failure::{CopyFailure, Endpoint};
pub use levels::{Levels, load_levels};
pub use snapshot::Moment;
pub use transaction::LoadTransaction;
