//! Which rows of the run refer to which others.

use super::Police;
use crate::target::armour::ForeignKeyArmour;
use crate::target::bootstrap::WORKSPACES;
use crate::target::identifier::quote;

/// Column with the workspace of a row.
pub(super) const WS_ID: &str = "ws_id";

/// A foreign key between tables of the run.
#[derive(Debug, Clone)]
pub(super) struct Relation {
    /// The table that refers.
    pub table: String,
    /// The table referred to.
    pub parent: String,
    /// Name of the foreign key.
    pub name: String,
    /// Columns of both, pair by pair.
    pub columns: Vec<(String, String)>,
    /// MATCH FULL: a key that is NULL in part is refused.
    match_full: bool,
}

impl Relation {
    fn of(key: &ForeignKeyArmour) -> Self {
        Self {
            table: key.table.clone(),
            parent: key.parent.clone(),
            name: key.name.clone(),
            columns: key.columns.iter().cloned().zip(key.parent_columns.iter().cloned()).collect(),
            match_full: key.match_full,
        }
    }

    /// `table.name`.
    pub fn id(&self) -> String {
        format!("{}.{}", self.table, self.name)
    }

    /// SQL condition: row `parent` is the one that row `child` refers to.
    pub fn equal(&self, child: &str, parent: &str) -> String {
        let equal =
            |(own, other): &(String, String)| format!("{parent}.{} = {child}.{}", quote(other), quote(own));
        self.columns.iter().map(equal).collect::<Vec<_>>().join(" AND ")
    }

    /// SQL condition: row `child` refers to a row at all.
    pub fn refers(&self, child: &str) -> String {
        let (word, not) = if self.match_full { (" OR ", " NOT") } else { (" AND ", " NOT") };
        let parts: Vec<String> =
            self.columns.iter().map(|(own, _)| format!("{child}.{} IS{not} NULL", quote(own))).collect();
        format!("({})", parts.join(word))
    }

    /// The column that refers to the parent and the column it refers to, where the workspace of both is the rest of the key.
    pub fn within_workspace(&self) -> Option<(&str, &str)> {
        let is_workspace = |(own, other): &&(String, String)| own == WS_ID && other == WS_ID;
        let rest: Vec<_> = self.columns.iter().filter(|pair| !is_workspace(pair)).collect();
        match rest.as_slice() {
            [(own, other)] if self.columns.len() == 2 => Some((own, other)),
            _ => None,
        }
    }
}

impl Police<'_> {
    /// Foreign keys from tables of the run to tables whose rows the run brought: where a parent was left out on purpose, no row
    /// is at fault for it.
    pub(super) fn relations(&self) -> Vec<Relation> {
        let loaded = |table: &str| {
            self.beats.iter().any(|beat| beat.table == table) || (self.with_workspaces && table == WORKSPACES)
        };
        self.armour
            .foreign_keys
            .iter()
            .filter(|key| key.schema == self.armour.schema && key.parent_schema == self.armour.schema)
            .filter(|key| key.table != WORKSPACES && loaded(&key.table) && loaded(&key.parent))
            .map(Relation::of)
            .collect()
    }

    /// Those from `table`.
    pub(super) fn relations_of(&self, table: &str) -> Vec<Relation> {
        self.relations().into_iter().filter(|relation| relation.table == table).collect()
    }
}
