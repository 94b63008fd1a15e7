//! May the role do what the run will ask for? Asked before anything is written.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::Catalog;
use super::failure;
use super::identifier::{qualified, quote};
use crate::error::{Error, ErrorKind, Result};

/// Filled by row triggers (`..._sync_tags_trigger`). Triggers work with the rights of whoever inserts; those of Kong 3.3
/// named `..._ttl_trigger` lock and delete expired rows.
const TAGS: &str = "tags";

/// Refuses a role that lacks a privilege on one of the tables: `loaded` are filled and counted, `emptied` (some of them) lose
/// their bootstrap rows first. Row security that applies to the role is refused as well: it would hide rows.
///
/// # Errors
/// `Preflight`, with the GRANT that is missing.
pub async fn check_privileges(
    client: &tokio_postgres::Client,
    catalog: &Catalog,
    loaded: &BTreeSet<String>,
    emptied: &BTreeSet<String>,
) -> Result<()> {
    let mut wanted: BTreeMap<(&str, &str), u32> = BTreeMap::new();
    let mut want = |table: &str, privileges: &[&'static str]| {
        if let Some(table) = catalog.tables.get(table) {
            for privilege in privileges {
                wanted.insert((*privilege, table.name.as_str()), table.oid);
            }
        }
    };
    for table in loaded {
        want(table, &["SELECT", "INSERT"]);
        for (trigger, _) in catalog.tables.get(table).map_or(&[][..], |table| &table.triggers) {
            if trigger.contains("sync_tags") {
                want(TAGS, &["SELECT", "INSERT", "UPDATE"]);
            } else if trigger.ends_with("_ttl_trigger") {
                want(table, &["UPDATE", "DELETE"]);
            }
        }
    }
    for table in emptied {
        want(table, &["SELECT", "DELETE"]);
    }

    let oids: Vec<u32> = wanted.values().copied().collect();
    let privileges: Vec<&str> = wanted.keys().map(|(privilege, _)| *privilege).collect();
    let what = "cannot read the privileges of the role";
    let row = client
        .query_one(
            "SELECT session_user::text,
                    coalesce(array_agg(has_table_privilege(o.oid, o.privilege) ORDER BY o.place), '{}'),
                    coalesce(array_agg(row_security_active(o.oid) ORDER BY o.place), '{}')
             FROM unnest($1::oid[], $2::text[]) WITH ORDINALITY o (oid, privilege, place)",
            &[&oids, &privileges],
        )
        .await
        .map_err(|error| failure::statement(&error, what))?;
    let unexpected = |_| Error::new(ErrorKind::Target, what).because("unexpected answer");
    let role: String = row.try_get(0).map_err(unexpected)?;
    // NULL: the table was dropped in between.
    let granted: Vec<Option<bool>> = row.try_get(1).map_err(unexpected)?;
    let secured: Vec<Option<bool>> = row.try_get(2).map_err(unexpected)?;

    let hidden: BTreeSet<&str> = wanted
        .keys()
        .zip(secured)
        .filter(|(_, active)| *active == Some(true))
        .map(|((_, table), _)| *table)
        .collect();
    if !hidden.is_empty() {
        let tables = hidden.into_iter().collect::<Vec<_>>().join(", ");
        return Err(Error::new(
            ErrorKind::Preflight,
            format!("row security applies to role {role} on {tables}, so that it does not see all rows"),
        )
        .remedy("connect as the owner of the tables"));
    }
    let mut missing: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for ((privilege, table), granted) in wanted.keys().zip(granted) {
        if granted != Some(true) {
            missing.entry(privilege).or_default().push(table);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let tables: BTreeSet<&str> = missing.values().flatten().copied().collect();
    let grants: Vec<String> = missing
        .iter()
        .map(|(privilege, tables)| {
            let names: Vec<_> = tables.iter().map(|table| qualified(&catalog.schema, table)).collect();
            format!("GRANT {privilege} ON {} TO {};", names.join(", "), quote(&role))
        })
        .collect();
    Err(Error::new(
        ErrorKind::Preflight,
        format!("role {role} lacks privileges on {}", tables.into_iter().collect::<Vec<_>>().join(", ")),
    )
    .remedy(format!("connect as the owner of the tables, or: {}", grants.join(" "))))
}
