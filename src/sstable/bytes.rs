//! Reading numbers and strings from bytes that are in memory whole.

use std::sync::Arc;

use super::error::{Error, Result};

/// A place in the bytes of a file, with the file's name for errors.
pub(super) struct Bytes<'b> {
    rest: &'b [u8],
    file: &'b Arc<str>,
    /// Where `rest` begins in the file.
    offset: u64,
}

/// Number of bytes that follow the first byte of a variable-length integer.
pub(super) fn vint_extra(first: u8) -> usize {
    usize::try_from(first.leading_ones()).unwrap_or(8)
}

/// The value of a variable-length integer from its first byte and those that follow.
pub(super) fn vint_value(first: u8, following: &[u8]) -> u64 {
    let kept = if following.len() >= 7 { 0 } else { u64::from(first & (0xff >> (following.len() + 1))) };
    following.iter().fold(kept, |value, byte| value << 8 | u64::from(*byte))
}

/// The signed value behind an unsigned variable-length integer: the lowest bit is the sign.
pub(super) fn zigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

impl<'b> Bytes<'b> {
    /// `bytes` that stand at `offset` of `file`.
    pub(super) fn new(bytes: &'b [u8], file: &'b Arc<str>, offset: u64) -> Self {
        Self { rest: bytes, file, offset }
    }

    /// Where it stands in the file.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// An error at this place.
    pub(super) fn damaged(&self, what: impl Into<String>) -> Error {
        Error::damaged(self.file, self.offset, what)
    }

    /// The next `count` bytes.
    pub(super) fn take(&mut self, count: u64) -> Result<&'b [u8]> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((taken, rest)) = split else {
            return Err(
                self.damaged(format!("{count} bytes are to follow, and there are {}", self.rest.len()))
            );
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(count);
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let Some((taken, rest)) = self.rest.split_first_chunk::<N>() else {
            return Err(self.damaged(format!("{N} bytes are to follow, and there are {}", self.rest.len())));
        };
        self.rest = rest;
        self.offset = self.offset.saturating_add(u64::try_from(N).unwrap_or(0));
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(u8::from_be_bytes)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_be_bytes)
    }

    pub(super) fn i32(&mut self) -> Result<i32> {
        self.array().map(i32::from_be_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_be_bytes)
    }

    pub(super) fn i64(&mut self) -> Result<i64> {
        self.array().map(i64::from_be_bytes)
    }

    /// A big-endian 32-bit count or size, which cannot be negative.
    pub(super) fn count(&mut self) -> Result<u32> {
        let value = self.i32()?;
        u32::try_from(value).map_err(|_| self.damaged(format!("a count of {value}")))
    }

    /// Cassandra's unsigned variable-length integer.
    pub(super) fn vint(&mut self) -> Result<u64> {
        let first = self.u8()?;
        let following = self.take(u64::try_from(vint_extra(first)).unwrap_or(8))?;
        Ok(vint_value(first, following))
    }

    /// Bytes after their 16-bit length.
    pub(super) fn short_bytes(&mut self) -> Result<&'b [u8]> {
        let length = self.u16()?;
        self.take(length.into())
    }

    /// Bytes after their variable-length length.
    pub(super) fn vint_bytes(&mut self) -> Result<&'b [u8]> {
        let length = self.vint()?;
        self.take(length)
    }

    /// `bytes` as text.
    pub(super) fn text(&self, bytes: &'b [u8]) -> Result<&'b str> {
        std::str::from_utf8(bytes)
            .map_err(|_| self.damaged("a name that is not UTF-8 stands before this place"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variable_length_integers() {
        let file = Arc::from("f");
        let cases: [(&[u8], u64); 7] = [
            (&[0], 0),
            (&[0x7f], 127),
            (&[0x80, 0x80], 128),
            (&[0xbf, 0xff], 16383),
            (&[0xc0, 0x40, 0x00], 16384),
            (&[0xfe, 1, 2, 3, 4, 5, 6, 7], 0x01_0203_0405_0607),
            (&[0xff; 9], u64::MAX),
        ];
        for (bytes, value) in cases {
            let mut bytes = Bytes::new(bytes, &file, 0);
            assert_eq!((bytes.vint().unwrap(), bytes.rest.len()), (value, 0));
        }
        assert!(Bytes::new(&[0xff; 8], &file, 0).vint().is_err());
    }

    #[test]
    fn the_lowest_bit_is_the_sign() {
        assert_eq!([0, 1, 2, 3, u64::MAX].map(zigzag), [0, -1, 1, -2, i64::MIN]);
    }
}
