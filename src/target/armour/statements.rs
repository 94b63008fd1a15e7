//! The statements that take off and put back. They are meant for a `search_path` of `pg_catalog` alone.

use std::collections::BTreeMap;

use super::inventory::{
    Armour, ForeignKeyArmour, IndexArmour, KeyArmour, KeyKind, TableArmour, TriggerFires,
};
use crate::target::identifier::{literal, qualified, quote};

/// Storage parameter that keeps autovacuum from a table.
const AUTOVACUUM: &str = "autovacuum_enabled";
/// `server_version_num` from which columns of an index are numbered in ALTER INDEX; before, they had names in ALTER TABLE.
const WITH_NUMBERED_COLUMNS: u32 = 110_000;

/// SQLSTATE of [`guarded`] statements: rows have the same unique key.
pub(super) const DUPLICATES: &str = "KF001";
/// Rows refer to rows that do not exist.
pub(super) const ORPHANS: &str = "KF002";
/// Rows exclude each other.
pub(super) const EXCLUDED: &str = "KF003";
/// A row's value is too large for an index, or an expression cannot be computed from it.
pub(super) const UNFIT: &str = "KF004";

/// Runs a statement that can fail for what stands in the rows. Errors of `PostgreSQL` quote keys in DETAIL, and go into the
/// server's log with it. Caught in a block they are not logged; what the block raises instead names no value.
///
/// Processes that help to build an index log their errors themselves: the statement must not have any.
pub(super) fn guarded(statement: &str, object: &str) -> String {
    let block = format!(
        "BEGIN
             EXECUTE {};
         EXCEPTION
             WHEN unique_violation THEN
                 RAISE EXCEPTION USING ERRCODE = '{DUPLICATES}', MESSAGE = {};
             WHEN foreign_key_violation THEN
                 RAISE EXCEPTION USING ERRCODE = '{ORPHANS}', MESSAGE = {};
             WHEN exclusion_violation THEN
                 RAISE EXCEPTION USING ERRCODE = '{EXCLUDED}', MESSAGE = {};
             WHEN integrity_constraint_violation OR data_exception OR program_limit_exceeded OR raise_exception
                     OR external_routine_exception THEN
                 RAISE EXCEPTION USING ERRCODE = '{UNFIT}', MESSAGE = {};
         END",
        literal(statement),
        literal(&format!("kongferry: rows have the same key in {object}")),
        literal(&format!("kongferry: rows refer to missing rows by {object}")),
        literal(&format!("kongferry: rows exclude each other by {object}")),
        literal(&format!("kongferry: a row does not fit into {object}")),
    );
    format!("DO {};", literal(&block))
}

/// Everything that takes the armour off.
pub(super) fn take_off(armour: &Armour) -> String {
    let mut by_table: BTreeMap<(&str, &str), Vec<String>> = BTreeMap::new();
    for key in &armour.foreign_keys {
        let drops = by_table.entry((&key.schema, &key.table)).or_default();
        drops.push(format!("DROP CONSTRAINT {}", quote(&key.name)));
    }
    let mut sql = String::new();
    for ((schema, table), drops) in by_table {
        sql += &format!("ALTER TABLE {} {};\n", qualified(schema, table), drops.join(", "));
    }
    let mut indexes = Vec::new();
    for (name, table) in &armour.tables {
        let drops = table.keys.iter().map(|key| format!("DROP CONSTRAINT {}", quote(&key.name)));
        let silences = table.triggers.iter().map(|it| format!("DISABLE TRIGGER {}", quote(&it.name)));
        let unattended = format!("SET ({AUTOVACUUM} = false)");
        let actions: Vec<String> = drops.chain(silences).chain([unattended]).collect();
        sql += &format!("ALTER TABLE {} {};\n", qualified(&armour.schema, name), actions.join(", "));
        let bare = |index: &&IndexArmour| !table.keys.iter().any(|key| key.name == index.name);
        indexes.extend(table.indexes.iter().filter(bare).map(|index| qualified(&armour.schema, &index.name)));
    }
    if !indexes.is_empty() {
        sql += &format!("DROP INDEX {};\n", indexes.join(", "));
    }
    sql
}

/// Builds an index. `object` as for [`guarded`].
pub(super) fn index(index: &IndexArmour, object: &str) -> String {
    in_tablespace(index) + &guarded(&index.definition, object)
}

fn in_tablespace(index: &IndexArmour) -> String {
    format!("SET LOCAL default_tablespace = {};\n", literal(&index.tablespace))
}

/// Adds one key.
pub(super) fn key(schema: &str, table: &str, armour: &TableArmour, key: &KeyArmour, object: &str) -> String {
    let index = armour.indexes.iter().find(|index| index.name == key.name);
    let (name, table) = (quote(&key.name), qualified(schema, table));
    if let Some(index) = index.filter(|index| index.made_by_key) {
        let add = format!("ALTER TABLE {table} ADD CONSTRAINT {name} {}", key.definition);
        return in_tablespace(index) + &guarded(&add, object);
    }
    let kind = if key.kind == KeyKind::Primary { "PRIMARY KEY" } else { "UNIQUE" };
    let deferrable = match (key.deferrable, key.deferred) {
        (true, true) => " DEFERRABLE INITIALLY DEFERRED",
        (true, false) => " DEFERRABLE",
        _ => "",
    };
    format!("ALTER TABLE {table} ADD CONSTRAINT {name} {kind} USING INDEX {name}{deferrable};")
}

/// What hangs on the keys and indexes of a table; can be run again.
pub(super) fn trimmings(schema: &str, table: &str, armour: &TableArmour, version: u32) -> String {
    let mut sql = String::new();
    let name = qualified(schema, table);
    for key in &armour.keys {
        if let Some(comment) = &key.comment {
            sql +=
                &format!("COMMENT ON CONSTRAINT {} ON {name} IS {};\n", quote(&key.name), literal(comment));
        }
    }
    for index in &armour.indexes {
        let index_name = qualified(schema, &index.name);
        if let Some(comment) = &index.comment {
            sql += &format!("COMMENT ON INDEX {index_name} IS {};\n", literal(comment));
        }
        for (number, column, target) in &index.statistics {
            sql += &if version >= WITH_NUMBERED_COLUMNS {
                format!("ALTER INDEX {index_name} ALTER COLUMN {number} SET STATISTICS {target};\n")
            } else {
                format!("ALTER TABLE {index_name} ALTER COLUMN {} SET STATISTICS {target};\n", quote(column))
            };
        }
        for extension in &index.extensions {
            sql += &format!("ALTER INDEX {index_name} DEPENDS ON EXTENSION {};\n", quote(extension));
        }
        if index.clustered {
            sql += &format!("ALTER TABLE {name} CLUSTER ON {};\n", quote(&index.name));
        }
        if index.replica_identity {
            sql += &format!("ALTER TABLE {name} REPLICA IDENTITY USING INDEX {};\n", quote(&index.name));
        }
    }
    sql
}

/// Adds a foreign key that is not validated.
pub(super) fn foreign_key(key: &ForeignKeyArmour) -> String {
    format!(
        "ALTER TABLE {} ADD CONSTRAINT {} {} NOT VALID;\n",
        qualified(&key.schema, &key.table),
        quote(&key.name),
        key.definition
    )
}

/// The comment of a foreign key.
pub(super) fn foreign_key_comment(key: &ForeignKeyArmour) -> String {
    key.comment.as_ref().map_or_else(String::new, |comment| {
        let (name, table) = (quote(&key.name), qualified(&key.schema, &key.table));
        format!("COMMENT ON CONSTRAINT {name} ON {table} IS {};\n", literal(comment))
    })
}

/// Validates a foreign key.
pub(super) fn validate(key: &ForeignKeyArmour, object: &str) -> String {
    let (name, table) = (quote(&key.name), qualified(&key.schema, &key.table));
    guarded(&format!("ALTER TABLE {table} VALIDATE CONSTRAINT {name}"), object)
}

/// Triggers and storage parameters as they were; can be run again.
pub(super) fn finish(schema: &str, table: &str, armour: &TableArmour) -> String {
    let options: Vec<(&str, &str)> =
        armour.options.iter().map(|option| option.split_once('=').unwrap_or((option, ""))).collect();
    let mut actions: Vec<String> = armour
        .triggers
        .iter()
        .map(|trigger| {
            let always = if trigger.fires == TriggerFires::Always { "ALWAYS " } else { "" };
            format!("ENABLE {always}TRIGGER {}", quote(&trigger.name))
        })
        .collect();
    // Where it was not set, the others are as they were. Where it was, SET puts each behind the others.
    let was_set = options.iter().any(|(name, _)| *name == AUTOVACUUM);
    if was_set {
        let names: Vec<String> = options.iter().map(|(name, _)| quote(name)).collect();
        let values: Vec<String> =
            options.iter().map(|(name, value)| format!("{} = {}", quote(name), literal(value))).collect();
        actions.push(format!("RESET ({})", names.join(", ")));
        actions.push(format!("SET ({})", values.join(", ")));
    } else {
        actions.push(format!("RESET ({AUTOVACUUM})"));
    }
    format!("ALTER TABLE {} {};\n", qualified(schema, table), actions.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn literals_survive_quotes_and_backslashes() {
        assert_eq!(literal("it's"), "'it''s'");
        assert_eq!(literal(r"a\'b"), r" E'a\\''b'");
    }

    #[test]
    fn storage_parameters_come_back_in_their_order() {
        let table = |options: &[&str]| TableArmour {
            options: options.iter().map(|option| (*option).to_owned()).collect(),
            ..TableArmour::default()
        };
        let untouched = finish("k", "t", &table(&["fillfactor=70"]));
        assert_eq!(untouched, "ALTER TABLE \"k\".\"t\" RESET (autovacuum_enabled);\n");
        let reordered = finish("k", "t", &table(&["autovacuum_enabled=off", "fillfactor=70"]));
        assert!(
            reordered.contains(
                "RESET (\"autovacuum_enabled\", \"fillfactor\"), SET (\"autovacuum_enabled\" = 'off', \"fillfactor\" = '70')"
            ),
            "{reordered}"
        );
    }
}
