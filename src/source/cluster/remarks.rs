//! Remarks for the person who watches a run.

use std::fmt;
use std::sync::Arc;

/// Hears what a person should know while pages are read; nobody, by default.
#[derive(Clone, Default)]
pub struct Remarks(Option<Arc<dyn Fn(String) + Send + Sync>>);

impl Remarks {
    /// Passes each remark to `hear`, which must not block.
    pub fn to(hear: impl Fn(String) + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(hear)))
    }

    pub(super) fn tell(&self, remark: String) {
        if let Some(hear) = &self.0 {
            hear(remark);
        }
    }
}

impl fmt::Debug for Remarks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Remarks(heard)" } else { "Remarks(unheard)" })
    }
}
