//! `cassandra://user:password@host1,host2:9042/keyspace?consistency=local_quorum&datacenter=dc1`.

use std::time::Duration;

use secrecy::SecretString;

use super::{decoded, password};
use crate::error::{Error, ErrorKind, Result};

/// Port Cassandra speaks CQL on unless told otherwise.
const DEFAULT_PORT: u16 = 9042;
/// Keyspace a Gateway uses unless told otherwise.
const DEFAULT_KEYSPACE: &str = "kong";

/// Where the source is and how to log in.
#[derive(Debug, Clone)]
pub struct SourceSettings {
    /// Nodes to try first.
    pub contact_points: Vec<(String, u16)>,
    /// Keyspace that holds Kong's tables.
    pub keyspace: String,
    /// User for password authentication.
    pub user: Option<String>,
    /// Its password.
    pub password: Option<SecretString>,
    /// Read consistency as written, `None` for the default.
    pub consistency: Option<String>,
    /// Data centre whose nodes are read.
    pub datacenter: Option<String>,
    /// How long one page may take, `None` for the default.
    pub request_timeout: Option<Duration>,
}

impl SourceSettings {
    /// Parses a source URL and finds the password that goes with it.
    ///
    /// # Errors
    /// `Configuration`, naming the part that cannot be used; the URL itself is not repeated, since it may hold a password.
    pub fn from_url(url: &str) -> Result<Self> {
        let mut settings = parse(url)?;
        let in_url = settings.password.take().map(|password| {
            use secrecy::ExposeSecret;
            password.expose_secret().to_owned()
        });
        settings.password = password::find("SOURCE", in_url, settings.user.is_some())?;
        Ok(settings)
    }

    /// `host:port,host:port/keyspace`, for messages.
    pub fn place(&self) -> String {
        let hosts: Vec<_> = self.contact_points.iter().map(|(host, port)| format!("{host}:{port}")).collect();
        format!("{}/{}", hosts.join(","), self.keyspace)
    }
}

fn unusable(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, format!("the source URL cannot be used: {what}"))
        .remedy("write it as cassandra://user@host1,host2:9042/keyspace?consistency=local_quorum")
}

/// Parsed by hand, since the generic URL grammar knows no list of hosts.
fn parse(url: &str) -> Result<SourceSettings> {
    let rest =
        url.strip_prefix("cassandra://").ok_or_else(|| unusable("it does not begin with cassandra://"))?;
    let (rest, query) = rest.split_once('?').map_or((rest, ""), |(rest, query)| (rest, query));
    let (authority, keyspace) = rest.split_once('/').unwrap_or((rest, ""));
    let (login, hosts) = match authority.rsplit_once('@') {
        Some((login, hosts)) => (Some(login), hosts),
        None => (None, authority),
    };
    let (user, password) = match login.map(|login| login.split_once(':').unwrap_or((login, ""))) {
        Some((user, password)) => (decoded(user), decoded(password).filter(|password| !password.is_empty())),
        None => (None, None),
    };
    if login.is_some() && user.as_deref().is_none_or(str::is_empty) {
        return Err(unusable("the user name before @ is empty or not UTF-8"));
    }
    let mut settings = SourceSettings {
        contact_points: contact_points(hosts)?,
        keyspace: decoded(keyspace)
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| DEFAULT_KEYSPACE.to_owned()),
        user,
        password: password.map(Into::into),
        consistency: None,
        datacenter: None,
        request_timeout: None,
    };
    for (key, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match key.as_ref() {
            "consistency" => settings.consistency = Some(value.into_owned()),
            "datacenter" | "dc" => settings.datacenter = Some(value.into_owned()),
            "request_timeout" => {
                let seconds = value.parse().ok().filter(|seconds| *seconds > 0);
                let seconds = seconds.ok_or_else(|| unusable("request_timeout is no number of seconds"))?;
                settings.request_timeout = Some(Duration::from_secs(seconds));
            }
            other => {
                return Err(unusable(&format!(
                    "unknown parameter `{other}`; known are consistency, datacenter and request_timeout"
                )));
            }
        }
    }
    Ok(settings)
}

/// Hosts separated by commas; one port, after the last host or after any, serves all that name none.
fn contact_points(hosts: &str) -> Result<Vec<(String, u16)>> {
    let mut parsed = Vec::new();
    for host in hosts.split(',').map(str::trim).filter(|host| !host.is_empty()) {
        let (name, port) = match host.strip_prefix('[') {
            Some(v6) => {
                let (name, port) =
                    v6.split_once(']').ok_or_else(|| unusable("an IPv6 address lacks its ]"))?;
                (name, port.strip_prefix(':'))
            }
            None => host.rsplit_once(':').map_or((host, None), |(name, port)| (name, Some(port))),
        };
        let port = port
            .map(str::parse::<u16>)
            .transpose()
            .map_err(|_| unusable(&format!("`{host}` does not end in a port number")))?;
        parsed.push((name.to_owned(), port));
    }
    let shared = parsed.iter().rev().find_map(|(_, port)| *port).unwrap_or(DEFAULT_PORT);
    if parsed.is_empty() {
        return Err(unusable("it names no host"));
    }
    Ok(parsed.into_iter().map(|(host, port)| (host, port.unwrap_or(shared))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_share_the_port_that_is_given() {
        let settings = parse("cassandra://u%40x:p%3Aw@a,b:9043/kong_prod?consistency=all").unwrap();
        assert_eq!(settings.contact_points, [("a".to_owned(), 9043), ("b".to_owned(), 9043)]);
        assert_eq!(settings.keyspace, "kong_prod");
        assert_eq!(settings.user.as_deref(), Some("u@x"));
        assert_eq!(settings.consistency.as_deref(), Some("all"));
        assert!(!format!("{settings:?}").contains("p:w"), "a password in debug output");
    }

    #[test]
    fn keyspace_and_port_have_kongs_defaults() {
        let settings = parse("cassandra://[::1]").unwrap();
        assert_eq!(settings.place(), "::1:9042/kong");
    }

    #[test]
    fn errors_do_not_repeat_the_url() {
        for url in
            ["postgres://u:secret@h/kong", "cassandra://u:secret@/kong", "cassandra://u:secret@h:x/kong"]
        {
            let error = parse(url).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(!error.report().contains("secret"), "{}", error.report());
        }
    }
}
