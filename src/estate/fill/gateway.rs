//! Workspaces, certificates, services, routes, upstreams, vaults and keys.

use serde_json::json;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::credential::{hex, pem};
use super::generate::{Generator, stamped, tags};
use super::plugin_config::{ON_ROUTE, ON_SERVICE, ON_WORKSPACE, config, healthchecks, lua_json};
use super::row::Row;
use crate::estate::KongVersion;

impl Generator {
    pub(super) fn workspace(&self, index: u64) -> Vec<Row> {
        let mut rows = Vec::new();
        // The first one is the default workspace, which stands there since bootstrap.
        if index > 0 {
            rows.push(stamped(
                Row::of("workspaces")
                    .uuid("id", self.workspace_of(index))
                    .text("name", format!("team-{index}"))
                    .text("comment", "Zahlungen & \"Übriges\"")
                    .text("meta", r##"{"color":"#36b0cf","thumbnail":null}"##)
                    .text("config", r#"{"portal":false,"portal_auth_conf":null}"#),
                index,
            ));
        }
        for (place, name) in (0..).zip(ON_WORKSPACE) {
            rows.push(self.plugin("plugins/global", index * 16 + place, index, name, Scope::default()));
        }
        rows
    }

    pub(super) fn ca_certificate(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("ca_certificates", index);
        let cert = pem("CERTIFICATE", 400 + usize::try_from(dice.below(500)).unwrap_or(0), &mut dice);
        let row = Row::in_partition("ca_certificates")
            .uuid("id", self.id("ca_certificates", index))
            .text("cert_digest", hex(&Sha256::digest(&cert)))
            .text("cert", cert)
            .text_set("tags", &tags(&mut dice));
        vec![stamped(row, index)]
    }

    pub(super) fn certificate(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("certificates", index);
        let id = self.id("certificates", index);
        let workspace = self.workspace_of(index);
        let length = 500 + usize::try_from(dice.below(900)).unwrap_or(0);
        let mut row = Row::in_partition("certificates")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .text("cert", pem("CERTIFICATE", length, &mut dice))
            .text_set("tags", &tags(&mut dice));
        row = if index % 7 == 5 {
            row.text("key", format!("{{vault://env/cert-key-{index}}}"))
        } else {
            row.text("key", self.kept("certificates", index, pem("PRIVATE KEY", 1_190, &mut dice)))
        };
        if index % 5 == 4 {
            row = row
                .text("cert_alt", pem("CERTIFICATE", 420, &mut dice))
                .text("key_alt", self.kept("certificates/alt", index, pem("PRIVATE KEY", 138, &mut dice)));
        }
        let mut rows = vec![stamped(row, index)];
        for place in 0..=dice.below(2) {
            let sni = index * 2 + place;
            let row = Row::in_partition("snis")
                // One id that any uuid order has to cope with; nothing refers to an SNI.
                .uuid("id", if sni == 0 { Uuid::nil() } else { self.id("snis", sni) })
                .uuid("ws_id", workspace)
                .uuid("certificate_id", id)
                .text("name", if sni == 2 { "*".to_owned() } else { format!("host-{sni}.example.test") })
                .text_set("tags", &tags(&mut dice));
            rows.push(stamped(row, sni));
        }
        rows
    }

    pub(super) fn service(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("services", index);
        let id = self.id("services", index);
        let workspace = self.workspace_of(index);
        let secure = index % 4 == 1;
        let host = match index % 3 {
            0 => format!("upstream-{}.internal", self.neighbour(index, self.sizes.upstreams, &mut dice)),
            _ => format!("10.{}.{}.example.test", index % 250, index / 250),
        };
        let mut row = Row::in_partition("services")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .text("protocol", if secure { "https" } else { "http" })
            .text("host", host)
            .int("port", if secure { 443 } else { dice.int(80, 9_000) })
            .int("retries", 5)
            .int("connect_timeout", dice.pick(&[60_000, 60_000, 1, 2_147_483_646]))
            .int("read_timeout", 60_000)
            .int("write_timeout", 60_000)
            .bool("enabled", index % 29 != 7)
            .text_set("tags", &tags(&mut dice));
        if index % 13 != 12 {
            row = row.prefixed("name", workspace, &entity_name("svc", index));
        }
        if index % 3 == 1 {
            row = row.text("path", format!("/base/{index}~v1"));
        }
        if secure {
            let certificate = self.neighbour(index, self.sizes.certificates, &mut dice);
            let mut authorities = vec![
                self.id("ca_certificates", dice.below(self.sizes.ca_certificates)),
                self.id("ca_certificates", dice.below(self.sizes.ca_certificates)),
            ];
            authorities.sort_unstable();
            authorities.dedup();
            row = row
                .uuid("client_certificate_id", self.id("certificates", certificate))
                .bool("tls_verify", dice.chance(50))
                .int("tls_verify_depth", dice.int(0, 64))
                .uuid_set("ca_certificates", &authorities);
        }
        vec![stamped(row, index), self.service_plugin(index, id)]
    }

    pub(super) fn route(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("routes", index);
        let id = self.id("routes", index);
        let workspace = self.workspace_of(index);
        let mut row = Row::in_partition("routes")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .int("https_redirect_status_code", dice.pick(&[426, 426, 301, 308]))
            .int("regex_priority", dice.pick(&[0, 0, 10, -1]))
            .bool("strip_path", dice.chance(70))
            .bool("preserve_host", dice.chance(30))
            .bool("request_buffering", true)
            .bool("response_buffering", index % 17 != 3)
            .text("path_handling", if index % 11 == 10 { "v1" } else { "v0" })
            .text_set("tags", &tags(&mut dice));
        if index % 9 != 8 {
            row = row.prefixed("name", workspace, &entity_name("route", index));
        }
        if index % 31 != 30 {
            let service = self.neighbour(index, self.sizes.services, &mut dice);
            row = row.uuid("service_id", self.id("services", service));
        }
        row = match index % 8 {
            0..4 => row
                .text_set("protocols", &["http", "https"])
                .text_list("paths", &[format!("/r{index}"), format!("/alt/{index}/\\d+")])
                .text_list("hosts", &[format!("r{index}.example.test"), format!("*.r{index}.example.test")])
                .text_set("methods", &["GET", "POST", "PATCH"]),
            4 => row
                .text_set("protocols", &["http"])
                .text_list("paths", &[format!("/header/{index}")])
                .headers(
                    "headers",
                    &[("x-version", &["v1", "v2"]), ("X-\u{00fc}ber", &["a \"b\"", "c:\\d"])],
                ),
            5 => row
                .text_set("protocols", &["tcp", "tls"])
                .text_set(
                    "sources",
                    &[r#"{"port":1234,"ip":"10.0.0.0/8"}"#, r#"{"port":null,"ip":"192.168.1.1"}"#],
                )
                .text_set("destinations", &[format!(r#"{{"ip":null,"port":{}}}"#, 9_000 + index % 900)]),
            6 => row
                .text_set("protocols", &["grpc", "grpcs"])
                .text_list("paths", &[format!("/hello.v1.Service{index}/")]),
            _ => row
                .text_set("protocols", &["https", "tls"])
                .text_set("snis", &[format!("host-{index}.example.test"), "*.example.test".to_owned()]),
        };
        if index % 40 == 20 {
            let priority = dice.int(1, 1_000_000);
            row = row.text("expression", format!(r#"http.path ^= "/x{index}""#)).int("priority", priority);
        }
        let mut rows = vec![stamped(row, index)];
        rows.extend(self.route_plugin(index, id));
        rows
    }

    pub(super) fn upstream(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("upstreams", index);
        let id = self.id("upstreams", index);
        let workspace = self.workspace_of(index);
        let mut row = Row::of("upstreams")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .prefixed("name", workspace, &format!("upstream-{index}.internal"))
            .int("slots", dice.pick(&[10_000, 10_000, 10, 65_536]))
            .text("hash_on_cookie_path", "/")
            .text("healthchecks", healthchecks(&mut dice))
            .bool("use_srv_name", false)
            .text_set("tags", &tags(&mut dice));
        row = match index % 4 {
            0 => row
                .text("algorithm", "consistent-hashing")
                .text("hash_on", "header")
                .text("hash_on_header", "X-User")
                .text("hash_fallback", "cookie")
                .text("hash_on_cookie", "sid"),
            1 => row
                .text("algorithm", "least-connections")
                .text("hash_on", "none")
                .text("hash_fallback", "none")
                .text("host_header", format!("host-{index}.internal")),
            2 => row
                .text("algorithm", "consistent-hashing")
                .text("hash_on", "query_arg")
                .text("hash_on_query_arg", "user")
                .text("hash_fallback", "uri_capture")
                .text("hash_fallback_uri_capture", "id"),
            _ => row.text("algorithm", "round-robin").text("hash_on", "none").text("hash_fallback", "none"),
        };
        if index % 5 == 3 {
            let certificate = self.neighbour(index, self.sizes.certificates, &mut dice);
            row = row.uuid("client_certificate_id", self.id("certificates", certificate));
        }
        let mut rows = vec![stamped(row, index)];
        for place in 0..=dice.below(4) {
            let target = index * 8 + place;
            let address = format!("10.{}.{}.{place}:8000", index / 250 % 250, index % 250);
            let created_at = Self::created_at(target) + i64::from(dice.int(0, 999));
            rows.push(
                Row::of("targets")
                    .uuid("id", self.id("targets", target))
                    .uuid("ws_id", workspace)
                    .uuid("upstream_id", id)
                    .text("cache_key", format!("targets:{id}:{address}::::{workspace}"))
                    .text("target", address)
                    .int("weight", dice.pick(&[100, 100, 0, 65_535]))
                    .instant("created_at", created_at)
                    .instant("updated_at", created_at)
                    .text_set("tags", &tags(&mut dice)),
            );
        }
        rows
    }

    pub(super) fn vault(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("vaults", index);
        let row = Row::of(if self.version == KongVersion::V2_8 { "vaults_beta" } else { "sm_vaults" })
            .uuid("id", self.id("vaults", index))
            .uuid("ws_id", self.workspace_of(index))
            .text("prefix", format!("vault-{index}"))
            .text("name", "env")
            .text("description", "für Geheimnisse")
            .text("config", format!(r#"{{"prefix":"SECRET_{index}_"}}"#))
            .text_set("tags", &tags(&mut dice));
        vec![stamped(row, index)]
    }

    pub(super) fn key_set(&self, index: u64) -> Vec<Row> {
        if self.version == KongVersion::V2_8 {
            return Vec::new();
        }
        let mut dice = self.dice("key_sets", index);
        let set = self.id("key_sets", index);
        let workspace = self.workspace_of(index);
        let row = Row::of("key_sets")
            .uuid("id", set)
            .uuid("ws_id", workspace)
            // Prefixed per workspace on Cassandra, unique across workspaces on PostgreSQL.
            .prefixed("name", workspace, &format!("set-{index}"))
            .text_set("tags", &tags(&mut dice));
        let mut rows = vec![stamped(row, index)];
        for place in 0..3 {
            let key = index * 3 + place;
            let kid = format!("kid:{key}");
            let with_set = place < 2;
            let cache_set = if with_set { set.to_string() } else { String::new() };
            let mut row = Row::of("keys")
                .uuid("id", self.id("keys", key))
                .uuid("ws_id", workspace)
                .maybe_uuid("set_id", with_set.then_some(set))
                .prefixed("name", workspace, &format!("key-{key}"))
                .text("cache_key", format!("keys:{kid}:{cache_set}::::{workspace}"))
                .text_set("tags", &tags(&mut dice));
            row = if place == 0 {
                let keys = json!({
                    "private_key": pem("PRIVATE KEY", 1_190, &mut dice), "public_key": pem("PUBLIC KEY", 270, &mut dice),
                });
                row.text("pem", lua_json(&keys, &mut dice))
            } else {
                let jwk =
                    json!({ "kty": "oct", "kid": kid, "alg": "HS256", "k": dice.token(43), "use": null });
                row.text("jwk", self.kept("keys", key, lua_json(&jwk, &mut dice)))
            };
            rows.push(stamped(row.text("kid", kid), key));
        }
        rows
    }

    /// A plugin of entity `index` in `space`, in the workspace of entity `owner`.
    pub(super) fn plugin(&self, space: &str, index: u64, owner: u64, name: &str, scope: Scope) -> Row {
        let mut dice = self.dice(space, index);
        let workspace = self.workspace_of(owner);
        let anonymous = (self.sizes.consumers > self.sizes.workspaces && dice.chance(25))
            .then(|| self.neighbour(owner, self.sizes.consumers, &mut dice))
            .map(|consumer| self.id("consumers", consumer));
        let row = Row::of("plugins")
            .uuid("id", self.id(space, index))
            .uuid("ws_id", workspace)
            .text("name", name)
            .text("config", self.kept_config(space, index, name, config(name, anonymous, &mut dice)))
            .bool("enabled", dice.chance(95))
            .text_set("protocols", &["grpc", "grpcs", "http", "https"])
            .text("cache_key", scope.cache_key(name, workspace))
            .maybe_uuid("route_id", scope.route)
            .maybe_uuid("service_id", scope.service)
            .maybe_uuid("consumer_id", scope.consumer)
            .text_set("tags", &tags(&mut dice));
        let row = if dice.chance(10) {
            row.prefixed("instance_name", workspace, &format!("{name} {space} {index}"))
        } else {
            row
        };
        let row = if self.is_enterprise() && index % 7 == 4 {
            row.text("ordering", r#"{"before":{"access":["request-transformer"]},"after":null}"#)
        } else {
            row
        };
        stamped(row, index)
    }

    fn service_plugin(&self, index: u64, service: Uuid) -> Row {
        let scope = Scope { service: Some(service), ..Scope::default() };
        self.plugin("plugins/service", index, index, place(&ON_SERVICE, index), scope)
    }

    fn route_plugin(&self, index: u64, route: Uuid) -> Option<Row> {
        let scope = Scope { route: Some(route), ..Scope::default() };
        (index.is_multiple_of(3))
            .then(|| self.plugin("plugins/route", index, index, place(&ON_ROUTE, index / 3), scope))
    }
}

/// What a plugin applies to.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Scope {
    pub(super) route: Option<Uuid>,
    pub(super) service: Option<Uuid>,
    pub(super) consumer: Option<Uuid>,
}

impl Scope {
    /// The stored cache key: seven parts, empty ones kept.
    pub(super) fn cache_key(self, name: &str, workspace: Uuid) -> String {
        let part = |id: Option<Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
        format!(
            "plugins:{name}:{}:{}:{}::{workspace}",
            part(self.route),
            part(self.service),
            part(self.consumer)
        )
    }
}

/// A name that is unique by its index; some hold what names in the wild hold.
fn entity_name(kind: &str, index: u64) -> String {
    match index % 12 {
        3 => format!("{kind}-ünïcödé-日本-{index}"),
        7 => format!("{kind}.{index}:v1~a"),
        _ => format!("{kind}-{index}"),
    }
}

fn place<'a>(names: &[&'a str], index: u64) -> &'a str {
    let count = u64::try_from(names.len()).unwrap_or(1);
    usize::try_from(index % count).ok().and_then(|place| names.get(place).copied()).unwrap_or_default()
}
