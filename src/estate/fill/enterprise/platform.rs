//! Event hooks, licences and what else a whole Gateway has a handful of.

use serde_json::json;

use super::keyring::KEYS;
use crate::estate::fill::generate::{Generator, stamped};
use crate::estate::fill::row::Row;
use crate::estate::seed::{OIC_JWKS, oic_jwks};

/// Handlers of event hooks with their configurations; the logging one needs none.
const HANDLERS: [(&str, Option<&str>); 4] = [
    (
        "webhook",
        Some(
            r#"{"url": "https://hooks.example.test/in?a=1", "secret":"s3cr3t","headers":{"x-ü":"1"},"ssl_verify":false}"#,
        ),
    ),
    ("log", None),
    ("lambda", Some(r#"{"functions":["return function(data, event)\n  return true\nend"]}"#)),
    ("webhook-custom", Some(r#"{"method":"POST","payload":{"text":"{{ entity.id }}"},"body_format":true}"#)),
];

impl Generator {
    /// One row or so of each kind.
    pub(in crate::estate::fill) fn platform(&self, index: u64) -> Vec<Row> {
        let mut rows = vec![self.event_hook(index)];
        rows.extend(self.plugin_tables(index));
        rows.extend(self.counted_entities(index));
        if index < KEYS {
            rows.extend(self.keyring(index));
        }
        if index < 2 {
            rows.push(self.license(index));
            rows.extend(self.workspace_entities(index));
        }
        if index == 0 {
            let jwks = oic_jwks(&mut self.dice("oic_jwks", 0));
            // The bootstrap wrote this row, with random keys.
            rows.push(Row::of("oic_jwks").uuid("id", OIC_JWKS).text("jwks", jwks).uncounted());
        }
        rows
    }

    fn event_hook(&self, index: u64) -> Row {
        let (handler, config) = HANDLERS[usize::try_from(index).unwrap_or(0) % HANDLERS.len()];
        let row = Row::of("event_hooks")
            .uuid("id", self.id("event_hooks", index))
            .text("source", if index.is_multiple_of(3) { "crud" } else { "balancer" })
            .text("event", "consumers:crêate")
            .text("handler", handler)
            .bool("on_change", index.is_multiple_of(2))
            .int("snooze", 30)
            .maybe_text("config", config);
        stamped(row, index)
    }

    fn license(&self, index: u64) -> Row {
        let payload = json!({ "license": {
            "version": 1, "signature": self.dice("licenses", index).token(128),
            "payload": { "customer": "Exämple & Söhne", "license_expiration_date": format!("203{index}-01-01"), "admin_seats": "5" },
        }});
        let row = Row::in_partition("licenses")
            .uuid("id", self.id("licenses", index))
            .text("payload", payload.to_string());
        stamped(row, index)
    }

    /// How many entities of a kind the gateway thinks there are in a workspace.
    fn counted_entities(&self, index: u64) -> Vec<Row> {
        if index >= self.sizes.workspaces {
            return Vec::new();
        }
        ["services", "routes", "consumers", "plugins", "basicauth_credentials"]
            .into_iter()
            .map(|kind| {
                let tally = i64::try_from(self.dice(kind, index).below(5_000)).unwrap_or(0);
                Row::of("workspace_entity_counters")
                    .uuid("workspace_id", self.workspace_of(index))
                    .text("entity_type", kind)
                    .counter("count", tally + 1)
            })
            .collect()
    }
}
