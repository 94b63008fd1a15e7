//! Finds the row that made a COPY fail.
//!
//! `PostgreSQL` reports a broken constraint at the end of a COPY, without the row, except in DETAIL, which carries values.
//! So the piece is read once more, each page goes into a COPY under a savepoint, and the page that fails is halved until one
//! row is alone. Everything is rolled back.

use bytes::Bytes;

use super::load::Loading;
use super::shaping::ShapedPages;
use super::workers::Piece;
use crate::error::{Error, ErrorKind, Result};
use crate::source::Page;
use crate::target::LoadTransaction;
use crate::transform::Shaped;

/// Name of the savepoint each attempt works under.
const SAVEPOINT: &str = "kongferry_attempt";

/// The error of the first row that the target refuses, or `refused` itself when no single row does (any more).
/// `transaction` is one in which the piece could begin anew.
pub(super) async fn find_row(
    loading: Loading<'_>,
    piece: &Piece,
    transaction: Result<LoadTransaction>,
    refused: Error,
) -> Error {
    match search(loading, piece, transaction).await {
        Ok(Some(found)) => found,
        Ok(None) => refused.remedy(
            "reading the split once more showed no row at fault; something changed meanwhile, so run again",
        ),
        Err(other) => refused.and_remedy(format!("looking for the row at fault failed as well: {other}")),
    }
}

async fn search(
    loading: Loading<'_>,
    piece: &Piece,
    transaction: Result<LoadTransaction>,
) -> Result<Option<Error>> {
    let mut transaction = transaction?;
    for split in &piece.splits {
        let mut pages = ShapedPages::open(loading.source, &piece.plan, split).await?;
        while let Some((page, shaped)) = pages.next().await? {
            loading.stop.check()?;
            if let Some(found) = search_page(&mut transaction, piece, &page, &shaped).await? {
                return Ok(Some(found));
            }
            pages.recycle(shaped);
        }
    }
    Ok(None)
}

/// Loads all tuples of the page that the target takes; the first refused one becomes the error.
async fn search_page(
    transaction: &mut LoadTransaction,
    piece: &Piece,
    page: &Page,
    shaped: &Shaped,
) -> Result<Option<Error>> {
    let (mut from, mut upto) = (0, shaped.tuples.len());
    let Some(mut refusal) = attempt(transaction, piece, shaped, from, upto).await? else { return Ok(None) };
    while upto - from > 1 {
        let middle = from + (upto - from) / 2;
        match attempt(transaction, piece, shaped, from, middle).await? {
            Some(earlier) => (upto, refusal) = (middle, earlier),
            // The first half stays loaded, so that a duplicate in the second half still meets its twin.
            None => from = middle,
        }
    }
    // The row alone: its refusal names the constraint that this row breaks, not one of its neighbours'.
    if let Some(alone) = attempt(transaction, piece, shaped, from, upto).await? {
        refusal = alone;
    }
    let Some(tuple) = shaped.tuples.get(from) else { return Ok(None) };
    let key = piece.plan.shaper.key_of(page, tuple.row);
    Ok(Some(
        Error::new(ErrorKind::Row, format!("{} row {key} cannot be loaded", piece.plan.table))
            .because(refusal.cause().unwrap_or("the target refused it"))
            .remedy(
                "correct or delete this row on the source (or add the row it refers to, or remove its twin)",
            ),
    ))
}

/// Loads tuples `from..upto` under a savepoint. They stay when the target takes them; otherwise the refusal comes back.
async fn attempt(
    transaction: &mut LoadTransaction,
    piece: &Piece,
    shaped: &Shaped,
    from: usize,
    upto: usize,
) -> Result<Option<Error>> {
    let end_of = |count: usize| {
        count.checked_sub(1).and_then(|last| shaped.tuples.get(last)).map_or(0, |tuple| tuple.end)
    };
    let tuples = shaped.copy.get(end_of(from)..end_of(upto)).unwrap_or_default();
    if tuples.is_empty() {
        return Ok(None);
    }
    transaction.savepoint(SAVEPOINT).await?;
    let mut copy = transaction.copy(&piece.plan.table, &piece.plan.columns).await?;
    let outcome = match copy.send(Bytes::copy_from_slice(tuples)).await {
        Ok(()) => copy.finish().await.map(drop),
        Err(failure) => {
            drop(copy);
            Err(failure)
        }
    };
    match outcome {
        Ok(()) => transaction.release(SAVEPOINT).await.map(|()| None),
        Err(failure) if failure.error.kind() == ErrorKind::Row => {
            transaction.rollback_to(SAVEPOINT).await?;
            Ok(Some(failure.error))
        }
        Err(failure) => Err(failure.error),
    }
}
