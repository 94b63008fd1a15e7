//! inet: four or sixteen bytes of address.

use std::net::IpAddr;

use super::codec::Encode;
use super::shaped::{Reason, Repair};
use super::text;
use super::tuple::Tuple;

/// `PostgreSQL`'s numbers for the address families in binary inet.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 3;

/// inet -> inet: a host address, without a network mask.
#[derive(Debug)]
pub(super) struct Inet;

impl Encode for Inet {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        // Family, bits of the mask, whether it is a cidr, length of the address, address.
        match address(value)? {
            None => tuple.repaired_to_null(Repair::ZeroLength),
            Some(IpAddr::V4(v4)) => {
                let [a, b, c, d] = v4.octets();
                tuple.fixed([FAMILY_V4, 32, 0, 4, a, b, c, d]);
            }
            Some(IpAddr::V6(v6)) => {
                let open = tuple.open();
                tuple.put(&[FAMILY_V6, 128, 0, 16]);
                tuple.put(&v6.octets());
                tuple.close(open)?;
            }
        }
        Ok(())
    }
}

/// inet -> text: the usual shortest form (RFC 5952).
#[derive(Debug)]
pub(super) struct InetToText {
    /// Most characters the column takes.
    pub limit: Option<u32>,
}

impl Encode for InetToText {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Some(address) = address(value)? {
            text::write(address.to_string().as_bytes(), self.limit, tuple)
        } else {
            tuple.repaired_to_null(Repair::ZeroLength);
            Ok(())
        }
    }
}

/// The address in a CQL inet value.
pub(super) fn address(value: &[u8]) -> Result<Option<IpAddr>, Reason> {
    if value.is_empty() {
        return Ok(None);
    }
    if let Ok(v4) = <[u8; 4]>::try_from(value) {
        return Ok(Some(v4.into()));
    }
    match <[u8; 16]>::try_from(value) {
        Ok(v6) => Ok(Some(v6.into())),
        Err(_) => Err(Reason::Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body};
    use super::*;

    #[test]
    fn addresses_carry_family_and_mask() {
        assert_eq!(body(&Inet, &[10, 0, 0, 1]), Ok(vec![2, 32, 0, 4, 10, 0, 0, 1]));
        let mut v6 = [0; 16];
        v6[15] = 1;
        let mut expected = vec![3, 128, 0, 16];
        expected.extend_from_slice(&v6);
        assert_eq!(body(&Inet, &v6), Ok(expected));
        assert_eq!(body(&InetToText { limit: None }, &v6), Ok(b"::1".to_vec()));
        assert_eq!(body(&InetToText { limit: None }, &[10, 0, 0, 1]), Ok(b"10.0.0.1".to_vec()));
        assert_eq!(body(&Inet, &[1, 2, 3]), Err(Reason::Malformed));
        assert_zero_length_is_null(&Inet);
    }
}
