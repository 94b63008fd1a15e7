//! Memory and processes for building indexes.

use super::read::{get, rows, unexpected};
use crate::error::Result;
use crate::target::Target;
use crate::target::identifier::literal;

/// Bytes of a kB, `PostgreSQL`'s unit.
const KB: u64 = 1024;
/// Bytes of a page, the unit of `shared_buffers`.
const PAGE: u64 = 8192;
/// Least `maintenance_work_mem`, in kB.
const LEAST: u64 = 1024;
/// More than this does not make a build faster, in bytes.
const USEFUL: u64 = 1 << 30;
/// What a sort for a B-tree gets at least, in kB: runs of this size stay in the processor's caches, and sorting larger ones took
/// a third longer (a million to three million rows).
const SORT: u64 = 16 * 1024;
/// kB that merging takes for each sorted run; a sort wants to merge all its runs at once.
const PER_RUN: u64 = 272;

/// What one step of putting back may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Memory for one build, in bytes (`maintenance_work_mem`).
    pub memory: u64,
    /// Processes that may help one build (`max_parallel_maintenance_workers`, from `PostgreSQL` 11 on).
    pub parallel_workers: u32,
}

impl Resources {
    /// Statements that grant them to the transaction, with that many helping processes. `sorted` is the table whose rows are
    /// sorted, as an SQL name, where sorting is all that takes memory.
    pub(super) fn settings(&self, workers: u32, sorted: Option<&str>) -> String {
        let memory = (self.memory / KB).clamp(LEAST, USEFUL / KB);
        let memory = match sorted {
            // Each helping process would have to get as much again.
            Some(table) if workers == 0 => format!(
                "SELECT pg_catalog.set_config('maintenance_work_mem', least({memory}, greatest({SORT}, ceil(sqrt(
                     pg_catalog.pg_relation_size({}) / {KB} * {PER_RUN}))))::bigint || 'kB', true);",
                literal(table)
            ),
            _ => format!("SET LOCAL maintenance_work_mem = '{memory}kB';"),
        };
        format!(
            "{memory}
             SELECT pg_catalog.set_config(name, '{workers}', true) FROM pg_catalog.pg_settings
             WHERE name = 'max_parallel_maintenance_workers';"
        )
    }
}

/// What the server grants all builds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerResources {
    /// `maintenance_work_mem`, in bytes.
    pub maintenance_work_mem: u64,
    /// Memory that builds running at once may use together, in bytes.
    pub budget: u64,
    /// Processes that may help one build; 0 before `PostgreSQL` 11.
    pub parallel_workers: u32,
}

impl ServerResources {
    /// Reads the server's settings.
    ///
    /// The server must bear that each autovacuum worker takes the maintenance memory, and one session beside them. While
    /// autovacuum leaves the tables alone the builds get that memory, and at least half the size of `shared_buffers`.
    pub async fn read(target: &Target) -> Result<Self> {
        let what = "cannot read the memory settings of the target";
        let client = target.client().await?;
        let sql = "SELECT name::text, setting::bigint FROM pg_catalog.pg_settings
                   WHERE name IN ('maintenance_work_mem', 'autovacuum_work_mem', 'autovacuum_max_workers', 'shared_buffers',
                                  'max_parallel_maintenance_workers')";
        let mut settings = std::collections::BTreeMap::new();
        for row in rows(&client, what, sql, &[]).await? {
            settings.insert(get::<String>(&row, 0, what)?, get::<i64>(&row, 1, what)?);
        }
        let number = |name: &str| settings.get(name).and_then(|value| u64::try_from(*value).ok());
        let own = number("maintenance_work_mem").ok_or_else(|| unexpected(what))?.saturating_mul(KB);
        let workers = number("autovacuum_max_workers").unwrap_or(0);
        // None where it is -1: as much as maintenance_work_mem.
        let each = number("autovacuum_work_mem").map_or(own, |memory| memory.saturating_mul(KB));
        let promised = own.saturating_add(each.saturating_mul(workers));
        let shared = number("shared_buffers").unwrap_or(0).saturating_mul(PAGE);
        Ok(Self {
            maintenance_work_mem: own,
            budget: promised.max(shared / 2),
            parallel_workers: number("max_parallel_maintenance_workers")
                .and_then(|workers| u32::try_from(workers).ok())
                .unwrap_or(0),
        })
    }

    /// The share of each of `builds` that run at once.
    pub fn share(&self, builds: usize) -> Resources {
        let builds = u64::try_from(builds).unwrap_or(u64::MAX).max(1);
        Resources { memory: (self.budget / builds).min(USEFUL), parallel_workers: self.parallel_workers }
    }
}
