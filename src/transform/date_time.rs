//! date, time and duration.

use super::calendar::EPOCH_SHIFT_DAYS;
use super::codec::Encode;
use super::shaped::{Reason, Repair};
use super::tuple::{Tuple, fixed_size};

/// First day `PostgreSQL` takes (4714-11-24 BC) and the first it no longer takes, in days since 2000.
const FIRST_DAY: i64 = -2_451_545;
const END_DAY: i64 = 2_145_031_949;

/// Nanoseconds of a day.
const DAY: i64 = 86_400_000_000_000;

/// date -> date.
#[derive(Debug)]
pub(super) struct Date;

impl Encode for Date {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let Some(days) = days_since_1970(value)? else {
            tuple.repaired_to_null(Repair::ZeroLength);
            return Ok(());
        };
        let days = days - EPOCH_SHIFT_DAYS;
        if !(FIRST_DAY..END_DAY).contains(&days) {
            return Err(Reason::TimestampRange);
        }
        tuple.fixed(i32::try_from(days).map_err(|_| Reason::TimestampRange)?.to_be_bytes());
        Ok(())
    }
}

/// A CQL date: unsigned days with 1970-01-01 at 2^31.
pub(super) fn days_since_1970(value: &[u8]) -> Result<Option<i64>, Reason> {
    Ok(fixed_size(value)?.map(|bytes| i64::from(u32::from_be_bytes(bytes)) - (1 << 31)))
}

/// time -> time. Nanoseconds that are no whole microseconds are refused rather than rounded.
#[derive(Debug)]
pub(super) struct Time {
    /// Microseconds the column can tell apart.
    pub step: i64,
}

impl Encode for Time {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let Some(nanos) = nanos_of_day(value)? else {
            tuple.repaired_to_null(Repair::ZeroLength);
            return Ok(());
        };
        if nanos % (1_000 * self.step) != 0 {
            return Err(Reason::OutOfRange);
        }
        tuple.fixed((nanos / 1_000).to_be_bytes());
        Ok(())
    }
}

/// A CQL time: nanoseconds since midnight.
pub(super) fn nanos_of_day(value: &[u8]) -> Result<Option<i64>, Reason> {
    match fixed_size(value)?.map(i64::from_be_bytes) {
        Some(nanos) if !(0..DAY).contains(&nanos) => Err(Reason::Malformed),
        nanos => Ok(nanos),
    }
}

/// duration -> interval: months, days and nanoseconds, which must be whole microseconds.
#[derive(Debug)]
pub(super) struct Duration;

impl Encode for Duration {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if value.is_empty() {
            tuple.repaired_to_null(Repair::ZeroLength);
            return Ok(());
        }
        let (months, rest) = vint(value)?;
        let (days, rest) = vint(rest)?;
        let (nanos, rest) = vint(rest)?;
        let (Ok(months), Ok(days), true) = (i32::try_from(months), i32::try_from(days), rest.is_empty())
        else {
            return Err(Reason::Malformed);
        };
        if nanos % 1_000 != 0 {
            return Err(Reason::OutOfRange);
        }
        let open = tuple.open();
        tuple.put(&(nanos / 1_000).to_be_bytes());
        tuple.put(&days.to_be_bytes());
        tuple.put(&months.to_be_bytes());
        tuple.close(open)
    }
}

/// A signed variable-length integer (native protocol v5, section 5.11): the leading ones of the first byte count the bytes
/// that follow, and the sign is in the lowest bit.
fn vint(bytes: &[u8]) -> Result<(i64, &[u8]), Reason> {
    let (first, rest) = bytes.split_first().ok_or(Reason::Malformed)?;
    let extra = first.leading_ones();
    let (tail, rest) = rest.split_at_checked(usize::try_from(extra).unwrap_or(8)).ok_or(Reason::Malformed)?;
    let head = u64::from(first & 0xff_u8.checked_shr(extra).unwrap_or(0));
    let unsigned = tail.iter().fold(head, |value, byte| (value << 8) | u64::from(*byte));
    let magnitude = i64::try_from(unsigned >> 1).unwrap_or(i64::MAX);
    Ok((if unsigned & 1 == 0 { magnitude } else { -magnitude - 1 }, rest))
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body};
    use super::*;

    #[test]
    fn dates_move_to_the_epoch_of_postgresql() {
        let day = |days: i64| body(&Date, &u32::try_from(days + (1 << 31)).unwrap().to_be_bytes());
        assert_eq!(day(10_957), Ok(0_i32.to_be_bytes().to_vec()));
        assert_eq!(day(0), Ok((-10_957_i32).to_be_bytes().to_vec()));
        assert!(day(FIRST_DAY + EPOCH_SHIFT_DAYS).is_ok());
        assert_eq!(day(FIRST_DAY + EPOCH_SHIFT_DAYS - 1), Err(Reason::TimestampRange));
        assert!(day(END_DAY + EPOCH_SHIFT_DAYS - 1).is_ok());
        assert_eq!(day(END_DAY + EPOCH_SHIFT_DAYS), Err(Reason::TimestampRange));
        assert_zero_length_is_null(&Date);
    }

    #[test]
    fn times_lose_no_digit() {
        let codec = Time { step: 1 };
        assert_eq!(body(&codec, &(DAY - 1_000).to_be_bytes()), Ok(86_399_999_999_i64.to_be_bytes().to_vec()));
        assert_eq!(body(&codec, &1_001_i64.to_be_bytes()), Err(Reason::OutOfRange));
        assert_eq!(body(&codec, &DAY.to_be_bytes()), Err(Reason::Malformed));
        assert_eq!(body(&codec, &(-1_i64).to_be_bytes()), Err(Reason::Malformed));
        assert_eq!(body(&Time { step: 1_000_000 }, &1_000_000_i64.to_be_bytes()), Err(Reason::OutOfRange));
        assert_zero_length_is_null(&codec);
    }

    #[test]
    fn durations_become_intervals() {
        // 1 month, -2 days, 3 us = 3000 ns = zigzag 6000 = 0x1770, in two bytes 0x97 0x70.
        let mut expected = 3_i64.to_be_bytes().to_vec();
        expected.extend_from_slice(&(-2_i32).to_be_bytes());
        expected.extend_from_slice(&1_i32.to_be_bytes());
        assert_eq!(body(&Duration, &[2, 3, 0x97, 0x70]), Ok(expected));
        assert_eq!(body(&Duration, &[2, 3, 2]), Err(Reason::OutOfRange));
        assert_eq!(body(&Duration, &[2, 3]), Err(Reason::Malformed));
        assert_eq!(body(&Duration, &[2, 3, 0, 0]), Err(Reason::Malformed));
        assert_eq!(vint(&[0xff; 9]), Ok((i64::MIN, &[][..])));
        assert_eq!(vint(&[0xff, 0xff]), Err(Reason::Malformed));
        assert_zero_length_is_null(&Duration);
    }
}
