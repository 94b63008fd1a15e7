//! Whole runs onto a target that has what bootstrap of Kong Enterprise makes beyond the open-source tables.

use kongferry::estate::KongVersion;

use crate::support::database::{self, Database};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Run, kongferry};
use crate::support::{run, unique};

const VERSION: KongVersion = KongVersion::V2_8;

/// Tables that the open-source estate lacks; their bootstrap rows stay, in another workspace.
const ENTERPRISE: &str = "
    CREATE TABLE rbac_roles (id uuid PRIMARY KEY, name text NOT NULL, is_default boolean DEFAULT false,
                             ws_id uuid REFERENCES workspaces (id));
    CREATE TABLE workspace_entities (workspace_id uuid, entity_id text, unique_field_value text);
    CREATE TABLE workspace_entity_counters (workspace_id uuid REFERENCES workspaces (id) ON DELETE CASCADE,
        entity_type text, count integer, PRIMARY KEY (workspace_id, entity_type));
    INSERT INTO rbac_roles SELECT md5(role)::uuid, role, false, id
        FROM workspaces, unnest(ARRAY['read-only', 'admin', 'super-admin']) role;
    INSERT INTO workspace_entities SELECT ws_id, id, name FROM rbac_roles;
    INSERT INTO workspace_entity_counters SELECT id, 'services', 12 FROM workspaces;
    DO $$ BEGIN
        EXECUTE format('ALTER TABLE rbac_roles ALTER ws_id SET DEFAULT %L', (SELECT id FROM workspaces));
    END $$";

const DEFAULT: &str =
    "SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'rbac_roles'::regclass
                       AND pg_get_expr(adbin, adrelid) LIKE '%uuid'";

fn migrate(source: &Keyspace, target: &str, more: &[&str]) -> Run {
    kongferry(&[&["migrate", "--source", &source.url(), "--target", target], more].concat())
}

async fn enterprise(line: &str) -> Database {
    let target = database::fresh(line, VERSION).await;
    target.execute(ENTERPRISE).await;
    target
}

#[test]
fn defaults_roles_and_counters_follow_the_source() {
    run(async {
        for (cassandra, postgres) in [("5.0", "16"), ("3.11", "9.6")] {
            let source = keyspace::filled(cassandra, VERSION).await;
            let target = enterprise(postgres).await;
            let migrated = migrate(source, &target.url(), &[]);
            migrated.exits(0).prints(&["the counts of both sides agree"]);
            migrated.complains_of(&["rbac_roles.ws_id", "workspace_entity_counters"]);
            let id = source.default_workspace;
            assert_eq!(target.texts(DEFAULT).await, [format!("'{id}'::uuid")]);
            let owners = "SELECT ws_id::text FROM rbac_roles";
            assert_eq!(target.texts(owners).await, [id.to_string(), id.to_string(), id.to_string()]);
            assert_eq!(target.count("workspace_entities").await, 0);

            let mut expected = Vec::new();
            let tables = "SELECT table_name::text FROM information_schema.columns
                          WHERE table_schema = 'public' AND column_name = 'ws_id'";
            for table in target.texts(tables).await {
                if !["rbac_roles", "oauth2_tokens"].contains(&table.as_str()) {
                    let counts = format!(
                        "SELECT ws_id || ' {table} ' || count(*) FROM {table} WHERE ws_id IS NOT NULL GROUP BY ws_id"
                    );
                    expected.extend(target.texts(&counts).await);
                }
            }
            expected.sort();
            let found =
                "SELECT workspace_id || ' ' || entity_type || ' ' || count FROM workspace_entity_counters";
            let mut found = target.texts(found).await;
            found.sort();
            assert_eq!(found, expected);
            assert!(expected.len() > 20, "an estate with hardly anything proves nothing: {expected:?}");
            target.remove().await;
        }
    });
}

#[test]
fn a_role_that_does_not_own_the_tables_is_refused_before_a_row_moves() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = enterprise("16").await;
        let role = unique("loader");
        target
            .execute(&format!(
                "CREATE ROLE {role} LOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; GRANT USAGE ON SCHEMA public TO {role}"
            ))
            .await;
        target.execute(&format!("GRANT CREATE ON DATABASE {} TO {role}", target.name)).await;
        let before = target.content().await;
        let url = format!("postgres://{role}@127.0.0.1:{}/{}", target.server.port, target.name);
        let refused = migrate(source, &url, &[]);
        refused.exits(3).complains_of(&["is not the owner of rbac_roles", "GRANT"]);
        assert_eq!(before, target.content().await);
        // Open-source tables have no such defaults: then nobody needs to own anything.
        target.execute("ALTER TABLE rbac_roles ALTER ws_id DROP DEFAULT").await;
        let refused = migrate(source, &url, &[]);
        refused.exits(3).complains_of(&["owner", "--keep-constraints"]);
        migrate(source, &url, &["--keep-constraints"]).exits(0);
        target.execute(&format!("DROP OWNED BY {role}; DROP ROLE {role}")).await;
        target.remove().await;
    });
}

#[test]
fn workspaces_that_cannot_take_the_place_of_the_targets() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = enterprise("16").await;
        let before = target.content().await;
        migrate(source, &target.url(), &["--skip-tables", "workspaces"])
            .exits(3)
            .complains_of(&["workspaces is not copied", "consumers"]);
        let without = keyspace::empty("5.0", VERSION, "no_default", None).await;
        without.execute("TRUNCATE {ks}.workspaces", ()).await;
        migrate(&without, &target.url(), &[]).exits(3).complains_of(&["no workspace named default"]);
        assert_eq!(before, target.content().await);

        // A workspace that PostgreSQL refuses: named, and the bootstrap rows are still there.
        let twice = keyspace::empty("5.0", VERSION, "twice", None).await;
        for id in ["11111111-0000-4000-8000-000000000001", "11111111-0000-4000-8000-000000000002"] {
            twice.insert("workspaces", &serde_json::json!({ "id": id, "name": "value-marker" }), None).await;
        }
        migrate(&twice, &target.url(), &[])
            .exits(8)
            .complains_of(&["workspaces", "11111111-0000-4000-8000-00000000000", "as before"])
            .keeps_quiet_about(&["value-marker"]);
        assert_eq!(before, target.content().await);
        target.remove().await;
    });
}
