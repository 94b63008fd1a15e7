//! The maps against the recorded catalogs of Kong.

mod built_in_maps;
mod catalogs;
mod decisions;
mod derived_maps;
mod enterprise_maps;
mod map_files;
mod misfits;
mod rendered_maps;

use super::{Decided, Decision, TableMapping};

/// The mapping of `table` among `decisions`.
fn mapping<'a>(decisions: &'a [Decision], table: &str) -> &'a TableMapping {
    match decisions.iter().find(|decision| decision.table == table).map(|decision| &decision.action) {
        Some(Decided::Copy { mapping, .. }) => mapping,
        other => panic!("{table} is not copied: {other:?}"),
    }
}

/// Names of the copied tables among `decisions`.
fn copied(decisions: &[Decision]) -> Vec<&str> {
    decisions
        .iter()
        .filter(|decision| matches!(decision.action, Decided::Copy { .. }))
        .map(|decision| decision.table.as_str())
        .collect()
}
