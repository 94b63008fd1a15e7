//! The transaction in which the bootstrap rows give way to the source's workspaces.
//!
//! Children refer to bootstrap rows without cascade, so no table can be cleared on its own.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use super::archive::Archive;
use super::bootstrap::{Fate, WORKSPACES, bootstrap_rows, children_first};
use super::catalog::Catalog;
use super::failure;
use super::fresh::check_fresh;
use super::identifier::{qualified, quote};
use super::workspace_defaults::{WorkspaceDefault, workspace_defaults};
use super::{LoadTransaction, Target};
use crate::error::{Error, ErrorKind, Result};

/// Longest wait for a lock. A Gateway holds none for longer than a moment.
const LOCK_TIMEOUT: &str = "60s";

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
    /// Where what changes is kept.
    archive: Option<Archive>,
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
        Self::begin_in(target.begin().await?, catalog, copied, ignore, None).await
    }

    /// Like [`begin`](Self::begin), in a transaction that does more than this; what changes is kept in `archive`.
    pub async fn begin_in(
        mut transaction: LoadTransaction,
        catalog: &'a Catalog,
        copied: &BTreeSet<String>,
        ignore: &BTreeSet<String>,
        archive: Option<Archive>,
    ) -> Result<Self> {
        let fate = Fate::of(catalog, copied);
        let order = children_first(catalog, fate.emptied.iter().map(String::as_str))?;
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
            archive,
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
    pub async fn finish(self) -> Result<Seeded> {
        let (transaction, seeded) = self.point().await?;
        transaction.commit().await?;
        Ok(seeded)
    }

    /// Like [`finish`](Self::finish), without the commit.
    pub async fn point(mut self) -> Result<(LoadTransaction, Seeded)> {
        let mut seeded = Seeded::default();
        if self.replaced {
            let after = default_workspace(self.transaction.client()?, &self.catalog.schema)
                .await?
                .ok_or_else(without_default_workspace)?;
            seeded.moved = self.move_rows(after).await?;
            seeded.defaults = self.point_defaults(after).await?;
        }
        seeded.deleted = self.deleted;
        Ok((self.transaction, seeded))
    }

    async fn delete(&mut self, table: &str) -> Result<()> {
        let known = self.catalog.tables.get(table);
        let Some(condition) = known.and_then(|known| bootstrap_rows(self.catalog, known)) else {
            return Ok(());
        };
        if let Some(archive) = self.archive {
            archive.keep_rows(&mut self.transaction, &self.catalog.schema, table, &condition).await?;
        }
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
            if let Some(archive) = self.archive {
                let before = format!("'{workspace}'::uuid");
                archive.keep_default(&mut self.transaction, table, column, &before).await?;
            }
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
