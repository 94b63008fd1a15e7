//! What a fill has written, while it runs and afterwards.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::row::Row;

/// Progress of a fill, to be read from another task.
#[derive(Debug, Default)]
pub struct Progress {
    units_expected: AtomicUsize,
    units: AtomicUsize,
    rows: AtomicU64,
    tables: Mutex<BTreeMap<&'static str, u64>>,
}

/// Rows per table, bootstrap rows apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows by table.
    pub tables: BTreeMap<&'static str, u64>,
    /// Time taken.
    pub elapsed: Duration,
}

impl Progress {
    /// Entities to write, 0 until known.
    pub fn units_expected(&self) -> usize {
        self.units_expected.load(Ordering::Relaxed)
    }

    /// Entities begun.
    pub fn units(&self) -> usize {
        self.units.load(Ordering::Relaxed)
    }

    /// Rows begun.
    pub fn rows(&self) -> u64 {
        self.rows.load(Ordering::Relaxed)
    }

    pub(super) fn expect_units(&self, units: usize) {
        self.units_expected.store(units, Ordering::Relaxed);
    }

    pub(super) fn count_unit(&self) {
        self.units.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn count(&self, row: &Row) {
        self.rows.fetch_add(1, Ordering::Relaxed);
        if row.counted {
            *self.tables.lock().unwrap_or_else(PoisonError::into_inner).entry(row.table).or_insert(0) += 1;
        }
    }

    pub(super) fn summary(&self, elapsed: Duration) -> Summary {
        let tables = self.tables.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Summary { tables, elapsed }
    }
}

impl Summary {
    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.values().sum()
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (table, rows) in &self.tables {
            writeln!(f, "{table:<32} {rows:>12}")?;
        }
        let milliseconds = self.elapsed.as_millis().max(1);
        let rate = u128::from(self.rows()) * 1000 / milliseconds;
        write!(f, "{:<32} {:>12}   {:.1} s, {rate} rows/s", "total", self.rows(), self.elapsed.as_secs_f64())
    }
}
