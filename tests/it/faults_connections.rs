//! Connections that stall, break or crawl in the middle of a run, and time-outs that the role brings along.

use std::time::{Duration, Instant};

use kongferry::estate::KongVersion;

use crate::support::database::{self, Database};
use crate::support::keyspace::{self, Keyspace};
use crate::support::program::{Underway, kongferry, start_in};
use crate::support::proxy::{Proxy, Way};
use crate::support::{gate, run};

const VERSION: KongVersion = KongVersion::V2_8;

/// A source, a target and a proxy before each.
struct Sides {
    source: &'static Keyspace,
    target: Database,
    cassandra: Proxy,
    postgres: Proxy,
}

impl Sides {
    async fn new() -> Self {
        let source = keyspace::filled("5.0", VERSION).await;
        let target = database::fresh("16", VERSION).await;
        let cassandra = Proxy::before(&source.server.address()).await;
        let postgres = Proxy::before(&format!("{}:{}", target.server.host, target.server.port)).await;
        Self { source, target, cassandra, postgres }
    }

    /// Starts a run through both proxies.
    fn start(&self, options: &[&str]) -> Underway {
        // Far shorter than anybody would want them, so that the test need not wait.
        let source = format!("cassandra://{}/{}?request_timeout=1", self.cassandra.address, self.source.name);
        let target = format!("{}?stall_timeout=3", self.target.url_through(self.postgres.address));
        let log = [("KONGFERRY_LOG", "kongferry=debug")];
        start_in(&log, &[&["migrate", "--source", &source, "--target", &target], options].concat())
    }

    /// A run that waits in the middle of a COPY until the connection returned ends.
    async fn held(&self, options: &[&str]) -> (Underway, tokio_postgres::Client) {
        self.target.execute(gate::IN_COPY).await;
        let holder = gate::close(&self.target).await;
        let underway = self.start(options);
        gate::reached(&self.target).await;
        (underway, holder)
    }

    /// Goes on without proxies, and compares.
    async fn resumes(self) {
        self.target.wait_until_alone().await;
        let (source, target) = (self.source.url(), self.target.url());
        kongferry(&["migrate", "--resume", "--source", &source, "--target", &target]).exits(0);
        kongferry(&["verify", "--counts", "--source", &source, "--target", &target]).exits(0);
        self.target.remove().await;
    }
}

#[test]
fn a_target_that_stalls_is_noticed_and_named() {
    run(async {
        for way in [None, Some(Way::Out), Some(Way::Back)] {
            let sides = Sides::new().await;
            let (underway, holder) = sides.held(&[]).await;
            let stalled = Instant::now();
            sides.postgres.stall(way);
            let ended = underway.ends();
            let took = stalled.elapsed();
            ended.exits(8).complains_of(&[
                &format!("PostgreSQL at {} does not answer", sides.postgres.address),
                "for 3 s",
                "what to do:",
                "migrate --resume",
            ]);
            assert!(took < Duration::from_secs(15), "{way:?}: {took:?}");
            sides.postgres.cut();
            drop(holder);
            sides.resumes().await;
        }
    });
}

#[test]
fn a_connection_to_the_target_that_breaks_ends_the_run_and_it_is_resumed() {
    run(async {
        let sides = Sides::new().await;
        let (underway, holder) = sides.held(&[]).await;
        sides.postgres.cut();
        underway.ends().exits(8).complains_of(&["connection was lost", "migrate --resume"]);
        drop(holder);
        sides.resumes().await;
    });
}

#[test]
fn a_source_that_stalls_or_breaks_for_a_while_costs_nothing() {
    run(async {
        let sides = Sides::new().await;
        let (mut underway, holder) = sides.held(&["--workers", "1"]).await;
        sides.cassandra.stall(Some(Way::Back));
        drop(holder);
        underway.says("trying again");
        sides.cassandra.go_on();
        sides.cassandra.cut();
        underway.ends().exits(0).prints(&["counts of both sides agree"]);
        sides.target.remove().await;
    });
}

#[test]
fn a_source_that_stays_silent_ends_the_run_and_is_named() {
    run(async {
        let sides = Sides::new().await;
        let (underway, holder) = sides.held(&["--workers", "1"]).await;
        sides.cassandra.stall(None);
        let stalled = Instant::now();
        drop(holder);
        let ended = underway.ends();
        ended.exits(7).complains_of(&[
            &sides.cassandra.address.to_string(),
            "what to do:",
            "migrate --resume",
        ]);
        assert!(stalled.elapsed() < Duration::from_secs(60), "{:?}", stalled.elapsed());
        sides.resumes().await;
    });
}

#[test]
fn slow_connections_only_take_longer() {
    run(async {
        let sides = Sides::new().await;
        let (underway, holder) = sides.held(&["--workers", "2"]).await;
        sides.postgres.crawl(Duration::from_millis(3));
        sides.cassandra.crawl(Duration::from_millis(5));
        drop(holder);
        underway.ends().exits(0).prints(&["counts of both sides agree"]);
        sides.target.remove().await;
    });
}

#[test]
fn time_outs_of_the_role_do_not_count() {
    run(async {
        let source = keyspace::filled("5.0", VERSION).await.url();
        let target = database::fresh("16", VERSION).await;
        let set: String = ["statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"]
            .iter()
            .map(|setting| format!("ALTER ROLE postgres IN DATABASE {} SET {setting} = '20ms';", target.name))
            .collect();
        target.execute(&set).await;
        target.execute(gate::IN_COPY).await;
        let holder = database::connect(&target.url()).await;
        holder.batch_execute("SET statement_timeout = 0").await.unwrap();
        holder.batch_execute("SELECT pg_advisory_lock(42)").await.unwrap();
        let underway = gate::held(&source, &target, &target.url(), &[]).await;
        // Longer than they are.
        target.execute("SELECT pg_sleep(0.1)").await;
        drop(holder);
        underway.ends().exits(0);
        target.remove().await;
    });
}
