//! Which of several rows with the same unique key stays.

use std::fmt;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Which of the rows with the same unique key stays: by `created_at` where the table has it, ties and other tables by primary key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// The one that was created first; one without a time counts as older than all others.
    KeepOldest,
    /// The one that was created last.
    KeepNewest,
}

impl Keep {
    /// Its name on the command line.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KeepOldest => "keep-oldest",
            Self::KeepNewest => "keep-newest",
        }
    }
}

impl fmt::Display for Keep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
