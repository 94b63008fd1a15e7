//! list, set, map, tuple and user-defined types to json and jsonb.

use std::fmt::Write as _;

use crate::source::CqlType;

use super::calendar::Civil;
use super::cells::Cells;
use super::codec::Encode;
use super::date_time::{days_since_1970, nanos_of_day};
use super::inet;
use super::integer::{Width, decimal_text};
use super::json::JSONB_VERSION;
use super::json_check::Flavor;
use super::numeric::Decimal;
use super::shaped::{Reason, Repair};
use super::text;
use super::timestamp;
use super::tuple::{Tuple, fixed_size};

/// A CQL value of several parts -> json, jsonb.
///
/// list, set and tuple become arrays, map and user-defined types objects, and inside them: text a string, numbers numbers,
/// boolean a boolean, uuid and inet their usual text, blob `0x` and hexadecimal digits, timestamp, date and time their ISO 8601
/// text in UTC. NULL, absent and zero-length values become null. A key of a map that is no text becomes its text.
#[derive(Debug)]
pub(super) struct CollectionJson {
    flavor: Flavor,
    node: Node,
}

impl CollectionJson {
    /// For a collection type all of whose parts can be written; `None` for any other.
    pub fn new(ty: &CqlType, flavor: Flavor) -> Option<Self> {
        match Node::of(ty)? {
            Node::Scalar(_) => None,
            node => Some(Self { flavor, node }),
        }
    }
}

impl Encode for CollectionJson {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let open = tuple.open();
        if self.flavor == Flavor::Jsonb {
            tuple.push(JSONB_VERSION);
        }
        self.node.write(value, tuple)?;
        tuple.close(open)
    }
}

/// How a value of one type is written, for each type inside the collection.
#[derive(Debug)]
enum Node {
    Scalar(Scalar),
    List(Box<Node>),
    Map(Scalar, Box<Node>),
    Tuple(Vec<Node>),
    Udt(Vec<(String, Node)>),
}

#[derive(Debug, Clone, Copy)]
enum Scalar {
    Text,
    Boolean,
    Integer(Width),
    Decimal,
    Float,
    Double,
    Uuid,
    Blob,
    Inet,
    Timestamp,
    Date,
    Time,
}

impl Node {
    fn of(ty: &CqlType) -> Option<Self> {
        Some(match ty {
            CqlType::List(element) | CqlType::Set(element) => Self::List(Box::new(Self::of(element)?)),
            CqlType::Map(key, value) => Self::Map(Scalar::of(key)?, Box::new(Self::of(value)?)),
            CqlType::Tuple(parts) => Self::Tuple(parts.iter().map(Self::of).collect::<Option<_>>()?),
            CqlType::Udt { fields, .. } => {
                let field = |(name, ty): &(String, CqlType)| Some((name.clone(), Self::of(ty)?));
                Self::Udt(fields.iter().map(field).collect::<Option<_>>()?)
            }
            scalar => Self::Scalar(Scalar::of(scalar)?),
        })
    }

    fn write(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        match self {
            Self::Scalar(scalar) => scalar.write(value, tuple),
            Self::List(element) => {
                let (count, mut cells) = Cells::collection(value)?;
                tuple.push(b'[');
                for index in 0..count {
                    separate(index, tuple);
                    element.write_nullable(cells.cell()?, tuple)?;
                }
                tuple.push(b']');
                cells.finish()
            }
            Self::Map(key, node) => {
                let (count, mut cells) = Cells::collection(value)?;
                tuple.push(b'{');
                for index in 0..count {
                    separate(index, tuple);
                    key.write_key(cells.cell()?.ok_or(Reason::Malformed)?, tuple)?;
                    tuple.push(b':');
                    node.write_nullable(cells.cell()?, tuple)?;
                }
                tuple.push(b'}');
                cells.finish()
            }
            Self::Tuple(parts) => {
                let mut cells = Cells::new(value);
                tuple.push(b'[');
                for (index, part) in parts.iter().enumerate() {
                    separate(index, tuple);
                    part.write_nullable(next_part(&mut cells)?, tuple)?;
                }
                tuple.push(b']');
                cells.finish()
            }
            Self::Udt(fields) => {
                let mut cells = Cells::new(value);
                tuple.push(b'{');
                for (index, (name, field)) in fields.iter().enumerate() {
                    separate(index, tuple);
                    string(name.as_bytes(), tuple);
                    tuple.push(b':');
                    field.write_nullable(next_part(&mut cells)?, tuple)?;
                }
                tuple.push(b'}');
                cells.finish()
            }
        }
    }

    fn write_nullable(&self, value: Option<&[u8]>, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Some(value) = value {
            self.write(value, tuple)
        } else {
            tuple.put(b"null");
            Ok(())
        }
    }
}

/// The next part of a tuple or user-defined type. A value written before the type got its last fields ends early.
fn next_part<'a>(cells: &mut Cells<'a>) -> Result<Option<&'a [u8]>, Reason> {
    if cells.is_empty() { Ok(None) } else { Ok(cells.cell()?) }
}

fn separate(index: usize, tuple: &mut Tuple<'_>) {
    if index > 0 {
        tuple.push(b',');
    }
}

impl Scalar {
    fn of(ty: &CqlType) -> Option<Self> {
        Some(match ty {
            CqlType::Text | CqlType::Ascii => Self::Text,
            CqlType::Boolean => Self::Boolean,
            CqlType::Decimal => Self::Decimal,
            CqlType::Float => Self::Float,
            CqlType::Double => Self::Double,
            CqlType::Uuid | CqlType::Timeuuid => Self::Uuid,
            CqlType::Blob => Self::Blob,
            CqlType::Inet => Self::Inet,
            CqlType::Timestamp => Self::Timestamp,
            CqlType::Date => Self::Date,
            CqlType::Time => Self::Time,
            integer => Self::Integer(Width::of(integer)?),
        })
    }

    fn write(self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Self::Text = self {
            text::check(value)?;
            string(value, tuple);
            return Ok(());
        }
        match self.plain(value)? {
            None => {
                tuple.repaired(Repair::ZeroLength);
                tuple.put(b"null");
            }
            Some(plain) if self.is_quoted() => string(plain.as_bytes(), tuple),
            Some(plain) => tuple.put(plain.as_bytes()),
        }
        Ok(())
    }

    fn write_key(self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Self::Text = self {
            return self.write(value, tuple);
        }
        string(self.plain(value)?.ok_or(Reason::Malformed)?.as_bytes(), tuple);
        Ok(())
    }

    fn is_quoted(self) -> bool {
        match self {
            Self::Boolean | Self::Integer(_) | Self::Decimal | Self::Float | Self::Double => false,
            Self::Text | Self::Uuid | Self::Blob | Self::Inet | Self::Timestamp | Self::Date | Self::Time => {
                true
            }
        }
    }

    /// The value as text without quotes; `None` for a zero-length value of a fixed-size type.
    fn plain(self, value: &[u8]) -> Result<Option<String>, Reason> {
        Ok(match self {
            Self::Text => Some(str::from_utf8(value).map_err(|_| Reason::InvalidUtf8)?.to_owned()),
            Self::Boolean => fixed_size(value)?.map(|[byte]: [u8; 1]| (byte != 0).to_string()),
            Self::Integer(width) => decimal_text(width, value)?,
            Self::Decimal => Decimal::of_cql(value)?.map(|decimal| decimal.json()).transpose()?,
            Self::Float => match fixed_size(value)?.map(f32::from_be_bytes) {
                Some(float) if !float.is_finite() => return Err(Reason::InvalidNumber),
                float => float.map(|float| format!("{float:?}")),
            },
            Self::Double => match fixed_size(value)?.map(f64::from_be_bytes) {
                Some(double) if !double.is_finite() => return Err(Reason::InvalidNumber),
                double => double.map(|double| format!("{double:?}")),
            },
            Self::Uuid => fixed_size(value)?.map(|bytes| ::uuid::Uuid::from_bytes(bytes).to_string()),
            Self::Blob => Some(hex(value)),
            Self::Inet => inet::address(value)?.map(|address| address.to_string()),
            Self::Timestamp => fixed_size(value)?.map(i64::from_be_bytes).map(timestamp::iso),
            Self::Date => days_since_1970(value)?.map(|days| Civil::from_days(days).iso()),
            Self::Time => nanos_of_day(value)?.map(time_text),
        })
    }
}

/// `0x` and two digits for each byte.
pub(super) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2 + 2);
    text.push_str("0x");
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

fn time_text(nanos: i64) -> String {
    let (seconds, fraction) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    format!("{:02}:{:02}:{:02}.{fraction:09}", seconds / 3_600, seconds / 60 % 60, seconds % 60)
}

/// A JSON string of valid UTF-8 text.
fn string(text: &[u8], tuple: &mut Tuple<'_>) {
    tuple.push(b'"');
    let mut rest = text;
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | 0..=0x1f)) {
        let (plain, from) = rest.split_at(at);
        tuple.put(plain);
        if let Some((special, behind)) = from.split_first() {
            match special {
                b'"' | b'\\' => tuple.put(&[b'\\', *special]),
                control => tuple.put(format!("\\u{control:04x}").as_bytes()),
            }
            rest = behind;
        }
    }
    tuple.put(rest);
    tuple.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{body, encoded};
    use super::*;

    fn cell(bytes: &[u8]) -> Vec<u8> {
        [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat()
    }

    fn collection(count: u32, cells: &[Vec<u8>]) -> Vec<u8> {
        [count.to_be_bytes().to_vec(), cells.concat()].concat()
    }

    fn list(element: CqlType) -> CqlType {
        CqlType::List(Box::new(element))
    }

    fn map(key: CqlType, value: CqlType) -> CqlType {
        CqlType::Map(Box::new(key), Box::new(value))
    }

    fn json(ty: &CqlType, value: &[u8]) -> Result<String, Reason> {
        let codec = CollectionJson::new(ty, Flavor::Json).unwrap();
        let json = String::from_utf8(body(&codec, value)?).unwrap();
        serde_json::from_str::<serde_json::Value>(&json).unwrap();
        Ok(json)
    }

    #[test]
    fn headers_of_a_route_become_an_object_of_arrays() {
        let ty = map(CqlType::Text, CqlType::Set(Box::new(CqlType::Text)));
        let values = collection(2, &[cell(b"v1"), cell("ü\"\\\n".as_bytes())]);
        let headers = collection(1, &[cell(b"x-version"), cell(&values)]);
        let codec = CollectionJson::new(&ty, Flavor::Jsonb).unwrap();
        assert_eq!(body(&codec, &headers), Ok("\u{1}{\"x-version\":[\"v1\",\"ü\\\"\\\\\\u000a\"]}".into()));
        assert_eq!(body(&codec, &[0; 4]), Ok(b"\x01{}".to_vec()));
        assert_eq!(body(&codec, &[]), Ok(b"\x01{}".to_vec()));
    }

    #[test]
    fn scalars_take_their_json_form() {
        let one = |ty: CqlType, value: &[u8]| json(&list(ty), &collection(1, &[cell(value)]));
        assert_eq!(one(CqlType::Boolean, &[1]).unwrap(), "[true]");
        assert_eq!(one(CqlType::Smallint, &[0xff, 0xfe]).unwrap(), "[-2]");
        assert_eq!(one(CqlType::Varint, &[1, 0]).unwrap(), "[256]");
        assert_eq!(one(CqlType::Decimal, &[0, 0, 0, 1, 15]).unwrap(), "[1.5]");
        assert_eq!(one(CqlType::Float, &0.1_f32.to_be_bytes()).unwrap(), "[0.1]");
        assert_eq!(one(CqlType::Double, &1e300_f64.to_be_bytes()).unwrap(), "[1e300]");
        assert_eq!(one(CqlType::Double, &f64::NAN.to_be_bytes()), Err(Reason::InvalidNumber));
        assert_eq!(one(CqlType::Blob, &[0xca, 0xfe]).unwrap(), "[\"0xcafe\"]");
        assert_eq!(one(CqlType::Inet, &[127, 0, 0, 1]).unwrap(), "[\"127.0.0.1\"]");
        assert_eq!(one(CqlType::Timestamp, &0_i64.to_be_bytes()).unwrap(), "[\"1970-01-01T00:00:00.000Z\"]");
        assert_eq!(one(CqlType::Date, &[0x80, 0, 0, 0]).unwrap(), "[\"1970-01-01\"]");
        assert_eq!(one(CqlType::Time, &1_i64.to_be_bytes()).unwrap(), "[\"00:00:00.000000001\"]");
        assert_eq!(one(CqlType::Uuid, &[0x11; 16]).unwrap(), "[\"11111111-1111-1111-1111-111111111111\"]");
        assert_eq!(one(CqlType::Text, b"a\0"), Err(Reason::NulCharacter));
    }

    #[test]
    fn keys_that_are_no_text_become_text() {
        let value = collection(1, &[cell(&7_i32.to_be_bytes()), cell(b"x")]);
        assert_eq!(json(&map(CqlType::Int, CqlType::Text), &value).unwrap(), "{\"7\":\"x\"}");
        let null_key = [&1_u32.to_be_bytes()[..], &[0xff; 4], &cell(b"x")].concat();
        assert_eq!(json(&map(CqlType::Int, CqlType::Text), &null_key), Err(Reason::Malformed));
    }

    #[test]
    fn tuples_and_types_may_end_early() {
        let tuple = CqlType::Tuple(vec![CqlType::Int, CqlType::Text, CqlType::Boolean]);
        assert_eq!(json(&tuple, &[cell(&[0, 0, 0, 1]), vec![0xff; 4]].concat()).unwrap(), "[1,null,null]");
        let fields = vec![("port \"x\"".to_owned(), CqlType::Int), ("ip".to_owned(), CqlType::Inet)];
        let udt = CqlType::Udt { name: "source".into(), fields };
        assert_eq!(json(&udt, &cell(&[0, 0, 0, 80])).unwrap(), "{\"port \\\"x\\\"\":80,\"ip\":null}");
        assert_eq!(json(&tuple, &[0, 0, 0]), Err(Reason::Malformed));
    }

    #[test]
    fn nothing_inside_is_null_and_damage_is_malformed() {
        let codec = CollectionJson::new(&list(CqlType::Int), Flavor::Json).unwrap();
        let zero_length = encoded(&codec, &collection(1, &[cell(b"")]));
        assert_eq!(zero_length, Ok((b"\0\0\0\x06[null]".to_vec(), vec![Repair::ZeroLength])));
        assert_eq!(json(&list(CqlType::Int), &[0, 0, 0, 1]), Err(Reason::Malformed));
        assert_eq!(json(&list(CqlType::Int), &[0, 0, 0, 0, 1]), Err(Reason::Malformed));
        assert!(CollectionJson::new(&CqlType::Int, Flavor::Json).is_none());
        assert!(CollectionJson::new(&list(CqlType::Duration), Flavor::Json).is_none());
    }
}
