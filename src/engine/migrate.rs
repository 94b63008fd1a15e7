//! The run itself: the bootstrap rows give way, level after level is loaded, parents first, what follows from the rows is
//! worked out, and both sides are counted.

use super::events::{Event, Events};
use super::load::{Loading, load};
use super::plan::Plan;
use super::preflight::Sides;
use super::totals::TableTotals;
use super::workers::{self, Piece, Stop};
use super::{seed, settle};
use crate::error::{Error, ErrorKind, Result};
use crate::verify::counts::{self, TableCount};

/// Loads every table of `plan` and counts both sides.
///
/// # Errors
/// The first failure; others are told as notices. What was committed before stays on the target, each split whole.
pub async fn migrate(
    sides: &Sides,
    plan: &Plan,
    workers: usize,
    stop: &Stop,
    events: &Events,
) -> Result<Vec<TableCount>> {
    let started = super::now();
    let mut totals = vec![TableTotals::default(); plan.tables.len()];
    events
        .tell(Event::Tables(plan.tables.iter().map(|table| (table.table.clone(), table.estimate)).collect()));
    let loading = Loading { source: &*sides.source, target: &sides.target, started, stop, events };
    let seeded = seed::seed(loading, &sides.catalog, plan).await?;
    if let Some((sum, part)) = seeded.and_then(|(table, part)| Some((totals.get_mut(table)?, part))) {
        sum.merge(part);
    }
    for level in plan.levels() {
        let work = {
            let (sides, stop, events) = (sides.clone(), stop.clone(), events.clone());
            move |piece: Piece| {
                let (sides, stop, events) = (sides.clone(), stop.clone(), events.clone());
                async move {
                    let loading = Loading {
                        source: &*sides.source,
                        target: &sides.target,
                        started,
                        stop: &stop,
                        events: &events,
                    };
                    load(loading, &piece).await
                }
            }
        };
        let harvest =
            workers::run(seed::pieces_left(level), workers, plan.tables.len(), stop, events, work).await;
        for (sum, part) in totals.iter_mut().zip(harvest.totals) {
            sum.merge(part);
        }
        let mut failures = harvest.failures.into_iter();
        if let Some(first) = failures.next() {
            for other in failures {
                events.notice(format!("failed as well: {other}"));
            }
            return Err(half_done(first, &totals));
        }
    }
    settle::settle(sides, plan, events).await.map_err(|failure| half_done(failure, &totals))?;
    events.stage("Counting both sides");
    counts::compare(&sides.target, plan, &totals, true).await
}

/// Says what a failed run leaves behind.
fn half_done(failure: Error, totals: &[TableTotals]) -> Error {
    let committed: u64 = totals.iter().map(|totals| totals.loaded).sum();
    let left = format!(
        "the source is untouched; {committed} rows were committed to the target, whole splits only. Empty the target before \
         the next run: `kongferry migrate` prints the statement when it finds rows there"
    );
    match failure.kind() {
        ErrorKind::Interrupted => failure.remedy(left),
        _ => failure.and_remedy(left),
    }
}
