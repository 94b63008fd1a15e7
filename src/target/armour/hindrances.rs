//! What forbids taking the armour off.

use std::collections::BTreeSet;

use super::inventory::Armour;
use super::read::{get, rows, unexpected};
use super::rehearsal::KEEP;
use super::snapshot;
use crate::error::{Error, ErrorKind, Result};
use crate::target::identifier::quote;
use crate::target::tags::SYNC_TAGS;
use crate::target::{Catalog, Target};

const WHAT: &str = "cannot see whether indexes, keys and triggers can be taken off";
/// `server_version_num` from which tables can be published and partitioned.
const WITH_PUBLICATIONS: u32 = 100_000;
/// `server_version_num` from which whole schemas can be published.
const WITH_PUBLISHED_SCHEMAS: u32 = 150_000;
/// `server_version_num` from which foreign keys can be NOT ENFORCED.
const WITH_ENFORCEMENT: u32 = 180_000;
/// Schema of the journal.
const JOURNAL: &str = "kongferry";

/// Refuses tables that cannot be disarmed and restored exactly by this role. Only looks. `inside` names the tables known to
/// the run, copied or skipped.
///
/// # Errors
/// `Preflight`, with all that stands in the way.
pub async fn check(
    target: &Target,
    catalog: &Catalog,
    armour: &Armour,
    inside: &BTreeSet<String>,
) -> Result<()> {
    let client = target.client().await?;
    let version = catalog.server_version_num;
    let oids = snapshot::oids(&client, armour).await?;
    let own: Vec<u32> =
        armour.tables.keys().filter_map(|table| Some(catalog.tables.get(table)?.oid)).collect();
    let look = Look { client: &client, found: Vec::new() };
    let found = look
        .query(OWNERSHIP, &[&snapshot::oids_of(&client, &changed(armour)).await?])
        .await?
        .query(ROLE, &[&armour.schema])
        .await?
        .query(TABLESPACES, &[&tablespaces(armour)])
        .await?
        .query(PARENTS, &[&oids, &own])
        .await?
        .query(DEPENDENTS, &[&own])
        .await?
        .query(&unsound_sql(version), &[&own])
        .await?
        .query(&family_sql(version), &[&oids])
        .await?
        .query(CONDITIONAL_TRIGGERS, &[&own, &SYNC_TAGS])
        .await?;
    let found = if version >= WITH_PUBLICATIONS {
        found.query(&publications_sql(version), &[&own]).await?
    } else {
        found
    };
    let mut found = found.found;
    found.extend(from_outside(armour, inside));
    refuse(found)
}

/// A hindrance and its remedy.
type Hindrance = (String, String);

/// Gathers the answers of queries that give hindrances.
struct Look<'a> {
    client: &'a tokio_postgres::Client,
    found: Vec<Hindrance>,
}

impl Look<'_> {
    async fn query(
        mut self,
        sql: &str,
        params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
    ) -> Result<Self> {
        for row in rows(self.client, WHAT, sql, params).await? {
            self.found.push((get(&row, 0, WHAT)?, get(&row, 1, WHAT)?));
        }
        Ok(self)
    }
}

fn refuse(found: Vec<Hindrance>) -> Result<()> {
    if found.is_empty() {
        return Ok(());
    }
    let (objects, remedies): (Vec<String>, Vec<String>) = found.into_iter().unzip();
    let mut error = Error::new(
        ErrorKind::Preflight,
        "indexes, keys and triggers of the target cannot be taken off for the load and put back exactly",
    )
    .because(objects.join("; "));
    let mut named = BTreeSet::new();
    for remedy in &remedies {
        if named.insert(remedy) {
            error = error.and_remedy(remedy);
        }
    }
    Err(error.and_remedy(format!("or {KEEP}")))
}

/// Foreign keys from tables the run does not know: nobody would look after their rows.
fn from_outside(armour: &Armour, inside: &BTreeSet<String>) -> Vec<Hindrance> {
    armour
        .foreign_keys
        .iter()
        .filter(|key| key.schema != armour.schema || !inside.contains(&key.table))
        .map(|key| {
            let table = format!("{}.{}", quote(&key.schema), quote(&key.table));
            (
                format!(
                    "foreign key {} of {table}, which is no part of the run, refers to {}",
                    key.name, key.parent
                ),
                format!(
                    "ALTER TABLE {table} DROP CONSTRAINT {}; and add it again after the run",
                    quote(&key.name)
                ),
            )
        })
        .collect()
}

fn tablespaces(armour: &Armour) -> Vec<&str> {
    let all = armour.tables.values().flat_map(|table| &table.indexes).map(|index| index.tablespace.as_str());
    all.filter(|name| !name.is_empty()).collect::<BTreeSet<_>>().into_iter().collect()
}

/// Tables whose definitions change: those of the armour, and those whose foreign keys are dropped.
fn changed(armour: &Armour) -> BTreeSet<(&str, &str)> {
    let tables = armour.tables.keys().map(|table| (armour.schema.as_str(), table.as_str()));
    let children = armour.foreign_keys.iter().map(|key| (key.schema.as_str(), key.table.as_str()));
    tables.chain(children).collect()
}

const OWNERSHIP: &str = "
    SELECT format('role %s does not own %s (%s does)', current_user, string_agg(c.relname, ', ' ORDER BY c.relname),
                  pg_get_userbyid(c.relowner)),
           format('connect as that owner, or: GRANT %I TO %I;', pg_get_userbyid(c.relowner), current_user)
    FROM pg_catalog.pg_class c
    WHERE c.oid = ANY ($1::oid[]) AND NOT pg_has_role(c.relowner, 'USAGE')
    GROUP BY c.relowner ORDER BY 1";

/// What the role needs besides the tables.
const ROLE: &str = "
    SELECT format('role %s may not create indexes in schema %s', current_user, n.nspname),
           format('GRANT CREATE ON SCHEMA %I TO %I;', n.nspname, current_user)
    FROM pg_catalog.pg_namespace n WHERE n.nspname = $1 AND NOT has_schema_privilege(n.oid, 'CREATE')
    UNION ALL
    SELECT format('role %s may not run PL/pgSQL', current_user),
           format('GRANT USAGE ON LANGUAGE plpgsql TO %I;', current_user)
    WHERE NOT coalesce((SELECT has_language_privilege(l.oid, 'USAGE') FROM pg_catalog.pg_language l
                        WHERE l.lanname = 'plpgsql'), false)";

const TABLESPACES: &str = "
    SELECT format('role %s may not create indexes in tablespace %s again', current_user, s.spcname),
           format('GRANT CREATE ON TABLESPACE %I TO %I;', s.spcname, current_user)
    FROM pg_catalog.pg_tablespace s
    WHERE s.spcname = ANY ($1::text[]) AND NOT has_tablespace_privilege(s.oid, 'CREATE') ORDER BY 1";

const PARENTS: &str = "
    SELECT format('role %s may not refer to %s', current_user, c.oid::regclass),
           format('GRANT REFERENCES ON %s TO %I;', c.oid::regclass, current_user)
    FROM pg_catalog.pg_class c
    WHERE c.oid = ANY ($1::oid[]) AND NOT has_table_privilege(c.oid, 'REFERENCES')
      AND EXISTS (SELECT 1 FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid
                  AND (k.conrelid = ANY ($2::oid[]) OR k.confrelid = ANY ($2::oid[])))
    ORDER BY 1";

/// Objects that would go with a key or an index: views that group by a primary key, rules and functions that name one. An
/// index belongs to its constraint, triggers to theirs, and foreign keys are taken off themselves.
const DEPENDENTS: &str = "
    WITH indexes AS (SELECT i.indexrelid AS oid FROM pg_catalog.pg_index i WHERE i.indrelid = ANY ($1::oid[])),
         keys AS (SELECT k.oid FROM pg_catalog.pg_constraint k
                  WHERE k.conrelid = ANY ($1::oid[]) AND k.contype IN ('p', 'u', 'x')
                     OR k.contype = 'f' AND (k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[]))),
         dependents AS (
        SELECT DISTINCT coalesce(pg_describe_object('pg_catalog.pg_class'::regclass, r.ev_class, 0),
                                 pg_describe_object(d.classid, d.objid, d.objsubid)) AS dependent,
               pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS object
        FROM pg_catalog.pg_depend d
        LEFT JOIN pg_catalog.pg_rewrite r ON d.classid = 'pg_catalog.pg_rewrite'::regclass AND r.oid = d.objid
        WHERE (d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid IN (SELECT oid FROM indexes)
               OR d.refclassid = 'pg_catalog.pg_constraint'::regclass AND d.refobjid IN (SELECT oid FROM keys))
          AND NOT (d.classid = 'pg_catalog.pg_class'::regclass AND d.objid IN (SELECT oid FROM indexes))
          AND NOT (d.classid = 'pg_catalog.pg_constraint'::regclass AND d.objid IN (SELECT oid FROM keys))
          AND NOT (d.classid = 'pg_catalog.pg_trigger'::regclass
                   AND EXISTS (SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.oid = d.objid AND g.tgisinternal)))
    SELECT format('%s depends on %s', dependent, object), format('drop %s for the time of the load', dependent)
    FROM dependents ORDER BY 1";

/// Foreign keys and indexes in a state that cannot be made again.
fn unsound_sql(version: u32) -> String {
    let unenforced = if version >= WITH_ENFORCEMENT { "NOT k.conenforced" } else { "false" };
    format!(
        "SELECT format('foreign key %s of %s is %s', k.conname, k.conrelid::regclass,
                       CASE WHEN {unenforced} THEN 'NOT ENFORCED' ELSE 'NOT VALID' END),
                CASE WHEN {unenforced}
                     THEN format('ALTER TABLE %s ALTER CONSTRAINT %I ENFORCED;', k.conrelid::regclass, k.conname)
                     ELSE format('ALTER TABLE %s VALIDATE CONSTRAINT %I;', k.conrelid::regclass, k.conname) END
         FROM pg_catalog.pg_constraint k
         WHERE k.contype = 'f' AND (k.conrelid = ANY ($1::oid[]) OR k.confrelid = ANY ($1::oid[]))
           AND (NOT k.convalidated OR {unenforced})
         UNION ALL
         SELECT format('index %s of %s is invalid', i.indexrelid::regclass, i.indrelid::regclass),
                format('REINDEX INDEX %s;', i.indexrelid::regclass)
         FROM pg_catalog.pg_index i
         WHERE i.indrelid = ANY ($1::oid[]) AND NOT (i.indisvalid AND i.indisready)
         ORDER BY 1"
    )
}

/// Tables that are part of others, or have parts.
fn family_sql(version: u32) -> String {
    let partition = if version >= WITH_PUBLICATIONS { "c.relispartition" } else { "false" };
    format!(
        "SELECT format('%s is partitioned, or inherits, or is inherited from', c.oid::regclass),
                'leave it out with --skip-tables'
         FROM pg_catalog.pg_class c
         WHERE c.oid = ANY ($1::oid[])
           AND (c.relkind = 'p' OR {partition}
                OR EXISTS (SELECT 1 FROM pg_catalog.pg_inherits h WHERE c.oid IN (h.inhrelid, h.inhparent)))
         ORDER BY 1"
    )
}

/// A condition on such a trigger makes `tags` something else than a rebuild of it gives, and with the trigger left on, it
/// would write into `tags` without its key.
const CONDITIONAL_TRIGGERS: &str = "
    SELECT format('trigger %s of %s writes tags under a condition', g.tgname, c.oid::regclass),
           format('ALTER TABLE %s DISABLE TRIGGER %I; for the time of the load', c.oid::regclass, g.tgname)
    FROM pg_catalog.pg_trigger g
    JOIN pg_catalog.pg_class c ON c.oid = g.tgrelid
    JOIN pg_catalog.pg_proc p ON p.oid = g.tgfoid AND p.pronamespace = c.relnamespace
    WHERE c.oid = ANY ($1::oid[]) AND p.proname = $2 AND g.tgqual IS NOT NULL AND g.tgenabled IN ('O', 'A')
    ORDER BY 1";

/// Without the index behind its identity a published table refuses UPDATE and DELETE.
fn publications_sql(version: u32) -> String {
    let by_schema = if version >= WITH_PUBLISHED_SCHEMAS {
        "EXISTS (SELECT 1 FROM pg_catalog.pg_publication_namespace m
                 WHERE m.pnpubid = p.oid AND m.pnnspid = c.relnamespace)"
    } else {
        "false"
    };
    format!(
        "SELECT format('publication %s publishes updates or deletes of %s, which lose their replica identity', p.pubname,
                       string_agg(c.oid::regclass::text, ', ' ORDER BY c.relname)),
                format('ALTER PUBLICATION %I SET (publish = ''insert''); for the time of the load', p.pubname)
         FROM pg_catalog.pg_publication p, pg_catalog.pg_class c
         WHERE c.oid = ANY ($1::oid[]) AND c.relreplident <> 'f' AND (p.pubupdate OR p.pubdelete)
           AND (p.puballtables OR {by_schema}
                OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_rel r WHERE r.prpubid = p.oid AND r.prrelid = c.oid))
         GROUP BY p.pubname ORDER BY 1"
    )
}

/// Refuses a role that can neither create the schema `kongferry` nor, where it exists, tables in it.
///
/// # Errors
/// `Preflight`, with the GRANT that is missing.
pub async fn check_journal(target: &Target) -> Result<()> {
    let what = "cannot see whether the role may keep a journal";
    let client = target.client().await?;
    let sql = "SELECT current_user::text, current_database()::text,
                      has_database_privilege(current_database(), 'CREATE'),
                      (SELECT has_schema_privilege(n.oid, 'CREATE') AND has_schema_privilege(n.oid, 'USAGE')
                       FROM pg_catalog.pg_namespace n WHERE n.nspname = $1)";
    let answer = rows(&client, what, sql, &[&JOURNAL]).await?;
    let row = answer.first().ok_or_else(|| unexpected(what))?;
    let (role, database): (String, String) = (get(row, 0, what)?, get(row, 1, what)?);
    let (may_create, may_use): (bool, Option<bool>) = (get(row, 2, what)?, get(row, 3, what)?);
    let grant = match (may_use, may_create) {
        (Some(true), _) | (None, true) => return Ok(()),
        (Some(false), _) => format!("GRANT USAGE, CREATE ON SCHEMA {JOURNAL} TO {};", quote(&role)),
        (None, false) => format!("GRANT CREATE ON DATABASE {} TO {};", quote(&database), quote(&role)),
    };
    Err(Error::new(
        ErrorKind::Preflight,
        format!("role {role} may not keep kongferry's journal in schema {JOURNAL}"),
    )
    .remedy(grant)
    .and_remedy(format!("or {KEEP}")))
}
