//! Estates of Kong Enterprise move: every row and column is compared with what it must be, computed anew, and the bootstrap
//! rows of the target have given way to the source's.

mod keyring;
mod layouts;
mod secrets;

use std::collections::BTreeMap;

use kongferry::estate::KongVersion;
use serde_json::Value;

use crate::support::database::{self, Database};
use crate::support::expected::{Cell, Expected, compare, enterprise, expected, facts};
use crate::support::keyspace::{self, ADMIN_PASSWORD, Keyspace};
use crate::support::once::Once;
use crate::support::program::{Run, kongferry};
use crate::support::{run, servers};

const VERSIONS: [KongVersion; 2] = [KongVersion::V2_8, KongVersion::V3_3];

/// Password that the bootstrap of a target got.
const TARGET_PASSWORD: &str = "tärget-kong-password";

/// An estate that has arrived.
struct Moved {
    version: KongVersion,
    source: &'static Keyspace,
    target: Database,
    /// Options of the run that brought it.
    options: Vec<String>,
    migrated: Run,
    /// What every copied table must hold.
    tables: BTreeMap<&'static str, Expected>,
    /// The target before.
    before: BTreeMap<String, Vec<String>>,
    catalog: Vec<String>,
}

/// The estate of that version on a target that was bootstrapped without `KONG_PASSWORD`, on-demand tables included. Moved once
/// per run, and only looked at.
async fn moved(version: KongVersion) -> &'static Moved {
    static MOVED: Once<Moved> = Once::new();
    let postgres = if version == KongVersion::V2_8 { "16" } else { "9.6" };
    let words: Vec<&str> = enterprise::ON_DEMAND.iter().map(|(word, _)| *word).collect();
    let options = vec!["--include".to_owned(), words.join(",")];
    let arrive = || {
        Box::pin(async move {
            let target = database::fresh_enterprise(postgres, version, None).await;
            Moved::arrive(version, target, options).await
        })
    };
    MOVED.get(&version.to_string(), arrive).await
}

impl Moved {
    async fn arrive(version: KongVersion, target: Database, options: Vec<String>) -> Self {
        let source = keyspace::enterprise(version).await;
        let (before, catalog) = (target.content().await, target.catalog().await);
        let mut arguments = vec!["migrate".to_owned(), "--source".to_owned(), source.url()];
        arguments.extend(["--target".to_owned(), target.url()]);
        arguments.extend(options.iter().cloned());
        let migrated = kongferry(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        migrated.exits(0).prints(&["the counts of both sides agree"]);
        let mut moved =
            Self { version, source, target, options, migrated, tables: BTreeMap::new(), before, catalog };
        for table in moved.copied() {
            moved.tables.insert(table, expected(source, &moved.target, table).await);
        }
        moved
    }

    /// Tables of which rows have arrived.
    fn copied(&self) -> Vec<&'static str> {
        let mut tables = facts::copied(self.version);
        tables.extend(enterprise::copied(self.version));
        if !self.options.is_empty() {
            tables.extend(enterprise::ON_DEMAND.iter().flat_map(|(_, tables)| *tables));
        }
        tables
    }

    /// Tables that must be as they were.
    fn left_alone(&self) -> Vec<&'static str> {
        let on_demand = enterprise::ON_DEMAND.iter().flat_map(|(_, tables)| *tables).copied();
        let mut tables: Vec<_> =
            facts::LEFT_ALONE.into_iter().chain(enterprise::LEFT_ALONE).chain(on_demand).collect();
        let copied = self.copied();
        tables.retain(|table| self.before.contains_key(*table) && !copied.contains(table));
        tables
    }

    /// The program on both sides of this estate, with the options it was moved with.
    fn again(&self, command: &[&str]) -> Run {
        let options: Vec<&str> = self.options.iter().map(String::as_str).collect();
        let urls = ["--source", &self.source.url(), "--target", &self.target.url()];
        kongferry(&[command, &urls, &options].concat())
    }

    async fn compare_everything(&self) {
        let context = format!("{} {}", self.version, self.target.server.version);
        let mut differences = Vec::new();
        for (table, expected) in &self.tables {
            assert!(!expected.rows.is_empty(), "{context}: no row to copy in {table}, which proves nothing");
            differences.extend(compare::differences(&self.target, table, expected).await);
        }
        compare::assert_none(&differences, &context);
        let tagged = [&facts::tagged(self.version)[..], enterprise::tagged(self.version)].concat();
        let tags = self.target.rows("tags", "entity_id").await;
        compare::assert_tags(&self.tables, tags, &tagged, &context);
        compare::assert_counts(&self.migrated, &self.tables);

        let after = self.target.content().await;
        let left_alone = self.left_alone();
        for table in &left_alone {
            assert_eq!(
                self.before.get(*table),
                after.get(*table),
                "{context}: {table} is not copied, yet it changed"
            );
        }
        // What the bootstrap remembered of its rows, the administrator's password included, is gone with them.
        assert!(after["workspace_entities"].is_empty(), "{context}");
        let derived = ["tags", "workspace_entities", "workspace_entity_counters"];
        let known: Vec<&str> = self.tables.keys().copied().chain(left_alone).chain(derived).collect();
        let unknown: Vec<_> = after.keys().filter(|table| !known.contains(&table.as_str())).collect();
        assert!(unknown.is_empty(), "{context}: this test says nothing of {unknown:?}");
        assert!(self.before.keys().eq(after.keys()), "{context}: tables came or went");
        self.compare_catalog(&context).await;
        self.compare_counters(&context).await;
        self.again(&["verify", "--counts"]).exits(0).prints(&["counts of both sides agree"]);
    }

    /// Nine column defaults name the source's default workspace, and nothing else of the schema is different.
    async fn compare_catalog(&self, context: &str) {
        let workspace = self.before["workspaces"].first().expect("a default workspace");
        let workspace: Value = serde_json::from_str(workspace).unwrap();
        let before = workspace["id"].as_str().unwrap();
        let arrived = self.source.default_workspace.to_string();
        let pointed: Vec<&String> = self.catalog.iter().filter(|line| line.contains(before)).collect();
        let mut columns: Vec<&str> = pointed
            .iter()
            .filter_map(|line| line.strip_prefix("column ")?.split_whitespace().next())
            .collect();
        columns.sort_unstable();
        assert_eq!(columns, enterprise::WORKSPACE_DEFAULTS, "{context}: defaults of the fresh target");
        let mut expected: Vec<String> =
            self.catalog.iter().map(|line| line.replace(before, &arrived)).collect();
        let mut found = self.target.catalog().await;
        expected.sort();
        found.sort();
        let changed = compare::differing(&expected, &found);
        assert!(changed.is_empty(), "{context}: the target's catalog is another:\n{}", changed.join("\n"));
    }

    /// The counters of entities per workspace are those of the rows that arrived: no OAuth 2.0 tokens, only proxy consumers.
    async fn compare_counters(&self, context: &str) {
        let mut expected: BTreeMap<String, u64> = BTreeMap::new();
        for (table, rows) in self.tables.iter().filter(|(table, _)| **table != "oauth2_tokens") {
            for row in rows.rows.values() {
                let proxy = row.get("type") == Some(&Cell::Value(Value::from(0)));
                if let Some(Cell::Value(Value::String(workspace))) = row.get("ws_id")
                    && (*table != "consumers" || proxy)
                {
                    *expected.entry(format!("{workspace} {table}")).or_default() += 1;
                }
            }
        }
        let key = ["workspace_id", "entity_type"];
        let found: BTreeMap<String, u64> = self
            .target
            .keyed_rows("workspace_entity_counters", &key)
            .await
            .into_iter()
            .map(|(key, row)| (key, row["count"].as_u64().unwrap()))
            .collect();
        assert_eq!(found, expected, "{context}");
        assert!(expected.len() > 40, "{context}: {} counters prove nothing", expected.len());
    }
}

#[test]
fn an_enterprise_estate_of_kong_2_8_arrives_whole() {
    run(async { moved(KongVersion::V2_8).await.compare_everything().await });
}

#[test]
fn an_enterprise_estate_of_kong_3_3_arrives_whole() {
    run(async { moved(KongVersion::V3_3).await.compare_everything().await });
}

/// A target with an administrator of its own, and no on-demand tables.
#[test]
fn a_target_bootstrapped_with_a_password_holds_the_estate_and_nothing_of_its_administrator() {
    run(async {
        // Those that the other tests do not take; every line with `./test --long`.
        let others = [(KongVersion::V2_8, "9.6"), (KongVersion::V3_3, "16")];
        let lines =
            servers::postgres_versions().iter().flat_map(|line| VERSIONS.map(|version| (version, *line)));
        for (version, postgres) in lines.filter(|pair| servers::whole_matrix() || others.contains(pair)) {
            let target = database::fresh_enterprise(postgres, version, Some(TARGET_PASSWORD)).await;
            for (table, rows) in [("admins", 1), ("rbac_users", 1), ("rbac_roles", 4), ("consumers", 1)] {
                assert_eq!(target.count(table).await, rows, "{table} of a fresh target");
            }
            let moved = Moved::arrive(version, target, Vec::new()).await;
            moved.compare_everything().await;
            moved.migrated.complains_of(&["KONG_PASSWORD"]).keeps_quiet_about(&[TARGET_PASSWORD]);
            for (table, rows) in moved.target.content().await {
                let left = rows.iter().any(|row| row.contains(TARGET_PASSWORD));
                assert!(!left, "{table} still holds the password of the bootstrap");
            }
            let tokens = "SELECT user_token FROM rbac_users WHERE name = 'kong_admin'";
            assert_eq!(moved.target.texts(tokens).await, [ADMIN_PASSWORD]);
            moved.target.remove().await;
        }
    });
}

/// The estates held what makes the rules matter, and the runs said what became of it.
#[test]
fn odd_rows_of_enterprise_tables_are_remarked_on() {
    run(async {
        for version in VERSIONS {
            let moved = moved(version).await;
            let remarks = [
                ("keyauth_enc_credentials", "expired, only a remnant left"),
                ("login_attempts", "expired, only a remnant left"),
                ("audit_objects", "expired, only a remnant left"),
                ("rbac_roles", "doubled workspace prefix, one stripped"),
                ("rbac_users", "NULL ws_id to the default workspace"),
                ("consumer_groups", "NULL ws_id to the default workspace"),
                ("developers", "empty name to NULL"),
                ("keyring_meta", "seconds in a millisecond column"),
                ("keyring_meta", "NULL to the column's default"),
                ("consumers", "NULL to the column's default"),
                ("application_instances", "NULL to the column's default"),
                ("rbac_role_endpoints", "NULL to the column's default"),
                ("rbac_role_entities", "NULL to the column's default"),
                ("event_hooks", "NULL to the column's default"),
                ("legacy_files", "NULL to the column's default"),
            ];
            compare::assert_remarks(&moved.migrated, &remarks, &version.to_string());
        }
    });
}

/// Columns of type json, unlike jsonb, keep the text itself.
#[test]
fn json_keeps_its_text() {
    run(async {
        for version in VERSIONS {
            let moved = moved(version).await;
            for (table, column) in [("event_hooks", "config"), ("credentials", "credential_data")] {
                let rows = moved.source.rows(&format!("SELECT id, {column} FROM {{ks}}.{table}")).await;
                let mut expected: Vec<String> = rows
                    .iter()
                    .filter_map(|row| {
                        let text = row[column].as_ref()?.as_text()?;
                        let id = row["id"].as_ref()?.as_uuid()?;
                        (!text.is_empty()).then(|| format!("{id} {text}"))
                    })
                    .collect();
                let query =
                    format!("SELECT id || ' ' || {column}::text FROM {table} WHERE {column} IS NOT NULL");
                let found = moved.target.texts(&query).await;
                expected.retain(|line| !found.contains(line));
                assert!(expected.is_empty(), "{version}: {table}.{column}: {expected:?} in {found:?}");
                assert!(found.len() > 4, "{version}: {table} proves nothing");
            }
        }
    });
}
