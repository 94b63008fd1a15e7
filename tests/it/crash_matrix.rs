//! A process that dies at a known moment, or at a random one: whatever it was doing, the run is taken up and ends in what an
//! undisturbed run ends in, or is undone and leaves what was there before.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;

use kongferry::estate::{FillSpec, KongVersion};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::Value;

use crate::support::database::{self, Database};
use crate::support::expected::compare;
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{kongferry, start_in};
use crate::support::run;

const VERSION: KongVersion = KongVersion::V2_8;
/// PostgreSQL of the targets.
const LINE: &str = "16";
/// Runs at once: each waits for the servers half of the time.
const AT_ONCE: usize = 3;
/// Moments a task is passed at: claimed, worked, noted, done.
const MOMENTS_PER_TASK: u64 = 4;

/// Where the process ends, by the names in src/failpoint.rs, and at which pass. Each kind of task has four moments: claimed, its
/// work done, noted in the ledger, committed.
const PLACES: &[&str] = &[
    "seed-claimed",
    "seed-noted",
    "seed-done",
    "disarm-worked",
    "disarm-noted",
    "disarm-done",
    "copy-page:3",
    "copy-page:9",
    "copy-worked:5",
    "copy-noted:1",
    "copy-noted:9",
    "copy-done:2",
    "copy-done:14",
    "index-worked:2",
    "index-noted:9",
    "index-done:5",
    "keys-noted:3",
    "keys-done:6",
    "foreign_key-noted:4",
    "foreign_key-done:2",
    "validate-worked:3",
    "validate-done:7",
    "tags-worked:1",
    "tags-noted:4",
    "tags-done:2",
    "finish-worked",
    "finish-noted",
    "finish-done",
    "derive-noted",
    "vacuum-worked:2",
    "vacuum-done:9",
    "run-counted",
    "run-noted",
    "run-done",
];

/// What every case is compared with.
struct Undisturbed {
    source: String,
    before: (BTreeMap<String, Vec<String>>, Vec<String>),
    after: (BTreeMap<String, Vec<Value>>, Vec<String>),
    tasks: u64,
}

impl Undisturbed {
    async fn run(source: &Keyspace) -> Self {
        let target = database::fresh(LINE, VERSION).await;
        let before = (target.content().await, target.catalog().await);
        kongferry(&["migrate", "--source", &source.url(), "--target", &target.url()]).exits(0);
        let after = (target.content_but_for_expiry().await, target.catalog().await);
        let tasks = target.texts("SELECT count(*)::text FROM kongferry.task").await.remove(0);
        target.remove().await;
        Self { source: source.url(), before, after, tasks: tasks.parse().unwrap() }
    }

    /// Ends a run at `place`, then goes on or back.
    async fn compare_with(&self, place: &str, undo: bool) {
        let target = database::fresh(LINE, VERSION).await;
        let url = target.url();
        let sides = ["--source", &self.source, "--target", &url];
        let failpoint = [("KONGFERRY_FAILPOINT", place)];
        let arguments = [&["migrate", "--workers", "2", "--builds", "2"][..], &sides].concat();
        let killed = start_in(&failpoint, &arguments).ends();
        assert!(
            killed.code == -1 && killed.stderr.contains("failpoint "),
            "{place} was not passed\n{}",
            killed.transcript()
        );
        let over = target.texts("SELECT state FROM kongferry.run").await == ["done"];
        if undo {
            kongferry(&["undo", "--target", &url]).exits(0);
            assert_eq!(self.before.0, target.content().await, "{place}, undone");
            assert_same_catalog(&self.before.1, &target, place).await;
        } else {
            let resumed = kongferry(&[&["migrate", "--resume", "--workers", "2"][..], &sides].concat());
            if over {
                resumed.exits(3).complains_of(&["is over"]);
            } else {
                resumed.exits(0).prints(&["counts of both sides agree"]);
            }
            let content = target.content_but_for_expiry().await;
            for (table, rows) in &self.after.0 {
                assert_eq!(Some(rows), content.get(table), "{place}, resumed: {table}");
            }
            assert_same_catalog(&self.after.1, &target, place).await;
        }
        target.remove().await;
    }
}

async fn assert_same_catalog(expected: &[String], target: &Database, place: &str) {
    let changed = compare::differing(expected, &target.catalog().await);
    assert!(changed.is_empty(), "{place}: the target's catalog differs:\n{}", changed.join("\n"));
}

/// Works off all cases, some at once; every fourth is undone. All failures are shown.
fn crash(undisturbed: &Undisturbed, places: Vec<String>) {
    let cases: Mutex<VecDeque<(usize, String)>> = Mutex::new(places.into_iter().enumerate().collect());
    let failed = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        let work = || {
            loop {
                let Some((number, place)) = cases.lock().unwrap().pop_front() else { return };
                let case =
                    std::panic::AssertUnwindSafe(|| run(undisturbed.compare_with(&place, number % 4 == 3)));
                if std::panic::catch_unwind(case).is_err() {
                    failed.lock().unwrap().push(place);
                }
            }
        };
        for _ in 0..AT_ONCE {
            scope.spawn(work);
        }
    });
    let failed = failed.into_inner().unwrap();
    assert!(failed.is_empty(), "failed: {failed:?}");
}

/// Moments by their number among all that tasks pass, so that a seed gives the same ones on a slow machine.
fn random_moments(undisturbed: &Undisturbed, count: usize) -> Vec<String> {
    let seed = std::env::var("KONGFERRY_TEST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed: u64 = seed.unwrap_or_else(|| rand::rng().random());
    eprintln!("moments of KONGFERRY_TEST_SEED={seed}");
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let last = MOMENTS_PER_TASK * undisturbed.tasks;
    (0..count).map(|_| format!("any:{}", random.random_range(1..=last))).collect()
}

#[test]
fn wherever_a_process_dies_the_run_goes_on_or_back() {
    let undisturbed = run(async {
        // About four rows for each consumer.
        let size = FillSpec { consumers: 1_250, ..FillSpec::default() };
        let source = keyspace::filled_with("5.0", VERSION, size).await;
        Undisturbed::run(&source).await
    });
    let mut places: Vec<String> = PLACES.iter().map(|&place| place.to_owned()).collect();
    places.extend(random_moments(&undisturbed, 6));
    if let Ok(chosen) = std::env::var("KONGFERRY_TEST_PLACES") {
        places = chosen.split(',').map(str::to_owned).collect();
    }
    crash(&undisturbed, places);
}

#[test]
fn a_hundred_random_crashes_of_a_large_run() {
    if std::env::var_os("KONGFERRY_TEST_LONG").is_none() {
        return;
    }
    let undisturbed = run(async {
        let size = FillSpec { consumers: 50_000, ..FillSpec::default() };
        let source = keyspace::filled_with("5.0", VERSION, size).await;
        Undisturbed::run(&source).await
    });
    let places = random_moments(&undisturbed, 100);
    crash(&undisturbed, places);
}
