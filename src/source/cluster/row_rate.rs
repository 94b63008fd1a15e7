//! A limit to the rows read per second, for a source that serves others meanwhile.

use std::num::NonZeroU32;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What one row costs: credit grows by the rate with every nanosecond.
const ROW: i128 = 1_000_000_000;
/// Part of a second whose rows may come at once after a lull.
const BURSTS_PER_SECOND: u32 = 4;
/// Part of a second whose rows a page may hold.
const PAGES_PER_SECOND: u32 = 8;

/// A token bucket over all pages of the process.
pub(super) struct RowRate {
    per_second: NonZeroU32,
    bucket: Mutex<Bucket>,
    /// Whoever holds it has the next rows; in order of arrival.
    turn: tokio::sync::Mutex<()>,
    given_back: Notify,
}

impl RowRate {
    /// At most `per_second` rows in a second, and none saved up yet.
    pub(super) fn new(per_second: NonZeroU32) -> Self {
        let bucket = Bucket { credit: 0, at: Instant::now() };
        Self {
            per_second,
            bucket: Mutex::new(bucket),
            turn: tokio::sync::Mutex::default(),
            given_back: Notify::new(),
        }
    }

    /// Most rows a page may ask for, so that a page is never worth more than a moment.
    pub(super) fn page_rows(&self) -> usize {
        usize::try_from((self.per_second.get() / PAGES_PER_SECOND).max(1)).unwrap_or(usize::MAX)
    }

    /// Waits until `rows`, no more than [`page_rows`](Self::page_rows), may be asked for.
    pub(super) async fn ask(&self, rows: usize) -> Asked<'_> {
        let _turn = self.turn.lock().await;
        loop {
            let wait = self.bucket().take(Instant::now(), self.per_second, rows);
            let Some(wait) = wait else { return Asked { rate: self, rows } };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.given_back.notified() => {}
            }
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Rows paid for and not there yet; those that never come are given back.
pub(super) struct Asked<'a> {
    rate: &'a RowRate,
    rows: usize,
}

impl Asked<'_> {
    /// So many of them came.
    pub(super) fn arrived(mut self, rows: usize) {
        self.rows = self.rows.saturating_sub(rows);
    }
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        if self.rows > 0 {
            self.rate.bucket().credit += cost(self.rows);
            self.rate.given_back.notify_one();
        }
    }
}

/// Credit for rows.
#[derive(Debug)]
struct Bucket {
    credit: i128,
    at: Instant,
}

impl Bucket {
    /// Takes `rows` at `now`, or says how long to wait for them.
    fn take(&mut self, now: Instant, rate: NonZeroU32, rows: usize) -> Option<Duration> {
        let rate = i128::from(rate.get());
        let passed = now.saturating_duration_since(self.at).as_nanos();
        let most = (rate / i128::from(BURSTS_PER_SECOND)).max(1) * ROW;
        let earned = i128::try_from(passed).unwrap_or(i128::MAX).saturating_mul(rate);
        self.credit = self.credit.saturating_add(earned).min(most);
        self.at = now;
        let short = cost(rows).min(most) - self.credit;
        if short <= 0 {
            self.credit -= cost(rows);
            return None;
        }
        let nanos = u64::try_from(short / rate + 1).unwrap_or(u64::MAX);
        Some(Duration::from_nanos(nanos))
    }
}

fn cost(rows: usize) -> i128 {
    i128::try_from(rows).unwrap_or(i128::MAX).saturating_mul(ROW)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// However pages come, no span of time sees more rows than its seconds are worth and a burst.
        #[test]
        fn no_span_sees_more_rows_than_it_is_worth(
            per_second in 1_u32..100_000,
            pages in proptest::collection::vec((0_u64..3_000, 1_usize..100, 0_usize..100), 1..200),
        ) {
            let rate = NonZeroU32::new(per_second).unwrap();
            let most = RowRate::new(rate).page_rows();
            let start = Instant::now();
            let mut now = start;
            let mut bucket = Bucket { credit: 0, at: start };
            let mut taken: Vec<(Duration, usize)> = Vec::new();
            for (pause, share, lost) in pages {
                now += Duration::from_millis(pause);
                let rows = (most * share / 100).max(1);
                while let Some(wait) = bucket.take(now, rate, rows) {
                    now += wait;
                }
                let lost = rows * lost / 100;
                bucket.credit += cost(lost);
                taken.push((now - start, rows - lost));
            }
            let burst = f64::from((per_second / BURSTS_PER_SECOND).max(1));
            for (first, (from, _)) in taken.iter().enumerate() {
                let mut sum = 0;
                for (to, rows) in &taken[first..] {
                    sum += rows;
                    let worth = to.saturating_sub(*from).as_secs_f64() * f64::from(per_second) + burst + 1.0;
                    let rows = f64::from(u32::try_from(sum).unwrap());
                    // A page that gives back rows may lend them to the one after it.
                    prop_assert!(rows <= worth + f64::from(u32::try_from(most).unwrap()), "{rows} rows, {worth} allowed");
                }
            }
        }
    }

    #[test]
    fn a_wait_is_as_long_as_the_rows_are_worth() {
        let rate = NonZeroU32::new(100).unwrap();
        let start = Instant::now();
        let mut bucket = Bucket { credit: 0, at: start };
        let wait = bucket.take(start, rate, 10).unwrap();
        assert!((Duration::from_millis(100)..Duration::from_millis(101)).contains(&wait), "{wait:?}");
        assert_eq!(bucket.take(start + wait, rate, 10), None);
        // An hour of silence saves up a quarter of a second.
        let later = start + Duration::from_secs(3_600);
        assert_eq!(bucket.take(later, rate, 12), None);
        assert_eq!(bucket.take(later, rate, 12), None);
        assert!(bucket.take(later, rate, 12).is_some());
    }

    #[tokio::test]
    async fn rows_that_did_not_come_are_given_back() {
        let rate = RowRate::new(NonZeroU32::new(80_000).unwrap());
        for (arrived, back) in [(0, 500), (499, 1), (500, 0)] {
            let asked = rate.ask(500).await;
            let before = rate.bucket().credit;
            asked.arrived(arrived);
            assert_eq!(rate.bucket().credit - before, cost(back));
        }
        drop(rate.ask(500).await);
        assert!(rate.bucket().credit >= cost(500));
    }
}
