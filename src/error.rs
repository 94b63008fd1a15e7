//! The one error type of the crate: what failed, where, why, and what to do next. Never a cell value.
//!
//! Driver and server errors can carry rows and secrets (`PostgreSQL`'s DETAIL, debug output of either driver). So no foreign
//! error is attached as it is: the module that talks to a server turns it into a short sanitised cause
//! (`source::cluster` and `target` each have one place for that).

use std::fmt;

/// Result with the crate's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What kind of failure an [`Error`] is; decides the exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The command line asks for something that does not exist or does not fit together.
    Usage,
    /// A setting, file, URL or environment variable cannot be used.
    Configuration,
    /// A condition for starting does not hold (unreachable server, wrong password, target not fresh, schema states that
    /// differ). Nothing was changed.
    Preflight,
    /// A schema map does not fit the live tables, or a pair of types has no codec. Nothing was changed.
    SchemaMap,
    /// Reading the source failed for good.
    Source,
    /// Loading the target failed for good.
    Target,
    /// A row cannot be loaded as it is: `PostgreSQL` would refuse, or refused, it.
    Row,
    /// Everything else is done and agrees, and some rows lie in quarantine.
    Quarantined,
    /// The user or a signal ended the run.
    Interrupted,
    /// Source and target do not hold the same.
    Difference,
    /// A bug of kongferry.
    Internal,
}

impl ErrorKind {
    /// The process exit code of this kind. The table in docs/exit-codes.md says the same.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::Usage | Self::Configuration => 2,
            Self::Preflight | Self::SchemaMap => 3,
            Self::Interrupted => 4,
            Self::Quarantined => 5,
            Self::Difference => 6,
            Self::Source => 7,
            Self::Target | Self::Row => 8,
        }
    }
}

/// A failure, in words for the person who runs the migration.
///
/// `Display` is the message alone; [`Error::report`] is the whole story (message, cause, remedy).
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    cause: Option<String>,
    remedy: Option<String>,
    passing: bool,
}

impl Error {
    /// An error of `kind`; `message` says what failed and where (table, split), without a full stop and without a value.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Box::new(Inner { kind, message: message.into(), cause: None, remedy: None, passing: false }))
    }

    /// Adds why it failed, in sanitised words.
    #[must_use]
    pub fn because(mut self, cause: impl fmt::Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }

    /// Adds what the user should do next.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    /// Adds what the user should do next, where nothing is known yet.
    #[must_use]
    pub fn remedy_if_none(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy.get_or_insert_with(|| remedy.into());
        self
    }

    /// Adds a further thing to do, after those there are.
    #[must_use]
    pub fn and_remedy(mut self, remedy: impl AsRef<str>) -> Self {
        self.0.remedy = Some(match self.0.remedy.take() {
            Some(first) => format!("{first}\n              {}", remedy.as_ref()),
            None => remedy.as_ref().to_owned(),
        });
        self
    }

    /// Marks a failure that undid its whole transaction and need not come again: two of them waited for each other.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.0.passing = true;
        self
    }

    /// Whether the same transaction, begun anew, may well succeed.
    pub fn is_passing(&self) -> bool {
        self.0.passing
    }

    /// The same error seen from a stage in which nothing has been written yet: server failures become preflight refusals.
    #[must_use]
    pub fn before_writing(mut self) -> Self {
        if matches!(self.0.kind, ErrorKind::Source | ErrorKind::Target) {
            self.0.kind = ErrorKind::Preflight;
        }
        self
    }

    /// The same error seen from a stage in which something has been written: what would have been a refusal is a failure.
    #[must_use]
    pub fn after_writing(mut self) -> Self {
        if self.0.kind == ErrorKind::Preflight {
            self.0.kind = ErrorKind::Target;
        }
        self
    }

    /// Its kind.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The process exit code it leads to.
    pub fn exit_code(&self) -> u8 {
        self.0.kind.exit_code()
    }

    /// Why it failed, where that is known.
    pub fn cause(&self) -> Option<&str> {
        self.0.cause.as_deref()
    }

    /// Message, cause and remedy, one line each.
    pub fn report(&self) -> String {
        let mut text = self.0.message.clone();
        if let Some(cause) = &self.0.cause {
            text.push_str(": ");
            text.push_str(cause);
        }
        if let Some(remedy) = &self.0.remedy {
            text.push_str("\n  what to do: ");
            text.push_str(remedy);
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        match &self.0.cause {
            Some(cause) => write!(f, ": {cause}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_those_of_the_manual() {
        let codes = [
            (ErrorKind::Internal, 1),
            (ErrorKind::Usage, 2),
            (ErrorKind::Configuration, 2),
            (ErrorKind::Preflight, 3),
            (ErrorKind::SchemaMap, 3),
            (ErrorKind::Interrupted, 4),
            (ErrorKind::Quarantined, 5),
            (ErrorKind::Difference, 6),
            (ErrorKind::Source, 7),
            (ErrorKind::Target, 8),
            (ErrorKind::Row, 8),
        ];
        for (kind, code) in codes {
            assert_eq!(kind.exit_code(), code, "{kind:?}");
        }
    }
}
