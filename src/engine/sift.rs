//! Loads a piece whose COPY was refused: all rows that the target takes, and the others into quarantine.
//!
//! The piece is read once more, page by page, and each page goes through a [`Sieve`].

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use super::hold::{Holding, Quarantine};
use super::load::Loading;
use super::shaping::ShapedPages;
use super::totals::TableTotals;
use super::workers::Piece;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::Class;
use crate::source::Page;
use crate::target::LoadTransaction;
use crate::target::sieve::{Refusal, Sieve};
use crate::transform::Shaped;

/// Loads `piece` within `transaction`, in which nothing of it is; returns its totals.
///
/// # Errors
/// `Row` for a row whose policy is to fail.
pub async fn load_sifted(
    loading: Loading<'_>,
    piece: &Piece,
    transaction: &mut LoadTransaction,
) -> Result<TableTotals> {
    let plan = &piece.plan;
    let version = loading.target.server().version_num;
    let sieve = Sieve::open(transaction, &plan.table, &plan.columns, version).await?;
    let mut sifting = Sifting { loading, piece, totals: TableTotals::default(), held: Holding::default() };
    let mut waiting: Vec<SiftedPage> = Vec::new();
    for split in &piece.splits {
        let mut pages = ShapedPages::open(loading.source, plan, split).await?;
        while let Some((page, shaped)) = pages.next().await? {
            loading.stop.check()?;
            let tuples = Bytes::copy_from_slice(&shaped.copy);
            let found = sieve.pass(transaction, tuples, shaped.tuples.len()).await?;
            let mut sifted = SiftedPage { page, shaped, refused: found.into_iter().collect() };
            // The parent can stand in a later page of the same table.
            if plan.one_statement && sifted.orphans().next().is_some() {
                waiting.push(sifted);
                continue;
            }
            sifting.book(transaction, &mut sifted).await?;
            pages.recycle(sifted.shaped);
        }
    }
    while retry(transaction, &sieve, &mut waiting).await? {}
    for mut sifted in waiting {
        sifting.book(transaction, &mut sifted).await?;
    }
    sifting.held.write(loading.quarantine, transaction).await?;
    sifting.totals.check_conserved(&plan.table)?;
    Ok(sifting.totals)
}

/// The error of the first row that the target refuses of a piece without quarantine, or `refused` itself when none is refused
/// (any more). `transaction` is one in which the piece could begin anew; it is rolled back.
pub async fn find_row(
    loading: Loading<'_>,
    piece: &Piece,
    transaction: Result<LoadTransaction>,
    refused: Error,
) -> Error {
    let loading = Loading { quarantine: Quarantine::Closed, ..loading };
    let searched = match transaction {
        Ok(mut transaction) => load_sifted(loading, piece, &mut transaction).await,
        Err(error) => Err(error),
    };
    match searched {
        Ok(_) => refused.remedy(
            "reading the split once more showed no row at fault; something changed meanwhile, so run again",
        ),
        Err(found) if found.kind() == ErrorKind::Row => found,
        Err(other) => refused.and_remedy(format!("looking for the row at fault failed as well: {other}")),
    }
}

/// A page of which the target has taken what it takes.
struct SiftedPage {
    page: Page,
    shaped: Shaped,
    /// What it refused, by place among the tuples.
    refused: BTreeMap<usize, Refusal>,
}

impl SiftedPage {
    /// Places of the rows whose parent is missing, so far.
    fn orphans(&self) -> impl Iterator<Item = usize> {
        let missing = |(place, refusal): (&usize, &Refusal)| {
            (refusal.class() == Class::MissingParent).then_some(*place)
        };
        self.refused.iter().filter_map(missing)
    }

    fn tuple(&self, place: usize) -> &[u8] {
        let end = |count: usize| {
            count.checked_sub(1).and_then(|last| self.shaped.tuples.get(last)).map_or(0, |tuple| tuple.end)
        };
        self.shaped.copy.get(end(place)..end(place + 1)).unwrap_or_default()
    }
}

/// Tries the rows again whose parent was missing; whether any went in.
async fn retry(transaction: &mut LoadTransaction, sieve: &Sieve, waiting: &mut [SiftedPage]) -> Result<bool> {
    let mut progress = false;
    for sifted in waiting {
        let orphans: Vec<usize> = sifted.orphans().collect();
        let tuples: BytesMut = orphans.iter().flat_map(|place| sifted.tuple(*place)).copied().collect();
        let still: BTreeMap<usize, Refusal> =
            sieve.pass(transaction, tuples.freeze(), orphans.len()).await?.into_iter().collect();
        progress |= still.len() < orphans.len();
        for (nth, place) in orphans.into_iter().enumerate() {
            match still.get(&nth) {
                Some(refusal) => drop(sifted.refused.insert(place, refusal.clone())),
                None => drop(sifted.refused.remove(&place)),
            }
        }
    }
    Ok(progress)
}

/// What is accounted for so far.
struct Sifting<'a> {
    loading: Loading<'a>,
    piece: &'a Piece,
    totals: TableTotals,
    held: Holding,
}

impl Sifting<'_> {
    /// Accounts for a page: what the target refused is shaped out of it.
    async fn book(&mut self, transaction: &mut LoadTransaction, sifted: &mut SiftedPage) -> Result<()> {
        let (plan, quarantine) = (&self.piece.plan, self.loading.quarantine);
        let SiftedPage { page, shaped, refused } = sifted;
        self.held.take_rejects(quarantine, plan, page, shaped)?;
        let marks = &shaped.tuples;
        let by_row: BTreeMap<usize, &Refusal> =
            refused.iter().filter_map(|(place, refusal)| Some((marks.get(*place)?.row, refusal))).collect();
        let rows = by_row.iter().map(|(row, refusal)| (*row, *refusal));
        self.held.take_refused(quarantine, plan, page, rows, &mut self.totals)?;
        if !by_row.is_empty() {
            let without = |row: usize| !by_row.contains_key(&row);
            let mut rest = Shaped::default();
            plan.shaper.shape_where(page, &mut rest, without)?;
            drop(by_row);
            *shaped = rest;
        }
        self.totals.add_page(shaped, &plan.selection, self.loading.started);
        if self.held.is_full() {
            self.held.write(quarantine, transaction).await?;
        }
        Ok(())
    }
}
