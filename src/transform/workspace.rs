//! Workspace prefixes: what makes a text unique per workspace on Cassandra.

use super::codec::{Codec, Encode};
use super::shaped::{Reason, Repair};
use super::tuple::Tuple;
use super::uuid::is_hyphenated;

/// Bytes of a uuid's text in front of the colon.
const UUID_LENGTH: usize = 36;

/// Left by Kong 2.1.0 behind the prefix where the value was NULL.
const PLACEHOLDER: &[u8] = b"$(VALUE)";

/// The rule `strip_workspace`: Kong's own test on read is that byte 37 is a colon, and nothing else.
#[derive(Debug)]
pub(super) struct StripWorkspace {
    /// Writes what is left.
    pub text: Codec,
}

impl Encode for StripWorkspace {
    #[inline]
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        // Kong reads an empty string as NULL, and on PostgreSQL a second one would violate the unique key.
        let Some((prefix, rest)) = split_prefix(value) else {
            if value.is_empty() {
                tuple.repaired_to_null(Repair::EmptyToNull);
                return Ok(());
            }
            return self.text.encode(value, tuple);
        };
        if !is_hyphenated(prefix) {
            tuple.repaired(Repair::OddPrefix);
        }
        if rest.is_empty() {
            tuple.repaired_to_null(Repair::EmptyToNull);
            return Ok(());
        }
        if rest == PLACEHOLDER {
            tuple.repaired_to_null(Repair::PlaceholderToNull);
            return Ok(());
        }
        if split_prefix(rest).is_some_and(|(second, _)| is_hyphenated(second)) {
            tuple.repaired(Repair::DoublePrefix);
        }
        self.text.encode(rest, tuple)
    }
}

/// The 36 bytes before and all bytes behind a colon at byte 37.
#[inline]
fn split_prefix(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (prefix, rest) = value.split_at_checked(UUID_LENGTH)?;
    Some((prefix, rest.strip_prefix(b":")?))
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::encoded;
    use super::super::text::Text;
    use super::*;

    const WS: &str = "3ee332ee-02e9-4566-a322-92ed644cb41e";

    fn strip(value: &str) -> (Option<String>, Vec<Repair>) {
        let codec = StripWorkspace { text: Box::new(Text { limit: None }) };
        let (bytes, repairs) = encoded(&codec, value.as_bytes()).unwrap();
        let text = (bytes[..4] != [0xff; 4]).then(|| String::from_utf8(bytes[4..].to_vec()).unwrap());
        (text, repairs)
    }

    #[test]
    fn a_prefix_goes_once() {
        assert_eq!(strip(&format!("{WS}:user-48")), (Some("user-48".into()), vec![]));
        assert_eq!(strip(&format!("{WS}:a:b")), (Some("a:b".into()), vec![]));
        assert_eq!(strip("user-48"), (Some("user-48".into()), vec![]));
        assert_eq!(strip(WS), (Some(WS.into()), vec![]));
        let doubled = format!("{WS}:{WS}:x");
        assert_eq!(strip(&doubled), (Some(format!("{WS}:x")), vec![Repair::DoublePrefix]));
        let odd_second = format!("{WS}:{}:x", "y".repeat(36));
        assert_eq!(strip(&odd_second), (Some(format!("{}:x", "y".repeat(36))), vec![]));
    }

    #[test]
    fn byte_37_decides_and_not_character_37() {
        let odd = format!("{}:x", "ä".repeat(18));
        assert_eq!(strip(&odd), (Some("x".into()), vec![Repair::OddPrefix]));
        let characters = format!("{}:x", "ä".repeat(36));
        assert_eq!(strip(&characters), (Some(characters.clone()), vec![]));
    }

    #[test]
    fn nothing_left_is_null() {
        assert_eq!(strip(""), (None, vec![Repair::EmptyToNull]));
        assert_eq!(strip(&format!("{WS}:")), (None, vec![Repair::EmptyToNull]));
        assert_eq!(strip(&format!("{WS}:$(VALUE)")), (None, vec![Repair::PlaceholderToNull]));
        assert_eq!(strip("$(VALUE)"), (Some("$(VALUE)".into()), vec![]));
        assert_eq!(
            strip(&format!("{}:", "-".repeat(36))),
            (None, vec![Repair::OddPrefix, Repair::EmptyToNull])
        );
    }
}
