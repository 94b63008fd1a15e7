//! list and set to arrays, and text holding a JSON array to jsonb[].

use super::cells::Cells;
use super::codec::{Codec, Encode};
use super::json::{self, elements};
use super::json_check::{Flavor, check};
use super::shaped::{Reason, Repair};
use super::text;
use super::tuple::Tuple;

/// list, set -> array: elements in the order Cassandra returns them, which for sets is sorted.
#[derive(Debug)]
pub(super) struct Array {
    oid: u32,
    element: Codec,
}

impl Array {
    /// An array of elements of type `oid`, each written by `element`.
    pub fn new(oid: u32, element: Codec) -> Self {
        Self { oid, element }
    }
}

impl Encode for Array {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let (count, mut cells) = Cells::collection(value)?;
        let open = tuple.open();
        // Behind the number of dimensions stands whether an element is NULL.
        let flag = tuple.position() + 4;
        header(self.oid, count, tuple)?;
        let mut has_null = false;
        for _ in 0..count {
            let start = tuple.position();
            match cells.cell()? {
                Some(element) => self.element.encode(element, tuple)?,
                None => tuple.null(),
            }
            has_null |= tuple.is_null(start);
        }
        cells.finish()?;
        if has_null {
            tuple.patch(flag, 1);
        }
        tuple.close(open)
    }
}

/// text holding a JSON array -> jsonb[]. Enterprise's `jwt_signer_jwks` keeps an array of records so.
#[derive(Debug)]
pub(super) struct JsonArrayText {
    /// Oid of jsonb.
    pub oid: u32,
}

impl Encode for JsonArrayText {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if value.is_empty() {
            tuple.repaired_to_null(Repair::EmptyToNull);
            return Ok(());
        }
        text::check(value)?;
        check(value, Flavor::Jsonb)?;
        let elements = elements(value).ok_or(Reason::InvalidJson)?;
        let open = tuple.open();
        header(self.oid, elements.len(), tuple)?;
        for element in elements {
            json::write(element, Flavor::Jsonb, tuple)?;
        }
        tuple.close(open)
    }
}

/// Number of dimensions, has-null flag, oid of the elements; then size and lower bound of the dimension. An empty array has
/// none.
fn header(oid: u32, count: usize, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
    let dimensions = i32::from(count > 0);
    tuple.put(&dimensions.to_be_bytes());
    tuple.put(&0_i32.to_be_bytes());
    tuple.put(&oid.to_be_bytes());
    if count > 0 {
        tuple.put(&i32::try_from(count).map_err(|_| Reason::TooLong)?.to_be_bytes());
        tuple.put(&1_i32.to_be_bytes());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::codec::between;
    use super::super::codec::tests::{body, encoded, pg};
    use super::*;
    use crate::source::CqlType;
    use crate::target::catalog::{PgKind, PgType};

    fn set_of(cql: CqlType, element: PgKind, oid: u32) -> Codec {
        let element = PgType { oid, name: String::new(), kind: element };
        between(&CqlType::Set(Box::new(cql)), &pg(PgKind::Array(Box::new(element)), "array")).unwrap()
    }

    #[test]
    fn texts_keep_their_order() {
        let codec = set_of(CqlType::Text, PgKind::Text, 25);
        let set = b"\0\0\0\x02\0\0\0\x01b\0\0\0\x02ac";
        let expected = b"\0\0\0\x01\0\0\0\0\0\0\0\x19\0\0\0\x02\0\0\0\x01\0\0\0\x01b\0\0\0\x02ac";
        assert_eq!(body(&*codec, set), Ok(expected.to_vec()));
    }

    #[test]
    fn empty_collections_have_no_dimension() {
        let codec = set_of(CqlType::Text, PgKind::Varchar(None), 1_043);
        let expected = b"\0\0\0\0\0\0\0\0\0\0\x04\x13".to_vec();
        assert_eq!(body(&*codec, b"\0\0\0\0"), Ok(expected.clone()));
        assert_eq!(body(&*codec, b""), Ok(expected));
    }

    #[test]
    fn null_elements_are_flagged() {
        let codec = set_of(CqlType::Int, PgKind::Int8, 20);
        let list = b"\0\0\0\x02\0\0\0\x04\0\0\0\x07\xff\xff\xff\xff";
        let expected =
            b"\0\0\0\x01\0\0\0\x01\0\0\0\x14\0\0\0\x02\0\0\0\x01\0\0\0\x08\0\0\0\0\0\0\0\x07\xff\xff\xff\xff";
        assert_eq!(body(&*codec, list), Ok(expected.to_vec()));
        let zero_length = b"\0\0\0\x01\0\0\0\0";
        let (bytes, repairs) = encoded(&*codec, zero_length).unwrap();
        assert_eq!(bytes[8..12], [0, 0, 0, 1]);
        assert_eq!(repairs, [Repair::ZeroLength]);
    }

    #[test]
    fn jsonb_elements_are_checked_and_versioned() {
        let codec = set_of(CqlType::Text, PgKind::Jsonb, 3_802);
        let expected = b"\0\0\0\x01\0\0\0\0\0\0\x0e\xda\0\0\0\x01\0\0\0\x01\0\0\0\x03\x01{}";
        assert_eq!(body(&*codec, b"\0\0\0\x01\0\0\0\x02{}"), Ok(expected.to_vec()));
        assert_eq!(body(&*codec, b"\0\0\0\x01\0\0\0\x02{]"), Err(Reason::InvalidJson));
        assert_eq!(body(&*codec, b"\0\0\0\x01\0\0\0\0"), Err(Reason::InvalidJson));
    }

    #[test]
    fn text_of_a_json_array_becomes_an_array() {
        let target = pg(
            PgKind::Array(Box::new(PgType { oid: 3_802, name: String::new(), kind: PgKind::Jsonb })),
            "jsonb[]",
        );
        let codec = between(&CqlType::Text, &target).unwrap();
        let expected = b"\0\0\0\x01\0\0\0\0\0\0\x0e\xda\0\0\0\x02\0\0\0\x01\0\0\0\x02\x011\0\0\0\x03\x01{}";
        assert_eq!(body(&*codec, b"[1, {}]"), Ok(expected.to_vec()));
        assert_eq!(body(&*codec, b"{}"), Err(Reason::InvalidJson));
        assert_eq!(encoded(&*codec, b""), Ok((vec![0xff; 4], vec![Repair::EmptyToNull])));
    }

    #[test]
    fn damaged_collections_are_malformed() {
        let codec = set_of(CqlType::Text, PgKind::Text, 25);
        for bytes in [
            &b"\0\0\0"[..],
            b"\0\0\0\x01",
            b"\0\0\0\x01\0\0\0\x02a",
            b"\0\0\0\x01\0\0\0\x01ab",
            b"\xff\xff\xff\xff",
            b"\x7f\xff\xff\xff\0\0\0\x01a",
        ] {
            assert_eq!(body(&*codec, bytes), Err(Reason::Malformed));
        }
    }
}
