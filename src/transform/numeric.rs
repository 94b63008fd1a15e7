//! Any CQL number to numeric: base-10000 digits.

use std::fmt::Write as _;

use crate::target::catalog::PgType;

use super::codec::{Encode, modifiers};
use super::integer::{Width, decimal_text};
use super::shaped::{Reason, Repair};
use super::tuple::{Tuple, fixed_size};

/// Most digits `PostgreSQL`'s numeric holds before the decimal point.
pub(super) const MAX_INTEGER_DIGITS: i64 = 131_072;
/// Most digits it holds after the point.
pub(super) const MAX_FRACTION_DIGITS: i64 = 16_383;

/// Most bytes of a varint that can fit: 131,072 + 16,383 decimal digits at 2.408 digits a byte.
const MAX_VARINT_BYTES: usize = 61_300;

const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;

/// Precision and scale of a column such as `numeric(10,2)`. `PostgreSQL` rounds to the scale without a word, so what does not
/// fit exactly is refused here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Precision(Option<(i64, i64)>);

impl Precision {
    /// That of a numeric type; `None` when its name is not understood.
    pub fn of(ty: &PgType) -> Option<Self> {
        Some(Self(match *modifiers(&ty.name)? {
            [] => None,
            [precision] => Some((i64::from(precision), 0)),
            [precision, scale] => Some((i64::from(precision), i64::from(scale))),
            _ => return None,
        }))
    }
}

/// Any integer -> numeric.
#[derive(Debug)]
pub(super) struct IntegerToNumeric {
    /// Width of the CQL value.
    pub from: Width,
    /// Precision of the column.
    pub precision: Precision,
}

impl Encode for IntegerToNumeric {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Some(text) = decimal_text(self.from, value)? {
            Decimal::parse(&text).ok_or(Reason::Malformed)?.write(self.precision, tuple)
        } else {
            tuple.repaired_to_null(Repair::ZeroLength);
            Ok(())
        }
    }
}

/// decimal -> numeric, digits after the point kept as they are written.
#[derive(Debug)]
pub(super) struct DecimalToNumeric {
    /// Precision of the column.
    pub precision: Precision,
}

impl Encode for DecimalToNumeric {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Some(decimal) = Decimal::of_cql(value)? {
            decimal.write(self.precision, tuple)
        } else {
            tuple.repaired_to_null(Repair::ZeroLength);
            Ok(())
        }
    }
}

/// float, double -> numeric: the digits of the shortest decimal text. NaN is NaN; infinity has no place in numeric before
/// `PostgreSQL` 14 and is refused.
#[derive(Debug)]
pub(super) struct FloatToNumeric {
    /// Eight bytes instead of four.
    pub double: bool,
    /// Precision of the column.
    pub precision: Precision,
}

impl Encode for FloatToNumeric {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let text = if self.double {
            fixed_size(value)?.map(|bytes| format!("{:e}", f64::from_be_bytes(bytes)))
        } else {
            fixed_size(value)?.map(|bytes| format!("{:e}", f32::from_be_bytes(bytes)))
        };
        match text {
            None => tuple.repaired_to_null(Repair::ZeroLength),
            Some(text) if text == "NaN" => {
                let [high, low] = SIGN_NAN.to_be_bytes();
                tuple.fixed([0, 0, 0, 0, high, low, 0, 0]);
            }
            Some(text) => {
                return Decimal::parse(&text).ok_or(Reason::InvalidNumber)?.write(self.precision, tuple);
            }
        }
        Ok(())
    }
}

/// A decimal number: its digits, and how many of them stand after the point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// ASCII digits, at least one, no leading zero but for zero itself.
    digits: String,
    scale: i64,
}

impl Decimal {
    /// Reads a CQL decimal: `i32` scale, then the unscaled value as a varint. `None` for a zero-length value.
    pub fn of_cql(value: &[u8]) -> Result<Option<Self>, Reason> {
        if value.is_empty() {
            return Ok(None);
        }
        let (scale, unscaled) = value.split_first_chunk::<4>().ok_or(Reason::Malformed)?;
        let (negative, digits) = varint_digits(unscaled)?;
        Ok(Some(Self { negative, digits, scale: i64::from(i32::from_be_bytes(*scale)) }))
    }

    /// Reads decimal text, with or without point and exponent.
    pub fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
            None => (text, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() || !whole.bytes().chain(fraction.bytes()).all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let all = format!("{whole}{fraction}");
        let digits = match all.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        };
        let scale = i64::try_from(fraction.len()).ok()? - i64::from(exponent);
        Some(Self { negative: negative && digits != "0", digits, scale })
    }

    fn is_zero(&self) -> bool {
        self.digits == "0"
    }

    /// Number of digits before the point; zero or negative below 0.1.
    fn integer_digits(&self) -> i64 {
        i64::try_from(self.digits.len()).unwrap_or(i64::MAX).saturating_sub(self.scale)
    }

    /// Refuses what numeric, and so jsonb, cannot hold.
    pub fn check(&self) -> Result<(), Reason> {
        if self.scale > MAX_FRACTION_DIGITS || (!self.is_zero() && self.integer_digits() > MAX_INTEGER_DIGITS)
        {
            return Err(Reason::InvalidNumber);
        }
        Ok(())
    }

    fn check_precision(&self, precision: Precision) -> Result<(), Reason> {
        let Precision(Some((precision, scale))) = precision else { return Ok(()) };
        let trailing = self.digits.len() - self.digits.trim_end_matches('0').len();
        let significant = self.scale.saturating_sub(i64::try_from(trailing).unwrap_or(i64::MAX));
        if !self.is_zero() && (significant > scale || self.integer_digits() > precision - scale) {
            return Err(Reason::OutOfRange);
        }
        Ok(())
    }

    /// Writes it as a numeric field.
    pub fn write(&self, precision: Precision, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        self.check()?;
        self.check_precision(precision)?;
        let scale = self.scale.max(0);
        let display_scale = u16::try_from(scale).map_err(|_| Reason::InvalidNumber)?;

        // Zeros are put behind the digits so that the point falls between two groups of four.
        let behind = if self.is_zero() { 0 } else { (-self.scale).max(0) + (4 - scale % 4) % 4 };
        let mut padded = self.digits.clone().into_bytes();
        padded.resize(padded.len() + usize::try_from(behind).map_err(|_| Reason::InvalidNumber)?, b'0');
        let fraction_groups = (scale + 3) / 4;
        let groups: Vec<u16> = padded.rchunks(4).rev().map(group).collect();
        let leading = groups.iter().take_while(|group| **group == 0).count();
        let trailing = groups[leading..].iter().rev().take_while(|group| **group == 0).count();
        let digits = &groups[leading..groups.len() - trailing];

        let weight = if digits.is_empty() {
            0
        } else {
            i64::try_from(groups.len() - leading).map_err(|_| Reason::InvalidNumber)? - fraction_groups - 1
        };
        let count = u16::try_from(digits.len()).map_err(|_| Reason::InvalidNumber)?;
        let weight = i16::try_from(weight).map_err(|_| Reason::InvalidNumber)?;
        let sign = if self.negative { SIGN_NEGATIVE } else { 0 };
        let open = tuple.open();
        tuple.put(&count.to_be_bytes());
        tuple.put(&weight.to_be_bytes());
        tuple.put(&sign.to_be_bytes());
        tuple.put(&display_scale.to_be_bytes());
        for digit in digits {
            tuple.put(&digit.to_be_bytes());
        }
        tuple.close(open)
    }

    /// As JSON writes it: plain, or with an exponent where that is shorter.
    pub fn json(&self) -> Result<String, Reason> {
        self.check()?;
        let sign = if self.negative { "-" } else { "" };
        let digits = &self.digits;
        let point = self.integer_digits();
        Ok(match usize::try_from(self.scale) {
            Ok(0) => format!("{sign}{digits}"),
            Ok(scale) if point > 0 => {
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                format!("{sign}{whole}.{fraction}")
            }
            Ok(scale) if point > -6 => format!("{sign}0.{digits:0>scale$}"),
            _ => format!("{sign}{digits}e{}", -self.scale),
        })
    }
}

/// The value of up to four ASCII digits.
fn group(digits: &[u8]) -> u16 {
    digits.iter().fold(0, |value, digit| value * 10 + u16::from(digit - b'0'))
}

/// Sign and decimal digits of a varint: two's complement, big-endian, any length but none.
pub(super) fn varint_digits(value: &[u8]) -> Result<(bool, String), Reason> {
    let first = *value.first().ok_or(Reason::Malformed)?;
    let negative = first & 0x80 != 0;
    let padding = if negative { 0xff } else { 0 };
    let start = value.iter().take_while(|byte| **byte == padding).count();
    let significant = &value[start..];
    if significant.len() > MAX_VARINT_BYTES {
        return Err(Reason::InvalidNumber);
    }
    // Magnitude in 32-bit limbs, least significant first. A negative number is inverted, and one is added.
    let mut limbs: Vec<u32> = significant
        .rchunks(4)
        .map(|chunk| chunk.iter().fold(0, |limb, byte| (limb << 8) | u32::from(byte ^ padding)))
        .collect();
    if negative {
        let mut carry = true;
        for limb in &mut limbs {
            (*limb, carry) = limb.overflowing_add(u32::from(carry));
        }
        if carry {
            limbs.push(1);
        }
    }
    Ok((negative, limbs_to_decimal(limbs)))
}

/// Decimal digits of a number in 32-bit limbs, by repeated division by 10^9.
fn limbs_to_decimal(mut limbs: Vec<u32>) -> String {
    const BASE: u64 = 1_000_000_000;
    let mut parts = Vec::new();
    while limbs.pop_if(|limb| *limb == 0).is_some() {}
    while !limbs.is_empty() {
        let mut remainder = 0_u64;
        for limb in limbs.iter_mut().rev() {
            let value = (remainder << 32) | u64::from(*limb);
            // remainder < 10^9 < 2^32, so the quotient fits a limb.
            *limb = u32::try_from(value / BASE).unwrap_or(u32::MAX);
            remainder = value % BASE;
        }
        parts.push(remainder);
        while limbs.pop_if(|limb| *limb == 0).is_some() {}
    }
    let mut parts = parts.iter().rev();
    let mut digits = parts.next().map_or_else(|| "0".to_owned(), ToString::to_string);
    for part in parts {
        let _ = write!(digits, "{part:09}");
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body};
    use super::*;

    const ANY: Precision = Precision(None);

    /// A CQL decimal.
    fn decimal(scale: i32, unscaled: &[u8]) -> Vec<u8> {
        [&scale.to_be_bytes()[..], unscaled].concat()
    }

    /// A numeric field: weight, sign, display scale, digits.
    fn numeric(weight: i16, sign: u16, scale: u16, digits: &[u16]) -> Vec<u8> {
        let mut bytes = u16::try_from(digits.len()).unwrap().to_be_bytes().to_vec();
        bytes.extend_from_slice(&weight.to_be_bytes());
        bytes.extend_from_slice(&sign.to_be_bytes());
        bytes.extend_from_slice(&scale.to_be_bytes());
        for digit in digits {
            bytes.extend_from_slice(&digit.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn decimals_become_groups_of_four() {
        let codec = DecimalToNumeric { precision: ANY };
        // 1234.5 = 12345e-1
        assert_eq!(body(&codec, &decimal(1, &[0x30, 0x39])), Ok(numeric(0, 0, 1, &[1234, 5000])));
        // 12345678.90 = 1234567890e-2
        let unscaled = 1_234_567_890_i32.to_be_bytes();
        assert_eq!(body(&codec, &decimal(2, &unscaled)), Ok(numeric(1, 0, 2, &[1234, 5678, 9000])));
        // -0.00001
        assert_eq!(body(&codec, &decimal(5, &[0xff])), Ok(numeric(-2, 0x4000, 5, &[1000])));
        // 7e6, no digit after the point
        assert_eq!(body(&codec, &decimal(-6, &[7])), Ok(numeric(1, 0, 0, &[700])));
        // 0.000
        assert_eq!(body(&codec, &decimal(3, &[0])), Ok(numeric(0, 0, 3, &[])));
        // 0e9, 0e-20000
        assert_eq!(body(&codec, &decimal(-9, &[0])), Ok(numeric(0, 0, 0, &[])));
        assert_eq!(body(&codec, &decimal(20_000, &[0])), Err(Reason::InvalidNumber));
        assert_eq!(body(&codec, &decimal(1, &[])), Err(Reason::Malformed));
        assert_eq!(body(&codec, &[0, 0, 1]), Err(Reason::Malformed));
        assert_zero_length_is_null(&codec);
    }

    #[test]
    fn the_limits_of_numeric_hold() {
        let codec = DecimalToNumeric { precision: ANY };
        assert!(body(&codec, &decimal(-131_071, &[9])).is_ok());
        assert_eq!(body(&codec, &decimal(-131_072, &[9])), Err(Reason::InvalidNumber));
        assert_eq!(body(&codec, &decimal(i32::MIN, &[9])), Err(Reason::InvalidNumber));
        assert!(body(&codec, &decimal(16_383, &[9])).is_ok());
        assert_eq!(body(&codec, &decimal(16_384, &[9])), Err(Reason::InvalidNumber));
        assert_eq!(body(&codec, &decimal(0, &vec![0x55; 70_000])), Err(Reason::InvalidNumber));
    }

    #[test]
    fn a_declared_precision_is_kept() {
        let money = |text: &str| {
            let (mut bytes, mut notes) = (Vec::new(), super::super::tuple::Notes::default());
            let precision = Precision(Some((5, 2)));
            Decimal::parse(text).unwrap().write(precision, &mut Tuple::new(&mut bytes, &mut notes))
        };
        for fits in ["999.99", "-0.01", "1.2300", "0", "0.000", "1e2"] {
            assert_eq!(money(fits), Ok(()), "{fits}");
        }
        for does_not in ["1000", "0.001", "1e3", "99999.99"] {
            assert_eq!(money(does_not), Err(Reason::OutOfRange), "{does_not}");
        }
    }

    #[test]
    fn varints_become_decimal_digits() {
        let digits = |bytes: &[u8]| varint_digits(bytes);
        assert_eq!(digits(&[0]), Ok((false, "0".into())));
        assert_eq!(digits(&[0xff]), Ok((true, "1".into())));
        assert_eq!(digits(&[0xff, 0xff, 0]), Ok((true, "256".into())));
        assert_eq!(digits(&[0x80]), Ok((true, "128".into())));
        assert_eq!(digits(&i64::MIN.to_be_bytes()), Ok((true, "9223372036854775808".into())));
        assert_eq!(digits(&i128::MIN.to_be_bytes()), Ok((true, i128::MIN.to_string()[1..].into())));
        assert_eq!(digits(&(10_i128.pow(30)).to_be_bytes()), Ok((false, 10_i128.pow(30).to_string())));
        assert_eq!(digits(&[]), Err(Reason::Malformed));
    }

    #[test]
    fn floats_become_their_shortest_digits() {
        let double = FloatToNumeric { double: true, precision: ANY };
        let float = FloatToNumeric { double: false, precision: ANY };
        assert_eq!(body(&double, &0.1_f64.to_be_bytes()), Ok(numeric(-1, 0, 1, &[1000])));
        assert_eq!(body(&float, &(-1234.5_f32).to_be_bytes()), Ok(numeric(0, 0x4000, 1, &[1234, 5000])));
        assert_eq!(body(&double, &f64::NAN.to_be_bytes()), Ok(numeric(0, 0xc000, 0, &[])));
        assert_eq!(body(&double, &f64::INFINITY.to_be_bytes()), Err(Reason::InvalidNumber));
        assert_zero_length_is_null(&double);
    }

    #[test]
    fn json_keeps_the_digits() {
        let json = |scale, unscaled: i32| {
            Decimal::of_cql(&decimal(scale, &unscaled.to_be_bytes())).unwrap().unwrap().json()
        };
        assert_eq!(json(0, -5).unwrap(), "-5");
        assert_eq!(json(2, 12_345).unwrap(), "123.45");
        assert_eq!(json(2, -5).unwrap(), "-0.05");
        assert_eq!(json(3, 120).unwrap(), "0.120");
        assert_eq!(json(12, 5).unwrap(), "5e-12");
        assert_eq!(json(-3, 5).unwrap(), "5e3");
        assert_eq!(json(20_000, 5), Err(Reason::InvalidNumber));
    }
}
