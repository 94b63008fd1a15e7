//! What follows from the rows: counters of workspaces and sequences.

use kongferry::target::counters::{has_counters, recount};
use kongferry::target::sequences::{FedColumn, catch_up, check_sequences};

use crate::bootstrap_rows::schema::{admin, bootstrapped, connect, copied, target, texts};
use crate::target_database::VERSIONS;

/// Two workspaces with entities of several kinds, among them rows that are not counted.
const ESTATE: &str = "
    DELETE FROM rbac_role_endpoints; DELETE FROM rbac_roles;
    INSERT INTO workspaces VALUES ('11111111-0000-4000-8000-000000000001', 'team'),
        ('11111111-0000-4000-8000-000000000002', 'idle');
    INSERT INTO consumers (id, ws_id, username, type)
        SELECT md5(name || n)::uuid, id, name || n, n % 4 FROM workspaces, generate_series(1, 10) n WHERE name <> 'idle';
    INSERT INTO developers SELECT md5('d' || id)::uuid, id, ws_id FROM consumers WHERE type = 1;
    INSERT INTO files SELECT md5('f' || n)::uuid, n::text, NULL FROM generate_series(1, 3) n;
    INSERT INTO files SELECT md5('g' || n)::uuid, n::text, '11111111-0000-4000-8000-000000000001'
        FROM generate_series(1, 4) n;
    INSERT INTO oauth2_tokens SELECT md5('t' || id)::uuid, id FROM workspaces;
    INSERT INTO workspace_entity_counters SELECT id, 'consumers', 99 FROM workspaces;
";

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_counted_from_the_rows() {
    for version in VERSIONS {
        let database = bootstrapped(version, false).await;
        let (target, admin) = (target(&database).await, admin(&database).await);
        admin.batch_execute(ESTATE).await.unwrap();
        let catalog = target.catalog().await.unwrap();
        assert!(has_counters(&catalog));
        let tables = copied(&target).await;
        // Repeating it changes nothing.
        for _ in 0..2 {
            assert_eq!(recount(&target, &catalog, &tables).await.unwrap(), 5);
            let found =
                "SELECT format('%s %s %s', w.name, c.entity_type, c.count) FROM workspace_entity_counters c
                         JOIN workspaces w ON w.id = c.workspace_id ORDER BY 1";
            let expected = "
                SELECT format('%s %s %s', w.name, kind, n) FROM workspaces w, LATERAL (
                    SELECT 'consumers', (SELECT count(*) FROM consumers c WHERE c.ws_id = w.id AND c.type = 0)
                    UNION ALL SELECT 'developers', (SELECT count(*) FROM developers d WHERE d.ws_id = w.id)
                    UNION ALL SELECT 'files', (SELECT count(*) FROM files f WHERE f.ws_id = w.id)) t (kind, n)
                WHERE n > 0 ORDER BY 1";
            let expected = texts(&admin, expected).await;
            assert_eq!(texts(&admin, found).await, expected, "{version}");
            assert_eq!(expected[0], "default consumers 2");
        }
        admin.batch_execute("DROP TABLE workspace_entity_counters").await.unwrap();
        let catalog = target.catalog().await.unwrap();
        assert_eq!(recount(&target, &catalog, &tables).await.unwrap(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn sequences_go_on_after_the_greatest_value() {
    for version in VERSIONS {
        let database = bootstrapped(version, false).await;
        let (target, admin) = (target(&database).await, admin(&database).await);
        let identity = if version == "9.6" { "serial" } else { "bigint GENERATED ALWAYS AS IDENTITY" };
        admin
            .batch_execute(&format!(
                "CREATE SEQUENCE \"Odd 'seq\"; CREATE TABLE \"Odd Plugin\" (
                     \"N\" integer DEFAULT nextval('\"Odd ''seq\"'), place {identity}, empty smallserial, below bigserial);
                 CREATE SEQUENCE lone OWNED BY \"Odd Plugin\".\"N\";
                 INSERT INTO \"Odd Plugin\" (\"N\", below) VALUES (41, -5), (7, 0), (NULL, -1);
                 ALTER TABLE \"Odd Plugin\" ALTER empty DROP NOT NULL; UPDATE \"Odd Plugin\" SET empty = NULL"
            ))
            .await
            .unwrap();
        let column = |column, sequence| FedColumn { table: "Odd Plugin", column, sequence };
        let columns = [
            column("N", Some("\"Odd 'seq\"")),
            column("place", None),
            column("empty", Some("\"Odd Plugin_empty_seq\"")),
            column("below", None),
        ];
        let mut greatest = Vec::new();
        for column in &columns {
            catch_up(&target, column).await.unwrap();
            greatest.push(catch_up(&target, column).await.unwrap());
        }
        assert_eq!(greatest, [Some(41), Some(3), None, None], "{version}");
        let next = "SELECT nextval('\"Odd ''seq\"')::text UNION ALL
                    SELECT nextval(pg_get_serial_sequence('\"Odd Plugin\"', 'place'))::text";
        assert_eq!(texts(&admin, next).await, ["42", "4"]);

        let role = database.role("loader", "").await;
        let grant =
            format!("GRANT USAGE ON SCHEMA \"Kong E\" TO {role}; GRANT ALL ON \"Odd Plugin\" TO {role}");
        admin.batch_execute(&grant).await.unwrap();
        let loader = connect(&database.url_as(&role, None)).await;
        let client = loader.client().await.unwrap();
        let error = check_sequences(&client, "Kong E", &columns[..2]).await.unwrap_err();
        let report = error.report();
        let (_, grants) = report.split_once(" or: ").unwrap();
        admin.batch_execute(grants).await.unwrap_or_else(|error| panic!("{report}: {error:?}"));
        check_sequences(&client, "Kong E", &columns[..2]).await.unwrap();
        drop(client);
        assert_eq!(catch_up(&loader, &columns[0]).await.unwrap(), Some(41));
    }
}
