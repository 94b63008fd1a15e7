//! Instants as people and manifests write them.

use crate::transform::calendar::Civil;

const DAY: i64 = 86_400;

/// Reads seconds since 1970, or a date and a time of day in UTC: `2026-11-20T02:00:00Z`, the `T` and the `Z` may be left out.
/// Fractions of a second are dropped.
pub fn parse_instant(text: &str) -> Option<i64> {
    if let Ok(seconds) = text.parse() {
        return Some(seconds);
    }
    let (date, time) = text.split_once(['T', ' '])?;
    let time = time.strip_suffix('Z').unwrap_or(time);
    let time = time.split_once('.').map_or(Some(time), |(time, fraction)| {
        fraction.bytes().all(|byte| byte.is_ascii_digit()).then_some(time)
    })?;
    let mut parts = time.split(':');
    let mut part = |most: i64| {
        let text = parts.next()?;
        let two_digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        two_digits.then(|| text.parse().ok()).flatten().filter(|number| *number <= most)
    };
    let (hour, minute, second): (i64, i64, i64) = (part(23)?, part(59)?, part(59)?);
    if parts.next().is_some() {
        return None;
    }
    Some(Civil::parse(date)?.days() * DAY + hour * 3_600 + minute * 60 + second)
}

/// An instant in UTC for people: `2026-11-20 02:00:00 UTC`.
pub fn spoken_instant(seconds: i64) -> String {
    let (day, second) = (seconds.div_euclid(DAY), seconds.rem_euclid(DAY));
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{} {hour:02}:{minute:02}:{second:02} UTC", Civil::from_days(day).iso())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates() {
        for text in ["1700000000", "2023-11-14T22:13:20Z", "2023-11-14 22:13:20", "2023-11-14T22:13:20.123Z"]
        {
            assert_eq!(parse_instant(text), Some(1_700_000_000), "{text}");
        }
        assert_eq!(spoken_instant(1_700_000_000), "2023-11-14 22:13:20 UTC");
    }

    #[test]
    fn no_instants() {
        for text in [
            "",
            "now",
            "2023-11-14",
            "2023-11-14T22:13",
            "2023-11-14T22:13:60Z",
            "2023-11-14T24:00:00",
            "2023-02-30T00:00:00Z",
            "2023-11-14T22:13:20+01:00",
            "2023-11-14T22:13:20.x",
            "2023-11-14T+2:13:20",
        ] {
            assert_eq!(parse_instant(text), None, "{text}");
        }
    }
}
