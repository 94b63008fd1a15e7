//! Data.db as one run of bytes, whatever it is packed in. Every chunk's checksum is checked before a byte of it is used.

use std::sync::Arc;

use super::bytes::{vint_extra, vint_value};
use super::compression::{CompressionInfo, Unpacker, does_not_unpack};
use super::descriptor::{Component, Descriptor};
use super::error::{Error, ErrorKind, Place, Result};
use super::file::{Folder, Stored};

/// Offsets of chunks that are read at once.
const OFFSETS: u64 = 512;

/// Largest chunk of an uncompressed file that is read, bytes; Cassandra writes 64 KiB.
const LARGEST_PLAIN: u32 = 64 << 20;

/// Bytes that are read at once of a file without checksums.
const BARE_CHUNK: u64 = 16 << 10;

/// Data.db and what is needed to take it apart. Shared by all that read the file.
pub(super) struct Data {
    pub(super) file: Stored,
    /// Bytes after decompression.
    pub(super) length: u64,
    packing: Packing,
}

enum Packing {
    /// CompressionInfo.db and its head.
    Packed(Stored, CompressionInfo),
    /// CRC.db and the bytes that each of its checksums covers.
    Plain(Stored, u32),
    /// Another file, for which there are no checksums.
    Bare,
}

impl Data {
    /// Opens the data of an SSTable.
    pub(super) fn open(folder: &(impl Folder + ?Sized), descriptor: &Descriptor) -> Result<Self> {
        let file = Stored::require(folder, &descriptor.file(Component::Data))?;
        if let Some(stored) = Stored::open(folder, &descriptor.file(Component::CompressionInfo))? {
            let info = CompressionInfo::read(&stored, descriptor.version)?;
            return Ok(Self { file, length: info.length, packing: Packing::Packed(stored, info) });
        }
        let Some(sums) = Stored::open(folder, &descriptor.file(Component::Crc))? else {
            let what = "neither CompressionInfo.db nor CRC.db is there beside it";
            return Err(Error::whole(ErrorKind::Missing, &file.name, what));
        };
        let mut head = [0; 4];
        sums.read(&mut head, 0)?;
        let chunk = u32::from_be_bytes(head);
        if chunk == 0 || chunk > LARGEST_PLAIN {
            return Err(Error::damaged(&sums.name, 0, format!("chunks of {chunk} bytes")));
        }
        // As with compressed files, there may be one more chunk, of nothing.
        let needed = 4 + file.size.div_ceil(chunk.into()) * 4;
        if sums.size != needed && sums.size != needed + 4 {
            let what = format!("{} bytes of checksums do not fit {} bytes of data", sums.size, file.size);
            return Err(Error::damaged(&sums.name, 0, what));
        }
        Ok(Self { length: file.size, file, packing: Packing::Plain(sums, chunk) })
    }

    /// A file that no checksums cover, to be read in the same way.
    pub(super) fn without_checksums(file: Stored) -> Self {
        Self { length: file.size, file, packing: Packing::Bare }
    }

    fn chunk_length(&self) -> u64 {
        match &self.packing {
            Packing::Bare => BARE_CHUNK,
            Packing::Packed(_, info) => info.chunk_length.into(),
            Packing::Plain(_, chunk) => (*chunk).into(),
        }
    }
}

/// A reader of [`Data`]: one chunk in memory.
pub(super) struct Input {
    data: Arc<Data>,
    unpacker: Option<Unpacker>,
    packed: Vec<u8>,
    chunk: Vec<u8>,
    /// Where in the data `chunk` begins.
    start: u64,
    /// The next byte in `chunk`.
    at: usize,
    /// Some offsets or checksums, as stored, and the number of the first.
    window: Vec<u8>,
    window_first: u64,
}

impl Input {
    /// Starts at the first byte.
    pub(super) fn new(data: Arc<Data>) -> Self {
        let unpacker = match &data.packing {
            Packing::Packed(_, info) => Some(Unpacker::new(info.compressor)),
            Packing::Plain(..) | Packing::Bare => None,
        };
        Self {
            data,
            unpacker,
            packed: Vec::new(),
            chunk: Vec::new(),
            start: 0,
            at: 0,
            window: Vec::new(),
            window_first: 0,
        }
    }

    /// Name of the file.
    pub(super) fn file(&self) -> &Arc<str> {
        &self.data.file.name
    }

    /// Where the next byte stands in the data.
    pub(super) fn position(&self) -> u64 {
        self.start + u64::try_from(self.at).unwrap_or(0)
    }

    /// Bytes from here to the end.
    pub(super) fn left(&self) -> u64 {
        self.data.length.saturating_sub(self.position())
    }

    /// An error at this place.
    #[cold]
    pub(super) fn damaged(&self, what: impl Into<String>) -> Error {
        self.error(ErrorKind::Damaged, what)
    }

    /// An error of any kind at this place.
    #[cold]
    pub(super) fn error(&self, kind: ErrorKind, what: impl Into<String>) -> Error {
        let place = match self.data.packing {
            Packing::Packed(..) => Place::Unpacked(self.position()),
            Packing::Plain(..) | Packing::Bare => Place::Stored(self.position()),
        };
        Error::new(kind, self.file(), Some(place), what)
    }

    /// Goes to a place in the data.
    pub(super) fn seek(&mut self, position: u64) -> Result<()> {
        let loaded = u64::try_from(self.chunk.len()).unwrap_or(0);
        match position.checked_sub(self.start) {
            Some(inside) if inside <= loaded => self.at = usize::try_from(inside).unwrap_or(0),
            _ if position > self.data.length => {
                let what = format!("byte {position} is asked for, and there are {}", self.data.length);
                return Err(self.damaged(what));
            }
            _ => {
                let chunk = position / self.data.chunk_length();
                self.chunk.clear();
                self.start = chunk * self.data.chunk_length();
                self.at = 0;
                if position < self.data.length {
                    self.load()?;
                    self.at = usize::try_from(position - self.start).unwrap_or(0);
                } else {
                    self.start = position;
                }
            }
        }
        Ok(())
    }

    /// Skips `count` bytes.
    pub(super) fn skip(&mut self, count: u64) -> Result<()> {
        match self.position().checked_add(count) {
            Some(to) => self.seek(to),
            None => Err(self.damaged(format!("{count} bytes are to be skipped"))),
        }
    }

    /// Puts the chunk at `start` into memory.
    fn load(&mut self) -> Result<()> {
        let number = self.start / self.data.chunk_length();
        let length = self.data.chunk_length().min(self.data.length - self.start);
        let data = Arc::clone(&self.data);
        match &data.packing {
            Packing::Packed(offsets, info) => {
                let begin = self.entry::<8>(offsets, info.offsets_at, info.chunks, number)?;
                let begin = u64::from_be_bytes(begin);
                let end = if number + 1 < info.chunks {
                    u64::from_be_bytes(self.entry::<8>(offsets, info.offsets_at, info.chunks, number + 1)?)
                } else {
                    data.file.size
                };
                let wrong = || {
                    let at = info.offsets_at + number * 8;
                    Error::damaged(&offsets.name, at, format!("chunk {number} from byte {begin} to {end}"))
                };
                let stored = end.checked_sub(begin).and_then(|size| size.checked_sub(4)).ok_or_else(wrong)?;
                if end > data.file.size || stored > u64::from(info.chunk_length) * 2 + 1024 {
                    return Err(wrong());
                }
                data.file.read_into(&mut self.packed, begin, stored + 4)?;
                let (body, sum) = self.packed.split_last_chunk::<4>().ok_or_else(wrong)?;
                if crc32fast::hash(body) != u32::from_be_bytes(*sum) {
                    return Err(wrong_checksum(&data.file.name, begin, number));
                }
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                let unpacked = if stored >= info.raw_from {
                    // Cassandra fills the last chunk up with zeros to the least size of a raw one.
                    let body = body.get(..length);
                    self.chunk.clear();
                    body.map(|body| self.chunk.extend_from_slice(body))
                } else {
                    self.unpacker.as_mut().and_then(|unpacker| unpacker.unpack(body, &mut self.chunk, length))
                };
                if unpacked.is_none() {
                    self.chunk.clear();
                    return Err(does_not_unpack(&data.file.name, begin, info.compressor, length));
                }
            }
            Packing::Bare => data.file.read_into(&mut self.chunk, self.start, length)?,
            Packing::Plain(sums, chunk) => {
                let count = data.file.size.div_ceil((*chunk).into());
                let sum = self.entry::<4>(sums, 4, count, number)?;
                data.file.read_into(&mut self.chunk, self.start, length)?;
                if crc32fast::hash(&self.chunk) != u32::from_be_bytes(sum) {
                    self.chunk.clear();
                    return Err(wrong_checksum(&data.file.name, self.start, number));
                }
            }
        }
        self.at = 0;
        Ok(())
    }

    /// Entry `number` of the `count` entries of `N` bytes each that begin at `from` in `list`.
    fn entry<const N: usize>(
        &mut self,
        list: &Stored,
        from: u64,
        count: u64,
        number: u64,
    ) -> Result<[u8; N]> {
        let size = u64::try_from(N).unwrap_or(8);
        let find = |window: &[u8], first: u64| {
            let at = usize::try_from(number.checked_sub(first)? * size).ok()?;
            window.get(at..)?.first_chunk::<N>().copied()
        };
        if let Some(entry) = find(&self.window, self.window_first) {
            return Ok(entry);
        }
        let entries = OFFSETS.min(count.saturating_sub(number));
        list.read_into(&mut self.window, from + number * size, entries * size)?;
        self.window_first = number;
        find(&self.window, number)
            .ok_or_else(|| Error::damaged(&list.name, from + number * size, format!("has no entry {number}")))
    }

    /// Makes the chunk after the present one the present one.
    #[cold]
    fn refill(&mut self) -> Result<()> {
        self.start = self.position();
        self.at = 0;
        self.chunk.clear();
        if self.start >= self.data.length {
            return Err(self.damaged("the data end here, in the middle of a partition"));
        }
        self.load()
    }

    /// The next byte.
    pub(super) fn u8(&mut self) -> Result<u8> {
        loop {
            if let Some(byte) = self.chunk.get(self.at) {
                self.at += 1;
                return Ok(*byte);
            }
            self.refill()?;
        }
    }

    /// The next byte, which stays the next.
    pub(super) fn peek(&mut self) -> Result<u8> {
        let byte = self.u8()?;
        self.at -= 1;
        Ok(byte)
    }

    /// The next `N` bytes.
    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        if let Some(bytes) = self.chunk.get(self.at..).and_then(|rest| rest.first_chunk::<N>()) {
            self.at += N;
            return Ok(*bytes);
        }
        let mut bytes = [0; N];
        for byte in &mut bytes {
            *byte = self.u8()?;
        }
        Ok(bytes)
    }

    /// Cassandra's unsigned variable-length integer.
    pub(super) fn vint(&mut self) -> Result<u64> {
        let first = self.u8()?;
        if first < 0x80 {
            return Ok(first.into());
        }
        let extra = vint_extra(first);
        if let Some(following) = self.chunk.get(self.at..self.at + extra) {
            let value = vint_value(first, following);
            self.at += extra;
            return Ok(value);
        }
        let mut following = [0; 8];
        for byte in following.iter_mut().take(extra) {
            *byte = self.u8()?;
        }
        Ok(vint_value(first, following.get(..extra).unwrap_or_default()))
    }

    /// Appends the next `count` bytes to `to`, as they come; never more than there are.
    pub(super) fn append(&mut self, count: u64, to: &mut Vec<u8>) -> Result<()> {
        if count > self.left() {
            let what = format!("{count} bytes are to follow, and {} do", self.left());
            return Err(self.damaged(what));
        }
        let mut count =
            usize::try_from(count).map_err(|_| self.damaged("more bytes than memory can hold"))?;
        loop {
            let rest = self.chunk.get(self.at..).unwrap_or_default();
            let part = rest.get(..count.min(rest.len())).unwrap_or_default();
            to.extend_from_slice(part);
            self.at += part.len();
            count -= part.len();
            if count == 0 {
                return Ok(());
            }
            self.refill()?;
        }
    }
}

fn wrong_checksum(file: &Arc<str>, offset: u64, number: u64) -> Error {
    Error::damaged(file, offset, format!("the checksum of chunk {number} is wrong"))
}
