//! What is copied can be chosen, and what is only looked at stays as it is.

use std::collections::BTreeMap;
use std::fs;

use kongferry::estate::KongVersion;

use crate::support::database::{self, Database};
use crate::support::expected::{Cell, compare, expected};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Run, kongferry};
use crate::support::run;

const VERSION: KongVersion = KongVersion::V2_8;

fn on(source: &Keyspace, target: &Database, arguments: &[&str]) -> Run {
    let urls = ["--source", &source.url(), "--target", &target.url()];
    kongferry(&[arguments, &urls].concat())
}

fn rows(content: &BTreeMap<String, Vec<String>>, table: &str) -> usize {
    content[table].len()
}

#[test]
fn plan_shows_everything_and_changes_nothing() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        let (content, catalog) = (target.content().await, target.catalog().await);
        let plan = on(source, &target, &["plan"]);
        plan.exits(0).prints(&["consumers", "routes", "sessions", "built-in"]);
        let place = |table: &str| {
            let line = plan.stdout.lines().position(|line| line.split_whitespace().nth(1) == Some(table));
            line.unwrap_or_else(|| panic!("{table} is not in the plan:\n{}", plan.transcript()))
        };
        for (parent, child) in [
            ("workspaces", "consumers"),
            ("consumers", "basicauth_credentials"),
            ("certificates", "services"),
            ("services", "routes"),
            ("routes", "plugins"),
            ("oauth2_credentials", "oauth2_tokens"),
        ] {
            assert!(place(parent) < place(child), "{parent} comes after {child}:\n{}", plan.transcript());
        }
        assert_eq!(content, target.content().await);
        assert_eq!(catalog, target.catalog().await);
        target.remove().await;
    });
}

#[test]
fn a_dry_run_reads_all_and_writes_nothing() {
    run(async {
        let source = keyspace::filled("3.11", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        let (content, catalog) = (target.content().await, target.catalog().await);
        let dry = on(source, &target, &["migrate", "--dry-run"]);
        dry.exits(0).prints(&["Nothing was written"]);
        let expected = expected(source, &target, "keyauth_credentials").await;
        let counts = dry.counts("keyauth_credentials");
        let (read, skipped) = (expected.read() as u64, expected.ghosts as u64);
        assert_eq!(counts[..3], [read, skipped, read - skipped], "{}", dry.transcript());
        assert_eq!(content, target.content().await);
        assert_eq!(catalog, target.catalog().await);
        target.remove().await;
    });
}

#[test]
fn sessions_come_along_when_asked_for() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        on(source, &target, &["migrate", "--include", "sessions"]).exits(0);
        let expected = expected(source, &target, "sessions").await;
        assert!(!expected.rows.is_empty(), "the estate has no sessions");
        assert!(expected.rows.values().all(|row| matches!(row["ttl"], Cell::Expiry(_))));
        compare::assert_none(&compare::differences(&target, "sessions", &expected).await, "sessions");
        target.remove().await;
    });
}

#[test]
fn tables_can_be_named_and_left_out() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        let parents_missing = on(source, &target, &["plan", "--tables", "consumers,upstreams"]);
        parents_missing.exits(0).complains_of(&["upstreams", "certificates, which is not copied"]);
        on(source, &target, &["migrate", "--tables", "consumers,acls"]).exits(0);
        let content = target.content().await;
        let filled: Vec<&str> = content
            .iter()
            .filter(|(table, rows)| !rows.is_empty() && table.as_str() != "schema_meta")
            .map(|(table, _)| table.as_str())
            .collect();
        assert_eq!(filled, ["acls", "consumers", "parameters", "tags", "workspaces"]);
        assert_eq!(rows(&content, "tags"), rows(&content, "acls") + rows(&content, "consumers"));
        target.remove().await;

        let target = database::fresh("16", VERSION).await;
        on(source, &target, &["migrate", "--skip-tables", "plugins,oauth2_tokens"]).exits(0);
        let content = target.content().await;
        assert_eq!((rows(&content, "plugins"), rows(&content, "oauth2_tokens")), (0, 0));
        assert!(rows(&content, "oauth2_credentials") > 0 && rows(&content, "routes") > 0);
        target.remove().await;
    });
}

#[test]
fn an_edited_map_takes_the_place_of_the_built_in_one() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        let shown = kongferry(&["map", "show", "consumers"]);
        let built_in = shown.exits(0).stdout.clone();
        let edited: String = built_in
            .lines()
            .map(|line| match line.split_once('=') {
                Some((column, _)) if column.trim() == "custom_id" => "custom_id = \"copy\"\n".to_owned(),
                _ => format!("{line}\n"),
            })
            .collect();
        assert_ne!(built_in, edited, "the map has no custom_id to edit");
        let maps = tempfile::tempdir().unwrap();
        fs::write(maps.path().join("consumers.toml"), edited).unwrap();
        let dir = maps.path().to_str().unwrap();
        on(source, &target, &["plan", "--map-dir", dir]).exits(0).prints(&["consumers.toml"]);
        on(source, &target, &["migrate", "--tables", "consumers", "--map-dir", dir]).exits(0);
        let prefixed =
            target.texts("SELECT id::text FROM consumers WHERE custom_id LIKE ws_id || ':%'").await;
        let plain = target.texts("SELECT id::text FROM consumers WHERE username LIKE ws_id || ':%'").await;
        assert!(!prefixed.is_empty() && plain.len() < prefixed.len(), "{} {}", prefixed.len(), plain.len());
        target.remove().await;

        fs::write(
            maps.path().join("consumers.toml"),
            "table = \"consumers\"\naction = \"copy\"\n[columns]\nid = \"copy\"\n",
        )
        .unwrap();
        let target = database::fresh("16", VERSION).await;
        on(source, &target, &["migrate", "--map-dir", dir]).exits(3).complains_of(&["consumers", "username"]);
        target.remove().await;
    });
}
