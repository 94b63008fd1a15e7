//! Keys of target rows: how rows of both sides are brought together, and how they are named.

use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_64;

use crate::canonical::{RowForm, Scratch};
use crate::engine::plan::TablePlan;
use crate::target;
use crate::target::catalog::{PgKind, PgType};
use crate::transform::{instant_text, quoted_text};

/// Most bytes of a value that is shown in hexadecimal digits.
const SHOWN_BYTES: usize = 32;

/// The key of a table's rows.
#[derive(Debug, Clone)]
pub struct KeyForm {
    /// Positions of its columns in a tuple, and their types; all columns where the table has no primary key.
    columns: Vec<(usize, PgType)>,
    /// Whether it is the primary key.
    primary: bool,
}

impl KeyForm {
    /// That of `table`: its primary key, if every column of it is copied.
    pub fn of(table: &TablePlan, catalog: &target::Catalog) -> Self {
        let described = catalog.tables.get(&table.table);
        let position = |name: &String| {
            let position = table.columns.iter().position(|column| column == name)?;
            Some((position, described?.column(name)?.ty.clone()))
        };
        let key = described.map_or(&[][..], |described| &described.primary_key);
        let columns: Option<Vec<_>> = key.iter().map(position).collect();
        match columns.filter(|columns| !columns.is_empty()) {
            Some(columns) => Self { columns, primary: true },
            None => Self { columns: table.columns.iter().filter_map(position).collect(), primary: false },
        }
    }

    /// Appends the key of the tuple whose fields were found last.
    pub fn write(&self, form: &RowForm, tuple: &[u8], scratch: &Scratch, key: &mut Vec<u8>) {
        for (position, _) in &self.columns {
            form.key(&[*position], tuple, scratch, key);
        }
    }

    /// The key as text, for people.
    pub fn text(&self, form: &RowForm, tuple: &[u8], scratch: &Scratch) -> String {
        if !self.primary {
            return "(a row of a table without a primary key)".to_owned();
        }
        let texts: Vec<String> = self
            .columns
            .iter()
            .map(|(position, ty)| text(ty, form.value(*position, tuple, scratch)))
            .collect();
        texts.join(", ")
    }
}

/// The hash that decides where rows of this key are added up.
pub fn hash(key: &[u8]) -> u64 {
    xxh3_64(key)
}

fn text(ty: &PgType, value: Option<&[u8]>) -> String {
    let Some(value) = value else { return "NULL".to_owned() };
    let shown = match ty.kind {
        PgKind::Text | PgKind::Varchar(_) => Some(quoted_text(value)),
        PgKind::Uuid => Uuid::from_slice(value).ok().map(|uuid| uuid.to_string()),
        PgKind::Int2 => value.try_into().ok().map(|bytes| i16::from_be_bytes(bytes).to_string()),
        PgKind::Int4 => value.try_into().ok().map(|bytes| i32::from_be_bytes(bytes).to_string()),
        PgKind::Int8 => value.try_into().ok().map(|bytes| i64::from_be_bytes(bytes).to_string()),
        PgKind::Bool => value.first().map(|byte| (*byte != 0).to_string()),
        PgKind::Timestamptz | PgKind::Timestamp => {
            // Milliseconds since 1970; PostgreSQL counts microseconds since 2000.
            let micros = value.try_into().ok().map(i64::from_be_bytes);
            micros.map(|micros| instant_text(micros.div_euclid(1_000) + 946_684_800_000))
        }
        _ => None,
    };
    shown.unwrap_or_else(|| {
        let bytes = value.get(..SHOWN_BYTES).unwrap_or(value);
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    })
}
