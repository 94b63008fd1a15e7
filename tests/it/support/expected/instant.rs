//! Instants as PostgreSQL writes them into JSON.

/// Microseconds since 1970 of a text like `2026-11-21T12:59:22.081+00:00`.
pub fn micros(text: &str) -> i64 {
    let parsed = || {
        let utc = text.strip_suffix("+00:00")?;
        let (date, time) = utc.split_once('T')?;
        let (time, fraction) = time.split_once('.').unwrap_or((time, ""));
        let date: Vec<i64> = date.split('-').map_while(|part| part.parse().ok()).collect();
        let time: Vec<i64> = time.split(':').map_while(|part| part.parse().ok()).collect();
        let (&[year, month, day], &[hour, minute, second]) = (&date[..], &time[..]) else { return None };
        let fraction: i64 = format!("{fraction:0<6}").parse().ok()?;
        let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
        Some(seconds * 1_000_000 + fraction)
    };
    parsed().unwrap_or_else(|| panic!("{text} is no instant in UTC"))
}

/// Days from 1970-01-01 to a date of the Gregorian calendar.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let years: i64 = if year >= 1970 {
        (1970..year).map(|year| 365 + i64::from(leap(year))).sum()
    } else {
        -(year..1970).map(|year| 365 + i64::from(leap(year))).sum::<i64>()
    };
    let lengths = [31, 28 + i64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    years + lengths.iter().zip(1..month).map(|(length, _)| length).sum::<i64>() + day - 1
}

#[test]
fn instants_are_understood() {
    assert_eq!(micros("1970-01-01T00:00:00+00:00"), 0);
    assert_eq!(micros("2000-01-01T00:00:00+00:00"), 946_684_800_000_000);
    assert_eq!(micros("2026-11-21T13:03:48.08+00:00"), 1_795_266_228_080_000);
    assert_eq!(micros("1969-12-31T23:59:59.5+00:00"), -500_000);
}
