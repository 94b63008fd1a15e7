//! JSON by its value: what `PostgreSQL`'s jsonb takes for equal has one form.

use std::ops::Range;

use super::decimal;
use super::value::framed;

/// Deepest nesting that is worked out. Rows that kongferry writes end there too.
pub(super) const MAX_DEPTH: usize = 1_000;

/// Appends the form of `text`; one that is no JSON within the bounds counts as its bytes.
pub(super) fn write(text: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    let mut reader = Reader { text, at: 0 };
    let read = reader.value(out, 0);
    reader.blanks();
    if read.is_none() || reader.at != text.len() {
        out.truncate(start);
        out.push(b'r');
        out.extend_from_slice(text);
    }
}

/// Whether a form is that of an empty object or array.
pub(super) fn is_empty(form: &[u8]) -> bool {
    matches!(form, [b'o' | b'a', 0, 0, 0, 0])
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
    }

    fn word(&mut self, rest: &[u8], tag: u8, out: &mut Vec<u8>) -> Option<()> {
        let end = self.at + rest.len();
        if self.text.get(self.at..end)? != rest {
            return None;
        }
        self.at = end;
        out.push(tag);
        Some(())
    }

    fn value(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        self.blanks();
        match self.next()? {
            b'{' => self.object(out, depth),
            b'[' => self.array(out, depth),
            b'"' => {
                out.push(b's');
                self.string(out)
            }
            b't' => self.word(b"rue", b't', out),
            b'f' => self.word(b"alse", b'f', out),
            b'n' => self.word(b"ull", b'n', out),
            b'-' | b'0'..=b'9' => {
                let start = self.at - 1;
                while matches!(self.peek(), Some(b'0'..=b'9' | b'.' | b'e' | b'E' | b'+' | b'-')) {
                    self.at += 1;
                }
                let number = self.text.get(start..self.at)?;
                out.push(b'd');
                framed(out, |out| decimal::write_json(number, out))
            }
            _ => None,
        }
    }

    fn array(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        out.push(b'a');
        let place = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut count = 0_u32;
        self.blanks();
        if self.peek()? == b']' {
            self.at += 1;
            return Some(());
        }
        loop {
            self.value(out, depth + 1)?;
            count += 1;
            self.blanks();
            match self.next()? {
                b',' => {}
                b']' => return patch(out, place, count),
                _ => return None,
            }
        }
    }

    fn object(&mut self, out: &mut Vec<u8>, depth: usize) -> Option<()> {
        if depth == MAX_DEPTH {
            return None;
        }
        out.push(b'o');
        let place = out.len();
        out.extend_from_slice(&[0; 4]);
        self.blanks();
        if self.peek()? == b'}' {
            self.at += 1;
            return Some(());
        }
        // Of each member the framed key, and where the value behind it ends.
        let mut members: Vec<(Range<usize>, usize)> = Vec::new();
        loop {
            self.blanks();
            if self.next()? != b'"' {
                return None;
            }
            let start = out.len();
            self.string(out)?;
            let key = start..out.len();
            self.blanks();
            if self.next()? != b':' {
                return None;
            }
            self.value(out, depth + 1)?;
            members.push((key, out.len()));
            self.blanks();
            match self.next()? {
                b',' => {}
                b'}' => break,
                _ => return None,
            }
        }
        let count = in_order(out, place + 4, &mut members)?;
        patch(out, place, count)
    }

    /// The rest of a string, its opening quote read: its length and its bytes in UTF-8, escapes resolved.
    fn string(&mut self, out: &mut Vec<u8>) -> Option<()> {
        framed(out, |out| {
            // A lone surrogate, which only the type json can hold, gets three bytes of its own.
            let mut high: Option<u32> = None;
            loop {
                let rest = self.text.get(self.at..)?;
                let plain = rest.iter().position(|byte| matches!(byte, b'"' | b'\\'))?;
                if plain > 0 {
                    lone(&mut high, out);
                    out.extend_from_slice(rest.get(..plain)?);
                    self.at += plain;
                }
                if self.next()? == b'"' {
                    lone(&mut high, out);
                    return Some(());
                }
                let escape = self.next()?;
                if escape != b'u' {
                    lone(&mut high, out);
                }
                match escape {
                    b'u' => {
                        let unit = self.hex4()?;
                        match (high.take(), unit) {
                            (Some(first), 0xdc00..=0xdfff) => {
                                push(0x10000 + ((first - 0xd800) << 10) + (unit - 0xdc00), out);
                            }
                            (first, _) => {
                                lone(&mut first.into_iter().next(), out);
                                if (0xd800..=0xdbff).contains(&unit) {
                                    high = Some(unit);
                                } else {
                                    push(unit, out);
                                }
                            }
                        }
                    }
                    b'"' | b'\\' | b'/' => out.push(escape),
                    b'b' => out.push(8),
                    b'f' => out.push(12),
                    b'n' => out.push(b'\n'),
                    b'r' => out.push(b'\r'),
                    b't' => out.push(b'\t'),
                    _ => return None,
                }
            }
        })
    }

    fn hex4(&mut self) -> Option<u32> {
        let mut unit = 0;
        for _ in 0..4 {
            unit = unit * 16 + char::from(self.next()?).to_digit(16)?;
        }
        Some(unit)
    }
}

/// Writes a high surrogate that stayed alone.
fn lone(high: &mut Option<u32>, out: &mut Vec<u8>) {
    if let Some(unit) = high.take() {
        push(unit, out);
    }
}

/// Appends a code point in UTF-8, surrogates in the same manner.
fn push(code: u32, out: &mut Vec<u8>) {
    if let Some(character) = char::from_u32(code) {
        out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
    } else {
        let [_, _, high, low] = code.to_be_bytes();
        out.extend_from_slice(&[0xe0 | high >> 4, 0x80 | (high & 15) << 2 | low >> 6, 0x80 | low & 63]);
    }
}

/// Sorts members, which stand in `out` from `start` on, by their framed keys: shorter first, then by bytes, as jsonb does. Of
/// equal keys the last one stays. Returns how many there are.
fn in_order(out: &mut Vec<u8>, start: usize, members: &mut [(Range<usize>, usize)]) -> Option<u32> {
    let sorted = members.is_sorted_by(|(one, _), (other, _)| out.get(one.clone()) < out.get(other.clone()));
    if !sorted {
        members.sort_by(|(one, _), (other, _)| out.get(one.clone()).cmp(&out.get(other.clone())));
        let mut ordered = Vec::with_capacity(out.len() - start);
        let mut kept = 0;
        for (index, (key, end)) in members.iter().enumerate() {
            let next = members.get(index + 1).and_then(|(key, _)| out.get(key.clone()));
            if next != out.get(key.clone()) {
                ordered.extend_from_slice(out.get(key.start..*end)?);
                kept += 1;
            }
        }
        out.truncate(start);
        out.extend_from_slice(&ordered);
        return Some(kept);
    }
    u32::try_from(members.len()).ok()
}

fn patch(out: &mut [u8], place: usize, count: u32) -> Option<()> {
    out.get_mut(place..place + 4)?.copy_from_slice(&count.to_be_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn form(text: &str) -> Vec<u8> {
        let mut out = Vec::new();
        write(text.as_bytes(), &mut out);
        out
    }

    fn assert_equal(texts: &[&str]) {
        for text in texts {
            assert_eq!(form(text), form(texts[0]), "{text} and {}", texts[0]);
            assert_ne!(form(text)[0], b'r', "{text} was not read");
        }
    }

    #[test]
    fn equal_values_have_one_form() {
        assert_equal(&[r#"{"a":1,"bb":[true,null]}"#, r#" { "bb" : [ true , null ] , "a" : 1.0 } "#]);
        assert_equal(&[
            r#"{"a":2}"#,
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"x":[]},"b":1,"a":2e0}"#.replace(r#""b":1,"#, "").as_str(),
        ]);
        assert_equal(&[r#""ä€😀/""#, r#""\u00e4\u20ac\ud83d\ude00\/""#, r#""\u00E4€\uD83D\uDE00/""#]);
        assert_equal(&[r#""\n\t\"\\""#, r#""\u000a\u0009\u0022\u005c""#]);
    }

    #[test]
    fn different_values_have_different_forms() {
        let texts = [
            "null",
            "true",
            "false",
            "0",
            "1",
            "\"\"",
            "\"1\"",
            "[]",
            "{}",
            "[[]]",
            "[null]",
            "[1,2]",
            "[2,1]",
            "[[1],2]",
            "{\"a\":1}",
            "{\"a\":\"1\"}",
            "{\"b\":1}",
            "{\"a\":{\"b\":1}}",
            "{\"a\":1,\"b\":2}",
            "\"a\"",
            "[\"a\"]",
            "1e1",
            r#""\ud800""#,
            r#""\ud800\ud800""#,
            r#""\udc00\ud800""#,
            r#""\u0000""#,
            r#""\u00000""#,
        ];
        for (index, one) in texts.iter().enumerate() {
            for other in &texts[index + 1..] {
                assert_ne!(form(one), form(other), "{one} and {other}");
            }
        }
    }

    #[test]
    fn what_is_no_json_within_the_bounds_counts_as_its_bytes() {
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert_ne!(form(&deep(MAX_DEPTH))[0], b'r');
        for text in
            ["", "{", "[1,]", "{\"a\"}", "\"", "\"\\x\"", "1 2", "nul", "1e99999999999", &deep(MAX_DEPTH + 1)]
        {
            assert_eq!(form(text), [b"r", text.as_bytes()].concat());
        }
    }

    #[test]
    fn only_empty_collections_are_empty() {
        assert!(is_empty(&form("{}")) && is_empty(&form(" [ ] ")));
        assert!(!is_empty(&form("[0]")) && !is_empty(&form("null")) && !is_empty(&form("\"\"")));
    }
}
