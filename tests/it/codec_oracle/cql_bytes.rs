//! Values as Cassandra sends them, by the native protocol's specification.

// Helpers of tests may panic as tests do; clippy's own exception covers only functions marked `#[test]`.
#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use proptest::prelude::*;

pub(super) fn framed(cell: Option<&[u8]>) -> Vec<u8> {
    match cell {
        None => (-1_i32).to_be_bytes().to_vec(),
        Some(bytes) => [&i32::try_from(bytes.len()).unwrap().to_be_bytes()[..], bytes].concat(),
    }
}

/// A CQL list or set; of a map, keys and values in turn with half the count.
pub(super) fn collection(count: usize, elements: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = i32::try_from(count).unwrap().to_be_bytes().to_vec();
    for element in elements {
        bytes.extend(framed(element.as_deref()));
    }
    bytes
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

pub(super) fn text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        4 => "[a-z0-9:/_ -]{0,40}",
        2 => any::<String>(),
        1 => "[\u{0}-\u{7f}]{0,40}",
        1 => "[\"\\\\{}\\[\\],äß漢🦀\t\n]{0,12}",
    ]
}

/// Text without U+0000, which the oracle's JSON cannot carry.
pub(super) fn storable() -> impl Strategy<Value = String> + Clone {
    text().prop_map(|text| text.replace('\0', "0"))
}

/// A decimal integer, and its shortest two's complement: by schoolbook multiplication, digit by digit.
pub(super) fn varint() -> impl Strategy<Value = (Vec<u8>, String)> + Clone {
    let digits = prop_oneof![4 => "[0-9]{1,30}", 1 => "[0-9]{1,400}", 1 => "(1|2|9)[0]{0,90}", 1 => "0{0,9}[0-9]{1,5}"];
    (any::<bool>(), digits).prop_map(|(negative, digits)| {
        let mut magnitude = vec![0_u8];
        for digit in digits.bytes() {
            let mut carry = u32::from(digit - b'0');
            for byte in magnitude.iter_mut().rev() {
                let value = u32::from(*byte) * 10 + carry;
                *byte = u8::try_from(value & 0xff).unwrap();
                carry = value >> 8;
            }
            if carry > 0 {
                magnitude.insert(0, u8::try_from(carry).unwrap());
            }
        }
        magnitude.insert(0, 0);
        if negative {
            let mut carry = true;
            for byte in magnitude.iter_mut().rev() {
                (*byte, carry) = (!*byte).overflowing_add(u8::from(carry));
            }
        }
        while magnitude.len() > 1 && matches!((magnitude[0], magnitude[1] >> 7), (0, 0) | (0xff, 1)) {
            magnitude.remove(0);
        }
        (magnitude, format!("{}{digits}", if negative { "-" } else { "" }))
    })
}

/// A signed vint as the protocol's specification has it: zigzag, then the number of further bytes as leading ones.
pub(super) fn vint(number: i64) -> Vec<u8> {
    let zigzag = ((number << 1) ^ (number >> 63)).cast_unsigned();
    for extra in 0..8_u32 {
        if zigzag < 1 << (7 * (extra + 1)) {
            let mut bytes = zigzag.to_be_bytes()[7 - extra as usize..].to_vec();
            bytes[0] |= !(0xff_u8 >> extra);
            return bytes;
        }
    }
    [&[0xff][..], &zigzag.to_be_bytes()].concat()
}
