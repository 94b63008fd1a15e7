//! What a sample of rows says of a table that no map describes.
//!
//! Kong puts a workspace's id in front of some texts on Cassandra, and no catalog says of which. The target's unique keys and
//! the values themselves do. This module only counts; reading the sample is the caller's part.

use std::collections::{BTreeMap, BTreeSet};

use uuid::Uuid;

use crate::source::{self, CqlType};

/// Bytes of a workspace's id and the colon behind it.
const PREFIX: usize = 37;
/// Distinct values of a key column that are kept; one more than a constant has.
const DISTINCT: usize = 2;

/// What the sampled rows of one table have shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Evidence {
    /// Rows that were sampled.
    pub rows: u64,
    /// By text column.
    pub texts: BTreeMap<String, Texts>,
    /// Columns of which a sampled cell had a remaining lifetime.
    pub expiring: BTreeSet<String>,
}

/// The sampled values of one text column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    /// Values that were not NULL.
    pub values: u64,
    /// Of these, values that start with the id of an existing workspace and a colon.
    pub prefixed: u64,
    /// The first values that differ, at most two: a constant has one. Only of columns of the partition key.
    pub distinct: BTreeSet<String>,
}

impl Evidence {
    /// Columns of `table` whose values are worth a look: those of text.
    pub fn text_columns(table: &source::Table) -> impl Iterator<Item = &source::Column> {
        table.columns.iter().filter(|column| matches!(column.ty, CqlType::Text | CqlType::Ascii))
    }

    /// Takes note of the value of a text column, `None` for NULL.
    pub fn see(&mut self, column: &source::Column, value: Option<&[u8]>, workspaces: &BTreeSet<Uuid>) {
        let texts = self.texts.entry(column.name.clone()).or_default();
        let Some(value) = value else { return };
        texts.values += 1;
        texts.prefixed += u64::from(workspace_prefix(value).is_some_and(|id| workspaces.contains(&id)));
        let in_key = column.kind == source::ColumnKind::PartitionKey;
        if in_key && texts.distinct.len() < DISTINCT {
            texts.distinct.insert(String::from_utf8_lossy(value).into_owned());
        }
    }

    /// Takes note of a partition that is known to be there.
    pub fn see_partition(&mut self, column: &source::Column, value: &str) {
        let texts = self.texts.entry(column.name.clone()).or_default();
        if texts.distinct.len() < DISTINCT {
            texts.distinct.insert(value.to_owned());
        }
    }

    /// Takes note of the remaining lifetime of a cell, `None` for one that does not expire.
    pub fn see_ttl(&mut self, column: &source::Column, seconds: Option<i32>) {
        if seconds.is_some() {
            self.expiring.insert(column.name.clone());
        }
    }

    /// What was seen of `column`.
    pub(super) fn of(&self, column: &str) -> Texts {
        self.texts.get(column).cloned().unwrap_or_default()
    }
}

/// The uuid in front of the colon at byte 37.
fn workspace_prefix(value: &[u8]) -> Option<Uuid> {
    let (id, colon) = value.get(..PREFIX)?.split_at_checked(PREFIX - 1)?;
    (colon == b":").then(|| std::str::from_utf8(id).ok().and_then(|id| Uuid::try_parse(id).ok())).flatten()
}

#[cfg(test)]
mod tests {
    use crate::source::{Column, ColumnKind};

    use super::*;

    fn column(kind: ColumnKind) -> Column {
        Column { name: "name".to_owned(), ty: CqlType::Text, kind }
    }

    fn seen(values: &[Option<&str>], kind: ColumnKind) -> Texts {
        let workspaces = BTreeSet::from([Uuid::from_u128(7)]);
        let mut evidence = Evidence::default();
        for value in values {
            evidence.see(&column(kind), value.map(str::as_bytes), &workspaces);
        }
        evidence.of("name")
    }

    #[test]
    fn only_ids_of_workspaces_count_as_prefix() {
        let (known, other) = (Uuid::from_u128(7), Uuid::from_u128(8));
        let values = [
            format!("{known}:name"),
            format!("{known}:"),
            format!("{other}:name"),
            format!("{known}name"),
            format!("{known}"),
            "kong_acme:account:https://10.0.0.0.abc:14000/".to_owned(),
            "grüße:aus:köln:und:überall:sonst:woher".to_owned(),
        ];
        let mut values: Vec<_> = values.iter().map(|value| Some(value.as_str())).collect();
        values.push(None);
        let texts = seen(&values, ColumnKind::Regular);
        assert_eq!((texts.values, texts.prefixed), (7, 2));
        assert_eq!(texts.distinct, BTreeSet::new());
    }

    #[test]
    fn a_constant_is_told_from_a_key() {
        let distinct = |values: &[&str]| {
            let values: Vec<_> = values.iter().map(|value| Some(*value)).collect();
            seen(&values, ColumnKind::PartitionKey).distinct.len()
        };
        assert_eq!(distinct(&["t", "t", "t"]), 1);
        assert_eq!(distinct(&["t", "u", "v", "t"]), 2);

        let mut evidence = Evidence::default();
        evidence.see_partition(&column(ColumnKind::PartitionKey), "t");
        evidence.see_partition(&column(ColumnKind::PartitionKey), "u");
        assert_eq!((evidence.of("name").distinct.len(), evidence.of("name").values), (2, 0));
    }

    #[test]
    fn lifetimes_are_remembered_by_column() {
        let mut evidence = Evidence::default();
        evidence.see_ttl(&column(ColumnKind::Regular), None);
        assert!(evidence.expiring.is_empty());
        evidence.see_ttl(&column(ColumnKind::Regular), Some(5));
        assert!(evidence.expiring.contains("name"));
    }
}
