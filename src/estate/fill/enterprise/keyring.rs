//! Encryption at rest: keys, and values encrypted under them. Estates are mixed, because the keyring was switched on late.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::estate::KongVersion;
use crate::estate::fill::credential::hex;
use crate::estate::fill::generate::{Generator, stamped};
use crate::estate::fill::row::Row;

/// Keys of the keyring; values are encrypted under the first two, the first is active.
pub(super) const KEYS: u64 = 3;

/// Where the configurations of the bundled plugins hold what is encrypted.
const LEAVES: [(&str, &str); 4] = [
    ("acme", "/account_email"),
    ("http-log", "/http_endpoint"),
    ("oauth2", "/provision_key"),
    ("session", "/secret"),
];

impl Generator {
    /// A value of an encrypted column: in an Enterprise estate every fourth is encrypted.
    pub(in crate::estate::fill) fn kept(&self, space: &str, index: u64, plain: String) -> String {
        if self.is_enterprise() && index % 4 == 1 { self.encrypted(space, index, plain.len()) } else { plain }
    }

    /// The ciphertext of `length` bytes. It looks like one; there is nothing in it.
    pub(super) fn encrypted(&self, space: &str, index: u64, length: usize) -> String {
        let mut dice = self.dice(&format!("keyring/{space}"), index);
        let key = self.key_id(dice.below(2));
        format!("$ke$1$-{key}-{}-{}", hex(&dice.bytes(12)), hex(&dice.bytes(length)))
    }

    /// The configuration of plugin `name` with its secret leaf encrypted in every other row.
    pub(in crate::estate::fill) fn kept_config(
        &self,
        space: &str,
        index: u64,
        name: &str,
        config: String,
    ) -> String {
        let leaf = LEAVES.iter().find(|(plugin, _)| *plugin == name).map(|(_, leaf)| *leaf);
        let (true, Some(leaf)) = (self.is_enterprise() && index % 2 == 1, leaf) else { return config };
        let parsed: Value = serde_json::from_str(&config).unwrap_or_default();
        let Some(Value::String(plain)) = parsed.pointer(leaf) else { return config };
        let sealed = Value::from(self.encrypted(space, index, plain.len()));
        config.replacen(&Value::from(plain.as_str()).to_string(), &sealed.to_string(), 1)
    }

    fn key_id(&self, index: u64) -> String {
        self.dice("keyring_meta", index).token(8)
    }

    /// A key as the datastore knows it: its id and state, and since 3.0 the key itself, encrypted for recovery.
    pub(super) fn keyring(&self, index: u64) -> Vec<Row> {
        let id = self.key_id(index);
        // The active key reads like the others; the table beside names it.
        let state = if index + 1 == KEYS { "tombstoned" } else { "alive" };
        let meta = Row::of("keyring_meta").text("id", &id).text("state", state);
        let mut rows = vec![stamped(meta, index)];
        if index == 0 {
            rows.push(Row::of("keyring_meta_active").text("active", "active").text("id", &id));
        }
        if self.version == KongVersion::V3_3 {
            let mut dice = self.dice("keyring_keys", index);
            let key = Row::of("keyring_keys")
                .text("id", &id)
                .text("recovery_key_id", hex(&Sha256::digest(b"recovery key")))
                .text("key_encrypted", format!("$ker$1${}", STANDARD.encode(dice.bytes(256))))
                .instant("updated_at", Self::created_at(index));
            rows.push(key.instant("created_at", Self::created_at(index)));
        }
        rows
    }
}
