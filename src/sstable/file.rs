//! Where the bytes come from: positioned reads on named files. The reader opens nothing by itself.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use super::error::{Error, ErrorKind, Result};

/// A file's bytes, read at any position by any number of threads.
pub trait ReadAt: Send + Sync {
    /// Size in bytes.
    fn size(&self) -> io::Result<u64>;

    /// Reads some bytes at `offset` into `buffer`; 0 at the end.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
}

impl ReadAt for File {
    fn size(&self) -> io::Result<u64> {
        self.metadata().map(|metadata| metadata.len())
    }

    #[cfg(unix)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::unix::fs::FileExt::read_at(self, buffer, offset)
    }

    #[cfg(windows)]
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        std::os::windows::fs::FileExt::seek_read(self, buffer, offset)
    }
}

impl ReadAt for Vec<u8> {
    fn size(&self) -> io::Result<u64> {
        u64::try_from(self.len()).map_err(io::Error::other)
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        Ok(count)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for Arc<T> {
    fn size(&self) -> io::Result<u64> {
        (**self).size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        (**self).read_at(buffer, offset)
    }
}

/// A place with files: a directory, or bytes in memory.
pub trait Folder {
    /// Opens the file of that name; `None` when there is none.
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn ReadAt>>>;

    /// What errors call the file of that name.
    fn called(&self, name: &str) -> String {
        name.to_owned()
    }
}

impl Folder for Path {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn ReadAt>>> {
        match File::open(self.join(name)) {
            Ok(file) => Ok(Some(Arc::new(file))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn called(&self, name: &str) -> String {
        self.join(name).display().to_string()
    }
}

impl Folder for BTreeMap<String, Arc<Vec<u8>>> {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn ReadAt>>> {
        Ok(self.get(name).map(|bytes| Arc::clone(bytes) as Arc<dyn ReadAt>))
    }
}

/// An open file with its name and size, for errors and bounds.
#[derive(Clone)]
pub(super) struct Stored {
    pub(super) name: Arc<str>,
    pub(super) size: u64,
    bytes: Arc<dyn ReadAt>,
}

impl Stored {
    /// Takes over an open file.
    pub(super) fn new(name: &str, bytes: Arc<dyn ReadAt>) -> Result<Self> {
        let name = Arc::from(name);
        let size = bytes.size().map_err(|error| Error::io(&name, None, &error))?;
        Ok(Self { name, size, bytes })
    }

    /// Opens the file `name` of `folder`, `None` when there is none.
    pub(super) fn open(folder: &(impl Folder + ?Sized), name: &str) -> Result<Option<Self>> {
        let called = folder.called(name);
        let bytes =
            folder.open(name).map_err(|error| Error::io(&Arc::from(called.as_str()), None, &error))?;
        bytes.map(|bytes| Self::new(&called, bytes)).transpose()
    }

    /// Opens a file that has to be there.
    pub(super) fn require(folder: &(impl Folder + ?Sized), name: &str) -> Result<Self> {
        Self::open(folder, name)?
            .ok_or_else(|| Error::whole(ErrorKind::Missing, &Arc::from(folder.called(name)), "is not there"))
    }

    /// Fills `buffer` from `offset`.
    pub(super) fn read(&self, mut buffer: &mut [u8], mut offset: u64) -> Result<()> {
        while !buffer.is_empty() {
            match self.bytes.read_at(buffer, offset) {
                Ok(0) => return Err(Error::damaged(&self.name, offset, "the file ends here, too early")),
                Ok(count) => {
                    offset = offset.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
                    buffer = buffer.get_mut(count..).unwrap_or_default();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io(&self.name, Some(offset), &error)),
            }
        }
        Ok(())
    }

    /// Fills `buffer` with `count` bytes from `offset`; refuses before it allocates when the file does not hold them.
    pub(super) fn read_into(&self, buffer: &mut Vec<u8>, offset: u64, count: u64) -> Result<()> {
        if offset.checked_add(count).is_none_or(|end| end > self.size) {
            let what = format!("{count} bytes are to be here, and the file has {} in all", self.size);
            return Err(Error::damaged(&self.name, offset, what));
        }
        let count = usize::try_from(count)
            .map_err(|_| Error::damaged(&self.name, offset, "more bytes than memory can hold"))?;
        // What is read over needs no zeros.
        buffer.resize(count, 0);
        self.read(buffer, offset)
    }

    /// The whole file, at most `limit` bytes.
    pub(super) fn read_whole(&self, limit: u64) -> Result<Vec<u8>> {
        if self.size > limit {
            let what = format!("has {} bytes; such a file has no more than {limit}", self.size);
            return Err(Error::whole(ErrorKind::Damaged, &self.name, what));
        }
        let mut bytes = Vec::new();
        self.read_into(&mut bytes, 0, self.size)?;
        Ok(bytes)
    }
}
