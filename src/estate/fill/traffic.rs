//! Rows of running nodes and plugins: most of them are not carried by a migration, but every real estate has them. And rows
//! with huge texts.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use uuid::Uuid;

use super::gateway::Scope;
use super::generate::{Generator, stamped};
use super::row::Row;
use crate::estate::KongVersion;

/// Start of the counted windows, 2024-01-01, in milliseconds since 1970.
const FIRST_WINDOW: i64 = 1_704_067_200_000;

/// Expiry that sessions name in their own column, 2033-05-18, in seconds since 1970. Fixed, so that a seed gives the same
/// rows on any day.
const SESSION_EXPIRES: i32 = 2_000_000_000;

/// Alphabet of long texts; base64 of random bytes would take longer to make than to insert.
const FILLER: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/";

impl Generator {
    /// What the ACME plugin stored: accounts and certificate keys forever, challenges for a while.
    pub(super) fn acme(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("acme_storage", index);
        let row = Row::of("acme_storage")
            .uuid("id", self.id("acme_storage", index))
            .instant("created_at", Self::created_at(index));
        let token = dice.token(43);
        vec![match index % 3 {
            0 => row
                .text("key", format!("kong_acme:account:https://acme-{index}.example.test/directory:b3Bz"))
                .text(
                    "value",
                    format!(r#"{{"kid":"https://acme.example.test/acct/{index}","key":"{token}"}}"#),
                ),
            1 => row
                .text("key", format!("kong_acme:cert_key:host-{index}.example.test:rsa"))
                .text("value", super::credential::pem("PRIVATE KEY", 1_190, &mut dice)),
            _ => row
                .text("key", format!("{token}#http-01"))
                .text("value", format!("{token}.thumbprint"))
                .expiring(7_200),
        }]
    }

    pub(super) fn traffic(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("traffic", index);
        let at = Self::created_at(index) + i64::from(dice.int(0, 999));
        let route = if index.is_multiple_of(2) {
            self.id("routes", dice.below(self.sizes.routes))
        } else {
            Uuid::nil()
        };
        let metric = |table: &'static str, period: &str| {
            Row::of(table)
                .uuid("route_id", route)
                .uuid("service_id", Uuid::nil())
                .text("identifier", format!("10.0.{}.{}", index / 250, index % 250))
                .instant("period_date", FIRST_WINDOW + i64::try_from(index % 1_440).unwrap_or(0) * 60_000)
                .text("period", period)
        };
        let mut rows = vec![
            metric("ratelimiting_metrics", "minute").counter("value", i64::from(dice.int(1, 10_000))),
            metric("response_ratelimiting_metrics", "vidéo_hour")
                .counter("value", i64::from(dice.int(1, 500))),
            Row::of("cluster_events")
                .text("channel", if index.is_multiple_of(4) { "balancer:targets" } else { "invalidations" })
                .instant("at", at)
                .uuid("node_id", self.id("nodes", index % 5))
                .uuid("id", self.id("cluster_events", index))
                .text("data", format!("consumers:{}:::::", self.id("consumers", index))),
            Row::of("sessions")
                .uuid("id", self.id("sessions", index))
                .text("session_id", URL_SAFE_NO_PAD.encode(dice.bytes(16)))
                .int("expires", SESSION_EXPIRES)
                .text("data", URL_SAFE_NO_PAD.encode(dice.bytes(160)))
                .instant("created_at", Self::created_at(index))
                .expiring(dice.int(7_200, 86_400)),
        ];
        if index.is_multiple_of(10) {
            rows.push(
                Row::of("clustering_data_planes")
                    .uuid("id", self.id("clustering_data_planes", index))
                    .text("hostname", format!("dp-{index}.example.test"))
                    .text("ip", format!("10.1.0.{}", index % 250))
                    .instant("last_seen", Self::created_at(index))
                    .text("config_hash", super::credential::hex(&dice.bytes(16)))
                    .text("version", "2.8.5")
                    .text("sync_status", "normal")
                    .instant("updated_at", Self::created_at(index)),
            );
        }
        if index == 1 {
            rows.push(
                Row::of("locks")
                    .text("key", "acme:renewal")
                    .text("owner", dice.uuid().to_string())
                    .expiring(60)
                    .uncounted(),
            );
        }
        if index == 2 && self.version == KongVersion::V3_3 && !self.is_enterprise() {
            let row = Row::of("vault_auth_vaults")
                .uuid("id", self.id("vault_auth_vaults", index))
                .text("name", "left behind")
                .text("mount", "secret")
                .text("protocol", "http")
                .text("host", "vault.example.test")
                .int("port", 8_200)
                .text("vault_token", dice.token(26));
            rows.push(stamped(row, index));
        }
        rows
    }

    /// A huge row: by turns a plugin on a service of its own, and a certificate.
    pub(super) fn wide(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("wide", index);
        let filler: String = dice
            .bytes(self.wide_bytes)
            .iter()
            .map(|byte| char::from(FILLER[usize::from(byte & 63)]))
            .collect();
        let workspace = self.workspace_of(index);
        if index % 2 == 1 {
            let row = Row::in_partition("certificates")
                .uuid("id", self.id("certificates/wide", index))
                .uuid("ws_id", workspace)
                .text("cert", format!("-----BEGIN CERTIFICATE-----\n{filler}\n-----END CERTIFICATE-----\n"))
                .text("key", super::credential::pem("PRIVATE KEY", 1_190, &mut dice));
            return vec![stamped(row, index)];
        }
        let service = self.id("services/wide", index);
        let name = "pre-function";
        let scope = Scope { service: Some(service), ..Scope::default() };
        let owner = Row::in_partition("services")
            .uuid("id", service)
            .uuid("ws_id", workspace)
            .prefixed("name", workspace, &format!("wide-{index}"))
            .text("protocol", "http")
            .text("host", "wide.example.test")
            .int("port", 80);
        let plugin = Row::of("plugins")
            .uuid("id", self.id("plugins/wide", index))
            .uuid("ws_id", workspace)
            .text("name", name)
            .text("config", format!(r#"{{"access":["-- {filler}"],"functions":null}}"#))
            .bool("enabled", true)
            .text_set("protocols", &["http", "https"])
            .text("cache_key", scope.cache_key(name, workspace))
            .uuid("service_id", service);
        vec![stamped(owner, index), stamped(plugin, index)]
    }
}
