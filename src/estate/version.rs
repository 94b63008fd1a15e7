//! The Kong versions whose schemas are kept as data.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// A Kong Gateway version with catalogs of its own. A row copy is defined between equal schema states only, so an estate is
/// always of exactly one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KongVersion {
    /// Kong 2.8, the last of the 2.x line.
    V2_8,
    /// Kong 3.3, the last version that speaks to Cassandra.
    V3_3,
}

impl KongVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 2] = [Self::V2_8, Self::V3_3];

    /// `2.8` or `3.3`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V2_8 => "2.8",
            Self::V3_3 => "3.3",
        }
    }
}

/// Which of Kong's editions an estate is of. Enterprise has all the tables of the open-source Gateway, and its own besides.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Edition {
    /// The open-source Gateway.
    #[default]
    OpenSource,
    /// Kong Gateway Enterprise. Its catalogs come from documentation-level facts, not from a live server.
    Enterprise,
}

impl Edition {
    /// Both.
    pub const ALL: [Self; 2] = [Self::OpenSource, Self::Enterprise];

    /// A table that every Enterprise datastore has, and no other.
    pub(in crate::estate) const MARK: &'static str = "rbac_users";
}

impl fmt::Display for Edition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenSource => "open source",
            Self::Enterprise => "Enterprise",
        })
    }
}

impl fmt::Display for KongVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for KongVersion {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|version| version.as_str() == text).ok_or_else(|| {
            Error::new(ErrorKind::Usage, format!("no catalog of Kong {text} is kept"))
                .remedy("use one of the reference versions, 2.8 or 3.3")
        })
    }
}
