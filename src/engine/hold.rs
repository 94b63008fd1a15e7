//! Rows on their way into quarantine.

use std::sync::Arc;

use super::plan::TablePlan;
use super::totals::TableTotals;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{HeldContent, HeldRow, Ledger};
use crate::policy::{Class, Policy};
use crate::source::Page;
use crate::target::LoadTransaction;
use crate::target::sieve::Refusal;
use crate::transform::Shaped;

/// Bytes of held rows after which they are written, so that a split of nothing but bad rows takes no more memory than one of
/// good ones.
const MOST_BYTES: usize = 4 << 20;
/// What a held row takes besides its cells, about.
const BYTES_BESIDE: usize = 256;

/// Where rows go that cannot be loaded.
#[derive(Clone, Copy)]
pub enum Quarantine<'a> {
    /// Nowhere: the first ends the task.
    Closed,
    /// Nowhere, and nothing ends: they were met before, when their split was loaded.
    Known,
    /// Into the ledger, as rows of a task.
    Open {
        /// The ledger.
        ledger: &'a Ledger,
        /// The task.
        task: i32,
    },
}

/// Rows that are held and still to be written.
#[derive(Debug, Default)]
pub struct Holding {
    rows: Vec<HeldRow>,
    /// Table and key of rows that stay behind because the target refused them.
    left_behind: Vec<(String, String)>,
    bytes: usize,
}

impl Holding {
    /// Takes the rejected rows of a page.
    ///
    /// # Errors
    /// `Row` for the first whose policy is to fail, or any where quarantine is closed.
    pub fn take_rejects(
        &mut self,
        quarantine: Quarantine<'_>,
        plan: &TablePlan,
        page: &Page,
        shaped: &Shaped,
    ) -> Result<()> {
        if shaped.rejects.is_empty() || matches!(quarantine, Quarantine::Known) {
            return Ok(());
        }
        for reject in &shaped.rejects {
            if fails(quarantine, plan, reject.class()) {
                let cause = format!("column {}: {}", reject.column, reject.reason);
                return Err(cannot_be_loaded(quarantine, plan, &reject.key, reject.class(), &cause));
            }
        }
        let cells = plan.shaper.cut(page, shaped.rejects.iter().map(|reject| reject.row))?;
        for (reject, cells) in shaped.rejects.iter().zip(cells) {
            let place = (reject.column.clone(), reject.reason.to_string());
            self.push(plan, page, reject.key.clone(), reject.class(), place, cells);
        }
        Ok(())
    }

    /// Takes rows of a page that the target refused, in the order of the page, and accounts for them.
    ///
    /// # Errors
    /// `Row` for the first whose policy is to fail, or any where quarantine is closed.
    pub fn take_refused<'r>(
        &mut self,
        quarantine: Quarantine<'_>,
        plan: &TablePlan,
        page: &Page,
        refused: impl Iterator<Item = (usize, &'r Refusal)>,
        totals: &mut TableTotals,
    ) -> Result<()> {
        for (row, refusal) in refused {
            let class = refusal.class();
            let key = plan.shaper.key_of(page, row);
            if fails(quarantine, plan, class) {
                return Err(cannot_be_loaded(quarantine, plan, &key, class, &refusal.to_string()));
            }
            totals.read += 1;
            if plan.shaper.policies().of(class) == Policy::Skip {
                *totals.skipped.entry(class).or_default() += 1;
                self.left_behind.push((plan.table.clone(), key));
                continue;
            }
            *totals.quarantined.entry(class).or_default() += 1;
            let cells = plan.shaper.cut(page, [row])?.pop().unwrap_or_default();
            let place = (refusal.rule(), refusal.to_string());
            self.push(plan, page, key, class, place, cells);
        }
        Ok(())
    }

    fn push(
        &mut self,
        plan: &TablePlan,
        page: &Page,
        key: String,
        class: Class,
        (rule, reason): (String, String),
        cells: Vec<u8>,
    ) {
        self.bytes += cells.len() + BYTES_BESIDE;
        let content = HeldContent::Cells {
            selection: Arc::clone(&plan.origin_of_cells),
            cells,
            read_at: page.read_at.saturating_mul(1_000),
        };
        self.rows.push(HeldRow { table: plan.table.clone(), key, class, rule, reason, content });
    }

    /// Whether it is time to write them.
    pub fn is_full(&self) -> bool {
        self.bytes >= MOST_BYTES
    }

    /// Writes what is held, in the transaction of the task.
    pub async fn write(
        &mut self,
        quarantine: Quarantine<'_>,
        transaction: &mut LoadTransaction,
    ) -> Result<()> {
        if self.rows.is_empty() && self.left_behind.is_empty() {
            return Ok(());
        }
        let Quarantine::Open { ledger, task } = quarantine else {
            return Err(Error::new(
                ErrorKind::Internal,
                "rows are held, and there is no quarantine for them",
            ));
        };
        ledger.hold(transaction, Some(task), &self.rows).await?;
        ledger.leave_behind(transaction, task, &self.left_behind).await?;
        self.rows.clear();
        self.left_behind.clear();
        self.bytes = 0;
        Ok(())
    }
}

fn fails(quarantine: Quarantine<'_>, plan: &TablePlan, class: Class) -> bool {
    plan.shaper.policies().of(class) == Policy::Fail || matches!(quarantine, Quarantine::Closed)
}

fn cannot_be_loaded(
    quarantine: Quarantine<'_>,
    plan: &TablePlan,
    key: &str,
    class: Class,
    cause: &str,
) -> Error {
    let remedy = match quarantine {
        Quarantine::Closed | Quarantine::Known => {
            "correct or delete this row on the source, then run again: nothing of this table can be left out"
                .to_owned()
        }
        Quarantine::Open { .. } => format!(
            "correct or delete this row on the source (or add the row it refers to, or remove its twin), then run again; \
             `migrate --dry-run` finds every row that shows by itself. To put such rows aside instead: `kongferry undo`, then \
             migrate with --policy {class}=quarantine"
        ),
    };
    Error::new(ErrorKind::Row, format!("{} row {key} cannot be loaded", plan.table))
        .because(cause)
        .remedy(remedy)
}
