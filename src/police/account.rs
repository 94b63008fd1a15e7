//! What policing changes, in the ledger.

use super::Police;
use crate::canonical::ContentSum;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::Why;
use crate::verify::proof::content_of;

/// What happens to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// They go, as they stand now.
    Go,
    /// They come, as they stand now.
    Come,
}

impl Police<'_> {
    /// Writes a signed line for `rows` of `table`, those that satisfy `condition`, an SQL expression over `t`, as they stand now.
    /// To be called before rows go and after they came.
    pub(super) async fn account(
        &mut self,
        table: &str,
        why: Why,
        step: Step,
        rows: u64,
        condition: &str,
    ) -> Result<()> {
        let Some(beat) = self.beats.iter().find(|beat| beat.table == table).cloned() else {
            return Err(Error::new(
                ErrorKind::Internal,
                format!("{table} is not policed, and rows of it changed"),
            ));
        };
        let content = content_of(self.transaction, &beat, Some(condition), self.started).await?;
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        let (rows, content) = match step {
            Step::Go => (-rows, ContentSum::default().minus(&content)),
            Step::Come => (rows, content),
        };
        let digest = content.to_string();
        self.ledger.changed(self.transaction, Some(self.task), table, why, rows, Some(&digest)).await
    }
}
