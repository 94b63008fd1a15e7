//! What a Gateway's migrations left behind in `schema_meta`.

use std::collections::BTreeSet;

/// The row of one subsystem (`core`, or a plugin with migrations).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubsystemState {
    /// Name of the subsystem.
    pub subsystem: String,
    /// Step that ran last.
    pub last_executed: Option<String>,
    /// Steps that are done.
    pub executed: BTreeSet<String>,
    /// Steps whose finish phase has not run.
    pub pending: BTreeSet<String>,
}
