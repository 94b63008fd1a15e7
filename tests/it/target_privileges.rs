//! Missing privileges are found before anything is written, and the printed GRANT is enough.

use std::collections::BTreeSet;

use kongferry::error::ErrorKind;
use kongferry::target::privileges::check_privileges;
use kongferry::target::{Target, TargetConfig};

use crate::target_database::{Database, VERSIONS, tuple};

const SCHEMA: &str = "
    CREATE TABLE workspaces (id integer PRIMARY KEY);
    CREATE TABLE tags (entity_id integer PRIMARY KEY, entity_name text, tags text[]);
    CREATE TABLE consumers (id integer PRIMARY KEY, ws_id integer REFERENCES workspaces);
    CREATE FUNCTION sync_tags() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        INSERT INTO tags VALUES (NEW.id, TG_TABLE_NAME, NULL)
            ON CONFLICT (entity_id) DO UPDATE SET tags = EXCLUDED.tags;
        RETURN NULL;
    END $$;
    CREATE FUNCTION expire() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        DELETE FROM consumers WHERE id IN (SELECT id FROM consumers WHERE id < 0 FOR UPDATE SKIP LOCKED);
        RETURN NULL;
    END $$;
    CREATE TRIGGER consumers_ttl_trigger AFTER INSERT ON consumers FOR EACH STATEMENT EXECUTE PROCEDURE expire();
    CREATE TRIGGER consumers_sync_tags AFTER INSERT ON consumers FOR EACH ROW EXECUTE PROCEDURE sync_tags();
    INSERT INTO workspaces VALUES (1);
";

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_printed_grant_is_enough_to_load() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let role = database.role("loader", "").await;
        let config = TargetConfig::from_url(&database.url_as(&role, None)).unwrap();
        let target = Target::connect(&config).await.unwrap();
        let catalog = target.catalog().await.unwrap();
        let client = target.client().await.unwrap();
        let (loaded, emptied) = (set(&["workspaces", "consumers"]), set(&["workspaces"]));

        let error = check_privileges(&client, &catalog, &loaded, &emptied).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Preflight);
        let report = error.report();
        assert!(report.contains("lacks privileges on consumers, tags, workspaces"), "{report}");
        let (_, grants) = report.split_once(" or: ").unwrap();
        database.admin().await.batch_execute(grants).await.unwrap();
        check_privileges(&client, &catalog, &loaded, &emptied).await.unwrap();

        let mut transaction = target.begin().await.unwrap();
        assert_eq!(transaction.delete_all("workspaces").await.unwrap(), 1);
        for table in ["workspaces", "consumers"] {
            let mut copy = transaction.copy(table, &["id".to_owned()]).await.unwrap();
            copy.send(tuple(&[Some(&7_i32.to_be_bytes())]).into()).await.unwrap();
            assert_eq!(copy.finish().await.unwrap(), 1);
        }
        transaction.commit().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn row_security_is_refused_and_never_hides_rows() {
    for version in VERSIONS {
        let database = Database::create(version, SCHEMA).await;
        let role = database.role("blind", "").await;
        let admin = database.admin().await;
        let secure = format!(
            "GRANT ALL ON ALL TABLES IN SCHEMA public TO {role}; ALTER TABLE workspaces ENABLE ROW LEVEL SECURITY"
        );
        admin.batch_execute(&secure).await.unwrap();
        let config = TargetConfig::from_url(&database.url_as(&role, None)).unwrap();
        let target = Target::connect(&config).await.unwrap();
        let catalog = target.catalog().await.unwrap();
        let client = target.client().await.unwrap();
        let loaded = set(&["workspaces", "consumers"]);
        let error = check_privileges(&client, &catalog, &loaded, &set(&[])).await.unwrap_err();
        assert!(error.report().contains("row security applies"), "{}", error.report());
        let counted = kongferry::target::count::count(&client, "public", "workspaces", None).await;
        assert!(counted.is_err(), "{counted:?}");
    }
}
