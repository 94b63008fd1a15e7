//! Constants a map gives for NULL, encoded once at compile time.

use std::net::IpAddr;

use serde_json::Value;

use crate::source::CqlType;
use crate::target::catalog::{PgKind, PgType};

use super::calendar::Civil;
use super::codec::between;
use super::numeric::{Decimal, Precision};
use super::timestamp;
use super::tuple::{Notes, Tuple};

/// The COPY field of `value` written as a constant of type `to`; `None` when it is none.
///
/// Booleans are `true` or `false`, instants `2023-05-04T10:11:12Z`, dates `2023-05-04`, arrays JSON arrays (or `{}` for the empty
/// one), everything else as usual.
pub(super) fn constant(value: &str, to: &PgType) -> Option<Vec<u8>> {
    match &to.kind {
        PgKind::Text | PgKind::Varchar(_) | PgKind::Json | PgKind::Jsonb | PgKind::Uuid => {
            through(&CqlType::Text, value.as_bytes(), to)
        }
        PgKind::Bool => through(&CqlType::Boolean, &[u8::from(value.parse::<bool>().ok()?)], to),
        PgKind::Int2 | PgKind::Int4 | PgKind::Int8 => {
            through(&CqlType::Bigint, &value.parse::<i64>().ok()?.to_be_bytes(), to)
        }
        PgKind::Real => through(&CqlType::Float, &value.parse::<f32>().ok()?.to_be_bytes(), to),
        PgKind::Double => through(&CqlType::Double, &value.parse::<f64>().ok()?.to_be_bytes(), to),
        PgKind::Numeric => {
            let (mut field, mut notes) = (Vec::new(), Notes::default());
            let tuple = &mut Tuple::new(&mut field, &mut notes);
            Decimal::parse(value)?.write(Precision::of(to)?, tuple).ok()?;
            Some(field)
        }
        PgKind::Timestamptz | PgKind::Timestamp => {
            through(&CqlType::Timestamp, &timestamp::parse(value)?.to_be_bytes(), to)
        }
        PgKind::Date => {
            let days = u32::try_from(Civil::parse(value)?.days() + (1 << 31)).ok()?;
            through(&CqlType::Date, &days.to_be_bytes(), to)
        }
        PgKind::Inet => match value.parse().ok()? {
            IpAddr::V4(v4) => through(&CqlType::Inet, &v4.octets(), to),
            IpAddr::V6(v6) => through(&CqlType::Inet, &v6.octets(), to),
        },
        PgKind::Array(element) => array(value, element),
        PgKind::Bytea | PgKind::Interval | PgKind::Time | PgKind::Other => None,
    }
}

/// Encodes the bytes of a CQL value.
fn through(from: &CqlType, bytes: &[u8], to: &PgType) -> Option<Vec<u8>> {
    let (mut field, mut notes) = (Vec::new(), Notes::default());
    let mut tuple = Tuple::new(&mut field, &mut notes);
    between(from, to)?.encode(bytes, &mut tuple).ok()?;
    (!tuple.is_null(0)).then_some(field)
}

fn array(value: &str, element: &PgType) -> Option<Vec<u8>> {
    let elements: Vec<Value> = if value == "{}" { Vec::new() } else { serde_json::from_str(value).ok()? };
    let mut body = Vec::new();
    body.extend_from_slice(&i32::from(!elements.is_empty()).to_be_bytes());
    body.extend_from_slice(&0_i32.to_be_bytes());
    body.extend_from_slice(&element.oid.to_be_bytes());
    if !elements.is_empty() {
        body.extend_from_slice(&i32::try_from(elements.len()).ok()?.to_be_bytes());
        body.extend_from_slice(&1_i32.to_be_bytes());
    }
    for item in elements {
        let text = match item {
            Value::String(text) if element.kind != PgKind::Jsonb && element.kind != PgKind::Json => text,
            other => other.to_string(),
        };
        body.extend_from_slice(&constant(&text, element)?);
    }
    let mut field = i32::try_from(body.len()).ok()?.to_be_bytes().to_vec();
    field.extend_from_slice(&body);
    Some(field)
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::pg;
    use super::*;

    fn field(value: &str, kind: PgKind) -> Option<Vec<u8>> {
        constant(value, &pg(kind, ""))
    }

    #[test]
    fn constants_take_the_form_of_their_column() {
        assert_eq!(field("true", PgKind::Bool), Some(vec![0, 0, 0, 1, 1]));
        assert_eq!(field("100", PgKind::Int4), Some(vec![0, 0, 0, 4, 0, 0, 0, 100]));
        assert_eq!(field("{}", PgKind::Jsonb), Some(b"\0\0\0\x03\x01{}".to_vec()));
        assert_eq!(field("http", PgKind::Text), Some(b"\0\0\0\x04http".to_vec()));
        assert_eq!(field("", PgKind::Text), Some(b"\0\0\0\0".to_vec()));
        assert_eq!(field("0.5", PgKind::Double), Some([&[0, 0, 0, 8], &0.5_f64.to_be_bytes()[..]].concat()));
        assert_eq!(
            field("2000-01-01T00:00:01Z", PgKind::Timestamptz).unwrap()[4..],
            1_000_000_i64.to_be_bytes()
        );
        assert_eq!(field("2000-01-02", PgKind::Date), Some(vec![0, 0, 0, 4, 0, 0, 0, 1]));
        assert_eq!(field("::1", PgKind::Inet).unwrap().len(), 24);
        assert_eq!(field("1.50", PgKind::Numeric).unwrap()[4..], [0, 2, 0, 0, 0, 0, 0, 2, 0, 1, 0x13, 0x88]);
    }

    #[test]
    fn arrays_are_written_as_json() {
        let texts = || PgKind::Array(Box::new(PgType { oid: 25, name: "text".into(), kind: PgKind::Text }));
        let expected = b"\0\0\0\x1c\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x01\0\0\0\x01\0\0\0\x04http";
        assert_eq!(field("[\"http\"]", texts()), Some(expected.to_vec()));
        assert_eq!(field("{}", texts()), Some(b"\0\0\0\x0c\0\0\0\0\0\0\0\0\0\0\0\x19".to_vec()));
        assert_eq!(field("[]", texts()), field("{}", texts()));
    }

    #[test]
    fn what_does_not_fit_is_no_constant() {
        for (value, kind) in [
            ("yes", PgKind::Bool),
            ("70000", PgKind::Int2),
            ("1.5", PgKind::Int8),
            ("{", PgKind::Jsonb),
            ("", PgKind::Jsonb),
            ("abc", PgKind::Varchar(Some(2))),
            ("x", PgKind::Uuid),
            ("yesterday", PgKind::Timestamptz),
            ("x", PgKind::Bytea),
        ] {
            assert_eq!(field(value, kind.clone()), None, "{value:?} as {kind:?}");
        }
    }
}
