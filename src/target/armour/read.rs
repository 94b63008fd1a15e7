//! Reads the armour from the catalogs.

use std::collections::BTreeSet;

use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, ToSql};

use super::inventory::{
    Armour, ForeignKeyArmour, IndexArmour, KeyArmour, KeyKind, TableArmour, TriggerArmour, TriggerFires,
};
use super::snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::target::tags::SYNC_TAGS;
use crate::target::{Catalog, Target, failure};

/// Function of Kong's triggers that delete expired rows, from 3.3 on.
const DELETE_EXPIRED: &str = "batch_delete_expired_rows";
/// `server_version_num` from which an index can carry columns beside its key (INCLUDE).
const WITH_INCLUDE: u32 = 110_000;
/// `server_version_num` from which equal NULLs can be duplicates.
const WITH_NULLS_NOT_DISTINCT: u32 = 150_000;
/// `server_version_num` from which keys can be WITHOUT OVERLAPS.
const WITH_PERIODS: u32 = 180_000;
/// Bits of `tgtype`: for each row, on INSERT.
const ROW_INSERT: i16 = 0b101;

const WHAT: &str = "cannot read indexes, keys and triggers of the target";

impl Armour {
    /// Reads the armour of `tables`: those to be loaded, and `tags`. One that does not exist is left out.
    pub async fn read(target: &Target, catalog: &Catalog, tables: &BTreeSet<String>) -> Result<Self> {
        let transaction = target.begin().await?;
        let client = transaction.client()?;
        write_names_in_full(client).await?;
        let mut armour = Self {
            schema: catalog.schema.clone(),
            tables: tables
                .iter()
                .filter(|table| catalog.tables.contains_key(*table))
                .map(|table| (table.clone(), TableArmour::default()))
                .collect(),
            foreign_keys: Vec::new(),
            snapshot: Vec::new(),
        };
        armour.read_tables(client, catalog.server_version_num).await?;
        armour.foreign_keys = foreign_keys(client, &armour).await?;
        armour.snapshot = snapshot::take(client, &snapshot::oids(client, &armour).await?).await?;
        transaction.rollback().await?;
        Ok(armour)
    }

    async fn read_tables(&mut self, client: &tokio_postgres::Client, version: u32) -> Result<()> {
        let names: Vec<String> = self.tables.keys().cloned().collect();
        let schema = self.schema.clone();
        let params: &[&(dyn ToSql + Sync)] = &[&schema, &names];
        for row in rows(client, WHAT, TABLES, params).await? {
            let table = self.table(&row)?;
            table.options = get(&row, 1, WHAT)?;
            table.primary_key = get(&row, 2, WHAT)?;
            table.primary_key_is_id = get(&row, 3, WHAT)?;
        }
        for row in rows(client, WHAT, &indexes_sql(version), params).await? {
            self.table(&row)?.indexes.push(index(&row)?);
        }
        for row in rows(client, WHAT, STATISTICS, params).await? {
            let (name, column) = (get::<String>(&row, 1, WHAT)?, get(&row, 2, WHAT)?);
            let statistics = (column, get(&row, 3, WHAT)?, get(&row, 4, WHAT)?);
            let index = self.table(&row)?.indexes.iter_mut().find(|index| index.name == name);
            index.ok_or_else(|| unexpected(WHAT))?.statistics.push(statistics);
        }
        for row in rows(client, WHAT, KEYS, params).await? {
            self.table(&row)?.keys.push(key(&row)?);
        }
        for row in rows(client, WHAT, TRIGGERS, params).await? {
            let table = self.table(&row)?;
            let (name, enabled): (String, String) = (get(&row, 1, WHAT)?, get(&row, 2, WHAT)?);
            let fires = match enabled.as_str() {
                "O" => TriggerFires::Origin,
                "A" => TriggerFires::Always,
                _ => continue,
            };
            let function: Option<String> = get(&row, 3, WHAT)?;
            match function.as_deref() {
                Some(function @ (SYNC_TAGS | DELETE_EXPIRED)) => {
                    table.tagged |=
                        function == SYNC_TAGS && get::<i16>(&row, 4, WHAT)? & ROW_INSERT == ROW_INSERT;
                    table.triggers.push(TriggerArmour { name, fires });
                }
                _ => table.other_triggers.push(name),
            }
        }
        Ok(())
    }

    /// The table whose name stands in the first column.
    fn table(&mut self, row: &Row) -> Result<&mut TableArmour> {
        self.tables.get_mut(get::<&str>(row, 0, WHAT)?).ok_or_else(|| unexpected(WHAT))
    }
}

const TABLES: &str = "
    SELECT c.relname::text, coalesce(c.reloptions, '{}'),
           coalesce(array_agg(a.attname::text ORDER BY u.place) FILTER (WHERE a.attname IS NOT NULL), '{}'),
           coalesce(bool_and(a.atttypid = 'pg_catalog.uuid'::regtype), false)
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_catalog.pg_constraint k ON k.conrelid = c.oid AND k.contype = 'p'
    LEFT JOIN LATERAL unnest(k.conkey) WITH ORDINALITY u (attnum, place) ON true
    LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = u.attnum
    WHERE n.nspname = $1 AND c.relname = ANY ($2::text[])
    GROUP BY c.oid, c.relname, c.reloptions";

fn indexes_sql(version: u32) -> String {
    let columns = if version >= WITH_INCLUDE { "i.indnkeyatts" } else { "i.indnatts" };
    let nulls_equal = if version >= WITH_NULLS_NOT_DISTINCT { "i.indnullsnotdistinct" } else { "false" };
    let period = if version >= WITH_PERIODS { "k.conperiod" } else { "false" };
    format!(
        "SELECT c.relname::text, ic.relname::text, pg_get_indexdef(ic.oid), coalesce(s.spcname::text, ''), i.indisunique,
                {nulls_equal}, coalesce(k.contype = 'x' OR {period}, false), am.amname::text,
                ARRAY(SELECT pg_get_indexdef(ic.oid, g, false) FROM generate_series(1, {columns}::int) g ORDER BY g),
                i.indexprs IS NULL AND i.indpred IS NULL, pg_get_expr(i.indpred, i.indrelid),
                obj_description(ic.oid, 'pg_class'), i.indisclustered, i.indisreplident,
                ARRAY(SELECT e.extname::text FROM pg_catalog.pg_depend d
                      JOIN pg_catalog.pg_extension e ON e.oid = d.refobjid
                      WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = ic.oid AND d.deptype = 'x'
                        AND d.refclassid = 'pg_catalog.pg_extension'::regclass ORDER BY 1)
         FROM pg_catalog.pg_index i
         JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
         JOIN pg_catalog.pg_am am ON am.oid = ic.relam
         JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
         LEFT JOIN pg_catalog.pg_tablespace s ON s.oid = ic.reltablespace
         LEFT JOIN pg_catalog.pg_constraint k ON k.conindid = ic.oid AND k.conrelid = c.oid AND k.contype IN ('p', 'u', 'x')
         WHERE n.nspname = $1 AND c.relname = ANY ($2::text[])
         ORDER BY c.relname, ic.oid"
    )
}

fn index(row: &Row) -> Result<IndexArmour> {
    Ok(IndexArmour {
        name: get(row, 1, WHAT)?,
        definition: get(row, 2, WHAT)?,
        tablespace: get(row, 3, WHAT)?,
        unique: get(row, 4, WHAT)?,
        nulls_equal: get(row, 5, WHAT)?,
        made_by_key: get(row, 6, WHAT)?,
        method: get(row, 7, WHAT)?,
        expressions: get(row, 8, WHAT)?,
        plain: get(row, 9, WHAT)?,
        predicate: get(row, 10, WHAT)?,
        comment: get(row, 11, WHAT)?,
        statistics: Vec::new(),
        extensions: get(row, 14, WHAT)?,
        clustered: get(row, 12, WHAT)?,
        replica_identity: get(row, 13, WHAT)?,
    })
}

/// Statistics targets that were set; unset is NULL, or -1 before `PostgreSQL` 17.
const STATISTICS: &str = "
    SELECT c.relname::text, ic.relname::text, a.attnum, a.attname::text, a.attstattarget::int
    FROM pg_catalog.pg_index i
    JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
    JOIN pg_catalog.pg_attribute a ON a.attrelid = ic.oid
    JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]) AND a.attstattarget >= 0
    ORDER BY ic.oid, a.attnum";

const KEYS: &str = "
    SELECT c.relname::text, k.conname::text, k.contype::text, pg_get_constraintdef(k.oid), k.condeferrable, k.condeferred,
           obj_description(k.oid, 'pg_constraint')
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]) AND k.contype IN ('p', 'u', 'x')
    ORDER BY c.relname, k.oid";

fn key(row: &Row) -> Result<KeyArmour> {
    Ok(KeyArmour {
        name: get(row, 1, WHAT)?,
        kind: match get::<&str>(row, 2, WHAT)? {
            "p" => KeyKind::Primary,
            "u" => KeyKind::Unique,
            _ => KeyKind::Exclusion,
        },
        definition: get(row, 3, WHAT)?,
        deferrable: get(row, 4, WHAT)?,
        deferred: get(row, 5, WHAT)?,
        comment: get(row, 6, WHAT)?,
    })
}

/// The function is NULL unless it stands in Kong's schema and the trigger always calls it.
const TRIGGERS: &str = "
    SELECT c.relname::text, g.tgname::text, g.tgenabled::text,
           CASE WHEN p.pronamespace = c.relnamespace AND g.tgqual IS NULL THEN p.proname::text END, g.tgtype
    FROM pg_catalog.pg_trigger g
    JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid
    JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = $1 AND c.relname = ANY ($2::text[]) AND NOT g.tgisinternal
    ORDER BY c.relname, g.tgname";

async fn foreign_keys(client: &tokio_postgres::Client, armour: &Armour) -> Result<Vec<ForeignKeyArmour>> {
    let names: Vec<&String> = armour.tables.keys().collect();
    let found = rows(client, WHAT, FOREIGN_KEYS, &[&armour.schema, &names]).await?;
    found
        .iter()
        .map(|row| {
            Ok(ForeignKeyArmour {
                schema: get(row, 0, WHAT)?,
                table: get(row, 1, WHAT)?,
                name: get(row, 2, WHAT)?,
                definition: get(row, 3, WHAT)?,
                columns: get(row, 4, WHAT)?,
                parent_schema: get(row, 5, WHAT)?,
                parent: get(row, 6, WHAT)?,
                parent_columns: get(row, 7, WHAT)?,
                match_full: get(row, 8, WHAT)?,
                comment: get(row, 9, WHAT)?,
                ids: get(row, 10, WHAT)?,
            })
        })
        .collect()
}

const FOREIGN_KEYS: &str = "
    SELECT n.nspname::text, c.relname::text, k.conname::text, pg_get_constraintdef(k.oid),
           ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY u (attnum, place)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.attnum ORDER BY u.place),
           pn.nspname::text, pc.relname::text,
           ARRAY(SELECT a.attname::text FROM unnest(k.confkey) WITH ORDINALITY u (attnum, place)
                 JOIN pg_catalog.pg_attribute a ON a.attrelid = k.confrelid AND a.attnum = u.attnum ORDER BY u.place),
           k.confmatchtype = 'f', obj_description(k.oid, 'pg_constraint'),
           coalesce((SELECT CASE WHEN bool_and(a.atttypid = 'pg_catalog.uuid'::regtype)
                                 THEN array_agg(a.attname::text ORDER BY u.place) END
                     FROM pg_catalog.pg_constraint p, unnest(p.conkey) WITH ORDINALITY u (attnum, place)
                     JOIN pg_catalog.pg_attribute a ON a.attnum = u.attnum
                     WHERE p.conrelid = c.oid AND p.contype = 'p' AND a.attrelid = c.oid), '{}')
    FROM pg_catalog.pg_constraint k
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_class pc ON pc.oid = k.confrelid
    JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
    WHERE k.contype = 'f' AND (n.nspname = $1 AND c.relname = ANY ($2::text[])
                               OR pn.nspname = $1 AND pc.relname = ANY ($2::text[]))
    ORDER BY 1, 2, k.oid";

/// Makes the catalog functions write the schema of every name outside `pg_catalog`, until the transaction ends.
pub(super) async fn write_names_in_full(client: &tokio_postgres::Client) -> Result<()> {
    client
        .batch_execute("SET LOCAL search_path = pg_catalog")
        .await
        .map_err(|error| failure::statement(&error, WHAT))
}

/// The rows of a query.
pub(super) async fn rows(
    client: &tokio_postgres::Client,
    what: &str,
    sql: &str,
    params: &[&(dyn ToSql + Sync)],
) -> Result<Vec<Row>> {
    client.query(sql, params).await.map_err(|error| failure::statement(&error, what))
}

/// A column of a row.
pub(super) fn get<'a, T: FromSql<'a>>(row: &'a Row, index: usize, what: &str) -> Result<T> {
    row.try_get(index).map_err(|_| unexpected(what))
}

/// An answer the program does not understand.
pub(super) fn unexpected(what: &str) -> Error {
    Error::new(ErrorKind::Target, what).because("unexpected answer")
}
