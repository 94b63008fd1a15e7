//! The sizing that keeps the memory of pages within a budget.

use std::sync::atomic::{AtomicUsize, Ordering};

/// How many rows the next page of a table asks for, so that a page stays near `target_bytes`.
///
/// Cassandra counts pages in rows, not bytes, so the width of rows is learned: a page starts small and at most doubles;
/// a wide row shrinks it at once. Shared by all splits of a table.
#[derive(Debug)]
pub struct PageSizing {
    /// Wanted bytes per page.
    target_bytes: usize,
    /// Rows for the next page.
    rows: AtomicUsize,
    /// Widest row seen lately, in bytes; halves with every page that has none as wide.
    widest: AtomicUsize,
}

/// Rows of the very first page of a table: few, since its rows may be megabytes wide, and a page is in memory more than once
/// (compressed, plain, shaped).
const FIRST_PAGE_ROWS: usize = 4;
/// Above this, larger pages bring no more throughput (measured: 5,000 rows against 20,000).
const MOST_PAGE_ROWS: usize = 5_000;

impl PageSizing {
    /// Sizing that aims at `target_bytes` per page.
    pub fn new(target_bytes: usize) -> Self {
        Self {
            target_bytes: target_bytes.max(1),
            rows: AtomicUsize::new(FIRST_PAGE_ROWS),
            widest: AtomicUsize::new(0),
        }
    }

    /// Bytes that a page should have, for sources that can count them while they make one.
    pub fn bytes(&self) -> usize {
        self.target_bytes
    }

    /// Rows to ask for now.
    pub fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Learns from a page of `rows` rows whose widest row had `widest` bytes.
    pub fn learn(&self, rows: usize, widest: usize) {
        if rows == 0 {
            return;
        }
        let decayed = (self.widest.load(Ordering::Relaxed) / 2).max(widest).max(1);
        self.widest.store(decayed, Ordering::Relaxed);
        let fitting = (self.target_bytes / decayed).clamp(1, MOST_PAGE_ROWS);
        let doubled = self.rows().saturating_mul(2);
        self.rows.store(fitting.min(doubled).max(1), Ordering::Relaxed);
    }

    /// Asks for half as many rows, after the server could not serve a page in time. False when one row is already the
    /// least.
    pub fn halve(&self) -> bool {
        let rows = self.rows();
        self.rows.store((rows / 2).max(1), Ordering::Relaxed);
        rows > 1
    }
}
