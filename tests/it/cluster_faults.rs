//! What the source does when the cluster, or the way to it, fails.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kongferry::error::ErrorKind;
use kongferry::source::cluster::{Cluster, ClusterConfig};
use kongferry::source::{Cut, PageSizing, Selection, Source as _, cells};
use uuid::Uuid;

use super::cassandra::{Keyspace, columns, on_each_cassandra, read, splits};

on_each_cassandra!(
    broken_connections_cost_no_row,
    tombstones_end_the_split_with_advice,
    a_wrong_keyspace_is_told_which_ones_hold_a_kong,
);

/// Passes connections on to a server, and breaks all of them whenever it has passed on so many bytes.
struct Breaker {
    port: u16,
    breaks: Arc<AtomicUsize>,
}

impl Breaker {
    fn start(server: (String, u16), every: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let breaks = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&breaks);
        std::thread::spawn(move || {
            let open: Arc<Mutex<Vec<TcpStream>>> = Arc::default();
            let passed = Arc::new(AtomicUsize::new(0));
            for client in listener.incoming() {
                let (client, server) = (client.unwrap(), TcpStream::connect(&server).unwrap());
                open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (open, passed, breaks) = (Arc::clone(&open), Arc::clone(&passed), Arc::clone(&counter));
                pass(client.try_clone().unwrap(), server.try_clone().unwrap(), |_| {});
                pass(server, client, move |bytes| {
                    let before = passed.fetch_add(bytes, Ordering::SeqCst);
                    if before / every != (before + bytes) / every {
                        breaks.fetch_add(1, Ordering::SeqCst);
                        for connection in open.lock().unwrap().drain(..) {
                            let _ = connection.shutdown(Shutdown::Both);
                        }
                    }
                });
            }
        });
        Self { port, breaks }
    }
}

/// Copies one direction of a connection until either end is gone.
fn pass(mut from: TcpStream, mut to: TcpStream, passed: impl Fn(usize) + Send + 'static) {
    std::thread::spawn(move || {
        let mut buffer = [0; 8192];
        while let Ok(bytes @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..bytes]).is_err() {
                break;
            }
            passed(bytes);
        }
        let _ = to.shutdown(Shutdown::Both);
    });
}

async fn broken_connections_cost_no_row(keyspace: &Keyspace) {
    keyspace.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    // Compression would make little of the same value over and over.
    let value = || (0..50).map(|_| Uuid::new_v4().simple().to_string()).collect::<String>();
    keyspace.insert("INSERT INTO t (id, v) VALUES (?, ?)", (0..2_000_i32).map(|n| (n, value()))).await;
    let breaker = Breaker::start(keyspace.server(), 700_000);
    let config =
        ClusterConfig { contact_points: vec![("127.0.0.1".to_owned(), breaker.port)], ..keyspace.config() };
    let source = Cluster::connect(&config).await.unwrap();
    let cut = splits(&source, "t", 1, false).await;
    let selection = Arc::new(Selection { table: "t".to_owned(), items: columns(&["id", "v"]) });
    let mut pages = source.open(selection, &cut[0], Arc::new(PageSizing::new(100_000))).await.unwrap();
    let mut ids = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        let rows = cells::rows_of(&page, 2).unwrap();
        ids.extend(rows.into_iter().map(|row| row[0].clone().unwrap()));
    }
    let broken = breaker.breaks.load(Ordering::SeqCst);
    assert!(broken >= 2, "connections broke {broken} times");
    assert_eq!(ids.len(), 2_000);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 2_000);
}

async fn tombstones_end_the_split_with_advice(keyspace: &Keyspace) {
    // Dead rows of 200 dead cells each: more tombstones than the server reads in one go, and no live row between them.
    let names: Vec<String> = (0..200).map(|n| format!("c{n}")).collect();
    let defined: Vec<String> = names.iter().map(|column| format!("{column} text")).collect();
    keyspace.run(&format!("CREATE TABLE dead (id int PRIMARY KEY, {})", defined.join(", "))).await;
    let nulls: Vec<String> = names.iter().map(|column| format!("{column} = null")).collect();
    let update = format!("UPDATE dead SET {} WHERE id = ?", nulls.join(", "));
    keyspace.insert(&update, (0..600_i32).map(|n| (n,))).await;
    let source = keyspace.source().await;
    // A plan does without the estimate, and is still a plan.
    assert_eq!(splits(&source, "dead", 4, false).await.len(), 4);
    let cut = splits(&source, "dead", 1, false).await;
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let selection = Arc::new(Selection { table: "dead".to_owned(), items: columns(&names) });
    let mut pages = source.open(selection, &cut[0], Arc::new(PageSizing::new(1 << 20))).await.unwrap();
    let error = pages.next().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Source);
    let report = error.report();
    for part in ["dead split 0", "tombstones", "gc_grace_seconds", "tombstone_failure_threshold"] {
        assert!(report.contains(part), "{part} in {report}");
    }
    assert!(pages.next().await.unwrap().is_none());
}

async fn a_wrong_keyspace_is_told_which_ones_hold_a_kong(keyspace: &Keyspace) {
    keyspace.run("CREATE TABLE schema_meta (key text, subsystem text, PRIMARY KEY (key, subsystem))").await;
    let config = ClusterConfig { keyspace: "knog".to_owned(), ..keyspace.config() };
    let error = refusal(&config).await;
    assert_eq!(error.kind(), ErrorKind::Preflight);
    let report = error.report();
    assert!(report.contains("keyspace knog does not exist") && report.contains(&keyspace.name), "{report}");
    let elsewhere = ClusterConfig { local_datacenter: Some("mars".to_owned()), ..keyspace.config() };
    let report = refusal(&elsewhere).await.report();
    assert!(report.contains("datacenter1"), "{report}");
}

async fn refusal(config: &ClusterConfig) -> kongferry::error::Error {
    match Cluster::connect(config).await {
        Ok(_) => panic!("connected, though it should not"),
        Err(error) => error,
    }
}

#[tokio::test]
async fn a_dead_port_fails_soon_with_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let config = ClusterConfig {
        contact_points: vec![("127.0.0.1".to_owned(), port), ("no-such-host.invalid".to_owned(), 9042)],
        ..ClusterConfig::default()
    };
    let started = Instant::now();
    let error = refusal(&config).await;
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    assert_eq!(error.kind(), ErrorKind::Preflight);
    let text = error.to_string();
    assert!(text.contains(&format!("127.0.0.1:{port} (connection refused)")), "{text}");
    assert!(text.contains("no-such-host.invalid:9042 ("), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[tokio::test]
async fn a_port_that_is_not_cassandras_fails_soon_with_one_line() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || listener.incoming().for_each(drop));
    let config =
        ClusterConfig { contact_points: vec![("127.0.0.1".to_owned(), port)], ..ClusterConfig::default() };
    let error = refusal(&config).await;
    assert_eq!(error.kind(), ErrorKind::Preflight);
    let text = error.to_string();
    assert!(text.contains(&format!("cannot connect to Cassandra at 127.0.0.1:{port}")), "{text}");
    assert_eq!(text.lines().count(), 1);
}

#[tokio::test]
async fn a_role_needs_its_password_and_select_and_nothing_more() {
    let keyspace = Keyspace::with_users().await;
    keyspace.run("CREATE TABLE t (id int PRIMARY KEY)").await;
    keyspace.run("INSERT INTO t (id) VALUES (1)").await;
    // Two roles, because the server remembers for a while what a role may not do.
    let reader = format!("reader_{}", keyspace.name);
    let stranger = format!("stranger_{}", keyspace.name);
    for role in [&reader, &stranger] {
        keyspace.run(&format!("CREATE ROLE {role} WITH PASSWORD = 'right' AND LOGIN = true")).await;
    }
    keyspace.run(&format!("GRANT SELECT ON KEYSPACE {} TO {reader}", keyspace.name)).await;
    let login = |role: &str, password: &str| ClusterConfig {
        username: Some(role.to_owned()),
        password: Some(password.to_owned().into()),
        ..keyspace.config()
    };

    let wrong = refusal(&login(&reader, "wrong hunter2")).await;
    assert_eq!(wrong.kind(), ErrorKind::Preflight);
    assert!(wrong.to_string().contains(&format!("refuses user {reader}: authentication failed")), "{wrong}");
    assert!(!wrong.report().contains("hunter2"));
    let nobody = refusal(&ClusterConfig { username: None, ..keyspace.config() }).await;
    assert!(nobody.to_string().contains("authentication is required"), "{nobody}");

    // The catalog is open to every role, the rows are not.
    let source = Cluster::connect(&login(&stranger, "right")).await.unwrap();
    let table = source.catalog().tables["t"].clone();
    let denied = source.splits(&table, Cut { parts: 4, shifted: false }).await.unwrap_err();
    assert!(denied.to_string().contains("the role may not read the table"), "{denied}");

    let source = Cluster::connect(&login(&reader, "right")).await.unwrap();
    let split = &splits(&source, "t", 4, false).await[0];
    let rows = read(&source, split, &columns(&["id"]), &Arc::new(PageSizing::new(1000))).await;
    assert_eq!(rows.concat().len(), 1);
    for role in [&reader, &stranger] {
        keyspace.run(&format!("DROP ROLE {role}")).await;
    }
    keyspace.run(&format!("DROP KEYSPACE {}", keyspace.name)).await;
}
