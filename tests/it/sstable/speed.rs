//! How fast a table of Kong is read: a figure for people, asked for with `--ignored --nocapture`, from an optimised build.

use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt as _;
use kongferry::sstable::{Table, Tokens};
use uuid::Uuid;

use super::compare::{describe, now, open};
use super::node::{Node, WRITERS};

const ROWS: u32 = 300_000;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn consumers() {
    for writer in WRITERS.into_iter().filter(|writer| ["3.11", "5.0-da"].contains(&writer.name)) {
        let node = Node::start(writer).await;
        let replication = "{'class': 'SimpleStrategy', 'replication_factor': 1}";
        node.cql(&format!("CREATE KEYSPACE speed WITH replication = {replication}")).await;
        node.cql(
            "CREATE TABLE speed.consumers (id uuid PRIMARY KEY, created_at timestamp, custom_id text, tags set<text>, \
             username text, username_lower text, ws_id uuid) \
             WITH compaction = {'class': 'SizeTieredCompactionStrategy', 'enabled': 'false'}",
        )
        .await;
        let insert = "INSERT INTO speed.consumers (id, created_at, custom_id, tags, username, username_lower, ws_id) \
                      VALUES (?, toTimestamp(now()), ?, ?, ?, ?, ?)";
        let insert = node.session.prepare(insert).await.unwrap();
        let workspace = Uuid::new_v4();
        for part in 0..6 {
            futures::stream::iter(part * ROWS / 6..(part + 1) * ROWS / 6)
                .for_each_concurrent(128, |n| {
                    let (session, insert) = (&node.session, &insert);
                    async move {
                        let name = format!("ws:consumer-{n:07}");
                        let row = (
                            Uuid::new_v4(),
                            format!("custom-{n}"),
                            vec!["a", "tag"],
                            &name,
                            &name,
                            workspace,
                        );
                        session.execute_unpaged(insert, row).await.unwrap();
                    }
                })
                .await;
            node.tool(&["flush", "speed"]);
        }
        node.tool(&["snapshot", "-t", "now", "speed"]);
        let described = describe(&node, "speed", "consumers").await;
        let table = open(&node.snapshot("speed", "consumers", "now"), &described);
        drop(node);
        for _ in 0..4 {
            let begin = Instant::now();
            let alone = count(&table, Tokens::default());
            let one = begin.elapsed();
            let begin = Instant::now();
            let halves = [Tokens { after: None, upto: Some(0) }, Tokens { after: Some(0), upto: None }];
            let table = &table;
            let both: u64 = std::thread::scope(|scope| {
                let threads = halves.map(|half| scope.spawn(move || count(table, half)));
                threads.into_iter().map(|thread| thread.join().unwrap()).sum()
            });
            let two = begin.elapsed();
            assert_eq!([alone, both], [u64::from(ROWS); 2]);
            let rate = |time: std::time::Duration| f64::from(ROWS) / time.as_secs_f64() / 1e6;
            println!("{}: {:.2} M rows/s alone, {:.2} M with two threads", writer.name, rate(one), rate(two));
        }
    }
}

/// Reads all columns of a range as a source would.
fn count(table: &Arc<Table>, tokens: Tokens) -> u64 {
    let mut rows = table.scan(tokens, now()).unwrap();
    let mut page = Vec::new();
    while let Some(row) = rows.next_row().unwrap() {
        if page.len() > 1 << 18 {
            page.clear();
        }
        for column in 0..7 {
            row.write(column, &mut page).unwrap();
        }
    }
    rows.count()
}
