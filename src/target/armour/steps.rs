//! The steps that put the armour back, and what each has to wait for.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::inventory::Armour;
use crate::target::tags::TAGS;

/// What a [`Step`] restores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum StepKind {
    /// One index. Several of one table can be built at once.
    Index,
    /// All keys of one table, from their indexes, and what hangs on its indexes: comments, CLUSTER mark, replica identity,
    /// statistics targets.
    Keys,
    /// One foreign key, not validated yet: takes a moment, but locks both tables.
    ForeignKey,
    /// Validates it: takes long, and locks little.
    Validate,
    /// Triggers and storage parameters of one table. Rows that go in afterwards are written to `tags` by triggers again.
    Finish,
}

/// One step of putting back; runs in a transaction of its own, or together with others that [follow](Armour::steps) it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// What it restores.
    pub kind: StepKind,
    /// Schema of the table.
    pub schema: String,
    /// The table: if it is loaded at all, it must have been, and policed, before.
    pub table: String,
    /// Name of the index or foreign key; that of the table for the other kinds.
    pub name: String,
    /// For a foreign key: the table it refers to, if that is disarmed too. It must have been loaded as well.
    pub parent: Option<String>,
    /// [`id`](Self::id)s of the steps that must have been done.
    pub after: Vec<String>,
}

/// A table lock of `PostgreSQL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)]
pub enum Lock {
    RowShare,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    AccessExclusive,
}

impl Lock {
    /// Whether two sessions cannot hold these on one table at the same time.
    pub fn conflicts_with(self, other: Self) -> bool {
        use Lock::{AccessExclusive, RowShare, Share};
        let (weaker, stronger) = if self < other { (self, other) } else { (other, self) };
        match (weaker, stronger) {
            (_, AccessExclusive) => true,
            (RowShare, _) | (Share, Share) => false,
            _ => true,
        }
    }
}

impl Step {
    /// Names the step within its armour; stable, for a journal: `index acls.acls_group_idx`.
    pub fn id(&self) -> String {
        id(self.kind, &self.table, &self.name)
    }

    /// The locks it takes on tables of the schema. Steps whose locks conflict wait for each other.
    pub fn locks(&self) -> Vec<(&str, Lock)> {
        let own = match self.kind {
            StepKind::Index => Lock::Share,
            StepKind::Keys => Lock::AccessExclusive,
            StepKind::Validate => Lock::ShareUpdateExclusive,
            StepKind::ForeignKey | StepKind::Finish => Lock::ShareRowExclusive,
        };
        let mut locks = vec![(self.table.as_str(), own)];
        if let Some(parent) = &self.parent {
            let lock = if self.kind == StepKind::Validate { Lock::RowShare } else { Lock::ShareRowExclusive };
            locks.push((parent, lock));
        }
        locks
    }

    /// Whether the two would wait for each other's locks when run at once.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        self.locks().iter().any(|(table, lock)| {
            other.locks().iter().any(|(taken, held)| table == taken && lock.conflicts_with(*held))
        })
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { table, name, .. } = self;
        match self.kind {
            StepKind::Index => write!(f, "build index {name} of {table}"),
            StepKind::Keys => write!(f, "restore the keys of {table}"),
            StepKind::ForeignKey => write!(f, "restore foreign key {name} of {table}"),
            StepKind::Validate => write!(f, "validate foreign key {name} of {table}"),
            StepKind::Finish => write!(f, "restore triggers and storage parameters of {table}"),
        }
    }
}

fn id(kind: StepKind, table: &str, name: &str) -> String {
    match kind {
        StepKind::Index => format!("index {table}.{name}"),
        StepKind::Keys => format!("keys {table}"),
        StepKind::ForeignKey => format!("foreign key {table}.{name}"),
        StepKind::Validate => format!("validate {table}.{name}"),
        StepKind::Finish => format!("finish {table}"),
    }
}

impl Armour {
    /// Steps that put it back, each behind those it depends on.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = Vec::new();
        for (table, armour) in &self.tables {
            let first = steps.len();
            for index in armour.indexes.iter().filter(|index| !index.made_by_key) {
                steps.push(self.step(StepKind::Index, table, &index.name, Vec::new()));
            }
            let after = steps.iter().skip(first).map(Step::id).collect();
            steps.push(self.step(StepKind::Keys, table, table, after));
        }
        let keys = |table: &str| self.tables.contains_key(table).then(|| id(StepKind::Keys, table, table));
        for kind in [StepKind::ForeignKey, StepKind::Validate] {
            for key in &self.foreign_keys {
                let disarmed = key.parent_schema == self.schema && self.tables.contains_key(&key.parent);
                let parent = disarmed.then(|| key.parent.clone());
                let after = if kind == StepKind::Validate {
                    vec![id(StepKind::ForeignKey, &key.table, &key.name)]
                } else {
                    let own = (key.schema == self.schema).then(|| keys(&key.table)).flatten();
                    let other = parent.as_deref().filter(|parent| *parent != key.table).and_then(keys);
                    own.into_iter().chain(other).collect()
                };
                let schema = key.schema.clone();
                steps.push(Step { schema, parent, ..self.step(kind, &key.table, &key.name, after) });
            }
        }
        for (table, armour) in &self.tables {
            // A trigger that writes tags needs their key.
            let tags = armour.tagged.then(|| keys(TAGS)).flatten();
            let mut after: Vec<String> = keys(table).into_iter().chain(tags).collect();
            after.dedup();
            steps.push(self.step(StepKind::Finish, table, table, after));
        }
        steps
    }

    fn step(&self, kind: StepKind, table: &str, name: &str, after: Vec<String>) -> Step {
        Step {
            kind,
            schema: self.schema.clone(),
            table: table.to_owned(),
            name: name.to_owned(),
            parent: None,
            after,
        }
    }
}
