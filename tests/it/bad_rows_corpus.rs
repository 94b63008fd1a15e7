//! The corpus of bad rows among many good ones: every good row arrives, every bad one has its promised fate, and no planted value
//! is said anywhere: not in any output, not in what the run leaves in files, not in PostgreSQL's log.

mod corpus;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use corpus::{Case, Corpus, Fate, filled};
use kongferry::estate::{FillSpec, KongVersion};
use serde_json::{Value, json};

use crate::support::database::{self, Database};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Run, kongferry};
use crate::support::run;

const VERSION: KongVersion = KongVersion::V2_8;
/// Good rows at least.
const GOOD: u64 = 50_000;

/// A place for what a run leaves in files.
fn folder(label: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(crate::support::unique(label));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A target whose server logs all that it is told.
async fn watched(corpus: &Corpus) -> Database {
    let target = database::fresh("16", VERSION).await;
    target.execute(&format!("ALTER DATABASE {} SET log_statement = 'all'", target.name)).await;
    target.execute(&format!("ALTER DATABASE {} SET log_min_duration_statement = 0", target.name)).await;
    if let Some(tables) = corpus.tables.get("postgres") {
        target.execute(tables).await;
    }
    target
}

/// The whole log of its server.
async fn server_log(target: &Database) -> String {
    let data = target.texts("SELECT current_setting('data_directory')").await.remove(0);
    let bytes = std::fs::read(Path::new(&data).with_file_name("server.log")).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[track_caller]
fn assert_silent(what: &str, text: &str, corpus: &Corpus) {
    for case in &corpus.cases {
        assert!(!text.contains(&case.secret), "{what} gives away the value of: {}", case.what);
    }
}

/// Rows of all tables by id, without the second of expiry.
async fn rows(target: &Database) -> BTreeMap<(String, String), Value> {
    let mut rows = BTreeMap::new();
    for table in target.tables().await {
        for text in target.texts(&format!("SELECT to_jsonb(r)::text FROM \"{table}\" r")).await {
            let mut row: Value = serde_json::from_str(&text).unwrap();
            if let Some(ttl) = row.get_mut("ttl").filter(|ttl| ttl.is_string()) {
                *ttl = json!("expires");
            }
            let id = row.get("id").map_or_else(|| row.to_string(), ToString::to_string);
            rows.insert((table.clone(), id), row);
        }
    }
    rows
}

#[test]
fn every_bad_row_among_fifty_thousand_good_ones_has_its_fate() {
    run(async {
        let corpus = Corpus::read(&["text.toml", "json.toml", "values.toml", "kong.toml", "custom.toml"]);
        assert!(corpus.cases.len() >= 60);
        let size = FillSpec { consumers: 13_700, odd: false, ..FillSpec::default() };
        let source = estate(&corpus, size).await;

        let undisturbed = watched(&corpus).await;
        let on = |target: &Database, arguments: &[&str]| {
            kongferry(&[arguments, &["--source", &source.url(), "--target", &target.url()]].concat())
        };
        let good = on(&undisturbed, &["migrate", "--keep-constraints"]);
        let good_rows = good.exits(0).counts("total")[2];
        assert!(good_rows >= GOOD, "{good_rows} good rows only");

        corpus.place(&source).await;
        let target = watched(&corpus).await;
        let left = folder("corpus");
        let dry = on(&target, &["migrate", "--dry-run"]);
        dry.exits(5).prints(&["invalid-json", "ghost-row", "quarantine", "skip"]);
        let migrated = on(&target, &["migrate", "--report", left.to_str().unwrap()]);
        migrated.exits(5).prints(&["counts of both sides agree"]).complains_of(&["quarantine"]);
        check_counts(&corpus, &good, &migrated);
        check_fates(&corpus, &source, &undisturbed, &target).await;
        let runs = [dry, migrated];
        check_commands(&corpus, &source, &target, &left).await;

        for run in &runs {
            assert_silent("the output", &run.transcript(), &corpus);
        }
        for entry in std::fs::read_dir(&left).unwrap() {
            let path = entry.unwrap().path();
            let text = String::from_utf8_lossy(&std::fs::read(&path).unwrap()).into_owned();
            assert_silent(&path.display().to_string(), &text, &corpus);
        }
        assert_silent("the server's log", &server_log(&target).await, &corpus);
        undisturbed.remove().await;
        target.remove().await;
        source.remove().await;
    });
}

/// Good rows of Kong's tables, and of the plugin's.
async fn estate(corpus: &Corpus, size: FillSpec) -> Keyspace {
    let source = keyspace::empty("5.0", VERSION, "corpus", None).await;
    let spec = FillSpec { concurrency: 32, ..size };
    kongferry::estate::fill(&source.session, &source.name, &spec).await.unwrap();
    source.execute(&corpus.tables["cassandra"], ()).await;
    for number in 0..100 {
        let row = json!({
            "id": uuid::Uuid::from_u128(number), "needed": "x", "label": format!("good {number}"), "amount": 1.25,
            "port": number,
        });
        source.insert("acme_odd", &row, None).await;
    }
    source
}

/// Read, skipped, quarantined and loaded differ from the undisturbed run by the rows of the corpus.
fn check_counts(corpus: &Corpus, good: &Run, migrated: &Run) {
    let tables: std::collections::BTreeSet<&str> =
        corpus.cases.iter().map(|case| case.table.as_str()).collect();
    for table in tables {
        let of = |fate| corpus.count(table, fate);
        let before = good.counts(table);
        let added = [
            of(Fate::Quarantine) + of(Fate::Skip) + of(Fate::Load),
            of(Fate::Skip),
            of(Fate::Quarantine),
            of(Fate::Load),
            of(Fate::Load),
        ];
        let before = [before[0], before[1], 0, before[2], before[3]];
        let expected: Vec<u64> = before.iter().zip(added).map(|(before, added)| before + added).collect();
        assert_eq!(migrated.counts(table), expected, "{table}\n{}", migrated.transcript());
    }
}

async fn check_fates(corpus: &Corpus, source: &Keyspace, undisturbed: &Database, target: &Database) {
    let held: BTreeMap<String, (String, String, String)> = target
        .client
        .query("SELECT table_name, key, class, rule FROM kongferry.quarantine WHERE cells IS NOT NULL", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| (row.get::<_, String>(1), (row.get(0), row.get(2), row.get(3))))
        .collect();
    let (before, mut now) = (rows(undisturbed).await, rows(target).await);
    let mut wrong = Vec::new();
    for case in &corpus.cases {
        let found: Vec<_> =
            held.iter().filter(|(key, _)| key.contains(&case.id)).map(|(_, it)| it.clone()).collect();
        let row = now.remove(&(case.table.clone(), json!(case.id).to_string()));
        let promised: Vec<_> = match case.fate {
            Fate::Quarantine => {
                let class = case.class.clone().unwrap_or_default();
                vec![(case.table.clone(), class, case.rule.clone().unwrap_or_default())]
            }
            _ => Vec::new(),
        };
        if found != promised {
            wrong.push(format!("{}: quarantine holds {found:?}, not {promised:?}", case.what));
        }
        if row.is_some() != (case.fate == Fate::Load) {
            wrong.push(format!("{}: on the target: {}", case.what, row.is_some()));
        }
        wrong.extend(row.map(|row| differences(case, source, &row)).unwrap_or_default());
        for further in &case.with {
            let id = further.row.get("id").cloned().unwrap_or_default();
            if now.remove(&(further.table.clone(), id.to_string())).is_none() {
                wrong.push(format!("{}: a row beside it did not arrive", case.what));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Written by triggers from the tags of the rows that arrived.
    let of_entities = |rows: BTreeMap<(String, String), Value>| {
        rows.into_iter().filter(|((table, _), _)| table != "tags").collect::<BTreeMap<_, _>>()
    };
    let (before, now) = (of_entities(before), of_entities(now));
    assert_eq!(before.len(), now.len(), "good rows");
    let other = before.iter().find(|(key, row)| now.get(*key) != Some(row));
    assert!(other.is_none(), "a good row is not what it is in an undisturbed run: {other:?}");
    let total: u64 = corpus.cases.iter().map(|case| u64::from(case.fate == Fate::Quarantine)).sum();
    assert_eq!(held.len(), usize::try_from(total).unwrap());
}

fn differences(case: &Case, source: &Keyspace, row: &Value) -> Vec<String> {
    case.gives
        .iter()
        .filter(|(column, value)| row[column.as_str()] != filled(value, source, case))
        .map(|(column, _)| format!("{}: column {column} holds {}", case.what, row[column.as_str()]))
        .collect()
}

/// What an operator does next: looks, writes out, mends, tries again.
async fn check_commands(corpus: &Corpus, source: &Keyspace, target: &Database, left: &Path) {
    let url = target.url();
    let secrets = corpus.secrets();
    let on_target = |arguments: &[&str]| {
        let run = kongferry(&[arguments, &["--target", &url]].concat());
        run.keeps_quiet_about(&secrets);
        run
    };
    let held = corpus.cases.iter().filter(|case| case.fate == Fate::Quarantine).count();
    let list = on_target(&["quarantine", "list", "--limit", "10"]);
    list.exits(0).prints(&["json-escape", "acme_odd", "more; --limit", "quarantine show"]);
    let list = on_target(&["quarantine", "list", "--limit", "1000", "--json"]);
    let lines: Vec<Value> =
        list.exits(0).stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), held);
    on_target(&["status"]).exits(0).prints(&["In quarantine", "both sides agreed"]);
    on_target(&["clean"]).exits(3).complains_of(&["quarantine", "--discard-quarantine"]);

    let planted = corpus.cases.iter().find(|case| case.what == "U+0000 in a password").unwrap();
    let line = lines.iter().find(|line| line["key"].as_str().unwrap().contains(&planted.id)).unwrap();
    let id = line["id"].to_string();
    on_target(&["quarantine", "show", &id]).exits(0).prints(&["password", "text", "bytes", "--reveal"]);
    let shown = kongferry(&["quarantine", "show", &id, "--reveal", "--target", &url]);
    shown.exits(0).prints(&[&planted.secret]);
    on_target(&["quarantine", "show", "999999"]).exits(2);

    let file = left.with_extension("export");
    let name = file.to_str().unwrap();
    on_target(&["quarantine", "export", name]).exits(0).prints(&["only"]);
    on_target(&["quarantine", "export", name]).exits(2).complains_of(&["does not exist"]);
    let exported = std::fs::read_to_string(&file).unwrap();
    assert_eq!(exported.lines().count(), held);
    for case in corpus.cases.iter().filter(|case| case.fate == Fate::Quarantine) {
        // Collections stand there as bytes only.
        let bytes: String = case.secret.bytes().map(|byte| format!("{byte:02x}")).collect();
        let whole = exported.contains(&case.secret) || exported.contains(&bytes);
        assert!(whole, "{}: not whole in the export", case.what);
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }

    let verify = ["verify", "--counts", "--source", &source.url()];
    on_target(&verify).exits(5).prints(&["counts of both sides agree"]);
    on_target(&["quarantine", "retry", "--class", "refused"]).exits(2).complains_of(&["map derive acme_odd"]);
    let maps = folder("maps");
    let derived = on_target(&["map", "derive", "acme_odd", "--source", &source.url()]);
    std::fs::write(maps.join("acme_odd.toml"), &derived.exits(0).stdout).unwrap();
    let health = kongferry(&["map", "show", "upstreams"])
        .stdout
        .replace("healthchecks              = \"copy\"", "healthchecks              = \"drop\"");
    std::fs::write(maps.join("upstreams.toml"), health).unwrap();
    let maps = ["--map-dir", maps.to_str().unwrap()];
    let retry = |chosen: &[&str]| on_target(&[&["quarantine", "retry"][..], chosen, &maps].concat());
    retry(&["--class", "refused"]).exits(5).prints(&["acme_odd"]);
    // The constraint is mended, and the trigger is not.
    target.execute("ALTER TABLE acme_odd DROP CONSTRAINT acme_port").await;
    let tried = retry(&["--class", "refused"]);
    assert_eq!(tried.exits(5).counts("acme_odd"), [2, 1], "{}", tried.transcript());
    // The column that holds what is not JSON is left out by an edited map.
    let tried = retry(&["--table", "upstreams"]);
    assert_eq!(tried.exits(0).counts("upstreams"), [2, 0], "{}", tried.transcript());
    let tried = retry(&[]);
    tried.exits(5).prints(&["consumers"]);
    assert!(tried.counts("consumers")[0] == 0, "{}", tried.transcript());
    on_target(&verify).exits(5).prints(&["counts of both sides agree"]);
    on_target(&["clean", "--discard-quarantine"]).exits(0);
}

#[test]
fn what_several_rows_show_is_found_in_tables_that_keep_their_constraints() {
    run(async {
        let corpus = Corpus::read(&["several-tables.toml"]);
        let source = keyspace::empty("5.0", VERSION, "corpus", None).await;
        corpus.place(&source).await;
        let target = watched(&corpus).await;
        let migrated = kongferry(&[
            "migrate",
            "--keep-constraints",
            "--workers",
            "1",
            "--source",
            &source.url(),
            "--target",
            &target.url(),
        ]);
        migrated.exits(5).prints(&["counts of both sides agree"]).keeps_quiet_about(&corpus.secrets());
        for case in &corpus.cases {
            let held = target
                .texts(&format!(
                    "SELECT concat_ws(' ', table_name, class, rule) FROM kongferry.quarantine WHERE key LIKE '%{}%'",
                    case.id
                ))
                .await;
            let promised = [&case.table, case.class.as_ref().unwrap(), case.rule.as_ref().unwrap()];
            assert_eq!(held, [promised.map(String::as_str).join(" ")], "{}", case.what);
        }
        assert_silent("the server's log", &server_log(&target).await, &corpus);

        // A parent that was added on the target lets its children in.
        let parents = "
            INSERT INTO consumers (id, ws_id, username)
                SELECT '00000000-0000-4000-8000-00000000dead', id, 'late' FROM workspaces WHERE name = 'default';
            INSERT INTO services (id, ws_id, name)
                SELECT '00000000-0000-4000-8000-00000000dead', id, 'late' FROM workspaces WHERE name = 'default'";
        target.execute(parents).await;
        let retry =
            kongferry(&["quarantine", "retry", "--class", "missing-parent", "--target", &target.url()]);
        retry.exits(5).keeps_quiet_about(&corpus.secrets());
        assert_eq!(retry.counts("basicauth_credentials"), [1, 0], "{}", retry.transcript());
        assert_eq!(retry.counts("routes"), [1, 0], "{}", retry.transcript());
        assert_eq!(retry.counts("keyauth_credentials"), [0, 1], "{}", retry.transcript());
        target.remove().await;
        source.remove().await;
    });
}
