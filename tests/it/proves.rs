//! `migrate` proves what it loaded, and `verify` finds every change on either side, by key and column.

mod mutations;
mod refusals;

use kongferry::estate::KongVersion;
use serde_json::Value;

use crate::support::database::{self, Database};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Run, kongferry};
use crate::support::{run, servers};

/// An estate on both sides.
struct Moved {
    source: &'static Keyspace,
    target: Database,
}

impl Moved {
    /// The filled estate of Kong 3.3, migrated.
    async fn arrive() -> Self {
        let source = keyspace::filled("5.0", KongVersion::V3_3).await;
        let target = database::fresh("16", KongVersion::V3_3).await;
        let moved = Self { source, target };
        let migrated = moved.run(&["migrate"]);
        migrated.exits(0).prints(&["verified, digest"]);
        moved
    }

    /// The program on both sides.
    fn run(&self, command: &[&str]) -> Run {
        kongferry(&[command, &["--source", &self.source.url(), "--target", &self.target.url()]].concat())
    }

    /// What `verify --json` says of `table`.
    fn verify(&self, table: &str, code: i32) -> Value {
        let verified = self.run(&["verify", "--json", "--quiet"]);
        verified.exits(code);
        let report: Value = serde_json::from_str(&verified.stdout).unwrap();
        assert_eq!(report["format"], 1);
        let equal = code != 6;
        assert_eq!(report["equal"], equal, "{}", verified.transcript());
        for found in report["tables"].as_array().unwrap() {
            let expected = equal || found["table"] != table;
            assert_eq!(found["equal"], expected, "{}", verified.transcript());
        }
        report["tables"].as_array().unwrap().iter().find(|found| found["table"] == table).unwrap().clone()
    }
}

/// Rows and digest that a run says it verified.
fn verified(run: &Run) -> &str {
    let line = run.stdout.lines().find(|line| line.contains("verified, digest"));
    line.and_then(|line| line.split(" (read back").next()).expect("it says what was verified")
}

/// Two loads of one source, one of them through constraints and with other splits, prove the same content.
#[test]
fn the_digest_depends_on_the_content_only() {
    run(async {
        let source = keyspace::filled("5.0", KongVersion::V2_8).await;
        let mut lines = Vec::new();
        for (postgres, options) in [("9.6", &["--workers", "2"][..]), ("16", &["--keep-constraints"][..])] {
            let target = database::fresh(postgres, KongVersion::V2_8).await;
            // Instants of expiry differ from load to load, by the second in which they were read.
            let tables = [
                "--tables",
                "workspaces,consumers,certificates,ca_certificates,services,routes,plugins,basicauth_credentials,acls",
            ];
            let urls = ["--source", &source.url(), "--target", &target.url()];
            let migrated = kongferry(&[&["migrate"], &urls[..], &tables, options].concat());
            migrated.exits(0);
            lines.push(verified(&migrated).to_owned());
            kongferry(&[&["verify"], &urls[..], &tables].concat())
                .exits(0)
                .prints(&["Both sides hold the same."]);
            target.remove().await;
        }
        assert_eq!(lines[0], lines[1]);
    });
}

/// A rule of the target that alters one row of thousands while it is loaded.
#[test]
fn a_value_that_the_target_changes_while_it_is_loaded_is_caught() {
    run(async {
        let source = keyspace::filled("5.0", KongVersion::V3_3).await;
        let target = database::fresh("16", KongVersion::V3_3).await;
        target
            .execute(
                "CREATE FUNCTION meddle() RETURNS trigger LANGUAGE plpgsql AS $$
                 BEGIN IF NEW.username LIKE '%17%' THEN NEW.tags = '{meddled-with}'; END IF; RETURN NEW; END $$;
                 CREATE TRIGGER meddle BEFORE INSERT ON consumers FOR EACH ROW EXECUTE FUNCTION meddle()",
            )
            .await;
        let urls = ["--source", &source.url(), "--target", &target.url()];
        let migrated = kongferry(&[&["migrate"], &urls[..]].concat());
        migrated
            .exits(6)
            .complains_of(&["does not hold what was read", "consumers", "kongferry verify"])
            .keeps_quiet_about(&["meddled-with"]);
        assert!(!migrated.error_line().contains("keyauth_credentials"), "{}", migrated.transcript());
        kongferry(&[&["status"], &["--target", &target.url()][..]].concat()).exits(0).prints(&["not over"]);
        // The rows are named, and a second look at the ledger comes to the same.
        let named = kongferry(&[&["verify"], &urls[..]].concat());
        named.exits(6).prints(&["consumers", ": tags"]).keeps_quiet_about(&["meddled-with"]);
        kongferry(&[&["migrate", "--resume"], &urls[..]].concat()).exits(6);
        target.remove().await;
    });
}

/// Every column kind of Enterprise's tables.
#[test]
fn an_enterprise_estate_verifies() {
    run(async {
        let source = keyspace::enterprise(KongVersion::V3_3).await;
        let line = if servers::whole_matrix() { "9.6" } else { "16" };
        let target = database::fresh_enterprise(line, KongVersion::V3_3, None).await;
        let urls = ["--source", &source.url(), "--target", &target.url()];
        kongferry(&[&["migrate"], &urls[..]].concat()).exits(0).prints(&["verified, digest"]);
        kongferry(&[&["verify"], &urls[..]].concat()).exits(0).prints(&["Both sides hold the same."]);
        target
            .execute("UPDATE rbac_users SET comment = coalesce(comment, '') || '!' WHERE name = 'kong_admin'")
            .await;
        kongferry(&[&["verify"], &urls[..]].concat()).exits(6).prints(&["rbac_users", "comment"]);
        target.remove().await;
    });
}
