//! The pages of a split, one of them always under way.

use std::sync::Arc;

use async_trait::async_trait;
use scylla::response::PagingState;
use tokio::task::JoinHandle;

use super::failure::Trouble;
use super::reader::{Fetched, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::source::{Page, Pages};

/// Pages of a live cluster.
pub(super) struct ClusterPages {
    reader: Arc<Reader>,
    /// The page after the one handed out last; `None` after the last page and after a failure.
    coming: Option<Fetching>,
}

/// A page under way; dropped, it is given up.
struct Fetching(JoinHandle<Result<Fetched>>);

impl Fetching {
    fn start(reader: &Arc<Reader>, state: PagingState) -> Self {
        let reader = Arc::clone(reader);
        let fetch = async move {
            let failed =
                |trouble: Trouble| trouble.while_reading_from(&reader.what, &reader.shared.nodes_in_words());
            reader.fetch(state).await.map_err(failed)
        };
        Self(tokio::spawn(fetch))
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl ClusterPages {
    /// Asks for the first page.
    pub(super) fn open(reader: Reader) -> Self {
        let reader = Arc::new(reader);
        let coming = Some(Fetching::start(&reader, PagingState::start()));
        Self { reader, coming }
    }
}

#[async_trait]
impl Pages for ClusterPages {
    async fn next(&mut self) -> Result<Option<Page>> {
        let Some(coming) = &mut self.coming else { return Ok(None) };
        let outcome = (&mut coming.0).await;
        self.coming = None;
        let fetched = match outcome {
            Ok(fetched) => fetched?,
            Err(error) if error.is_cancelled() => {
                return Err(Error::new(
                    ErrorKind::Interrupted,
                    format!("reading {} ended", self.reader.what),
                ));
            }
            Err(_) => {
                return Err(Error::new(
                    ErrorKind::Internal,
                    format!("reading {} broke down", self.reader.what),
                ));
            }
        };
        self.coming = fetched.next.map(|state| Fetching::start(&self.reader, state));
        Ok(Some(fetched.page))
    }
}
