//! blob.

use super::codec::Encode;
use super::shaped::Reason;
use super::tuple::Tuple;

/// blob -> bytea: copied.
#[derive(Debug)]
pub(super) struct Blob;

impl Encode for Blob {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        tuple.field(value)
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::body;
    use super::*;

    #[test]
    fn bytes_are_copied() {
        assert_eq!(body(&Blob, &[]), Ok(vec![]));
        assert_eq!(body(&Blob, &[0, 0xff, b'\\']), Ok(vec![0, 0xff, b'\\']));
    }
}
