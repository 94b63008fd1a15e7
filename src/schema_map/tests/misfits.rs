//! Maps that do not fit the live tables are refused, by name and with the way out.

use crate::error::ErrorKind;
use crate::schema_map::{Action, MapSet, Rule, TableMap, resolve};
use crate::source::{self, ColumnKind, CqlType};
use crate::target::catalog as target;

use super::catalogs::{catalogs, editions};

struct Fit {
    map: TableMap,
    source: source::Table,
    target: target::Table,
}

impl Fit {
    fn of(version: &str, table: &str) -> Self {
        let (source, target) = catalogs(version);
        Self {
            map: MapSet::built_in().unwrap().get(table).unwrap().clone(),
            source: source.tables[table].clone(),
            target: target.tables[table].clone(),
        }
    }

    /// One per table that both sides have and whose map has columns.
    fn every() -> Vec<Self> {
        let maps = MapSet::built_in().unwrap();
        let mut all = Vec::new();
        for version in editions() {
            let (source, target) = catalogs(version);
            for map in maps.iter().filter(|map| !map.columns.is_empty()) {
                if let (Some(source), Some(target)) =
                    (source.tables.get(&map.table), target.tables.get(&map.table))
                {
                    all.push(Self { map: map.clone(), source: source.clone(), target: target.clone() });
                }
            }
        }
        assert!(all.len() > 150);
        all
    }

    fn without_source(&mut self, column: &str) {
        self.source.columns.retain(|known| known.name != column);
    }

    fn without_target(&mut self, column: &str) {
        self.target.columns.retain(|known| known.name != column);
    }

    fn rule(&mut self, column: &str, rule: Rule) {
        self.map.columns.get_mut(column).unwrap().rule = rule;
    }

    fn refusal(&self) -> String {
        let error = resolve(&self.map, &self.source, &self.target).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMap);
        error.to_string()
    }

    fn notes(&self) -> Vec<String> {
        resolve(&self.map, &self.source, &self.target).unwrap().notes
    }
}

#[test]
fn a_column_the_target_lacks_is_refused_wherever_data_would_be_lost() {
    for mut fit in Fit::every() {
        let table = fit.map.table.clone();
        let columns = std::mem::take(&mut fit.target.columns);
        for missing in &columns {
            fit.target.columns = columns.iter().filter(|column| *column != missing).cloned().collect();
            if fit.map.columns[&missing.name].rule == Rule::Leave {
                assert_eq!(fit.notes(), [""; 0]);
            } else {
                let refusal = fit.refusal();
                assert!(refusal.contains(&format!("{table}.{}: ", missing.name)), "{refusal}");
            }
        }
    }
}

#[test]
fn a_column_the_source_lacks_is_refused_or_noted() {
    for mut fit in Fit::every() {
        let table = fit.map.table.clone();
        let columns = std::mem::take(&mut fit.source.columns);
        for missing in columns.iter().filter(|column| column.kind == ColumnKind::Regular) {
            fit.source.columns = columns.iter().filter(|column| *column != missing).cloned().collect();
            let rule = &fit.map.columns[&missing.name];
            let needed = fit.map.required.contains(&missing.name);
            match (&rule.rule, rule.if_present) {
                (Rule::Drop, true) => assert_eq!(fit.notes(), [""; 0]),
                (Rule::Default { value }, _) => {
                    let note = format!("{}: the source does not have it; becomes {value}", missing.name);
                    assert!(fit.notes().contains(&note), "{table}");
                }
                (_, true) => {
                    let notes = fit.notes();
                    assert!(notes.iter().any(|note| note.starts_with(&missing.name)), "{notes:?}");
                }
                (_, false) => {
                    let refusal = fit.refusal();
                    assert!(refusal.contains(&format!("{table}.{}: ", missing.name)), "{refusal}");
                    assert!(refusal.contains("the source does not have"), "{refusal}");
                    assert_eq!(refusal.contains("named in `required`"), needed);
                }
            }
        }
    }
}

#[test]
fn a_rule_taken_out_is_missed() {
    for fit in Fit::every() {
        for column in fit.map.columns.keys() {
            let on_source = fit.source.column(column).is_some();
            let on_target = fit.target.column(column).is_some();
            let mut map = fit.map.clone();
            map.columns.remove(column);
            let result = resolve(&map, &fit.source, &fit.target);
            if !on_source && !on_target {
                result.unwrap();
                continue;
            }
            let line = match (on_source, on_target) {
                (true, true) => format!("{column} = \"copy\""),
                (true, false) => format!("{column} = \"drop\""),
                _ => format!("{column} = \"leave\""),
            };
            let refusal = result.unwrap_err().to_string();
            assert!(refusal.contains(&format!("{}.{column}: ", fit.map.table)), "{refusal}");
            assert!(refusal.contains(&line), "{refusal}");
        }
    }
}

#[test]
fn all_problems_of_a_table_are_listed() {
    let mut fit = Fit::of("2.8", "consumers");
    fit.without_source("username");
    fit.without_target("tags");
    fit.source.columns.push(source::Column {
        name: "Odd Name".to_owned(),
        ty: CqlType::Text,
        kind: ColumnKind::Regular,
    });
    assert_eq!(
        fit.refusal(),
        "the schema maps do not fit the live tables (3 problems):\
         \n  - consumers.tags: the target does not have it, so its data would be lost; if it may be: \
         { rule = \"drop\", if_present = true }\
         \n  - consumers.username: the source does not have it; if that is right, leave the target's to its default: \
         \"leave\", or if_present = true\
         \n  - consumers.Odd Name: on the source alone, and not in the map; add to [columns]: \"Odd Name\" = \"drop\""
    );
}

#[test]
fn a_name_on_neither_side_is_refused_unless_it_may_be_absent() {
    let mut fit = Fit::of("2.8", "consumers");
    fit.without_source("username");
    fit.without_target("username");
    assert!(fit.refusal().contains("consumers.username: the map names it, neither side has it"));
    fit.map.columns.get_mut("username").unwrap().if_present = true;
    assert_eq!(fit.notes(), [""; 0]);
}

#[test]
fn a_not_null_column_cannot_keep_a_default_it_does_not_have() {
    let mut fit = Fit::of("2.8", "snis");
    fit.rule("name", Rule::Drop);
    assert!(fit.refusal().contains("snis.name: not carried, and the target's is NOT NULL without a default"));
    let name = fit.target.columns.iter_mut().find(|column| column.name == "name").unwrap();
    name.default = Some("'x'::text".to_owned());
    assert_eq!(fit.notes(), ["name: not carried; becomes 'x'::text"]);
}

#[test]
fn leave_does_not_give_up_data() {
    let mut fit = Fit::of("2.8", "consumers");
    fit.rule("tags", Rule::Leave);
    assert!(fit.refusal().contains("consumers.tags: rule leave, but the source has it too"));
}

#[test]
fn generated_columns_are_not_written() {
    let mut fit = Fit::of("2.8", "targets");
    fit.target.columns.iter_mut().find(|column| column.name == "weight").unwrap().generated = true;
    assert!(fit.refusal().contains("targets.weight: the target generates it"));
    let mut fit = Fit::of("2.8", "consumers");
    fit.target.columns.iter_mut().find(|column| column.name == "tags").unwrap().generated = true;
    assert!(fit.refusal().contains("consumers.tags: the target generates it"));
    fit.rule("tags", Rule::Drop);
    assert_eq!(fit.notes(), ["tags: not carried; becomes what the target generates"]);
}

#[test]
fn rules_refuse_types_they_are_not_for() {
    let mut fit = Fit::of("2.8", "consumers");
    fit.rule("id", Rule::StripWorkspace);
    fit.rule("username", Rule::Workspace);
    fit.rule("ws_id", Rule::Timestamp);
    let refusal = fit.refusal();
    assert!(refusal.contains("consumers.id: rule strip_workspace is for text, the source's type is uuid"));
    assert!(refusal.contains("consumers.username: rule workspace is for uuid, the source's type is text"));
    assert!(refusal.contains("consumers.ws_id: rule timestamp is for timestamp, the source's type is uuid"));
}

#[test]
fn expiry_needs_a_cell_with_ttl_and_a_column_for_the_instant() {
    for of in ["id", "tags"] {
        let mut fit = Fit::of("2.8", "keyauth_credentials");
        fit.rule("ttl", Rule::ExpiresAt { of: of.to_owned(), optional: false });
        assert!(fit.refusal().contains(&format!("reads the TTL of {of}, but Cassandra knows none")));
    }
    let mut fit = Fit::of("2.8", "keyauth_credentials");
    fit.without_target("ttl");
    fit.map.columns.get_mut("ttl").unwrap().if_present = true;
    assert!(fit.refusal().contains("keyauth_credentials.ttl: the target has no such column"));
    let mut fit = Fit::of("2.8", "keyauth_credentials");
    fit.target.columns.iter_mut().find(|column| column.name == "ttl").unwrap().ty =
        fit.target.columns[0].ty.clone();
    assert!(fit.refusal().contains("rule expires_at writes an instant, the target's type is uuid"));
}

#[test]
fn a_cache_key_needs_all_its_parts() {
    let mut fit = Fit::of("2.8", "acls");
    fit.rule("group", Rule::Drop);
    assert_eq!(fit.refusal(), "acls.cache_key: rule cache_key needs group, which is not written");
}

#[test]
fn a_constant_belongs_to_the_source_alone() {
    let mut fit = Fit::of("2.8", "snis");
    fit.rule("name", Rule::Constant { value: "x".to_owned() });
    assert!(fit.refusal().contains("snis.name: rule constant is for columns of the source alone"));
}

#[test]
fn views_and_partitioned_tables_are_refused() {
    let mut fit = Fit::of("2.8", "consumers");
    fit.target.kind = 'p';
    assert!(fit.refusal().starts_with("consumers: on the target it is not an ordinary table"));
    assert_eq!(fit.map.action, Action::Copy);
}
