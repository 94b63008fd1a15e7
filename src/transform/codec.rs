//! Chooses the encoder for a pair of types.

use std::fmt;

use crate::source::CqlType;
use crate::target::catalog::{PgKind, PgType};

use super::array::{Array, JsonArrayText};
use super::blob::Blob;
use super::boolean::Boolean;
use super::collection_json::CollectionJson;
use super::date_time::{Date, Duration, Time};
use super::float::{Double, Float, FloatToDouble};
use super::inet::{Inet, InetToText};
use super::integer::{Integer, IntegerToText, Width};
use super::json::{EmptyText, JsonText};
use super::json_check::Flavor;
use super::numeric::{DecimalToNumeric, FloatToNumeric, IntegerToNumeric, Precision};
use super::shaped::Reason;
use super::text::Text;
use super::timestamp::{Timestamp, TimeuuidToTimestamp};
use super::tuple::Tuple;
use super::uuid::{TextToUuid, Uuid, UuidToText};

/// Turns the bytes of one CQL value into one COPY field.
pub(super) trait Encode: fmt::Debug + Send + Sync {
    /// Appends the field, length included, for a value that is not NULL. It may still come out as NULL (a zero-length value of
    /// a fixed-size type).
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason>;
}

/// The encoder of one pair of types.
pub(super) type Codec = Box<dyn Encode>;

/// Whether values of `from` can be written as `to`.
pub fn converts(from: &CqlType, to: &PgType) -> bool {
    between(from, to).is_some()
}

/// The encoder from `from` to `to`, `None` when there is none.
pub(super) fn between(from: &CqlType, to: &PgType) -> Option<Codec> {
    let codec: Codec = match (from, &to.kind) {
        (CqlType::Text | CqlType::Ascii, _) => return from_text(to, EmptyText::Null),
        (CqlType::Uuid | CqlType::Timeuuid, PgKind::Uuid) => Box::new(Uuid),
        (CqlType::Uuid | CqlType::Timeuuid, PgKind::Text) => Box::new(UuidToText { limit: None }),
        (CqlType::Uuid | CqlType::Timeuuid, PgKind::Varchar(limit)) => Box::new(UuidToText { limit: *limit }),
        (CqlType::Timeuuid, PgKind::Timestamptz | PgKind::Timestamp) => {
            Box::new(TimeuuidToTimestamp { step: step(to)? })
        }
        (CqlType::Timestamp, PgKind::Timestamptz | PgKind::Timestamp) => {
            Box::new(Timestamp { step: step(to)? })
        }
        (CqlType::Boolean, PgKind::Bool) => Box::new(Boolean),
        (CqlType::Blob, PgKind::Bytea) => Box::new(Blob),
        (CqlType::Inet, PgKind::Inet) => Box::new(Inet),
        (CqlType::Inet, PgKind::Text) => Box::new(InetToText { limit: None }),
        (CqlType::Inet, PgKind::Varchar(limit)) => Box::new(InetToText { limit: *limit }),
        (CqlType::Date, PgKind::Date) => Box::new(Date),
        (CqlType::Time, PgKind::Time) => Box::new(Time { step: step(to)? }),
        (CqlType::Duration, PgKind::Interval) if to.name == "interval" => Box::new(Duration),
        (CqlType::Float, PgKind::Real) => Box::new(Float),
        (CqlType::Float, PgKind::Double) => Box::new(FloatToDouble),
        (CqlType::Double, PgKind::Double) => Box::new(Double),
        (CqlType::Float, PgKind::Numeric) => {
            Box::new(FloatToNumeric { double: false, precision: Precision::of(to)? })
        }
        (CqlType::Double, PgKind::Numeric) => {
            Box::new(FloatToNumeric { double: true, precision: Precision::of(to)? })
        }
        (CqlType::Decimal, PgKind::Numeric) => Box::new(DecimalToNumeric { precision: Precision::of(to)? }),
        (CqlType::Set(element) | CqlType::List(element), PgKind::Array(target)) => {
            let codec = match **element {
                CqlType::Text | CqlType::Ascii => from_text(target, EmptyText::Refuse)?,
                _ => between(element, target)?,
            };
            Box::new(Array::new(target.oid, codec))
        }
        (from, PgKind::Json) => Box::new(CollectionJson::new(from, Flavor::Json)?),
        (from, PgKind::Jsonb) => Box::new(CollectionJson::new(from, Flavor::Jsonb)?),
        (from, _) => return from_integer(Width::of(from)?, to),
    };
    Some(codec)
}

fn from_text(to: &PgType, empty: EmptyText) -> Option<Codec> {
    Some(match &to.kind {
        PgKind::Text => Box::new(Text { limit: None }),
        PgKind::Varchar(limit) => Box::new(Text { limit: *limit }),
        PgKind::Json => Box::new(JsonText { flavor: Flavor::Json, empty }),
        PgKind::Jsonb => Box::new(JsonText { flavor: Flavor::Jsonb, empty }),
        PgKind::Uuid => Box::new(TextToUuid),
        PgKind::Array(element) if element.kind == PgKind::Jsonb => {
            Box::new(JsonArrayText { oid: element.oid })
        }
        _ => return None,
    })
}

fn from_integer(from: Width, to: &PgType) -> Option<Codec> {
    Some(match to.kind {
        PgKind::Int2 => Box::new(Integer { from, to: Width::Two }),
        PgKind::Int4 => Box::new(Integer { from, to: Width::Four }),
        PgKind::Int8 => Box::new(Integer { from, to: Width::Eight }),
        PgKind::Numeric => Box::new(IntegerToNumeric { from, precision: Precision::of(to)? }),
        PgKind::Text => Box::new(IntegerToText { from, limit: None }),
        PgKind::Varchar(limit) => Box::new(IntegerToText { from, limit }),
        _ => return None,
    })
}

/// The numbers in the parentheses of a type's name, such as 10 and 2 in `numeric(10,2)`; `None` when they are not numbers.
pub(super) fn modifiers(name: &str) -> Option<Vec<i32>> {
    let Some((_, rest)) = name.split_once('(') else { return Some(Vec::new()) };
    let (inside, _) = rest.split_once(')')?;
    inside.split(',').map(|number| number.trim().parse().ok()).collect()
}

/// Microseconds between two instants the column can tell apart: 1, or 1,000 for `timestamp(3)`. `PostgreSQL` rounds what does
/// not fit.
pub(super) fn step(to: &PgType) -> Option<i64> {
    match *modifiers(&to.name)? {
        [] => Some(1),
        [precision] => 10_i64.checked_pow(6_u32.checked_sub(u32::try_from(precision).ok()?)?),
        _ => None,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::super::shaped::Repair;
    use super::super::tuple::Notes;
    use super::*;

    /// A target type as the catalog would describe it.
    pub fn pg(kind: PgKind, name: &str) -> PgType {
        PgType { oid: 0, name: name.to_owned(), kind }
    }

    /// Encodes one value: the field with its length, and the repairs.
    pub fn encoded(codec: &dyn Encode, value: &[u8]) -> Result<(Vec<u8>, Vec<Repair>), Reason> {
        let (mut bytes, mut notes) = (Vec::new(), Notes::default());
        codec.encode(value, &mut Tuple::new(&mut bytes, &mut notes))?;
        Ok((bytes, notes.repairs))
    }

    /// The bytes of the field without its length; panics on NULL and on a length that does not match.
    pub fn body(codec: &dyn Encode, value: &[u8]) -> Result<Vec<u8>, Reason> {
        let (bytes, repairs) = encoded(codec, value)?;
        assert_eq!(repairs, []);
        let (length, body) = bytes.split_first_chunk::<4>().unwrap();
        assert_eq!(usize::try_from(i32::from_be_bytes(*length)).unwrap(), body.len());
        Ok(body.to_vec())
    }

    /// Asserts that a zero-length value becomes NULL and is counted.
    pub fn assert_zero_length_is_null(codec: &dyn Encode) {
        assert_eq!(encoded(codec, &[]), Ok((vec![0xff; 4], vec![Repair::ZeroLength])));
    }

    #[test]
    fn modifiers_are_read_from_the_name() {
        assert_eq!(modifiers("numeric(10,2)"), Some(vec![10, 2]));
        assert_eq!(modifiers("numeric(3,-2)"), Some(vec![3, -2]));
        assert_eq!(modifiers("timestamp(3) with time zone"), Some(vec![3]));
        assert_eq!(modifiers("numeric"), Some(vec![]));
        assert_eq!(modifiers("odd(name"), None);
    }

    #[test]
    fn steps_follow_the_precision() {
        assert_eq!(step(&pg(PgKind::Timestamptz, "timestamp with time zone")), Some(1));
        assert_eq!(step(&pg(PgKind::Timestamptz, "timestamp(0) with time zone")), Some(1_000_000));
        assert_eq!(step(&pg(PgKind::Time, "time(6) without time zone")), Some(1));
        assert_eq!(step(&pg(PgKind::Time, "time(7) without time zone")), None);
    }

    #[test]
    fn pairs_that_would_lose_something_have_no_codec() {
        let none = [
            (CqlType::Double, pg(PgKind::Real, "real")),
            (CqlType::Text, pg(PgKind::Bool, "boolean")),
            (CqlType::Text, pg(PgKind::Int4, "integer")),
            (CqlType::Blob, pg(PgKind::Text, "text")),
            (CqlType::Int, pg(PgKind::Jsonb, "jsonb")),
            (CqlType::Duration, pg(PgKind::Interval, "interval day to second")),
            (CqlType::Other("frozen<vector>".into()), pg(PgKind::Text, "text")),
            (CqlType::Set(Box::new(CqlType::Text)), pg(PgKind::Text, "text")),
            (CqlType::Text, pg(PgKind::Other, "citext")),
        ];
        for (from, to) in none {
            assert!(between(&from, &to).is_none(), "{from} -> {}", to.name);
        }
    }
}
