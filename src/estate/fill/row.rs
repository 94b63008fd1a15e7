//! A row on its way to Cassandra.

use scylla::value::{Counter, CqlTimestamp, CqlValue};
use uuid::Uuid;

/// A row of a Kong table: the cells that have a value. Absent cells stay unset, which Cassandra reads as NULL.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// Its table.
    pub table: &'static str,
    /// Column and value.
    pub cells: Vec<(&'static str, CqlValue)>,
    /// TTL of the written cells in seconds.
    pub ttl: Option<i32>,
    /// Whether it is a row of its own in the summary; false for the rewrite of a row written before and for one that is gone
    /// at the end.
    pub counted: bool,
}

impl Row {
    /// An empty row of `table`.
    pub(in crate::estate) fn of(table: &'static str) -> Self {
        Self { table, cells: Vec::with_capacity(16), ttl: None, counted: true }
    }

    /// A row of a table whose rows all stand in the partition named like the table.
    pub(in crate::estate) fn in_partition(table: &'static str) -> Self {
        Self::of(table).text("partition", table)
    }

    /// Sets a cell, or replaces it.
    pub(in crate::estate) fn cell(mut self, column: &'static str, value: CqlValue) -> Self {
        self.cells.retain(|(present, _)| *present != column);
        self.cells.push((column, value));
        self
    }

    pub(in crate::estate) fn uuid(self, column: &'static str, value: Uuid) -> Self {
        self.cell(column, CqlValue::Uuid(value))
    }

    pub(in crate::estate) fn maybe_uuid(self, column: &'static str, value: Option<Uuid>) -> Self {
        match value {
            Some(value) => self.uuid(column, value),
            None => self,
        }
    }

    pub(in crate::estate) fn text(self, column: &'static str, value: impl Into<String>) -> Self {
        self.cell(column, CqlValue::Text(value.into()))
    }

    pub(in crate::estate) fn maybe_text(
        self,
        column: &'static str,
        value: Option<impl Into<String>>,
    ) -> Self {
        match value {
            Some(value) => self.text(column, value),
            None => self,
        }
    }

    /// A name that is unique per workspace, as Kong stores it on Cassandra.
    pub(in crate::estate) fn prefixed(self, column: &'static str, workspace: Uuid, value: &str) -> Self {
        self.text(column, format!("{workspace}:{value}"))
    }

    pub(in crate::estate) fn int(self, column: &'static str, value: i32) -> Self {
        self.cell(column, CqlValue::Int(value))
    }

    pub(in crate::estate) fn bool(self, column: &'static str, value: bool) -> Self {
        self.cell(column, CqlValue::Boolean(value))
    }

    pub(in crate::estate) fn float(self, column: &'static str, value: f32) -> Self {
        self.cell(column, CqlValue::Float(value))
    }

    /// A map from text to number.
    pub(in crate::estate) fn tallies(self, column: &'static str, tallies: &[(&str, i32)]) -> Self {
        let entries = tallies
            .iter()
            .map(|(name, tally)| (CqlValue::Text((*name).to_owned()), CqlValue::Int(*tally)))
            .collect();
        self.cell(column, CqlValue::Map(entries))
    }

    /// An instant in milliseconds since 1970.
    pub(in crate::estate) fn instant(self, column: &'static str, milliseconds: i64) -> Self {
        self.cell(column, CqlValue::Timestamp(CqlTimestamp(milliseconds)))
    }

    pub(in crate::estate) fn counter(self, column: &'static str, value: i64) -> Self {
        self.cell(column, CqlValue::Counter(Counter(value)))
    }

    /// A set of texts; nothing when empty, since Cassandra keeps no empty set.
    pub(in crate::estate) fn text_set<T: AsRef<str>>(self, column: &'static str, values: &[T]) -> Self {
        if values.is_empty() { self } else { self.cell(column, CqlValue::Set(texts(values))) }
    }

    pub(in crate::estate) fn text_list<T: AsRef<str>>(self, column: &'static str, values: &[T]) -> Self {
        if values.is_empty() { self } else { self.cell(column, CqlValue::List(texts(values))) }
    }

    pub(in crate::estate) fn uuid_set(self, column: &'static str, values: &[Uuid]) -> Self {
        if values.is_empty() {
            return self;
        }
        self.cell(column, CqlValue::Set(values.iter().copied().map(CqlValue::Uuid).collect()))
    }

    /// A map from header name to the set of its values.
    pub(in crate::estate) fn headers(self, column: &'static str, headers: &[(&str, &[&str])]) -> Self {
        let entries = headers
            .iter()
            .map(|(name, values)| (CqlValue::Text((*name).to_owned()), CqlValue::Set(texts(values))))
            .collect();
        self.cell(column, CqlValue::Map(entries))
    }

    /// Lets the written cells expire after `seconds`.
    pub(in crate::estate) fn expiring(mut self, seconds: i32) -> Self {
        self.ttl = Some(seconds);
        self
    }

    /// Keeps it out of the summary.
    pub(in crate::estate) fn uncounted(mut self) -> Self {
        self.counted = false;
        self
    }

    /// Rows of the table `tags` that Kong writes along with a tagged entity: one per tag, each repeating the whole set.
    pub(in crate::estate) fn tag_rows(&self) -> Vec<Self> {
        let cell = |name| self.cells.iter().find(|(column, _)| *column == name).map(|(_, value)| value);
        let (Some(CqlValue::Set(tags)), Some(CqlValue::Uuid(id))) = (cell("tags"), cell("id")) else {
            return Vec::new();
        };
        tags.iter()
            .map(|tag| {
                Self::of("tags")
                    .cell("tag", tag.clone())
                    .text("entity_name", self.table)
                    .text("entity_id", id.to_string())
                    .cell("other_tags", CqlValue::Set(tags.clone()))
            })
            .collect()
    }
}

fn texts<T: AsRef<str>>(values: &[T]) -> Vec<CqlValue> {
    values.iter().map(|value| CqlValue::Text(value.as_ref().to_owned())).collect()
}
