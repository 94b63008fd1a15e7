//! One change at a time on the target, then one on the source: each is found, with its key and its column.

use std::collections::BTreeMap;

use kongferry::estate::{FillSpec, KongVersion};
use serde_json::{Value, json};

use super::Moved;
use crate::support::database;
use crate::support::keyspace;
use crate::support::program::kongferry;
use crate::support::run;

/// Changes of one row: table, condition for the row, assignment, columns that must be named.
const CHANGES: [(&str, &str, &str, &[&str]); 12] = [
    ("consumers", "username IS NOT NULL", "username = username || ' '", &["username"]),
    ("consumers", "custom_id IS NOT NULL", "custom_id = NULL", &["custom_id"]),
    ("consumers", "true", "created_at = created_at + interval '1 microsecond'", &["created_at"]),
    ("consumers", "tags IS NULL", "tags = '{one}'", &["tags"]),
    ("services", "true", "port = port + 1", &["port"]),
    ("services", "true", "enabled = NOT enabled", &["enabled"]),
    ("upstreams", "true", "healthchecks = jsonb_set(healthchecks, '{threshold}', '0.5')", &["healthchecks"]),
    ("plugins", "true", "config = config || '{\"one\": 1}', enabled = NOT enabled", &["config", "enabled"]),
    (
        "acls",
        "true",
        "consumer_id = (SELECT max(id::text)::uuid FROM consumers WHERE id <> consumer_id)",
        &["consumer_id"],
    ),
    ("routes", "paths IS NOT NULL", "paths = paths || '{/}'::text[]", &["paths"]),
    ("targets", "true", "weight = weight - 1", &["weight"]),
    ("keyauth_credentials", "ttl IS NOT NULL AND ttl > now() + interval '1 hour'", "ttl = NULL", &["ttl"]),
];

#[test]
fn every_kind_of_change_on_the_target_is_found_by_key_and_column() {
    run(async {
        let moved = Moved::arrive().await;
        let (target, mut expected) = (&moved.target, BTreeMap::<&str, BTreeMap<String, Vec<&str>>>::new());
        moved.run(&["verify"]).exits(0).prints(&["Both sides hold the same."]);
        for (number, (table, condition, assignment, columns)) in CHANGES.iter().enumerate() {
            // Rows that no other change of this test takes.
            let pick = format!(
                "UPDATE {table} SET {assignment} WHERE id = (SELECT id FROM {table} WHERE {condition}
                 ORDER BY md5(id::text || '{number}') LIMIT 1) RETURNING id::text"
            );
            let keys = target.texts(&pick).await;
            assert_eq!(keys.len(), 1, "{table}: no row with {condition}");
            let rows = expected.entry(table).or_default();
            let list = rows.entry(keys[0].clone()).or_default();
            list.extend_from_slice(columns);
        }
        let report = moved.run(&["verify", "--json", "--quiet"]);
        let found: Value = serde_json::from_str(&report.exits(6).stdout).unwrap();
        for found in found["tables"].as_array().unwrap() {
            let table = found["table"].as_str().unwrap();
            let rows = expected.remove(table).unwrap_or_default();
            let mut rows: Vec<Value> = rows
                .into_iter()
                .map(|(key, columns)| json!({ "key": key, "columns": sorted(columns) }))
                .collect();
            rows.sort_by_key(|row| row["key"].as_str().map(ToOwned::to_owned));
            let mut named = found["different"]["rows"].clone();
            for row in named.as_array_mut().unwrap() {
                row["columns"]
                    .as_array_mut()
                    .unwrap()
                    .sort_by_key(|name| name.as_str().map(ToOwned::to_owned));
            }
            assert_eq!(named, Value::from(rows), "{table}: {}", report.transcript());
            assert_eq!((&found["missing"]["count"], &found["extra"]["count"]), (&json!(0), &json!(0)));
        }
        assert!(expected.is_empty(), "nothing is said of {expected:?}");
        moved.target.remove().await;
    });
}

fn sorted(mut names: Vec<&str>) -> Vec<&str> {
    names.sort_unstable();
    names
}

#[test]
fn swapped_values_lost_and_extra_rows_and_shifted_expiry_are_found() {
    run(async {
        let moved = Moved::arrive().await;
        let target = &moved.target;

        // Two rows exchange a value: sums of columns would be the same.
        let pair = target
            .texts("SELECT id::text FROM hmacauth_credentials WHERE secret IS NOT NULL ORDER BY id LIMIT 2")
            .await;
        let swap = format!(
            "UPDATE hmacauth_credentials a SET secret = b.secret FROM hmacauth_credentials b
             WHERE a.id IN ('{0}', '{1}') AND b.id IN ('{0}', '{1}') AND a.id <> b.id",
            pair[0], pair[1]
        );
        target.execute(&swap).await;
        let found = moved.verify("hmacauth_credentials", 6);
        let expected: Vec<Value> =
            pair.iter().map(|key| json!({ "key": key, "columns": ["secret"] })).collect();
        assert_eq!(found["different"]["rows"], Value::from(expected));
        target.execute(&swap).await;

        // A lifetime that is a minute longer; one within the tolerance is the same.
        let long = "ttl > now() + interval '1 hour'";
        let pick = |by: &str| {
            format!(
                "UPDATE keyauth_credentials SET ttl = ttl + interval '{by}' WHERE id =
                 (SELECT id FROM keyauth_credentials WHERE {long} ORDER BY id::text LIMIT 1) RETURNING id::text"
            )
        };
        target.texts(&pick("2 seconds")).await;
        moved.verify("keyauth_credentials", 0);
        let key = target.texts(&pick("1 minute")).await;
        let found = moved.verify("keyauth_credentials", 6);
        let row = &found["different"]["rows"][0];
        assert_eq!((&row["key"], &row["columns"]), (&json!(key[0]), &json!(["ttl"])));
        let later = row["expires_later"].as_i64().unwrap();
        assert!((57..=67).contains(&later), "{later} seconds");
        moved.run(&["verify", "--expiry-tolerance", "120"]).exits(0);
        target.texts(&pick("-62 seconds")).await;

        // Rows that expired on one side meanwhile are no difference.
        target
            .execute(&format!(
                "INSERT INTO keyauth_credentials (id, key, ttl, ws_id)
                 SELECT md5(id::text)::uuid, 'expired already', now() - interval '1 minute', ws_id FROM keyauth_credentials
                 WHERE {long} LIMIT 1"
            ))
            .await;
        moved.verify("keyauth_credentials", 0);

        // One row gone, another there that nobody sent: as many as before.
        let gone = target.texts("DELETE FROM jwt_secrets WHERE id = (SELECT id FROM jwt_secrets ORDER BY id LIMIT 1) RETURNING id::text").await;
        target.execute("INSERT INTO jwt_secrets (id, secret) VALUES ('11111111-1111-4111-8111-111111111111', 'a secret of ours')").await;
        let found = moved.verify("jwt_secrets", 6);
        assert_eq!(found["missing"], json!({ "count": 1, "rows": gone }));
        assert_eq!(found["extra"], json!({ "count": 1, "rows": ["11111111-1111-4111-8111-111111111111"] }));
        let text = moved.run(&["verify"]);
        text.exits(6).prints(&["missing on the target", &gone[0], "only on the target"]);
        text.keeps_quiet_about(&["a secret of ours"]);
        moved.target.remove().await;
    });
}

/// The server's own text for the same value, another order of a set, an empty collection where there was none.
#[test]
fn what_is_equal_by_value_is_no_difference() {
    run(async {
        let moved = Moved::arrive().await;
        let target = &moved.target;
        let tagged = target.count("consumers").await;
        target
            .execute(
                "UPDATE consumers SET tags = (SELECT array_agg(tag ORDER BY tag DESC) FROM unnest(tags) tag) WHERE tags IS NOT NULL;
                 UPDATE consumers SET tags = '{}' WHERE tags IS NULL;
                 ALTER TABLE plugins ALTER config TYPE json USING config::json;
                 UPDATE plugins SET config = (SELECT json_object_agg(key, value ORDER BY key DESC) FROM json_each(config))
                     WHERE config::text <> '{}';
                 ALTER TABLE plugins ALTER config TYPE jsonb USING config::jsonb",
            )
            .await;
        assert!(tagged > 0);
        moved.run(&["verify"]).exits(0);
        // Order counts in a list.
        let key = target
            .texts(
                "UPDATE routes SET paths = (SELECT array_agg(path ORDER BY place DESC) FROM unnest(paths) WITH ORDINALITY p (path, place))
                 WHERE id = (SELECT id FROM routes WHERE cardinality(paths) > 1 AND paths[1] <> paths[2] LIMIT 1) RETURNING id::text",
            )
            .await;
        if !key.is_empty() {
            moved.run(&["verify"]).exits(6).prints(&[&key[0], "paths"]);
        }
        moved.target.remove().await;
    });
}

#[test]
fn rows_in_quarantine_are_accounted_for() {
    run(async {
        let moved = Moved::arrive().await;
        let target = &moved.target;
        let gone = target
            .texts("DELETE FROM jwt_secrets WHERE id = (SELECT id FROM jwt_secrets ORDER BY id LIMIT 1) RETURNING id::text")
            .await;
        moved.verify("jwt_secrets", 6);
        target
            .execute(&format!(
                "INSERT INTO kongferry.quarantine (run, table_name, key, class, rule, reason)
                 SELECT id, 'jwt_secrets', '{}', 'orphan', 'a key', 'taken out by hand' FROM kongferry.run",
                gone[0]
            ))
            .await;
        let found = moved.verify("jwt_secrets", 5);
        assert_eq!(found["quarantined"], 1);
        moved.run(&["verify"]).exits(5).prints(&["jwt_secrets: 1 row left out: in quarantine"]);
        // One that came back, as somebody else loaded it, is one too many.
        target.execute(&format!("INSERT INTO jwt_secrets (id) VALUES ('{}')", gone[0])).await;
        assert_eq!(moved.verify("jwt_secrets", 6)["extra"]["rows"][0], gone[0].as_str());
        moved.target.remove().await;
    });
}

#[test]
fn changes_on_the_source_are_found() {
    run(async {
        let size = FillSpec { consumers: 100, ..FillSpec::default() };
        let source = keyspace::filled_with("5.0", KongVersion::V2_8, size).await;
        let target = database::fresh("9.6", KongVersion::V2_8).await;
        let urls = ["--source", &source.url(), "--target", &target.url()];
        let program = |command: &[&str]| kongferry(&[command, &urls].concat());
        program(&["migrate"]).exits(0);
        program(&["verify"]).exits(0);

        let key = target
            .texts("SELECT id::text FROM consumers WHERE custom_id IS NOT NULL ORDER BY id LIMIT 2")
            .await;
        // Kong writes ws_id with every update.
        let workspace = source.default_workspace;
        let statement = format!(
            "UPDATE {{ks}}.consumers SET custom_id = 'another', ws_id = {workspace} WHERE id = {}",
            key[0]
        );
        source.execute(&statement, ()).await;
        source.execute(&format!("DELETE FROM {{ks}}.consumers WHERE id = {}", key[1]), ()).await;
        let changed = program(&["verify"]);
        changed.exits(6).prints(&[&format!("different              {}: custom_id", key[0])]);
        changed
            .prints(&["consumers: 1 row written on the source after the copy began", "leave no write time"]);
        changed.prints(&[&format!("only on the target     {}", key[1])]).keeps_quiet_about(&["another"]);
        program(&["verify", "--tables", "services,routes"]).exits(0);
        target.remove().await;
    });
}
