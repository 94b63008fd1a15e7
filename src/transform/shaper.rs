//! A table's mapping compiled into one encoder per column.

use uuid::Uuid;

use crate::canonical::RowDigest;
use crate::error::{Error, ErrorKind, Result};
use crate::policy::{Class, Policies, Policy};
use crate::schema_map::TableMapping;
use crate::source::{CqlType, Page, SelectItem};

use super::cache_key::CacheKey;
use super::cells::{Cells, CutShort};
use super::census::{Form, count_ciphertexts};
use super::column::{Column, cache_key};
use super::key::key_text;
use super::shaped::{Reason, Reject, Repair, Shaped, TupleMark};
use super::tuple::{Notes, Tuple};

/// What shaping needs to know of the estate.
#[derive(Debug, Clone, Copy, Default)]
pub struct ShaperContext<'a> {
    /// Id of the source's workspace `default`.
    pub default_workspace: Option<Uuid>,
    /// Ids of the keys by which Kong Enterprise encrypts at present, from `keyring_meta_active`: none or one.
    pub active_keys: &'a [String],
    /// What becomes of bad rows.
    pub policies: Policies,
}

/// Shapes the rows of one table.
#[derive(Debug)]
pub struct RowShaper {
    table: String,
    policies: Policies,
    /// Whether some repairs are not wanted.
    strict: bool,
    /// Names of the cells of a row.
    items: Vec<String>,
    key: Vec<(usize, CqlType)>,
    required: Vec<usize>,
    /// Items that hold secrets, whose forms are counted.
    secrets: Vec<usize>,
    constants: Vec<(usize, String)>,
    columns: Vec<Column>,
    /// Number of columns as a tuple starts with it.
    column_count: [u8; 2],
    cache_keys: Vec<CacheKey>,
}

impl RowShaper {
    /// Compiles `mapping`.
    ///
    /// # Errors
    /// `SchemaMap` when a pair of types has no codec or a default does not fit its column: names table, column, both types.
    pub fn compile(mapping: &TableMapping, context: ShaperContext<'_>) -> Result<Self> {
        let internal =
            |what: &str| Error::new(ErrorKind::Internal, format!("table `{}`: {what}", mapping.table));
        let items = mapping.types.len();
        if mapping.selection.items.len() != items {
            return Err(internal("the selection and its types differ in length"));
        }
        let outside = |item: &usize| *item >= items;
        let constants = mapping.constants.iter().map(|(item, _)| item);
        if mapping.key.iter().chain(&mapping.required).chain(&mapping.secrets).chain(constants).any(outside) {
            return Err(internal("the map names an item outside the selection"));
        }
        let column_count = i16::try_from(mapping.outputs.len()).map_err(|_| internal("too many columns"))?;
        let columns = mapping
            .outputs
            .iter()
            .map(|output| Column::compile(mapping, output, context))
            .collect::<Result<_>>()?;
        let mut cache_keys = Vec::new();
        for (index, output) in mapping.outputs.iter().enumerate() {
            cache_keys.extend(cache_key(mapping, index, output)?);
        }
        let policies = context.policies;
        let strict = [Class::DoublePrefix, Class::ZeroLength]
            .iter()
            .any(|class| policies.of(*class) != Policy::Repair);
        let names = mapping.selection.items.iter().map(|item| match item {
            SelectItem::Column(name) | SelectItem::Ttl(name) | SelectItem::WriteTime(name) => name.clone(),
        });
        let key =
            mapping.key.iter().filter_map(|item| Some((*item, mapping.types.get(*item)?.clone()))).collect();
        Ok(Self {
            table: mapping.table.clone(),
            policies,
            strict,
            items: names.collect(),
            key,
            required: mapping.required.clone(),
            secrets: mapping.secrets.clone(),
            constants: mapping.constants.clone(),
            columns,
            column_count: column_count.to_be_bytes(),
            cache_keys,
        })
    }

    /// Shapes all rows of `page` into `out`, which is cleared first.
    ///
    /// # Errors
    /// `Source` when the page itself is cut short or overlong; a bad value is a reject, not an error.
    pub fn shape(&self, page: &Page, out: &mut Shaped) -> Result<()> {
        self.shape_where(page, out, |_| true)
    }

    /// Like [`shape`](Self::shape), as if the rows for which `wanted` is false were not in the page.
    pub fn shape_where(&self, page: &Page, out: &mut Shaped, wanted: impl Fn(usize) -> bool) -> Result<()> {
        out.clear();
        out.copy.reserve(page.body.len());
        let mut rest = Cells::new(&page.body);
        let mut cells = Vec::with_capacity(self.items.len());
        let mut notes = Notes::default();
        for row in 0..page.rows {
            self.row(&mut rest, &mut cells).map_err(|CutShort| self.cut_short(page, row))?;
            if !wanted(row) {
                continue;
            }
            out.read += 1;
            let start = out.copy.len();
            notes.clear();
            let outcome = match self.unreadable(&cells) {
                None => self.tuple(&cells, page.read_at, &mut out.copy, &mut notes),
                Some(unreadable) => Err(unreadable),
            };
            match outcome {
                Ok(()) => {
                    out.tuples.push(TupleMark { end: out.copy.len(), row, digest: RowDigest::default() });
                    out.expiries.extend(notes.expiry);
                    for item in &self.secrets {
                        if let Some(value) = cells.get(*item).copied().flatten() {
                            *out.forms.entry((*item, Form::of(value))).or_default() += 1;
                        }
                    }
                    for repair in &notes.repairs {
                        count(&mut out.repaired, *repair as usize);
                    }
                }
                Err((column, reason)) => {
                    out.copy.truncate(start);
                    if self.policies.of(reason.class()) == Policy::Skip {
                        count(&mut out.skipped, reason.class() as usize);
                    } else {
                        let (key, column) = (self.key_text(&cells), column.to_owned());
                        out.rejects.push(Reject { row, key, column, reason });
                    }
                }
            }
        }
        if !rest.is_empty() {
            let what = format!("table `{}`: a page holds more than its {} rows", self.table, page.rows);
            return Err(Error::new(ErrorKind::Source, what));
        }
        count_ciphertexts(&out.copy, &mut out.ciphertexts);
        debug_assert!(out.is_conserved());
        Ok(())
    }

    /// What becomes of bad rows.
    pub fn policies(&self) -> &Policies {
        &self.policies
    }

    /// The bytes of some rows of a page, which are named in order: each the body of a page of that row alone.
    ///
    /// # Errors
    /// `Source` when the page is cut short.
    pub fn cut(&self, page: &Page, rows: impl IntoIterator<Item = usize>) -> Result<Vec<Vec<u8>>> {
        let mut rest = Cells::new(&page.body);
        let mut cells = Vec::with_capacity(self.items.len());
        let (mut next, mut cut) = (0, Vec::new());
        for wanted in rows {
            let mut start = rest.position(&page.body);
            while next <= wanted {
                start = rest.position(&page.body);
                self.row(&mut rest, &mut cells).map_err(|CutShort| self.cut_short(page, next))?;
                next += 1;
            }
            cut.push(page.body.get(start..rest.position(&page.body)).unwrap_or_default().to_vec());
        }
        Ok(cut)
    }

    /// Primary key of one row of a page as text, for messages; `?` when the page has no such row.
    pub fn key_of(&self, page: &Page, row: usize) -> String {
        let mut rest = Cells::new(&page.body);
        let mut cells = Vec::with_capacity(self.items.len());
        for _ in 0..=row {
            if self.row(&mut rest, &mut cells).is_err() {
                return "?".to_owned();
            }
        }
        self.key_text(&cells)
    }

    /// Primary keys of all rows of a page as text, those that are left out included.
    pub fn keys_of(&self, page: &Page) -> Vec<String> {
        let mut rest = Cells::new(&page.body);
        let mut cells = Vec::with_capacity(self.items.len());
        let mut keys = Vec::with_capacity(page.rows);
        while keys.len() < page.rows && self.row(&mut rest, &mut cells).is_ok() {
            keys.push(self.key_text(&cells));
        }
        keys
    }

    /// Reads the cells of the next row.
    #[inline]
    fn row<'a>(&self, rest: &mut Cells<'a>, cells: &mut Vec<Option<&'a [u8]>>) -> Result<(), CutShort> {
        cells.clear();
        for _ in 0..self.items.len() {
            cells.push(rest.cell()?);
        }
        Ok(())
    }

    /// Why Kong does not see the row, if it does not: the column and the reason.
    #[inline]
    fn unreadable(&self, cells: &[Option<&[u8]>]) -> Option<(&str, Reason)> {
        let cell = |item: &usize| cells.get(*item).copied().flatten();
        let named = |item: &usize| self.items.get(*item).map_or("", String::as_str);
        let foreign = self.constants.iter().find(|(item, value)| cell(item) != Some(value.as_bytes()));
        if let Some((item, _)) = foreign {
            return Some((named(item), Reason::ForeignPartition));
        }
        let gone = self.required.iter().find(|item| cell(item).is_none())?;
        Some((named(gone), Reason::Ghost))
    }

    /// The repair among `repairs` that is not wanted.
    fn unwanted(&self, repairs: &[Repair]) -> Option<Reason> {
        let reason = |repair: &Repair| match repair {
            Repair::DoublePrefix => Some(Reason::DoublePrefix),
            Repair::ZeroLength => Some(Reason::ZeroLength),
            _ => None,
        };
        repairs.iter().filter_map(reason).find(|reason| self.policies.of(reason.class()) != Policy::Repair)
    }

    /// Appends the tuple of one row, or says which column cannot be written and why.
    #[inline]
    fn tuple(
        &self,
        cells: &[Option<&[u8]>],
        read_at: i64,
        copy: &mut Vec<u8>,
        notes: &mut Notes,
    ) -> Result<(), (&str, Reason)> {
        let start = copy.len();
        copy.extend_from_slice(&self.column_count);
        let mut tuple = Tuple::new(copy, notes);
        for column in &self.columns {
            let repaired = tuple.repairs().len();
            column.write(cells, read_at, &mut tuple).map_err(|reason| (column.name.as_str(), reason))?;
            if self.strict
                && let Some(repairs) = tuple.repairs().get(repaired..)
                && let Some(reason) = self.unwanted(repairs)
            {
                return Err((column.name.as_str(), reason));
            }
        }
        for rule in &self.cache_keys {
            let name = self.columns.get(rule.output).map_or("", |column| column.name.as_str());
            rule.refresh(cells, copy, start, notes).map_err(|reason| (name, reason))?;
        }
        Ok(())
    }

    fn key_text(&self, cells: &[Option<&[u8]>]) -> String {
        let texts: Vec<_> =
            self.key.iter().map(|(item, ty)| key_text(ty, cells.get(*item).copied().flatten())).collect();
        texts.join(", ")
    }

    fn cut_short(&self, page: &Page, row: usize) -> Error {
        let what = format!("table `{}`: a page ends inside row {} of {}", self.table, row + 1, page.rows);
        Error::new(ErrorKind::Source, what)
    }
}

fn count(counters: &mut [u64], index: usize) {
    if let Some(counter) = counters.get_mut(index) {
        *counter += 1;
    }
}

#[cfg(test)]
#[path = "shaper_tests.rs"]
mod tests;
