//! Roles, RBAC users, administrators and directory groups.

use uuid::Uuid;

use super::token::{bcrypt_digest, rbac_token, rbac_token_ident, sha256_ident};
use crate::estate::KongVersion;
use crate::estate::fill::credential::{basic_auth_hash, basic_auth_password, oauth2_client_secret_hash};
use crate::estate::fill::generate::{Generator, stamped};
use crate::estate::fill::row::Row;

/// All actions: read 1, create 2, update 4, delete 8.
const ALL_ACTIONS: i32 = 15;

/// RBAC users whose token was seeded and never used, so that it still stands in plain text.
const PLAIN_TOKENS: [u64; 2] = [6, 13];

/// The RBAC user whose token was digested in FIPS mode, which 3.0 brought.
const FIPS_TOKEN: u64 = 3;

/// How an RBAC user's token is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TokenForm {
    Bcrypt,
    Pbkdf2,
    Plain,
}

impl Generator {
    /// A role with permissions on endpoints and entities.
    pub(in crate::estate::fill) fn rbac_role(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("rbac_roles", index);
        let id = self.id("rbac_roles", index);
        let workspace = self.workspace_of(index);
        let name = if index % 3 == 2 { format!("rôle {index}: \"ops\"") } else { format!("role-{index}") };
        let mut role = Row::of("rbac_roles")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .prefixed("name", workspace, &name)
            .text("comment", "für den Betrieb");
        if index % 5 != 4 {
            role = role.bool("is_default", false);
        }
        let mut rows = vec![stamped(role, index)];
        let own = self.workspace_name(index);
        let endpoints = [
            ("*", "*", 1, Some(false)),
            (own.as_str(), "/services/*", ALL_ACTIONS, Some(false)),
            (own.as_str(), "/rbac/*", ALL_ACTIONS, Some(true)),
            // Written before there were negative rules.
            (own.as_str(), "/plugins", 5, None),
        ];
        for (place, (workspace, endpoint, actions, negative)) in (0..).zip(endpoints) {
            let row = Row::of("rbac_role_endpoints")
                .uuid("role_id", id)
                .text("workspace", workspace)
                .text("endpoint", endpoint)
                .int("actions", actions);
            let row = match negative {
                Some(negative) => row.bool("negative", negative),
                None => row,
            };
            // Old seeded rows have no creation time.
            rows.push(if index % 4 == 3 { row } else { stamped(row.text("comment", ""), index + place) });
        }
        let service = self.id("services", self.neighbour(index, self.sizes.services, &mut dice));
        let entities = [
            ("*".to_owned(), "wildcard", Some(false)),
            (service.to_string(), "services", None),
            (workspace.to_string(), "workspaces", Some(true)),
        ];
        for (place, (entity, kind, negative)) in (0..).zip(entities) {
            let row = Row::of("rbac_role_entities")
                .uuid("role_id", id)
                .text("entity_id", entity)
                .text("entity_type", kind)
                .int("actions", dice.int(1, ALL_ACTIONS));
            let row = match negative {
                Some(negative) => row.bool("negative", negative),
                None => row,
            };
            rows.push(stamped(row, index + place));
        }
        rows
    }

    /// A user of the Admin API with its private role and a shared one.
    pub(in crate::estate::fill) fn rbac_user(&self, index: u64) -> Vec<Row> {
        let form = match index {
            FIPS_TOKEN if self.version == KongVersion::V3_3 => TokenForm::Pbkdf2,
            _ if PLAIN_TOKENS.contains(&index) => TokenForm::Plain,
            _ => TokenForm::Bcrypt,
        };
        let mut rows = self.user_with_role("rbac_users", index, &format!("opérator-{index}"), form);
        let mut dice = self.dice("rbac_user_roles", index);
        let role = self.neighbour(index, self.sizes.enterprise.roles, &mut dice);
        rows.push(
            Row::of("rbac_user_roles")
                .uuid("user_id", self.id("rbac_users", index))
                .uuid("role_id", self.id("rbac_roles", role)),
        );
        rows
    }

    /// An RBAC user of entity `index` in `space`, and the role that Kong makes for each.
    fn user_with_role(&self, space: &str, index: u64, name: &str, form: TokenForm) -> Vec<Row> {
        let mut dice = self.dice(space, index);
        let user = self.id(space, index);
        let role = self.id(&format!("rbac_roles/{space}"), index);
        let workspace = self.workspace_of(index);
        let token = rbac_token(user);
        let row = Row::of("rbac_users")
            .uuid("id", user)
            .uuid("ws_id", workspace)
            .prefixed("name", workspace, name)
            .text("comment", format!("user {index}"))
            .bool("enabled", index % 9 != 7);
        let row = match form {
            TokenForm::Bcrypt => {
                let salt = *dice.uuid().as_bytes();
                row.text("user_token", bcrypt_digest(&token, salt))
                    .text("user_token_ident", rbac_token_ident(&token))
            }
            TokenForm::Pbkdf2 => row
                .text("user_token", oauth2_client_secret_hash(&token, &dice.bytes(16)))
                .text("user_token_ident", sha256_ident(&token)),
            TokenForm::Plain => row.text("user_token", token),
        };
        let own_role = Row::of("rbac_roles")
            .uuid("id", role)
            .uuid("ws_id", workspace)
            .prefixed("name", workspace, name)
            .text("comment", format!("Default user role generated for {name}"))
            .bool("is_default", true);
        vec![
            stamped(row, index),
            stamped(own_role, index),
            Row::of("rbac_user_roles").uuid("user_id", user).uuid("role_id", role),
        ]
    }

    /// An RBAC user of a developer, who has no private role. Its token has been digested long ago.
    pub(super) fn portal_user(&self, index: u64) -> Row {
        let mut rows =
            self.user_with_role("rbac_users/developer", index, &developer_user(index), TokenForm::Bcrypt);
        rows.swap_remove(0)
    }

    /// An administrator with RBAC user, consumer and, once the invitation is taken, credential.
    pub(in crate::estate::fill) fn admin(&self, index: u64) -> Vec<Row> {
        let mut dice = self.dice("admins", index);
        let workspace = self.workspace_of(index);
        let consumer = self.id("consumers/admin", index);
        let name = format!("Ädmin-{index}");
        let invited = index % 5 == 4;
        let mut rows = self.user_with_role("rbac_users/admin", index, &name, TokenForm::Bcrypt);
        let role = self.neighbour(index, self.sizes.enterprise.roles, &mut dice);
        rows.push(
            Row::of("rbac_user_roles")
                .uuid("user_id", self.id("rbac_users/admin", index))
                .uuid("role_id", self.id("rbac_roles", role)),
        );
        let row = Row::of("consumers")
            .uuid("id", consumer)
            .uuid("ws_id", workspace)
            .prefixed("username", workspace, &format!("{name}_ADMIN_"))
            .prefixed("username_lower", workspace, &format!("{}_admin_", name.to_lowercase()))
            .int("type", 2);
        rows.push(stamped(row, index));
        let mut admin = Row::of("admins")
            .uuid("id", self.id("admins", index))
            .uuid("consumer_id", consumer)
            .uuid("rbac_user_id", self.id("rbac_users/admin", index))
            .bool("rbac_token_enabled", index.is_multiple_of(2))
            .text("username", &name)
            .text("username_lower", name.to_lowercase())
            .text("email", format!("admin-{index}@example.test"));
        if index.is_multiple_of(3) {
            admin = admin.text("custom_id", format!("staff:{index}"));
        }
        // The seeded administrator has no status.
        if index % 7 != 1 {
            admin = admin.int("status", if invited { 4 } else { 0 });
        }
        rows.push(stamped(admin, index));
        if !invited {
            rows.push(self.password_of("admin", index, consumer, &name));
        }
        if invited || index.is_multiple_of(4) {
            rows.push(self.reset_secret("admin", index, consumer, if invited { 1 } else { 2 }));
        }
        rows
    }

    /// The basic-auth credential of an administrator or developer.
    pub(super) fn password_of(&self, kind: &str, index: u64, consumer: Uuid, username: &str) -> Row {
        let id = self.id(&format!("basicauth_credentials/{kind}"), index);
        let workspace = self.workspace_of(index);
        Row::of("basicauth_credentials")
            .uuid("id", id)
            .uuid("ws_id", workspace)
            .uuid("consumer_id", consumer)
            .prefixed("username", workspace, username)
            .text("password", basic_auth_hash(&basic_auth_password(id), consumer))
            .instant("created_at", Self::created_at(index))
    }

    /// A secret that signs an invitation or a reset link.
    pub(super) fn reset_secret(&self, kind: &str, index: u64, consumer: Uuid, status: i32) -> Row {
        let space = format!("consumer_reset_secrets/{kind}");
        let row = Row::of("consumer_reset_secrets")
            .uuid("id", self.id(&space, index))
            .uuid("consumer_id", consumer)
            .text("secret", self.dice(&space, index).token(32))
            .text("client_addr", "192.0.2.7")
            .int("status", status);
        stamped(row, index)
    }

    /// A group of an external directory with the roles it gives in two workspaces.
    pub(in crate::estate::fill) fn group_of_directory(&self, index: u64) -> Vec<Row> {
        let id = self.id("groups", index);
        let group = Row::of("groups")
            .uuid("id", id)
            .text("name", format!("cn=grüppe-{index},ou=kong"))
            .text("comment", "from the directory");
        let mut rows = vec![stamped(group, index)];
        for role in [index, index + 1].map(|role| role % self.sizes.enterprise.roles) {
            let row = Row::of("group_rbac_roles")
                .uuid("group_id", id)
                .uuid("rbac_role_id", self.id("rbac_roles", role))
                .uuid("workspace_id", self.workspace_of(role));
            rows.push(stamped(row, index));
        }
        rows
    }
}

fn developer_user(index: u64) -> String {
    format!("developer-{index}@example.test")
}
