//! Policing: what Cassandra never enforced is repaired or taken away before keys come back, and nothing else.

mod planted;

use std::collections::{BTreeMap, BTreeSet};

use kongferry::estate::KongVersion;
use serde_json::json;
use uuid::Uuid;

use crate::support::database::{self, Database};
use crate::support::expected::compare;
use crate::support::keyspace;
use crate::support::program::{Run, Underway, kongferry, start};
use crate::support::run;
use planted::{Estate, Fate, MARKER, OWN_INDEXES};

const VERSION: KongVersion = KongVersion::V2_8;

fn migrate(source: &str, target: &Database, options: &[&str]) -> Run {
    kongferry(&[&["migrate", "--source", source, "--target", &target.url()], options].concat())
}

/// Done; rows in quarantine are exit code 5.
#[track_caller]
fn is_done(run: &Run) -> &Run {
    run.exits(5).complains_of(&["quarantine"]).keeps_quiet_about(&[MARKER])
}

async fn log(target: &Database) -> Option<String> {
    let directory = target.texts("SELECT current_setting('data_directory')").await.remove(0);
    std::fs::read_to_string(std::path::Path::new(&directory).parent()?.join("server.log")).ok()
}

/// Every row has its fate.
async fn check_fates(estate: &Estate, target: &Database) {
    let held = "SELECT table_name || ' ' || key || ' ' || class FROM kongferry.quarantine
                WHERE run = (SELECT id FROM kongferry.run ORDER BY place DESC LIMIT 1) ORDER BY 1";
    let held: BTreeSet<String> = target.texts(held).await.into_iter().collect();
    let mut expected_held = BTreeSet::new();
    let mut arrived: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for row in &estate.rows {
        let ids = arrived.entry(row.table).or_default();
        match &row.fate {
            Fate::Held(class) => {
                expected_held.insert(format!("{} {} {class}", row.table, row.id));
            }
            Fate::Arrives => {
                ids.insert(row.id.clone());
            }
            Fate::Moves(key) => {
                ids.insert(row.id.clone());
                let found = target.rows(row.table, "id").await;
                let found = &found[&row.id];
                assert_eq!(found["ws_id"], estate.ws.as_str(), "{} {}", row.table, row.id);
                if let Some(key) = key {
                    assert_eq!(found["cache_key"], key.as_str(), "{} {}", row.table, row.id);
                }
            }
        }
    }
    assert_eq!(held, expected_held);
    for (table, expected) in arrived {
        let found: BTreeSet<String> = target.rows(table, "id").await.into_keys().collect();
        assert_eq!(found, expected, "{table}");
    }
}

/// `tags` holds what the triggers would have written.
async fn check_tags(target: &Database) {
    let tagged = target
        .texts(
            "SELECT c.relname::text FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_proc p ON p.oid = t.tgfoid
             WHERE p.proname = 'sync_tags' ORDER BY 1",
        )
        .await;
    assert!(tagged.len() > 10);
    let each: Vec<String> = tagged
        .iter()
        .map(|table| format!("SELECT format('{table} %s %s', id, tags) FROM \"{table}\""))
        .collect();
    let expected = target.texts(&format!("{} ORDER BY 1", each.join(" UNION ALL "))).await;
    let found =
        target.texts("SELECT format('%s %s %s', entity_name, entity_id, tags) FROM tags ORDER BY 1").await;
    assert_eq!(found, expected);
}

/// Target = sum of the ledger, for every table.
async fn check_ledger(target: &Database) {
    let sums = "SELECT table_name || ' ' || sum(rows) FROM (
                    SELECT table_name, (totals->>'loaded')::bigint AS rows FROM kongferry.task
                    WHERE lane = 'load' AND table_name IS NOT NULL AND run = (SELECT id FROM kongferry.run ORDER BY place DESC LIMIT 1)
                    UNION ALL SELECT table_name, rows FROM kongferry.change
                    WHERE run = (SELECT id FROM kongferry.run ORDER BY place DESC LIMIT 1)) l GROUP BY table_name ORDER BY 1";
    for sum in target.texts(sums).await {
        let (table, rows) = sum.split_once(' ').unwrap();
        assert_eq!(target.count(table).await.to_string(), rows, "{table}");
    }
}

async fn check_all(estate: &Estate, target: &Database, catalog: &[String]) {
    check_fates(estate, target).await;
    check_tags(target).await;
    check_ledger(target).await;
    let changed = compare::differing(catalog, &target.catalog().await);
    assert!(changed.is_empty(), "the target's catalog changed:\n{}", changed.join("\n"));
    let (source, url) = (estate.source.url(), target.url());
    for how in [&["verify", "--counts"][..], &["verify"]] {
        is_done(&kongferry(&[how, &["--source", &source, "--target", &url]].concat()));
    }
}

#[test]
fn every_row_that_breaks_a_key_has_its_fate_and_all_others_arrive() {
    run(async {
        let estate = Estate::plant(false).await;
        for line in ["16", "9.6"] {
            let target = database::fresh(line, VERSION).await;
            target.execute(OWN_INDEXES).await;
            let logged = log(&target).await.map_or(0, |log| log.len());
            let (catalog, before) = (target.catalog().await, target.content().await);
            let done = migrate(&estate.source.url(), &target, &[]);
            is_done(&done).prints(&["counts of both sides agree"]);
            done.prints(&[
                "acls: 2 rows moved to the workspace of their parents",
                "plugins: 1 row in quarantine (workspace-mismatch)",
            ]);
            check_all(&estate, &target, &catalog).await;
            if let Some(log) = log(&target).await {
                let log = log.get(logged..).unwrap();
                assert!(
                    log.contains("kongferry: ") && !log.contains(MARKER),
                    "{line}: a value stands in the server's log"
                );
            }
            kongferry(&["undo", "--target", &target.url()]).exits(0).keeps_quiet_about(&[MARKER]);
            assert_eq!(before, target.content().await);
            let changed = compare::differing(&catalog, &target.catalog().await);
            assert!(changed.is_empty(), "undone:\n{}", changed.join("\n"));
            target.remove().await;
        }
        estate.source.remove().await;
    });
}

/// A trigger of the user's own waits until this advisory lock is free: in the middle of policing.
const GATE: &str = "
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END $$;
    CREATE TRIGGER gate BEFORE DELETE ON consumers FOR EACH STATEMENT EXECUTE PROCEDURE wait_at_gate()";

/// Starts a migration and returns once it waits at the gate.
async fn held_up(source: &str, target: &Database, options: &[&str]) -> (Underway, tokio_postgres::Client) {
    let holder = database::connect(&target.url()).await;
    holder.batch_execute("SELECT pg_advisory_lock(42)").await.unwrap();
    let url = target.url();
    let underway = start(&[&["migrate", "--source", source, "--target", &url], options].concat());
    let waiting = "SELECT pid::text FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database = \
                   (SELECT oid FROM pg_database WHERE datname = current_database())";
    while target.texts(waiting).await.is_empty() {
        tokio::task::yield_now().await;
    }
    (underway, holder)
}

async fn wait_until_alone(target: &Database) {
    let ours = "SELECT pid::text FROM pg_stat_activity
                WHERE datname = current_database() AND application_name LIKE 'kongferry%'";
    while !target.texts(ours).await.is_empty() {
        tokio::task::yield_now().await;
    }
}

#[test]
fn somebody_decides_which_row_stays_where_others_depend_on_both() {
    run(async {
        let mut estate = Estate::plant(true).await;
        for keep in ["keep-oldest", "keep-newest"] {
            let target = database::fresh("16", VERSION).await;
            target.execute(OWN_INDEXES).await;
            let (catalog, before) = (target.catalog().await, target.content().await);
            let stopped = migrate(&estate.source.url(), &target, &[]);
            stopped.exits(8).keeps_quiet_about(&[MARKER]);
            stopped.complains_of(&[
                "consumers: 2 rows have the same key as an older row (consumers_ws_id_username_unique)",
                &Estate::id("consumers", 41),
                "--resume --on-duplicate keep-oldest",
                "--resume --on-duplicate keep-newest",
            ]);
            assert!(
                target.texts("SELECT key FROM kongferry.quarantine").await.is_empty(),
                "nothing was decided yet"
            );
            let again = migrate(&estate.source.url(), &target, &["--resume"]);
            again.exits(8).complains_of(&[&Estate::id("consumers", 41)]);
            if keep == "keep-newest" {
                estate.keep_newest();
            }
            is_done(&migrate(&estate.source.url(), &target, &["--resume", "--on-duplicate", keep]));
            check_all(&estate, &target, &catalog).await;
            kongferry(&["undo", "--target", &target.url()]).exits(0);
            assert_eq!(before, target.content().await);
            target.remove().await;
        }
        estate.source.remove().await;
    });
}

#[test]
fn policing_that_is_killed_begins_again_and_two_processes_police_once() {
    run(async {
        let estate = Estate::plant(false).await;
        let url = estate.source.url();
        let whole = database::fresh("16", VERSION).await;
        whole.execute(OWN_INDEXES).await;
        is_done(&migrate(&url, &whole, &[]));
        let target = database::fresh("16", VERSION).await;
        target.execute(OWN_INDEXES).await;
        target.execute(GATE).await;
        let (catalog, before) = (target.catalog().await, target.content().await);
        for end in ["resume", "undo", "join"] {
            let (underway, holder) = held_up(&url, &target, &[]).await;
            if end == "join" {
                let id = target
                    .texts("SELECT id::text FROM kongferry.run ORDER BY place DESC LIMIT 1")
                    .await
                    .remove(0);
                let helper = start(&["migrate", "--join", &id, "--source", &url, "--target", &target.url()]);
                drop(holder);
                is_done(&underway.ends());
                helper.ends().exits(0).keeps_quiet_about(&[MARKER]);
            } else {
                underway.signal("KILL");
                underway.ends();
                drop(holder);
                wait_until_alone(&target).await;
                assert!(target.texts("SELECT key FROM kongferry.quarantine WHERE run = (SELECT id FROM kongferry.run ORDER BY place DESC LIMIT 1)").await.is_empty());
            }
            if end == "resume" {
                is_done(&migrate(&url, &target, &["--resume"]));
            }
            if end != "undo" {
                assert_eq!(whole.content().await, target.content().await, "{end}");
                check_all(&estate, &target, &catalog).await;
            }
            kongferry(&["undo", "--target", &target.url()]).exits(0);
            assert_eq!(before, target.content().await, "{end}");
        }
        target.remove().await;
        whole.remove().await;
        estate.source.remove().await;
    });
}

#[test]
fn each_class_has_the_policy_that_was_chosen() {
    run(async {
        let estate = Estate::plant(true).await;
        let url = estate.source.url();
        let target = database::fresh("16", VERSION).await;
        target.execute(OWN_INDEXES).await;
        let catalog = target.catalog().await;
        let failed = migrate(&url, &target, &["--on-orphan", "fail", "--on-duplicate", "keep-oldest"]);
        failed
            .exits(8)
            .complains_of(&["of class missing-parent, whose policy is to fail", "--on-orphan quarantine"]);
        failed.keeps_quiet_about(&[MARKER]);
        is_done(&migrate(&url, &target, &["--resume", "--on-orphan", "skip"]))
            .prints(&["keyauth_credentials: 1 row left behind after the load"]);
        // What depended on duplicates and misfits went with them.
        let below = "SELECT table_name || ' ' || key FROM kongferry.quarantine WHERE class = 'missing-parent' ORDER BY 1";
        let mut expected = [
            format!("keyauth_credentials {}", Estate::id("keyauth_credentials", 30)),
            format!("keyauth_credentials {}", Estate::id("keyauth_credentials", 41)),
            format!("plugins {}", Estate::id("plugins", 41)),
        ];
        expected.sort();
        assert_eq!(target.texts(below).await, expected);
        let ended = kongferry(&["undo", "--target", &target.url()]);
        ended.exits(0);
        for (policy, said) in [
            ("workspace-mismatch=fail", "of class workspace-mismatch, whose policy is to fail"),
            ("duplicate=fail", "of class duplicate, whose policy is to fail"),
            ("index-entry=fail", "of class index-entry, whose policy is to fail"),
        ] {
            let failed = migrate(&url, &target, &["--policy", policy, "--on-duplicate", "keep-newest"]);
            failed.exits(8).complains_of(&[said]).keeps_quiet_about(&[MARKER]);
            kongferry(&["undo", "--target", &target.url()]).exits(0);
        }
        let options = ["--policy", "workspace-mismatch=quarantine", "--on-duplicate", "keep-oldest"];
        is_done(&migrate(&url, &target, &options));
        let held = "SELECT count(*)::text FROM kongferry.quarantine WHERE class = 'workspace-mismatch'
                    AND run = (SELECT id FROM kongferry.run ORDER BY place DESC LIMIT 1)";
        assert_eq!(target.texts(held).await, ["6"]);
        check_tags(&target).await;
        check_ledger(&target).await;
        let changed = compare::differing(&catalog, &target.catalog().await);
        assert!(changed.is_empty(), "the target's catalog changed:\n{}", changed.join("\n"));
        target.remove().await;
        estate.source.remove().await;
    });
}

/// Holds the run while it loads the table.
const LOADING_GATE: &str = "
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END $$;
    CREATE TRIGGER gate BEFORE INSERT ON plugins FOR EACH STATEMENT EXECUTE PROCEDURE wait_at_gate()";

#[test]
fn a_parent_that_is_written_during_a_live_load_is_read_again() {
    run(async {
        let source = keyspace::empty("5.0", VERSION, "live", None).await;
        let ws = source.default_workspace.to_string();
        let id = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
        let named = |n: u32, column: &str, table: &str| {
            let mut row = json!({ "id": id(n), "ws_id": ws, "tags": [table] });
            row[column] = json!(format!("{ws}:{MARKER}-{n}"));
            row
        };
        let mut credential = named(1, "key", "keyauth_credentials");
        credential["consumer_id"] = json!(id(10));
        source.insert("keyauth_credentials", &credential, None).await;
        let mut credential = named(2, "key", "keyauth_credentials");
        credential["consumer_id"] = json!(id(19));
        source.insert("keyauth_credentials", &credential, None).await;
        let target_row =
            json!({ "id": id(3), "ws_id": ws, "upstream_id": id(11), "target": "host:80", "weight": 1 });
        source.insert("targets", &target_row, None).await;
        source.insert("consumers", &named(13, "username", "consumers"), None).await;
        let plugin = json!({ "id": id(14), "ws_id": ws, "name": "acl", "enabled": true, "config": "{}" });
        source.insert("plugins", &plugin, None).await;
        for line in ["16", "9.6"] {
            let target = database::fresh(line, VERSION).await;
            target.execute(LOADING_GATE).await;
            let catalog = target.catalog().await;
            let (underway, holder) = held_up(&source.url(), &target, &["--live"]).await;
            let refused = "SELECT label FROM kongferry.task WHERE work = '\"police\"'";
            while target.texts(refused).await.is_empty() {
                tokio::task::yield_now().await;
            }
            // Now their tables have been read. In two depths, and from a table with one partition.
            source.insert("consumers", &named(10, "username", "consumers"), None).await;
            let mut upstream = named(11, "name", "upstreams");
            upstream["client_certificate_id"] = json!(id(12));
            upstream["slots"] = json!(10);
            source.insert("upstreams", &upstream, None).await;
            let certificate =
                json!({ "id": id(12), "ws_id": ws, "partition": "certificates", "cert": "PEM" });
            source.insert("certificates", &certificate, None).await;
            drop(holder);
            let ended = underway.ends();
            is_done(&ended).prints(&["consumers: 1 row read again from the source"]);
            for (table, ids) in [
                ("consumers", vec![10, 13]),
                ("upstreams", vec![11]),
                ("certificates", vec![12]),
                ("keyauth_credentials", vec![1]),
                ("targets", vec![3]),
            ] {
                let found: Vec<String> = target.rows(table, "id").await.into_keys().collect();
                assert_eq!(found, ids.into_iter().map(id).collect::<Vec<_>>(), "{line}: {table}");
            }
            let held =
                "SELECT table_name || ' ' || key || ' ' || class || ' ' || reason FROM kongferry.quarantine";
            let expected = format!(
                "keyauth_credentials {} missing-parent parent not on the source at the second look (live): consumers",
                id(2)
            );
            assert_eq!(target.texts(held).await, [expected], "{line}");
            check_tags(&target).await;
            check_ledger(&target).await;
            let changed = compare::differing(&catalog, &target.catalog().await);
            assert!(changed.is_empty(), "the target's catalog changed:\n{}", changed.join("\n"));
            target.remove().await;
            for (table, n) in [("consumers", 10), ("upstreams", 11)] {
                let id = Uuid::parse_str(&id(n)).unwrap();
                source.execute(&format!("DELETE FROM {{ks}}.{table} WHERE id = ?"), (id,)).await;
            }
            let id = Uuid::parse_str(&id(12)).unwrap();
            source
                .execute("DELETE FROM {ks}.certificates WHERE partition = 'certificates' AND id = ?", (id,))
                .await;
        }
        source.remove().await;
    });
}
