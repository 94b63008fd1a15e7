//! What happens to whole tables.

use crate::error::{Error, ErrorKind};
use crate::schema_map::{Choice, Decided, Decision, MapSet, decide};
use crate::source;
use crate::target::catalog as target;

use super::catalogs::catalogs;
use super::copied;

struct Estate {
    maps: MapSet,
    source: source::Catalog,
    target: target::Catalog,
    choice: Choice,
}

impl Estate {
    fn of(version: &str) -> Self {
        let (source, target) = catalogs(version);
        Self { maps: MapSet::built_in().unwrap(), source, target, choice: Choice::default() }
    }

    fn with(mut self, change: impl FnOnce(&mut Choice)) -> Self {
        change(&mut self.choice);
        self
    }

    fn source_table(&mut self, name: &str, like: &str) {
        let table = source::Table { name: name.to_owned(), ..self.source.tables[like].clone() };
        self.source.tables.insert(name.to_owned(), table);
    }

    fn target_table(&mut self, name: &str, like: &str) {
        let table = target::Table { name: name.to_owned(), ..self.target.tables[like].clone() };
        self.target.tables.insert(name.to_owned(), table);
    }

    fn decide(&self) -> Result<Vec<Decision>, Error> {
        decide(&self.maps, &self.source, &self.target, &self.choice)
    }

    fn usage(&self) -> String {
        let error = self.decide().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Usage);
        error.report()
    }

    fn refusal(&self) -> String {
        let error = self.decide().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::SchemaMap);
        error.report()
    }

    /// Why `table` is skipped, and the sides that have it.
    fn skipped(&self, table: &str) -> (String, bool, bool) {
        let decisions = self.decide().unwrap();
        match decisions.into_iter().find(|decision| decision.table == table).unwrap().action {
            Decided::Skip { reason, on_source, on_target } => (reason, on_source, on_target),
            Decided::Copy { .. } => panic!("{table} is copied"),
        }
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(ToString::to_string).collect()
}

#[test]
fn include_words_copy_what_is_skipped_by_default() {
    let (reason, ..) = Estate::of("2.8").skipped("sessions");
    assert!(reason.contains("--include sessions"), "{reason}");
    let estate = Estate::of("2.8").with(|choice| choice.include = words(&["sessions", "metrics"]));
    let decisions = estate.decide().unwrap();
    let copied = copied(&decisions);
    for table in ["sessions", "ratelimiting_metrics", "response_ratelimiting_metrics"] {
        assert!(copied.contains(&table), "{table}");
    }
    assert!(!copied.contains(&"cluster_events"));
}

#[test]
fn unknown_words_and_tables_are_usage_errors() {
    let text = Estate::of("2.8").with(|choice| choice.include = words(&["session"])).usage();
    assert!(text.contains("--include does not know \"session\"; did you mean \"sessions\"?"), "{text}");
    assert!(text.contains("the words are audit, codes, data-planes, events, "), "{text}");
    let text = Estate::of("2.8").with(|choice| choice.skip_tables = words(&["consumer"])).usage();
    assert!(text.contains("--skip-tables does not know \"consumer\""), "{text}");
    assert!(text.contains("did you mean \"consumers\"?"), "{text}");
    let text = Estate::of("2.8").with(|choice| choice.tables = words(&["keys"])).usage();
    assert!(text.contains("--tables names keys, which the source does not have"), "{text}");
}

#[test]
fn lists_that_contradict_each_other_are_usage_errors() {
    let both = Estate::of("2.8").with(|choice| {
        choice.tables = words(&["routes"]);
        choice.skip_tables = words(&["routes"]);
    });
    assert!(both.usage().contains("routes stands in --tables and in --skip-tables"));
    let text = Estate::of("2.8").with(|choice| choice.tables = words(&["sessions"])).usage();
    assert!(text.contains("add --include sessions"), "{text}");
    let text = Estate::of("2.8").with(|choice| choice.tables = words(&["tags"])).usage();
    assert!(text.contains("derived"), "{text}");
}

#[test]
fn named_tables_bring_the_workspaces_along() {
    let estate = Estate::of("2.8").with(|choice| choice.tables = words(&["consumers"]));
    assert_eq!(copied(&estate.decide().unwrap()), ["consumers", "parameters", "workspaces"]);
    assert_eq!(estate.skipped("routes").0, "not named by --tables");
    let estate = estate.with(|choice| choice.skip_tables = words(&["parameters", "workspaces"]));
    assert_eq!(copied(&estate.decide().unwrap()), ["consumers"]);
}

#[test]
fn an_unknown_table_is_refused_until_it_is_left_out() {
    let mut estate = Estate::of("2.8");
    estate.source_table("my_plugin", "consumers");
    estate.source_table("other_plugin", "consumers");
    estate.target_table("my_plugin", "consumers");
    let text = estate.refusal();
    assert!(text.contains("\n  - my_plugin: an unknown table of the source; "), "{text}");
    assert!(
        text.contains("\n  - other_plugin: an unknown table of the source, which the target does not"),
        "{text}"
    );
    assert!(text.contains("--skip-tables my_plugin,other_plugin"), "{text}");
    let estate = estate.with(|choice| choice.skip_tables = words(&["my_plugin", "other_plugin"]));
    assert_eq!(estate.skipped("my_plugin"), ("left out by --skip-tables".to_owned(), true, true));
}

#[test]
fn an_unknown_table_of_the_target_alone_does_not_matter() {
    let mut estate = Estate::of("2.8");
    estate.target_table("my_plugin", "consumers");
    assert!(estate.decide().unwrap().iter().all(|decision| decision.table != "my_plugin"));
}

#[test]
fn leftovers_are_listed_unless_the_target_has_such_a_table() {
    let mut estate = Estate::of("3.3");
    for table in ["apis", "nodes", "vaults", "vaults_beta"] {
        estate.source_table(table, "consumers");
    }
    assert_eq!(estate.skipped("apis"), ("left behind by Kong before 1.0".to_owned(), true, false));
    assert!(estate.skipped("vaults_beta").0.contains("sm_vaults"));
    assert!(estate.skipped("vault_auth_vaults").0.contains("open-source"));
    estate.target_table("nodes", "consumers");
    assert!(estate.refusal().contains("nodes: an unknown table of the source; "));
}

#[test]
fn a_vaults_beta_that_is_no_leftover_is_not_given_up() {
    let mut estate = Estate::of("2.8");
    estate.target.tables.remove("vaults_beta");
    assert!(estate.refusal().contains("vaults_beta: the target does not have it; it belongs to Kong's core"));
}

#[test]
fn a_table_the_target_lacks_names_the_plugin() {
    let mut estate = Estate::of("2.8");
    estate.target.tables.remove("acme_storage");
    let text = estate.refusal();
    assert!(text.contains("bootstrapped without the plugin acme"), "{text}");
    assert!(text.contains("--skip-tables acme_storage"), "{text}");
}

#[test]
fn a_table_the_source_lacks_is_nothing_to_copy() {
    let mut estate = Estate::of("2.8");
    estate.source.tables.remove("acme_storage");
    assert_eq!(estate.skipped("acme_storage"), ("the source does not have it".to_owned(), false, true));
}

#[test]
fn problems_of_all_tables_come_together() {
    let mut estate = Estate::of("2.8");
    estate.source.tables.get_mut("consumers").unwrap().columns.retain(|column| column.name != "username");
    estate.target.tables.get_mut("routes").unwrap().columns.retain(|column| column.name != "hosts");
    let text = estate.refusal();
    assert!(text.contains("(2 problems)"), "{text}");
    assert!(text.contains("consumers.username") && text.contains("routes.hosts"), "{text}");
}
