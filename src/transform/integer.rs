//! tinyint, smallint, int, bigint, counter and varint to smallint, integer and bigint, or to decimal text.

use crate::source::CqlType;

use super::codec::Encode;
use super::numeric::varint_digits;
use super::shaped::{Reason, Repair};
use super::text;
use super::tuple::{Tuple, fixed_size};

/// How many bytes an integer takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Width {
    /// tinyint
    One,
    /// smallint
    Two,
    /// int, integer
    Four,
    /// bigint, counter
    Eight,
    /// varint: as many as it needs
    Any,
}

impl Width {
    /// The width of a CQL integer type.
    pub fn of(ty: &CqlType) -> Option<Self> {
        Some(match ty {
            CqlType::Tinyint => Self::One,
            CqlType::Smallint => Self::Two,
            CqlType::Int => Self::Four,
            CqlType::Bigint | CqlType::Counter => Self::Eight,
            CqlType::Varint => Self::Any,
            _ => return None,
        })
    }

    /// Reads an integer of this width; `None` for a zero-length value.
    #[inline]
    pub fn read(self, value: &[u8]) -> Result<Option<i64>, Reason> {
        Ok(match self {
            Self::One => fixed_size(value)?.map(|bytes| i64::from(i8::from_be_bytes(bytes))),
            Self::Two => fixed_size(value)?.map(|bytes| i64::from(i16::from_be_bytes(bytes))),
            Self::Four => fixed_size(value)?.map(|bytes| i64::from(i32::from_be_bytes(bytes))),
            Self::Eight => fixed_size(value)?.map(i64::from_be_bytes),
            Self::Any => return read_varint(value),
        })
    }
}

/// A varint (two's complement, any length) as an i64.
fn read_varint(value: &[u8]) -> Result<Option<i64>, Reason> {
    let Some(first) = value.first() else { return Ok(None) };
    let sign = if first & 0x80 == 0 { 0x00 } else { 0xff };
    let mut bytes = [sign; 8];
    let start = value.len().saturating_sub(8);
    let (padding, tail) = value.split_at(start);
    if padding.iter().any(|byte| *byte != sign) {
        return Err(Reason::OutOfRange);
    }
    let place = bytes.len() - tail.len();
    bytes[place..].copy_from_slice(tail);
    // Nine bytes of which the first is only the sign may still not fit: then the signs of the two parts differ.
    if bytes[0] & 0x80 != sign & 0x80 {
        return Err(Reason::OutOfRange);
    }
    Ok(Some(i64::from_be_bytes(bytes)))
}

/// Any integer -> smallint, integer, bigint, checked against the range of the target.
#[derive(Debug)]
pub(super) struct Integer {
    /// Width of the CQL value.
    pub from: Width,
    /// Width of the target column.
    pub to: Width,
}

impl Encode for Integer {
    #[inline]
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let Some(number) = self.from.read(value)? else {
            tuple.repaired_to_null(Repair::ZeroLength);
            return Ok(());
        };
        match self.to {
            Width::One | Width::Two => {
                tuple.fixed(i16::try_from(number).map_err(|_| Reason::OutOfRange)?.to_be_bytes());
            }
            Width::Four => {
                tuple.fixed(i32::try_from(number).map_err(|_| Reason::OutOfRange)?.to_be_bytes());
            }
            Width::Eight | Width::Any => tuple.fixed(number.to_be_bytes()),
        }
        Ok(())
    }
}

/// Any integer -> text: decimal digits.
#[derive(Debug)]
pub(super) struct IntegerToText {
    /// Width of the CQL value.
    pub from: Width,
    /// Most characters the column takes.
    pub limit: Option<u32>,
}

impl Encode for IntegerToText {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Some(digits) = decimal_text(self.from, value)? {
            text::write(digits.as_bytes(), self.limit, tuple)
        } else {
            tuple.repaired_to_null(Repair::ZeroLength);
            Ok(())
        }
    }
}

/// Decimal text of an integer; `None` for a zero-length value.
pub(super) fn decimal_text(width: Width, value: &[u8]) -> Result<Option<String>, Reason> {
    if width != Width::Any {
        return Ok(width.read(value)?.map(|number| number.to_string()));
    }
    if value.is_empty() {
        return Ok(None);
    }
    let (negative, digits) = varint_digits(value)?;
    Ok(Some(if negative { format!("-{digits}") } else { digits }))
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body};
    use super::*;

    #[test]
    fn integers_widen_and_narrow() {
        let int_to_bigint = Integer { from: Width::Four, to: Width::Eight };
        assert_eq!(body(&int_to_bigint, &(-2_i32).to_be_bytes()), Ok((-2_i64).to_be_bytes().to_vec()));
        assert_eq!(body(&int_to_bigint, &[0; 8]), Err(Reason::Malformed));
        assert_zero_length_is_null(&int_to_bigint);

        let int_to_smallint = Integer { from: Width::Four, to: Width::Two };
        for (number, fits) in [(32_767, true), (32_768, false), (-32_768, true), (-32_769, false)] {
            let result = body(&int_to_smallint, &i32::to_be_bytes(number));
            assert_eq!(result.is_ok(), fits, "{number}");
        }
        let counter_to_integer = Integer { from: Width::Eight, to: Width::Four };
        assert_eq!(body(&counter_to_integer, &7_i64.to_be_bytes()), Ok(vec![0, 0, 0, 7]));
        assert_eq!(body(&counter_to_integer, &(1_i64 << 31).to_be_bytes()), Err(Reason::OutOfRange));
        let tinyint = Integer { from: Width::One, to: Width::Two };
        assert_eq!(body(&tinyint, &[0x80]), Ok(vec![0xff, 0x80]));
    }

    #[test]
    fn varints_of_any_length_are_read_while_they_fit() {
        let varint = Integer { from: Width::Any, to: Width::Eight };
        assert_eq!(body(&varint, &[0x80]), Ok((-128_i64).to_be_bytes().to_vec()));
        assert_eq!(body(&varint, &[0, 0x80]), Ok(128_i64.to_be_bytes().to_vec()));
        assert_eq!(body(&varint, &[0; 20]), Ok(vec![0; 8]));
        assert_eq!(body(&varint, &[0xff; 20]), Ok(vec![0xff; 8]));
        assert_eq!(body(&varint, &i64::MIN.to_be_bytes()), Ok(i64::MIN.to_be_bytes().to_vec()));
        let mut past_max = vec![0];
        past_max.extend_from_slice(&i64::MIN.to_be_bytes());
        assert_eq!(body(&varint, &past_max), Err(Reason::OutOfRange));
        let mut past_min = vec![0xff];
        past_min.extend_from_slice(&i64::MAX.to_be_bytes());
        assert_eq!(body(&varint, &past_min), Err(Reason::OutOfRange));
        assert_zero_length_is_null(&varint);
    }

    #[test]
    fn integers_become_decimal_text() {
        let int = IntegerToText { from: Width::Four, limit: None };
        assert_eq!(body(&int, &i32::MIN.to_be_bytes()), Ok(b"-2147483648".to_vec()));
        let varint = IntegerToText { from: Width::Any, limit: Some(21) };
        assert_eq!(body(&varint, &[1, 0, 0, 0, 0, 0, 0, 0, 0]), Ok(b"18446744073709551616".to_vec()));
        assert_eq!(body(&varint, &[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]), Err(Reason::TooLong));
        assert_zero_length_is_null(&varint);
    }
}
