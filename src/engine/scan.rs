//! Reading and shaping without loading: `migrate --dry-run`, and the second count of `verify`.

use std::sync::Arc;

use super::events::{Event, Events};
use super::plan::Plan;
use super::shaping::ShapedPages;
use super::totals::TableTotals;
use super::workers::{self, Harvest, Piece, Stop};
use crate::error::Result;
use crate::source::Source;

/// What a scan needs to know.
#[derive(Debug, Clone)]
pub struct ScanOptions {
    /// Splits read at the same time.
    pub workers: usize,
    /// The run's start in seconds since 1970.
    pub started: i64,
    /// Collect rows that could not be loaded, at most this many.
    pub list_rejects: usize,
}

/// A row that could not be loaded, found by a scan.
#[derive(Debug, Clone)]
pub struct FoundReject {
    /// Its table.
    pub table: String,
    /// Primary key, target column and reason, in words.
    pub text: String,
}

/// Reads and shapes all tables of `plan`. Rows that would fail a run count as quarantined.
pub async fn scan(
    source: Arc<dyn Source>,
    plan: &Plan,
    options: &ScanOptions,
    stop: &Stop,
    events: &Events,
) -> (Harvest, Vec<FoundReject>) {
    let found = Arc::new(std::sync::Mutex::new(Vec::new()));
    let work = {
        let (options, stop, events, found) = (options.clone(), stop.clone(), events.clone(), found.clone());
        move |piece: Piece| {
            let (source, options) = (source.clone(), options.clone());
            let (stop, events, found) = (stop.clone(), events.clone(), found.clone());
            async move { scan_piece(&*source, &piece, &options, &stop, &events, &found).await }
        }
    };
    let pieces = workers::pieces(&plan.tables);
    let harvest = workers::run(pieces, options.workers, plan.tables.len(), stop, events, work).await;
    let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    (harvest, std::mem::take(&mut *found))
}

async fn scan_piece(
    source: &dyn Source,
    piece: &Piece,
    options: &ScanOptions,
    stop: &Stop,
    events: &Events,
    found: &std::sync::Mutex<Vec<FoundReject>>,
) -> Result<TableTotals> {
    let plan = &piece.plan;
    let mut totals = TableTotals::default();
    for split in &piece.splits {
        let mut pages = ShapedPages::open(source, plan, split).await?;
        while let Some((_, shaped)) = pages.next().await? {
            stop.check()?;
            totals.add_page(&shaped, &plan.selection, options.started);
            if !shaped.rejects.is_empty() {
                let mut found = found.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                for reject in &shaped.rejects {
                    if found.len() < options.list_rejects {
                        let (class, reason) = (reject.class(), reject.reason);
                        let text =
                            format!("row {}: column {}: {reason} ({class})", reject.key, reject.column);
                        found.push(FoundReject { table: plan.table.clone(), text });
                    }
                }
            }
            events.tell(Event::Page { table: plan.position, rows: shaped.read });
            pages.recycle(shaped);
        }
    }
    Ok(totals)
}
