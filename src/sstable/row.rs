//! A row as a reader of the table sees it.

use super::marshal::Type;
use super::reconcile::{CellAt, Found, Reconciled, Versions, Which};
use super::rows::Rows;
use super::table::{ColumnKind, Resolved};
use super::unfiltered::{Cell, NEVER};

/// A live row, on loan until the next one is asked for.
#[derive(Clone, Copy)]
pub struct Row<'r> {
    pub(super) rows: &'r Rows,
}

/// A live cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveCell<'r> {
    /// Which element of a collection or field of a user-defined type; empty elsewhere.
    pub path: &'r [u8],
    /// The value, as in the CQL protocol; empty for elements of sets.
    pub value: &'r [u8],
    /// Write time, microseconds since 1970.
    pub timestamp: i64,
    /// When it expires, seconds since 1970.
    pub expires: Option<i64>,
    /// The time to live it was written with, seconds.
    pub ttl: Option<i64>,
}

impl<'r> Row<'r> {
    /// Token of the partition.
    pub fn token(&self) -> i64 {
        self.rows.partition().map_or(i64::MIN, |partition| partition.token)
    }

    /// The partition key as it is stored.
    pub fn partition_key(&self) -> &'r [u8] {
        self.rows.partition().map(|partition| partition.key.as_slice()).unwrap_or_default()
    }

    /// Whether there is a row: else a partition has nothing but live static columns.
    pub fn has_clustering(&self) -> bool {
        self.rows.here.is_some()
    }

    /// Value of one clustering column, by its place among them; `None` for null and without a row.
    pub fn clustering(&self, place: usize) -> Option<&'r [u8]> {
        let row =
            self.rows.here.and_then(|cursor| self.rows.cursors.get(cursor)).map(|cursor| &cursor.current)?;
        row.at.value(place, &row.bytes)
    }

    /// The live cell of the column at `place` of the definition; `None` when it has none, for collections and for keys.
    pub fn cell(&self, place: usize) -> Option<LiveCell<'r>> {
        let (versions, reconciled) = self.side(self.column(place)?);
        match reconciled.found(place) {
            Found::Cell(at) => live_cell(versions, *at),
            Found::Counter(value, timestamp) => {
                Some(LiveCell { path: &[], value, timestamp: *timestamp, expires: None, ttl: None })
            }
            Found::Nothing | Found::Elements(_) => None,
        }
    }

    /// The live elements of a collection or fields of a user-defined type that is not frozen, in order.
    pub fn elements(&self, place: usize) -> impl Iterator<Item = LiveCell<'r>> + use<'r> {
        let found = self.column(place).and_then(|column| {
            let (versions, reconciled) = self.side(column);
            match reconciled.found(place) {
                Found::Elements(range) => Some((versions, reconciled.elements(range))),
                _ => None,
            }
        });
        let cells =
            found.into_iter().flat_map(|(versions, list)| list.iter().map(move |(_, at)| (versions, *at)));
        cells.filter_map(|(versions, at)| live_cell(versions, at))
    }

    /// Appends the value of the column at `place` as the CQL protocol has it in a row: a 32-bit length, negative for null, and
    /// that many bytes. `None` when it is longer than that can say.
    pub fn write(&self, place: usize, to: &mut Vec<u8>) -> Option<()> {
        let column = self.column(place)?;
        match column.kind {
            ColumnKind::PartitionKey => framed(self.rows.key_part(column.place), to),
            ColumnKind::Clustering => framed(self.clustering(column.place), to),
            ColumnKind::Static | ColumnKind::Regular => {
                let (_, reconciled) = self.side(column);
                match reconciled.found(place) {
                    Found::Nothing => framed(None, to),
                    Found::Counter(value, _) => framed(Some(value), to),
                    Found::Cell(_) => framed(self.cell(place).map(|cell| cell.value), to),
                    Found::Elements(_) => self.write_elements(place, &column.ty, to),
                }
            }
        }
    }

    /// Writes a collection out of its elements.
    fn write_elements(self, place: usize, ty: &Type, to: &mut Vec<u8>) -> Option<()> {
        let frame = to.len();
        to.extend([0; 4]);
        if let Type::Udt(_, fields) = ty {
            let mut cells = self.elements(place).peekable();
            for field in 0..fields.len() {
                let here = cells.next_if(|cell| field_of(cell.path) == Some(field));
                framed(here.map(|cell| cell.value), to)?;
            }
        } else {
            let count = to.len();
            to.extend([0; 4]);
            let mut elements = 0_i32;
            for cell in self.elements(place) {
                elements = elements.checked_add(1)?;
                match ty {
                    Type::Set(_) => framed(Some(cell.path), to)?,
                    Type::Map(..) => {
                        framed(Some(cell.path), to)?;
                        framed(Some(cell.value), to)?;
                    }
                    _ => framed(Some(cell.value), to)?,
                }
            }
            *to.get_mut(count..)?.first_chunk_mut()? = elements.to_be_bytes();
        }
        let length = i32::try_from(to.len() - frame - 4).ok()?;
        *to.get_mut(frame..)?.first_chunk_mut()? = length.to_be_bytes();
        Some(())
    }

    fn column(self, place: usize) -> Option<&'r Resolved> {
        self.rows.table.columns.get(place)
    }

    fn side(self, column: &Resolved) -> (Versions<'r>, &'r Reconciled) {
        let (which, reconciled) = match column.kind {
            ColumnKind::Static => (Which::Statics, &self.rows.statics),
            _ => (Which::Current, &self.rows.row),
        };
        (Versions { cursors: &self.rows.cursors, which }, reconciled)
    }
}

fn field_of(path: &[u8]) -> Option<usize> {
    path.try_into().ok().map(|bytes| usize::from(u16::from_be_bytes(bytes)))
}

fn live_cell(versions: Versions<'_>, at: CellAt) -> Option<LiveCell<'_>> {
    let (row, cell): (_, &Cell) = versions.cell(at)?;
    let expires = (cell.time != NEVER).then_some(cell.time);
    Some(LiveCell {
        path: row.path(cell),
        value: row.value(cell),
        timestamp: cell.timestamp,
        expires,
        ttl: expires.map(|_| cell.ttl),
    })
}

fn framed(value: Option<&[u8]>, to: &mut Vec<u8>) -> Option<()> {
    match value {
        None => to.extend((-1_i32).to_be_bytes()),
        Some(value) => {
            to.extend(i32::try_from(value.len()).ok()?.to_be_bytes());
            to.extend_from_slice(value);
        }
    }
    Some(())
}
