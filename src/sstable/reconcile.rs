//! Making one row of the versions that several SSTables have of it, as Cassandra does when it reads.

use std::cmp::Ordering;
use std::ops::Range;

use super::cursor::Cursor;
use super::error::{ErrorKind, Result};
use super::marshal::Type;
use super::order;
use super::table::{Resolved, Ties};
use super::unfiltered::{Cell, Deletion, Marker, NEVER, Unfiltered};

/// A cell of one of the versions: which cursor, which of its cells.
pub(super) type CellAt = (usize, usize);

/// What a column of the row holds.
#[derive(Debug, Clone, Default)]
pub(super) enum Found {
    #[default]
    Nothing,
    /// A live cell.
    Cell(CellAt),
    /// Live elements, by their places in [`Reconciled::elements`].
    Elements(Range<usize>),
    /// A counter's value and its latest write time.
    Counter([u8; 8], i64),
}

impl Found {
    fn cell(&self) -> Option<CellAt> {
        if let Self::Cell(at) = self { Some(*at) } else { None }
    }
}

/// The row that several versions make. Reused from one to the next.
#[derive(Default)]
pub(super) struct Reconciled {
    /// By place in the table's list of columns.
    found: Vec<Found>,
    /// Columns whose entry is not `Nothing`.
    touched: Vec<usize>,
    /// Elements of collections: column, and where the cell is.
    elements: Vec<(usize, CellAt)>,
    /// Deletions of whole collections.
    deleted: Vec<(usize, Deletion)>,
    /// Cells of counters.
    counters: Vec<(usize, CellAt)>,
    /// The live marker of the row.
    pub(super) marker: Option<Marker>,
    /// Cells with equal write times and different contents that were met so far.
    pub(super) tied: u64,
}

/// Which of the two rows of a cursor is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Statics,
    Current,
}

impl Which {
    pub(super) fn of(self, cursor: &Cursor) -> &Unfiltered {
        match self {
            Self::Statics => &cursor.statics,
            Self::Current => &cursor.current,
        }
    }
}

/// What it takes to find a cell of a version.
#[derive(Clone, Copy)]
pub(super) struct Versions<'c> {
    pub(super) cursors: &'c [Cursor],
    pub(super) which: Which,
}

impl<'c> Versions<'c> {
    pub(super) fn row(self, cursor: usize) -> Option<&'c Unfiltered> {
        self.cursors.get(cursor).map(|cursor| self.which.of(cursor))
    }

    pub(super) fn cell(self, (cursor, cell): CellAt) -> Option<(&'c Unfiltered, &'c Cell)> {
        let row = self.row(cursor)?;
        Some((row, row.cells.get(cell)?))
    }

    fn path(self, at: CellAt) -> &'c [u8] {
        self.cell(at).map(|(row, cell)| row.path(cell)).unwrap_or_default()
    }
}

impl Reconciled {
    /// What the column at `place` holds.
    pub(super) fn found(&self, place: usize) -> &Found {
        self.found.get(place).unwrap_or(&Found::Nothing)
    }

    /// The elements of a range of [`Found::Elements`].
    pub(super) fn elements(&self, range: &Range<usize>) -> &[(usize, CellAt)] {
        self.elements.get(range.clone()).unwrap_or_default()
    }

    /// Forgets the row.
    pub(super) fn clear(&mut self) {
        for place in self.touched.drain(..) {
            if let Some(found) = self.found.get_mut(place) {
                *found = Found::Nothing;
            }
        }
        self.elements.clear();
        self.deleted.clear();
        self.counters.clear();
        self.marker = None;
    }

    /// Makes the row of the versions that the cursors `of` stand at, below a deletion; false when nothing of it is alive at
    /// `now`, seconds since 1970.
    pub(super) fn reconcile(
        &mut self,
        versions: Versions,
        of: &[usize],
        above: Deletion,
        columns: &[Resolved],
        ties: Ties,
        now: i64,
    ) -> Result<bool> {
        self.clear();
        self.found.resize_with(columns.len(), Found::default);
        let mut deletion = above;
        for row in of.iter().filter_map(|cursor| versions.row(*cursor)) {
            deletion = deletion.max(row.deletion);
            for (column, of_column) in &row.collections {
                match self.deleted.iter_mut().find(|(known, _)| known == column) {
                    Some((_, known)) => *known = known.max(*of_column),
                    None => self.deleted.push((*column, *of_column)),
                }
            }
        }
        for cursor in of {
            let Some(row) = versions.row(*cursor) else { continue };
            if let Some(marker) = row.marker.filter(|marker| !deletion.deletes(marker.timestamp)) {
                self.marker = Some(self.marker.map_or(marker, |known| later_marker(known, marker)));
            }
            for (n, cell) in row.cells.iter().enumerate() {
                if !deletion.deletes(cell.timestamp) {
                    self.add(versions, (*cursor, n), cell, columns, ties, now);
                }
            }
        }
        self.marker = self.marker.filter(|marker| marker.expires == NEVER || now < marker.expires);
        if self.elements.len() > 1 && of.len() > 1 {
            self.merge_elements(versions, columns, ties, now);
        }
        if !self.counters.is_empty() {
            self.add_up(versions)?;
        }
        Ok(self.keep_live(versions, now) || self.marker.is_some())
    }

    fn add(
        &mut self,
        versions: Versions,
        at: CellAt,
        cell: &Cell,
        columns: &[Resolved],
        ties: Ties,
        now: i64,
    ) {
        let place = cell.column;
        match columns.get(place).map(|column| &column.ty) {
            Some(Type::Counter) => self.counters.push((place, at)),
            Some(ty) if ty.is_multi_cell() => {
                let deleted = self.deleted.iter().find(|(column, _)| *column == place);
                if !deleted.is_some_and(|(_, deletion)| deletion.deletes(cell.timestamp)) {
                    self.elements.push((place, at));
                }
            }
            _ => {
                let Some(found) = self.found.get_mut(place) else { return };
                if let Found::Cell(known) = found {
                    if prefers_second(versions, *known, at, ties, now, &mut self.tied) {
                        *known = at;
                    }
                } else {
                    *found = Found::Cell(at);
                    self.touched.push(place);
                }
            }
        }
    }

    /// Puts elements in order and keeps one of each.
    fn merge_elements(&mut self, versions: Versions, columns: &[Resolved], ties: Ties, now: i64) {
        let compare = |(a_column, a): &(usize, CellAt), (b_column, b): &(usize, CellAt)| {
            a_column.cmp(b_column).then_with(|| match columns.get(*a_column) {
                Some(column) => compare_paths(&column.ty, versions.path(*a), versions.path(*b)),
                None => Ordering::Equal,
            })
        };
        self.elements.sort_by(compare);
        let met = &mut self.tied;
        self.elements.dedup_by(|second, first| {
            if compare(first, second).is_ne() {
                return false;
            }
            if prefers_second(versions, first.1, second.1, ties, now, met) {
                first.1 = second.1;
            }
            true
        });
    }

    /// Drops what is dead; false when nothing is left.
    fn keep_live(&mut self, versions: Versions, now: i64) -> bool {
        let live = |at: CellAt| versions.cell(at).is_some_and(|(_, cell)| cell.is_live(now));
        let mut any = false;
        for place in &self.touched {
            match self.found.get_mut(*place) {
                Some(found @ Found::Cell(_)) if !found.cell().is_some_and(live) => *found = Found::Nothing,
                None | Some(Found::Nothing) => {}
                Some(_) => any = true,
            }
        }
        self.elements.retain(|(_, at)| live(*at));
        let mut begin = 0;
        for run in self.elements.chunk_by(|(a, _), (b, _)| a == b) {
            let end = begin + run.len();
            if let Some((place, _)) = run.first()
                && let Some(found) = self.found.get_mut(*place)
            {
                *found = Found::Elements(begin..end);
                self.touched.push(*place);
                any = true;
            }
            begin = end;
        }
        any
    }

    /// The values of counters: of each writer the latest shard counts.
    fn add_up(&mut self, versions: Versions) -> Result<()> {
        self.counters.sort_by_key(|(place, _)| *place);
        for run in self.counters.chunk_by(|(a, _), (b, _)| a == b) {
            let Some((place, _)) = run.first() else { continue };
            let mut shards: Vec<([u8; 16], i64, i64)> = Vec::new();
            let mut written = i64::MIN;
            let mut gone = false;
            for (_, at) in run {
                let Some((row, cell)) = versions.cell(*at) else { continue };
                written = written.max(cell.timestamp);
                gone |= cell.is_tombstone();
                if !cell.is_tombstone() && read_shards(row.value(cell), &mut shards).is_none() {
                    let cursor = versions.cursors.get(at.0);
                    let what = "a counter before this place is not made as counters are";
                    if let Some(cursor) = cursor {
                        return Err(cursor.input().error(ErrorKind::Damaged, what));
                    }
                }
            }
            // No matter when: a counter does not come back after its deletion.
            if gone {
                continue;
            }
            shards.sort_unstable();
            let mut sum = 0_i64;
            for shard in shards.chunk_by(|a, b| a.0 == b.0) {
                sum = sum.wrapping_add(shard.last().map_or(0, |(_, _, count)| *count));
            }
            if let Some(found) = self.found.get_mut(*place) {
                *found = Found::Counter(sum.to_be_bytes(), written);
                self.touched.push(*place);
            }
        }
        Ok(())
    }
}

/// Takes the shards of a counter apart: a list of marks, then writer, clock and count of each.
fn read_shards(value: &[u8], shards: &mut Vec<([u8; 16], i64, i64)>) -> Option<()> {
    let (marks, rest) = value.split_first_chunk::<2>()?;
    let marks = usize::try_from(i16::from_be_bytes(*marks)).ok()?;
    let rest = rest.get(marks * 2..)?;
    let (whole, left) = rest.as_chunks::<32>();
    if !left.is_empty() {
        return None;
    }
    for shard in whole {
        let (id, numbers) = shard.split_first_chunk::<16>()?;
        let (clock, count) = numbers.split_first_chunk::<8>()?;
        let count = count.first_chunk::<8>()?;
        shards.push((*id, i64::from_be_bytes(*clock), i64::from_be_bytes(*count)));
    }
    Some(())
}

/// The order of elements in a collection of type `ty`.
fn compare_paths(ty: &Type, a: &[u8], b: &[u8]) -> Ordering {
    match ty {
        Type::Set(element) => order::compare(element, a, b),
        Type::Map(key, _) => order::compare(key, a, b),
        Type::List(_) => order::timeuuids(a, b),
        Type::Udt(..) => order::compare(&Type::Smallint, a, b),
        _ => a.cmp(b),
    }
}

fn later_marker(a: Marker, b: Marker) -> Marker {
    let rank = |marker: &Marker| (marker.timestamp, marker.ttl != 0, marker.expires);
    if rank(&b) > rank(&a) { b } else { a }
}

/// Which of two cells of the same column and element counts.
fn prefers_second(
    versions: Versions,
    first: CellAt,
    second: CellAt,
    ties: Ties,
    now: i64,
    met: &mut u64,
) -> bool {
    let (Some((a_row, a)), Some((b_row, b))) = (versions.cell(first), versions.cell(second)) else {
        return false;
    };
    if a.timestamp != b.timestamp {
        return b.timestamp > a.timestamp;
    }
    let (a_value, b_value) = (a_row.value(a), b_row.value(b));
    if (a.time, a.ttl, a_value) == (b.time, b.ttl, b_value) {
        return false;
    }
    *met += 1;
    match ties {
        Ties::V3 => {
            let signed = |bytes: &[u8]| bytes.iter().map(|byte| byte.cast_signed()).collect::<Vec<_>>();
            let rank = |cell: &Cell, value| (!cell.is_live(now), signed(value), cell.time);
            rank(b, b_value) > rank(a, a_value)
        }
        Ties::V4 => {
            let rank = |cell: &Cell| {
                let dies = cell.time != NEVER;
                (dies, cell.is_tombstone(), if dies { cell.time } else { 0 }, -cell.ttl)
            };
            rank(b).cmp(&rank(a)).then_with(|| b_value.cmp(a_value)).is_gt()
        }
    }
}
