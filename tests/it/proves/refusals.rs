//! What cannot be compared is refused, and never called equal.

use kongferry::estate::KongVersion;

use super::Moved;
use crate::support::program::kongferry;
use crate::support::{database, keyspace, run};

#[test]
fn a_target_of_another_version_or_without_a_table_is_refused() {
    run(async {
        let source = keyspace::filled("5.0", KongVersion::V3_3).await;
        let other = database::fresh("16", KongVersion::V2_8).await;
        kongferry(&["verify", "--source", &source.url(), "--target", &other.url()]).exits(3);
        let target = database::fresh("16", KongVersion::V3_3).await;
        target.execute("DROP TABLE jwt_secrets").await;
        kongferry(&["verify", "--source", &source.url(), "--target", &target.url()])
            .exits(3)
            .complains_of(&["jwt_secrets"]);
        other.remove().await;
        target.remove().await;
    });
}

#[test]
fn a_run_that_is_not_over_is_refused_and_nothing_migrated_is_a_difference() {
    run(async {
        let source = keyspace::filled("5.0", KongVersion::V3_3).await;
        let target = database::fresh("16", KongVersion::V3_3).await;
        let moved = Moved { source, target };
        moved.run(&["verify"]).exits(6).prints(&["consumers", "missing on the target", "more (--limit)"]);
        moved.run(&["migrate"]).exits(0);
        let open = "UPDATE kongferry.run SET state = 'loading';
                    UPDATE kongferry.task SET state = 'open' WHERE part = 'copy consumers'";
        moved.target.execute(open).await;
        moved.run(&["verify"]).exits(3).complains_of(&["is not over", "--resume"]);
        moved.target.remove().await;
    });
}

#[test]
fn a_sample_compares_a_share_of_the_rows() {
    run(async {
        let moved = Moved::arrive().await;
        let sampled = moved.run(&["verify", "--sample", "0.25", "--json", "--quiet"]);
        let report: serde_json::Value = serde_json::from_str(&sampled.exits(0).stdout).unwrap();
        let consumers =
            report["tables"].as_array().unwrap().iter().find(|table| table["table"] == "consumers");
        let (compared, all) =
            (consumers.unwrap()["source_rows"].as_i64().unwrap(), moved.target.count("consumers").await);
        assert!(compared * 10 > all && compared * 10 < all * 4, "{compared} of {all}");
        moved.run(&["verify", "--sample", "1.5"]).exits(2);
        moved.target.remove().await;
    });
}
