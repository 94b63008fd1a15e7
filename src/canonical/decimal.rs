//! Decimal numbers: `0`, or sign, digits without zeros at either end, `e` and the exponent, such as `-15e-1`.

/// Largest exponent, in either direction, that is worked out; `PostgreSQL`'s numeric ends long before it.
const MOST_EXPONENT: i64 = 1 << 32;

const SIGN_POSITIVE: u16 = 0x0000;
const SIGN_NEGATIVE: u16 = 0x4000;
const SIGN_NAN: u16 = 0xc000;
const SIGN_INFINITY: u16 = 0xd000;
const SIGN_MINUS_INFINITY: u16 = 0xf000;

/// Appends the form of a binary numeric; `None` when the bytes are none, and nothing is appended.
pub(super) fn write_numeric(value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (head, groups) = value.split_first_chunk::<8>()?;
    let [count, weight, sign, _scale] = words(*head);
    let (groups, rest) = groups.as_chunks::<2>();
    if !rest.is_empty() || groups.len() != usize::from(count) {
        return None;
    }
    if let Some(name) = special(sign) {
        out.extend_from_slice(name);
        return Some(());
    }
    let negative = match sign {
        SIGN_POSITIVE => false,
        SIGN_NEGATIVE => true,
        _ => return None,
    };
    let start = out.len();
    for group in groups {
        let group = u16::from_be_bytes(*group);
        for place in [1_000, 100, 10, 1] {
            out.push(b'0' + u8::try_from(group / place % 10).unwrap_or_default());
        }
    }
    let weight = i64::from(i16::from_be_bytes(weight.to_be_bytes()));
    finish(negative, start, 4 * (weight + 1 - i64::from(count)), out);
    Some(())
}

/// The form of a value that is no number.
fn special(sign: u16) -> Option<&'static [u8]> {
    match sign {
        SIGN_NAN => Some(b"NaN"),
        SIGN_INFINITY => Some(b"Infinity"),
        SIGN_MINUS_INFINITY => Some(b"-Infinity"),
        _ => None,
    }
}

/// Appends the form of a number as JSON writes it; `None` when its exponent is beyond all bounds, and nothing is appended.
pub(super) fn write_json(number: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let (negative, number) = match number.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, number),
    };
    let end_of_mantissa = number.iter().position(|byte| matches!(byte, b'e' | b'E')).unwrap_or(number.len());
    let (mantissa, exponent) = number.split_at_checked(end_of_mantissa)?;
    let exponent: i64 = match exponent.get(1..) {
        None => 0,
        Some(digits) => {
            let text = std::str::from_utf8(digits).ok()?;
            text.parse().ok().filter(|exponent| (-MOST_EXPONENT..=MOST_EXPONENT).contains(exponent))?
        }
    };
    let start = out.len();
    let mut fraction = 0;
    match mantissa.iter().position(|byte| *byte == b'.') {
        None => out.extend_from_slice(mantissa),
        Some(point) => {
            out.extend_from_slice(mantissa.get(..point)?);
            let digits = mantissa.get(point + 1..)?;
            out.extend_from_slice(digits);
            fraction = i64::try_from(digits.len()).unwrap_or(i64::MAX);
        }
    }
    if !out.get(start..)?.iter().all(u8::is_ascii_digit) {
        out.truncate(start);
        return None;
    }
    finish(negative, start, exponent - fraction, out);
    Some(())
}

/// Brings the digits from `start` on into form: their last one stands for ten to the `exponent`.
fn finish(negative: bool, start: usize, exponent: i64, out: &mut Vec<u8>) {
    let digits = out.get(start..).unwrap_or_default();
    let trailing = digits.iter().rev().take_while(|digit| **digit == b'0').count();
    let leading = digits.iter().take_while(|digit| **digit == b'0').count();
    if leading == digits.len() {
        out.truncate(start);
        out.push(b'0');
        return;
    }
    out.truncate(out.len() - trailing);
    let sign: &[u8] = if negative { b"-" } else { b"" };
    out.splice(start..start + leading, sign.iter().copied());
    let exponent = exponent + i64::try_from(trailing).unwrap_or(i64::MAX);
    out.push(b'e');
    out.extend_from_slice(exponent.to_string().as_bytes());
}

fn words(head: [u8; 8]) -> [u16; 4] {
    let packed = u64::from_be_bytes(head);
    [48, 32, 16, 0].map(|shift| u16::try_from(packed >> shift & 0xffff).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(number: &str) -> Option<String> {
        let mut out = b"x".to_vec();
        let done = write_json(number.as_bytes(), &mut out);
        assert!(done.is_some() || out == b"x", "{number} left something behind");
        done.map(|()| String::from_utf8(out.split_off(1)).unwrap())
    }

    fn numeric(words: &[i32]) -> Option<String> {
        let word = |word: &i32| u16::try_from(word & 0xffff).unwrap().to_be_bytes();
        let bytes: Vec<u8> = words.iter().flat_map(word).collect();
        let mut out = Vec::new();
        write_numeric(&bytes, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn equal_numbers_have_one_form() {
        for text in ["1", "1.0", "1e0", "1.000", "10e-1", "0.1e1", "0.01E+2", "1e-0"] {
            assert_eq!(json(text).as_deref(), Some("1e0"), "{text}");
        }
        for text in ["0", "-0", "0.00", "0e99", "-0.0e-5"] {
            assert_eq!(json(text).as_deref(), Some("0"), "{text}");
        }
        assert_eq!(json("-120.50").as_deref(), Some("-1205e-1"));
        assert_eq!(json("12300").as_deref(), Some("123e2"));
        assert_eq!(json("18446744073709551617").as_deref(), Some("18446744073709551617e0"));
        assert_ne!(json("0.1"), json("0.10000000000000001"));
    }

    #[test]
    fn exponents_are_bounded() {
        assert_eq!(json("1e4294967296").as_deref(), Some("1e4294967296"));
        assert_eq!(json("1e4294967297"), None);
        assert_eq!(json("1e99999999999999999999"), None);
    }

    #[test]
    fn a_binary_numeric_has_the_form_of_its_value() {
        assert_eq!(numeric(&[2, 0, 0, 2, 1, 5_000]).as_deref(), Some("15e-1"));
        assert_eq!(numeric(&[1, 1, 0x4000, 0, 12]).as_deref(), Some("-12e4"));
        assert_eq!(numeric(&[0, 0, 0, 3]).as_deref(), Some("0"));
        assert_eq!(numeric(&[1, -1, 0, 4, 1]).as_deref(), Some("1e-4"));
        assert_eq!(numeric(&[0, 0, 0xc000, 0]).as_deref(), Some("NaN"));
        assert_eq!(numeric(&[2, 0, 0, 0, 1]), None);
        assert_eq!(numeric(&[0, 0, 0x1000, 0]), None);
    }
}
