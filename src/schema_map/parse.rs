//! The text of one map file into a [`TableMap`]; strict: an unknown key, rule or column is an error, never ignored.

use std::collections::BTreeMap;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};
use xxhash_rust::xxh3::xxh3_64;

use super::{Action, ColumnRule, Leftover, Origin, Rule, TableMap, did_you_mean};

const KEYS: [&str; 9] =
    ["table", "action", "reason", "include", "subsystem", "leftover", "required", "secrets", "columns"];

type Value<'i> = Spanned<DeValue<'i>>;

/// Reads `text`; `file` names it in the problems, each of which says line, table and column.
///
/// # Errors
/// All problems of the file, in the order of its lines.
pub(super) fn parse(text: &str, file: &str, origin: Origin) -> Result<TableMap, Vec<String>> {
    let document = match DeTable::parse(text) {
        Ok(document) => document.into_inner(),
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(text, span.start));
            return Err(vec![format!("{file}:{line}: not valid TOML: {}", error.message())]);
        }
    };
    let mut reader = Reader { text, problems: Vec::new() };
    let map = reader.document(&document, origin);
    match map {
        Some(map) if reader.problems.is_empty() => Ok(map),
        map => {
            let place = map.map_or_else(String::new, |map| format!("table {}, ", map.table));
            reader.problems.sort_by_key(|(line, _)| *line);
            Err(reader
                .problems
                .into_iter()
                .map(|(line, problem)| format!("{file}:{line}: {place}{problem}"))
                .collect())
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
}

struct Reader<'a> {
    text: &'a str,
    /// Line and problem.
    problems: Vec<(usize, String)>,
}

/// What a rule written as a table says.
#[derive(Default)]
struct Arguments {
    strings: BTreeMap<&'static str, String>,
    parts: Vec<String>,
}

impl Reader<'_> {
    fn problem(&mut self, span: &Range<usize>, problem: impl Into<String>) {
        self.problems.push((line_of(self.text, span.start), problem.into()));
    }

    fn string(&mut self, name: &str, value: &Value<'_>) -> Option<String> {
        match value.get_ref() {
            DeValue::String(text) if !text.is_empty() => Some(text.clone().into_owned()),
            _ => {
                self.problem(&value.span(), format!("`{name}` must be a text in quotes, not empty"));
                None
            }
        }
    }

    fn strings(&mut self, name: &str, value: &Value<'_>) -> Vec<String> {
        let texts = value.get_ref().as_array().and_then(|array| {
            array.iter().map(|item| item.get_ref().as_str().map(str::to_owned)).collect::<Option<_>>()
        });
        texts.unwrap_or_else(|| {
            self.problem(&value.span(), format!("`{name}` must be a list of texts, such as [\"id\"]"));
            Vec::new()
        })
    }

    fn document(&mut self, document: &DeTable<'_>, origin: Origin) -> Option<TableMap> {
        let mut texts: BTreeMap<&str, (String, Range<usize>)> = BTreeMap::new();
        let mut map = TableMap {
            table: String::new(),
            action: Action::Copy,
            reason: None,
            include: None,
            required: Vec::new(),
            secrets: Vec::new(),
            subsystem: None,
            leftover: None,
            columns: BTreeMap::new(),
            origin,
            text: self.text.to_owned(),
            hash: xxh3_64(self.text.as_bytes()),
        };
        for (key, value) in document {
            match key.get_ref().as_ref() {
                name @ ("table" | "action" | "reason" | "include" | "subsystem") => {
                    if let (Some(text), Some(name)) =
                        (self.string(name, value), KEYS.into_iter().find(|known| *known == name))
                    {
                        texts.insert(name, (text, value.span()));
                    }
                }
                "required" => map.required = self.strings("required", value),
                "secrets" => map.secrets = self.strings("secrets", value),
                "leftover" => map.leftover = self.leftover(value),
                "columns" => map.columns = self.columns(value),
                unknown => {
                    let hint = did_you_mean(unknown, KEYS);
                    self.problem(
                        &key.span(),
                        format!("unknown key \"{unknown}\"{hint} (keys: {})", KEYS.join(", ")),
                    );
                }
            }
        }
        map.reason = texts.remove("reason").map(|(text, _)| text);
        map.subsystem = texts.remove("subsystem").map(|(text, _)| text);
        let action = texts.remove("action");
        let include = texts.remove("include");
        match texts.remove("table") {
            Some((table, _)) => map.table = table,
            None => self.problem(&(0..0), "`table` is missing: the name of the table this file describes"),
        }
        match action.as_ref().map(|(text, span)| (text.as_str(), span)) {
            Some(("copy", _)) => map.action = Action::Copy,
            Some(("skip", _)) => map.action = Action::Skip,
            Some(("merge", _)) => map.action = Action::Merge,
            Some((other, span)) => {
                let hint = did_you_mean(other, ["copy", "skip", "merge"]);
                self.problem(span, format!("unknown action \"{other}\"{hint} (actions: copy, skip, merge)"));
            }
            None => self.problem(&(0..0), "`action` is missing: copy, skip or merge"),
        }
        if let Some((word, span)) = include {
            if map.action != Action::Skip {
                self.problem(&span, "`include` is for tables with action = \"skip\"");
            }
            if !word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-') {
                self.problem(&span, "`include` must be one word of lower-case letters and hyphens");
            }
            map.include = Some(word);
        }
        self.cross_check(&map, document);
        (!map.table.is_empty()).then_some(map)
    }

    /// Checks what several keys say together.
    fn cross_check(&mut self, map: &TableMap, document: &DeTable<'_>) {
        let span_of = |key: &str| {
            document.iter().find(|(name, _)| name.get_ref() == key).map_or(0..0, |(_, value)| value.span())
        };
        let says = |key: &str| document.iter().any(|(name, _)| name.get_ref() == key);
        if map.action != Action::Copy && !says("reason") {
            self.problem(&span_of("action"), "`reason` is missing: say why the table is not simply copied");
        }
        if map.columns.is_empty() && (map.action != Action::Skip || map.include.is_some()) {
            self.problem(&span_of("columns"), "[columns] is missing or empty: one rule for each column");
        }
        let known = || map.columns.keys().map(String::as_str);
        for (key, names) in [("required", &map.required), ("secrets", &map.secrets)] {
            for column in names.iter().filter(|column| !map.columns.contains_key(*column)) {
                let hint = did_you_mean(column, known());
                self.problem(
                    &span_of(key),
                    format!("`{key}` names \"{column}\", which [columns] does not{hint}"),
                );
            }
        }
        for (name, rule) in &map.columns {
            let named: Vec<&str> = match &rule.rule {
                Rule::ExpiresAt { of, .. } | Rule::KeyringState { of } => vec![of],
                Rule::CacheKey { parts, .. } => {
                    parts.iter().map(String::as_str).filter(|part| !part.is_empty()).collect()
                }
                _ => continue,
            };
            for column in named.into_iter().filter(|column| !map.columns.contains_key(*column)) {
                let span = document
                    .iter()
                    .find(|(key, _)| key.get_ref() == "columns")
                    .and_then(|(_, columns)| columns.get_ref().as_table())
                    .and_then(|columns| columns.iter().find(|(key, _)| key.get_ref() == name.as_str()))
                    .map_or(0..0, |(key, _)| key.span());
                let hint = did_you_mean(column, known());
                self.problem(
                    &span,
                    format!(
                        "column {name}: rule {} names \"{column}\", which [columns] does not{hint}",
                        rule.rule.name()
                    ),
                );
            }
        }
    }

    fn leftover(&mut self, value: &Value<'_>) -> Option<Leftover> {
        let mut reason = None;
        let (mut beside, mut without) = (None, None);
        for (key, value) in value.get_ref().as_table().into_iter().flatten() {
            match key.get_ref().as_ref() {
                "reason" => reason = self.string("leftover.reason", value),
                "beside" => beside = self.string("leftover.beside", value),
                "without" => without = self.string("leftover.without", value),
                unknown => self.problem(
                    &key.span(),
                    format!("unknown key \"{unknown}\" in `leftover` (keys: reason, beside, without)"),
                ),
            }
        }
        if reason.is_none() {
            self.problem(&value.span(), "`leftover` must be a table with a reason: { reason = \"...\" }");
        }
        Some(Leftover { beside, without, reason: reason? })
    }

    fn columns(&mut self, value: &Value<'_>) -> BTreeMap<String, ColumnRule> {
        let Some(table) = value.get_ref().as_table() else {
            self.problem(&value.span(), "`columns` must be a table: [columns]");
            return BTreeMap::new();
        };
        let mut columns = BTreeMap::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            let before = self.problems.len();
            let rule = self.column_rule(value);
            for (_, problem) in self.problems.iter_mut().skip(before) {
                *problem = format!("column {name}: {problem}");
            }
            // A column whose rule is faulty is known all the same, so that others may refer to it.
            let rule = rule.unwrap_or(ColumnRule { rule: Rule::Copy, if_present: false });
            columns.insert(name.to_owned(), rule);
        }
        columns
    }

    fn column_rule(&mut self, value: &Value<'_>) -> Option<ColumnRule> {
        match value.get_ref() {
            DeValue::String(name) => {
                let rule = self.rule(name, &value.span(), Arguments::default())?;
                Some(ColumnRule { rule, if_present: false })
            }
            DeValue::Table(table) => self.rule_table(table, &value.span()),
            _ => {
                self.problem(
                    &value.span(),
                    "must be a rule, such as \"copy\" or { rule = \"copy\", if_present = true }",
                );
                None
            }
        }
    }

    fn rule_table(&mut self, table: &DeTable<'_>, span: &Range<usize>) -> Option<ColumnRule> {
        let before = self.problems.len();
        let mut arguments = Arguments::default();
        let mut if_present = false;
        let mut rule_name = None;
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("rule", _) => rule_name = self.string("rule", value).map(|name| (name, value.span())),
                ("if_present", DeValue::Boolean(word)) => if_present = *word,
                ("if_present", _) => self.problem(&value.span(), "`if_present` must be true or false"),
                ("of", _) => arguments.set("of", self.string("of", value)),
                ("optional", DeValue::Boolean(word)) => arguments.set("optional", Some(word.to_string())),
                ("optional", _) => self.problem(&value.span(), "`optional` must be true or false"),
                ("head", _) => arguments.set("head", self.string("head", value)),
                ("parts", _) => {
                    arguments.parts = self.strings("parts", value);
                    arguments.set("parts", Some(String::new()));
                }
                ("value", DeValue::String(text)) => arguments.set("value", Some(text.clone().into_owned())),
                ("value", DeValue::Boolean(word)) => arguments.set("value", Some(word.to_string())),
                ("value", DeValue::Integer(number)) if number.radix() == 10 => {
                    arguments.set("value", Some(number.as_str().to_owned()));
                }
                ("value", _) => {
                    self.problem(&value.span(), "`value` must be a text, a whole number, true or false");
                }
                (unknown, _) => {
                    let known = ["rule", "if_present", "of", "optional", "value", "head", "parts"];
                    let hint = did_you_mean(unknown, known);
                    self.problem(
                        &key.span(),
                        format!("unknown key \"{unknown}\"{hint} (keys: {})", known.join(", ")),
                    );
                }
            }
        }
        let Some((name, name_span)) = rule_name else {
            if self.problems.len() == before {
                self.problem(span, "`rule` is missing, as in { rule = \"copy\", if_present = true }");
            }
            return None;
        };
        if self.problems.len() > before {
            return None;
        }
        let rule = self.rule(&name, &name_span, arguments)?;
        Some(ColumnRule { rule, if_present })
    }

    fn rule(&mut self, name: &str, span: &Range<usize>, mut given: Arguments) -> Option<Rule> {
        let Some((_, needed)) = Rule::NAMES.into_iter().find(|(known, _)| *known == name) else {
            let known: Vec<_> = Rule::NAMES.iter().map(|(known, _)| *known).collect();
            let hint = did_you_mean(name, known.iter().copied());
            self.problem(span, format!("unknown rule \"{name}\"{hint} (rules: {})", known.join(", ")));
            return None;
        };
        let missing = needed.iter().find(|argument| !given.strings.contains_key(*argument));
        let allowed =
            |argument: &&str| needed.contains(argument) || (name, *argument) == ("expires_at", "optional");
        let surplus = given.strings.keys().find(|argument| !allowed(argument));
        if let Some(argument) = missing {
            let form = needed.join(" = ..., ");
            self.problem(
                span,
                format!("rule {name} needs `{argument}`, as in {{ rule = \"{name}\", {form} = ... }}"),
            );
            return None;
        }
        if let Some(argument) = surplus {
            self.problem(span, format!("rule {name} takes no `{argument}`"));
            return None;
        }
        let mut take = |argument| given.strings.remove(argument).unwrap_or_default();
        Some(match name {
            "copy" => Rule::Copy,
            "strip_workspace" => Rule::StripWorkspace,
            "timestamp" => Rule::Timestamp,
            "whole_seconds" => Rule::WholeSeconds,
            "workspace" => Rule::Workspace,
            "expires_at" => Rule::ExpiresAt { of: take("of"), optional: take("optional") == "true" },
            "keyring_state" => Rule::KeyringState { of: take("of") },
            "default" => Rule::Default { value: take("value") },
            "cache_key" => Rule::CacheKey { head: take("head"), parts: given.parts },
            "constant" => Rule::Constant { value: take("value") },
            "drop" => Rule::Drop,
            _ => Rule::Leave,
        })
    }
}

impl Arguments {
    fn set(&mut self, name: &'static str, value: Option<String>) {
        if let Some(value) = value {
            self.strings.insert(name, value);
        }
    }
}
