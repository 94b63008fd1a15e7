//! Ctrl-C and SIGTERM while a run is in the middle of something that takes long, and a Gateway that comes meanwhile.

use std::time::{Duration, Instant};

use kongferry::estate::KongVersion;

use crate::support::database::{self, Database};
use crate::support::program::{Underway, kongferry};
use crate::support::proxy::Proxy;
use crate::support::{gate, keyspace, run};

const VERSION: KongVersion = KongVersion::V2_8;
/// The promise.
const LONGEST: Duration = Duration::from_secs(10);

/// Interrupts it and waits for its end, which must come soon though the gate stays closed.
fn interrupt(mut underway: Underway, signal: &str) {
    let asked = Instant::now();
    underway.signal(signal);
    underway.says("interrupted");
    let ended = underway.ends();
    let took = asked.elapsed();
    ended.exits(4).complains_of(&["the run was interrupted", "kongferry migrate --resume", "kongferry undo"]);
    assert!(took < LONGEST, "it took {took:?}\n{}", ended.transcript());
}

fn resume(source: &str, target: &Database) {
    kongferry(&["migrate", "--resume", "--source", source, "--target", &target.url()]).exits(0);
}

#[test]
fn an_index_build_or_a_copy_is_cancelled_and_leaves_nothing_behind() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        for (place, signal) in [(gate::IN_INDEX_BUILD, "INT"), (gate::IN_COPY, "TERM")] {
            let target = database::fresh("16", VERSION).await;
            target.execute(place).await;
            let holder = gate::close(&target).await;
            let underway = gate::held(&source, &target, &target.url(), &[]).await;
            interrupt(underway, signal);
            // The gate is still closed: what waited there has ended on the server, too.
            target.wait_until_alone().await;
            drop(holder);
            resume(&source, &target);
            target.remove().await;
        }
    });
}

#[test]
fn a_server_that_hangs_holds_up_no_interruption() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        target.execute(gate::IN_COPY).await;
        let postgres = Proxy::before(&format!("{}:{}", target.server.host, target.server.port)).await;
        let cassandra = Proxy::before(&source.server.address()).await;
        let through = target.url_through(postgres.address);
        let source_through = format!("cassandra://{}/{}", cassandra.address, source.name);

        let holder = gate::close(&target).await;
        let underway = gate::held(&source_through, &target, &through, &[]).await;
        postgres.stall(None);
        interrupt(underway, "INT");
        postgres.cut();
        postgres.go_on();
        drop(holder);
        target.wait_until_alone().await;

        let holder = gate::close(&target).await;
        let arguments =
            ["migrate", "--resume", "--workers", "1", "--source", &source_through, "--target", &through];
        let underway = crate::support::program::start(&arguments);
        gate::reached(&target).await;
        cassandra.stall(None);
        drop(holder);
        interrupt(underway, "TERM");
        target.wait_until_alone().await;
        resume(&source.url(), &target);
        target.remove().await;
    });
}

#[test]
fn a_second_signal_ends_at_once_and_so_does_a_killed_builds_statement() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        for signals in [&["INT", "TERM"][..], &["KILL"]] {
            let target = database::fresh("16", VERSION).await;
            target.execute(gate::IN_INDEX_BUILD).await;
            let holder = gate::close(&target).await;
            let mut underway = gate::held(&source, &target, &target.url(), &[]).await;
            let asked = Instant::now();
            underway.signal(signals[0]);
            if let Some(second) = signals.get(1) {
                underway.says("once more ends at once");
                underway.signal(second);
            }
            let ended = underway.ends();
            assert!(asked.elapsed() < Duration::from_secs(3), "{:?}", asked.elapsed());
            assert_eq!(ended.code, if signals.len() == 2 { 4 } else { -1 }, "{}", ended.transcript());
            // The server sees by itself that nobody wants the index any more.
            target.wait_until_alone().await;
            drop(holder);
            resume(&source, &target);
            target.remove().await;
        }
    });
}

#[test]
fn a_gateway_that_connects_meanwhile_is_named() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        let target = database::fresh("16", VERSION).await;
        target.execute(gate::IN_COPY).await;
        let holder = gate::close(&target).await;
        let mut underway = gate::held(&source, &target, &target.url(), &[]).await;
        let gateway = database::connect(&target.url()).await;
        gateway.batch_execute("SET application_name = 'kong'").await.unwrap();
        underway.says("application_name kong");
        drop((holder, gateway));
        underway.ends().exits(0).prints(&[
            "while the run worked",
            "role postgres from 127.0.0.1",
            "application_name kong",
        ]);
        target.remove().await;
    });
}
