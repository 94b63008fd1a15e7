//! What the built-in maps do with every table and column of Kong 2.8 and 3.3.

use std::collections::BTreeSet;

use crate::schema_map::{Choice, Decided, Decision, MapSet, Production, TableMapping, decide};
use crate::source::SelectItem;

use super::catalogs::{VERSIONS, catalogs, editions};
use super::{copied, mapping};

/// Decisions with everything included that can be.
pub(super) fn all(version: &str) -> Vec<Decision> {
    let maps = MapSet::built_in().unwrap();
    let (source, target) = catalogs(version);
    let include = maps.include_words().into_iter().map(str::to_owned).collect();
    decide(&maps, &source, &target, &Choice { include, ..Choice::default() }).unwrap()
}

pub(super) fn mappings(decisions: &[Decision]) -> Vec<&TableMapping> {
    copied(decisions).into_iter().map(|table| mapping(decisions, table)).collect()
}

/// `table.column` of every output whose production `of` recognises, with what it says of it.
pub(super) fn outputs(
    decisions: &[Decision],
    of: impl Fn(&TableMapping, &Production) -> Option<String>,
) -> Vec<String> {
    let mut found = Vec::new();
    for mapping in mappings(decisions) {
        for output in &mapping.outputs {
            if let Some(says) = of(mapping, &output.from) {
                found.push(format!("{}.{}{says}", mapping.table, output.column));
            }
        }
    }
    found
}

pub(super) fn item_name(mapping: &TableMapping, item: usize) -> String {
    match &mapping.selection.items[item] {
        SelectItem::Column(name) => name.clone(),
        SelectItem::Ttl(name) => format!("ttl({name})"),
        SelectItem::WriteTime(name) => format!("writetime({name})"),
    }
}

#[test]
fn every_table_is_decided() {
    let skipped_always = ["locks", "schema_meta", "tags", "ttls"];
    for version in VERSIONS {
        let (source, target) = catalogs(version);
        let decisions = all(version);
        let decided: BTreeSet<_> = decisions.iter().map(|decision| decision.table.clone()).collect();
        let tables: BTreeSet<_> = source.tables.keys().chain(target.tables.keys()).cloned().collect();
        assert_eq!(decided, tables);
        let skipped: Vec<_> = decisions
            .iter()
            .filter(|decision| matches!(decision.action, Decided::Skip { .. }))
            .map(|decision| decision.table.as_str())
            .collect();
        let mut expected = skipped_always.to_vec();
        expected.extend((version == "3.3").then_some("vault_auth_vaults"));
        assert_eq!(skipped, expected, "Kong {version}");
    }
}

#[test]
fn without_a_word_throw_away_tables_stay_behind() {
    let maps = MapSet::built_in().unwrap();
    let (source, target) = catalogs("2.8");
    let decisions = decide(&maps, &source, &target, &Choice::default()).unwrap();
    assert_eq!(
        copied(&decisions),
        [
            "acls",
            "acme_storage",
            "basicauth_credentials",
            "ca_certificates",
            "certificates",
            "consumers",
            "hmacauth_credentials",
            "jwt_secrets",
            "keyauth_credentials",
            "oauth2_credentials",
            "oauth2_tokens",
            "parameters",
            "plugins",
            "routes",
            "services",
            "snis",
            "targets",
            "upstreams",
            "vaults_beta",
            "workspaces",
        ]
    );
    let merged =
        decisions.iter().filter(|decision| matches!(decision.action, Decided::Copy { merge: true, .. }));
    assert_eq!(
        merged.map(|decision| decision.table.as_str()).collect::<Vec<_>>(),
        ["parameters", "workspaces"]
    );
}

#[test]
fn every_column_is_used() {
    for version in editions() {
        let (source, target) = catalogs(version);
        for mapping in mappings(&all(version)) {
            let table = &mapping.table;
            assert_eq!(mapping.selection.items.len(), mapping.types.len());
            let read: BTreeSet<_> = mapping
                .selection
                .items
                .iter()
                .filter_map(|item| match item {
                    SelectItem::Column(name) => Some(name.as_str()),
                    SelectItem::Ttl(_) | SelectItem::WriteTime(_) => None,
                })
                .collect();
            let unread: Vec<_> = source.tables[table]
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .filter(|name| !read.contains(name))
                .collect();
            let expected: &[&str] = match table.as_str() {
                "plugins" => &["run_on"],
                "audit_requests" => &["expire"],
                _ => &[],
            };
            assert_eq!(unread, expected, "{table} of Kong {version}");

            let written: Vec<_> = mapping.outputs.iter().map(|output| output.column.as_str()).collect();
            let expected: Vec<_> = target.tables[table]
                .columns
                .iter()
                .map(|column| column.name.as_str())
                .filter(|name| (table.as_str(), *name) != ("ratelimiting_metrics", "ttl"))
                .collect();
            assert_eq!(written, expected, "{table} of Kong {version}");
        }
    }
}

#[test]
fn every_read_column_reaches_an_output() {
    for version in editions() {
        for mapping in mappings(&all(version)) {
            let mut used: BTreeSet<usize> = mapping.constants.iter().map(|(item, _)| *item).collect();
            for output in &mapping.outputs {
                match &output.from {
                    Production::Copy { item }
                    | Production::StripWorkspace { item }
                    | Production::Timestamp { item, .. }
                    | Production::Workspace { item }
                    | Production::CacheKey { item, .. } => {
                        assert_eq!(item_name(mapping, *item), output.column);
                        used.insert(*item);
                    }
                    Production::Default { item, .. } => used.extend(item),
                    Production::KeyringState { id, state } => used.extend([id, state]),
                    Production::ExpiresAt { of, others } => {
                        used.insert(*of);
                        used.extend(others);
                    }
                }
            }
            // A key column that is not carried is read all the same: it names the row.
            used.extend(&mapping.key);
            assert_eq!(used.len(), mapping.selection.items.len(), "{} of Kong {version}", mapping.table);
        }
    }
}

#[test]
fn keys_of_the_source_name_a_row() {
    let decisions = all("2.8");
    let key = |table: &str| -> Vec<String> {
        let mapping = mapping(&decisions, table);
        mapping.key.iter().map(|item| item_name(mapping, *item)).collect()
    };
    assert_eq!(key("consumers"), ["id"]);
    assert_eq!(key("routes"), ["partition", "id"]);
    assert_eq!(key("parameters"), ["key"]);
    assert_eq!(key("cluster_events"), ["channel", "at", "node_id", "id"]);
}

#[test]
fn workspace_prefixes_go_from_exactly_these_columns() {
    let strip = |version| {
        outputs(&all(version), |_, from| matches!(from, Production::StripWorkspace { .. }).then(String::new))
    };
    let at_2_8 = [
        "basicauth_credentials.username",
        "consumers.custom_id",
        "consumers.username",
        "hmacauth_credentials.username",
        "jwt_secrets.key",
        "keyauth_credentials.key",
        "oauth2_authorization_codes.code",
        "oauth2_credentials.client_id",
        "oauth2_tokens.access_token",
        "oauth2_tokens.refresh_token",
        "routes.name",
        "services.name",
        "upstreams.name",
    ];
    let as_set = |columns: &[String]| columns.iter().cloned().collect::<BTreeSet<_>>();
    let expected: BTreeSet<_> = at_2_8.into_iter().map(str::to_owned).collect();
    assert_eq!(as_set(&strip("2.8")), expected);
    let newer = ["key_sets.name", "keys.name", "plugins.instance_name"].map(str::to_owned);
    assert_eq!(as_set(&strip("3.3")), expected.into_iter().chain(newer).collect());
}

#[test]
fn expiry_is_read_from_the_column_that_kong_reads() {
    let expected = [
        "acme_storage.ttl = ttl(key), ttl(value)",
        "cluster_events.expire_at = ttl(data)",
        "clustering_data_planes.ttl = ttl(last_seen), ttl(hostname), ttl(ip), ttl(config_hash)",
        "keyauth_credentials.ttl = ttl(created_at), ttl(key), ttl(consumer_id)",
        "oauth2_authorization_codes.ttl = ttl(created_at), ttl(credential_id), ttl(code)",
        "oauth2_tokens.ttl = ttl(created_at), ttl(credential_id), ttl(access_token)",
        "sessions.ttl = ttl(session_id)",
    ];
    for version in VERSIONS {
        let found = outputs(&all(version), |mapping, from| match from {
            Production::ExpiresAt { of, others } => {
                let items = std::iter::once(of).chain(others).map(|item| item_name(mapping, *item));
                Some(format!(" = {}", items.collect::<Vec<_>>().join(", ")))
            }
            _ => None,
        });
        assert_eq!(found, expected);
    }
}

#[test]
fn rows_without_these_cells_are_ghosts() {
    let decisions = all("3.3");
    let found: Vec<_> = mappings(&decisions)
        .into_iter()
        .filter(|mapping| !mapping.required.is_empty())
        .map(|mapping| {
            let names: Vec<_> = mapping.required.iter().map(|item| item_name(mapping, *item)).collect();
            format!("{}: {}", mapping.table, names.join(", "))
        })
        .collect();
    assert_eq!(
        found,
        [
            "acme_storage: key, value",
            "clustering_data_planes: hostname, ip, config_hash",
            "keyauth_credentials: key, consumer_id",
            "oauth2_authorization_codes: credential_id, code",
            "oauth2_tokens: credential_id, access_token",
            "sessions: session_id",
        ]
    );
}

#[test]
fn cache_keys_have_their_seven_parts() {
    let found = outputs(&all("3.3"), |mapping, from| match from {
        Production::CacheKey { head, parts, .. } => {
            let parts = parts.iter().map(|part| part.map_or("", |output| &mapping.outputs[output].column));
            Some(format!(" = {head}:{}", parts.collect::<Vec<_>>().join(":")))
        }
        _ => None,
    });
    assert_eq!(
        found,
        [
            "acls.cache_key = acls:consumer_id:group::::ws_id",
            "keys.cache_key = keys:kid:set_id::::ws_id",
            "plugins.cache_key = plugins:name:route_id:service_id:consumer_id::ws_id",
            "targets.cache_key = targets:upstream_id:target::::ws_id",
        ]
    );
}

#[test]
fn constant_partitions_and_whole_seconds_and_defaults() {
    let decisions = all("3.3");
    for mapping in mappings(&decisions) {
        for (item, value) in &mapping.constants {
            assert_eq!((item_name(mapping, *item).as_str(), value), ("partition", &mapping.table));
        }
    }
    let constants = mappings(&decisions).into_iter().filter(|mapping| !mapping.constants.is_empty());
    assert_eq!(
        constants.map(|mapping| mapping.table.as_str()).collect::<Vec<_>>(),
        ["ca_certificates", "certificates", "routes", "services", "snis"]
    );
    let whole = outputs(&decisions, |_, from| {
        matches!(from, Production::Timestamp { whole_seconds: true, .. }).then(String::new)
    });
    assert_eq!(whole, ["consumers.created_at", "plugins.created_at", "upstreams.created_at"]);
    let defaults = outputs(&decisions, |_, from| match from {
        Production::Default { value, .. } => Some(format!(" = {value}")),
        _ => None,
    });
    assert_eq!(
        defaults,
        [
            "clustering_data_planes.sync_status = unknown",
            "plugins.config = {}",
            "plugins.enabled = true",
            "sm_vaults.config = {}",
            "targets.weight = 100",
            "upstreams.slots = 10000",
        ]
    );
}

#[test]
fn every_instant_is_a_timestamp_and_every_workspace_a_workspace() {
    for version in editions() {
        for mapping in mappings(&all(version)) {
            for output in &mapping.outputs {
                if output.ty.name.starts_with("timestamp") {
                    let instant =
                        matches!(output.from, Production::Timestamp { .. } | Production::ExpiresAt { .. });
                    assert_eq!(
                        instant,
                        !["period_date", "license_creation_date"].contains(&output.column.as_str()),
                        "{}.{}",
                        mapping.table,
                        output.column
                    );
                }
                let workspace = matches!(output.from, Production::Workspace { .. });
                assert_eq!(workspace, output.column == "ws_id", "{}.{}", mapping.table, output.column);
            }
        }
    }
}

/// Columns and tables that older versions lack, as far as facts about Kong tell.
#[test]
fn older_versions_fit_too() {
    let younger = [
        ("routes", "request_buffering"),
        ("routes", "response_buffering"),
        ("certificates", "cert_alt"),
        ("certificates", "key_alt"),
        ("services", "enabled"),
        ("clustering_data_planes", "version"),
        ("clustering_data_planes", "sync_status"),
        ("plugins", "run_on"),
    ];
    let maps = MapSet::built_in().unwrap();
    let (mut source, mut target) = catalogs("2.8");
    for table in ["parameters", "vaults_beta"] {
        source.tables.remove(table);
        target.tables.remove(table);
    }
    for (table, column) in younger {
        source.tables.get_mut(table).unwrap().columns.retain(|known| known.name != column);
        target.tables.get_mut(table).unwrap().columns.retain(|known| known.name != column);
    }
    let choice = Choice { include: vec!["data-planes".to_owned()], ..Choice::default() };
    let decisions = decide(&maps, &source, &target, &choice).unwrap();
    assert!(mapping(&decisions, "routes").outputs.iter().all(|output| output.column != "request_buffering"));
    assert_eq!(mapping(&decisions, "plugins").notes, [""; 0]);
}
