//! What to fill: the knobs of an estate, and the sizes that follow from them.

use super::enterprise::EnterpriseSizes;

/// An estate to fill. The same spec over the same default workspace gives the same rows.
#[derive(Debug, Clone)]
pub struct FillSpec {
    /// Seed of everything random.
    pub seed: u64,
    /// Consumers; the other tables follow in realistic proportion.
    pub consumers: u64,
    /// Workspaces, the default one included; at least 1.
    pub workspaces: u64,
    /// Credentials of each consumer: the first an API key, the others of mixed kinds.
    pub credentials_per_consumer: u64,
    /// Whether the credentials after the first are all basic-auth, instead of mixed kinds: every consumer then has the same.
    pub only_basic_auth: bool,
    /// Services, instead of a number that fits the consumers.
    pub services: Option<u64>,
    /// Routes, instead of twice the services. They all stand in one partition.
    pub routes: Option<u64>,
    /// Rows with a huge text, half of them plugins, half certificates.
    pub wide_rows: u64,
    /// Bytes of that text.
    pub wide_bytes: usize,
    /// Whether to add the legal but odd rows that real estates have collected over the years.
    pub odd: bool,
    /// Inserts in flight.
    pub concurrency: usize,
    /// Whether to drop Kong's secondary indexes before the fill and create them again afterwards: inserts are several times
    /// faster without them.
    pub bulk: bool,
}

impl Default for FillSpec {
    fn default() -> Self {
        Self {
            seed: 1,
            consumers: 1_000,
            workspaces: 3,
            credentials_per_consumer: 2,
            only_basic_auth: false,
            services: None,
            routes: None,
            wide_rows: 0,
            wide_bytes: 5_000_000,
            odd: false,
            concurrency: 256,
            bulk: false,
        }
    }
}

/// Entities per kind. Each kind has at least two per workspace, so that references inside a workspace always find one.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sizes {
    pub(super) workspaces: u64,
    pub(super) consumers: u64,
    pub(super) services: u64,
    pub(super) routes: u64,
    pub(super) upstreams: u64,
    pub(super) certificates: u64,
    pub(super) ca_certificates: u64,
    pub(super) vaults: u64,
    pub(super) key_sets: u64,
    pub(super) acme: u64,
    /// Sessions, cluster events, counters and the like.
    pub(super) traffic: u64,
    pub(super) wide: u64,
    pub(super) enterprise: EnterpriseSizes,
}

impl Sizes {
    pub(super) fn of(spec: &FillSpec) -> Self {
        let workspaces = spec.workspaces.max(1);
        let floor = 2 * workspaces;
        let services = spec.services.unwrap_or((spec.consumers / 100).clamp(12, 2_000)).max(floor);
        Self {
            workspaces,
            consumers: spec.consumers,
            services,
            routes: spec.routes.unwrap_or(services * 2).max(floor),
            upstreams: (services / 3).max(floor),
            certificates: (services / 10).max(floor),
            ca_certificates: (services / 100).max(6),
            vaults: floor,
            key_sets: floor,
            acme: (spec.consumers / 100).clamp(9, 500),
            traffic: (spec.consumers / 50).clamp(20, 2_000),
            wide: spec.wide_rows,
            enterprise: EnterpriseSizes::of(spec),
        }
    }
}
