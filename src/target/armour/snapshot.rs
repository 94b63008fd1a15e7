//! The catalogs of some tables as lines to compare.
//!
//! A line holds a whole catalog row, save what is no property of the object (oids, statistics, places on disk), so that a
//! property a later `PostgreSQL` adds is compared as well.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::inventory::Armour;
use super::read::{get, rows};
use crate::error::Result;
use crate::target::identifier::quote;
use crate::target::{LoadTransaction, Target};

const WHAT: &str = "cannot read the catalogs of the target";

/// One line per table, column, index, constraint and trigger of the tables with these oids. The session's `search_path` must
/// be `pg_catalog`, so that every name is written in full.
pub(super) async fn take(client: &tokio_postgres::Client, oids: &[u32]) -> Result<Vec<String>> {
    let lines = rows(client, WHAT, SNAPSHOT, &[&oids]).await?;
    lines.iter().map(|row| get(row, 0, WHAT)).collect()
}

/// Oids of the tables an armour is about: its own and those at the other ends of their foreign keys.
pub(super) async fn oids(client: &tokio_postgres::Client, armour: &Armour) -> Result<Vec<u32>> {
    let mut tables: BTreeSet<(&str, &str)> =
        armour.tables.keys().map(|table| (armour.schema.as_str(), table.as_str())).collect();
    for key in &armour.foreign_keys {
        tables.insert((&key.schema, &key.table));
        tables.insert((&key.parent_schema, &key.parent));
    }
    oids_of(client, &tables).await
}

/// Oids of tables by schema and name; one that does not exist is left out.
pub(super) async fn oids_of(
    client: &tokio_postgres::Client,
    tables: &BTreeSet<(&str, &str)>,
) -> Result<Vec<u32>> {
    let (schemas, names): (Vec<&str>, Vec<&str>) = tables.iter().copied().unzip();
    let sql = "SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               JOIN unnest($1::text[], $2::text[]) w (schema, name) ON w.schema = n.nspname AND w.name = c.relname";
    let found = rows(client, WHAT, sql, &[&schemas, &names]).await?;
    found.iter().map(|row| get(row, 0, WHAT)).collect()
}

/// What differs between the catalogs as recorded and as they are, one line per object; empty when all is back.
///
/// `new_defaults` names columns, as `table.column`, whose default was changed on purpose (`Seeded::defaults`).
pub async fn differences(
    target: &Target,
    armour: &Armour,
    new_defaults: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let transaction = target.begin().await?;
    let client = transaction.client()?;
    super::read::write_names_in_full(client).await?;
    let now = take(client, &oids(client, armour).await?).await?;
    transaction.rollback().await?;
    Ok(compare(&armour.snapshot, &now, new_defaults))
}

/// The session's `search_path` must be `pg_catalog`.
pub(super) async fn differences_within(
    client: &tokio_postgres::Client,
    armour: &Armour,
    new_defaults: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let now = take(client, &oids(client, armour).await?).await?;
    Ok(compare(&armour.snapshot, &now, new_defaults))
}

/// Like [`differences`], within a transaction that has not been committed yet.
pub async fn differences_in(
    transaction: &LoadTransaction,
    armour: &Armour,
    new_defaults: &BTreeSet<String>,
) -> Result<Vec<String>> {
    let client = transaction.client()?;
    super::read::write_names_in_full(client).await?;
    differences_within(client, armour, new_defaults).await
}

/// Statement that makes the names in SQL text mean what they mean to the program again.
pub(super) fn usual_search_path(schema: &str) -> String {
    format!("SET LOCAL search_path = {}", quote(schema))
}

fn compare(before: &[String], now: &[String], new_defaults: &BTreeSet<String>) -> Vec<String> {
    let (before, now) = (by_object(before), by_object(now));
    let mut found = Vec::new();
    for (object, old) in &before {
        match now.get(object) {
            None => found.push(format!("{object} is missing")),
            Some(new) if new != old => {
                let changed = changed_properties(old, new, new_defaults);
                if !changed.is_empty() {
                    found.push(format!("{object} differs in {}", changed.join(", ")));
                }
            }
            Some(_) => {}
        }
    }
    found.extend(now.keys().filter(|object| !before.contains_key(*object)).map(|it| format!("{it} is new")));
    found
}

fn by_object(lines: &[String]) -> BTreeMap<&str, Value> {
    lines
        .iter()
        .map(|line| {
            let (object, properties) = line.split_once(SEPARATOR).unwrap_or((line, ""));
            (object, serde_json::from_str(properties).unwrap_or_default())
        })
        .collect()
}

/// Names of the properties that differ. Their values can hold literals of defaults and conditions, and stay away.
fn changed_properties(old: &Value, new: &Value, new_defaults: &BTreeSet<String>) -> Vec<String> {
    let text = |key: &str| old[key].as_str().unwrap_or_default();
    let on_purpose = new_defaults.contains(&format!("{}.{}", text("table"), text("attname")));
    let names = |value: &Value| -> BTreeSet<String> {
        value.as_object().map(|object| object.keys().cloned().collect()).unwrap_or_default()
    };
    names(old)
        .union(&names(new))
        .filter(|name| old[name.as_str()] != new[name.as_str()])
        .filter(|name| !(on_purpose && matches!(name.as_str(), "default" | "atthasdef")))
        .cloned()
        .collect()
}

/// Between an object and its properties.
const SEPARATOR: &str = " = ";

const SNAPSHOT: &str = "
    WITH t AS (SELECT c.oid, format('%I.%I', n.nspname, c.relname) AS name, c.relname
               FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
               WHERE c.oid = ANY ($1::oid[])),
    lines (object, properties) AS (
        SELECT 'table ' || t.name,
               to_jsonb(c) - 'oid' - 'relnamespace' - 'reltype' - 'reloftype' - 'relowner' - 'relfilenode' - 'reltablespace'
                   - 'relpages' - 'reltuples' - 'relallvisible' - 'relallfrozen' - 'reltoastrelid' - 'relhasindex'
                   - 'relhaspkey' - 'relhasrules' - 'relhastriggers' - 'relhassubclass' - 'relrewrite' - 'relfrozenxid'
                   - 'relminmxid' - 'relpartbound'
               || jsonb_build_object('owner', pg_get_userbyid(c.relowner), 'tablespace', s.spcname,
                                     'toast', toast.reloptions, 'comment', obj_description(c.oid, 'pg_class'))
        FROM t JOIN pg_catalog.pg_class c ON c.oid = t.oid
        LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace
        LEFT JOIN pg_catalog.pg_class toast ON toast.oid = c.reltoastrelid
        UNION ALL
        SELECT format('column %s.%I', t.name, a.attname),
               to_jsonb(a) - 'attrelid' - 'atttypid' - 'attcacheoff' - 'attmissingval'
               || jsonb_build_object('table', t.relname, 'type', format_type(a.atttypid, a.atttypmod),
                                     'default', pg_get_expr(d.adbin, d.adrelid), 'comment', col_description(t.oid, a.attnum))
        FROM t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attnum > 0 AND NOT a.attisdropped
        UNION ALL
        SELECT format('index %I.%I', n.nspname, c.relname),
               to_jsonb(i) - 'indexrelid' - 'indrelid' - 'indcheckxmin' - 'indcollation' - 'indclass' - 'indexprs' - 'indpred'
               || jsonb_build_object('table', t.name, 'definition', pg_get_indexdef(i.indexrelid), 'options', c.reloptions,
                      'tablespace', s.spcname, 'owner', pg_get_userbyid(c.relowner), 'persistence', c.relpersistence,
                      'comment', obj_description(c.oid, 'pg_class'),
                      'statistics', ARRAY(SELECT format('%s %s %s', a.attnum, a.attstattarget, a.attoptions)
                                          FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid
                                          AND (a.attstattarget >= 0 OR a.attoptions IS NOT NULL) ORDER BY a.attnum),
                      'extensions', ARRAY(SELECT format('%s %s', d.deptype, e.extname)
                                          FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                                          WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid
                                          AND d.refclassid = 'pg_catalog.pg_extension'::regclass
                                          AND d.deptype IN ('e', 'x') ORDER BY 1))
        FROM t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid
        JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
        JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = c.reltablespace
        UNION ALL
        SELECT format('constraint %I on %s', k.conname, t.name),
               to_jsonb(k) - 'oid' - 'connamespace' - 'conrelid' - 'contypid' - 'conindid' - 'conparentid' - 'confrelid'
                   - 'conbin' - 'consrc'
               || jsonb_build_object('definition', pg_get_constraintdef(k.oid), 'index', c.relname,
                      'comment', obj_description(k.oid, 'pg_constraint'),
                      'fires', ARRAY(SELECT g.tgenabled::text FROM pg_catalog.pg_trigger g WHERE g.tgconstraint = k.oid
                                     ORDER BY g.tgrelid = k.conrelid, g.tgtype))
        FROM t JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid
        LEFT JOIN pg_catalog.pg_class c ON c.oid = k.conindid
        UNION ALL
        SELECT format('trigger %I on %s', g.tgname, t.name),
               to_jsonb(g) - 'oid' - 'tgrelid' - 'tgparentid' - 'tgfoid' - 'tgconstrrelid' - 'tgconstrindid' - 'tgconstraint'
                   - 'tgqual' - 'tgargs'
               || jsonb_build_object('definition', pg_get_triggerdef(g.oid), 'comment', obj_description(g.oid, 'pg_trigger'))
        FROM t JOIN pg_catalog.pg_trigger g ON g.tgrelid = t.oid
        WHERE NOT g.tgisinternal)
    SELECT object || ' = ' || jsonb_strip_nulls(properties)::text FROM lines ORDER BY 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_name_objects_and_properties_but_no_values() {
        let line = |text: &str| text.to_owned();
        let before = [
            line(r#"column k.t.a = {"table": "t", "attname": "a", "default": "'secret'"}"#),
            line(r#"index k.i = {"tablespace": "fast", "options": ["fillfactor=70"]}"#),
            line(r#"index k.j = {"definition": "x"}"#),
        ];
        let now = [
            line(r#"column k.t.a = {"table": "t", "attname": "a", "default": "'other'"}"#),
            line(r#"index k.i = {"options": ["fillfactor=90"]}"#),
            line(r#"index k.l = {"definition": "x"}"#),
        ];
        let on_purpose = BTreeSet::from(["t.a".to_owned()]);
        let index = "index k.i differs in options, tablespace";
        assert_eq!(
            compare(&before, &now, &BTreeSet::new()),
            ["column k.t.a differs in default", index, "index k.j is missing", "index k.l is new"]
        );
        assert_eq!(compare(&before, &now, &on_purpose).first().map(String::as_str), Some(index));
        assert!(compare(&before, &before, &BTreeSet::new()).is_empty());
    }
}
