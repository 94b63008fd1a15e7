//! The second look: rows of the buckets that differ, one by one, by key.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;

use super::content::{CompareOptions, TableLook};
use super::sides::Look;
use super::tally::{Side, bucket};
use crate::canonical::{OtherLayout, Scratch};
use crate::engine::plan::{Plan, TablePlan};
use crate::source::Page;
use crate::transform::Shaped;

/// Rows that differ, sorted by key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Differences {
    /// On the source only.
    pub missing: Vec<String>,
    /// On the target only.
    pub extra: Vec<String>,
    /// On both, with the columns that differ.
    pub different: Vec<Different>,
}

/// A row that is on both sides.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Different {
    /// Its key.
    pub key: String,
    /// Columns of the target whose values differ.
    pub columns: Vec<String>,
    /// Seconds by which it expires later on the target, where that is beyond the tolerance.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_later: Option<i64>,
}

impl Differences {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.count() == 0
    }

    /// How many rows differ.
    pub fn count(&self) -> u64 {
        let rows = self.missing.len() + self.extra.len() + self.different.len();
        u64::try_from(rows).unwrap_or(u64::MAX)
    }
}

/// Rows of the buckets that differ.
#[derive(Debug)]
pub(super) struct Gathered {
    looks: Vec<Arc<TableLook>>,
    /// By position of the table: number of buckets as a power of two, and those that differ.
    marked: Vec<(u32, BTreeSet<u64>)>,
    rows: Vec<[Mutex<RowsByKey>; 2]>,
}

type RowsByKey = HashMap<Vec<u8>, Row>;

#[derive(Debug)]
struct Row {
    text: String,
    columns: Vec<u64>,
    expires: Option<i64>,
    /// How often it was met: more than once where the table has no primary key, or two rows of the source have one key.
    times: u64,
}

impl Gathered {
    pub fn new(looks: Vec<Arc<TableLook>>, marked: Vec<(u32, BTreeSet<u64>)>) -> Self {
        let rows = looks.iter().map(|_| [Mutex::default(), Mutex::default()]).collect();
        Self { looks, marked, rows }
    }

    /// The rows that differ, by position of their table. Rows that expired before `over` may be on one side only.
    pub fn differences(self, plan: &Plan, options: &CompareOptions, over: i64) -> Vec<(usize, Differences)> {
        let nothing = BTreeMap::new();
        let mut all = Vec::new();
        for (table, [source, target]) in plan.tables.iter().zip(self.rows) {
            let source = source.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut target = target.into_inner().unwrap_or_else(PoisonError::into_inner);
            let mut found = Differences::default();
            let repaired = options.repaired.get(&table.table).unwrap_or(&nothing);
            let gone = |row: &Row| row.expires.is_some_and(|instant| instant < over);
            for (key, row) in source {
                match target.remove(&key) {
                    None if gone(&row) => {}
                    None => found.missing.push(row.text),
                    Some(other) => {
                        found.different.extend(compare(table, &row, &other, options.tolerance, repaired));
                        let (least, most) = (row.times.min(other.times), row.times.max(other.times));
                        let list =
                            if row.times > other.times { &mut found.missing } else { &mut found.extra };
                        list.extend((least..most).map(|_| row.text.clone()));
                    }
                }
            }
            found.extra.extend(target.into_values().filter(|row| !gone(row)).map(|row| row.text));
            found.missing.sort_unstable();
            found.extra.sort_unstable();
            found.different.sort_unstable();
            all.push((table.position, found));
        }
        all
    }
}

fn compare(
    table: &TablePlan,
    source: &Row,
    target: &Row,
    tolerance: i64,
    repaired: &BTreeMap<String, Vec<String>>,
) -> Option<Different> {
    let pairs = table.columns.iter().zip(source.columns.iter().zip(&target.columns));
    let mut columns: Vec<String> =
        pairs.filter(|(_, (one, other))| one != other).map(|(column, _)| column.clone()).collect();
    if let Some(repaired) = repaired.get(&source.text) {
        columns.retain(|column| !repaired.contains(column));
    }
    let later = source.expires.zip(target.expires).map(|(one, other)| other - one);
    let later = later.filter(|seconds| seconds.abs() > tolerance);
    if later.is_some() {
        columns.extend(table.expiry_column.clone());
    }
    (!columns.is_empty()).then(|| Different { key: source.text.clone(), columns, expires_later: later })
}

impl Look for Gathered {
    fn tuples(
        &self,
        side: Side,
        table: &TablePlan,
        tuples: &[u8],
        left_out: &[bool],
        scratch: &mut Scratch,
    ) -> Result<usize, OtherLayout> {
        let position = table.position;
        let (Some(look), Some((bits, marked)), Some(rows)) = (
            self.looks.get(position),
            self.marked.get(position),
            self.rows.get(position).and_then(|sides| sides.get(side as usize)),
        ) else {
            return Err(OtherLayout);
        };
        let (mut key, mut at) = (Vec::new(), 0);
        for number in 0.. {
            let tuple = tuples.get(at..).unwrap_or_default();
            let Some(length) = look.form.fields(tuple, scratch)? else { break };
            at += length;
            if left_out.get(number) == Some(&true) {
                continue;
            }
            let hash = look.key_hash(tuple, scratch, &mut key);
            if !hash.is_some_and(|hash| marked.contains(&bucket(hash, *bits))) {
                continue;
            }
            let row = Row {
                text: look.key.text(&look.form, tuple, scratch),
                expires: look.form.expiry_of(tuple, scratch),
                columns: look.form.column_digests(tuple, scratch),
                times: 1,
            };
            let mut rows = rows.lock().unwrap_or_else(PoisonError::into_inner);
            let times = rows.get(&key).map_or(0, |met| met.times) + 1;
            rows.insert(key.clone(), Row { times, ..row });
        }
        Ok(at)
    }

    fn page(&self, table: &TablePlan, page: &Page, shaped: &Shaped) -> Vec<bool> {
        self.looks.get(table.position).map_or_else(Vec::new, |look| look.held_of(table, page, shaped))
    }
}
