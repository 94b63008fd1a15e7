//! Memory and processes for building indexes.

use crate::error::Result;
use crate::target::Target;

/// What one step of putting back may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resources {
    /// Memory for one build, in bytes (`maintenance_work_mem`).
    pub memory: u64,
    /// Processes that may help one build (`max_parallel_maintenance_workers`, from `PostgreSQL` 11 on).
    pub parallel_workers: u32,
}

/// What the server grants all builds together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerResources {
    /// `maintenance_work_mem`, in bytes.
    pub maintenance_work_mem: u64,
    /// Memory that builds running at once may use together, in bytes.
    pub budget: u64,
    /// Processes that may help; 0 before `PostgreSQL` 11.
    pub parallel_workers: u32,
}

impl ServerResources {
    /// Reads the server's settings.
    pub async fn read(target: &Target) -> Result<Self> {
        let _ = target;
        Ok(Self { maintenance_work_mem: 0, budget: 0, parallel_workers: 0 })
    }

    /// The share of each of `builds` that run at once.
    pub fn share(&self, builds: usize) -> Resources {
        let _ = builds;
        Resources { memory: self.budget, parallel_workers: self.parallel_workers }
    }
}
