//! How many pages a node is asked for at once: one more while it keeps up, half as many when it does not. Pure; asks no server
//! and no clock.

use std::collections::HashMap;
use std::time::Duration;

/// Pages at once to begin with; a single node of two cores is busy with as many.
pub(super) const FIRST_PAGES: usize = 4;
/// A page is slow when it takes this many times what such pages took before.
const SLOW_TIMES: u64 = 3;
/// A page that comes within this is never slow: no server in trouble answers so soon.
const SOON: Duration = Duration::from_millis(100);
/// Pages of a table from which its usual cost is known well enough.
const KNOWN_AFTER: u64 = 16;
/// Weight of one more page in the usual cost, as a fraction: a change for good is the usual after some hundred pages.
const FORGETS: u64 = 128;
/// What a page costs beside its rows, in bytes of rows that would cost as much.
const PAGE_OVERHEAD: u64 = 16 * 1024;

/// The number of pages at once that a node bears, as far as it is known.
#[derive(Debug)]
pub(super) struct Window {
    limit: usize,
    most: usize,
    /// Pages that arrived at the full limit since it last changed.
    good: usize,
    /// Slow pages, less those that were not.
    slow: usize,
    /// Grows with each cut. Pages asked for before a cut belong to the trouble that it answered.
    era: u64,
    /// The limit before the first of the cuts that have not been made up for.
    lost: Option<usize>,
    usual: HashMap<String, Usual>,
}

/// What pages of a table usually cost.
#[derive(Debug, Clone, Copy)]
struct Usual {
    cost: u64,
    pages: u64,
}

/// A page that arrived.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arrival<'a> {
    /// Table of its rows; `None` when the time that it took says nothing about others.
    pub(super) table: Option<&'a str>,
    /// The [`era`](Window::era) in which it was asked for.
    pub(super) era: u64,
    /// Pages under way on the node when it was asked for, itself among them.
    pub(super) at_once: usize,
    pub(super) took: Duration,
    /// Bytes of its rows.
    pub(super) bytes: usize,
}

/// What became of the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It stays.
    None,
    /// One more page at once.
    Grown,
    /// The same, and with it all is as before the cuts.
    Recovered,
    /// Half as many, from this many.
    Halved { from: usize },
}

impl Window {
    /// A window that never opens beyond `most` pages.
    pub(super) fn new(most: usize) -> Self {
        let most = most.max(1);
        Self {
            limit: FIRST_PAGES.min(most),
            most,
            good: 0,
            slow: 0,
            era: 0,
            lost: None,
            usual: HashMap::new(),
        }
    }

    /// Pages at once.
    pub(super) fn limit(&self) -> usize {
        self.limit
    }

    /// Number of cuts so far.
    pub(super) fn era(&self) -> u64 {
        self.era
    }

    /// Learns from a page that arrived.
    pub(super) fn arrived(&mut self, page: &Arrival<'_>) -> Change {
        if page.era != self.era {
            return Change::None;
        }
        if self.is_slow(page) {
            self.slow += 1;
            // Two whole rounds: a pause of the server's garbage collector makes one round slow.
            if self.slow > 2 * self.limit.max(2) {
                return self.halve();
            }
            return Change::None;
        }
        self.slow = self.slow.saturating_sub(1);
        if page.at_once < self.limit || self.limit == self.most {
            return Change::None;
        }
        self.good += 1;
        if self.good < self.limit {
            return Change::None;
        }
        self.good = 0;
        self.limit += 1;
        if self.lost.is_some_and(|lost| self.limit >= lost) {
            self.lost = None;
            return Change::Recovered;
        }
        Change::Grown
    }

    /// Learns that the node could not serve a page asked for in `era`.
    pub(super) fn refused(&mut self, era: u64) -> Change {
        if era == self.era { self.halve() } else { Change::None }
    }

    fn halve(&mut self) -> Change {
        let from = self.limit;
        self.lost.get_or_insert(from);
        self.limit = (from / 2).max(1);
        self.good = 0;
        self.slow = 0;
        self.era += 1;
        // Costs depend on how much was asked for at once.
        self.usual.clear();
        if from == self.limit { Change::None } else { Change::Halved { from } }
    }

    /// Whether the node gets through far less than it did: a page's cost is its time, divided by the pages that shared it, for
    /// a byte of the same table. A node at its limit takes twice the time for twice the pages, and nothing is lost by that.
    fn is_slow(&mut self, page: &Arrival<'_>) -> bool {
        // Far from the limit, time says nothing about it.
        let Some(table) = page.table.filter(|_| 2 * page.at_once >= self.limit) else { return false };
        let cost = cost(page);
        let Some(usual) = self.usual.get_mut(table) else {
            self.usual.insert(table.to_owned(), Usual { cost, pages: 1 });
            return false;
        };
        let most = usual.cost.saturating_mul(SLOW_TIMES);
        let known = usual.pages >= KNOWN_AFTER;
        let slow = known && cost > most && page.took > SOON;
        usual.pages += 1;
        let weight = if known { FORGETS } else { usual.pages };
        let heard = if known { cost.min(most) } else { cost };
        usual.cost = if heard > usual.cost {
            usual.cost + (heard - usual.cost).div_ceil(weight)
        } else {
            usual.cost - (usual.cost - heard) / weight
        };
        slow
    }
}

/// Nanoseconds per page and mebibyte.
fn cost(page: &Arrival<'_>) -> u64 {
    let bytes = u64::try_from(page.bytes).unwrap_or(u64::MAX).saturating_add(PAGE_OVERHEAD);
    let shared = u64::try_from(page.at_once).unwrap_or(u64::MAX).max(1);
    let cost = (page.took.as_nanos() << 20) / u128::from(bytes) / u128::from(shared);
    u64::try_from(cost).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const QUICK: Duration = Duration::from_millis(20);

    /// A page of the window's own era that found the node busy to the limit.
    fn page(window: &Window, took: Duration) -> Arrival<'static> {
        Arrival { table: Some("consumers"), era: window.era(), at_once: window.limit(), took, bytes: 500_000 }
    }

    /// Pages until the limit changes, at most `most` of them.
    fn until_change(window: &mut Window, took: Duration, most: usize) -> Option<(usize, Change)> {
        (1..=most).find_map(|count| {
            let change = window.arrived(&page(window, took));
            (change != Change::None).then_some((count, change))
        })
    }

    #[test]
    fn a_round_of_good_pages_brings_one_more_up_to_the_most() {
        let mut window = Window::new(6);
        assert_eq!(until_change(&mut window, QUICK, 100), Some((4, Change::Grown)));
        assert_eq!(until_change(&mut window, QUICK, 100), Some((5, Change::Grown)));
        assert_eq!(until_change(&mut window, QUICK, 1_000), None);
        assert_eq!(window.limit(), 6);
        assert_eq!(Window::new(2).limit(), 2);
    }

    #[test]
    fn without_demand_nothing_grows() {
        let mut window = Window::new(16);
        for _ in 0..1_000 {
            let page = Arrival { at_once: 3, ..page(&window, QUICK) };
            assert_eq!(window.arrived(&page), Change::None);
        }
    }

    #[test]
    fn one_burst_of_refusals_halves_once() {
        let mut window = Window::new(16);
        let era = window.era();
        assert_eq!(window.refused(era), Change::Halved { from: 4 });
        for _ in 0..3 {
            assert_eq!(window.refused(era), Change::None);
        }
        let late = Arrival { era, ..page(&window, QUICK) };
        assert_eq!(window.arrived(&late), Change::None);
        assert_eq!(window.refused(window.era()), Change::Halved { from: 2 });
        assert_eq!(window.refused(window.era()), Change::None);
        assert_eq!(window.limit(), 1);
        let changes: Vec<_> = std::iter::from_fn(|| until_change(&mut window, QUICK, 10))
            .map(|(_, change)| change)
            .take(3)
            .collect();
        assert_eq!(changes, [Change::Grown, Change::Grown, Change::Recovered]);
    }

    #[test]
    fn pages_that_stay_slow_halve_and_one_slow_round_does_not() {
        let mut window = Window::new(4);
        assert_eq!(until_change(&mut window, QUICK, 100), None);
        assert_eq!(until_change(&mut window, QUICK * 10, 4), None);
        assert_eq!(until_change(&mut window, QUICK, 100), None);
        assert_eq!(until_change(&mut window, QUICK * 10, 100), Some((9, Change::Halved { from: 4 })));
    }

    #[test]
    fn a_busy_node_that_takes_longer_for_more_pages_is_not_slow() {
        let mut window = Window::new(16);
        for _ in 0..5_000 {
            let shared = u32::try_from(window.limit()).unwrap();
            assert!(!matches!(window.arrived(&page(&window, QUICK * shared)), Change::Halved { .. }));
        }
        assert_eq!(window.limit(), 16);
        // Half of the demand ends: what is left gets its pages sooner, not later.
        for _ in 0..1_000 {
            let page = Arrival { at_once: 8, ..page(&window, QUICK * 16) };
            assert_eq!(window.arrived(&page), Change::None);
        }
    }

    #[test]
    fn a_table_is_not_slow_for_having_wider_or_heavier_rows_than_another() {
        let mut window = Window::new(4);
        assert_eq!(until_change(&mut window, QUICK, 100), None);
        for _ in 0..100 {
            let heavy = Arrival { table: Some("plugins"), ..page(&window, QUICK * 20) };
            assert_eq!(window.arrived(&heavy), Change::None);
            let wide = Arrival { bytes: 10_000_000, ..page(&window, QUICK * 20) };
            assert_eq!(window.arrived(&wide), Change::None);
        }
    }

    proptest! {
        #[test]
        fn the_limit_stays_within_its_bounds_and_falls_only_by_half(
            most in 1_usize..40,
            steps in proptest::collection::vec((0_u8..12, 0_u64..2_000, 0_usize..2_000_000, any::<bool>()), 0..400),
        ) {
            let mut window = Window::new(most);
            for (kind, millis, bytes, old) in steps {
                let (before, era) = (window.limit(), window.era().saturating_sub(u64::from(old)));
                let change = if kind == 0 {
                    window.refused(era)
                } else {
                    let page = Arrival { era, bytes, ..page(&window, Duration::from_millis(millis)) };
                    window.arrived(&page)
                };
                let expected = match change {
                    Change::None => before,
                    Change::Grown | Change::Recovered => before + 1,
                    Change::Halved { from } => {
                        prop_assert_eq!(from, before);
                        (before / 2).max(1)
                    }
                };
                prop_assert_eq!(window.limit(), expected);
                prop_assert!((1..=most).contains(&window.limit()));
            }
        }
    }
}
