//! The same table twice: as the server answers, and as its files say.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use scylla::deserialize::row::ColumnIterator;
use scylla::statement::unprepared::Statement;

use kongferry::sstable::{
    Column, ColumnKind, Definition, Descriptor, Error, Row, Rows, SsTable, Table, Ties, Tokens, Type,
};

use super::node::Node;

/// A cell: value, write time, expiry instant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    pub value: Option<Vec<u8>>,
    pub written: Option<i64>,
    pub expires: Option<i64>,
}

/// A table as the server describes it.
#[derive(Debug, Clone)]
pub struct Described {
    pub name: String,
    pub definition: Definition,
    /// Columns whose write time can be asked for.
    pub timed: Vec<bool>,
}

/// Seconds since 1970.
pub fn now() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap()
}

async fn raw(node: &Node, cql: &str) -> Vec<Vec<Option<Vec<u8>>>> {
    let answer = node.session.query_unpaged(Statement::new(cql), ()).await;
    let answer = answer.unwrap_or_else(|error| panic!("{cql}: {error}")).into_rows_result().unwrap();
    let mut rows = Vec::new();
    for row in answer.rows::<ColumnIterator>().unwrap() {
        let cells = row.unwrap().map(|cell| cell.unwrap().slice.map(|slice| slice.as_slice().to_vec()));
        rows.push(cells.collect());
    }
    rows
}

fn text(cell: Option<&Vec<u8>>) -> String {
    String::from_utf8(cell.cloned().unwrap_or_default()).unwrap()
}

/// Reads what the server knows of a table.
pub async fn describe(node: &Node, keyspace: &str, table: &str) -> Described {
    let cql = format!(
        "SELECT column_name, kind, position, type FROM system_schema.columns \
         WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'"
    );
    let mut columns: Vec<_> = raw(node, &cql)
        .await
        .iter()
        .map(|row| {
            let kind = match text(row[1].as_ref()).as_str() {
                "partition_key" => ColumnKind::PartitionKey,
                "clustering" => ColumnKind::Clustering,
                "static" => ColumnKind::Static,
                _ => ColumnKind::Regular,
            };
            let position = i32::from_be_bytes(row[2].clone().unwrap().try_into().unwrap());
            (kind, position, text(row[0].as_ref()), text(row[3].as_ref()))
        })
        .collect();
    columns.sort_by_key(|(_, position, name, _)| (*position, name.clone()));
    let cql = format!(
        "SELECT column_name, dropped_time FROM system_schema.dropped_columns \
         WHERE keyspace_name = '{keyspace}' AND table_name = '{table}'"
    );
    let dropped = raw(node, &cql).await;
    let micros =
        |cell: Option<&Vec<u8>>| i64::from_be_bytes(cell.unwrap().clone().try_into().unwrap()) * 1000;
    let dropped: BTreeMap<_, _> =
        dropped.iter().map(|row| (text(row[0].as_ref()), micros(row[1].as_ref()))).collect();
    // Of frozen collections older releases do not tell it.
    let open = |ty: &str| {
        let ty = ty.strip_prefix("frozen<").unwrap_or(ty);
        ["list<", "set<", "map<", "counter", "address"].iter().any(|begin| ty.starts_with(begin))
    };
    let timed = columns
        .iter()
        .map(|(kind, _, _, ty)| matches!(kind, ColumnKind::Static | ColumnKind::Regular) && !open(ty))
        .collect();
    let fields = vec![
        ("street".to_owned(), "text".to_owned()),
        ("number".to_owned(), "int".to_owned()),
        ("tags".to_owned(), "frozen<set<text>>".to_owned()),
    ];
    let user_types = BTreeMap::from([("address".to_owned(), fields)]);
    let columns = columns.into_iter().map(|(kind, _, name, ty)| {
        let ty = Some(Type::from_cql(&ty, &user_types).unwrap());
        Column { name, kind, ty }
    });
    let columns = columns.collect();
    Described {
        name: table.to_owned(),
        definition: Definition { columns, dropped, some_columns: false },
        timed,
    }
}

/// The rows in the server's answer, and the second in which it was given; once more when that was not one second.
pub async fn selected(node: &Node, keyspace: &str, described: &Described) -> (i64, Vec<Vec<Cell>>) {
    let mut items = Vec::new();
    for (column, timed) in described.definition.columns.iter().zip(&described.timed) {
        items.push(column.name.clone());
        if *timed {
            items.push(format!("WRITETIME({})", column.name));
            items.push(format!("TTL({})", column.name));
        }
    }
    let cql = format!("SELECT {} FROM {keyspace}.{}", items.join(", "), described.name);
    for _ in 0..20 {
        let begin = now();
        let answer = raw(node, &cql).await;
        if now() == begin {
            return (begin, answer.into_iter().map(|row| cells(row, &described.timed, begin)).collect());
        }
    }
    panic!("{cql} takes longer than a second");
}

fn cells(row: Vec<Option<Vec<u8>>>, timed: &[bool], now: i64) -> Vec<Cell> {
    let mut given = row.into_iter();
    let mut cells = Vec::new();
    for timed in timed {
        let value = given.next().unwrap();
        let mut cell = Cell { value, written: None, expires: None };
        if *timed {
            let bytes = given.next().unwrap();
            cell.written = bytes.map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()));
            let ttl = given.next().unwrap();
            cell.expires = ttl.map(|bytes| now + i64::from(i32::from_be_bytes(bytes.try_into().unwrap())));
        }
        cells.push(cell);
    }
    cells
}

/// Opens the SSTables of a directory as a table.
pub fn open(dir: &Path, described: &Described) -> Arc<Table> {
    let names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let groups = Descriptor::group(names.iter().map(String::as_str)).unwrap();
    let sstables: Vec<_> = groups
        .keys()
        .map(|descriptor| {
            let sstable = SsTable::open(dir, descriptor).unwrap();
            sstable.check_digest(dir).unwrap();
            Arc::new(sstable)
        })
        .collect();
    Arc::new(Table::new(&described.definition, sstables).unwrap())
}

/// A row as the files say.
pub fn cells_of(row: Row<'_>, timed: &[bool]) -> Vec<Cell> {
    let mut cells = Vec::new();
    for (place, timed) in timed.iter().enumerate() {
        let mut bytes = Vec::new();
        row.write(place, &mut bytes).unwrap();
        let (length, value) = bytes.split_first_chunk::<4>().unwrap();
        let value = usize::try_from(i32::from_be_bytes(*length)).ok().map(|length| {
            assert_eq!(value.len(), length);
            value.to_vec()
        });
        let cell = row.cell(place).filter(|_| *timed);
        let written = cell.map(|cell| cell.timestamp);
        cells.push(Cell { value, written, expires: cell.and_then(|cell| cell.expires) });
    }
    cells
}

/// A row as the files say, with its place in the table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Read {
    pub token: i64,
    pub key: Vec<u8>,
    /// `None` for a partition with nothing but static columns.
    pub clustering: Option<Vec<Vec<u8>>>,
    pub cells: Vec<Cell>,
}

/// All the rows of a scan.
pub fn rows(rows: Rows, described: &Described) -> Vec<Read> {
    try_rows(rows, described).unwrap()
}

/// All the rows of a scan, unless it is refused.
pub fn try_rows(mut rows: Rows, described: &Described) -> Result<Vec<Read>, Error> {
    let columns = &described.definition.columns;
    let clustering = columns.iter().filter(|column| column.kind == ColumnKind::Clustering).count();
    let mut all = Vec::new();
    while let Some(row) = rows.next_row()? {
        let values =
            || (0..clustering).map(|place| row.clustering(place).unwrap_or_default().to_vec()).collect();
        all.push(Read {
            token: row.token(),
            key: row.partition_key().to_vec(),
            clustering: row.has_clustering().then(values),
            cells: cells_of(row, &described.timed),
        });
    }
    Ok(all)
}

/// Reads the table in ranges of tokens, whose ends are tokens of partitions and those beside them: together they are `whole`.
pub fn assert_same_in_ranges(table: &Arc<Table>, described: &Described, now: i64, whole: &[Read]) {
    let mut cuts: Vec<_> = whole.iter().map(|row| row.token).collect();
    cuts.dedup();
    let step = cuts.len().div_ceil(20).max(1);
    let mut cuts: Vec<_> = cuts.into_iter().step_by(step).flat_map(|token| [token - 1, token]).collect();
    cuts.extend([i64::MIN, i64::MAX, 0]);
    cuts.sort_unstable();
    cuts.dedup();
    let mut read = Vec::new();
    let mut after = None;
    for upto in cuts.into_iter().map(Some).chain([None]) {
        read.extend(rows(table.scan(Tokens { after, upto }, now).unwrap(), described));
        after = upto;
    }
    assert_eq!(read.len(), whole.len(), "rows in ranges of {}", described.name);
    assert!(read == whole, "other rows in ranges of {}", described.name);
}

/// Reads partitions of the table in slices, whose ends are rows: together they are the partition.
pub fn assert_same_in_slices(table: &Arc<Table>, described: &Described, now: i64, whole: &[Read]) {
    for partition in whole.chunk_by(|a, b| a.key == b.key).take(12) {
        let (key, mut partition) = (&partition[0].key, partition);
        if partition[0].clustering.is_none() {
            partition = &[];
        }
        let ends = partition.iter().filter_map(|row| row.clustering.as_ref());
        let step = partition.len().div_ceil(25).max(1);
        let mut read = Vec::new();
        let mut after: Option<Vec<&[u8]>> = None;
        let ends =
            ends.step_by(step).map(|values| Some(values.iter().map(Vec::as_slice).collect::<Vec<_>>()));
        for upto in ends.chain([None]) {
            let slice = table.slice(key, after.as_deref(), upto.as_deref(), now).unwrap();
            read.extend(rows(slice, described));
            after = upto;
        }
        assert_eq!(read.len(), partition.len(), "rows in slices of {}", described.name);
        assert!(read == partition, "other rows in slices of {}", described.name);
    }
    assert_eq!(rows(table.slice(b"no key", None, None, now).unwrap(), described), []);
}

/// Reads the table as it will be when what is written to expire has done so.
pub fn assert_expires(table: &Arc<Table>, described: &Described, now: i64, whole: &[Read]) {
    let later = now + 200_000;
    let read = rows(table.scan(Tokens::default(), later).unwrap(), described);
    assert!(
        !read.is_empty() && read.len() < whole.len(),
        "{}: {} of {} rows stay",
        described.name,
        read.len(),
        whole.len()
    );
    for row in &read {
        let before =
            whole.iter().find(|before| (&before.key, &before.clustering) == (&row.key, &row.clustering));
        for ((timed, before), after) in described.timed.iter().zip(&before.unwrap().cells).zip(&row.cells) {
            let gone = before.expires.is_some_and(|expires| expires <= later);
            let expected =
                if gone { Cell { value: None, written: None, expires: None } } else { before.clone() };
            assert!(!timed || expected == *after, "{}: a cell at a later time", described.name);
        }
    }
}

/// Reads the table by the rules of another line of Cassandra: other cells win, as long as several versions of them are there.
pub fn assert_ties_matter(dir: &Path, described: &Described, now: i64, whole: &[Read], several: bool) {
    let table = Arc::into_inner(open(dir, described)).unwrap();
    let other = if table.ties() == Ties::V3 { Ties::V4 } else { Ties::V3 };
    let table = Arc::new(table.with_ties(other));
    let mut scan = table.scan(Tokens::default(), now).unwrap();
    while scan.next_row().unwrap().is_some() {}
    assert_eq!(scan.tied() > 0, several, "{} ties", scan.tied());
    let read = rows(table.scan(Tokens::default(), now).unwrap(), described);
    assert_eq!(read != whole, several, "rows by other rules");
}

/// Compares row by row and names the first difference.
pub fn assert_same(what: &str, described: &Described, expected: &[Vec<Cell>], found: &[Read]) {
    for (n, (expected, found)) in expected.iter().zip(found).enumerate() {
        for ((column, expected), found) in described.definition.columns.iter().zip(expected).zip(&found.cells)
        {
            assert_eq!(expected, found, "{what}: row {n}, column {}", column.name);
        }
    }
    assert_eq!(expected.len(), found.len(), "{what}: number of rows");
}
