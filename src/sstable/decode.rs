//! Reading rows from their bytes, as the header of their file says they are encoded.

use std::ops::Range;

use super::descriptor::Version;
use super::error::Result;
use super::input::Input;
use super::statistics::{Header, local_time};
use super::unfiltered::{Cell, Deletion, Kind, Marker, NEVER, Unfiltered};

/// How to read the cells of one column of a file.
#[derive(Debug, Clone)]
pub(super) struct ColumnPlan {
    /// Place in the table's list; `None` for a column that the table no longer has.
    pub(super) target: Option<usize>,
    /// Bytes of every value, where they are all alike.
    pub(super) fixed: Option<u64>,
    pub(super) multi_cell: bool,
    /// Cells written at or before this are of a dropped column of the same name, microseconds since 1970.
    pub(super) dropped: Deletion,
}

/// How to read the rows of one file.
#[derive(Debug, Clone)]
pub(super) struct Encoding {
    pub(super) version: Version,
    pub(super) header: Header,
    /// Bytes of every value of each clustering column, where they are all alike.
    pub(super) clustering: Vec<Option<u64>>,
    pub(super) statics: Vec<ColumnPlan>,
    pub(super) regulars: Vec<ColumnPlan>,
}

/// The flags of a row or range end.
pub(super) mod flag {
    pub(in super::super) const END: u8 = 0x01;
    pub(in super::super) const RANGE_END: u8 = 0x02;
    pub(super) const TIMESTAMP: u8 = 0x04;
    pub(super) const TTL: u8 = 0x08;
    pub(super) const DELETION: u8 = 0x10;
    pub(super) const ALL_COLUMNS: u8 = 0x20;
    pub(super) const COLLECTION_DELETION: u8 = 0x40;
    pub(in super::super) const EXTENDED: u8 = 0x80;
}

/// The flags of a cell.
mod cell_flag {
    pub(super) const DELETED: u8 = 0x01;
    pub(super) const EXPIRING: u8 = 0x02;
    pub(super) const NO_VALUE: u8 = 0x04;
    pub(super) const ROW_TIMESTAMP: u8 = 0x08;
    pub(super) const ROW_TTL: u8 = 0x10;
}

/// A partition's deletion.
pub(super) fn partition_deletion(input: &mut Input, version: Version) -> Result<Deletion> {
    if version.is_5() {
        let first = input.u8()?;
        if first == 0x80 {
            return Ok(Deletion::LIVE);
        }
        if first > 0x80 {
            return Err(input.damaged("a partition's deletion cannot begin like this"));
        }
        let mut at = [first; 8];
        let [_, rest @ ..] = &mut at;
        *rest = input.array::<7>()?;
        let at = i64::from_be_bytes(at);
        let time = u32::from_be_bytes(input.array()?);
        return Ok(Deletion { at, time: time.into() });
    }
    let time = i32::from_be_bytes(input.array()?);
    let at = i64::from_be_bytes(input.array()?);
    Ok(if at == i64::MIN { Deletion::LIVE } else { Deletion { at, time: time.into() } })
}

impl Encoding {
    fn timestamp(&self, input: &mut Input) -> Result<i64> {
        Ok(self.header.min_timestamp.wrapping_add(input.vint()?.cast_signed()))
    }

    fn local_time(&self, input: &mut Input) -> Result<i64> {
        Ok(local_time(self.header.min_local_time, input.vint()?, self.version))
    }

    fn ttl(&self, input: &mut Input) -> Result<i64> {
        let ttl = self.header.min_ttl.wrapping_add(input.vint()?.cast_signed());
        if ttl < 1 || ttl > i64::from(i32::MAX) {
            return Err(input.damaged(format!("a time to live of {ttl} s")));
        }
        Ok(ttl)
    }

    fn deletion(&self, input: &mut Input) -> Result<Deletion> {
        Ok(Deletion { at: self.timestamp(input)?, time: self.local_time(input)? })
    }

    /// Reads `count` clustering values behind what `bytes` holds.
    pub(super) fn clustering(
        &self,
        input: &mut Input,
        count: usize,
        values: &mut Vec<Option<Range<usize>>>,
        bytes: &mut Vec<u8>,
    ) -> Result<()> {
        let mut bits = 0;
        for (n, fixed) in self.clustering.iter().enumerate().take(count) {
            if n % 32 == 0 {
                bits = input.vint()?;
            }
            let begin = bytes.len();
            match bits & 3 {
                0 => {
                    let length = match fixed {
                        Some(length) => *length,
                        None => input.vint()?,
                    };
                    input.append(length, bytes)?;
                    values.push(Some(begin..bytes.len()));
                }
                1 => values.push(Some(begin..begin)),
                2 => values.push(None),
                _ => return Err(input.damaged("a clustering value that is both empty and null")),
            }
            bits >>= 2;
        }
        Ok(())
    }

    /// Reads a row after its flags: the place of a row that is not `is_static`, then the rest.
    pub(super) fn row(
        &self,
        input: &mut Input,
        flags: u8,
        is_static: bool,
        row: &mut Unfiltered,
    ) -> Result<()> {
        if !is_static {
            self.clustering(input, self.clustering.len(), &mut row.at.values, &mut row.bytes)?;
        }
        let size = input.vint()?;
        let end = body_end(input, size)?;
        // Size of the row before, for reading backwards.
        input.vint()?;
        if flags & flag::TIMESTAMP != 0 {
            let timestamp = self.timestamp(input)?;
            let (ttl, expires) =
                if flags & flag::TTL == 0 { (0, NEVER) } else { (self.ttl(input)?, self.local_time(input)?) };
            row.marker = Some(Marker { timestamp, ttl, expires });
        } else if flags & flag::TTL != 0 {
            return Err(input.damaged("a row with a time to live and no write time"));
        }
        if flags & flag::DELETION != 0 {
            row.deletion = self.deletion(input)?;
        }
        let columns = if is_static { &self.statics } else { &self.regulars };
        if flags & flag::ALL_COLUMNS != 0 {
            for plan in columns {
                self.column(input, flags, plan, row)?;
            }
        } else {
            self.some_columns(input, flags, columns, row)?;
        }
        if input.position() == end {
            Ok(())
        } else {
            Err(input.damaged("a row is longer or shorter than it says"))
        }
    }

    /// Reads the columns of a row that does not have all of them.
    fn some_columns(
        &self,
        input: &mut Input,
        flags: u8,
        columns: &[ColumnPlan],
        row: &mut Unfiltered,
    ) -> Result<()> {
        let encoded = input.vint()?;
        if columns.len() < 64 {
            if encoded >> columns.len() != 0 {
                return Err(input.damaged("a row has a column that the file does not"));
            }
            for (n, plan) in columns.iter().enumerate() {
                if encoded >> n & 1 == 0 {
                    self.column(input, flags, plan, row)?;
                }
            }
            return Ok(());
        }
        let missing = usize::try_from(encoded).unwrap_or(usize::MAX);
        let Some(present) = columns.len().checked_sub(missing) else {
            return Err(input.damaged("a row lacks more columns than the file has"));
        };
        // Whichever list is shorter is written.
        let lists_present = present < columns.len() / 2;
        let mut listed = vec![false; columns.len()];
        for _ in 0..if lists_present { present } else { missing } {
            let index = usize::try_from(input.vint()?).ok();
            match index.and_then(|index| listed.get_mut(index)) {
                Some(entry) if !*entry => *entry = true,
                _ => return Err(input.damaged("a row has a column that the file does not, or has one twice")),
            }
        }
        for (plan, listed) in columns.iter().zip(listed) {
            if listed == lists_present {
                self.column(input, flags, plan, row)?;
            }
        }
        Ok(())
    }

    fn column(&self, input: &mut Input, flags: u8, plan: &ColumnPlan, row: &mut Unfiltered) -> Result<()> {
        if !plan.multi_cell {
            return self.cell(input, plan, row);
        }
        if flags & flag::COLLECTION_DELETION != 0 {
            let deletion = self.deletion(input)?;
            if let Some(column) = plan.target
                && !deletion.is_live()
                && !plan.dropped.deletes(deletion.at)
            {
                row.collections.push((column, deletion));
            }
        }
        for _ in 0..input.vint()? {
            self.cell(input, plan, row)?;
        }
        Ok(())
    }

    fn cell(&self, input: &mut Input, plan: &ColumnPlan, row: &mut Unfiltered) -> Result<()> {
        let flags = input.u8()?;
        let has = |flag| flags & flag != 0;
        let of_row =
            || row.marker.ok_or_else(|| input.damaged("a cell refers to its row, which has no marker"));
        let (row_timestamp, row_ttl) = if has(cell_flag::ROW_TIMESTAMP | cell_flag::ROW_TTL) {
            let marker = of_row()?;
            (marker.timestamp, (marker.ttl, marker.expires))
        } else {
            (0, (0, NEVER))
        };
        let timestamp = if has(cell_flag::ROW_TIMESTAMP) { row_timestamp } else { self.timestamp(input)? };
        let (ttl, time) = if has(cell_flag::ROW_TTL) {
            row_ttl
        } else if has(cell_flag::DELETED | cell_flag::EXPIRING) {
            let time = self.local_time(input)?;
            (if has(cell_flag::EXPIRING) { self.ttl(input)? } else { 0 }, time)
        } else {
            (0, NEVER)
        };
        let begin = row.bytes.len();
        if plan.multi_cell {
            let length = input.vint()?;
            input.append(length, &mut row.bytes)?;
        }
        let middle = row.bytes.len();
        if !has(cell_flag::NO_VALUE) {
            let length = match plan.fixed {
                Some(length) => length,
                None => input.vint()?,
            };
            input.append(length, &mut row.bytes)?;
        }
        match plan.target {
            Some(column) if !plan.dropped.deletes(timestamp) => row.cells.push(Cell {
                column,
                timestamp,
                ttl,
                time,
                path: begin..middle,
                value: middle..row.bytes.len(),
            }),
            _ => row.bytes.truncate(begin),
        }
        Ok(())
    }

    /// Reads a range end after its flags.
    pub(super) fn range_end(&self, input: &mut Input, end: &mut Unfiltered) -> Result<()> {
        end.at.kind = match Kind::of(input.u8()?) {
            None | Some(Kind::Row) => return Err(input.damaged("an unknown kind of range end")),
            Some(kind) => kind,
        };
        let count = usize::from(u16::from_be_bytes(input.array()?));
        if count > self.clustering.len() {
            return Err(input.damaged(format!("a range ends at {count} values of a shorter clustering key")));
        }
        self.clustering(input, count, &mut end.at.values, &mut end.bytes)?;
        let size = input.vint()?;
        let until = body_end(input, size)?;
        input.vint()?;
        let (Kind::Before { closes, opens } | Kind::After { closes, opens }) = end.at.kind else {
            return Err(input.damaged("an unknown kind of range end"));
        };
        if closes {
            end.deletion = self.deletion(input)?;
        }
        if opens {
            end.opened = self.deletion(input)?;
        }
        if input.position() == until {
            Ok(())
        } else {
            Err(input.damaged("a range end is longer or shorter than it says"))
        }
    }

    /// Skips a row or range end after its flags.
    pub(super) fn skip(&self, input: &mut Input, flags: u8, scratch: &mut Unfiltered) -> Result<()> {
        scratch.clear();
        if flags & flag::RANGE_END != 0 {
            return self.range_end(input, scratch);
        }
        self.clustering(input, self.clustering.len(), &mut scratch.at.values, &mut scratch.bytes)?;
        let size = input.vint()?;
        let end = body_end(input, size)?;
        input.seek(end)
    }
}

/// Where a body of `size` bytes that begins here ends.
fn body_end(input: &Input, size: u64) -> Result<u64> {
    if size > input.left() {
        let what = format!("a row of {size} bytes begins here, and {} follow", input.left());
        return Err(input.damaged(what));
    }
    Ok(input.position() + size)
}
