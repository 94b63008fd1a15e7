//! What a row holds, in a form that does not depend on who tells it; and digests of it that add up.
//!
//! In: tuples of a binary COPY, as this program sends them and as the target sends them back, and the types of their columns.
//! Out: digests. No servers here. docs/canonical-form.md defines the form; the test vectors in it are those of the tests below.

mod decimal;
mod json;
mod sum;
mod value;

pub use sum::{CLASS_SECONDS, ContentSum, Digest, NoDigest, RowDigest, whole_minute};

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use crate::target::catalog::{PgKind, PgType};
use value::{ValueForm, field, field_form};

/// Seconds from 1970 to 2000, from where `PostgreSQL` counts.
const EPOCH_SECONDS: i64 = 946_684_800;
/// Expiry instants that `PostgreSQL` writes for the ends of time.
const FOREVER: [i64; 2] = [i64::MIN, i64::MAX];

/// A collection of the source, for which empty and NULL are the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Collection {
    /// Its order says nothing.
    Set,
    /// A list, map, tuple or user-defined type.
    Other,
}

/// A column of a tuple.
#[derive(Debug, Clone, Copy)]
pub struct FormColumn<'a> {
    /// Its name.
    pub name: &'a str,
    /// Its type.
    pub ty: &'a PgType,
    /// What it holds of the source, where that is a collection.
    pub collection: Option<Collection>,
}

/// How the tuples of one table are digested.
#[derive(Debug, Clone)]
pub struct RowForm {
    /// Digest of the names of table and columns.
    names: [u8; 16],
    /// In the order of the tuple.
    columns: Vec<ValueForm>,
    /// Positions in the tuple, in the order of the form: by name.
    order: Vec<usize>,
    /// Position of the instant of expiry.
    expiry: Option<usize>,
    /// The instant of expiry counts as there or not there only.
    any_instant: bool,
}

/// The error for a tuple that is not of the form's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a row has other columns than expected")]
pub struct OtherLayout;

/// Buffers that are used again from row to row.
#[derive(Debug, Default)]
pub struct Scratch {
    fields: Vec<Option<(usize, usize)>>,
    bytes: Vec<u8>,
}

impl RowForm {
    /// That of `table` with these columns, in the order of its tuples. `expiry` names the column that holds the instant of
    /// expiry.
    pub fn new(table: &str, columns: &[FormColumn<'_>], expiry: Option<&str>) -> Self {
        let mut order: Vec<(&str, usize)> =
            columns.iter().enumerate().map(|(position, column)| (column.name, position)).collect();
        order.sort_unstable();
        let mut names = Vec::new();
        for name in [table].into_iter().chain(order.iter().map(|(name, _)| *name)) {
            names.extend_from_slice(&u32::try_from(name.len()).unwrap_or(u32::MAX).to_be_bytes());
            names.extend_from_slice(name.as_bytes());
        }
        let expiry = columns.iter().position(|column| {
            Some(column.name) == expiry && matches!(column.ty.kind, PgKind::Timestamptz | PgKind::Timestamp)
        });
        Self {
            names: xxh3_128(&names).to_be_bytes(),
            columns: columns.iter().map(|column| ValueForm::of(column.ty, column.collection)).collect(),
            order: order.into_iter().map(|(_, position)| position).collect(),
            expiry,
            any_instant: false,
        }
    }

    /// The same, but for the instant of expiry, which only counts as there or not there.
    #[must_use]
    pub fn with_any_instant(&self) -> Self {
        Self { any_instant: true, ..self.clone() }
    }

    /// Whether rows of the table can expire.
    pub fn expires(&self) -> bool {
        self.expiry.is_some()
    }

    /// The digest of the tuple at the beginning of `bytes`, and how long that is. `None` where it is cut short.
    ///
    /// # Errors
    /// When it has another number of columns.
    #[inline]
    pub fn digest(
        &self,
        bytes: &[u8],
        scratch: &mut Scratch,
    ) -> Result<Option<(RowDigest, usize)>, OtherLayout> {
        let Some(length) = self.fields(bytes, scratch)? else { return Ok(None) };
        Ok(Some((self.digest_fields(bytes, scratch), length)))
    }

    /// Finds the fields of the tuple at the beginning of `bytes`; returns its length. `None` where it is cut short.
    ///
    /// # Errors
    /// When it has another number of columns.
    pub fn fields(&self, bytes: &[u8], scratch: &mut Scratch) -> Result<Option<usize>, OtherLayout> {
        let Some((count, mut rest)) = bytes.split_first_chunk::<2>() else { return Ok(None) };
        if usize::from(u16::from_be_bytes(*count)) != self.columns.len() {
            return Err(OtherLayout);
        }
        scratch.fields.clear();
        for _ in &self.columns {
            let Some(value) = field(&mut rest) else { return Ok(None) };
            let end = bytes.len() - rest.len();
            scratch.fields.push(value.map(|value| (end - value.len(), end)));
        }
        Ok(Some(bytes.len() - rest.len()))
    }

    /// The digest of the tuple whose fields were found last.
    #[inline]
    pub fn digest_fields(&self, bytes: &[u8], scratch: &mut Scratch) -> RowDigest {
        let Scratch { fields, bytes: form } = scratch;
        form.clear();
        form.extend_from_slice(&self.names);
        for position in &self.order {
            self.column(*position, value_of(bytes, fields, *position), form);
        }
        let expires = self.expiry.and_then(|position| instant(value_of(bytes, fields, position)?));
        RowDigest { digest: Digest(xxh3_128(form)), expires }
    }

    /// A digest of each column of the tuple whose fields were found last, in the order of the tuple.
    pub fn column_digests(&self, bytes: &[u8], scratch: &mut Scratch) -> Vec<u64> {
        let Scratch { fields, bytes: form } = scratch;
        (0..self.columns.len())
            .map(|position| {
                form.clear();
                self.column(position, value_of(bytes, fields, position), form);
                xxh3_64(form)
            })
            .collect()
    }

    /// The instant at which the tuple whose fields were found last expires, in seconds since 1970, rounded down.
    pub fn expiry_of(&self, bytes: &[u8], scratch: &Scratch) -> Option<i64> {
        self.expiry.and_then(|position| instant(value_of(bytes, &scratch.fields, position)?))
    }

    /// Appends the form of the columns at `positions` of the tuple whose fields were found last: equal keys have one form.
    pub fn key(&self, positions: &[usize], bytes: &[u8], scratch: &Scratch, key: &mut Vec<u8>) {
        for position in positions {
            self.column(*position, value_of(bytes, &scratch.fields, *position), key);
        }
    }

    /// The field at `position` of the tuple whose fields were found last.
    pub fn value<'a>(&self, position: usize, bytes: &'a [u8], scratch: &Scratch) -> Option<&'a [u8]> {
        value_of(bytes, &scratch.fields, position)
    }

    /// The bytes that are digested for the tuple at the beginning of `bytes`.
    pub fn form_of(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let mut scratch = Scratch::default();
        self.digest(bytes, &mut scratch).ok().flatten()?;
        Some(scratch.bytes)
    }

    #[inline]
    fn column(&self, position: usize, value: Option<&[u8]>, form: &mut Vec<u8>) {
        match (value, self.columns.get(position)) {
            (Some(_), _) if self.any_instant && self.expiry == Some(position) => {
                form.extend_from_slice(&[1, 0, 0, 0, 0]);
            }
            (Some(value), Some(column)) if field_form(column, value, form).is_some() => {}
            // Values of a gibibyte and more, which no server sends.
            (Some(_), _) => form.push(2),
            (None, _) => form.push(0),
        }
    }
}

fn value_of<'a>(bytes: &'a [u8], fields: &[Option<(usize, usize)>], position: usize) -> Option<&'a [u8]> {
    let (start, end) = fields.get(position).copied().flatten()?;
    bytes.get(start..end)
}

/// Seconds since 1970 of a binary timestamp.
fn instant(value: &[u8]) -> Option<i64> {
    let micros = i64::from_be_bytes(value.try_into().ok()?);
    (!FOREVER.contains(&micros)).then(|| micros.div_euclid(1_000_000) + EPOCH_SECONDS)
}

#[cfg(test)]
mod tests;
