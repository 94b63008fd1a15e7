//! Loading one piece of work: read, shape, COPY, commit; one transaction, all or nothing.

use std::slice;

use bytes::Bytes;

use super::bisect;
use super::events::{Event, Events};
use super::shaping::{ShapedPages, refuse_rejects};
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
    /// The run's start in seconds since 1970.
    pub started: i64,
    /// Whether to end.
    pub stop: &'a Stop,
    /// Who is told.
    pub events: &'a Events,
}

/// Loads `piece` and returns its totals. On any failure its transaction is rolled back, and nothing of it stays.
pub async fn load(loading: Loading<'_>, piece: &Piece) -> Result<TableTotals> {
    match attempt(loading, piece).await {
        // COPY says which constraint refused, not which row: read again and find it.
        Err(Failure::Refused(error)) => {
            Err(bisect::find_row(loading, piece, loading.target.begin().await, error).await)
        }
        Err(Failure::Other(error)) => Err(error),
        Ok(totals) => Ok(totals),
    }
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
    fn of_copy(error: Error) -> Self {
        if error.kind() == ErrorKind::Row { Self::Refused(error) } else { Self::Other(error) }
    }
}

async fn attempt(loading: Loading<'_>, piece: &Piece) -> Result<TableTotals, Failure> {
    let mut tuples = Tuples::of(loading, piece);
    // An empty split costs the target nothing.
    let Some(first) = tuples.next().await? else { return Ok(tuples.totals) };
    let mut transaction = loading.target.begin().await?;
    send(&mut transaction, &mut tuples, Some(first)).await?;
    loading.stop.check()?;
    transaction.commit().await.map_err(Failure::of_copy)?;
    Ok(tuples.totals)
}

/// Loads `piece` in a transaction that does more than this; returns its totals.
pub(super) async fn load_within(
    loading: Loading<'_>,
    piece: &Piece,
    transaction: &mut LoadTransaction,
) -> Result<TableTotals, Failure> {
    let mut tuples = Tuples::of(loading, piece);
    let first = tuples.next().await?;
    send(transaction, &mut tuples, first).await?;
    Ok(tuples.totals)
}

async fn send(
    transaction: &mut LoadTransaction,
    tuples: &mut Tuples<'_>,
    first: Option<Bytes>,
) -> Result<(), Failure> {
    let mut copy = open(transaction, tuples.piece).await?;
    let mut next = first;
    while let Some(bytes) = next {
        copy.send(bytes).await.map_err(|failure| Failure::of_copy(failure.error))?;
        crate::failpoint::pass("copy", "page");
        next = tuples.next().await?;
    }
    let accepted = copy.finish().await.map_err(|failure| Failure::of_copy(failure.error))?;
    let expected = tuples.totals.loaded;
    if accepted == expected {
        return Ok(());
    }
    let table = &tuples.piece.plan.table;
    Err(Failure::Other(
        Error::new(ErrorKind::Target, format!("{table}: COPY accepted {accepted} rows of {expected} sent"))
            .remedy("look for rules or triggers on this table that drop rows; nothing of this split was committed"),
    ))
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
}

impl<'a> Tuples<'a> {
    fn of(loading: Loading<'a>, piece: &'a Piece) -> Self {
        Self { loading, piece, splits: piece.splits.iter(), pages: None, totals: TableTotals::default() }
    }

    /// The tuples of the next page that has any.
    async fn next(&mut self) -> Result<Option<Bytes>> {
        let plan = &self.piece.plan;
        loop {
            let Some(pages) = &mut self.pages else {
                let Some(split) = self.splits.next() else { return Ok(None) };
                self.pages = Some(ShapedPages::open(self.loading.source, plan, split).await?);
                continue;
            };
            let Some((_, mut shaped)) = pages.next().await? else {
                self.pages = None;
                continue;
            };
            self.loading.stop.check()?;
            refuse_rejects(plan, &shaped)?;
            self.totals.add_page(&shaped, &plan.selection, self.loading.started);
            self.loading.events.tell(Event::Page { table: plan.position, rows: shaped.read });
            let tuples = Bytes::from(std::mem::take(&mut shaped.copy));
            pages.recycle(shaped);
            if !tuples.is_empty() {
                return Ok(Some(tuples));
            }
        }
    }
}
