//! Primary keys as text, for messages.

use crate::source::CqlType;

use super::collection_json::hex;
use super::inet;
use super::integer::{Width, decimal_text};
use super::timestamp;
use super::tuple::fixed_size;

/// Most characters of a text in a message.
const SHOWN: usize = 64;

/// One key value as text: uuids hyphenated, text quoted and cut after 64 characters, everything that is not readable as
/// hexadecimal digits.
pub(super) fn key_text(ty: &CqlType, value: Option<&[u8]>) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    let text = match ty {
        CqlType::Text | CqlType::Ascii => return quoted(value),
        CqlType::Uuid | CqlType::Timeuuid => {
            fixed_size(value).ok().flatten().map(|bytes| ::uuid::Uuid::from_bytes(bytes).to_string())
        }
        CqlType::Timestamp => {
            fixed_size(value).ok().flatten().map(|bytes| timestamp::iso(i64::from_be_bytes(bytes)))
        }
        CqlType::Inet => inet::address(value).ok().flatten().map(|address| address.to_string()),
        CqlType::Boolean => fixed_size::<1>(value).ok().flatten().map(|[byte]| (byte != 0).to_string()),
        other => Width::of(other).and_then(|width| decimal_text(width, value).ok().flatten()),
    };
    text.unwrap_or_else(|| hex(value.get(..SHOWN / 2).unwrap_or(value)))
}

/// A value as text, whole where it is text: for the eyes of somebody who asked for it.
pub fn readable(ty: &CqlType, value: Option<&[u8]>) -> String {
    match (ty, value) {
        (CqlType::Text | CqlType::Ascii, Some(value)) => match std::str::from_utf8(value) {
            Ok(text) => text.escape_debug().to_string(),
            Err(_) => hex(value),
        },
        (
            CqlType::List(_)
            | CqlType::Set(_)
            | CqlType::Map(..)
            | CqlType::Tuple(_)
            | CqlType::Udt { .. }
            | CqlType::Blob,
            Some(value),
        ) => hex(value),
        _ => key_text(ty, value),
    }
}

/// Text in quotes, cut after 64 characters.
pub fn quoted(value: &[u8]) -> String {
    // Four bytes at most to a character.
    let head = String::from_utf8_lossy(value.get(..SHOWN * 4).unwrap_or(value));
    let shown: String = head.chars().take(SHOWN).collect();
    let cut = if shown.len() < value.len() { "..." } else { "" };
    format!("\"{}{cut}\"", shown.escape_debug())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_readable() {
        assert_eq!(key_text(&CqlType::Uuid, Some(&[0x11; 16])), "11111111-1111-1111-1111-111111111111");
        assert_eq!(key_text(&CqlType::Text, Some("a\"\n\0ü".as_bytes())), r#""a\"\n\0ü""#);
        assert_eq!(key_text(&CqlType::Int, Some(&(-5_i32).to_be_bytes())), "-5");
        assert_eq!(key_text(&CqlType::Timestamp, Some(&[0; 8])), "1970-01-01T00:00:00.000Z");
        assert_eq!(key_text(&CqlType::Blob, Some(&[0xca, 0xfe])), "0xcafe");
        assert_eq!(key_text(&CqlType::Uuid, Some(&[1, 2])), "0x0102");
        assert_eq!(key_text(&CqlType::Uuid, None), "NULL");
    }

    #[test]
    fn long_text_is_cut_and_never_fails() {
        let long = "ü".repeat(500);
        assert_eq!(key_text(&CqlType::Text, Some(long.as_bytes())), format!("\"{}...\"", "ü".repeat(64)));
        assert_eq!(key_text(&CqlType::Text, Some(b"\xff")), "\"\u{fffd}\"");
        let _ = key_text(&CqlType::Timestamp, Some(&i64::MIN.to_be_bytes()));
        let _ = key_text(&CqlType::Timestamp, Some(&i64::MAX.to_be_bytes()));
    }
}
