//! In which forms secrets are stored, counted while they pass. Nothing of a value is kept but a keyring key's id.
//!
//! A moved estate keeps working only where the new side understands every form (FIPS mode) and holds every key by which the
//! old side encrypted, so both belong into the report.

use std::collections::BTreeMap;
use std::fmt;

use memchr::memmem;
use serde::{Deserialize, Serialize};

/// Form of a stored password, secret or token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Form {
    /// `$2a$`, `$2b$` or `$2y$`: RBAC tokens.
    Bcrypt,
    /// `$pbkdf2-...`: RBAC tokens in FIPS mode, hashed OAuth 2 client secrets.
    Pbkdf2,
    /// `$argon2...`: hashed OAuth 2 client secrets.
    Argon2,
    /// 40 hexadecimal digits: basic-auth passwords.
    Sha1,
    /// 64 hexadecimal digits: basic-auth passwords in FIPS mode.
    Sha256,
    /// A ciphertext of the keyring.
    Encrypted,
    /// Anything else: plain text, legal for OAuth 2 secrets, and for an RBAC token until its first use.
    Plain,
}

/// What a ciphertext of the keyring begins with: `$ke$1$-<key id>-<nonce>-<ciphertext>`.
const MARKER: &[u8] = b"$ke$1$-";
/// Hexadecimal digits of the nonce.
const NONCE_DIGITS: usize = 24;
/// Longest key id that is looked for.
const LONGEST_KEY_ID: usize = 64;

impl Form {
    /// The form of a stored value.
    pub fn of(value: &[u8]) -> Self {
        let hexadecimal = || value.iter().all(u8::is_ascii_hexdigit);
        match value.len() {
            _ if value.starts_with(MARKER) => Self::Encrypted,
            _ if [b"$2a$", b"$2b$", b"$2y$"].iter().any(|start| value.starts_with(*start)) => Self::Bcrypt,
            _ if value.starts_with(b"$pbkdf2-") => Self::Pbkdf2,
            _ if value.starts_with(b"$argon2") => Self::Argon2,
            40 if hexadecimal() => Self::Sha1,
            64 if hexadecimal() => Self::Sha256,
            _ => Self::Plain,
        }
    }
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Bcrypt => "bcrypt",
            Self::Pbkdf2 => "PBKDF2",
            Self::Argon2 => "argon2",
            Self::Sha1 => "SHA-1",
            Self::Sha256 => "SHA-256",
            Self::Encrypted => "keyring ciphertext",
            Self::Plain => "plain text",
        })
    }
}

/// Adds the ciphertexts in `bytes` to `counts`, by the id of their key. They may stand anywhere, also inside JSON.
pub fn count_ciphertexts(bytes: &[u8], counts: &mut BTreeMap<String, u64>) {
    for at in memmem::find_iter(bytes, MARKER) {
        let rest = bytes.get(at + MARKER.len()..).unwrap_or_default();
        if let Some(id) = key_id(rest) {
            *counts.entry(id.to_owned()).or_default() += 1;
        }
    }
}

/// The key id in front of `-<nonce>-`; an id may hold hyphens itself.
fn key_id(rest: &[u8]) -> Option<&str> {
    let end = (1..=LONGEST_KEY_ID).find(|end| {
        let Some([b'-', after @ ..]) = rest.get(*end..) else { return false };
        let (Some(nonce), Some(b'-')) = (after.get(..NONCE_DIGITS), after.get(NONCE_DIGITS)) else {
            return false;
        };
        nonce.iter().all(u8::is_ascii_hexdigit)
    })?;
    std::str::from_utf8(rest.get(..end)?).ok().filter(|id| id.chars().all(|c| c.is_ascii_graphic()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_form_is_told_by_its_shape() {
        let hex = |digits: usize| "0a".repeat(digits / 2);
        let cases = [
            ("$2b$09$abc".to_owned(), Form::Bcrypt),
            ("$pbkdf2-sha512$i=10000,l=32$x$y".to_owned(), Form::Pbkdf2),
            ("$argon2id$v=19$x".to_owned(), Form::Argon2),
            (hex(40), Form::Sha1),
            (hex(64), Form::Sha256),
            (format!("$ke$1$-k1-{}-ff", hex(24)), Form::Encrypted),
            ("handed-out-token".to_owned(), Form::Plain),
            (hex(42), Form::Plain),
            (String::new(), Form::Plain),
        ];
        for (value, form) in cases {
            assert_eq!(Form::of(value.as_bytes()), form, "{value}");
        }
    }

    #[test]
    fn ciphertexts_are_counted_by_key_wherever_they_stand() {
        let nonce = "0123456789abcdef01234567";
        let text = format!(
            "x$ke$1$-LaW1urRQ-{nonce}-ff00,{{\"a\":\"$ke$1$-LaW1urRQ-{nonce}-00\",\"b\":[\"$ke$1$-my-own-{nonce}-\"]}} \
             $ke$1$-no-nonce $ke$1$--{nonce}- $ke$1$-"
        );
        let mut counts = BTreeMap::new();
        count_ciphertexts(text.as_bytes(), &mut counts);
        assert_eq!(counts, BTreeMap::from([("LaW1urRQ".to_owned(), 2), ("my-own".to_owned(), 1)]));
    }
}
