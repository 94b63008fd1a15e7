//! timestamp and timeuuid to timestamptz and timestamp, and the rule for Kong's own timestamps.

use super::calendar::Civil;
use super::codec::Encode;
use super::shaped::{Reason, Repair};
use super::tuple::{Tuple, fixed_size};

/// Microseconds from 1970-01-01 to 2000-01-01, the epoch of `PostgreSQL`.
const EPOCH_SHIFT: i64 = 946_684_800_000_000;
/// First instant `PostgreSQL` takes: 4714-11-24 BC, the start of the Julian day count, in microseconds since 2000.
const FIRST: i64 = -211_813_488_000_000_000;
/// First instant it no longer takes: the year 294277.
const END: i64 = 9_223_371_331_200_000_000;

/// Below it a positive number of milliseconds is taken for seconds: 2000-01-01 in milliseconds, and far future in seconds.
const SECONDS_BELOW: i64 = 946_684_800_000;

/// timestamp -> timestamptz, or timestamp holding UTC wall time: milliseconds since 1970 to microseconds since 2000.
#[derive(Debug)]
pub(super) struct Timestamp {
    /// Microseconds the column can tell apart.
    pub step: i64,
}

impl Encode for Timestamp {
    #[inline]
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        if let Some(millis) = fixed_size(value)?.map(i64::from_be_bytes) {
            write_millis(millis, self.step, tuple)
        } else {
            tuple.repaired_to_null(Repair::ZeroLength);
            Ok(())
        }
    }
}

/// The rule `timestamp`, and with `whole_seconds` the rule `whole_seconds`: instants before 2000 are seconds that someone stored
/// as milliseconds, and Kong reads some columns in whole seconds.
#[derive(Debug)]
pub(super) struct KongTimestamp {
    /// Cut the fraction of a second off.
    pub whole_seconds: bool,
    /// Microseconds the column can tell apart.
    pub step: i64,
}

impl Encode for KongTimestamp {
    #[inline]
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        let Some(mut millis) = fixed_size(value)?.map(i64::from_be_bytes) else {
            tuple.repaired_to_null(Repair::ZeroLength);
            return Ok(());
        };
        if 0 < millis && millis < SECONDS_BELOW {
            millis *= 1_000;
            tuple.repaired(Repair::SecondsAsMillis);
        }
        if self.whole_seconds {
            let fraction = millis.rem_euclid(1_000);
            if fraction != 0 {
                millis = millis.checked_sub(fraction).ok_or(Reason::TimestampRange)?;
                tuple.repaired(Repair::Fraction);
            }
        }
        write_millis(millis, self.step, tuple)
    }
}

/// timeuuid -> timestamptz, timestamp: the instant in the uuid, without its last digit of 100 ns.
#[derive(Debug)]
pub(super) struct TimeuuidToTimestamp {
    /// Microseconds the column can tell apart.
    pub step: i64,
}

impl Encode for TimeuuidToTimestamp {
    fn encode(&self, value: &[u8], tuple: &mut Tuple<'_>) -> Result<(), Reason> {
        /// Microseconds from 1582-10-15, where version-1 uuids start, to 1970-01-01.
        const GREGORIAN: i64 = 12_219_292_800_000_000;
        let Some(bytes) = fixed_size::<16>(value)? else {
            tuple.repaired_to_null(Repair::ZeroLength);
            return Ok(());
        };
        let [l0, l1, l2, l3, m0, m1, h0, h1, ..] = bytes;
        if h0 >> 4 != 1 {
            return Err(Reason::Malformed);
        }
        let ticks = i64::from_be_bytes([h0 & 0x0f, h1, m0, m1, l0, l1, l2, l3]);
        write_micros(ticks / 10 - GREGORIAN - EPOCH_SHIFT, self.step, tuple)
    }
}

/// Writes an instant given in milliseconds since 1970.
#[inline]
pub(super) fn write_millis(millis: i64, step: i64, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
    let micros = millis.checked_sub(EPOCH_SHIFT / 1_000).and_then(|millis| millis.checked_mul(1_000));
    write_micros(micros.ok_or(Reason::TimestampRange)?, step, tuple)
}

#[inline]
fn write_micros(micros: i64, step: i64, tuple: &mut Tuple<'_>) -> Result<(), Reason> {
    if !(FIRST..END).contains(&micros) {
        return Err(Reason::TimestampRange);
    }
    // 2000-01-01 is a whole second, so a fraction shows in the shifted number as well.
    if step != 1 && micros % step != 0 {
        return Err(Reason::OutOfRange);
    }
    tuple.fixed(micros.to_be_bytes());
    Ok(())
}

/// ISO 8601 text in UTC of an instant in milliseconds since 1970, such as `2023-05-04T10:11:12.345Z`.
pub fn iso(millis: i64) -> String {
    let date = Civil::from_days(millis.div_euclid(86_400_000)).iso();
    let of_day = millis.rem_euclid(86_400_000);
    let (seconds, fraction) = (of_day / 1_000, of_day % 1_000);
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{date}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z")
}

/// Reads `2023-05-04T10:11:12Z`, with a fraction of up to three digits or without one, a blank instead of `T` allowed:
/// milliseconds since 1970.
pub(super) fn parse(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once(['T', ' '])?;
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut parts = time.splitn(3, ':');
    let mut part = |below: i64| {
        let text = parts.next()?;
        let number: i64 = text.parse().ok()?;
        (text.len() == 2 && (0..below).contains(&number)).then_some(number)
    };
    let (hour, minute, second) = (part(24)?, part(60)?, part(60)?);
    if fraction.is_empty() || fraction.len() > 3 || !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let millis: i64 = format!("{fraction:0<3}").parse().ok()?;
    let seconds = Civil::parse(date)?.days() * 86_400 + hour * 3_600 + minute * 60 + second;
    Some(seconds * 1_000 + millis)
}

#[cfg(test)]
mod tests {
    use super::super::codec::tests::{assert_zero_length_is_null, body, encoded};
    use super::*;

    const PLAIN: Timestamp = Timestamp { step: 1 };

    fn micros(codec: &dyn Encode, millis: i64) -> Result<i64, Reason> {
        body(codec, &millis.to_be_bytes()).map(|bytes| i64::from_be_bytes(bytes.try_into().unwrap()))
    }

    #[test]
    fn milliseconds_since_1970_become_microseconds_since_2000() {
        assert_eq!(micros(&PLAIN, 946_684_800_000), Ok(0));
        assert_eq!(micros(&PLAIN, 0), Ok(-946_684_800_000_000));
        assert_eq!(micros(&PLAIN, 946_684_800_001), Ok(1_000));
        assert_eq!(body(&PLAIN, &[0; 4]), Err(Reason::Malformed));
        assert_zero_length_is_null(&PLAIN);
    }

    #[test]
    fn the_range_of_postgresql_holds() {
        let (first, end) = ((FIRST + EPOCH_SHIFT) / 1_000, (END / 1_000) + 946_684_800_000);
        assert!(micros(&PLAIN, first).is_ok());
        assert_eq!(micros(&PLAIN, first - 1), Err(Reason::TimestampRange));
        assert_eq!(micros(&PLAIN, end - 1), Ok(END - 1_000));
        assert_eq!(micros(&PLAIN, end), Err(Reason::TimestampRange));
        assert_eq!(micros(&PLAIN, i64::MAX), Err(Reason::TimestampRange));
        assert_eq!(micros(&PLAIN, i64::MIN), Err(Reason::TimestampRange));
    }

    #[test]
    fn a_coarser_column_takes_what_fits_exactly() {
        let seconds = Timestamp { step: 1_000_000 };
        assert_eq!(micros(&seconds, 946_684_801_000), Ok(1_000_000));
        assert_eq!(micros(&seconds, 946_684_801_001), Err(Reason::OutOfRange));
        assert_eq!(micros(&seconds, -1), Err(Reason::OutOfRange));
    }

    #[test]
    fn seconds_and_fractions_are_repaired_and_counted() {
        let kong = |whole_seconds, millis: i64| {
            let codec = KongTimestamp { whole_seconds, step: 1 };
            let (bytes, repairs) = encoded(&codec, &millis.to_be_bytes()).unwrap();
            (i64::from_be_bytes(bytes[4..].try_into().unwrap()) + EPOCH_SHIFT, repairs)
        };
        assert_eq!(kong(false, 1_600_000_000), (1_600_000_000_000_000, vec![Repair::SecondsAsMillis]));
        assert_eq!(kong(true, 1_600_000_001), (1_600_000_001_000_000, vec![Repair::SecondsAsMillis]));
        assert_eq!(kong(true, 1_600_000_000_123), (1_600_000_000_000_000, vec![Repair::Fraction]));
        assert_eq!(kong(false, 1_600_000_000_123), (1_600_000_000_123_000, vec![]));
        assert_eq!(kong(true, 1_600_000_000_000), (1_600_000_000_000_000, vec![]));
        assert_eq!(kong(true, 0), (0, vec![]));
        assert_eq!(kong(true, -1), (-1_000_000, vec![Repair::Fraction]));
        assert_eq!(kong(true, 1), (1_000_000, vec![Repair::SecondsAsMillis]));
        assert_eq!(kong(true, 946_684_799_999).1, vec![Repair::SecondsAsMillis]);
        assert_eq!(kong(true, 946_684_800_000), (946_684_800_000_000, vec![]));
    }

    #[test]
    fn timeuuids_hold_an_instant() {
        let codec = TimeuuidToTimestamp { step: 1 };
        // 2023-05-04 10:11:12.345 UTC.
        let ticks = (1_683_195_072_345_000_u64 + 12_219_292_800_000_000) * 10 + 7;
        let uuid = ::uuid::Builder::from_gregorian_timestamp(ticks, 0, &[0; 6]).into_uuid();
        let bytes = body(&codec, uuid.as_bytes()).unwrap();
        assert_eq!(i64::from_be_bytes(bytes.try_into().unwrap()) + EPOCH_SHIFT, 1_683_195_072_345_000);
        let random = ::uuid::uuid!("8f14e45f-ceea-467f-a9be-7b1d5f3c2a10");
        assert_eq!(body(&codec, random.as_bytes()), Err(Reason::Malformed));
        assert_zero_length_is_null(&codec);
    }

    #[test]
    fn iso_text_is_written_and_read() {
        assert_eq!(iso(1_683_195_072_345), "2023-05-04T10:11:12.345Z");
        assert_eq!(iso(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(parse("2023-05-04T10:11:12.345Z"), Some(1_683_195_072_345));
        assert_eq!(parse("1970-01-01 00:00:01Z"), Some(1_000));
        assert_eq!(parse("1970-01-01T00:00:00.5Z"), Some(500));
        for text in ["2023-05-04", "2023-05-04T10:11:12", "2023-05-04T24:00:00Z", "2023-05-04T1:00:00Z"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
