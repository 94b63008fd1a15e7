//! Read consistency, under the names kong.conf uses.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, ErrorKind};

/// How many replicas a read must hear from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Consistency {
    /// Any one replica.
    One,
    /// Two replicas.
    Two,
    /// Three replicas.
    Three,
    /// A majority of all replicas.
    Quorum,
    /// All replicas.
    All,
    /// A majority of the replicas in the local datacenter.
    #[default]
    LocalQuorum,
    /// A majority in every datacenter.
    EachQuorum,
    /// One replica in the local datacenter.
    LocalOne,
}

const NAMES: [(Consistency, &str); 8] = [
    (Consistency::One, "one"),
    (Consistency::Two, "two"),
    (Consistency::Three, "three"),
    (Consistency::Quorum, "quorum"),
    (Consistency::All, "all"),
    (Consistency::LocalQuorum, "local_quorum"),
    (Consistency::EachQuorum, "each_quorum"),
    (Consistency::LocalOne, "local_one"),
];

impl Consistency {
    /// Whether the coordinator must stand in the local datacenter for the read to mean what it says.
    pub fn is_local(self) -> bool {
        matches!(self, Self::LocalQuorum | Self::LocalOne)
    }

    /// The name of a driver's level, also of one that is not for reading rows.
    pub(super) fn name_of_driver(level: scylla::statement::Consistency) -> &'static str {
        NAMES.iter().find(|(own, _)| own.of_driver() == level).map_or("of the request", |(_, name)| name)
    }

    pub(super) fn of_driver(self) -> scylla::statement::Consistency {
        use scylla::statement::Consistency as Driver;
        match self {
            Self::One => Driver::One,
            Self::Two => Driver::Two,
            Self::Three => Driver::Three,
            Self::Quorum => Driver::Quorum,
            Self::All => Driver::All,
            Self::LocalQuorum => Driver::LocalQuorum,
            Self::EachQuorum => Driver::EachQuorum,
            Self::LocalOne => Driver::LocalOne,
        }
    }
}

impl fmt::Display for Consistency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = NAMES.iter().find(|(level, _)| level == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Consistency {
    type Err = Error;

    /// Reads a name in either case, with `_` or `-`.
    fn from_str(text: &str) -> Result<Self, Error> {
        let wanted = text.trim().to_ascii_lowercase().replace('-', "_");
        NAMES.iter().find(|(_, name)| *name == wanted).map(|(level, _)| *level).ok_or_else(|| {
            let names: Vec<_> = NAMES.iter().map(|(_, name)| *name).collect();
            Error::new(ErrorKind::Configuration, format!("`{}` is no read consistency", text.escape_debug()))
                .remedy(format!("use one of {}", names.join(", ")))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for (level, name) in NAMES {
            assert_eq!(level.to_string(), name);
            assert_eq!(name.to_uppercase().replace('_', "-").parse::<Consistency>().unwrap(), level);
        }
        assert_eq!(Consistency::default(), Consistency::LocalQuorum);
    }

    #[test]
    fn levels_that_are_not_for_reading_rows_are_refused() {
        for text in ["any", "serial", "local_serial", ""] {
            assert_eq!(text.parse::<Consistency>().unwrap_err().kind(), ErrorKind::Configuration);
        }
    }
}
