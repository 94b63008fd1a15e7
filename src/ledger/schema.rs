//! The tables of schema `kongferry`.

use super::unexpected;
use crate::error::{Error, ErrorKind, Result};
use crate::target::{LoadTransaction, Target, failure};

/// Name of the schema.
pub const SCHEMA: &str = "kongferry";

/// Layout of the tables; a build refuses a ledger of another one.
const FORMAT: i32 = 2;

/// Only the role that runs kongferry can read them: kept rows are rows of Kong's tables.
const TABLES: &str = "
    CREATE SCHEMA IF NOT EXISTS kongferry;
    CREATE TABLE kongferry.format (version integer PRIMARY KEY);
    COMMENT ON TABLE kongferry.format IS
        'Written by kongferry, which moved Kong''s data here. Once the move is final: kongferry clean';
    CREATE TABLE kongferry.run (
        id uuid PRIMARY KEY,
        place integer NOT NULL UNIQUE,
        state text NOT NULL CHECK (state IN ('loading', 'done', 'rearmed', 'undone')),
        armed boolean NOT NULL,
        program text NOT NULL,
        terms jsonb NOT NULL,
        armour jsonb,
        done_txid bigint,
        began_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        ended_at timestamptz);
    CREATE UNIQUE INDEX run_unfinished ON kongferry.run ((true)) WHERE state = 'loading' OR NOT armed;
    CREATE TABLE kongferry.task (
        run uuid NOT NULL REFERENCES kongferry.run,
        id integer NOT NULL,
        lane text NOT NULL,
        work jsonb NOT NULL,
        label text NOT NULL,
        table_name text,
        part text NOT NULL,
        needs text[] NOT NULL,
        priority bigint NOT NULL,
        share double precision NOT NULL,
        state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'done')),
        totals jsonb,
        worker text,
        done_at timestamptz,
        seconds double precision,
        failures integer NOT NULL DEFAULT 0,
        failure text,
        PRIMARY KEY (run, id));
    CREATE INDEX task_claim ON kongferry.task (run, lane, priority DESC, id) WHERE state = 'open';
    CREATE TABLE kongferry.kept_row (
        run uuid NOT NULL REFERENCES kongferry.run,
        place bigserial,
        table_name text NOT NULL,
        content text NOT NULL,
        PRIMARY KEY (run, place));
    CREATE TABLE kongferry.kept_default (
        run uuid NOT NULL REFERENCES kongferry.run,
        table_name text NOT NULL,
        column_name text NOT NULL,
        expression text NOT NULL,
        PRIMARY KEY (run, table_name, column_name));
    CREATE TABLE kongferry.change (
        run uuid NOT NULL REFERENCES kongferry.run,
        place bigserial,
        task integer,
        table_name text NOT NULL,
        why text NOT NULL,
        rows bigint NOT NULL,
        digest text,
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (run, place));
    CREATE TABLE kongferry.quarantine (
        run uuid NOT NULL REFERENCES kongferry.run,
        id bigserial,
        task integer,
        table_name text NOT NULL,
        key text NOT NULL,
        class text NOT NULL,
        rule text NOT NULL,
        reason text NOT NULL,
        cells bytea,
        selection jsonb,
        read_at bigint,
        content jsonb,
        state text NOT NULL DEFAULT 'held' CHECK (state IN ('held', 'loaded', 'dropped')),
        at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (run, id));
    COMMENT ON TABLE kongferry.quarantine IS
        'Rows that could not be loaded, whole: as the source gave them in cells, or as they were loaded in content';
    CREATE TABLE kongferry.accounted (
        run uuid NOT NULL REFERENCES kongferry.run,
        place bigserial,
        task integer,
        table_name text NOT NULL,
        key text NOT NULL,
        columns text[],
        PRIMARY KEY (run, place));
    COMMENT ON TABLE kongferry.accounted IS
        'Rows that differ from the source on purpose: the columns that were repaired, or NULL where the row was left behind';
    INSERT INTO kongferry.format VALUES (2);";

/// Whether the target has a ledger.
///
/// # Errors
/// `Preflight` when it has one of another layout.
pub(super) async fn exists(target: &Target) -> Result<bool> {
    let client = target.client().await?;
    let what = "look for the ledger of earlier runs";
    let failed = |error: tokio_postgres::Error| failure::statement(&error, format!("cannot {what}"));
    let sql = "SELECT pg_catalog.to_regclass('kongferry.format') IS NOT NULL";
    let there: bool =
        client.query_one(sql, &[]).await.map_err(failed)?.try_get(0).map_err(|_| unexpected(what))?;
    if !there {
        return Ok(false);
    }
    let rows = client.query("SELECT version FROM kongferry.format", &[]).await.map_err(failed)?;
    let version: Option<i32> = rows.first().and_then(|row| row.try_get(0).ok());
    if version != Some(FORMAT) {
        return Err(Error::new(
            ErrorKind::Preflight,
            format!("schema {SCHEMA} of the target was written by another version of kongferry"),
        )
        .remedy(format!(
            "finish with that version; or, when its run is over for good: DROP SCHEMA {SCHEMA} CASCADE;"
        )));
    }
    Ok(true)
}

/// Creates the tables in `transaction`.
pub(super) async fn create(transaction: &mut LoadTransaction) -> Result<()> {
    transaction.batch("cannot create the ledger", TABLES).await
}

impl super::Ledger {
    /// Drops the schema.
    pub async fn drop_schema(target: &Target) -> Result<()> {
        let mut transaction = target.begin().await?;
        transaction.batch("cannot drop the ledger", "DROP SCHEMA kongferry CASCADE").await?;
        transaction.commit().await
    }
}
