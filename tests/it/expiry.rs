//! What expires on Cassandra expires on PostgreSQL at the same instant; remnants of what has expired stay behind.

use kongferry::estate::KongVersion;
use serde_json::json;
use uuid::Uuid;

use crate::support::expected::{micros, seconds_now};
use crate::support::program::kongferry;
use crate::support::{database, keyspace, pairs, run};

const DAY: i32 = 86_400;

#[test]
fn a_key_expires_when_it_would_have() {
    run(async {
        for pair in pairs(KongVersion::V2_8) {
            let source = keyspace::empty(pair.cassandra, pair.kong, "expiry", None).await;
            let target = database::fresh(pair.postgres, pair.kong).await;
            let (workspace, consumer) = (source.default_workspace.to_string(), Uuid::new_v4().to_string());
            source.insert("consumers", &json!({ "id": consumer, "ws_id": workspace }), None).await;
            let insert = async |ttl: Option<i32>| {
                let id = Uuid::new_v4();
                let row = json!({
                    "id": id.to_string(), "ws_id": workspace, "consumer_id": consumer, "key": format!("{workspace}:key of {id}"),
                    "created_at": "2026-01-02T03:04:05.000Z",
                });
                source.insert("keyauth_credentials", &row, ttl).await;
                id
            };
            let rewrite_key = async |id: Uuid, ttl: i32| {
                let key = format!("{workspace}:rewritten {id}");
                let statement =
                    format!("UPDATE {{ks}}.keyauth_credentials USING TTL {ttl} SET key = ? WHERE id = ?");
                source.execute(&statement, (key, id)).await;
            };

            let inserted = seconds_now();
            let monthly = insert(Some(30 * DAY)).await;
            let forever = insert(None).await;
            // Cells of one row can differ after a partial update; the row is gone when the first required one is.
            let shortened = insert(Some(30 * DAY)).await;
            rewrite_key(shortened, 10 * DAY).await;
            let lengthened = insert(Some(30 * DAY)).await;
            rewrite_key(lengthened, 60 * DAY).await;
            let limited = insert(None).await;
            rewrite_key(limited, 5 * DAY).await;
            // What is left when the cells with a TTL have expired.
            for remnant in [insert(None).await, insert(None).await] {
                let statement =
                    "DELETE key, consumer_id, created_at FROM {ks}.keyauth_credentials WHERE id = ?";
                source.execute(statement, (remnant,)).await;
            }
            let written = seconds_now();

            let migrated = kongferry(&["migrate", "--source", &source.url(), "--target", &target.url()]);
            migrated.exits(0);
            assert_eq!(migrated.counts("keyauth_credentials"), [7, 2, 5, 5], "{}", migrated.transcript());
            migrated
                .prints(&["keyauth_credentials: 2 rows skipped", "keyauth_credentials: 2 values normalised"]);

            let rows = target.rows("keyauth_credentials", "id").await;
            assert_eq!(rows.len(), 5);
            let expires =
                |id: Uuid| rows[&id.to_string()]["ttl"].as_str().map(|text| micros(text) / 1_000_000);
            assert_eq!(expires(forever), None, "{pair:?}: a key without TTL expires");
            for (what, id, days) in [
                ("30 days", monthly, 30),
                ("30 days, its key 10", shortened, 10),
                ("30 days, its key 60", lengthened, 30),
                ("forever, its key 5 days", limited, 5),
            ] {
                let expected = inserted + i64::from(days * DAY) - 2..=written + i64::from(days * DAY) + 2;
                let found =
                    expires(id).unwrap_or_else(|| panic!("{pair:?}: a key of {what} does not expire"));
                assert!(
                    expected.contains(&found),
                    "{pair:?}: a key of {what} expires at {found}, not in {expected:?}"
                );
            }
            target.remove().await;
        }
    });
}
