//! Reads length-framed bytes: the cells of a page, the elements of a collection, the fields of a tuple.

use super::shaped::Reason;

/// The bytes end before the value they announce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct CutShort;

impl From<CutShort> for Reason {
    fn from(_: CutShort) -> Self {
        Self::Malformed
    }
}

/// A position in framed bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cells<'a> {
    rest: &'a [u8],
}

impl<'a> Cells<'a> {
    /// Starts at the first byte of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// How many bytes of `all`, in which it started, it is behind.
    pub fn position(&self, all: &[u8]) -> usize {
        all.len().saturating_sub(self.rest.len())
    }

    /// Whether nothing is left.
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next big-endian `i32`.
    #[inline]
    pub fn int(&mut self) -> Result<i32, CutShort> {
        let (int, rest) = self.rest.split_first_chunk::<4>().ok_or(CutShort)?;
        self.rest = rest;
        Ok(i32::from_be_bytes(*int))
    }

    /// The next length and its bytes; `None` for NULL, which is any negative length.
    #[inline]
    pub fn cell(&mut self) -> Result<Option<&'a [u8]>, CutShort> {
        let Ok(length) = usize::try_from(self.int()?) else { return Ok(None) };
        let (cell, rest) = self.rest.split_at_checked(length).ok_or(CutShort)?;
        self.rest = rest;
        Ok(Some(cell))
    }

    /// Opens a list, set or map value: the number of its elements, which follow in `self`.
    ///
    /// A value without any bytes is an empty collection. The count is not trusted further than the bytes reach: each element
    /// takes at least four.
    pub fn collection(value: &'a [u8]) -> Result<(usize, Self), Reason> {
        let mut cells = Self::new(value);
        if value.is_empty() {
            return Ok((0, cells));
        }
        let count = usize::try_from(cells.int()?).map_err(|_| Reason::Malformed)?;
        if count > cells.rest.len() / 4 {
            return Err(Reason::Malformed);
        }
        Ok((count, cells))
    }

    /// Refuses bytes behind the last element.
    pub fn finish(self) -> Result<(), Reason> {
        if self.is_empty() { Ok(()) } else { Err(Reason::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_in_order_and_negative_lengths_are_null() {
        let bytes = [0, 0, 0, 2, b'a', b'b', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xfe];
        let mut cells = Cells::new(&bytes);
        assert_eq!(cells.cell(), Ok(Some(&b"ab"[..])));
        assert_eq!(cells.cell(), Ok(None));
        assert_eq!(cells.cell(), Ok(Some(&b""[..])));
        assert_eq!(cells.cell(), Ok(None));
        assert!(cells.is_empty());
        assert_eq!(cells.cell(), Err(CutShort));
    }

    #[test]
    fn a_length_past_the_end_is_cut_short() {
        assert_eq!(Cells::new(&[0, 0, 0, 3, b'a', b'b']).cell(), Err(CutShort));
        assert_eq!(Cells::new(&[0x7f, 0xff, 0xff, 0xff]).cell(), Err(CutShort));
    }

    #[test]
    fn a_count_larger_than_the_bytes_is_malformed() {
        assert_eq!(Cells::collection(&[0x7f, 0xff, 0xff, 0xff]).err(), Some(Reason::Malformed));
        assert_eq!(Cells::collection(&[0xff, 0xff, 0xff, 0xff]).err(), Some(Reason::Malformed));
        assert_eq!(Cells::collection(&[]).map(|(count, _)| count), Ok(0));
        assert_eq!(Cells::collection(&[0, 0, 0, 0]).map(|(count, _)| count), Ok(0));
    }
}
