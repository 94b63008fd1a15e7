//! text holding JSON to json and jsonb.

use super::codec::Encode;
use super::json_check::{Flavor, check};
use super::shaped::{Reason, Repair};
use super::text;
use super::tuple::Tuple;

/// First byte of a binary jsonb value: the version of its format.
pub(super) const JSONB_VERSION: u8 = 1;

/// What becomes of the empty string, which is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EmptyText {
    /// NULL, as Kong reads an empty string in a column.
    Null,
    /// Refused, as in an element of a collection.
    Refuse,
}

/// text -> json, jsonb: copied once it is known that the server takes it.
#[derive(Debug)]
pub(super) struct JsonText {
    /// Which of the two types.
    pub flavor: Flavor,
    /// What becomes of the empty string.
    pub empty: EmptyText,
}

impl Encode for JsonText {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if value.is_empty() && self.empty == EmptyText::Null {
            tuple.repaired_to_null(Repair::EmptyToNull);
            return Ok(());
        }
        text::check(value)?;
        check(value, self.flavor)?;
        write(value, self.flavor, tuple)
    }
}

/// Writes checked JSON as a field.
pub(super) fn write(json: &[u8], flavor: Flavor, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
    if flavor == Flavor::Json {
        return tuple.field(json);
    }
    let open = tuple.open();
    tuple.push(JSONB_VERSION);
    tuple.put(json);
    tuple.close(open)
}

/// The elements of a JSON array as pieces of its text; `None` when the value is no array. `json` has been checked.
pub(super) fn elements(json: &[u8]) -> Option<Vec<&[u8]>> {
    let inner = json.trim_ascii().strip_prefix(b"[")?.strip_suffix(b"]")?;
    let (mut elements, mut start, mut depth, mut in_string, mut escaped) =
        (Vec::new(), 0, 0_usize, false, false);
    for (at, byte) in inner.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.saturating_sub(1),
            b',' if depth == 0 => {
                elements.push(inner.get(start..at)?.trim_ascii());
                start = at + 1;
            }
            _ => {}
        }
    }
    let last = inner.get(start..)?.trim_ascii();
    if !last.is_empty() {
        elements.push(last);
    }
    Some(elements)
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{body, encoded};
    use super::*;

    const JSONB: JsonText = JsonText { flavor: Flavor::Jsonb, empty: EmptyText::Null };
    const JSON: JsonText = JsonText { flavor: Flavor::Json, empty: EmptyText::Null };

    #[test]
    fn jsonb_has_a_version_byte_and_json_has_none() {
        assert_eq!(body(&JSONB, b"{\"a\": 1}"), Ok(b"\x01{\"a\": 1}".to_vec()));
        assert_eq!(body(&JSON, b"{\"a\": 1}"), Ok(b"{\"a\": 1}".to_vec()));
    }

    #[test]
    fn the_empty_string_is_null_in_a_column_and_refused_in_a_collection() {
        assert_eq!(encoded(&JSONB, b""), Ok((vec![0xff; 4], vec![Repair::EmptyToNull])));
        let element = JsonText { flavor: Flavor::Jsonb, empty: EmptyText::Refuse };
        assert_eq!(body(&element, b""), Err(Reason::InvalidJson));
        assert_eq!(body(&JSONB, b" "), Err(Reason::InvalidJson));
    }

    #[test]
    fn text_that_no_column_takes_is_refused_first() {
        assert_eq!(body(&JSONB, b"\"\0\""), Err(Reason::NulCharacter));
        assert_eq!(body(&JSON, b"\"\xff\""), Err(Reason::InvalidUtf8));
        assert_eq!(body(&JSONB, br#""\u0000""#), Err(Reason::JsonEscape));
    }

    #[test]
    fn arrays_come_apart_at_their_own_commas() {
        let json = br#" [ {"a":[1,2]} , "x,]\",", [], null,-1.5 ] "#;
        let expected: Vec<&[u8]> = vec![br#"{"a":[1,2]}"#, br#""x,]\",""#, b"[]", b"null", b"-1.5"];
        assert_eq!(elements(json), Some(expected));
        assert_eq!(elements(b"[ ]"), Some(vec![]));
        assert_eq!(elements(b"{\"a\":1}"), None);
        assert_eq!(elements(b"\"[]\""), None);
    }
}
