//! Rows whose values are too large for an index, or on which its expression fails.
//!
//! Whether a value fits is known only after compression. So rows that could be too large are inserted, one by one, into an empty
//! copy of the table with the same index, and those that are refused are at fault.

use super::{Police, unexpected};
use crate::error::Result;
use crate::policy::Class;
use crate::target::armour::IndexArmour;
use crate::target::catalog::PgKind;
use crate::target::identifier::literal;

/// An index entry may fill about a third of a page of 8 KiB; what is below this before compression fits for certain. In bytes.
const CERTAINLY_FITS: u32 = 2_000;
/// What can fail for what stands in a row.
const CONDITIONS: &str = "integrity_constraint_violation OR data_exception OR program_limit_exceeded OR raise_exception OR external_routine_exception";

/// Runs a statement that can fail for what stands in the rows: caught in a block, the error does not get into the server's log.
/// What failed is in `kongferry_failed` afterwards.
pub(super) fn guarded(statement: &str, rule: &str) -> String {
    let block = format!(
        "BEGIN
             {statement};
         EXCEPTION WHEN {CONDITIONS} THEN
             INSERT INTO pg_temp.kongferry_failed VALUES ({});
         END",
        literal(rule)
    );
    format!("DO {}", literal(&block))
}

impl Police<'_> {
    /// Takes away rows that do not fit into an index that is still to be built.
    pub(super) async fn remove_unfit(&mut self) -> Result<u64> {
        let standing = self.standing_indexes().await?;
        let armour = self.armour;
        let mut removed = 0;
        for table in self.tables() {
            let Some(known) = armour.tables.get(&table) else { continue };
            for index in known.indexes.iter().filter(|index| !standing.contains(&index.name)) {
                (self.stop)()?;
                if self.could_be_unfit(&table, index) {
                    removed += self.remove_unfit_by(&table, index).await?;
                }
            }
        }
        Ok(removed)
    }

    fn could_be_unfit(&self, table: &str, index: &IndexArmour) -> bool {
        if !index.plain {
            return true;
        }
        let bounded = |expression: &String| {
            let name = expression.strip_prefix('"').and_then(|it| it.strip_suffix('"')).unwrap_or(expression);
            let column = self.catalog.tables.get(table).and_then(|table| table.column(name));
            column.is_some_and(|column| {
                use PgKind::{
                    Bool, Date, Double, Int2, Int4, Int8, Interval, Real, Time, Timestamp, Timestamptz, Uuid,
                };
                matches!(
                    column.ty.kind,
                    Bool | Date
                        | Double
                        | Int2
                        | Int4
                        | Int8
                        | Interval
                        | Real
                        | Time
                        | Timestamp
                        | Timestamptz
                        | Uuid
                )
            })
        };
        ["btree", "gin"].contains(&index.method.as_str()) && !index.expressions.iter().all(bounded)
    }

    async fn remove_unfit_by(&mut self, table: &str, index: &IndexArmour) -> Result<u64> {
        let class = Class::IndexEntry;
        let what = format!("cannot look for rows of {table} that do not fit into {}", index.name);
        let Some((_, method)) = index.definition.split_once(&format!(" USING {} ", index.method)) else {
            return Ok(0);
        };
        let name = self.name(table);
        let suspect = if index.plain {
            let sizes: Vec<String> = index
                .expressions
                .iter()
                .map(|it| format!("coalesce(octet_length(t.{it}::text), 0)"))
                .collect();
            format!("{} > {CERTAINLY_FITS}", sizes.join(" + "))
        } else {
            "true".to_owned()
        };
        if index.plain
            && !self.exists(&what, &format!("SELECT EXISTS (SELECT 1 FROM {name} t WHERE {suspect})")).await?
        {
            return Ok(0);
        }
        let probe = format!(
            "DROP TABLE IF EXISTS pg_temp.kongferry_probe;
             CREATE TEMPORARY TABLE kongferry_probe (LIKE {name} INCLUDING STORAGE) ON COMMIT DROP;
             CREATE INDEX kongferry_probe_index ON pg_temp.kongferry_probe USING {} {method};",
            index.method
        );
        self.transaction.batch(&what, &probe).await?;
        if !index.plain {
            // All at once first: any row can be at fault, and hardly ever one is.
            let all = format!("INSERT INTO pg_temp.kongferry_probe SELECT t.* FROM {name} t");
            let sql = format!("DELETE FROM pg_temp.kongferry_failed; {}", guarded(&all, &index.name));
            self.transaction.batch(&what, &sql).await?;
            if !self.exists(&what, "SELECT EXISTS (SELECT 1 FROM pg_temp.kongferry_failed)").await? {
                return Ok(0);
            }
        }
        let reason = if index.plain {
            "a value is too large for an entry of the index"
        } else {
            "a value is too large for an entry of the index, or its expression fails on it"
        };
        let block = format!(
            "DECLARE
                 spot tid;
             BEGIN
                 FOR spot IN SELECT t.ctid FROM {name} t WHERE {suspect} LOOP
                     BEGIN
                         INSERT INTO pg_temp.kongferry_probe SELECT t.* FROM {name} t WHERE t.ctid = spot;
                     EXCEPTION WHEN {CONDITIONS} THEN
                         INSERT INTO pg_temp.kongferry_bad VALUES ({}, spot, '{class}', {}, {});
                     END;
                 END LOOP;
             END",
            literal(table),
            literal(&index.name),
            literal(reason)
        );
        let sql = format!("DO {}; DROP TABLE pg_temp.kongferry_probe", literal(&block));
        self.transaction.batch(&what, &sql).await?;
        if self.marked(class).await?.is_empty() {
            return Ok(0);
        }
        self.mark_dependents(class).await?;
        self.remove_marked(class).await
    }

    async fn exists(&mut self, what: &str, sql: &str) -> Result<bool> {
        let rows = self.transaction.query(what, sql, &[]).await?;
        rows.first().and_then(|row| row.try_get(0).ok()).ok_or_else(|| unexpected(what))
    }
}
