//! Partitions.db: a trie from the beginnings of keys, in the order of partitions, to places; Rows.db: one trie per large
//! partition from the beginnings of clustering values to blocks of rows.

use std::sync::Arc;

use crate::sstable::bytes::{Bytes, zigzag};
use crate::sstable::decode::Encoding;
use crate::sstable::error::Result;
use crate::sstable::file::Stored;
use crate::sstable::input::Data;
use crate::sstable::unfiltered::Deletion;

use super::blocks::Blocks;
use super::trie::{Node, Trie, signed};
use super::{Cursor, Entry, Neighbours};

/// What stands before each part of a key in the trie's order.
const NEXT_PART: u8 = 0x40;

/// Bytes of an entry of Rows.db besides its key, at most.
const ENTRY: u64 = 64;

pub(in super::super) struct Bti {
    partitions: Stored,
    rows: Stored,
    root: u64,
    count: u64,
    first: Vec<u8>,
    last: Vec<u8>,
}

impl Bti {
    pub(super) fn open(partitions: Stored, rows: Stored) -> Result<Self> {
        let file = &partitions.name;
        let mut footer = Vec::new();
        let at = partitions.size.saturating_sub(24);
        partitions.read_into(&mut footer, at, 24)?;
        let mut bytes = Bytes::new(&footer, file, at);
        let mut positive =
            || bytes.i64().and_then(|n| u64::try_from(n).map_err(|_| bytes.damaged("a negative number")));
        let (keys_at, count, root) = (positive()?, positive()?, positive()?);
        let mut keys = Vec::new();
        let size = at.checked_sub(keys_at).filter(|size| *size <= 4 + 2 * u64::from(u16::MAX));
        let Some(size) = size else {
            return Err(bytes.damaged("the first and last key are not before this place"));
        };
        partitions.read_into(&mut keys, keys_at, size)?;
        let mut bytes = Bytes::new(&keys, file, keys_at);
        let (first, last) = (bytes.short_bytes()?.to_vec(), bytes.short_bytes()?.to_vec());
        Ok(Self { partitions, rows, root, count, first, last })
    }

    pub(super) fn file(&self) -> &Arc<str> {
        &self.partitions.name
    }

    /// The first and the last partition, by the trie, with the keys that stand beside it.
    pub(super) fn ends(&self) -> Result<[Entry; 2]> {
        let mut trie = Trie::new(&self.partitions);
        let mut end = |last, key: &Vec<u8>| {
            let mut path = Vec::new();
            let node = trie.outermost(self.root, last, &mut path)?;
            Ok(Entry { key: Some(key.clone()), ..self.entry(&node, path)? })
        };
        Ok([end(false, &self.first)?, end(true, &self.last)?])
    }

    pub(super) fn partitions(&self) -> u64 {
        self.count
    }

    /// The last partition with a token up to `bound`, and the one that follows.
    pub(super) fn neighbours(
        &self,
        data: &Arc<Data>,
        encoding: &Arc<Encoding>,
        bound: i64,
    ) -> Result<Neighbours> {
        // Behind all keys with that token.
        let sought = token_bytes(bound).into_iter().chain([0xff]);
        let mut trie = Trie::new(&self.partitions);
        let (mut lesser, mut greater, mut on_the_way) = (None, None, None);
        let mut path = Vec::new();
        let mut position = self.root;
        for byte in sought {
            let node = trie.node(position)?;
            if node.children.is_empty() {
                on_the_way = Some(node);
                break;
            }
            let branch = |at: Option<usize>| {
                let (key, child) = node.children.get(at?)?;
                Some(([path.as_slice(), &[*key]].concat(), *child))
            };
            let at = node.children.partition_point(|(key, _)| *key < byte);
            let exact = node.children.get(at).filter(|(key, _)| *key == byte);
            lesser = branch(at.checked_sub(1)).or(lesser);
            greater = branch(Some(at + usize::from(exact.is_some()))).or(greater);
            match exact {
                Some((_, child)) => position = *child,
                None => break,
            }
            path.push(byte);
        }
        let mut outermost = |branch: Option<(Vec<u8>, u64)>, last| -> Result<Option<Entry>> {
            let Some((mut path, position)) = branch else { return Ok(None) };
            let node = trie.outermost(position, last, &mut path)?;
            self.entry(&node, path).map(Some)
        };
        // Keys are cut short in the trie: whether this one is below or above only the data can tell.
        if let Some(node) = on_the_way {
            let entry = self.entry(&node, path)?;
            let mut cursor =
                Cursor::new(Arc::clone(data), Arc::clone(encoding), entry.position.min(data.length))?;
            return Ok(if cursor.next_partition()? && cursor.token <= bound {
                Neighbours { floor: Some(entry), next: outermost(greater, false)? }
            } else {
                Neighbours { floor: outermost(lesser, true)?, next: Some(entry) }
            });
        }
        Ok(Neighbours { floor: outermost(lesser, true)?, next: outermost(greater, false)? })
    }

    /// What the payload of a leaf stands for.
    fn entry(&self, node: &Node, path: Vec<u8>) -> Result<Entry> {
        let wrong = || Trie::new(&self.partitions).damaged(node.position, "the place of a partition is none");
        let place = match node.flags {
            0 => None,
            flags @ 1..8 => node.payload.get(..flags.into()),
            // A byte of the key's hash comes first.
            flags => node.payload.get(1..usize::from(flags) - 6),
        };
        let place = place.map(signed).ok_or_else(wrong)?;
        let Ok(at) = u64::try_from(place) else {
            let position = u64::try_from(!place).map_err(|_| wrong())?;
            return Ok(Entry { position, key: None, path, blocks: None });
        };
        let rest = self.rows.size.checked_sub(at).ok_or_else(wrong)?;
        let mut bytes = Vec::new();
        self.rows.read_into(&mut bytes, at, rest.min(ENTRY + u64::from(u16::MAX)))?;
        let mut bytes = Bytes::new(&bytes, &self.rows.name, at);
        let key = bytes.short_bytes()?.to_vec();
        let base = bytes.offset();
        let position = bytes.vint()?;
        let root = base.checked_add_signed(zigzag(bytes.vint()?));
        let root = root.ok_or_else(|| bytes.damaged("the root of a trie is outside the file"))?;
        Ok(Entry { position, key: Some(key), path, blocks: Some(root) })
    }

    /// All entries. Not for large files.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let mut entries = Vec::new();
        Trie::new(&self.partitions).each(self.root, |_, node| {
            entries.push(self.entry(node, Vec::new())?);
            Ok(())
        })?;
        Ok(entries)
    }

    /// Reads all blocks of the partition whose trie has that root.
    pub(super) fn blocks(&self, root: u64) -> Result<Blocks> {
        let mut blocks = Blocks::default();
        Trie::new(&self.rows).each(root, |trie, node| {
            let wrong = |what| trie.damaged(node.position, what);
            let (offset, open) = block(node).ok_or_else(|| wrong("the place of a block of rows is none"))?;
            if blocks.push(offset, open) { Ok(()) } else { Err(wrong("blocks of rows are out of order")) }
        })?;
        Ok(blocks)
    }
}

/// How the keys with that token begin in the trie.
pub(super) fn token_bytes(token: i64) -> [u8; 9] {
    let mut bytes = [NEXT_PART; 9];
    let [_, number @ ..] = &mut bytes;
    *number = (token.cast_unsigned() ^ (1 << 63)).to_be_bytes();
    bytes
}

/// Offset of a block in its partition, and the deletion that spans its beginning.
fn block(node: &Node) -> Option<(u64, Deletion)> {
    let width = usize::from(node.flags & 7);
    let (offset, rest) = node.payload.split_at_checked(width)?;
    let offset = u64::try_from(signed(offset)).ok()?;
    if node.flags & 8 == 0 {
        return Some((offset, Deletion::LIVE));
    }
    let (at, rest) = rest.split_first_chunk::<8>()?;
    if *at.first()? >= 0x80 {
        return Some((offset, Deletion::LIVE));
    }
    let time = u32::from_be_bytes(*rest.first_chunk()?);
    Some((offset, Deletion { at: i64::from_be_bytes(*at), time: time.into() }))
}
