//! The rows that `kong migrations bootstrap` leaves, and what becomes of them.
//!
//! Their ids are random (or fixed, for `oic_jwks`), their names those of the source's own rows: they would collide.

use std::collections::{BTreeMap, BTreeSet};

use super::catalog::{Catalog, Table};
use super::identifier::qualified;
use super::levels::load_levels;
use crate::error::Result;

/// Table to which every entity belongs.
pub const WORKSPACES: &str = "workspaces";
/// Filled by row triggers of other tables.
const TAGS: &str = "tags";

/// Bootstrap rows of one table.
struct Known {
    table: &'static str,
    /// Columns that tell them, `table.column`; without these the table has none.
    needs: &'static [&'static str],
    /// What holds for a bootstrap row and for no other. `@table` stands for the qualified name of a table.
    condition: &'static str,
}

/// Tables in which bootstrap leaves rows, with and without Enterprise. Those of `kong_admin` exist where bootstrap ran with
/// `KONG_PASSWORD`. `workspace_entities` (unread since 2.1; may hold that password in plain text) and
/// `workspace_entity_counters` (counted anew) are book-keeping: any row of theirs gives way.
const KNOWN: &[Known] = &[
    Known { table: WORKSPACES, needs: &["workspaces.name"], condition: "name = 'default'" },
    Known { table: "parameters", needs: &["parameters.key"], condition: "key = 'cluster_id'" },
    Known {
        table: "oic_jwks",
        needs: &["oic_jwks.id"],
        condition: "id = 'c3cfba2d-1617-453f-a416-52e6edb5f9a0'",
    },
    Known {
        table: "rbac_roles",
        needs: &["rbac_roles.name", "rbac_roles.is_default"],
        condition: "name IN ('read-only', 'admin', 'super-admin') OR name = 'kong_admin' AND is_default",
    },
    Known {
        table: "rbac_role_endpoints",
        needs: &["rbac_role_endpoints.negative", "rbac_roles.name", "rbac_roles.is_default"],
        condition: "workspace = '*' AND (
            role_id IN (SELECT id FROM @rbac_roles WHERE name = 'read-only') AND endpoint = '*' AND actions = 1 AND NOT negative
            OR role_id IN (SELECT id FROM @rbac_roles WHERE name = 'super-admin') AND endpoint = '*' AND actions = 15 AND NOT negative
            OR role_id IN (SELECT id FROM @rbac_roles WHERE name = 'admin') AND actions = 15
               AND (endpoint = '*' AND NOT negative OR negative AND endpoint IN
                    ('/rbac/*', '/rbac/*/*', '/rbac/*/*/*', '/rbac/*/*/*/*', '/rbac/*/*/*/*/*')))",
    },
    Known { table: "rbac_users", needs: &["rbac_users.name"], condition: "name = 'kong_admin'" },
    Known {
        table: "rbac_user_roles",
        needs: &["rbac_user_roles.user_id", "rbac_users.name", "rbac_roles.is_default"],
        condition: "user_id IN (SELECT id FROM @rbac_users WHERE name = 'kong_admin') AND role_id IN (SELECT id FROM @rbac_roles
            WHERE name = 'super-admin' OR name = 'kong_admin' AND is_default)",
    },
    // Kong 2.7 gave the names of admins' consumers a suffix.
    Known {
        table: "consumers",
        needs: &["consumers.type", "admins.username"],
        condition: "type = 2 AND username IN ('kong_admin', 'kong_admin_ADMIN_')",
    },
    Known { table: "admins", needs: &["admins.username"], condition: "username = 'kong_admin'" },
    Known {
        table: "basicauth_credentials",
        needs: &["basicauth_credentials.username", "consumers.type", "admins.username"],
        condition: "username = 'kong_admin' AND consumer_id IN (SELECT id FROM @consumers
            WHERE type = 2 AND username IN ('kong_admin', 'kong_admin_ADMIN_'))",
    },
    Known {
        table: TAGS,
        needs: &["tags.entity_id", "basicauth_credentials.username", "consumers.type", "admins.username"],
        condition: "entity_id IN (SELECT id FROM @consumers
                WHERE type = 2 AND username IN ('kong_admin', 'kong_admin_ADMIN_'))
            OR entity_id IN (SELECT b.id FROM @basicauth_credentials b JOIN @consumers c ON c.id = b.consumer_id
                WHERE b.username = 'kong_admin' AND c.type = 2 AND c.username IN ('kong_admin', 'kong_admin_ADMIN_'))",
    },
    Known { table: "workspace_entities", needs: &[], condition: "true" },
    Known { table: "workspace_entity_counters", needs: &[], condition: "true" },
];

/// Book-keeping per workspace that goes with the workspaces.
const BOOK_KEEPING: [&str; 2] = ["workspace_entities", "workspace_entity_counters"];
/// Tables whose bootstrap rows have rows in `tags`.
const TAGGED: [&str; 2] = ["consumers", "basicauth_credentials"];

/// What holds for the bootstrap rows of `table`, as an SQL condition; `None` when bootstrap leaves the table empty.
pub fn bootstrap_rows(catalog: &Catalog, table: &Table) -> Option<String> {
    let known = KNOWN.iter().find(|known| known.table == table.name)?;
    let has = |column: &&str| {
        column.split_once('.').is_some_and(|(table, column)| {
            catalog.tables.get(table).is_some_and(|table| table.column(column).is_some())
        })
    };
    known.needs.iter().all(has).then(|| {
        let words: Vec<String> = known
            .condition
            .split_whitespace()
            .map(|word| match word.strip_prefix('@') {
                Some(other) => qualified(&catalog.schema, other),
                None => word.to_owned(),
            })
            .collect();
        words.join(" ")
    })
}

/// `tables` in an order in which rows can be deleted: those that refer to others first.
pub(super) fn children_first<'a>(
    catalog: &Catalog,
    tables: impl IntoIterator<Item = &'a str>,
) -> Result<Vec<String>> {
    let names: BTreeSet<String> = tables.into_iter().map(str::to_owned).collect();
    let levels = load_levels(catalog, &names)?;
    // Rows of tags are found through the entities they belong to, to which no foreign key leads.
    let tags = names.contains(TAGS).then(|| TAGS.to_owned());
    Ok(tags
        .into_iter()
        .chain(levels.levels.into_iter().rev().flatten().filter(|name| name != TAGS))
        .collect())
}

/// `tables`, and those that foreign keys tie to them: TRUNCATE wants all of them at once.
pub fn tied_to(catalog: &Catalog, tables: BTreeSet<String>) -> BTreeSet<String> {
    let mut tied = tables;
    loop {
        let more: Vec<String> = catalog
            .tables
            .values()
            .filter(|table| !tied.contains(&table.name))
            .filter(|table| {
                let mut keys = table.foreign_keys.iter();
                keys.any(|key| key.parent.0 == catalog.schema && tied.contains(&key.parent.1))
            })
            .map(|table| table.name.clone())
            .collect();
        if more.is_empty() {
            return tied;
        }
        tied.extend(more);
    }
}

/// What happens to the bootstrap rows of each table, given the tables that are copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fate {
    /// Tables whose bootstrap rows are deleted: those that are copied, those that refer to one of these, and the book-keeping
    /// that goes with the workspaces.
    pub emptied: BTreeSet<String>,
    /// Tables that are not copied and keep their bootstrap rows, which move to the source's default workspace; with the
    /// column that says the workspace.
    pub moved: BTreeMap<String, String>,
}

impl Fate {
    /// Decides from the foreign keys of the target.
    pub fn of(catalog: &Catalog, copied: &BTreeSet<String>) -> Self {
        let known: Vec<&Table> =
            catalog.tables.values().filter(|table| bootstrap_rows(catalog, table).is_some()).collect();
        let mut emptied: BTreeSet<String> = known
            .iter()
            .filter(|table| copied.contains(&table.name))
            .map(|table| table.name.clone())
            .collect();
        let replaced = emptied.contains(WORKSPACES);
        loop {
            let more: Vec<String> = known
                .iter()
                .filter(|table| !emptied.contains(&table.name))
                .filter(|table| match table.name.as_str() {
                    TAGS => TAGGED.iter().any(|tagged| emptied.contains(*tagged)),
                    name if BOOK_KEEPING.contains(&name) => replaced,
                    _ => table.foreign_keys.iter().filter(|key| key.parent.0 == catalog.schema).any(|key| {
                        let parent = key.parent.1.as_str();
                        let to_workspace = parent == WORKSPACES && key.columns.len() == 1;
                        // A key that holds the workspace as well lets neither of its rows move alone.
                        let stuck =
                            replaced && key.columns.len() > 1 && known.iter().any(|one| one.name == parent);
                        stuck || emptied.contains(parent) && !to_workspace
                    }),
                })
                .map(|table| table.name.clone())
                .collect();
            if more.is_empty() {
                break;
            }
            emptied.extend(more);
        }
        let moved = known
            .iter()
            .filter(|table| replaced && !emptied.contains(&table.name))
            .filter_map(|table| {
                let key = table
                    .foreign_keys
                    .iter()
                    .find(|key| key.parent == (catalog.schema.clone(), WORKSPACES.to_owned()))?;
                Some((table.name.clone(), key.columns.first()?.clone()))
            })
            .collect();
        Self { emptied, moved }
    }
}
