//! Consumer groups and the tables of Enterprise plugins.

use serde_json::json;
use uuid::Uuid;

use super::token::{rbac_token_ident, sha256_ident};
use crate::estate::KongVersion;
use crate::estate::fill::gateway::Scope;
use crate::estate::fill::generate::{Generator, stamped, tags};
use crate::estate::fill::plugin_config::lua_json;
use crate::estate::fill::row::Row;

/// Seconds of a day.
const DAY: i32 = 86_400;

/// Seconds that attempts to log in are remembered.
const ATTEMPTS_KEPT: i32 = 604_800;

impl Generator {
    /// What Enterprise plugins and the login know of a proxy consumer.
    pub(in crate::estate::fill) fn enterprise_credentials(
        &self,
        index: u64,
        consumer: Uuid,
        workspace: Uuid,
    ) -> Vec<Row> {
        let mut rows = Vec::new();
        if !self.is_enterprise() {
            return rows;
        }
        if index % 5 == 2 {
            rows.push(self.encrypted_key(index, consumer, workspace));
        }
        if index % 7 == 3 {
            rows.push(self.client_certificate(index, consumer, workspace));
        }
        if index % 11 == 5 {
            let attempts = i32::try_from(index % 9).unwrap_or(0);
            let row = Row::of("login_attempts")
                .uuid("consumer_id", consumer)
                .tallies("attempts", &[("127.0.0.1", attempts), ("2001:db8::1", 1)])
                .expiring(ATTEMPTS_KEPT);
            rows.push(stamped(row, index));
        }
        rows
    }

    /// A key of key-auth-enc. Since 3.2 a table default lets even those expire that were made to stay.
    fn encrypted_key(&self, index: u64, consumer: Uuid, workspace: Uuid) -> Row {
        let mut dice = self.dice("keyauth_enc_credentials", index);
        let plain = dice.token(32);
        let row = Row::of("keyauth_enc_credentials")
            .uuid("id", self.id("keyauth_enc_credentials", index))
            .uuid("ws_id", workspace)
            .uuid("consumer_id", consumer)
            .instant("created_at", Self::created_at(index));
        let sealed = self.encrypted("keyauth_enc_credentials", index, plain.len());
        let key = if index % 4 == 3 { &plain } else { &sealed };
        let row = row.prefixed("key", workspace, key);
        if self.version == KongVersion::V2_8 {
            return row.text("key_ident", rbac_token_ident(&plain));
        }
        let row = row.text("key_ident", sha256_ident(&plain)).text_set("tags", &tags(&mut dice));
        match index % 3 {
            0 => row.expiring(dice.int(2, 30) * DAY),
            // From before 3.2.
            1 => row.expiring(0),
            _ => row,
        }
    }

    fn client_certificate(&self, index: u64, consumer: Uuid, workspace: Uuid) -> Row {
        let mut dice = self.dice("mtls_auth_credentials", index);
        let authority =
            (index % 2 == 1).then(|| self.id("ca_certificates", dice.below(self.sizes.ca_certificates)));
        let subject = format!("consumer-{index}@example.test");
        let cached = authority.map(|id| id.to_string()).unwrap_or_default();
        Row::of("mtls_auth_credentials")
            .uuid("id", self.id("mtls_auth_credentials", index))
            .uuid("ws_id", workspace)
            .uuid("consumer_id", consumer)
            .maybe_uuid("ca_certificate_id", authority)
            .text("cache_key", format!("mtls_auth_credentials:{subject}:{cached}::::{workspace}"))
            .text("subject_name", subject)
            .instant("created_at", Self::created_at(index))
            .text_set("tags", &tags(&mut dice))
    }

    /// A consumer group with its plugin, its consumers, and a plugin on a service with secrets in its configuration.
    pub(in crate::estate::fill) fn consumer_group(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("consumer_groups", index);
        let id = self.id("consumer_groups", index);
        let workspace = self.workspace_of(index);
        let mut group = Row::of("consumer_groups").uuid("id", id).uuid("ws_id", workspace).prefixed(
            "name",
            workspace,
            &format!("gold ünd {index}"),
        );
        if self.version == KongVersion::V3_3 {
            group = group.text_set("tags", &[format!("tier-{index}")]);
        }
        let name = "rate-limiting-advanced";
        let limits = json!({
            "limit": [dice.below(500), 10_000], "window_size": [60, 3600], "window_type": "sliding",
            "retry_after_jitter_max": 0.5,
        });
        let plugin = Row::of("consumer_group_plugins")
            .uuid("id", self.id("consumer_group_plugins", index))
            .uuid("ws_id", workspace)
            .uuid("consumer_group_id", id)
            .text("name", name)
            .text("config", lua_json(&limits, &mut dice))
            .text("cache_key", format!("consumer_group_plugins:{id}:{name}::::{workspace}"));
        let mut rows = vec![stamped(group, index), stamped(plugin, index)];
        if self.sizes.consumers > self.sizes.workspaces {
            let mut members: Vec<Uuid> = (0..3)
                .map(|_| self.id("consumers", self.neighbour(index, self.sizes.consumers, &mut dice)))
                .collect();
            members.sort_unstable();
            members.dedup();
            rows.extend(members.into_iter().map(|consumer| {
                let row = Row::of("consumer_group_consumers")
                    .uuid("consumer_group_id", id)
                    .uuid("consumer_id", consumer)
                    .text("cache_key", format!("consumer_group_consumers:{id}:{consumer}::::"));
                stamped(row, index)
            }));
        }
        rows.push(self.secretive_plugin(index));
        rows
    }

    /// An Enterprise plugin on service `index` that has encrypted leaves in its configuration.
    fn secretive_plugin(&self, index: u64) -> Row {
        let scope = Scope { service: Some(self.id("services", index)), ..Scope::default() };
        let mut dice = self.dice("plugins/enterprise", index);
        let sealed = |part: &str, length| self.encrypted(&format!("plugins/{part}"), index, length);
        let (name, config) = if index.is_multiple_of(2) {
            let redis =
                json!({ "host": "redis.example.test", "port": 6379, "password": sealed("redis", 24) });
            (
                "rate-limiting-advanced",
                json!({ "limit": [5], "window_size": [30], "redis": redis, "strategy": "redis" }),
            )
        } else {
            let config = json!({
                "issuer": "https://idp.example.test/", "client_id": [sealed("client", 12)],
                "client_secret": [sealed("secret", 32), sealed("older secret", 32)], "session_secret": sealed("session", 32),
                "scopes": ["openid", "profil é"], "session_redis_password": null,
            });
            ("openid-connect", config)
        };
        self.plugin("plugins/enterprise", index, index, name, scope)
            .text("config", lua_json(&config, &mut dice))
    }

    /// A row in each table of the other plugins.
    pub(super) fn plugin_tables(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("plugin tables", index);
        let service = self.id("services", dice.below(self.sizes.services));
        // Tables without updated_at.
        let mut unchanging = Vec::new();
        let mut rows = vec![
            Row::in_partition("degraphql_routes")
                .uuid("id", self.id("degraphql_routes", index))
                .uuid("service_id", service)
                .text("uri", format!("/dégraphql/{index}/:id"))
                .text("query", "query($id: ID!) {\n  node(id: $id) { name }\n}")
                .text_list("methods", if index.is_multiple_of(2) { &["GET", "POST"] } else { &[] }),
            Row::in_partition("graphql_ratelimiting_advanced_cost_decoration")
                .uuid("id", self.id("graphql_ratelimiting_advanced_cost_decoration", index))
                .uuid("service_id", service)
                .text("type_path", format!("Query.all.{index}"))
                .text_list("add_arguments", &["first", "last"])
                .float(
                    "add_constant",
                    [1.0, 0.1, 12.345_678, 1.0e-7][usize::try_from(index % 4).unwrap_or(0)],
                )
                .text_list("mul_arguments", &["first"])
                .float("mul_constant", if index == 3 { 3.402_823_5e38 } else { 2.5 }),
        ];
        if index < 3 {
            let keys = json!([
                { "kty": "oct", "kid": format!("kéy:{index}"), "k": dice.token(43) }, { "kty": "RSA", "n": dice.token(80), "e": "AQAB" },
            ]);
            let mut row = Row::of("jwt_signer_jwks")
                .uuid("id", self.id("jwt_signer_jwks", index))
                .text("name", format!("https://keys-{index}.example.test/jwks"))
                .text("keys", if index == 1 { "[]".to_owned() } else { lua_json(&keys, &mut dice) });
            if index == 2 {
                row = row.text("previous", lua_json(&keys, &mut dice));
            }
            let secret = self.kept("oic_issuers", index, dice.token(32));
            let issuer = Row::of("oic_issuers")
                .uuid("id", self.id("oic_issuers", index))
                .text("issuer", format!("https://idp-{index}.example.test/.well-known/openid-configuration"))
                .text("configuration", r#"{"issuer": "https://idp.example.test/"}"#)
                .text("keys", r#"[{"kty":"RSA"}]"#)
                .text("secret", secret)
                .instant("created_at", Self::created_at(index));
            rows.push(row);
            rows.extend(self.vaults_of_vault_auth(index));
            unchanging.push(issuer);
        }
        let mut rows: Vec<Row> = rows.into_iter().map(|row| stamped(row, index)).collect();
        rows.append(&mut unchanging);
        if self.version == KongVersion::V3_3 {
            let workspace = self.workspace_of(index);
            rows.push(
                Row::of("konnect_applications")
                    .uuid("id", self.id("konnect_applications", index))
                    .uuid("ws_id", workspace)
                    .prefixed("client_id", workspace, &format!("client:{index}"))
                    .text_set("scopes", &["read", "wrïte"])
                    .text_set("tags", &[format!("konnect-{index}")])
                    .instant("created_at", Self::created_at(index)),
            );
        }
        rows
    }

    /// A vault of the vault-auth plugin, and since 3.0 one of the gateway with a token in its configuration.
    fn vaults_of_vault_auth(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("vault-auth", index);
        let of_plugin = match self.version {
            KongVersion::V2_8 => Row::of("vaults").uuid("id", self.id("vaults/vault-auth", index)),
            KongVersion::V3_3 => {
                let row =
                    Row::in_partition("vault_auth_vaults").uuid("id", self.id("vault_auth_vaults", index));
                row.text("kv", if index == 1 { "v2" } else { "v1" })
            }
        };
        let mut rows = vec![
            of_plugin
                .text("name", format!("säfe-{index}"))
                .text("protocol", "https")
                .text("host", "vault.example.test")
                .int("port", 8_200)
                .text("mount", "secret")
                .text("vault_token", self.kept("vault_token", index, dice.token(26))),
        ];
        if self.version == KongVersion::V3_3 && index == 0 {
            let token = self.encrypted("sm_vaults", index, 26);
            let config =
                json!({ "protocol": "https", "host": "vault.example.test", "kv": "v1", "token": token });
            rows.push(
                Row::of("sm_vaults")
                    .uuid("id", self.id("sm_vaults/hcv", index))
                    .uuid("ws_id", self.workspace_of(0))
                    .text("prefix", "hashi-vault")
                    .text("name", "hcv")
                    .text("config", lua_json(&config, &mut dice)),
            );
        }
        rows
    }
}
