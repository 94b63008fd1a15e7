//! What has to be said about Kong Enterprise's keyring: which key material the new side needs, and what happens without it.
//!
//! Ciphertexts are bound to a key, not to a row or database, so they are copied as they are. The keys themselves live in the
//! memory of the old nodes; new nodes get them from peers through their own database, never through the other one.

use std::collections::{BTreeMap, BTreeSet};

use super::totals::TableTotals;
use crate::error::Result;
use crate::report::table::grouped;
use crate::source::{Source, kong};

/// The keyring as the source's tables describe it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Keyring {
    /// Ids in `keyring_meta`.
    pub keys: BTreeSet<String>,
    /// Ids in `keyring_meta_active`: none or one.
    pub active: Vec<String>,
    /// Whether `keyring_keys` holds keys under a recovery key.
    pub recoverable: bool,
}

impl Keyring {
    /// Reads the source's keyring tables; empty for the open-source Gateway.
    pub async fn read(source: &dyn Source) -> Result<Self> {
        const META: &str = "keyring_meta";
        if !source.catalog().tables.contains_key(META) {
            return Ok(Self::default());
        }
        let rows = kong::read_table(source, META, &["id"]).await?;
        let keys =
            rows.iter().flatten().flatten().map(|id| String::from_utf8_lossy(id).into_owned()).collect();
        Ok(Self {
            keys,
            active: kong::active_keys(source).await?,
            recoverable: kong::holds_rows(source, "keyring_keys").await?,
        })
    }

    /// What the user must know before the run; nothing without a keyring.
    pub fn advice(&self) -> Option<String> {
        if self.keys.is_empty() {
            return None;
        }
        let keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        let active = self.active.first().map_or_else(String::new, |id| format!(", active {id}"));
        Some(format!(
            "the source encrypts with a keyring (keys {}{active}). Ciphertexts are copied as they are; the keys are not in the \
             database. Before the old Gateway stops, export them there with POST /keyring/export and import them on the new \
             one with POST /keyring/import{}. Without them, and with keyring_enabled set as on the old side, certificates, \
             passwords and plugin secrets stay unreadable and nothing tells clients why",
            keys.join(", "),
            if self.recoverable {
                ", or recover them with the private recovery key (POST /keyring/recover)"
            } else {
                ""
            }
        ))
    }

    /// Ciphertexts that were carried, by key, and keys that nobody knows.
    pub fn summary(&self, totals: &[TableTotals]) -> Vec<String> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, values) in totals.iter().flat_map(|totals| &totals.ciphertexts) {
            *counts.entry(key).or_default() += values;
        }
        let mut lines: Vec<String> = counts
            .iter()
            .map(|(key, values)| {
                let known = if self.keys.contains(*key) {
                    "import it on the new side"
                } else {
                    "NOT in keyring_meta: find out where this key is kept, or these values are lost"
                };
                format!("keyring: {} ciphertexts of key {key}: {known}", grouped(*values))
            })
            .collect();
        if lines.is_empty() && !self.keys.is_empty() {
            lines.push("keyring: keys exist, but no ciphertext was found".to_owned());
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_keys_are_named_and_no_keyring_says_nothing() {
        let keyring = Keyring { keys: BTreeSet::from(["k1".to_owned()]), ..Keyring::default() };
        let mut totals = TableTotals::default();
        totals.ciphertexts.insert("k1".to_owned(), 1_200);
        totals.ciphertexts.insert("k2".to_owned(), 1);
        let lines = keyring.summary(&[totals.clone(), totals]);
        assert!(lines[0].contains("2,400 ciphertexts of key k1: import"), "{lines:?}");
        assert!(lines[1].contains("NOT in keyring_meta"), "{lines:?}");
        assert_eq!(Keyring::default().advice(), None);
        assert_eq!(Keyring::default().summary(&[]), Vec::<String>::new());
        assert!(keyring.advice().is_some_and(|text| text.contains("/keyring/export")));
    }
}
