//! Tables of custom plugins, which no map describes: worked out, shown, written to a file, edited, copied, counted; or refused
//! by name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;

use kongferry::estate::KongVersion;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::database::{self, Database};
use crate::support::expected::{compare, micros, seconds_now};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Run, kongferry};
use crate::support::{Pair, pairs, run};

use type_pairs::{COLUMNS, Column, USER_TYPE};

mod type_pairs;

const VERSION: KongVersion = KongVersion::V2_8;
const DAY: i64 = 86_400;

/// Both sides, with the least that Kong has on the source.
async fn estate(cassandra: &str, postgres: &str) -> (Keyspace, Database) {
    let target = database::fresh(postgres, VERSION).await;
    (keyspace::bare(cassandra, "custom", &target).await, target)
}

fn on(source: &Keyspace, target: &Database, arguments: &[&str]) -> Run {
    kongferry(&[arguments, &["--source", &source.url(), "--target", &target.url()]].concat())
}

/// The line that the plan has for `table`.
#[track_caller]
fn planned<'a>(plan: &'a Run, table: &str) -> &'a str {
    let line = plan.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(table));
    line.unwrap_or_else(|| panic!("{table} is not in the plan:\n{}", plan.transcript()))
}

#[test]
fn a_table_of_every_type_pair_arrives_through_a_derived_map() {
    run(async {
        for pair in pairs(VERSION) {
            let source = keyspace::empty(pair.cassandra, VERSION, "custom", None).await;
            let target = database::fresh(pair.postgres, VERSION).await;
            create(&source, &target).await;
            let begun = seconds_now();
            let rows = fill(&source).await;
            let written = begun..=seconds_now();
            let count = rows.len() as u64;

            let plan = on(&source, &target, &["plan"]);
            plan.exits(0);
            assert!(planned(&plan, "acme_values").ends_with("derived"), "{}", plan.transcript());
            assert!(planned(&plan, "acme_hits").ends_with("derived"), "{}", plan.transcript());
            let migrated = on(&source, &target, &["migrate"]);
            migrated.exits(0).prints(&["the counts of both sides agree"]);
            // The remnant of a row is read and left behind.
            assert_eq!(migrated.counts("acme_values"), [count + 1, 1, count, count]);
            assert_eq!(migrated.counts("acme_hits"), [2, 0, 2, 2]);
            let verified = on(&source, &target, &["verify", "--counts"]);
            verified.exits(0).prints(&["The counts of both sides agree."]);
            assert_eq!(verified.counts("acme_values"), migrated.counts("acme_values"));

            let mut differences = Vec::new();
            for column in COLUMNS {
                differences.extend(wrong_values(&target, column, &rows).await);
            }
            compare::assert_none(&differences, &format!("{pair:?}"));
            compare_kongs_columns(&source, &target, &rows, &written, pair).await;
            assert_eq!(
                target.texts("SELECT hits || ' ' || misses FROM acme_hits ORDER BY hits").await,
                ["-3 0", "9223372036854775807 7"]
            );
            target.remove().await;
        }
    });
}

/// `acme_values` with the columns that Kong gives its entities and one for each pair of types, and a table of counters.
async fn create(source: &Keyspace, target: &Database) {
    source.execute(USER_TYPE, ()).await;
    let (mut cql, mut sql) = (String::new(), String::new());
    for column in COLUMNS {
        write!(cql, ", \"{}\" {}", column.name, column.cql).unwrap();
        write!(sql, ", \"{}\" {}", column.name, column.pg).unwrap();
    }
    source
        .execute(
            &format!(
                "CREATE TABLE {{ks}}.acme_values (id uuid PRIMARY KEY, created_at timestamp, kind text, name text, \
                 tags set<text>, ws_id uuid{cql})"
            ),
            (),
        )
        .await;
    source
        .execute("CREATE TABLE {ks}.acme_hits (id uuid PRIMARY KEY, hits counter, misses counter)", ())
        .await;
    target
        .execute(&format!(
            "CREATE TABLE acme_values (id uuid PRIMARY KEY, created_at timestamptz, kind text NOT NULL, name text,
                                       tags text[], ws_id uuid REFERENCES workspaces, ttl timestamptz{sql},
                                       UNIQUE (ws_id, name));
             CREATE TABLE acme_hits (id uuid PRIMARY KEY, hits bigint, misses numeric)"
        ))
        .await;
}

/// A row of `acme_values`: of each column the value at its place, if the column has so many.
struct Row {
    id: Uuid,
    place: usize,
    ttl: Option<i64>,
}

impl Row {
    fn value<'a>(&self, column: &'a Column) -> (&'a str, Option<&'a str>) {
        column.values.get(self.place).copied().unwrap_or(("null", None))
    }
}

async fn fill(source: &Keyspace) -> Vec<Row> {
    let places = COLUMNS.iter().map(|column| column.values.len()).max().unwrap();
    let workspace = source.default_workspace;
    let mut rows = Vec::new();
    // In the last row every column is NULL.
    for place in 0..=places {
        let ttl = (place % 2 == 1).then(|| 30 * DAY + i64::try_from(place).unwrap());
        let row = Row { id: Uuid::new_v4(), place, ttl };
        let mut names = String::from("id, created_at, kind, name, tags, ws_id");
        let mut values = if place < places {
            format!("{}, 1700000000, 'k', '{workspace}:name {place}', {{'t', 's'}}, {workspace}", row.id)
        } else {
            format!("{}, null, 'k', null, null, null", row.id)
        };
        for column in COLUMNS {
            write!(names, ", \"{}\"", column.name).unwrap();
            write!(values, ", {}", row.value(column).0).unwrap();
        }
        let using = ttl.map_or_else(String::new, |ttl| format!(" USING TTL {ttl}"));
        let insert = format!("INSERT INTO {{ks}}.acme_values ({names}) VALUES ({values}){using}");
        source.execute(&insert, ()).await;
        rows.push(row);
    }
    source.execute("UPDATE {ks}.acme_values SET an_int = 1 WHERE id = ?", (Uuid::new_v4(),)).await;
    for changes in
        ["hits = hits + 9223372036854775807, misses = misses + 7", "hits = hits - 3, misses = misses + 0"]
    {
        let update = format!("UPDATE {{ks}}.acme_hits SET {changes} WHERE id = ?");
        source.execute(&update, (Uuid::new_v4(),)).await;
    }
    rows
}

/// Where `column` does not hold what the server makes of the expected texts.
async fn wrong_values(target: &Database, column: &Column, rows: &[Row]) -> Vec<String> {
    let Column { name, pg, .. } = column;
    let query =
        format!("SELECT \"{name}\"::text, ($2::text)::{pg}::text FROM acme_values WHERE id = $1::text::uuid");
    let mut wrong = Vec::new();
    for row in rows {
        let (literal, expected) = row.value(column);
        let found = target.client.query_opt(&query, &[&row.id.to_string(), &expected]).await;
        match found.unwrap_or_else(|error| panic!("{name} {literal}: {error:?}")) {
            None => wrong.push(format!("row {} is missing", row.place)),
            Some(found) => {
                let (found, expected): (Option<String>, Option<String>) = (found.get(0), found.get(1));
                if found != expected {
                    wrong.push(format!("{name}: {literal} became {found:?} instead of {expected:?}"));
                }
            }
        }
    }
    wrong
}

/// Names without the prefix, seconds that were stored as milliseconds, tags, workspaces, and instants of expiry.
async fn compare_kongs_columns(
    source: &Keyspace,
    target: &Database,
    rows: &[Row],
    written: &std::ops::RangeInclusive<i64>,
    pair: Pair,
) {
    let query = "SELECT (SELECT to_jsonb(r) FROM (SELECT id, name, tags, created_at, ws_id, ttl) r)::text FROM acme_values";
    let found: BTreeMap<String, Value> = target
        .texts(query)
        .await
        .iter()
        .map(|text| serde_json::from_str::<Value>(text).unwrap())
        .map(|row| (row["id"].as_str().unwrap().to_owned(), row))
        .collect();
    assert_eq!(found.len(), rows.len());
    for row in rows {
        let cells = &found[&row.id.to_string()];
        let is_null_row = row.place + 1 == rows.len();
        let or_null = |value: Value| if is_null_row { json!(null) } else { value };
        assert_eq!(cells["name"], or_null(json!(format!("name {}", row.place))), "{pair:?}");
        assert_eq!(cells["tags"], or_null(json!(["s", "t"])), "{pair:?}");
        assert_eq!(cells["created_at"].as_str().map(micros), (!is_null_row).then_some(1_700_000_000_000_000));
        assert_eq!(cells["ws_id"], json!(source.default_workspace.to_string()), "{pair:?}");
        let expires = cells["ttl"].as_str().map(|text| micros(text) / 1_000_000);
        // Where created_at is NULL, `kind`, which the target requires, still tells how long the row lives.
        assert_eq!(expires.is_some(), row.ttl.is_some(), "{pair:?}: row {}", row.place);
        if let (Some(expires), Some(ttl)) = (expires, row.ttl) {
            let due = written.start() + ttl - 2..=written.end() + ttl + 2;
            assert!(due.contains(&expires), "{pair:?}: expires at {expires} instead of {due:?}");
        }
    }
}

#[test]
fn rows_in_one_partition_need_no_column_for_it() {
    run(async {
        for pair in pairs(VERSION) {
            let (source, target) = estate(pair.cassandra, pair.postgres).await;
            // The custom is the table's name; any other constant does as well.
            for (table, partition) in [("acme_rules", "acme_rules"), ("acme_zones", "all zones")] {
                let create = format!(
                    "CREATE TABLE {{ks}}.{table} (partition text, id uuid, name text, PRIMARY KEY (partition, id))"
                );
                source.execute(&create, ()).await;
                target.execute(&format!("CREATE TABLE {table} (id uuid PRIMARY KEY, name text)")).await;
                let rows = (0..3_000).map(|index| (Uuid::new_v4(), format!("{table} {index}")));
                fill_partition(&source, table, partition, rows).await;
            }
            let plan = on(&source, &target, &["plan"]);
            plan.exits(0).complains_of(&["acme_zones: partition: not the table's name"]);
            for table in ["acme_rules", "acme_zones"] {
                let line = planned(&plan, table);
                assert!(line.ends_with("derived"), "{line}");
                let splits: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap();
                assert!(splits > 1, "one partition, one split: {line}");
            }
            let migrated = on(&source, &target, &["migrate"]);
            migrated.exits(0);
            for table in ["acme_rules", "acme_zones"] {
                assert_eq!(migrated.counts(table), [3_000, 0, 3_000, 3_000], "{}", migrated.transcript());
                let query =
                    format!("SELECT count(DISTINCT name)::text FROM {table} WHERE name LIKE '{table} %'");
                assert_eq!(target.texts(&query).await, ["3000"]);
            }
            target.remove().await;

            // One row of another partition beside thousands: no constant any more, and not for the sample to decide.
            let stray = "INSERT INTO {ks}.acme_rules (partition, id) VALUES ('stray-marker', uuid())";
            source.execute(stray, ()).await;
            let target = database::fresh(pair.postgres, VERSION).await;
            target.execute("CREATE TABLE acme_rules (id uuid PRIMARY KEY, name text)").await;
            let several = on(&source, &target, &["plan", "--skip-tables", "acme_zones"]);
            several.exits(3).complains_of(&["acme_rules.partition", "no constant"]);
            several.keeps_quiet_about(&["stray-marker"]);
            target.remove().await;
        }
    });
}

async fn fill_partition(
    source: &Keyspace,
    table: &str,
    partition: &str,
    rows: impl Iterator<Item = (Uuid, String)>,
) {
    let insert = format!("INSERT INTO {}.{table} (partition, id, name) VALUES (?, ?, ?)", source.name);
    let insert = source.session.prepare(insert).await.unwrap();
    let rows: Vec<_> = rows.collect();
    for chunk in rows.chunks(100) {
        let written = chunk
            .iter()
            .map(|(id, name)| source.session.execute_unpaged(&insert, (partition, id, name.as_str())));
        futures::future::try_join_all(written).await.unwrap();
    }
}

#[test]
fn a_map_is_written_to_a_file_edited_and_used() {
    run(async {
        for pair in pairs(VERSION) {
            let (source, target) = estate(pair.cassandra, pair.postgres).await;
            let workspace = source.default_workspace;
            source
                .execute(
                    "CREATE TABLE {ks}.acme_quotas (id uuid PRIMARY KEY, code text, name text, ws_id uuid)",
                    (),
                )
                .await;
            let create = "CREATE TABLE acme_quotas (id uuid PRIMARY KEY, code text, name text, ws_id uuid,
                                                    UNIQUE (ws_id, name))";
            target.execute(create).await;
            for index in 0..3 {
                let row = json!({ "id": Uuid::new_v4().to_string(), "ws_id": workspace.to_string(),
                                  "name": format!("{workspace}:name {index}"), "code": format!("code {index}") });
                source.insert("acme_quotas", &row, None).await;
            }
            let maps = tempfile::tempdir().unwrap();
            let (dir, file) = (maps.path().to_str().unwrap(), maps.path().join("acme_quotas.toml"));

            // As it was worked out, the file does what the program does without it.
            let derived = on(&source, &target, &["map", "derive", "acme_quotas"]);
            derived.exits(0).prints(&["table  = \"acme_quotas\"", "name  = \"strip_workspace\""]);
            assert_eq!(derived.stderr, "", "the map alone is said, and on stdout");
            fs::write(&file, &derived.stdout).unwrap();
            let plan = on(&source, &target, &["plan", "--map-dir", dir]);
            plan.exits(0);
            assert!(planned(&plan, "acme_quotas").ends_with("acme_quotas.toml"), "{}", plan.transcript());
            on(&source, &target, &["migrate"]).exits(0);
            let without = target.content().await["acme_quotas"].clone();
            assert_eq!(without.len(), 3);
            target.remove().await;
            let target = database::fresh(pair.postgres, VERSION).await;
            target.execute(create).await;
            on(&source, &target, &["migrate", "--map-dir", dir]).exits(0);
            assert_eq!(target.content().await["acme_quotas"], without);
            on(&source, &target, &["verify", "--counts", "--map-dir", dir]).exits(0);
            target.remove().await;

            // A prefix that no unique key explains: Kong's or the plugin's own?
            let row = json!({ "id": Uuid::new_v4().to_string(), "ws_id": workspace.to_string(),
                              "name": format!("{workspace}:last"), "code": format!("{workspace}:code-marker") });
            source.insert("acme_quotas", &row, None).await;
            let target = database::fresh(pair.postgres, VERSION).await;
            target.execute(create).await;
            let before = target.content().await;
            let refused = on(&source, &target, &["migrate"]);
            refused.exits(3).complains_of(&[
                "acme_quotas.code: 1 of 4 sampled values",
                "map derive acme_quotas",
                "--map-dir",
                "--skip-tables acme_quotas",
            ]);
            refused.keeps_quiet_about(&["code-marker"]);
            let derived = on(&source, &target, &["map", "derive", "acme_quotas"]);
            derived.exits(0).prints(&["# TO DECIDE: acme_quotas.code: 1 of 4 sampled values"]);
            derived.keeps_quiet_about(&["code-marker"]);
            // Unread, it is no answer.
            fs::write(&file, &derived.stdout).unwrap();
            let unread = on(&source, &target, &["migrate", "--map-dir", dir]);
            unread.exits(2).complains_of(&["acme_quotas.toml:2", "still asks"]);
            assert_eq!(before, target.content().await);
            let edited: String = derived
                .stdout
                .lines()
                .filter(|line| !line.starts_with("# TO DECIDE"))
                .map(|line| line.replace("code  = \"copy\"", "code  = \"strip_workspace\"") + "\n")
                .collect();
            assert!(edited.contains("code  = \"strip_workspace\""), "{edited}");
            fs::write(&file, edited).unwrap();
            on(&source, &target, &["migrate", "--map-dir", dir]).exits(0);
            assert_eq!(
                target.texts("SELECT code || ', ' || name FROM acme_quotas ORDER BY 1").await,
                ["code 0, name 0", "code 1, name 1", "code 2, name 2", "code-marker, last"]
            );
            target.remove().await;
        }
    });
}

#[test]
fn what_cannot_be_derived() {
    run(async {
        let (source, target) = estate("5.0", "16").await;
        let derive = |table: &str, more: &[&str]| {
            on(&source, &target, &[&["map", "derive", table][..], more].concat())
        };
        source.execute("CREATE TABLE {ks}.acme_left (id uuid PRIMARY KEY)", ()).await;
        target.execute("CREATE TABLE acme_right (id uuid PRIMARY KEY)").await;
        derive("acme_left", &[])
            .exits(3)
            .complains_of(&["the target has no table acme_left", "plugin enabled"]);
        derive("acme_right", &[]).exits(3).complains_of(&["the source has no table acme_right"]);
        derive("acme_none", &[]).exits(3).complains_of(&["acme_none"]);
        // Kong's own tables have maps; those are the ones to begin with.
        derive("consumers", &[]).exits(2).complains_of(&["kongferry map show consumers"]);
        for failed in [derive("acme_left", &[]), derive("consumers", &[])] {
            assert_eq!(failed.stdout, "", "{}", failed.transcript());
        }
        target.remove().await;
    });
}

#[test]
fn a_plugin_that_the_target_lacks() {
    run(async {
        for pair in pairs(VERSION) {
            let (source, target) = estate(pair.cassandra, pair.postgres).await;
            for subsystem in ["acme-quotas", "other-plugin"] {
                source
                    .execute(
                        "INSERT INTO {ks}.schema_meta (key, subsystem, last_executed, executed)
                         VALUES ('schema_meta', ?, '000_base', {'000_base'})",
                        (subsystem,),
                    )
                    .await;
            }
            source.execute("CREATE TABLE {ks}.acme_quotas_usage (id uuid PRIMARY KEY)", ()).await;
            source.execute("CREATE TABLE {ks}.widgets (id uuid PRIMARY KEY)", ()).await;
            let before = target.content().await;
            for command in ["plan", "migrate"] {
                let refused = on(&source, &target, &[command]);
                refused.exits(3).complains_of(&[
                    "acme_quotas_usage: an unknown table of the source, which the target does not have, probably of the plugin \
                     acme-quotas",
                    "widgets: an unknown table of the source, which the target does not have, probably of one of the plugins \
                     acme-quotas, other-plugin",
                    "bootstrap the target with that plugin enabled",
                    "--skip-tables acme_quotas_usage,widgets",
                ]);
            }
            assert_eq!(before, target.content().await);
            let left_out = ["--skip-tables", "acme_quotas_usage,widgets"];
            let plan = on(&source, &target, &[&["plan"][..], &left_out].concat());
            plan.exits(0).prints(&["acme_quotas_usage", "left out by --skip-tables"]);
            on(&source, &target, &[&["migrate"][..], &left_out].concat()).exits(0);
            target.remove().await;
        }
    });
}

#[test]
fn what_a_custom_table_may_bring_is_refused_by_name() {
    run(async {
        let (source, target) = estate("5.0", "16").await;
        for columns in [
            "acme_events (id uuid PRIMARY KEY, name text)",
            "acme_types (id uuid PRIMARY KEY, length double, span duration)",
            "acme_here (id uuid PRIMARY KEY, only_here text, on_both text)",
            "acme_there (id uuid PRIMARY KEY, on_both text)",
            "acme_mortal (id uuid PRIMARY KEY, name text)",
        ] {
            source.execute(&format!("CREATE TABLE {{ks}}.{columns}"), ()).await;
        }
        let mortal = "INSERT INTO {ks}.acme_mortal (id, name) VALUES (uuid(), 'n') USING TTL 86400";
        source.execute(mortal, ()).await;
        target
            .execute(
                "CREATE TABLE acme_events (id uuid, name text) PARTITION BY HASH (id);
                 CREATE TABLE acme_types (id uuid PRIMARY KEY, length integer, span text);
                 CREATE TABLE acme_here (id uuid PRIMARY KEY, on_both text);
                 CREATE TABLE acme_there (id uuid PRIMARY KEY, on_both text, only_there integer NOT NULL DEFAULT 3);
                 CREATE TABLE acme_mortal (id uuid PRIMARY KEY, name text)",
            )
            .await;
        let before = target.content().await;
        for command in ["plan", "migrate"] {
            on(&source, &target, &[command]).exits(3).complains_of(&[
                "acme_events: partitioned on the target",
                "acme_types.length: no conversion from CQL double to PostgreSQL integer",
                "acme_types.span: no conversion from CQL duration to PostgreSQL text",
                "acme_here.only_here: the source alone has it, so its data would be lost",
                "acme_there.only_there: the target alone has it",
                "acme_mortal: sampled rows of the source expire, and the target has no column ttl",
                "--skip-tables acme_events,acme_here,acme_mortal,acme_there,acme_types",
                "map derive",
            ]);
        }
        assert_eq!(before, target.content().await);

        // Each of them has an answer, but for the partitioned one.
        let maps = tempfile::tempdir().unwrap();
        let dir = maps.path().to_str().unwrap();
        for table in ["acme_events", "acme_types", "acme_here", "acme_there", "acme_mortal"] {
            let derived = on(&source, &target, &["map", "derive", table]);
            derived.exits(0).prints(&["# TO DECIDE: "]);
            let decided: Vec<_> =
                derived.stdout.lines().filter(|line| !line.starts_with("# TO DECIDE")).collect();
            fs::write(maps.path().join(format!("{table}.toml")), decided.join("\n")).unwrap();
        }
        let refused = on(&source, &target, &["plan", "--map-dir", dir]);
        refused.exits(3).complains_of(&["acme_events: on the target it is not an ordinary table"]);
        assert!(!refused.stderr.contains("acme_here"), "{}", refused.transcript());
        fs::remove_file(maps.path().join("acme_events.toml")).unwrap();
        let skipping = ["--map-dir", dir, "--skip-tables", "acme_events"];
        let migrated = on(&source, &target, &[&["migrate"][..], &skipping].concat());
        assert_eq!(migrated.exits(0).counts("acme_mortal"), [1, 0, 1, 1]);
        target.remove().await;
    });
}

#[test]
fn columns_that_the_target_fills_itself() {
    run(async {
        for pair in pairs(VERSION) {
            let (source, target) = estate(pair.cassandra, pair.postgres).await;
            let modern = pair.postgres != "9.6";
            source
                .execute("CREATE TABLE {ks}.acme_orders (id uuid PRIMARY KEY, number bigint, label text, shout text)", ())
                .await;
            let (row, shout) = if modern {
                ("bigint GENERATED ALWAYS AS IDENTITY", "text GENERATED ALWAYS AS (upper(label)) STORED")
            } else {
                ("bigserial", "text")
            };
            target
                .execute(&format!(
                    "CREATE TABLE acme_orders (id uuid PRIMARY KEY, number bigserial, label text, row {row}, shout {shout})"
                ))
                .await;
            for number in [7, 41, 3] {
                let row = json!({ "id": Uuid::new_v4().to_string(), "number": number, "label": format!("n{number}"),
                                  "shout": "kept" });
                source.insert("acme_orders", &row, None).await;
            }
            let plan = on(&source, &target, &["plan"]);
            plan.exits(0).complains_of(&[
                "acme_orders: number: the sequence behind it is set to the greatest value",
                "acme_orders: row: the target alone has it; its sequence numbers the rows",
            ]);
            if modern {
                plan.complains_of(&["acme_orders: shout: not carried; becomes what the target generates"]);
            }
            on(&source, &target, &["migrate"]).exits(0);
            let expected = if modern {
                ["n3 3 N3", "n41 41 N41", "n7 7 N7"]
            } else {
                ["n3 3 kept", "n41 41 kept", "n7 7 kept"]
            };
            let query = "SELECT label || ' ' || number || ' ' || shout FROM acme_orders ORDER BY 1";
            assert_eq!(target.texts(query).await, expected);
            assert_eq!(target.texts("SELECT row::text FROM acme_orders ORDER BY row").await, ["1", "2", "3"]);
            // The next row goes on from the greatest number.
            target.execute("INSERT INTO acme_orders (id, label) SELECT id, 'new' FROM workspaces").await;
            let query = "SELECT number || ' ' || row FROM acme_orders WHERE label = 'new'";
            assert_eq!(target.texts(query).await, ["42 4"]);
            target.remove().await;
        }
    });
}

#[test]
fn a_column_that_no_map_knows_in_a_table_of_kongs() {
    run(async {
        for pair in pairs(VERSION) {
            let (source, target) = estate(pair.cassandra, pair.postgres).await;
            source
                .execute(
                    "CREATE TABLE {ks}.consumers (id uuid PRIMARY KEY, created_at timestamp, username text, custom_id text, \
                     tags set<text>, ws_id uuid, extra text)",
                    (),
                )
                .await;
            let refused = || {
                let refused = on(&source, &target, &["migrate"]);
                refused.exits(3).complains_of(&["consumers.extra", "kongferry map show", "--map-dir"]);
                refused
            };
            refused().complains_of(&["on the source alone"]);
            target.execute("ALTER TABLE consumers ADD COLUMN extra text").await;
            refused().complains_of(&["on both sides"]);

            let id = Uuid::new_v4().to_string();
            let workspace = source.default_workspace.to_string();
            let row = json!({ "id": id, "ws_id": workspace, "username": format!("{workspace}:u"), "extra": "more" });
            source.insert("consumers", &row, None).await;
            let map = kongferry(&["map", "show", "consumers"]).stdout + "extra = \"copy\"\n";
            let maps = tempfile::tempdir().unwrap();
            fs::write(maps.path().join("consumers.toml"), map).unwrap();
            on(&source, &target, &["migrate", "--map-dir", maps.path().to_str().unwrap()]).exits(0);
            assert_eq!(target.rows("consumers", "id").await[&id]["extra"], json!("more"));
            target.remove().await;
        }
    });
}

#[test]
fn rows_that_refer_to_rows_of_their_own_table() {
    run(async {
        for pair in pairs(VERSION) {
            let (source, target) = estate(pair.cassandra, pair.postgres).await;
            source.execute("CREATE TABLE {ks}.acme_folders (id uuid PRIMARY KEY, parent_id uuid)", ()).await;
            let create =
                "CREATE TABLE acme_folders (id uuid PRIMARY KEY, parent_id uuid REFERENCES acme_folders)";
            target.execute(create).await;
            let ids: Vec<Uuid> = std::iter::repeat_with(Uuid::new_v4).take(2_500).collect();
            let insert = format!("INSERT INTO {}.acme_folders (id, parent_id) VALUES (?, ?)", source.name);
            let insert = source.session.prepare(insert).await.unwrap();
            // A chain, so that parents lie in every split and behind their children as often as before them.
            let parents = [None].into_iter().chain(ids.iter().copied().map(Some));
            let links: Vec<_> = ids.iter().zip(parents).collect();
            for chunk in links.chunks(100) {
                let written = chunk.iter().map(|link| source.session.execute_unpaged(&insert, *link));
                futures::future::try_join_all(written).await.unwrap();
            }
            let migrated = on(&source, &target, &["migrate"]);
            migrated.exits(0);
            assert_eq!(migrated.counts("acme_folders"), [2_500, 0, 2_500, 2_500]);
            let found = target.rows("acme_folders", "id").await;
            for (id, parent) in links {
                assert_eq!(
                    found[&id.to_string()]["parent_id"],
                    json!(parent.map(|id| id.to_string())),
                    "{pair:?}"
                );
            }
            target.remove().await;
        }
    });
}

#[test]
fn tables_that_refer_to_each_other_in_a_circle() {
    run(async {
        for pair in pairs(VERSION) {
            let (source, target) = estate(pair.cassandra, pair.postgres).await;
            for table in ["acme_hens", "acme_eggs"] {
                let create = format!("CREATE TABLE {{ks}}.{table} (id uuid PRIMARY KEY, other uuid)");
                source.execute(&create, ()).await;
            }
            target
                .execute(
                    "CREATE TABLE acme_hens (id uuid PRIMARY KEY, other uuid);
                     CREATE TABLE acme_eggs (id uuid PRIMARY KEY, other uuid REFERENCES acme_hens);
                     ALTER TABLE acme_hens ADD CONSTRAINT first FOREIGN KEY (other) REFERENCES acme_eggs",
                )
                .await;
            let (hen, egg) = (Uuid::new_v4(), Uuid::new_v4());
            source.execute("INSERT INTO {ks}.acme_hens (id, other) VALUES (?, ?)", (hen, egg)).await;
            source.execute("INSERT INTO {ks}.acme_eggs (id, other) VALUES (?, ?)", (egg, hen)).await;
            let armed = ["migrate", "--keep-constraints"];
            let refused = on(&source, &target, &armed);
            refused.exits(3).complains_of(&["acme_eggs, acme_hens", "circle", "first", "--skip-tables"]);
            target.execute("ALTER TABLE acme_hens ALTER CONSTRAINT first DEFERRABLE").await;
            on(&source, &target, &armed).exits(3).complains_of(&["acme_eggs, acme_hens", "circle"]);
            // Without constraints there is no order to keep.
            on(&source, &target, &["migrate"]).exits(0);
            assert_eq!((target.count("acme_hens").await, target.count("acme_eggs").await), (1, 1));
            target.remove().await;
        }
    });
}
