//! Samples the rows of tables that no map describes, so that a map can be worked out for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::schema_map::Evidence;
use crate::source::{Column, Cut, PageSizing, SelectItem, Selection, Source, Table, cells, kong};

/// Places of a table that are sampled.
const PLACES: usize = 8;
/// Rows that are looked at in each place, at least (a page is looked at whole).
const ROWS_PER_PLACE: u64 = 2_000;
/// Bytes per page of a sample.
const PAGE_BYTES: usize = 256 * 1024;

/// What samples of `tables` show, by table.
pub async fn gather(source: &dyn Source, tables: &[&Table]) -> Result<BTreeMap<String, Evidence>> {
    let mut found = BTreeMap::new();
    if tables.is_empty() {
        return Ok(found);
    }
    let workspaces = workspace_ids(source).await?;
    for table in tables {
        found.insert(table.name.clone(), sample(source, table, &workspaces).await?);
    }
    Ok(found)
}

async fn workspace_ids(source: &dyn Source) -> Result<BTreeSet<Uuid>> {
    const TABLE: &str = "workspaces";
    if !source.catalog().tables.contains_key(TABLE) {
        return Ok(BTreeSet::new());
    }
    let rows = kong::read_table(source, TABLE, &["id"]).await?;
    Ok(rows.iter().flatten().flatten().filter_map(|id| Uuid::from_slice(id).ok()).collect())
}

async fn sample(source: &dyn Source, table: &Table, workspaces: &BTreeSet<Uuid>) -> Result<Evidence> {
    let texts: Vec<&Column> = Evidence::text_columns(table).collect();
    let expiring: Vec<&Column> = table.columns.iter().filter(|column| column.has_ttl()).collect();
    let key: Vec<&Column> = table.partition_key().collect();
    // The key comes along so that there is something to select in a table without text.
    let items = texts
        .iter()
        .chain(&key)
        .map(|column| SelectItem::Column(column.name.clone()))
        .chain(expiring.iter().map(|column| SelectItem::Ttl(column.name.clone())))
        .collect::<Vec<_>>();
    let width = items.len();
    let selection = Arc::new(Selection { table: table.name.clone(), items });
    let sizing = Arc::new(PageSizing::new(PAGE_BYTES));
    let mut evidence = Evidence::default();
    for split in source.splits(table, Cut { parts: PLACES, shifted: false }).await? {
        let mut pages = source.open(selection.clone(), &split, sizing.clone()).await?;
        let enough = evidence.rows + ROWS_PER_PLACE;
        while evidence.rows < enough {
            let Some(page) = pages.next().await? else { break };
            let rows = cells::rows_of(&page, width).ok_or_else(|| {
                Error::new(ErrorKind::Source, format!("table {}: a row cannot be read", table.name))
                    .because("its bytes do not have the layout of their type")
            })?;
            for row in rows {
                evidence.rows += 1;
                for (column, cell) in texts.iter().zip(&row) {
                    evidence.see(column, cell.as_deref(), workspaces);
                }
                for (column, cell) in expiring.iter().zip(row.iter().skip(texts.len() + key.len())) {
                    let seconds = cell.as_deref().and_then(|ttl| ttl.try_into().ok()).map(i32::from_be_bytes);
                    evidence.see_ttl(column, seconds);
                }
            }
        }
    }
    Ok(evidence)
}
