//! Credentials with the hashes Kong stores, and the secrets behind them.
//!
//! A secret is a function of the credential's id, so whoever reads a credential anywhere can check it.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use pbkdf2::pbkdf2_hmac;
use sha1::{Digest as _, Sha1};
use sha2::Sha512;
use uuid::Uuid;

use super::dice::Dice;

/// Rounds of PBKDF2 in Kong's hashed client secrets.
const ROUNDS: u32 = 10_000;

/// The password of a generated basic-auth credential.
pub fn basic_auth_password(credential: Uuid) -> String {
    format!("Pässword-{}", &credential.simple().to_string()[..12])
}

/// What Kong stores of a basic-auth password: hex SHA-1 of the password followed by the consumer's id.
pub fn basic_auth_hash(password: &str, consumer: Uuid) -> String {
    hex(&Sha1::new().chain_update(password).chain_update(consumer.to_string()).finalize())
}

/// The client secret of a generated OAuth 2.0 credential.
pub fn oauth2_client_secret(credential: Uuid) -> String {
    format!("cs-{}", credential.simple())
}

/// What Kong stores of a client secret when `hash_secret` is set: a PHC string of PBKDF2 with SHA-512.
pub fn oauth2_client_secret_hash(client_secret: &str, salt: &[u8]) -> String {
    let mut hash = [0; 32];
    pbkdf2_hmac::<Sha512>(client_secret.as_bytes(), salt, ROUNDS, &mut hash);
    format!(
        "$pbkdf2-sha512$i={ROUNDS},l={}${}${}",
        hash.len(),
        STANDARD_NO_PAD.encode(salt),
        STANDARD_NO_PAD.encode(hash)
    )
}

/// Lower-case hexadecimal.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// A PEM block of `length` random bytes that begins like DER. It parses as PEM; there is no key in it.
pub(super) fn pem(label: &str, length: usize, dice: &mut Dice) -> String {
    let mut der = vec![0x30, 0x82];
    der.extend_from_slice(&u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
    der.extend(dice.bytes(length));
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, tail) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = tail;
    }
    let _ = writeln!(text, "-----END {label}-----");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONSUMER: Uuid = uuid::uuid!("8f14e45f-ceea-467f-a9be-7b1d5f3c2a10");

    #[test]
    fn basic_auth_hashes_are_kongs() {
        assert_eq!(basic_auth_hash("s3cr3t-Pässword", CONSUMER), "0e63984c3fe7d5efc0757074471c3983b1834327");
        assert_eq!(basic_auth_hash("", CONSUMER), "e30897dd0f00113ebd485ed9acdf215917f41cc9");
    }

    #[test]
    fn client_secret_hashes_are_phc_strings() {
        let phc = oauth2_client_secret_hash("secret", b"0123456789abcdef");
        let parts: Vec<&str> = phc.split('$').collect();
        assert_eq!(parts[..3], ["", "pbkdf2-sha512", "i=10000,l=32"]);
        assert_eq!(STANDARD_NO_PAD.decode(parts[3]).unwrap(), b"0123456789abcdef");
        assert_eq!(STANDARD_NO_PAD.decode(parts[4]).unwrap().len(), 32);
        assert_ne!(phc, oauth2_client_secret_hash("Secret", b"0123456789abcdef"));
    }

    #[test]
    fn pem_lines_are_64_wide() {
        let text = pem("CERTIFICATE", 700, &mut Dice::of(1, "pem", 0));
        assert!(text.starts_with("-----BEGIN CERTIFICATE-----\nMII"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 64) && text.ends_with("-----END CERTIFICATE-----\n"));
    }
}
