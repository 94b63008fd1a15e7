//! A cluster of two nodes, of which one dies in the middle of a scan.

use kongferry::estate::KongVersion;

use crate::support::program::{kongferry, start};
use crate::support::{database, gate, keyspace, run, servers};

const VERSION: KongVersion = KongVersion::V2_8;

#[test]
fn a_dead_node_is_named_and_once_it_is_back_the_run_goes_on() {
    run(async {
        let [first, second] = servers::two_nodes("5.0");
        let node = servers::cassandra(&first);
        servers::cassandra(&second);
        let target = database::fresh("16", VERSION).await;
        let source = keyspace::bare(&first, "two_nodes", &target).await;
        while source.rows("SELECT peer FROM system.peers").await.is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
        }
        let twice =
            "ALTER KEYSPACE {ks} WITH replication = {'class': 'SimpleStrategy', 'replication_factor': 2}";
        source.execute(twice, ()).await;
        source.fill_consumers(3_000).await;
        target.execute(&gate::IN_COPY.replace("plugins", "consumers")).await;
        let holder = gate::close(&target).await;
        let slowly =
            ["--workers", "1", "--memory", "8", "--source", &source.url(), "--target", &target.url()];
        let underway = start(&[&["migrate"][..], &slowly].concat());
        gate::reached(&target).await;

        servers::end("cassandra", &second, "KILL");
        drop(holder);
        // Both replicas are a majority of two.
        underway.ends().exits(7).complains_of(&[
            "reading consumers split",
            "replicas",
            &format!("127.0.0.2:{}", node.port),
            "bring the missing nodes up",
            "migrate --resume",
        ]);

        // Whoever takes the risk can do without it.
        let other = database::fresh("16", VERSION).await;
        kongferry(&["migrate", "--consistency", "one", "--source", &source.url(), "--target", &other.url()])
            .exits(0);
        assert_eq!(other.count("consumers").await, 3_000);

        servers::start_again("cassandra", &second);
        kongferry(&[&["migrate", "--resume"][..], &slowly].concat())
            .exits(0)
            .prints(&["counts of both sides agree"]);
        assert_eq!(target.count("consumers").await, 3_000);
        servers::end("cassandra", &second, "KILL");
        servers::end("cassandra", &first, "KILL");
        other.remove().await;
        target.remove().await;
    });
}
