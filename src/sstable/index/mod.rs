//! Where partitions begin in the data, and blocks of rows in large partitions.
//!
//! No checksum covers the files beside the data, so nothing is believed that is not found again in the data, whose chunks have
//! checksums: an index that lies leads to an error or a longer way, not to rows that are passed over.

mod big;
mod blocks;
mod bti;
mod trie;

use std::sync::{Arc, OnceLock};

use crate::sstable::cursor::Cursor;
use crate::sstable::decode::Encoding;
use crate::sstable::descriptor::{Component, Descriptor, Format};
use crate::sstable::error::{Error, ErrorKind, Result};
use crate::sstable::file::{Folder, Stored};
use crate::sstable::input::Data;
use crate::sstable::rows::Bound;
use crate::sstable::token::token;

use blocks::Blocks;

/// A partition larger than this, in bytes, is not walked over to get behind it.
const LONG_WAY: u64 = 1 << 20;

/// The index of one SSTable.
pub(super) struct Index {
    layout: Layout,
    /// Number of partitions, as counted in Statistics.db.
    partitions: u64,
    /// First and last token, after a look at the data.
    ends: OnceLock<Result<(i64, i64)>>,
}

enum Layout {
    Big(big::Big),
    Bti(bti::Bti),
}

/// An entry of an index: a partition, as far as the index says.
#[derive(Debug, Clone)]
struct Entry {
    /// Where it begins in the data.
    position: u64,
    /// Its key, where the index holds it.
    key: Option<Vec<u8>>,
    /// How a trie leads to it: the first bytes of its token, and perhaps of its key.
    path: Vec<u8>,
    /// Where the blocks of its rows are listed: in Index.db, or the root of the trie in Rows.db.
    blocks: Option<u64>,
}

/// Two neighbours in the order of partitions.
#[derive(Debug, Clone, Default)]
struct Neighbours {
    /// The last partition with a token up to the one in question.
    floor: Option<Entry>,
    /// The one that follows.
    next: Option<Entry>,
}

/// A partition that was found.
pub(super) struct Partition<'i> {
    index: &'i Index,
    entry: Entry,
}

impl Index {
    /// Opens the index of an SSTable that has so many partitions.
    pub(super) fn open(
        folder: &(impl Folder + ?Sized),
        descriptor: &Descriptor,
        partitions: u64,
    ) -> Result<Self> {
        let file = |component| Stored::require(folder, &descriptor.file(component));
        let layout = match descriptor.version.format() {
            Format::Big => Layout::Big(big::Big::new(file(Component::Index)?)),
            Format::Bti => Layout::Bti(bti::Bti::open(file(Component::Partitions)?, file(Component::Rows)?)?),
        };
        Ok(Self { layout, partitions, ends: OnceLock::new() })
    }

    fn file(&self) -> &Arc<str> {
        match &self.layout {
            Layout::Big(big) => big.file(),
            Layout::Bti(bti) => bti.file(),
        }
    }

    /// First and last token.
    pub(super) fn tokens(&self, data: &Arc<Data>, encoding: &Arc<Encoding>) -> Result<(i64, i64)> {
        self.ends.get_or_init(|| self.look_at_ends(data, encoding)).clone()
    }

    fn look_at_ends(&self, data: &Arc<Data>, encoding: &Arc<Encoding>) -> Result<(i64, i64)> {
        let (count, [first, last]) = match &self.layout {
            Layout::Big(big) => (big.partitions()?, big.ends()?),
            Layout::Bti(bti) => (bti.partitions(), bti.ends()?),
        };
        if count != self.partitions {
            let what = format!("lists {count} partitions, and there are {}", self.partitions);
            return Err(Error::whole(ErrorKind::Damaged, self.file(), what));
        }
        if first.position != 0 {
            return Err(self.disagrees(first.position));
        }
        Ok((self.confirmed(data, encoding, &first)?.token, self.confirmed(data, encoding, &last)?.token))
    }

    /// The last partition with a token up to `token`, and the one that follows.
    fn neighbours(&self, data: &Arc<Data>, encoding: &Arc<Encoding>, token: i64) -> Result<Neighbours> {
        // An index that lacks partitions must not be believed when it has none.
        self.tokens(data, encoding)?;
        match &self.layout {
            Layout::Big(big) => big.neighbours(token),
            Layout::Bti(bti) => bti.neighbours(data, encoding, token),
        }
    }

    /// A place in the data before which all partitions have tokens up to `token`, and from which on partitions can be read.
    pub(super) fn floor(&self, data: &Arc<Data>, encoding: &Arc<Encoding>, bound: i64) -> Result<u64> {
        let Neighbours { floor: Some(floor), next } = self.neighbours(data, encoding, bound)? else {
            return Ok(0);
        };
        // Partitions stand in order, so all before this one have smaller tokens.
        if self.confirmed(data, encoding, &floor)?.token > bound {
            return Err(self.disagrees(floor.position));
        }
        // A list of all partitions shows which one follows; a trie with a fault may show a later one.
        if let (Layout::Big(_), Some(next)) = (&self.layout, next)
            && next.position > floor.position + LONG_WAY
        {
            return self.behind(data, encoding, &next, bound);
        }
        Ok(floor.position)
    }

    /// The place of `next`, which has to have a token above `bound`.
    fn behind(&self, data: &Arc<Data>, encoding: &Arc<Encoding>, next: &Entry, bound: i64) -> Result<u64> {
        if self.confirmed(data, encoding, next)?.token <= bound {
            return Err(self.disagrees(next.position));
        }
        Ok(next.position)
    }

    /// The partition of that key.
    pub(super) fn find(
        &self,
        data: &Arc<Data>,
        encoding: &Arc<Encoding>,
        key: &[u8],
    ) -> Result<Option<Partition<'_>>> {
        let bound = token(key);
        let neighbours = self.neighbours(data, encoding, bound)?;
        let mut begin = 0;
        if let Some(floor) = neighbours.floor {
            let cursor = self.confirmed(data, encoding, &floor)?;
            if cursor.key == key {
                return Ok(Some(Partition { index: self, entry: floor }));
            }
            if cursor.token > bound {
                return Err(self.disagrees(floor.position));
            }
            begin = floor.position;
            if cursor.token < bound
                && let Layout::Big(_) = self.layout
            {
                if let Some(next) = neighbours.next {
                    self.behind(data, encoding, &next, bound)?;
                }
                return Ok(None);
            }
            // Another key with the same token may stand before it.
            if let (true, Some(below)) = (cursor.token == bound, bound.checked_sub(1)) {
                begin = self.floor(data, encoding, below)?;
            }
        }
        let mut cursor = Cursor::new(Arc::clone(data), Arc::clone(encoding), begin)?;
        while cursor.next_partition()? && cursor.token <= bound {
            if cursor.key == key {
                let entry = Entry { position: cursor.begin, key: None, path: Vec::new(), blocks: None };
                return Ok(Some(Partition { index: self, entry }));
            }
        }
        Ok(None)
    }

    /// The keys of all partitions, in order, as long as they are few.
    pub(super) fn keys(
        &self,
        data: &Arc<Data>,
        encoding: &Arc<Encoding>,
        most: u64,
    ) -> Result<Option<Vec<Vec<u8>>>> {
        self.tokens(data, encoding)?;
        if self.partitions > most {
            return Ok(None);
        }
        let entries = match &self.layout {
            Layout::Big(big) => big.entries()?,
            Layout::Bti(bti) => bti.entries()?,
        };
        let key = |entry: &Entry| Ok(self.confirmed(data, encoding, entry)?.key);
        entries.iter().map(key).collect::<Result<_>>().map(Some)
    }

    /// Reads the head of the partition in the data.
    fn confirmed(&self, data: &Arc<Data>, encoding: &Arc<Encoding>, entry: &Entry) -> Result<Cursor> {
        if entry.position >= data.length {
            return Err(self.disagrees(entry.position));
        }
        let mut cursor = Cursor::new(Arc::clone(data), Arc::clone(encoding), entry.position)?;
        if !cursor.next_partition()?
            || entry.key.as_ref().is_some_and(|key| *key != cursor.key)
            || !entry.path.iter().zip(bti::token_bytes(cursor.token)).all(|(a, b)| *a == b)
        {
            return Err(self.disagrees(entry.position));
        }
        Ok(cursor)
    }

    fn disagrees(&self, position: u64) -> Error {
        let what = format!("the data do not have, at byte {position}, the partition that is listed here");
        Error::whole(ErrorKind::Damaged, self.file(), what)
    }
}

impl Partition<'_> {
    /// Where it begins in the data.
    pub(super) fn position(&self) -> u64 {
        self.entry.position
    }

    /// The blocks of its rows, where they are listed.
    pub(super) fn blocks(&self, encoding: &Encoding) -> Result<Blocks> {
        match (self.entry.blocks, &self.index.layout) {
            (None, _) => Ok(Blocks::default()),
            (Some(at), Layout::Big(big)) => big.blocks(encoding, at),
            (Some(root), Layout::Bti(bti)) => bti.blocks(root),
        }
    }

    /// Takes a cursor that stands at the beginning of the partition to the last block of rows that begins before `after`.
    pub(super) fn enter(&self, cursor: &mut Cursor, after: &Bound) -> Result<()> {
        let blocks = self.blocks(&cursor.encoding)?;
        let begins_before = |cursor: &mut Cursor, block: usize| -> Result<bool> {
            let Some((offset, _)) = blocks.get(block) else { return Ok(false) };
            cursor.begins_before(self.entry.position.saturating_add(offset), after.place())
        };
        let (mut low, mut high) = (0, blocks.len());
        while low < high {
            let middle = low.midpoint(high);
            if begins_before(cursor, middle)? {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        match low.checked_sub(1).and_then(|block| blocks.get(block)) {
            Some((offset, open)) if low > 1 => cursor.enter(self.entry.position.saturating_add(offset), open),
            _ => Ok(()),
        }
    }
}
