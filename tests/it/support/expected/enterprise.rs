//! What is known of the tables of Kong Enterprise, and of the columns it adds to the open-source ones; apart from the schema
//! maps, like [`super::facts`].

use kongferry::estate::KongVersion;

/// Enterprise tables whose rows arrive in every run.
pub fn copied(version: KongVersion) -> Vec<&'static str> {
    let mut tables = vec![
        "admins",
        "application_instances",
        "applications",
        "consumer_group_consumers",
        "consumer_group_plugins",
        "consumer_groups",
        "consumer_reset_secrets",
        "credentials",
        "degraphql_routes",
        "developers",
        "document_objects",
        "event_hooks",
        "files",
        "graphql_ratelimiting_advanced_cost_decoration",
        "group_rbac_roles",
        "groups",
        "jwt_signer_jwks",
        "keyauth_enc_credentials",
        "keyring_meta",
        "licenses",
        "mtls_auth_credentials",
        "oic_issuers",
        "oic_jwks",
        "rbac_role_endpoints",
        "rbac_role_entities",
        "rbac_roles",
        "rbac_user_roles",
        "rbac_users",
    ];
    match version {
        KongVersion::V2_8 => tables.push("vaults"),
        KongVersion::V3_3 => tables.extend(["keyring_keys", "konnect_applications", "vault_auth_vaults"]),
    }
    tables
}

/// Tables that arrive on demand: the word of `--include`, and what it brings.
pub const ON_DEMAND: [(&str, &[&str]); 5] = [
    ("audit", &["audit_objects", "audit_requests"]),
    ("legacy-files", &["legacy_files"]),
    ("license-data", &["license_data"]),
    ("login-attempts", &["login_attempts"]),
    ("sessions", &["sessions"]),
];

/// Enterprise tables of the target that stay as they are: statistics of running nodes and what upgrades left.
pub const LEFT_ALONE: [&str; 12] = [
    "rl_counters",
    "vitals_code_classes_by_cluster",
    "vitals_code_classes_by_workspace",
    "vitals_codes_by_consumer_route",
    "vitals_codes_by_route",
    "vitals_locks",
    "vitals_node_meta",
    "vitals_stats_days",
    "vitals_stats_hours",
    "vitals_stats_minutes",
    "vitals_stats_seconds",
    "ws_migrations_backup",
];

/// Columns whose default is the id of the workspace `default`.
pub const WORKSPACE_DEFAULTS: [&str; 9] = [
    "application_instances.ws_id",
    "applications.ws_id",
    "consumer_group_plugins.ws_id",
    "consumer_groups.ws_id",
    "developers.ws_id",
    "document_objects.ws_id",
    "files.ws_id",
    "rbac_roles.ws_id",
    "rbac_users.ws_id",
];

/// Enterprise tables whose entities have a row in `tags`.
pub fn tagged(version: KongVersion) -> &'static [&'static str] {
    match version {
        KongVersion::V2_8 => &["mtls_auth_credentials"],
        KongVersion::V3_3 => {
            &["consumer_groups", "keyauth_enc_credentials", "konnect_applications", "mtls_auth_credentials"]
        }
    }
}

/// Columns that name a row of a table without a key of one column.
pub fn key(table: &str) -> Option<&'static [&'static str]> {
    Some(match table {
        "audit_requests" => &["request_id"],
        "consumer_group_consumers" => &["consumer_group_id", "consumer_id"],
        "group_rbac_roles" => &["group_id", "rbac_role_id"],
        "license_data" => &["node_id", "year", "month"],
        "login_attempts" => &["consumer_id"],
        "rbac_role_endpoints" => &["role_id", "workspace", "endpoint"],
        "rbac_role_entities" => &["role_id", "entity_id"],
        "rbac_user_roles" => &["user_id", "role_id"],
        _ => return None,
    })
}

/// Columns stored as `<workspace>:<value>` on Cassandra.
pub fn prefixed(table: &str) -> &'static [&'static str] {
    match table {
        "rbac_users" | "rbac_roles" | "consumer_groups" | "legacy_files" => &["name"],
        "files" | "document_objects" => &["path"],
        "developers" => &["email", "custom_id"],
        "applications" => &["custom_id"],
        "application_instances" => &["composite_id"],
        "keyauth_enc_credentials" => &["key"],
        "konnect_applications" => &["client_id"],
        _ => &[],
    }
}

/// As [`super::facts::expiry`].
pub fn expiry(table: &str) -> Option<(&'static str, &'static [&'static str])> {
    match table {
        "audit_objects" => Some(("request_id", &["dao_name", "operation"])),
        "audit_requests" => Some(("request_timestamp", &["client_ip", "path", "method", "status"])),
        "keyauth_enc_credentials" => Some(("created_at", &["key", "consumer_id"])),
        "login_attempts" => Some(("created_at", &["created_at"])),
        _ => None,
    }
}

/// Whether all rows stand in one partition, named like the table.
pub fn in_one_partition(table: &str) -> bool {
    ["licenses", "degraphql_routes", "graphql_ratelimiting_advanced_cost_decoration", "vault_auth_vaults"]
        .contains(&table)
}

/// What stands for NULL in a column that refuses it, as JSON.
pub fn default_for(table: &str, column: &str) -> Option<&'static str> {
    match (table, column) {
        ("consumers", "type") | ("license_data", "year" | "month") => Some("0"),
        ("application_instances", "suspended")
        | ("rbac_role_entities" | "rbac_role_endpoints", "negative") => Some("false"),
        ("legacy_files", "auth") => Some("true"),
        ("event_hooks", "config") => Some("{}"),
        ("keyring_meta", "state") => Some("\"alive\""),
        _ => None,
    }
}
