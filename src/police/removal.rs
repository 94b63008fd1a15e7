//! Taking rows away, with everything that depends on them.

use std::collections::BTreeSet;

use super::account::Step;
use super::{Finding, Police, places};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Why;
use crate::policy::{Class, Policy};
use crate::target::identifier::{literal, qualified, quote};
use crate::target::tags::TAGS;

impl Police<'_> {
    /// Marks all rows that refer to a marked one, in any depth. `class` is that of the marked rows; those that depend on them lose
    /// their parent. Returns how many were marked.
    pub(super) async fn mark_dependents(&mut self, class: Class) -> Result<u64> {
        let relations = self.relations();
        let mut marked = 0;
        // Whose children are still to be looked for.
        let mut open: BTreeSet<String> =
            self.all_marked().await?.into_iter().map(|(table, _)| table).collect();
        while let Some(parent) = open.pop_first() {
            for relation in relations.iter().filter(|relation| relation.parent == parent) {
                (self.stop)()?;
                // Of two rows with the same primary key one stays, and what refers to it has a parent.
                let other = if class == Class::Duplicate {
                    format!(
                        "AND NOT EXISTS (SELECT 1 FROM {} o WHERE {} AND NOT EXISTS (
                             SELECT 1 FROM pg_temp.kongferry_bad b WHERE b.table_name = {} AND b.at = o.ctid))",
                        self.name(&parent),
                        relation.equal("d", "o"),
                        literal(&parent)
                    )
                } else {
                    String::new()
                };
                let keys: Vec<String> =
                    relation.columns.iter().map(|(own, _)| format!("c.{}", quote(own))).collect();
                let sql = format!(
                    "INSERT INTO pg_temp.kongferry_bad (table_name, at, class, rule, reason)
                     SELECT {table}, d.at, '{orphan}', {rule}, {reason}
                     FROM (SELECT c.ctid AS at, {keys} FROM {child} c
                           WHERE EXISTS (SELECT 1 FROM {parent_name} p WHERE p.ctid = {places} AND {equal}) OFFSET 0) d
                     WHERE NOT EXISTS (SELECT 1 FROM pg_temp.kongferry_bad b WHERE b.table_name = {table} AND b.at = d.at)
                     {other}",
                    table = literal(&relation.table),
                    orphan = Class::MissingParent,
                    rule = literal(&relation.name),
                    reason = literal(&format!("the row of {parent} it refers to was taken away ({class})")),
                    keys = keys.join(", "),
                    child = self.name(&relation.table),
                    parent_name = self.name(&parent),
                    places = places(&parent),
                    equal = relation.equal("c", "p"),
                );
                let what = format!("cannot look for rows of {} that depend on {parent}", relation.table);
                let more = self.transaction.execute(what, &sql, &[]).await?;
                if more > 0 {
                    open.insert(relation.table.clone());
                    marked += more;
                }
            }
        }
        Ok(marked)
    }

    /// Does with all marked rows what the policy of `class` says; returns how many went. Nothing is marked afterwards.
    pub(super) async fn remove_marked(&mut self, class: Class) -> Result<u64> {
        let policy = match self.policy(class) {
            Policy::Fail => return Err(self.refuse(class).await?),
            // What cannot be repaired stays whole.
            Policy::Repair => Policy::Quarantine,
            policy => policy,
        };
        let marked = self.all_marked().await?;
        for (table, _) in &marked {
            self.loosen(table).await?;
        }
        let mut removed = 0;
        // Parents first, so that the rows of the quarantine can be loaded again in their order.
        for table in self.tables() {
            let Some((_, rows)) = marked.iter().find(|(name, _)| *name == table) else { continue };
            if policy == Policy::Quarantine {
                self.hold(&table, *rows).await?;
            } else {
                self.tell_verify(&table, &places(&table), None).await?;
            }
        }
        for table in self.tables().into_iter().rev() {
            let Some((_, rows)) = marked.iter().find(|(name, _)| *name == table) else { continue };
            self.tell_apart(&table, policy).await?;
            let why = if policy == Policy::Skip { Why::Skipped } else { Why::Quarantined };
            let condition = format!("t.ctid = {}", places(&table));
            self.account(&table, why, Step::Go, *rows, &condition).await?;
            self.forget_tags(&table).await?;
            let sql = format!("DELETE FROM {} WHERE ctid = {}", self.name(&table), places(&table));
            let gone =
                self.transaction.execute(format!("cannot take rows of {table} away"), &sql, &[]).await?;
            if gone != *rows {
                return Err(lost(&table, *rows, gone));
            }
            removed += gone;
        }
        if removed != marked.iter().map(|(_, rows)| rows).sum::<u64>() {
            return Err(Error::new(ErrorKind::Internal, "rows of a table that is not policed were marked"));
        }
        self.write_tags_anew().await?;
        self.transaction.batch("cannot end taking rows away", "DELETE FROM pg_temp.kongferry_bad").await?;
        Ok(removed)
    }

    /// Marked rows, by table.
    async fn all_marked(&mut self) -> Result<Vec<(String, u64)>> {
        let what = "cannot count the rows that break keys";
        let sql = "SELECT table_name, count(*) FROM pg_temp.kongferry_bad GROUP BY 1 ORDER BY 1";
        let rows = self.transaction.query(what, sql, &[]).await?;
        rows.iter()
            .map(|row| {
                let read = || Ok::<(String, i64), tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?));
                let (table, rows) = read().map_err(|_| super::unexpected(what))?;
                Ok((table, u64::try_from(rows).unwrap_or(0)))
            })
            .collect()
    }

    /// Notes for people what becomes of the marked rows of `table`, class by class.
    async fn tell_apart(&mut self, table: &str, policy: Policy) -> Result<()> {
        for class in Class::ALL {
            let sql = "SELECT count(*) FROM pg_temp.kongferry_bad WHERE table_name = $1 AND class = $2";
            let what = "cannot count the rows that break keys";
            let rows = self.transaction.query(what, sql, &[&table, &class.as_str()]).await?;
            let count: i64 =
                rows.first().and_then(|row| row.try_get(0).ok()).ok_or_else(|| super::unexpected(what))?;
            self.found(table, Finding::Removed(class, policy), u64::try_from(count).unwrap_or(0));
        }
        Ok(())
    }

    /// Puts the marked rows of `table` into quarantine.
    async fn hold(&mut self, table: &str, rows: u64) -> Result<()> {
        let sql = format!(
            "INSERT INTO kongferry.quarantine (run, task, table_name, key, class, rule, reason, content)
             SELECT $1, $2, $3, {}, b.class, b.rule, b.reason, to_jsonb(t)
             FROM {} t JOIN pg_temp.kongferry_bad b ON b.at = t.ctid AND b.table_name = $3
             WHERE t.ctid = {}",
            self.key_of(table, "t"),
            self.name(table),
            places(table)
        );
        let what = format!("cannot put rows of {table} into quarantine");
        let held = self.transaction.execute(what, &sql, &[&self.ledger.run_id(), &self.task, &table]).await?;
        if held == rows { Ok(()) } else { Err(lost(table, rows, held)) }
    }

    /// Writes the keys of rows of `table` into the ledger that will differ from the source on purpose, `at` being an SQL expression
    /// for their places: with the columns that were repaired, or left behind whole.
    pub(super) async fn tell_verify(
        &mut self,
        table: &str,
        at: &str,
        columns: Option<&[String]>,
    ) -> Result<()> {
        let sql = format!(
            "INSERT INTO kongferry.accounted (run, task, table_name, key, columns)
             SELECT $1, $2, $3, {}, $4 FROM {} t WHERE t.ctid = {at}",
            self.key_of(table, "t"),
            self.name(table),
        );
        let what = format!("cannot write into the ledger which rows of {table} differ on purpose");
        self.transaction
            .execute(what, &sql, &[&self.ledger.run_id(), &self.task, &table, &columns])
            .await
            .map(drop)
    }

    /// Removes what stands in `tags` for the marked rows of `table`: its triggers are off.
    async fn forget_tags(&mut self, table: &str) -> Result<()> {
        if !self.is_tagged(table) {
            return Ok(());
        }
        let what = format!("cannot remove the tags of {table}");
        let sql = format!(
            "INSERT INTO pg_temp.kongferry_gone SELECT t.id FROM {} t WHERE t.ctid = {}",
            self.name(table),
            places(table)
        );
        self.transaction.execute(&what, &sql, &[]).await.map(drop)
    }

    /// Writes `tags` anew for the ids in `kongferry_gone`, as far as the tags of their tables have been written. Entities of
    /// several tables can share an id, and then a row of `tags`, which stays for those that are left.
    pub(super) async fn write_tags_anew(&mut self) -> Result<()> {
        let what = "cannot write the tags of rows that came or went";
        if !self.armour.tables.contains_key(TAGS) {
            return Ok(());
        }
        let sql = format!(
            "DELETE FROM {} WHERE entity_id IN (SELECT id FROM pg_temp.kongferry_gone)",
            self.name(TAGS)
        );
        self.transaction.execute(what, &sql, &[]).await?;
        let written = self.ledger.tables_with_tags(self.transaction).await?;
        let tables: Vec<String> = self.tables();
        let twins: Vec<String> = tables
            .iter()
            .filter(|table| written.contains(table) && self.is_tagged(table))
            .map(|table| {
                format!(
                    "SELECT e.id, {}::text AS entity_name, e.tags FROM {} e WHERE e.id IN (SELECT id FROM pg_temp.kongferry_gone)",
                    literal(table),
                    self.name(table)
                )
            })
            .collect();
        if !twins.is_empty() {
            let sql = format!(
                "INSERT INTO {} (entity_id, entity_name, tags)
                 SELECT DISTINCT id, first_value(entity_name) OVER written, last_value(tags) OVER written FROM ({}) twins
                 WINDOW written AS (PARTITION BY id ORDER BY array_position($1::text[], entity_name)
                                    ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING)",
                self.name(TAGS),
                twins.join(" UNION ALL ")
            );
            self.transaction.execute(what, &sql, &[&tables]).await?;
        }
        self.transaction.batch(what, "DELETE FROM pg_temp.kongferry_gone").await
    }

    fn is_tagged(&self, table: &str) -> bool {
        let tagged = self.armour.tables.get(table).is_some_and(|table| table.tagged);
        tagged && self.armour.tables.contains_key(TAGS)
    }

    /// Takes off the foreign keys that refer to `table` and are back already, so that nothing goes by a cascade and nothing is
    /// refused half-way; their steps are open again.
    pub(super) async fn loosen(&mut self, table: &str) -> Result<()> {
        let armour = self.armour;
        let keys: Vec<_> = armour
            .foreign_keys
            .iter()
            .filter(|key| key.parent == table && key.parent_schema == armour.schema)
            .collect();
        let (mut sql, mut parts) = (String::new(), Vec::new());
        for key in keys {
            sql += &format!(
                "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {};\n",
                qualified(&key.schema, &key.table),
                quote(&key.name)
            );
            parts.push(format!("foreign key {}.{}", key.table, key.name));
            parts.push(format!("validate {}.{}", key.table, key.name));
        }
        if self.ledger.reopen(self.transaction, &parts).await? == 0 {
            return Ok(());
        }
        let what = format!("cannot take foreign keys to {table} off again");
        // Those that were not there are no news.
        let sql =
            format!("SET LOCAL client_min_messages = warning; {sql} SET LOCAL client_min_messages = notice");
        self.transaction.batch(what, &sql).await
    }
}

/// Not all rows that were marked have been met again.
fn lost(table: &str, marked: u64, met: u64) -> Error {
    Error::new(ErrorKind::Target, format!("{table}: {met} rows were taken away, and {marked} break a key"))
        .remedy("look for rules or triggers on this table that keep or change rows; nothing was changed")
}
