//! Column defaults that hold the id of a workspace.
//!
//! Bootstrap of Kong Enterprise gives `ws_id` of some tables the random id of the workspace it makes as a default. Left as it
//! is, it would name a workspace that is gone.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::bootstrap::WORKSPACES;
use super::catalog::{Catalog, Column, PgKind, Table};
use super::failure;
use super::identifier::quote;
use crate::error::{Error, ErrorKind, Result};

/// A column whose default is the id of a workspace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WorkspaceDefault<'a> {
    /// Its table.
    pub table: &'a str,
    /// Its name.
    pub column: &'a str,
    /// The id.
    pub workspace: Uuid,
}

/// The columns whose default is a plain uuid, and either the id of the default workspace or in a column that refers to the
/// workspaces (as where somebody emptied those, and the workspace of the defaults is gone).
pub fn workspace_defaults(catalog: &Catalog, default_workspace: Option<Uuid>) -> Vec<WorkspaceDefault<'_>> {
    let mut found = Vec::new();
    for table in catalog.tables.values() {
        for column in table.columns.iter().filter(|column| column.ty.kind == PgKind::Uuid) {
            let Some(workspace) = plain_uuid(column) else { continue };
            if Some(workspace) == default_workspace || refers_to_workspaces(catalog, table, column) {
                found.push(WorkspaceDefault { table: &table.name, column: &column.name, workspace });
            }
        }
    }
    found
}

fn plain_uuid(column: &Column) -> Option<Uuid> {
    let text = column.default.as_deref()?.strip_prefix('\'')?.strip_suffix("'::uuid")?;
    Uuid::parse_str(text).ok()
}

fn refers_to_workspaces(catalog: &Catalog, table: &Table, column: &Column) -> bool {
    table.foreign_keys.iter().any(|key| {
        key.parent.0 == catalog.schema && key.parent.1 == WORKSPACES && key.columns == [column.name.as_str()]
    })
}

/// Refuses a role that may not change these defaults: that takes the owner of the tables.
///
/// # Errors
/// `Preflight`, with the GRANT that would be enough.
pub async fn check_owner(
    client: &tokio_postgres::Client,
    catalog: &Catalog,
    defaults: &[WorkspaceDefault<'_>],
) -> Result<()> {
    let oids: Vec<u32> = defaults
        .iter()
        .filter_map(|default| catalog.tables.get(default.table))
        .map(|table| table.oid)
        .collect();
    let what = "cannot read the owners of the tables";
    let rows = client
        .query(
            "SELECT c.relname::text, pg_catalog.pg_get_userbyid(c.relowner)::text, current_user::text
             FROM pg_catalog.pg_class c
             WHERE c.oid = ANY ($1) AND NOT pg_catalog.pg_has_role(c.relowner, 'USAGE') ORDER BY 1",
            &[&oids],
        )
        .await
        .map_err(|error| failure::statement(&error, what))?;
    let mut tables = Vec::new();
    let mut grants = BTreeSet::new();
    let mut role = String::new();
    for row in &rows {
        let read = || Ok::<_, tokio_postgres::Error>((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?));
        let (table, owner, user): (String, String, String) =
            read().map_err(|_| Error::new(ErrorKind::Target, what).because("unexpected answer"))?;
        tables.push(table);
        grants.insert(format!("GRANT {} TO {};", quote(&owner), quote(&user)));
        role = user;
    }
    if tables.is_empty() {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Preflight,
        format!("role {role} is not the owner of {}", tables.join(", ")),
    )
    .because(
        "their ws_id has the id of the target's default workspace as its default, which has to become the source's; only \
         the owner may change it",
    )
    .remedy(format!(
        "connect as the owner of the tables, or: {}",
        grants.into_iter().collect::<Vec<_>>().join(" ")
    )))
}
