//! A [`TableMap`] as the text of a map file, which reads back as the same map.

use std::fmt::Write as _;

use super::{ColumnRule, Rule, TableMap};

/// The text of `map`: its keys, then its columns by name.
pub fn render(map: &TableMap) -> String {
    let mut keys = vec![("table", quoted(&map.table)), ("action", quoted(map.action.name()))];
    let texts = [("reason", &map.reason), ("include", &map.include), ("subsystem", &map.subsystem)];
    keys.extend(texts.into_iter().filter_map(|(key, text)| Some((key, quoted(text.as_ref()?)))));
    if let Some(leftover) = &map.leftover {
        let parts = [("beside", &leftover.beside), ("without", &leftover.without)];
        let mut parts: Vec<_> = parts
            .into_iter()
            .filter_map(|(key, text)| Some(format!("{key} = {}", quoted(text.as_ref()?))))
            .collect();
        parts.push(format!("reason = {}", quoted(&leftover.reason)));
        keys.push(("leftover", format!("{{ {} }}", parts.join(", "))));
    }
    if !map.required.is_empty() {
        keys.push(("required", list(&map.required)));
    }
    if !map.secrets.is_empty() {
        keys.push(("secrets", list(&map.secrets)));
    }
    let mut text = aligned(keys.into_iter().map(|(key, value)| (key.to_owned(), value)).collect());
    if !map.columns.is_empty() {
        text.push_str("\n[columns]\n");
        let rows = map.columns.iter().map(|(name, column)| (key(name), rule(column))).collect();
        text.push_str(&aligned(rows));
    }
    text
}

fn aligned(rows: Vec<(String, String)>) -> String {
    let width = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    for (key, value) in rows {
        let _ = writeln!(text, "{key:<width$} = {value}");
    }
    text
}

fn rule(column: &ColumnRule) -> String {
    let mut arguments: Vec<(&str, String)> = match &column.rule {
        Rule::ExpiresAt { of, optional } => {
            let optional = optional.then(|| ("optional", "true".to_owned()));
            [("of", quoted(of))].into_iter().chain(optional).collect()
        }
        Rule::KeyringState { of } => vec![("of", quoted(of))],
        Rule::Default { value } | Rule::Constant { value } => vec![("value", quoted(value))],
        Rule::CacheKey { head, parts } => vec![("head", quoted(head)), ("parts", list(parts))],
        Rule::Copy
        | Rule::StripWorkspace
        | Rule::Timestamp
        | Rule::WholeSeconds
        | Rule::Workspace
        | Rule::Drop
        | Rule::Leave => Vec::new(),
    };
    if column.if_present {
        arguments.push(("if_present", "true".to_owned()));
    }
    let name = quoted(column.rule.name());
    if arguments.is_empty() {
        return name;
    }
    let arguments: Vec<_> = arguments.into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
    format!("{{ rule = {name}, {} }}", arguments.join(", "))
}

fn list(texts: &[String]) -> String {
    let texts: Vec<_> = texts.iter().map(|text| quoted(text)).collect();
    format!("[{}]", texts.join(", "))
}

/// A key as TOML writes it: bare where that is possible.
pub(super) fn key(name: &str) -> String {
    let bare = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    if !name.is_empty() && name.bytes().all(bare) { name.to_owned() } else { quoted(name) }
}

/// A basic string of TOML.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            control if control.is_control() => {
                let _ = write!(quoted, "\\u{:04X}", u32::from(control));
            }
            plain => quoted.push(plain),
        }
    }
    quoted.push('"');
    quoted
}
