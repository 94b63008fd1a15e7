//! What can be wrong with a file: which one, where, and what.

use std::fmt;
use std::io;
use std::sync::Arc;

/// Result with the reader's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The operating system could not read the file.
    Io,
    /// A file that an SSTable of that version has is not there.
    Missing,
    /// The bytes are not what Cassandra writes: truncated, altered or foreign.
    Damaged,
    /// Sound, as far as can be told, but of a version or kind this reader does not read.
    Unsupported,
    /// The file is not one of the table as it was described: other key, other type.
    Mismatch,
}

/// Where in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Bytes from the start of the file.
    Stored(u64),
    /// Bytes from the start of what the file decompresses to.
    Unpacked(u64),
}

/// A failure to read an SSTable. It names a file, a place and a reason, never a value of a row.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    file: Arc<str>,
    place: Option<Place>,
    what: String,
}

impl Error {
    /// An error about `file`.
    pub fn new(kind: ErrorKind, file: &Arc<str>, place: Option<Place>, what: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, file: Arc::clone(file), place, what: what.into() }))
    }

    /// Altered bytes at `offset` of the stored file.
    pub(super) fn damaged(file: &Arc<str>, offset: u64, what: impl Into<String>) -> Self {
        Self::new(ErrorKind::Damaged, file, Some(Place::Stored(offset)), what)
    }

    /// Something about the whole of `file`.
    pub(super) fn whole(kind: ErrorKind, file: &Arc<str>, what: impl Into<String>) -> Self {
        Self::new(kind, file, None, what)
    }

    /// A failed read at `offset`.
    pub(super) fn io(file: &Arc<str>, offset: Option<u64>, error: &io::Error) -> Self {
        Self::new(ErrorKind::Io, file, offset.map(Place::Stored), format!("cannot be read: {error}"))
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// Name of the file it is about.
    pub fn file(&self) -> &str {
        &self.0.file
    }

    /// Where in the file, unless it is about the whole of it.
    pub fn place(&self) -> Option<Place> {
        self.0.place
    }

    /// What is wrong there.
    pub fn what(&self) -> &str {
        &self.0.what
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.file)?;
        match self.0.place {
            Some(Place::Stored(offset)) => write!(f, ", byte {offset}")?,
            Some(Place::Unpacked(offset)) => write!(f, ", byte {offset} after decompression")?,
            None => {}
        }
        write!(f, ": {}", self.0.what)
    }
}

impl std::error::Error for Error {}
