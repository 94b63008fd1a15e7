//! The catalogs before and after are equal.

use std::collections::BTreeSet;
use std::sync::Arc;

use kongferry::error::ErrorKind;
use kongferry::estate::{Edition, KongVersion};
use kongferry::target::armour::{self, Armour, Resources, ServerResources, Step, StepKind};

use super::owned::{Owned, RESOURCES, lines, tablespace};
use crate::support::run;
use crate::support::servers::whole_matrix;

/// Whatever an administrator may have done to Kong's tables.
const ADORNED: &str = r#"
    CREATE INDEX "Odd ""Name" ON consumers (lower(username), (custom_id || '\')) WHERE username <> 'it''s';
    COMMENT ON INDEX "Odd ""Name" IS 'a ''quoted'' \ comment';
    CREATE INDEX fresh_first ON services (created_at DESC NULLS LAST, name text_pattern_ops) WITH (fillfactor = 60);
    CREATE UNIQUE INDEX strict_names ON acls (consumer_id, "group");
    ALTER TABLE acls ALTER consumer_id SET NOT NULL, ALTER "group" SET NOT NULL, REPLICA IDENTITY USING INDEX strict_names;
    ALTER TABLE services CLUSTER ON fresh_first;
    COMMENT ON INDEX services_pkey IS 'behind a key';
    COMMENT ON CONSTRAINT services_pkey ON services IS 'a key';
    COMMENT ON CONSTRAINT routes_service_id_fkey ON routes IS 'a foreign key';
    COMMENT ON TRIGGER services_sync_tags_trigger ON services IS 'a trigger';
    ALTER TABLE services SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05);
    ALTER TABLE routes SET (autovacuum_enabled = true, fillfactor = 80, toast.autovacuum_enabled = false);
    ALTER TABLE services DISABLE TRIGGER services_sync_tags_trigger;
    ALTER TABLE routes ENABLE ALWAYS TRIGGER routes_sync_tags_trigger;
    ALTER TABLE snis ENABLE REPLICA TRIGGER snis_sync_tags_trigger;
    ALTER TABLE snis DROP CONSTRAINT snis_name_key, ADD CONSTRAINT snis_name_key UNIQUE (name)
        WITH (fillfactor = 77) DEFERRABLE INITIALLY DEFERRED;
    ALTER TABLE targets DROP CONSTRAINT targets_upstream_id_fkey, ADD CONSTRAINT targets_upstream_id_fkey
        FOREIGN KEY (upstream_id, ws_id) REFERENCES upstreams (id, ws_id) ON DELETE CASCADE DEFERRABLE;
    CREATE TABLE "Own Things" (id uuid PRIMARY KEY, period tstzrange, EXCLUDE USING gist (period WITH &&));
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
    CREATE TRIGGER note BEFORE INSERT ON consumers FOR EACH ROW EXECUTE PROCEDURE note();
"#;

async fn adorned(line: &str, kong: KongVersion, edition: Edition) -> (Owned, String) {
    let target = Owned::fresh(line, kong, edition, "").await;
    let database = &target.database;
    database.execute(ADORNED).await;
    let number: u32 =
        database.texts("SELECT current_setting('server_version_num')").await[0].parse().unwrap();
    if number < 110_000 {
        database.execute("ALTER TABLE \"Odd \"\"Name\" ALTER lower SET STATISTICS 17").await;
    } else {
        database.execute("ALTER INDEX \"Odd \"\"Name\" ALTER 1 SET STATISTICS 17").await;
        database.execute("CREATE UNIQUE INDEX covering ON upstreams (id) INCLUDE (name)").await;
        database
            .execute(
                "ALTER TABLE upstreams ADD CONSTRAINT covering_key UNIQUE (id, created_at) INCLUDE (slots)",
            )
            .await;
    }
    if number >= 150_000 {
        let nulls = "ALTER TABLE \"Own Things\" ADD n integer, ADD UNIQUE NULLS NOT DISTINCT (n)";
        database.execute(nulls).await;
    }
    if number >= 180_000 {
        database.execute("CREATE EXTENSION btree_gist").await;
        let overlaps =
            "ALTER TABLE \"Own Things\" ADD whole tstzrange, ADD UNIQUE (id, whole WITHOUT OVERLAPS);
                        ALTER TABLE \"Own Things\" ADD CONSTRAINT named_not_null NOT NULL period";
        database.execute(overlaps).await;
    }
    let space = tablespace(database).await;
    let moved = format!(
        "ALTER INDEX \"Odd \"\"Name\" SET TABLESPACE {space}; ALTER INDEX consumers_pkey SET TABLESPACE {space};
         GRANT CREATE ON TABLESPACE {space} TO {}; ALTER TABLE \"Own Things\" OWNER TO {}",
        target.role, target.role
    );
    database.execute(&moved).await;
    (target, space)
}

async fn remove(target: Owned, space: &str) {
    let url = target.database.server.url.clone();
    let admin = crate::support::database::connect(&url).await;
    admin.batch_execute(&format!("REVOKE ALL ON TABLESPACE {space} FROM {}", target.role)).await.unwrap();
    target.remove().await;
    admin.batch_execute(&format!("DROP TABLESPACE {space}")).await.unwrap();
}

/// Indexes of the tables, as the server counts them.
async fn indexes(target: &Owned) -> Vec<String> {
    target
        .database
        .texts("SELECT indexname::text FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1")
        .await
}

#[test]
fn the_catalogs_are_equal_afterwards() {
    run(async {
        let schemas = [
            (KongVersion::V2_8, Edition::OpenSource),
            (KongVersion::V3_3, Edition::Enterprise),
            (KongVersion::V3_3, Edition::OpenSource),
            (KongVersion::V2_8, Edition::Enterprise),
        ];
        for (place, line) in lines().into_iter().enumerate() {
            // Two schemas on each line, crossed over; all with the whole matrix.
            let chosen = if whole_matrix() { &schemas[..] } else { &schemas[place % 2 * 2..][..2] };
            for &(kong, edition) in chosen {
                let (target, space) = adorned(line, kong, edition).await;
                let (before, dump) = (target.database.catalog().await, target.dump());
                let (catalog, armour) = target.armour().await;
                let inside = target.tables().await;
                armour::check(&target.target, &catalog, &armour, &inside).await.unwrap();
                let began = std::time::Instant::now();
                armour::rehearse(&target.target, &armour).await.unwrap();
                println!(
                    "{line} {kong} {edition:?}: {} tables, {} steps, rehearsed in {:?}",
                    armour.tables.len(),
                    armour.steps().len(),
                    began.elapsed()
                );
                assert_eq!(target.database.catalog().await, before);

                // As the journal gives it back.
                let stored = serde_json::to_string(&armour).unwrap();
                let armour: Armour = serde_json::from_str(&stored).unwrap();
                target.disarm(&armour).await;
                assert_eq!(indexes(&target).await, [""; 0]);
                let left = "SELECT conname::text FROM pg_constraint
                            WHERE contype IN ('p', 'u', 'x', 'f') AND connamespace = 'public'::regnamespace";
                assert_eq!(target.database.texts(left).await, [""; 0]);
                let nothing = BTreeSet::new();
                let differences = armour::differences(&target.target, &armour, &nothing).await.unwrap();
                assert!(differences.contains(&"index public.consumers_pkey is missing".to_owned()));

                target.rearm(&armour).await;
                let differences = armour::differences(&target.target, &armour, &nothing).await.unwrap();
                assert_eq!(differences, [""; 0], "{line} {kong} {edition:?}");
                assert_eq!(target.database.catalog().await, before, "{line} {kong} {edition:?}");
                assert_eq!(target.dump(), dump, "{line} {kong} {edition:?}");
                remove(target, &space).await;
            }
        }
    });
}

#[test]
fn any_prefix_of_the_steps_can_be_taken_up_again() {
    run(async {
        for line in lines() {
            let (target, space) = adorned(line, KongVersion::V3_3, Edition::OpenSource).await;
            let before = target.database.catalog().await;
            let (_, armour) = target.armour().await;
            let steps = armour.steps();
            // Each step twice, then cuts that fall into every kind of step.
            target.disarm(&armour).await;
            for step in &steps {
                for _ in 0..2 {
                    target
                        .run(&armour, step)
                        .await
                        .unwrap_or_else(|error| panic!("{step}: {}", error.report()));
                }
            }
            assert_eq!(target.database.catalog().await, before);
            for cut in (1..=3).map(|part| steps.len() * part / 4) {
                target.disarm(&armour).await;
                for step in &steps[..cut] {
                    target.run(&armour, step).await.unwrap();
                }
                target.rearm(&armour).await;
                assert_eq!(target.database.catalog().await, before, "{line}, cut at {cut}");
            }
            remove(target, &space).await;
        }
    });
}

/// The order a scheduler may choose: as many at once as their dependencies and locks allow.
#[test]
fn steps_that_do_not_conflict_run_at_once() {
    run(async {
        let (target, space) = adorned("16", KongVersion::V3_3, Edition::Enterprise).await;
        let before = target.database.catalog().await;
        let (_, armour) = target.armour().await;
        target.disarm(&armour).await;
        let target = Arc::new(target);
        let armour = Arc::new(armour);
        let mut waiting = armour.steps();
        let mut done: BTreeSet<String> = BTreeSet::new();
        let mut running: Vec<Step> = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        let mut together = 0;
        while !waiting.is_empty() || !running.is_empty() {
            let ready = |step: &Step| step.after.iter().all(|id| done.contains(id));
            while running.len() < 4
                && let Some(place) = waiting
                    .iter()
                    .position(|step| ready(step) && !running.iter().any(|other| step.conflicts_with(other)))
            {
                let step = waiting.remove(place);
                running.push(step.clone());
                let (target, armour) = (Arc::clone(&target), Arc::clone(&armour));
                tasks.spawn(async move {
                    target.run(&armour, &step).await.unwrap();
                    step.id()
                });
            }
            together = together.max(running.len());
            let id = tasks.join_next().await.expect("a step is ready").unwrap();
            running.retain(|step| step.id() != id);
            assert!(done.insert(id));
        }
        assert_eq!(together, 4);
        assert_eq!(target.database.catalog().await, before);
        remove(Arc::into_inner(target).unwrap(), &space).await;
    });
}

/// A transaction that does all of it holds every lock to its end.
#[test]
fn the_locks_of_a_rehearsal_fit_into_a_default_server() {
    run(async {
        let target = Owned::fresh("16", KongVersion::V3_3, Edition::Enterprise, "").await;
        let (_, armour) = target.armour().await;
        let mut transaction = target.target.begin().await.unwrap();
        armour::take_off(&mut transaction, &armour, &BTreeSet::new()).await.unwrap();
        for step in armour.steps() {
            armour::put_back(&mut transaction, &armour, &step, &RESOURCES).await.unwrap();
        }
        let held = "SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid()";
        let held: i64 = transaction.query("cannot count locks", held, &[]).await.unwrap()[0].get(0);
        println!("{held} locks");
        // max_locks_per_transaction times max_connections.
        assert!(held < 64 * 100 / 2, "{held}");
        transaction.rollback().await.unwrap();
        target.remove().await;
    });
}

#[test]
fn what_stands_in_the_way_of_a_step_is_named_and_left_alone() {
    run(async {
        let target = Owned::fresh("16", KongVersion::V3_3, Edition::OpenSource, "").await;
        let (_, armour) = target.armour().await;
        target.disarm(&armour).await;
        let other = "CREATE INDEX acls_group_idx ON acls (id); CREATE TABLE snis_pkey ();
                     ALTER TABLE routes ADD CONSTRAINT routes_service_id_fkey FOREIGN KEY (id) REFERENCES other (id)";
        target.database.execute(&format!("CREATE TABLE other (id uuid PRIMARY KEY); {other}")).await;
        for step in
            ["index acls.acls_group_idx", "index snis.snis_pkey", "foreign key routes.routes_service_id_fkey"]
        {
            let step = armour.steps().into_iter().find(|it| it.id() == step).unwrap();
            let error = target.run(&armour, &step).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Target);
            let report = error.report();
            assert!(
                report.contains(&format!("{} exists in schema public, and is not what", step.name)),
                "{report}"
            );
        }
        target.remove().await;
    });
}

#[test]
fn builds_share_what_the_server_grants() {
    run(async {
        for (line, workers) in [("9.6", 0), ("16", 2)] {
            let target = Owned::fresh(line, KongVersion::V2_8, Edition::OpenSource, "").await;
            let all = ServerResources::read(&target.target).await.unwrap();
            // 64 MiB for a session and for each of three autovacuum workers.
            assert_eq!((all.maintenance_work_mem, all.budget), (64 << 20, 256 << 20));
            assert_eq!(all.share(4), Resources { memory: 64 << 20, parallel_workers: workers });
            assert_eq!(all.share(0).memory, 256 << 20);
            target.remove().await;
        }
    });
}

#[test]
fn steps_stand_behind_those_they_wait_for() {
    run(async {
        let target = Owned::fresh("16", KongVersion::V3_3, Edition::OpenSource, "").await;
        let (_, armour) = target.armour().await;
        let mut done = BTreeSet::new();
        for step in armour.steps() {
            assert!(step.after.iter().all(|id| done.contains(id)), "{step:?}");
            assert!(done.insert(step.id()), "{step:?}");
        }
        let finish = armour.steps().into_iter().find(|step| step.id() == "finish acls").unwrap();
        assert_eq!(finish.after, ["keys acls", "keys tags"]);
        assert_eq!(finish.kind, StepKind::Finish);
        target.remove().await;
    });
}
