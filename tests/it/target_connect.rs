//! What connecting to a target accepts, sets and refuses.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener};

use kongferry::error::ErrorKind;
use kongferry::target::{Target, TargetConfig};
use secrecy::SecretString;

use crate::target_database::{Database, VERSIONS};
use crate::target_pooler::TransactionPooler;

/// The report of a refused connection; it must be a preflight refusal.
async fn refusal(config: &TargetConfig) -> String {
    let error = Target::connect(config).await.expect_err("the target must be refused");
    assert_eq!(error.kind(), ErrorKind::Preflight, "{}", error.report());
    error.report()
}

async fn refusal_of(url: &str) -> String {
    refusal(&TargetConfig::from_url(url).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_session_has_the_same_settings_whatever_the_role_carries() {
    for version in VERSIONS {
        let database =
            Database::create(version, "CREATE SCHEMA \"Kong A\"; CREATE TABLE \"Kong A\".t ()").await;
        let role = database.role("odd", "").await;
        let admin = database.admin().await;
        for setting in [
            "statement_timeout = 100",
            "idle_in_transaction_session_timeout = 1",
            "lock_timeout = 1",
            "TimeZone = 'Asia/Tokyo'",
            "DateStyle = 'German'",
            "synchronous_commit = off",
            "search_path = pg_catalog",
            "standard_conforming_strings = off",
        ] {
            admin.batch_execute(&format!("ALTER ROLE {role} SET {setting}")).await.unwrap();
        }
        admin.batch_execute(&format!("GRANT USAGE ON SCHEMA \"Kong A\" TO {role}")).await.unwrap();
        let url = format!("{}?schema=Kong%20A", database.url_as(&role, None));
        let target = Target::connect(&TargetConfig::from_url(&url).unwrap()).await.unwrap();
        assert_eq!(target.schema(), "Kong A");
        assert!(target.server().version.starts_with(version), "{:?}", target.server());
        assert!(target.server().system_identifier.is_some());

        let client = target.client().await.unwrap();
        for (name, expected) in [
            ("statement_timeout", "0"),
            ("idle_in_transaction_session_timeout", "0"),
            ("lock_timeout", "0"),
            ("TimeZone", "UTC"),
            ("DateStyle", "ISO, DMY"),
            ("synchronous_commit", "on"),
            ("search_path", "\"Kong A\""),
            ("standard_conforming_strings", "on"),
            ("client_encoding", "UTF8"),
            ("client_min_messages", "error"),
            ("application_name", "kongferry"),
        ] {
            let row = client.query_one("SELECT current_setting($1)", &[&name]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), expected, "{name} on {version}");
        }
        assert!(target.catalog().await.unwrap().tables.contains_key("t"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_reached_is_refused_with_one_clear_line() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let report = refusal_of(&format!("postgres://kong:geheim@127.0.0.1:{port}/kong")).await;
    assert!(
        report
            .starts_with(&format!("PostgreSQL at 127.0.0.1:{port} cannot be reached: connection refused\n")),
        "{report}"
    );

    let report = refusal_of("postgres://kong:geheim@kongferry.invalid/kong").await;
    assert!(
        report.starts_with("PostgreSQL at kongferry.invalid:5432 cannot be reached: the host name"),
        "{report}"
    );

    for (answer, cause) in
        [("HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak PostgreSQL"), ("", "was lost")]
    {
        let other = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = other.local_addr().unwrap().port();
        std::thread::spawn(move || {
            let (mut stream, _) = other.accept().unwrap();
            // The client's first message, so that closing does not reset the connection before the answer is read.
            stream.read_exact(&mut [0; 8]).unwrap();
            stream.write_all(answer.as_bytes()).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            drop(stream.read(&mut [0; 4096]));
        });
        let report = refusal_of(&format!("postgres://kong:geheim@127.0.0.1:{port}/kong")).await;
        assert!(report.contains("cannot be reached") && report.contains(cause), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_names_and_passwords_are_named() {
    for version in VERSIONS {
        let database = Database::create(version, "").await;
        let admin = database.admin().await;
        // Roles in this group are asked for a password by the test servers. Another test may create it at the same time.
        admin.batch_execute("CREATE ROLE needs_password").await.ok();
        let role = database.role("login", "PASSWORD 'right-geheim' IN ROLE needs_password").await;

        let report = refusal_of(&database.url_as(&role, Some("wrong-geheim"))).await;
        assert!(report.contains(&format!("refuses the password of role {role}")), "{report}");
        assert!(!report.contains("geheim"), "{report}");

        let report = refusal_of(&database.url_as(&role, None)).await;
        assert!(report.contains("none is given") && report.contains("KONGFERRY_TARGET_PASSWORD"), "{report}");

        let mut config = TargetConfig::from_url(&database.url_as(&role, Some("wrong-geheim"))).unwrap();
        config.password = Some(SecretString::from("right-geheim"));
        Target::connect(&config).await.unwrap();

        let report = refusal_of(&database.url_as("nobody_of_that_name", None)).await;
        assert!(report.contains("does not let role nobody_of_that_name into"), "{report}");

        let report = refusal_of(&format!("{}_missing", database.url())).await;
        assert!(
            report.starts_with(&format!("database {}_missing does not exist", database.name)),
            "{report}"
        );

        let report = refusal_of(&format!("{}?schema=elsewhere", database.url())).await;
        assert!(report.starts_with("schema elsewhere does not exist"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn databases_that_cannot_be_a_target_are_refused() {
    for version in VERSIONS {
        let database = Database::create(version, "CREATE SCHEMA kong").await;
        let admin = database.admin().await;
        let role = database.role("plain", "").await;
        let url = format!("{}?schema=kong", database.url_as(&role, None));

        let report = refusal_of(&url).await;
        assert!(report.contains(&format!("GRANT USAGE ON SCHEMA kong TO {role}")), "{report}");
        admin.batch_execute(&format!("GRANT USAGE ON SCHEMA kong TO {role}")).await.unwrap();
        Target::connect(&TargetConfig::from_url(&url).unwrap()).await.unwrap();

        admin
            .batch_execute(&format!("ALTER ROLE {role} SET default_transaction_read_only = on"))
            .await
            .unwrap();
        let report = refusal_of(&url).await;
        assert!(report.contains("is read-only for role"), "{report}");
        admin.batch_execute(&format!("ALTER ROLE {role} RESET ALL")).await.unwrap();

        admin
            .batch_execute(&format!("ALTER ROLE {role} SET session_replication_role = replica"))
            .await
            .unwrap();
        let report = refusal_of(&url).await;
        assert!(report.contains("session_replication_role"), "{report}");

        let options = "ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0";
        let latin = Database::create_with(version, options, "").await;
        let report = refusal_of(&latin.url()).await;
        assert!(report.contains("encoded in LATIN1"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_pools_transactions_is_refused() {
    for version in VERSIONS {
        let database = Database::create(version, "").await;
        let pooler = TransactionPooler::before(&database.url()).await;
        let report = refusal_of(&pooler.url).await;
        assert!(report.contains("lends out server connections per transaction"), "{report}");
        assert!(report.contains("session mode"), "{report}");
    }
}
