//! `postgres://user@host:5432/database?schema=kong`: libpq's URL, plus the schema.

use secrecy::{ExposeSecret, SecretString};

use super::password;
use crate::error::{Error, ErrorKind, Result};

/// Where the target is and how to log in.
#[derive(Clone)]
pub struct TargetSettings {
    /// Connection parameters without the password.
    pub pg: tokio_postgres::Config,
    /// Schema that holds Kong's tables, `None` for the session's own.
    pub schema: Option<String>,
    /// Password of the user.
    pub password: Option<SecretString>,
}

impl std::fmt::Debug for TargetSettings {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TargetSettings").field("place", &self.place()).finish_non_exhaustive()
    }
}

impl TargetSettings {
    /// Parses a target URL and finds the password that goes with it.
    ///
    /// # Errors
    /// `Configuration`; the URL itself is not repeated, since it may hold a password.
    pub fn from_url(url: &str) -> Result<Self> {
        let (mut settings, in_url) = parse(url)?;
        settings.password = password::find("TARGET", in_url, false)?;
        if let Some(password) = &settings.password {
            settings.pg.password(password.expose_secret());
        }
        Ok(settings)
    }

    /// `host:port/database`, for messages.
    pub fn place(&self) -> String {
        let hosts: Vec<_> = self
            .pg
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| {
                let port =
                    self.pg.get_ports().get(index).or_else(|| self.pg.get_ports().first()).unwrap_or(&5432);
                match host {
                    tokio_postgres::config::Host::Tcp(name) => format!("{name}:{port}"),
                    #[cfg(unix)]
                    tokio_postgres::config::Host::Unix(path) => format!("{}:{port}", path.display()),
                }
            })
            .collect();
        format!("{}/{}", hosts.join(","), self.pg.get_dbname().unwrap_or_default())
    }
}

fn unusable(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the target URL cannot be used: {what}"))
        .remedy("write it as postgres://user@host:5432/database?schema=public")
}

fn parse(url: &str) -> Result<(TargetSettings, Option<String>)> {
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        return Err(unusable("it does not begin with postgres://"));
    }
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let mut schema = None;
    let mut kept = url::form_urlencoded::Serializer::new(String::new());
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        if key == "schema" {
            schema = Some(value.into_owned());
        } else {
            kept.append_pair(&key, &value);
        }
    }
    let kept = kept.finish().replace('+', "%20");
    let plain = if kept.is_empty() { base.to_owned() } else { format!("{base}?{kept}") };
    let pg: tokio_postgres::Config = plain
        .parse()
        .map_err(|_| unusable("host, port, database or a parameter after ? is not understood"))?;
    if pg.get_hosts().is_empty() {
        return Err(unusable("it names no host"));
    }
    let in_url = pg.get_password().map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    let mut settings = TargetSettings { pg, schema, password: None };
    if settings.pg.get_dbname().is_none() {
        settings.pg.dbname("kong");
    }
    if settings.pg.get_user().is_none() {
        settings.pg.user("kong");
    }
    Ok((settings, in_url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schema_is_ours_and_the_rest_is_libpqs() {
        let (settings, password) =
            parse("postgres://ferry:s%40crt@db:6432/gateway?schema=kong&connect_timeout=3").unwrap();
        assert_eq!(settings.schema.as_deref(), Some("kong"));
        assert_eq!(settings.place(), "db:6432/gateway");
        assert_eq!(password.as_deref(), Some("s@crt"));
        assert!(!format!("{settings:?}").contains("s@crt"));
    }

    #[test]
    fn user_and_database_have_kongs_defaults() {
        let (settings, _) = parse("postgres://localhost").unwrap();
        assert_eq!((settings.pg.get_dbname(), settings.pg.get_user()), (Some("kong"), Some("kong")));
    }

    #[test]
    fn errors_do_not_repeat_the_url() {
        for url in [
            "mysql://u:secret@h/kong",
            "postgres://u:secret@h:notaport/kong",
            "postgres://u:secret@h/k?nope=1",
        ] {
            let error = parse(url).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(!error.report().contains("secret"));
        }
    }
}
