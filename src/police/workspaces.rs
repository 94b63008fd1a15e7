//! Rows in another workspace than their parents: Cassandra's Gateway never compared.
//!
//! On `PostgreSQL` the foreign keys between entities hold the workspace as well, so such a row cannot be. The parents decide, as
//! long as all that the row refers to exist, lie in one workspace, and that workspace exists. A row whose parents lie in
//! different workspaces cannot be repaired. One with a missing parent is an orphan, and is left as it is. Parents are repaired
//! before their children.

use super::account::Step;
use super::relations::{Relation, WS_ID};
use super::{Finding, Police};
use crate::error::Result;
use crate::ledger::Why;
use crate::policy::{Class, Policy};
use crate::schema_map::{Production, TableMapping};
use crate::target::bootstrap::WORKSPACES;
use crate::target::identifier::{literal, quote};

/// Characters of a uuid.
const UUID: usize = 36;
/// Column of a cache key whose parts no map names.
const CACHE_KEY: &str = "cache_key";

/// A stored cache key, `<head>:<part>:...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheKeyForm {
    /// Its column.
    pub column: String,
    /// First part.
    pub head: String,
    /// Columns of the further parts; `None` is always empty.
    pub parts: Vec<Option<String>>,
}

impl CacheKeyForm {
    /// The one that a map names.
    pub fn of(mapping: &TableMapping) -> Option<Self> {
        mapping.outputs.iter().find_map(|output| match &output.from {
            Production::CacheKey { head, parts, .. } => Some(Self {
                column: output.column.clone(),
                head: head.clone(),
                parts: parts
                    .iter()
                    .map(|part| {
                        part.and_then(|part| mapping.outputs.get(part)).map(|part| part.column.clone())
                    })
                    .collect(),
            }),
            _ => None,
        })
    }

    /// SQL text for the key of row `t` in the workspace `ws`.
    fn sql(&self, ws: &str) -> String {
        let part = |part: &Option<String>| match part.as_deref() {
            None => " || ':'".to_owned(),
            Some(WS_ID) => format!(" || ':' || {ws}::text"),
            Some(column) => format!(" || ':' || coalesce(t.{}::text, '')", quote(column)),
        };
        literal(&self.head) + &self.parts.iter().map(part).collect::<String>()
    }
}

impl Police<'_> {
    /// Moves rows into the workspace of their parents, or does with them what their policy says.
    pub(super) async fn move_to_parents(&mut self) -> Result<u64> {
        let standing = self.standing_keys().await?;
        let mut changed = 0;
        for table in self.tables() {
            (self.stop)()?;
            let within: Vec<Relation> = self
                .relations_of(&table)
                .into_iter()
                .filter(|relation| relation.within_workspace().is_some())
                .collect();
            if within.iter().any(|relation| !standing.contains(&relation.id())) {
                changed += self.move_rows_of(&table, &within).await?;
            }
        }
        Ok(changed)
    }

    async fn move_rows_of(&mut self, table: &str, relations: &[Relation]) -> Result<u64> {
        if self.vote(table, relations).await? == 0 {
            return Ok(0);
        }
        let class = Class::WorkspaceMismatch;
        let policy = self.policy(class);
        if policy == Policy::Repair {
            let moved = self.repair(table).await?;
            return Ok(moved + self.remove_torn(table, "v.ws IS NULL").await?);
        }
        self.remove_torn(table, "true").await
    }

    /// Collects the rows of `table` in another workspace than a parent, with the workspace of all their parents; NULL when these
    /// lie in several. Returns how many there are.
    async fn vote(&mut self, table: &str, relations: &[Relation]) -> Result<u64> {
        let what = format!("cannot look for rows of {table} in another workspace than their parents");
        let name = self.name(table);
        let mut sql = "DROP TABLE IF EXISTS pg_temp.kongferry_vote, pg_temp.kongferry_ballot;
             CREATE TEMPORARY TABLE kongferry_vote (at tid UNIQUE, ws uuid) ON COMMIT DROP;
             CREATE TEMPORARY TABLE kongferry_ballot (at tid, ws uuid, known boolean) ON COMMIT DROP;"
            .to_owned();
        let pairs = relations.iter().filter_map(|relation| Some((relation, relation.within_workspace()?)));
        let pairs: Vec<_> = pairs.collect();
        for (relation, (own, other)) in &pairs {
            sql += &format!(
                "INSERT INTO pg_temp.kongferry_vote (at)
                 SELECT DISTINCT d.at FROM (SELECT c.ctid AS at FROM {name} c JOIN {} p ON p.{} = c.{}
                     WHERE p.ws_id <> c.ws_id OFFSET 0) d
                 WHERE NOT EXISTS (SELECT 1 FROM pg_temp.kongferry_vote v WHERE v.at = d.at);",
                self.name(&relation.parent),
                quote(other),
                quote(own)
            );
        }
        self.transaction.batch(&what, &sql).await?;
        let any = "SELECT count(*) FROM pg_temp.kongferry_vote";
        if self.number(&what, any).await? == 0 {
            return Ok(0);
        }
        let known = if self.with_workspaces {
            format!("EXISTS (SELECT 1 FROM {} w WHERE w.id = p.ws_id)", self.name(WORKSPACES))
        } else {
            "true".to_owned()
        };
        let mut sql = String::new();
        for (relation, (own, other)) in &pairs {
            sql += &format!(
                "INSERT INTO pg_temp.kongferry_ballot
                 SELECT c.ctid, p.ws_id, p.ws_id IS NOT NULL AND {known} FROM {name} c LEFT JOIN {} p ON p.{} = c.{own}
                 WHERE c.{own} IS NOT NULL AND c.ctid = ANY (ARRAY(SELECT at FROM pg_temp.kongferry_vote));",
                self.name(&relation.parent),
                quote(other),
                own = quote(own)
            );
        }
        sql += "DELETE FROM pg_temp.kongferry_vote v WHERE EXISTS (
                    SELECT 1 FROM pg_temp.kongferry_ballot b WHERE b.at = v.at AND NOT b.known);
                UPDATE pg_temp.kongferry_vote v SET ws = b.ws::uuid FROM (
                    SELECT at, CASE WHEN count(DISTINCT ws) = 1 THEN min(ws::text) END AS ws
                    FROM pg_temp.kongferry_ballot GROUP BY at) b WHERE b.at = v.at";
        self.transaction.batch(&what, &sql).await?;
        self.number(&what, any).await
    }

    /// Moves the rows whose parents agree.
    async fn repair(&mut self, table: &str) -> Result<u64> {
        let what = format!("cannot move rows of {table} to the workspace of their parents");
        let rows =
            self.number(&what, "SELECT count(*) FROM pg_temp.kongferry_vote WHERE ws IS NOT NULL").await?;
        if rows == 0 {
            return Ok(0);
        }
        self.loosen(table).await?;
        let name = self.name(table);
        let spots = "ANY (ARRAY(SELECT at FROM pg_temp.kongferry_vote WHERE ws IS NOT NULL))";
        let before = format!("t.ctid = {spots}");
        self.account(table, Why::Repaired, Step::Go, rows, &before).await?;
        let mut set = format!("{} = v.ws", quote(WS_ID));
        let mut repaired = vec![WS_ID.to_owned()];
        if let Some((column, key)) = self.new_cache_key(table) {
            set += &format!(", {} = {key}", quote(&column));
            repaired.push(column);
        }
        // A row that moves gets a new place.
        let update = format!(
            "WITH moved AS (
                 UPDATE {name} t SET {set} FROM pg_temp.kongferry_vote v
                 WHERE v.at = t.ctid AND v.ws IS NOT NULL AND t.ctid = {spots} RETURNING t.ctid AS at)
             INSERT INTO pg_temp.kongferry_moved SELECT at FROM moved"
        );
        let fresh = "DROP TABLE IF EXISTS pg_temp.kongferry_moved;
                     CREATE TEMPORARY TABLE kongferry_moved (at tid) ON COMMIT DROP; DELETE FROM pg_temp.kongferry_failed;";
        // In its new workspace a row can have the key of another. Unique indexes that are back already would say so with the
        // key in their message.
        let first = format!("{fresh} {}", super::unfit::guarded(&update, table));
        self.transaction.batch(&what, &first).await?;
        if self.number(&what, "SELECT count(*) FROM pg_temp.kongferry_failed").await? > 0 {
            self.strip_of_unique_indexes(table).await?;
            self.transaction.batch(&what, &update).await?;
        }
        let moved = self.number(&what, "SELECT count(*) FROM pg_temp.kongferry_moved").await?;
        let spots = "ANY (ARRAY(SELECT at FROM pg_temp.kongferry_moved))";
        self.account(table, Why::Repaired, Step::Come, moved, &format!("t.ctid = {spots}")).await?;
        self.tell_verify(table, spots, Some(&repaired)).await?;
        if moved != rows {
            return Err(crate::error::Error::new(
                crate::error::ErrorKind::Target,
                format!("{table}: {moved} rows were moved to the workspace of their parents, and {rows} are in another"),
            )
            .remedy("look for rules or triggers on this table that keep or change rows; nothing was changed"));
        }
        self.found(table, Finding::Moved, moved);
        Ok(moved)
    }

    /// Column and SQL text of the cache key of a row `t` that moves to the workspace `v.ws`.
    fn new_cache_key(&self, table: &str) -> Option<(String, String)> {
        let form =
            self.beats.iter().find(|beat| beat.table == table).and_then(|beat| beat.cache_key.as_ref());
        if let Some(form) = form {
            let column = quote(&form.column);
            let key = format!("CASE WHEN t.{column} IS NOT NULL THEN {} END", form.sql("v.ws"));
            return Some((form.column.clone(), key));
        }
        self.has_column(table, CACHE_KEY).then(|| {
            let key = format!(
                "CASE WHEN right(t.cache_key, {UUID}) = t.ws_id::text THEN left(t.cache_key, -{UUID}) || v.ws::text
                      ELSE t.cache_key END"
            );
            (CACHE_KEY.to_owned(), key)
        })
    }

    /// Drops the unique indexes of `table` that are back already, but for those its rows cannot break by moving, and opens their
    /// steps again. What refers to them must be off.
    async fn strip_of_unique_indexes(&mut self, table: &str) -> Result<()> {
        let armour = self.armour;
        let Some(known) = armour.tables.get(table) else { return Ok(()) };
        let touched = |expression: &String| expression.contains(WS_ID) || expression.contains(CACHE_KEY);
        let (mut sql, mut parts) = (String::new(), vec![format!("keys {table}")]);
        for index in known.indexes.iter().filter(|index| index.unique && !index.made_by_key) {
            if index.plain && !index.expressions.iter().any(touched) {
                continue;
            }
            if known.keys.iter().any(|key| key.name == index.name) {
                sql += &format!(
                    "ALTER TABLE {} DROP CONSTRAINT IF EXISTS {};",
                    self.name(table),
                    quote(&index.name)
                );
            }
            sql += &format!("DROP INDEX IF EXISTS {};", self.name(&index.name));
            parts.push(format!("index {table}.{}", index.name));
        }
        self.ledger.reopen(self.transaction, &parts).await?;
        let sql =
            format!("SET LOCAL client_min_messages = warning; {sql} SET LOCAL client_min_messages = notice");
        self.transaction.batch(format!("cannot take unique keys of {table} off again"), &sql).await
    }

    /// Takes away the collected rows that meet `condition`.
    async fn remove_torn(&mut self, table: &str, condition: &str) -> Result<u64> {
        let class = Class::WorkspaceMismatch;
        let sql = format!(
            "INSERT INTO pg_temp.kongferry_bad (table_name, at, class, rule, reason)
             SELECT {}, v.at, '{class}', '{WS_ID}', CASE WHEN v.ws IS NULL THEN 'its parents lie in different workspaces'
                 ELSE 'its parent lies in another workspace' END
             FROM pg_temp.kongferry_vote v WHERE {condition}",
            literal(table)
        );
        let what = format!("cannot mark rows of {table} in another workspace than their parents");
        if self.transaction.execute(what, &sql, &[]).await? == 0 {
            return Ok(0);
        }
        self.mark_dependents(class).await?;
        self.remove_marked(class).await
    }

    async fn number(&mut self, what: &str, sql: &str) -> Result<u64> {
        let rows = self.transaction.query(what, sql, &[]).await?;
        let number: i64 =
            rows.first().and_then(|row| row.try_get(0).ok()).ok_or_else(|| super::unexpected(what))?;
        Ok(u64::try_from(number).unwrap_or(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_of_its_parts_and_the_new_workspace() {
        let form = CacheKeyForm {
            column: "cache_key".to_owned(),
            head: "acls".to_owned(),
            parts: vec![
                Some("consumer_id".to_owned()),
                Some("group".to_owned()),
                None,
                Some("ws_id".to_owned()),
            ],
        };
        assert_eq!(
            form.sql("v.ws"),
            "'acls' || ':' || coalesce(t.\"consumer_id\"::text, '') || ':' || coalesce(t.\"group\"::text, '') || ':' || ':' || v.ws::text"
        );
    }
}
