//! Keyring: what the user is told about keys that no copy can carry.

use std::collections::{BTreeMap, BTreeSet};

use kongferry::estate::KongVersion;
use serde_json::Value;

use super::{VERSIONS, moved};
use crate::support::database;
use crate::support::expected::Cell;
use crate::support::keyspace;
use crate::support::program::kongferry;
use crate::support::run;

#[test]
fn the_plan_advises_to_carry_the_keys() {
    run(async {
        for version in VERSIONS {
            let source = keyspace::enterprise(version).await;
            let target = database::fresh_enterprise("16", version, None).await;
            let before = target.content().await;
            let plan = kongferry(&["plan", "--source", &source.url(), "--target", &target.url()]);
            plan.exits(0).complains_of(&["POST /keyring/export", "POST /keyring/import", "stay unreadable"]);
            // Kong before 3.0 has no such tables.
            assert_eq!(plan.stderr.contains("/keyring/recover"), version == KongVersion::V3_3);
            let keys = source.rows("SELECT id FROM {ks}.keyring_meta").await;
            let active = source.rows("SELECT id FROM {ks}.keyring_meta_active").await;
            let id = |row: &BTreeMap<String, Option<scylla::value::CqlValue>>| {
                row["id"].as_ref().unwrap().as_text().unwrap().clone()
            };
            for key in &keys {
                plan.complains_of(&[&id(key)]);
            }
            plan.complains_of(&[&format!("active {}", id(&active[0]))]);
            assert_eq!(before, target.content().await);
            target.remove().await;
        }
    });
}

/// Ciphertexts are counted by key, wherever they stand, and the one active key says so on the target.
#[test]
fn ciphertexts_are_counted_by_key() {
    run(async {
        for version in VERSIONS {
            let moved = moved(version).await;
            let keys: BTreeSet<&String> = moved.tables["keyring_meta"].rows.keys().collect();
            let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
            let mut columns = BTreeSet::new();
            for (table, expected) in &moved.tables {
                for (column, cell) in expected.rows.values().flatten() {
                    for key in &keys {
                        let Cell::Value(value) = cell else { continue };
                        let ciphertexts = occurrences(value, &format!("$ke$1$-{key}-"));
                        if ciphertexts > 0 {
                            *counts.entry(key).or_default() += ciphertexts;
                            columns.insert(format!("{table}.{column}"));
                        }
                    }
                }
            }
            let told: BTreeMap<String, usize> = moved
                .migrated
                .stdout
                .lines()
                .filter_map(|line| {
                    let (count, rest) =
                        line.trim().strip_prefix("keyring: ")?.split_once(" ciphertexts of key ")?;
                    let (key, advice) = rest.split_once(": ")?;
                    assert_eq!(advice, "import it on the new side", "{line}");
                    Some((key.to_owned(), count.replace(',', "").parse().ok()?))
                })
                .collect();
            let counts: BTreeMap<String, usize> =
                counts.into_iter().map(|(key, count)| (key.to_owned(), count)).collect();
            assert_eq!(told, counts, "{}", moved.migrated.transcript());
            assert!(counts.len() > 1, "{version}: one key proves nothing");
            for column in [
                "plugins.config",
                "keyauth_enc_credentials.key",
                "basicauth_credentials.password",
                "certificates.key",
                "oic_issuers.secret",
            ] {
                assert!(
                    columns.contains(column),
                    "{version}: no ciphertext in {column}, only in {columns:?}"
                );
            }
            let states = "SELECT state FROM keyring_meta ORDER BY state";
            assert_eq!(
                moved.target.texts(states).await,
                ["active", "alive", "alive", "alive", "tombstoned"],
                "{version}"
            );
        }
    });
}

fn occurrences(value: &Value, marker: &str) -> usize {
    match value {
        Value::String(text) => text.matches(marker).count(),
        Value::Array(items) => items.iter().map(|item| occurrences(item, marker)).sum(),
        Value::Object(fields) => fields.values().map(|field| occurrences(field, marker)).sum(),
        _ => 0,
    }
}
