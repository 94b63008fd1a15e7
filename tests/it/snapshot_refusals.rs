//! What is no snapshot, or no longer one: each is refused by the name of the file, with the place in it where there is one.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kongferry::source::snapshot::{Snapshot, SnapshotConfig, SnapshotPlace, Verdict};
use kongferry::source::{Cut, PageSizing, SelectItem, Selection, Source as _};

const KEYSPACE: &str = "samples";
const ID: &str = "5a1c395e-b41f-11e5-9f22-ba0be0483c18";

/// A copied snapshot with one table, made of files in `fixtures/sstables`.
struct Copied {
    root: tempfile::TempDir,
    table: PathBuf,
}

impl Copied {
    fn of(version: &str, table: &str, id: &str) -> Self {
        let root = tempfile::tempdir().unwrap();
        let name = format!("{table}-{}", id.replace('-', ""));
        let dir = root.path().join(KEYSPACE).join(name).join("snapshots/tonight");
        fs::create_dir_all(&dir).unwrap();
        let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/sstables").join(version).join(table);
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            fs::copy(entry.path(), dir.join(entry.file_name())).unwrap();
        }
        let columns = match table {
            "plain" => "id uuid PRIMARY KEY, name text, number int",
            _ => {
                "partition text, id uuid, shared text static, texts set<text>, more map<text, int>, list list<text>, \
                 number bigint, name text, PRIMARY KEY (partition, id)"
            }
        };
        let schema = format!("CREATE TABLE IF NOT EXISTS {KEYSPACE}.{table} ({columns}) WITH ID = {id};");
        fs::write(dir.join("schema.cql"), schema).unwrap();
        let copied = Self { root, table: dir };
        copied.list();
        copied
    }

    /// Lists the data files there are.
    fn list(&self) {
        let names = self.files("Data.db").into_iter().map(|path| path.file_name().unwrap().to_owned());
        let names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        let manifest = serde_json::json!({"files": names, "created_at": "2026-11-20T02:00:00.123Z"});
        fs::write(self.table.join("manifest.json"), manifest.to_string()).unwrap();
    }

    /// Files whose names end so.
    fn files(&self, end: &str) -> Vec<PathBuf> {
        let all = fs::read_dir(&self.table).unwrap().map(|entry| entry.unwrap().path());
        let mut files: Vec<PathBuf> = all.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
        files.sort();
        files
    }

    /// Changes the first file whose name ends so; returns its path.
    fn change(&self, end: &str, change: impl FnOnce(&mut Vec<u8>)) -> String {
        let path = self.files(end).remove(0);
        let mut bytes = fs::read(&path).unwrap();
        change(&mut bytes);
        fs::write(&path, bytes).unwrap();
        path.display().to_string()
    }

    async fn open(&self, more: &[&Self]) -> Result<Snapshot, String> {
        let roots = [self].into_iter().chain(more.iter().copied()).map(|copied| copied.root.path());
        let place = SnapshotPlace { nodes: roots.map(|root| root.to_path_buf().into()).collect(), tag: None };
        let config = SnapshotConfig { place, keyspace: KEYSPACE.into(), as_of: Some(1_800_000_000) };
        Snapshot::open(config).await.map_err(|error| error.report())
    }

    /// Rows of the table, or why they cannot be read.
    async fn read(&self) -> Result<usize, String> {
        let snapshot = self.open(&[]).await?;
        let table = snapshot.catalog().tables.values().next().unwrap();
        let items = table.columns.iter().map(|column| SelectItem::Column(column.name.clone())).collect();
        let selection = Arc::new(Selection { table: table.name.clone(), items });
        let told = |error: kongferry::error::Error| error.report();
        let mut rows = 0;
        for split in snapshot.splits(table, Cut { parts: 4, shifted: false }).await.map_err(told)? {
            let sizing = Arc::new(PageSizing::new(4096));
            let mut pages = snapshot.open(Arc::clone(&selection), &split, sizing).await.map_err(told)?;
            while let Some(page) = pages.next().await.map_err(told)? {
                rows += page.rows;
            }
        }
        Ok(rows)
    }
}

#[track_caller]
fn says(outcome: Result<impl Sized, String>, words: &[&str]) {
    let Err(report) = outcome else { panic!("it was read, and not refused with {words:?}") };
    for word in words {
        assert!(report.contains(word), "{word}: {report}");
    }
    assert!(report.contains("what to do"), "{report}");
}

#[tokio::test]
async fn sound_files_are_read() {
    for (table, rows) in [("plain", 67), ("rich", 150)] {
        for version in ["me", "nb", "oa", "da"] {
            let copied = Copied::of(version, table, ID);
            let snapshot = copied.open(&[]).await.unwrap();
            assert_eq!(snapshot.completeness().verdict, Verdict::Unknown);
            let taken = snapshot.taken().unwrap();
            assert_eq!((taken.first, taken.recorded), (1_795_140_000, true), "{taken:?}");
            let found = copied.read().await.unwrap();
            assert!(found >= rows, "{version}, {table}: {found} rows");
        }
    }
}

#[tokio::test]
async fn a_chunk_that_changed_is_named_with_its_place() {
    for (version, table) in [("me", "plain"), ("nb", "rich"), ("da", "plain"), ("oa", "rich")] {
        let copied = Copied::of(version, table, ID);
        let file = copied.change("Data.db", |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        });
        says(copied.read().await, &[&file, ", byte ", "checksum of chunk", "copy it again"]);
    }
}

#[tokio::test]
async fn cut_off_and_missing_files_are_named() {
    for version in ["me", "nb", "oa", "da"] {
        let copied = Copied::of(version, "rich", ID);
        let file = copied.change("Data.db", |bytes| bytes.truncate(bytes.len() - 9));
        says(copied.read().await, &[&file]);
        for end in ["Data.db", "Statistics.db", "CompressionInfo.db"] {
            let copied = Copied::of(version, "rich", ID);
            let file = copied.files(end).remove(0);
            fs::remove_file(&file).unwrap();
            let name = file.file_name().unwrap().to_str().unwrap();
            // Without CompressionInfo.db the data are taken for uncompressed, whose checksums are then missing.
            let named = if end == "CompressionInfo.db" {
                name.replace("CompressionInfo", "Data")
            } else {
                name.into()
            };
            says(
                copied.read().await,
                &[&named, "there"]
                    .map(|word| if word == "there" && end == "Data.db" { "missing" } else { word }),
            );
        }
    }
}

#[tokio::test]
async fn files_of_another_table_are_refused() {
    let (copied, other) = (Copied::of("nb", "plain", ID), Copied::of("nb", "rich", ID));
    let statistics = fs::read(other.files("Statistics.db").remove(0)).unwrap();
    let file = copied.change("Statistics.db", |bytes| *bytes = statistics);
    says(copied.read().await, &[&file, "key", "keep the snapshots of different tables and clusters apart"]);
}

#[tokio::test]
async fn another_cluster_among_the_directories_is_refused() {
    let copied = Copied::of("nb", "plain", ID);
    let other = Copied::of("nb", "plain", "6a1c395e-b41f-11e5-9f22-ba0be0483c18");
    let path = other.table.display().to_string();
    says(copied.open(&[&other]).await, &[&path, "of another table plain", "different clusters"]);
}

#[tokio::test]
async fn a_live_data_directory_is_refused() {
    let copied = Copied::of("nb", "plain", ID);
    let live = copied.table.parent().unwrap().parent().unwrap();
    for entry in fs::read_dir(&copied.table).unwrap() {
        let entry = entry.unwrap();
        if entry.path().extension().is_some_and(|end| end == "db") {
            fs::rename(entry.path(), live.join(entry.file_name())).unwrap();
        }
    }
    fs::remove_dir_all(live.join("snapshots")).unwrap();
    says(
        copied.open(&[]).await,
        &[live.to_str().unwrap(), "neither manifest.json nor schema.cql", "live table"],
    );
}

#[tokio::test]
async fn versions_and_compressors_that_are_not_known_are_named() {
    let copied = Copied::of("nb", "plain", ID);
    for path in copied.files(".db") {
        let name = path.file_name().unwrap().to_str().unwrap().replace("nb-", "zz-");
        fs::rename(&path, copied.table.join(name)).unwrap();
    }
    copied.list();
    says(copied.open(&[]).await, &["zz-", "-big-"]);

    // As a build with encryption at rest writes it.
    let copied = Copied::of("nb", "rich", ID);
    let file = copied.change("CompressionInfo.db", |bytes| {
        let length = usize::from(u16::from_be_bytes([bytes[0], bytes[1]]));
        let name = b"com.example.EncryptingCompressor";
        let mut changed = u16::try_from(name.len()).unwrap().to_be_bytes().to_vec();
        changed.extend(name);
        changed.extend(&bytes[2 + length..]);
        *bytes = changed;
    });
    says(copied.open(&[]).await, &[&file, "EncryptingCompressor", "not read here", "live cluster"]);
}

#[tokio::test]
async fn what_cannot_be_read_says_why() {
    let copied = Copied::of("nb", "plain", ID);
    let file = copied.files("Statistics.db").remove(0);
    fs::remove_file(&file).unwrap();
    // A directory in place of a file cannot be read by anybody; root would read a file whatever its mode.
    fs::create_dir(&file).unwrap();
    says(copied.open(&[]).await, &[file.to_str().unwrap()]);
    let copied = Copied::of("nb", "plain", ID);
    let schema = copied.table.join("schema.cql");
    fs::remove_file(&schema).unwrap();
    fs::create_dir(&schema).unwrap();
    says(copied.open(&[]).await, &[schema.to_str().unwrap(), "cannot be read"]);
    let gone = copied.root.path().to_path_buf();
    fs::remove_dir_all(&gone).unwrap();
    says(copied.open(&[]).await, &[gone.to_str().unwrap(), "cannot be read"]);
}
