//! Several processes at work on one run, some of which die, or are held up past every timeout and then go on.

use kongferry::estate::KongVersion;

use crate::support::database::{self, Database};
use crate::support::program::{kongferry, start, start_in};
use crate::support::{gate, keyspace, run};

const VERSION: KongVersion = KongVersion::V2_8;

/// The statements that `status` offers for the sessions of a process.
fn offered(target: &Database, process: u32) -> String {
    let status = kongferry(&["status", "--target", &target.url()]);
    let whose = format!("/{process} from ");
    let lines = status.stdout.lines().filter(|line| line.contains(&whose));
    let statements: String = lines.map(|line| &line[line.find("SELECT").unwrap()..]).collect();
    assert!(statements.contains("pg_terminate_backend"), "no statement:\n{}", status.transcript());
    statements
}

#[test]
fn one_of_three_dies_one_hangs_and_every_split_is_loaded_once() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        let whole = database::fresh("16", VERSION).await;
        kongferry(&["migrate", "--source", &source, "--target", &whole.url()]).exits(0);
        let target = database::fresh("16", VERSION).await;
        target.execute(gate::IN_COPY).await;
        let holder = gate::close(&target).await;
        let url = target.url();
        let leader = gate::held(&source, &target, &url, &["--workers", "1", "--builds", "1"]).await;
        let id = target.texts("SELECT id::text FROM kongferry.run").await.remove(0);
        let join = ["migrate", "--join", &id, "--workers", "1", "--source", &source, "--target", &url];
        let hangs = start_in(&[("KONGFERRY_FAILPOINT", "copy-noted:2:stop")], &join);
        hangs.is_stopped();
        let dies = start_in(&[("KONGFERRY_FAILPOINT", "copy-noted:2")], &join).ends();
        assert_eq!(dies.code, -1, "{}", dies.transcript());
        drop(holder);
        // All that is left to load is what the one holds that hangs.
        target
            .until("SELECT '' FROM kongferry.task WHERE state = 'open' AND lane = 'load' HAVING count(*) = 1")
            .await;
        target.execute(&offered(&target, hangs.id())).await;
        leader.ends().exits(0).prints(&["counts of both sides agree"]);
        hangs.signal("CONT");
        hangs.ends().exits(8).complains_of(&["migrate --resume"]);
        assert_eq!(whole.content_but_for_expiry().await, target.content_but_for_expiry().await);
        kongferry(&["verify", "--counts", "--source", &source, "--target", &url]).exits(0);
        target.remove().await;
        whole.remove().await;
    });
}

#[test]
fn whoever_wakes_after_an_undo_changes_nothing_any_more() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        for place in ["copy-noted:3:stop", "copy-done:3:stop", "run-counted:1:stop"] {
            let target = database::fresh("16", VERSION).await;
            let (before, url) = (target.content().await, target.url());
            let arguments = ["migrate", "--workers", "2", "--source", &source, "--target", &url];
            let sleeper = start_in(&[("KONGFERRY_FAILPOINT", place)], &arguments);
            sleeper.is_stopped();
            target
                .texts(
                    "SELECT pg_terminate_backend(pid)::text FROM pg_stat_activity
                     WHERE datname = current_database() AND application_name LIKE 'kongferry%'",
                )
                .await;
            target.wait_until_alone().await;
            kongferry(&["undo", "--target", &url]).exits(0);
            sleeper.signal("CONT");
            sleeper.ends().exits(8);
            assert_eq!(before, target.content().await, "{place}");
            let state = target.texts("SELECT state FROM kongferry.run").await;
            assert_eq!(state, ["undone"], "{place}");
            target.remove().await;
        }
    });
}

#[test]
fn two_that_resume_at_once_share_the_work() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        let target = database::fresh("16", VERSION).await;
        let url = target.url();
        let sides = ["--workers", "2", "--source", &source, "--target", &url];
        let killed =
            start_in(&[("KONGFERRY_FAILPOINT", "disarm-done")], &[&["migrate"][..], &sides].concat());
        assert_eq!(killed.ends().code, -1);
        let resume = [&["migrate", "--resume"][..], &sides].concat();
        let (one, other) = (start(&resume), start(&resume));
        let (one, other) = (one.ends(), other.ends());
        // The slower one may come when all is over.
        for run in [&one, &other] {
            assert!(run.code == 0 || run.stderr.contains("is over"), "{}", run.transcript());
        }
        kongferry(&[&["verify", "--counts"][..], &sides].concat()).exits(0);
        target.remove().await;
    });
}
