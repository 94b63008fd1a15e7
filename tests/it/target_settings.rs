//! Settings of the server that slow a load are named, with statements that work.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kongferry::estate::KongVersion;
use kongferry::target::settings::{Advice, ExpectedLoad, Settings};
use kongferry::target::{Target, TargetConfig};
use uuid::Uuid;

use crate::support::program::kongferry;
use crate::support::servers::postgres_versions;
use crate::support::{database, keyspace, run, unique};
use crate::target_database::{Database, VERSIONS};

const LARGE: ExpectedLoad = ExpectedLoad { rows: 20_000_000, largest_table: 10_000_000 };

/// The advice for a large load, as a session that begins now is given it.
async fn advice(url: &str) -> Vec<Advice> {
    let target = Target::connect(&TargetConfig::from_url(url).unwrap()).await.unwrap();
    let client = target.client().await.unwrap();
    Settings::read(&client).await.unwrap().advice(LARGE)
}

/// Asks until the advice is as `wanted`: a reload takes a moment to reach new sessions.
async fn sees(url: &str, wanted: impl Fn(&Vec<Advice>) -> bool) {
    let begun = Instant::now();
    loop {
        let advice = advice(url).await;
        if wanted(&advice) {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "{advice:#?}");
    }
}

fn named(advice: &[Advice]) -> Vec<&str> {
    advice.iter().map(|advice| advice.setting).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_statements_change_what_they_say_and_change_it_back() {
    for version in VERSIONS {
        let database = Database::create(version, "").await;
        let role = database.role("plain", "").await;
        let url = database.url_as(&role, None);
        let admin = database.admin().await;
        let own =
            Target::connect(&TargetConfig::from_url(&url).unwrap()).await.unwrap().client().await.unwrap();
        let as_found = advice(&url).await;
        let mut expected = vec!["max_wal_size", "checkpoint_timeout", "maintenance_work_mem"];
        if version == "9.6" {
            // 0.9 is the default since 14.
            expected.insert(2, "checkpoint_completion_target");
        }
        assert_eq!(named(&as_found), expected, "{version}: {as_found:#?}");

        let run = async |advice: &Advice, statements: &str| {
            // ALTER SYSTEM wants to be alone in its message, as psql sends it.
            for statement in statements.split_inclusive("; ") {
                let client = if advice.of_server { &admin } else { &*own };
                client
                    .batch_execute(statement)
                    .await
                    .unwrap_or_else(|error| panic!("{statement}: {error:?}"));
            }
        };
        // The test servers have a limit to their WAL on the command line, which no statement changes.
        let is_statement = |advice: &Advice| advice.before.starts_with("ALTER ");
        let changing: Vec<&Advice> = as_found.iter().filter(|advice| is_statement(advice)).collect();
        assert!(changing.len() >= 2, "{as_found:#?}");
        for advice in &changing {
            run(advice, &advice.before).await;
        }
        sees(&url, |advice| advice.iter().all(|advice| !is_statement(advice))).await;
        for advice in &changing {
            run(advice, &advice.after).await;
        }
        sees(&url, |advice| *advice == as_found).await;
    }
}

#[test]
fn plan_and_migrate_name_a_setting_that_slows_this_load() {
    run(async {
        let source = keyspace::empty("5.0", KongVersion::V3_3, "settings", None).await;
        let insert = format!("INSERT INTO {}.consumers (id, username, ws_id) VALUES (?, ?, ?)", source.name);
        let statement = &source.session.prepare(insert).await.unwrap();
        let workspace = source.default_workspace;
        let rows = (0..40_000).map(|n| (Uuid::new_v4(), format!("{workspace}:user-{n}"), workspace));
        futures::stream::iter(rows)
            .for_each_concurrent(64, |row| async {
                source.session.execute_unpaged(statement, row).await.unwrap();
            })
            .await;
        for line in postgres_versions() {
            let target = database::fresh(line, KongVersion::V3_3).await;
            let role = unique("slow");
            target
                .execute(&format!(
                    "CREATE ROLE {role} LOGIN; ALTER ROLE {role} SET maintenance_work_mem = '1MB';
                     GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT CREATE ON DATABASE {} TO {role}",
                    target.name
                ))
                .await;
            let url = target.url().replacen("postgres@", &format!("{role}@"), 1);
            let urls = ["--source", &source.url(), "--target", &url];

            let before = format!("ALTER ROLE \"{role}\" SET maintenance_work_mem = '256MB';");
            let plan = kongferry(&[&["plan", "--keep-constraints"], &urls[..]].concat());
            plan.exits(0).prints(&[
                "settings of PostgreSQL that will slow the load",
                "maintenance_work_mem = 1MB: ",
                &format!("before  {before}"),
                &format!("after   ALTER ROLE \"{role}\" SET maintenance_work_mem = '1MB';"),
            ]);
            let dry = kongferry(&[&["migrate", "--dry-run"], &urls[..]].concat());
            dry.exits(0).complains_of(&["note: maintenance_work_mem = 1MB will slow the load", &before]);

            target.execute(&before).await;
            let plan = kongferry(&[&["plan", "--keep-constraints"], &urls[..]].concat());
            assert!(!plan.exits(0).stdout.contains("maintenance_work_mem"), "{}", plan.transcript());
            target.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
            target.remove().await;
        }
        source.remove().await;
    });
}
