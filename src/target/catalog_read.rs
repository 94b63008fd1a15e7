//! Reads the [`Catalog`] of one schema from `pg_catalog`, on servers from 9.6 on.

use std::collections::BTreeMap;

use futures::try_join;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::catalog::{Catalog, Column, ForeignKey, PgKind, PgType, Table, UniqueKey};
use super::failure;
use crate::error::{Error, ErrorKind, Result};

/// `server_version_num` from which identity columns exist.
const WITH_IDENTITY: u32 = 100_000;
/// `server_version_num` from which an index can carry columns beside its key (INCLUDE).
const WITH_INCLUDE: u32 = 110_000;
/// `server_version_num` from which generated columns exist.
const WITH_GENERATED: u32 = 120_000;

/// Bytes by which a type modifier exceeds the length it stands for.
const TYPMOD_HEADER: i32 = 4;

/// Reads the tables of `schema`.
pub async fn read(client: &tokio_postgres::Client, schema: &str) -> Result<Catalog> {
    let head =
        fetch(client, "SELECT current_database()::text, current_setting('server_version_num')", &[]).await?;
    let head = head.first().ok_or_else(unexpected)?;
    let version: u32 = get::<String>(head, 1)?.parse().map_err(|_| unexpected())?;
    let (columns_sql, unique_sql) = (columns_sql(version), unique_indexes_sql(version));
    let params: &[&(dyn ToSql + Sync)] = &[&schema];
    let (tables, columns, constraints, indexes, triggers) = try_join!(
        fetch(client, TABLES, params),
        fetch(client, &columns_sql, params),
        fetch(client, CONSTRAINTS, params),
        fetch(client, &unique_sql, params),
        fetch(client, TRIGGERS, params),
    )?;

    let mut by_oid: BTreeMap<u32, Table> = BTreeMap::new();
    for row in &tables {
        let (oid, name, kind): (u32, String, i8) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
        by_oid.insert(oid, Table { oid, name, kind: letter(kind), ..Table::default() });
    }
    each(&mut by_oid, &columns, |table, row| {
        table.columns.push(column(row)?);
        Ok(())
    })?;
    each(&mut by_oid, &constraints, constraint)?;
    each(&mut by_oid, &indexes, |table, row| {
        table.unique.push(UniqueKey { name: get(row, 1)?, columns: get(row, 2)? });
        Ok(())
    })?;
    each(&mut by_oid, &triggers, |table, row| {
        table.triggers.push((get(row, 1)?, letter(get(row, 2)?)));
        Ok(())
    })?;
    Ok(Catalog {
        database: get(head, 0)?,
        schema: schema.to_owned(),
        server_version_num: version,
        tables: by_oid.into_values().map(|table| (table.name.clone(), table)).collect(),
    })
}

const TABLES: &str = "
    SELECT c.oid, c.relname::text, c.relkind
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relkind IN ('r', 'p')";

fn columns_sql(version: u32) -> String {
    let identity = if version >= WITH_IDENTITY { "a.attidentity" } else { "''::\"char\"" };
    let generated = if version >= WITH_GENERATED { "a.attgenerated" } else { "''::\"char\"" };
    format!(
        "SELECT a.attrelid, a.attname::text, a.atttypid, a.atttypmod, pg_catalog.format_type(a.atttypid, a.atttypmod),
                a.attnotnull, pg_catalog.pg_get_expr(d.adbin, d.adrelid), {identity}, {generated},
                CASE WHEN t.typcategory = 'A' AND t.typlen = -1 AND t.typelem <> 0 THEN t.typelem END,
                pg_catalog.format_type(nullif(t.typelem, 0), a.atttypmod)
         FROM pg_catalog.pg_attribute a
         JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
         LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped
         ORDER BY a.attrelid, a.attnum"
    )
}

const CONSTRAINTS: &str = "
    SELECT k.conrelid, k.conname::text, k.contype, k.condeferrable,
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (attnum, place)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum
                 ORDER BY u.place),
           pn.nspname::text, pc.relname::text,
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (attnum, place)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum
                 ORDER BY u.place)
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_class pc ON pc.oid = k.confrelid
    LEFT JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
    WHERE n.nspname = $1 AND k.contype IN ('p', 'u', 'f')
    ORDER BY k.conrelid, k.conname";

/// Unique indexes without a constraint. A partial one, or one on an expression, says nothing of all rows by their columns and
/// is left out; an index entry beyond the key (INCLUDE) is not part of the key.
fn unique_indexes_sql(version: u32) -> String {
    let key_columns = if version >= WITH_INCLUDE { "i.indnkeyatts" } else { "i.indnatts" };
    format!(
        "SELECT i.indrelid, ic.relname::text,
                ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY u (attnum, place)
                      JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.attnum
                      WHERE u.place <= {key_columns} ORDER BY u.place)
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname = $1 AND c.relkind IN ('r', 'p') AND i.indisunique AND NOT i.indisprimary
           AND i.indpred IS NULL AND i.indexprs IS NULL
           AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k
                           WHERE k.conindid = i.indexrelid AND k.conrelid = i.indrelid AND k.contype IN ('p', 'u', 'x'))
         ORDER BY i.indrelid, ic.relname"
    )
}

const TRIGGERS: &str = "
    SELECT t.tgrelid, t.tgname::text, t.tgenabled
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND NOT t.tgisinternal
    ORDER BY t.tgrelid, t.tgname";

fn column(row: &Row) -> Result<Column> {
    let (oid, modifier): (u32, i32) = (get(row, 2)?, get(row, 3)?);
    let kind = match get::<Option<u32>>(row, 9)? {
        Some(element) => PgKind::Array(Box::new(PgType {
            oid: element,
            name: get::<Option<String>>(row, 10)?.unwrap_or_default(),
            kind: scalar_kind(element, modifier),
        })),
        None => scalar_kind(oid, modifier),
    };
    let identity = letter(get(row, 7)?);
    let default: Option<String> = get(row, 6)?;
    Ok(Column {
        name: get(row, 1)?,
        ty: PgType { oid, name: get(row, 4)?, kind },
        not_null: get(row, 5)?,
        default: match identity {
            'a' => Some("GENERATED ALWAYS AS IDENTITY".to_owned()),
            'd' => Some("GENERATED BY DEFAULT AS IDENTITY".to_owned()),
            _ => default,
        },
        generated: matches!(letter(get(row, 8)?), 's' | 'v'),
    })
}

/// By the oids of the built-in types, which are the same on every server. Domains and enums have oids of their own and are
/// `Other`.
fn scalar_kind(oid: u32, modifier: i32) -> PgKind {
    match oid {
        16 => PgKind::Bool,
        17 => PgKind::Bytea,
        20 => PgKind::Int8,
        21 => PgKind::Int2,
        23 => PgKind::Int4,
        25 => PgKind::Text,
        114 => PgKind::Json,
        700 => PgKind::Real,
        701 => PgKind::Double,
        869 => PgKind::Inet,
        1042 | 1043 => PgKind::Varchar(character_limit(modifier)),
        1082 => PgKind::Date,
        1083 => PgKind::Time,
        1114 => PgKind::Timestamp,
        1184 => PgKind::Timestamptz,
        1186 => PgKind::Interval,
        1700 => PgKind::Numeric,
        2950 => PgKind::Uuid,
        3802 => PgKind::Jsonb,
        _ => PgKind::Other,
    }
}

fn constraint(table: &mut Table, row: &Row) -> Result<()> {
    let (name, columns): (String, Vec<String>) = (get(row, 1)?, get(row, 4)?);
    match letter(get(row, 2)?) {
        'p' => table.primary_key = columns,
        'u' => table.unique.push(UniqueKey { name, columns }),
        _ => table.foreign_keys.push(ForeignKey {
            name,
            columns,
            parent: (get(row, 5)?, get(row, 6)?),
            parent_columns: get(row, 7)?,
            deferrable: get(row, 3)?,
        }),
    }
    Ok(())
}

/// Gives each row to the table whose oid stands in its first column. A table created in between is not known: it is not
/// part of the run.
fn each(
    tables: &mut BTreeMap<u32, Table>,
    rows: &[Row],
    mut add: impl FnMut(&mut Table, &Row) -> Result<()>,
) -> Result<()> {
    for row in rows {
        if let Some(table) = tables.get_mut(&get(row, 0)?) {
            add(table, row)?;
        }
    }
    Ok(())
}

async fn fetch(
    client: &tokio_postgres::Client,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>> {
    client
        .query(sql, params)
        .await
        .map_err(|error| failure::statement(&error, "cannot read the catalog of the target"))
}

fn get<'a, T: FromSql<'a>>(row: &'a Row, index: usize) -> Result<T> {
    row.try_get(index).map_err(|_| unexpected())
}

fn unexpected() -> Error {
    Error::new(ErrorKind::Target, "cannot read the catalog of the target").because("unexpected answer")
}

/// A `"char"` as the letter it stands for; the empty one is a space.
fn letter(value: i8) -> char {
    u8::try_from(value).ok().filter(|byte| *byte != 0).map_or(' ', char::from)
}

/// The `n` of `varchar(n)`, from its type modifier; -1 stands for none.
fn character_limit(modifier: i32) -> Option<u32> {
    u32::try_from(modifier.checked_sub(TYPMOD_HEADER)?).ok()
}
