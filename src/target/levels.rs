//! The order in which foreign keys let tables be loaded.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::catalog::{Catalog, ForeignKey};
use crate::error::{Error, ErrorKind, Result};

/// Tables in load order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Levels {
    /// Tables of each level, by name; the parents of a table stand in lower levels.
    pub levels: Vec<Vec<String>>,
    /// Tables with foreign keys to themselves, with the names of these. A row can refer to a row of any other split, so
    /// such a table is loaded in one transaction, and in one COPY statement unless they are deferrable.
    pub self_referencing: BTreeMap<String, Vec<String>>,
    /// Cycles that can be loaded all the same, since every constraint in them is deferrable.
    pub cycles: Vec<Cycle>,
    /// Foreign keys to tables that are not loaded.
    pub outside: Vec<OutsideParent>,
}

/// Tables that depend on each other; they stand in one level.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cycle {
    /// Its tables, to be loaded in one transaction.
    pub tables: Vec<String>,
    /// Its constraints, as (table, name), to be deferred in that transaction.
    pub constraints: Vec<(String, String)>,
}

/// A foreign key to a table that is not loaded: a row can be loaded only if its parent is on the target already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideParent {
    /// Table with the foreign key.
    pub table: String,
    /// Name of the constraint.
    pub constraint: String,
    /// Schema and name of the parent.
    pub parent: (String, String),
    /// Whether the parent stands in another schema.
    pub other_schema: bool,
}

/// Sorts `tables` into levels.
///
/// # Errors
/// `Preflight` when tables depend on each other in a circle and a constraint of it is not deferrable; names them.
pub fn load_levels(catalog: &Catalog, tables: &BTreeSet<String>) -> Result<Levels> {
    let mut result = Levels::default();
    let mut parents: BTreeMap<&str, Vec<&ForeignKey>> = BTreeMap::new();
    for name in tables {
        let edges = parents.entry(name).or_default();
        for key in catalog.tables.get(name).map_or(&[][..], |table| &table.foreign_keys) {
            let (schema, parent) = &key.parent;
            if *schema != catalog.schema || !tables.contains(parent) {
                result.outside.push(OutsideParent {
                    table: name.clone(),
                    constraint: key.name.clone(),
                    parent: key.parent.clone(),
                    other_schema: *schema != catalog.schema,
                });
            } else if parent == name {
                result.self_referencing.entry(name.clone()).or_default().push(key.name.clone());
            } else {
                edges.push(key);
            }
        }
    }

    let mut waiting = components(&parents);
    for component in waiting.iter().filter(|component| component.len() > 1) {
        result.cycles.push(deferrable_cycle(&parents, component)?);
    }
    let mut loaded: BTreeSet<&str> = BTreeSet::new();
    while !waiting.is_empty() {
        let (ready, rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|component| {
            edges_of(&parents, component).all(|(_, key)| {
                loaded.contains(key.parent.1.as_str()) || component.contains(key.parent.1.as_str())
            })
        });
        if ready.is_empty() {
            return Err(Error::new(ErrorKind::Internal, "the foreign keys give no load order"));
        }
        let mut level: Vec<&str> = ready.into_iter().flatten().collect();
        level.sort_unstable();
        loaded.extend(&level);
        result.levels.push(level.into_iter().map(str::to_owned).collect());
        waiting = rest;
    }
    Ok(result)
}

type Parents<'a> = BTreeMap<&'a str, Vec<&'a ForeignKey>>;

/// The foreign keys of the tables of a component, with the table each belongs to.
fn edges_of<'p, 'a: 'p>(
    parents: &'p Parents<'a>,
    component: &'p BTreeSet<&'a str>,
) -> impl Iterator<Item = (&'a str, &'a ForeignKey)> + 'p {
    component.iter().flat_map(|table| parents.get(table).into_iter().flatten().map(|key| (*table, *key)))
}

/// Tables that reach each other, together; every table is in exactly one component. Quadratic, for a few hundred tables.
fn components<'a>(parents: &Parents<'a>) -> Vec<BTreeSet<&'a str>> {
    let reach: BTreeMap<&str, BTreeSet<&str>> =
        parents.keys().map(|table| (*table, ancestors(parents, table))).collect();
    let mut placed: BTreeSet<&str> = BTreeSet::new();
    let mut components = Vec::new();
    for table in parents.keys() {
        if placed.contains(table) {
            continue;
        }
        let mut component = BTreeSet::from([*table]);
        for other in &reach[table] {
            if reach.get(other).is_some_and(|back| back.contains(table)) {
                component.insert(other);
            }
        }
        placed.extend(&component);
        components.push(component);
    }
    components
}

fn ancestors<'a>(parents: &Parents<'a>, table: &str) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut queue = VecDeque::from([table.to_owned()]);
    while let Some(next) = queue.pop_front() {
        for key in parents.get(next.as_str()).into_iter().flatten() {
            if found.insert(key.parent.1.as_str()) {
                queue.push_back(key.parent.1.clone());
            }
        }
    }
    found
}

fn deferrable_cycle(parents: &Parents<'_>, component: &BTreeSet<&str>) -> Result<Cycle> {
    let inside: Vec<(&str, &ForeignKey)> = component
        .iter()
        .flat_map(|table| parents.get(table).into_iter().flatten().map(|key| (*table, *key)))
        .filter(|(_, key)| component.contains(key.parent.1.as_str()))
        .collect();
    if inside.iter().all(|(_, key)| key.deferrable) {
        return Ok(Cycle {
            tables: component.iter().map(|table| (*table).to_owned()).collect(),
            constraints: inside.iter().map(|(table, key)| ((*table).to_owned(), key.name.clone())).collect(),
        });
    }
    let keys: Vec<String> =
        inside.iter().map(|(table, key)| format!("{} ({table} to {})", key.name, key.parent.1)).collect();
    let tables = component.iter().copied().collect::<Vec<_>>().join(", ");
    Err(Error::new(
        ErrorKind::Preflight,
        format!("tables {tables} depend on each other in a circle, so that none can be loaded first"),
    )
    .because(format!("foreign keys {}", keys.join(", ")))
    .remedy(
        "drop one of these foreign keys for the time of the copy, or leave its table out with --skip-tables",
    ))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::target::catalog::Table;

    fn key(name: &str, parent: &str, deferrable: bool) -> ForeignKey {
        ForeignKey {
            name: name.to_owned(),
            columns: vec!["p".to_owned()],
            parent: ("kong".to_owned(), parent.to_owned()),
            parent_columns: vec!["id".to_owned()],
            deferrable,
        }
    }

    fn catalog(edges: &[(&str, &str, bool)]) -> (Catalog, BTreeSet<String>) {
        let mut catalog = Catalog { schema: "kong".to_owned(), ..Catalog::default() };
        for (child, parent, deferrable) in edges {
            for name in [child, parent] {
                catalog
                    .tables
                    .entry((*name).to_owned())
                    .or_insert_with(|| Table { name: (*name).to_owned(), ..Table::default() });
            }
            let fk = key(&format!("{child}_{parent}_fk"), parent, *deferrable);
            catalog.tables.get_mut(*child).unwrap().foreign_keys.push(fk);
        }
        let tables = catalog.tables.keys().cloned().collect();
        (catalog, tables)
    }

    #[test]
    fn parents_come_first_and_self_references_are_reported() {
        let (catalog, tables) = catalog(&[
            ("plugins", "routes", false),
            ("routes", "services", false),
            ("services", "workspaces", false),
            ("plugins", "workspaces", false),
            ("groups", "groups", false),
        ]);
        let levels = load_levels(&catalog, &tables).unwrap();
        assert_eq!(
            levels.levels,
            [vec!["groups", "workspaces"], vec!["services"], vec!["routes"], vec!["plugins"]]
        );
        assert_eq!(levels.self_referencing["groups"], ["groups_groups_fk"]);
    }

    #[test]
    fn parents_that_are_not_loaded_are_reported() {
        let (mut catalog, mut tables) = catalog(&[("a", "b", false)]);
        let mut foreign = key("a_x_fk", "x", false);
        foreign.parent.0 = "other".to_owned();
        catalog.tables.get_mut("a").unwrap().foreign_keys.push(foreign);
        tables.remove("b");
        let levels = load_levels(&catalog, &tables).unwrap();
        assert_eq!(levels.levels, [["a"]]);
        let outside: Vec<_> = levels.outside.iter().map(|o| (o.parent.1.as_str(), o.other_schema)).collect();
        assert_eq!(outside, [("b", false), ("x", true)]);
    }

    #[test]
    fn a_circle_is_refused_by_name_unless_deferrable() {
        let (refused, tables) =
            catalog(&[("a", "b", true), ("b", "c", false), ("c", "a", true), ("d", "a", false)]);
        let error = load_levels(&refused, &tables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Preflight);
        let report = error.report();
        assert!(report.contains("tables a, b, c depend") && report.contains("a_b_fk (a to b)"), "{report}");
        assert!(report.contains("b_c_fk (b to c)") && report.contains("--skip-tables"), "{report}");

        let (deferrable, tables) =
            catalog(&[("a", "b", true), ("b", "a", true), ("d", "a", false), ("b", "e", false)]);
        let levels = load_levels(&deferrable, &tables).unwrap();
        assert_eq!(levels.levels, [vec!["e"], vec!["a", "b"], vec!["d"]]);
        assert_eq!(levels.cycles[0].tables, ["a", "b"]);
        assert_eq!(levels.cycles[0].constraints.len(), 2);
    }

    proptest! {
        #[test]
        fn every_parent_stands_in_a_lower_level(
            edges in prop::collection::vec((0_usize..30, 0_usize..30), 0..80)
        ) {
            // Towards smaller numbers only: no circles.
            let names: Vec<String> = (0..30).map(|n| format!("t{n}")).collect();
            let edges: Vec<_> = edges
                .iter()
                .map(|(a, b)| (names[*a.max(b)].as_str(), names[*a.min(b)].as_str(), false))
                .collect();
            let (catalog, tables) = catalog(&edges);
            let levels = load_levels(&catalog, &tables).unwrap();
            let place: BTreeMap<&str, usize> = levels
                .levels
                .iter()
                .enumerate()
                .flat_map(|(place, level)| level.iter().map(move |table| (table.as_str(), place)))
                .collect();
            prop_assert_eq!(place.len(), tables.len());
            prop_assert_eq!(levels.levels.iter().map(Vec::len).sum::<usize>(), tables.len());
            for (child, parent, _) in edges {
                if child == parent {
                    prop_assert!(levels.self_referencing.contains_key(child));
                } else {
                    prop_assert!(place[parent] < place[child]);
                }
            }
        }
    }
}
