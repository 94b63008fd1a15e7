//! What a plan needs to know from the cluster: the ring, how large a table is, where the ids of a partition lie.
//!
//! All of it only makes splits more even: token ranges and slices are complete whatever comes out here.

use bytes::Bytes;
use scylla::value::CqlValue;
use uuid::Uuid;

use super::cql::{qualified, quoted, token};
use super::reader::Patience;
use super::{Cluster, Row, Trouble};
use crate::error::Result;
use crate::source::slices::{Partition, Run, slice_splits};
use crate::source::token_ranges::{TokenRange, ranges_of_ring, token_splits};
use crate::source::{ColumnKind, CqlType, Cut, Split, Table, uuid_order};

/// Rows that are worth a split of their own: a split costs a transaction, some ten milliseconds.
const ROWS_PER_SPLIT: u64 = 2_000;
/// Rows read to estimate how many there are; fewer are counted exactly.
const SAMPLE: u64 = 400;
/// A table with more partitions than this is cut by token, however its rows are clustered.
const MOST_SLICED_PARTITIONS: usize = 16;

impl Cluster {
    pub(super) async fn plan(&self, table: &Table, cut: Cut) -> Result<Vec<Split>> {
        if cut.parts <= 1 {
            return Ok(token_splits(&table.name, &[TokenRange::whole()], cut, 1));
        }
        let partitions = optional(table, self.sliced_partitions(table).await)?;
        let (partitions, rows) = match partitions.flatten() {
            Some(partitions) => {
                let rows =
                    partitions.iter().fold(0, |sum: u64, partition| sum.saturating_add(partition.rows()));
                (Some(partitions), Some(rows))
            }
            None => (None, optional(table, self.estimate_by_token(table).await)?),
        };
        let worth = rows.map_or(usize::MAX, |rows| {
            usize::try_from(rows.div_ceil(ROWS_PER_SPLIT)).unwrap_or(usize::MAX).max(1)
        });
        match partitions {
            Some(partitions) if worth > 1 => {
                let cut = Cut { parts: cut.parts.min(worth), ..cut };
                Ok(slice_splits(&table.name, &partitions, cut))
            }
            _ => Ok(token_splits(&table.name, &self.ring(table), cut, worth)),
        }
    }

    /// About how many rows `table` holds, exact for a small one; `None` when the cluster cannot say.
    pub(super) async fn rows_about(&self, table: &Table) -> Option<u64> {
        if let Ok(Some(partitions)) = self.sliced_partitions(table).await {
            let rows = |partition: &Partition| {
                partition.runs.iter().map(|run| run.rows).fold(0, u64::saturating_add)
            };
            return Some(partitions.iter().map(rows).fold(0, u64::saturating_add));
        }
        self.estimate_by_token(table).await.ok()
    }

    /// The token ranges of the ring with their replicas for this keyspace.
    fn ring(&self, table: &Table) -> Vec<TokenRange> {
        let state = self.shared.session.get_cluster_state();
        let replicas = |token| {
            let endpoints = state.get_token_endpoints(&self.shared.keyspace, &table.name, token);
            let near = endpoints.iter().filter(|(node, _)| self.shared.is_near(node));
            near.map(|(node, _)| super::address(node)).collect()
        };
        let ring = state.replica_locator().ring();
        ranges_of_ring(ring.iter().map(|(token, _)| (token.value(), replicas(*token))).collect())
    }

    /// Rows by the share of the token space that the first of them cover.
    async fn estimate_by_token(&self, table: &Table) -> Result<u64, Trouble> {
        let cql = format!(
            "SELECT {token} FROM {table} LIMIT {SAMPLE}",
            token = token(table),
            table = qualified(&self.shared.keyspace, &table.name)
        );
        let rows = self.sample(table, &cql, Vec::new(), 1).await?;
        let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
        let last = rows.last().and_then(|row| bigint(row.first()?.as_ref()));
        let Some(last) = last.filter(|_| count >= SAMPLE) else { return Ok(count) };
        let covered = (i128::from(last) - i128::from(i64::MIN)).max(1);
        Ok(u64::try_from((i128::from(count) << 64) / covered).unwrap_or(u64::MAX).max(count))
    }

    /// The partitions of a table that is better cut inside them: few partitions, by a text, of rows clustered by uuid.
    async fn sliced_partitions(&self, table: &Table) -> Result<Option<Vec<Partition>>, Trouble> {
        let Some((key, id)) = sliced_by(table) else { return Ok(None) };
        let cql = format!(
            "SELECT DISTINCT {key}, {token} FROM {table} LIMIT {limit}",
            token = token(table),
            table = qualified(&self.shared.keyspace, &table.name),
            limit = MOST_SLICED_PARTITIONS + 1,
        );
        let found = self.sample(table, &cql, Vec::new(), 2).await?;
        if found.is_empty() || found.len() > MOST_SLICED_PARTITIONS {
            return Ok(None);
        }
        let ring = self.ring(table);
        let mut partitions = Vec::new();
        for row in found {
            let [Some(value), token] = row.as_slice() else { return Ok(None) };
            let (Ok(value), Some(token)) = (String::from_utf8(value.to_vec()), bigint(token.as_ref())) else {
                return Ok(None);
            };
            let replicas = ring.iter().find(|range| range.holds(token)).map(TokenRange::replicas);
            let runs = self.runs(table, &key, &id, &value).await?;
            let replicas = replicas.unwrap_or_default().to_vec();
            partitions.push(Partition { value, token, runs, replicas });
        }
        Ok(Some(partitions))
    }

    /// Where the ids of a partition lie, version by version, and about how many there are.
    async fn runs(&self, table: &Table, key: &str, id: &str, partition: &str) -> Result<Vec<Run>, Trouble> {
        let from = format!(
            "SELECT {id} FROM {table} WHERE {key} = ?",
            table = qualified(&self.shared.keyspace, &table.name)
        );
        let ids = async |after: Option<Uuid>, upto: Option<Uuid>, end: &str| {
            let mut cql = from.clone();
            let mut values = vec![CqlValue::Text(partition.to_owned())];
            for (operator, bound) in [(">", after), ("<=", upto)] {
                if let Some(bound) = bound {
                    cql = format!("{cql} AND {id} {operator} ?");
                    values.push(CqlValue::Uuid(bound));
                }
            }
            let rows = self.sample(table, &format!("{cql} ORDER BY {id} {end}"), values, 1).await?;
            // An id of no bytes is possible, though not with Kong; it sorts first, and the first slice is open below.
            let id = |row: Vec<Option<Bytes>>| Uuid::from_slice(row.first()?.as_ref()?).ok();
            Ok::<Vec<Uuid>, Trouble>(rows.into_iter().filter_map(id).collect())
        };
        let some = format!("ASC LIMIT {SAMPLE}");
        let mut runs: Vec<Run> = Vec::new();
        let mut after = None;
        loop {
            let head = ids(after, None, &some).await?;
            let Some(first) = head.first().copied() else { return Ok(runs) };
            let complete = u64::try_from(head.len()).is_ok_and(|count| count < SAMPLE);
            let version = uuid_order::version(first);
            let head: Vec<u64> = head
                .into_iter()
                .filter(|id| uuid_order::version(*id) == version)
                .map(uuid_order::key)
                .collect();
            let end = uuid_order::last_of(version);
            let last = ids(after, Some(end), "DESC LIMIT 1").await?;
            let last = last.first().map_or(uuid_order::LAST_KEY, |id| uuid_order::key(*id));
            let first = uuid_order::key(first);
            let count = u64::try_from(head.len()).unwrap_or(u64::MAX);
            let rows = if complete || count < SAMPLE {
                count
            } else {
                let middle = first + last.saturating_sub(first) / 2;
                let tail = ids(Some(uuid_order::first_with(version, middle)), Some(end), &some).await?;
                let tail: Vec<u64> = tail.into_iter().map(uuid_order::key).collect();
                let (low, high) =
                    (density_rows(first, last, first, &head), density_rows(first, last, middle, &tail));
                (low / 2).saturating_add(high / 2).max(count)
            };
            runs.push(Run { version, first, last, rows });
            if version == 0x0f {
                return Ok(runs);
            }
            after = Some(end);
        }
    }

    /// The rows of a question for planning.
    async fn sample(
        &self,
        table: &Table,
        cql: &str,
        values: Vec<CqlValue>,
        columns: usize,
    ) -> Result<Vec<Row>, Trouble> {
        self.rows(cql, values, columns, Patience::Short, question(table)).await
    }
}

/// What the plan knows of an answer: a question that failed in passing leaves it without one, a question that is not permitted or
/// makes no sense ends the run before it begins.
fn optional<T>(table: &Table, answer: Result<T, Trouble>) -> Result<Option<T>> {
    let trouble = match answer {
        Ok(answer) => return Ok(Some(answer)),
        Err(trouble) => trouble,
    };
    let what = question(table);
    if trouble.is_transient() {
        tracing::warn!("{what}: {trouble}; its splits may be uneven");
        return Ok(None);
    }
    Err(trouble.while_reading(&what))
}

/// What the questions of a plan are about, for messages.
fn question(table: &Table) -> String {
    format!("table {} for its plan", table.name)
}

/// Key and id columns, quoted, of a table that can be sliced.
fn sliced_by(table: &Table) -> Option<(String, String)> {
    let mut keys = table.partition_key();
    let (Some(key), None) = (keys.next(), keys.next()) else { return None };
    let id = table.clustering_key().next()?;
    // A partition may hold a static value and no row: no slice would return it.
    let no_static = table.columns.iter().all(|column| column.kind != ColumnKind::Static);
    (key.ty == CqlType::Text && id.ty == CqlType::Uuid && no_static)
        .then(|| (quoted(&key.name), quoted(&id.name)))
}

/// Rows between `first` and `last`, if they lie everywhere as densely as the `sample` from `start` on.
fn density_rows(first: u64, last: u64, start: u64, sample: &[u64]) -> u64 {
    let count = u64::try_from(sample.len()).unwrap_or(u64::MAX);
    let end = if count < SAMPLE { last } else { sample.last().copied().unwrap_or(last) };
    let covered = u128::from(end.saturating_sub(start)).max(1);
    let rows = u128::from(count) * u128::from(last.saturating_sub(first)) / covered;
    u64::try_from(rows).unwrap_or(u64::MAX)
}

fn bigint(cell: Option<&Bytes>) -> Option<i64> {
    Some(i64::from_be_bytes(cell?.as_ref().try_into().ok()?))
}
