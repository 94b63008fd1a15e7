//! Statistics.db: how rows are encoded, and what is known of the file as a whole.

use std::sync::Arc;

use super::bytes::Bytes;
use super::descriptor::Version;
use super::error::{Error, ErrorKind, Result};
use super::file::Stored;
use super::marshal::Type;

/// The component kinds in the table of contents.
const VALIDATION: u32 = 0;
const STATS: u32 = 2;
const HEADER: u32 = 3;

/// More than the estimators, histograms and headers of any table take.
const LARGEST: u64 = 64 << 20;

/// Deltas count from here: September 2015, microseconds and seconds.
const EPOCH_MICROS: i64 = 1_442_880_000_000_000;
const EPOCH_SECONDS: i64 = 1_442_880_000;

/// A column as the file's header lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeaderColumn {
    /// Its name.
    pub name: String,
    /// Its type when the file was written.
    pub ty: Type,
}

/// What the rows of a file are encoded against.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Base of timestamps, microseconds since 1970.
    pub(super) min_timestamp: i64,
    /// Base of local times, seconds since 1970.
    pub(super) min_local_time: i64,
    /// Base of times to live, seconds.
    pub(super) min_ttl: i64,
    /// Type of the partition key.
    pub key: Type,
    /// Types of the clustering columns.
    pub clustering: Vec<Type>,
    /// Static columns, in storage order.
    pub statics: Vec<HeaderColumn>,
    /// Regular columns, in storage order.
    pub regulars: Vec<HeaderColumn>,
}

/// What Statistics.db says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statistics {
    /// Class name of the partitioner.
    pub partitioner: String,
    /// Encoding of the rows.
    pub header: Header,
    /// Numbers about the whole file.
    pub summary: Summary,
}

/// Numbers about a file as its writer counted them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Summary {
    /// Number of partitions, as well as the histogram keeps it.
    pub partitions: u64,
    /// Least write time, microseconds since 1970.
    pub min_timestamp: i64,
    /// Greatest write time, microseconds since 1970.
    pub max_timestamp: i64,
    /// Time of the repair that the data went through, milliseconds since 1970; 0 for none.
    pub repaired_at: i64,
}

impl Statistics {
    /// Reads the file, checksums included where the version has them.
    pub(super) fn read(file: &Stored, version: Version) -> Result<Self> {
        let bytes = file.read_whole(LARGEST)?;
        let components = components(&bytes, &file.name, version)?;
        let find = |kind| {
            let found = components.iter().find(|component| component.kind == kind);
            let missing = || Error::damaged(&file.name, 0, format!("lists no component of type {kind}"));
            found
                .map(|component| Bytes::new(component.bytes, &file.name, component.offset))
                .ok_or_else(missing)
        };
        let mut validation = find(VALIDATION)?;
        let name = validation.short_bytes()?;
        let partitioner = validation.text(name)?.to_owned();
        let summary = summary(&mut find(STATS)?)?;
        let header = header(&mut find(HEADER)?, version, &file.name)?;
        Ok(Self { partitioner, header, summary })
    }
}

struct Part<'b> {
    kind: u32,
    offset: u64,
    bytes: &'b [u8],
}

/// Cuts the file into its components.
fn components<'b>(bytes: &'b [u8], file: &Arc<str>, version: Version) -> Result<Vec<Part<'b>>> {
    let checked = version.is_4_or_later();
    let mut table = Bytes::new(bytes, file, 0);
    let count = table.count()?;
    let mut sum = crc32fast::Hasher::new();
    sum.update(&count.to_be_bytes());
    if checked && table.u32()? != sum.clone().finalize() {
        return Err(Error::damaged(file, 0, "the checksum of the number of components is wrong"));
    }
    let mut entries = Vec::new();
    for _ in 0..count {
        let entry = (table.count()?, table.count()?);
        sum.update(&entry.0.to_be_bytes());
        sum.update(&entry.1.to_be_bytes());
        entries.push(entry);
    }
    if checked && table.u32()? != sum.finalize() {
        return Err(Error::damaged(file, 0, "the checksum of the list of components is wrong"));
    }
    let mut parts = Vec::new();
    for (n, (kind, start)) in entries.iter().enumerate() {
        let wrong = || Error::damaged(file, u64::from(*start), "a component that ends before it begins");
        let begin = usize::try_from(*start).map_err(|_| wrong())?;
        let end = match entries.get(n + 1) {
            Some((_, next)) => usize::try_from(*next).map_err(|_| wrong())?,
            None => bytes.len(),
        };
        let mut part = bytes.get(begin..end).ok_or_else(wrong)?;
        if checked {
            let (body, stored) = part.split_last_chunk::<4>().ok_or_else(wrong)?;
            if crc32fast::hash(body) != u32::from_be_bytes(*stored) {
                let what = format!("the checksum of component {kind} is wrong");
                return Err(Error::damaged(file, u64::from(*start), what));
            }
            part = body;
        }
        parts.push(Part { kind: *kind, offset: u64::from(*start), bytes: part });
    }
    Ok(parts)
}

fn histogram(bytes: &mut Bytes) -> Result<u64> {
    let mut total = 0_u64;
    for _ in 0..bytes.count()? {
        bytes.i64()?;
        total = total.saturating_add(u64::try_from(bytes.i64()?).unwrap_or(0));
    }
    Ok(total)
}

fn summary(bytes: &mut Bytes) -> Result<Summary> {
    let partitions = histogram(bytes)?;
    histogram(bytes)?;
    // Position in the commit log.
    bytes.take(12)?;
    let (min_timestamp, max_timestamp) = (bytes.i64()?, bytes.i64()?);
    // Local deletion times, TTLs, the ratio of compression.
    bytes.take(4 * 4 + 8)?;
    // When tombstones may go, as a histogram: its largest size, then points and counts.
    bytes.count()?;
    let points = bytes.count()?;
    bytes.take(u64::from(points) * 16)?;
    // The level.
    bytes.take(4)?;
    let repaired_at = bytes.i64()?;
    Ok(Summary { partitions, min_timestamp, max_timestamp, repaired_at })
}

fn header(bytes: &mut Bytes, version: Version, file: &Arc<str>) -> Result<Header> {
    let min_timestamp = EPOCH_MICROS.wrapping_add(bytes.vint()?.cast_signed());
    let min_local_time = local_time(EPOCH_SECONDS, bytes.vint()?, version);
    let min_ttl =
        i64::try_from(bytes.vint()?).map_err(|_| bytes.damaged("a time to live beyond all bounds"))?;
    let key = ty(bytes, file)?;
    let count = bytes.vint()?;
    let clustering = (0..count).map(|_| ty(bytes, file)).collect::<Result<_>>()?;
    let statics = columns(bytes, file)?;
    let regulars = columns(bytes, file)?;
    Ok(Header { min_timestamp, min_local_time, min_ttl, key, clustering, statics, regulars })
}

/// A local time from its base and what is stored: 32 bits, signed before version oa.
pub(super) fn local_time(base: i64, delta: u64, version: Version) -> i64 {
    let time = base.wrapping_add(delta.cast_signed());
    if version.is_5() { time } else { (time << 32) >> 32 }
}

fn ty(bytes: &mut Bytes, file: &Arc<str>) -> Result<Type> {
    let offset = bytes.offset();
    let name = bytes.vint_bytes()?;
    let name = bytes.text(name)?;
    Type::parse(name).map_err(|what| {
        let kind = if what.ends_with("not read here") { ErrorKind::Unsupported } else { ErrorKind::Damaged };
        Error::new(kind, file, Some(super::error::Place::Stored(offset)), what)
    })
}

fn columns(bytes: &mut Bytes, file: &Arc<str>) -> Result<Vec<HeaderColumn>> {
    let count = bytes.vint()?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let name = bytes.vint_bytes()?;
        let name = bytes.text(name)?.to_owned();
        columns.push(HeaderColumn { name, ty: ty(bytes, file)? });
    }
    Ok(columns)
}
