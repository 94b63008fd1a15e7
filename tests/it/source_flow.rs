//! The source is asked for no more than it bears, and for no more than it is allowed to give.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::future::join_all;
use kongferry::estate::KongVersion;
use kongferry::source::cluster::{Cluster, ClusterConfig, Remarks};
use kongferry::source::{PageSizing, Selection, Source as _, cells};
use uuid::Uuid;

use super::cassandra::{Keyspace, columns, on_each_cassandra, splits};
use crate::support::program::kongferry;
use crate::support::{database, keyspace, run};

on_each_cassandra!(
    a_node_that_stalls_is_asked_for_fewer_pages_until_it_recovers,
    a_node_that_slows_down_is_asked_for_fewer_pages_until_it_recovers,
    rows_per_second_hold_over_all_pages_together,
);

const ROWS: i32 = 16_000;
/// Bytes of answers that pass before trouble begins: the plan and some pages.
const UNTROUBLED: usize = 800_000;

/// What a [`Way`] does to answers.
const QUICK: u8 = 0;
const SLOW: u8 = 1;
const STALLED: u8 = 2;

/// A way to a server that is quick, slow, or lets no answer through.
struct Way {
    port: u16,
    state: Arc<State>,
}

struct State {
    mode: AtomicU8,
    passed: AtomicUsize,
    /// For those who wait in a stall.
    moves: (Mutex<()>, Condvar),
}

impl Way {
    /// A way to `server` that is quick at first, and becomes `then`, once, after [`UNTROUBLED`] bytes.
    fn start(server: (String, u16), then: u8) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State {
            mode: AtomicU8::new(QUICK),
            passed: AtomicUsize::new(0),
            moves: (Mutex::new(()), Condvar::new()),
        });
        let shared = Arc::clone(&state);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), |_| {});
                let state = Arc::clone(&shared);
                pass(server, client, move |bytes| state.pass(bytes, then));
            }
        });
        Self { port, state }
    }

    fn is_quick_again(&self) {
        let _held = self.state.moves.0.lock().unwrap();
        self.state.mode.store(QUICK, Ordering::SeqCst);
        self.state.moves.1.notify_all();
    }
}

impl State {
    /// Holds up an answer of `bytes`.
    fn pass(&self, bytes: usize, then: u8) {
        let before = self.passed.fetch_add(bytes, Ordering::SeqCst);
        if (before..before + bytes).contains(&UNTROUBLED) {
            self.mode.store(then, Ordering::SeqCst);
        }
        match self.mode.load(Ordering::SeqCst) {
            // The delay is what is tested.
            SLOW => std::thread::sleep(Duration::from_millis(100)),
            STALLED => {
                let held = self.moves.0.lock().unwrap();
                let _held =
                    self.moves.1.wait_while(held, |()| self.mode.load(Ordering::SeqCst) == STALLED).unwrap();
            }
            _ => {}
        }
    }
}

/// Copies one direction of a connection until either end is gone.
fn pass(mut from: TcpStream, mut to: TcpStream, passes: impl Fn(usize) + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            passes(bytes);
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

async fn filled(keyspace: &Keyspace) {
    keyspace.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    // Compression would make little of the same value over and over.
    let value = || (0..15).map(|_| Uuid::new_v4().simple().to_string()).collect::<String>();
    keyspace.insert("INSERT INTO t (id, v) VALUES (?, ?)", (0..ROWS).map(|n| (n, value()))).await;
}

/// The ids of all rows, eight splits at a time.
async fn ids(source: &Cluster) -> Vec<Bytes> {
    let sizing = Arc::new(PageSizing::new(50_000));
    let selection = Arc::new(Selection { table: "t".to_owned(), items: columns(&["id", "v"]) });
    let read = splits(source, "t", 8, false).await.into_iter().map(|split| {
        let (sizing, selection) = (Arc::clone(&sizing), Arc::clone(&selection));
        async move {
            let mut pages = source.open(selection, &split, sizing).await.unwrap();
            let mut ids = Vec::new();
            while let Some(page) = pages.next().await.unwrap() {
                let rows = cells::rows_of(&page, 2).unwrap();
                ids.extend(rows.into_iter().map(|row| row[0].clone().unwrap()));
            }
            ids
        }
    });
    join_all(read).await.concat()
}

fn assert_each_row_once(ids: Vec<Bytes>) {
    assert_eq!(ids.len(), usize::try_from(ROWS).unwrap());
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), usize::try_from(ROWS).unwrap());
}

/// Reads everything over a way that becomes `then`; it is quick again as soon as reading slows down. Returns all remarks.
async fn read_over_a_troubled_way(keyspace: &Keyspace, then: u8) -> Receiver<String> {
    filled(keyspace).await;
    let way = Way::start(keyspace.server(), then);
    let (remarks, heard) = channel();
    let port = way.port;
    let config = ClusterConfig {
        contact_points: vec![("127.0.0.1".to_owned(), port)],
        request_timeout: Duration::from_secs(5),
        remarks: Remarks::to(move |remark| {
            way.is_quick_again();
            let _ = remarks.send(remark);
        }),
        ..keyspace.config()
    };
    let source = Cluster::connect(&config).await.unwrap();
    assert_each_row_once(ids(&source).await);
    heard
}

/// Reading slowed down for a reason and came back.
fn assert_went_down_and_came_back(heard: &Receiver<String>, why: &str) {
    let remarks: Vec<String> = heard.try_iter().collect();
    let [down, .., back] = remarks.as_slice() else { panic!("{remarks:?}") };
    let parts = |text: &str| {
        let numbers: Vec<usize> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        numbers[0]
    };
    assert!(down.starts_with("reading slows down to ") && down.contains(why), "{down}");
    assert!(down.contains(" from 127.0.0.1:"), "{down}");
    assert!(back.starts_with("reading is back to "), "{back}");
    assert!(parts(back) > parts(down), "{remarks:?}");
}

async fn a_node_that_stalls_is_asked_for_fewer_pages_until_it_recovers(keyspace: &Keyspace) {
    let heard = read_over_a_troubled_way(keyspace, STALLED).await;
    assert_went_down_and_came_back(&heard, "no answer within 5 s");
}

async fn a_node_that_slows_down_is_asked_for_fewer_pages_until_it_recovers(keyspace: &Keyspace) {
    let heard = read_over_a_troubled_way(keyspace, SLOW).await;
    assert_went_down_and_came_back(&heard, "its pages take far longer than before");
}

async fn rows_per_second_hold_over_all_pages_together(keyspace: &Keyspace) {
    filled(keyspace).await;
    let per_second = 4_000_u32;
    let config = ClusterConfig { rows_per_second: NonZeroU32::new(per_second), ..keyspace.config() };
    let source = Cluster::connect(&config).await.unwrap();
    let started = Instant::now();
    assert_each_row_once(ids(&source).await);
    // A quarter of a second's rows may have been saved up.
    let least = f64::from(ROWS) / f64::from(per_second) - 0.25;
    assert!(started.elapsed().as_secs_f64() >= least, "{:?} for {ROWS} rows", started.elapsed());
}

#[test]
fn a_dry_run_keeps_to_the_rows_per_second() {
    run(async {
        let source = keyspace::filled("5.0", KongVersion::V3_3).await;
        let target = database::fresh("16", KongVersion::V3_3).await;
        let urls = ["--source", &source.url(), "--target", &target.url(), "--tables", "consumers"];
        let started = Instant::now();
        let dry = kongferry(&[&["migrate", "--dry-run", "--max-rows-per-second", "100"], &urls[..]].concat());
        let took = started.elapsed().as_secs_f64();
        let read = dry.exits(0).counts("consumers")[0];
        let least = f64::from(u32::try_from(read).unwrap()) / 100.0 - 0.25;
        assert!(read >= keyspace::CONSUMERS && took >= least, "{took} s\n{}", dry.transcript());
        target.remove().await;
    });
}
