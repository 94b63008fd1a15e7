//! Pages of a split on their way through the row shaper, on rayon.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::plan::TablePlan;
use crate::canonical::{OtherLayout, RowForm, Scratch};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Page, Pages, Source, Split};
use crate::transform::{RowShaper, Shaped};

/// The shaped pages of one split, in order.
pub struct ShapedPages {
    pages: Box<dyn Pages>,
    shaper: Arc<RowShaper>,
    /// How tuples are digested; `None` where nobody asks for digests.
    form: Option<Arc<RowForm>>,
    /// A buffer that came back from the sink.
    spare: Option<Shaped>,
}

impl ShapedPages {
    /// Opens `split` of `plan`. Each tuple is marked with its digest.
    pub async fn open(source: &dyn Source, plan: &TablePlan, split: &Split) -> Result<Self> {
        let pages = source.open(plan.selection.clone(), split, plan.sizing.clone()).await?;
        Ok(Self { pages, shaper: plan.shaper.clone(), form: Some(plan.form.clone()), spare: None })
    }

    /// Leaves the digests out.
    #[must_use]
    pub fn without_digests(self) -> Self {
        Self { form: None, ..self }
    }

    /// The next page and what came of shaping it. The source fetches the page after it meanwhile.
    pub async fn next(&mut self) -> Result<Option<(Page, Shaped)>> {
        let Some(page) = self.pages.next().await? else { return Ok(None) };
        let mut shaped = self.spare.take().unwrap_or_default();
        let (row_shaper, form) = (self.shaper.clone(), self.form.clone());
        let (done, outcome) = oneshot::channel();
        rayon::spawn(move || {
            let result = row_shaper.shape(&page, &mut shaped).and_then(|()| match &form {
                Some(form) => digest(form, &mut shaped),
                None => Ok(()),
            });
            let result = result.map(|()| (page, shaped));
            // Nobody waits any more when the run was stopped.
            let _ = done.send(result);
        });
        outcome
            .await
            .map_err(|_| Error::new(ErrorKind::Internal, "shaping a page ended without an outcome"))?
            .map(Some)
    }

    /// Gives a buffer back for the next page.
    pub fn recycle(&mut self, shaped: Shaped) {
        self.spare = Some(shaped);
    }
}

/// Marks each tuple with its digest.
pub(super) fn digest(form: &RowForm, shaped: &mut Shaped) -> Result<()> {
    let (mut scratch, mut start) = (Scratch::default(), 0);
    for mark in &mut shaped.tuples {
        let tuple = shaped.copy.get(start..mark.end).unwrap_or_default();
        mark.digest = match form.digest(tuple, &mut scratch) {
            Ok(Some((digest, length))) if length == tuple.len() => digest,
            Ok(_) | Err(OtherLayout) => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    "a shaped row has another layout than its table",
                ));
            }
        };
        start = mark.end;
    }
    Ok(())
}
