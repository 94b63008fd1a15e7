//! Rows that PostgreSQL refuses: they go into quarantine, and the run with exit code 5 to its end; or, where their policy is to
//! fail, it ends with exit code 8 and names table, key and reason, never the value. What was committed before stays consistent.

use kongferry::estate::KongVersion;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::keyspace::{self, Keyspace};
use crate::support::program::kongferry;
use crate::support::{database, run};

const VERSION: KongVersion = KongVersion::V2_8;

/// Part of every bad value; must never be said.
const MARKER: &str = "s3cr3t-marker";

/// One way to be refused.
struct Case {
    what: &'static str,
    table: &'static str,
    /// The row at fault.
    row: Value,
    /// What the message must name beside table and key.
    named: &'static [&'static str],
    /// Whether the row alone shows it, so that a dry run finds it.
    alone: bool,
    /// Class of the defect.
    class: &'static str,
}

#[test]
fn a_row_postgres_refuses_is_named_without_its_value() {
    run(async {
        let source = keyspace::empty("5.0", VERSION, "bad_rows", None).await;
        let workspace = source.default_workspace.to_string();
        good_rows(&source).await;
        for case in cases(&workspace) {
            source.insert(case.table, &case.row, None).await;
            refused(&source, &case).await;
            quarantined(&source, &case).await;
            let id = Uuid::parse_str(case.row["id"].as_str().unwrap()).unwrap();
            let partition = if keyed_by_partition(case.table) {
                format!("partition = '{}' AND ", case.table)
            } else {
                String::new()
            };
            source
                .execute(&format!("DELETE FROM {{ks}}.{} WHERE {partition}id = ?", case.table), (id,))
                .await;
        }
        let target = database::fresh("16", VERSION).await;
        kongferry(&["migrate", "--source", &source.url(), "--target", &target.url()]).exits(0);
        target.remove().await;
    });
}

async fn refused(source: &Keyspace, case: &Case) {
    let target = database::fresh("16", VERSION).await;
    let urls = ["--source", &source.url(), "--target", &target.url()];
    let (what, table) = (case.what, case.table);
    let id = case.row["id"].as_str().unwrap();

    let policy = format!("{}=fail", case.class);
    let dry = kongferry(&[&["migrate", "--dry-run", "--policy", &policy][..], &urls].concat());
    dry.exits(if case.alone { 8 } else { 0 }).keeps_quiet_about(&[MARKER]);
    let dry = kongferry(&[&["migrate", "--dry-run"][..], &urls].concat());
    dry.exits(if case.alone { 5 } else { 0 }).keeps_quiet_about(&[MARKER]);
    if case.alone {
        dry.prints(&[case.class, "quarantine"]);
        let line = dry.stdout.lines().find(|line| line.contains(id)).unwrap_or_default();
        assert!(line.contains(table), "{what}: the dry run does not list the row\n{}", dry.transcript());
    }

    let failed = kongferry(&[&["migrate", "--keep-constraints", "--policy", &policy][..], &urls].concat());
    failed.exits(8).complains_of(&[table]).complains_of(case.named).keeps_quiet_about(&[MARKER]);
    let key_named = failed.error_line().contains(id) || failed.error_line().contains(TWIN);
    assert!(key_named, "{what}: the row's key is not named\n{}", failed.transcript());
    assert!(failed.error_line().contains(table), "{what}: not the first line\n{}", failed.transcript());

    // The refused row and what shared its split are not there, and its parents, which were done before, are whole.
    let rows = target.rows(table, "id").await;
    assert!(!rows.contains_key(id) || !case.alone, "{what}: the row was loaded all the same");
    if keyed_by_partition(table) {
        let neighbours = rows.keys().filter(|id| id.starts_with("aaaaaaaa-")).count();
        assert_eq!(neighbours, 0, "{what}: a part of the failed split stayed");
    }
    assert_eq!(target.count("workspaces").await, 1, "{what}");
    assert_eq!(target.texts("SELECT id::text FROM workspaces").await, [source.default_workspace.to_string()]);
    if ["basicauth_credentials", "plugins"].contains(&table) {
        assert_eq!(target.count("consumers").await, 3, "{what}: the table it refers to is not whole");
    }
    kongferry(&["undo", "--target", &target.url()]).exits(0);

    // Without constraints, what the rows of several tables show is found when those come back.
    let (catalog, before) = (target.catalog().await, target.content().await);
    let failed = kongferry(&[&["migrate", "--policy", &policy][..], &urls].concat());
    failed.exits(8).complains_of(&[table]).complains_of(case.named).keeps_quiet_about(&[MARKER]);
    let key_named = failed.error_line().contains(id) || failed.error_line().contains(TWIN);
    assert!(key_named, "{what}: the row's key is not named\n{}", failed.transcript());
    kongferry(&["status", "--target", &target.url()]).exits(0).keeps_quiet_about(&[MARKER]);
    kongferry(&["undo", "--target", &target.url()]).exits(0);
    assert_eq!(catalog, target.catalog().await, "{what}: the schema is not what it was");
    assert_eq!(before, target.content().await, "{what}: the content is not what it was");
    target.remove().await;
}

/// The row lies in quarantine, whole, everything else arrives, and both ways back work.
async fn quarantined(source: &Keyspace, case: &Case) {
    let target = database::fresh("16", VERSION).await;
    let (before, catalog) = (target.content().await, target.catalog().await);
    let (what, table) = (case.what, case.table);
    let urls = ["--source", &source.url(), "--target", &target.url()];
    // What only the target can tell is found by a load into tables that are armed.
    let armed: &[&str] = if case.alone { &[] } else { &["--keep-constraints"] };
    let migrated = kongferry(&[&["migrate"][..], armed, &urls].concat());
    migrated.exits(5).complains_of(&["quarantine", table]).prints(&[case.class, "agree"]);
    migrated.keeps_quiet_about(&[MARKER]);
    let counts = migrated.counts(table);
    let [read, skipped, held, loaded, there] = counts[..] else { panic!("{what}: {counts:?}") };
    assert_eq!((read, skipped, held, loaded), (there + 1, 0, 1, there), "{what}");
    assert_eq!(catalog, target.catalog().await, "{what}: the schema is not what it was");

    let id = case.row["id"].as_str().unwrap();
    let kept = target
        .texts(
            "SELECT concat_ws(' ', table_name, key, class, rule, state) FROM kongferry.quarantine
             WHERE cells IS NOT NULL AND selection IS NOT NULL AND read_at > 1e12 AND task IS NOT NULL",
        )
        .await;
    // Of two twins the one that comes second is held, and then what refers to it.
    let (kept, dependents): (Vec<_>, Vec<_>) = kept.into_iter().partition(|row| row.contains(case.class));
    let of_twin = |row: &String| case.class == "duplicate" && row.contains(" missing-parent ");
    assert!(dependents.iter().all(of_twin), "{what}: {dependents:?}");
    let [kept] = &kept[..] else { panic!("{what}: {kept:?}") };
    assert!(kept.starts_with(table) && kept.contains(case.class) && kept.ends_with("held"), "{what}: {kept}");
    assert!(kept.contains(id) || kept.contains(TWIN), "{what}: {kept}");
    let cells =
        format!("SELECT encode(cells, 'escape') FROM kongferry.quarantine WHERE class = '{}'", case.class);
    let values = target.texts(&cells).await;
    let whole = values[0].contains(MARKER) || values[0].contains("name 1");
    assert!(whole, "{what}: the row is not whole");

    let both = |command: &[&str]| kongferry(&[command, &urls].concat());
    both(&["verify", "--counts"]).exits(5).prints(&["agree", "in quarantine"]).complains_of(&["quarantine"]);
    let there = kongferry(&["status", "--target", &target.url()]);
    there.exits(0).prints(&["quarantine"]).keeps_quiet_about(&[MARKER]);
    kongferry(&["undo", "--target", &target.url()]).exits(0);
    assert_eq!(before, target.content().await, "{what}: the content is not what it was");
    target.remove().await;
}

/// Id of a good row that a bad one is a duplicate of.
const TWIN: &str = "aaaaaaaa-0000-4000-8000-000000000001";
/// A consumer with credentials.
const CONSUMER: &str = TWIN;

fn keyed_by_partition(table: &str) -> bool {
    ["services", "routes", "snis", "certificates", "ca_certificates"].contains(&table)
}

/// Good rows, some of them right beside the bad ones in the order of ids.
async fn good_rows(source: &Keyspace) {
    let ws = source.default_workspace.to_string();
    let near = |last: u8| format!("aaaaaaaa-0000-4000-8000-{last:012}");
    for last in [1, 3, 5] {
        let id = near(last);
        let name = format!("{ws}:name {last}");
        let rows = [
            ("consumers", json!({ "id": id, "ws_id": ws, "username": name })),
            ("certificates", json!({ "id": id, "ws_id": ws, "partition": "certificates", "cert": "PEM" })),
            ("services", json!({ "id": id, "ws_id": ws, "partition": "services", "name": name })),
            (
                "snis",
                json!({ "id": id, "ws_id": ws, "partition": "snis", "name": name, "certificate_id": near(1) }),
            ),
            (
                "plugins",
                json!({ "id": id, "ws_id": ws, "name": "acl", "config": "{}", "enabled": true, "cache_key": name }),
            ),
            (
                "basicauth_credentials",
                json!({ "id": id, "ws_id": ws, "consumer_id": CONSUMER, "username": name }),
            ),
        ];
        for (table, row) in rows {
            source.insert(table, &row, None).await;
        }
    }
}

fn cases(ws: &str) -> Vec<Case> {
    let id = "aaaaaaaa-0000-4000-8000-000000000002";
    vec![
        Case {
            what: "U+0000 in text",
            class: "nul-character",
            table: "consumers",
            row: json!({ "id": id, "ws_id": ws, "username": format!("{ws}:{MARKER}\u{0}") }),
            named: &["username", "U+0000"],
            alone: true,
        },
        Case {
            what: "invalid JSON",
            class: "invalid-json",
            table: "plugins",
            row: json!({ "id": id, "ws_id": ws, "name": "acl", "enabled": true, "config": format!("{{\"{MARKER}\":") }),
            named: &["config", "JSON"],
            alone: true,
        },
        Case {
            what: "JSON with an escaped U+0000",
            class: "json-escape",
            table: "plugins",
            row: json!({ "id": id, "ws_id": ws, "name": "acl", "enabled": true, "config": format!(r#"{{"{MARKER}":"\u0000"}}"#) }),
            named: &["config", "jsonb"],
            alone: true,
        },
        Case {
            what: "a number beyond smallint",
            class: "out-of-range",
            table: "services",
            row: json!({ "id": id, "ws_id": ws, "partition": "services", "name": format!("{ws}:{MARKER}"), "tls_verify_depth": 70_000 }),
            named: &["tls_verify_depth", "range"],
            alone: true,
        },
        Case {
            what: "NULL in a NOT NULL column",
            class: "null-in-not-null",
            table: "snis",
            row: json!({ "id": id, "ws_id": ws, "partition": "snis", "tags": [MARKER] }),
            named: &["name", "NOT NULL"],
            alone: true,
        },
        Case {
            what: "a missing parent",
            class: "missing-parent",
            table: "basicauth_credentials",
            row: json!({
                "id": id, "ws_id": ws, "username": format!("{ws}:{MARKER}"), "password": MARKER,
                "consumer_id": "aaaaaaaa-0000-4000-8000-00000000dead",
            }),
            named: &["basicauth_credentials_consumer_id_fkey"],
            alone: false,
        },
        Case {
            what: "a duplicate name",
            class: "duplicate",
            table: "consumers",
            row: json!({ "id": id, "ws_id": ws, "username": format!("{ws}:name 1"), "custom_id": format!("{ws}:{MARKER}") }),
            named: &["consumers_ws_id_username_unique"],
            alone: false,
        },
    ]
}
