//! The order of values, by which rows stand in a partition and elements in a collection.

use std::cmp::Ordering;

use super::marshal::Type;

/// Compares two values of type `ty` as Cassandra does. Empty values come first. Values that are not of the type (which a sound
/// file does not have) are ordered by their bytes.
pub(super) fn compare(ty: &Type, a: &[u8], b: &[u8]) -> Ordering {
    if let Type::Reversed(inner) = ty {
        return compare(inner, b, a);
    }
    if a.is_empty() || b.is_empty() {
        return a.len().cmp(&b.len());
    }
    match ty {
        Type::Uuid => uuids(a, b),
        Type::Timeuuid => timeuuids(a, b),
        Type::Tinyint => signed::<1>(a, b),
        Type::Smallint => signed::<2>(a, b),
        Type::Int => signed::<4>(a, b),
        Type::Bigint | Type::Timestamp => signed::<8>(a, b),
        Type::Varint => varints(a, b),
        Type::Boolean => (a != [0]).cmp(&(b != [0])),
        Type::Float => floats(float(a), float(b)).unwrap_or_else(|| a.cmp(b)),
        Type::Double => floats(double(a), double(b)).unwrap_or_else(|| a.cmp(b)),
        Type::Frozen(inner) => compare(inner, a, b),
        Type::List(element) | Type::Set(element) => counted(a, b, &[element]),
        Type::Map(key, value) => counted(a, b, &[key, value]),
        Type::Tuple(types) => fields(a, b, types.iter()),
        Type::Udt(_, named) => fields(a, b, named.iter().map(|(_, ty)| ty)),
        Type::Vector(element, _) => vectors(element, a, b),
        _ => a.cmp(b),
    }
}

/// Whether values of `ty` can be put in order here. Cassandra has no order for the others either, but for decimals.
pub(super) fn is_ordered(ty: &Type) -> bool {
    match ty {
        Type::Decimal | Type::Duration | Type::Counter | Type::Composite(_) => false,
        Type::Frozen(inner) | Type::Reversed(inner) | Type::List(inner) | Type::Set(inner) => {
            is_ordered(inner)
        }
        Type::Vector(inner, _) => inner.fixed_length().is_some() && is_ordered(inner),
        Type::Map(key, value) => is_ordered(key) && is_ordered(value),
        Type::Tuple(types) => types.iter().all(is_ordered),
        Type::Udt(_, named) => named.iter().all(|(_, ty)| is_ordered(ty)),
        _ => true,
    }
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|chunk| u64::from_be_bytes(*chunk))
}

fn uuids(a: &[u8], b: &[u8]) -> Ordering {
    // Time as one number: its high, middle and low part stand in reverse.
    let time = |high: u64| ((high & 0x0fff) << 48) | ((high << 16) & 0xffff_0000_0000) | (high >> 32);
    let parts = |bytes: &[u8]| {
        let (high, low) = (u64_at(bytes, 0)?, u64_at(bytes, 8)?);
        let version = (high >> 12) & 0xf;
        (bytes.len() == 16).then_some((version, if version == 1 { time(high) } else { high }, low))
    };
    match (parts(a), parts(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

/// By time, then by the last eight bytes as signed bytes.
pub(super) fn timeuuids(a: &[u8], b: &[u8]) -> Ordering {
    const SIGNS: u64 = 0x8080_8080_8080_8080;
    let parts = |bytes: &[u8]| {
        let (high, low) = (u64_at(bytes, 0)?, u64_at(bytes, 8)?);
        let time = ((high & 0x0fff) << 48) | ((high << 16) & 0xffff_0000_0000) | (high >> 32);
        (bytes.len() == 16).then_some((time, low ^ SIGNS))
    };
    match (parts(a), parts(b)) {
        (Some(a), Some(b)) => a.cmp(&b),
        _ => a.cmp(b),
    }
}

fn signed<const N: usize>(a: &[u8], b: &[u8]) -> Ordering {
    match (a.split_first(), b.split_first()) {
        (Some((a_first, a_rest)), Some((b_first, b_rest))) if a.len() == N && b.len() == N => {
            a_first.cast_signed().cmp(&b_first.cast_signed()).then_with(|| a_rest.cmp(b_rest))
        }
        _ => a.cmp(b),
    }
}

/// Two's complement of any length.
fn varints(a: &[u8], b: &[u8]) -> Ordering {
    let negative = |bytes: &[u8]| bytes.first().is_some_and(|first| *first >= 0x80);
    let shortest = |bytes: &[u8], sign: u8| {
        let same = bytes.iter().take_while(|byte| **byte == sign).count();
        bytes.get(same..).unwrap_or_default().to_vec()
    };
    match (negative(a), negative(b)) {
        (true, false) => Ordering::Less,
        (false, true) => Ordering::Greater,
        (false, false) => {
            let (a, b) = (shortest(a, 0), shortest(b, 0));
            a.len().cmp(&b.len()).then_with(|| a.cmp(&b))
        }
        (true, true) => {
            let (a, b) = (shortest(a, 0xff), shortest(b, 0xff));
            b.len().cmp(&a.len()).then_with(|| a.cmp(&b))
        }
    }
}

fn float(bytes: &[u8]) -> Option<f64> {
    (bytes.len() == 4).then(|| bytes.first_chunk().map(|chunk| f64::from(f32::from_be_bytes(*chunk))))?
}

fn double(bytes: &[u8]) -> Option<f64> {
    (bytes.len() == 8).then(|| bytes.first_chunk().map(|chunk| f64::from_be_bytes(*chunk)))?
}

/// Java's order: minus zero before zero, every NaN alike and last.
fn floats(a: Option<f64>, b: Option<f64>) -> Option<Ordering> {
    let canonical = |value: f64| if value.is_nan() { f64::NAN.abs() } else { value };
    Some(canonical(a?).total_cmp(&canonical(b?)))
}

/// One element: a 32-bit length, negative for null, and its bytes.
#[derive(Clone, Copy)]
enum Element<'b> {
    /// There is no more.
    End,
    Null,
    Value(&'b [u8]),
}

impl<'b> Element<'b> {
    fn next(rest: &mut &'b [u8]) -> Self {
        let Some((length, tail)) = rest.split_first_chunk::<4>() else { return Self::End };
        let Ok(length) = usize::try_from(i32::from_be_bytes(*length)) else {
            *rest = tail;
            return Self::Null;
        };
        let Some((value, tail)) = tail.split_at_checked(length) else { return Self::End };
        *rest = tail;
        Self::Value(value)
    }

    fn rank(self) -> u8 {
        match self {
            Self::End => 0,
            Self::Null => 1,
            Self::Value(_) => 2,
        }
    }
}

/// Frozen collections: a count, then elements that take turns among `types`.
fn counted(a: &[u8], b: &[u8], types: &[&Type]) -> Ordering {
    let (Some((_, mut a_rest)), Some((_, mut b_rest))) =
        (a.split_first_chunk::<4>(), b.split_first_chunk::<4>())
    else {
        return a.cmp(b);
    };
    for ty in types.iter().cycle() {
        let order = match (Element::next(&mut a_rest), Element::next(&mut b_rest)) {
            (Element::Value(a), Element::Value(b)) => compare(ty, a, b),
            (Element::End, Element::End) => return Ordering::Equal,
            (a, b) => a.rank().cmp(&b.rank()),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

/// Tuples and user-defined types: null before any value, and a missing field as null.
fn fields<'t>(mut a: &[u8], mut b: &[u8], types: impl Iterator<Item = &'t Type>) -> Ordering {
    for ty in types {
        if a.is_empty() && b.is_empty() {
            break;
        }
        let order = match (Element::next(&mut a), Element::next(&mut b)) {
            (Element::Value(a), Element::Value(b)) => compare(ty, a, b),
            (a, b) => (a.rank() == 2).cmp(&(b.rank() == 2)),
        };
        if order.is_ne() {
            return order;
        }
    }
    Ordering::Equal
}

fn vectors(element: &Type, a: &[u8], b: &[u8]) -> Ordering {
    match element.fixed_length() {
        Some(size) if size > 0 => a
            .chunks(size)
            .zip(b.chunks(size))
            .map(|(a, b)| compare(element, a, b))
            .find(|order| order.is_ne())
            .unwrap_or_else(|| a.len().cmp(&b.len())),
        _ => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ascending(ty: &Type, values: &[&[u8]]) {
        for (n, a) in values.iter().enumerate() {
            for (m, b) in values.iter().enumerate() {
                assert_eq!(compare(ty, a, b), n.cmp(&m), "{ty}: {a:?} and {b:?}");
                let reversed = Type::Reversed(Box::new(ty.clone()));
                assert_eq!(compare(&reversed, a, b), m.cmp(&n), "{ty} reversed: {a:?} and {b:?}");
            }
        }
    }

    #[test]
    fn numbers() {
        ascending(&Type::Int, &[b"", &[0x80, 0, 0, 0], &[0xff; 4], &[0; 4], &[0, 0, 0, 1], &[0x7f, 0, 0, 0]]);
        ascending(
            &Type::Varint,
            &[b"", &[0x80, 0], &[0xff, 0x7f], &[0x80], &[0xff], &[0], &[1], &[0x7f], &[0, 0x80], &[1, 0]],
        );
        ascending(&Type::Boolean, &[b"", &[0], &[1]]);
        let floats = [f32::NEG_INFINITY, -1.5, -0.0, 0.0, 1.5, f32::INFINITY, f32::NAN].map(f32::to_be_bytes);
        ascending(&Type::Float, &floats.each_ref().map(|bytes| &bytes[..]));
    }

    #[test]
    fn uuids_by_version_then_time_then_bytes() {
        let id = |text: &str| u128::from_str_radix(&text.replace('-', ""), 16).unwrap().to_be_bytes();
        let ids = [
            "00000000-0000-0000-0000-000000000000",
            "ffffffff-0000-1000-8000-000000000000",
            "00000000-0001-1000-8000-000000000000",
            "00000000-0000-4000-8000-000000000000",
            "00000000-0000-4000-8000-000000000001",
            "10000000-0000-4000-8000-000000000000",
        ]
        .map(id);
        ascending(&Type::Uuid, &ids.each_ref().map(|bytes| &bytes[..]));
        let times = [
            "00000001-0000-1000-8000-000000000000",
            "00000001-0000-1000-0000-000000000000",
            "00000002-0000-1000-8000-000000000000",
        ]
        .map(id);
        ascending(&Type::Timeuuid, &times.each_ref().map(|bytes| &bytes[..]));
    }

    #[test]
    fn collections_and_tuples() {
        let set = |values: &[i32]| {
            let mut bytes = i32::try_from(values.len()).unwrap().to_be_bytes().to_vec();
            for value in values {
                bytes.extend([0, 0, 0, 4]);
                bytes.extend(value.to_be_bytes());
            }
            bytes
        };
        let sets = [set(&[]), set(&[-1]), set(&[-1, 3]), set(&[2])];
        ascending(&Type::Set(Box::new(Type::Int)), &sets.each_ref().map(|bytes| &bytes[..]));
        let null: &[u8] = &[0xff; 4];
        let tuple = Type::Tuple(vec![Type::Int, Type::Text]);
        ascending(&tuple, &[null, &[0, 0, 0, 4, 0, 0, 0, 1], &[0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 1, b'a']]);
    }
}
