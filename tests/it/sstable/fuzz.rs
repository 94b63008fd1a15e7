//! Small files that real servers wrote, changed at random with a fixed seed: each decoder in turn meets bytes that no server writes.
//!
//! Checksums are made right again after a change, so that the decoder behind them meets it. Whatever comes, reading has to end
//! with rows or an error: no panic, no more work than the size of the files accounts for, no memory beyond it.
//!
//! The files are in `fixtures/sstables`, by version; the test `write_samples` writes them anew. `KONGFERRY_FUZZ_ROUNDS` (200 for each
//! decoder and version unless told otherwise, 4,000 with `./test --long`) says how long to go on.

use std::collections::BTreeMap;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kongferry::sstable::{
    Column, ColumnKind, Definition, Descriptor, Folder, ReadAt, SsTable, Table, Tokens, Type,
};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{Rng as _, SeedableRng as _};

use super::damage::{Files, files};
use super::node::{Node, WRITERS};

/// The instant at which the samples are read: all of their TTLs end later, but for those that have ended.
const NOW: i64 = 1_800_000_000;
/// Bytes that one reading of all may take from the files, in sizes of all files: each way of reading passes over them a few times,
/// a chunk may be read once for each block of rows that is looked at.
const PASSES: u64 = 400;
/// Resident memory that the whole of it may add, bytes.
const MEMORY: u64 = 1 << 30;

/// Tables of each sample: packed with everything there is, and without compression.
const TABLES: [&str; 2] = ["rich", "plain"];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sstables")
}

fn rounds() -> u64 {
    let long = std::env::var_os("KONGFERRY_TEST_MATRIX").is_some_and(|value| value == "1");
    let text = std::env::var("KONGFERRY_FUZZ_ROUNDS").ok();
    text.map_or(if long { 4_000 } else { 200 }, |text| text.parse().unwrap())
}

fn definition(table: &str) -> Definition {
    use ColumnKind::{Clustering, PartitionKey, Regular, Static};
    let column = |name: &str, kind, ty: &str| Column {
        name: name.to_owned(),
        kind,
        ty: Some(Type::from_cql(ty, &BTreeMap::new()).unwrap()),
    };
    let columns = match table {
        "rich" => vec![
            column("partition", PartitionKey, "text"),
            column("id", Clustering, "uuid"),
            column("shared", Static, "text"),
            column("texts", Regular, "set<text>"),
            column("more", Regular, "map<text, int>"),
            column("list", Regular, "list<text>"),
            column("number", Regular, "bigint"),
            column("name", Regular, "text"),
        ],
        _ => vec![
            column("id", PartitionKey, "uuid"),
            column("name", Regular, "text"),
            column("number", Regular, "int"),
        ],
    };
    Definition { columns, ..Definition::default() }
}

/// Files in memory that count what is read of them and refuse to go on for ever.
struct Counted<'f> {
    files: &'f Files,
    left: Arc<AtomicU64>,
}

struct CountedFile {
    bytes: Arc<Vec<u8>>,
    left: Arc<AtomicU64>,
}

impl ReadAt for CountedFile {
    fn size(&self) -> io::Result<u64> {
        self.bytes.size()
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let count = self.bytes.read_at(buffer, offset)?;
        // An empty read is work, too.
        let work = u64::try_from(count).unwrap().max(1);
        let left = self.left.load(Ordering::Relaxed);
        assert!(left >= work, "reading does not end");
        self.left.store(left - work, Ordering::Relaxed);
        Ok(count)
    }
}

impl Folder for Counted<'_> {
    fn open(&self, name: &str) -> io::Result<Option<Arc<dyn ReadAt>>> {
        let file = self
            .files
            .get(name)
            .map(|bytes| CountedFile { bytes: Arc::clone(bytes), left: Arc::clone(&self.left) });
        Ok(file.map(|file| Arc::new(file) as Arc<dyn ReadAt>))
    }
}

/// Reads everything in every way there is: rows that were read, or what is wrong.
fn read(files: &Files, definition: &Definition) -> Result<u64, String> {
    let size: u64 = files.values().map(|bytes| u64::try_from(bytes.len()).unwrap()).sum();
    let left = Arc::new(AtomicU64::new((size + (64 << 10)) * PASSES));
    let folder = Counted { files, left };
    let fail = |error: kongferry::sstable::Error| error.to_string();
    let groups = Descriptor::group(files.keys().map(String::as_str)).map_err(fail)?;
    let open = |descriptor| SsTable::open(&folder, descriptor).map(Arc::new);
    let sstables = groups.keys().map(open).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    let table = Arc::new(Table::new(definition, sstables).map_err(fail)?);
    let columns = definition.columns.len();
    let mut page = Vec::new();
    let mut drain = |mut rows: kongferry::sstable::Rows| -> Result<u64, String> {
        while let Some(row) = rows.next_row().map_err(fail)? {
            page.clear();
            for column in 0..columns {
                row.write(column, &mut page).ok_or("too long")?;
            }
        }
        Ok(rows.count())
    };
    let mut read = drain(table.scan(Tokens::default(), NOW).map_err(fail)?)?;
    for tokens in [Tokens { after: None, upto: Some(0) }, Tokens { after: Some(0), upto: None }] {
        read += drain(table.scan(tokens, NOW).map_err(fail)?)?;
    }
    let half = [0x80_u8; 16];
    for key in table.partition_keys(16).map_err(fail)?.unwrap_or_default() {
        table.sample_partition(&key, 16).map_err(fail)?;
        if !definition.columns.iter().any(|column| column.kind == ColumnKind::Clustering) {
            continue;
        }
        read += drain(table.slice(&key, None, Some(&[&half]), NOW).map_err(fail)?)?;
        read += drain(table.slice(&key, Some(&[&half]), None, NOW).map_err(fail)?)?;
    }
    Ok(read)
}

/// Numbers that lengths and offsets lie with.
const LIES: [u64; 10] =
    [0, 1, 0x7f, 0x80, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x7fff_ffff_ffff_ffff, u64::MAX];

/// Changes a few bytes, or the length.
fn mutate(random: &mut StdRng, bytes: &mut Vec<u8>) {
    for _ in 0..random.random_range(1..=3) {
        if bytes.is_empty() {
            return;
        }
        // Heads and ends say where everything else is.
        let at = match random.random_range(0..4) {
            0 => random.random_range(0..bytes.len().min(80)),
            1 => bytes.len() - 1 - random.random_range(0..bytes.len().min(80)),
            _ => random.random_range(0..bytes.len()),
        };
        match random.random_range(0..8) {
            0 => bytes[at] ^= 1 << random.random_range(0..8),
            1 => bytes[at] = random.random(),
            2 => bytes[at] = *[0, 0xff, 0x80, 0x7f].choose(random).unwrap(),
            3 => {
                let lie = LIES.choose(random).unwrap().to_be_bytes();
                let width = *[2, 4, 8].choose(random).unwrap();
                for (to, from) in bytes[at..].iter_mut().zip(&lie[8 - width..]) {
                    *to = *from;
                }
            }
            4 => bytes.truncate(at),
            5 => {
                let more: Vec<u8> = (0..random.random_range(1..20)).map(|_| random.random()).collect();
                bytes.splice(at..at, more);
            }
            6 => {
                let end = (at + random.random_range(1..20)).min(bytes.len());
                bytes.drain(at..end);
            }
            _ => {
                let other = random.random_range(0..bytes.len());
                bytes.swap(at, other);
            }
        }
    }
}

/// Makes the checksums inside Statistics.db right.
fn repair_statistics(bytes: &mut [u8]) -> Option<()> {
    let word = |bytes: &[u8], at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let count = usize::try_from(word(bytes, 0)?).ok().filter(|count| *count < 100)?;
    let head = crc32fast::hash(bytes.get(..4)?);
    bytes.get_mut(4..8)?.copy_from_slice(&head.to_be_bytes());
    let table_end = 8 + count * 8;
    let mut sum = crc32fast::Hasher::new();
    sum.update(bytes.get(..4)?);
    sum.update(bytes.get(8..table_end)?);
    bytes.get_mut(table_end..table_end + 4)?.copy_from_slice(&sum.finalize().to_be_bytes());
    for n in 0..count {
        let begin = usize::try_from(word(bytes, 12 + n * 8)?).ok()?;
        let end =
            if n + 1 < count { usize::try_from(word(bytes, 12 + (n + 1) * 8)?).ok()? } else { bytes.len() };
        let body = begin..end.checked_sub(4)?;
        let sum = crc32fast::hash(bytes.get(body.clone())?);
        bytes.get_mut(body.end..end)?.copy_from_slice(&sum.to_be_bytes());
    }
    Some(())
}

/// CRC.db for data in chunks of so many bytes.
fn sums(chunk: usize, data: &[u8]) -> Vec<u8> {
    let mut sums = u32::try_from(chunk).unwrap().to_be_bytes().to_vec();
    for chunk in data.chunks(chunk) {
        sums.extend(crc32fast::hash(chunk).to_be_bytes());
    }
    sums
}

/// Makes the checksum of each chunk of compressed data right, where the offsets say the chunks are.
fn repair_chunks(info: &[u8], data: &mut [u8], offsets: &[u64]) {
    assert!(!info.is_empty());
    for (n, begin) in offsets.iter().enumerate() {
        let end = offsets.get(n + 1).copied().unwrap_or(u64::try_from(data.len()).unwrap());
        let (Ok(begin), Ok(end)) = (usize::try_from(*begin), usize::try_from(end)) else { continue };
        let Some(stored) = data.get_mut(begin..end) else { continue };
        let Some((body, sum)) = stored.split_last_chunk_mut::<4>() else { continue };
        *sum = crc32fast::hash(body).to_be_bytes();
    }
}

/// The same table without compression: what changes in its data is then met by what decodes rows, not by what unpacks them.
fn unpacked(files: &Files) -> Files {
    const CHUNK: usize = 16 << 10;
    let mut plain = files.clone();
    for (name, info) in files.iter().filter(|(name, _)| name.ends_with("CompressionInfo.db")) {
        let (data, crc) =
            (name.replace("CompressionInfo.db", "Data.db"), name.replace("CompressionInfo.db", "CRC.db"));
        let (packed, offsets) = (&files[&data], offsets(info));
        let mut bytes = Vec::new();
        for (n, begin) in offsets.iter().enumerate() {
            let end = offsets.get(n + 1).copied().unwrap_or(u64::try_from(packed.len()).unwrap());
            let stored = &packed[usize::try_from(*begin).unwrap()..usize::try_from(end).unwrap() - 4];
            let size = usize::try_from(u32::from_le_bytes(stored[..4].try_into().unwrap())).unwrap();
            bytes.extend(lz4_flex::block::decompress(&stored[4..], size).unwrap());
        }
        plain.remove(name);
        plain.insert(crc, Arc::new(sums(CHUNK, &bytes)));
        plain.insert(data, Arc::new(bytes));
    }
    plain
}

/// Offsets of the chunks, from the end of a sound CompressionInfo.db.
fn offsets(info: &[u8]) -> Vec<u64> {
    let name = 2 + usize::from(u16::from_be_bytes([info[0], info[1]]));
    // A count of chunks stands before as many offsets of eight bytes, which end the file.
    let count = (name..info.len() - 3)
        .find(|at| {
            let count = u32::from_be_bytes(info[*at..*at + 4].try_into().unwrap());
            count > 0 && usize::try_from(count).unwrap().checked_mul(8) == Some(info.len() - at - 4)
        })
        .unwrap();
    info[count + 4..].chunks(8).map(|offset| u64::from_be_bytes(offset.try_into().unwrap())).collect()
}

/// Changes one component of one SSTable; checksums fit afterwards.
fn change(random: &mut StdRng, files: &mut Files, component: &str) {
    let names: Vec<String> = files.keys().filter(|name| name.ends_with(component)).cloned().collect();
    let Some(name) = names.choose(random) else { return };
    let mut bytes = (*files[name]).clone();
    let sound = bytes.clone();
    mutate(random, &mut bytes);
    let beside = |other: &str| name.replace(component, other);
    match component {
        "Statistics.db" => drop(repair_statistics(&mut bytes)),
        "Data.db" => {
            if let Some(info) = files.get(&beside("CompressionInfo.db")) {
                repair_chunks(info, &mut bytes, &offsets(info));
            } else if random.random_range(0..8) > 0 {
                // Data keep their length, or the checksums would be too few in most rounds.
                bytes.resize(sound.len(), 0);
                let chunk =
                    files[&beside("CRC.db")].first_chunk().map(|size| u32::from_be_bytes(*size)).unwrap();
                let sums = sums(usize::try_from(chunk).unwrap(), &bytes);
                files.insert(beside("CRC.db"), Arc::new(sums));
            }
        }
        _ => {}
    }
    files.insert(name.clone(), Arc::new(bytes));
}

/// What the kernel counts of this process, in bytes.
fn resident_peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("0 kB");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().unwrap() * 1024
}

fn fuzz(component: &str, prepare: fn(&Files) -> Files) {
    let before = resident_peak();
    let mut tally = BTreeMap::new();
    for version in std::fs::read_dir(samples()).unwrap() {
        let version = version.unwrap().path();
        for table in TABLES {
            let (original, definition) = (prepare(&files(&version.join(table))), definition(table));
            let whole =
                read(&original, &definition).unwrap_or_else(|error| panic!("{}: {error}", version.display()));
            assert!(whole > 100, "{}: {whole} rows", version.display());
            if !original.keys().any(|name| name.ends_with(component)) {
                continue;
            }
            for round in 0..rounds() / 2 {
                let mut random = StdRng::seed_from_u64(round);
                let mut files = original.clone();
                change(&mut random, &mut files, component);
                let outcome = catch_unwind(AssertUnwindSafe(|| read(&files, &definition)));
                let what = format!("{}, {table}, {component}, seed {round}", version.display());
                let outcome = outcome.unwrap_or_else(|_| panic!("{what}: panic"));
                let kind = if outcome.is_ok() { "read" } else { "refused" };
                *tally.entry(kind).or_insert(0_u64) += 1;
            }
        }
    }
    println!("{component}: {tally:?}");
    assert!(tally.values().sum::<u64>() > 0 && tally.contains_key("refused"), "{component}: {tally:?}");
    let grown = resident_peak().saturating_sub(before);
    assert!(grown < MEMORY, "{component}: {grown} bytes more");
}

macro_rules! decoders {
    ($($name:ident: $component:literal),+ $(,)?) => {
        $(#[test]
        fn $name() {
            fuzz($component, Clone::clone);
        })+
    };
}
decoders! {
    compression_info: "CompressionInfo.db",
    checksums: "CRC.db",
    packed_data: "Data.db",
    statistics: "Statistics.db",
    index: "Index.db",
    partitions: "Partitions.db",
    rows: "Rows.db",
}

#[test]
fn data() {
    fuzz("Data.db", unpacked);
}

/// Files of one version under the names of another, and files of other tables in between.
#[test]
fn foreign_files() {
    let mut all: Vec<(String, Arc<Vec<u8>>)> = Vec::new();
    let mut homes = Vec::new();
    for version in std::fs::read_dir(samples()).unwrap() {
        for table in TABLES {
            let home = files(&version.as_ref().unwrap().path().join(table));
            all.extend(home.iter().map(|(name, bytes)| (name.clone(), Arc::clone(bytes))));
            homes.push((home, definition(table)));
        }
    }
    let mut refused = 0;
    for round in 0..rounds() {
        let mut random = StdRng::seed_from_u64(round);
        let (home, definition) = homes.choose(&mut random).unwrap();
        let mut files = home.clone();
        let end = |name: &str| name.rsplit('-').next().unwrap().to_owned();
        let name = files.keys().nth(random.random_range(0..files.len())).unwrap().clone();
        match random.random_range(0..3) {
            0 => {
                let alike: Vec<_> = all.iter().filter(|(other, _)| end(other) == end(&name)).collect();
                files.insert(name, Arc::clone(&alike.choose(&mut random).unwrap().1));
            }
            1 => drop(files.insert(name, Arc::clone(&all.choose(&mut random).unwrap().1))),
            _ => {
                let (other, bytes) = all.choose(&mut random).unwrap();
                files.insert(other.clone(), Arc::clone(bytes));
            }
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| read(&files, definition)));
        refused += u64::from(outcome.unwrap_or_else(|_| panic!("seed {round}: panic")).is_err());
    }
    println!("foreign files: {refused} of {} refused", rounds());
    assert!(refused > rounds() / 4);
}

/// Names of types, as headers and schemas have them, cut and joined.
#[test]
fn names_of_types() {
    let names = [
        "org.apache.cassandra.db.marshal.MapType(org.apache.cassandra.db.marshal.UTF8Type,org.apache.cassandra.db.marshal.Int32Type)",
        "org.apache.cassandra.db.marshal.UserType(ks,61,62:org.apache.cassandra.db.marshal.FrozenType(org.apache.cassandra.db.marshal.SetType(org.apache.cassandra.db.marshal.UUIDType)))",
        "org.apache.cassandra.db.marshal.VectorType(org.apache.cassandra.db.marshal.FloatType , 3)",
        "map<text, frozen<set<tuple<int, vector<float, 3>>>>>",
    ];
    for round in 0..rounds() * 10 {
        let mut random = StdRng::seed_from_u64(round);
        let mut name = names.choose(&mut random).unwrap().as_bytes().to_vec();
        if random.random_range(0..10) == 0 {
            name = b"FrozenType(".repeat(random.random_range(1..5_000));
        }
        mutate(&mut random, &mut name);
        let name = String::from_utf8_lossy(&name);
        let _ = Type::parse(&name);
        let _ = Type::from_cql(&name, &BTreeMap::new());
        let _ = Descriptor::parse(&name);
    }
}

/// Writes the samples with real servers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "writes fixtures/sstables anew"]
async fn write_samples() {
    for writer in WRITERS.into_iter().filter(|writer| writer.name != "5.0") {
        let node = Node::start(writer).await;
        node.cql(
            "CREATE KEYSPACE samples WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 1}",
        )
        .await;
        node.session.use_keyspace("samples", false).await.unwrap();
        let never = "compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}";
        node.cql(&format!(
            "CREATE TABLE rich (partition text, id uuid, shared text static, texts set<text>, more map<text, int>, \
             list list<text>, number bigint, name text, PRIMARY KEY (partition, id)) WITH {never}"
        ))
        .await;
        node.cql(&format!(
            "CREATE TABLE plain (id uuid PRIMARY KEY, name text, number int) WITH compression = {{'enabled': 'false'}} AND {never}"
        ))
        .await;
        for generation in 0..2 {
            for n in (generation * 20)..(generation * 20 + 180) {
                let id = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, n.to_string().as_bytes());
                let (partition, long) = (
                    ["one", "two", "three"][usize::from(n % 9 == 0) + usize::from(n % 27 == 0)],
                    "x".repeat(700),
                );
                let ttl = if n % 7 == 0 { " USING TTL 300000000" } else { "" };
                node.cql(&format!(
                    "INSERT INTO rich (partition, id, texts, more, list, number, name) VALUES \
                     ('{partition}', {id}, {{'a', 'b{n}'}}, {{'k': {n}}}, ['u', 'v'], {n}, '{long}'){ttl}"
                ))
                .await;
                if n % 3 == 0 {
                    node.cql(&format!(
                        "INSERT INTO plain (id, name, number) VALUES ({id}, 'name {n}', {n}){ttl}"
                    ))
                    .await;
                }
                if n % 11 == generation {
                    node.cql(&format!("DELETE FROM rich WHERE partition = '{partition}' AND id = {id}"))
                        .await;
                    node.cql(&format!("DELETE name FROM plain WHERE id = {id}")).await;
                }
                if n % 13 == generation {
                    node.cql(&format!(
                        "UPDATE rich SET texts = texts - {{'a'}}, list = list + ['w'] WHERE partition = '{partition}' AND id = {id}"
                    ))
                    .await;
                }
            }
            node.cql("UPDATE rich SET shared = 'static' WHERE partition = 'two'").await;
            node.cql("DELETE FROM rich WHERE partition = 'one' AND id > 20000000-0000-5000-8000-000000000000 AND id < 28000000-0000-5000-8000-000000000000").await;
            node.cql("INSERT INTO rich (partition, id, name) VALUES ('four', 00000000-0000-1000-8000-000000000000, 'gone')").await;
            node.cql("DELETE FROM rich WHERE partition = 'four'").await;
            node.tool(&["flush", "samples"]);
        }
        node.tool(&["snapshot", "-t", "sample", "samples"]);
        for table in TABLES {
            let to = samples().join(writer.version).join(table);
            std::fs::create_dir_all(&to).unwrap();
            for (name, bytes) in files(&node.snapshot("samples", table, "sample")) {
                let read = Descriptor::parse(&name).ok().flatten().is_some();
                if read
                    && !["Filter.db", "Summary.db", "TOC.txt", "Digest.crc32"]
                        .iter()
                        .any(|end| name.ends_with(end))
                {
                    std::fs::write(to.join(name), &*bytes).unwrap();
                }
            }
        }
    }
}
