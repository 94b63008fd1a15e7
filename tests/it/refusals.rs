//! What must not start does not: exit code 3, one clear line, and a target as it was.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use kongferry::estate::KongVersion;
use serde_json::json;

use crate::support::database::{self, Database};
use crate::support::keyspace;
use crate::support::program::{Run, kongferry, kongferry_in};
use crate::support::{run, servers, unique};

const VERSION: KongVersion = KongVersion::V2_8;

/// A port of this host on which nothing listens.
fn dead_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Asserts a refusal that names all of `words` in its first line and ends with something to do.
#[track_caller]
fn refused<'a>(run: &'a Run, words: &[&str]) -> &'a Run {
    run.exits(3);
    let errors = run.stderr.lines().filter(|line| line.starts_with("error:")).count();
    assert_eq!(errors, 1, "more than one error\n{}", run.transcript());
    for word in words {
        assert!(run.error_line().contains(word), "the error does not say {word:?}\n{}", run.transcript());
    }
    run.complains_of(&["what to do:"])
}

fn migrate(source: &str, target: &str) -> Run {
    kongferry(&["migrate", "--source", source, "--target", target])
}

#[test]
fn servers_that_are_not_there() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        let before = target.content().await;

        let port = dead_port().to_string();
        refused(&migrate(&format!("cassandra://127.0.0.1:{port}/kong"), &target.url()), &[&port]);
        let port = dead_port().to_string();
        refused(&migrate(&source.url(), &format!("postgres://postgres@127.0.0.1:{port}/kong")), &[&port]);
        refused(&migrate(&source.server.url("no_such_keyspace"), &target.url()), &["no_such_keyspace"]);
        refused(
            &migrate(&source.url(), &target.server.database_url("no_such_database")),
            &["no_such_database"],
        );
        // The other way round: a server that speaks another protocol.
        let swapped = format!("cassandra://127.0.0.1:{}/kong", target.server.port);
        refused(&migrate(&swapped, &target.url()), &[&target.server.port.to_string()]);
        let swapped = format!("postgres://postgres@{}/kong", source.server.address());
        refused(&migrate(&source.url(), &swapped), &[&source.server.port.to_string()]);

        assert_eq!(before, target.content().await);
        target.remove().await;
    });
}

#[test]
fn a_wrong_password_for_postgres() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        for line in servers::postgres_versions() {
            let target = database::fresh(line, VERSION).await;
            let role = unique("role");
            target
                .execute(&format!(
                    "DO $$ BEGIN CREATE ROLE needs_password; EXCEPTION WHEN duplicate_object OR unique_violation THEN END $$;
                     CREATE ROLE {role} SUPERUSER LOGIN PASSWORD 'right-marker' IN ROLE needs_password"
                ))
                .await;
            let place = format!("127.0.0.1:{}/{}", target.server.port, target.name);
            let wrong = migrate(&source.url(), &format!("postgres://{role}:wrong-marker@{place}"));
            refused(&wrong, &["password", &role]).keeps_quiet_about(&["wrong-marker"]);
            let none = migrate(&source.url(), &format!("postgres://{role}@{place}"));
            refused(&none, &["password", &role]).complains_of(&["KONGFERRY_TARGET_PASSWORD"]);
            let url = format!("postgres://{role}@{place}");
            let arguments = ["plan", "--source", &source.url(), "--target", &url];
            let right = kongferry_in(&[("KONGFERRY_TARGET_PASSWORD", "right-marker")], &arguments);
            right.exits(0).keeps_quiet_about(&["right-marker"]);
            target.execute(&format!("DROP ROLE {role}")).await;
            target.remove().await;
        }
    });
}

#[test]
fn a_wrong_password_for_cassandra() {
    run(async {
        let server = SecuredCassandra::start();
        let target = database::fresh("16", VERSION).await;
        let wrong =
            migrate(&format!("cassandra://cassandra:wrong-marker@{}/kong", server.address), &target.url());
        refused(&wrong, &["user cassandra"]).complains_of(&["password"]).keeps_quiet_about(&["wrong-marker"]);
        let nobody = migrate(&format!("cassandra://{}/kong", server.address), &target.url());
        refused(&nobody, &[]).complains_of(&["password"]);
        // With the right one it gets as far as the keyspace, which that server does not have.
        let url = format!("cassandra://cassandra@{}/kong", server.address);
        let arguments = ["migrate", "--source", &url, "--target", &target.url()];
        let right = kongferry_in(&[("KONGFERRY_SOURCE_PASSWORD", "cassandra")], &arguments);
        refused(&right, &["keyspace"]);
        target.remove().await;
    });
}

/// A Cassandra of this test's own that wants user and password `cassandra`.
struct SecuredCassandra {
    directory: String,
    address: String,
}

impl SecuredCassandra {
    fn script() -> Command {
        Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/cassandra"))
    }

    fn start() -> Self {
        let directory = format!("{}/{}", env!("CARGO_TARGET_TMPDIR"), unique("secured"));
        let output = Self::script()
            .args(["start", "5.0", &directory, "--auth", "--parent", &std::process::id().to_string()])
            .output()
            .unwrap();
        assert!(output.status.success(), "no server: {}", String::from_utf8_lossy(&output.stderr));
        let address = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        Self { directory, address }
    }
}

impl Drop for SecuredCassandra {
    fn drop(&mut self) {
        let stopped = Self::script().args(["stop", &self.directory]).output();
        let removed = std::fs::remove_dir_all(&self.directory);
        if !std::thread::panicking() {
            assert!(stopped.unwrap().status.success() && removed.is_ok());
        }
    }
}

#[test]
fn a_target_in_use_and_the_statement_that_empties_it() {
    run(async {
        for (cassandra, postgres) in [("5.0", "16"), ("3.11", "9.6")] {
            let source = keyspace::filled(cassandra, VERSION).await;
            let target = database::fresh(postgres, VERSION).await;
            // Rows of tables that are not copied do not matter.
            target
                .execute(
                    "INSERT INTO sessions (id, session_id) VALUES ('11111111-1111-4111-8111-111111111111', 'x');
                     INSERT INTO cluster_events (id, node_id, at, expire_at) SELECT id, id, now(), now() FROM workspaces",
                )
                .await;
            let plan = ["plan", "--source", &source.url(), "--target", &target.url()];
            kongferry(&plan).exits(0);
            target
                .execute(
                    "INSERT INTO consumers (id, username, ws_id) SELECT id, 'value-marker', id FROM workspaces;
                     INSERT INTO keyauth_credentials (id, consumer_id, ws_id, key) SELECT id, id, ws_id, 'k' FROM consumers",
                )
                .await;
            let before = target.content().await;
            refused(&kongferry(&plan), &["not fresh", "consumers"]);
            let in_use = migrate(&source.url(), &target.url());
            refused(&in_use, &["not fresh", "consumers", "keyauth_credentials"]);
            in_use.keeps_quiet_about(&["value-marker"]);
            assert_eq!(before, target.content().await);

            target.execute(in_use.statement()).await;
            migrate(&source.url(), &target.url()).exits(0);
            assert_eq!(target.count("sessions").await, 1, "sessions were not in the way");
            // A second run finds the rows of the first.
            refused(&migrate(&source.url(), &target.url()), &["not fresh"]);
            target.remove().await;
        }
    });
}

#[test]
fn a_target_whose_migrations_differ() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let cases: [(&str, &[&str]); 5] = [
            (
                "UPDATE schema_meta SET pending = ARRAY['015_270_to_280'] WHERE subsystem = 'core'",
                &["core", "015_270_to_280"],
            ),
            (
                "UPDATE schema_meta SET executed = array_remove(executed, '003_200_to_210') WHERE subsystem = 'acl'",
                &["acl", "003_200_to_210"],
            ),
            (
                "UPDATE schema_meta SET executed = executed || '016_280_to_300'::text WHERE subsystem = 'core'",
                &["core", "016_280_to_300"],
            ),
            ("DELETE FROM schema_meta WHERE subsystem = 'key-auth'", &["key-auth"]),
            ("DELETE FROM schema_meta", &["schema_meta"]),
        ];
        for (statement, words) in cases {
            let target = database::fresh("16", VERSION).await;
            target.execute(statement).await;
            let before = target.content().await;
            let differs = migrate(&source.url(), &target.url());
            differs.exits(3).complains_of(words);
            assert!(
                differs.stderr.contains("kong migrations"),
                "{statement}: no remedy\n{}",
                differs.transcript()
            );
            assert_eq!(before, target.content().await, "{statement}");
            target.remove().await;
        }
        // More subsystems on the target are harmless.
        let target = database::fresh("16", VERSION).await;
        target
            .execute(
                "INSERT INTO schema_meta (key, subsystem, last_executed, executed)
                 VALUES ('schema_meta', 'my-plugin', '000_base', ARRAY['000_base'])",
            )
            .await;
        kongferry(&["plan", "--source", &source.url(), "--target", &target.url()]).exits(0);
        target.remove().await;
    });
}

#[test]
fn a_target_of_another_kong_version() {
    run(async {
        let source = keyspace::filled("5.0", KongVersion::V2_8).await;
        let target = database::fresh("16", KongVersion::V3_3).await;
        refused(&migrate(&source.url(), &target.url()), &[]).complains_of(&["core", "016_280_to_300"]);
        target.remove().await;
    });
}

#[test]
fn a_source_that_is_not_ready() {
    run(async {
        let source = keyspace::empty("5.0", VERSION, "not_ready", None).await;
        let target = database::fresh("16", VERSION).await;
        let plan = |more: &[&str]| {
            kongferry(&[&["plan", "--source", &source.url(), "--target", &target.url()][..], more].concat())
        };
        plan(&[]).exits(0);

        let pending =
            "UPDATE {ks}.schema_meta SET pending = ? WHERE key = 'schema_meta' AND subsystem = 'core'";
        source.execute(pending, (Some(vec!["015_270_to_280"]),)).await;
        refused(&plan(&[]), &[]).complains_of(&["core", "015_270_to_280", "kong migrations finish"]);
        source.execute(pending, (None::<Vec<String>>,)).await;
        plan(&[]).exits(0);

        let lock = json!({ "key": "migrations", "owner": "somebody" });
        source.insert("locks", &lock, Some(600)).await;
        refused(&plan(&[]), &["migration"]);
        source.execute("DELETE FROM {ks}.locks WHERE key = 'migrations'", ()).await;

        source.execute("CREATE TABLE {ks}.my_plugin_things (id uuid PRIMARY KEY, name text)", ()).await;
        refused(&plan(&[]), &[]).complains_of(&["my_plugin_things", "--skip-tables my_plugin_things"]);
        plan(&["--skip-tables", "my_plugin_things"]).exits(0);
        source.execute("DROP TABLE {ks}.my_plugin_things", ()).await;

        source.execute("ALTER TABLE {ks}.consumers ADD nickname text", ()).await;
        refused(&plan(&[]), &[]).complains_of(&["consumers", "nickname"]);
        target.remove().await;
    });
}

#[test]
fn a_target_column_the_map_does_not_know() {
    run(async {
        let source = keyspace::filled("3.11", VERSION).await;
        let target: Database = database::fresh("9.6", VERSION).await;
        target.execute("ALTER TABLE consumers ADD COLUMN nickname text").await;
        refused(&migrate(&source.url(), &target.url()), &[]).complains_of(&["consumers", "nickname"]);
        assert_eq!(target.count("consumers").await, 0);
        target.remove().await;
    });
}
