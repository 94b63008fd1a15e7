//! uuid and timeuuid: sixteen bytes on both sides, or their text.

use ::uuid::fmt::Hyphenated;

use super::codec::Encode;
use super::shaped::{Reason, Repair};
use super::text;
use super::tuple::{Tuple, fixed_size};

/// uuid, timeuuid -> uuid: copied.
#[derive(Debug)]
pub(super) struct Uuid;

impl Encode for Uuid {
    #[inline]
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        match fixed_size::<16>(value)? {
            Some(bytes) => tuple.fixed(bytes),
            None => tuple.repaired_to_null(Repair::ZeroLength),
        }
        Ok(())
    }
}

/// text -> uuid: the hyphenated form, in either case. Kong writes no other.
#[derive(Debug)]
pub(super) struct TextToUuid;

impl Encode for TextToUuid {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if !is_hyphenated(value) {
            return Err(Reason::InvalidUuid);
        }
        let uuid = ::uuid::Uuid::try_parse_ascii(value).map_err(|_| Reason::InvalidUuid)?;
        tuple.fixed(uuid.into_bytes());
        Ok(())
    }
}

/// uuid, timeuuid -> text: hyphenated, lower case.
#[derive(Debug)]
pub(super) struct UuidToText {
    /// Most characters the column takes.
    pub limit: Option<u32>,
}

impl Encode for UuidToText {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let Some(bytes) = fixed_size::<16>(value)? else {
            tuple.repaired_to_null(Repair::ZeroLength);
            return Ok(());
        };
        let mut buffer = [0; Hyphenated::LENGTH];
        let hyphenated = ::uuid::Uuid::from_bytes(bytes).hyphenated();
        text::write(hyphenated.encode_lower(&mut buffer).as_bytes(), self.limit, tuple)
    }
}

/// Whether `bytes` are the 36 characters of a hyphenated uuid.
#[inline]
pub(super) fn is_hyphenated(bytes: &[u8]) -> bool {
    let Ok(bytes) = <&[u8; 36]>::try_from(bytes) else { return false };
    // Counting without an early exit becomes vector code; four hyphens in place leave 32 digits.
    let is_digit = |byte: u8| byte.wrapping_sub(b'0') < 10 || (byte | 0x20).wrapping_sub(b'a') < 6;
    let digits = bytes.iter().fold(0_u8, |digits, byte| digits + u8::from(is_digit(*byte)));
    digits == 32 && [bytes[8], bytes[13], bytes[18], bytes[23]] == [b'-'; 4]
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body};
    use super::*;

    const BYTES: [u8; 16] =
        [0x8f, 0x14, 0xe4, 0x5f, 0xce, 0xea, 0x46, 0x7f, 0xa9, 0xbe, 0x7b, 0x1d, 0x5f, 0x3c, 0x2a, 0x10];
    const TEXT: &[u8] = b"8f14e45f-ceea-467f-a9be-7b1d5f3c2a10";

    #[test]
    fn bytes_are_copied() {
        assert_eq!(body(&Uuid, &BYTES), Ok(BYTES.to_vec()));
        assert_eq!(body(&Uuid, &BYTES[..15]), Err(Reason::Malformed));
        assert_zero_length_is_null(&Uuid);
    }

    #[test]
    fn text_and_bytes_convert_both_ways() {
        assert_eq!(body(&TextToUuid, TEXT), Ok(BYTES.to_vec()));
        assert_eq!(body(&TextToUuid, &TEXT.to_ascii_uppercase()), Ok(BYTES.to_vec()));
        assert_eq!(body(&UuidToText { limit: None }, &BYTES), Ok(TEXT.to_vec()));
        assert_eq!(body(&UuidToText { limit: Some(35) }, &BYTES), Err(Reason::TooLong));
    }

    #[test]
    fn other_text_is_no_uuid() {
        for text in [
            &b""[..],
            b"8f14e45fceea467fa9be7b1d5f3c2a10",
            b"8f14e45f-ceea-467f-a9be-7b1d5f3c2a1",
            b"8f14e45f-ceea-467f-a9be-7b1d5f3c2a1g",
            b"{8f14e45f-ceea-467f-a9be-7b1d5f3c2a10}",
            b"8f14e45f-ceea-467f-a9be-7b1d5f3c2a10 ",
            b"8f14e45fc-eea-467f-a9be-7b1d5f3c2a10",
            b"8f14e45f-ceea-467f-a9be-7b1d-f3c2a10",
            b"8f14e45f-ceea-467f-a9be-7b1d5f3c2a1@",
        ] {
            assert_eq!(body(&TextToUuid, text), Err(Reason::InvalidUuid));
        }
    }
}
