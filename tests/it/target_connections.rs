//! A load takes no more connections than the server has free.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use kongferry::estate::KongVersion;
use kongferry::target::connections::free_connections;
use kongferry::target::{Target, TargetConfig};

use crate::support::program::kongferry;
use crate::support::servers::postgres_versions;
use crate::support::{database, keyspace, run, unique};
use crate::target_database::{Database, VERSIONS};

#[tokio::test(flavor = "multi_thread")]
async fn the_limits_of_role_and_database_and_the_sessions_under_them_count() {
    for version in VERSIONS {
        let database = Database::create(version, "").await;
        let admin = database.admin().await;
        let role = database.role("few", "CONNECTION LIMIT 7").await;
        let url = database.url_as(&role, None);
        let target = Target::connect(&TargetConfig::from_url(&url).unwrap()).await.unwrap();
        let free = async || {
            let client = target.client().await.unwrap();
            free_connections(&client, target.server().version_num).await.unwrap()
        };
        // The sessions that probed the server take a moment to leave.
        while free().await.free < 6 {}
        assert_eq!(free().await.limit, format!("the connection limit of role {role} is 7, and others use 0"));
        let others = [connect(&url).await, connect(&url).await];
        assert_eq!(free().await.free, 4);
        assert!(free().await.limit.ends_with("is 7, and others use 2"), "{:?}", free().await);
        drop(others);

        admin.batch_execute(&format!("ALTER DATABASE {} CONNECTION LIMIT 4", database.name)).await.unwrap();
        // The administrator's own session counts.
        while free().await.free < 2 {}
        let left = free().await;
        assert_eq!((left.free, left.limit.contains(&format!("database {} is 4", database.name))), (2, true));

        // A superuser is bound by the server alone.
        let target = database.target().await;
        let client = target.client().await.unwrap();
        let left = free_connections(&client, target.server().version_num).await.unwrap();
        assert!(left.limit.starts_with("max_connections is "), "{left:?}");
        let most: String = client.query_one("SHOW max_connections", &[]).await.unwrap().get(0);
        assert!(left.free < most.parse().unwrap() && left.free > 2, "{left:?} of {most}");
    }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, tokio_postgres::NoTls).await.unwrap();
    tokio::spawn(connection);
    client
}

#[test]
fn a_load_makes_do_with_the_connections_it_gets_unless_it_was_told_otherwise() {
    run(async {
        for line in postgres_versions() {
            let source = keyspace::filled("5.0", KongVersion::V3_3).await;
            let target = database::fresh(line, KongVersion::V3_3).await;
            let role = unique("few");
            target
                .execute(&format!(
                    "CREATE ROLE {role} LOGIN CONNECTION LIMIT 8; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};
                     GRANT CREATE ON DATABASE {} TO {role}",
                    target.name
                ))
                .await;
            let url = target.url().replacen("postgres@", &format!("{role}@"), 1);
            let urls = ["--source", &source.url(), "--target", &url];

            let load = ["migrate", "--keep-constraints"];
            let all = kongferry(&[&load[..], &["--workers", "8"], &urls[..]].concat());
            let refusal = format!(
                "8 workers need 13 connections, and PostgreSQL has room for 8 connections (the connection limit of role {role} is 8, and others use 0)"
            );
            all.exits(3).complains_of(&[&refusal, "use --workers 3"]);
            assert_eq!(target.count("consumers").await, 0);

            // Twice the cores are 4 at least.
            let some = kongferry(&[&load[..], &urls[..]].concat());
            some.exits(0).complains_of(&["note: 3 workers instead of ", "is 8, and others use 0"]);
            // Reading needs no connection per worker.
            kongferry(&[&["verify", "--counts", "--workers", "8"], &urls[..]].concat()).exits(0);

            target.execute(&format!("ALTER ROLE {role} CONNECTION LIMIT 5")).await;
            let none = kongferry(&[&["plan"], &urls[..]].concat());
            none.exits(3).complains_of(&["1 worker needs 6 connections", "raise the limit"]);
            target.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
            target.remove().await;
        }
    });
}
