//! Loading one piece of work: read, shape, COPY; one transaction, all or nothing.

use std::slice;

use bytes::Bytes;

use super::events::{Event, Events};
use super::hold::{Holding, Quarantine};
use super::shaping::ShapedPages;
use super::totals::TableTotals;
use super::workers::{Piece, Stop};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Source, Split};
use crate::target::{CopyStream, LoadTransaction, Target};

/// What every piece of a run shares.
#[derive(Clone, Copy)]
pub struct Loading<'a> {
    /// Where rows come from.
    pub source: &'a dyn Source,
    /// Where they go.
    pub target: &'a Target,
    /// Where rows go that cannot be loaded.
    pub quarantine: Quarantine<'a>,
    /// The run's start in seconds since 1970.
    pub started: i64,
    /// Whether to end.
    pub stop: &'a Stop,
    /// Who is told.
    pub events: &'a Events,
}

/// Why a piece was not loaded.
pub(super) enum Failure {
    /// The target refused a row.
    Refused(Error),
    /// Anything else.
    Other(Error),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl Failure {
    /// Of a step at which the target can refuse a row.
    pub(super) fn of_copy(error: Error) -> Self {
        if error.kind() == ErrorKind::Row { Self::Refused(error) } else { Self::Other(error) }
    }
}

/// Loads `piece` in a transaction that does more than this; returns its totals.
pub(super) async fn load_within(
    loading: Loading<'_>,
    piece: &Piece,
    transaction: &mut LoadTransaction,
) -> Result<TableTotals, Failure> {
    let mut tuples = Tuples::of(loading, piece);
    let mut copy = open(transaction, piece).await?;
    let mut accepted = 0;
    while let Some(bytes) = tuples.next().await? {
        copy.send(bytes).await.map_err(|failure| Failure::of_copy(failure.error))?;
        crate::failpoint::pass("copy", "page");
        // A table that refers to itself needs all its rows in one statement.
        if tuples.held.is_full() && !piece.plan.one_statement {
            accepted += copy.finish().await.map_err(|failure| Failure::of_copy(failure.error))?;
            tuples.held.write(loading.quarantine, transaction).await?;
            copy = open(transaction, piece).await?;
        }
    }
    accepted += copy.finish().await.map_err(|failure| Failure::of_copy(failure.error))?;
    tuples.held.write(loading.quarantine, transaction).await?;
    let (table, totals) = (&piece.plan.table, tuples.totals);
    if accepted != totals.loaded {
        let expected = totals.loaded;
        let what = format!("{table}: COPY accepted {accepted} rows of {expected} sent");
        return Err(Failure::Other(Error::new(ErrorKind::Target, what).remedy(
            "look for rules or triggers on this table that drop rows; nothing of this split was committed",
        )));
    }
    totals.check_conserved(table)?;
    Ok(totals)
}

async fn open<'tx>(transaction: &'tx mut LoadTransaction, piece: &Piece) -> Result<CopyStream<'tx>> {
    let copy = transaction.copy(&piece.plan.table, &piece.plan.columns).await?;
    Ok(if piece.plan.one_statement { copy.in_one_statement() } else { copy })
}

/// The tuples of a piece, page by page, accounted for as they pass.
struct Tuples<'a> {
    loading: Loading<'a>,
    piece: &'a Piece,
    splits: slice::Iter<'a, Split>,
    pages: Option<ShapedPages>,
    totals: TableTotals,
    /// Rows for quarantine that are not written yet.
    held: Holding,
}

impl<'a> Tuples<'a> {
    fn of(loading: Loading<'a>, piece: &'a Piece) -> Self {
        let (totals, held) = (TableTotals::default(), Holding::default());
        Self { loading, piece, splits: piece.splits.iter(), pages: None, totals, held }
    }

    /// The tuples of the next page that has any, or none when so many rows are held that they should be written.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let plan = &self.piece.plan;
        loop {
            let Some(pages) = &mut self.pages else {
                let Some(split) = self.splits.next() else { return Ok(None) };
                self.pages = Some(ShapedPages::open(self.loading.source, plan, split).await?);
                continue;
            };
            let Some((page, mut shaped)) = pages.next().await? else {
                self.pages = None;
                continue;
            };
            self.loading.stop.check()?;
            self.held.take_rejects(self.loading.quarantine, plan, &page, &shaped)?;
            self.totals.add_page(&shaped, &plan.selection, self.loading.started);
            self.loading.events.tell(Event::Page { table: plan.position, rows: shaped.read });
            let tuples = Bytes::from(std::mem::take(&mut shaped.copy));
            pages.recycle(shaped);
            if !tuples.is_empty() || self.held.is_full() {
                return Ok(Some(tuples));
            }
        }
    }
}
