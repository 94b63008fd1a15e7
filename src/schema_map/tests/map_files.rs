//! Files of `--map-dir`: what is accepted, what is refused and how.

use std::path::Path;

use crate::error::{Error, ErrorKind};
use crate::schema_map::{Action, ColumnRule, MapSet, Origin, Rule};

fn load(files: &[(&str, &str)]) -> (Result<MapSet, Error>, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    (MapSet::built_in().unwrap().with_dir(folder.path()), folder)
}

/// The problems of a file `t.toml`, without the folder's path.
fn problems(text: &str) -> Vec<String> {
    let (result, folder) = load(&[("t.toml", text)]);
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    let prefix = format!("{}/", folder.path().display());
    error
        .to_string()
        .lines()
        .filter(|line| !line.starts_with("schema maps in"))
        .map(|line| line.trim_start_matches("  - ").replace(&prefix, ""))
        .collect()
}

fn columns(lines: &str) -> String {
    format!("table = \"t\"\naction = \"copy\"\n[columns]\nid = \"copy\"\n{lines}\n")
}

#[test]
fn built_in_maps_are_named_after_their_tables_and_say_why() {
    let maps = MapSet::built_in().unwrap();
    assert_eq!(maps.iter().count(), crate::schema_map::built_in::FILES.len());
    for (table, text) in crate::schema_map::built_in::FILES {
        let map = maps.get(table).unwrap();
        assert_eq!((map.table.as_str(), map.text.as_str()), (*table, *text));
        assert_eq!(map.origin, Origin::BuiltIn);
        assert!(text.starts_with("# ") && text.contains(".\n"), "{table}: what is the table?");
        assert_eq!(map.hash, xxhash_rust::xxh3::xxh3_64(text.as_bytes()));
    }
    let names: Vec<_> = maps.iter().map(|map| map.table.as_str()).collect();
    assert!(names.is_sorted());
}

#[test]
fn a_file_takes_the_place_of_the_built_in_map() {
    let text = "table = \"consumers\"\naction = \"skip\"\nreason = \"not this time\"\n";
    let (maps, folder) = load(&[("x.toml", text), ("README.md", "of no interest")]);
    let maps = maps.unwrap();
    let map = maps.get("consumers").unwrap();
    assert_eq!(map.action, Action::Skip);
    assert_eq!(map.origin, Origin::Edited(folder.path().join("x.toml")));
    assert_eq!(map.text, text);
    assert_eq!(maps.get("routes").unwrap().origin, Origin::BuiltIn);
}

#[test]
fn every_rule_can_be_written() {
    let text = columns(
        "a = \"strip_workspace\"\nb = \"timestamp\"\nc = \"whole_seconds\"\nd = \"workspace\"\n\
         e = { rule = \"expires_at\", of = \"b\" }\nf = { rule = \"default\", value = -5 }\n\
         g = { rule = \"cache_key\", head = \"h\", parts = [\"a\", \"\"], if_present = true }\n\
         h = { rule = \"constant\", value = \"t\" }\ni = \"drop\"\nj = { rule = \"leave\" }\n\
         m = { rule = \"keyring_state\", of = \"id\" }\n\
         n = { rule = \"expires_at\", of = \"b\", optional = true }\n\
         k = { rule = \"default\", value = false }\nl = { rule = \"default\", value = \"\" }",
    );
    let (maps, _folder) = load(&[("t.toml", &text)]);
    let maps = maps.unwrap();
    let rules = &maps.get("t").unwrap().columns;
    let default = |value: &str| Rule::Default { value: value.to_owned() };
    let expected = [
        ("id", Rule::Copy),
        ("a", Rule::StripWorkspace),
        ("b", Rule::Timestamp),
        ("c", Rule::WholeSeconds),
        ("d", Rule::Workspace),
        ("e", Rule::ExpiresAt { of: "b".to_owned(), optional: false }),
        ("m", Rule::KeyringState { of: "id".to_owned() }),
        ("n", Rule::ExpiresAt { of: "b".to_owned(), optional: true }),
        ("f", default("-5")),
        ("h", Rule::Constant { value: "t".to_owned() }),
        ("i", Rule::Drop),
        ("j", Rule::Leave),
        ("k", default("false")),
        ("l", default("")),
    ];
    for (column, rule) in expected {
        assert_eq!(rules[column], ColumnRule { rule, if_present: false }, "{column}");
    }
    let parts = vec!["a".to_owned(), String::new()];
    assert_eq!(
        rules["g"],
        ColumnRule { rule: Rule::CacheKey { head: "h".to_owned(), parts }, if_present: true }
    );
    let written: std::collections::BTreeSet<_> = rules.values().map(|rule| rule.rule.name()).collect();
    assert_eq!(written.len(), Rule::NAMES.len());
}

#[test]
fn a_mistyped_rule_is_named_with_the_allowed_ones() {
    assert_eq!(
        problems(&columns("name = \"strip_workspce\"")),
        [
            "t.toml:5: table t, column name: unknown rule \"strip_workspce\"; did you mean \"strip_workspace\"? \
          (rules: copy, strip_workspace, timestamp, whole_seconds, workspace, expires_at, default, cache_key, \
          keyring_state, constant, drop, leave)"
        ]
    );
}

#[test]
fn arguments_must_fit_the_rule() {
    let cases = [
        (
            "{ rule = \"expires_at\" }",
            "rule expires_at needs `of`, as in { rule = \"expires_at\", of = ... }",
        ),
        ("\"default\"", "rule default needs `value`, as in { rule = \"default\", value = ... }"),
        ("{ rule = \"copy\", of = \"id\" }", "rule copy takes no `of`"),
        ("{ rule = \"copy\", optional = true }", "rule copy takes no `optional`"),
        ("{ rule = \"expires_at\", of = \"id\", optional = 1 }", "`optional` must be true or false"),
        ("{ if_present = true }", "`rule` is missing, as in { rule = \"copy\", if_present = true }"),
        (
            "{ rule = \"copy\", if_presnt = true }",
            "unknown key \"if_presnt\"; did you mean \"if_present\"? \
          (keys: rule, if_present, of, optional, value, head, parts)",
        ),
        ("{ rule = \"copy\", if_present = 1 }", "`if_present` must be true or false"),
        ("{ rule = \"default\", value = 1.5 }", "`value` must be a text, a whole number, true or false"),
        (
            "{ rule = \"cache_key\", head = \"h\", parts = \"id\" }",
            "`parts` must be a list of texts, such as [\"id\"]",
        ),
        ("true", "must be a rule, such as \"copy\" or { rule = \"copy\", if_present = true }"),
        (
            "{ rule = \"expires_at\", of = \"idd\" }",
            "rule expires_at names \"idd\", which [columns] does not",
        ),
    ];
    for (rule, expected) in cases {
        let found = problems(&columns(&format!("name = {rule}")));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("t.toml:5: table t, column name: {expected}")), "{found:?}");
    }
}

#[test]
fn whole_files_are_checked() {
    let cases = [
        (
            "table = \"t\"\naction = \"copi\"\n[columns]\nid = \"copy\"",
            "t.toml:2: table t, unknown action \"copi\"; \
          did you mean \"copy\"? (actions: copy, skip, merge)",
        ),
        ("action = \"copy\"\n[columns]\nid = \"copy\"", "t.toml:1: `table` is missing"),
        ("table = \"t\"\n[columns]\nid = \"copy\"", "t.toml:1: table t, `action` is missing"),
        ("table = \"t\"\naction = \"skip\"", "t.toml:2: table t, `reason` is missing"),
        ("table = \"t\"\naction = \"merge\"\nreason = \"r\"", "t.toml:1: table t, [columns] is missing"),
        (
            "table = \"t\"\naction = \"skip\"\nreason = \"r\"\ninclude = \"t\"",
            "t.toml:1: table t, [columns] is missing",
        ),
        (
            "table = \"t\"\naction = \"skip\"\nreason = \"\"",
            "t.toml:3: table t, `reason` must be a text in quotes",
        ),
        (
            "table = \"t\"\naction = \"copy\"\ninclude = \"t\"\n[columns]\nid = \"copy\"",
            "t.toml:3: table t, `include` is for tables with action = \"skip\"",
        ),
        (
            "table = \"t\"\naction = \"copy\"\nrequired = [\"ids\"]\n[columns]\nid = \"copy\"",
            "t.toml:3: table t, `required` names \"ids\", which [columns] does not; did you mean \"id\"?",
        ),
        (
            "table = \"t\"\naction = \"copy\"\nrequire = [\"id\"]\n[columns]\nid = \"copy\"",
            "t.toml:3: table t, unknown key \"require\"; did you mean \"required\"?",
        ),
        (
            "table = \"t\"\naction = \"copy\"\nleftover = true\n[columns]\nid = \"copy\"",
            "t.toml:3: table t, `leftover` must be a table with a reason",
        ),
        (
            "table = \"t\"\naction = \"copy\"\n[columns]\nid = \"copy\"\nid = \"drop\"",
            "t.toml:5: not valid TOML",
        ),
    ];
    for (text, expected) in cases {
        let found = problems(text);
        assert!(found[0].starts_with(expected), "{expected}\n{found:?}");
    }
}

#[test]
fn a_file_that_still_asks_is_no_answer() {
    let asking = format!("# TO DECIDE: t.x: this or that\n# A note.\n{}", columns(""));
    assert_eq!(
        problems(&asking),
        ["t.toml:1: this line still asks; decide, edit the rule if need be, and take the line out"]
    );
    let (decided, _folder) = load(&[("t.toml", &asking.lines().skip(1).collect::<Vec<_>>().join("\n"))]);
    assert!(decided.unwrap().get("t").is_some());
}

#[test]
fn all_problems_of_all_files_are_listed() {
    let good = columns("");
    let bad = columns("a = \"nothing\"\nb = \"nothing\"").replace("\"t\"", "\"u\"");
    let (result, _folder) = load(&[("1.toml", &good), ("2.toml", &good), ("3.toml", &bad)]);
    let text = result.unwrap_err().report();
    assert!(text.contains("(3 problems)"), "{text}");
    assert!(
        text.contains("2.toml: table t is described in") && text.contains("3.toml:6: table u, column b"),
        "{text}"
    );
}

#[test]
fn a_folder_without_maps_is_refused() {
    let (result, _folder) = load(&[("consumers.tml", "")]);
    assert!(result.unwrap_err().to_string().contains("holds no file that ends in .toml"));
    let absent = MapSet::built_in().unwrap().with_dir(Path::new("no/such/folder")).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::Configuration);
    assert!(absent.to_string().starts_with("cannot read no/such/folder"));
}

/// Text of docs/schema-maps.md.
const MANUAL: &str = include_str!("../../../docs/schema-maps.md");

#[test]
fn the_manual_describes_every_rule_and_word() {
    for (rule, _) in Rule::NAMES {
        assert!(MANUAL.contains(&format!("\n### {rule}\n")), "{rule}");
    }
    let maps = MapSet::built_in().unwrap();
    for word in maps.include_words() {
        assert!(MANUAL.contains(&format!("`--include {word}`")), "{word}");
    }
    for map in maps.iter().filter(|map| map.action == Action::Skip) {
        assert!(MANUAL.contains(&map.table), "{}", map.table);
    }
}

#[test]
fn the_examples_of_the_manual_are_valid() {
    let examples: Vec<_> =
        MANUAL.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap()).collect();
    assert!(examples.len() > Rule::NAMES.len());
    for example in examples {
        let text = if example.contains("table ") {
            example.to_owned()
        } else {
            let named = ["created_at", "consumer_id", "ws_id"]
                .into_iter()
                .filter(|name| !example.contains(&format!("\n{name} ")))
                .map(|name| format!("{name} = \"copy\"\n"));
            format!("table = \"t\"\naction = \"copy\"\n{example}{}", named.collect::<String>())
        };
        let (result, _folder) = load(&[("example.toml", &text)]);
        if let Err(error) = result {
            panic!("{}\n{text}", error.report());
        }
    }
}
