//! Counting, and who else is connected.

use std::collections::BTreeMap;

use kongferry::target::count::{AliveAfter, count, count_all};
use kongferry::target::sessions::other_sessions;

use crate::target_database::{Database, VERSIONS};

const SCHEMA: &str = r#"
    CREATE TABLE "keys" (id integer, "ttl" timestamptz);
    INSERT INTO "keys" SELECT n, NULL FROM generate_series(1, 10) n;
    INSERT INTO "keys" SELECT n, to_timestamp(1000) FROM generate_series(1, 5) n;
    INSERT INTO "keys" SELECT n, to_timestamp(2000) FROM generate_series(1, 3) n;
    CREATE TABLE sessions (id integer, expires timestamp);
    INSERT INTO sessions VALUES (1, '1970-01-01 00:30:00');
"#;

fn after(column: &str, instant: i64) -> AliveAfter {
    AliveAfter { column: column.to_owned(), instant }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_counted_by_what_is_alive() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = database.target().await;
        let mut client = target.client().await.unwrap();
        for (alive, expected) in [
            (None, 18),
            (Some(after("ttl", 999)), 18),
            (Some(after("ttl", 1000)), 13),
            (Some(after("ttl", 2000)), 10),
        ] {
            assert_eq!(count(&client, "public", "keys", alive.as_ref()).await.unwrap(), expected);
        }
        // A timestamp without time zone is UTC, whatever the server's zone.
        for (instant, expected) in [(1799, 1), (1800, 0)] {
            let alive = after("expires", instant);
            assert_eq!(count(&client, "public", "sessions", Some(&alive)).await.unwrap(), expected);
        }
        let tables =
            BTreeMap::from([("keys".to_owned(), Some(after("ttl", 1000))), ("sessions".to_owned(), None)]);
        let counts = count_all(&mut client, "public", &tables).await.unwrap();
        assert_eq!(counts, BTreeMap::from([("keys".to_owned(), 13), ("sessions".to_owned(), 1)]));

        let error = count(&client, "public", "missing", None).await.unwrap_err();
        assert!(
            error.report().starts_with("cannot count table missing: a table does not exist"),
            "{}",
            error.report()
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_clients_of_the_database_are_seen() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = database.target().await;
        let client = target.client().await.unwrap();
        let version_num = target.server().version_num;
        let _second = target.client().await.unwrap();
        let gateway = [database.admin().await, database.admin().await];
        gateway[0].batch_execute("SET application_name = 'gateway'").await.unwrap();
        let role = database.role("blind", "").await;
        let seen = other_sessions(&client, version_num).await.unwrap();
        let gateway_sessions = seen.iter().find(|sessions| sessions.application_name == "gateway").unwrap();
        assert_eq!((gateway_sessions.count, gateway_sessions.client.as_deref()), (1, Some("127.0.0.1")));
        assert!(seen.iter().all(|sessions| sessions.application_name != "kongferry"), "{seen:?}");

        // A role that may not see addresses still sees that someone is there.
        let config = kongferry::target::TargetConfig::from_url(&database.url_as(&role, None)).unwrap();
        let blind = kongferry::target::Target::connect(&config).await.unwrap();
        let seen = other_sessions(&blind.client().await.unwrap(), version_num).await.unwrap();
        assert!(seen.iter().any(|sessions| sessions.application_name == "gateway"), "{seen:?}");
        drop(gateway);
    }
}
