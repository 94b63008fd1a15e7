//! What is written beside the cells of a row in quarantine: whatever it takes to read them again without the source.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, ErrorKind, Result};
use crate::source::cells::rows_of;
use crate::source::{Column, CqlType, Page, SelectItem, Selection, Table};
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
    pub fn labels(&self) -> Vec<(String, CqlType)> {
        let ty = |name: &str| {
            let column = self.columns.iter().find(|column| column.name == name);
            column.map_or_else(|| CqlType::Other("unknown".to_owned()), |column| column.ty.clone())
        };
        self.items
            .iter()
            .map(|item| match item {
                SelectItem::Column(name) => (name.clone(), ty(name)),
                SelectItem::Ttl(name) => (format!("ttl({name})"), CqlType::Int),
                SelectItem::WriteTime(name) => (format!("writetime({name})"), CqlType::Bigint),
            })
            .collect()
    }

    /// Label, type and bytes of the cells of a row.
    ///
    /// # Errors
    /// `Target` when the bytes are not those of one row.
    pub fn cells(&self, cells: Vec<u8>) -> Result<Vec<(String, CqlType, Option<Bytes>)>> {
        let page = Page { rows: 1, body: Bytes::from(cells), read_at: 0 };
        let row = rows_of(&page, self.items.len()).and_then(|mut rows| rows.pop());
        let row = row.ok_or_else(|| {
            Error::new(ErrorKind::Target, "a row of quarantine is not whole")
                .remedy("has anybody changed kongferry.quarantine?")
        })?;
        Ok(self.labels().into_iter().zip(row).map(|((label, ty), cell)| (label, ty, cell)).collect())
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
        let labels = [("id", CqlType::Uuid), ("ttl(tags)", CqlType::Int)];
        assert_eq!(kept.labels(), labels.map(|(name, ty)| (name.to_owned(), ty)));
        let mut cells = [0, 0, 0, 2, 7, 8].to_vec();
        cells.extend((-1_i32).to_be_bytes());
        let read = kept.cells(cells.clone()).unwrap();
        assert_eq!(read[0].2.as_deref(), Some(&[7, 8][..]));
        assert_eq!(read[1].2, None);
        cells.pop();
        assert!(kept.cells(cells).is_err());
    }
}
