//! Policing: what Cassandra never enforced is repaired or taken away before keys come back, and nothing else.

mod planted;

use std::collections::{BTreeMap, BTreeSet};

use kongferry::estate::KongVersion;

use crate::support::database::{self, Database};
use crate::support::expected::compare;
use crate::support::program::{Run, kongferry, start};
use crate::support::run;
use planted::{Estate, Fate, MARKER, OWN_INDEXES};

const VERSION: KongVersion = KongVersion::V2_8;

fn migrate(source: &str, target: &Database, options: &[&str]) -> Run {
    kongferry(&[&["migrate", "--source", source, "--target", &target.url()], options].concat())
}

/// Done; rows in quarantine are exit code 5.
#[track_caller]
fn is_done(run: &Run) -> &Run {
    assert!([0, 5].contains(&run.code), "{}", run.transcript());
    run.keeps_quiet_about(&[MARKER])
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
    let found = target.texts("SELECT format('%s %s %s', entity_name, entity_id, tags) FROM tags ORDER BY 1").await;
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
    let verified = kongferry(&["verify", "--counts", "--source", &estate.source.url(), "--target", &target.url()]);
    is_done(&verified);
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
            done.prints(&["acls: 2 rows moved to the workspace of their parents", "plugins: 2 rows put into quarantine"]);
            check_all(&estate, &target, &catalog).await;
            if let Some(log) = log(&target).await {
                let log = log.get(logged..).unwrap();
                assert!(log.contains("kongferry: ") && !log.contains(MARKER), "{line}: a value stands in the server's log");
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
