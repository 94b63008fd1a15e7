//! Pages of a split on their way through the row shaper, on rayon.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::plan::TablePlan;
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Page, Pages, Source, Split};
use crate::transform::{RowShaper, Shaped};

/// The shaped pages of one split, in order.
pub struct ShapedPages {
    pages: Box<dyn Pages>,
    shaper: Arc<RowShaper>,
    /// A buffer that came back from the sink.
    spare: Option<Shaped>,
}

impl ShapedPages {
    /// Opens `split` of `plan`.
    pub async fn open(source: &dyn Source, plan: &TablePlan, split: &Split) -> Result<Self> {
        let pages = source.open(plan.selection.clone(), split, plan.sizing.clone()).await?;
        Ok(Self { pages, shaper: plan.shaper.clone(), spare: None })
    }

    /// The next page and what came of shaping it. The source fetches the page after it meanwhile.
    pub async fn next(&mut self) -> Result<Option<(Page, Shaped)>> {
        let Some(page) = self.pages.next().await? else { return Ok(None) };
        let mut shaped = self.spare.take().unwrap_or_default();
        let row_shaper = self.shaper.clone();
        let (done, outcome) = oneshot::channel();
        rayon::spawn(move || {
            let result = row_shaper.shape(&page, &mut shaped).map(|()| (page, shaped));
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
