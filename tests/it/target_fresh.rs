//! Freshness of the target: refused untouched, and the printed statements make it fresh.

use std::collections::BTreeSet;

use kongferry::error::ErrorKind;
use kongferry::target::Target;
use kongferry::target::fresh::{check_fresh, occupancy};
use tokio_postgres::Client;

use crate::target_database::{Database, VERSIONS};

const SCHEMA: &str = r#"
    CREATE SCHEMA "Kong A";
    SET search_path = "Kong A";
    CREATE TABLE workspaces (id uuid PRIMARY KEY, name text UNIQUE);
    CREATE TABLE parameters (key text PRIMARY KEY, value text);
    CREATE TABLE schema_meta (key text, subsystem text, PRIMARY KEY (key, subsystem));
    CREATE TABLE tags (entity_id uuid PRIMARY KEY, entity_name text, tags text[]);
    CREATE TABLE cluster_events (id uuid PRIMARY KEY);
    CREATE TABLE consumers (id uuid PRIMARY KEY, ws_id uuid REFERENCES workspaces (id));
    CREATE TABLE acls (id uuid PRIMARY KEY, consumer_id uuid REFERENCES consumers (id));
    CREATE TABLE "Odd Grants" (id uuid PRIMARY KEY, acl_id uuid REFERENCES acls (id));
    CREATE TABLE codes (id uuid PRIMARY KEY, ws_id uuid REFERENCES workspaces (id));
    CREATE FUNCTION sync_tags() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tags VALUES (NEW.id, TG_TABLE_NAME, NULL);
        RETURN NULL;
    END $$;
    CREATE TRIGGER consumers_sync_tags AFTER INSERT ON consumers FOR EACH ROW EXECUTE PROCEDURE sync_tags();
    INSERT INTO workspaces VALUES ('00000000-0000-4000-8000-000000000001', 'default');
    INSERT INTO parameters VALUES ('cluster_id', 'x');
    INSERT INTO schema_meta VALUES ('schema_meta', 'core');
"#;

async fn target(database: &Database) -> Target {
    let url = format!("{}?schema=Kong%20A", database.url());
    Target::connect(&kongferry::target::TargetConfig::from_url(&url).unwrap()).await.unwrap()
}

fn ignored() -> BTreeSet<String> {
    ["cluster_events", "tags", "codes"].map(str::to_owned).into()
}

async fn insert(admin: &Client, sql: &str) {
    admin.batch_execute(&format!("SET search_path = \"Kong A\"; {sql}")).await.unwrap();
}

/// All rows of all tables, to see that nothing was touched.
async fn contents(admin: &Client) -> String {
    let sql = "SELECT database_to_xml(true, false, '')::text";
    admin.query_one(sql, &[]).await.unwrap().get(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_bootstrap_leaves_and_ignored_rows_are_fresh() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let target = target(&database).await;
        let catalog = target.catalog().await.unwrap();
        let client = target.client().await.unwrap();
        check_fresh(&client, &catalog, &ignored()).await.unwrap();

        let admin = database.admin().await;
        insert(&admin, "INSERT INTO cluster_events VALUES ('00000000-0000-4000-8000-000000000002')").await;
        check_fresh(&client, &catalog, &ignored()).await.unwrap();
        assert!(check_fresh(&client, &catalog, &BTreeSet::new()).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_statements_make_an_occupied_target_fresh() {
    let id = "00000000-0000-4000-8000-000000000003";
    let default = "00000000-0000-4000-8000-000000000001";
    let cases: [(&str, Vec<&str>); 6] = [
        (&format!("INSERT INTO consumers VALUES ('{id}', '{default}')"), vec!["consumers", "tags"]),
        (
            &format!(
                "INSERT INTO consumers VALUES ('{id}'); INSERT INTO acls VALUES ('{id}', '{id}');
                 INSERT INTO \"Odd Grants\" VALUES ('{id}', '{id}')"
            ),
            vec!["Odd Grants", "acls", "consumers", "tags"],
        ),
        // Stale tags, as a TRUNCATE by hand leaves them.
        (&format!("INSERT INTO tags VALUES ('{id}')"), vec!["tags"]),
        (
            &format!(
                "INSERT INTO workspaces VALUES ('{id}', 'team'); INSERT INTO consumers VALUES ('{id}', '{id}');
                 INSERT INTO parameters VALUES ('more', 'x')"
            ),
            vec!["consumers", "parameters", "tags", "workspaces"],
        ),
        (&format!("INSERT INTO workspaces VALUES ('{id}', NULL)"), vec!["workspaces"]),
        // A skipped table, but its row would keep the default workspace from being replaced.
        (&format!("INSERT INTO codes VALUES ('{id}', '{default}')"), vec!["codes"]),
    ];
    for version in VERSIONS {
        for (sql, expected) in &cases {
            let database = Database::create(version, SCHEMA).await;
            let target = target(&database).await;
            let catalog = target.catalog().await.unwrap();
            let client = target.client().await.unwrap();
            let admin = database.admin().await;
            insert(&admin, sql).await;
            let before = contents(&admin).await;

            let error = check_fresh(&client, &catalog, &ignored()).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Preflight);
            let report = error.report();
            assert!(report.contains(&format!("holds rows in {}", expected.join(", "))), "{report}");
            assert_eq!(contents(&admin).await, before);

            let found = occupancy(&client, &catalog, &ignored()).await.unwrap();
            assert_eq!(&found.tables, expected);
            // Exactly as printed, in a session with nothing set.
            let (_, printed) = report.split_once("with: ").unwrap();
            database
                .admin()
                .await
                .batch_execute(printed)
                .await
                .unwrap_or_else(|error| panic!("{printed}: {error:?}"));
            check_fresh(&client, &catalog, &ignored()).await.unwrap();
            let kept = "SELECT count(*) FROM \"Kong A\".workspaces w, \"Kong A\".parameters p
                        WHERE w.name = 'default' AND p.key = 'cluster_id'";
            assert_eq!(admin.query_one(kept, &[]).await.unwrap().get::<_, i64>(0), 1);
        }
    }
}
