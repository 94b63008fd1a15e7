//! One SSTable: a group of files.

use std::sync::Arc;

use super::descriptor::{Component, Descriptor};
use super::error::{Error, ErrorKind, Result};
use super::file::{Folder, Stored};
use super::index::Index;
use super::input::Data;
use super::statistics::Statistics;

/// The one partitioner whose order is known here.
const MURMUR3: &str = "org.apache.cassandra.dht.Murmur3Partitioner";

/// Largest TOC.txt and Digest.crc32.
const LARGEST_TEXT: u64 = 1 << 20;

/// An open SSTable. Holds open files and what is known of them, no data.
pub struct SsTable {
    /// Which one it is.
    pub descriptor: Descriptor,
    /// What its Statistics.db says.
    pub statistics: Statistics,
    /// Name of the file that has its header, for errors.
    pub(super) header_file: Arc<str>,
    pub(super) data: Arc<Data>,
    pub(super) index: Index,
}

impl SsTable {
    /// Opens the files of `descriptor` in `folder`.
    ///
    /// # Errors
    ///
    /// When a file that TOC.txt lists or that reading takes is missing, or when one is damaged as far as can be seen without
    /// reading the data; when the partitioner is not Murmur3.
    pub fn open(folder: &(impl Folder + ?Sized), descriptor: &Descriptor) -> Result<Self> {
        if let Some(toc) = Stored::open(folder, &descriptor.file(Component::Toc))? {
            let text = text(&toc)?;
            for name in descriptor.listed(&text) {
                Stored::require(folder, &name)?;
            }
        }
        let stored = Stored::require(folder, &descriptor.file(Component::Statistics))?;
        let statistics = Statistics::read(&stored, descriptor.version)?;
        if statistics.partitioner != MURMUR3 {
            let what =
                format!("the partitioner `{}` is not read here", statistics.partitioner.escape_debug());
            return Err(Error::whole(ErrorKind::Unsupported, &stored.name, what));
        }
        let data = Arc::new(Data::open(folder, descriptor)?);
        let index = Index::open(folder, descriptor, statistics.summary.partitions)?;
        let header_file = Arc::clone(&stored.name);
        Ok(Self { descriptor: descriptor.clone(), statistics, header_file, data, index })
    }

    /// Bytes of the rows, after decompression.
    pub fn length(&self) -> u64 {
        self.data.length
    }

    /// Compares Data.db with its Digest.crc32, where there is one: reads the whole file.
    ///
    /// Reading checks each chunk's own checksum, so this finds nothing that reading everything would not.
    pub fn check_digest(&self, folder: &(impl Folder + ?Sized)) -> Result<()> {
        let Some(digest) = Stored::open(folder, &self.descriptor.file(Component::Digest))? else {
            return Ok(());
        };
        let wanted: u32 = text(&digest)?
            .trim()
            .parse()
            .map_err(|_| Error::whole(ErrorKind::Damaged, &digest.name, "holds no checksum"))?;
        let file = &self.data.file;
        let mut sum = crc32fast::Hasher::new();
        let (mut buffer, mut at) = (Vec::new(), 0);
        while at < file.size {
            let count = (file.size - at).min(1 << 16);
            file.read_into(&mut buffer, at, count)?;
            sum.update(&buffer);
            at += count;
        }
        if sum.finalize() == wanted {
            return Ok(());
        }
        Err(Error::whole(ErrorKind::Damaged, &file.name, "its checksum is not the one in Digest.crc32"))
    }
}

fn text(file: &Stored) -> Result<String> {
    let bytes = file.read_whole(LARGEST_TEXT)?;
    String::from_utf8(bytes).map_err(|_| Error::whole(ErrorKind::Damaged, &file.name, "is not text"))
}
