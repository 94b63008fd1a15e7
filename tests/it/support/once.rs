//! Values made once per label and run, by whichever test asks first.

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// Values by label.
pub struct Once<T: 'static>(LazyLock<Mutex<BTreeMap<String, &'static OnceCell<T>>>>);

impl<T> Once<T> {
    /// None made yet.
    pub const fn new() -> Self {
        Self(LazyLock::new(Mutex::default))
    }

    /// The value of `label`. Values of different labels are made side by side.
    pub async fn get<F: Future<Output = T>>(&self, label: &str, make: impl FnOnce() -> F) -> &'static T {
        let cell = {
            let mut cells = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            *cells.entry(label.to_owned()).or_insert_with(|| Box::leak(Box::default()))
        };
        cell.get_or_init(make).await
    }
}
