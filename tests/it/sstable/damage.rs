//! Real files with bytes changed, cut off, or swapped: each is refused, or read as before; never otherwise, never with a panic.

use std::collections::BTreeMap;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::Arc;

use kongferry::sstable::{Descriptor, SsTable, Table, Tokens};

use super::compare::{Described, Read, try_rows};

/// The files of a directory, in memory.
pub type Files = BTreeMap<String, Arc<Vec<u8>>>;

/// What a run of changes came to.
#[derive(Debug, Default)]
pub struct Tally {
    pub refused: usize,
    pub as_before: usize,
}

/// The files of an SSTable directory.
pub fn files(dir: &Path) -> Files {
    let mut files = Files::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            files.insert(
                entry.file_name().into_string().unwrap(),
                Arc::new(std::fs::read(entry.path()).unwrap()),
            );
        }
    }
    files
}

/// All rows three ways: at once, in ranges, and the first large partition in slices. `Err` when any way refuses.
fn read(files: &Files, described: &Described, now: i64, whole: &[Read]) -> Result<[Vec<Read>; 3], String> {
    let fail = |error: kongferry::sstable::Error| error.to_string();
    let groups = Descriptor::group(files.keys().map(String::as_str)).map_err(fail)?;
    let open = |descriptor| SsTable::open(files, descriptor).map(Arc::new);
    let sstables = groups.keys().map(open).collect::<Result<Vec<_>, _>>().map_err(fail)?;
    let table = Arc::new(Table::new(&described.definition, sstables).map_err(fail)?);
    let at_once = try_rows(table.scan(Tokens::default(), now).map_err(fail)?, described).map_err(fail)?;
    let mut in_ranges = Vec::new();
    let mut after = None;
    let cuts = [whole.len() / 3, whole.len() * 2 / 3].map(|row| whole.get(row).map(|row| row.token));
    for upto in cuts.into_iter().flatten().map(Some).chain([None]) {
        let scan = table.scan(Tokens { after, upto }, now).map_err(fail)?;
        in_ranges.extend(try_rows(scan, described).map_err(fail)?);
        after = upto;
    }
    let mut in_slices = Vec::new();
    let partition = largest(whole);
    if let Some(first) = partition.first() {
        let end = partition[partition.len() * 2 / 3].clustering.as_ref().unwrap();
        let end: Vec<_> = end.iter().map(Vec::as_slice).collect();
        for (after, upto) in [(None, Some(end.as_slice())), (Some(end.as_slice()), None)] {
            let slice = table.slice(&first.key, after, upto, now).map_err(fail)?;
            in_slices.extend(try_rows(slice, described).map_err(fail)?);
        }
    }
    Ok([at_once, in_ranges, in_slices])
}

fn largest(whole: &[Read]) -> &[Read] {
    let partitions = whole
        .chunk_by(|a, b| a.key == b.key)
        .filter(|rows| rows[0].clustering.as_ref().is_some_and(|values| !values.is_empty()));
    partitions.max_by_key(|rows| rows.len()).unwrap_or_default()
}

/// Changes the files of a table in many ways, one at a time.
pub fn assert_noticed(what: &str, dir: &Path, described: &Described, now: i64, whole: &[Read]) -> Tally {
    let original = files(dir);
    let expected = [whole.to_vec(), whole.to_vec(), largest(whole).to_vec()];
    let mut seed = 42_u64;
    let mut roll = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    };
    let mut tally = Tally::default();
    for (name, bytes) in &original {
        let read_at_all =
            !["Filter.db", "Summary.db", "manifest.json", "schema.cql"].iter().any(|end| name.ends_with(end));
        if !read_at_all || bytes.is_empty() {
            continue;
        }
        // The numbers that say where a file's parts are stand at its ends.
        let rolls = if bytes.len() < 100 { 16 } else { 40 };
        let mut damages: Vec<(String, Option<Vec<u8>>)> = vec![("removed".into(), None)];
        for n in 0..rolls {
            let mut changed = (**bytes).clone();
            let at = match n % 4 {
                0 => roll(bytes.len().min(64)),
                1 => bytes.len() - 1 - roll(bytes.len().min(64)),
                _ => roll(bytes.len()),
            };
            let how = match n % 5 {
                0 => {
                    changed.truncate(at);
                    format!("cut off at {at}")
                }
                1 => {
                    changed[at] = if changed[at] == 0xff { 0 } else { 0xff };
                    format!("byte {at} is all ones")
                }
                2 => {
                    let other = roll(bytes.len());
                    changed.swap(at, other);
                    format!("bytes {at} and {other} are swapped")
                }
                _ => {
                    changed[at] ^= 1 << roll(8);
                    format!("a bit of byte {at} is flipped")
                }
            };
            if changed != **bytes {
                damages.push((how, Some(changed)));
            }
        }
        for (how, changed) in damages {
            let mut files = original.clone();
            match changed {
                Some(changed) => drop(files.insert(name.clone(), Arc::new(changed))),
                None => drop(files.remove(name)),
            }
            let what = format!("{what}: {name}, {how}");
            let outcome = catch_unwind(|| read(&files, described, now, whole))
                .unwrap_or_else(|_| panic!("{what}: panic"));
            // The oldest Statistics.db has no checksum: another time base or column order cannot be seen.
            let unprotected = name.ends_with("Statistics.db") && name.starts_with('m');
            match outcome {
                Err(_) => tally.refused += 1,
                Ok(rows) => {
                    assert!(unprotected || rows == expected, "{what}: other rows and no error");
                    tally.as_before += 1;
                }
            }
            if name.ends_with("Data.db") {
                assert!(digest_is_wrong(&files, name), "{what}: as in its digest");
            }
        }
    }
    tally
}

/// Changes the data of uncompressed files and makes their checksums right again, so that what reads rows meets bytes that no
/// server wrote: it may find anything, but it has to end, without a panic.
pub fn assert_endured(what: &str, dir: &Path, described: &Described, now: i64, whole: &[Read]) -> Tally {
    let original = files(dir);
    let mut seed = 11_u64;
    let mut roll = move |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % below.max(1)
    };
    let mut tally = Tally::default();
    for (name, sums) in original.iter().filter(|(name, _)| name.ends_with("CRC.db")) {
        let data = name.replace("CRC.db", "Data.db");
        let chunk = usize::try_from(u32::from_be_bytes(sums[..4].try_into().unwrap())).unwrap();
        for _ in 0..300 {
            let (mut sums, mut bytes) = ((**sums).clone(), (*original[&data]).clone());
            for _ in 0..=roll(3) {
                let at = roll(bytes.len());
                bytes[at] = match roll(4) {
                    0 => 0xff,
                    1 => 0,
                    2 => bytes[at] ^ (1 << roll(8)),
                    _ => u8::try_from(roll(256)).unwrap(),
                };
                let first = at / chunk;
                let part = &bytes[first * chunk..bytes.len().min((first + 1) * chunk)];
                sums[4 + first * 4..8 + first * 4].copy_from_slice(&crc32fast::hash(part).to_be_bytes());
            }
            let mut files = original.clone();
            files.insert(name.clone(), Arc::new(sums));
            files.insert(data.clone(), Arc::new(bytes));
            let outcome = catch_unwind(|| read(&files, described, now, whole));
            match outcome.unwrap_or_else(|_| panic!("{what}: {data}: panic")) {
                Ok(_) => tally.as_before += 1,
                Err(_) => tally.refused += 1,
            }
        }
    }
    tally
}

/// Whether the whole file's checksum tells.
fn digest_is_wrong(files: &Files, name: &str) -> bool {
    let Ok(Some((descriptor, _))) = Descriptor::parse(name) else { return true };
    SsTable::open(files, &descriptor).and_then(|sstable| sstable.check_digest(files)).is_err()
}
