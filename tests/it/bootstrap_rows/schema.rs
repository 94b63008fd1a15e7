//! A small Enterprise schema as bootstrap leaves it: the tables with bootstrap rows, and one of each kind beside them.

use std::collections::BTreeSet;

use kongferry::target::{Target, TargetConfig};
use tokio_postgres::Client;

use crate::target_database::Database;

/// Id of the target's default workspace.
pub const TARGET_DEFAULT: &str = "0d0d0d0d-0000-4000-8000-000000000001";

/// Tables that are not copied.
const SKIPPED: [&str; 5] =
    ["license_data", "tags", "vitals_locks", "workspace_entities", "workspace_entity_counters"];

const TABLES: &str = r#"
    CREATE SCHEMA "Kong E";
    SET search_path = "Kong E";
    CREATE TABLE schema_meta (key text, subsystem text, PRIMARY KEY (key, subsystem));
    CREATE TABLE workspaces (id uuid PRIMARY KEY, name text UNIQUE, meta jsonb);
    CREATE TABLE parameters (key text PRIMARY KEY, value text NOT NULL);
    CREATE TABLE tags (entity_id uuid PRIMARY KEY, entity_name text, tags text[]);
    CREATE TABLE consumers (
        id uuid PRIMARY KEY, ws_id uuid REFERENCES workspaces (id), username text, type integer NOT NULL DEFAULT 0,
        UNIQUE (id, ws_id), UNIQUE (ws_id, username));
    CREATE TABLE basicauth_credentials (
        id uuid PRIMARY KEY, ws_id uuid REFERENCES workspaces (id), consumer_id uuid, username text, password text,
        FOREIGN KEY (consumer_id, ws_id) REFERENCES consumers (id, ws_id) ON DELETE CASCADE, UNIQUE (ws_id, username));
    CREATE TABLE rbac_users (
        id uuid PRIMARY KEY, name text NOT NULL, user_token text NOT NULL UNIQUE, user_token_ident text,
        ws_id uuid REFERENCES workspaces (id), UNIQUE (id, ws_id), UNIQUE (ws_id, name));
    CREATE TABLE rbac_roles (
        id uuid PRIMARY KEY, name text NOT NULL, is_default boolean DEFAULT false, ws_id uuid REFERENCES workspaces (id),
        UNIQUE (id, ws_id), UNIQUE (ws_id, name));
    CREATE TABLE rbac_user_roles (
        user_id uuid REFERENCES rbac_users (id) ON DELETE CASCADE, role_id uuid REFERENCES rbac_roles (id) ON DELETE CASCADE,
        PRIMARY KEY (user_id, role_id));
    CREATE TABLE rbac_role_endpoints (
        role_id uuid REFERENCES rbac_roles (id) ON DELETE CASCADE, workspace text, endpoint text, actions smallint NOT NULL,
        negative boolean NOT NULL, PRIMARY KEY (role_id, workspace, endpoint));
    CREATE TABLE rbac_role_entities (
        role_id uuid REFERENCES rbac_roles (id) ON DELETE CASCADE, entity_id text, PRIMARY KEY (role_id, entity_id));
    CREATE TABLE admins (
        id uuid PRIMARY KEY, username text UNIQUE, consumer_id uuid REFERENCES consumers (id),
        rbac_user_id uuid REFERENCES rbac_users (id));
    CREATE TABLE developers (
        id uuid PRIMARY KEY, consumer_id uuid, ws_id uuid REFERENCES workspaces (id),
        FOREIGN KEY (consumer_id, ws_id) REFERENCES consumers (id, ws_id));
    CREATE TABLE files (id uuid PRIMARY KEY, path text, ws_id uuid REFERENCES workspaces (id));
    CREATE TABLE "Odd Things" (id uuid PRIMARY KEY, "Ws Id" uuid);
    CREATE TABLE oauth2_tokens (id uuid PRIMARY KEY, ws_id uuid REFERENCES workspaces (id));
    CREATE TABLE oic_jwks (id uuid PRIMARY KEY, jwks jsonb);
    CREATE TABLE workspace_entities (
        workspace_id uuid, entity_id text, unique_field_name text, unique_field_value text,
        PRIMARY KEY (workspace_id, entity_id, unique_field_name));
    CREATE TABLE workspace_entity_counters (
        workspace_id uuid REFERENCES workspaces (id) ON DELETE CASCADE, entity_type text, count integer,
        PRIMARY KEY (workspace_id, entity_type));
    CREATE TABLE vitals_locks (key text PRIMARY KEY, expiry timestamptz);
    CREATE TABLE license_data (node_id uuid, req_cnt bigint);
    CREATE FUNCTION sync_tags() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        IF TG_OP = 'DELETE' THEN
            DELETE FROM tags WHERE entity_id = OLD.id;
        ELSE
            INSERT INTO tags VALUES (NEW.id, TG_TABLE_NAME, NULL) ON CONFLICT (entity_id) DO UPDATE SET tags = NULL;
        END IF;
        RETURN NULL;
    END $$;
    CREATE TRIGGER consumers_sync_tags AFTER INSERT OR UPDATE OR DELETE ON consumers
        FOR EACH ROW EXECUTE PROCEDURE sync_tags();
    CREATE TRIGGER basicauth_sync_tags AFTER INSERT OR UPDATE OR DELETE ON basicauth_credentials
        FOR EACH ROW EXECUTE PROCEDURE sync_tags();
    ALTER TABLE rbac_users ALTER ws_id SET DEFAULT '0d0d0d0d-0000-4000-8000-000000000001';
    ALTER TABLE rbac_roles ALTER ws_id SET DEFAULT '0d0d0d0d-0000-4000-8000-000000000001';
    ALTER TABLE developers ALTER ws_id SET DEFAULT '0d0d0d0d-0000-4000-8000-000000000001';
    ALTER TABLE files ALTER ws_id SET DEFAULT '0d0d0d0d-0000-4000-8000-000000000001';
    ALTER TABLE "Odd Things" ALTER "Ws Id" SET DEFAULT '0d0d0d0d-0000-4000-8000-000000000001';
    ALTER TABLE "Odd Things" ALTER id SET DEFAULT '99999999-0000-4000-8000-000000000009';
"#;

const ROWS: &str = r#"
    SET search_path = "Kong E";
    INSERT INTO schema_meta VALUES ('schema_meta', 'core');
    INSERT INTO workspaces VALUES ('0d0d0d0d-0000-4000-8000-000000000001', 'default', NULL);
    INSERT INTO parameters VALUES ('cluster_id', 'ffffffff-0000-4000-8000-000000000000');
    INSERT INTO oic_jwks VALUES ('c3cfba2d-1617-453f-a416-52e6edb5f9a0', '{"keys": []}');
    INSERT INTO vitals_locks VALUES ('delete_status_codes', NULL);
    INSERT INTO rbac_roles (id, name) VALUES ('aaaaaaaa-0000-4000-8000-000000000001', 'read-only'),
        ('aaaaaaaa-0000-4000-8000-000000000002', 'admin'), ('aaaaaaaa-0000-4000-8000-000000000003', 'super-admin');
    INSERT INTO rbac_role_endpoints VALUES
        ('aaaaaaaa-0000-4000-8000-000000000001', '*', '*', 1, false),
        ('aaaaaaaa-0000-4000-8000-000000000002', '*', '*', 15, false),
        ('aaaaaaaa-0000-4000-8000-000000000002', '*', '/rbac/*', 15, true),
        ('aaaaaaaa-0000-4000-8000-000000000002', '*', '/rbac/*/*', 15, true),
        ('aaaaaaaa-0000-4000-8000-000000000002', '*', '/rbac/*/*/*', 15, true),
        ('aaaaaaaa-0000-4000-8000-000000000002', '*', '/rbac/*/*/*/*', 15, true),
        ('aaaaaaaa-0000-4000-8000-000000000002', '*', '/rbac/*/*/*/*/*', 15, true),
        ('aaaaaaaa-0000-4000-8000-000000000003', '*', '*', 15, false);
    INSERT INTO workspace_entities
        SELECT '0d0d0d0d-0000-4000-8000-000000000001', id::text, f, name FROM rbac_roles, unnest(ARRAY['id', 'name']) f;
"#;

/// What `KONG_PASSWORD` adds.
const OF_KONG_ADMIN: &str = r#"
    SET search_path = "Kong E";
    INSERT INTO rbac_users (id, name, user_token) VALUES ('bbbbbbbb-0000-4000-8000-000000000001', 'kong_admin', 'plain-marker');
    INSERT INTO rbac_roles (id, name, is_default) VALUES ('aaaaaaaa-0000-4000-8000-000000000004', 'kong_admin', true);
    INSERT INTO rbac_user_roles SELECT 'bbbbbbbb-0000-4000-8000-000000000001', id FROM rbac_roles
        WHERE name IN ('super-admin', 'kong_admin');
    INSERT INTO consumers (id, ws_id, username, type)
        SELECT 'cccccccc-0000-4000-8000-000000000001', id, 'kong_admin_ADMIN_', 2 FROM workspaces;
    INSERT INTO basicauth_credentials (id, ws_id, consumer_id, username, password)
        SELECT 'dddddddd-0000-4000-8000-000000000001', ws_id, id, 'kong_admin', 'sha1' FROM consumers;
    INSERT INTO admins VALUES ('eeeeeeee-0000-4000-8000-000000000001', 'kong_admin',
        'cccccccc-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000001');
    INSERT INTO workspace_entities
        VALUES ('0d0d0d0d-0000-4000-8000-000000000001', 'bbbbbbbb-0000-4000-8000-000000000001', 'user_token', 'plain-marker');
"#;

/// A bootstrapped target, with or without `KONG_PASSWORD`.
pub async fn bootstrapped(version: &str, password: bool) -> Database {
    let sql = format!("{TABLES} {ROWS} {}", if password { OF_KONG_ADMIN } else { "" });
    Database::create(version, &sql).await
}

/// The target as a superuser sees it.
pub async fn target(database: &Database) -> Target {
    connect(&database.url()).await
}

/// The target under a URL.
pub async fn connect(url: &str) -> Target {
    Target::connect(&TargetConfig::from_url(&format!("{url}?schema=Kong%20E")).unwrap()).await.unwrap()
}

/// A superuser's connection that works in the schema.
pub async fn admin(database: &Database) -> Client {
    let admin = database.admin().await;
    admin.batch_execute("SET search_path = \"Kong E\"").await.unwrap();
    admin
}

/// Names of tables.
pub fn names(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// The tables that are not copied.
pub fn skipped() -> BTreeSet<String> {
    names(&SKIPPED)
}

/// The tables that are copied.
pub async fn copied(target: &Target) -> BTreeSet<String> {
    let mut tables: BTreeSet<String> = target.catalog().await.unwrap().tables.into_keys().collect();
    for skipped in skipped().iter().map(String::as_str).chain(["schema_meta"]) {
        tables.remove(skipped);
    }
    tables
}

/// All rows of all tables and all column defaults, to see what changed.
pub async fn contents(admin: &Client) -> String {
    let sql = "SELECT database_to_xml(true, false, '')::text || (
        SELECT string_agg(attrelid::regclass || '.' || attname || ' ' || pg_get_expr(d.adbin, d.adrelid), E'\\n'
                          ORDER BY attrelid, attnum)
        FROM pg_attribute a JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum))";
    admin.query_one(sql, &[]).await.unwrap().get(0)
}

/// The texts of the first column.
pub async fn texts(admin: &Client, sql: &str) -> Vec<String> {
    let rows = admin.query(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
    rows.iter().map(|row| row.get(0)).collect()
}
