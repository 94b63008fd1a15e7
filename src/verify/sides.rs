//! Reads the rows of tables on both sides, in parallel, and hands them over as tuples.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::task::JoinSet;

use super::tally::Side;
use crate::canonical::{OtherLayout, Scratch};
use crate::engine::events::{Event, Events};
use crate::engine::plan::TablePlan;
use crate::engine::shaping::ShapedPages;
use crate::engine::totals::TableTotals;
use crate::engine::workers::{self, Harvest, Piece, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Page, Source};
use crate::target::{Moment, Target};
use crate::transform::Shaped;

/// What looks at rows as they come, on several threads.
pub trait Look: Send + Sync + 'static {
    /// Some tuples of a binary COPY, one after the other; the last one may be cut short. Returns the bytes of those that were
    /// whole.
    ///
    /// # Errors
    /// When they are not of this table.
    fn tuples(
        &self,
        side: Side,
        table: &TablePlan,
        tuples: &[u8],
        left_out: &[bool],
        scratch: &mut Scratch,
    ) -> Result<usize, OtherLayout>;

    /// A page of the source before its tuples are looked at: says which of them are left out, if any.
    fn page(&self, table: &TablePlan, page: &Page, shaped: &Shaped) -> Vec<bool>;
}

/// Reads `tables` on the source, with `workers` splits at a time.
pub async fn read_source(
    source: Arc<dyn Source>,
    tables: &[Arc<TablePlan>],
    positions: usize,
    workers: usize,
    look: Arc<dyn Look>,
    stop: &Stop,
    events: &Events,
) -> Harvest {
    let work = {
        let (stop, events) = (stop.clone(), events.clone());
        move |piece: Piece| {
            let (source, look) = (Arc::clone(&source), Arc::clone(&look));
            let (stop, events) = (stop.clone(), events.clone());
            async move { read_piece(&*source, &piece, &*look, &stop, &events).await }
        }
    };
    workers::run(workers::pieces(tables), workers, positions, stop, events, work).await
}

async fn read_piece(
    source: &dyn Source,
    piece: &Piece,
    look: &dyn Look,
    stop: &Stop,
    events: &Events,
) -> Result<TableTotals> {
    let plan = &piece.plan;
    let (mut totals, mut scratch) = (TableTotals::default(), Scratch::default());
    for split in &piece.splits {
        let mut pages = ShapedPages::open(source, plan, split).await?.without_digests();
        while let Some((page, shaped)) = pages.next().await? {
            stop.check()?;
            totals.add_page(&shaped, &plan.selection, 0);
            let left_out = look.page(plan, &page, &shaped);
            let looked = look.tuples(Side::Source, plan, &shaped.copy, &left_out, &mut scratch);
            if looked != Ok(shaped.copy.len()) {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a shaped row has another layout than its table",
                ));
            }
            events.tell(Event::Page { table: plan.position, rows: shaped.read });
            pages.recycle(shaped);
        }
    }
    Ok(totals)
}

/// Reads `tables` on the target as it is at one moment, in so many `streams`.
pub async fn read_target(
    target: &Target,
    tables: &[Arc<TablePlan>],
    streams: usize,
    look: Arc<dyn Look>,
    stop: &Stop,
) -> Result<()> {
    let mut moment = Moment::take(target).await?;
    let mut parts = VecDeque::new();
    for table in tables {
        for part in moment.parts(target, &table.table).await? {
            parts.push_back((Arc::clone(table), part));
        }
    }
    let streams = streams.clamp(1, parts.len().max(1));
    let parts = Arc::new(Mutex::new(parts));
    let mut readers: JoinSet<Result<()>> = JoinSet::new();
    for _ in 0..streams {
        let mut session = moment.session(target).await?;
        let (parts, stop, look) = (Arc::clone(&parts), stop.clone(), Arc::clone(&look));
        readers.spawn(async move {
            let mut scratch = Scratch::default();
            loop {
                let next = parts.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                let Some((table, part)) = next else { break };
                let mut stream = session.copy_out(&table.table, &table.columns, part.as_deref()).await?;
                while stream.receive().await? {
                    stop.check()?;
                    let looked = look.tuples(Side::Target, &table, stream.tuples(), &[], &mut scratch);
                    let length = looked.map_err(|OtherLayout| stream.unexpected())?;
                    stream.take(length);
                }
                if !stream.tuples().is_empty() {
                    return Err(stream.unexpected());
                }
            }
            session.rollback().await
        });
    }
    while let Some(joined) = readers.join_next().await {
        joined.map_err(|_| Error::new(ErrorKind::Internal, "a reader ended without an outcome"))??;
    }
    moment.end().await
}
