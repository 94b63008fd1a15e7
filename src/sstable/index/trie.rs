//! Tries on disk, as Partitions.db and Rows.db hold them.
//!
//! Children stand before their parents, at a distance that each node gives, and no node crosses a page of 4096 bytes.

use crate::sstable::error::{Error, Result};
use crate::sstable::file::Stored;

const PAGE: u64 = 4096;

/// A reader of the nodes of one file: one page in memory.
pub(super) struct Trie<'f> {
    file: &'f Stored,
    page: Vec<u8>,
    start: u64,
}

/// A node.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) position: u64,
    /// Four bits that describe the payload; 0 for none.
    pub(super) flags: u8,
    /// What follows the node in its page.
    pub(super) payload: Vec<u8>,
    /// By the next byte of the key, ascending.
    pub(super) children: Vec<(u8, u64)>,
}

/// Longest payload: an offset and a deletion.
const PAYLOAD: usize = 24;

impl<'f> Trie<'f> {
    pub(super) fn new(file: &'f Stored) -> Self {
        Self { file, page: Vec::new(), start: 0 }
    }

    pub(super) fn damaged(&self, position: u64, what: &str) -> Error {
        Error::damaged(&self.file.name, position, what)
    }

    /// Reads the node at `position`.
    pub(super) fn node(&mut self, position: u64) -> Result<Node> {
        if position >= self.file.size {
            return Err(self.damaged(position, "a node is to be here, behind the end of the file"));
        }
        let start = position / PAGE * PAGE;
        if self.page.is_empty() || self.start != start {
            self.page.clear();
            self.file.read_into(&mut self.page, start, PAGE.min(self.file.size - start))?;
            self.start = start;
        }
        let inside = usize::try_from(position - start).unwrap_or(usize::MAX);
        let bytes = self.page.get(inside..).unwrap_or_default();
        parse(position, bytes).ok_or_else(|| self.damaged(position, "is no node of a trie"))
    }

    /// The first or last node with a payload at or below the one at `position`; the way there is added to `path`.
    pub(super) fn outermost(&mut self, mut position: u64, last: bool, path: &mut Vec<u8>) -> Result<Node> {
        loop {
            let node = self.node(position)?;
            if node.flags != 0 && (node.children.is_empty() || !last) {
                return Ok(node);
            }
            let next = if last { node.children.last() } else { node.children.first() };
            match next {
                Some((key, child)) => {
                    path.push(*key);
                    position = *child;
                }
                None => return Err(self.damaged(position, "a trie ends here in nothing")),
            }
        }
    }

    /// Calls `each` with every node that has a payload, in order.
    pub(super) fn each(&mut self, root: u64, mut each: impl FnMut(&Self, &Node) -> Result<()>) -> Result<()> {
        let mut ahead = vec![root];
        // A node takes a byte at least, and has one parent.
        let mut nodes = self.file.size;
        while let Some(position) = ahead.pop() {
            let node = self.node(position)?;
            nodes = nodes
                .checked_sub(1)
                .ok_or_else(|| self.damaged(position, "a trie has more nodes than bytes"))?;
            ahead.extend(node.children.iter().rev().map(|(_, child)| *child));
            if node.flags != 0 {
                each(self, &node)?;
            }
        }
        Ok(())
    }
}

/// Takes a node apart; `None` when it is none. Children always stand before `position`, so no walk is endless.
fn parse(position: u64, bytes: &[u8]) -> Option<Node> {
    let (first, rest) = bytes.split_first()?;
    let (kind, low) = (first >> 4, first & 0x0f);
    let mut node = Node { position, flags: low, ..Node::default() };
    let child = |distance: u64| position.checked_sub(distance).filter(|child| *child < position);
    let size = match kind {
        0 => 0,
        1 => {
            node.flags = 0;
            node.children.push((*rest.first()?, child(low.into())?));
            1
        }
        3 => {
            node.flags = 0;
            let distance = u64::from(low) << 8 | u64::from(*rest.first()?);
            node.children.push((*rest.get(1)?, child(distance)?));
            2
        }
        2 | 4 => {
            let width = usize::from(kind / 2);
            node.children.push((*rest.first()?, child(number(rest.get(1..=width)?))?));
            1 + width
        }
        5..=9 => {
            let half_bytes = [2, 3, 4, 6, 10].get(usize::from(kind) - 5).copied()?;
            let count = usize::from(*rest.first()?);
            let keys = rest.get(1..=count)?;
            let pointers = rest.get(1 + count..)?;
            for (n, key) in keys.iter().enumerate() {
                node.children.push((*key, child(pointer(pointers, half_bytes, n)?)?));
            }
            1 + count + (count * half_bytes).div_ceil(2)
        }
        _ => {
            let half_bytes = [3, 4, 6, 8, 10, 16].get(usize::from(kind) - 10).copied()?;
            let (begin, more) = (*rest.first()?, *rest.get(1)?);
            let count = usize::from(more) + 1;
            let pointers = rest.get(2..)?;
            for n in 0..count {
                let distance = pointer(pointers, half_bytes, n)?;
                if distance != 0 {
                    let key = begin.checked_add(u8::try_from(n).ok()?)?;
                    node.children.push((key, child(distance)?));
                }
            }
            2 + (count * half_bytes).div_ceil(2)
        }
    };
    if !node.children.is_sorted_by(|(a, _), (b, _)| a < b) {
        return None;
    }
    let payload = rest.get(size..)?;
    node.payload.extend_from_slice(payload.get(..payload.len().min(PAYLOAD))?);
    Some(node)
}

/// Big-endian number of up to eight bytes.
fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Number `n` in a list of numbers of so many half bytes each.
fn pointer(list: &[u8], half_bytes: usize, n: usize) -> Option<u64> {
    let begin = n * half_bytes;
    let bytes = list.get(begin / 2..(begin + half_bytes).div_ceil(2))?;
    let number = number(bytes);
    Some(if half_bytes.is_multiple_of(2) {
        number
    } else if begin.is_multiple_of(2) {
        number >> 4
    } else {
        number & 0xfff
    })
}

/// Signed big-endian number of up to eight bytes.
pub(super) fn signed(bytes: &[u8]) -> i64 {
    let sign = bytes.first().map_or(0, |first| if *first >= 0x80 { -1 } else { 0 });
    bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte))
}
