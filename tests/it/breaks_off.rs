//! Runs that end in the middle: by a signal, or because a side is lost. A lock on a table of the target holds each run at a
//! known place, so that nothing depends on timing.

use kongferry::estate::KongVersion;
use serde_json::json;
use tokio_postgres::Client;

use crate::support::database::{self, Database};
use crate::support::keyspace;
use crate::support::program::{Underway, kongferry, start};
use crate::support::run;

const VERSION: KongVersion = KongVersion::V2_8;

/// Locks `table` against writers until the connection says ROLLBACK.
async fn hold(target: &Database, table: &str) -> Client {
    let holder = database::connect(&target.url()).await;
    holder.batch_execute(&format!("BEGIN; LOCK {table} IN SHARE ROW EXCLUSIVE MODE")).await.unwrap();
    holder
}

/// Starts a migration and returns once it waits for the lock.
async fn held_up(source: &str, target: &Database) -> Underway {
    let mut underway = start(&["migrate", "--source", source, "--target", &target.url()]);
    underway.says("Copying");
    let waiting = "SELECT pid::text FROM pg_locks WHERE NOT granted AND database = \
                   (SELECT oid FROM pg_database WHERE datname = current_database())";
    while target.texts(waiting).await.is_empty() {
        tokio::task::yield_now().await;
    }
    underway
}

#[test]
fn an_interrupted_run_leaves_no_split_half_loaded() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        for (signal, times) in [("INT", 1), ("TERM", 1), ("INT", 2)] {
            let target = database::fresh("16", VERSION).await;
            let holder = hold(&target, "consumers").await;
            let mut underway = held_up(&source.url(), &target).await;
            underway.signal(signal);
            underway.says("interrupted");
            if times == 2 {
                // The second signal does not wait for what is open.
                underway.signal(signal);
            } else {
                holder.batch_execute("ROLLBACK").await.unwrap();
            }
            let ended = underway.ends();
            ended.exits(4);
            assert!(!ended.stdout.contains("agree"), "{}", ended.transcript());
            drop(holder);

            let loaded = target.texts("SELECT id::text FROM consumers").await;
            assert!(loaded.len() < 300, "all consumers were loaded:\n{}", ended.transcript());
            assert_eq!(target.count("workspaces").await, 3, "the level that was finished is whole");
            assert_eq!(target.count("basicauth_credentials").await, 0, "nothing of later levels");
            // What it left is in the way until it is emptied as the refusal says; then the next run is as good as the first.
            let again = ["migrate", "--source", &source.url(), "--target", &target.url()];
            let refused = kongferry(&again);
            refused.exits(3).complains_of(&["not fresh", "workspaces"]);
            target.execute(refused.statement()).await;
            kongferry(&again).exits(0);
            target.remove().await;
        }
    });
}

#[test]
fn a_source_that_fails_is_exit_code_7() {
    run(async {
        let source = keyspace::empty("3.11", VERSION, "fails", None).await;
        let target = database::fresh("9.6", VERSION).await;
        let consumer = json!({
            "id": "aaaaaaaa-0000-4000-8000-000000000001", "ws_id": source.default_workspace.to_string(),
            "username": format!("{}:value-marker", source.default_workspace),
        });
        source.insert("consumers", &consumer, None).await;
        let holder = hold(&target, "consumers").await;
        let underway = held_up(&source.url(), &target).await;
        source.execute("DROP TABLE {ks}.plugins", ()).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
        let ended = underway.ends();
        ended.exits(7).complains_of(&["plugins", "what to do:"]).keeps_quiet_about(&["value-marker"]);
        assert_eq!(target.count("consumers").await, 1, "what was committed before stays");
        drop(holder);
        target.remove().await;
    });
}

#[test]
fn a_target_that_fails_is_exit_code_8() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        let holder = hold(&target, "consumers").await;
        let underway = held_up(&source.url(), &target).await;
        target
            .texts(
                "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name = 'kongferry'",
            )
            .await;
        let ended = underway.ends();
        ended.exits(8).complains_of(&["consumers", "what to do:"]);
        assert_eq!(target.count("consumers").await, 0);
        drop(holder);
        target.remove().await;
    });
}
