//! The rows of `kong migrations bootstrap` give way to the source's, all or none, and never anything else.

pub mod schema;

use std::collections::BTreeMap;

use kongferry::error::{ErrorKind, Result};
use kongferry::target::bootstrap::{Seeded, Seeding};
use kongferry::target::fresh::check_fresh;
use kongferry::target::workspace_defaults::{check_owner, workspace_defaults};
use kongferry::target::{LoadTransaction, Target};
use uuid::Uuid;

use self::schema::{TARGET_DEFAULT, admin, bootstrapped, connect, contents, copied, skipped, target, texts};
use crate::target_database::{VERSIONS, tuple};

/// Ids of the source's workspaces.
const SOURCE_DEFAULT: Uuid = Uuid::from_u128(0x5e5e_5e5e_0000_4000_8000_0000_0000_0001);
const SOURCE_TEAM: Uuid = Uuid::from_u128(0x5e5e_5e5e_0000_4000_8000_0000_0000_0002);

async fn load_workspaces(transaction: &mut LoadTransaction, workspaces: &[(Uuid, &str)]) {
    let mut copy = transaction.copy("workspaces", &["id".to_owned(), "name".to_owned()]).await.unwrap();
    for (id, name) in workspaces {
        copy.send(tuple(&[Some(id.as_bytes()), Some(name.as_bytes())]).into()).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), u64::try_from(workspaces.len()).unwrap());
}

/// The whole step, with all tables copied but those `left_out`.
async fn seed(target: &Target, left_out: &[&str]) -> Result<Seeded> {
    let catalog = target.catalog().await.unwrap();
    let (mut copied, mut ignored) = (copied(target).await, skipped());
    for table in left_out {
        assert!(copied.remove(*table), "{table}");
        ignored.insert((*table).to_owned());
    }
    let mut seeding = Seeding::begin(target, &catalog, &copied, &ignored).await?;
    load_workspaces(seeding.transaction(), &[(SOURCE_TEAM, "team"), (SOURCE_DEFAULT, "default")]).await;
    seeding.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn bootstrap_rows_give_way_and_defaults_follow() {
    for version in VERSIONS {
        for password in [false, true] {
            let database = bootstrapped(version, password).await;
            let (target, admin) = (target(&database).await, admin(&database).await);
            let seeded = seed(&target, &[]).await.unwrap();
            let of_admin = u64::from(password);
            let expected = BTreeMap::from([
                ("admins", of_admin),
                ("basicauth_credentials", of_admin),
                ("consumers", of_admin),
                ("oic_jwks", 1),
                ("parameters", 1),
                ("rbac_role_endpoints", 8),
                ("rbac_roles", 3 + of_admin),
                ("rbac_user_roles", 2 * of_admin),
                ("rbac_users", of_admin),
                ("tags", 2 * of_admin),
                ("workspace_entities", 6 + of_admin),
                ("workspace_entity_counters", 0),
                ("workspaces", 1),
            ]);
            let deleted: BTreeMap<&str, u64> =
                seeded.deleted.iter().map(|(table, rows)| (table.as_str(), *rows)).collect();
            assert_eq!(deleted, expected, "{version}");
            assert_eq!(
                seeded.defaults,
                [
                    "Odd Things.Ws Id",
                    "developers.ws_id",
                    "files.ws_id",
                    "rbac_roles.ws_id",
                    "rbac_users.ws_id"
                ]
            );

            let after = contents(&admin).await;
            assert!(!after.contains(TARGET_DEFAULT) && !after.contains("plain-marker"), "{after}");
            let kept = "SELECT key FROM vitals_locks UNION ALL SELECT subsystem FROM schema_meta
                        UNION ALL SELECT name FROM workspaces ORDER BY 1";
            assert_eq!(texts(&admin, kept).await, ["core", "default", "delete_status_codes", "team"]);
            assert!(
                after.contains("'99999999-0000-4000-8000-000000000009'::uuid"),
                "another default changed"
            );
            // The source's rows of the same names find room, in the workspace of the new default.
            admin
                .batch_execute(
                    "INSERT INTO rbac_roles (id, name) VALUES ('11111111-0000-4000-8000-000000000001', 'super-admin');
                     INSERT INTO rbac_users (id, name, user_token) VALUES
                         ('11111111-0000-4000-8000-000000000002', 'kong_admin', 'hash');
                     INSERT INTO admins (id, username) VALUES ('11111111-0000-4000-8000-000000000003', 'kong_admin');
                     INSERT INTO oic_jwks VALUES ('c3cfba2d-1617-453f-a416-52e6edb5f9a0', NULL);
                     INSERT INTO parameters VALUES ('cluster_id', 'source');",
                )
                .await
                .unwrap();
            let owners = "SELECT ws_id::text FROM rbac_roles UNION SELECT ws_id::text FROM rbac_users";
            assert_eq!(texts(&admin, owners).await, [SOURCE_DEFAULT.to_string()]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn given_up_in_the_middle_everything_is_as_it_was() {
    for version in VERSIONS {
        let database = bootstrapped(version, true).await;
        let (target, admin) = (target(&database).await, admin(&database).await);
        let catalog = target.catalog().await.unwrap();
        let before = contents(&admin).await;

        let mut seeding =
            Seeding::begin(&target, &catalog, &copied(&target).await, &skipped()).await.unwrap();
        load_workspaces(seeding.transaction(), &[(SOURCE_DEFAULT, "default")]).await;
        drop(seeding);
        // Waits until the server has noticed: the next step needs the same locks.
        let mut seeding =
            Seeding::begin(&target, &catalog, &copied(&target).await, &skipped()).await.unwrap();
        assert_eq!(contents(&admin).await, before, "{version}");

        load_workspaces(seeding.transaction(), &[(SOURCE_TEAM, "team")]).await;
        let error = seeding.finish().await.unwrap_err();
        assert!(error.report().contains("no workspace named default"), "{}", error.report());
        seed(&target, &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_nobody_copies_do_not_matter() {
    for version in VERSIONS {
        let database = bootstrapped(version, false).await;
        let (target, admin) = (target(&database).await, admin(&database).await);
        // What the first start of a Gateway writes.
        admin
            .batch_execute(
                "INSERT INTO license_data VALUES ('11111111-0000-4000-8000-000000000001', 7);
                 INSERT INTO vitals_locks VALUES ('another', now());
                 INSERT INTO workspace_entity_counters SELECT id, 'rbac_roles', 3 FROM workspaces",
            )
            .await
            .unwrap();
        let seeded = seed(&target, &[]).await.unwrap();
        assert_eq!(seeded.deleted["workspace_entity_counters"], 1);
        let kept =
            "SELECT count(*)::text FROM license_data UNION ALL SELECT count(*)::text FROM vitals_locks";
        assert_eq!(texts(&admin, kept).await, ["1", "2"]);
    }
}

/// Rows that bootstrap does not leave, with the tables that hold them.
const FOREIGN: [(&str, &[&str]); 13] = [
    ("INSERT INTO workspaces VALUES ('11111111-0000-4000-8000-000000000001', 'team')", &["workspaces"]),
    ("INSERT INTO parameters VALUES ('more', 'x')", &["parameters"]),
    ("INSERT INTO oic_jwks VALUES ('11111111-0000-4000-8000-000000000001')", &["oic_jwks"]),
    ("INSERT INTO rbac_roles (id, name) VALUES ('11111111-0000-4000-8000-000000000001', 'mine')", &["rbac_roles"]),
    // Not the private role of the seeded user.
    (
        "INSERT INTO rbac_roles (id, name, ws_id) VALUES ('11111111-0000-4000-8000-000000000001', 'kong_admin', NULL)",
        &["rbac_roles"],
    ),
    (
        "INSERT INTO rbac_role_endpoints SELECT id, '*', '/mine', 15, false FROM rbac_roles WHERE name = 'super-admin'",
        &["rbac_role_endpoints"],
    ),
    (
        "INSERT INTO rbac_users (id, name, user_token) VALUES ('11111111-0000-4000-8000-000000000001', 'me', 'value-marker')",
        &["rbac_users"],
    ),
    (
        "INSERT INTO rbac_user_roles SELECT u.id, r.id FROM rbac_users u, rbac_roles r WHERE r.name = 'read-only'",
        &["rbac_user_roles"],
    ),
    (
        "INSERT INTO rbac_role_entities SELECT id, '*' FROM rbac_roles WHERE name = 'admin'",
        &["rbac_role_entities"],
    ),
    (
        "INSERT INTO consumers (id, ws_id, username) SELECT '11111111-0000-4000-8000-000000000001', id, 'value-marker'
         FROM workspaces;
         INSERT INTO basicauth_credentials SELECT '11111111-0000-4000-8000-000000000002', ws_id, id, 'kong_admin2', 'x'
         FROM consumers WHERE type = 0;
         INSERT INTO admins VALUES ('11111111-0000-4000-8000-000000000003', 'me', '11111111-0000-4000-8000-000000000001');
         INSERT INTO developers SELECT '11111111-0000-4000-8000-000000000004', id, ws_id FROM consumers WHERE type = 0",
        &["admins", "basicauth_credentials", "consumers", "developers", "tags"],
    ),
    // An ordinary consumer of that name.
    (
        "INSERT INTO consumers (id, username) VALUES ('11111111-0000-4000-8000-000000000001', 'kong_admin')",
        &["consumers", "tags"],
    ),
    ("INSERT INTO files VALUES ('11111111-0000-4000-8000-000000000001', 'index.html')", &["files"]),
    // Last: what it changes is gone for good.
    ("UPDATE rbac_role_endpoints SET actions = 3 WHERE actions = 1", &["rbac_role_endpoints"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn anything_else_is_refused_untouched_and_the_printed_statements_remove_it() {
    for version in VERSIONS {
        let database = bootstrapped(version, true).await;
        let (target, admin) = (target(&database).await, admin(&database).await);
        let catalog = target.catalog().await.unwrap();
        let client = target.client().await.unwrap();
        let (copied, skipped) = (copied(&target).await, skipped());
        check_fresh(&client, &catalog, &skipped).await.unwrap();
        let fresh = contents(&admin).await;
        for (sql, expected) in FOREIGN {
            admin.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            let before = contents(&admin).await;
            // As where the row came after the first look.
            let error = Seeding::begin(&target, &catalog, &copied, &skipped).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Preflight, "{sql}");
            let report = error.report();
            assert!(report.contains(&format!("holds rows in {}: ", expected.join(", "))), "{sql}: {report}");
            assert!(!report.contains("value-marker"), "{report}");
            assert_eq!(contents(&admin).await, before, "{sql}");

            let (_, printed) = report.split_once("with: ").unwrap();
            database
                .admin()
                .await
                .batch_execute(printed)
                .await
                .unwrap_or_else(|error| panic!("{sql}: {printed}: {error:?}"));
            check_fresh(&client, &catalog, &skipped).await.unwrap();
            let taken = contents(&admin).await != fresh;
            assert_eq!(taken, sql.starts_with("UPDATE"), "{sql}: the statements took bootstrap rows as well");
        }
        seed(&target, &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_that_are_not_copied_keep_their_bootstrap_rows_where_keys_let_them() {
    for version in VERSIONS {
        let database = bootstrapped(version, true).await;
        let (target, admin) = (target(&database).await, admin(&database).await);
        let before = texts(&admin, "SELECT id::text FROM rbac_roles ORDER BY 1").await;
        let rbac = ["rbac_roles", "rbac_role_endpoints", "rbac_user_roles", "rbac_users", "oic_jwks"];
        let seeded = seed(&target, &rbac).await.unwrap();
        assert_eq!(
            seeded.moved,
            BTreeMap::from([("rbac_roles".to_owned(), 4), ("rbac_users".to_owned(), 1)])
        );
        // kong_admin's consumer went, and with it what refers to it.
        assert_eq!((seeded.deleted["admins"], seeded.deleted["consumers"]), (1, 1));
        assert_eq!(texts(&admin, "SELECT id::text FROM rbac_roles ORDER BY 1").await, before);
        let counts = "SELECT count(*)::text FROM rbac_role_endpoints UNION ALL SELECT count(*)::text FROM rbac_user_roles
                      UNION ALL SELECT count(*)::text FROM oic_jwks UNION ALL SELECT count(*)::text FROM workspaces";
        assert_eq!(texts(&admin, counts).await, ["8", "2", "1", "2"]);
        let owners = "SELECT ws_id::text FROM rbac_roles UNION SELECT ws_id::text FROM rbac_users";
        assert_eq!(texts(&admin, owners).await, [SOURCE_DEFAULT.to_string()]);

        // A composite key lets neither consumer nor credential move alone.
        let database = bootstrapped(version, true).await;
        let target = schema::target(&database).await;
        let seeded = seed(&target, &["consumers", "basicauth_credentials"]).await.unwrap();
        assert_eq!(seeded.deleted["basicauth_credentials"], 1);
        assert_eq!(seeded.moved, BTreeMap::from([("consumers".to_owned(), 1)]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_run_finds_the_sources_default_workspace_and_replaces_it() {
    for version in VERSIONS {
        let database = bootstrapped(version, false).await;
        let (target, admin) = (target(&database).await, admin(&database).await);
        seed(&target, &["rbac_roles", "rbac_role_endpoints"]).await.unwrap();
        admin.batch_execute("DELETE FROM workspaces WHERE name = 'team'").await.unwrap();
        let seeded = seed(&target, &["rbac_roles", "rbac_role_endpoints"]).await.unwrap();
        assert_eq!((seeded.moved["rbac_roles"], seeded.defaults.len()), (3, 0));
        assert_eq!(texts(&admin, "SELECT name FROM workspaces ORDER BY 1").await, ["default", "team"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn defaults_need_the_owner_and_the_printed_grant_is_enough() {
    for version in VERSIONS {
        let database = bootstrapped(version, false).await;
        let (owner, role) = (database.role("owner", "").await, database.role("loader", "").await);
        let admin = admin(&database).await;
        admin
            .batch_execute(&format!(
                "GRANT USAGE ON SCHEMA \"Kong E\" TO {role}, {owner}; GRANT ALL ON ALL TABLES IN SCHEMA \"Kong E\" TO {role};
                 ALTER TABLE files OWNER TO {owner}; ALTER TABLE developers OWNER TO {owner};
                 ALTER TABLE rbac_roles OWNER TO {owner}; ALTER TABLE rbac_users OWNER TO {owner};
                 ALTER TABLE \"Odd Things\" OWNER TO {owner}; GRANT ALL ON workspaces TO {owner}"
            ))
            .await
            .unwrap();
        let target = connect(&database.url_as(&role, None)).await;
        let catalog = target.catalog().await.unwrap();
        let client = target.client().await.unwrap();
        let defaults = workspace_defaults(&catalog, Some(TARGET_DEFAULT.parse().unwrap()));
        let error = check_owner(&client, &catalog, &defaults).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Preflight);
        let report = error.report();
        assert!(report.contains("is not the owner of Odd Things, developers, files, rbac_roles"), "{report}");
        let (_, grants) = report.split_once(" or: ").unwrap();
        admin.batch_execute(grants).await.unwrap();
        check_owner(&client, &catalog, &defaults).await.unwrap();
        drop(client);
        assert_eq!(seed(&target, &[]).await.unwrap().defaults.len(), 5);
        // Nothing to change, nothing to ask.
        check_owner(&target.client().await.unwrap(), &catalog, &[]).await.unwrap();
    }
}
