//! What must hold before a row moves. Nothing here writes; every failure is a refusal (exit code 3).

use std::collections::BTreeSet;
use std::sync::Arc;

use uuid::Uuid;

use super::events::Events;
use super::plan::{Plan, PlanOptions};
use crate::error::{Error, ErrorKind, Result};
use crate::schema_map::MapSet;
use crate::schema_map::decide::{Choice, Decided, Decision, decide};
use crate::schema_state;
use crate::source::{Source, kong};
use crate::target::{Target, fresh, schema_meta};
use crate::transform::ShaperContext;

/// Both servers, open.
#[derive(Clone)]
pub struct Sides {
    /// Where rows come from.
    pub source: Arc<dyn Source>,
    /// Where they go.
    pub target: Target,
}

/// What preflight found out.
#[derive(Debug)]
pub struct Checked {
    /// The plan.
    pub plan: Plan,
    /// Id of the source's workspace `default`.
    pub default_workspace: Option<Uuid>,
}

impl Sides {
    /// Compares the schema states, decides what happens to each table, and makes the plan.
    ///
    /// # Errors
    /// `Preflight`, `SchemaMap` or `Usage`: nothing was changed.
    pub async fn check(
        &self,
        maps: &MapSet,
        choice: &Choice,
        options: PlanOptions,
        events: &Events,
    ) -> Result<Checked> {
        self.check_inner(maps, choice, options, events).await.map_err(Error::before_writing)
    }

    async fn check_inner(
        &self,
        maps: &MapSet,
        choice: &Choice,
        options: PlanOptions,
        events: &Events,
    ) -> Result<Checked> {
        self.check_schema_state(events).await?;
        let decisions = decide(maps, self.source.catalog(), self.target.catalog(), choice)?;
        let default_workspace = kong::default_workspace(&*self.source).await?;
        if default_workspace.is_none() {
            events.notice("the source has no workspace named default; rows without ws_id keep none");
        }
        let context = ShaperContext { default_workspace };
        let plan = Plan::make(&*self.source, self.target.catalog(), decisions, context, options).await?;
        for note in &plan.notes {
            events.notice(note.clone());
        }
        Ok(Checked { plan, default_workspace })
    }

    async fn check_schema_state(&self, events: &Events) -> Result<()> {
        let source = kong::schema_meta(&*self.source).await?;
        let target = schema_meta::read(&self.target).await?;
        for note in schema_state::compare(&source, &target)? {
            events.notice(note);
        }
        if kong::migrations_running(&*self.source).await? {
            return Err(Error::new(ErrorKind::Preflight, "a Kong migration holds its lock on the source")
                .remedy("wait until `kong migrations` has ended; if none is running, delete the row with key migrations from the table locks"));
        }
        Ok(())
    }

    /// Refuses a target that holds more than a fresh Gateway's bootstrap rows.
    ///
    /// # Errors
    /// `Preflight`, with the statement that would empty it.
    pub async fn check_fresh(&self, plan: &Plan) -> Result<()> {
        let ignored: BTreeSet<String> = plan.skipped.iter().map(|table| table.table.clone()).collect();
        fresh::check(&self.target, &ignored).await.map_err(Error::before_writing)
    }
}
