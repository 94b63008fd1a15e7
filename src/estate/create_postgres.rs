//! Kong's schema on `PostgreSQL`, with the rows a fresh Gateway leaves.

use std::fmt::Write as _;

use tokio_postgres::Client;
use uuid::Uuid;

use super::catalog::{DEFAULT_WORKSPACE, Migrations, PostgresCatalog, PostgresTable};
use super::connect::postgres_cause;
use super::create_cassandra::CreateOptions;
use super::seed::{self, Store};
use super::{Edition, KongVersion};
use crate::error::{Error, ErrorKind, Result};

/// First server version that knows `EXECUTE FUNCTION` in CREATE TRIGGER.
const EXECUTE_FUNCTION_SINCE: u32 = 110_000;

/// Keeps one row of `tags` per entity, untagged entities included. `entity_name` stays what the first write made it.
const SYNC_TAGS: &str = r"
CREATE FUNCTION sync_tags() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  IF TG_OP = 'DELETE' THEN
    DELETE FROM tags AS kept WHERE kept.entity_id = OLD.id;
    RETURN OLD;
  END IF;
  INSERT INTO tags (entity_id, entity_name, tags)
       VALUES (NEW.id, TG_TABLE_NAME, NEW.tags)
  ON CONFLICT (entity_id) DO UPDATE SET tags = EXCLUDED.tags;
  RETURN NEW;
END
$body$";

/// Removes up to two expired rows of the table a statement inserted into, oldest first; the argument names the column that
/// holds the instant of expiry.
const BATCH_DELETE_EXPIRED_ROWS: &str = r"
CREATE FUNCTION batch_delete_expired_rows() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
  EXECUTE format(
    'DELETE FROM %1$I.%2$I WHERE ctid = ANY (ARRAY('
    'SELECT ctid FROM %1$I.%2$I WHERE %3$I < CURRENT_TIMESTAMP ORDER BY %3$I LIMIT 2 FOR UPDATE SKIP LOCKED))',
    TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_ARGV[0]);
  RETURN NULL;
END
$body$";

/// Creates all tables of `version` with their constraints, indexes, functions and triggers in `schema`, and the bootstrap
/// rows, in one transaction. Returns the id of the workspace `default`.
///
/// # Errors
/// `Preflight` when the schema already holds Kong's tables; `Target` when the server refuses a statement.
pub async fn create_postgres(client: &Client, schema: &str, version: KongVersion) -> Result<Uuid> {
    create_postgres_with(client, schema, version, &CreateOptions::default()).await
}

/// Like [`create_postgres`], in the edition, with the workspace id and the administrator of `options`.
///
/// # Errors
/// As [`create_postgres`].
pub async fn create_postgres_with(
    client: &Client,
    schema: &str,
    version: KongVersion,
    options: &CreateOptions,
) -> Result<Uuid> {
    let catalog = PostgresCatalog::of_edition(version, options.edition)?;
    refuse_if_present(client, schema, &catalog).await?;
    let server = server_version(client).await?;
    let workspace = options.workspace.unwrap_or_else(Uuid::new_v4);
    let script = script(schema, version, &catalog, server, (workspace, options))?;
    if let Err(error) = client.batch_execute(&script).await {
        let refusal =
            Error::new(ErrorKind::Target, format!("cannot create Kong's tables in schema {schema}"))
                .because(postgres_cause(&error))
                .remedy("use a role that may create objects in this database");
        // The script opened a transaction, and the caller's connection must not stay inside it.
        let _ = client.batch_execute("ROLLBACK").await;
        return Err(refusal);
    }
    Ok(workspace)
}

async fn refuse_if_present(client: &Client, schema: &str, catalog: &PostgresCatalog) -> Result<()> {
    let names: Vec<&str> = catalog.tables.keys().map(String::as_str).collect();
    let present: i64 = client
        .query_one(
            "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1::text AND c.relname = ANY ($2::text[])",
            &[&schema, &names],
        )
        .await
        .and_then(|row| row.try_get(0))
        .map_err(|error| {
            Error::new(ErrorKind::Preflight, "cannot list the tables of the database")
                .because(postgres_cause(&error))
        })?;
    if present == 0 {
        return Ok(());
    }
    Err(Error::new(ErrorKind::Preflight, format!("schema {schema} already holds {present} of Kong's tables"))
        .remedy("create the estate in another database or schema, or drop this one first"))
}

async fn server_version(client: &Client) -> Result<u32> {
    let cannot = || Error::new(ErrorKind::Preflight, "cannot tell the version of the PostgreSQL server");
    let row = client
        .query_one("SELECT pg_catalog.current_setting('server_version_num')", &[])
        .await
        .map_err(|error| cannot().because(postgres_cause(&error)))?;
    row.try_get::<_, &str>(0).ok().and_then(|text| text.parse().ok()).ok_or_else(cannot)
}

/// The whole creation as one script: tables first, then keys, then foreign keys, then the rest, so that every statement finds
/// what it refers to.
fn script(
    schema: &str,
    version: KongVersion,
    catalog: &PostgresCatalog,
    server: u32,
    (workspace, options): (Uuid, &CreateOptions),
) -> Result<String> {
    let mut sql = format!(
        "BEGIN; CREATE SCHEMA IF NOT EXISTS {schema}; SET LOCAL search_path = {schema}; SET LOCAL TimeZone = 'UTC';",
        schema = quoted(schema)
    );
    for (name, table) in &catalog.tables {
        create_table(&mut sql, name, table, workspace);
    }
    let is_foreign = |definition: &str| definition.starts_with("FOREIGN KEY");
    for foreign in [false, true] {
        for (name, table) in &catalog.tables {
            for constraint in table.constraints.iter().filter(|it| is_foreign(&it.definition) == foreign) {
                let _ = write!(
                    sql,
                    "ALTER TABLE {} ADD CONSTRAINT {} {};",
                    quoted(name),
                    quoted(&constraint.name),
                    constraint.definition
                );
            }
        }
    }
    sql.push_str(SYNC_TAGS);
    sql.push(';');
    if catalog
        .tables
        .values()
        .flat_map(|table| &table.triggers)
        .any(|trigger| trigger.for_each == "STATEMENT")
    {
        sql.push_str(BATCH_DELETE_EXPIRED_ROWS);
        sql.push(';');
    }
    let execute = if server < EXECUTE_FUNCTION_SINCE { "PROCEDURE" } else { "FUNCTION" };
    for (name, table) in &catalog.tables {
        for index in &table.indexes {
            let _ = write!(
                sql,
                "CREATE {}INDEX {} ON {} USING {};",
                if index.unique { "UNIQUE " } else { "" },
                quoted(&index.name),
                quoted(name),
                index.definition
            );
        }
        for trigger in &table.triggers {
            let _ = write!(
                sql,
                "CREATE TRIGGER {} {} ON {} FOR EACH {} EXECUTE {execute} {};",
                quoted(&trigger.name),
                trigger.event,
                quoted(name),
                trigger.for_each,
                trigger.call
            );
        }
    }
    bootstrap(&mut sql, version, options.edition, workspace)?;
    if options.edition == Edition::Enterprise {
        for row in seed::rows(Store::Postgres, workspace, options.admin_password.as_ref()) {
            let columns: Vec<String> = row.cells.iter().map(|(column, _)| quoted(column)).collect();
            let values: Vec<String> = row.cells.iter().map(|(_, value)| seed::sql_literal(value)).collect();
            let _ = write!(
                sql,
                "INSERT INTO {} ({}) VALUES ({});",
                quoted(row.table),
                columns.join(", "),
                values.join(", ")
            );
        }
    }
    sql.push_str("COMMIT;");
    Ok(sql)
}

fn create_table(sql: &mut String, name: &str, table: &PostgresTable, workspace: Uuid) {
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| {
            let mut text = format!("{} {}", quoted(&column.name), column.ty);
            if let Some(default) = &column.default {
                let default = default.replace(DEFAULT_WORKSPACE, &workspace.to_string());
                let _ = write!(text, " DEFAULT {default}");
            }
            if column.not_null {
                text.push_str(" NOT NULL");
            }
            text
        })
        .collect();
    let _ = write!(sql, "CREATE TABLE {} ({});", quoted(name), columns.join(", "));
}

/// The rows a fresh Gateway leaves. Timestamps come from the column defaults; `pending` is `{}` where a finish phase ran.
fn bootstrap(sql: &mut String, version: KongVersion, edition: Edition, workspace: Uuid) -> Result<()> {
    let _ = write!(sql, "INSERT INTO workspaces (id, name) VALUES ('{workspace}', 'default');");
    let _ = write!(
        sql,
        "INSERT INTO parameters (key, value, created_at) VALUES ('cluster_id', '{}', NULL);",
        Uuid::new_v4()
    );
    for (subsystem, migrations) in Migrations::of_edition(version, edition)?.subsystems {
        let executed: Vec<String> = migrations.steps.iter().map(|step| format!("'{step}'")).collect();
        let _ = write!(
            sql,
            "INSERT INTO schema_meta (key, subsystem, last_executed, executed, pending) \
             VALUES ('schema_meta', '{subsystem}', {}, ARRAY[{}]::text[], {});",
            executed.last().map_or("NULL", String::as_str),
            executed.join(", "),
            if migrations.finish_phase { "'{}'" } else { "NULL" }
        );
    }
    Ok(())
}

/// `identifier` as a quoted identifier of SQL.
fn quoted(identifier: &str) -> String {
    format!("\"{}\"", identifier.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_servers_get_execute_procedure() {
        let version = KongVersion::V3_3;
        let catalog = PostgresCatalog::of(version).unwrap();
        let options = CreateOptions::default();
        let old = script("public", version, &catalog, 90_624, (Uuid::nil(), &options)).unwrap();
        let new = script("public", version, &catalog, 110_000, (Uuid::nil(), &options)).unwrap();
        assert!(!old.contains("EXECUTE FUNCTION") && old.contains("EXECUTE PROCEDURE sync_tags()"));
        assert!(!new.contains("EXECUTE PROCEDURE") && new.contains("EXECUTE FUNCTION sync_tags()"));
    }

    #[test]
    fn column_defaults_hold_the_workspace_of_the_seed() {
        let catalog = PostgresCatalog::of_edition(KongVersion::V2_8, Edition::Enterprise).unwrap();
        let options = CreateOptions { edition: Edition::Enterprise, ..CreateOptions::default() };
        let workspace = Uuid::max();
        let script = script("public", KongVersion::V2_8, &catalog, 160_000, (workspace, &options)).unwrap();
        assert!(!script.contains(DEFAULT_WORKSPACE));
        assert_eq!(script.matches(&format!("DEFAULT '{workspace}'::uuid")).count(), 9);
        assert!(script.contains("CREATE UNIQUE INDEX \"license_data_node_id_year_month_idx\""));
    }

    #[test]
    fn quoting_survives_quotes() {
        assert_eq!(quoted("group"), "\"group\"");
        assert_eq!(quoted("a\"b"), "\"a\"\"b\"");
    }
}
