//! Rows that the source wrote while it was read: a child can have been read before its parent was.

use async_trait::async_trait;
use uuid::Uuid;

use super::account::Step;
use super::relations::Relation;
use super::{Finding, Police, unexpected};
use crate::error::Result;
use crate::ledger::Why;
use crate::target::LoadTransaction;
use crate::target::identifier::{qualified, quote};

/// Ids that are asked for at once.
const AT_ONCE: i64 = 1_000;

/// Who can read rows of the source a second time.
#[async_trait]
pub trait SecondLook: Send + Sync {
    /// Loads the rows of `table` with these ids, as far as the source has them, within `transaction`; returns how many.
    async fn load(&self, transaction: &mut LoadTransaction, table: &str, ids: &[Uuid]) -> Result<u64>;
}

impl Police<'_> {
    /// Loads the parents that rows refer to, and that were not there when their table was read; in any depth. Returns how many.
    pub(super) async fn read_parents_again(&mut self) -> Result<u64> {
        let Some(look) = self.second_look.filter(|_| self.orders.live) else { return Ok(0) };
        let mut loaded = 0;
        // Each id is asked for once.
        let sql = "CREATE TEMPORARY TABLE IF NOT EXISTS kongferry_asked (table_name text, id uuid, UNIQUE (table_name, id)) ON COMMIT DROP";
        self.transaction.batch("cannot begin to read parents again", sql).await?;
        loop {
            let mut came = 0;
            for relation in self.relations() {
                (self.stop)()?;
                let Some((own, other)) = self.single_column(&relation) else { continue };
                loop {
                    let ids = self.missing(&relation, &own, &other).await?;
                    if ids.is_empty() {
                        break;
                    }
                    came += self.load_again(look, &relation.parent, &other, &ids).await?;
                }
            }
            if came == 0 {
                return Ok(loaded);
            }
            loaded += came;
        }
    }

    /// The column that refers to the parent by its primary key, and that key.
    fn single_column(&self, relation: &Relation) -> Option<(String, String)> {
        let (own, other) = match relation.columns.as_slice() {
            [(own, other)] => (own.as_str(), other.as_str()),
            _ => relation.within_workspace()?,
        };
        let parent = self.armour.tables.get(&relation.parent)?;
        (parent.primary_key_is_id && parent.primary_key == [other])
            .then(|| (own.to_owned(), other.to_owned()))
    }

    /// Ids of missing parents that have not been asked for yet, some of them.
    async fn missing(&mut self, relation: &Relation, own: &str, other: &str) -> Result<Vec<Uuid>> {
        let what = format!("cannot look for missing parents of {}", relation.table);
        let (own, other) = (quote(own), quote(other));
        let sql = format!(
            "INSERT INTO pg_temp.kongferry_asked
             SELECT DISTINCT $1, c.{own} FROM {} c
             WHERE c.{own} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {} p WHERE p.{other} = c.{own})
               AND NOT EXISTS (SELECT 1 FROM pg_temp.kongferry_asked a WHERE a.table_name = $1 AND a.id = c.{own})
             LIMIT {AT_ONCE} RETURNING id",
            self.name(&relation.table),
            self.name(&relation.parent)
        );
        let rows = self.transaction.query(&what, &sql, &[&relation.parent]).await?;
        rows.iter().map(|row| row.try_get(0).map_err(|_| unexpected(&what))).collect()
    }

    async fn load_again(
        &mut self,
        look: &dyn SecondLook,
        table: &str,
        key: &str,
        ids: &[Uuid],
    ) -> Result<u64> {
        self.strip(table).await?;
        let loaded = look.load(self.transaction, table, ids).await?;
        if loaded == 0 {
            return Ok(0);
        }
        let what = format!("cannot account for rows of {table} that were read again");
        let sql = "INSERT INTO pg_temp.kongferry_gone SELECT unnest($1::uuid[])";
        self.transaction.execute(&what, sql, &[&ids]).await?;
        let came = format!("t.{} IN (SELECT id FROM pg_temp.kongferry_gone)", quote(key));
        self.account(table, Why::ReadAgain, Step::Come, loaded, &came).await?;
        self.write_tags_anew().await?;
        self.found(table, Finding::ReadAgain, loaded);
        Ok(loaded)
    }

    /// Takes off `table` whatever is back on it already, so that its rows can come as in the load; the steps are open again.
    async fn strip(&mut self, table: &str) -> Result<()> {
        let armour = self.armour;
        let Some(known) = armour.tables.get(table) else { return Ok(()) };
        self.loosen(table).await?;
        let (mut sql, mut parts) = (String::new(), vec![format!("keys {table}")]);
        for key in armour.foreign_keys.iter().filter(|key| key.table == table && key.schema == armour.schema)
        {
            sql += &format!(
                "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {};\n",
                qualified(&key.schema, table),
                quote(&key.name)
            );
            parts.push(format!("foreign key {table}.{}", key.name));
            parts.push(format!("validate {table}.{}", key.name));
        }
        for key in &known.keys {
            sql += &format!(
                "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {};\n",
                self.name(table),
                quote(&key.name)
            );
        }
        for index in &known.indexes {
            sql += &format!("DROP INDEX IF EXISTS {};\n", self.name(&index.name));
            parts.push(format!("index {table}.{}", index.name));
        }
        if self.ledger.reopen(self.transaction, &parts).await? == 0 {
            return Ok(());
        }
        let sql =
            format!("SET LOCAL client_min_messages = warning; {sql} SET LOCAL client_min_messages = notice");
        self.transaction.batch(format!("cannot take the keys of {table} off again"), &sql).await
    }
}
