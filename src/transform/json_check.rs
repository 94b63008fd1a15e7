//! Says of a text whether `PostgreSQL` takes it as json or jsonb, without building a value.
//!
//! The verdict equals that of the server (the oracle tests compare the two on random texts), but for depth: the server's limit
//! depends on its stack, ours is [`MAX_DEPTH`].

use super::numeric::{MAX_FRACTION_DIGITS, MAX_INTEGER_DIGITS};
use super::shaped::Reason;

/// Deepest nesting that is accepted. Kong's own JSON library refuses more than 1,000 levels; `PostgreSQL` with its default
/// stack takes about six times as many.
pub(super) const MAX_DEPTH: usize = 1_000;

/// Exponents from here on are refused by `PostgreSQL` even for zero: half of the largest `i32`.
const EXPONENT_END: i64 = 1_073_741_823;

/// Which of the two types the text is meant for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flavor {
    /// Kept as text: escapes and the size of numbers are not looked at.
    Json,
    /// Parsed: no `\u0000`, no lone surrogate, no number outside the range of numeric.
    Jsonb,
}

/// Checks `text`, which is valid UTF-8.
pub(super) fn check(text: &[u8], flavor: Flavor) -> Result<(), Reason> {
    let mut scan = Scan { text, at: 0, flavor };
    let mut nesting = Nesting { objects: [0; MAX_DEPTH.div_ceil(64)], depth: 0 };
    loop {
        // A value is expected.
        scan.blanks();
        match scan.next()? {
            b'{' => {
                nesting.open(true)?;
                scan.blanks();
                if scan.peek() != Some(b'}') {
                    scan.key()?;
                    continue;
                }
                scan.at += 1;
                nesting.depth -= 1;
            }
            b'[' => {
                nesting.open(false)?;
                scan.blanks();
                if scan.peek() != Some(b']') {
                    continue;
                }
                scan.at += 1;
                nesting.depth -= 1;
            }
            b'"' => scan.string()?,
            b't' => scan.word(b"rue")?,
            b'f' => scan.word(b"alse")?,
            b'n' => scan.word(b"ull")?,
            b'-' | b'0'..=b'9' => {
                scan.at -= 1;
                scan.number()?;
            }
            _ => return Err(Reason::InvalidJson),
        }
        // A value has ended: the next one, or the end of what holds it.
        loop {
            scan.blanks();
            if nesting.depth == 0 {
                return if scan.at == text.len() { Ok(()) } else { Err(Reason::InvalidJson) };
            }
            match (scan.next()?, nesting.in_object()) {
                (b',', true) => {
                    scan.blanks();
                    scan.key()?;
                    break;
                }
                (b',', false) => break,
                (b'}', true) | (b']', false) => nesting.depth -= 1,
                _ => return Err(Reason::InvalidJson),
            }
        }
    }
}

/// Open objects and arrays, one bit each.
struct Nesting {
    objects: [u64; MAX_DEPTH.div_ceil(64)],
    depth: usize,
}

impl Nesting {
    fn open(&mut self, object: bool) -> Result<(), Reason> {
        if self.depth == MAX_DEPTH {
            return Err(Reason::JsonDepth);
        }
        let bit = 1 << (self.depth % 64);
        if let Some(word) = self.objects.get_mut(self.depth / 64) {
            *word = if object { *word | bit } else { *word & !bit };
        }
        self.depth += 1;
        Ok(())
    }

    fn in_object(&self) -> bool {
        let Some(level) = self.depth.checked_sub(1) else { return false };
        self.objects.get(level / 64).is_some_and(|word| word >> (level % 64) & 1 == 1)
    }
}

/// Bytes that end the plain part of a string: quote, backslash and what must be escaped.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut byte = 0;
    while byte < 32 {
        special[byte] = true;
        byte += 1;
    }
    special[b'"' as usize] = true;
    special[b'\\' as usize] = true;
    special
};

struct Scan<'a> {
    text: &'a [u8],
    at: usize,
    flavor: Flavor,
}

impl<'a> Scan<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Result<u8, Reason> {
        let byte = self.peek().ok_or(Reason::InvalidJson)?;
        self.at += 1;
        Ok(byte)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, rest: &[u8]) -> Result<(), Reason> {
        if !self.text.get(self.at..).is_some_and(|text| text.starts_with(rest)) {
            return Err(Reason::InvalidJson);
        }
        self.at += rest.len();
        Ok(())
    }

    /// A key and its colon.
    fn key(&mut self) -> Result<(), Reason> {
        if self.next()? != b'"' {
            return Err(Reason::InvalidJson);
        }
        self.string()?;
        self.blanks();
        if self.next()? == b':' { Ok(()) } else { Err(Reason::InvalidJson) }
    }

    /// The rest of a string, its opening quote read.
    fn string(&mut self) -> Result<(), Reason> {
        // What a lone surrogate or U+0000 is worth depends on the rest of the text being JSON at all; the first fault counts.
        let mut high_surrogate = false;
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let plain = rest.iter().position(|byte| SPECIAL[usize::from(*byte)]);
            let plain = plain.ok_or(Reason::InvalidJson)?;
            self.at += plain;
            let special = self.next()?;
            let escape = if special == b'\\' { Some(self.next()?) } else { None };
            if high_surrogate && (plain > 0 || escape != Some(b'u')) {
                return Err(Reason::JsonEscape);
            }
            match (special, escape) {
                (b'"', _) => return Ok(()),
                (_, Some(b'u')) => {
                    let unit = self.hex4()?;
                    if self.flavor == Flavor::Jsonb {
                        high_surrogate = match (unit, high_surrogate) {
                            (0xd800..=0xdbff, false) => true,
                            (0xdc00..=0xdfff, true) => false,
                            (0 | 0xd800..=0xdfff, _) | (_, true) => return Err(Reason::JsonEscape),
                            (_, false) => false,
                        };
                    }
                }
                (_, Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't')) => {}
                _ => return Err(Reason::InvalidJson),
            }
        }
    }

    fn hex4(&mut self) -> Result<u32, Reason> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = char::from(self.next()?).to_digit(16).ok_or(Reason::InvalidJson)?;
            unit = unit * 16 + digit;
        }
        Ok(unit)
    }

    fn number(&mut self) -> Result<(), Reason> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        let whole = self.digits()?;
        if whole.len() > 1 && whole.starts_with(b"0") {
            return Err(Reason::InvalidJson);
        }
        let mut fraction: &[u8] = &[];
        if self.peek() == Some(b'.') {
            self.at += 1;
            fraction = self.digits()?;
        }
        let mut exponent = 0;
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            let negative = self.peek() == Some(b'-');
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            let size = self.digits()?.iter().fold(0_i64, |size, digit| {
                size.saturating_mul(10).saturating_add(i64::from(digit - b'0')).min(EXPONENT_END)
            });
            exponent = if negative { -size } else { size };
        }
        // Short numbers without an exponent are always in range.
        if self.flavor == Flavor::Jsonb && (exponent != 0 || whole.len() + fraction.len() > 1_000) {
            check_range(whole, fraction, exponent)?;
        }
        Ok(())
    }

    /// One digit or more.
    fn digits(&mut self) -> Result<&'a [u8], Reason> {
        let text: &'a [u8] = self.text;
        let rest = text.get(self.at..).unwrap_or_default();
        let count = rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        self.at += count;
        if count == 0 { Err(Reason::InvalidJson) } else { Ok(&rest[..count]) }
    }
}

/// Whether numeric holds the number: digits before and behind the point after the exponent has moved it.
fn check_range(whole: &[u8], fraction: &[u8], exponent: i64) -> Result<(), Reason> {
    if exponent.abs() >= EXPONENT_END {
        return Err(Reason::InvalidNumber);
    }
    let length = |digits: &[u8]| i64::try_from(digits.len()).unwrap_or(i64::MAX / 4);
    if length(fraction) - exponent > MAX_FRACTION_DIGITS {
        return Err(Reason::InvalidNumber);
    }
    let leading_zeros = whole.iter().chain(fraction).take_while(|digit| **digit == b'0').count();
    if leading_zeros == whole.len() + fraction.len() {
        return Ok(());
    }
    let integer_digits = length(whole) + exponent - i64::try_from(leading_zeros).unwrap_or(i64::MAX / 4);
    if integer_digits > MAX_INTEGER_DIGITS { Err(Reason::InvalidNumber) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jsonb(text: &str) -> Result<(), Reason> {
        check(text.as_bytes(), Flavor::Jsonb)
    }

    #[test]
    fn json_is_json() {
        for text in [
            "{}",
            "[]",
            " [ ] ",
            "\"\"",
            "0",
            "-0",
            "-0.0e-0",
            "1E+2",
            "true",
            "null",
            "\n{\t\"a\" : [1 , {\"b\":[[]]}, \"\"]\r}",
            r#"{"a":1,"a":2}"#,
            r#""\"\\\/\b\f\n\r\t\u00e9\uD83D\uDE00""#,
            "\"\u{7f}\u{e9}\"",
        ] {
            assert_eq!(jsonb(text), Ok(()), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn anything_else_is_not() {
        for text in [
            "",
            " ",
            "{",
            "}",
            "[",
            "]",
            "[}",
            "{]",
            "[1,]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{a:1}",
            "{1:2}",
            "01",
            "-",
            "+1",
            ".5",
            "1.",
            "1.e5",
            "1e",
            "1e+",
            "0x10",
            "tru",
            "truex",
            "nul",
            "NaN",
            "Infinity",
            "1 2",
            "'a'",
            "\"a",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\\u123\"",
            "\"\t\"",
            "[1 2]",
            "[,1]",
            "{,}",
            "//",
            "\u{feff}{}",
            "\u{a0}1",
        ] {
            assert_eq!(jsonb(text), Err(Reason::InvalidJson), "{text}");
            assert!(serde_json::from_str::<serde_json::Value>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn escapes_that_jsonb_refuses_pass_as_json() {
        for text in [
            r#""\u0000""#,
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\ud800""#,
            r#""\ud800x\udc00""#,
            r#""\ud800\n""#,
            r#"{"\ud800\u0041":1}"#,
        ] {
            assert_eq!(jsonb(text), Err(Reason::JsonEscape), "{text}");
            assert_eq!(check(text.as_bytes(), Flavor::Json), Ok(()), "{text}");
        }
    }

    #[test]
    fn numbers_stay_within_numeric() {
        let zeros = "0".repeat(131_071);
        for (text, fits) in [
            ("1e131071".to_owned(), true),
            ("1e131072".to_owned(), false),
            ("-10e131071".to_owned(), false),
            ("0.001e131074".to_owned(), true),
            ("0.001e131075".to_owned(), false),
            ("1e-16383".to_owned(), true),
            ("1e-16384".to_owned(), false),
            ("1.0e-16383".to_owned(), false),
            ("0e1000000".to_owned(), true),
            ("0e1073741823".to_owned(), false),
            ("0e-16384".to_owned(), false),
            ("1e99999999999999999999".to_owned(), false),
            (format!("1{zeros}"), true),
            (format!("10{zeros}"), false),
            (format!("0.{}", &zeros[..16_383]), true),
            (format!("0.{}", &zeros[..16_384]), false),
        ] {
            let expected = if fits { Ok(()) } else { Err(Reason::InvalidNumber) };
            assert_eq!(jsonb(&text), expected, "{}", &text[..text.len().min(30)]);
            assert_eq!(check(text.as_bytes(), Flavor::Json), Ok(()));
        }
    }

    #[test]
    fn depth_is_bounded() {
        let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_eq!(jsonb(&nested(MAX_DEPTH)), Ok(()));
        assert_eq!(jsonb(&nested(MAX_DEPTH + 1)), Err(Reason::JsonDepth));
        let objects = |depth| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        assert_eq!(jsonb(&objects(MAX_DEPTH)), Ok(()));
        assert_eq!(jsonb(&objects(MAX_DEPTH + 1)), Err(Reason::JsonDepth));
        assert_eq!(jsonb(&"[".repeat(10_000_000)), Err(Reason::JsonDepth));
        assert_eq!(jsonb("[[1],{\"a\":[{}]},[[[2]]]]"), Ok(()));
        assert_eq!(jsonb("[[1],{\"a\":[{]}},[[[2]]]]"), Err(Reason::InvalidJson));
    }
}
