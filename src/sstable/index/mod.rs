//! Where partitions begin in the data.

use std::sync::Arc;

use crate::sstable::cursor::Cursor;
use crate::sstable::descriptor::Descriptor;
use crate::sstable::error::Result;
use crate::sstable::file::Folder;
use crate::sstable::input::Data;
use crate::sstable::rows::Bound;
use crate::sstable::unfiltered::Encoding;

/// An index.
pub(super) enum Index {
    None,
}

/// Where a partition is.
pub(super) struct Partition {
    position: u64,
}

impl Partition {
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    pub(super) fn enter(&self, _cursor: &mut Cursor, _after: &Bound) -> Result<()> {
        Ok(())
    }
}

impl Index {
    pub(super) fn open(_folder: &(impl Folder + ?Sized), _descriptor: &Descriptor) -> Result<Self> {
        Ok(Self::None)
    }

    /// First and last token.
    pub(super) fn tokens(&self) -> (i64, i64) {
        (i64::MIN, i64::MAX)
    }

    pub(super) fn floor(&self, _data: &Arc<Data>, _encoding: &Arc<Encoding>, _token: i64) -> Result<u64> {
        Ok(0)
    }

    pub(super) fn find(&self, data: &Arc<Data>, encoding: &Arc<Encoding>, key: &[u8]) -> Result<Option<Partition>> {
        let mut cursor = Cursor::new(Arc::clone(data), Arc::clone(encoding), 0)?;
        while cursor.next_partition()? {
            if cursor.key == key {
                return Ok(Some(Partition { position: cursor.begin }));
            }
        }
        Ok(None)
    }
}
