//! The map files compiled into the binary.

macro_rules! maps {
    ($($table:literal),* $(,)?) => {
        &[$(($table, include_str!(concat!("../../schema-maps/", $table, ".toml")))),*]
    };
}

/// Table name and text of every file in schema-maps/; a test compares the list with the folder.
pub(super) const FILES: &[(&str, &str)] = maps![
    "acls",
    "acme_storage",
    "admins",
    "application_instances",
    "applications",
    "audit_objects",
    "audit_requests",
    "basicauth_credentials",
    "ca_certificates",
    "certificates",
    "cluster_events",
    "clustering_data_planes",
    "consumer_group_consumers",
    "consumer_group_plugins",
    "consumer_groups",
    "consumer_reset_secrets",
    "consumers",
    "credentials",
    "degraphql_routes",
    "developers",
    "document_objects",
    "event_hooks",
    "files",
    "graphql_ratelimiting_advanced_cost_decoration",
    "group_rbac_roles",
    "groups",
    "hmacauth_credentials",
    "jwt_secrets",
    "jwt_signer_jwks",
    "key_sets",
    "keyauth_credentials",
    "keyauth_enc_credentials",
    "keyring_keys",
    "keyring_meta",
    "keyring_meta_active",
    "keys",
    "konnect_applications",
    "legacy_files",
    "license_data",
    "licenses",
    "locks",
    "login_attempts",
    "mtls_auth_credentials",
    "oauth2_authorization_codes",
    "oauth2_credentials",
    "oauth2_tokens",
    "oic_issuers",
    "oic_jwks",
    "parameters",
    "plugins",
    "ratelimiting_metrics",
    "rbac_role_endpoints",
    "rbac_role_entities",
    "rbac_roles",
    "rbac_user_roles",
    "rbac_users",
    "response_ratelimiting_metrics",
    "rl_counters",
    "routes",
    "schema_meta",
    "services",
    "sessions",
    "sm_vaults",
    "snis",
    "tags",
    "targets",
    "ttls",
    "upstreams",
    "vault_auth_vaults",
    "vaults",
    "vaults_beta",
    "vitals_code_classes_by_cluster",
    "vitals_code_classes_by_workspace",
    "vitals_codes_by_consumer_route",
    "vitals_codes_by_route",
    "vitals_codes_by_service",
    "vitals_consumers",
    "vitals_locks",
    "vitals_node_meta",
    "vitals_stats_days",
    "vitals_stats_hours",
    "vitals_stats_minutes",
    "vitals_stats_seconds",
    "workspace_entities",
    "workspace_entity_counters",
    "workspaces",
    "ws_migrations_backup",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_file_is_embedded() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schema-maps");
        let mut on_disk: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        on_disk.sort();
        let embedded: Vec<_> = FILES.iter().map(|(table, _)| format!("{table}.toml")).collect();
        assert_eq!(on_disk, embedded);
    }
}
