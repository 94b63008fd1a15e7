//! Loading one piece of work: read, shape, COPY, commit; one transaction, all or nothing.

use bytes::Bytes;

use super::bisect;
use super::events::{Event, Events};
use super::shaping::{ShapedPages, refuse_rejects};
use super::totals::TableTotals;
use super::workers::{Piece, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::source::Source;
use crate::target::{CopyStream, LoadTransaction, Target};

/// Loads `piece` and returns its totals. On any failure its transaction is rolled back, and nothing of it stays.
pub async fn load(
    source: &dyn Source,
    target: &Target,
    piece: &Piece,
    started: i64,
    stop: &Stop,
    events: &Events,
) -> Result<TableTotals> {
    let plan = &piece.plan;
    let mut totals = TableTotals::default();
    let mut sink = Sink::new(target, piece);
    for split in &piece.splits {
        let mut pages = ShapedPages::open(source, plan, split).await?;
        while let Some((_, mut shaped)) = pages.next().await? {
            stop.check()?;
            refuse_rejects(plan, &shaped)?;
            totals.add_page(&shaped, started);
            if !shaped.tuples.is_empty() {
                sink.send(Bytes::from(std::mem::take(&mut shaped.copy))).await?;
            }
            events.tell(Event::Page { table: plan.position, rows: shaped.read });
            pages.recycle(shaped);
        }
    }
    match sink.finish(totals.loaded).await {
        Ok(()) => Ok(totals),
        // COPY says which constraint refused, not which row: read again and find it.
        Err(error) if error.kind() == ErrorKind::Row => {
            Err(bisect::find_row(source, target, piece, error).await)
        }
        Err(error) => Err(error),
    }
}

/// The transaction of a piece, opened with the first tuple, so that empty splits cost the target nothing.
struct Sink<'a> {
    target: &'a Target,
    piece: &'a Piece,
    open: Option<CopyStream>,
}

impl<'a> Sink<'a> {
    fn new(target: &'a Target, piece: &'a Piece) -> Self {
        Self { target, piece, open: None }
    }

    async fn open(&mut self) -> Result<&mut CopyStream> {
        let stream = match self.open.take() {
            Some(stream) => stream,
            None => {
                let transaction = begin(self.target, self.piece).await?;
                transaction.copy_in(&self.piece.plan.table, &self.piece.plan.columns).await?
            }
        };
        Ok(self.open.insert(stream))
    }

    async fn send(&mut self, tuples: Bytes) -> Result<()> {
        self.open().await?.send(tuples).await
    }

    /// Ends the COPY, checks that the server took every tuple, commits.
    async fn finish(mut self, expected: u64) -> Result<()> {
        if self.piece.plan.merge {
            // Even a source without rows takes the place of the bootstrap rows.
            self.open().await?;
        }
        let Some(stream) = self.open else { return Ok(()) };
        let (transaction, accepted) = stream.finish().await?;
        if accepted != expected {
            return Err(Error::new(
                ErrorKind::Target,
                format!("{}: COPY accepted {accepted} rows of {expected} sent", self.piece.plan.table),
            )
            .remedy("look for rules or triggers on this table that drop rows; nothing of this split was committed"));
        }
        transaction.commit().await
    }
}

/// Begins the transaction of `piece`; in a merged table the bootstrap rows go first.
pub(super) async fn begin(target: &Target, piece: &Piece) -> Result<LoadTransaction> {
    let mut transaction = target.begin().await?;
    if piece.plan.merge {
        transaction.delete_all(&piece.plan.table).await?;
    }
    Ok(transaction)
}
