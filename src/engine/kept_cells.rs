//! What is written beside the cells of a row in quarantine: whatever it takes to read them again without the source.

use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::source::{Column, CqlType, SelectItem, Selection, Table};
use crate::transform::ShaperContext;

/// A table of the source as it was when a row of it was kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTable {
    /// The cells that are kept of each row, in order.
    pub items: Vec<SelectItem>,
    /// All columns of the table.
    pub columns: Vec<Column>,
    /// Table-wide TTL in seconds, 0 for none.
    #[serde(default)]
    pub default_time_to_live: i32,
    /// Ids of the keyring's keys that were active.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub active_keys: Vec<String>,
}

impl KeptTable {
    /// The description of rows of `table` of which `selection` is read.
    pub fn of(table: &Table, selection: &Selection, context: ShaperContext<'_>) -> Self {
        Self {
            items: selection.items.clone(),
            columns: table.columns.clone(),
            default_time_to_live: table.default_time_to_live,
            active_keys: context.active_keys.to_vec(),
        }
    }

    /// As the ledger keeps it.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self)
            .map_err(|_| Error::new(ErrorKind::Internal, "a table's description cannot be written as JSON"))
    }

    /// From the ledger.
    ///
    /// # Errors
    /// `Target` when it cannot be read.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|_| {
            Error::new(ErrorKind::Target, "the description of a row in quarantine cannot be read")
                .remedy("use the build of kongferry that put it there")
        })
    }

    /// The table of the source, under `name`.
    pub fn table(&self, name: &str) -> Table {
        Table {
            name: name.to_owned(),
            columns: self.columns.clone(),
            default_time_to_live: self.default_time_to_live,
        }
    }

    /// Label and type of each kept cell.
    pub fn labels(&self) -> Vec<(String, String)> {
        let ty = |name: &str| {
            let column = self.columns.iter().find(|column| column.name == name);
            column.map_or_else(|| "unknown".to_owned(), |column| column.ty.to_string())
        };
        self.items
            .iter()
            .map(|item| match item {
                SelectItem::Column(name) => (name.clone(), ty(name)),
                SelectItem::Ttl(name) => (format!("ttl({name})"), CqlType::Int.to_string()),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::ColumnKind;

    #[test]
    fn the_ledger_gives_back_what_it_was_given() {
        let column = |name: &str, ty, kind| Column { name: name.to_owned(), ty, kind };
        let kept = KeptTable {
            items: vec![SelectItem::Column("id".to_owned()), SelectItem::Ttl("tags".to_owned())],
            columns: vec![
                column("id", CqlType::Uuid, ColumnKind::PartitionKey),
                column("tags", CqlType::Set(Box::new(CqlType::Text)), ColumnKind::Regular),
                column(
                    "place",
                    CqlType::Udt {
                        name: "place".to_owned(),
                        fields: vec![("street".to_owned(), CqlType::Text)],
                    },
                    ColumnKind::Regular,
                ),
            ],
            default_time_to_live: 0,
            active_keys: Vec::new(),
        };
        assert_eq!(KeptTable::from_json(&kept.to_json().unwrap()).unwrap(), kept);
        let labels = [("id", "uuid"), ("ttl(tags)", "int")];
        assert_eq!(kept.labels(), labels.map(|(name, ty)| (name.to_owned(), ty.to_owned())));
    }
}
