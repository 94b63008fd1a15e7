//! Days and dates of the proleptic Gregorian calendar, which both databases use.

/// Days from 1970-01-01 to 2000-01-01, the epoch of `PostgreSQL`.
pub(super) const EPOCH_SHIFT_DAYS: i64 = 10_957;

/// A date. Year 0 is 1 BC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

impl Civil {
    /// The date `days` after 1970-01-01.
    pub fn from_days(days: i64) -> Self {
        // Years run from March, so that a leap day is the last of its year; 400 years have 146,097 days.
        let shifted = days + 719_468;
        let era = shifted.div_euclid(146_097);
        let day_of_era = shifted.rem_euclid(146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        Self { year: era * 400 + year_of_era + i64::from(month <= 2), month, day }
    }

    /// Days from 1970-01-01 to it.
    pub fn days(self) -> i64 {
        let year = if self.month <= 2 { self.year - 1 } else { self.year };
        let year_of_era = year.rem_euclid(400);
        let march_month = if self.month > 2 { self.month - 3 } else { self.month + 9 };
        let day_of_year = (153 * march_month + 2) / 5 + self.day - 1;
        let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
        year.div_euclid(400) * 146_097 + day_of_era - 719_468
    }

    /// `2023-05-04`; years beyond four digits with a sign, as ISO 8601 has it.
    pub fn iso(self) -> String {
        let Self { year, month, day } = self;
        if (0..=9_999).contains(&year) {
            format!("{year:04}-{month:02}-{day:02}")
        } else {
            format!("{year:+07}-{month:02}-{day:02}")
        }
    }

    /// Reads `2023-05-04`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '-');
        let (year, month, day) = (parts.next()?, parts.next()?, parts.next()?);
        if year.len() != 4 || month.len() != 2 || day.len() != 2 {
            return None;
        }
        let civil = Self { year: year.parse().ok()?, month: month.parse().ok()?, day: day.parse().ok()? };
        // A day the month does not have would come back as another date.
        (Self::from_days(civil.days()) == civil).then_some(civil)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_days() {
        for (days, text) in [
            (0, "1970-01-01"),
            (EPOCH_SHIFT_DAYS, "2000-01-01"),
            (11_016, "2000-02-29"),
            (-1, "1969-12-31"),
            (-719_528, "0000-01-01"),
            (-719_529, "-000001-12-31"),
            (2_932_896, "9999-12-31"),
            (2_932_897, "+010000-01-01"),
        ] {
            assert_eq!(Civil::from_days(days).iso(), text);
            assert_eq!(Civil::from_days(days).days(), days);
        }
    }

    #[test]
    fn days_follow_one_another() {
        let mut previous = Civil::from_days(-800_000);
        for days in -799_999..800_000 {
            let civil = Civil::from_days(days);
            assert_eq!(civil.days(), days);
            let next_day = civil.year == previous.year && civil.month == previous.month;
            assert!(if next_day { civil.day == previous.day + 1 } else { civil.day == 1 });
            previous = civil;
        }
    }

    #[test]
    fn only_real_dates_are_read() {
        assert!(Civil::parse("2024-02-29").is_some());
        for text in ["2023-02-29", "2023-13-01", "2023-1-1", "2023-00-10", "23-01-01", "2023-01-01x", ""] {
            assert_eq!(Civil::parse(text), None, "{text}");
        }
    }
}
