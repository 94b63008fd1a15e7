//! The rows that `kong migrations bootstrap` leaves, and how they give way to the source's.
//!
//! Their ids are random (or fixed, for `oic_jwks`), their names those of the source's own rows: they would collide. Children
//! refer to them without cascade, so a table cannot be cleared on its own: see [`Seeding`].

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::catalog::{Catalog, Table};
use super::failure;
use super::fresh::check_fresh;
use super::identifier::{qualified, quote};
use super::levels::load_levels;
use super::workspace_defaults::{WorkspaceDefault, workspace_defaults};
use super::{LoadTransaction, Target};
use crate::error::{Error, ErrorKind, Result};

/// Table to which every entity belongs.
pub const WORKSPACES: &str = "workspaces";
/// Filled by row triggers of other tables.
const TAGS: &str = "tags";
/// Longest wait for a lock. A Gateway holds none for longer than a moment.
const LOCK_TIMEOUT: &str = "60s";

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

/// Tables in `order` of deletion: those that refer to others first.
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

/// Id of the target's workspace named `default`, if it has one.
pub async fn default_workspace(client: &tokio_postgres::Client, schema: &str) -> Result<Option<Uuid>> {
    let what = "cannot read the default workspace of the target";
    let name = qualified(schema, WORKSPACES);
    let rows = client
        .query(&format!("SELECT id FROM {name} WHERE name = 'default'"), &[])
        .await
        .map_err(|error| failure::statement_needing(&error, what, &format!("SELECT ON {name}")))?;
    rows.first()
        .map(|row| row.try_get(0))
        .transpose()
        .map_err(|_| Error::new(ErrorKind::Target, what).because("unexpected type of workspaces.id"))
}

/// The transaction in which the bootstrap rows give way.
///
/// Begun, it holds the tables locked against writers, has looked once more that they hold nothing else, and has deleted
/// the rows. The caller loads the source's workspaces in it; [`finish`](Self::finish) then points the column defaults at the
/// source's default workspace and commits. So the target always has a default workspace that its defaults name. Dropped
/// before that, everything is as it was.
#[derive(Debug)]
pub struct Seeding<'a> {
    catalog: &'a Catalog,
    transaction: LoadTransaction,
    /// Rows deleted, by table.
    deleted: BTreeMap<String, u64>,
    /// Columns whose rows wait for the new default workspace, and the workspace they wait in.
    moved: BTreeMap<String, String>,
    waiting: Option<Uuid>,
    /// Whether the workspaces are replaced.
    replaced: bool,
    /// Default workspace before.
    before: Option<Uuid>,
}

/// What a [`Seeding`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seeded {
    /// Bootstrap rows deleted, by table.
    pub deleted: BTreeMap<String, u64>,
    /// Tables whose bootstrap rows moved to the new default workspace, with their number.
    pub moved: BTreeMap<String, u64>,
    /// Columns whose default now names the source's default workspace, as `table.column`.
    pub defaults: Vec<String>,
}

impl<'a> Seeding<'a> {
    /// Locks, checks and deletes. `ignore` as for [`check_fresh`].
    ///
    /// # Errors
    /// `Preflight` when the target is not fresh (any more); else as statements fail. Nothing was changed.
    pub async fn begin(
        target: &Target,
        catalog: &'a Catalog,
        copied: &BTreeSet<String>,
        ignore: &BTreeSet<String>,
    ) -> Result<Self> {
        let fate = Fate::of(catalog, copied);
        let order = children_first(catalog, fate.emptied.iter().map(String::as_str))?;
        let mut transaction = target.begin().await?;
        let what = "cannot lock the tables with bootstrap rows";
        transaction.execute(what, &format!("SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"), &[]).await?;
        let locked: Vec<String> =
            order.iter().chain(fate.moved.keys()).map(|table| qualified(&catalog.schema, table)).collect();
        if !locked.is_empty() {
            let lock = format!("LOCK TABLE {} IN SHARE ROW EXCLUSIVE MODE", locked.join(", "));
            transaction.execute(what, &lock, &[]).await?;
        }
        check_fresh(transaction.client()?, catalog, ignore).await?;
        let replaced = fate.emptied.contains(WORKSPACES);
        let before =
            if replaced { default_workspace(transaction.client()?, &catalog.schema).await? } else { None };
        let mut seeding = Self {
            catalog,
            transaction,
            deleted: BTreeMap::new(),
            moved: fate.moved,
            waiting: None,
            replaced,
            before,
        };
        for table in order.iter().filter(|table| *table != WORKSPACES) {
            seeding.delete(table).await?;
        }
        if replaced {
            // Last: all that referred to it is gone or moves now.
            seeding.wait_aside().await?;
            seeding.delete(WORKSPACES).await?;
        }
        Ok(seeding)
    }

    /// The transaction, to load the workspaces in.
    pub fn transaction(&mut self) -> &mut LoadTransaction {
        &mut self.transaction
    }

    /// Gives the transaction away, for looking which row of the workspaces is refused.
    pub fn into_transaction(self) -> LoadTransaction {
        self.transaction
    }

    /// Points everything at the new default workspace and commits.
    ///
    /// # Errors
    /// Also when no workspace named `default` was loaded; nothing was changed.
    pub async fn finish(mut self) -> Result<Seeded> {
        let mut seeded = Seeded::default();
        if self.replaced {
            let after = default_workspace(self.transaction.client()?, &self.catalog.schema)
                .await?
                .ok_or_else(without_default_workspace)?;
            seeded.moved = self.move_rows(after).await?;
            seeded.defaults = self.point_defaults(after).await?;
        }
        self.transaction.commit().await?;
        seeded.deleted = self.deleted;
        Ok(seeded)
    }

    async fn delete(&mut self, table: &str) -> Result<()> {
        let known = self.catalog.tables.get(table);
        let Some(condition) = known.and_then(|known| bootstrap_rows(self.catalog, known)) else {
            return Ok(());
        };
        let sql = format!("DELETE FROM {} WHERE {condition}", qualified(&self.catalog.schema, table));
        let what = format!("cannot delete the bootstrap rows of {table}");
        let rows = self.transaction.execute(what, &sql, &[]).await?;
        self.deleted.insert(table.to_owned(), rows);
        Ok(())
    }

    /// Rows that stay refer to a workspace that goes: they wait in one of their own.
    async fn wait_aside(&mut self) -> Result<()> {
        let Some(before) = self.before.filter(|_| !self.moved.is_empty()) else { return Ok(()) };
        let aside = Uuid::new_v4();
        let workspaces = qualified(&self.catalog.schema, WORKSPACES);
        let what = "cannot keep the bootstrap rows of tables that are not copied";
        let insert = format!("INSERT INTO {workspaces} (id, name) VALUES ($1, $2)");
        self.transaction.execute(what, &insert, &[&aside, &aside.to_string()]).await?;
        self.waiting = Some(aside);
        self.update_moved(before, aside).await?;
        Ok(())
    }

    async fn move_rows(&mut self, after: Uuid) -> Result<BTreeMap<String, u64>> {
        let Some(aside) = self.waiting else { return Ok(BTreeMap::new()) };
        let moved = self.update_moved(aside, after).await?;
        let workspaces = qualified(&self.catalog.schema, WORKSPACES);
        let delete = format!("DELETE FROM {workspaces} WHERE id = $1");
        self.transaction.execute("cannot tidy the workspaces", &delete, &[&aside]).await?;
        Ok(moved)
    }

    async fn update_moved(&mut self, from: Uuid, to: Uuid) -> Result<BTreeMap<String, u64>> {
        let mut moved = BTreeMap::new();
        for (table, column) in &self.moved {
            let (name, column) = (qualified(&self.catalog.schema, table), quote(column));
            let update = format!("UPDATE {name} SET {column} = $2 WHERE {column} = $1");
            let what = format!("cannot move the bootstrap rows of {table} to another workspace");
            let rows = self.transaction.execute(what, &update, &[&from, &to]).await?;
            moved.insert(table.clone(), rows);
        }
        Ok(moved)
    }

    async fn point_defaults(&mut self, after: Uuid) -> Result<Vec<String>> {
        let mut pointed = Vec::new();
        for WorkspaceDefault { table, column, workspace } in workspace_defaults(self.catalog, self.before) {
            if workspace == after {
                continue;
            }
            // A uuid as Rust writes it has no quotes.
            let sql = format!(
                "ALTER TABLE {} ALTER COLUMN {} SET DEFAULT '{after}'::uuid",
                qualified(&self.catalog.schema, table),
                quote(column)
            );
            let what = format!("cannot change the default of {table}.{column}");
            self.transaction.execute(what, &sql, &[]).await?;
            pointed.push(format!("{table}.{column}"));
        }
        Ok(pointed)
    }
}

/// The refusal of a source whose workspaces cannot take the place of the target's.
pub fn without_default_workspace() -> Error {
    Error::new(ErrorKind::Preflight, "the source has no workspace named default")
        .because("every Kong since 2.1 has one, and the target would be left without")
        .remedy("check that the keyspace is the right one; a Gateway that is started on it makes the workspace anew")
}
