//! Index.db: all partition keys in order, each with its place in the data.

use std::sync::{Arc, OnceLock};

use crate::sstable::bytes::zigzag;
use crate::sstable::decode::{Encoding, partition_deletion};
use crate::sstable::error::{Error, Result};
use crate::sstable::file::Stored;
use crate::sstable::input::{Data, Input};
use crate::sstable::token::token;
use crate::sstable::unfiltered::{Deletion, Kind, Unfiltered};

use super::blocks::Blocks;
use super::{Entry, Neighbours};

/// Entries kept in memory, spread evenly over the file: at most this many.
const SAMPLES: usize = 8192;

/// What widths of blocks are counted from.
const WIDTH_BASE: i64 = 64 * 1024;

pub(in super::super) struct Big {
    data: Arc<Data>,
    /// Made with the first question, in one pass over the file.
    sample: OnceLock<Result<Sample>>,
}

#[derive(Debug, Clone, Default)]
struct Sample {
    /// Token and where the entry is in Index.db, for every n-th partition.
    entries: Vec<(i64, u64)>,
    /// The first and the last entry.
    ends: Option<(Entry, Entry)>,
    partitions: u64,
}

impl Big {
    pub(super) fn new(file: Stored) -> Self {
        Self { data: Arc::new(Data::without_checksums(file)), sample: OnceLock::new() }
    }

    pub(super) fn file(&self) -> &Arc<str> {
        &self.data.file.name
    }

    /// The first and the last partition.
    pub(super) fn ends(&self) -> Result<[Entry; 2]> {
        let ends = self.sample()?.ends.clone();
        let empty = || Error::damaged(self.file(), 0, "lists no partitions, and an SSTable has some");
        ends.map(|(first, last)| [first, last]).ok_or_else(empty)
    }

    pub(super) fn partitions(&self) -> Result<u64> {
        self.sample().map(|sample| sample.partitions)
    }

    fn sample(&self) -> Result<&Sample> {
        self.sample.get_or_init(|| self.pass()).as_ref().map_err(Error::clone)
    }

    /// Reads the whole file once and keeps some of it.
    fn pass(&self) -> Result<Sample> {
        let mut input = Input::new(Arc::clone(&self.data));
        let mut sample = Sample::default();
        let mut every = 1;
        let mut first: Option<Entry> = None;
        let mut last: Option<(i64, Entry)> = None;
        while input.left() > 0 {
            let at = input.position();
            let entry = entry(&mut input)?;
            let token = token(entry.key.as_deref().unwrap_or_default());
            let in_order = match &last {
                None => entry.position == 0,
                Some((last, before)) => {
                    (last, &before.key) < (&token, &entry.key) && before.position < entry.position
                }
            };
            if !in_order {
                return Err(input.damaged("partitions are out of order before this place"));
            }
            if sample.partitions % every == 0 {
                sample.entries.push((token, at));
                if sample.entries.len() > SAMPLES {
                    let mut keep = false;
                    sample.entries.retain(|_| {
                        keep = !keep;
                        keep
                    });
                    every *= 2;
                }
            }
            sample.partitions += 1;
            first.get_or_insert_with(|| entry.clone());
            last = Some((token, entry));
        }
        sample.ends = first.zip(last.map(|(_, entry)| entry));
        Ok(sample)
    }

    /// The last partition with a token up to `bound`, and the one that follows.
    pub(super) fn neighbours(&self, bound: i64) -> Result<Neighbours> {
        let sample = self.sample()?;
        let after = sample.entries.partition_point(|(token, _)| *token <= bound);
        let mut input = Input::new(Arc::clone(&self.data));
        if let Some((_, at)) = after.checked_sub(1).and_then(|before| sample.entries.get(before)) {
            input.seek(*at)?;
        }
        let mut found = Neighbours::default();
        while input.left() > 0 {
            let entry = entry(&mut input)?;
            if token(entry.key.as_deref().unwrap_or_default()) > bound {
                found.next = Some(entry);
                break;
            }
            found.floor = Some(entry);
        }
        Ok(found)
    }

    /// All entries. Not for large files.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let mut input = Input::new(Arc::clone(&self.data));
        let mut entries = Vec::new();
        while input.left() > 0 {
            entries.push(entry(&mut input)?);
        }
        Ok(entries)
    }

    /// Reads the list of blocks that begins at `at`.
    pub(super) fn blocks(&self, encoding: &Encoding, at: u64) -> Result<Blocks> {
        let mut input = Input::new(Arc::clone(&self.data));
        input.seek(at)?;
        // Length of what stands before the rows.
        input.vint()?;
        partition_deletion(&mut input, encoding.version)?;
        let count = input.vint()?;
        let mut blocks = Blocks::default();
        let mut open = Deletion::LIVE;
        let mut scratch = Unfiltered::default();
        for _ in 0..count {
            for _ in 0..2 {
                scratch.clear();
                place(&mut input, encoding, &mut scratch)?;
            }
            let offset = input.vint()?;
            let width = zigzag(input.vint()?).wrapping_add(WIDTH_BASE);
            if !blocks.push(offset, open) || width < 0 {
                return Err(input.damaged("blocks of rows are out of order"));
            }
            open = match input.u8()? {
                0 => Deletion::LIVE,
                1 => partition_deletion(&mut input, encoding.version)?,
                _ => return Err(input.damaged("neither true nor false")),
            };
        }
        Ok(blocks)
    }
}

/// Reads one entry and goes behind it.
fn entry(input: &mut Input) -> Result<Entry> {
    let length = u16::from_be_bytes(input.array()?);
    let mut key = Vec::new();
    input.append(length.into(), &mut key)?;
    let position = input.vint()?;
    let size = input.vint()?;
    if size > input.left() {
        return Err(input.damaged(format!("{size} bytes are to follow, and {} do", input.left())));
    }
    let blocks = (size > 0).then(|| input.position());
    input.skip(size)?;
    Ok(Entry { position, key: Some(key), path: Vec::new(), blocks })
}

/// Reads the first or last place of a block.
fn place(input: &mut Input, encoding: &Encoding, place: &mut Unfiltered) -> Result<()> {
    let count = match Kind::of(input.u8()?) {
        None => return Err(input.damaged("an unknown kind of place")),
        Some(Kind::Row) => encoding.clustering.len(),
        Some(_) => usize::from(u16::from_be_bytes(input.array()?)),
    };
    encoding.clustering(input, count, &mut place.at.values, &mut place.bytes)
}
