//! Finds the row that made a COPY fail.
//!
//! `PostgreSQL` reports a broken constraint at the end of a COPY, without the row, except in DETAIL, which carries values.
//! So the piece is read once more, each page goes into a COPY under a savepoint, and the page that fails is halved until one
//! row is alone. Everything is rolled back.

use bytes::Bytes;

use super::load::begin;
use super::shaping::ShapedPages;
use super::workers::Piece;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Page, Source};
use crate::target::{LoadTransaction, Target};
use crate::transform::Shaped;

/// The error of the first row that the target refuses, or `refused` itself when no single row does (any more).
pub async fn find_row(source: &dyn Source, target: &Target, piece: &Piece, refused: Error) -> Error {
    match search(source, target, piece).await {
        Ok(Some(found)) => found,
        Ok(None) => {
            refused.remedy("reading the split again found no single row at fault; run the migration again")
        }
        Err(other) => {
            refused.remedy(format!("looking for the row failed as well ({other}); run the migration again"))
        }
    }
}

async fn search(source: &dyn Source, target: &Target, piece: &Piece) -> Result<Option<Error>> {
    let mut transaction = begin(target, piece).await?;
    for split in &piece.splits {
        let mut pages = ShapedPages::open(source, &piece.plan, split).await?;
        while let Some((page, shaped)) = pages.next().await? {
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
            None => from = middle,
        }
    }
    let Some(tuple) = shaped.tuples.get(from) else { return Ok(None) };
    let key = piece.plan.shaper.key_of(page, tuple.row);
    // A row is refused alone, or because of rows before it (a duplicate): ask once more for the reason that fits this row.
    if let Some(alone) = attempt(transaction, piece, shaped, from, from + 1).await? {
        refusal = alone;
    }
    Ok(Some(
        Error::new(ErrorKind::Row, format!("{} row {key} cannot be loaded", piece.plan.table))
            .because(refusal)
            .remedy("correct or delete this row on the source (or the row it refers to, or its twin), then run again"),
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
    let start = from.checked_sub(1).and_then(|before| shaped.tuples.get(before)).map_or(0, |tuple| tuple.end);
    let end = upto.checked_sub(1).and_then(|last| shaped.tuples.get(last)).map_or(start, |tuple| tuple.end);
    let tuples = Bytes::copy_from_slice(shaped.copy.get(start..end).unwrap_or_default());
    if tuples.is_empty() {
        return Ok(None);
    }
    match transaction.copy_under_savepoint(&piece.plan.table, &piece.plan.columns, tuples).await {
        Ok(()) => Ok(None),
        Err(error) if error.kind() == ErrorKind::Row => Ok(Some(error)),
        Err(error) => Err(error),
    }
}
