//! Writes the fields of one tuple of a binary COPY.

use super::shaped::{Reason, Repair};

/// What happened to the values of a row; taken over into [`Shaped`](super::Shaped) only when the row is kept.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Repairs, in order.
    pub repairs: Vec<Repair>,
    /// Instant of expiry written, in seconds since 1970.
    pub expiry: Option<i64>,
}

impl Notes {
    /// Forgets everything.
    pub fn clear(&mut self) {
        self.repairs.clear();
        self.expiry = None;
    }
}

/// The tuple being written: fields are appended, each an `i32` length (-1 for NULL) and its bytes.
#[derive(Debug)]
pub(super) struct Tuple<'a> {
    bytes: &'a mut Vec<u8>,
    notes: &'a mut Notes,
}

/// Start of a field whose length is not known yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Open(usize);

const NULL: [u8; 4] = (-1_i32).to_be_bytes();

impl<'a> Tuple<'a> {
    /// Appends to `bytes`.
    pub fn new(bytes: &'a mut Vec<u8>, notes: &'a mut Notes) -> Self {
        Self { bytes, notes }
    }

    /// Writes a NULL field.
    #[inline]
    pub fn null(&mut self) {
        self.bytes.extend_from_slice(&NULL);
    }

    /// Writes NULL and counts why.
    pub fn repaired_to_null(&mut self, repair: Repair) {
        self.repaired(repair);
        self.null();
    }

    /// Writes a field of known size.
    #[inline]
    pub fn fixed<const N: usize>(&mut self, value: [u8; N]) {
        let length = u32::try_from(N).unwrap_or(u32::MAX);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(&value);
    }

    /// Writes a field.
    #[inline]
    pub fn field(&mut self, value: &[u8]) -> Result<(), Reason> {
        let length = i32::try_from(value.len()).map_err(|_| Reason::TooLong)?;
        self.bytes.reserve(value.len() + 4);
        self.bytes.extend_from_slice(&length.to_be_bytes());
        self.bytes.extend_from_slice(value);
        Ok(())
    }

    /// Starts a field that is written piece by piece.
    #[inline]
    pub fn open(&mut self) -> Open {
        let open = Open(self.bytes.len());
        self.null();
        open
    }

    /// Ends it: its length is now known.
    #[inline]
    pub fn close(&mut self, open: Open) -> Result<(), Reason> {
        let length = self.bytes.len().saturating_sub(open.0 + 4);
        let length = i32::try_from(length).map_err(|_| Reason::TooLong)?;
        self.patch(open.0, length);
        Ok(())
    }

    /// Overwrites the `i32` at `at`.
    pub fn patch(&mut self, at: usize, value: i32) {
        if let Some(place) = self.bytes.get_mut(at..at + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }

    /// Appends bytes to the open field.
    #[inline]
    pub fn put(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Appends a byte to the open field.
    #[inline]
    pub fn push(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    /// Where the next byte goes.
    #[inline]
    pub fn position(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was written from `position` on.
    pub fn rewind(&mut self, position: usize) {
        self.bytes.truncate(position);
    }

    /// Replaces the bytes from `from` to `to`.
    pub fn replace(&mut self, from: usize, to: usize, with: &[u8]) {
        if from <= to && to <= self.bytes.len() {
            self.bytes.splice(from..to, with.iter().copied());
        }
    }

    /// Whether the field that starts at `position` is NULL.
    #[inline]
    pub fn is_null(&self, position: usize) -> bool {
        self.bytes.get(position..position + 4) == Some(&NULL)
    }

    /// Counts a repair.
    #[inline]
    pub fn repaired(&mut self, repair: Repair) {
        self.notes.repairs.push(repair);
    }

    /// Repairs counted so far in this row.
    #[inline]
    pub fn repairs(&self) -> &[Repair] {
        &self.notes.repairs
    }

    /// Notes the instant at which the row expires, in seconds since 1970; of several the earliest.
    pub fn expires(&mut self, instant: i64) {
        self.notes.expiry = Some(self.notes.expiry.map_or(instant, |other| other.min(instant)));
    }
}

/// The bytes of a fixed-size value; `None` when there are none, which Cassandra allows for any type and `PostgreSQL` for none.
#[inline]
pub(super) fn fixed_size<const N: usize>(value: &[u8]) -> Result<Option<[u8; N]>, Reason> {
    match <[u8; N]>::try_from(value) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(_) if value.is_empty() => Ok(None),
        Err(_) => Err(Reason::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_carry_their_length() {
        let (mut bytes, mut notes) = (Vec::new(), Notes::default());
        let mut tuple = Tuple::new(&mut bytes, &mut notes);
        tuple.null();
        tuple.fixed([7, 8]);
        tuple.field(b"abc").unwrap();
        let open = tuple.open();
        tuple.put(b"de");
        tuple.push(b'f');
        tuple.close(open).unwrap();
        assert!(tuple.is_null(0));
        assert!(!tuple.is_null(4));
        assert_eq!(bytes, b"\xff\xff\xff\xff\0\0\0\x02\x07\x08\0\0\0\x03abc\0\0\0\x03def");
    }

    #[test]
    fn zero_length_is_no_value_and_a_wrong_length_is_malformed() {
        assert_eq!(fixed_size::<2>(&[]), Ok(None));
        assert_eq!(fixed_size::<2>(&[1, 2]), Ok(Some([1, 2])));
        assert_eq!(fixed_size::<2>(&[1]), Err(Reason::Malformed));
        assert_eq!(fixed_size::<2>(&[1, 2, 3]), Err(Reason::Malformed));
    }
}
