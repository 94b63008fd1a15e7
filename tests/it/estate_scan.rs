//! `kong-estate scan`, which a migration is measured against, reads every row once however it is cut.

use std::process::Command;

use futures::StreamExt as _;
use kongferry::estate::KongVersion;
use serde_json::Value;
use uuid::Uuid;

use crate::support::{keyspace, run};

/// More than a page.
const ROWS: u64 = 6_000;

fn scan(keyspace: &keyspace::Keyspace, arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_kong-estate"))
        .args(["scan", "--cassandra", &keyspace.server.address(), "--keyspace", &keyspace.name])
        .args(arguments)
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn every_row_is_read_once() {
    run(async {
        let keyspace = keyspace::filled("3.11", KongVersion::V3_3).await;
        let mut expected = Vec::new();
        for table in ["keyauth_credentials", "routes", "ratelimiting_metrics", "tags"] {
            let rows = keyspace.execute(&format!("SELECT count(*) FROM {{ks}}.{table}"), ()).await.unwrap();
            expected.push((table, rows.single_row::<(i64,)>().unwrap().0));
        }
        assert!(expected.iter().all(|(_, rows)| *rows > 0), "{expected:?}");
        let tables: Vec<&str> = expected.iter().map(|(table, _)| *table).collect();
        let tables = tables.join(",");
        for cut in [&["--ranges", "1", "--in-flight", "1"][..], &["--ranges", "7"], &[]] {
            let arguments = [&["--json", "--tables", &tables], cut].concat();
            let (code, stdout, stderr) = scan(keyspace, &arguments);
            assert_eq!(code, 0, "{stderr}");
            let said: Value = serde_json::from_str(&stdout).unwrap();
            for (table, rows) in &expected {
                assert_eq!(said["tables"][table], *rows, "{table} {cut:?}");
            }
            assert_eq!(said["rows"], expected.iter().map(|(_, rows)| rows).sum::<i64>());
        }
    });
}

#[test]
fn pages_follow_one_another_to_the_end() {
    run(async {
        let keyspace = keyspace::empty("5.0", KongVersion::V2_8, "scan", None).await;
        let insert = format!("INSERT INTO {}.consumers (id, username) VALUES (?, 'x')", keyspace.name);
        let insert = &keyspace.session.prepare(insert).await.unwrap();
        futures::stream::iter(0..ROWS)
            .for_each_concurrent(64, |_| async {
                keyspace.session.execute_unpaged(insert, (Uuid::new_v4(),)).await.unwrap();
            })
            .await;
        for ranges in ["1", "3"] {
            let (code, stdout, stderr) = scan(&keyspace, &["--tables", "consumers", "--ranges", ranges]);
            assert_eq!(code, 0, "{stderr}");
            assert!(stdout.starts_with("consumers: 6,000 rows\n"), "{stdout}");
        }
        let (code, _, stderr) = scan(&keyspace, &["--tables", "consumers,nonesuch"]);
        assert_eq!(code, 2, "{stderr}");
        assert!(stderr.contains("no table nonesuch"), "{stderr}");
    });
}
