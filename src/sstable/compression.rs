//! One chunk from its stored form to the bytes it stands for.

use std::sync::Arc;

use super::bytes::Bytes;
use super::descriptor::Version;
use super::error::{Error, ErrorKind, Result};
use super::file::Stored;

/// Largest chunk that is read, bytes. Tables have 4 KiB to 1 MiB; a wild length must not become an allocation.
const LARGEST_CHUNK: u32 = 64 << 20;

/// Largest head of CompressionInfo.db before its offsets: a class name and a few options.
const LARGEST_HEAD: u64 = 64 << 10;

/// How chunks are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Compressor {
    Lz4,
    Snappy,
    Deflate,
    Zstd,
    Noop,
}

/// The head of CompressionInfo.db.
#[derive(Debug, Clone)]
pub(super) struct CompressionInfo {
    pub(super) compressor: Compressor,
    /// Bytes of a chunk after decompression.
    pub(super) chunk_length: u32,
    /// A chunk stored in this many bytes or more is not packed at all.
    pub(super) raw_from: u64,
    /// Bytes of the whole after decompression.
    pub(super) length: u64,
    /// Number of offsets.
    pub(super) chunks: u64,
    /// Where in the file the offsets begin.
    pub(super) offsets_at: u64,
}

impl CompressionInfo {
    /// Reads the head. The offsets stay in the file: there are 8 bytes of them for each chunk.
    pub(super) fn read(file: &Stored, version: Version) -> Result<Self> {
        let mut head = Vec::new();
        file.read_into(&mut head, 0, file.size.min(LARGEST_HEAD))?;
        let mut bytes = Bytes::new(&head, &file.name, 0);
        let name = bytes.short_bytes()?;
        let name = bytes.text(name)?;
        let compressor = match name.rsplit('.').next().unwrap_or(name) {
            "LZ4Compressor" => Compressor::Lz4,
            "SnappyCompressor" => Compressor::Snappy,
            "DeflateCompressor" => Compressor::Deflate,
            "ZstdCompressor" => Compressor::Zstd,
            "NoopCompressor" => Compressor::Noop,
            _ => {
                let what = format!("compressed with `{}`, which is not read here", name.escape_debug());
                return Err(Error::whole(ErrorKind::Unsupported, &file.name, what));
            }
        };
        for _ in 0..bytes.count()? {
            bytes.short_bytes()?;
            bytes.short_bytes()?;
        }
        let chunk_length = bytes.count()?;
        if chunk_length == 0 || chunk_length > LARGEST_CHUNK {
            return Err(bytes.damaged(format!("chunks of {chunk_length} bytes")));
        }
        let raw_from = if version.is_4_or_later() { bytes.count()?.into() } else { u64::MAX };
        let length = bytes.i64()?;
        let length = u64::try_from(length).map_err(|_| bytes.damaged(format!("a length of {length}")))?;
        let chunks = u64::from(bytes.count()?);
        let info = Self { compressor, chunk_length, raw_from, length, chunks, offsets_at: bytes.offset() };
        if info.offsets_at + chunks * 8 != file.size {
            let what =
                format!("{chunks} offsets are to follow, and {} bytes do", file.size - info.offsets_at);
            return Err(bytes.damaged(what));
        }
        let needed = length.div_ceil(chunk_length.into());
        // Cassandra may end a file with one more chunk of nothing.
        if chunks != needed && chunks != needed + 1 {
            let what = format!("{length} bytes in chunks of {chunk_length} are listed as {chunks} chunks");
            return Err(bytes.damaged(what));
        }
        Ok(info)
    }
}

/// Unpacks chunks, one after the other, with what it keeps between them.
pub(super) struct Unpacker {
    compressor: Compressor,
    snappy: snap::raw::Decoder,
    zstd: ruzstd::decoding::FrameDecoder,
}

impl Unpacker {
    pub(super) fn new(compressor: Compressor) -> Self {
        let mut zstd = ruzstd::decoding::FrameDecoder::new();
        zstd.set_max_window_size(LARGEST_CHUNK.into());
        Self { compressor, snappy: snap::raw::Decoder::new(), zstd }
    }

    /// Unpacks `packed` into `chunk`, which becomes exactly `length` bytes; `None` when it does not come out so.
    pub(super) fn unpack(&mut self, packed: &[u8], chunk: &mut Vec<u8>, length: usize) -> Option<()> {
        // The densest there is: LZ4 makes 255 bytes of one, Snappy 22, Deflate 1032, and Zstandard 128 KiB of four.
        let densest = if self.compressor == Compressor::Zstd { 1 << 16 } else { 1100 };
        if length / densest > packed.len() {
            return None;
        }
        chunk.resize(length, 0);
        let unpacked = match self.compressor {
            Compressor::Lz4 => {
                let (stated, block) = packed.split_first_chunk::<4>()?;
                let stated = usize::try_from(u32::from_le_bytes(*stated)).ok()?;
                (stated == length).then(|| lz4_flex::block::decompress_into(block, chunk).ok())?
            }
            Compressor::Snappy => {
                let stated = snap::raw::decompress_len(packed).ok()?;
                (stated == length).then(|| self.snappy.decompress(packed, chunk).ok())?
            }
            Compressor::Deflate => {
                let mut stream = flate2::Decompress::new(true);
                let status = stream.decompress(packed, chunk, flate2::FlushDecompress::Finish).ok()?;
                (status == flate2::Status::StreamEnd).then(|| usize::try_from(stream.total_out()).ok())?
            }
            Compressor::Zstd => self.zstd.decode_all(packed, chunk).ok(),
            Compressor::Noop => {
                chunk.clear();
                chunk.extend_from_slice(packed);
                Some(packed.len())
            }
        };
        (unpacked? == length).then_some(())
    }
}

/// What follows from a failed [`Unpacker::unpack`].
pub(super) fn does_not_unpack(file: &Arc<str>, offset: u64, compressor: Compressor, length: usize) -> Error {
    let what = format!("the chunk does not unpack to {length} bytes with {compressor:?}");
    Error::damaged(file, offset, what)
}
