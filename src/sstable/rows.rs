//! The rows of a table, merged from its SSTables.

use std::cmp::Ordering;
use std::ops::Range;
use std::sync::Arc;

use super::cursor::Cursor;
use super::error::Result;
use super::marshal::Type;
use super::reconcile::{Reconciled, Versions, Which};
use super::row::Row;
use super::table::Table;
use super::unfiltered::{Clustering, Deletion, Kind};

/// Partitions with `after < token <= upto`; `None` is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tokens {
    /// Exclusive lower bound.
    pub after: Option<i64>,
    /// Inclusive upper bound.
    pub upto: Option<i64>,
}

/// SSTables of a table that are opened together without looking at their first partitions.
const SIDE_BY_SIDE: usize = 8;

impl Tokens {
    fn begins_after(self, token: i64) -> bool {
        self.after.is_some_and(|after| token <= after)
    }

    fn ends_before(self, token: i64) -> bool {
        self.upto.is_some_and(|upto| upto < token)
    }
}

/// A bound among the rows of a partition: behind every row that begins with these values.
#[derive(Debug, Clone, Default)]
pub(super) struct Bound {
    at: Clustering,
    bytes: Vec<u8>,
}

impl Bound {
    pub(super) fn new(values: &[&[u8]]) -> Self {
        let mut bound = Self::default();
        bound.at.kind = Kind::After { closes: true, opens: false };
        for value in values {
            let begin = bound.bytes.len();
            bound.bytes.extend_from_slice(value);
            bound.at.values.push(Some(begin..bound.bytes.len()));
        }
        bound
    }

    pub(super) fn place(&self) -> (&Clustering, &[u8]) {
        (&self.at, &self.bytes)
    }
}

/// Rows in the order of the table, read as they are asked for.
pub struct Rows {
    pub(super) table: Arc<Table>,
    now: i64,
    tokens: Tokens,
    /// Bounds among the rows of the one partition that is read.
    slice: Option<(Option<Bound>, Option<Bound>)>,
    /// SSTables that begin later, the next one last: its first token and its place in the table.
    waiting: Vec<(i64, usize)>,
    /// Each stands at a partition.
    pub(super) cursors: Vec<Cursor>,
    /// Those that stand at the present partition.
    group: Vec<Standing>,
    deletion: Deletion,
    key_parts: Vec<Range<usize>>,
    pub(super) statics: Reconciled,
    statics_live: bool,
    pub(super) row: Reconciled,
    /// The cursor whose current row has the clustering of the row on loan.
    pub(super) here: Option<usize>,
    /// Cursors of which the row on loan was made.
    versions: Vec<usize>,
    state: State,
    given: u64,
}

/// A cursor in the present partition.
struct Standing {
    cursor: usize,
    /// The deletion that spans the place before its current row.
    open: Deletion,
    state: Head,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Head {
    /// Has been dealt with.
    Done,
    /// Stands at a row or range end to come.
    Ready,
    /// There is no more.
    Ended,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    /// In a partition; whether a row of it was given.
    Inside(bool),
    Ended,
}

impl Rows {
    pub(super) fn scan(table: Arc<Table>, tokens: Tokens, now: i64) -> Result<Self> {
        // Few files are read side by side without asking where they begin.
        let asks = tokens != Tokens::default() || table.members.len() > SIDE_BY_SIDE;
        let mut waiting = Vec::new();
        for (place, member) in table.members.iter().enumerate() {
            let (first, last) = if asks {
                member.sstable.index.tokens(&member.sstable.data, &member.encoding)?
            } else {
                (i64::MIN, i64::MAX)
            };
            if !tokens.begins_after(last) && !tokens.ends_before(first) {
                waiting.push((first, place));
            }
        }
        waiting.sort_unstable_by(|a, b| b.cmp(a));
        Ok(Self::new(table, tokens, None, waiting, now))
    }

    pub(super) fn slice(
        table: Arc<Table>,
        key: &[u8],
        after: Option<Bound>,
        upto: Option<Bound>,
        now: i64,
    ) -> Result<Self> {
        let mut cursors = Vec::new();
        for member in &table.members {
            let Some(partition) = member.sstable.index.find(&member.sstable.data, &member.encoding, key)?
            else {
                continue;
            };
            let mut cursor = Cursor::new(
                Arc::clone(&member.sstable.data),
                Arc::clone(&member.encoding),
                partition.position(),
            )?;
            if cursor.next_partition()? && cursor.key == key {
                if let Some(after) = &after {
                    partition.enter(&mut cursor, after)?;
                }
                cursors.push(cursor);
            }
        }
        let mut rows = Self::new(table, Tokens::default(), Some((after, upto)), Vec::new(), now);
        rows.cursors = cursors;
        Ok(rows)
    }

    fn new(
        table: Arc<Table>,
        tokens: Tokens,
        slice: Option<(Option<Bound>, Option<Bound>)>,
        waiting: Vec<(i64, usize)>,
        now: i64,
    ) -> Self {
        Self {
            table,
            now,
            tokens,
            slice,
            waiting,
            cursors: Vec::new(),
            group: Vec::new(),
            deletion: Deletion::LIVE,
            key_parts: Vec::new(),
            statics: Reconciled::default(),
            statics_live: false,
            row: Reconciled::default(),
            here: None,
            versions: Vec::new(),
            state: State::Between,
            given: 0,
        }
    }

    /// The next live row; `None` after the last. After an error there is nothing more to read.
    pub fn next_row(&mut self) -> Result<Option<Row<'_>>> {
        let found = self.step();
        if !matches!(found, Ok(true)) {
            self.state = State::Ended;
        }
        Ok(found?.then_some(Row { rows: self }))
    }

    /// Cells met so far that had equal write times and different contents: which of them counts follows from
    /// [`Table::ties`](super::Table::ties).
    pub fn tied(&self) -> u64 {
        self.row.tied + self.statics.tied
    }

    /// Live rows given so far.
    pub fn count(&self) -> u64 {
        self.given
    }

    /// A cursor at the present partition.
    pub(super) fn partition(&self) -> Option<&Cursor> {
        self.cursors.get(self.group.first()?.cursor)
    }

    /// One column of the partition key.
    pub(super) fn key_part(&self, place: usize) -> Option<&[u8]> {
        self.partition()?.key.get(self.key_parts.get(place)?.clone())
    }

    fn step(&mut self) -> Result<bool> {
        loop {
            match self.state {
                State::Ended => return Ok(false),
                State::Between => {
                    if !self.enter_partition()? {
                        return Ok(false);
                    }
                }
                State::Inside(given) => {
                    if self.next_in_partition()? {
                        self.state = State::Inside(true);
                        self.given += 1;
                        return Ok(true);
                    }
                    self.here = None;
                    self.row.clear();
                    if !given && self.slice.is_none() && self.statics_live {
                        self.state = State::Inside(true);
                        self.given += 1;
                        return Ok(true);
                    }
                    self.leave_partition()?;
                }
            }
        }
    }

    /// Opens SSTables that begin at or before the least partition open so far.
    fn open_waiting(&mut self) -> Result<()> {
        while let Some((first, place)) = self.waiting.last().copied() {
            let least = self.cursors.iter().map(|cursor| cursor.token).min();
            if least.is_some_and(|least| least < first) {
                break;
            }
            self.waiting.pop();
            let Some(member) = self.table.members.get(place) else { continue };
            let data = &member.sstable.data;
            let begin = match self.tokens.after {
                Some(after) => member.sstable.index.floor(data, &member.encoding, after)?,
                None => 0,
            };
            let mut cursor = Cursor::new(Arc::clone(data), Arc::clone(&member.encoding), begin)?;
            if advance(&mut cursor, self.tokens)? {
                self.cursors.push(cursor);
            }
        }
        Ok(())
    }

    fn enter_partition(&mut self) -> Result<bool> {
        self.open_waiting()?;
        let order = |a: &&Cursor, b: &&Cursor| (a.token, &a.key).cmp(&(b.token, &b.key));
        let Some(least) = self.cursors.iter().min_by(order) else { return Ok(false) };
        let mut deletion = Deletion::LIVE;
        self.group.clear();
        self.versions.clear();
        for (n, cursor) in self.cursors.iter().enumerate() {
            if (cursor.token, &cursor.key) == (least.token, &least.key) {
                deletion = deletion.max(cursor.deletion);
                self.group.push(Standing { cursor: n, open: cursor.open, state: Head::Done });
            }
        }
        self.deletion = deletion;
        self.key_parts.clear();
        match &least.encoding.header.key {
            Type::Composite(types) => {
                if key_parts(&least.key, types.len(), &mut self.key_parts).is_none() {
                    return Err(least
                        .input()
                        .damaged("a partition key before this place is not made of its columns"));
                }
            }
            _ => self.key_parts.push(0..least.key.len()),
        }
        self.make_statics()?;
        self.state = State::Inside(false);
        Ok(true)
    }

    /// Makes the static columns of the partition.
    fn make_statics(&mut self) -> Result<()> {
        let with_statics =
            |standing: &&Standing| self.cursors.get(standing.cursor).is_some_and(|cursor| cursor.has_statics);
        let of: Vec<_> = self.group.iter().filter(with_statics).map(|standing| standing.cursor).collect();
        self.statics_live = false;
        if of.is_empty() {
            self.statics.clear();
            return Ok(());
        }
        let versions = Versions { cursors: &self.cursors, which: Which::Statics };
        let (columns, ties) = (&self.table.columns, self.table.ties());
        self.statics_live = self.statics.reconcile(versions, &of, self.deletion, columns, ties, self.now)?;
        Ok(())
    }

    /// Goes on to the next live row of the partition.
    fn next_in_partition(&mut self) -> Result<bool> {
        loop {
            for standing in self.group.iter_mut().filter(|standing| standing.state == Head::Done) {
                if let Some(cursor) = self.cursors.get_mut(standing.cursor) {
                    standing.open = cursor.open;
                    standing.state = if cursor.advance()? { Head::Ready } else { Head::Ended };
                }
            }
            if !self.collect_least() {
                return Ok(false);
            }
            let Some(first) = self.versions.first().and_then(|cursor| self.cursors.get(*cursor)) else {
                return Ok(false);
            };
            if let Some((after, upto)) = &self.slice {
                let place = first.current.place();
                let compare =
                    |bound: &Bound| Clustering::compare(first.clustering_types(), place, bound.place());
                if upto.as_ref().is_some_and(|upto| compare(upto).is_gt()) {
                    return Ok(false);
                }
                if after.as_ref().is_some_and(|after| compare(after).is_lt()) {
                    continue;
                }
            }
            if !first.current.is_row() {
                continue;
            }
            let open = self.group.iter().fold(self.deletion, |open, standing| open.max(standing.open));
            let versions = Versions { cursors: &self.cursors, which: Which::Current };
            let table = &self.table;
            let (columns, ties) = (&table.columns, table.ties());
            if self.row.reconcile(versions, &self.versions, open, columns, ties, self.now)? {
                self.here = self.versions.first().copied();
                return Ok(true);
            }
        }
    }

    /// Collects the cursors at the least place in `versions` and marks them as dealt with; false when all are at their ends.
    fn collect_least(&mut self) -> bool {
        self.versions.clear();
        let types = &self.table.clustering_types;
        let mut least: Option<&Cursor> = None;
        for standing in self.group.iter().filter(|standing| standing.state == Head::Ready) {
            let Some(cursor) = self.cursors.get(standing.cursor) else { continue };
            let order = least.map_or(Ordering::Less, |least| {
                Clustering::compare(types, cursor.current.place(), least.current.place())
            });
            match order {
                Ordering::Less => {
                    least = Some(cursor);
                    self.versions.clear();
                    self.versions.push(standing.cursor);
                }
                Ordering::Equal => self.versions.push(standing.cursor),
                Ordering::Greater => {}
            }
        }
        for standing in &mut self.group {
            if self.versions.contains(&standing.cursor) {
                standing.state = Head::Done;
            }
        }
        !self.versions.is_empty()
    }

    /// Takes the cursors of the present partition to their next ones.
    fn leave_partition(&mut self) -> Result<()> {
        if self.slice.is_some() {
            for standing in &self.group {
                if let Some(cursor) = self.cursors.get_mut(standing.cursor) {
                    cursor.confirm_entry()?;
                }
            }
            self.state = State::Ended;
            return Ok(());
        }
        self.state = State::Between;
        while let Some(standing) = self.group.pop() {
            let more = match self.cursors.get_mut(standing.cursor) {
                Some(cursor) => advance(cursor, self.tokens)?,
                None => true,
            };
            // The group is in the order of the cursors, so those that follow have been dealt with.
            if !more {
                self.cursors.swap_remove(standing.cursor);
            }
        }
        Ok(())
    }
}

/// Takes a cursor to its next partition inside `tokens`; false when there is none.
fn advance(cursor: &mut Cursor, tokens: Tokens) -> Result<bool> {
    loop {
        if !cursor.next_partition()? || tokens.ends_before(cursor.token) {
            return Ok(false);
        }
        if !tokens.begins_after(cursor.token) {
            return Ok(true);
        }
    }
}

/// The parts of a composite key: each has a 16-bit length in front and a zero behind.
fn key_parts(key: &[u8], count: usize, parts: &mut Vec<Range<usize>>) -> Option<()> {
    let mut at = 0;
    for _ in 0..count {
        let length = key.get(at..)?.first_chunk::<2>()?;
        let begin = at + 2;
        let end = begin + usize::from(u16::from_be_bytes(*length));
        if *key.get(end)? != 0 {
            return None;
        }
        parts.push(begin..end);
        at = end + 1;
    }
    (at == key.len()).then_some(())
}
