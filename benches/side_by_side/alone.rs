//! PostgreSQL alone: the rows of a migration from files that were prepared beforehand, as fast as the server takes them.
//!
//! The files hold what a migration wrote, in the binary form of COPY, so that nothing is left to do but to send them. They go
//! into tables without indexes, keys and triggers, and what follows is what a migration does afterwards: the rows of `tags`, the same
//! indexes, keys and triggers from the same statements, as many at once, VACUUM ANALYZE. Unlike a migration it neither checks nor
//! counts anything, keeps no ledger, and begins to settle when the last row has been sent.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use bytes::Bytes;
use futures::stream::FuturesUnordered;
use futures::{SinkExt as _, StreamExt as _, TryStreamExt as _};
use kongferry::error::Error;
use kongferry::estate;
use kongferry::target::armour::{self, Armour, ServerResources, Step};
use kongferry::target::tags::{self, TAGS};
use kongferry::target::{Target, TargetConfig};

use crate::contender::Run;
use crate::place::{Place, TABLES};

/// Files of each table, sent by one connection each.
const PARTS: usize = 4;
/// Indexes and the like at once: what a migration does unless told otherwise.
const BUILDS: usize = 4;
/// Bytes sent at once.
const PIECE: usize = 256 << 10;

fn file(place: &Place, consumers: u64, table: &str, part: usize) -> PathBuf {
    place.scratch.join(format!("alone-{consumers}-{table}-{part}"))
}

#[allow(clippy::needless_pass_by_value)]
fn told(error: Error) -> String {
    error.report()
}

/// Writes the files from a target that a migration filled, unless they are there.
pub async fn prepare(place: &Place, consumers: u64, url: &str) -> Result<(), String> {
    for table in TABLES {
        for part in 0..PARTS {
            let path = file(place, consumers, table, part);
            if path.exists() {
                continue;
            }
            let client = estate::connect_postgres(url).await.map_err(told)?;
            // In runs of pages, as a migration's splits leave them.
            let sql = format!(
                "COPY (SELECT * FROM {table} WHERE (ctid::text::point)[0]::bigint / 64 % {PARTS} = {part}) TO STDOUT (FORMAT binary)"
            );
            let rows = client.copy_out(&sql).await.map_err(|error| format!("{sql}: {error}"))?;
            let mut rows = std::pin::pin!(rows);
            let cannot = |error: std::io::Error| format!("cannot write {}: {error}", path.display());
            let part_file = path.with_extension("part");
            let mut file = File::create(&part_file).map_err(cannot)?;
            while let Some(piece) = rows.try_next().await.map_err(|error| format!("{sql}: {error}"))? {
                file.write_all(&piece).map_err(cannot)?;
            }
            fs::rename(&part_file, &path).map_err(cannot)?;
        }
    }
    Ok(())
}

/// Loads the files into the fresh target of `url`.
pub async fn run(place: &Place, consumers: u64, url: &str, rows: u64) -> Result<Run, String> {
    let mut config = TargetConfig::from_url(url).map_err(told)?;
    config.pool_size = PARTS * TABLES.len() + BUILDS;
    let target = Target::connect(&config).await.map_err(told)?;
    let catalog = target.catalog().await.map_err(told)?;
    // As in a migration: the few workspaces go in with everything in place.
    let bare = TABLES.into_iter().filter(|table| *table != "workspaces");
    let tables: BTreeSet<String> = bare.chain([TAGS]).map(str::to_owned).collect();
    let armour = Armour::read(&target, &catalog, &tables).await.map_err(told)?;
    let begun = Instant::now();
    let mut transaction = target.begin().await.map_err(told)?;
    armour::take_off(&mut transaction, &armour, &BTreeSet::new()).await.map_err(told)?;
    transaction
        .batch("cannot remove the target's workspace", "DELETE FROM workspaces")
        .await
        .map_err(told)?;
    transaction.commit().await.map_err(told)?;
    let taken_off = begun.elapsed().as_secs_f64();

    let mut files: Vec<(&str, PathBuf)> = Vec::new();
    for part in 0..PARTS {
        files.extend(TABLES.map(|table| (table, file(place, consumers, table, part))));
    }
    let files = Arc::new(Mutex::new(files));
    let workers: FuturesUnordered<_> = (0..PARTS).map(|_| send(url, Arc::clone(&files))).collect();
    workers.try_collect::<Vec<()>>().await?;
    let copied = begun.elapsed().as_secs_f64();

    settle(&target, &armour).await.map_err(told)?;
    let seconds = begun.elapsed().as_secs_f64();
    Ok(Run {
        seconds,
        rows,
        peak_memory: 0,
        steps: vec![
            ("take off".to_owned(), taken_off),
            ("COPY".to_owned(), copied - taken_off),
            ("settle".to_owned(), seconds - copied),
        ],
        proof: None,
        content: None,
    })
}

/// Sends one file after the other, each in a transaction of its own, which need not be on disk when it ends: as a migration does.
async fn send(url: &str, files: Arc<Mutex<Vec<(&'static str, PathBuf)>>>) -> Result<(), String> {
    let client = estate::connect_postgres(url).await.map_err(told)?;
    let failed = |error: tokio_postgres::Error| format!("COPY: {error}");
    client.batch_execute("SET synchronous_commit = off").await.map_err(failed)?;
    loop {
        let next = files.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let Some((table, path)) = next else { return Ok(()) };
        let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
        let mut file = File::open(&path).map_err(cannot)?;
        let sink = client
            .copy_in::<_, Bytes>(&format!("COPY {table} FROM STDIN (FORMAT binary)"))
            .await
            .map_err(failed)?;
        let mut sink = std::pin::pin!(sink);
        loop {
            let mut piece = vec![0; PIECE];
            let count = file.read(&mut piece).map_err(cannot)?;
            if count == 0 {
                break;
            }
            piece.truncate(count);
            sink.send(piece.into()).await.map_err(failed)?;
        }
        sink.as_mut().finish().await.map_err(failed)?;
    }
}

/// Tags, then the steps of the armour as they become possible, then VACUUM ANALYZE.
async fn settle(target: &Target, armour: &Armour) -> Result<(), Error> {
    for table in armour.tagged() {
        let mut transaction = target.begin().await?;
        tags::rebuild(&mut transaction, target.schema(), &table).await?;
        transaction.commit().await?;
    }
    let resources = ServerResources::read(target).await?.share(BUILDS);
    let mut open = armour.steps();
    let mut done: BTreeSet<String> = BTreeSet::new();
    let mut busy: Vec<Step> = Vec::new();
    let mut under_way = FuturesUnordered::new();
    loop {
        while busy.len() < BUILDS {
            let ready = |step: &Step| {
                step.after.iter().all(|before| done.contains(before))
                    && !busy.iter().any(|other| other.conflicts_with(step))
            };
            let Some(next) = open.iter().position(ready) else { break };
            let step = open.remove(next);
            busy.push(step.clone());
            let resources = &resources;
            under_way.push(async move {
                let mut transaction = target.begin().await?;
                armour::put_back(&mut transaction, armour, &step, resources).await?;
                transaction.commit().await?;
                Ok::<_, Error>(step.id())
            });
        }
        let Some(id) = under_way.next().await else { break };
        let id = id?;
        busy.retain(|step| step.id() != id);
        done.insert(id);
    }
    let vacuums = armour.tables.keys().map(|table| async move {
        let client = target.client().await?;
        client
            .batch_execute(&format!("VACUUM (ANALYZE) {table}"))
            .await
            .map_err(|error| kongferry::target::failure::statement(&error, format!("cannot vacuum {table}")))
    });
    futures::stream::iter(vacuums).buffer_unordered(BUILDS).try_collect::<Vec<()>>().await?;
    Ok(())
}
