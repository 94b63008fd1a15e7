//! Legal but odd rows, as real estates have collected them over the years. All of them load, some after a repair without
//! loss; none of them has to fail. They stand in the workspace `default`.

use scylla::value::CqlValue;
use uuid::Uuid;

use super::gateway::Scope;
use super::generate::{Generator, with_tag_rows};
use super::row::Row;
use crate::estate::KongVersion;

/// Seconds of a day.
const DAY: i32 = 86_400;

/// Creation time of all odd rows that have an ordinary one, 2019-06-01, in milliseconds since 1970.
const CREATED: i64 = 1_559_347_200_000;

impl Generator {
    /// The odd rows, to be written one after another: some rewrite cells of one before.
    pub fn odd_rows(&self) -> Vec<Row> {
        let mut rows = self.odd_consumers();
        rows.extend(self.odd_names());
        rows.extend(self.odd_credentials());
        rows.extend(self.uneven_expiry());
        rows.extend(self.ghosts());
        rows.extend(self.odd_plugins());
        rows.extend(self.odd_services());
        rows.extend(self.foreign_partitions());
        rows.extend(self.odd_upstreams());
        rows.extend(self.odd_storage());
        rows.extend(self.odd_enterprise_rows());
        with_tag_rows(rows)
    }

    /// Key of the session that expires at once. A fill waits until it is gone.
    pub(super) fn vanishing_session(&self) -> Uuid {
        self.id("odd/sessions", 1)
    }

    pub(super) fn odd(&self, table: &'static str, index: u64) -> Row {
        let row = match table {
            "services" | "routes" | "snis" | "certificates" | "ca_certificates" => Row::in_partition(table),
            _ => Row::of(table),
        };
        row.uuid("id", self.odd_id(table, index)).instant("created_at", CREATED)
    }

    /// An odd row of the workspace `default`.
    pub(super) fn odd_in_default(&self, table: &'static str, index: u64) -> Row {
        self.odd(table, index).uuid("ws_id", self.workspace_of(0))
    }

    pub(super) fn odd_id(&self, table: &str, index: u64) -> Uuid {
        self.id(&format!("odd/{table}"), index)
    }

    fn odd_consumers(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let consumer = |index| self.odd_in_default("consumers", index);
        vec![
            // Only the prefix, twice: NULL for Kong, a duplicate for a unique index.
            consumer(0).prefixed("username", workspace, "").prefixed("custom_id", workspace, "odd-0"),
            consumer(1).prefixed("username", workspace, "").prefixed("custom_id", workspace, "odd-1"),
            consumer(2).text("username", "").prefixed("custom_id", workspace, "odd-2"),
            consumer(3).prefixed("username", workspace, "odd-3").prefixed("custom_id", workspace, ""),
            consumer(4).prefixed("username", workspace, "odd-4").text("custom_id", ""),
            consumer(5).prefixed("username", workspace, &format!("{workspace}:odd-5")),
            // Another workspace's uuid stands as value behind the own prefix.
            consumer(6).prefixed("username", workspace, &format!("{}:odd-6", self.workspace_of(1))),
            // No prefix at all, and NULL ws_id: written by a 2.0 node after the upgrade to 2.1.
            self.odd("consumers", 7).text("username", "odd-7-of-2.0"),
            // A colon as byte 37 and no uuid before it: Kong cuts all the same.
            self.odd("consumers", 8)
                .text("username", "this text has exactly 36 characters!:odd-8")
                .uuid("ws_id", workspace),
            // The largest id there is.
            Row::of("consumers")
                .uuid("id", Uuid::max())
                .uuid("ws_id", workspace)
                .instant("created_at", CREATED)
                .prefixed("username", workspace, "odd-9"),
            // Milliseconds, from before Kong 1.1.
            consumer(10).instant("created_at", CREATED + 987).prefixed("username", workspace, "odd-10"),
            // Seconds in the millisecond column.
            consumer(11).instant("created_at", CREATED / 1000).prefixed("username", workspace, "odd-11"),
            consumer(12)
                .prefixed("username", workspace, "odd-12")
                .text_set("tags", &[" ", "a:b", "\"q\"", "\\", "{}", "NULL", "日本", "x,y"]),
            // An empty set written as such; Cassandra keeps NULL.
            consumer(13).prefixed("username", workspace, "odd-13").cell("tags", CqlValue::Set(Vec::new())),
        ]
    }

    /// Text that quoting, escaping or a wrong encoding would damage.
    fn odd_names(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let names = [
            "\\N",
            "\\.",
            "NULL",
            "\"",
            "''",
            "a\nb\r\nc",
            "\t",
            "\u{1}\u{7f}",
            "e\u{301}",
            "\u{e9}",
            "\u{10ffff}",
            "\u{fffd}",
            "\u{feff}x",
            "{a,\"b\"}",
            "::",
            "😀👩‍👩‍👧",
        ];
        (100..)
            .zip(names)
            .map(|(index, name)| {
                self.odd_in_default("consumers", index).prefixed("username", workspace, name)
            })
            .collect()
    }

    fn odd_credentials(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let consumer = self.odd_id("consumers", 5);
        let of_consumer =
            |table: &'static str, index| self.odd_in_default(table, index).uuid("consumer_id", consumer);
        let orphan_of_2_0 =
            self.odd("keyauth_credentials", 10).uuid("consumer_id", self.odd_id("consumers", 7));
        let group = "odd:group \"x\" é";
        vec![
            // Kong 2.1.0 wrote this for NULL.
            of_consumer("basicauth_credentials", 0)
                .prefixed("username", workspace, "$(VALUE)")
                .text("password", ""),
            of_consumer("hmacauth_credentials", 0)
                .prefixed("username", workspace, "$(VALUE)")
                .text("secret", "s"),
            of_consumer("jwt_secrets", 0).prefixed("key", workspace, "$(VALUE)").text("secret", "s"),
            of_consumer("keyauth_credentials", 0).prefixed("key", workspace, "$(VALUE)"),
            // Without a workspace to go by.
            orphan_of_2_0.text("key", "odd-key-of-2.0"),
            // A cache key of Kong 2.0.
            of_consumer("acls", 0)
                .text("group", group)
                .text("cache_key", format!("acls:{consumer}:{group}:::")),
            of_consumer("oauth2_credentials", 0)
                .prefixed("client_id", workspace, "odd:client")
                .text("client_secret", "cs")
                .text("name", "no type, no hash flag"),
            Row::of("oauth2_tokens")
                .uuid("id", self.odd_id("oauth2_tokens", 0))
                .uuid("ws_id", workspace)
                .uuid("credential_id", self.odd_id("oauth2_credentials", 0))
                .prefixed("access_token", workspace, "odd-token")
                .prefixed("refresh_token", workspace, "")
                .int("expires_in", i32::MAX)
                .instant("created_at", CREATED),
        ]
    }

    /// Rows whose cells expire at different instants, after partial updates.
    fn uneven_expiry(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let consumer = self.odd_id("consumers", 5);
        let key = |index| self.odd_in_default("keyauth_credentials", index).uuid("consumer_id", consumer);
        let again = |index| {
            Row::of("keyauth_credentials").uuid("id", self.odd_id("keyauth_credentials", index)).uncounted()
        };
        vec![
            // The key goes before the column Kong reads.
            key(20).prefixed("key", workspace, "odd-key-20").expiring(20 * DAY),
            again(20).prefixed("key", workspace, "odd-key-20").expiring(10 * DAY),
            // Only the key expires: it got its lifetime by an update.
            key(21).prefixed("key", workspace, "odd-key-21"),
            again(21).prefixed("key", workspace, "odd-key-21").expiring(10 * DAY),
            // Only the workspace stays: an update without lifetime rewrote it.
            key(22).prefixed("key", workspace, "odd-key-22").expiring(20 * DAY),
            again(22).uuid("ws_id", workspace),
        ]
    }

    /// What is left of rows whose required cells have expired.
    fn ghosts(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let ghost = |table: &'static str, index| {
            Row::of(table).uuid("id", self.odd_id(&format!("ghost/{table}"), index))
        };
        vec![
            ghost("keyauth_credentials", 0),
            ghost("keyauth_credentials", 1).uuid("ws_id", workspace),
            ghost("keyauth_credentials", 2).uuid("ws_id", workspace).text_set("tags", &["left-behind"]),
            ghost("oauth2_tokens", 0).uuid("ws_id", workspace),
            ghost("acme_storage", 0),
            ghost("sessions", 0),
            Row::of("sessions")
                .uuid("id", self.vanishing_session())
                .text("session_id", "gone")
                .text("data", "x")
                .int("expires", 1)
                .instant("created_at", CREATED)
                .expiring(1)
                .uncounted(),
        ]
    }

    fn odd_plugins(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let service = self.odd_id("services", 0);
        let scope = Scope { service: Some(service), ..Scope::default() };
        let plugin = |index, name: &str, config: &str| {
            self.odd_in_default("plugins", index)
                .uuid("service_id", service)
                .text("name", name)
                .text("config", config)
                .text("cache_key", scope.cache_key(name, workspace))
                .bool("enabled", true)
                .text_set("protocols", &["http", "https"])
        };
        let key_of_2_0 = format!("plugins:odd-old-key::{service}::");
        vec![
            plugin(0, "odd-old-key", "{}").text("cache_key", key_of_2_0),
            plugin(1, "odd-milliseconds", "{}").instant("created_at", CREATED + 123),
            plugin(2, "odd-empty-array", r#"{"allow":{},"deny":[],"nested":{"list":{}}}"#),
            plugin(
                3,
                "odd-json",
                "{ \"a\" : 1.50, \"a\":2 ,\"b\":1e30,\"c\":-0.0,\"d\":\"\\u00e9\\ud83d\\ude00\\/\",\"e\":[[[]]],\
                 \"f\":123456789012345678901234567890 }",
            ),
            self.odd_in_default("plugins", 4)
                .uuid("service_id", service)
                .text("name", "odd-nulls")
                .text("cache_key", scope.cache_key("odd-nulls", workspace)),
            plugin(5, "odd-run-on", r#"{"x":null}"#).text("run_on", "first"),
        ]
    }

    fn odd_services(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        vec![
            self.odd_in_default("services", 0)
                .prefixed("name", workspace, "odd-svc-0")
                .text("protocol", "http")
                .text("host", "odd.example.test")
                .int("port", 65_535)
                .int("retries", i32::MAX)
                .int("connect_timeout", i32::MAX)
                .int("read_timeout", i32::MIN)
                .int("write_timeout", 0),
            // Nothing but a host: every other field takes its default when Kong reads it.
            self.odd_in_default("services", 1).text("name", "").text("host", "[::1]"),
            self.odd_in_default("services", 2)
                .prefixed("name", workspace, "")
                .text("host", "h")
                .bool("enabled", false),
            self.odd("services", 3).text("name", "odd-svc-of-2.0").text("host", "h").int("port", 80),
            self.odd_in_default("routes", 0)
                .uuid("service_id", self.odd_id("services", 0))
                .prefixed("name", workspace, "odd-route-0")
                .int("regex_priority", i32::MIN)
                .text_list("paths", &["", "/ü\"\\", "/dup", "/dup"])
                .headers("headers", &[("x-none", &[]), ("x-\"q\"", &["", "a"])]),
            self.odd_in_default("routes", 1)
                .int("regex_priority", i32::MAX)
                .cell("methods", CqlValue::Set(Vec::new()))
                .cell("hosts", CqlValue::List(Vec::new())),
            self.odd_in_default("routes", 2)
                .text_set("sources", &["{ \"ip\" : \"::1\" , \"port\" : null }", "{}"]),
        ]
    }

    /// Rows under another constant than the table's name are invisible to Kong.
    fn foreign_partitions(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        ["services", "routes", "snis", "certificates", "ca_certificates"]
            .into_iter()
            .map(|table| {
                let row = Row::of(table)
                    .text("partition", "apis")
                    .uuid("id", self.odd_id("foreign", 0))
                    .instant("created_at", CREATED);
                match table {
                    "ca_certificates" => row.text("cert", "unseen").text("cert_digest", "unseen"),
                    "certificates" => row.uuid("ws_id", workspace).text("cert", "unseen"),
                    _ => row.uuid("ws_id", workspace).text("name", "unseen"),
                }
            })
            .collect()
    }

    fn odd_upstreams(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let upstream = self.odd_id("upstreams", 0);
        let target = |index, address: &str| {
            self.odd_in_default("targets", index)
                .uuid("upstream_id", upstream)
                .text("target", address)
                .text("cache_key", format!("targets:{upstream}:{address}::::{workspace}"))
        };
        let mut rows = vec![
            self.odd_in_default("upstreams", 0).instant("created_at", CREATED + 456).prefixed(
                "name",
                workspace,
                "odd-upstream-0",
            ),
            target(0, "[2001:db8::1]:8000"),
            // The workspace was NULL when the upgrade to 3.0 made the cache keys.
            self.odd("targets", 1)
                .uuid("upstream_id", upstream)
                .text("target", "odd.example.test:1")
                .int("weight", 1)
                .text("cache_key", format!("targets:{upstream}:odd.example.test:1::::nil")),
        ];
        if self.version == KongVersion::V2_8 {
            // Before 3.0 the same target may stand twice.
            rows.push(target(2, "twice:80").int("weight", 10));
            rows.push(target(3, "twice:80").int("weight", 0));
        }
        rows
    }

    fn odd_storage(&self) -> Vec<Row> {
        let vaults = if self.version == KongVersion::V2_8 { "vaults_beta" } else { "sm_vaults" };
        vec![
            // A colon as byte 37 of a column that is never prefixed.
            self.odd("acme_storage", 1)
                .text("key", "kong_acme:account:https://abcde.test:14000/directory:b3Bz")
                .text("value", "{}"),
            self.odd_in_default(vaults, 0).text("prefix", "odd-vault").text("name", "env"),
            Row::of("parameters")
                .text("key", "odd:parameter")
                .text("value", "set by a custom plugin")
                .instant("created_at", CREATED),
            // The entity of this tag was deleted.
            Row::of("tags")
                .text("tag", "left-behind")
                .text("entity_name", "consumers")
                .text("entity_id", self.odd_id("deleted", 0).to_string())
                .text_set("other_tags", &["left-behind"]),
        ]
    }
}
