//! A map written as text reads back as the same map.

use std::collections::BTreeMap;

use proptest::prelude::*;

use crate::schema_map::render::render;
use crate::schema_map::{Action, ColumnRule, Leftover, MapSet, Origin, Rule, TableMap, parse};

fn read_back(map: &TableMap) -> TableMap {
    let text = render(map);
    match parse::parse(&text, "t.toml", Origin::Derived) {
        Ok(map) => map,
        Err(problems) => panic!("{problems:?}\n{text}"),
    }
}

/// All that a map says, its text aside.
fn assert_same(one: &TableMap, other: &TableMap) {
    let says = |map: &TableMap| {
        let TableMap { table, action, reason, include, required, subsystem, leftover, .. } = map.clone();
        (table, action, reason, include, required, subsystem, leftover)
    };
    assert_eq!(says(one), says(other));
    assert_eq!(one.columns, other.columns);
}

#[test]
fn the_built_in_maps_read_back() {
    for map in MapSet::built_in().unwrap().iter() {
        assert_same(map, &read_back(map));
    }
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{1,12}",
        "\\PC{1,8}",
        any::<String>().prop_filter("not empty", |name| !name.is_empty())
    ]
}

/// A rule that may name any of `names`.
fn rule(names: Vec<String>) -> impl Strategy<Value = ColumnRule> {
    let of = prop::sample::select(names.clone());
    let part = prop_oneof![Just(String::new()), prop::sample::select(names)];
    let rule = prop_oneof![
        Just(Rule::Copy),
        Just(Rule::StripWorkspace),
        Just(Rule::Timestamp),
        Just(Rule::WholeSeconds),
        Just(Rule::Workspace),
        (of.clone(), any::<bool>()).prop_map(|(of, optional)| Rule::ExpiresAt { of, optional }),
        of.prop_map(|of| Rule::KeyringState { of }),
        any::<String>().prop_map(|value| Rule::Default { value }),
        (name(), prop::collection::vec(part, 0..7)).prop_map(|(head, parts)| Rule::CacheKey { head, parts }),
        any::<String>().prop_map(|value| Rule::Constant { value }),
        Just(Rule::Drop),
        Just(Rule::Leave),
    ];
    (rule, any::<bool>()).prop_map(|(rule, if_present)| ColumnRule { rule, if_present })
}

fn columns() -> impl Strategy<Value = BTreeMap<String, ColumnRule>> {
    prop::collection::btree_set(name(), 1..6).prop_flat_map(|names| {
        let names: Vec<_> = names.into_iter().collect();
        let rules: Vec<_> = names.iter().map(|_| rule(names.clone())).collect();
        rules.prop_map(move |rules| names.iter().cloned().zip(rules).collect())
    })
}

prop_compose! {
    fn map()(
        table in name(),
        action in prop::sample::select(vec![Action::Copy, Action::Skip, Action::Merge]),
        reason in name(),
        include in prop::option::of("[a-z-]{1,9}"),
        subsystem in prop::option::of(name()),
        leftover in prop::option::of((prop::option::of(name()), prop::option::of(name()), name())),
        columns in columns(),
        required in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    ) -> TableMap {
        let names: Vec<_> = columns.keys().cloned().collect();
        TableMap {
            table,
            action,
            reason: (action != Action::Copy).then_some(reason),
            include: include.filter(|_| action == Action::Skip),
            required: required.iter().map(|index| index.get(&names).clone()).collect(),
            subsystem,
            secrets: Vec::new(),
            leftover: leftover.map(|(beside, without, reason)| Leftover { beside, without, reason }),
            columns,
            origin: Origin::Derived,
            text: String::new(),
            hash: 0,
        }
    }
}

proptest! {
    #[test]
    fn any_map_reads_back(map in map()) {
        assert_same(&map, &read_back(&map));
    }
}
