//! For a whole estate: which tables are copied, which are not and why.

use std::collections::{BTreeMap, BTreeSet};

use crate::error::{Error, ErrorKind, Result};
use crate::source;
use crate::target::catalog as target;

use serde::{Deserialize, Serialize};

use super::{Action, Evidence, MapSet, TableMap, TableMapping, derive, did_you_mean, listed, resolve};

/// What the user asks for beyond the maps.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Choice {
    /// `--include`: words of tables that are skipped by default.
    pub include: Vec<String>,
    /// `--tables`: only these, and those that are merged (every entity refers to its workspace); empty for all.
    pub tables: Vec<String>,
    /// `--skip-tables`: not these.
    pub skip_tables: Vec<String>,
}

/// What was learned of the source beyond its catalog.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    /// By table, what a sample of its rows shows; for the tables that [`to_sample`] names.
    pub evidence: BTreeMap<String, Evidence>,
    /// Subsystems in the source's `schema_meta`: Kong's core and the plugins whose migrations have run.
    pub subsystems: BTreeSet<String>,
}

/// What happens to one table.
#[derive(Debug, Clone)]
pub struct Decision {
    /// Its name.
    pub table: String,
    /// Copied or not.
    pub action: Decided,
}

/// What was decided.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "one value per table")]
pub enum Decided {
    /// Its rows are copied.
    Copy {
        /// How.
        mapping: TableMapping,
        /// The target's bootstrap rows give way to them.
        merge: bool,
    },
    /// Its rows are not copied.
    Skip {
        /// Why, for the person who reads `plan`.
        reason: String,
        /// Whether the source has the table, so that its rows can be counted.
        on_source: bool,
        /// Whether the target has it.
        on_target: bool,
    },
}

/// Tables of old versions that upgrades may have left in a keyspace.
const LEFTOVERS: [(&str, &str); 14] = [
    ("apis", "left behind by Kong before 1.0"),
    ("cluster_ca", "left behind by Kong 1.x, whose service mesh is gone"),
    ("consumer_statuses", "left behind by Kong Enterprise before 1.0"),
    ("consumer_types", "left behind by Kong Enterprise before 1.0, now consumers.type"),
    ("consumers_rbac_users_map", "left behind by Kong Enterprise before 2.1, now admins and developers"),
    (
        "license_data_tmp",
        "left behind by an upgrade of Kong Enterprise, which moved its rows to license_data",
    ),
    (
        "license_data_tmp_2600_to_2700",
        "left behind by the upgrade to Kong Enterprise 2.7, which moved its rows to license_data",
    ),
    ("nodes", "left behind by Kong before 1.0"),
    ("portal_files", "left behind by Kong Enterprise before 1.0, now files and legacy_files"),
    ("portal_reset_secrets", "left behind by Kong Enterprise before 1.0, now consumer_reset_secrets"),
    ("schema_migrations", "left behind by Kong before 1.0, which recorded migrations there"),
    ("ssl_certificates", "left behind by Kong before 1.0, now certificates"),
    ("ssl_servers_names", "left behind by Kong before 1.0, now snis"),
    ("token_statuses", "left behind by Kong Enterprise before 1.0"),
];

/// Subsystems of Kong's own that have migrations, but no table that would be named after them.
const WITHOUT_TABLES: [&str; 6] =
    ["core", "bot-detection", "http-log", "ip-restriction", "post-function", "pre-function"];

/// A table that every Enterprise Gateway has and no open-source one.
const ENTERPRISE_TABLE: &str = "rbac_users";

/// Decides for every table of the source, and for those of the target that a map knows, in the order of their names.
///
/// # Errors
/// `Usage` when `choice` names a word or table that does not exist or does not fit together; `SchemaMap` with all problems of all
/// tables: an unknown table of the source, a table the target lacks, a map that does not fit.
pub fn decide(
    maps: &MapSet,
    source: &source::Catalog,
    target: &target::Catalog,
    choice: &Choice,
) -> Result<Vec<Decision>> {
    decide_with(maps, source, target, choice, &Findings::default())
}

/// The tables whose rows have to be sampled before [`decide_with`]: those of both sides that no map describes and nobody
/// leaves out.
pub fn to_sample<'a>(
    maps: &MapSet,
    source: &'a source::Catalog,
    target: &target::Catalog,
    choice: &Choice,
) -> Vec<&'a source::Table> {
    source
        .tables
        .values()
        .filter(|table| maps.get(&table.name).is_none() && target.tables.contains_key(&table.name))
        .filter(|table| !choice.skip_tables.contains(&table.name))
        .filter(|table| choice.tables.is_empty() || choice.tables.contains(&table.name))
        .collect()
}

/// Like [`decide`]; a table of both sides that no map describes gets one worked out from `findings`.
///
/// # Errors
/// As [`decide`], and `SchemaMap` for what a worked-out map leaves open.
pub fn decide_with(
    maps: &MapSet,
    source: &source::Catalog,
    target: &target::Catalog,
    choice: &Choice,
    findings: &Findings,
) -> Result<Vec<Decision>> {
    let estate = Estate { maps, source, target, choice, findings };
    estate.check_choice()?;
    let names: BTreeSet<&String> =
        source.tables.keys().chain(target.tables.keys().filter(|name| maps.get(name).is_some())).collect();
    let mut decisions = Vec::new();
    let mut problems = Vec::new();
    let (mut homeless, mut open) = (Vec::new(), Vec::new());
    for name in names {
        match estate.table(name) {
            Ok(action) => decisions.push(Decision { table: name.clone(), action }),
            Err(Problem::Unknown(problem) | Problem::NotOnTarget(problem)) => {
                problems.push(problem);
                homeless.push(name.as_str());
            }
            Err(Problem::Misfit(mut found)) => problems.append(&mut found),
            Err(Problem::Open(mut found)) => {
                problems.append(&mut found);
                homeless.push(name.as_str());
                open.push(name.as_str());
            }
        }
    }
    if problems.is_empty() {
        return Ok(decisions);
    }
    if homeless.is_empty() {
        return Err(resolve::misfit(&problems));
    }
    let remedy = match (open.as_slice(), homeless.as_slice()) {
        ([table], [_]) => derive::remedy(table),
        _ => format!(
            "leave out what may stay behind (--skip-tables {}); an unknown table that both sides have can be described in a \
             map: `kongferry map derive TABLE > MAPS/TABLE.toml`, then --map-dir MAPS, see docs/schema-maps.md",
            homeless.join(",")
        ),
    };
    Err(Error::new(ErrorKind::SchemaMap, listed("the schema maps do not fit the live tables", &problems))
        .remedy(remedy))
}

struct Estate<'a> {
    maps: &'a MapSet,
    source: &'a source::Catalog,
    target: &'a target::Catalog,
    choice: &'a Choice,
    findings: &'a Findings,
}

enum Problem {
    /// A table of the source without a map.
    Unknown(String),
    /// A table with rows to copy and nowhere to put them.
    NotOnTarget(String),
    /// The map does not fit.
    Misfit(Vec<String>),
    /// The map that was worked out leaves something open.
    Open(Vec<String>),
}

impl Estate<'_> {
    fn included(&self, map: &TableMap) -> bool {
        map.include.as_ref().is_some_and(|word| self.choice.include.contains(word))
    }

    /// Whether the user's words and tables exist and fit together.
    fn check_choice(&self) -> Result<()> {
        let Choice { include, tables, skip_tables } = self.choice;
        let words = self.maps.include_words();
        check_names("--include", include, &words, "words")?;
        let known: BTreeSet<&str> = self
            .source
            .tables
            .keys()
            .chain(self.target.tables.keys())
            .map(String::as_str)
            .chain(self.maps.iter().map(|map| map.table.as_str()))
            .collect();
        check_names("--tables", tables, &known, "tables")?;
        check_names("--skip-tables", skip_tables, &known, "tables")?;
        tables.iter().try_for_each(|name| self.check_wanted(name))
    }

    /// Whether a table of `--tables` can be copied.
    fn check_wanted(&self, name: &String) -> Result<()> {
        let usage = |message: String| Error::new(ErrorKind::Usage, message);
        if self.choice.skip_tables.contains(name) {
            return Err(usage(format!("{name} stands in --tables and in --skip-tables")));
        }
        if !self.source.tables.contains_key(name) {
            return Err(usage(format!("--tables names {name}, which the source does not have")));
        }
        match self.maps.get(name) {
            Some(map) if map.action == Action::Skip && !self.included(map) => {
                let error = usage(format!("--tables names {name}, which is not copied by default"))
                    .because(map.reason.as_deref().unwrap_or_default());
                Err(match &map.include {
                    Some(word) => error.remedy(format!("add --include {word}")),
                    None => error,
                })
            }
            _ => Ok(()),
        }
    }

    fn table(&self, name: &String) -> Result<Decided, Problem> {
        let source = self.source.tables.get(name);
        let target = self.target.tables.get(name);
        let skip = |reason: String| {
            Ok(Decided::Skip { reason, on_source: source.is_some(), on_target: target.is_some() })
        };
        if self.choice.skip_tables.contains(name) {
            return skip("left out by --skip-tables".to_owned());
        }
        let map = self.maps.get(name);
        if let Some(map) = map
            && map.action == Action::Skip
            && !self.included(map)
        {
            let reason = map.reason.clone().unwrap_or_default();
            return skip(match &map.include {
                Some(word) => format!("{reason} (--include {word} copies them)"),
                None => reason,
            });
        }
        let chosen = self.choice.tables.is_empty()
            || self.choice.tables.contains(name)
            || map.is_some_and(|map| map.action == Action::Merge);
        if !chosen {
            return skip("not named by --tables".to_owned());
        }
        let Some(source) = source else {
            return skip("the source does not have it".to_owned());
        };
        let Some(map) = map else {
            return match (LEFTOVERS.into_iter().find(|(leftover, _)| leftover == name), target) {
                (Some((_, reason)), None) => skip(reason.to_owned()),
                (_, None) => Err(Problem::Unknown(self.unknown(name))),
                (_, Some(target)) => self.derived(source, target),
            };
        };
        let Some(target) = target else {
            let leftover = map.leftover.as_ref().filter(|leftover| {
                let on_source = |other: &String| self.source.tables.contains_key(other);
                leftover.beside.as_ref().is_none_or(on_source)
                    && !leftover.without.as_ref().is_some_and(on_source)
            });
            return match leftover {
                Some(leftover) => skip(leftover.reason.clone()),
                None => Err(Problem::NotOnTarget(self.not_on_target(map))),
            };
        };
        resolve::attempt(map, source, target)
            .map(|mapping| Decided::Copy { mapping, merge: map.action == Action::Merge })
            .map_err(Problem::Misfit)
    }

    fn derived(&self, source: &source::Table, target: &target::Table) -> Result<Decided, Problem> {
        let Some(evidence) = self.findings.evidence.get(&source.name) else {
            let problem =
                format!("{}: an unknown table of the source; kongferry has no map for it", source.name);
            return Err(Problem::Unknown(problem));
        };
        let draft = derive::draft(source, target, evidence);
        if !draft.open.is_empty() {
            return Err(Problem::Open(draft.open));
        }
        let mut mapping = resolve::attempt(&draft.map, source, target).map_err(Problem::Misfit)?;
        mapping.notes.extend(draft.notes);
        Ok(Decided::Copy { mapping, merge: false })
    }

    /// A table that only the source has, and the plugin it probably belongs to.
    fn unknown(&self, table: &str) -> String {
        let plugins = self.unknown_plugins();
        let likeness = |plugin: &str| strsim::jaro_winkler(&plugin.replace('-', "_"), table);
        let named_like =
            |plugin: &&&str| table.starts_with(&plugin.replace('-', "_")) || likeness(plugin) > 0.85;
        let what = format!("{table}: an unknown table of the source, which the target does not have");
        if self.findings.subsystems.is_empty() {
            return what;
        }
        let owner = match plugins.iter().filter(named_like).max_by(|a, b| likeness(a).total_cmp(&likeness(b)))
        {
            Some(plugin) => format!("probably of the plugin {plugin}"),
            None if plugins.is_empty() => "of no plugin whose migrations are on record".to_owned(),
            None => format!("probably of one of the plugins {}", plugins.join(", ")),
        };
        format!(
            "{what}, {owner}; if its rows are needed, \
             bootstrap the target with that plugin enabled (setting `plugins`, `kong migrations up`)"
        )
    }

    /// Plugins whose migrations have run on the source and whose tables no map describes.
    fn unknown_plugins(&self) -> Vec<&str> {
        let known: BTreeSet<&str> =
            self.maps.iter().filter_map(|map| map.subsystem.as_deref()).chain(WITHOUT_TABLES).collect();
        self.findings
            .subsystems
            .iter()
            .map(String::as_str)
            .filter(|subsystem| !known.contains(subsystem) && !subsystem.starts_with("enterprise"))
            .collect()
    }

    fn not_on_target(&self, map: &TableMap) -> String {
        let table = &map.table;
        let only_source_is_enterprise = self.source.tables.contains_key(ENTERPRISE_TABLE)
            && !self.target.tables.contains_key(ENTERPRISE_TABLE);
        match &map.subsystem {
            Some(plugin) => format!(
                "{table}: the target does not have it; probably its Gateway was bootstrapped without the plugin {plugin} \
                 (setting `plugins`), so run `kong migrations up` there with the plugin enabled"
            ),
            None if only_source_is_enterprise => format!(
                "{table}: the target does not have it; it belongs to Kong Enterprise, and the target was bootstrapped by an \
                 open-source Gateway"
            ),
            None => format!(
                "{table}: the target does not have it; it belongs to Kong's core, so the two sides are at different Kong \
                 versions"
            ),
        }
    }
}

/// Whether all of `names`, given for `option`, are known.
fn check_names(option: &str, names: &[String], known: &BTreeSet<&str>, kind: &str) -> Result<()> {
    match names.iter().find(|name| !known.contains(name.as_str())) {
        None => Ok(()),
        Some(name) => {
            let hint = did_you_mean(name, known.iter().copied());
            let known: Vec<_> = known.iter().copied().collect();
            Err(Error::new(ErrorKind::Usage, format!("{option} does not know \"{name}\"{hint}"))
                .remedy(format!("the {kind} are {}", known.join(", "))))
        }
    }
}
