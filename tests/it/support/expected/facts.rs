//! What is known of Kong's tables, written down once more and apart from the schema maps: a mistake there must not be a
//! mistake here as well.

use kongferry::estate::KongVersion;

use super::enterprise;

/// Tables whose rows arrive.
pub fn copied(version: KongVersion) -> Vec<&'static str> {
    let mut tables = vec![
        "workspaces",
        "parameters",
        "ca_certificates",
        "acme_storage",
        "certificates",
        "consumers",
        "services",
        "upstreams",
        "snis",
        "acls",
        "basicauth_credentials",
        "hmacauth_credentials",
        "jwt_secrets",
        "keyauth_credentials",
        "oauth2_credentials",
        "routes",
        "targets",
        "oauth2_tokens",
        "plugins",
    ];
    match version {
        KongVersion::V2_8 => tables.push("vaults_beta"),
        KongVersion::V3_3 => tables.extend(["sm_vaults", "key_sets", "keys"]),
    }
    tables
}

/// Tables of the target that stay as they are; all but schema_meta are empty after bootstrap.
pub const LEFT_ALONE: [&str; 9] = [
    "cluster_events",
    "clustering_data_planes",
    "locks",
    "oauth2_authorization_codes",
    "ratelimiting_metrics",
    "response_ratelimiting_metrics",
    "schema_meta",
    "sessions",
    "ttls",
];

/// Tables whose entities have a row in `tags`.
pub fn tagged(version: KongVersion) -> Vec<&'static str> {
    let untagged = ["workspaces", "parameters", "acme_storage", "oauth2_tokens"];
    copied(version).into_iter().filter(|table| !untagged.contains(table)).collect()
}

/// Columns that name a row.
pub fn key(table: &str) -> &'static [&'static str] {
    if table == "parameters" { &["key"] } else { enterprise::key(table).unwrap_or(&["id"]) }
}

/// Columns stored as `<workspace>:<value>` on Cassandra.
pub fn prefixed(table: &str) -> &'static [&'static str] {
    match table {
        // The lower-case name is Enterprise's.
        "consumers" => &["username", "custom_id", "username_lower"],
        "services" | "routes" | "upstreams" | "keys" | "key_sets" => &["name"],
        "basicauth_credentials" | "hmacauth_credentials" => &["username"],
        "jwt_secrets" | "keyauth_credentials" => &["key"],
        "oauth2_credentials" => &["client_id"],
        "oauth2_authorization_codes" => &["code"],
        "oauth2_tokens" => &["access_token", "refresh_token"],
        "plugins" => &["instance_name"],
        _ => enterprise::prefixed(table),
    }
}

/// For tables that expire: the column whose TTL Kong reads, and the columns without which a row is a remnant.
pub fn expiry(table: &str) -> Option<(&'static str, &'static [&'static str])> {
    match table {
        "keyauth_credentials" => Some(("created_at", &["key", "consumer_id"])),
        "oauth2_tokens" => Some(("created_at", &["credential_id", "access_token"])),
        "oauth2_authorization_codes" => Some(("created_at", &["credential_id", "code"])),
        "sessions" => Some(("session_id", &["session_id"])),
        "acme_storage" => Some(("key", &["key", "value"])),
        _ => enterprise::expiry(table),
    }
}

/// Whether all rows stand in one partition, named like the table.
pub fn in_one_partition(table: &str) -> bool {
    ["certificates", "ca_certificates", "routes", "services", "snis"].contains(&table)
        || enterprise::in_one_partition(table)
}

/// The columns a stored cache key is made of.
pub fn cache_key(table: &str) -> Option<[&'static str; 6]> {
    match table {
        "plugins" => Some(["name", "route_id", "service_id", "consumer_id", "", "ws_id"]),
        "acls" => Some(["consumer_id", "group", "", "", "", "ws_id"]),
        "targets" => Some(["upstream_id", "target", "", "", "", "ws_id"]),
        "keys" => Some(["kid", "set_id", "", "", "", "ws_id"]),
        _ => None,
    }
}

/// What stands for NULL in a column that refuses it, as JSON.
pub fn default_for(table: &str, column: &str) -> Option<&'static str> {
    match (table, column) {
        ("plugins" | "vaults_beta" | "sm_vaults", "config") => Some("{}"),
        ("plugins", "enabled") => Some("true"),
        ("targets", "weight") => Some("100"),
        ("upstreams", "slots") => Some("10000"),
        _ => enterprise::default_for(table, column),
    }
}

/// Whether Kong before 1.1 wrote milliseconds that PostgreSQL never had.
pub fn cut_to_seconds(table: &str, column: &str) -> bool {
    column == "created_at" && ["consumers", "plugins", "upstreams"].contains(&table)
}
