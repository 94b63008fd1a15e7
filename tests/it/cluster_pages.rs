//! Every row of a table comes out of the source exactly once, however the table is cut, on real servers.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use kongferry::source::cluster::Cluster;
use kongferry::source::{
    ColumnKind, CqlType, PageSizing, Range, SelectItem, Selection, Source, Split, cells, kong,
};
use uuid::Uuid;

use super::cassandra::{Keyspace, Row, columns, on_each_cassandra, read, splits};

on_each_cassandra!(
    token_splits_return_every_row_once,
    slices_return_every_row_once_in_cassandras_order,
    several_partitions_are_sliced_each,
    a_row_on_a_bound_belongs_to_the_split_below,
    a_page_changes_its_size_between_two_requests,
    wide_rows_make_small_pages,
    counters_are_read_by_all_five_key_columns,
    an_empty_table_has_no_rows,
    remaining_lifetimes_count_from_the_servers_clock,
    the_catalog_names_every_column_in_key_order,
    kongs_own_rows_are_read_as_values,
);

/// All rows of a table, split after split.
async fn read_all(
    source: &Cluster,
    table: &str,
    cut: (usize, bool),
    items: &[SelectItem],
    page_bytes: usize,
) -> Vec<Row> {
    let sizing = Arc::new(PageSizing::new(page_bytes));
    let mut rows = Vec::new();
    for split in splits(source, table, cut.0, cut.1).await {
        rows.extend(read(source, &split, items, &sizing).await.into_iter().flatten());
    }
    rows
}

fn int(value: i32) -> Bytes {
    Bytes::copy_from_slice(&value.to_be_bytes())
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort();
    rows
}

async fn token_splits_return_every_row_once(keyspace: &Keyspace) {
    keyspace
        .run("CREATE TABLE acls (id uuid PRIMARY KEY, \"group\" text, tags set<text>, \"Weight\" int)")
        .await;
    let rows: Vec<_> = (0..9_000_i32)
        .map(|n| {
            let group = (n % 3 != 0).then(|| format!("group-{n}"));
            let tags = (n % 4 == 0).then(|| vec![format!("a{n}"), "b".to_owned()]);
            (Uuid::new_v4(), group, tags, (n % 5 != 0).then_some(n))
        })
        .collect();
    keyspace
        .insert("INSERT INTO acls (id, \"group\", tags, \"Weight\") VALUES (?, ?, ?, ?)", rows.clone())
        .await;
    let tags = |tags: Vec<String>| {
        let mut cell = 2_i32.to_be_bytes().to_vec();
        for tag in tags {
            cell.extend(i32::try_from(tag.len()).unwrap().to_be_bytes());
            cell.extend(tag.bytes());
        }
        cell.into()
    };
    let expected = sorted(
        rows.into_iter()
            .map(|(id, group, set, weight)| {
                vec![
                    Some(Bytes::copy_from_slice(id.as_bytes())),
                    group.map(Bytes::from),
                    set.map(tags),
                    weight.map(int),
                ]
            })
            .collect(),
    );
    let source = keyspace.source().await;
    let items = columns(&["id", "group", "tags", "Weight"]);
    for (parts, shifted) in [(1, false), (4, false), (4, true), (3, true)] {
        let cut = splits(&source, "acls", parts, shifted).await;
        assert_eq!(cut.len(), parts);
        let read = sorted(read_all(&source, "acls", (parts, shifted), &items, 20_000).await);
        assert!(
            read == expected,
            "{parts} parts, shifted {shifted}: {} rows of {}",
            read.len(),
            expected.len()
        );
    }
    let estimate = source.estimate(&source.catalog().tables["acls"]).await.unwrap();
    assert!((6_000..13_000).contains(&estimate), "{estimate}");
}

/// Ids of all versions, among them version 1 with times whose low and high bits disagree, and both extremes.
fn mixed_ids(count: u64) -> Vec<Uuid> {
    let mut ids = vec![Uuid::nil(), Uuid::max()];
    for n in 0..count {
        let scattered = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let place = [scattered.to_be_bytes(), n.to_be_bytes()].concat();
        ids.push(Uuid::new_v4());
        if n % 4 == 0 {
            ids.push(Uuid::new_v5(&Uuid::NAMESPACE_DNS, &place));
            let time =
                uuid::Timestamp::from_gregorian_time(scattered >> 4, u16::try_from(n % 16_000).unwrap());
            ids.push(Uuid::new_v1(time, &[1, 2, 3, 4, 5, u8::try_from(n % 256).unwrap()]));
            let second = uuid::Timestamp::from_unix_time(1_700_000_000 + n, 0, 0, 0);
            ids.push(Uuid::new_v7(second));
        }
        if n % 16 == 0 {
            for version in [0_u8, 2, 3, 6, 8, 9, 14, 15] {
                let mut id = *Uuid::new_v4().as_bytes();
                id[6] = (version << 4) | (id[6] & 0x0f);
                ids.push(Uuid::from_bytes(id));
            }
        }
    }
    ids
}

/// Cassandra's order of uuids as its documentation and source state it, on bytes.
fn cassandra_order(a: Uuid, b: Uuid) -> Ordering {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let time = |id: &[u8; 16]| [id[6] & 0x0f, id[7], id[4], id[5], id[0], id[1], id[2], id[3]];
    let halves = if a[6] >> 4 == 1 && b[6] >> 4 == 1 { time(a).cmp(&time(b)) } else { a[..8].cmp(&b[..8]) };
    (a[6] >> 4).cmp(&(b[6] >> 4)).then(halves).then(a[8..].cmp(&b[8..]))
}

const ROUTES: &str = "CREATE TABLE routes (partition text, id uuid, name text, PRIMARY KEY (partition, id))";
const ROUTE: &str = "INSERT INTO routes (partition, id, name) VALUES (?, ?, 'a route')";

async fn slices_return_every_row_once_in_cassandras_order(keyspace: &Keyspace) {
    keyspace.run(ROUTES).await;
    let ids = mixed_ids(4_000);
    keyspace.insert(ROUTE, ids.iter().map(|id| ("routes", *id))).await;
    let source = keyspace.source().await;
    let mut expected = ids.clone();
    expected.sort_by(|a, b| cassandra_order(*a, *b));
    for shifted in [false, true] {
        let cut = splits(&source, "routes", 8, shifted).await;
        let sizing = Arc::new(PageSizing::new(5_000));
        let mut all = Vec::new();
        let mut slices = 0;
        for split in &cut {
            let rows = read(&source, split, &columns(&["id"]), &sizing).await.into_iter().flatten();
            let found: Vec<Uuid> =
                rows.map(|row| Uuid::from_slice(row[0].as_ref().unwrap()).unwrap()).collect();
            match &split.range {
                Range::Slice { after, upto, .. } => {
                    slices += 1;
                    for id in &found {
                        assert!(
                            after.is_none_or(|after| cassandra_order(after, *id).is_lt()),
                            "{id} in {split}"
                        );
                        assert!(
                            upto.is_none_or(|upto| cassandra_order(*id, upto).is_le()),
                            "{id} in {split}"
                        );
                    }
                    let share = found.len() * 1000 / ids.len();
                    assert!(share <= 400, "{split} has {share} of 1000 rows");
                }
                Range::Tokens { .. } => assert_eq!(found, Vec::<Uuid>::new(), "{split}"),
            }
            all.extend(found);
        }
        assert!(slices >= 4, "{slices} slices");
        assert!(all == expected, "{} of {} ids, or out of order", all.len(), expected.len());
    }
}

async fn several_partitions_are_sliced_each(keyspace: &Keyspace) {
    keyspace.run(ROUTES).await;
    let mut expected = BTreeSet::new();
    for (partition, count) in [("routes", 5_000_u32), ("röutes 'x'", 2_500), ("few", 3)] {
        let ids: Vec<_> = (0..count).map(|_| Uuid::new_v4()).collect();
        keyspace.insert(ROUTE, ids.iter().map(|id| (partition, *id))).await;
        expected.extend(ids.into_iter().map(|id| (partition.to_owned(), id)));
    }
    let source = keyspace.source().await;
    for shifted in [false, true] {
        let cut = splits(&source, "routes", 4, shifted).await;
        let sliced: BTreeSet<_> = cut
            .iter()
            .filter_map(|split| match &split.range {
                Range::Slice { partition, .. } => Some(partition.as_str()),
                Range::Tokens { .. } => None,
            })
            .collect();
        assert!(sliced.is_superset(&BTreeSet::from(["few", "routes", "röutes 'x'"])), "{sliced:?}");
        // A partition that appears after the plan was made belongs to a gap.
        let late = (format!("late {shifted}"), Uuid::new_v4());
        keyspace.insert(ROUTE, [(late.0.as_str(), late.1)]).await;
        expected.insert(late);
        let sizing = Arc::new(PageSizing::new(50_000));
        let mut rows = Vec::new();
        for split in &cut {
            rows.extend(
                read(&source, split, &columns(&["partition", "id"]), &sizing).await.into_iter().flatten(),
            );
        }
        let found: Vec<_> = rows
            .into_iter()
            .map(|row| {
                let partition = String::from_utf8(row[0].as_ref().unwrap().to_vec()).unwrap();
                (partition, Uuid::from_slice(row[1].as_ref().unwrap()).unwrap())
            })
            .collect();
        assert_eq!(found.len(), expected.len());
        assert!(found.into_iter().collect::<BTreeSet<_>>() == expected);
    }
}

async fn a_row_on_a_bound_belongs_to_the_split_below(keyspace: &Keyspace) {
    keyspace.run(ROUTES).await;
    keyspace.run("CREATE TABLE t (id uuid PRIMARY KEY)").await;
    let mut ids = mixed_ids(60);
    ids.sort_by(|a, b| cassandra_order(*a, *b));
    keyspace.insert(ROUTE, ids.iter().map(|id| ("routes", *id))).await;
    keyspace.insert("INSERT INTO t (id) VALUES (?)", ids.iter().map(|id| (*id,))).await;
    let source = keyspace.source().await;
    let tokens: Vec<i64> = keyspace.column("SELECT token(id) FROM t").await;
    assert!(tokens.is_sorted() && tokens.len() == ids.len());
    let sizing = Arc::new(PageSizing::new(1_000));
    for at in 1..ids.len() {
        let slice =
            Range::Slice { partition: "routes".to_owned(), after: Some(ids[at - 1]), upto: Some(ids[at]) };
        let range = Range::Tokens { after: Some(tokens[at - 1]), upto: Some(tokens[at]) };
        for (table, range) in [("routes", slice), ("t", range)] {
            let split = Split { table: table.to_owned(), index: at, range, replicas: Vec::new(), share: 0.0 };
            let rows = read(&source, &split, &columns(&["id"]), &sizing).await.concat();
            assert_eq!(rows.len(), 1, "{split}");
            if table == "routes" {
                assert_eq!(rows[0][0].as_deref(), Some(&ids[at].as_bytes()[..]), "{split}");
            }
        }
    }
}

async fn a_page_changes_its_size_between_two_requests(keyspace: &Keyspace) {
    keyspace.run("CREATE TABLE t (id int PRIMARY KEY, v text)").await;
    keyspace.insert("INSERT INTO t (id, v) VALUES (?, 'x')", (0..3_000_i32).map(|n| (n,))).await;
    let source = keyspace.source().await;
    let split = &splits(&source, "t", 1, false).await[0];
    let sizing = Arc::new(PageSizing::new(4_000));
    let selection = Arc::new(Selection { table: "t".to_owned(), items: columns(&["id"]) });
    let mut pages = source.open(selection, split, Arc::clone(&sizing)).await.unwrap();
    let (mut sizes, mut ids) = (BTreeSet::new(), Vec::new());
    while let Some(page) = pages.next().await.unwrap() {
        sizes.insert(page.rows);
        ids.extend(cells::rows_of(&page, 1).unwrap().into_iter().flatten());
        if ids.len() % 3 == 0 {
            sizing.halve();
        }
    }
    assert!(sizes.len() > 4, "page sizes {sizes:?}");
    assert_eq!(ids.len(), 3_000);
    assert_eq!(ids.into_iter().collect::<BTreeSet<_>>().len(), 3_000);
}

async fn wide_rows_make_small_pages(keyspace: &Keyspace) {
    keyspace.run("CREATE TABLE files (id int PRIMARY KEY, contents text)").await;
    let contents = |n: i32| format!("{n:07}").repeat(usize::try_from(n % 5 + 1).unwrap() * 150_000);
    keyspace
        .insert("INSERT INTO files (id, contents) VALUES (?, ?)", (0..32).map(|n| (n, contents(n))))
        .await;
    let source = keyspace.source().await;
    let split = &splits(&source, "files", 1, false).await[0];
    let sizing = Arc::new(PageSizing::new(8 << 20));
    let pages = read(&source, split, &columns(&["id", "contents"]), &sizing).await;
    assert!(
        pages.iter().skip(2).all(|page| page.len() <= 8),
        "{:?}",
        pages.iter().map(Vec::len).collect::<Vec<_>>()
    );
    let found: BTreeMap<i32, Bytes> = pages
        .into_iter()
        .flatten()
        .map(|row| {
            let id = i32::from_be_bytes(row[0].as_ref().unwrap().as_ref().try_into().unwrap());
            (id, row[1].clone().unwrap())
        })
        .collect();
    assert_eq!(found.len(), 32);
    assert!(found.iter().all(|(id, found)| *found == contents(*id)));
}

async fn counters_are_read_by_all_five_key_columns(keyspace: &Keyspace) {
    keyspace
        .run(
            "CREATE TABLE ratelimiting_metrics (route_id uuid, service_id uuid, period_date timestamp, period text, \
             identifier text, value counter, \
             PRIMARY KEY ((route_id, service_id, identifier, period_date, period)))",
        )
        .await;
    let keys: Vec<(Uuid, Uuid, String)> =
        (0..5_000).map(|n| (Uuid::new_v4(), Uuid::nil(), format!("who {n}"))).collect();
    let update = "UPDATE ratelimiting_metrics SET value = value + 7 \
                  WHERE route_id = ? AND service_id = ? AND identifier = ? AND period_date = 1000 AND period = 'day'";
    keyspace.insert(update, keys.clone()).await;
    let source = keyspace.source().await;
    let table = &source.catalog().tables["ratelimiting_metrics"];
    let key: Vec<_> = table.partition_key().map(|column| column.name.as_str()).collect();
    assert_eq!(key, ["route_id", "service_id", "identifier", "period_date", "period"]);
    assert!(!table.column("value").unwrap().has_ttl());
    assert_eq!(splits(&source, &table.name, 3, true).await.len(), 3);
    let rows = read_all(&source, &table.name, (3, true), &columns(&["route_id", "value"]), 10_000).await;
    assert!(rows.iter().all(|row| row[1].as_deref() == Some(&7_i64.to_be_bytes()[..])));
    let found: BTreeSet<_> = rows.iter().map(|row| row[0].clone().unwrap()).collect();
    assert_eq!((rows.len(), found.len()), (5_000, 5_000));
}

async fn an_empty_table_has_no_rows(keyspace: &Keyspace) {
    keyspace.run(ROUTES).await;
    keyspace.run("CREATE TABLE t (id uuid PRIMARY KEY)").await;
    let source = keyspace.source().await;
    for table in ["routes", "t"] {
        for shifted in [false, true] {
            let cut = splits(&source, table, 32, shifted).await;
            assert_eq!(cut.len(), 1, "{table}");
            assert_eq!(cut[0].range, Range::Tokens { after: None, upto: None });
            assert_eq!(
                read_all(&source, table, (32, shifted), &columns(&["id"]), 1000).await,
                Vec::<Row>::new()
            );
        }
        assert_eq!(source.estimate(&source.catalog().tables[table]).await, Some(0));
    }
}

async fn remaining_lifetimes_count_from_the_servers_clock(keyspace: &Keyspace) {
    keyspace
        .run("CREATE TABLE keyauth_credentials (id int PRIMARY KEY, key text, created_at timestamp)")
        .await;
    let now = || i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()).unwrap();
    let before = now();
    keyspace
        .insert(
            "INSERT INTO keyauth_credentials (id, key, created_at) VALUES (?, 'k', 0) USING TTL ?",
            [(1, 86_400)],
        )
        .await;
    keyspace.run("INSERT INTO keyauth_credentials (id, key) VALUES (2, 'k')").await;
    let after = now();
    let source = keyspace.source().await;
    let split = &splits(&source, "keyauth_credentials", 1, false).await[0];
    let items = vec![
        SelectItem::Column("id".to_owned()),
        SelectItem::Ttl("key".to_owned()),
        SelectItem::Ttl("created_at".to_owned()),
    ];
    let selection = Arc::new(Selection { table: split.table.clone(), items });
    let mut pages = source.open(selection, split, Arc::new(PageSizing::new(1000))).await.unwrap();
    let page = pages.next().await.unwrap().unwrap();
    for row in cells::rows_of(&page, 3).unwrap() {
        if row[0] == Some(int(1)) {
            let ttl = i32::from_be_bytes(row[1].as_ref().unwrap().as_ref().try_into().unwrap());
            let expires = page.read_at + i64::from(ttl);
            assert!((before + 86_399..=after + 86_401).contains(&expires), "{before} {after} {expires}");
            assert_eq!(row[1], row[2]);
        } else {
            assert_eq!((&row[1], &row[2]), (&None, &None));
        }
    }
    assert_eq!(page.rows, 2);
}

async fn the_catalog_names_every_column_in_key_order(keyspace: &Keyspace) {
    keyspace.run("CREATE TYPE address (street text, \"Zip\" int)").await;
    keyspace.run("CREATE TYPE \"Person\" (home frozen<address>, names set<text>)").await;
    keyspace
        .run(
            "CREATE TABLE odd (z int, b text, a text, s text static, who frozen<\"Person\">, \
             headers map<text, frozen<set<text>>>, pair frozen<tuple<int, inet>>, at timeuuid, \
             PRIMARY KEY ((z, b), at, a)) WITH CLUSTERING ORDER BY (at DESC, a ASC) AND default_time_to_live = 300",
        )
        .await;
    keyspace.run("CREATE INDEX ON odd (s)").await;
    let source = keyspace.source().await;
    let catalog = source.catalog();
    assert_eq!(catalog.tables.keys().collect::<Vec<_>>(), ["odd"]);
    assert!(catalog.release_version.starts_with(['3', '4', '5']), "{}", catalog.release_version);
    assert!(!catalog.cluster_name.is_empty());
    let table = &catalog.tables["odd"];
    assert_eq!(table.default_time_to_live, 300);
    let names: Vec<_> = table.columns.iter().map(|column| (column.name.as_str(), column.kind)).collect();
    assert_eq!(
        names,
        [
            ("z", ColumnKind::PartitionKey),
            ("b", ColumnKind::PartitionKey),
            ("at", ColumnKind::Clustering),
            ("a", ColumnKind::Clustering),
            ("headers", ColumnKind::Regular),
            ("pair", ColumnKind::Regular),
            ("s", ColumnKind::Static),
            ("who", ColumnKind::Regular),
        ]
    );
    let CqlType::Udt { name, fields } = &table.column("who").unwrap().ty else {
        panic!("who is no user type")
    };
    assert_eq!(
        (name.as_str(), fields[0].0.as_str(), &fields[1].1),
        ("Person", "home", &CqlType::parse("set<text>"))
    );
    assert!(
        matches!(&fields[0].1, CqlType::Udt { fields, .. } if fields[1] == ("Zip".to_owned(), CqlType::Int))
    );
    assert_eq!(table.column("pair").unwrap().ty, CqlType::Tuple(vec![CqlType::Int, CqlType::Inet]));
    assert_eq!(table.column("headers").unwrap().ty.to_string(), "map<text, set<text>>");
}

async fn kongs_own_rows_are_read_as_values(keyspace: &Keyspace) {
    let source = keyspace.source().await;
    assert!(kong::schema_meta(&source).await.unwrap().is_empty());
    assert_eq!(kong::default_workspace(&source).await.unwrap(), None);
    keyspace
        .run(
            "CREATE TABLE schema_meta (key text, subsystem text, last_executed text, executed set<text>, \
             pending set<text>, PRIMARY KEY (key, subsystem))",
        )
        .await;
    keyspace.run("CREATE TABLE workspaces (id uuid PRIMARY KEY, name text)").await;
    keyspace.run("CREATE TABLE locks (key text PRIMARY KEY, owner text)").await;
    keyspace
        .run(
            "INSERT INTO schema_meta (key, subsystem, last_executed, executed, pending) \
             VALUES ('schema_meta', 'core', '015', {'000_base', '015'}, {'016'})",
        )
        .await;
    keyspace.run("INSERT INTO schema_meta (key, subsystem) VALUES ('schema_meta', 'acl')").await;
    keyspace.run("INSERT INTO schema_meta (key, subsystem) VALUES ('other', 'core')").await;
    let id = Uuid::new_v4();
    keyspace
        .insert(
            "INSERT INTO workspaces (id, name) VALUES (?, ?)",
            [(Uuid::new_v4(), "team"), (id, "default")],
        )
        .await;
    let source = keyspace.source().await;
    let states = kong::schema_meta(&source).await.unwrap();
    assert_eq!(states.len(), 2);
    assert_eq!((states[0].subsystem.as_str(), states[0].executed.len()), ("acl", 0));
    assert_eq!(states[1].last_executed.as_deref(), Some("015"));
    assert_eq!(states[1].executed, BTreeSet::from(["000_base".to_owned(), "015".to_owned()]));
    assert_eq!(states[1].pending, BTreeSet::from(["016".to_owned()]));
    assert_eq!(kong::default_workspace(&source).await.unwrap(), Some(id));
    assert!(!kong::migrations_running(&source).await.unwrap());
    keyspace.run("INSERT INTO locks (key, owner) VALUES ('migrations', 'me')").await;
    assert!(kong::migrations_running(&source).await.unwrap());
}
