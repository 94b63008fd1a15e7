//! `verify --counts` agrees after a migration, and names the table when a row is lost or comes in.

use kongferry::estate::KongVersion;

use crate::support::program::kongferry;
use crate::support::{database, keyspace, run};

#[test]
fn verify_notices_a_lost_row_and_an_extra_one() {
    run(async {
        let source = keyspace::filled("5.0", KongVersion::V2_8).await;
        let target = database::fresh("16", KongVersion::V2_8).await;
        let urls = ["--source", &source.url(), "--target", &target.url()];
        let run = |arguments: &[&str]| kongferry(&[arguments, &urls].concat());

        run(&["migrate"]).exits(0);
        run(&["verify", "--counts"]).exits(0).prints(&["counts of both sides agree"]);

        let loaded = target.count("jwt_secrets").await;
        target
            .execute("DELETE FROM jwt_secrets WHERE id = (SELECT min(id::text) FROM jwt_secrets)::uuid")
            .await;
        let lost = run(&["verify", "--counts"]);
        lost.exits(6).complains_of(&["jwt_secrets", &loaded.to_string(), &(loaded - 1).to_string()]);
        assert!(!lost.stderr.contains("consumers"), "{}", lost.transcript());
        lost.prints(&["DIFFERENT"]);

        target.execute("INSERT INTO jwt_secrets (id) VALUES ('11111111-1111-4111-8111-111111111111')").await;
        run(&["verify", "--counts"]).exits(0);
        target.execute("INSERT INTO parameters (key, value) VALUES ('one too many', 'value-marker')").await;
        run(&["verify", "--counts"])
            .exits(6)
            .complains_of(&["parameters"])
            .keeps_quiet_about(&["value-marker"]);
        target.remove().await;
    });
}

#[test]
fn verify_notices_that_nothing_was_migrated() {
    run(async {
        let source = keyspace::filled("3.11", KongVersion::V3_3).await;
        let target = database::fresh("9.6", KongVersion::V3_3).await;
        kongferry(&["verify", "--counts", "--source", &source.url(), "--target", &target.url()])
            .exits(6)
            .complains_of(&["consumers", "keyauth_credentials", "routes"]);
        target.remove().await;
    });
}
