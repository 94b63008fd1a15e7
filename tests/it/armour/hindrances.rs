//! What cannot be restored exactly is refused with its name, and nothing is touched.

use std::collections::BTreeSet;

use kongferry::error::ErrorKind;
use kongferry::estate::{Edition, KongVersion};
use kongferry::target::armour::{self, Armour};

use super::owned::{Owned, connect, lines, tablespace};
use crate::support::{database, run, unique};

/// One thing an administrator did, how to undo it, and what the refusal must say.
struct Case {
    /// Oldest `server_version_num` that knows it.
    since: u32,
    done: &'static str,
    undone: &'static str,
    said: &'static [&'static str],
}

const CASES: &[Case] = &[
    Case {
        since: 0,
        done: "CREATE VIEW by_key AS SELECT id, username FROM consumers GROUP BY id",
        undone: "DROP VIEW by_key",
        said: &["view by_key depends on constraint consumers_pkey", "drop view by_key"],
    },
    Case {
        since: 140_000,
        done: "CREATE FUNCTION by_key() RETURNS SETOF text BEGIN ATOMIC SELECT username FROM consumers GROUP BY id; END",
        undone: "DROP FUNCTION by_key",
        said: &["function by_key() depends on constraint consumers_pkey"],
    },
    Case {
        since: 0,
        done: "CREATE SCHEMA other; CREATE TABLE other.mine (service_id uuid CONSTRAINT to_service REFERENCES services)",
        undone: "DROP SCHEMA other CASCADE",
        said: &["to_service of \"other\".\"mine\"", "refers to services", "DROP CONSTRAINT \"to_service\""],
    },
    Case {
        since: 0,
        done: "CREATE TABLE plugin_extra (service_id uuid CONSTRAINT extra_service REFERENCES services);
               ALTER TABLE plugin_extra OWNER TO @role",
        undone: "DROP TABLE plugin_extra",
        said: &["extra_service of \"public\".\"plugin_extra\"", "no part of the run"],
    },
    Case {
        since: 0,
        done:
            "ALTER TABLE routes DROP CONSTRAINT routes_service_id_fkey, ADD CONSTRAINT routes_service_id_fkey
               FOREIGN KEY (service_id, ws_id) REFERENCES services (id, ws_id) NOT VALID",
        undone: "ALTER TABLE routes VALIDATE CONSTRAINT routes_service_id_fkey",
        said: &[
            "routes_service_id_fkey of routes is NOT VALID",
            "VALIDATE CONSTRAINT routes_service_id_fkey",
        ],
    },
    Case {
        since: 180_000,
        done: "ALTER TABLE routes ALTER CONSTRAINT routes_service_id_fkey NOT ENFORCED",
        undone: "ALTER TABLE routes ALTER CONSTRAINT routes_service_id_fkey ENFORCED",
        said: &["routes_service_id_fkey of routes is NOT ENFORCED", "ENFORCED;"],
    },
    Case {
        since: 0,
        done: "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'services_pkey'::regclass",
        undone: "UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'services_pkey'::regclass",
        said: &["index services_pkey of services is invalid", "REINDEX INDEX services_pkey"],
    },
    Case {
        since: 100_000,
        done: "CREATE PUBLICATION everything FOR ALL TABLES",
        undone: "DROP PUBLICATION everything",
        said: &["publication everything publishes updates or deletes of", "acls", "SET (publish = 'insert')"],
    },
    Case {
        since: 100_000,
        done: "CREATE PUBLICATION one FOR TABLE snis",
        undone: "DROP PUBLICATION one",
        said: &["publication one publishes updates or deletes of snis,"],
    },
    Case {
        since: 150_000,
        done: "CREATE PUBLICATION whole FOR TABLES IN SCHEMA public",
        undone: "DROP PUBLICATION whole",
        said: &["publication whole publishes"],
    },
    Case {
        since: 0,
        done: "CREATE TABLE heir () INHERITS (services)",
        undone: "DROP TABLE heir",
        said: &["services is partitioned, or inherits, or is inherited from", "--skip-tables"],
    },
    Case {
        since: 0,
        done: "CREATE TRIGGER sometimes AFTER INSERT ON services FOR EACH ROW WHEN (NEW.name IS NOT NULL)
               EXECUTE PROCEDURE sync_tags()",
        undone: "DROP TRIGGER sometimes ON services",
        said: &["trigger sometimes of services writes tags under a condition"],
    },
    Case {
        since: 0,
        done: "REVOKE CREATE ON SCHEMA public FROM @role, PUBLIC",
        undone: "GRANT CREATE ON SCHEMA public TO @role",
        said: &["may not create indexes in schema public", "GRANT CREATE ON SCHEMA public TO @role;"],
    },
    Case {
        since: 0,
        done: "REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC",
        undone: "GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC",
        said: &["may not run PL/pgSQL", "GRANT USAGE ON LANGUAGE plpgsql TO @role;"],
    },
    Case {
        since: 0,
        done: "ALTER TABLE acls OWNER TO postgres",
        undone: "ALTER TABLE acls OWNER TO @role",
        said: &["role @role does not own acls (postgres does)", "GRANT postgres TO @role;"],
    },
];

/// Tables of the run: what the estate made.
async fn inside(target: &Owned) -> BTreeSet<String> {
    let mut tables = target.tables().await;
    tables.remove("plugin_extra");
    tables.remove("heir");
    tables
}

async fn armour_of(target: &Owned, inside: &BTreeSet<String>) -> (kongferry::target::Catalog, Armour) {
    let catalog = target.target.catalog().await.unwrap();
    let armour = Armour::read(&target.target, &catalog, inside).await.unwrap();
    (catalog, armour)
}

#[test]
fn each_hindrance_is_named_with_its_remedy() {
    run(async {
        for line in lines() {
            let target = Owned::fresh(line, KongVersion::V3_3, Edition::OpenSource, "").await;
            let version: u32 = target.database.texts("SELECT current_setting('server_version_num')").await[0]
                .parse()
                .unwrap();
            for case in CASES.iter().filter(|case| case.since <= version) {
                target.database.execute(&case.done.replace("@role", &target.role)).await;
                let before = target.database.catalog().await;
                let inside = inside(&target).await;
                let (catalog, armour) = armour_of(&target, &inside).await;
                let error =
                    armour::check(&target.target, &catalog, &armour, &inside).await.expect_err(case.done);
                assert_eq!(error.kind(), ErrorKind::Preflight, "{}", case.done);
                let report = error.report();
                for word in case.said.iter().copied().chain(["or load with --keep-constraints"]) {
                    let word = word.replace("@role", &target.role);
                    assert!(report.contains(&word), "{line}: {word} is not in\n{report}");
                }
                assert_eq!(report.matches("what to do").count(), 1);
                assert_eq!(target.database.catalog().await, before);
                target.database.execute(&case.undone.replace("@role", &target.role)).await;
                let (catalog, armour) = armour_of(&target, &inside).await;
                armour::check(&target.target, &catalog, &armour, &inside)
                    .await
                    .unwrap_or_else(|error| panic!("{line}: after {}: {}", case.undone, error.report()));
            }
            target.remove().await;
        }
    });
}

#[test]
fn all_hindrances_stand_in_one_refusal() {
    run(async {
        let target = Owned::fresh("16", KongVersion::V2_8, Edition::OpenSource, "").await;
        let space = tablespace(&target.database).await;
        let sql = format!(
            "ALTER INDEX routes_pkey SET TABLESPACE {space};
             CREATE VIEW by_key AS SELECT id, username FROM consumers GROUP BY id;
             CREATE PUBLICATION one FOR TABLE snis"
        );
        target.database.execute(&sql).await;
        let inside = target.tables().await;
        let (catalog, armour) = armour_of(&target, &inside).await;
        let error = armour::check(&target.target, &catalog, &armour, &inside).await.unwrap_err();
        let report = error.report();
        for word in ["view by_key", "publication one", &format!("GRANT CREATE ON TABLESPACE {space} TO")] {
            assert!(report.contains(word), "{report}");
        }
        assert_eq!(error.exit_code(), 3);
        let admin = database::connect(&target.database.server.url).await;
        target.remove().await;
        admin.batch_execute(&format!("DROP TABLESPACE {space}")).await.unwrap();
    });
}

/// What the check does not know of, the rehearsal finds.
#[test]
fn the_rehearsal_names_what_would_not_come_back() {
    run(async {
        for line in lines() {
            let target = Owned::fresh(line, KongVersion::V2_8, Edition::OpenSource, "").await;
            // Only a superuser can disable the triggers of a foreign key; made again, they would fire.
            target.database.execute("ALTER TABLE routes DISABLE TRIGGER ALL").await;
            let before = target.database.catalog().await;
            let (_, armour) = target.armour().await;
            let error = armour::rehearse(&target.target, &armour).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Preflight);
            let report = error.report();
            assert!(
                report.contains("constraint routes_service_id_fkey on public.routes differs in fires"),
                "{report}"
            );
            assert!(report.contains("--keep-constraints"), "{report}");
            assert_eq!(target.database.catalog().await, before);

            // An object that stands in the way of a step is named with the step.
            target.database.execute("ALTER TABLE routes ENABLE TRIGGER ALL").await;
            let before = target.database.catalog().await;
            let (_, mut armour) = target.armour().await;
            let services = armour.tables.get_mut("services").unwrap();
            for index in &mut services.indexes {
                index.definition = index.definition.replace("services_pkey", "routes_pkey");
            }
            let error = armour::rehearse(&target.target, &armour).await.unwrap_err();
            let report = error.report();
            assert!(report.contains("cannot build index services_pkey of services"), "{report}");
            assert_eq!(target.database.catalog().await, before);
            target.remove().await;
        }
    });
}

#[test]
fn a_session_that_holds_a_lock_is_a_clear_refusal() {
    run(async {
        let target = Owned::fresh("16", KongVersion::V3_3, Edition::OpenSource, "").await;
        let (_, armour) = target.armour().await;
        target.database.execute("BEGIN; LOCK TABLE consumers IN ACCESS SHARE MODE").await;
        let error = armour::rehearse(&target.target, &armour).await.unwrap_err();
        target.database.execute("ROLLBACK").await;
        assert_eq!(error.kind(), ErrorKind::Preflight);
        assert!(error.report().contains("stop the Gateways"), "{}", error.report());
        armour::rehearse(&target.target, &armour).await.unwrap();
        target.remove().await;
    });
}

#[test]
fn tables_that_changed_since_they_were_read_are_left_alone() {
    run(async {
        let target = Owned::fresh("16", KongVersion::V3_3, Edition::OpenSource, "").await;
        let (_, armour) = target.armour().await;
        target.database.execute("CREATE INDEX late ON consumers (created_at)").await;
        let before = target.database.catalog().await;
        let mut transaction = target.target.begin().await.unwrap();
        let error = armour::take_off(&mut transaction, &armour, &BTreeSet::new()).await.unwrap_err();
        drop(transaction);
        assert_eq!(error.kind(), ErrorKind::Preflight);
        assert!(error.report().contains("index public.late is new"), "{}", error.report());
        assert_eq!(target.database.catalog().await, before);
        target.remove().await;
    });
}

#[test]
fn the_journal_needs_a_schema_the_role_may_write_to() {
    run(async {
        for line in lines() {
            let target = Owned::fresh(line, KongVersion::V2_8, Edition::OpenSource, "").await;
            let admin = &target.database;
            let statement = |report: &str| {
                let (_, rest) = report.split_once("what to do: ").unwrap();
                rest.split_once(';').unwrap().0.to_owned()
            };
            let refused = async || armour::check_journal(&target.target).await.unwrap_err().report();
            let first = refused().await;
            assert!(first.contains("GRANT CREATE ON DATABASE"), "{first}");
            admin.execute(&statement(&first)).await;
            armour::check_journal(&target.target).await.unwrap();
            admin.execute("CREATE SCHEMA kongferry").await;
            let second = refused().await;
            assert!(second.contains("GRANT USAGE, CREATE ON SCHEMA kongferry"), "{second}");
            admin.execute(&statement(&second)).await;
            armour::check_journal(&target.target).await.unwrap();
            let nobody = unique("nobody");
            admin.execute(&format!("CREATE ROLE {nobody} LOGIN")).await;
            let other = connect(admin, &nobody).await;
            assert!(armour::check_journal(&other).await.is_err());
            drop(other);
            admin.execute(&format!("REVOKE ALL ON DATABASE {} FROM {}", admin.name, target.role)).await;
            let server = admin.server.url.clone();
            target.remove().await;
            database::connect(&server).await.batch_execute(&format!("DROP ROLE {nobody}")).await.unwrap();
        }
    });
}
