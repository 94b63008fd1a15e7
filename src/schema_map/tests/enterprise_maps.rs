//! What the built-in maps do with the tables and columns that Kong Enterprise adds, against what is known of them.

use std::collections::BTreeSet;

use crate::schema_map::{Choice, Decided, Decision, MapSet, Production, TableMapping, decide};
use crate::source::{self, ColumnKind, CqlType};
use crate::transform::{RowShaper, ShaperContext};

use super::built_in_maps::{all, item_name, mappings, outputs};
use super::catalogs::{ENTERPRISE, VERSIONS, catalogs};
use super::{copied, mapping};

/// Tables that come without being asked for, beyond those of the open-source Gateway.
const COPIED: [&str; 36] = [
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
    "keyring_keys",
    "keyring_meta",
    "konnect_applications",
    "licenses",
    "mtls_auth_credentials",
    "oic_issuers",
    "oic_jwks",
    "rbac_role_endpoints",
    "rbac_role_entities",
    "rbac_roles",
    "rbac_user_roles",
    "rbac_users",
    "vault_auth_vaults",
    "vaults",
    "acls",
    "basicauth_credentials",
    "consumers",
    "workspaces",
];
/// The last four of [`COPIED`] stand for the open-source tables, which other tests list.
const OPEN_SOURCE_SAMPLES: usize = 4;
/// Of [`COPIED`], those that only 3.3 has.
const SINCE_3_0: [&str; 3] = ["keyring_keys", "konnect_applications", "vault_auth_vaults"];

/// Tables that come with a word.
const FLAGGED: [(&str, &str); 5] = [
    ("audit_objects", "audit"),
    ("audit_requests", "audit"),
    ("legacy_files", "legacy-files"),
    ("license_data", "license-data"),
    ("login_attempts", "login-attempts"),
];

/// Tables that never come.
const NEVER: [&str; 17] = [
    "keyring_meta_active",
    "rl_counters",
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
    "ws_migrations_backup",
];

/// Decisions without any word.
fn plain(version: &str) -> Vec<Decision> {
    let maps = MapSet::built_in().unwrap();
    let (source, target) = catalogs(version);
    decide(&maps, &source, &target, &Choice::default()).unwrap()
}

/// Names of Enterprise tables: in the Enterprise catalogs and not in the open-source ones.
fn enterprise_tables(version: &str) -> BTreeSet<String> {
    let (source, target) = catalogs(version);
    let (open_source, open_target) = catalogs(version.strip_suffix("-enterprise").unwrap());
    source
        .tables
        .into_keys()
        .chain(target.tables.into_keys())
        .filter(|name| !open_source.tables.contains_key(name) && !open_target.tables.contains_key(name))
        .collect()
}

fn columns(texts: &[&str]) -> BTreeSet<String> {
    texts.iter().map(ToString::to_string).collect()
}

/// What an Enterprise estate has in a list of columns beyond the open-source one.
fn beyond_open_source(version: &str, of: impl Fn(&str) -> Vec<String>) -> BTreeSet<String> {
    let open_source = of(version.strip_suffix("-enterprise").unwrap());
    of(version).into_iter().filter(|text| !open_source.contains(text)).collect()
}

#[test]
fn every_enterprise_table_is_copied_flagged_or_skipped() {
    for version in ENTERPRISE {
        let mut tables = enterprise_tables(version);
        let decisions = plain(version);
        let copied = copied(&decisions);
        let expected = COPIED.into_iter().filter(|table| {
            if version.starts_with('3') { *table != "vaults" } else { !SINCE_3_0.contains(table) }
        });
        for table in expected {
            assert!(copied.contains(&table), "{table} of {version}");
            tables.remove(table);
        }
        let skipped = |table: &str| {
            let decision = decisions.iter().find(|decision| decision.table == table).unwrap();
            match &decision.action {
                Decided::Skip { reason, .. } => reason.clone(),
                Decided::Copy { .. } => panic!("{table} of {version} is copied"),
            }
        };
        for (table, word) in FLAGGED {
            assert!(skipped(table).contains(&format!("(--include {word} copies them)")), "{table}");
            tables.remove(table);
        }
        for table in NEVER {
            assert!(!skipped(table).contains("--include"), "{table}");
            tables.remove(table);
        }
        assert_eq!(tables, BTreeSet::new(), "of {version}: in no list");
    }
    assert_eq!(COPIED.len() - OPEN_SOURCE_SAMPLES + FLAGGED.len() + NEVER.len(), 54);
}

#[test]
fn words_bring_the_flagged_tables() {
    for version in ENTERPRISE {
        let decisions = all(version);
        let copied = copied(&decisions);
        assert!(FLAGGED.iter().all(|(table, _)| copied.contains(table)));
        assert!(NEVER.iter().all(|table| !copied.contains(table)));
    }
}

#[test]
fn bootstrap_rows_that_are_always_there_give_way() {
    for version in ENTERPRISE {
        let decisions = plain(version);
        let merged =
            decisions.iter().filter(|decision| matches!(decision.action, Decided::Copy { merge: true, .. }));
        assert_eq!(
            merged.map(|decision| decision.table.as_str()).collect::<Vec<_>>(),
            ["oic_jwks", "parameters", "rbac_role_endpoints", "rbac_roles", "workspaces"]
        );
    }
}

#[test]
fn every_pair_of_types_has_a_codec() {
    for version in ENTERPRISE {
        for mapping in mappings(&all(version)) {
            RowShaper::compile(mapping, ShaperContext::default()).unwrap();
        }
    }
}

#[test]
fn workspace_prefixes_go_from_exactly_these_columns() {
    let strip = |version: &str| {
        outputs(&all(version), |_, from| matches!(from, Production::StripWorkspace { .. }).then(String::new))
    };
    let at_2_8 = [
        "application_instances.composite_id",
        "applications.custom_id",
        "consumer_groups.name",
        "consumers.username_lower",
        "developers.custom_id",
        "developers.email",
        "document_objects.path",
        "files.path",
        "keyauth_enc_credentials.key",
        "legacy_files.name",
        "rbac_roles.name",
        "rbac_users.name",
    ];
    assert_eq!(beyond_open_source("2.8-enterprise", strip), columns(&at_2_8));
    let mut at_3_3 = columns(&at_2_8);
    at_3_3.insert("konnect_applications.client_id".to_owned());
    assert_eq!(beyond_open_source("3.3-enterprise", strip), at_3_3);
}

#[test]
fn expiry_is_read_from_these_columns() {
    let expiry = |version: &str| {
        outputs(&all(version), |mapping, from| match from {
            Production::ExpiresAt { of, others } => {
                let items = std::iter::once(of).chain(others).map(|item| item_name(mapping, *item));
                Some(format!(" = {}", items.collect::<Vec<_>>().join(", ")))
            }
            _ => None,
        })
    };
    let at_2_8 = [
        "audit_objects.ttl = ttl(request_id), ttl(dao_name), ttl(operation)",
        "audit_requests.ttl = ttl(request_timestamp), ttl(client_ip), ttl(path), ttl(method), ttl(status)",
        "login_attempts.ttl = ttl(created_at)",
    ];
    assert_eq!(beyond_open_source("2.8-enterprise", expiry), columns(&at_2_8));
    let mut at_3_3 = columns(&at_2_8);
    at_3_3.insert("keyauth_enc_credentials.ttl = ttl(created_at), ttl(key), ttl(consumer_id)".to_owned());
    assert_eq!(beyond_open_source("3.3-enterprise", expiry), at_3_3);
}

#[test]
fn rows_without_these_cells_are_ghosts() {
    let required = |version: &str| -> Vec<String> {
        mappings(&all(version))
            .into_iter()
            .filter(|mapping| !mapping.required.is_empty())
            .map(|mapping| {
                let names: Vec<_> = mapping.required.iter().map(|item| item_name(mapping, *item)).collect();
                format!("{}: {}", mapping.table, names.join(", "))
            })
            .collect()
    };
    for version in ENTERPRISE {
        assert_eq!(
            beyond_open_source(version, required),
            columns(&[
                "audit_objects: dao_name, operation",
                "audit_requests: client_ip, path, method, status",
                "keyauth_enc_credentials: key, consumer_id",
                "login_attempts: created_at",
            ])
        );
    }
}

#[test]
fn null_becomes_what_kong_takes_it_for() {
    let defaults = |version: &str| {
        outputs(&all(version), |_, from| match from {
            Production::Default { value, .. } => Some(format!(" = {value}")),
            _ => None,
        })
    };
    for version in ENTERPRISE {
        assert_eq!(
            beyond_open_source(version, defaults),
            columns(&[
                "application_instances.suspended = false",
                "consumers.type = 0",
                "event_hooks.config = {}",
                "legacy_files.auth = true",
                "license_data.month = 0",
                "license_data.year = 0",
                "rbac_role_endpoints.negative = false",
                "rbac_role_entities.negative = false",
            ])
        );
    }
}

#[test]
fn cache_keys_and_constants_of_enterprise() {
    let cache_keys = |version: &str| {
        outputs(&all(version), |mapping, from| match from {
            Production::CacheKey { head, parts, .. } => {
                let parts =
                    parts.iter().map(|part| part.map_or("", |output| &mapping.outputs[output].column));
                Some(format!(" = {head}:{}", parts.collect::<Vec<_>>().join(":")))
            }
            _ => None,
        })
    };
    let constants = |version: &str| -> Vec<String> {
        let decisions = all(version);
        let mappings = mappings(&decisions).into_iter();
        mappings
            .flat_map(|mapping| {
                mapping
                    .constants
                    .iter()
                    .map(|(item, value)| format!("{}.{} = {value}", mapping.table, item_name(mapping, *item)))
            })
            .collect()
    };
    for version in ENTERPRISE {
        assert_eq!(
            beyond_open_source(version, cache_keys),
            columns(&[
                "consumer_group_plugins.cache_key = \
                 consumer_group_plugins:consumer_group_id:name::::ws_id",
                "mtls_auth_credentials.cache_key = \
                 mtls_auth_credentials:subject_name:ca_certificate_id::::ws_id",
            ])
        );
        assert_eq!(
            beyond_open_source(version, constants),
            columns(&[
                "degraphql_routes.partition = degraphql_routes",
                "graphql_ratelimiting_advanced_cost_decoration.partition = \
                 graphql_ratelimiting_advanced_cost_decoration",
                "licenses.partition = licenses",
            ])
        );
    }
    // In no workspace: the key ends with a colon, and must not be taken for an old form.
    let decisions = all("3.3-enterprise");
    let consumers = mapping(&decisions, "consumer_group_consumers");
    let cache_key = consumers.outputs.iter().find(|output| output.column == "cache_key").unwrap();
    assert!(matches!(cache_key.from, Production::Copy { .. }));
}

#[test]
fn the_active_key_is_folded_into_its_state() {
    for version in ENTERPRISE {
        let decisions = all(version);
        let mapping: &TableMapping = mapping(&decisions, "keyring_meta");
        let state = mapping.outputs.iter().find(|output| output.column == "state").unwrap();
        let Production::KeyringState { id, state } = state.from else { panic!("{state:?}") };
        assert_eq!((item_name(mapping, id), item_name(mapping, state)), ("id".into(), "state".into()));
    }
}

#[test]
fn both_layouts_of_vault_auth_vaults_fit() {
    let maps = MapSet::built_in().unwrap();
    let (mut source, target) = catalogs("3.3-enterprise");
    let decisions = decide(&maps, &source, &target, &Choice::default()).unwrap();
    let with_partition = mapping(&decisions, "vault_auth_vaults").clone();
    assert_eq!(with_partition.notes, ["partition: not carried"]);
    assert_eq!(with_partition.constants, []);
    let table = source.tables.get_mut("vault_auth_vaults").unwrap();
    table.columns.retain(|column| column.name != "partition");
    for column in table.columns.iter_mut().filter(|column| column.name == "id") {
        column.kind = ColumnKind::PartitionKey;
    }
    let decisions = decide(&maps, &source, &target, &Choice::default()).unwrap();
    let plain = mapping(&decisions, "vault_auth_vaults");
    assert_eq!(plain.notes, [""; 0]);
    assert_eq!(plain.outputs.len(), with_partition.outputs.len());
}

#[test]
fn a_vault_auth_vaults_of_enterprise_is_not_given_up() {
    let maps = MapSet::built_in().unwrap();
    let (source, mut target) = catalogs("3.3-enterprise");
    target.tables.remove("vault_auth_vaults");
    let text = decide(&maps, &source, &target, &Choice::default()).unwrap_err().report();
    assert!(text.contains("vault_auth_vaults: the target does not have it"), "{text}");
    assert!(text.contains("without the plugin vault-auth"), "{text}");
}

#[test]
fn vaults_of_2_8_left_on_3_x_are_listed() {
    let maps = MapSet::built_in().unwrap();
    let (mut source, target) = catalogs("3.3-enterprise");
    let (older, _) = catalogs("2.8-enterprise");
    source.tables.insert("vaults".to_owned(), older.tables["vaults"].clone());
    let decisions = decide(&maps, &source, &target, &Choice::default()).unwrap();
    assert!(copied(&decisions).iter().all(|table| *table != "vaults"));
}

#[test]
fn tables_that_old_enterprise_versions_left_are_listed() {
    let maps = MapSet::built_in().unwrap();
    let (mut source, target) = catalogs("3.3-enterprise");
    let leftovers = [
        "consumer_statuses",
        "consumer_types",
        "consumers_rbac_users_map",
        "license_data_tmp",
        "license_data_tmp_2600_to_2700",
        "portal_files",
        "portal_reset_secrets",
        "token_statuses",
    ];
    for table in leftovers {
        source.tables.insert(table.to_owned(), source.tables["consumers"].clone());
    }
    let decisions = decide(&maps, &source, &target, &Choice::default()).unwrap();
    let listed: Vec<_> = decisions
        .iter()
        .filter(|decision| {
            matches!(&decision.action, Decided::Skip { reason, .. } if reason.starts_with("left behind"))
        })
        .map(|decision| decision.table.as_str())
        .collect();
    assert_eq!(listed, leftovers);
}

#[test]
fn an_enterprise_source_needs_an_enterprise_target() {
    for version in VERSIONS {
        let (source, _) = catalogs(&format!("{version}-enterprise"));
        let (_, target) = catalogs(version);
        let maps = MapSet::built_in().unwrap();
        let text = decide(&maps, &source, &target, &Choice::default()).unwrap_err().report();
        assert!(
            text.contains("rbac_users: the target does not have it; it belongs to Kong Enterprise"),
            "{text}"
        );
        assert!(text.contains("consumers.username_lower: the target does not have it"), "{text}");
    }
}

#[test]
fn an_open_source_estate_fits_an_enterprise_target() {
    for version in VERSIONS {
        let (source, _) = catalogs(version);
        let (_, target) = catalogs(&format!("{version}-enterprise"));
        let maps = MapSet::built_in().unwrap();
        let decisions = decide(&maps, &source, &target, &Choice::default()).unwrap();
        let consumers = mapping(&decisions, "consumers");
        assert!(consumers.notes.contains(&"type: the source does not have it; becomes 0".to_owned()));
        assert!(consumers.outputs.iter().any(|output| output.column == "type"));
    }
}

/// Columns and tables that Enterprise versions before 2.8 lack.
#[test]
fn older_versions_fit_too() {
    let younger = [
        ("consumers", "username_lower"),
        ("admins", "username_lower"),
        ("mtls_auth_credentials", "tags"),
        ("license_data", "year"),
        ("license_data", "month"),
    ];
    let maps = MapSet::built_in().unwrap();
    let (mut source, mut target) = catalogs("2.8-enterprise");
    for table in ["licenses", "consumer_groups", "consumer_group_plugins", "consumer_group_consumers"] {
        source.tables.remove(table);
        target.tables.remove(table);
    }
    for (table, column) in younger {
        source.tables.get_mut(table).unwrap().columns.retain(|known| known.name != column);
        target.tables.get_mut(table).unwrap().columns.retain(|known| known.name != column);
    }
    // The prefix and the column come from 2.1 and 2.2.
    let ws_id = source::Column { name: "ws_id".to_owned(), ty: CqlType::Uuid, kind: ColumnKind::Regular };
    source.tables.get_mut("legacy_files").unwrap().columns.push(ws_id);
    let include = maps.include_words().into_iter().map(str::to_owned).collect();
    let decisions = decide(&maps, &source, &target, &Choice { include, ..Choice::default() }).unwrap();
    assert_eq!(mapping(&decisions, "legacy_files").notes, ["ws_id: not carried"]);
    assert_eq!(mapping(&decisions, "license_data").outputs.len(), 3);
}

#[test]
fn keys_that_expire_with_the_table_are_noted() {
    let of = |version| mapping(&plain(version), "keyauth_enc_credentials").notes.clone();
    assert_eq!(of("2.8-enterprise"), [""; 0]);
    let notes = of("3.3-enterprise");
    assert!(
        notes[0].starts_with("ttl: rows created without a lifetime have the source table's own, 1209600"),
        "{notes:?}"
    );

    // A target without the column cannot take keys that expire.
    let maps = MapSet::built_in().unwrap();
    let (source, mut target) = catalogs("3.3-enterprise");
    target.tables.get_mut("keyauth_enc_credentials").unwrap().columns.retain(|column| column.name != "ttl");
    let text = decide(&maps, &source, &target, &Choice::default()).unwrap_err().report();
    assert!(text.contains("keyauth_enc_credentials.ttl: the target has no such column"), "{text}");
}
