//! SSTables that real servers wrote, read without them: each row and cell as in the server's own answer.

mod compare;
mod damage;
mod fuzz;
pub mod node;
mod shapes;
mod speed;

use std::panic::AssertUnwindSafe;

pub use compare::now;
use compare::{
    assert_expires, assert_same, assert_same_in_ranges, assert_same_in_slices, assert_ties_matter, describe,
    open, rows, selected,
};
use damage::{assert_endured, assert_noticed};
use futures::FutureExt as _;
use kongferry::sstable::Tokens;
use node::{Node, WRITERS, Writer};
use shapes::{GENERATIONS, shapes};

const KEYSPACE: &str = "shapes";

/// Tables with rows and cells that expire within a day or so.
const EXPIRING: [&str; 2] = ["expiring", "default_ttl"];

/// Tables whose files are damaged on purpose.
const DAMAGED: [&str; 8] =
    ["consumers", "routes", "composite", "counters", "plain", "snappy", "deflate", "zstd"];

/// Writes all shapes, one file per generation.
async fn write(node: &Node) -> Vec<&'static str> {
    node.cql(&format!(
        "CREATE KEYSPACE {KEYSPACE} WITH replication = {{'class': 'SimpleStrategy', 'replication_factor': 1}}"
    ))
    .await;
    node.session.use_keyspace(KEYSPACE, false).await.unwrap();
    let shapes = shapes(node.writer.line);
    for shape in &shapes {
        for statement in &shape.create {
            node.cql(&statement.replace('@', shape.name)).await;
        }
    }
    for generation in 0..GENERATIONS {
        for shape in &shapes {
            for statement in shape.generations.get(generation).into_iter().flatten() {
                node.cql(&statement.replace('@', shape.name)).await;
            }
        }
        node.tool(&["flush", KEYSPACE]);
    }
    shapes.iter().map(|shape| shape.name).collect()
}

/// Compares every table with a snapshot of it.
async fn compare(node: &Node, tables: &[&str], tag: &str) {
    node.tool(&["snapshot", "-t", tag, KEYSPACE]);
    let mut failures = Vec::new();
    for table_name in tables {
        let what = format!("{} {tag} {table_name}", node.writer.name);
        let outcome = AssertUnwindSafe(compare_one(node, table_name, tag, &what)).catch_unwind().await;
        if outcome.is_err() {
            failures.push(what);
        }
    }
    assert!(failures.is_empty(), "{failures:?}");
}

/// Compares one table: at once, in ranges and in slices; later; and damaged.
async fn compare_one(node: &Node, table_name: &str, tag: &str, what: &str) {
    let described = describe(node, KEYSPACE, table_name).await;
    let (instant, expected) = selected(node, KEYSPACE, &described).await;
    let dir = node.snapshot(KEYSPACE, table_name, tag);
    let table = open(&dir, &described);
    let versions = table.sstables().map(|sstable| sstable.descriptor.version.tag());
    assert!(versions.into_iter().all(|version| version == node.writer.version), "{what}: of another version");
    let whole = rows(table.scan(Tokens::default(), instant).unwrap(), &described);
    assert_same(what, &described, &expected, &whole);
    assert_same_in_ranges(&table, &described, instant, &whole);
    if whole.iter().any(|row| row.clustering.as_ref().is_some_and(|values| !values.is_empty())) {
        assert_same_in_slices(&table, &described, instant, &whole);
    }
    if EXPIRING.contains(&table_name) {
        assert_expires(&table, &described, instant, &whole);
    }
    if table_name == "ties" {
        assert_ties_matter(&dir, &described, instant, &whole, tag == "flushed");
    }
    if DAMAGED.contains(&table_name) {
        let tally = assert_noticed(what, &dir, &described, instant, &whole);
        println!("{what}: {tally:?}");
        assert!(tally.refused > tally.as_before, "{what}: {tally:?}");
        println!(
            "{what}, with right checksums: {:?}",
            assert_endured(what, &dir, &described, instant, &whole)
        );
    }
}

/// Writers that always take part; the others with `./test --long`.
const ALWAYS: [&str; 2] = ["3.11", "5.0-da"];

async fn every_row_and_cell_is_as_in_the_servers_answer(writer: Writer) {
    let whole_matrix = std::env::var_os("KONGFERRY_TEST_MATRIX").is_some_and(|value| value == "1");
    if !whole_matrix && !ALWAYS.contains(&writer.name) {
        return;
    }
    let node = Node::start(writer).await;
    let tables = write(&node).await;
    // What was written to live for a second is dead in the answers: a matter of the clock, not of the server.
    let written = now();
    while now() < written + 2 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    compare(&node, &tables, "flushed").await;
    node.tool(&["compact", KEYSPACE]);
    compare(&node, &tables, "compacted").await;
}

macro_rules! each_writer {
    ($($name:ident: $number:literal),+) => {
        $(mod $name {
            #[tokio::test(flavor = "multi_thread")]
            async fn every_row_and_cell_is_as_in_the_servers_answer() {
                super::every_row_and_cell_is_as_in_the_servers_answer(super::WRITERS[$number]).await;
            }
        })+
    };
}
each_writer!(cassandra_3_11: 0, cassandra_4_1: 1, cassandra_5_0: 2, cassandra_5_0_oa: 3, cassandra_5_0_da: 4);
