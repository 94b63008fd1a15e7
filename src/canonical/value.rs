//! Values: of each type the bytes that equal values have in common.

use std::ops::Range;

use super::{Collection, decimal, json};
use crate::target::catalog::{PgKind, PgType};

/// How values of a column are written.
#[derive(Debug, Clone)]
pub(super) enum ValueForm {
    /// As binary COPY sends them.
    Bytes,
    /// `character(n)`: blanks at the end say nothing.
    Padded,
    /// real: one zero, one NaN.
    Real,
    /// double precision: likewise.
    Double,
    /// numeric: by value, whatever its scale.
    Numeric,
    /// json or jsonb: by value.
    Json {
        /// jsonb sends a byte for its version first.
        version: bool,
        /// Holds a collection of the source, for which empty and NULL are the same.
        collection: bool,
    },
    /// An array.
    Array {
        /// Its elements.
        element: Box<ValueForm>,
        /// Holds a set of the source, whose order says nothing.
        set: bool,
    },
}

impl ValueForm {
    /// That of a column of type `ty` which holds a collection of the source, or none.
    pub fn of(ty: &PgType, collection: Option<Collection>) -> Self {
        match &ty.kind {
            PgKind::Varchar(_) if is_padded(&ty.name) => Self::Padded,
            PgKind::Real => Self::Real,
            PgKind::Double => Self::Double,
            PgKind::Numeric => Self::Numeric,
            PgKind::Json => Self::Json { version: false, collection: collection.is_some() },
            PgKind::Jsonb => Self::Json { version: true, collection: collection.is_some() },
            PgKind::Array(element) => Self::Array {
                element: Box::new(Self::of(element, None)),
                set: collection == Some(Collection::Set),
            },
            PgKind::Text
            | PgKind::Varchar(_)
            | PgKind::Bool
            | PgKind::Bytea
            | PgKind::Date
            | PgKind::Inet
            | PgKind::Int2
            | PgKind::Int4
            | PgKind::Int8
            | PgKind::Interval
            | PgKind::Time
            | PgKind::Timestamp
            | PgKind::Timestamptz
            | PgKind::Uuid
            | PgKind::Other => Self::Bytes,
        }
    }

    /// Appends the form of `value`, a field of a binary COPY; false, and nothing is appended, where it counts as NULL. What
    /// does not follow the layout of its type counts as its bytes.
    #[inline]
    pub fn write(&self, value: &[u8], out: &mut Vec<u8>) -> bool {
        match self {
            Self::Bytes => out.extend_from_slice(value),
            Self::Padded => {
                let end = value.iter().rposition(|byte| *byte != b' ').map_or(0, |last| last + 1);
                out.extend_from_slice(value.get(..end).unwrap_or_default());
            }
            Self::Real => match <[u8; 4]>::try_from(value).map(f32::from_be_bytes) {
                Ok(number) if number.is_nan() => out.extend_from_slice(&0x7fc0_0000_u32.to_be_bytes()),
                Ok(0.0) => out.extend_from_slice(&[0; 4]),
                _ => out.extend_from_slice(value),
            },
            Self::Double => match <[u8; 8]>::try_from(value).map(f64::from_be_bytes) {
                Ok(number) if number.is_nan() => {
                    out.extend_from_slice(&0x7ff8_0000_0000_0000_u64.to_be_bytes());
                }
                Ok(0.0) => out.extend_from_slice(&[0; 8]),
                _ => out.extend_from_slice(value),
            },
            Self::Numeric => {
                if decimal::write_numeric(value, out).is_none() {
                    out.extend_from_slice(value);
                }
            }
            Self::Json { version, collection } => {
                let text = value.get(usize::from(*version)..).unwrap_or_default();
                let start = out.len();
                json::write(text, out);
                if *collection && out.get(start..).is_some_and(json::is_empty) {
                    out.truncate(start);
                    return false;
                }
            }
            Self::Array { element, set } => return array(element, *set, value, out),
        }
        true
    }
}

/// Whether `name`, as `format_type` writes it, is that of the type that pads with blanks.
fn is_padded(name: &str) -> bool {
    name.starts_with("character") && !name.starts_with("character varying")
}

/// Writes an array; an empty one counts as NULL, as Cassandra makes no difference.
fn array(element: &ValueForm, set: bool, value: &[u8], out: &mut Vec<u8>) -> bool {
    let start = out.len();
    match elements(element, set, value, out) {
        Some(true) => true,
        Some(false) => {
            out.truncate(start);
            false
        }
        None => {
            out.truncate(start);
            out.push(b'r');
            out.extend_from_slice(value);
            true
        }
    }
}

/// Writes dimensions and elements; false when there is none.
fn elements(element: &ValueForm, set: bool, value: &[u8], out: &mut Vec<u8>) -> Option<bool> {
    let mut rest = value;
    let dimensions = number(&mut rest)?;
    // Whether there may be NULLs among the elements, and their type: neither says anything of the value.
    number(&mut rest)?;
    number(&mut rest)?;
    if dimensions == 0 {
        return rest.is_empty().then_some(false);
    }
    out.push(b'l');
    out.extend_from_slice(&dimensions.to_be_bytes());
    for _ in 0..dimensions {
        let (length, lower) = (number(&mut rest)?, number(&mut rest)?);
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&lower.to_be_bytes());
    }
    let start = out.len();
    let mut places: Vec<Range<usize>> = Vec::new();
    while !rest.is_empty() {
        let place = out.len();
        match field(&mut rest)? {
            None => out.push(0),
            Some(value) => field_form(element, value, out)?,
        }
        if set {
            places.push(place..out.len());
        }
    }
    if set {
        places.sort_by(|one, other| out.get(one.clone()).cmp(&out.get(other.clone())));
        let sorted: Vec<u8> =
            places.into_iter().flat_map(|place| out.get(place).unwrap_or_default().to_vec()).collect();
        out.truncate(start);
        out.extend_from_slice(&sorted);
    }
    Some(true)
}

/// Appends the form of a value behind its length; or the mark of NULL.
#[inline]
pub(super) fn field_form(form: &ValueForm, value: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let start = out.len();
    out.push(1);
    let mut there = true;
    framed(out, |out| {
        there = form.write(value, out);
        Some(())
    })?;
    if !there {
        out.truncate(start);
        out.push(0);
    }
    Some(())
}

/// Appends what `write` appends behind its length, an unsigned number of four bytes.
#[inline]
pub(super) fn framed(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Option<()>) -> Option<()> {
    let place = out.len();
    out.extend_from_slice(&[0; 4]);
    write(out)?;
    let length = u32::try_from(out.len() - place - 4).ok()?;
    out.get_mut(place..place + 4)?.copy_from_slice(&length.to_be_bytes());
    Some(())
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    let (bytes, tail) = rest.split_first_chunk::<4>()?;
    *rest = tail;
    Some(u32::from_be_bytes(*bytes))
}

/// The next field of a tuple or element of an array: `Some(None)` for NULL, `None` when the bytes end before it does.
#[inline]
#[allow(clippy::option_option)]
pub(super) fn field<'a>(rest: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
        *rest = tail;
        return Some(None);
    };
    let (value, tail) = tail.split_at_checked(length)?;
    *rest = tail;
    Some(Some(value))
}
