//! Loads what the target takes of a number of rows, and tells which it refuses.
//!
//! `PostgreSQL` reports a broken constraint at the end of a COPY, without the row, except in DETAIL, which carries values and
//! goes into the server's log. So the rows are copied into a temporary table without constraints and taken from there by a
//! block that catches what is refused: no value gets into the log, whatever the role may set.

use std::fmt;

use bytes::Bytes;

use super::failure;
use super::identifier::{literal, qualified, quote, quoted_list};
use super::sqlstate;
use super::transaction::LoadTransaction;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Class;

/// Schema of temporary tables.
const TEMPORARY: &str = "pg_temp";
/// The rows to be tried.
const SIEVE: &str = "kongferry_sieve";
/// Rows tried at once before they are tried one by one: a subtransaction each, and few rows are bad.
const CHUNK: u32 = 64;
/// SQLSTATE of our own: a rule or trigger dropped rows.
const DROPPED: &str = "KF007";
/// Servers from here on let INSERT write identity columns, if asked to.
const WITH_IDENTITY: u32 = 100_000;

/// Why the target refused a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// SQLSTATE.
    pub code: String,
    /// Constraint it breaks, where the server names one.
    pub constraint: Option<String>,
    /// Column at fault, where the server names one.
    pub column: Option<String>,
}

impl Refusal {
    /// Its class.
    pub fn class(&self) -> Class {
        match self.code.as_str() {
            "23505" | "23P01" => Class::Duplicate,
            "23503" => Class::MissingParent,
            "54000" => Class::IndexEntry,
            _ => Class::Refused,
        }
    }

    /// Constraint or column it breaks; a dash when the server names none.
    pub fn rule(&self) -> String {
        self.constraint.as_ref().or(self.column.as_ref()).map_or_else(|| "-".to_owned(), Clone::clone)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(sqlstate::meaning(&self.code))?;
        for (kind, name) in [("constraint", &self.constraint), ("column", &self.column)] {
            if let Some(name) = name {
                write!(f, ", {kind} {name}")?;
            }
        }
        write!(f, " ({})", sqlstate::label(&self.code))
    }
}

/// The temporary table, and what empties it into the table it stands for.
#[derive(Debug)]
pub struct Sieve {
    table: String,
    columns: Vec<String>,
    /// Server's version.
    version: u32,
}

impl Sieve {
    /// Makes it, in `transaction`, for `columns` of `table`; it is gone when the transaction ends.
    pub async fn open(
        transaction: &mut LoadTransaction,
        table: &str,
        columns: &[String],
        version: u32,
    ) -> Result<Self> {
        let (name, list) =
            (qualified(transaction.schema(), table), quoted_list(columns.iter().map(String::as_str)));
        // Constraints that wait for the end of the transaction would name no row.
        let sql = format!(
            "SET CONSTRAINTS ALL IMMEDIATE;
             DROP TABLE IF EXISTS pg_temp.kongferry_sieve, pg_temp.kongferry_refused;
             CREATE TEMPORARY TABLE kongferry_sieve ON COMMIT DROP AS SELECT {list} FROM {name} WITH NO DATA;
             ALTER TABLE pg_temp.kongferry_sieve ADD COLUMN kongferry_place serial;
             CREATE TEMPORARY TABLE kongferry_refused (place integer, code text, rule text, col text) ON COMMIT DROP"
        );
        let what = format!("cannot make a temporary table for the rows of {table}");
        let client = transaction.client()?;
        client.batch_execute(&sql).await.map_err(|error| {
            failure::statement_needing(&error, what, "TEMPORARY ON DATABASE (the target's)")
        })?;
        Ok(Self { table: table.to_owned(), columns: columns.to_vec(), version })
    }

    /// Loads `tuples`, `count` rows, as far as the target takes them. Returns the others by their place, from 0, in order.
    ///
    /// # Errors
    /// Whatever is not the fault of a row.
    pub async fn pass(
        &self,
        transaction: &mut LoadTransaction,
        tuples: Bytes,
        count: usize,
    ) -> Result<Vec<(usize, Refusal)>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        self.empty(transaction).await?;
        let mut copy = transaction.copy_into(TEMPORARY, SIEVE, &self.columns).await?;
        copy.send(tuples).await.map_err(Error::from)?;
        copy.finish().await.map_err(Error::from)?;
        self.through(transaction, count).await
    }

    /// Like [`pass`](Self::pass), for rows of `kongferry.quarantine` that are kept as jsonb, by their ids in order.
    pub async fn pass_kept(
        &self,
        transaction: &mut LoadTransaction,
        run: uuid::Uuid,
        ids: &[i64],
        arrays: &[(String, String)],
    ) -> Result<Vec<(usize, Refusal)>> {
        self.empty(transaction).await?;
        let list = quoted_list(self.columns.iter().map(String::as_str));
        let values: Vec<String> = self
            .columns
            .iter()
            .map(|column| match arrays.iter().find(|(name, _)| name == column) {
                // Before PostgreSQL 10 jsonb_populate_record cannot make arrays.
                Some((_, ty)) => {
                    let value = format!("content->{}", literal(column));
                    format!(
                        "CASE jsonb_typeof({value}) WHEN 'array' THEN ARRAY(SELECT jsonb_array_elements_text({value}))::{ty} END"
                    )
                }
                None => format!("(whole).{}", quote(column)),
            })
            .collect();
        let (values, names) = (values.join(", "), arrays.iter().map(|(name, _)| name).collect::<Vec<_>>());
        let row = qualified(transaction.schema(), &self.table);
        let sql = format!(
            "INSERT INTO pg_temp.kongferry_sieve ({list})
             SELECT {values} FROM (
                 SELECT content, jsonb_populate_record(NULL::{row}, (
                     SELECT jsonb_object_agg(key, value) FROM jsonb_each(content) WHERE key <> ALL($3))) AS whole
                 FROM kongferry.quarantine WHERE run = $1 AND id = ANY($2) ORDER BY id) kept"
        );
        let what = format!("cannot read rows of {} from quarantine", self.table);
        let fed = transaction.execute(what, &sql, &[&run, &ids, &names]).await?;
        self.through(transaction, usize::try_from(fed).unwrap_or(usize::MAX)).await
    }

    async fn empty(&self, transaction: &mut LoadTransaction) -> Result<()> {
        let sql = "TRUNCATE pg_temp.kongferry_sieve, pg_temp.kongferry_refused RESTART IDENTITY";
        transaction.batch("cannot empty a temporary table", sql).await
    }

    async fn through(
        &self,
        transaction: &mut LoadTransaction,
        count: usize,
    ) -> Result<Vec<(usize, Refusal)>> {
        let what = format!("load table {} row by row", self.table);
        let sql = self.block(transaction.schema(), count);
        transaction.client()?.batch_execute(&sql).await.map_err(|error| {
            let dropped = error.code().is_some_and(|code| code.code() == DROPPED);
            let failed = failure::statement(&error, format!("cannot {what}"));
            if dropped {
                failed.remedy("look for rules or triggers on this table that drop rows; nothing of this split was committed")
            } else {
                failed
            }
        })?;
        let sql = "SELECT place, code, rule, col FROM pg_temp.kongferry_refused ORDER BY place";
        let rows = transaction.query(format!("cannot {what}"), sql, &[]).await?;
        rows.iter()
            .map(|row| {
                let read = || {
                    Ok::<_, tokio_postgres::Error>((
                        row.try_get::<_, i32>(0)?,
                        row.try_get::<_, String>(1)?,
                        row.try_get::<_, String>(2)?,
                        row.try_get::<_, String>(3)?,
                    ))
                };
                let named = |name: String| {
                    let plain = !name.is_empty() && !name.chars().any(char::is_control);
                    plain.then_some(name)
                };
                let (place, code, rule, column) =
                    read().ok().ok_or_else(|| Error::new(ErrorKind::Target, format!("cannot {what}")))?;
                let place = usize::try_from(place).unwrap_or(0).saturating_sub(1);
                Ok((place, Refusal { code, constraint: named(rule), column: named(column) }))
            })
            .collect()
    }

    /// Plain SQL without a value: what it raises names a constraint at most.
    fn block(&self, schema: &str, count: usize) -> String {
        let name = qualified(schema, &self.table);
        let list = quoted_list(self.columns.iter().map(String::as_str));
        let overriding = if self.version >= WITH_IDENTITY { "OVERRIDING SYSTEM VALUE " } else { "" };
        let insert = |places: &str| {
            format!(
                "INSERT INTO {name} ({list}) {overriding}SELECT {list} FROM pg_temp.kongferry_sieve \
                 WHERE kongferry_place {places} ORDER BY kongferry_place"
            )
        };
        let caught =
            "data_exception OR integrity_constraint_violation OR program_limit_exceeded OR plpgsql_error";
        // Variables whose names no column has.
        format!(
            "DO $kongferry$
             DECLARE kf_low integer := 1; kf_high integer; kf_rows bigint; kf_code text; kf_rule text; kf_column text;
             BEGIN
                 WHILE kf_low <= {count} LOOP
                     kf_high := least(kf_low + {CHUNK} - 1, {count});
                     BEGIN
                         {};
                         GET DIAGNOSTICS kf_rows = ROW_COUNT;
                         IF kf_rows <> kf_high - kf_low + 1 THEN
                             RAISE EXCEPTION 'rows vanished on their way into the table' USING ERRCODE = '{DROPPED}';
                         END IF;
                     EXCEPTION WHEN {caught} THEN
                         FOR kf_one IN kf_low..kf_high LOOP
                             BEGIN
                                 {};
                             EXCEPTION WHEN {caught} THEN
                                 GET STACKED DIAGNOSTICS kf_code = RETURNED_SQLSTATE, kf_rule = CONSTRAINT_NAME,
                                     kf_column = COLUMN_NAME;
                                 INSERT INTO pg_temp.kongferry_refused VALUES (kf_one, kf_code, kf_rule, kf_column);
                             END;
                         END LOOP;
                     END;
                     kf_low := kf_high + 1;
                 END LOOP;
             END $kongferry$",
            insert("BETWEEN kf_low AND kf_high"),
            insert("= kf_one"),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_class_rule_and_no_value() {
        let refusal = |code: &str, constraint: Option<&str>| Refusal {
            code: code.to_owned(),
            constraint: constraint.map(str::to_owned),
            column: None,
        };
        assert_eq!(refusal("23505", None).class(), Class::Duplicate);
        assert_eq!(refusal("23503", None).class(), Class::MissingParent);
        assert_eq!(refusal("54000", None).class(), Class::IndexEntry);
        assert_eq!(refusal("23514", None).class(), Class::Refused);
        let check = refusal("23514", Some("port_check"));
        assert_eq!(check.rule(), "port_check");
        assert_eq!(
            check.to_string(),
            "a CHECK constraint does not hold, constraint port_check (SQLSTATE 23514 check_violation)"
        );
        assert_eq!(refusal("P0001", None).rule(), "-");
    }
}
