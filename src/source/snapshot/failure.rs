//! What a reader of SSTables found wrong, in words for whoever runs the migration.

use crate::error::{Error, ErrorKind};
use crate::sstable;

/// What to do about it.
fn remedy(error: &sstable::Error) -> &'static str {
    match error.kind() {
        sstable::ErrorKind::Io => "check that the file can be read, then go on",
        sstable::ErrorKind::Missing => "copy the snapshot again, with all its files",
        sstable::ErrorKind::Unsupported => {
            "read this table from the live cluster, or let a supported Cassandra rewrite its files with `nodetool upgradesstables`"
        }
        sstable::ErrorKind::Mismatch => "keep the snapshots of different tables and clusters apart",
        _ => {
            "compare the file with the one on the node and copy it again; if both are alike, the node has lost data: repair it, \
              take a new snapshot"
        }
    }
}

/// While reading a split.
pub(super) fn while_reading(split: &str, error: &sstable::Error) -> Error {
    Error::new(ErrorKind::Source, format!("reading {split} from its snapshot failed"))
        .because(error)
        .remedy(remedy(error))
}

/// While cutting a table into splits.
pub(super) fn while_planning(table: &str, error: &sstable::Error) -> Error {
    Error::new(ErrorKind::Source, format!("the snapshot of table {table} cannot be read"))
        .because(error)
        .remedy(remedy(error))
}

/// While opening the files of a table.
pub(super) fn while_opening(table: &str, error: &sstable::Error) -> Error {
    Error::new(ErrorKind::Preflight, format!("the snapshot of table {table} cannot be opened"))
        .because(error)
        .remedy(remedy(error))
}
