//! boolean.

use super::codec::Encode;
use super::shaped::{Reason, Repair};
use super::tuple::{Tuple, fixed_size};

/// boolean -> boolean. Cassandra takes any byte but 0 for true.
#[derive(Debug)]
pub(super) struct Boolean;

impl Encode for Boolean {
    #[inline]
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        match fixed_size::<1>(value)? {
            Some([byte]) => tuple.fixed([u8::from(byte != 0)]),
            None => tuple.repaired_to_null(Repair::ZeroLength),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body};
    use super::*;

    #[test]
    fn any_byte_but_zero_is_true() {
        assert_eq!(body(&Boolean, &[0]), Ok(vec![0]));
        assert_eq!(body(&Boolean, &[1]), Ok(vec![1]));
        assert_eq!(body(&Boolean, &[0x80]), Ok(vec![1]));
        assert_eq!(body(&Boolean, &[0, 1]), Err(Reason::Malformed));
        assert_zero_length_is_null(&Boolean);
    }
}
