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
    "basicauth_credentials",
    "ca_certificates",
    "certificates",
    "cluster_events",
    "clustering_data_planes",
    "consumers",
    "hmacauth_credentials",
    "jwt_secrets",
    "key_sets",
    "keyauth_credentials",
    "keys",
    "locks",
    "oauth2_authorization_codes",
    "oauth2_credentials",
    "oauth2_tokens",
    "parameters",
    "plugins",
    "ratelimiting_metrics",
    "response_ratelimiting_metrics",
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
    "vaults_beta",
    "workspaces",
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
