//! Blocks of rows inside a partition.

use crate::sstable::unfiltered::Deletion;

/// Where blocks of rows begin, relative to their partition, and which deletion spans their beginnings.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Blocks {
    offsets: Vec<u64>,
    /// By number of the block; few have one.
    open: Vec<(usize, Deletion)>,
}

impl Blocks {
    /// Adds a block; false when it does not begin behind the one before.
    pub(super) fn push(&mut self, offset: u64, open: Deletion) -> bool {
        if self.offsets.last().is_some_and(|last| *last >= offset) {
            return false;
        }
        if !open.is_live() {
            self.open.push((self.offsets.len(), open));
        }
        self.offsets.push(offset);
        true
    }

    pub(in super::super) fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Where a block begins, and the deletion that spans that place.
    pub(in super::super) fn get(&self, block: usize) -> Option<(u64, Deletion)> {
        let offset = *self.offsets.get(block)?;
        let open =
            self.open.binary_search_by_key(&block, |(of, _)| *of).ok().and_then(|at| self.open.get(at));
        Some((offset, open.map_or(Deletion::LIVE, |(_, open)| *open)))
    }
}
