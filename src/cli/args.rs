//! Arguments that several commands share.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::OnceLock;

use clap::Args;

use crate::config::{SourceSettings, snapshot_from_url, target_from_url};
use crate::engine::plan::PlanOptions;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{Class, Keep, Policies, PolicyChoice};
use crate::schema_map::{Choice, MapSet};
use crate::source::snapshot::{SnapshotConfig, parse_instant};
use crate::target::TargetConfig;

/// Where the two servers are.
#[derive(Debug, Args)]
#[command(next_help_heading = "Connections")]
pub struct ConnectionArgs {
    /// Cassandra: cassandra://user@host1,host2:9042/keyspace?consistency=local_quorum&datacenter=dc1, or what `nodetool snapshot`
    /// left: snapshot:DIR[,DIR...]?tag=NAME&keyspace=kong
    ///
    /// DIR is a node's data directory or a copy of it, with KEYSPACE/TABLE-ID/snapshots/TAG below, or a copy with the files of the
    /// snapshot in KEYSPACE/TABLE-ID itself; one for each node, with the node's name in front if you like (n1=DIR). Take the
    /// snapshots with keyspaces system and system_schema: they tell whether all nodes are there.
    ///
    /// The password comes from KONGFERRY_SOURCE_PASSWORD, from the file named by KONGFERRY_SOURCE_PASSWORD_FILE, or from a
    /// prompt. Reads are made at local_quorum unless the URL says otherwise.
    #[arg(long, value_name = "URL", env = "KONGFERRY_SOURCE", hide_env_values = true)]
    source: Option<String>,

    /// Name of the snapshot, where the directories hold several (or tag= in the URL)
    #[arg(long, value_name = "TAG")]
    snapshot: Option<String>,

    /// Instant at which rows of a snapshot count as alive or expired, such as 2026-11-20T02:00:00Z (UTC) or seconds since 1970
    /// [default: now]
    #[arg(long, value_name = "TIME", value_parser = instant)]
    as_of: Option<i64>,

    /// Read a snapshot that has not all nodes of its cluster, or does not tell: rows can be missing, and deleted ones be back.
    #[arg(long)]
    accept_incomplete: bool,

    /// PostgreSQL: postgres://user@host:5432/database?schema=public
    ///
    /// The password comes from KONGFERRY_TARGET_PASSWORD or from the file named by KONGFERRY_TARGET_PASSWORD_FILE.
    #[arg(long, value_name = "URL", env = "KONGFERRY_TARGET", hide_env_values = true)]
    target: Option<String>,
}

impl ConnectionArgs {
    /// The settings of both sides.
    pub fn settings(&self) -> Result<(SourceSide, TargetConfig)> {
        let missing = |side: &str| {
            Error::new(ErrorKind::Usage, format!("no {side} is given")).remedy(format!(
                "name it with --{side} URL or in the environment as KONGFERRY_{}",
                side.to_uppercase()
            ))
        };
        let source = self.source.as_deref().ok_or_else(|| missing("source"))?;
        let target = self.target.as_deref().ok_or_else(|| missing("target"))?;
        let source = if let Some(snapshot) = snapshot_from_url(source)? {
            SourceSide::Snapshot(self.over(snapshot))
        } else {
            self.without_snapshot()?;
            SourceSide::Cluster(SourceSettings::from_url(source)?)
        };
        Ok((source, target_from_url(target)?))
    }

    /// Whether a snapshot may lack nodes.
    pub fn accept_incomplete(&self) -> bool {
        self.accept_incomplete
    }

    /// The options over what the URL says.
    fn over(&self, mut snapshot: SnapshotConfig) -> SnapshotConfig {
        snapshot.place.tag = self.snapshot.clone().or(snapshot.place.tag);
        snapshot.as_of = self.as_of.or(snapshot.as_of);
        snapshot
    }

    fn without_snapshot(&self) -> Result<()> {
        let given = [
            ("--snapshot", self.snapshot.is_some()),
            ("--as-of", self.as_of.is_some()),
            ("--accept-incomplete", self.accept_incomplete),
        ];
        match given.iter().find(|(_, given)| *given) {
            None => Ok(()),
            Some((option, _)) => Err(Error::new(
                ErrorKind::Usage,
                format!("{option} is for snapshots, and the source is a live cluster"),
            )
            .remedy("name the snapshot as --source snapshot:DIR[,DIR...]")),
        }
    }
}

fn instant(text: &str) -> std::result::Result<i64, String> {
    parse_instant(text).ok_or_else(|| "no instant such as 2026-11-20T02:00:00Z".to_owned())
}

/// What is read.
#[derive(Debug, Clone)]
pub enum SourceSide {
    /// A live cluster.
    Cluster(SourceSettings),
    /// The files of a snapshot.
    Snapshot(SnapshotConfig),
}

/// Which tables, under which maps.
#[derive(Debug, Args)]
#[command(next_help_heading = "Tables")]
pub struct TableArgs {
    /// Copy only these tables (names separated by commas).
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    tables: Vec<String>,

    /// Leave these tables out (names separated by commas).
    #[arg(long, value_name = "TABLES", value_delimiter = ',')]
    skip_tables: Vec<String>,

    /// Copy tables that are skipped by default, by the word `kongferry map list` shows (separated by commas).
    #[arg(long, value_name = "WORDS", value_delimiter = ',')]
    include: Vec<String>,

    #[command(flatten)]
    maps: MapArgs,
}

/// Where maps come from.
#[derive(Debug, Args)]
pub struct MapArgs {
    /// Folder of schema maps that replace the built-in ones of the same table.
    #[arg(long, value_name = "DIR")]
    map_dir: Option<PathBuf>,
}

impl MapArgs {
    /// The built-in maps, and those of `--map-dir` over them.
    pub fn load(&self) -> Result<MapSet> {
        let maps = MapSet::built_in()?;
        match &self.map_dir {
            Some(dir) => maps.with_dir(dir),
            None => Ok(maps),
        }
    }
}

impl TableArgs {
    /// The maps.
    pub fn maps(&self) -> Result<MapSet> {
        self.maps.load()
    }

    /// Which tables the user asked for.
    pub fn choice(&self) -> Choice {
        Choice {
            include: self.include.clone(),
            tables: self.tables.clone(),
            skip_tables: self.skip_tables.clone(),
        }
    }
}

/// How hard to read.
#[derive(Debug, Args)]
#[command(next_help_heading = "Reading")]
pub struct ReadingArgs {
    /// Splits read (and loaded) at the same time [default: twice the cores, 4 to 16, as far as connections to PostgreSQL are free]
    ///
    /// Each worker loads through one connection to PostgreSQL. A node of Cassandra is asked for 4 pages at once to begin with, for more
    /// while it keeps up, and for half as many when it does not.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    workers: Option<u16>,

    /// Workers that the free connections of the target allow, where nobody asked for a number.
    #[arg(skip)]
    allowed: OnceLock<usize>,

    /// Rows read per second at most, over all workers: protects a source that still serves a Gateway [default: as fast as it
    /// bears]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    max_rows_per_second: Option<u32>,

    /// Memory for pages in flight, in MiB; a single row larger than this still passes.
    #[arg(long, value_name = "MIB", default_value_t = 128, value_parser = clap::value_parser!(u32).range(8..=65_536))]
    memory: u32,

    /// Read consistency, over what the source URL says: local_quorum, quorum, each_quorum, all.
    ///
    /// Kong writes at ONE by default, so below ALL a row can be missed on a cluster that was not repaired: repair first, or
    /// read at all.
    #[arg(long, value_name = "LEVEL")]
    pub consistency: Option<String>,

    /// Show only the result.
    #[arg(long, short)]
    pub quiet: bool,
}

impl ReadingArgs {
    /// Splits at the same time.
    pub fn workers(&self) -> usize {
        let of_cores =
            || (2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get)).clamp(4, 16);
        let wanted = self.workers.map_or_else(of_cores, usize::from);
        self.allowed.get().map_or(wanted, |allowed| wanted.min(*allowed))
    }

    /// Whether somebody asked for this number of workers.
    pub fn insists_on_workers(&self) -> bool {
        self.workers.is_some()
    }

    /// From now on no more than `most` workers.
    pub fn allow_workers(&self, most: usize) {
        // Set once, right after the target was opened.
        let _ = self.allowed.set(most.max(1));
    }

    /// Rows per second over all readers.
    pub fn rows_per_second(&self) -> Option<NonZeroU32> {
        self.max_rows_per_second.and_then(NonZeroU32::new)
    }

    /// Options for the plan.
    pub fn plan_options(&self, shifted: bool) -> PlanOptions {
        let memory_bytes = usize::try_from(self.memory).unwrap_or(usize::MAX).saturating_mul(1 << 20);
        PlanOptions {
            workers: self.workers(),
            memory_bytes,
            shifted,
            keep_constraints: false,
            policies: Policies::default(),
            write_times: false,
        }
    }
}

/// How to load.
#[derive(Debug, Args)]
#[command(next_help_heading = "Loading")]
pub struct LoadingArgs {
    /// Keep indexes, constraints and triggers in place while loading: several times slower, for a role that does not own the
    /// tables, or tables that cannot be put back exactly.
    #[arg(long)]
    pub keep_constraints: bool,

    /// Indexes and foreign keys built at the same time, sharing the memory that the server's settings allow [default: 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64))]
    builds: Option<u16>,

    /// What becomes of rows of a class, over its default: repair, quarantine, skip or fail; can be repeated.
    ///
    /// docs/bad-rows.md lists the classes. Quarantined rows are kept whole in table kongferry.quarantine of the target, and the run
    /// ends with exit code 5.
    #[arg(long, value_name = "CLASS=POLICY")]
    policy: Vec<PolicyChoice>,

    /// The Gateway still writes to the source: a row whose parent was not there when its table was read is no orphan. The parent is
    /// read again.
    #[arg(long)]
    pub live: bool,

    /// Which of several rows with the same unique key stays: by created_at, ties by id. The others go into quarantine, with
    /// all rows that depend on them [default: the oldest, as long as nothing depends on the others]
    #[arg(long, value_name = "WHICH")]
    pub on_duplicate: Option<Keep>,

    /// What becomes of rows whose parent does not exist: the same as --policy missing-parent=POLICY.
    #[arg(long, value_name = "POLICY", value_parser = ["quarantine", "skip", "fail"])]
    on_orphan: Option<String>,
}

impl LoadingArgs {
    /// Indexes and foreign keys built at the same time.
    pub fn builds(&self) -> usize {
        self.builds.map_or(4, usize::from)
    }

    /// What becomes of rows without a parent, where somebody said so in the option of its own.
    pub fn on_orphan(&self) -> Result<Option<PolicyChoice>> {
        let parsed =
            self.on_orphan.as_ref().map(|policy| format!("{}={policy}", Class::MissingParent).parse());
        parsed.transpose().map_err(|why: String| Error::new(ErrorKind::Usage, why))
    }

    /// What becomes of bad rows.
    pub fn policies(&self) -> Result<Policies> {
        let policies = chosen(Policies::default(), &self.policy)?;
        chosen(policies, self.on_orphan()?.as_slice())
    }
}

/// `policies` with these choices over them.
pub fn chosen(mut policies: Policies, choices: &[PolicyChoice]) -> Result<Policies> {
    choices.iter().try_for_each(|choice| policies.choose(*choice))?;
    Ok(policies)
}
