//! Cutting the tables of a snapshot into splits.

use uuid::Uuid;

use crate::error::Result;
use crate::source::slices::{Partition, Run, slice_splits};
use crate::source::token_ranges::{TokenRange, token_splits};
use crate::source::{ColumnKind, CqlType, Cut, Split, Table, uuid_order};
use crate::sstable;

use super::failure::while_planning;

/// Bytes of rows that are worth a split of their own: a split costs a transaction, some ten milliseconds.
const BYTES_PER_SPLIT: u64 = 512 << 10;
/// A table with more partitions than this is cut by token, however its rows are clustered.
const MOST_SLICED_PARTITIONS: u64 = 16;
/// Rows looked at in each SSTable to see where the ids of a partition lie.
const SAMPLE: usize = 256;
/// What a row takes on disk, about: for estimates of large partitions.
const BYTES_PER_ROW: u64 = 400;

pub(super) fn splits(table: &Table, files: &sstable::Table, cut: Cut) -> Result<Vec<Split>> {
    let whole = [TokenRange::whole()];
    let worth = usize::try_from(files.length().div_ceil(BYTES_PER_SPLIT)).unwrap_or(usize::MAX).max(1);
    if cut.parts <= 1 || worth <= 1 {
        return Ok(token_splits(&table.name, &whole, Cut { parts: 1, ..cut }, 1));
    }
    match sliced_partitions(table, files)? {
        Some(partitions) => {
            Ok(slice_splits(&table.name, &partitions, Cut { parts: cut.parts.min(worth), ..cut }))
        }
        None => Ok(token_splits(&table.name, &whole, cut, worth)),
    }
}

/// About how many rows there are.
pub(super) fn estimate(table: &Table, files: &sstable::Table) -> u64 {
    if table.clustering_key().next().is_some() { files.length() / BYTES_PER_ROW } else { files.partitions() }
}

/// The partitions of a table that is better cut inside them: few partitions, by a text, of rows clustered by uuid.
fn sliced_partitions(table: &Table, files: &sstable::Table) -> Result<Option<Vec<Partition>>> {
    let mut keys = table.partition_key();
    let (Some(key), None, Some(id)) = (keys.next(), keys.next(), table.clustering_key().next()) else {
        return Ok(None);
    };
    // A partition may hold a static value and no row: no slice would return it.
    let statics = table.columns.iter().any(|column| column.kind == ColumnKind::Static);
    if key.ty != CqlType::Text || id.ty != CqlType::Uuid || statics {
        return Ok(None);
    }
    let failed = |error| while_planning(&table.name, &error);
    let Some(keys) = files.partition_keys(MOST_SLICED_PARTITIONS).map_err(failed)? else { return Ok(None) };
    let mut partitions = Vec::new();
    for key in keys {
        let sample = files.sample_partition(&key, SAMPLE).map_err(failed)?;
        let token = sstable::token(&key);
        let Ok(value) = String::from_utf8(key) else { return Ok(None) };
        let ids: Vec<_> = sample.clustering.iter().filter_map(|id| Uuid::from_slice(id).ok()).collect();
        let runs = runs(&ids, sample.bytes / BYTES_PER_ROW);
        partitions.push(Partition { value, token, runs, replicas: Vec::new() });
    }
    Ok((!partitions.is_empty()).then_some(partitions))
}

/// Where the ids lie, version by version, when `ids` are an even sample of `rows`.
fn runs(ids: &[Uuid], rows: u64) -> Vec<Run> {
    let each = rows / u64::try_from(ids.len()).unwrap_or(u64::MAX).max(1);
    let mut runs: Vec<Run> = Vec::new();
    for id in ids {
        let (version, key) = (uuid_order::version(*id), uuid_order::key(*id));
        match runs.iter_mut().find(|run| run.version == version) {
            Some(run) => {
                (run.first, run.last) = (run.first.min(key), run.last.max(key));
                run.rows = run.rows.saturating_add(each);
            }
            None => runs.push(Run { version, first: key, last: key, rows: each.max(1) }),
        }
    }
    runs.sort_by_key(|run| run.version);
    runs
}
