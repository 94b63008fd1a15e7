//! The inventory: everything that is taken off, in the words that put it back.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// The armour of the tables of one schema. Stored in the journal before anything is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Armour {
    /// Schema of Kong's tables.
    pub schema: String,
    /// Tables to be loaded, by name.
    pub tables: BTreeMap<String, TableArmour>,
    /// Foreign keys of these tables, and those of other tables that refer to them.
    pub foreign_keys: Vec<ForeignKeyArmour>,
    /// The catalogs before, one line per object: what must be equal afterwards.
    pub snapshot: Vec<String>,
}

/// The armour of one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableArmour {
    /// All indexes, those behind keys included, in the order they were created in.
    pub indexes: Vec<IndexArmour>,
    /// Primary key, unique and exclusion constraints, in the order they were created in.
    pub keys: Vec<KeyArmour>,
    /// Triggers that are disabled for the load: enabled ones of Kong's own functions.
    pub triggers: Vec<TriggerArmour>,
    /// Names of the other enabled triggers. They stay and fire for each row or statement.
    pub other_triggers: Vec<String>,
    /// Storage parameters as the catalog has them, `fillfactor=70`, in its order.
    pub options: Vec<String>,
    /// Whether a trigger of the table writes [`tags`](crate::target::tags).
    pub tagged: bool,
    /// Columns of the primary key.
    pub primary_key: Vec<String>,
    /// Whether all of these are uuids: ids that an error may name. (A text could be a secret.)
    pub primary_key_is_id: bool,
}

/// An index.
// Properties as the catalog has them, each on its own.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IndexArmour {
    /// Its name.
    pub name: String,
    /// The statement that creates it, without the tablespace.
    pub definition: String,
    /// Its tablespace; empty for the default of the database.
    pub tablespace: String,
    /// Whether it is unique.
    pub unique: bool,
    /// Whether equal NULLs are duplicates (NULLS NOT DISTINCT).
    pub nulls_equal: bool,
    /// Whether an ADD CONSTRAINT creates it along: exclusion constraints and keys WITHOUT OVERLAPS cannot adopt an index.
    pub made_by_key: bool,
    /// Access method, such as `btree`.
    pub method: String,
    /// What it indexes, column by column, INCLUDEd columns left out.
    pub expressions: Vec<String>,
    /// Whether all of these are plain columns, and there is no condition.
    pub plain: bool,
    /// Its WHERE condition.
    pub predicate: Option<String>,
    /// Its comment.
    pub comment: Option<String>,
    /// Statistics targets of its columns: number, name and target.
    pub statistics: Vec<(i16, String, i32)>,
    /// Extensions it depends on.
    pub extensions: Vec<String>,
    /// Whether CLUSTER goes by it.
    pub clustered: bool,
    /// Whether it is the table's replica identity.
    pub replica_identity: bool,
}

/// What kind of constraint a [`KeyArmour`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeyKind {
    /// PRIMARY KEY.
    Primary,
    /// UNIQUE.
    Unique,
    /// EXCLUDE.
    Exclusion,
}

/// A primary key, unique or exclusion constraint. Its index has the same name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyArmour {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: KeyKind,
    /// Its definition as `pg_get_constraintdef` writes it.
    pub definition: String,
    /// DEFERRABLE.
    pub deferrable: bool,
    /// INITIALLY DEFERRED.
    pub deferred: bool,
    /// Its comment.
    pub comment: Option<String>,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignKeyArmour {
    /// Schema of the table that refers.
    pub schema: String,
    /// The table that refers.
    pub table: String,
    /// Its name.
    pub name: String,
    /// Its definition as `pg_get_constraintdef` writes it.
    pub definition: String,
    /// Its columns.
    pub columns: Vec<String>,
    /// Schema of the table referred to.
    pub parent_schema: String,
    /// The table referred to.
    pub parent: String,
    /// The columns referred to.
    pub parent_columns: Vec<String>,
    /// MATCH FULL: a key that is NULL in part is refused.
    pub match_full: bool,
    /// Its comment.
    pub comment: Option<String>,
    /// Columns of the primary key of the table that refers, when all are uuids; else empty.
    pub ids: Vec<String>,
}

/// When a trigger fires: `tgenabled`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TriggerFires {
    /// In ordinary sessions.
    Origin,
    /// Always, in sessions of a replica as well.
    Always,
}

/// A trigger that is disabled for the load.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TriggerArmour {
    /// Its name.
    pub name: String,
    /// When it fired before.
    pub fires: TriggerFires,
}

impl Armour {
    /// Tables whose triggers write `tags`.
    pub fn tagged(&self) -> BTreeSet<String> {
        let tagged = self.tables.iter().filter(|(_, table)| table.tagged);
        tagged.map(|(name, _)| name.clone()).collect()
    }

    /// Triggers that stay on and fire during the load, as (table, trigger): worth a notice.
    pub fn triggers_left_on(&self) -> Vec<(String, String)> {
        let each = |(table, armour): (&String, &TableArmour)| {
            armour.other_triggers.iter().map(|name| (table.clone(), name.clone())).collect::<Vec<_>>()
        };
        self.tables.iter().flat_map(each).collect()
    }

    /// The index or key of that name on `table`.
    pub(super) fn index(&self, table: &str, name: &str) -> Option<&IndexArmour> {
        self.tables.get(table)?.indexes.iter().find(|index| index.name == name)
    }

    /// The foreign key of that name on `table`.
    pub(super) fn foreign_key(&self, schema: &str, table: &str, name: &str) -> Option<&ForeignKeyArmour> {
        self.foreign_keys.iter().find(|key| key.schema == schema && key.table == table && key.name == name)
    }
}
