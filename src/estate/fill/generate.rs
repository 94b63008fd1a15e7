//! The rows of an estate, unit by unit. A unit is an entity with everything that hangs on it; units need nothing of one another
//! but ids, which are computed.

use uuid::Uuid;

use super::dice::{Dice, entity_id};
use super::row::Row;
use super::spec::{FillSpec, Sizes};
use crate::estate::{Edition, KongVersion};

/// Creation time of the first entity: 2021-03-01, in seconds since 1970.
const FIRST_CREATED: i64 = 1_614_556_800;

/// The rows a [`FillSpec`] describes over a default workspace.
#[derive(Debug, Clone)]
pub struct Generator {
    pub(super) version: KongVersion,
    pub(super) edition: Edition,
    pub(super) seed: u64,
    pub(super) credentials_per_consumer: u64,
    pub(super) only_basic_auth: bool,
    pub(super) wide_bytes: usize,
    pub(super) sizes: Sizes,
    workspaces: Vec<Uuid>,
}

/// An entity with everything that hangs on it, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// A workspace with its global plugins.
    Workspace(u64),
    /// A CA certificate.
    CaCertificate(u64),
    /// A certificate with its SNIs.
    Certificate(u64),
    /// A service with its plugin.
    Service(u64),
    /// A route with its plugin.
    Route(u64),
    /// An upstream with its targets.
    Upstream(u64),
    /// A consumer with credentials, groups, tokens and plugins.
    Consumer(u64),
    /// A vault.
    Vault(u64),
    /// A key set with its keys.
    KeySet(u64),
    /// What the ACME plugin stored.
    Acme(u64),
    /// Sessions, events, counters and other rows of running nodes.
    Traffic(u64),
    /// A row with a huge text.
    Wide(u64),
    /// A role of the Admin API with its permissions.
    RbacRole(u64),
    /// A user of the Admin API with its roles.
    RbacUser(u64),
    /// An administrator with RBAC user, consumer and credential.
    Admin(u64),
    /// A group of an external directory with its roles.
    Group(u64),
    /// A developer with consumer, credential and application.
    Developer(u64),
    /// A file of the Dev Portal.
    PortalFile(u64),
    /// A consumer group with its plugin and members.
    ConsumerGroup(u64),
    /// Hooks, licences, keys of the keyring and rows of Enterprise plugins.
    Platform(u64),
    /// An entry of the audit log, and counters.
    Record(u64),
}

impl Generator {
    /// The open-source estate of `spec` for `version`, over the workspace `default` of that id.
    pub fn new(spec: &FillSpec, version: KongVersion, default_workspace: Uuid) -> Self {
        Self::of_edition(spec, version, Edition::OpenSource, default_workspace)
    }

    /// The estate of `spec` for `version` in `edition`, over the workspace `default` of that id.
    pub fn of_edition(
        spec: &FillSpec,
        version: KongVersion,
        edition: Edition,
        default_workspace: Uuid,
    ) -> Self {
        let sizes = Sizes::of(spec);
        let others = (1..sizes.workspaces).map(|index| entity_id(spec.seed, "workspaces", index));
        Self {
            version,
            edition,
            seed: spec.seed,
            credentials_per_consumer: spec.credentials_per_consumer,
            only_basic_auth: spec.only_basic_auth,
            wide_bytes: spec.wide_bytes,
            sizes,
            workspaces: std::iter::once(default_workspace).chain(others).collect(),
        }
    }

    /// All units but the wide ones.
    pub fn units(&self) -> impl Iterator<Item = Unit> + use<> {
        let Sizes {
            workspaces,
            consumers,
            services,
            routes,
            upstreams,
            certificates,
            ca_certificates,
            vaults,
            key_sets,
            acme,
            traffic,
            wide: _,
            enterprise: _,
        } = self.sizes;
        (0..workspaces)
            .map(Unit::Workspace)
            .chain((0..ca_certificates).map(Unit::CaCertificate))
            .chain((0..certificates).map(Unit::Certificate))
            .chain((0..services).map(Unit::Service))
            .chain((0..upstreams).map(Unit::Upstream))
            .chain((0..routes).map(Unit::Route))
            .chain((0..vaults).map(Unit::Vault))
            .chain((0..key_sets).map(Unit::KeySet))
            .chain((0..acme).map(Unit::Acme))
            .chain((0..traffic).map(Unit::Traffic))
            .chain((0..consumers).map(Unit::Consumer))
            .chain(self.enterprise_units())
    }

    /// The wide units, which hold megabytes each.
    pub fn wide_units(&self) -> impl Iterator<Item = Unit> + use<> {
        (0..self.sizes.wide).map(Unit::Wide)
    }

    /// The rows of `unit`, rows of `tags` included. Columns are those of all versions together; whoever writes them leaves out
    /// what the live tables lack.
    pub fn rows(&self, unit: Unit) -> Vec<Row> {
        with_tag_rows(match unit {
            Unit::Workspace(index) => self.workspace(index),
            Unit::CaCertificate(index) => self.ca_certificate(index),
            Unit::Certificate(index) => self.certificate(index),
            Unit::Service(index) => self.service(index),
            Unit::Route(index) => self.route(index),
            Unit::Upstream(index) => self.upstream(index),
            Unit::Consumer(index) => self.consumer(index),
            Unit::Vault(index) => self.vault(index),
            Unit::KeySet(index) => self.key_set(index),
            Unit::Acme(index) => self.acme(index),
            Unit::Traffic(index) => self.traffic(index),
            Unit::Wide(index) => self.wide(index),
            Unit::RbacRole(index) => self.rbac_role(index),
            Unit::RbacUser(index) => self.rbac_user(index),
            Unit::Admin(index) => self.admin(index),
            Unit::Group(index) => self.group_of_directory(index),
            Unit::Developer(index) => self.developer(index),
            Unit::PortalFile(index) => self.portal_file(index),
            Unit::ConsumerGroup(index) => self.consumer_group(index),
            Unit::Platform(index) => self.platform(index),
            Unit::Record(index) => self.record(index),
        })
    }

    /// Id of an entity; `space` is its table or a part of it.
    pub(super) fn id(&self, space: &str, index: u64) -> Uuid {
        entity_id(self.seed, space, index)
    }

    pub(super) fn dice(&self, space: &str, index: u64) -> Dice {
        Dice::of(self.seed, space, index)
    }

    /// Id of the workspace that entities of this index belong to.
    pub(super) fn workspace_of(&self, index: u64) -> Uuid {
        let place = usize::try_from(index % self.sizes.workspaces).unwrap_or(0);
        self.workspaces.get(place).copied().unwrap_or_default()
    }

    /// Index of some entity, among `count`, of the same workspace as entity `index`.
    pub(super) fn neighbour(&self, index: u64, count: u64, dice: &mut Dice) -> u64 {
        let workspaces = self.sizes.workspaces;
        let first = index % workspaces;
        let in_workspace = count.saturating_sub(first).div_ceil(workspaces);
        first + workspaces * dice.below(in_workspace)
    }

    /// Creation time of entity `index` in milliseconds, whole seconds as Kong writes them.
    pub(super) fn created_at(index: u64) -> i64 {
        // About five years of creations, then over again.
        (FIRST_CREATED + i64::try_from(index * 37 % 157_680_000).unwrap_or(0)) * 1000
    }
}

/// Adds the rows of `tags` that belong to `rows`.
pub(super) fn with_tag_rows(mut rows: Vec<Row>) -> Vec<Row> {
    let tags: Vec<Row> = rows.iter().flat_map(Row::tag_rows).collect();
    rows.extend(tags);
    rows
}

/// Sets `created_at` and `updated_at` of entity `index`; every third entity was not changed since an upgrade that brought the
/// second column, and has NULL there.
pub(super) fn stamped(row: Row, index: u64) -> Row {
    let created_at = Generator::created_at(index);
    let row = row.instant("created_at", created_at);
    if index.is_multiple_of(3) { row } else { row.instant("updated_at", created_at + 86_400_000) }
}

/// Some tags, often none.
pub(super) fn tags(dice: &mut Dice) -> Vec<String> {
    if !dice.chance(20) {
        return Vec::new();
    }
    let mut tags = vec![format!("team-{}", dice.below(40))];
    if dice.chance(40) {
        tags.push("prod".to_owned());
    }
    if dice.chance(10) {
        tags.push("é:ünï \"x\"".to_owned());
    }
    tags
}
