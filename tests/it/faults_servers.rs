//! Servers that restart in the middle of a run, fill up, or change their tables.

use kongferry::estate::KongVersion;
use serde_json::json;

use crate::support::database::{self, Database};
use crate::support::program::{kongferry, start};
use crate::support::{gate, keyspace, run, servers};

const VERSION: KongVersion = KongVersion::V2_8;

fn resume(source: &str, target: &Database) {
    kongferry(&["migrate", "--resume", "--source", source, "--target", &target.url()])
        .exits(0)
        .prints(&["counts of both sides agree"]);
}

#[test]
fn a_restart_or_a_full_disk_of_the_target_is_exit_code_8_and_the_run_is_resumed() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        let whole = database::fresh("16", VERSION).await;
        kongferry(&["migrate", "--source", &source, "--target", &whole.url()]).exits(0);
        let own = servers::own("16");
        // A fast shutdown, and an immediate one, after which the server recovers from its WAL.
        for signal in ["INT", "QUIT"] {
            let mut target = database::fresh(&own, VERSION).await;
            target.execute(gate::IN_COPY).await;
            let holder = gate::close(&target).await;
            let underway = gate::held(&source, &target, &target.url(), &[]).await;
            servers::end("postgres", &own, signal);
            underway.ends().exits(8).complains_of(&["what to do:", "migrate --resume"]);
            drop(holder);
            servers::start_again("postgres", &own);
            target.client = database::connect(&target.url()).await;
            target.client.batch_execute("SET TIME ZONE 'UTC'").await.unwrap();
            resume(&source, &target);
            assert_eq!(whole.content_but_for_expiry().await, target.content_but_for_expiry().await);
            target.remove().await;
        }
        disk_full(&source, &own).await;
        whole.remove().await;
    });
}

/// The server may write no file longer than a segment of its WAL, and a trigger of the user's own makes a table grow beyond.
async fn disk_full(source: &str, own: &str) {
    let mut target = database::fresh(own, VERSION).await;
    target
        .execute(
            "CREATE SCHEMA ballast; CREATE TABLE ballast.stone (id int, weight text);
             CREATE FUNCTION ballast.drop() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                 IF (SELECT count(*) FROM consumers) > 0 THEN
                     INSERT INTO ballast.stone SELECT n, repeat('x', 1000) FROM generate_series(1, 20000) n;
                 END IF;
                 RETURN NULL;
             END $$;
             CREATE TRIGGER ballast AFTER INSERT ON consumers FOR EACH STATEMENT EXECUTE PROCEDURE ballast.drop()",
        )
        .await;
    servers::end("postgres", own, "INT");
    servers::start_again_with("postgres", own, "16384");
    let full = kongferry(&["migrate", "--source", source, "--target", &target.url()]);
    full.exits(8).complains_of(&["consumers", "what to do:", "migrate --resume"]);
    servers::end("postgres", own, "INT");
    servers::start_again("postgres", own);
    target.client = database::connect(&target.url()).await;
    resume(source, &target);
    target.remove().await;
}

#[test]
fn a_source_that_restarts_is_waited_for_or_the_run_is_resumed() {
    run(async {
        let target = database::fresh("16", VERSION).await;
        let own = servers::own("5.0");
        let source = keyspace::bare(&own, "restarts", &target).await;
        source.fill_consumers(3_000).await;
        target.execute(&gate::IN_COPY.replace("plugins", "consumers")).await;
        let holder = gate::close(&target).await;
        let arguments = [
            "migrate",
            "--workers",
            "1",
            "--memory",
            "8",
            "--source",
            &source.url(),
            "--target",
            &target.url(),
        ];
        let underway = start(&arguments);
        gate::reached(&target).await;
        servers::end("cassandra", &own, "TERM");
        drop(holder);
        servers::start_again("cassandra", &own);
        let ended = underway.ends();
        if ended.code != 0 {
            ended.exits(7).complains_of(&["what to do:", "migrate --resume"]);
            resume(&source.url(), &target);
        }
        assert_eq!(target.count("consumers").await, 3_000);
        kongferry(&["verify", "--counts", "--source", &source.url(), "--target", &target.url()]).exits(0);
        target.remove().await;
    });
}

#[test]
fn a_schema_change_on_the_source_is_told_or_does_not_matter() {
    run(async {
        let target = database::fresh("16", VERSION).await;
        let source = keyspace::empty("5.0", VERSION, "changes", None).await;
        let consumer = json!({
            "id": "aaaaaaaa-0000-4000-8000-000000000001", "ws_id": source.default_workspace.to_string(),
            "username": format!("{}:value-marker", source.default_workspace),
        });
        source.insert("consumers", &consumer, None).await;
        target.execute(gate::IN_COPY).await;
        let holder = gate::close(&target).await;
        let underway = gate::held(&source.url(), &target, &target.url(), &["--workers", "1"]).await;
        // Nobody reads a column that came after the plan, and going on is refused until it is gone.
        source.execute("ALTER TABLE {ks}.consumers ADD nickname text", ()).await;
        underway.signal("KILL");
        underway.ends();
        drop(holder);
        let again = ["migrate", "--resume", "--source", &source.url(), "--target", &target.url()];
        kongferry(&again)
            .exits(3)
            .complains_of(&["consumers", "nickname"])
            .keeps_quiet_about(&["value-marker"]);
        source.execute("ALTER TABLE {ks}.consumers DROP nickname", ()).await;
        kongferry(&again).exits(0);
        target.remove().await;
        source.remove().await;
    });
}
