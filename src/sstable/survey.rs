//! What can be known of a table before it is read, for those who cut it into parts.

use std::sync::Arc;

use super::cursor::Cursor;
use super::error::Result;
use super::table::Table;

/// What one partition looks like in its SSTables.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PartitionSample {
    /// Bytes of its rows, after decompression, in all SSTables; 0 when they are few.
    pub bytes: u64,
    /// Values of the first clustering column, taken at about even distances; in order within each SSTable.
    pub clustering: Vec<Vec<u8>>,
}

impl Table {
    /// Bytes of all rows, after decompression.
    pub fn length(&self) -> u64 {
        self.sstables().map(|sstable| sstable.length()).fold(0, u64::saturating_add)
    }

    /// Number of partitions, those in several SSTables counted in each.
    pub fn partitions(&self) -> u64 {
        self.sstables().map(|sstable| sstable.statistics.summary.partitions).fold(0, u64::saturating_add)
    }

    /// The keys of all partitions, as they are stored, in the order of the table; `None` when an SSTable has more than `most`.
    pub fn partition_keys(&self, most: u64) -> Result<Option<Vec<Vec<u8>>>> {
        let mut keys = Vec::new();
        for member in &self.members {
            let Some(more) = member.sstable.index.keys(&member.sstable.data, &member.encoding, most)? else {
                return Ok(None);
            };
            keys.extend(more.into_iter().map(|key| (super::token(&key), key)));
        }
        keys.sort_unstable();
        keys.dedup();
        Ok(Some(keys.into_iter().map(|(_, key)| key).collect()))
    }

    /// Looks at up to `most` rows of a partition in each SSTable.
    pub fn sample_partition(&self, key: &[u8], most: usize) -> Result<PartitionSample> {
        let mut sample = PartitionSample::default();
        for member in &self.members {
            let (data, encoding) = (&member.sstable.data, &member.encoding);
            let Some(partition) = member.sstable.index.find(data, encoding, key)? else { continue };
            let blocks = partition.blocks(encoding)?;
            let mut cursor = Cursor::new(Arc::clone(data), Arc::clone(encoding), partition.position())?;
            let step = blocks.len().div_ceil(most.max(1)).max(1);
            for (offset, _) in (0..blocks.len()).step_by(step).filter_map(|block| blocks.get(block)) {
                if cursor.look_at(partition.position().saturating_add(offset))?
                    && let Some(value) = cursor.current.at.value(0, &cursor.current.bytes)
                {
                    sample.clustering.push(value.to_vec());
                }
            }
            let last = blocks.len().checked_sub(1).and_then(|last| blocks.get(last));
            sample.bytes = sample.bytes.saturating_add(last.map_or(0, |(offset, _)| offset));
        }
        Ok(sample)
    }
}
