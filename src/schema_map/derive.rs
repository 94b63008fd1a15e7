//! Works out the map of a table that none describes, mostly a custom plugin's, from both catalogs and a sample of rows.
//!
//! What the catalogs and the sample leave open is not guessed: it stands in [`Draft::open`], and such a table is not copied
//! before somebody has answered in a map of `--map-dir`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, ErrorKind, Result};
use crate::source::{self, ColumnKind, CqlType};
use crate::target::catalog::{self as target, PgKind};
use crate::transform;

use super::{Action, ColumnRule, Evidence, Origin, Rule, TableMap, listed, render};

/// How a line begins that asks for a decision. A file with such a line is not used.
pub(super) const TO_DECIDE: &str = "# TO DECIDE:";

/// A map that was worked out.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The map, with the likeliest rule where something is open.
    pub map: TableMap,
    /// What a person has to decide before the map may be used; each names table and column.
    pub open: Vec<String>,
    /// What was concluded from the sample or taken by custom, for `plan`; each names the column.
    pub notes: Vec<String>,
}

/// The map of a table that none describes.
///
/// # Errors
/// `SchemaMap` with everything that is open.
pub fn derive(source: &source::Table, target: &target::Table, evidence: &Evidence) -> Result<TableMap> {
    let draft = draft(source, target, evidence);
    if draft.open.is_empty() {
        return Ok(draft.map);
    }
    let title = format!("the map of {} cannot be worked out", source.name);
    Err(Error::new(ErrorKind::SchemaMap, listed(&title, &draft.open)).remedy(remedy(&source.name)))
}

/// How to answer what is open of `table`.
pub(super) fn remedy(table: &str) -> String {
    format!(
        "write the map with `kongferry map derive {table} > MAPS/{table}.toml`, decide what it asks, and use it with \
         --map-dir MAPS; or leave the table out with --skip-tables {table}"
    )
}

/// The map of a table that none describes, and what is open.
pub fn draft(source: &source::Table, target: &target::Table, evidence: &Evidence) -> Draft {
    let mut deriver = Deriver {
        source,
        target,
        evidence,
        columns: BTreeMap::new(),
        required: Vec::new(),
        open: Vec::new(),
        notes: Vec::new(),
    };
    deriver.run();
    let Deriver { columns, required, open, notes, .. } = deriver;
    let map = TableMap {
        table: source.name.clone(),
        action: Action::Copy,
        reason: None,
        include: None,
        required,
        subsystem: None,
        leftover: None,
        secrets: Vec::new(),
        columns,
        origin: Origin::Derived,
        text: String::new(),
        hash: 0,
    };
    let mut draft = Draft { map, open, notes };
    draft.map.text = draft.render();
    draft.map.hash = xxh3_64(draft.map.text.as_bytes());
    draft
}

impl Draft {
    /// The draft as a map file: what is open first, then the notes, then the map.
    pub fn render(&self) -> String {
        let mut text = format!(
            "# Worked out by kongferry for a table it does not know: {}.\n",
            one_line(&self.map.table)
        );
        for question in &self.open {
            let _ = writeln!(text, "{TO_DECIDE} {}", one_line(question));
        }
        if !self.open.is_empty() {
            text.push_str("# Decide, then take these lines out: a map that still asks is not used.\n");
        }
        for note in &self.notes {
            let _ = writeln!(text, "# {}", one_line(note));
        }
        text + &render::render(&self.map)
    }
}

/// Names may hold anything; a comment ends with its line.
fn one_line(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { ' ' } else { character }).collect()
}

struct Deriver<'a> {
    source: &'a source::Table,
    target: &'a target::Table,
    evidence: &'a Evidence,
    columns: BTreeMap<String, ColumnRule>,
    required: Vec<String>,
    open: Vec<String>,
    notes: Vec<String>,
}

impl Deriver<'_> {
    fn run(&mut self) {
        let (source, target) = (self.source, self.target);
        if target.kind == 'p' {
            let problem = "partitioned on the target; kongferry copies into ordinary tables only";
            self.open.push(format!("{}: {problem}", source.name));
        }
        let names: BTreeSet<&str> = source
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .chain(target.columns.iter().map(|column| column.name.as_str()))
            .collect();
        for name in names {
            let rule = match (source.column(name), target.column(name)) {
                (Some(source), Some(target)) => self.on_both(source, target),
                (Some(source), None) => self.on_source(source),
                (None, Some(target)) => self.on_target(target),
                (None, None) => continue,
            };
            self.columns.insert(name.to_owned(), ColumnRule { rule, if_present: false });
        }
        self.lifetimes();
    }

    fn ask(&mut self, column: &str, question: &str) {
        self.open.push(format!("{}.{column}: {question}", self.source.name));
    }

    fn note(&mut self, column: &str, note: &str) {
        self.notes.push(format!("{column}: {note}"));
    }

    fn on_both(&mut self, source: &source::Column, target: &target::Column) -> Rule {
        if target.generated {
            return Rule::Drop;
        }
        if !transform::converts(&source.ty, &target.ty) {
            let question = format!(
                "no conversion from CQL {} to PostgreSQL {}; change the type of the target's column, or \"drop\" if the data \
                 may be lost",
                source.ty, target.ty.name
            );
            self.ask(&source.name, &question);
            return Rule::Drop;
        }
        match (&source.ty, &target.ty.kind) {
            (CqlType::Text | CqlType::Ascii, PgKind::Text | PgKind::Varchar(_)) => self.text(&source.name),
            (CqlType::Uuid, PgKind::Uuid) if source.name == "ws_id" => Rule::Workspace,
            // Kong's own instants, which may be seconds in a column of milliseconds; a plugin's may be of any age.
            (CqlType::Timestamp, PgKind::Timestamp | PgKind::Timestamptz)
                if matches!(source.name.as_str(), "created_at" | "updated_at") =>
            {
                Rule::Timestamp
            }
            _ => Rule::Copy,
        }
    }

    /// Kong prefixes the fields that its schema calls unique, in entities that belong to a workspace.
    fn text(&mut self, name: &str) -> Rule {
        let in_workspace = self.source.column("ws_id").is_some() && self.target.column("ws_id").is_some();
        if !in_workspace || name == "cache_key" {
            return Rule::Copy;
        }
        let seen = self.evidence.of(name);
        let sample = format!("{} of {} sampled values", seen.prefixed, seen.values);
        let is_unique = |columns: &[&str]| {
            self.target.unique.iter().any(|key| {
                key.columns.len() == columns.len()
                    && columns.iter().all(|column| key.columns.iter().any(|known| known == column))
            })
        };
        if is_unique(&["ws_id", name]) {
            if seen.prefixed > 0 {
                if seen.prefixed < seen.values {
                    self.note(
                        name,
                        &format!(
                            "unique in its workspace on the target, and {sample} start with a workspace's id"
                        ),
                    );
                }
                return Rule::StripWorkspace;
            }
            if seen.values == 0 {
                self.note(name, "unique in its workspace on the target, so taken for prefixed on Cassandra; no value was seen");
                return Rule::StripWorkspace;
            }
            let none = format!(
                "none of {} sampled values starts with a workspace's id, so they stay as they are",
                seen.values
            );
            self.note(name, &format!("unique in its workspace on the target, but {none}"));
            return Rule::Copy;
        }
        if seen.prefixed == 0 {
            return Rule::Copy;
        }
        if is_unique(&[name]) {
            self.note(name, &format!("unique on the target, and {sample} start with a workspace's id"));
            return Rule::StripWorkspace;
        }
        let question = format!(
            "{sample} start with a workspace's id, but it is not unique on the target; \"strip_workspace\" if Kong put it \
             there (the field is unique in the plugin's schema), \"copy\" if the plugin did"
        );
        self.ask(name, &question);
        if seen.prefixed == seen.values { Rule::StripWorkspace } else { Rule::Copy }
    }

    /// A column that only the source has.
    fn on_source(&mut self, column: &source::Column) -> Rule {
        let name = column.name.as_str();
        let is_text = matches!(column.ty, CqlType::Text | CqlType::Ascii);
        let is_whole_key =
            column.kind == ColumnKind::PartitionKey && self.source.partition_key().count() == 1;
        if name == "partition" && is_text && is_whole_key {
            let seen = self.evidence.of(name).distinct;
            if seen.len() > 1 {
                self.ask(
                    name,
                    "the source alone has it, and it is no constant; \"drop\" if nothing is lost by it",
                );
                return Rule::Drop;
            }
            let value = seen.into_iter().next().unwrap_or_else(|| self.source.name.clone());
            if value != self.source.name {
                self.note(name, "not the table's name, as is the custom, but the only value in the sample");
            }
            return Rule::Constant { value };
        }
        self.ask(name, "the source alone has it, so its data would be lost; \"drop\" if it may be");
        Rule::Drop
    }

    /// A column that only the target has.
    fn on_target(&mut self, column: &target::Column) -> Rule {
        let name = column.name.as_str();
        if column.generated {
            return Rule::Leave;
        }
        if name == "ttl" && matches!(column.ty.kind, PgKind::Timestamptz | PgKind::Timestamp) {
            return self.expiry(name);
        }
        let numbered = column
            .default
            .as_deref()
            .is_some_and(|default| default.starts_with("nextval(") || default.ends_with("AS IDENTITY"));
        if numbered {
            self.note(name, "the target alone has it; its sequence numbers the rows as they arrive");
        } else {
            self.ask(
                name,
                "the target alone has it; \"leave\" if its default will do, or { rule = \"default\", value = \"...\" }",
            );
        }
        Rule::Leave
    }

    /// Kong takes a row's lifetime from the first field of the schema that is no key, by custom `created_at`.
    fn expiry(&mut self, name: &str) -> Rule {
        let target = self.target;
        let of = self.source.column("created_at").filter(|column| column.has_ttl()).or_else(|| {
            let carried = target.columns.iter().filter_map(|column| self.source.column(&column.name));
            carried.into_iter().find(|column| column.has_ttl() && column.name != "ws_id")
        });
        let Some(of) = of.map(|column| column.name.clone()) else {
            self.ask(name, "the target has it, but no column of the source can carry a lifetime; \"leave\" if rows never expire");
            return Rule::Leave;
        };
        if of != "created_at" {
            self.note(name, &format!("lifetimes are taken from {of}, the first column that can carry one"));
        }
        self.required = self
            .source
            .columns
            .iter()
            .filter(|column| column.kind == ColumnKind::Regular && column.name != "ws_id")
            .filter(|column| {
                target.column(&column.name).is_some_and(|column| column.not_null && !column.generated)
            })
            .map(|column| column.name.clone())
            .collect();
        Rule::ExpiresAt { of, optional: false }
    }

    /// Lifetimes for which the target has no column.
    fn lifetimes(&mut self) {
        let carried = self.columns.values().any(|column| matches!(column.rule, Rule::ExpiresAt { .. }));
        let seconds = self.source.default_time_to_live;
        if carried || (seconds == 0 && self.evidence.expiring.is_empty()) {
            return;
        }
        let why = if seconds > 0 {
            format!("rows of the source expire after {seconds} seconds")
        } else {
            "sampled rows of the source expire".to_owned()
        };
        self.open.push(format!(
            "{}: {why}, and the target has no column ttl for the instant, so they would stay for good; if they \
             may, nothing more is needed",
            self.source.name
        ));
    }
}
