//! One row, or one end of a range of deleted rows, as it stands in a file.

use std::cmp::Ordering;
use std::ops::Range;

use super::marshal::Type;
use super::order;

/// A deletion: everything written at or before `at` is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Deletion {
    /// Microseconds since 1970.
    pub(super) at: i64,
    /// When the server was told, seconds since 1970.
    pub(super) time: i64,
}

impl Deletion {
    /// Nothing is deleted.
    pub(super) const LIVE: Self = Self { at: i64::MIN, time: i64::MAX };

    pub(super) fn is_live(self) -> bool {
        self.at == i64::MIN
    }

    /// Whether something written at `timestamp` is gone.
    pub(super) fn deletes(self, timestamp: i64) -> bool {
        !self.is_live() && timestamp <= self.at
    }

    /// The later of both.
    pub(super) fn max(self, other: Self) -> Self {
        if (other.at, other.time) > (self.at, self.time) && !other.is_live() { other } else { self }
    }
}

/// The marker that an INSERT leaves, which keeps a row alive without cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Marker {
    /// Write time, microseconds since 1970.
    pub(super) timestamp: i64,
    /// Time to live in seconds, 0 for ever.
    pub(super) ttl: i64,
    /// Expiry instant, seconds since 1970; [`NEVER`] without a time to live.
    pub(super) expires: i64,
}

/// The local time of what neither expires nor is deleted.
pub(super) const NEVER: i64 = i64::MAX;

/// A cell: the value of a column, or one element of a collection.
#[derive(Debug, Clone)]
pub(super) struct Cell {
    /// Place of the column in the table's list.
    pub(super) column: usize,
    /// Write time, microseconds since 1970.
    pub(super) timestamp: i64,
    /// Time to live in seconds, 0 for ever.
    pub(super) ttl: i64,
    /// Expiry instant, or time of deletion; seconds since 1970, or [`NEVER`].
    pub(super) time: i64,
    /// Which element, in the row's bytes.
    pub(super) path: Range<usize>,
    /// The value, in the row's bytes.
    pub(super) value: Range<usize>,
}

impl Cell {
    pub(super) fn is_tombstone(&self) -> bool {
        self.time != NEVER && self.ttl == 0
    }

    /// Whether it holds a value at `now`, seconds since 1970.
    pub(super) fn is_live(&self, now: i64) -> bool {
        self.time == NEVER || (self.ttl != 0 && now < self.time)
    }
}

/// What an item is, and where it stands relative to the rows whose clustering begins with its own values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Kind {
    /// A row.
    #[default]
    Row,
    /// Closes before, opens before, or both: stands before those rows.
    Before { closes: bool, opens: bool },
    /// The same, but stands after those rows.
    After { closes: bool, opens: bool },
}

impl Kind {
    /// From the number that files have for it; rows have none in Data.db, and 4 in indexes.
    pub(super) fn of(number: u8) -> Option<Self> {
        Some(match number {
            0 => Self::Before { closes: true, opens: false },
            1 => Self::Before { closes: false, opens: true },
            2 => Self::Before { closes: true, opens: true },
            4 => Self::Row,
            5 => Self::After { closes: true, opens: true },
            6 => Self::After { closes: true, opens: false },
            7 => Self::After { closes: false, opens: true },
            _ => return None,
        })
    }

    fn side(self) -> Ordering {
        match self {
            Self::Row => Ordering::Equal,
            Self::Before { .. } => Ordering::Less,
            Self::After { .. } => Ordering::Greater,
        }
    }
}

/// A place among the rows of a partition. Its values are ranges of bytes kept elsewhere, `None` for null.
#[derive(Debug, Clone, Default)]
pub(super) struct Clustering {
    pub(super) kind: Kind,
    pub(super) values: Vec<Option<Range<usize>>>,
}

impl Clustering {
    /// The value of one clustering column.
    pub(super) fn value<'b>(&self, column: usize, bytes: &'b [u8]) -> Option<&'b [u8]> {
        bytes.get(self.values.get(column)?.clone()?)
    }

    /// Compares two places by the types of the clustering columns.
    pub(super) fn compare(
        types: &[Type],
        (a, a_bytes): (&Self, &[u8]),
        (b, b_bytes): (&Self, &[u8]),
    ) -> Ordering {
        for (n, ty) in types.iter().enumerate().take(a.values.len().min(b.values.len())) {
            let order = match (a.value(n, a_bytes), b.value(n, b_bytes)) {
                (Some(a), Some(b)) => order::compare(ty, a, b),
                (a, b) => a.is_some().cmp(&b.is_some()),
            };
            if order.is_ne() {
                return order;
            }
        }
        match a.values.len().cmp(&b.values.len()) {
            Ordering::Equal => a.kind.side().cmp(&b.kind.side()),
            Ordering::Less => a.kind.side().then(Ordering::Less),
            Ordering::Greater => b.kind.side().reverse().then(Ordering::Greater),
        }
    }
}

/// A row or a range end, with its bytes. Reused from one to the next.
#[derive(Debug, Clone)]
pub(super) struct Unfiltered {
    pub(super) at: Clustering,
    /// Clustering values, paths and values of cells.
    pub(super) bytes: Vec<u8>,
    pub(super) marker: Option<Marker>,
    /// Of the row; or of the range that a range end closes.
    pub(super) deletion: Deletion,
    /// Of the range that a range end opens.
    pub(super) opened: Deletion,
    /// In the order of the file's columns, elements in their order.
    pub(super) cells: Vec<Cell>,
    /// Deletions of whole collections, by column.
    pub(super) collections: Vec<(usize, Deletion)>,
}

impl Default for Unfiltered {
    fn default() -> Self {
        Self {
            at: Clustering::default(),
            bytes: Vec::new(),
            marker: None,
            deletion: Deletion::LIVE,
            opened: Deletion::LIVE,
            cells: Vec::new(),
            collections: Vec::new(),
        }
    }
}

impl Unfiltered {
    pub(super) fn clear(&mut self) {
        self.at.kind = Kind::Row;
        self.at.values.clear();
        self.bytes.clear();
        self.marker = None;
        self.deletion = Deletion::LIVE;
        self.opened = Deletion::LIVE;
        self.cells.clear();
        self.collections.clear();
    }

    pub(super) fn is_row(&self) -> bool {
        self.at.kind == Kind::Row
    }

    /// Place and bytes, for comparing.
    pub(super) fn place(&self) -> (&Clustering, &[u8]) {
        (&self.at, &self.bytes)
    }

    pub(super) fn value(&self, cell: &Cell) -> &[u8] {
        self.bytes.get(cell.value.clone()).unwrap_or_default()
    }

    pub(super) fn path(&self, cell: &Cell) -> &[u8] {
        self.bytes.get(cell.path.clone()).unwrap_or_default()
    }
}
