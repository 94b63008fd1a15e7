//! The catalog as it is read from real servers.

use std::collections::{BTreeMap, BTreeSet};

use kongferry::target::catalog::{Catalog, PgKind, UniqueKey};
use kongferry::target::{load_levels, schema_meta};

use kongferry::target::catalog::PgKind::{
    Array, Bool, Bytea, Date, Double, Inet, Int2, Int4, Int8, Interval, Json, Jsonb, Numeric, Other, Real,
    Text, Time, Timestamp, Timestamptz, Uuid, Varchar,
};

use crate::target_database::{Database, VERSIONS};

const SCHEMA: &str = r#"
    CREATE SCHEMA other;
    CREATE TABLE other.regions (id uuid PRIMARY KEY);
    CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
    CREATE TYPE mood AS ENUM ('up', 'down');
    CREATE TABLE kinds (
        a bool, b bytea, c date, d double precision, e inet, f smallint, g integer, h bigint, i interval, j json,
        k jsonb, l numeric(10,2), m real, n text, o time, p timestamp, q timestamptz, r uuid, s varchar, t varchar(40),
        u char(3), v positive, w mood, x point, y "char", z name,
        text_array text[], limited_array varchar(10)[], uuid_array uuid[], jsonb_array jsonb[], mood_array mood[],
        gone integer
    );
    ALTER TABLE kinds DROP COLUMN gone;
    CREATE TABLE workspaces (id uuid PRIMARY KEY, name text UNIQUE, created_at timestamptz DEFAULT now());
    CREATE TABLE consumers (
        id uuid, ws_id uuid NOT NULL REFERENCES workspaces (id), username text, region uuid REFERENCES other.regions,
        boss uuid, PRIMARY KEY (id), UNIQUE (id, ws_id),
        CONSTRAINT consumers_boss_fkey FOREIGN KEY (boss) REFERENCES consumers (id)
    );
    CREATE UNIQUE INDEX consumers_name_idx ON consumers (ws_id, username);
    CREATE UNIQUE INDEX consumers_partial_idx ON consumers (username) WHERE ws_id IS NULL;
    CREATE UNIQUE INDEX consumers_expression_idx ON consumers (lower(username));
    CREATE INDEX consumers_plain_idx ON consumers (username);
    CREATE TABLE "Acls" (
        "group" text, consumer_id uuid, ws_id uuid, PRIMARY KEY (ws_id, "group"),
        CONSTRAINT acls_consumer_fkey FOREIGN KEY (consumer_id, ws_id) REFERENCES consumers (id, ws_id)
            DEFERRABLE INITIALLY DEFERRED
    );
    CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
    CREATE TRIGGER acls_sync_tags AFTER INSERT ON "Acls" FOR EACH ROW EXECUTE PROCEDURE nothing();
    CREATE TRIGGER acls_off AFTER INSERT ON "Acls" FOR EACH ROW EXECUTE PROCEDURE nothing();
    ALTER TABLE "Acls" DISABLE TRIGGER acls_off;
    CREATE TABLE counted (id serial, note text DEFAULT 'x');
    CREATE VIEW seen AS SELECT 1;
"#;

fn names(columns: &[&str]) -> Vec<String> {
    columns.iter().map(|name| (*name).to_owned()).collect()
}

async fn catalog(database: &Database) -> Catalog {
    database.target().await.catalog().await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn types_are_recognised_and_others_are_other() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let catalog = catalog(&database).await;
        assert_eq!((catalog.database.as_str(), catalog.schema.as_str()), (database.name.as_str(), "public"));
        let kinds = &catalog.tables["kinds"];
        let found: Vec<PgKind> = kinds.columns[..26].iter().map(|column| column.ty.kind.clone()).collect();
        let expected = [
            Bool,
            Bytea,
            Date,
            Double,
            Inet,
            Int2,
            Int4,
            Int8,
            Interval,
            Json,
            Jsonb,
            Numeric,
            Real,
            Text,
            Time,
            Timestamp,
            Timestamptz,
            Uuid,
            Varchar(None),
            Varchar(Some(40)),
            Varchar(Some(3)),
            Other,
            Other,
            Other,
            Other,
            Other,
        ];
        assert_eq!(found, expected, "on {version}");
        assert_eq!(kinds.columns.len(), 31);
        assert_eq!(kinds.column("q").unwrap().ty.name, "timestamp with time zone");
        assert_eq!(kinds.column("l").unwrap().ty.name, "numeric(10,2)");
        assert_eq!(kinds.column("v").unwrap().ty.name, "positive");

        for (column, oid, element, kind) in [
            ("text_array", 1009, 25, Text),
            ("limited_array", 1015, 1043, Varchar(Some(10))),
            ("uuid_array", 2951, 2950, Uuid),
            ("jsonb_array", 3807, 3802, Jsonb),
        ] {
            let ty = &kinds.column(column).unwrap().ty;
            let Array(inner) = &ty.kind else { panic!("{column} is {ty:?}") };
            assert_eq!((ty.oid, inner.oid, &inner.kind), (oid, element, &kind), "{column}");
        }
        let Array(mood) = &kinds.column("mood_array").unwrap().ty.kind else { panic!("mood_array") };
        assert_eq!((mood.name.as_str(), &mood.kind), ("mood", &Other));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_and_triggers_are_read() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let catalog = catalog(&database).await;
        let tables: Vec<&str> = catalog.tables.keys().map(String::as_str).collect();
        assert_eq!(tables, ["Acls", "consumers", "counted", "kinds", "workspaces"]);
        assert!(catalog.tables.values().all(|table| table.kind == 'r'));

        let acls = &catalog.tables["Acls"];
        assert_eq!(acls.primary_key, names(&["ws_id", "group"]));
        assert!(acls.column("group").unwrap().not_null && !acls.column("consumer_id").unwrap().not_null);
        let key = &acls.foreign_keys[0];
        assert_eq!(key.columns, names(&["consumer_id", "ws_id"]));
        assert_eq!(key.parent, ("public".to_owned(), "consumers".to_owned()));
        assert_eq!(key.parent_columns, names(&["id", "ws_id"]));
        assert!(key.deferrable);
        assert_eq!(acls.triggers, [("acls_off".to_owned(), 'D'), ("acls_sync_tags".to_owned(), 'O')]);

        let consumers = &catalog.tables["consumers"];
        let unique: BTreeSet<(&str, usize)> =
            consumers.unique.iter().map(|key| (key.name.as_str(), key.columns.len())).collect();
        assert_eq!(unique, BTreeSet::from([("consumers_id_ws_id_key", 2), ("consumers_name_idx", 2)]));
        let parents: BTreeMap<&str, &(String, String)> =
            consumers.foreign_keys.iter().map(|key| (key.name.as_str(), &key.parent)).collect();
        assert_eq!(parents["consumers_region_fkey"], &("other".to_owned(), "regions".to_owned()));

        let counted = &catalog.tables["counted"];
        assert!(counted.column("id").unwrap().default.as_deref().unwrap().starts_with("nextval("));
        assert!(catalog.tables["workspaces"].column("created_at").unwrap().default.is_some());

        let set: BTreeSet<String> = catalog.tables.keys().cloned().collect();
        let levels = load_levels(&catalog, &set).unwrap();
        assert_eq!(
            levels.levels,
            [vec!["counted", "kinds", "workspaces"], vec!["consumers"], vec!["Acls"]]
                .map(|level| names(&level))
        );
        assert_eq!(levels.self_referencing["consumers"], ["consumers_boss_fkey"]);
        assert!(levels.outside[0].other_schema && levels.outside[0].constraint == "consumers_region_fkey");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_servers_have_more_kinds_of_columns_indexes_and_tables() {
    let database = Database::create(
        "16",
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY, n int GENERATED BY DEFAULT AS IDENTITY,
                         a int, twice int GENERATED ALWAYS AS (a * 2) STORED);
         CREATE UNIQUE INDEX t_include_idx ON t (a) INCLUDE (n);
         CREATE TABLE parts (id int, UNIQUE (id)) PARTITION BY RANGE (id);",
    )
    .await;
    let catalog = catalog(&database).await;
    let t = &catalog.tables["t"];
    let generated: Vec<bool> = t.columns.iter().map(|column| column.generated).collect();
    assert_eq!(generated, [false, false, false, true]);
    assert_eq!(t.columns[0].default.as_deref(), Some("GENERATED ALWAYS AS IDENTITY"));
    assert_eq!(t.columns[1].default.as_deref(), Some("GENERATED BY DEFAULT AS IDENTITY"));
    assert_eq!(t.unique, [UniqueKey { name: "t_include_idx".to_owned(), columns: names(&["a"]) }]);
    assert_eq!(catalog.tables["parts"].kind, 'p');
}

#[tokio::test(flavor = "multi_thread")]
async fn schema_meta_is_read_as_sets() {
    for version in VERSIONS {
        let database = Database::create(version, "").await;
        let target = database.target().await;
        let client = target.client().await.unwrap();
        let error = schema_meta::read(&client, &target.catalog().await.unwrap()).await.unwrap_err();
        assert!(error.report().contains("kong migrations bootstrap"), "{}", error.report());

        let admin = database.admin().await;
        admin
            .batch_execute(
                "CREATE TABLE schema_meta (key text, subsystem text, last_executed text, executed text[], pending text[],
                                           PRIMARY KEY (key, subsystem))",
            )
            .await
            .unwrap();
        let catalog = target.catalog().await.unwrap();
        assert!(schema_meta::read(&client, &catalog).await.is_err(), "an empty table is no bootstrap");
        admin
            .batch_execute(
                "INSERT INTO schema_meta VALUES
                     ('schema_meta', 'core', '014_230_to_260', '{000_base,014_230_to_260}', '{}'),
                     ('schema_meta', 'acl', '004_212_to_213', '{000_base_acl}', '{004_212_to_213}'),
                     ('schema_meta', 'empty', NULL, NULL, NULL)",
            )
            .await
            .unwrap();
        let states = schema_meta::read(&client, &catalog).await.unwrap();
        let found: Vec<_> =
            states.iter().map(|s| (s.subsystem.as_str(), s.executed.len(), s.pending.len())).collect();
        assert_eq!(found, [("acl", 1, 1), ("core", 2, 0), ("empty", 0, 0)]);
        assert_eq!(states[1].last_executed.as_deref(), Some("014_230_to_260"));
    }
}
