//! The rows that bootstrapping Kong Enterprise leaves besides the workspace and the cluster id: access control, the key set
//! of OpenID Connect, and with a password the first administrator.

use scylla::value::CqlValue;
use secrecy::{ExposeSecret as _, SecretString};
use uuid::Uuid;

use super::fill::Dice;
use super::fill::{Row, basic_auth_hash, lua_json};

/// Id of the only row of `oic_jwks`, the same everywhere.
pub(super) const OIC_JWKS: Uuid = uuid::uuid!("c3cfba2d-1617-453f-a416-52e6edb5f9a0");

/// All actions: read 1, create 2, update 4, delete 8.
const ALL_ACTIONS: i32 = 15;

/// Name of the first administrator, of its RBAC user and of its private role.
const ADMIN: &str = "kong_admin";

/// The store that is seeded; both get the same rows, in their own forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Store {
    /// Cassandra, where names carry the workspace and every value is written. The instant is that of bootstrap, in
    /// milliseconds since 1970.
    Cassandra(i64),
    /// `PostgreSQL`, where creation times come from column defaults.
    Postgres,
}

/// Builds the seed of one store.
struct Seed {
    store: Store,
    workspace: Uuid,
    rows: Vec<Row>,
}

/// The seed of `workspace`, parents before children. Ids are random, as Kong's are.
pub(super) fn rows(store: Store, workspace: Uuid, admin_password: Option<&SecretString>) -> Vec<Row> {
    let mut seed = Seed { store, workspace, rows: Vec::new() };
    let super_admin = seed.roles();
    if let Some(password) = admin_password {
        seed.admin(password.expose_secret(), super_admin);
    }
    seed.rows.push(Row::of("oic_jwks").uuid("id", OIC_JWKS).text("jwks", oic_jwks(&mut random_dice())));
    if store == Store::Postgres {
        seed.rows.push(Row::of("vitals_locks").text("key", "delete_status_codes"));
    }
    seed.rows
}

/// A key set as the openid-connect plugin generates it. Its keys look like keys and are none.
pub(super) fn oic_jwks(dice: &mut Dice) -> String {
    let keys: Vec<_> = ["RS256", "RS512", "PS256", "ES256"]
        .into_iter()
        .map(|algorithm| {
            serde_json::json!({
                "kty": if algorithm.starts_with('E') { "EC" } else { "RSA" }, "use": "sig", "alg": algorithm,
                "kid": dice.token(43), "n": dice.token(342), "e": "AQAB", "d": dice.token(342),
            })
        })
        .collect();
    lua_json(&serde_json::json!({ "keys": keys }), dice)
}

/// What a row of `workspace_entities` says about a field of `entity`.
pub(super) fn workspace_entity(
    workspace: Uuid,
    workspace_name: &str,
    entity: (&str, Uuid),
    field: (&str, &str),
) -> Row {
    Row::of("workspace_entities")
        .uuid("workspace_id", workspace)
        .text("workspace_name", workspace_name)
        .text("entity_id", entity.1.to_string())
        .text("entity_type", entity.0)
        .text("unique_field_name", field.0)
        .text("unique_field_value", field.1)
}

fn random_dice() -> Dice {
    Dice::of(Uuid::new_v4().as_u64_pair().0, "bootstrap", 0)
}

impl Seed {
    /// A row with its creation time, where that is not left to the default.
    fn created(&self, table: &'static str) -> Row {
        match self.store {
            Store::Cassandra(now) => Row::of(table).instant("created_at", now),
            Store::Postgres => Row::of(table),
        }
    }

    /// A row of the workspace, its name in `column`.
    fn named(&self, table: &'static str, id: Uuid, column: &'static str, name: &str) -> Row {
        let row = self.created(table).uuid("id", id).uuid("ws_id", self.workspace);
        match self.store {
            Store::Cassandra(_) => row.prefixed(column, self.workspace, name),
            Store::Postgres => row.text(column, name),
        }
    }

    /// The three roles with their permissions; returns the id of super-admin.
    fn roles(&mut self) -> Uuid {
        let below_rbac = ["/rbac/*", "/rbac/*/*", "/rbac/*/*/*", "/rbac/*/*/*/*", "/rbac/*/*/*/*/*"];
        self.role("read-only", "Read access to all endpoints, across all workspaces", 1, &[]);
        self.role(
            "admin",
            "Full access to all endpoints, across all workspaces\u{2014}except RBAC Admin API",
            ALL_ACTIONS,
            &below_rbac,
        );
        self.role("super-admin", "Full access to all endpoints, across all workspaces", ALL_ACTIONS, &[])
    }

    fn role(&mut self, name: &str, comment: &str, actions: i32, denied: &[&str]) -> Uuid {
        let id = Uuid::new_v4();
        let row =
            self.named("rbac_roles", id, "name", name).text("comment", comment).bool("is_default", false);
        self.rows.push(row);
        let rules =
            std::iter::once(("*", actions, false)).chain(denied.iter().map(|it| (*it, ALL_ACTIONS, true)));
        for (endpoint, actions, negative) in rules {
            let row = self
                .created("rbac_role_endpoints")
                .uuid("role_id", id)
                .text("workspace", "*")
                .text("endpoint", endpoint)
                .int("actions", actions)
                .bool("negative", negative);
            self.rows.push(row);
        }
        self.remember("rbac_roles", id, &[("name", &format!("default:{name}"))]);
        id
    }

    /// The first administrator: RBAC user with the password as plaintext token, private role, consumer, credential.
    fn admin(&mut self, password: &str, super_admin: Uuid) {
        let [user, role, consumer, admin, credential] = std::array::from_fn(|_| Uuid::new_v4());
        let own_role = self
            .named("rbac_roles", role, "name", ADMIN)
            .text("comment", format!("Default user role generated for {ADMIN}"))
            .bool("is_default", true);
        let on_cassandra = self.store != Store::Postgres;
        let rbac_user = self
            .named("rbac_users", user, "name", ADMIN)
            .text("name", ADMIN) // without the workspace even on Cassandra
            .text("user_token", password)
            .text("comment", "Initial RBAC Secure User")
            .bool("enabled", true);
        let consumer_name = format!("{ADMIN}_ADMIN_");
        let consumer_row = self
            .named("consumers", consumer, "username", &consumer_name)
            .text("username_lower", "_admin_")
            .int("type", 2);
        let admin_row = self
            .created("admins")
            .uuid("id", admin)
            .uuid("consumer_id", consumer)
            .uuid("rbac_user_id", user)
            .bool("rbac_token_enabled", true)
            .text("username", ADMIN)
            .text("username_lower", ADMIN);
        let digest = basic_auth_hash(password, consumer);
        let credential_row = self
            .named("basicauth_credentials", credential, "username", ADMIN)
            .uuid("consumer_id", consumer)
            .text("password", digest);
        self.rows.extend([own_role, rbac_user]);
        for role in [super_admin, role] {
            self.rows.push(Row::of("rbac_user_roles").uuid("user_id", user).uuid("role_id", role));
        }
        self.rows.extend([consumer_row, admin_row, credential_row]);
        let prefix = if on_cassandra { "default:" } else { "" };
        let name = format!("{prefix}{ADMIN}");
        // The token stands there in plain text, too.
        self.remember("rbac_users", user, &[("name", &name), ("user_token", password)]);
        self.remember("rbac_roles", role, &[("name", &name)]);
        self.remember("consumers", consumer, &[("username", &consumer_name), ("custom_id", "")]);
        self.remember("admins", admin, &[("username", ADMIN), ("custom_id", ""), ("email", "")]);
        self.remember("basicauth_credentials", credential, &[("username", ADMIN)]);
    }

    /// Rows of `workspace_entities` about an entity: its id and the given fields.
    fn remember(&mut self, table: &str, id: Uuid, fields: &[(&str, &str)]) {
        let own = id.to_string();
        for field in std::iter::once(&("id", own.as_str())).chain(fields) {
            self.rows.push(workspace_entity(self.workspace, "default", (table, id), *field));
        }
    }
}

/// `value` as a literal of SQL. Only the kinds of values occur that a seed has.
pub(super) fn sql_literal(value: &CqlValue) -> String {
    match value {
        CqlValue::Uuid(id) => format!("'{id}'"),
        CqlValue::Text(text) => format!("'{}'", text.replace('\'', "''")),
        CqlValue::Int(number) => number.to_string(),
        CqlValue::Boolean(truth) => truth.to_string(),
        _ => "NULL".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const WORKSPACE: Uuid = uuid::uuid!("3ee332ee-02e9-4566-a322-92ed644cb41e");

    fn counts(store: Store, password: Option<&str>) -> BTreeMap<&'static str, usize> {
        let password = password.map(SecretString::from);
        let mut counts = BTreeMap::new();
        for row in rows(store, WORKSPACE, password.as_ref()) {
            *counts.entry(row.table).or_insert(0) += 1;
        }
        counts
    }

    #[test]
    fn a_seed_without_password_holds_roles_and_no_user() {
        let bare =
            [("oic_jwks", 1), ("rbac_role_endpoints", 8), ("rbac_roles", 3), ("workspace_entities", 6)];
        assert_eq!(counts(Store::Cassandra(0), None), BTreeMap::from(bare));
        let mut with_locks = BTreeMap::from(bare);
        with_locks.insert("vitals_locks", 1);
        assert_eq!(counts(Store::Postgres, None), with_locks);
    }

    #[test]
    fn a_password_adds_one_administrator() {
        let counts = counts(Store::Cassandra(0), Some("pä'ss"));
        let tables =
            ["rbac_users", "rbac_roles", "rbac_user_roles", "consumers", "admins", "basicauth_credentials"];
        assert_eq!(tables.map(|table| counts[table]), [1, 4, 2, 1, 1, 1]);
        assert_eq!(counts["workspace_entities"], 20);
    }

    #[test]
    fn names_carry_the_workspace_on_cassandra_alone() {
        let names = |store| -> Vec<String> {
            rows(store, WORKSPACE, None)
                .iter()
                .filter(|row| row.table == "rbac_roles")
                .flat_map(|row| row.cells.iter().filter(|(column, _)| *column == "name"))
                .filter_map(|(_, value)| value.as_text().cloned())
                .collect()
        };
        assert_eq!(names(Store::Postgres), ["read-only", "admin", "super-admin"]);
        assert!(names(Store::Cassandra(0)).iter().all(|name| name.starts_with(&format!("{WORKSPACE}:"))));
    }

    #[test]
    fn literals_survive_quotes() {
        assert_eq!(sql_literal(&CqlValue::Text("p'w".to_owned())), "'p''w'");
    }
}
