//! Station 2: what happens to each column of a table.
//!
//! In: one TOML file per table ([`load`], built in or from `--map-dir`) and the live catalogs of both sides. Out: a
//! [`TableMapping`] in which every source column is used or dropped by name and every target column is written or has a
//! default ([`resolve`]). Nothing is guessed.

pub mod load;
pub mod mapping;
pub mod model;
pub mod resolve;

pub use load::MapSet;
pub use mapping::{Output, Production, TableMapping};
pub use model::{Action, ColumnRule, Origin, Rule, TableMap};
