//! A whole estate moves: every row and column of every table is compared with what it must be, computed anew.

use std::collections::BTreeMap;

use kongferry::estate::{FillSpec, KongVersion};
use sha1::{Digest, Sha1};
use uuid::Uuid;

use crate::support::database::{self, Database};
use crate::support::expected::{Cell, Expected, compare, expected, facts};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Run, kongferry};
use crate::support::{Pair, pairs, run, unique};

#[test]
fn an_estate_of_kong_2_8_arrives_whole() {
    run(arrives_whole(KongVersion::V2_8));
}

#[test]
fn an_estate_of_kong_3_3_arrives_whole() {
    run(arrives_whole(KongVersion::V3_3));
}

/// Tables that are cut: the consumers by token, the routes, which stand in one partition, by slices of their ids.
#[test]
fn large_tables_arrive_whole_from_many_splits() {
    run(async {
        let pair = Pair { cassandra: "3.11", postgres: "9.6", kong: KongVersion::V2_8 };
        let size =
            FillSpec { consumers: 4_200, services: Some(600), routes: Some(9_000), ..FillSpec::default() };
        let source = keyspace::filled_with(pair.cassandra, pair.kong, size).await;
        let target = database::fresh(pair.postgres, pair.kong).await;
        let urls = ["--source", &source.url(), "--target", &target.url()];
        let plan = kongferry(&[&["plan", "--workers", "4"], &urls[..]].concat());
        for table in ["consumers", "keyauth_credentials", "routes"] {
            let splits = splits(&plan, table);
            assert!(splits > 2, "{table} is not cut, which proves nothing:\n{}", plan.transcript());
        }
        migrate_and_compare(&source, &target, pair, &["--workers", "4"]).await;
        // Counted again with other cuts.
        let verify = kongferry(&[&["verify", "--counts", "--workers", "3"], &urls[..]].concat());
        verify.exits(0).prints(&["counts of both sides agree"]);
        target.remove().await;
        source.remove().await;
    });
}

/// The owner of the tables, who is no superuser, is enough.
#[test]
fn the_owner_of_the_tables_moves_an_estate() {
    run(async {
        for pair in pairs(KongVersion::V3_3) {
            let source = keyspace::filled(pair.cassandra, pair.kong).await;
            let target = database::fresh(pair.postgres, pair.kong).await;
            let role = unique("owner");
            target
                .execute(&format!(
                    "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {} TO {role};
                     ALTER SCHEMA public OWNER TO {role};
                     DO $$ DECLARE name text; BEGIN
                         FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = 'public' LOOP
                             EXECUTE format('ALTER TABLE %I OWNER TO {role}', name);
                         END LOOP; END $$",
                    target.name
                ))
                .await;
            let (catalog, before) = (target.catalog().await, target.content().await);
            let url = target.url().replacen("postgres@", &format!("{role}@"), 1);
            kongferry(&["plan", "--source", &source.url(), "--target", &url]).exits(0);
            kongferry(&["migrate", "--source", &source.url(), "--target", &url]).exits(0);
            compare_rows(source, &target, pair).await;
            let changed = compare::differing(&catalog, &target.catalog().await);
            assert!(changed.is_empty(), "{pair:?}: the target's catalog changed:\n{}", changed.join("\n"));
            kongferry(&["undo", "--target", &url]).exits(0);
            assert_eq!(before, target.content().await);
            assert_eq!(catalog, target.catalog().await);
            kongferry(&["clean", "--target", &url]).exits(0);
            target
                .execute(&format!(
                    "REASSIGN OWNED BY {role} TO postgres; DROP OWNED BY {role}; DROP ROLE {role}"
                ))
                .await;
            target.remove().await;
        }
    });
}

/// Splits of `table` in a printed plan.
fn splits(plan: &Run, table: &str) -> u64 {
    let mut lines = plan.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line = lines.find(|words| words.get(1) == Some(&table)).unwrap_or_default();
    line.get(3).and_then(|word| word.parse().ok()).unwrap_or_default()
}

async fn arrives_whole(version: KongVersion) {
    for pair in pairs(version) {
        let source = keyspace::filled(pair.cassandra, version).await;
        let target = database::fresh(pair.postgres, version).await;
        // One worker reads one table after the other, the default several at once.
        let workers: &[&str] = if pair.cassandra == "5.0" { &["--workers", "1"] } else { &[] };
        migrate_and_compare(source, &target, pair, workers).await;
        target.remove().await;
    }
}

/// Migrates with these options, and compares everything the target then holds with what it must hold.
async fn migrate_and_compare(source: &Keyspace, target: &Database, pair: Pair, options: &[&str]) {
    let catalog = target.catalog().await;
    let before = target.content().await;

    let arguments = ["migrate", "--source", &source.url(), "--target", &target.url()];
    let migrated = kongferry(&[&arguments, options].concat());
    migrated.exits(0).prints(&["the counts of both sides agree"]);

    let tables = compare_rows(source, target, pair).await;
    let tags = target.rows("tags", "entity_id").await;
    compare::assert_tags(&tables, tags, &facts::tagged(pair.kong), &format!("{pair:?}"));
    compare::assert_counts(&migrated, &tables);
    check_odd_rows(&migrated, &tables, pair);
    check_passwords(target).await;
    let after = target.content().await;
    for table in facts::LEFT_ALONE {
        assert_eq!(before.get(table), after.get(table), "{pair:?}: {table} is not copied, yet it changed");
    }
    let changed = compare::differing(&catalog, &target.catalog().await);
    assert!(changed.is_empty(), "{pair:?}: the target's catalog changed:\n{}", changed.join("\n"));
    assert!(before.keys().eq(after.keys()), "{pair:?}: tables came or went");
}

/// Every table of the target, the copied ones row by row; returns what was expected.
async fn compare_rows(source: &Keyspace, target: &Database, pair: Pair) -> BTreeMap<&'static str, Expected> {
    let mut tables = BTreeMap::new();
    let mut differences = Vec::new();
    for table in facts::copied(pair.kong) {
        let expected = expected(source, target, table).await;
        assert!(
            !expected.rows.is_empty(),
            "{pair:?}: the estate has no row to copy in {table}, which proves nothing"
        );
        differences.extend(compare::differences(target, table, &expected).await);
        tables.insert(table, expected);
    }
    compare::assert_none(&differences, &format!("{pair:?}"));
    let known: Vec<&str> = tables.keys().copied().chain(facts::LEFT_ALONE).chain(["tags"]).collect();
    let unknown: Vec<_> =
        target.tables().await.into_iter().filter(|table| !known.contains(&table.as_str())).collect();
    assert!(unknown.is_empty(), "{pair:?}: this test says nothing of {unknown:?}");
    tables
}

/// The estate held what makes the rules matter, and the run said what became of it.
fn check_odd_rows(migrated: &Run, tables: &BTreeMap<&'static str, Expected>, pair: Pair) {
    let remarks = [
        ("keyauth_credentials", "expired, only a remnant left"),
        ("routes", "under a partition Kong never reads"),
        ("consumers", "empty name to NULL"),
        ("consumers", "doubled workspace prefix, one stripped"),
        ("consumers", "prefix that is no uuid stripped"),
        ("consumers", "NULL ws_id to the default workspace"),
        ("consumers", "seconds in a millisecond column"),
        ("plugins", "fraction of a second cut"),
        ("plugins", "NULL to the column's default"),
        ("acls", "old cache key recomputed"),
        ("basicauth_credentials", "$(VALUE) left by Kong 2.1.0 to NULL"),
        ("keyauth_credentials", "earlier expiry of another cell taken"),
    ];
    compare::assert_remarks(migrated, &remarks, &format!("{pair:?}"));
    let ghosts: usize = tables.values().map(|table| table.ghosts).sum();
    let foreign: usize = tables.values().map(|table| table.foreign).sum();
    assert!(ghosts > 0 && foreign > 0, "{pair:?}: {ghosts} ghost rows, {foreign} under foreign partitions");
    let keys = &tables["keyauth_credentials"].rows;
    let expiring = keys.values().filter(|row| matches!(row["ttl"], Cell::Expiry(_))).count();
    assert!(expiring > 0 && expiring < keys.len(), "{pair:?}: {expiring} of {} keys expire", keys.len());
}

/// Every basic-auth hash is the SHA-1 of the password its user knows and the consumer's id.
async fn check_passwords(target: &Database) {
    let credentials = target.rows("basicauth_credentials", "id").await;
    let mut checked = 0;
    for (id, row) in &credentials {
        let id: Uuid = id.parse().unwrap();
        let password = kongferry::estate::fill::basic_auth_password(id);
        let consumer = row["consumer_id"].as_str().unwrap();
        let hash = Sha1::digest(format!("{password}{consumer}"));
        let hash = format!("{hash:x}");
        if row["password"].as_str() == Some(hash.as_str()) {
            checked += 1;
        }
    }
    // The odd rows of the estate have credentials of their own making.
    assert!(
        checked > 0 && checked * 10 >= credentials.len() * 9,
        "{checked} of {} passwords check out",
        credentials.len()
    );
}
