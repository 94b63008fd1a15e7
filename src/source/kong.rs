//! The few rows of Kong's own book-keeping that are read as values, from whatever source.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use uuid::Uuid;

use super::cells::{self, Cell};
use super::{Cut, PageSizing, SelectItem, Selection, Source};
use crate::error::{Error, ErrorKind, Result};
use crate::schema_state::SubsystemState;

/// Bytes per page when reading small tables.
const PAGE_BYTES: usize = 256 * 1024;

/// The cells of one row, NULL as `None`.
pub type Row = Vec<Option<Bytes>>;

/// Reads `columns` of every row of a small `table`.
///
/// # Errors
///
/// [`ErrorKind::Preflight`] when the source has no such table or column, else as reading fails.
pub async fn read_table(source: &dyn Source, table: &str, columns: &[&str]) -> Result<Vec<Row>> {
    let catalog = source.catalog();
    let missing = |what: String| {
        Error::new(ErrorKind::Preflight, format!("keyspace {} has no {what}", catalog.keyspace))
            .remedy("check that the keyspace is the one of a Kong 2.1 to 3.3 Gateway")
    };
    let known = catalog.tables.get(table).ok_or_else(|| missing(format!("table {table}")))?;
    if let Some(column) = columns.iter().find(|column| known.column(column).is_none()) {
        return Err(missing(format!("column {table}.{column}")));
    }
    let items = columns.iter().map(|column| SelectItem::Column((*column).to_owned())).collect();
    let selection = Arc::new(Selection { table: table.to_owned(), items });
    let sizing = Arc::new(PageSizing::new(PAGE_BYTES));
    let mut rows = Vec::new();
    for split in source.splits(known, Cut { parts: 1, shifted: false }).await? {
        let mut pages = source.open(Arc::clone(&selection), &split, Arc::clone(&sizing)).await?;
        while let Some(page) = pages.next().await? {
            rows.extend(cells::rows_of(&page, columns.len()).ok_or_else(|| unreadable(table))?);
        }
    }
    Ok(rows)
}

/// The rows of `schema_meta`, by subsystem; empty when the keyspace has no such table, as before `kong migrations bootstrap`.
pub async fn schema_meta(source: &dyn Source) -> Result<Vec<SubsystemState>> {
    const TABLE: &str = "schema_meta";
    if !source.catalog().tables.contains_key(TABLE) {
        return Ok(Vec::new());
    }
    let rows =
        read_table(source, TABLE, &["key", "subsystem", "last_executed", "executed", "pending"]).await?;
    let mut states = Vec::new();
    for row in rows {
        let [key, subsystem, last_executed, executed, pending] = row.as_slice() else {
            return Err(unreadable(TABLE));
        };
        if text(TABLE, key.as_ref())?.as_deref() != Some(TABLE) {
            continue;
        }
        states.push(SubsystemState {
            subsystem: text(TABLE, subsystem.as_ref())?.unwrap_or_default(),
            last_executed: text(TABLE, last_executed.as_ref())?,
            executed: text_set(TABLE, executed.as_ref())?,
            pending: text_set(TABLE, pending.as_ref())?,
        });
    }
    states.sort_by(|a, b| a.subsystem.cmp(&b.subsystem));
    Ok(states)
}

/// Id of the workspace named `default`, which every Kong since 2.1 has.
pub async fn default_workspace(source: &dyn Source) -> Result<Option<Uuid>> {
    const TABLE: &str = "workspaces";
    if !source.catalog().tables.contains_key(TABLE) {
        return Ok(None);
    }
    for row in read_table(source, TABLE, &["id", "name"]).await? {
        if let [Some(id), Some(name)] = row.as_slice()
            && name.as_ref() == b"default"
        {
            return Uuid::from_slice(id).map(Some).map_err(|_| unreadable(TABLE));
        }
    }
    Ok(None)
}

/// Ids of the keys by which Kong Enterprise encrypts at present (keyring): one, or none where there is no keyring.
pub async fn active_keys(source: &dyn Source) -> Result<Vec<String>> {
    const TABLE: &str = "keyring_meta_active";
    if !source.catalog().tables.contains_key(TABLE) {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for row in read_table(source, TABLE, &["active", "id"]).await? {
        // The only partition Kong reads.
        if let [Some(active), id] = row.as_slice()
            && active.as_ref() == b"active"
        {
            ids.extend(text(TABLE, id.as_ref())?);
        }
    }
    Ok(ids)
}

/// Whether `locks` holds the lock of a running `kong migrations` command.
pub async fn migrations_running(source: &dyn Source) -> Result<bool> {
    const TABLE: &str = "locks";
    if !source.catalog().tables.contains_key(TABLE) {
        return Ok(false);
    }
    let rows = read_table(source, TABLE, &["key"]).await?;
    Ok(rows.iter().flatten().flatten().any(|key| key.as_ref() == b"migrations"))
}

fn unreadable(table: &str) -> Error {
    Error::new(ErrorKind::Source, format!("table {table}: a row cannot be read"))
        .because("its bytes do not have the layout of their type")
}

fn text(table: &str, cell: Option<&Bytes>) -> Result<Option<String>> {
    let read = |bytes: &Bytes| String::from_utf8(bytes.to_vec()).map_err(|_| unreadable(table));
    cell.map(read).transpose()
}

/// A `set<text>`; NULL is the empty set.
fn text_set(table: &str, cell: Option<&Bytes>) -> Result<BTreeSet<String>> {
    let Some(cell) = cell.filter(|cell| !cell.is_empty()) else { return Ok(BTreeSet::new()) };
    let read = || -> Option<BTreeSet<String>> {
        let (count, mut rest) = cell.split_first_chunk::<4>()?;
        let element = |_| match cells::cell(&mut rest)? {
            Cell::Value(text) => String::from_utf8(text.to_vec()).ok(),
            Cell::Null => None,
        };
        (0..i32::from_be_bytes(*count)).map(element).collect()
    };
    read().ok_or_else(|| unreadable(table))
}

/// Whether `table` exists and holds a row; reads no further than the first.
pub async fn holds_rows(source: &dyn Source, table: &str) -> Result<bool> {
    let Some(known) = source.catalog().tables.get(table) else { return Ok(false) };
    let items = known.partition_key().map(|column| SelectItem::Column(column.name.clone())).collect();
    let selection = Arc::new(Selection { table: table.to_owned(), items });
    let sizing = Arc::new(PageSizing::new(PAGE_BYTES));
    for split in source.splits(known, Cut { parts: 1, shifted: false }).await? {
        let mut pages = source.open(Arc::clone(&selection), &split, Arc::clone(&sizing)).await?;
        while let Some(page) = pages.next().await? {
            if page.rows > 0 {
                return Ok(true);
            }
        }
    }
    Ok(false)
}
