//! From a plan to the tasks of the ledger: what a run consists of, and what has to wait for what.
//!
//! Armed, a table waits for its parents. Disarmed, tables are loaded in any order; what was taken off a table comes back as soon
//! as the table is loaded, a foreign key when both its tables have their keys.

use std::collections::{BTreeMap, BTreeSet};

use super::plan::{Plan, TablePlan};
use super::workers;
use crate::ledger::{Lane, NewTask, Work};
use crate::target::Catalog;
use crate::target::armour::{Armour, Step, StepKind};
use crate::target::bootstrap::WORKSPACES;
use crate::target::tags::TAGS;

/// What is first among the tasks that can begin: loading in the order of size, and on the target what others wait for.
const FIRST: i64 = i64::MAX;
const KEYS_FIRST: i64 = 1 << 40;

const SEED: &str = "seed";
const DISARM: &str = "disarm";
const FINISH: &str = "finish";
const DERIVE: &str = "derive";

/// The tasks of a run.
pub fn tasks(plan: &Plan, catalog: &Catalog, armour: Option<&Armour>) -> Vec<NewTask> {
    let mut tasks = vec![seed(plan)];
    let ready = if armour.is_some() {
        tasks.push(on_target(Work::Disarm, DISARM, None, vec![SEED.to_owned()], FIRST, Lane::Load));
        DISARM
    } else {
        SEED
    };
    for table in plan.tables.iter().filter(|table| table.table != WORKSPACES) {
        let mut needs = vec![ready.to_owned()];
        if armour.is_none() {
            needs.extend(parents(plan, catalog, table).into_iter().map(copy));
        }
        tasks.extend(copies(table, &needs));
    }
    if let Some(armour) = armour {
        restore(plan, armour, &mut tasks);
    } else {
        let needs = plan.tables.iter().map(|table| copy(&table.table)).collect();
        tasks.push(on_target(Work::Derive, DERIVE, None, needs, KEYS_FIRST, Lane::Settle));
    }
    let tags = catalog.tables.contains_key(TAGS).then_some((TAGS, FIRST));
    let vacuumed = plan.tables.iter().map(|table| (table.table.as_str(), weight(table))).chain(tags);
    for (table, priority) in vacuumed {
        let part = format!("vacuum {table}");
        let needs = vec![DERIVE.to_owned()];
        tasks.push(on_target(Work::Vacuum, &part, Some(table), needs, priority, Lane::Settle));
    }
    tasks
}

/// The part that loads `table`.
pub(super) fn copy(table: &str) -> String {
    format!("copy {table}")
}

fn seed(plan: &Plan) -> NewTask {
    // The workspaces are loaded in it.
    let table = plan.copied().get(WORKSPACES).cloned();
    let share = if table.is_some() { 1.0 } else { 0.0 };
    NewTask {
        lane: Lane::Load,
        work: Work::Seed,
        label: "replacing the bootstrap rows".to_owned(),
        table,
        part: SEED.to_owned(),
        needs: Vec::new(),
        priority: FIRST,
        share,
    }
}

/// Tables of the run that `table` refers to.
fn parents<'a>(plan: &'a Plan, catalog: &Catalog, table: &TablePlan) -> BTreeSet<&'a str> {
    let keys = catalog.tables.get(&table.table).map_or(&[][..], |known| &known.foreign_keys);
    keys.iter()
        .filter(|key| key.parent.0 == catalog.schema && key.parent.1 != table.table)
        .filter_map(|key| plan.tables.iter().find(|other| other.table == key.parent.1))
        .map(|other| other.table.as_str())
        .collect()
}

/// Large tables first, so that the last ones end together.
fn weight(table: &TablePlan) -> i64 {
    let rows = table.estimate.unwrap_or_default().min(1 << 32);
    i64::try_from(rows).unwrap_or_default()
}

fn copies(table: &TablePlan, needs: &[String]) -> Vec<NewTask> {
    let pieces = workers::pieces_of(table);
    let count = pieces.len();
    pieces
        .into_iter()
        .enumerate()
        .map(|(number, splits)| NewTask {
            lane: Lane::Load,
            label: match count {
                1 => format!("copying {}", table.table),
                _ => format!("copying {}, split {} of {count}", table.table, number + 1),
            },
            share: splits.iter().map(|split| split.share).sum(),
            work: Work::Copy(splits),
            table: Some(table.table.clone()),
            part: copy(&table.table),
            needs: needs.to_vec(),
            priority: weight(table),
        })
        .collect()
}

fn on_target(
    work: Work,
    part: &str,
    table: Option<&str>,
    needs: Vec<String>,
    priority: i64,
    lane: Lane,
) -> NewTask {
    NewTask {
        lane,
        work,
        label: part.to_owned(),
        table: table.map(str::to_owned),
        part: part.to_owned(),
        needs,
        priority,
        share: 0.0,
    }
}

/// Everything that is put back. The part of a step is named by its id; it waits for its table's rows, and those of the table it
/// refers to.
fn restore(plan: &Plan, armour: &Armour, tasks: &mut Vec<NewTask>) {
    let loaded = |name: &str| plan.tables.iter().find(|table| table.table == name);
    let tagged: Vec<String> = armour.tagged().into_iter().filter(|table| loaded(table).is_some()).collect();
    // There are as many as all tagged rows together.
    let rows_of_tags = tagged.iter().filter_map(|table| loaded(table)).map(|table| weight(table)).sum();
    let size =
        |name: &str| loaded(name).map_or(if name == TAGS { rows_of_tags } else { 0 }, |table| weight(table));
    let rows_of = |name: &str| match name {
        TAGS => tagged.iter().map(|table| tags_of(table)).collect(),
        _ => vec![copy(name)],
    };
    for table in &tagged {
        let priority = KEYS_FIRST + size(table);
        tasks.push(on_target(
            Work::Tags,
            &tags_of(table),
            Some(table),
            vec![copy(table)],
            priority,
            Lane::Settle,
        ));
    }
    let mut validated: BTreeMap<String, String> = BTreeMap::new();
    let (mut before_finish, mut finish) =
        (tagged.iter().map(|table| tags_of(table)).collect::<Vec<_>>(), Vec::new());
    before_finish.extend(plan.tables.iter().map(|table| copy(&table.table)));
    let steps = armour.steps();
    let added: Vec<(String, String)> = steps
        .iter()
        .filter(|step| step.kind == StepKind::ForeignKey)
        .map(|step| (step.table.clone(), step.id()))
        .collect();
    for step in steps {
        let mut needs = step.after.clone();
        needs.push(DISARM.to_owned());
        needs.extend(rows_of(&step.table));
        needs.extend(step.parent.iter().flat_map(|parent| rows_of(parent)));
        let (id, mut priority) = (step.id(), size(&step.table));
        match step.kind {
            StepKind::Index => {}
            StepKind::Keys | StepKind::ForeignKey => priority += KEYS_FIRST,
            StepKind::Validate => {
                // Each locks its table against the next, and against foreign keys that are still to be added.
                needs.extend(validated.insert(step.table.clone(), id.clone()));
                needs
                    .extend(added.iter().filter(|(table, _)| *table == step.table).map(|(_, id)| id.clone()));
            }
            StepKind::Finish => {
                finish.push(step);
                continue;
            }
        }
        before_finish.push(id.clone());
        tasks.push(restoring(step, id, needs, priority));
    }
    let label = "restoring triggers and comparing the catalogs";
    tasks.push(NewTask {
        label: label.to_owned(),
        ..on_target(Work::Finish(finish), FINISH, None, before_finish, 0, Lane::Settle)
    });
    tasks.push(on_target(Work::Derive, DERIVE, None, vec![FINISH.to_owned()], KEYS_FIRST, Lane::Settle));
}

fn tags_of(table: &str) -> String {
    format!("tags {table}")
}

fn restoring(step: Step, part: String, needs: Vec<String>, priority: i64) -> NewTask {
    let label = step.to_string();
    let table = Some(step.table.clone());
    NewTask { lane: Lane::Settle, work: Work::Restore(step), label, table, part, needs, priority, share: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::armour::{ForeignKeyArmour, IndexArmour, KeyArmour, KeyKind, TableArmour};

    fn index(name: &str) -> IndexArmour {
        IndexArmour {
            name: name.to_owned(),
            definition: String::new(),
            tablespace: String::new(),
            unique: true,
            nulls_equal: false,
            made_by_key: false,
            method: "btree".to_owned(),
            expressions: Vec::new(),
            plain: true,
            predicate: None,
            comment: None,
            statistics: Vec::new(),
            extensions: Vec::new(),
            clustered: false,
            replica_identity: false,
        }
    }

    fn armed(table: &str, tagged: bool) -> (String, TableArmour) {
        let key = KeyArmour {
            name: format!("{table}_pkey"),
            kind: KeyKind::Primary,
            definition: String::new(),
            deferrable: false,
            deferred: false,
            comment: None,
        };
        let armour = TableArmour {
            indexes: vec![index(&key.name)],
            keys: vec![key],
            tagged,
            ..TableArmour::default()
        };
        (table.to_owned(), armour)
    }

    fn armour(tables: &[(&str, bool)], foreign_keys: &[(&str, &str)]) -> Armour {
        Armour {
            schema: "public".to_owned(),
            tables: tables.iter().map(|(table, tagged)| armed(table, *tagged)).collect(),
            foreign_keys: foreign_keys
                .iter()
                .map(|(table, parent)| ForeignKeyArmour {
                    schema: "public".to_owned(),
                    table: (*table).to_owned(),
                    name: format!("{table}_{parent}_fkey"),
                    definition: String::new(),
                    columns: Vec::new(),
                    parent_schema: "public".to_owned(),
                    parent: (*parent).to_owned(),
                    parent_columns: Vec::new(),
                    match_full: false,
                    comment: None,
                    ids: Vec::new(),
                })
                .collect(),
            snapshot: Vec::new(),
        }
    }

    fn empty_plan() -> Plan {
        Plan {
            tables: Vec::new(),
            skipped: Vec::new(),
            notes: Vec::new(),
            keyring: crate::engine::keyring::Keyring::default(),
        }
    }

    /// Everything that must be done before a task, near and far.
    fn before(tasks: &[NewTask], task: &NewTask) -> BTreeSet<String> {
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut open: Vec<String> = task.needs.clone();
        while let Some(part) = open.pop() {
            if found.insert(part.clone()) {
                open.extend(
                    tasks.iter().filter(|task| task.part == part).flat_map(|task| task.needs.clone()),
                );
            }
        }
        found
    }

    #[test]
    fn nothing_comes_back_before_it_was_taken_off_and_nothing_is_finished_before_all_is_back() {
        let armour = armour(
            &[("acls", true), ("consumers", true), ("tags", false), ("parameters", false)],
            &[("acls", "consumers"), ("acls", "workspaces")],
        );
        let tasks = tasks(&empty_plan(), &Catalog::default(), Some(&armour));
        for task in &tasks {
            let before = before(&tasks, task);
            assert!(!before.contains(&task.part), "{} waits for itself", task.label);
            match &task.work {
                Work::Seed => assert!(before.is_empty()),
                Work::Disarm => assert!(before.contains(SEED)),
                Work::Finish(_) => {
                    let restored = tasks.iter().filter(|task| matches!(task.work, Work::Restore(_)));
                    for restored in restored {
                        assert!(before.contains(&restored.part), "finished before {}", restored.label);
                    }
                }
                _ => assert!(before.contains(DISARM), "{} does not wait until it is taken off", task.label),
            }
        }
        assert!(tasks.iter().any(|task| matches!(task.work, Work::Finish(_))));
    }
}
