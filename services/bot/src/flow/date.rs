//! Days as contacts write them.

use time::{Date, Duration, Month, OffsetDateTime};

/// The farthest bound that counts from today, days: a hundred years.
const DAYS_MAX: i64 = 36_525;

/// How a day is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `dd/mm/yyyy`, also with `-` or `.`.
    DayFirst,
    /// `yyyy-mm-dd`, also with `/` or `.`.
    YearFirst,
}

/// The first or last day that is an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bound {
    Day(Date),
    /// So many days after today.
    Today(i64),
}

/// Which days are an answer.
#[derive(Debug)]
pub(super) struct Dates {
    pub(super) formats: Vec<Format>,
    pub(super) earliest: Option<Bound>,
    pub(super) latest: Option<Bound>,
}

impl Format {
    /// The format as a file names it.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        match name {
            "dd/mm/yyyy" => Some(Self::DayFirst),
            "yyyy-mm-dd" => Some(Self::YearFirst),
            _ => None,
        }
    }

    fn read(self, text: &str) -> Option<Date> {
        let parts: Vec<&str> = text.split(['/', '-', '.']).map(str::trim).collect();
        let [year, month, day] = match (self, parts.as_slice()) {
            (Self::DayFirst, [day, month, year]) | (Self::YearFirst, [year, month, day]) => {
                [*year, *month, *day]
            }
            _ => return None,
        };
        let number = |part: &str, digits: std::ops::RangeInclusive<usize>| {
            let is_number = digits.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| part.parse::<u16>().ok()).flatten()
        };
        let month = Month::try_from(u8::try_from(number(month, 1..=2)?).ok()?).ok()?;
        let day = u8::try_from(number(day, 1..=2)?).ok()?;
        Date::from_calendar_date(i32::from(number(year, 4..=4)?), month, day).ok()
    }
}

impl Bound {
    /// `today`, `today+30`, `today-1`, `2026-12-31`.
    pub(super) fn of_text(text: &str) -> Option<Self> {
        let Some(days) = text.strip_prefix("today") else {
            return Format::YearFirst.read(text).map(Self::Day);
        };
        let is_signed = days.starts_with(['+', '-']);
        let days = if days.is_empty() { Some(0) } else { days.parse().ok().filter(|_| is_signed) };
        days.filter(|days: &i64| (-DAYS_MAX..=DAYS_MAX).contains(days)).map(Self::Today)
    }

    fn day(self, today: Date) -> Date {
        match self {
            Self::Day(day) => day,
            Self::Today(days) => today.saturating_add(Duration::days(days)),
        }
    }

    /// Whether it is later than another whatever the day; none where that depends on it.
    pub(super) fn is_later(self, other: Self) -> Option<bool> {
        match (self, other) {
            (Self::Day(day), Self::Day(other)) => Some(day > other),
            (Self::Today(days), Self::Today(other)) => Some(days > other),
            _ => None,
        }
    }
}

impl Dates {
    /// The day that a text names, if it is an answer.
    pub(super) fn answer(&self, text: &str, today: Date) -> Option<Date> {
        let day = self.formats.iter().find_map(|format| format.read(text.trim()))?;
        let is_within = self.earliest.is_none_or(|earliest| earliest.day(today) <= day)
            && self.latest.is_none_or(|latest| day <= latest.day(today));
        is_within.then_some(day)
    }
}

/// The day it is somewhere.
pub(super) fn today(now_ms: i64, utc_offset_minutes: i32) -> Date {
    let there = now_ms.saturating_add(i64::from(utc_offset_minutes) * 60_000).div_euclid(1_000);
    OffsetDateTime::from_unix_timestamp(there).unwrap_or(OffsetDateTime::UNIX_EPOCH).date()
}

/// As programs read it: `2026-12-31`.
pub(super) fn value(day: Date) -> String {
    format!("{:04}-{:02}-{:02}", day.year(), u8::from(day.month()), day.day())
}

/// As contacts read it: `31/12/2026`.
pub(super) fn label(day: Date) -> String {
    format!("{:02}/{:02}/{:04}", day.day(), u8::from(day.month()), day.year())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::macros::date;

    use super::*;

    const TODAY: Date = date!(2026 - 03 - 10);

    fn both(earliest: &str, latest: &str) -> Dates {
        let bound = |text: &str| (!text.is_empty()).then(|| Bound::of_text(text).unwrap());
        let formats = vec![Format::DayFirst, Format::YearFirst];
        Dates { formats, earliest: bound(earliest), latest: bound(latest) }
    }

    #[test]
    fn a_day_is_understood_in_either_form() {
        let dates = both("", "");
        for text in ["31/12/2026", "31-12-2026", " 31 . 12 . 2026 ", "2026-12-31", "2026/12/31"] {
            assert_eq!(dates.answer(text, TODAY), Some(date!(2026 - 12 - 31)), "{text}");
        }
        for text in [
            "",
            "31/12",
            "31/12/26",
            "30/02/2026",
            "0/1/2026",
            "+1/2/2026",
            "1/13/2026",
            "a/b/c",
            "1/2/3/2026",
        ] {
            assert_eq!(dates.answer(text, TODAY), None, "{text}");
        }
        let only = Dates { formats: vec![Format::YearFirst], earliest: None, latest: None };
        assert_eq!(only.answer("31/12/2026", TODAY), None);
        assert_eq!((value(TODAY), label(TODAY)), ("2026-03-10".to_owned(), "10/03/2026".to_owned()));
    }

    #[test]
    fn days_beyond_the_bounds_are_no_answer() {
        let future = both("today+1", "today+30");
        assert!(future.answer("11/03/2026", TODAY).is_some() && future.answer("09/04/2026", TODAY).is_some());
        assert!(future.answer("10/03/2026", TODAY).is_none() && future.answer("10/04/2026", TODAY).is_none());
        let past = both("1900-01-01", "today-1");
        assert!(past.answer("09/03/2026", TODAY).is_some() && past.answer("10/03/2026", TODAY).is_none());
        assert!(past.answer("31/12/1899", TODAY).is_none());
    }

    #[test]
    fn a_bound_that_is_none_is_refused() {
        for text in ["tomorrow", "today+", "today1", "today+x", "today-99999999", "31/12/2026", "2026-02-30"]
        {
            assert_eq!(Bound::of_text(text), None, "{text}");
        }
        assert_eq!(Bound::of_text("today"), Some(Bound::Today(0)));
    }

    #[test]
    fn today_is_the_day_at_the_contacts_place() {
        let midnight = 1_773_100_800_000;
        assert_eq!(today(midnight, 0), TODAY);
        assert_eq!(today(midnight, -300), date!(2026 - 03 - 09));
        assert_eq!(today(midnight - 1, 60), TODAY);
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,20}|[0-9/.-]{0,12}", now in any::<i64>(), offset in -840..=840) {
            let _ = both("today", "today+1").answer(&text, today(now, offset));
            let _ = Bound::of_text(&text);
        }

        #[test]
        fn every_day_is_understood_as_it_is_shown(days in -300_000_i64..300_000) {
            let day = TODAY.saturating_add(Duration::days(days));
            prop_assert_eq!(both("", "").answer(&label(day), TODAY), Some(day));
            prop_assert_eq!(both("", "").answer(&value(day), TODAY), Some(day));
        }
    }
}
