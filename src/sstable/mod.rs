//! Reads the SSTables of Apache Cassandra: bytes in, rows out.

mod bytes;
mod compression;
mod cursor;
mod descriptor;
mod error;
mod file;
mod index;
mod input;
mod marshal;
mod order;
mod reconcile;
mod row;
mod rows;
mod sstable;
mod statistics;
mod table;
mod token;
mod unfiltered;

pub use descriptor::{Component, Descriptor, Format, Version};
pub use error::{Error, ErrorKind, Place, Result};
pub use file::{Folder, ReadAt};
pub use marshal::Type;
pub use row::{LiveCell, Row};
pub use rows::{Rows, Tokens};
pub use sstable::SsTable;
pub use statistics::{Header, HeaderColumn, Statistics, Summary};
pub use table::{Column, ColumnKind, Definition, Table, Ties};
pub use token::token;
