//! The odd rows that Enterprise estates have collected. All load, some after a repair; remnants are skipped.

use sha2::{Digest as _, Sha256};

use super::token::{bcrypt_digest, rbac_token, rbac_token_ident, sha256_ident};
use crate::estate::KongVersion;
use crate::estate::fill::credential::{basic_auth_password, hex};
use crate::estate::fill::generate::Generator;
use crate::estate::fill::row::Row;

/// Creation time of the odd rows, 2019-06-01, in milliseconds since 1970.
const CREATED: i64 = 1_559_347_200_000;

impl Generator {
    /// The odd rows of Enterprise tables, to be written after those of the open-source tables.
    pub(in crate::estate::fill) fn odd_enterprise_rows(&self) -> Vec<Row> {
        if !self.is_enterprise() {
            return Vec::new();
        }
        let mut rows = self.odd_access_control();
        rows.extend(self.odd_portal());
        rows.extend(Self::odd_keyring());
        rows.extend(self.enterprise_ghosts());
        rows
    }

    fn odd_access_control(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let user = self.odd_id("rbac_users", 0);
        let token = rbac_token(user);
        let role = self.odd_id("rbac_roles", 0);
        let consumer = self.odd_id("consumers", 200);
        let credential = self.odd_id("basicauth_credentials", 200);
        let digest =
            Sha256::new().chain_update(basic_auth_password(credential)).chain_update(consumer.to_string());
        vec![
            // The bootstrap writes names without the workspace, and rows of 2.0 are in none.
            self.odd("rbac_users", 0)
                .text("name", "odd-user")
                .text("user_token", bcrypt_digest(&token, *user.as_bytes()))
                .text("user_token_ident", rbac_token_ident(&token))
                .bool("enabled", true),
            self.odd_in_default("rbac_roles", 0).text("name", "odd-role"),
            self.odd_in_default("rbac_roles", 1).prefixed(
                "name",
                workspace,
                &format!("{workspace}:odd-role-1"),
            ),
            Row::of("rbac_user_roles").uuid("user_id", user).uuid("role_id", role),
            Row::of("rbac_role_endpoints")
                .uuid("role_id", role)
                .text("workspace", "a workspace that is gone")
                .text("endpoint", "/ünknown/*")
                .int("actions", 0),
            Row::of("rbac_role_entities")
                .uuid("role_id", role)
                // There is no foreign key.
                .text("entity_id", self.odd_id("deleted", 0).to_string())
                .text("entity_type", "services")
                .int("actions", 15),
            // The seeded administrator's lower-case name is only the suffix, with or without the workspace.
            self.odd_in_default("consumers", 200)
                .prefixed("username", workspace, "odd_ADMIN_")
                .text("username_lower", "_admin_")
                .int("type", 2),
            self.odd_in_default("consumers", 201)
                .prefixed("username", workspace, "odd-201_ADMIN_")
                .prefixed("username_lower", workspace, "_admin_")
                .int("type", 2),
            self.odd("admins", 0)
                .uuid("consumer_id", consumer)
                .uuid("rbac_user_id", user)
                .bool("rbac_token_enabled", false)
                .text("username", "odd"),
            // Digested in FIPS mode.
            self.odd_in_default("basicauth_credentials", 200)
                .uuid("consumer_id", consumer)
                .prefixed("username", workspace, "odd")
                .text("password", hex(&digest.finalize())),
        ]
    }

    fn odd_portal(&self) -> Vec<Row> {
        let workspace = self.workspace_of(0);
        let developer = |index| self.odd_in_default("developers", index);
        vec![
            developer(0).text("email", "odd@example.test").text("meta", "").text("custom_id", ""),
            developer(1).prefixed("email", workspace, "ODD@example.test").prefixed(
                "custom_id",
                workspace,
                "",
            ),
            self.odd_in_default("files", 0).text("path", "content/odd.md").text("contents", ""),
            self.odd_in_default("files", 1)
                .prefixed("path", workspace, "a:b\\c\t\u{1}")
                .text("contents", "\\N"),
            // 2.1 and 2.2 prefixed it.
            self.odd("legacy_files", 0)
                .prefixed("name", workspace, "odd/page")
                .text("type", "page")
                .text("contents", "x"),
            self.odd("event_hooks", 0).text("source", "dao:crud").text("handler", "log"),
            self.odd_in_default("consumer_groups", 0).text("name", "odd-group"),
            self.odd("consumer_groups", 1).text("name", "odd-group-of-none"),
        ]
    }

    fn odd_keyring() -> Vec<Row> {
        vec![
            // Seconds in the millisecond column, and no state.
            Row::of("keyring_meta")
                .text("id", "oddKey01")
                .text("state", "alive")
                .instant("created_at", CREATED / 1000),
            Row::of("keyring_meta").text("id", "oddKey02").instant("created_at", CREATED),
        ]
    }

    /// What is left of rows whose required cells have expired or never were.
    fn enterprise_ghosts(&self) -> Vec<Row> {
        let ident = sha256_ident("odd");
        let mut rows = vec![
            // The identification is written by an update of its own and outlives the rest.
            Row::of("keyauth_enc_credentials")
                .uuid("id", self.odd_id("ghost/keyauth_enc_credentials", 0))
                .text("key_ident", &ident),
            Row::of("login_attempts")
                .uuid("consumer_id", self.odd_id("consumers", 200))
                .tallies("attempts", &[("127.0.0.1", 3)]),
            Row::of("audit_objects").uuid("id", self.odd_id("ghost/audit_objects", 0)),
        ];
        let key = self
            .odd_in_default("keyauth_enc_credentials", 0)
            .uuid("consumer_id", self.odd_id("consumers", 200))
            .text("key", self.encrypted("odd", 0, 12))
            .text("key_ident", ident);
        rows.push(if self.version == KongVersion::V3_3 { key.expiring(20 * 86_400) } else { key });
        rows
    }
}
