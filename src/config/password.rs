//! Passwords: from the URL (for tests), an environment variable, a file, or a prompt; in that order.

use std::env;
use std::fs;
use std::io::{IsTerminal, Write};

use secrecy::SecretString;

use crate::error::{Error, ErrorKind, Result};

/// Finds the password of one side (`SOURCE` or `TARGET`) for a user that needs one.
///
/// `KONGFERRY_<side>_PASSWORD` comes before `KONGFERRY_<side>_PASSWORD_FILE` (first line of the file). A prompt is shown
/// only when `ask` is set and the program runs on a terminal.
pub(super) fn find(side: &str, in_url: Option<String>, ask: bool) -> Result<Option<SecretString>> {
    if let Some(password) = in_url {
        return Ok(Some(password.into()));
    }
    let variable = format!("KONGFERRY_{side}_PASSWORD");
    if let Ok(password) = env::var(&variable) {
        return Ok(Some(password.into()));
    }
    let file_variable = format!("{variable}_FILE");
    if let Ok(path) = env::var(&file_variable) {
        let text = fs::read_to_string(&path).map_err(|error| {
            Error::new(
                ErrorKind::Configuration,
                format!("cannot read the password file {path} named by {file_variable}"),
            )
            .because(error.kind())
        })?;
        return Ok(Some(text.lines().next().unwrap_or_default().to_owned().into()));
    }
    if ask && std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        return prompt(side).map(Some);
    }
    Ok(None)
}

fn prompt(side: &str) -> Result<SecretString> {
    let label = side.to_lowercase();
    let mut stderr = std::io::stderr();
    let failed = |error: std::io::Error| {
        Error::new(ErrorKind::Configuration, format!("cannot read the {label} password from the terminal"))
            .because(error.kind())
    };
    write!(stderr, "Password of the {label}: ").and_then(|()| stderr.flush()).map_err(failed)?;
    Ok(rpassword::read_password().map_err(failed)?.into())
}
