//! What must hold before a row moves. Nothing here writes; every failure is a refusal (exit code 3).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::events::Events;
use super::evidence;
use super::keyring::Keyring;
use super::plan::{Plan, PlanOptions};
use super::{seed, settle};
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::{Run, refuse_unfinished};
use crate::schema_map::decide::{Findings, decide_with, to_sample};
use crate::schema_map::{Choice, MapSet};
use crate::schema_state;
use crate::source::{Source, kong};
use crate::target::armour::{self, Armour};
use crate::target::bootstrap::{Fate, WORKSPACES};
use crate::target::fresh::check_fresh;
use crate::target::privileges::check_privileges;
use crate::target::sessions::other_sessions;
use crate::target::tags::TAGS;
use crate::target::{Catalog, Target, schema_meta};
use crate::transform::ShaperContext;

/// Both servers, open, and what the target holds.
#[derive(Clone)]
pub struct Sides {
    /// Where rows come from.
    pub source: Arc<dyn Source>,
    /// Where they go.
    pub target: Target,
    /// Tables of the target.
    pub catalog: Arc<Catalog>,
}

impl Sides {
    /// Compares the schema states, decides what happens to each table, and makes the plan.
    ///
    /// # Errors
    /// `Preflight`, `SchemaMap` or `Usage`: nothing was changed.
    pub async fn plan(
        &self,
        maps: &MapSet,
        choice: &Choice,
        options: PlanOptions,
        events: &Events,
    ) -> Result<Plan> {
        self.make_plan(maps, choice, options, events).await.map_err(Error::before_writing)
    }

    async fn make_plan(
        &self,
        maps: &MapSet,
        choice: &Choice,
        options: PlanOptions,
        events: &Events,
    ) -> Result<Plan> {
        let subsystems = self.compare_schema_states(maps, events).await?;
        let unknown = to_sample(maps, self.source.catalog(), &self.catalog, choice);
        let evidence = evidence::gather(&*self.source, &unknown).await?;
        let findings = Findings { evidence, subsystems };
        let decisions = decide_with(maps, self.source.catalog(), &self.catalog, choice, &findings)?;
        let default_workspace = kong::default_workspace(&*self.source).await?;
        if default_workspace.is_none() {
            events.notice("the source has no workspace named default; rows without ws_id keep none");
        }
        let active_keys = kong::active_keys(&*self.source).await?;
        let policies = options.policies;
        let context = ShaperContext { default_workspace, active_keys: &active_keys, policies };
        let mut plan = Plan::make(&*self.source, &self.catalog, decisions, context, options).await?;
        plan.keyring = Keyring::read(&*self.source).await?;
        for note in plan.notes.iter().chain(&plan.keyring.advice()) {
            events.notice(note.clone());
        }
        Ok(plan)
    }

    /// Compares `schema_meta` of both sides; returns the subsystems of the source.
    async fn compare_schema_states(&self, maps: &MapSet, events: &Events) -> Result<BTreeSet<String>> {
        let source = kong::schema_meta(&*self.source).await?;
        let target = schema_meta::read(&*self.target.client().await?, &self.catalog).await?;
        let on_target: BTreeSet<&str> = target.iter().map(|state| state.subsystem.as_str()).collect();
        let mut in_use = BTreeSet::new();
        for state in source.iter().filter(|state| !on_target.contains(state.subsystem.as_str())) {
            if self.source_uses(maps, &state.subsystem).await? {
                in_use.insert(state.subsystem.clone());
            }
        }
        for note in schema_state::compare(&source, &target, |subsystem| in_use.contains(subsystem))? {
            events.notice(note);
        }
        if kong::migrations_running(&*self.source).await? {
            return Err(Error::new(ErrorKind::Preflight, "a Kong migration holds its lock on the source").remedy(
                "wait until `kong migrations` has ended; if none is running, delete the row with key migrations from the \
                 table locks",
            ));
        }
        Ok(source.into_iter().map(|state| state.subsystem).collect())
    }

    /// Whether any table of a plugin's subsystem holds a row on the source.
    async fn source_uses(&self, maps: &MapSet, subsystem: &str) -> Result<bool> {
        for map in maps.iter().filter(|map| map.subsystem.as_deref() == Some(subsystem)) {
            if kong::holds_rows(&*self.source, &map.table).await? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Refuses a target that holds more than a fresh Gateway's bootstrap rows, and tells who else is connected to it. Returns
    /// what would be taken off the tables for the load, unless that stays; the whole way there and back was tried, in a
    /// transaction that was rolled back.
    ///
    /// # Errors
    /// `Preflight`, with the statements that would empty it, or what forbids to disarm it.
    pub async fn check_target(
        &self,
        plan: &Plan,
        keep_constraints: bool,
        events: &Events,
    ) -> Result<Option<Armour>> {
        let armour = async {
            self.look_at_target(plan, events).await?;
            armour::check_journal(&self.target).await?;
            if keep_constraints { Ok(None) } else { self.rehearse(plan, events).await.map(Some) }
        };
        armour.await.map_err(Error::before_writing)
    }

    /// Refuses a target on which another run is not over.
    ///
    /// # Errors
    /// `Preflight`, with both ways to end it.
    pub async fn refuse_unfinished(&self) -> Result<()> {
        match Run::newest(&self.target).await.map_err(Error::before_writing)? {
            Some(run) => refuse_unfinished(&run),
            None => Ok(()),
        }
    }

    async fn rehearse(&self, plan: &Plan, events: &Events) -> Result<Armour> {
        let mut tables = plan.copied();
        // They are loaded by the seed, while everything is in place.
        tables.remove(WORKSPACES);
        if self.catalog.tables.contains_key(TAGS) {
            tables.insert(TAGS.to_owned());
        }
        let armour = Armour::read(&self.target, &self.catalog, &tables).await?;
        let inside: BTreeSet<String> =
            plan.copied().into_iter().chain(plan.left_out()).chain(tables).collect();
        armour::check(&self.target, &self.catalog, &armour, &inside).await?;
        armour::rehearse(&self.target, &armour).await?;
        for (table, trigger) in armour.triggers_left_on() {
            events.notice(format!(
                "{table}: trigger {trigger} is not one of Kong's; it stays on and fires while rows are loaded"
            ));
        }
        Ok(armour)
    }

    /// Tells who else is connected to the target: a Gateway, perhaps.
    ///
    /// # Errors
    /// When the target cannot be asked.
    pub async fn tell_other_sessions(&self, events: &Events) -> Result<()> {
        let client = self.target.client().await?;
        for other in other_sessions(&client, self.target.server().version_num).await? {
            let from = other.client.as_deref().unwrap_or("a local socket");
            events.notice(format!(
                "{} other session(s) of role {} from {from} on the target; a Gateway must not run there during the copy",
                other.count, other.user
            ));
        }
        Ok(())
    }

    async fn look_at_target(&self, plan: &Plan, events: &Events) -> Result<()> {
        self.tell_other_sessions(events).await?;
        let client = self.target.client().await?;
        let mut loaded = plan.copied();
        let mut emptied = Fate::of(&self.catalog, &loaded).emptied;
        settle::add_tables(&self.catalog, &mut loaded, &mut emptied);
        check_privileges(&client, &self.catalog, &loaded, &emptied).await?;
        check_fresh(&client, &self.catalog, &plan.left_out()).await?;
        seed::check(self, &client, plan).await?;
        settle::check(self, &client, plan).await
    }
}
