//! The first step of a run: the target's bootstrap rows give way to the source's workspaces, in one transaction.

use std::collections::BTreeSet;

use uuid::Uuid;

use super::load::{Failure, Loading, load_within};
use super::plan::Plan;
use super::preflight::Sides;
use super::sift;
use super::totals::TableTotals;
use super::workers::Piece;
use crate::error::{Error, ErrorKind, Result};
use crate::source::kong;
use crate::target::archive::Archive;
use crate::target::bootstrap::{Fate, WORKSPACES, tied_to};
use crate::target::counters::COUNTERS;
use crate::target::seeding::{Seeded, Seeding, default_workspace, without_default_workspace};
use crate::target::tags::TAGS;
use crate::target::workspace_defaults::{check_owner, workspace_defaults};
use crate::target::{Catalog, LoadTransaction};

/// Tables that hold a row where bootstrap ran with `KONG_PASSWORD`.
const OF_KONG_ADMIN: &str = "admins";

/// Refuses what would make the step fail, or leave the target without a default workspace. Only looks.
///
/// # Errors
/// `Preflight`: the source has no default workspace; the target's is to stay, and has another id; the role may not change the
/// column defaults that name it.
pub async fn check(sides: &Sides, client: &tokio_postgres::Client, plan: &Plan) -> Result<()> {
    if !sides.catalog.tables.contains_key(WORKSPACES) {
        return Ok(());
    }
    let arriving = kong::default_workspace(&*sides.source).await?;
    let present = default_workspace(client, &sides.catalog.schema).await?;
    if !plan.copied().contains(WORKSPACES) {
        return check_stays(&sides.catalog, plan, arriving, present);
    }
    let arriving = arriving.ok_or_else(without_default_workspace)?;
    let defaults: Vec<_> = workspace_defaults(&sides.catalog, present)
        .into_iter()
        .filter(|default| default.workspace != arriving)
        .collect();
    check_owner(client, &sides.catalog, &defaults).await
}

/// Without the source's workspaces, rows arrive only where the target has their workspace already.
fn check_stays(catalog: &Catalog, plan: &Plan, arriving: Option<Uuid>, present: Option<Uuid>) -> Result<()> {
    let workspace = (catalog.schema.clone(), WORKSPACES.to_owned());
    let children: Vec<&str> = plan
        .tables
        .iter()
        .map(|table| table.table.as_str())
        .filter(|name| {
            let table = catalog.tables.get(*name);
            table.is_some_and(|table| table.foreign_keys.iter().any(|key| key.parent == workspace))
        })
        .collect();
    if children.is_empty() || arriving == present {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::Preflight,
        format!("{WORKSPACES} is not copied, and the default workspaces of both sides have different ids"),
    )
    .because(format!("rows of {} belong to a workspace and could not be loaded", children.join(", ")))
    .remedy(format!("let {WORKSPACES} be copied as well")))
}

/// Takes the step in `transaction`, and keeps what gives way in `archive`. Returns the transaction, which is still to be
/// committed, and the totals of the workspaces, where they are copied.
///
/// # Errors
/// The target is as it was.
pub async fn seed(
    loading: Loading<'_>,
    catalog: &Catalog,
    plan: &Plan,
    transaction: LoadTransaction,
    archive: Archive,
) -> Result<(LoadTransaction, TableTotals)> {
    let (copied, ignored) = (plan.copied(), plan.left_out());
    let workspaces = plan.tables.iter().find(|table| table.table == WORKSPACES);
    if workspaces.is_none() && Fate::of(catalog, &copied).emptied.is_empty() {
        return Ok((transaction, TableTotals::default()));
    }
    loading.events.stage("Replacing the rows of kong migrations bootstrap");
    let mut transaction = transaction;
    keep_tied(&mut transaction, catalog, &copied, archive).await?;
    let load = async {
        loading.stop.check()?;
        let mut seeding = Seeding::begin_in(transaction, catalog, &copied, &ignored, Some(archive)).await?;
        let mut loaded = TableTotals::default();
        if let Some(table) = workspaces {
            let piece = Piece { plan: table.clone(), splits: table.splits.clone() };
            match load_within(loading, &piece, seeding.transaction()).await {
                Ok(totals) => loaded = totals,
                Err(Failure::Other(error)) => return Err(error),
                Err(Failure::Refused(error)) => {
                    // Its locks would hold up the search. When this fails the connection is closed, which frees them too.
                    drop(seeding.into_transaction().rollback().await);
                    let again = Seeding::begin(loading.target, catalog, &copied, &ignored).await;
                    let again = again.map(Seeding::into_transaction);
                    return Err(sift::find_row(loading, &piece, again, error).await);
                }
            }
        }
        loading.stop.check()?;
        let (transaction, seeded) = seeding.point().await?;
        Ok((transaction, seeded, loaded))
    };
    let (transaction, seeded, loaded) = load.await.map_err(as_it_was)?;
    for notice in notices(plan, &seeded) {
        loading.events.notice(notice);
    }
    Ok((transaction, loaded))
}

/// When the run is undone, tables that hold no rows of the source are emptied as well: those filled from others, and those
/// that foreign keys tie to the rest. They hold a few rows of bootstrap at most; what the seed itself does not keep of these
/// is kept here.
async fn keep_tied(
    transaction: &mut LoadTransaction,
    catalog: &Catalog,
    copied: &BTreeSet<String>,
    archive: Archive,
) -> Result<()> {
    let emptied = Fate::of(catalog, copied).emptied;
    let derived = [TAGS, COUNTERS].into_iter().filter(|table| catalog.tables.contains_key(*table));
    let all = copied.iter().chain(&emptied).cloned().chain(derived.map(str::to_owned)).collect();
    for table in tied_to(catalog, all) {
        if !emptied.contains(&table) && !copied.contains(&table) {
            archive.keep_rows(transaction, &catalog.schema, &table, "true").await?;
        }
    }
    Ok(())
}

/// Says what a failure of this step leaves behind.
fn as_it_was(failure: Error) -> Error {
    let left = "the source is untouched, and the target holds its bootstrap rows as before: run again";
    match failure.kind() {
        // Says so itself, with the statement that helps.
        ErrorKind::Preflight => failure,
        ErrorKind::Interrupted => failure.remedy(left),
        _ => failure.and_remedy(left),
    }
}

/// What of the step a user would not expect.
fn notices(plan: &Plan, seeded: &Seeded) -> Vec<String> {
    let copied = plan.copied();
    let mut notices = Vec::new();
    if seeded.deleted.get(OF_KONG_ADMIN).is_some_and(|rows| *rows > 0) {
        notices.push(
            "the target was bootstrapped with KONG_PASSWORD: its kong_admin gave way, the source's admins and their passwords \
             hold"
            .to_owned(),
        );
    }
    for (table, rows) in &seeded.deleted {
        // What belongs to other rows and is not an entity of its own says nothing.
        let book_keeping = table == "tags" || table.starts_with("workspace_entit");
        if *rows > 0 && !copied.contains(table) && !book_keeping {
            notices.push(format!(
                "{table} is not copied, and its {rows} bootstrap rows referred to rows that gave way: they are deleted"
            ));
        }
    }
    for (table, rows) in &seeded.moved {
        notices.push(format!(
            "{table} is not copied: its {rows} bootstrap rows belong to the source's default workspace now"
        ));
    }
    if !seeded.defaults.is_empty() {
        notices.push(format!(
            "column defaults that held the target's default workspace hold the source's now: {}",
            seeded.defaults.join(", ")
        ));
    }
    notices
}
