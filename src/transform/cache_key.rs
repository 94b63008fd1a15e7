//! Stored cache keys, `<head>:<part>:...`, and how those of an older form are recomputed.

use crate::target::catalog::PgKind;

use super::cells::Cells;
use super::shaped::{Reason, Repair};
use super::text;
use super::tuple::{Notes, Tuple};

/// The rule `cache_key` of one output.
#[derive(Debug)]
pub(super) struct CacheKey {
    /// Item that holds the stored key.
    pub item: usize,
    /// Output it is written to.
    pub output: usize,
    /// First part.
    pub head: String,
    /// Further parts.
    pub parts: Vec<Part>,
    /// Most characters the column takes.
    pub limit: Option<u32>,
}

/// A part of a cache key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Always empty.
    Empty,
    /// The shaped uuid in this output, hyphenated.
    Uuid(usize),
    /// The shaped text in this output.
    Text(usize),
}

impl Part {
    /// The part taken from an output of this kind; `None` when it has no place in a key.
    pub fn of(output: usize, kind: &PgKind) -> Option<Self> {
        match kind {
            PgKind::Uuid => Some(Self::Uuid(output)),
            PgKind::Text | PgKind::Varchar(_) => Some(Self::Text(output)),
            _ => None,
        }
    }
}

/// Whether a stored key is of an older form: it ends in `:` (the workspace was not yet part of it in Kong 2.0) or its last part
/// is `nil` (targets without workspace at the upgrade to 3.0).
pub(super) fn is_stale(key: &[u8]) -> bool {
    key.ends_with(b":") || key.ends_with(b":nil")
}

impl CacheKey {
    /// Replaces a stale key in the finished tuple `copy[start..]` by the key its shaped values give.
    pub fn refresh(
        &self,
        cells: &[Option<&[u8]>],
        copy: &mut Vec<u8>,
        start: usize,
        notes: &mut Notes,
    ) -> Result<(), Reason> {
        match cells.get(self.item).copied().flatten() {
            Some(stored) if is_stale(stored) => {}
            _ => return Ok(()),
        }
        let fields = fields(copy.get(start..).unwrap_or_default())?;
        let mut key = self.head.clone().into_bytes();
        for part in &self.parts {
            key.push(b':');
            match *part {
                Part::Empty => {}
                Part::Uuid(output) => {
                    if let Some(uuid) = value(&fields, output) {
                        let uuid = ::uuid::Uuid::from_slice(uuid).map_err(|_| Reason::Malformed)?;
                        key.extend_from_slice(uuid.to_string().as_bytes());
                    }
                }
                Part::Text(output) => key.extend_from_slice(value(&fields, output).unwrap_or_default()),
            }
        }
        let Some(Field { at, value: Some(stored) }) = fields.get(self.output).copied() else { return Ok(()) };
        if stored == key.as_slice() {
            return Ok(());
        }
        let from = start + at;
        let to = from + 4 + stored.len();
        let mut field = Vec::with_capacity(key.len() + 4);
        text::write(&key, self.limit, &mut Tuple::new(&mut field, notes))?;
        let mut tuple = Tuple::new(copy, notes);
        tuple.replace(from, to, &field);
        tuple.repaired(Repair::CacheKey);
        Ok(())
    }
}

/// A field of a finished tuple.
#[derive(Debug, Clone, Copy)]
struct Field<'a> {
    /// Offset of its length.
    at: usize,
    value: Option<&'a [u8]>,
}

fn value<'a>(fields: &[Field<'a>], output: usize) -> Option<&'a [u8]> {
    fields.get(output).and_then(|field| field.value)
}

/// The fields of a tuple, behind the number of its columns.
fn fields(tuple: &[u8]) -> Result<Vec<Field<'_>>, Reason> {
    let mut at = 2;
    let mut cells = Cells::new(tuple.get(at..).ok_or(Reason::Malformed)?);
    let mut fields = Vec::new();
    while !cells.is_empty() {
        let value = cells.cell()?;
        fields.push(Field { at, value });
        at += 4 + value.map_or(0, <[u8]>::len);
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_an_older_form_are_known_by_their_end() {
        assert!(is_stale(b"plugins:acl:::::"));
        assert!(is_stale(b"targets:0c9b4625-36da-597c-938e-e3a0283d17c2:host:80::::nil"));
        assert!(!is_stale(b"acls:c:nil::::3ee332ee-02e9-4566-a322-92ed644cb41e"));
        assert!(!is_stale(b"acls:c:vanil"));
        assert!(!is_stale(b""));
    }
}
