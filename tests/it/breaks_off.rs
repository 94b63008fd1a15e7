//! Runs that end in the middle: by a signal, or because a side is lost. A lock on the target holds each run at a known place,
//! so that nothing depends on timing. Every run can be taken up where it stands, and undone.

use kongferry::estate::KongVersion;
use serde_json::json;
use tokio_postgres::Client;

use crate::support::database::{self, Database};
use crate::support::expected::compare;
use crate::support::keyspace;
use crate::support::program::{Run, Underway, kongferry, start};
use crate::support::run;

const VERSION: KongVersion = KongVersion::V2_8;

/// A trigger of the user's own, which stays on while the tables are disarmed, waits until this advisory lock is free.
const GATE: &str = "
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END $$;
    CREATE TRIGGER gate BEFORE INSERT ON plugins FOR EACH STATEMENT EXECUTE PROCEDURE wait_at_gate()";

/// Closes the gate; the connection opens it by ending.
async fn close_gate(target: &Database) -> Client {
    let holder = database::connect(&target.url()).await;
    holder.batch_execute("SELECT pg_advisory_lock(42)").await.unwrap();
    holder
}

/// Locks `table` against writers until the connection says ROLLBACK.
async fn hold(target: &Database, table: &str) -> Client {
    let holder = database::connect(&target.url()).await;
    holder.batch_execute(&format!("BEGIN; LOCK {table} IN SHARE ROW EXCLUSIVE MODE")).await.unwrap();
    holder
}

/// Starts a migration and returns once it waits at the gate, or for the lock on a table.
async fn held_up(source: &str, target: &Database, options: &[&str]) -> Underway {
    held_up_by("advisory", source, target, options).await
}

async fn held_up_by(lock: &str, source: &str, target: &Database, options: &[&str]) -> Underway {
    let url = target.url();
    let arguments = [&["migrate", "--source", source, "--target", &url], options].concat();
    let underway = start(&arguments);
    let waiting = format!(
        "SELECT pid::text FROM pg_locks WHERE NOT granted AND locktype = '{lock}' AND database = \
         (SELECT oid FROM pg_database WHERE datname = current_database())"
    );
    while target.texts(&waiting).await.is_empty() {
        tokio::task::yield_now().await;
    }
    underway
}

fn on(target: &Database, arguments: &[&str]) -> Run {
    kongferry(&[arguments, &["--target", &target.url()]].concat())
}

#[test]
fn an_interrupted_run_goes_on_where_it_stood_or_goes_back() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let whole = database::fresh("16", VERSION).await;
        kongferry(&["migrate", "--source", &source.url(), "--target", &whole.url()]).exits(0);
        for (signal, times, options) in
            [("INT", 1, &[][..]), ("TERM", 1, &["--keep-constraints"]), ("INT", 2, &[]), ("KILL", 1, &[])]
        {
            let target = database::fresh("16", VERSION).await;
            target.execute(GATE).await;
            let (catalog, before) = (target.catalog().await, target.content().await);
            let holder = close_gate(&target).await;
            let mut underway = held_up(&source.url(), &target, options).await;
            underway.signal(signal);
            if times == 2 {
                underway.says("interrupted");
                // The second signal does not wait for what is open.
                underway.signal(signal);
            }
            if signal == "KILL" || times == 2 {
                let ended = underway.ends();
                assert_ne!(ended.code, 0, "{}", ended.transcript());
                drop(holder);
                // Its backends notice when they are let through.
                wait_until_alone(&target).await;
            } else {
                underway.says("interrupted");
                drop(holder);
                let ended = underway.ends();
                ended.exits(4).complains_of(&["migrate --resume", "kongferry undo"]);
                assert!(!ended.stdout.contains("agree"), "{}", ended.transcript());
            }
            assert_eq!(target.count("plugins").await, 0, "the split that was open was rolled back");

            let again = ["migrate", "--source", &source.url()];
            on(&target, &again).exits(3).complains_of(&["not over", "migrate --resume", "kongferry undo"]);
            on(&target, &["clean"]).exits(3).complains_of(&["not over"]);
            let status = on(&target, &["status"]);
            status.exits(0).prints(&["not over", "migrate --resume"]);
            assert_eq!(
                status.stdout.contains("off the tables"),
                options.is_empty(),
                "{}",
                status.transcript()
            );

            on(&target, &["undo"]).exits(0);
            assert_eq!(before, target.content().await, "undone");
            compare_catalogs(&catalog, &target, "undone").await;

            let holder = close_gate(&target).await;
            let underway = held_up(&source.url(), &target, options).await;
            underway.signal("KILL");
            underway.ends();
            drop(holder);
            wait_until_alone(&target).await;
            on(&target, &[&again[..], &["--resume"]].concat())
                .exits(0)
                .prints(&["counts of both sides agree"]);
            compare_catalogs(&catalog, &target, "resumed").await;
            assert_eq!(whole.content_but_for_expiry().await, target.content_but_for_expiry().await);
            on(&target, &["status"]).exits(0).prints(&["both sides agreed"]);
            on(&target, &[&again[..], &["--resume"]].concat()).exits(3).complains_of(&["is over"]);
            target.remove().await;
        }
        whole.remove().await;
    });
}

async fn wait_until_alone(target: &Database) {
    let ours = "SELECT pid::text FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'kongferry%'";
    while !target.texts(ours).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

async fn compare_catalogs(before: &[String], target: &Database, when: &str) {
    let changed = compare::differing(before, &target.catalog().await);
    assert!(changed.is_empty(), "{when}: the target's catalog changed:\n{}", changed.join("\n"));
}

/// Runs a script as psql does: a transaction that fails is rolled back, and the next one follows.
async fn by_hand(target: &Database, script: &str) {
    let client = database::connect(&target.url()).await;
    for transaction in script.split("COMMIT;") {
        if let Err(error) = client.batch_execute(transaction).await {
            // A table, a constraint, a second primary key, an index that a constraint has adopted.
            let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
            let there = ["42P07", "42710", "42P16", "55000"].contains(&code.as_str());
            assert!(there, "{error:?} in\n{transaction}");
            client.batch_execute("ROLLBACK").await.unwrap();
        } else {
            client.batch_execute("COMMIT").await.unwrap();
        }
    }
}

#[test]
fn a_run_that_broke_off_is_armed_again_and_the_rows_stay() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        for line in ["9.6", "16"] {
            let target = database::fresh(line, VERSION).await;
            target.execute(GATE).await;
            let (catalog, before) = (target.catalog().await, target.content().await);
            let holder = close_gate(&target).await;
            let place = tempfile::tempdir().unwrap();
            let report = place.path().to_str().unwrap();
            let underway = held_up(&source.url(), &target, &["--workers", "1", "--report", report]).await;
            underway.signal("KILL");
            underway.ends();
            drop(holder);
            wait_until_alone(&target).await;
            if line == "16" {
                // The file alone does it as well.
                let script = std::fs::read_to_string(place.path().join("rearm.sql")).unwrap();
                by_hand(&target, &script).await;
                compare_catalogs(&catalog, &target, "armed again by hand").await;
            }
            // As many runs as it takes: nothing that is back is touched again.
            on(&target, &["rearm"]).exits(0).prints(&["back in place"]);
            compare_catalogs(&catalog, &target, "armed again").await;
            let tagged = "SELECT count(*)::text FROM consumers c JOIN tags t ON t.entity_id = c.id
                          AND t.entity_name = 'consumers' AND t.tags IS NOT DISTINCT FROM c.tags";
            let tagged = target.texts(tagged).await;
            assert_eq!(tagged, [target.count("consumers").await.to_string()], "tags of what is there");
            on(&target, &["rearm"]).exits(0).prints(&["Nothing to put back"]);
            let resumed = on(&target, &["migrate", "--resume", "--source", &source.url()]);
            resumed.exits(3).complains_of(&["is over"]);
            on(&target, &["undo"]).exits(0);
            assert_eq!(before, target.content().await);
            on(&target, &["clean"]).exits(0);
            let schemas = "SELECT nspname::text FROM pg_namespace WHERE nspname = 'kongferry'";
            assert!(target.texts(schemas).await.is_empty());
            target.remove().await;
        }
    });
}

#[test]
fn whoever_goes_on_must_mean_the_same() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        target.execute(GATE).await;
        let holder = close_gate(&target).await;
        let underway = held_up(&source.url(), &target, &[]).await;
        let other = keyspace::filled("3.11", VERSION).await;
        on(&target, &["migrate", "--resume", "--source", &other.url()])
            .exits(3)
            .complains_of(&["not what the run agreed to do", &other.name]);
        // While it runs, nobody begins, undoes or re-arms.
        on(&target, &["undo"]).exits(3).complains_of(&["another kongferry"]);
        on(&target, &["rearm"]).exits(3).complains_of(&["another kongferry"]);
        let status = on(&target, &["status"]);
        status.exits(0).prints(&["copy plugins", "pg_terminate_backend", "left to copy"]);
        drop(holder);
        underway.ends().exits(0);
        on(&target, &["undo"]).exits(0);
        target.remove().await;
    });
}

#[test]
fn others_help_with_a_run_and_no_split_is_loaded_twice() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        target.execute(GATE).await;
        let holder = close_gate(&target).await;
        let leader = held_up(&source.url(), &target, &["--workers", "1", "--builds", "1"]).await;
        let id = target.texts("SELECT id::text FROM kongferry.run").await.remove(0);
        let wrong = "00000000-0000-4000-8000-000000000000";
        on(&target, &["migrate", "--join", wrong, "--source", &source.url()]).exits(3).complains_of(&[&id]);
        let helper = start(&["migrate", "--join", &id, "--source", &source.url(), "--target", &target.url()]);
        // The leader stands still; all that moves is the helper's work.
        let others =
            "SELECT '' FROM kongferry.task WHERE state = 'open' AND lane = 'load' AND part <> 'copy plugins'";
        while !target.texts(others).await.is_empty() {
            tokio::task::yield_now().await;
        }
        let workers = "SELECT DISTINCT worker FROM kongferry.task WHERE worker IS NOT NULL";
        assert!(target.texts(workers).await.len() >= 2, "both have worked");
        drop(holder);
        leader.ends().exits(0).prints(&["counts of both sides agree"]);
        helper.ends().exits(0);
        on(&target, &["verify", "--counts", "--source", &source.url()]).exits(0);
        target.remove().await;
    });
}

#[test]
fn an_undo_loses_no_change_unless_it_is_told_to() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        for line in ["9.6", "16"] {
            let target = database::fresh(line, VERSION).await;
            let before = target.content().await;
            on(&target, &["migrate", "--source", &source.url()]).exits(0);
            for (change, named) in [
                (
                    "UPDATE consumers SET custom_id = 'changed' WHERE id = (SELECT id FROM consumers LIMIT 1)",
                    "consumers: 1 row new",
                ),
                ("DELETE FROM acls WHERE id = (SELECT id FROM acls LIMIT 1)", "acls: 1 row gone"),
            ] {
                target.execute(change).await;
                target.execute("VACUUM FREEZE").await;
                on(&target, &["undo"]).exits(3).complains_of(&[named, "--discard-changes"]);
            }
            on(&target, &["undo", "--discard-changes"]).exits(0);
            assert_eq!(before, target.content().await);
            on(&target, &["undo"]).exits(3).complains_of(&["undone already"]);
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
        let underway = held_up_by("relation", &source.url(), &target, &["--keep-constraints"]).await;
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
        let underway = held_up_by("relation", &source.url(), &target, &["--keep-constraints"]).await;
        target
            .texts(
                "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
                 WHERE datname = current_database() AND application_name LIKE 'kongferry%'",
            )
            .await;
        let ended = underway.ends();
        ended.exits(8).complains_of(&["what to do:", "migrate --resume"]);
        assert_eq!(target.count("consumers").await, 0);
        drop(holder);
        on(&target, &["migrate", "--resume", "--source", &source.url()]).exits(0);
        target.remove().await;
    });
}
