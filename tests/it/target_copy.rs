//! Loading by COPY, and what a transaction does when something goes wrong.

use bytes::Bytes;
use kongferry::error::ErrorKind;
use kongferry::target::{LoadTransaction, Target, TargetConfig};

use crate::target_database::{Database, VERSIONS, tuple};

const SCHEMA: &str = "CREATE TABLE t (id integer PRIMARY KEY, note text NOT NULL)";

fn columns() -> Vec<String> {
    vec!["id".to_owned(), "note".to_owned()]
}

fn row(id: i32, note: &str) -> Vec<u8> {
    tuple(&[Some(&id.to_be_bytes()), Some(note.as_bytes())])
}

fn rows(ids: impl IntoIterator<Item = i32>) -> Bytes {
    ids.into_iter().flat_map(|id| row(id, "a note")).collect()
}

async fn load(transaction: &mut LoadTransaction, tuples: Bytes) -> u64 {
    let mut copy = transaction.copy("t", &columns()).await.unwrap();
    copy.send(tuples).await.unwrap();
    copy.finish().await.unwrap()
}

async fn count(database: &Database) -> i64 {
    database.admin().await.query_one("SELECT count(*) FROM t", &[]).await.unwrap().get(0)
}

/// A target with one connection, so that a connection in a wrong state would be met again.
async fn one_connection(database: &Database) -> Target {
    let mut config = TargetConfig::from_url(&database.url()).unwrap();
    config.pool_size = 1;
    Target::connect(&config).await.unwrap()
}

async fn backend(target: &Target) -> i32 {
    target.client().await.unwrap().query_one("SELECT pg_backend_pid()", &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_all_sizes_arrive_and_are_counted() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = one_connection(&database).await;
        let mut transaction = target.begin().await.unwrap();
        assert_eq!(load(&mut transaction, Bytes::new()).await, 0);

        let wide = "w".repeat(700_000);
        let mut copy = transaction.copy("t", &columns()).await.unwrap();
        for id in 0..2_000 {
            let note = if id % 500 == 0 { wide.as_str() } else { "narrow" };
            copy.send(row(id, note).into()).await.unwrap();
        }
        copy.send(rows(2_000..40_000)).await.unwrap();
        assert_eq!(copy.finish().await.unwrap(), 40_000);
        assert_eq!(count(&database).await, 0, "nothing is visible before the commit");
        transaction.commit().await.unwrap();
        assert_eq!(count(&database).await, 40_000);
        let client = database.admin().await;
        let wide_rows =
            client.query_one("SELECT count(*) FROM t WHERE length(note) = 700000", &[]).await.unwrap();
        assert_eq!(wide_rows.get::<_, i64>(0), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_row_is_located_rolled_back_and_leaves_the_connection_usable() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = one_connection(&database).await;
        let process = backend(&target).await;
        let mut transaction = target.begin().await.unwrap();
        let mut copy = transaction.copy("t", &columns()).await.unwrap();
        copy.send(rows(0..5_000)).await.unwrap();
        copy.send(tuple(&[Some(&5_000_i32.to_be_bytes()), None]).into()).await.unwrap();
        copy.send(rows(5_001..9_000)).await.unwrap();
        let failure = copy.finish().await.unwrap_err();
        assert_eq!((failure.error.kind(), failure.row), (ErrorKind::Row, Some(5_000)));
        assert_eq!(failure.column.as_deref(), Some("note"));
        let report = failure.error.report();
        assert!(report.contains("cannot load table t, row 5001 of the split, column note"), "{report}");
        assert!(report.contains("23502 not_null_violation"), "{report}");

        let error = transaction.commit().await.unwrap_err();
        assert!(error.report().contains("25P02"), "a failed transaction must not seem committed: {error}");
        assert_eq!(count(&database).await, 0);

        // The connection of a failed commit is not used again; that of a rollback is.
        assert_ne!(backend(&target).await, process);
        let process = backend(&target).await;
        let mut transaction = target.begin().await.unwrap();
        load(&mut transaction, rows(0..10)).await;
        transaction.rollback().await.unwrap();
        assert_eq!(backend(&target).await, process);
        assert_eq!(count(&database).await, 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_keep_what_was_good() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = one_connection(&database).await;
        let mut transaction = target.begin().await.unwrap();
        load(&mut transaction, rows(0..100)).await;
        transaction.savepoint("part").await.unwrap();
        let mut copy = transaction.copy("t", &columns()).await.unwrap();
        copy.send(rows(50..60)).await.unwrap();
        let failure = copy.finish().await.unwrap_err();
        assert!(failure.error.report().contains("constraint t_pkey"), "{}", failure.error.report());
        transaction.rollback_to("part").await.unwrap();

        // A COPY that is given up half-way fails the transaction just the same.
        let mut copy = transaction.copy("t", &columns()).await.unwrap();
        copy.send(rows(200..60_000)).await.unwrap();
        drop(copy);
        assert!(transaction.savepoint("other").await.is_err());
        transaction.rollback_to("part").await.unwrap();
        load(&mut transaction, rows(100..150)).await;
        transaction.release("part").await.unwrap();
        let ledger = "INSERT INTO t VALUES (-1, $1)";
        assert_eq!(transaction.execute("cannot write the ledger", ledger, &[&"x"]).await.unwrap(), 1);
        transaction.commit().await.unwrap();
        assert_eq!(count(&database).await, 151);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_transaction_never_gets_back_into_the_pool() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = one_connection(&database).await;
        let process = backend(&target).await;
        let mut transaction = target.begin().await.unwrap();
        load(&mut transaction, rows(0..100)).await;
        drop(transaction);
        assert_ne!(backend(&target).await, process);
        let mut transaction = target.begin().await.unwrap();
        // Waits for the server to notice that the first is gone, since both write the same keys.
        assert_eq!(load(&mut transaction, rows(0..100)).await, 100);
        assert_eq!(transaction.delete_all("t").await.unwrap(), 100);
        assert_eq!(load(&mut transaction, rows(0..7)).await, 7);
        transaction.commit().await.unwrap();
        assert_eq!(count(&database).await, 7);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_is_noticed_after_one_statement_and_counted_over_all() {
    let database = Database::create("16", SCHEMA).await;
    let target = one_connection(&database).await;
    let wide = "w".repeat(1 << 20);
    let mut transaction = target.begin().await.unwrap();
    let mut copy = transaction.copy("t", &columns()).await.unwrap();
    for id in 0..70 {
        copy.send(row(id, &wide).into()).await.unwrap();
    }
    // In the second statement: a key that is there already.
    copy.send(row(3, "again").into()).await.unwrap();
    let mut sent = 71;
    let failure = loop {
        sent += 1;
        assert!(sent < 200, "the failure is noticed before the end");
        if let Err(failure) = copy.send(row(sent, &wide).into()).await {
            break failure;
        }
    };
    assert_eq!(failure.row, Some(70));
    drop(copy);
    transaction.rollback().await.unwrap();

    let mut transaction = target.begin().await.unwrap();
    let mut copy = transaction.copy("t", &columns()).await.unwrap();
    for id in 0..130 {
        copy.send(row(id, &wide).into()).await.unwrap();
    }
    assert_eq!(copy.finish().await.unwrap(), 130);
    transaction.commit().await.unwrap();
    assert_eq!(count(&database).await, 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refers_to_itself_loads_in_one_statement() {
    for version in VERSIONS {
        let sql = "CREATE TABLE t (id integer PRIMARY KEY, boss integer REFERENCES t)";
        let database = Database::create(version, sql).await;
        let target = one_connection(&database).await;
        let mut transaction = target.begin().await.unwrap();
        let columns = ["id".to_owned(), "boss".to_owned()];
        let mut copy = transaction.copy("t", &columns).await.unwrap().in_one_statement();
        for id in 0..1_000_i32 {
            let boss = (999 - id).to_be_bytes();
            copy.send(tuple(&[Some(&id.to_be_bytes()), Some(&boss)]).into()).await.unwrap();
        }
        assert_eq!(copy.finish().await.unwrap(), 1_000);
        transaction.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_connection_is_told_and_the_next_one_works() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = one_connection(&database).await;
        let mut transaction = target.begin().await.unwrap();
        let process: i32 = transaction.query("", "SELECT pg_backend_pid()", &[]).await.unwrap()[0].get(0);
        let mut copy = transaction.copy("t", &columns()).await.unwrap();
        copy.send(rows(0..20_000)).await.unwrap();
        database.admin().await.query_one("SELECT pg_terminate_backend($1)", &[&process]).await.unwrap();
        let failure = loop {
            if let Err(failure) = copy.send(rows(0..20_000)).await {
                break failure;
            }
        };
        assert_eq!(failure.error.kind(), ErrorKind::Target, "{}", failure.error.report());
        let report = failure.error.report();
        assert!(report.contains("connection was lost") || report.contains("57P01"), "{report}");
        assert!(report.contains("run the command again"), "{report}");
        drop(transaction);
        let mut transaction = target.begin().await.unwrap();
        load(&mut transaction, rows(0..10)).await;
        transaction.commit().await.unwrap();
        assert_eq!(count(&database).await, 10);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn missing_rights_are_named() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let role = database.role("reader", "").await;
        let config = TargetConfig::from_url(&database.url_as(&role, None)).unwrap();
        let target = Target::connect(&config).await.unwrap();
        let mut transaction = target.begin().await.unwrap();
        let error = transaction.copy("t", &columns()).await.err().unwrap();
        let report = error.before_writing();
        assert_eq!(report.kind(), ErrorKind::Preflight);
        assert!(
            report.report().contains("permission denied for table t (SQLSTATE 42501"),
            "{}",
            report.report()
        );
        assert!(report.report().contains("GRANT INSERT ON \"public\".\"t\""), "{}", report.report());
        // A COPY that never began leaves the driver out of step with the server: its connection must not be used again.
        assert!(transaction.savepoint("any").await.is_err());
        transaction.rollback().await.unwrap();
        let mut transaction = target.begin().await.unwrap();
        let report = transaction.delete_all("t").await.unwrap_err().report();
        assert!(report.contains("GRANT DELETE ON \"public\".\"t\""), "{report}");
    }
}
