//! Counting cells that were written at the same microsecond with different contents: which of them counts depends on the version
//! of Cassandra.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use crate::report::table::counted;
use crate::source::{Range, Split};
use crate::sstable::Ties;

/// How many ties were met, and how they were settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TieCount {
    /// The rules.
    pub rules: Ties,
    /// Cells that met another one with the same write time and different content.
    pub met: u64,
}

impl fmt::Display for TieCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rules = match self.rules {
            Ties::V3 => "Cassandra 3.11",
            Ties::V4 => "Cassandra 4.0 and later",
        };
        match self.met {
            0 => write!(
                f,
                "no cells with equal write times and different contents (the rules of {rules} would apply)"
            ),
            met => write!(
                f,
                "{} with the write time of another and different content: settled by the rules of {rules}",
                counted(met, "cell")
            ),
        }
    }
}

/// By table, and by the split as it is spoken: a split that is read twice counts once.
type Met = BTreeMap<String, BTreeMap<String, (bool, u64)>>;

/// What all readers of a snapshot note.
#[derive(Debug)]
pub(super) struct TiesMet {
    rules: Ties,
    met: Mutex<Met>,
}

impl TiesMet {
    pub(super) fn new(rules: Ties) -> Self {
        Self { rules, met: Mutex::default() }
    }

    /// The place for a split's.
    pub(super) fn of(self: &Arc<Self>, split: &Split) -> SplitTies {
        let whole = matches!(split.range, Range::Tokens { after: None, upto: None });
        SplitTies {
            all: Arc::clone(self),
            table: split.table.clone(),
            range: format!("{:?}", split.range),
            whole,
        }
    }

    /// The sum. Tables of which both parts and the whole were read, as those of Kong's own book-keeping are, count by their parts.
    pub(super) fn count(&self) -> TieCount {
        let met = self.met.lock().unwrap_or_else(PoisonError::into_inner);
        let of_table = |splits: &BTreeMap<String, (bool, u64)>| {
            let in_parts = splits.values().any(|(whole, _)| !whole);
            splits.values().filter(|(whole, _)| !(in_parts && *whole)).map(|(_, met)| met).sum::<u64>()
        };
        TieCount { rules: self.rules, met: met.values().map(of_table).sum() }
    }
}

/// Notes the ties of one split.
pub(super) struct SplitTies {
    all: Arc<TiesMet>,
    table: String,
    range: String,
    whole: bool,
}

impl SplitTies {
    /// The split was read to its end.
    pub(super) fn note(&self, met: u64) {
        let mut all = self.all.met.lock().unwrap_or_else(PoisonError::into_inner);
        all.entry(self.table.clone()).or_default().insert(self.range.clone(), (self.whole, met));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_counts_once() {
        let ties = Arc::new(TiesMet::new(Ties::V4));
        let note = |table: &str, after, met| {
            let range = Range::Tokens { after, upto: None };
            let split = Split { table: table.into(), index: 0, range, replicas: Vec::new(), share: 1.0 };
            ties.of(&split).note(met);
        };
        note("a", None, 3);
        assert_eq!(ties.count().met, 3);
        note("a", Some(1), 2);
        note("a", Some(2), 1);
        note("a", Some(2), 1);
        note("b", None, 4);
        note("b", None, 4);
        assert_eq!(ties.count().met, 2 + 1 + 4);
        assert!(ties.count().to_string().contains("7 cells"));
    }
}
