//! Rows that break a key are named by their ids, and nothing of what they hold gets into a message or the server's log.

use std::fs;

use kongferry::error::ErrorKind;
use kongferry::estate::{Edition, KongVersion};
use kongferry::target::armour::Armour;

use super::owned::{Owned, lines};
use crate::support::run;

/// Stands in every value that could be a secret.
const SECRET: &str = "hunter2";

/// The `n`-th id.
fn id(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Runs all steps up to the one that fails; gives its id and the report. The transaction must go on working.
async fn failure(target: &Owned, armour: &Armour, expected: &str) -> String {
    for step in armour.steps() {
        let mut transaction = target.target.begin().await.unwrap();
        let resources = super::owned::RESOURCES;
        match kongferry::target::armour::put_back(&mut transaction, armour, &step, &resources).await {
            Ok(()) => transaction.commit().await.unwrap(),
            Err(error) => {
                assert_eq!(step.id(), expected, "{}", error.report());
                assert_eq!(error.kind(), ErrorKind::Row);
                // The journal can still be written.
                transaction.execute("cannot count", "SELECT 1 FROM consumers", &[]).await.unwrap();
                transaction.commit().await.unwrap();
                return error.report();
            }
        }
    }
    panic!("{expected} did not fail");
}

/// The server's log, where the server runs in this file system.
async fn log(target: &Owned) -> Option<String> {
    let directory = target.database.texts("SELECT current_setting('data_directory')").await.remove(0);
    fs::read_to_string(std::path::Path::new(&directory).parent()?.join("server.log")).ok()
}

#[test]
fn duplicates_orphans_and_misfits_are_reported_without_a_value() {
    run(async {
        for line in lines() {
            let target = Owned::fresh(
                line,
                KongVersion::V3_3,
                Edition::OpenSource,
                "
                DO $$ BEGIN
                    -- Says of each index whether processes help to build it.
                    EXECUTE format('ALTER DATABASE %I SET log_min_messages = debug1', current_database());
                END $$;
                CREATE TABLE words (word text PRIMARY KEY, n integer);
                CREATE TABLE numbers (id uuid PRIMARY KEY, text text);
                CREATE INDEX as_number ON numbers ((text::integer));
                CREATE INDEX consumers_by_age ON consumers (created_at)",
            )
            .await;
            let database = &target.database;
            let logged = log(&target).await.map_or(0, |log| log.len());
            let (_, armour) = target.armour().await;
            target.disarm(&armour).await;
            let workspace = database.texts("SELECT id::text FROM workspaces").await.remove(0);

            // Enough rows for helping processes, did they build a unique index.
            let fill = format!(
                "INSERT INTO consumers (id, username, ws_id)
                 SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid,
                        '{SECRET}' || CASE WHEN n % 500 = 0 THEN 0 ELSE n END, '{workspace}'
                 FROM generate_series(1, 150000) n"
            );
            database.execute(&fill).await;
            let report = failure(&target, &armour, "index consumers.consumers_ws_id_username_unique").await;
            let expected = format!("rows with the same key as another: 300, such as {}\n", id(500));
            assert!(report.contains(&expected) && !report.contains(SECRET), "{report}");
            let rest = format!("DELETE FROM consumers WHERE username = '{SECRET}0' AND id <> '{}'", id(500));
            database.execute(&rest).await;

            // A key of two columns that is NULL in part refers to nothing; a text is no id.
            database
                .execute(&format!(
                    "INSERT INTO acls (id, consumer_id, \"group\", ws_id) VALUES
                         ('{}', '{}', '{SECRET}a', '{workspace}'), ('{}', '{}', '{SECRET}b', '{workspace}'),
                         ('{}', '{}', '{SECRET}c', NULL);
                     INSERT INTO words VALUES ('{SECRET}', 1), ('{SECRET}', 2);
                     INSERT INTO numbers VALUES ('{}', '{SECRET}')",
                    id(1),
                    id(500_001),
                    id(2),
                    id(1),
                    id(3),
                    id(500_003),
                    id(4)
                ))
                .await;
            let report = failure(&target, &armour, "index numbers.as_number").await;
            assert!(report.contains("a value cannot be indexed"), "{report}");
            database.execute("DELETE FROM numbers").await;
            let report = failure(&target, &armour, "index words.words_pkey").await;
            assert!(report.contains("rows with the same key as another: 2\n"), "{report}");
            database.execute("DELETE FROM words").await;
            let report = failure(&target, &armour, "validate acls.acls_consumer_id_fkey").await;
            let expected = format!("rows that refer to none of consumers: 1, such as {}\n", id(1));
            assert!(report.contains(&expected), "{report}");
            database.execute("DELETE FROM acls").await;

            target.rearm(&armour).await;
            let none = std::collections::BTreeSet::new();
            let differences = kongferry::target::armour::differences(&target.target, &armour, &none).await;
            assert_eq!(differences.unwrap(), [""; 0]);
            if let Some(log) = log(&target).await {
                let log = log.get(logged..).unwrap();
                let own: Vec<&str> = log.lines().filter(|line| line.contains("kongferry: ")).collect();
                assert!(!own.is_empty());
                assert!(!log.contains(SECRET), "{line}: a value stands in the server's log");
                // Processes that help write what they stumble on into the log themselves.
                let helped = |index: &str| {
                    log.contains(&format!("index \"{index}\" on table \"consumers\" with request for"))
                };
                assert!(!helped("consumers_ws_id_username_unique"), "{line}");
                assert_eq!(helped("consumers_by_age"), line != "9.6", "{line}");
            }
            target.remove().await;
        }
    });
}

#[test]
fn a_value_too_large_for_an_index_is_found() {
    run(async {
        let target = Owned::fresh("16", KongVersion::V3_3, Edition::OpenSource, "").await;
        let (_, armour) = target.armour().await;
        target.disarm(&armour).await;
        // Noise, which cannot be compressed.
        let fill = format!(
            "INSERT INTO consumers (id, username) SELECT '{}', string_agg(md5(n::text), '') FROM generate_series(1, 300) n;
             INSERT INTO consumers (id, username) VALUES ('{}', 'small')",
            id(1),
            id(2)
        );
        target.database.execute(&fill).await;
        let report = failure(&target, &armour, "index consumers.consumers_ws_id_username_unique").await;
        assert!(report.contains(&format!("near its limit or above: 1, such as {}\n", id(1))), "{report}");
        target.remove().await;
    });
}
