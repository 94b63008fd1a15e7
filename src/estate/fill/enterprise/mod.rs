//! What an Enterprise estate holds besides: access control, Dev Portal, keyring, platform and plugin tables.

mod access_control;
mod keyring;
mod legacy;
mod odd;
mod platform;
mod plugins;
mod portal;
mod record;
#[cfg(test)]
mod secrets_tests;
mod token;

pub use token::{rbac_token, rbac_token_ident};

use super::FillSpec;
use super::generate::{Generator, Unit};
use super::row::Row;
use crate::estate::Edition;

/// Units of kinds that every estate has a handful of: hooks, licences, keys, vaults.
const PLATFORM: u64 = 8;

/// Directory groups.
const GROUPS: u64 = 5;

/// Entities per Enterprise kind; at least two per workspace where references inside a workspace have to find one.
#[derive(Debug, Clone, Copy)]
pub(super) struct EnterpriseSizes {
    pub(super) roles: u64,
    /// Few whatever the estate's size: digesting one token takes as long as a hundred inserts.
    pub(super) users: u64,
    pub(super) admins: u64,
    pub(super) developers: u64,
    pub(super) files: u64,
    pub(super) consumer_groups: u64,
    pub(super) records: u64,
}

impl EnterpriseSizes {
    pub(super) fn of(spec: &FillSpec) -> Self {
        let floor = 2 * spec.workspaces.max(1);
        Self {
            roles: floor + 2,
            users: (spec.consumers / 100).clamp(16, 40).max(floor),
            admins: floor.clamp(8, 20),
            developers: (spec.consumers / 50).clamp(12, 1_000).max(floor),
            files: (spec.consumers / 20).clamp(32, 2_000).max(floor),
            consumer_groups: floor,
            records: (spec.consumers / 20).clamp(24, 5_000),
        }
    }
}

impl Generator {
    pub(super) fn is_enterprise(&self) -> bool {
        self.edition == Edition::Enterprise
    }

    /// The units that only Enterprise has.
    pub(super) fn enterprise_units(&self) -> impl Iterator<Item = Unit> + use<> {
        let EnterpriseSizes { roles, users, admins, developers, files, consumer_groups, records } =
            self.sizes.enterprise;
        (0..roles)
            .map(Unit::RbacRole)
            .chain((0..users).map(Unit::RbacUser))
            .chain((0..admins).map(Unit::Admin))
            .chain((0..GROUPS).map(Unit::Group))
            .chain((0..developers).map(Unit::Developer))
            .chain((0..files).map(Unit::PortalFile))
            .chain((0..consumer_groups).map(Unit::ConsumerGroup))
            .chain((0..PLATFORM).map(Unit::Platform))
            .chain((0..records).map(Unit::Record))
            .filter({
                let edition = self.edition;
                move |_| edition == Edition::Enterprise
            })
    }

    /// Name of the workspace that entities of this index belong to.
    pub(super) fn workspace_name(&self, index: u64) -> String {
        match index % self.sizes.workspaces {
            0 => "default".to_owned(),
            place => format!("team-{place}"),
        }
    }

    /// A proxy consumer with the cells that Enterprise adds; every third is of a time before `type` had a value.
    pub(super) fn with_consumer_type(row: Row, index: u64) -> Row {
        if index.is_multiple_of(3) { row } else { row.int("type", 0) }
    }
}
