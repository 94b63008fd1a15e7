//! Gates on the target that hold a run at a known place, so that nothing depends on timing.

use tokio_postgres::Client;

use super::database::{self, Database};
use super::program::{Underway, start};

/// A trigger of the user's own, which stays on while the tables are disarmed, waits until the gate is open.
pub const IN_COPY: &str = "
    CREATE FUNCTION wait_at_gate() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN NULL; END $$;
    CREATE TRIGGER gate BEFORE INSERT ON plugins FOR EACH STATEMENT EXECUTE PROCEDURE wait_at_gate()";

/// An index of the user's own whose build waits at every row until the gate is open.
pub const IN_INDEX_BUILD: &str = "
    CREATE FUNCTION waiting_at_gate(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
        $$ BEGIN PERFORM pg_advisory_xact_lock_shared(42); RETURN $1; END $$;
    CREATE INDEX gated ON consumers (waiting_at_gate(custom_id))";

/// Closes the gate; the connection opens it by ending.
pub async fn close(target: &Database) -> Client {
    let holder = database::connect(&target.url()).await;
    holder.batch_execute("SELECT pg_advisory_lock(42)").await.unwrap();
    holder
}

/// Waits until somebody waits at the gate.
pub async fn reached(target: &Database) {
    let waiting = "SELECT pid::text FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND database =
                   (SELECT oid FROM pg_database WHERE datname = current_database())";
    target.until(waiting).await;
}

/// Starts a migration to `url`, which leads to `target`, and returns once it waits at the gate.
pub async fn held(source: &str, target: &Database, url: &str, options: &[&str]) -> Underway {
    let underway = start(&[&["migrate", "--source", source, "--target", url], options].concat());
    reached(target).await;
    underway
}
