//! Checks a map against both live catalogs and turns it into a [`TableMapping`].

use std::collections::BTreeMap;

use crate::error::{Error, ErrorKind, Result};
use crate::source::{self, CqlType, SelectItem, Selection};
use crate::target::catalog::{self as target, PgKind};

use super::{Action, ColumnRule, Output, Production, Rule, Sequence, TableMap, TableMapping, listed, render};

/// The mapping of one table: every source column used or dropped by name, every target column written or left by name.
///
/// # Errors
/// `SchemaMap` with all the places where map and tables do not fit.
pub fn resolve(map: &TableMap, source: &source::Table, target: &target::Table) -> Result<TableMapping> {
    attempt(map, source, target).map_err(|problems| misfit(&problems))
}

/// The error for problems that [`attempt`] found, in one table or several.
pub(super) fn misfit(problems: &[String]) -> Error {
    Error::new(ErrorKind::SchemaMap, listed("the schema maps do not fit the live tables", problems)).remedy(
        "bring both sides to the same Kong version, or edit the map: `kongferry map show TABLE > MAPS/TABLE.toml`, \
         then `--map-dir MAPS`",
    )
}

/// Like [`resolve`]; each problem names table and column.
pub(super) fn attempt(
    map: &TableMap,
    source: &source::Table,
    target: &target::Table,
) -> Result<TableMapping, Vec<String>> {
    let mut resolver = Resolver {
        map,
        source,
        target,
        selection: Vec::new(),
        types: Vec::new(),
        constants: Vec::new(),
        productions: BTreeMap::new(),
        problems: Vec::new(),
        notes: Vec::new(),
    };
    resolver.run()
}

struct Resolver<'a> {
    map: &'a TableMap,
    source: &'a source::Table,
    target: &'a target::Table,
    selection: Vec<SelectItem>,
    types: Vec<CqlType>,
    constants: Vec<(usize, String)>,
    /// By target column.
    productions: BTreeMap<&'a str, Production>,
    problems: Vec<String>,
    notes: Vec<String>,
}

impl<'a> Resolver<'a> {
    fn run(&mut self) -> Result<TableMapping, Vec<String>> {
        if matches!(self.target.kind, 'p' | 'v' | 'm' | 'f') {
            let table = &self.map.table;
            self.problems.push(format!(
                "{table}: on the target it is not an ordinary table; rows can't be copied into it"
            ));
        }
        let (source, map) = (self.source, self.map);
        let key_columns = source.partition_key().chain(source.clustering_key());
        let key = key_columns.map(|column| self.select(column)).collect();
        for (name, rule) in &map.columns {
            self.column(name, rule);
        }
        self.unnamed_columns();
        let required = self.named("required", &map.required);
        let secrets = self.named("secrets", &map.secrets);
        let outputs = self.outputs();
        let sequences = self.sequences(&outputs);
        if !self.problems.is_empty() {
            return Err(std::mem::take(&mut self.problems));
        }
        Ok(TableMapping {
            table: map.table.clone(),
            origin: map.origin.clone(),
            selection: Selection { table: map.table.clone(), items: std::mem::take(&mut self.selection) },
            types: std::mem::take(&mut self.types),
            key,
            required,
            secrets,
            constants: std::mem::take(&mut self.constants),
            outputs,
            hash: map.hash,
            notes: std::mem::take(&mut self.notes),
            sequences,
        })
    }

    /// Position of the column's value in the selection.
    fn select(&mut self, column: &source::Column) -> usize {
        self.item(SelectItem::Column(column.name.clone()), column.ty.clone())
    }

    /// Position of the remaining lifetime of the column's cell.
    fn select_ttl(&mut self, column: &source::Column) -> usize {
        self.item(SelectItem::Ttl(column.name.clone()), CqlType::Int)
    }

    fn item(&mut self, item: SelectItem, ty: CqlType) -> usize {
        if let Some(position) = self.selection.iter().position(|known| *known == item) {
            return position;
        }
        self.selection.push(item);
        self.types.push(ty);
        self.selection.len() - 1
    }

    fn problem(&mut self, column: &str, problem: &str) {
        self.problems.push(format!("{}.{column}: {problem}", self.map.table));
    }

    fn column(&mut self, name: &'a str, rule: &'a ColumnRule) {
        let on_source = self.source.column(name);
        let on_target = self.target.column(name);
        // Expiry has no column on the source, so only the target can lack it, and then `if_present` would lose data.
        let expiry = matches!(rule.rule, Rule::ExpiresAt { .. });
        if on_source.is_none() && on_target.is_none() && !expiry {
            if !rule.if_present {
                self.problem(
                    name,
                    "the map names it, neither side has it; correct the name, take the line out, or add if_present = true",
                );
            }
            return;
        }
        match &rule.rule {
            Rule::Drop => self.dropped(name, rule, on_source, on_target),
            Rule::Leave => self.left(name, on_source, on_target),
            Rule::Constant { value } => self.constant(name, value, on_source, on_target),
            Rule::ExpiresAt { optional: true, .. }
                if on_target.is_none() && self.source.default_time_to_live == 0 => {}
            Rule::ExpiresAt { of, .. } => self.expires_at(name, of, on_source, on_target),
            Rule::Default { value } => self.with_default(name, value, on_source, on_target),
            Rule::Copy
            | Rule::StripWorkspace
            | Rule::Timestamp
            | Rule::WholeSeconds
            | Rule::Workspace
            | Rule::KeyringState { .. }
            | Rule::CacheKey { .. } => match (on_source, on_target) {
                (Some(source), Some(_)) => self.carried(name, &rule.rule, source),
                (None, Some(target)) if rule.if_present => {
                    self.kept_default(target, "the source does not have it");
                }
                (None, Some(_)) => self.problem(
                    name,
                    "the source does not have it; if that is right, leave the target's to its default: \
                     \"leave\", or if_present = true",
                ),
                (Some(_), None) => self.lost(name),
                (None, None) => {}
            },
        }
    }

    /// A column that only the source has and that no rule gives up.
    fn lost(&mut self, name: &str) {
        self.problem(
            name,
            "the target does not have it, so its data would be lost; if it may be: \
             { rule = \"drop\", if_present = true }",
        );
    }

    /// A target column that COPY does not name.
    fn kept_default(&mut self, column: &target::Column, why: &str) {
        if column.not_null && column.default.is_none() && !column.generated {
            let problem = format!(
                "{why}, and the target's is NOT NULL without a default; give it one: \
                                   {{ rule = \"default\", value = \"...\" }}"
            );
            self.problem(&column.name, &problem);
        } else {
            let value = if column.generated {
                "what the target generates"
            } else {
                column.default.as_deref().unwrap_or("NULL")
            };
            self.notes.push(format!("{}: {why}; becomes {value}", column.name));
        }
    }

    fn dropped(
        &mut self,
        name: &str,
        rule: &ColumnRule,
        on_source: Option<&source::Column>,
        on_target: Option<&target::Column>,
    ) {
        match (on_source, on_target) {
            (None, _) if !rule.if_present => {
                self.problem(name, "rule drop, but the source does not have it; add if_present = true");
            }
            (_, Some(target)) => self.kept_default(target, "not carried"),
            (Some(_), None) => self.notes.push(format!("{name}: not carried")),
            (None, None) => {}
        }
    }

    fn left(&mut self, name: &str, on_source: Option<&source::Column>, on_target: Option<&target::Column>) {
        match (on_source, on_target) {
            (Some(_), _) => self.problem(
                name,
                "rule leave, but the source has it too, so its data would be lost; use \"copy\", or \"drop\" if it may be",
            ),
            (None, Some(target)) => self.kept_default(target, "not written"),
            (None, None) => {}
        }
    }

    fn constant(
        &mut self,
        name: &str,
        value: &str,
        on_source: Option<&source::Column>,
        on_target: Option<&target::Column>,
    ) {
        if on_target.is_some() {
            self.problem(
                name,
                "rule constant is for columns of the source alone, and the target has it too; use \"copy\"",
            );
        }
        if let Some(column) = on_source {
            if is_text(&column.ty) {
                let item = self.select(column);
                self.constants.push((item, value.to_owned()));
            } else {
                self.unfit(name, "constant", "text", &column.ty);
            }
        }
    }

    fn expires_at(
        &mut self,
        name: &'a str,
        of: &str,
        on_source: Option<&source::Column>,
        on_target: Option<&target::Column>,
    ) {
        if on_source.is_some() {
            self.problem(
                name,
                "rule expires_at, but the source has a column of that name, which it does not read",
            );
        }
        match on_target.map(|column| &column.ty) {
            None => self.problem(name, "the target has no such column, so expiry times would be lost"),
            Some(ty) if !matches!(ty.kind, PgKind::Timestamptz | PgKind::Timestamp) => {
                let problem = format!("rule expires_at writes an instant, the target's type is {}", ty.name);
                self.problem(name, &problem);
            }
            Some(_) => {}
        }
        let (source, map) = (self.source, self.map);
        let Some(column) = source.column(of) else {
            let problem = format!("rule expires_at reads the TTL of {of}, which the source does not have");
            return self.problem(name, &problem);
        };
        if !column.has_ttl() {
            let problem = format!(
                "rule expires_at reads the TTL of {of}, but Cassandra knows none of key columns, collections and counters"
            );
            return self.problem(name, &problem);
        }
        let of = self.select_ttl(column);
        let others =
            map.required.iter().filter_map(|name| source.column(name)).filter(|other| other.has_ttl());
        let others: Vec<_> =
            others.map(|other| self.select_ttl(other)).filter(|position| *position != of).collect();
        self.productions.insert(name, Production::ExpiresAt { of, others });
        let seconds = source.default_time_to_live;
        if seconds > 0 && map.action == Action::Copy {
            self.notes.push(format!(
                "{name}: rows created without a lifetime have the source table's own, {seconds} seconds, and expire on the \
                 target as well; to keep all rows for good: \"leave\""
            ));
        }
    }

    fn with_default(
        &mut self,
        name: &'a str,
        value: &str,
        on_source: Option<&source::Column>,
        on_target: Option<&target::Column>,
    ) {
        match (on_source, on_target) {
            (Some(_), None) => self.lost(name),
            (None, None) => {}
            (on_source, Some(_)) => {
                if on_source.is_none() {
                    self.notes.push(format!("{name}: the source does not have it; becomes {value}"));
                }
                let item = on_source.map(|column| self.select(column));
                self.productions.insert(name, Production::Default { item, value: value.to_owned() });
            }
        }
    }

    /// A column with a value on both sides.
    fn carried(&mut self, name: &'a str, rule: &Rule, source: &source::Column) {
        let (fits, needed) = match rule {
            Rule::StripWorkspace | Rule::KeyringState { .. } | Rule::CacheKey { .. } => {
                (is_text(&source.ty), "text")
            }
            Rule::Timestamp | Rule::WholeSeconds => (source.ty == CqlType::Timestamp, "timestamp"),
            Rule::Workspace => (source.ty == CqlType::Uuid, "uuid"),
            _ => (true, ""),
        };
        if !fits {
            self.unfit(name, rule.name(), needed, &source.ty);
            return;
        }
        let item = self.select(source);
        let production = match rule {
            Rule::StripWorkspace => Production::StripWorkspace { item },
            Rule::Timestamp => Production::Timestamp { item, whole_seconds: false },
            Rule::WholeSeconds => Production::Timestamp { item, whole_seconds: true },
            Rule::Workspace => Production::Workspace { item },
            Rule::KeyringState { of } => {
                let Some(id) = self.source.column(of).filter(|id| is_text(&id.ty)) else {
                    let problem =
                        format!("rule keyring_state needs {of}, which is no text column of the source");
                    return self.problem(name, &problem);
                };
                Production::KeyringState { id: self.select(id), state: item }
            }
            // The parts are positions of outputs, which are known only when all columns are.
            Rule::CacheKey { head, .. } => {
                Production::CacheKey { item, head: head.clone(), parts: Vec::new() }
            }
            _ => Production::Copy { item },
        };
        self.productions.insert(name, production);
    }

    fn unfit(&mut self, name: &str, rule: &str, needed: &str, found: &CqlType) {
        self.problem(name, &format!("rule {rule} is for {needed}, the source's type is {found}"));
    }

    /// Columns of the live tables that the map does not know.
    fn unnamed_columns(&mut self) {
        let (source, target, map) = (self.source, self.target, self.map);
        for column in source.columns.iter().filter(|column| !map.columns.contains_key(&column.name)) {
            let key = render::key(&column.name);
            let advice = match target.column(&column.name) {
                Some(_) => format!("on both sides, but not in the map; add to [columns]: {key} = \"copy\""),
                None => {
                    format!("on the source alone, and not in the map; add to [columns]: {key} = \"drop\"")
                }
            };
            self.problem(&column.name, &advice);
        }
        for column in &target.columns {
            if !map.columns.contains_key(&column.name) && source.column(&column.name).is_none() {
                let key = render::key(&column.name);
                self.problem(
                    &column.name,
                    &format!("on the target alone, and not in the map; add to [columns]: {key} = \"leave\""),
                );
            }
        }
    }

    /// Positions of the columns that a list of the map names.
    fn named(&mut self, key: &str, names: &[String]) -> Vec<usize> {
        let source = self.source;
        let mut positions = Vec::new();
        for name in names {
            match source.column(name) {
                Some(column) => positions.push(self.select(column)),
                None => self.problem(name, &format!("named in `{key}`, but the source does not have it")),
            }
        }
        positions
    }

    /// Sequences that the written columns leave behind.
    fn sequences(&mut self, outputs: &[Output]) -> Vec<Sequence> {
        let mut sequences = Vec::new();
        for output in outputs {
            let default = self.target.column(&output.column).and_then(|column| column.default.as_deref());
            let Some(default) = default else { continue };
            let name = sequence_name(default);
            if name.is_some() || default.ends_with("AS IDENTITY") {
                self.notes.push(format!(
                    "{}: the sequence behind it is set to the greatest value when all rows are there",
                    output.column
                ));
                sequences.push(Sequence { column: output.column.clone(), name });
            }
        }
        sequences
    }

    /// The written columns in the target's order, with the parts of cache keys filled in.
    fn outputs(&mut self) -> Vec<Output> {
        let (target, map) = (self.target, self.map);
        let mut productions = std::mem::take(&mut self.productions);
        for column in target.columns.iter().filter(|column| column.generated) {
            if productions.contains_key(column.name.as_str()) {
                let problem = "the target generates it, so it cannot be written; use \"drop\", or \"leave\"";
                self.problem(&column.name, problem);
            }
        }
        let mut outputs: Vec<Output> = target
            .columns
            .iter()
            .filter_map(|column| {
                let from = productions.remove(column.name.as_str())?;
                Some(Output {
                    column: column.name.clone(),
                    ty: column.ty.clone(),
                    not_null: column.not_null,
                    from,
                })
            })
            .collect();
        let positions: BTreeMap<String, usize> =
            outputs.iter().enumerate().map(|(position, output)| (output.column.clone(), position)).collect();
        for output in &mut outputs {
            let Production::CacheKey { parts, .. } = &mut output.from else { continue };
            let Some(Rule::CacheKey { parts: names, .. }) =
                map.columns.get(&output.column).map(|rule| &rule.rule)
            else {
                continue;
            };
            for name in names {
                match positions.get(name) {
                    Some(position) => parts.push(Some(*position)),
                    None if name.is_empty() => parts.push(None),
                    None => self.problems.push(format!(
                        "{}.{}: rule cache_key needs {name}, which is not written",
                        map.table, output.column
                    )),
                }
            }
        }
        outputs
    }
}

/// The sequence of a default such as `nextval('quotas_id_seq'::regclass)`, as it stands between the quotes.
fn sequence_name(default: &str) -> Option<String> {
    let (name, _) = default.strip_prefix("nextval('")?.rsplit_once("'::regclass)")?;
    Some(name.replace("''", "'"))
}

fn is_text(ty: &CqlType) -> bool {
    matches!(ty, CqlType::Text | CqlType::Ascii)
}
