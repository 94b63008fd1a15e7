//! float and double.

use super::codec::Encode;
use super::shaped::{Reason, Repair};
use super::tuple::{Tuple, fixed_size};

/// float -> real: copied.
#[derive(Debug)]
pub(super) struct Float;

impl Encode for Float {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        match fixed_size::<4>(value)? {
            Some(bytes) => tuple.fixed(bytes),
            None => tuple.repaired_to_null(Repair::ZeroLength),
        }
        Ok(())
    }
}

/// double -> double precision: copied.
#[derive(Debug)]
pub(super) struct Double;

impl Encode for Double {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        match fixed_size::<8>(value)? {
            Some(bytes) => tuple.fixed(bytes),
            None => tuple.repaired_to_null(Repair::ZeroLength),
        }
        Ok(())
    }
}

/// float -> double precision: the double nearest to the shortest decimal text of the float, so that 0.1 stays 0.1 and does not
/// become 0.10000000149. Kong Enterprise declares one field float on Cassandra and double precision on `PostgreSQL`.
#[derive(Debug)]
pub(super) struct FloatToDouble;

impl Encode for FloatToDouble {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        match fixed_size::<4>(value)?.map(f32::from_be_bytes) {
            Some(float) => tuple.fixed(widen(float).to_be_bytes()),
            None => tuple.repaired_to_null(Repair::ZeroLength),
        }
        Ok(())
    }
}

fn widen(float: f32) -> f64 {
    if float.is_finite() {
        float.to_string().parse().unwrap_or_else(|_| f64::from(float))
    } else {
        f64::from(float)
    }
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body};
    use super::*;

    #[test]
    fn floats_keep_their_decimal_text() {
        for (float, double) in
            [(0.1_f32, 0.1_f64), (3.402_823_5e38, 3.402_823_5e38), (1e-45, 1e-45), (0.75, 0.75)]
        {
            assert_eq!(body(&FloatToDouble, &float.to_be_bytes()), Ok(double.to_be_bytes().to_vec()));
        }
        let minus_zero = (-0.0_f64).to_be_bytes().to_vec();
        assert_eq!(body(&FloatToDouble, &(-0.0_f32).to_be_bytes()), Ok(minus_zero));
        let infinity = f64::INFINITY.to_be_bytes().to_vec();
        assert_eq!(body(&FloatToDouble, &f32::INFINITY.to_be_bytes()), Ok(infinity));
        assert_zero_length_is_null(&FloatToDouble);
    }

    #[test]
    fn equal_types_are_copied() {
        assert_eq!(body(&Double, &1.5_f64.to_be_bytes()), Ok(1.5_f64.to_be_bytes().to_vec()));
        assert_eq!(body(&Float, &1.5_f32.to_be_bytes()), Ok(1.5_f32.to_be_bytes().to_vec()));
        assert_eq!(body(&Double, &1.5_f32.to_be_bytes()), Err(Reason::Malformed));
        assert_zero_length_is_null(&Double);
    }
}
