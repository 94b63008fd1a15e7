//! text and ascii to text and varchar.

use super::codec::Encode;
use super::shaped::Reason;
use super::tuple::Tuple;

/// text, ascii -> text, varchar: copied once it is known to be text `PostgreSQL` can hold.
#[derive(Debug)]
pub(super) struct Text {
    /// Most characters the column takes.
    pub limit: Option<u32>,
}

impl Encode for Text {
    #[inline]
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        check(value)?;
        write(value, self.limit, tuple)
    }
}

/// Whether `PostgreSQL` takes `value` as UTF-8 text: it refuses U+0000, which Cassandra stores.
#[inline]
pub(super) fn check(value: &[u8]) -> Result<(), Reason> {
    if is_plain_ascii(value) { Ok(()) } else { check_slowly(value) }
}

/// ASCII without U+0000: nearly every text of a Kong table.
#[inline]
fn is_plain_ascii(value: &[u8]) -> bool {
    // Without an early exit the loop becomes vector code: 0x01..=0x7f are the bytes that stay below 0x7f when lowered by one.
    let (chunks, rest) = value.as_chunks::<16>();
    chunks.iter().all(|chunk| chunk.iter().fold(true, |plain, byte| plain & (byte.wrapping_sub(1) < 0x7f)))
        && rest.iter().fold(true, |plain, byte| plain & (byte.wrapping_sub(1) < 0x7f))
}

#[cold]
fn check_slowly(value: &[u8]) -> Result<(), Reason> {
    if std::str::from_utf8(value).is_err() {
        Err(Reason::InvalidUtf8)
    } else if value.contains(&0) {
        Err(Reason::NulCharacter)
    } else {
        Ok(())
    }
}

/// Writes UTF-8 text as a field unless it has more than `limit` characters.
#[inline]
pub(super) fn write(text: &[u8], limit: Option<u32>, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
    if let Some(limit) = limit
        && text.len() > usize::try_from(limit).unwrap_or(usize::MAX)
        && characters(text) > u64::from(limit)
    {
        return Err(Reason::TooLong);
    }
    tuple.field(text)
}

/// Characters of UTF-8 text: its bytes but for the continuation bytes.
fn characters(text: &[u8]) -> u64 {
    text.iter().map(|byte| u64::from(byte & 0xc0 != 0x80)).sum()
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::body;
    use super::*;

    const ANY: Text = Text { limit: None };

    #[test]
    fn text_is_copied() {
        for text in
            ["", "a", "ein längerer Text mit Umlauten: äöü ß 漢字 🦀", "sixteen bytes ok", "\u{1}\u{7f}"]
        {
            assert_eq!(body(&ANY, text.as_bytes()), Ok(text.as_bytes().to_vec()));
        }
    }

    #[test]
    fn nul_is_refused_wherever_it_stands() {
        for at in 0..40 {
            let mut text = [b'x'; 40];
            text[at] = 0;
            assert_eq!(body(&ANY, &text), Err(Reason::NulCharacter), "at {at}");
        }
        assert_eq!(body(&ANY, "ä\0".as_bytes()), Err(Reason::NulCharacter));
    }

    #[test]
    fn invalid_utf8_is_refused() {
        for bytes in [
            &b"\xff"[..],
            b"\xc3",
            b"\xed\xa0\x80",
            b"\xc0\x80",
            b"\xf4\x90\x80\x80",
            b"0123456789abcdef\x80",
        ] {
            assert_eq!(body(&ANY, bytes), Err(Reason::InvalidUtf8));
        }
    }

    #[test]
    fn the_limit_counts_characters() {
        let four = Text { limit: Some(4) };
        assert_eq!(body(&four, "äöüß".as_bytes()), Ok("äöüß".as_bytes().to_vec()));
        assert_eq!(body(&four, "äöüßx".as_bytes()), Err(Reason::TooLong));
        assert_eq!(body(&four, b"abcd "), Err(Reason::TooLong));
    }
}
