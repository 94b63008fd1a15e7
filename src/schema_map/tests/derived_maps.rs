//! Maps worked out for tables that nobody described.

use std::collections::BTreeSet;

use crate::error::ErrorKind;
use crate::schema_map::evidence::Texts;
use crate::schema_map::{
    Choice, Decided, Draft, Evidence, Findings, MapSet, Origin, Production, Rule, Sequence, TableMapping,
    decide_with, derive, draft, resolve, to_sample,
};
use crate::source::{self, ColumnKind, CqlType};
use crate::target::catalog::{self as target, PgKind, PgType, UniqueKey};

use super::catalogs::{catalogs, editions};
use super::mapping;

/// A table of both sides and what a sample of it shows.
#[derive(Clone)]
struct Plugin {
    source: source::Table,
    target: target::Table,
    evidence: Evidence,
}

impl Plugin {
    /// `acme_quotas`: id, `created_at`, a name that is unique in its workspace, a number, `ws_id`, a lifetime.
    fn new() -> Self {
        let name = "acme_quotas".to_owned();
        let mut plugin = Self {
            source: source::Table { name: name.clone(), ..Default::default() },
            target: target::Table { name, kind: 'r', ..Default::default() },
            evidence: Evidence { rows: 100, ..Evidence::default() },
        };
        plugin.on_source("id", ColumnKind::PartitionKey, CqlType::Uuid);
        plugin.on_target("id", PgKind::Uuid).not_null = true;
        for (column, from, to) in [
            ("created_at", CqlType::Timestamp, PgKind::Timestamptz),
            ("name", CqlType::Text, PgKind::Text),
            ("quota", CqlType::Int, PgKind::Int8),
            ("ws_id", CqlType::Uuid, PgKind::Uuid),
        ] {
            plugin.on_both(column, from, to);
        }
        plugin.on_target("ttl", PgKind::Timestamptz);
        plugin.unique(&["ws_id", "name"]);
        plugin.saw("name", 100, 100);
        plugin
    }

    fn on_source(&mut self, name: &str, kind: ColumnKind, ty: CqlType) {
        self.source.columns.push(source::Column { name: name.to_owned(), ty, kind });
    }

    fn on_target(&mut self, name: &str, kind: PgKind) -> &mut target::Column {
        let ty = PgType { oid: 0, name: format!("{kind:?}"), kind };
        let column =
            target::Column { name: name.to_owned(), ty, not_null: false, default: None, generated: false };
        self.target.columns.push(column);
        self.target.columns.last_mut().unwrap()
    }

    fn on_both(&mut self, name: &str, from: CqlType, to: PgKind) -> &mut target::Column {
        self.on_source(name, ColumnKind::Regular, from);
        self.on_target(name, to)
    }

    fn text(&mut self, name: &str) {
        self.on_both(name, CqlType::Text, PgKind::Text);
    }

    fn without_target(&mut self, name: &str) {
        self.target.columns.retain(|column| column.name != name);
    }

    fn unique(&mut self, columns: &[&str]) {
        let columns = columns.iter().map(ToString::to_string).collect();
        self.target.unique.push(UniqueKey { name: "u".to_owned(), columns });
    }

    fn saw(&mut self, column: &str, prefixed: u64, values: u64) {
        let texts = Texts { values, prefixed, distinct: BTreeSet::new() };
        self.evidence.texts.insert(column.to_owned(), texts);
    }

    fn saw_in_key(&mut self, column: &str, values: &[&str]) {
        let distinct = values.iter().map(ToString::to_string).collect();
        let texts = Texts { values: 100, prefixed: 0, distinct };
        self.evidence.texts.insert(column.to_owned(), texts);
    }

    fn draft(&self) -> Draft {
        draft(&self.source, &self.target, &self.evidence)
    }

    fn rule(&self, column: &str) -> Rule {
        self.draft().map.columns[column].rule.clone()
    }

    /// The only thing that is open.
    fn open(&self) -> String {
        let draft = self.draft();
        assert_eq!(draft.open.len(), 1, "{:?}", draft.open);
        draft.open[0].clone()
    }

    fn mapping(&self) -> TableMapping {
        let map = derive(&self.source, &self.target, &self.evidence).unwrap();
        resolve(&map, &self.source, &self.target).unwrap()
    }
}

#[test]
fn a_whole_table_is_worked_out() {
    let plugin = Plugin::new();
    let map = derive(&plugin.source, &plugin.target, &plugin.evidence).unwrap();
    assert_eq!(
        map.text,
        "# Worked out by kongferry for a table it does not know: acme_quotas.\n\
         table  = \"acme_quotas\"\n\
         action = \"copy\"\n\
         \n\
         [columns]\n\
         created_at = \"timestamp\"\n\
         id         = \"copy\"\n\
         name       = \"strip_workspace\"\n\
         quota      = \"copy\"\n\
         ttl        = { rule = \"expires_at\", of = \"created_at\" }\n\
         ws_id      = \"workspace\"\n"
    );
    assert_eq!(map.origin, Origin::Derived);
    assert_eq!(map.hash, xxhash_rust::xxh3::xxh3_64(map.text.as_bytes()));
    assert_eq!(plugin.mapping().outputs.len(), 6);
}

#[test]
fn prefixes_need_a_unique_key_and_values() {
    // Unique in the workspace, unique at all, values with prefix, values; rule and whether it is open.
    let cases = [
        (true, false, 90, 100, Rule::StripWorkspace, false),
        (true, false, 0, 0, Rule::StripWorkspace, false),
        (true, false, 0, 100, Rule::Copy, false),
        (false, true, 100, 100, Rule::StripWorkspace, false),
        (false, true, 0, 100, Rule::Copy, false),
        (false, false, 0, 100, Rule::Copy, false),
        (false, false, 100, 100, Rule::StripWorkspace, true),
        (false, false, 1, 100, Rule::Copy, true),
    ];
    for (in_workspace, globally, prefixed, values, rule, open) in cases {
        let mut plugin = Plugin::new();
        plugin.text("code");
        if in_workspace {
            plugin.unique(&["code", "ws_id"]);
        }
        if globally {
            plugin.unique(&["code"]);
        }
        plugin.saw("code", prefixed, values);
        let case = format!("{in_workspace} {globally} {prefixed} of {values}");
        assert_eq!(plugin.rule("code"), rule, "{case}");
        assert_eq!(plugin.draft().open.len(), usize::from(open), "{case}");
    }
}

#[test]
fn what_a_prefix_means_is_asked_with_both_answers() {
    let mut plugin = Plugin::new();
    plugin.text("code");
    plugin.saw("code", 7, 100);
    let open = plugin.open();
    assert!(
        open.starts_with("acme_quotas.code: 7 of 100 sampled values start with a workspace's id"),
        "{open}"
    );
    assert!(open.contains("\"strip_workspace\"") && open.contains("\"copy\""), "{open}");
    let error = derive(&plugin.source, &plugin.target, &plugin.evidence).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemaMap);
    assert!(error.report().contains("kongferry map derive acme_quotas > MAPS/acme_quotas.toml"));
    assert!(plugin.draft().map.text.contains("\n# TO DECIDE: acme_quotas.code: "));
}

#[test]
fn pairs_of_types_without_a_conversion_are_asked_about_all_at_once() {
    let mut plugin = Plugin::new();
    plugin.on_both("length", CqlType::Double, PgKind::Int4);
    plugin.on_both("names", CqlType::Set(Box::new(CqlType::Text)), PgKind::Text);
    plugin.on_both("size", CqlType::Double, PgKind::Double);
    let draft = plugin.draft();
    let [length, names] = draft.open.as_slice() else { panic!("{:?}", draft.open) };
    assert!(length.starts_with("acme_quotas.length: no conversion from CQL double to"), "{length}");
    assert!(names.starts_with("acme_quotas.names: no conversion from CQL set<text> to"), "{names}");
    assert_eq!((plugin.rule("length"), plugin.rule("size")), (Rule::Drop, Rule::Copy));
}

#[test]
fn a_prefix_that_only_some_values_have_is_noted() {
    let mut plugin = Plugin::new();
    assert_eq!(plugin.draft().notes, Vec::<String>::new());
    plugin.saw("name", 90, 100);
    let notes = plugin.draft().notes;
    assert_eq!((notes.len(), plugin.rule("name")), (1, Rule::StripWorkspace));
    assert!(notes[0].contains("90 of 100 sampled values start with a workspace's id"), "{}", notes[0]);
}

#[test]
fn nothing_is_stripped_outside_workspaces_or_from_cache_keys() {
    let mut plugin = Plugin::new();
    plugin.text("cache_key");
    plugin.unique(&["ws_id", "cache_key"]);
    plugin.saw("cache_key", 100, 100);
    assert_eq!((plugin.rule("cache_key"), plugin.draft().open), (Rule::Copy, vec![]));

    let mut plugin = Plugin::new();
    plugin.source.columns.retain(|column| column.name != "ws_id");
    plugin.without_target("ws_id");
    plugin.target.unique.clear();
    plugin.unique(&["name"]);
    assert_eq!((plugin.rule("name"), plugin.draft().open), (Rule::Copy, vec![]));
}

#[test]
fn a_partition_is_a_constant_when_the_sample_agrees() {
    let with = |column: &str, seen: &[&str]| {
        let mut plugin = Plugin::new();
        plugin.source.columns[0].kind = ColumnKind::Clustering;
        plugin.source.columns.insert(
            0,
            source::Column { name: column.to_owned(), ty: CqlType::Text, kind: ColumnKind::PartitionKey },
        );
        plugin.saw_in_key(column, seen);
        plugin
    };
    let constant = |value: &str| Rule::Constant { value: value.to_owned() };
    let plugin = with("partition", &["acme_quotas"]);
    assert_eq!((plugin.rule("partition"), plugin.draft().notes), (constant("acme_quotas"), vec![]));
    assert_eq!(plugin.mapping().constants, [(0, "acme_quotas".to_owned())]);
    assert_eq!(with("partition", &[]).rule("partition"), constant("acme_quotas"));
    let other = with("partition", &["quotas"]);
    assert_eq!(other.rule("partition"), constant("quotas"));
    assert!(other.draft().notes[0].starts_with("partition: not the table's name"));
    assert!(with("partition", &["a", "b"]).open().contains("it is no constant"));
    assert!(with("bucket", &["acme_quotas"]).open().contains("acme_quotas.bucket: the source alone has it"));
}

#[test]
fn columns_of_one_side_are_asked_about() {
    let mut plugin = Plugin::new();
    plugin.on_source("old", ColumnKind::Regular, CqlType::Text);
    plugin.on_target("new", PgKind::Text);
    let draft = plugin.draft();
    assert_eq!(
        draft.open,
        [
            "acme_quotas.new: the target alone has it; \"leave\" if its default will do, or { rule = \"default\", value = \"...\" }",
            "acme_quotas.old: the source alone has it, so its data would be lost; \"drop\" if it may be",
        ]
    );
    assert_eq!((plugin.rule("new"), plugin.rule("old")), (Rule::Leave, Rule::Drop));
}

#[test]
fn a_partitioned_table_is_refused_by_name() {
    let mut plugin = Plugin::new();
    plugin.target.kind = 'p';
    assert!(plugin.open().starts_with("acme_quotas: partitioned on the target"));
}

#[test]
fn generated_columns_are_left_to_the_target() {
    let mut plugin = Plugin::new();
    plugin.on_target("shout", PgKind::Text).generated = true;
    plugin.on_both("whisper", CqlType::Text, PgKind::Text).generated = true;
    let mapping = plugin.mapping();
    assert!(mapping.outputs.iter().all(|output| !["shout", "whisper"].contains(&output.column.as_str())));
    assert_eq!(
        mapping.notes,
        [
            "shout: not written; becomes what the target generates",
            "whisper: not carried; becomes what the target generates",
        ]
    );
}

#[test]
fn sequences_are_named_for_afterwards() {
    let mut plugin = Plugin::new();
    let serial = "nextval('acme.\"Odd ''seq\"'::regclass)";
    plugin.on_both("number", CqlType::Int, PgKind::Int4).default = Some(serial.to_owned());
    plugin.on_both("place", CqlType::Bigint, PgKind::Int8).default =
        Some("GENERATED ALWAYS AS IDENTITY".to_owned());
    plugin.on_target("arrival", PgKind::Int8).default = Some("nextval('a_seq'::regclass)".to_owned());
    let mapping = plugin.mapping();
    let sequence = |column: &str, name: Option<&str>| Sequence {
        column: column.to_owned(),
        name: name.map(str::to_owned),
    };
    assert_eq!(mapping.sequences, [sequence("number", Some("acme.\"Odd 'seq\"")), sequence("place", None)]);
    assert!(plugin.draft().notes[0].starts_with("arrival: the target alone has it; its sequence numbers"));
    assert!(mapping.notes.iter().any(|note| note.starts_with("number: the sequence behind it is set")));
}

#[test]
fn lifetimes_come_from_a_column_that_can_carry_them() {
    let mut plugin = Plugin::new();
    for column in ["quota", "ws_id"] {
        plugin.target.columns.iter_mut().find(|known| known.name == column).unwrap().not_null = true;
    }
    // A row without quota has expired; one without workspace is of Kong 2.0, and repaired.
    assert_eq!(plugin.draft().map.required, ["quota"]);
    plugin.source.columns.retain(|column| column.name != "created_at");
    plugin.without_target("created_at");
    assert_eq!(plugin.rule("ttl"), Rule::ExpiresAt { of: "name".to_owned(), optional: false });
    assert!(plugin.draft().notes[0].starts_with("ttl: lifetimes are taken from name"));
    for column in ["name", "quota"] {
        plugin.source.columns.retain(|known| known.name != column);
        plugin.without_target(column);
    }
    assert!(plugin.open().starts_with("acme_quotas.ttl: the target has it, but no column"));
}

#[test]
fn lifetimes_without_a_column_are_not_lost() {
    let mut plugin = Plugin::new();
    plugin.without_target("ttl");
    assert_eq!(plugin.draft().open, [""; 0]);
    let mut expiring = plugin.clone();
    expiring.evidence.expiring.insert("created_at".to_owned());
    assert!(expiring.open().starts_with("acme_quotas: sampled rows of the source expire, and the target"));
    plugin.source.default_time_to_live = 60;
    assert!(plugin.open().starts_with("acme_quotas: rows of the source expire after 60 seconds"));
}

/// Kong's own tables, as if nobody knew them: the prefixes are found where the built-in maps have them, and nowhere else.
#[test]
fn prefixes_of_kongs_own_tables_are_found() {
    let maps = MapSet::built_in().unwrap();
    let mut stripped = 0;
    for version in editions() {
        let (source, target) = catalogs(version);
        for map in maps.iter().filter(|map| map.table != "legacy_files") {
            let (Some(source), Some(target)) = (source.tables.get(&map.table), target.tables.get(&map.table))
            else {
                continue;
            };
            let mut evidence = Evidence { rows: 10, ..Evidence::default() };
            for column in Evidence::text_columns(source) {
                let rule = map.columns.get(&column.name).map(|column| &column.rule);
                let prefixed = if rule == Some(&Rule::StripWorkspace) { 10 } else { 0 };
                let texts = Texts { values: 10, prefixed, distinct: BTreeSet::new() };
                evidence.texts.insert(column.name.clone(), texts);
            }
            let draft = draft(source, target, &evidence);
            for (name, column) in &draft.map.columns {
                let known = map.columns.get(name).map(|column| &column.rule) == Some(&Rule::StripWorkspace);
                let found = column.rule == Rule::StripWorkspace;
                assert_eq!(found, known, "{}.{name} of {version}", map.table);
                stripped += usize::from(found);
            }
            let asked = draft.open.iter().any(|open| open.contains("sampled values"));
            // The only prefixed column that no unique key shows.
            let is_known = map.table == "consumers" && version.ends_with("-enterprise");
            assert_eq!(asked, is_known, "{:?}", draft.open);
        }
    }
    assert!(stripped > 60, "{stripped}");
}

fn findings(evidence: &[(&str, &Evidence)], subsystems: &[&str]) -> Findings {
    Findings {
        evidence: evidence
            .iter()
            .map(|(table, evidence)| ((*table).to_owned(), (*evidence).clone()))
            .collect(),
        subsystems: subsystems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn an_unknown_table_of_both_sides_is_copied_by_what_was_found() {
    let maps = MapSet::built_in().unwrap();
    let (mut source, mut target) = catalogs("3.3");
    let plugin = Plugin::new();
    source.tables.insert("acme_quotas".to_owned(), plugin.source.clone());
    target.tables.insert("acme_quotas".to_owned(), plugin.target.clone());
    let mut choice = Choice::default();
    let sampled: Vec<_> =
        to_sample(&maps, &source, &target, &choice).into_iter().map(|table| table.name.as_str()).collect();
    assert_eq!(sampled, ["acme_quotas"]);

    let found = findings(&[("acme_quotas", &plugin.evidence)], &["core"]);
    let decisions = decide_with(&maps, &source, &target, &choice, &found).unwrap();
    let mapping = mapping(&decisions, "acme_quotas");
    assert_eq!(mapping.origin, Origin::Derived);
    let name = mapping.outputs.iter().find(|output| output.column == "name").unwrap();
    assert!(matches!(name.from, Production::StripWorkspace { .. }));

    let text = decide_with(&maps, &source, &target, &choice, &findings(&[], &["core"])).unwrap_err().report();
    assert!(text.contains("acme_quotas: an unknown table of the source; kongferry has no map"), "{text}");

    target.tables.get_mut("acme_quotas").unwrap().kind = 'p';
    let text = decide_with(&maps, &source, &target, &choice, &found).unwrap_err().report();
    assert!(text.contains("acme_quotas: partitioned on the target"), "{text}");
    assert!(text.contains("kongferry map derive acme_quotas > MAPS/acme_quotas.toml"), "{text}");

    choice.skip_tables.push("acme_quotas".to_owned());
    assert!(to_sample(&maps, &source, &target, &choice).is_empty());
    let decisions = decide_with(&maps, &source, &target, &choice, &found).unwrap();
    assert!(decisions.iter().any(|decision| {
        decision.table == "acme_quotas" && matches!(decision.action, Decided::Skip { .. })
    }));
}

#[test]
fn an_unknown_table_of_the_source_alone_names_its_plugin() {
    let maps = MapSet::built_in().unwrap();
    let (mut source, target) = catalogs("3.3");
    source.tables.insert("acme_quotas".to_owned(), Plugin::new().source);
    let refusal = |subsystems: &[&str]| {
        let choice = Choice::default();
        decide_with(&maps, &source, &target, &choice, &findings(&[], subsystems)).unwrap_err().report()
    };
    let text = refusal(&["acl", "core", "acme-quota", "other-plugin", "enterprise.acl", "http-log"]);
    assert!(text.contains("which the target does not have, probably of the plugin acme-quota; if"), "{text}");
    assert!(text.contains("bootstrap the target with that plugin enabled"), "{text}");
    assert!(text.contains("--skip-tables acme_quotas"), "{text}");
    let text = refusal(&["core", "one", "two"]);
    assert!(text.contains("probably of one of the plugins one, two; if"), "{text}");
    let text = refusal(&["core", "key-auth"]);
    assert!(text.contains("of no plugin whose migrations are on record; if"), "{text}");
}
