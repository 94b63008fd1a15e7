//! Layouts that other patch levels and older releases have, and rows that only Cassandra accepts.

use std::collections::BTreeMap;

use kongferry::estate::KongVersion;
use serde_json::json;

use crate::support::database::{self, Database};
use crate::support::expected::seconds_now;
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Run, kongferry};
use crate::support::run;

const VERSION: KongVersion = KongVersion::V3_3;
const OTHER_WORKSPACE: &str = "22222222-0000-4000-8000-000000000001";
const ID: &str = "22222222-0000-4000-8000-000000000002";
const SECOND_ID: &str = "22222222-0000-4000-8000-000000000003";
const CREATED: &str = "2019-06-01 00:00:00.123Z";

const CONSUMERS: &str =
    "CREATE TABLE {ks}.consumers (id uuid PRIMARY KEY, created_at timestamp, username text, custom_id text,
     tags set<text>, ws_id uuid, updated_at timestamp, type int, username_lower text)";
const DEVELOPERS: &str = "CREATE TABLE {ks}.developers (id uuid PRIMARY KEY, created_at timestamp, updated_at timestamp, email text,
     status int, meta text, custom_id text, consumer_id uuid, rbac_user_id uuid, ws_id uuid)";
const RBAC_USERS: &str =
    "CREATE TABLE {ks}.rbac_users (id uuid PRIMARY KEY, name text, user_token text, user_token_ident text,
     comment text, enabled boolean, created_at timestamp, ws_id uuid, updated_at timestamp)";

/// An Enterprise target and a keyspace with only these tables.
async fn sides(label: &str, tables: &[&str]) -> (Keyspace, Database) {
    let target = database::fresh_enterprise("16", VERSION, None).await;
    let source = keyspace::bare("5.0", label, &target).await;
    for table in tables {
        source.execute(table, ()).await;
    }
    (source, target)
}

fn undo(target: &Database) -> Run {
    kongferry(&["undo", "--target", &target.url()])
}

fn migrate(source: &Keyspace, target: &Database, options: &[&str]) -> Run {
    let urls = ["migrate", "--source", &source.url(), "--target", &target.url()];
    kongferry(&[&urls[..], options].concat())
}

#[test]
fn older_layouts_arrive() {
    run(async {
        let tables = [
            // Before 2.7.
            "CREATE TABLE {ks}.license_data (node_id uuid, license_creation_date timestamp, req_cnt counter,
                 PRIMARY KEY (node_id, license_creation_date))",
            // 2.1 and 2.2 had its files in workspaces.
            "CREATE TABLE {ks}.legacy_files (id uuid PRIMARY KEY, auth boolean, name text, type text, contents text,
                 created_at timestamp, updated_at timestamp, ws_id uuid)",
            // Without a partition.
            "CREATE TABLE {ks}.vault_auth_vaults (id uuid PRIMARY KEY, created_at timestamp, updated_at timestamp, name text,
                 protocol text, host text, port int, mount text, vault_token text, kv text)",
        ];
        let (source, target) = sides("layouts", &tables).await;
        let count = "UPDATE {ks}.license_data SET req_cnt = req_cnt + 5000000000
                     WHERE node_id = 22222222-0000-4000-8000-000000000002 AND license_creation_date = '2019-06-01'";
        source.execute(count, ()).await;
        let workspace = source.default_workspace;
        let file = json!({ "id": ID, "name": format!("{workspace}:page"), "type": "page", "created_at": CREATED,
                           "ws_id": workspace.to_string() });
        source.insert("legacy_files", &file, None).await;
        source.insert("vault_auth_vaults", &json!({ "id": ID, "name": "v", "port": 8200 }), None).await;

        let options = ["--include", "license-data,legacy-files"];
        migrate(&source, &target, &options).exits(0).prints(&["the counts of both sides agree"]);
        for (query, expected) in [
            (
                "SELECT node_id || ' ' || req_cnt || ' ' || year || ' ' || month || ' ' || license_creation_date FROM license_data",
                format!("{ID} 5000000000 0 0 2019-06-01 00:00:00"),
            ),
            (
                "SELECT id || ' ' || auth || ' ' || name || ' ' || created_at FROM legacy_files",
                format!("{ID} true page 2019-06-01 00:00:00.123"),
            ),
            ("SELECT id || ' ' || port FROM vault_auth_vaults", format!("{ID} 8200")),
        ] {
            assert_eq!(target.texts(query).await, [expected], "{query}");
        }
        source.remove().await;
        target.remove().await;
    });
}

/// The audit log keeps its retention: an instant of expiry of the column that Kong reads, and none where there is none, although
/// the target's column has a default that would start anew.
#[test]
fn audit_rows_expire_when_they_would_have() {
    run(async {
        let tables = [
            "CREATE TABLE {ks}.audit_objects (id uuid PRIMARY KEY, request_id text, entity_key uuid, dao_name text, operation text,
                 entity text, rbac_user_id uuid, signature text) WITH default_time_to_live = 2592000",
            "CREATE TABLE {ks}.audit_requests (request_id text PRIMARY KEY, request_timestamp timestamp, client_ip text, path text,
                 method text, payload text, status int, rbac_user_id uuid, workspace uuid, signature text, expire timestamp,
                 removed_from_payload text, rbac_user_name text, request_source text) WITH default_time_to_live = 2592000",
        ];
        let (source, target) = sides("audit", &tables).await;
        let started = seconds_now();
        for (id, ttl) in [("retained", None), ("kept", Some(0)), ("shortened", Some(864_000))] {
            let request = json!({ "request_id": id, "request_timestamp": CREATED, "client_ip": "192.0.2.1", "path": "/",
                                  "method": "GET", "status": 200 });
            source.insert("audit_requests", &request, ttl).await;
        }
        // Written again with a shorter life.
        let sooner = "UPDATE {ks}.audit_requests USING TTL 1728000 SET request_timestamp = '2019-06-01' WHERE request_id = 'retained'";
        source.execute(sooner, ()).await;
        let object =
            json!({ "id": ID, "request_id": "retained", "dao_name": "consumers", "operation": "create" });
        source.insert("audit_objects", &object, None).await;

        migrate(&source, &target, &["--include", "audit"]).exits(0);
        let query = "SELECT trim(request_id) || ' ' || coalesce(extract(epoch FROM ttl)::bigint::text, 'never') FROM audit_requests
                     UNION ALL SELECT 'object ' || extract(epoch FROM ttl)::bigint FROM audit_objects";
        let mut expiries = BTreeMap::new();
        for line in target.texts(query).await {
            let (row, instant) = line.split_once(' ').unwrap();
            let left = instant.parse::<i64>().ok().map(|instant| instant - started);
            expiries.insert(row.to_owned(), left);
        }
        assert_eq!(expiries["kept"], None);
        for (row, seconds) in [("retained", 1_728_000), ("shortened", 864_000), ("object", 2_592_000)] {
            let left = expiries[row].unwrap_or_default();
            // Cassandra counts from the write, a moment after the start of this test.
            assert!((seconds - 2..seconds + 60).contains(&left), "{row}: {left} instead of {seconds}");
        }
        source.remove().await;
        target.remove().await;
    });
}

/// Consumers were once shared between workspaces; PostgreSQL wants parent and child in the same.
/// The rows that the newest run put into quarantine.
const HELD: &str =
    "FROM kongferry.quarantine WHERE run = (SELECT id FROM kongferry.run ORDER BY place DESC LIMIT 1)";

#[test]
fn a_child_in_another_workspace_than_its_parent_is_moved_or_held() {
    run(async {
        let (source, target) = sides("strays", &[CONSUMERS, DEVELOPERS]).await;
        source.insert("workspaces", &json!({ "id": OTHER_WORKSPACE, "name": "other" }), None).await;
        let workspace = source.default_workspace.to_string();
        let consumer = json!({ "id": ID, "username": "value-marker", "type": 1, "ws_id": workspace });
        source.insert("consumers", &consumer, None).await;
        let developer = |id: &str, workspace: &str| json!({ "id": id, "email": format!("value-marker-{id}"), "consumer_id": ID, "ws_id": workspace });
        source.insert("developers", &developer(ID, &workspace), None).await;
        source.insert("developers", &developer(SECOND_ID, OTHER_WORKSPACE), None).await;
        for options in [&["--keep-constraints"][..], &[]] {
            let before = target.content().await;
            let ended = migrate(&source, &target, options);
            ended.keeps_quiet_about(&["value-marker"]);
            let held =
                target.texts(&format!("SELECT concat_ws(' ', table_name, key, class, rule) {HELD}")).await;
            if options.is_empty() {
                ended.exits(0).prints(&["developers: 1 row moved to the workspace"]);
                assert!(held.is_empty(), "{held:?}");
            } else {
                // Row by row nobody can tell which parent was meant.
                ended.exits(5).complains_of(&["developers"]);
                assert!(held[0].contains("developers") && held[0].contains(SECOND_ID), "{held:?}");
            }
            undo(&target).exits(0);
            assert_eq!(before, target.content().await);
        }
        source.remove().await;
        target.remove().await;
    });
}

#[test]
fn of_two_users_that_share_a_token_one_is_held_and_the_token_not_shown() {
    run(async {
        let (source, target) = sides("twins", &[RBAC_USERS]).await;
        for id in [ID, SECOND_ID] {
            let user = json!({ "id": id, "name": format!("user {id}"), "user_token": "value-marker", "enabled": true });
            source.insert("rbac_users", &user, None).await;
        }
        for options in [&["--keep-constraints"][..], &[]] {
            let before = target.content().await;
            let ended = migrate(&source, &target, options);
            ended.exits(5).complains_of(&["rbac_users"]).keeps_quiet_about(&["value-marker"]);
            let listed = kongferry(&["quarantine", "list", "--target", &target.url()]);
            listed.exits(0).prints(&["rbac_users", "duplicate", "user_token"]);
            listed.keeps_quiet_about(&["value-marker"]);
            let held = target.texts(&format!("SELECT key {HELD}")).await;
            assert!(matches!(&held[..], [key] if [ID, SECOND_ID].contains(&&**key)), "{held:?}");
            undo(&target).exits(0);
            assert_eq!(before, target.content().await);
        }
        source.remove().await;
        target.remove().await;
    });
}

#[test]
fn a_column_of_another_patch_level_is_named_before_a_row_moves() {
    run(async {
        let (source, target) = sides("patches", &[RBAC_USERS]).await;
        source.execute("ALTER TABLE {ks}.rbac_users ADD last_seen_from text", ()).await;
        target.execute("ALTER TABLE rbac_users ADD last_seen_from text").await;
        let before = target.content().await;
        let refused = migrate(&source, &target, &[]);
        refused.exits(3).complains_of(&["rbac_users.last_seen_from", "kongferry map show", "--map-dir"]);
        assert_eq!(before, target.content().await);
        source.remove().await;
        target.remove().await;
    });
}
