//! `postgres://user@host:5432/database?schema=kong`: the target and its password.

use secrecy::ExposeSecret;

use super::password;
use crate::error::Result;
use crate::target::TargetConfig;

/// User and database of a Gateway unless told otherwise.
const KONG: &str = "kong";

/// Reads the URL of the target and finds the password that goes with it.
///
/// # Errors
/// `Configuration`; the URL itself is not repeated, since it may hold a password.
pub fn target_from_url(url: &str) -> Result<TargetConfig> {
    let mut config = TargetConfig::from_url(url)?;
    if config.pg.get_dbname().is_none() {
        config.pg.dbname(KONG);
    }
    if config.pg.get_user().is_none() {
        config.pg.user(KONG);
    }
    let in_url = config.pg.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    config.password = password::find("TARGET", in_url, false)?;
    if let Some(password) = &config.password {
        config.pg.password(password.expose_secret());
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_database_have_kongs_defaults() {
        let config = target_from_url("postgres://localhost").unwrap();
        assert_eq!((config.pg.get_dbname(), config.pg.get_user()), (Some("kong"), Some("kong")));
    }
}
