//! Fills a bootstrapped keyspace with a synthetic estate.
//!
//! In: a [`FillSpec`]. Out: rows in every table of the keyspace's edition, which all load into `PostgreSQL`: no dangling references, unique
//! where Kong is unique. A [`Generator`] computes each entity from the seed and its index; a writer inserts many at a time.

mod consumer;
mod credential;
mod dice;
mod enterprise;
mod gateway;
mod generate;
#[cfg(test)]
mod legality;
mod live;
mod odd;
mod plugin_config;
mod row;
mod spec;
mod summary;
mod traffic;
mod writer;

use std::time::{Duration, Instant};

use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use scylla::client::session::Session;

use live::LiveKeyspace;
use writer::Writer;

use super::connect::cassandra_error;
use super::create_cassandra::{create_indexes, drop_indexes};
use super::{Edition, KongVersion};
use crate::error::Result;

pub(in crate::estate) use dice::Dice;
pub(in crate::estate) use plugin_config::lua_json;

pub use credential::{basic_auth_hash, basic_auth_password, oauth2_client_secret, oauth2_client_secret_hash};
pub use enterprise::{rbac_token, rbac_token_ident};
pub use generate::{Generator, Unit};
pub use row::Row;
pub use spec::FillSpec;
pub use summary::{Progress, Summary};

/// Wide rows in flight: they are megabytes each, and a node takes only so many bytes of requests at a time.
const WIDE_IN_FLIGHT: usize = 4;

/// The Kong version whose tables `keyspace` holds.
///
/// # Errors
/// `Preflight` when they are not those of a reference version.
pub async fn version_of(session: &Session, keyspace: &str) -> Result<KongVersion> {
    LiveKeyspace::read(session, keyspace).await?.version()
}

/// The edition whose tables `keyspace` holds.
///
/// # Errors
/// `Source` when the server does not tell its tables.
pub async fn edition_of(session: &Session, keyspace: &str) -> Result<Edition> {
    Ok(LiveKeyspace::read(session, keyspace).await?.edition())
}

/// Fills `keyspace`, which must hold the tables of a reference version and nothing beyond the bootstrap rows.
///
/// # Errors
/// `Preflight` when the keyspace is not fit; `Source` when the server refuses rows for good.
pub async fn fill(session: &Session, keyspace: &str, spec: &FillSpec) -> Result<Summary> {
    fill_with_progress(session, keyspace, spec, &Progress::default()).await
}

/// Like [`fill`], telling `progress` about it.
///
/// # Errors
/// As [`fill`].
pub async fn fill_with_progress(
    session: &Session,
    keyspace: &str,
    spec: &FillSpec,
    progress: &Progress,
) -> Result<Summary> {
    let start = Instant::now();
    let live = LiveKeyspace::read(session, keyspace).await?;
    let version = live.version()?;
    let workspace = live.fresh_workspace(session).await?;
    let generator = Generator::of_edition(spec, version, live.edition(), workspace);
    let indexed = spec.bulk && drop_indexes(session, keyspace, version).await? > 0;
    let writer = Writer::prepare(session, &live).await?;
    progress.expect_units(generator.units().count() + generator.wide_units().count());

    let in_flight = spec.concurrency.max(1);
    write_units(&generator, &writer, generator.units(), in_flight, progress).await?;
    write_units(&generator, &writer, generator.wide_units(), in_flight.min(WIDE_IN_FLIGHT), progress).await?;
    if spec.odd {
        for row in generator.odd_rows() {
            progress.count(&row);
            writer.write(row).await?;
        }
        wait_until_gone(session, keyspace, &generator).await?;
    }
    if indexed {
        create_indexes(session, keyspace, version).await?;
    }
    Ok(progress.summary(start.elapsed()))
}

async fn write_units(
    generator: &Generator,
    writer: &Writer<'_>,
    units: impl Iterator<Item = Unit>,
    in_flight: usize,
    progress: &Progress,
) -> Result<()> {
    let rows = units.flat_map(|unit| {
        progress.count_unit();
        generator.rows(unit)
    });
    stream::iter(rows)
        .map(|row| {
            progress.count(&row);
            writer.write(row)
        })
        .buffer_unordered(in_flight)
        .try_collect::<()>()
        .await
}

/// Waits for the session that expires at once, so that the estate is at rest when the fill ends.
async fn wait_until_gone(session: &Session, keyspace: &str, generator: &Generator) -> Result<()> {
    let cql = format!("SELECT id FROM \"{keyspace}\".sessions WHERE id = ?");
    loop {
        let rows = session
            .query_unpaged(cql.as_str(), (generator.vanishing_session(),))
            .await
            .map_err(|error| cassandra_error("cannot read sessions", &error))?;
        if rows.into_rows_result().map_or(0, |rows| rows.rows_num()) == 0 {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
