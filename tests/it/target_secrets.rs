//! No error text ever holds a value of a row.

use bytes::Bytes;
use kongferry::error::{Error, ErrorKind};
use kongferry::target::CopyFailure;

use crate::target_database::{Database, VERSIONS, tuple};

/// What no error may contain; long enough not to occur by chance.
const SECRET: &str = "s3cr3t-geheim-marker";

const SCHEMA: &str = "
    CREATE TABLE parents (id text PRIMARY KEY);
    CREATE TABLE t (
        id text PRIMARY KEY, parent text REFERENCES parents, short varchar(60), kind text CHECK (kind <> 's3cr3t-geheim-marker'),
        doc jsonb, needed text NOT NULL DEFAULT 'x', number integer, later text REFERENCES parents DEFERRABLE INITIALLY DEFERRED
    );
    CREATE FUNCTION complain() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF NEW.number = 13 THEN
            EXECUTE format('SELECT %L::integer', NEW.id);
        END IF;
        IF NEW.number = 14 THEN
            RAISE EXCEPTION 'refused %', NEW.id USING DETAIL = NEW.id, HINT = NEW.id;
        END IF;
        RETURN NEW;
    END $$;
    CREATE TRIGGER complains BEFORE INSERT ON t FOR EACH ROW EXECUTE PROCEDURE complain();
    INSERT INTO t (id) VALUES ('s3cr3t-geheim-marker');
";

/// What is loaded: a name for it, columns, one row, and the SQLSTATE it is refused with.
type Case<'a> = (&'a str, &'a [&'a str], &'a [Option<&'a [u8]>], &'a str);

fn assert_no_secret(error: &Error) {
    let text = format!("{error}\n{}\n{error:?}", error.report());
    assert!(!text.contains("geheim"), "{text}");
}

/// Loads one row and returns the failure.
async fn failure(database: &Database, columns: &[&str], fields: &[Option<&[u8]>]) -> CopyFailure {
    let target = database.target().await;
    let mut transaction = target.begin().await.unwrap();
    let columns: Vec<String> = columns.iter().map(|name| (*name).to_owned()).collect();
    let mut copy = transaction.copy("t", &columns).await.unwrap();
    copy.send(Bytes::from(tuple(fields))).await.unwrap();
    let failure = match copy.finish().await {
        Err(failure) => failure,
        Ok(_) => CopyFailure { error: transaction.commit().await.unwrap_err(), row: None, column: None },
    };
    let text = format!("{failure:?}");
    assert!(!text.contains("geheim"), "{text}");
    assert_no_secret(&failure.error);
    failure
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_rows_are_explained_without_their_values() {
    let secret = Some(SECRET.as_bytes());
    let invalid_text = [SECRET.as_bytes(), &[0xff]].concat();
    let nul_text = [SECRET.as_bytes(), &[0]].concat();
    let invalid_json = [&[1], SECRET.as_bytes()].concat();
    let escaped_json = [&[1], format!("{{\"{SECRET}\": \"\\u0000\"}}").as_bytes()].concat();
    let long = SECRET.repeat(4);
    let new = Some("new".as_bytes());
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let cases: [Case<'_>; 13] = [
            ("duplicate key", &["id"], &[secret], "23505 unique_violation"),
            ("missing parent", &["id", "parent"], &[new, secret], "23503 foreign_key_violation"),
            ("missing parent at commit", &["id", "later"], &[new, secret], "23503 foreign_key_violation"),
            ("check", &["id", "kind"], &[new, secret], "23514 check_violation"),
            ("not null", &["id", "needed"], &[secret, None], "23502 not_null_violation"),
            ("too long", &["id", "short"], &[new, Some(long.as_bytes())], "22001"),
            ("not UTF-8", &["id"], &[Some(&invalid_text)], "22021"),
            ("U+0000", &["id"], &[Some(&nul_text)], "22021"),
            ("not JSON", &["id", "doc"], &[new, Some(&invalid_json)], "22P02"),
            ("JSON escape", &["id", "doc"], &[new, Some(&escaped_json)], "22P05"),
            ("wrong length", &["id", "number"], &[new, secret], "22P03"),
            ("trigger", &["id", "number"], &[secret, Some(&13_i32.to_be_bytes())], "22P02"),
            ("raised", &["id", "number"], &[secret, Some(&14_i32.to_be_bytes())], "P0001"),
        ];
        for (case, columns, fields, state) in cases {
            let failure = failure(&database, columns, fields).await;
            let report = failure.error.report();
            assert!(report.contains(state), "{case} on {version}: {report}");
            assert_eq!(failure.error.kind(), ErrorKind::Row, "{case} on {version}: {report}");
            // Foreign keys are checked when all rows are in.
            let located = !case.starts_with("missing parent");
            assert_eq!(failure.row, located.then_some(0), "{case} on {version}: {report}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn failed_statements_are_explained_without_their_values() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = database.target().await;
        for sql in [
            "INSERT INTO t (id) VALUES ('s3cr3t-geheim-marker')",
            "SELECT 's3cr3t-geheim-marker'::uuid",
            "SELECT nothing_geheim('s3cr3t-geheim-marker')",
            "SELECT 's3cr3t-geheim-marker' FROM missing_geheim_table",
            "SELEKT 's3cr3t-geheim-marker'",
        ] {
            let mut transaction = target.begin().await.unwrap();
            let error = transaction.execute("cannot do it", sql, &[]).await.unwrap_err();
            assert!(error.report().starts_with("cannot do it: "), "{}", error.report());
            assert_no_secret(&error);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tuples_that_do_not_fit_the_table_are_a_bug() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let failure = failure(&database, &["id"], &[Some(SECRET.as_bytes()), None]).await;
        assert_eq!(failure.error.kind(), ErrorKind::Internal, "{}", failure.error.report());
    }
}
