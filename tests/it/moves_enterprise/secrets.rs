//! Tokens and passwords: they still open what they opened, and none of them was ever printed.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use kongferry::estate::KongVersion;
use kongferry::estate::fill::{basic_auth_password, rbac_token};
use sha1::{Digest as _, Sha1};
use sha2::{Digest as _, Sha256, Sha512};
use uuid::Uuid;

use super::{Moved, VERSIONS, moved};
use crate::support::expected::Cell;
use crate::support::keyspace::ADMIN_PASSWORD;
use crate::support::run;

/// Shorter values also stand in texts by chance.
const SHORTEST_SECRET: usize = 8;

/// Forms in which the target holds the tokens of RBAC users.
#[derive(Debug, Default, PartialEq, Eq)]
struct Forms {
    bcrypt: usize,
    pbkdf2: usize,
    plain: usize,
}

#[test]
fn rbac_tokens_still_verify() {
    run(async {
        for version in VERSIONS {
            let moved = moved(version).await;
            let mut forms = Forms::default();
            for (id, user) in moved.target.rows("rbac_users", "id").await {
                let name = user["name"].as_str().unwrap();
                let token = token_of(&id, name);
                let stored = user["user_token"].as_str().unwrap();
                let ident = user["user_token_ident"].as_str();
                if stored.starts_with("$2b$09$") {
                    forms.bcrypt += 1;
                    assert!(bcrypt::verify(&token, stored).unwrap(), "{version}: {name}");
                    assert!(!bcrypt::verify(format!("{token}!"), stored).unwrap(), "{version}: {name}");
                    assert_eq!(ident, Some(&hex(&Sha1::digest(&token))[..5]), "{version}: {name}");
                } else if stored.starts_with("$pbkdf2-") {
                    forms.pbkdf2 += 1;
                    assert!(verify_pbkdf2(&token, stored), "{version}: {name}");
                    assert_eq!(ident, Some(&hex(&Sha256::digest(&token))[..5]), "{version}: {name}");
                } else {
                    forms.plain += 1;
                    assert_eq!((stored, ident), (token.as_str(), None), "{version}: {name}");
                }
            }
            // Two of the estate's users and the administrator of the bootstrap never used theirs.
            let pbkdf2 = usize::from(version == KongVersion::V3_3);
            let others = Forms { bcrypt: forms.bcrypt, pbkdf2, plain: 3 };
            assert_eq!(forms, others, "{version}");
            assert!(forms.bcrypt > 20, "{version}: {forms:?}");
            moved.migrated.prints(&[
                "rbac_users: user_token: 3 stored as plain text",
                &format!("rbac_users: user_token: {} stored as bcrypt", forms.bcrypt),
            ]);
        }
    });
}

/// An administrator's password is that of a basic-auth credential, digested with the id of the consumer behind the administrator.
#[test]
fn passwords_of_administrators_still_verify() {
    run(async {
        for version in VERSIONS {
            let moved = moved(version).await;
            let credentials = moved.target.rows("basicauth_credentials", "id").await;
            let (mut sha1, mut sha256, mut without) = (0, 0, 0);
            for admin in moved.target.rows("admins", "id").await.values() {
                let name = admin["username"].as_str().unwrap();
                let consumer = admin["consumer_id"].as_str().unwrap();
                let own = credentials.iter().find(|(_, row)| row["consumer_id"].as_str() == Some(consumer));
                let Some((id, credential)) = own else {
                    without += 1;
                    continue;
                };
                assert_eq!(credential["username"].as_str(), Some(name), "{version}");
                let salted = format!("{}{consumer}", password_of(id, name));
                let stored = credential["password"].as_str().unwrap();
                if stored.len() == 40 {
                    sha1 += 1;
                    assert_eq!(stored, hex(&Sha1::digest(&salted)), "{version}: {name}");
                } else {
                    sha256 += 1;
                    assert_eq!(stored, hex(&Sha256::digest(&salted)), "{version}: {name}");
                }
            }
            // One was invited and has not come yet, one was made in FIPS mode.
            assert_eq!((sha1, sha256, without), (8, 1, 1), "{version}");
        }
    });
}

/// Whatever opens something is in no output of any command.
#[test]
fn no_secret_is_ever_printed() {
    run(async {
        for version in VERSIONS {
            let moved = moved(version).await;
            let secrets = secrets(moved).await;
            assert!(secrets.len() > 200, "{version}: {} secrets prove nothing", secrets.len());
            let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
            moved.migrated.keeps_quiet_about(&secrets);
            moved.again(&["verify", "--counts"]).exits(0).keeps_quiet_about(&secrets);
            // The target is not fresh any more.
            moved.again(&["plan"]).exits(3).keeps_quiet_about(&secrets);
            moved.again(&["migrate", "--dry-run"]).keeps_quiet_about(&secrets);
        }
    });
}

/// Secrets as they are stored, and those behind the stored digests.
async fn secrets(moved: &Moved) -> Vec<String> {
    let mut secrets = vec![ADMIN_PASSWORD.to_owned()];
    for (table, column) in [
        ("rbac_users", "user_token"),
        ("basicauth_credentials", "password"),
        ("consumer_reset_secrets", "secret"),
        ("keyauth_credentials", "key"),
        ("keyauth_enc_credentials", "key"),
        ("oauth2_credentials", "client_secret"),
        ("hmacauth_credentials", "secret"),
        ("jwt_secrets", "secret"),
        ("certificates", "key"),
        ("licenses", "payload"),
        ("oic_issuers", "secret"),
    ] {
        for row in moved.tables[table].rows.values() {
            if let Cell::Value(serde_json::Value::String(value)) = &row[column] {
                secrets.push(value.clone());
            }
        }
    }
    for (id, user) in moved.target.rows("rbac_users", "id").await {
        secrets.push(token_of(&id, user["name"].as_str().unwrap()));
    }
    for id in moved.target.rows("basicauth_credentials", "id").await.keys() {
        secrets.push(basic_auth_password(id.parse::<Uuid>().unwrap()));
    }
    secrets.retain(|secret| secret.len() >= SHORTEST_SECRET);
    secrets
}

fn token_of(id: &str, name: &str) -> String {
    if name == "kong_admin" { ADMIN_PASSWORD.to_owned() } else { rbac_token(id.parse().unwrap()) }
}

fn password_of(credential: &str, admin: &str) -> String {
    if admin == "kong_admin" {
        ADMIN_PASSWORD.to_owned()
    } else {
        basic_auth_password(credential.parse().unwrap())
    }
}

/// Whether a PHC string `$pbkdf2-sha512$i=<rounds>,l=<length>$<salt>$<hash>` is that of `token`.
fn verify_pbkdf2(token: &str, stored: &str) -> bool {
    let parts: Vec<&str> = stored.split('$').collect();
    let ["", "pbkdf2-sha512", "i=10000,l=32", salt, hash] = parts[..] else { return false };
    let mut digest = [0; 32];
    let salt = STANDARD_NO_PAD.decode(salt).unwrap();
    pbkdf2::pbkdf2_hmac::<Sha512>(token.as_bytes(), &salt, 10_000, &mut digest);
    STANDARD_NO_PAD.encode(digest) == hash
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
