//! RBAC tokens and the digests Kong stores of them.

use bcrypt::Version;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;
use uuid::Uuid;

use crate::estate::fill::credential::hex;

/// Cost of Kong's bcrypt digests.
const COST: u32 = 9;

/// Hexadecimal digits of a token's identification.
const IDENT: usize = 5;

/// The token of a generated RBAC user, in whatever form it is stored.
pub fn rbac_token(user: Uuid) -> String {
    format!("rbac-tökén-{}", &user.simple().to_string()[..20])
}

/// What Kong looks a digested token up by: the first five hexadecimal digits of its SHA-1.
pub fn rbac_token_ident(token: &str) -> String {
    first_digits(&Sha1::digest(token))
}

/// The same of SHA-256, used in FIPS mode and for encrypted keys since 3.2.
pub(super) fn sha256_ident(token: &str) -> String {
    first_digits(&<Sha256 as sha2::Digest>::digest(token))
}

/// The bcrypt digest of a token.
pub(super) fn bcrypt_digest(token: &str, salt: [u8; 16]) -> String {
    // Fails only for a cost out of range.
    bcrypt::hash_with_salt(token, COST, salt)
        .map_or_else(|_| String::new(), |it| it.format_for_version(Version::TwoB))
}

fn first_digits(digest: &[u8]) -> String {
    let mut digits = hex(digest);
    digits.truncate(IDENT);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_verify_and_are_of_kongs_form() {
        let digest = bcrypt_digest("s3cr3t", [7; 16]);
        assert!(digest.starts_with("$2b$09$") && digest.len() == 60, "{digest}");
        assert!(bcrypt::verify("s3cr3t", &digest).unwrap());
        assert!(!bcrypt::verify("S3cr3t", &digest).unwrap());
    }

    #[test]
    fn idents_are_five_digits() {
        // SHA-1 of "abc" is a9993e36.., its SHA-256 ba7816bf..
        assert_eq!(rbac_token_ident("abc"), "a9993");
        assert_eq!(sha256_ident("abc"), "ba781");
    }
}
