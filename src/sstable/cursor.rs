//! Walking the partitions of one file, and the rows of each.

use std::sync::Arc;

use super::decode::{Encoding, flag, partition_deletion};
use super::error::{Error, ErrorKind, Result};
use super::input::{Data, Input};
use super::marshal::Type;
use super::token::token;
use super::unfiltered::{Clustering, Deletion, Kind, Unfiltered};

/// Bits of the byte that follows the flags of some rows.
const STATIC: u8 = 0x01;
const SHADOWABLE: u8 = 0x02;

/// A partition of a file that is being walked: its key, then row after row.
pub(super) struct Cursor {
    pub(super) encoding: Arc<Encoding>,
    input: Input,
    /// Where the partition begins in the data.
    pub(super) begin: u64,
    pub(super) key: Vec<u8>,
    pub(super) token: i64,
    /// Of the partition.
    pub(super) deletion: Deletion,
    /// The deletion that spans the place after `current`.
    pub(super) open: Deletion,
    pub(super) has_statics: bool,
    pub(super) statics: Unfiltered,
    /// The row or range end stood at, after [`Cursor::advance`] returned true.
    pub(super) current: Unfiltered,
    previous: Unfiltered,
    place: Place,
    /// Whether `open` is what an index said, and not yet confirmed.
    entered: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before a partition, or at the end of the data.
    Between,
    /// In a partition, before its first row.
    Begun,
    /// In a partition, at a row.
    Inside,
    /// After the last row.
    Ended,
}

impl Cursor {
    /// Stands before the partition at `position` of the data.
    pub(super) fn new(data: Arc<Data>, encoding: Arc<Encoding>, position: u64) -> Result<Self> {
        let mut input = Input::new(data);
        input.seek(position)?;
        Ok(Self {
            encoding,
            input,
            begin: position,
            key: Vec::new(),
            token: i64::MIN,
            deletion: Deletion::LIVE,
            open: Deletion::LIVE,
            has_statics: false,
            statics: Unfiltered::default(),
            current: Unfiltered::default(),
            previous: Unfiltered::default(),
            place: Place::Between,
            entered: false,
        })
    }

    /// Goes to the next partition and reads what comes before its rows; false at the end of the data.
    pub(super) fn next_partition(&mut self) -> Result<bool> {
        if self.place != Place::Between {
            while self.skip()? {}
            self.place = Place::Between;
        }
        if self.input.left() == 0 {
            return Ok(false);
        }
        let first = self.token == i64::MIN && self.key.is_empty();
        let (last_token, last_key) = (self.token, std::mem::take(&mut self.key));
        self.begin = self.input.position();
        let length = u64::from(u16::from_be_bytes(self.input.array()?));
        self.input.append(length, &mut self.key)?;
        if !is_key(&self.encoding.header.key, &self.key) {
            let what = format!("{length} bytes are no key of type {}", self.encoding.header.key);
            return Err(self.input.damaged(what));
        }
        self.token = token(&self.key);
        if !first && (last_token, &last_key) >= (self.token, &self.key) {
            return Err(self.input.damaged("partitions are out of order"));
        }
        self.deletion = partition_deletion(&mut self.input, self.encoding.version)?;
        self.open = Deletion::LIVE;
        self.statics.clear();
        self.has_statics = false;
        if !self.encoding.statics.is_empty() {
            self.read_statics()?;
        }
        self.place = Place::Begun;
        Ok(true)
    }

    fn read_statics(&mut self) -> Result<()> {
        let flags = self.input.peek()?;
        if flags & flag::EXTENDED == 0 || flags & (flag::END | flag::RANGE_END) != 0 {
            return Ok(());
        }
        let begin = self.input.position();
        self.input.u8()?;
        if self.input.u8()? & STATIC == 0 {
            return self.input.seek(begin);
        }
        self.has_statics = true;
        self.encoding.row(&mut self.input, flags, true, &mut self.statics)
    }

    /// Goes to the next row or range end of the partition; false after the last.
    pub(super) fn advance(&mut self) -> Result<bool> {
        if matches!(self.place, Place::Between | Place::Ended) {
            return Ok(false);
        }
        std::mem::swap(&mut self.current, &mut self.previous);
        self.current.clear();
        let Some(flags) = self.flags()? else { return Ok(false) };
        if flags & flag::RANGE_END == 0 {
            self.encoding.row(&mut self.input, flags, false, &mut self.current)?;
        } else {
            self.encoding.range_end(&mut self.input, &mut self.current)?;
            self.close_and_open()?;
        }
        if self.place == Place::Inside {
            let types = &self.encoding.header.clustering;
            if Clustering::compare(types, self.previous.place(), self.current.place()).is_ge() {
                return Err(self.input.damaged("rows are out of order"));
            }
        }
        self.place = Place::Inside;
        Ok(true)
    }

    /// The flags of the next row or range end; `None` at the end of the partition.
    fn flags(&mut self) -> Result<Option<u8>> {
        let flags = self.input.u8()?;
        if flags & flag::END != 0 {
            if !self.open.is_live() {
                return Err(self.input.damaged("a partition ends within a deleted range"));
            }
            self.place = Place::Ended;
            return Ok(None);
        }
        if flags & flag::EXTENDED != 0 {
            let more = self.input.u8()?;
            if more & SHADOWABLE != 0 {
                let what =
                    "a shadowable deletion, as tables behind materialized views have, is not read here";
                return Err(self.input.error(ErrorKind::Unsupported, what));
            }
            if more != 0 {
                return Err(self.input.damaged("a row of an unknown kind, or a static one after others"));
            }
        }
        Ok(Some(flags))
    }

    /// Keeps track of the range that is deleted from here on.
    fn close_and_open(&mut self) -> Result<()> {
        let (Kind::Before { closes, opens } | Kind::After { closes, opens }) = self.current.at.kind else {
            return Ok(());
        };
        let closed = if closes { self.current.deletion } else { Deletion::LIVE };
        if closed != self.open {
            return Err(self.input.damaged("a range ends that did not begin so"));
        }
        self.open = if opens { self.current.opened } else { Deletion::LIVE };
        self.entered = false;
        Ok(())
    }

    /// Passes over a row; false after the last.
    fn skip(&mut self) -> Result<bool> {
        if self.place == Place::Ended {
            return Ok(false);
        }
        let Some(flags) = self.flags()? else { return Ok(false) };
        let encoding = Arc::clone(&self.encoding);
        encoding.skip(&mut self.input, flags, &mut self.current)?;
        if flags & flag::RANGE_END != 0 {
            self.close_and_open()?;
        }
        Ok(true)
    }

    /// Whether the row or range end at `position` of the data stands before `bound`. The cursor stays where it is.
    pub(super) fn begins_before(&mut self, position: u64, bound: (&Clustering, &[u8])) -> Result<bool> {
        if !self.look_at(position)? {
            return Ok(false);
        }
        let order = Clustering::compare(self.clustering_types(), self.current.place(), bound);
        Ok(order.is_lt())
    }

    /// Puts the place of the row or range end at `position` of the data into `current`, without going there; false at the end of
    /// the partition.
    pub(super) fn look_at(&mut self, position: u64) -> Result<bool> {
        let here = self.input.position();
        self.input.seek(position)?;
        self.current.clear();
        let flags = self.input.u8()?;
        // Tries end with an entry for the end of the partition.
        let is_row = flags & flag::END == 0;
        if is_row {
            if flags & flag::EXTENDED != 0 {
                self.input.u8()?;
            }
            let encoding = Arc::clone(&self.encoding);
            if flags & flag::RANGE_END == 0 {
                let Unfiltered { at, bytes, .. } = &mut self.current;
                encoding.clustering(&mut self.input, encoding.clustering.len(), &mut at.values, bytes)?;
            } else {
                encoding.range_end(&mut self.input, &mut self.current)?;
            }
        }
        self.input.seek(here)?;
        Ok(is_row)
    }

    /// Goes to a block of rows inside the partition, where `open` spans the place; not to the first one.
    pub(super) fn enter(&mut self, position: u64, open: Deletion) -> Result<()> {
        // Rows say how long the one before was. If that one ends here, a row begins here.
        self.input.seek(position)?;
        let encoding = Arc::clone(&self.encoding);
        let flags = self.enterable()?;
        if flags & flag::RANGE_END == 0 {
            self.current.clear();
            let Unfiltered { at, bytes, .. } = &mut self.current;
            encoding.clustering(&mut self.input, encoding.clustering.len(), &mut at.values, bytes)?;
            self.input.vint()?;
            let before = self.input.vint()?;
            let begin = position.checked_sub(before).filter(|begin| *begin > self.begin && before > 0);
            let Some(begin) = begin else { return Err(self.not_entered(position)) };
            self.input.seek(begin)?;
            let flags = self.enterable()?;
            encoding.skip(&mut self.input, flags, &mut self.current)?;
            if self.input.position() != position {
                return Err(self.not_entered(position));
            }
        }
        self.input.seek(position)?;
        self.open = open;
        self.entered = !open.is_live();
        self.place = Place::Begun;
        Ok(())
    }

    /// The flags of a row to which an index leads.
    fn enterable(&mut self) -> Result<u8> {
        let flags = self.input.u8()?;
        if flags & flag::END != 0 {
            return Err(self.not_entered(self.input.position()));
        }
        if flags & flag::EXTENDED != 0 {
            self.input.u8()?;
        }
        Ok(flags)
    }

    fn not_entered(&self, position: u64) -> Error {
        self.input.damaged(format!("no row begins at byte {position}, where an index leads"))
    }

    /// Reads on until the file itself has told the deletion with which a block of rows was entered.
    pub(super) fn confirm_entry(&mut self) -> Result<()> {
        while self.entered && self.advance()? {}
        Ok(())
    }

    /// Types of the clustering columns.
    pub(super) fn clustering_types(&self) -> &[Type] {
        &self.encoding.header.clustering
    }

    /// The input, for errors at the present place.
    pub(super) fn input(&self) -> &Input {
        &self.input
    }
}

/// Whether `key` can be a partition key of that type.
fn is_key(ty: &Type, key: &[u8]) -> bool {
    let fits =
        |ty: &Type, key: &[u8]| ty.fixed_length().is_none_or(|fixed| fixed == key.len() || key.is_empty());
    let Type::Composite(types) = ty else { return fits(ty, key) && !key.is_empty() };
    let mut rest = key;
    for ty in types {
        let part = rest.split_first_chunk::<2>().and_then(|(length, tail)| {
            let (part, tail) = tail.split_at_checked(u16::from_be_bytes(*length).into())?;
            rest = tail.strip_prefix(&[0])?;
            Some(part)
        });
        if !part.is_some_and(|part| fits(ty, part)) {
            return false;
        }
    }
    rest.is_empty()
}
