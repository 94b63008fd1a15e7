//! `tags` made set-wise equals what the row triggers write.

use std::collections::BTreeSet;

use kongferry::estate::{Edition, KongVersion};
use kongferry::target::tags;

use super::owned::{Owned, lines};
use crate::support::run;

/// Rows of each table.
const ROWS: u32 = 10_000;

/// Statements that fill every tagged table: ids, and tags that are NULL, empty, one, several, with a NULL, with quotes.
async fn fill(target: &Owned, tagged: &BTreeSet<String>) {
    // Only ids and tags matter here.
    let relax = "DO $$ DECLARE it record; BEGIN
        FOR it IN SELECT attrelid::regclass AS name, attname FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid
                  WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND attnotnull
                    AND attname <> 'id' AND NOT EXISTS (SELECT 1 FROM pg_index WHERE indrelid = attrelid AND indisprimary
                                                        AND attnum = ANY (indkey::int2[])) LOOP
            EXECUTE format('ALTER TABLE %s ALTER %I DROP NOT NULL', it.name, it.attname);
        END LOOP;
    END $$";
    target.database.execute(relax).await;
    for table in tagged {
        let rows = format!(
            "INSERT INTO \"{table}\" (id, tags)
             SELECT md5('{table}' || n)::uuid,
                    (ARRAY['{{}}', NULL, '{{one}}', '{{b,a,\"with \\\"quotes\\\" and, comma\"}}', '{{NULL,x}}', '{{ü€}}'])[n % 6 + 1]::text[]
             FROM generate_series(1, {ROWS}) n"
        );
        target.database.execute(&rows).await;
    }
}

#[test]
fn tags_equal_those_the_triggers_write() {
    run(async {
        for line in lines() {
            for (kong, edition, tables) in
                [(KongVersion::V2_8, Edition::OpenSource, 16), (KongVersion::V3_3, Edition::Enterprise, 22)]
            {
                let by_triggers = Owned::fresh(line, kong, edition, "").await;
                let by_set = Owned::fresh(line, kong, edition, "").await;
                // One that never writes tags, and one that writes in sessions of a replica as well.
                for target in [&by_triggers, &by_set] {
                    let odd = "ALTER TABLE snis DISABLE TRIGGER snis_sync_tags_trigger;
                               ALTER TABLE acls ENABLE ALWAYS TRIGGER acls_sync_tags_trigger";
                    target.database.execute(odd).await;
                }
                let with_tags: BTreeSet<String> = by_triggers
                    .database
                    .texts(
                        "SELECT table_name::text FROM information_schema.columns
                            WHERE table_schema = 'public' AND column_name = 'tags' AND table_name <> 'tags'
                              AND data_type = 'ARRAY'",
                    )
                    .await
                    .into_iter()
                    .collect();
                fill(&by_triggers, &with_tags).await;

                let (_, armour) = by_set.armour().await;
                let tagged = armour.tagged();
                assert_eq!(tagged.len(), tables - 1, "{tagged:?}");
                assert!(!tagged.contains("snis"));
                by_set.disarm(&armour).await;
                fill(&by_set, &with_tags).await;
                assert_eq!(by_set.database.count("tags").await, 0);
                for table in &tagged {
                    let mut transaction = by_set.target.begin().await.unwrap();
                    let rows = tags::rebuild(&mut transaction, "public", table).await.unwrap();
                    assert_eq!(rows, u64::from(ROWS));
                    transaction.commit().await.unwrap();
                }
                for step in armour.steps() {
                    by_set.run(&armour, &step).await.unwrap_or_else(|error| panic!("{}", error.report()));
                }
                let all = "SELECT to_jsonb(t)::text FROM tags t ORDER BY entity_id";
                let (expected, rebuilt) =
                    (by_triggers.database.texts(all).await, by_set.database.texts(all).await);
                assert_eq!(expected.len(), tagged.len() * 10_000);
                assert!(expected == rebuilt, "{line} {kong} {edition:?}: {} rows", rebuilt.len());

                // The triggers are at work again.
                let entity =
                    "UPDATE acls SET tags = '{later}' WHERE id = (SELECT min(id::text)::uuid FROM acls)";
                by_set.database.execute(entity).await;
                let later = by_set.database.texts("SELECT tags::text FROM tags WHERE tags = '{later}'").await;
                assert_eq!(later, ["{later}"]);
                by_triggers.remove().await;
                by_set.remove().await;
            }
        }
    });
}
