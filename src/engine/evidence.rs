//! Samples the rows of tables that no map describes, so that a map can be worked out for them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use crate::error::{Error, ErrorKind, Result};
use crate::schema_map::Evidence;
use crate::source::{
    Column, Cut, PageSizing, Range, SelectItem, Selection, Source, Split, Table, cells, kong,
};

/// Places with rows that are sampled in each table. A ring of many small ranges gives far more splits than are asked for;
/// keys are spread over it by a hash, so a few of them show what all would.
const PLACES: usize = 8;
/// Rows after which a place is left; the page that holds the last of them is looked at whole.
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
    let splits = source.splits(table, Cut { parts: PLACES, shifted: false }).await?;
    see_partitions(&mut evidence, table, &splits);
    let mut places = 0;
    for split in spread(&splits) {
        if places == PLACES {
            break;
        }
        let mut pages = source.open(selection.clone(), split, sizing.clone()).await?;
        let before = evidence.rows;
        while evidence.rows - before < ROWS_PER_PLACE {
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
        places += usize::from(evidence.rows > before);
    }
    Ok(evidence)
}

/// Slices name their partitions, all that there are: a small one beside a large one would hardly be met in a sample.
fn see_partitions(evidence: &mut Evidence, table: &Table, splits: &[Split]) {
    let Some(column) = table.partition_key().next() else { return };
    for split in splits {
        if let Range::Slice { partition, .. } = &split.range {
            evidence.see_partition(column, partition);
        }
    }
}

/// The splits in an order whose beginning is spread over all of them.
fn spread(splits: &[Split]) -> impl Iterator<Item = &Split> {
    let step = splits.len().div_ceil(PLACES).max(1);
    (0..step).flat_map(move |first| splits.iter().skip(first).step_by(step))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_split_comes_once_and_the_first_come_from_everywhere() {
        for count in [0, 1, 7, 8, 9, 100, 768] {
            let split = |index| Split {
                table: "t".to_owned(),
                index,
                range: Range::Tokens { after: None, upto: None },
                replicas: Vec::new(),
                share: 0.0,
            };
            let splits: Vec<Split> = (0..count).map(split).collect();
            let order: Vec<usize> = spread(&splits).map(|split| split.index).collect();
            let mut sorted = order.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..count).collect::<Vec<_>>());
            if count >= 100 {
                assert!(order[..PLACES].iter().any(|index| *index > count * 3 / 4), "{order:?}");
            }
        }
    }
}
