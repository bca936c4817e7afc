//! Business hours.

use std::collections::HashSet;

use jiff::{
    Timestamp, ToSpan as _,
    civil::{Date, DateTime, time},
    tz::TimeZone,
};

use super::ignored::list;
use crate::{
    fields::{At, Fields, Found},
    language::Text,
};

/// The days of a week, as in the file.
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
/// How far back the end of the last business hours is looked for. Who is closed for longer tells it once in so long.
const LOOK_BACK_DAYS: i64 = 15;
const MINUTES_OF_DAY: i16 = 24 * 60;

/// When people are there.
#[derive(Debug)]
pub(super) struct Hours {
    timezone: TimeZone,
    /// From Monday.
    week: [Vec<Stretch>; 7],
    /// On these days no hours begin.
    holidays: HashSet<Date>,
    closed: Option<Text>,
}

/// From one minute of a day to another; one that is not after the first is of the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stretch {
    from: i16,
    to: i16,
}

impl Stretch {
    /// Its end, as if the day had as many minutes as it takes.
    fn end(self) -> i16 {
        if self.to > self.from { self.to } else { self.to + MINUTES_OF_DAY }
    }
}

impl Hours {
    /// The table `hours`.
    pub(super) fn read<'t>(mut table: Fields<'t>, found: &mut Found<'t>) -> Option<Self> {
        let timezone = table.need::<String>(found, "timezone").and_then(|name| read_timezone(&name, found));
        let week = DAYS.map(|day| read_day(&mut table, found, day));
        let is_ever = week.iter().any(|day| !day.is_empty());
        found.require(
            is_ever,
            table.span(),
            "`hours` must have hours on some day, as in mon = [\"09:00-18:00\"]",
        );
        let mut holidays = HashSet::new();
        for holiday in list(&mut table, found, "holidays") {
            match holiday.value.parse::<Date>() {
                Ok(date) => _ = holidays.insert(date),
                Err(_) => found.problem(holiday.span, "must be a day, as in \"2026-12-25\""),
            }
        }
        let closed = table.take::<Text>(found, "closed").map(|text| text.value);
        table.finish(found);
        Some(Self { timezone: timezone?, week, holidays, closed })
    }

    /// What contacts are told outside of them.
    pub(super) fn closed_text(&self) -> Option<&Text> {
        self.closed.as_ref()
    }

    /// Since when it is outside of them; none within them.
    pub(super) fn closed_since(&self, now_ms: i64) -> Option<i64> {
        let now = Timestamp::from_millisecond(now_ms).unwrap_or(Timestamp::MAX);
        let today = self.timezone.to_datetime(now).date();
        let mut since = now_ms.saturating_sub(LOOK_BACK_DAYS * 24 * 3600 * 1_000);
        for back in 0..=LOOK_BACK_DAYS {
            let Ok(day) = today.checked_sub(back.days()) else { break };
            for (from_ms, to_ms) in self.of(day) {
                if (from_ms..to_ms).contains(&now_ms) {
                    return None;
                }
                if to_ms <= now_ms {
                    since = since.max(to_ms);
                }
            }
        }
        Some(since)
    }

    /// The hours that begin on a day, in unix milliseconds.
    fn of(&self, day: Date) -> impl Iterator<Item = (i64, i64)> {
        let weekday = usize::try_from(day.weekday().to_monday_zero_offset()).unwrap_or_default();
        let stretches = if self.holidays.contains(&day) { &[][..] } else { &self.week[weekday] };
        stretches.iter().filter_map(move |stretch| {
            Some((self.instant(day, stretch.from)?, self.instant(day, stretch.end())?))
        })
    }

    /// A minute of a day by the clock on the wall; one that a clock change leaves out is the first after it.
    fn instant(&self, day: Date, minute: i16) -> Option<i64> {
        let day = day.checked_add(i64::from(minute / MINUTES_OF_DAY).days()).ok()?;
        let (hour, minute) = (minute % MINUTES_OF_DAY / 60, minute % 60);
        let at = DateTime::from_parts(day, time(i8::try_from(hour).ok()?, i8::try_from(minute).ok()?, 0, 0));
        Some(self.timezone.to_timestamp(at).ok()?.as_millisecond())
    }
}

fn read_timezone(name: &At<String>, found: &mut Found<'_>) -> Option<TimeZone> {
    let timezone = TimeZone::get(&name.value).ok();
    let message = "`timezone` must be a name of the time zone database, as in \"America/Bogota\"";
    found.require(timezone.is_some(), name.span.clone(), message);
    timezone
}

fn read_day<'t>(table: &mut Fields<'t>, found: &mut Found<'t>, day: &'static str) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    for written in list(table, found, day) {
        let Some(stretch) = read_stretch(&written.value) else {
            found.problem(
                written.span,
                "must be hours, as in \"09:00-13:00\", \"22:00-06:00\" or \"00:00-24:00\"",
            );
            continue;
        };
        let overlaps = |other: &Stretch| stretch.from < other.end() && other.from < stretch.end();
        found.require(
            !stretches.iter().any(overlaps),
            written.span,
            format!("overlaps other hours of `{day}`"),
        );
        stretches.push(stretch);
    }
    stretches
}

fn read_stretch(text: &str) -> Option<Stretch> {
    let (from, to) = text.split_once('-')?;
    let stretch = Stretch { from: read_minute(from.trim())?, to: read_minute(to.trim())? };
    (stretch.from < MINUTES_OF_DAY && stretch.from != stretch.to).then_some(stretch)
}

fn read_minute(text: &str) -> Option<i16> {
    let (hour, minute) = text.split_once(':')?;
    let number = |text: &str| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<i16>().ok()).flatten()
    };
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60 && hour * 60 + minute <= MINUTES_OF_DAY).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fields::Found;

    fn read(text: &str) -> Result<Hours, Vec<String>> {
        let mut found = Found { file: "t", text, problems: Vec::new() };
        let table = found.parse();
        let hours = Hours::read(table, &mut found);
        let problems = found.problems.iter().map(ToString::to_string).collect::<Vec<_>>();
        hours.filter(|_| problems.is_empty()).ok_or(problems)
    }

    fn ms(at: &str) -> i64 {
        at.parse::<Timestamp>().unwrap().as_millisecond()
    }

    /// Since when it is closed at a moment; empty when it is open.
    fn check(hours: &Hours, at: &str, expected: &str) {
        let since =
            hours.closed_since(ms(at)).map(|since| Timestamp::from_millisecond(since).unwrap().to_string());
        assert_eq!(since.unwrap_or_default(), expected, "{at}");
    }

    #[test]
    fn hours_are_by_the_clock_on_the_wall() {
        // 2026-11-23 is a Monday; in Bogotá it is five hours earlier than in UTC.
        let hours =
            read("timezone = \"America/Bogota\"\nmon = [\"09:00-13:00\", \"14:00-18:00\"]\n").unwrap();
        check(&hours, "2026-11-23T14:00:00Z", "");
        check(&hours, "2026-11-23T17:59:59Z", "");
        check(&hours, "2026-11-23T18:00:00Z", "2026-11-23T18:00:00Z");
        check(&hours, "2026-11-23T19:00:00Z", "");
        check(&hours, "2026-11-24T12:00:00Z", "2026-11-23T23:00:00Z");
        check(&hours, "2026-11-23T13:59:59Z", "2026-11-16T23:00:00Z");
    }

    #[test]
    fn hours_go_over_midnight_and_around_a_day() {
        let text =
            "timezone = \"UTC\"\nmon = [\"22:00-06:00\"]\nwed = [\"00:00-24:00\"]\nthu = [\"00:00-24:00\"]\n";
        let hours = read(text).unwrap();
        for open in
            ["2026-11-23T22:00:00Z", "2026-11-24T05:59:59Z", "2026-11-25T23:59:59Z", "2026-11-26T00:00:00Z"]
        {
            check(&hours, open, "");
        }
        check(&hours, "2026-11-24T06:00:00Z", "2026-11-24T06:00:00Z");
        check(&hours, "2026-11-27T00:00:00Z", "2026-11-27T00:00:00Z");
    }

    #[test]
    fn no_hours_begin_on_a_holiday() {
        let text = "timezone = \"UTC\"\nmon = [\"09:00-18:00\", \"20:00-02:00\"]\ntue = [\"09:00-18:00\"]\n\
                    holidays = [\"2026-11-24\"]\n";
        let hours = read(text).unwrap();
        check(&hours, "2026-11-24T01:00:00Z", "");
        check(&hours, "2026-11-24T10:00:00Z", "2026-11-24T02:00:00Z");
        check(&hours, "2026-12-01T10:00:00Z", "");
    }

    #[test]
    fn who_is_closed_for_weeks_is_closed_since_two_weeks() {
        let hours = read(
            "timezone = \"UTC\"\nmon = [\"09:00-18:00\"]\nholidays = [\"2026-11-23\", \"2026-11-16\", \"2026-11-30\"]\n",
        );
        check(&hours.unwrap(), "2026-11-30T10:00:00Z", "2026-11-15T10:00:00Z");
    }

    #[test]
    fn a_clock_change_leaves_nothing_open_or_closed_that_is_not() {
        // In New York, 02:00 to 03:00 is left out on 2026-03-08, and 01:00 to 02:00 comes twice on 2026-11-01.
        let hours = read("timezone = \"America/New_York\"\nsun = [\"01:30-02:30\"]\n").unwrap();
        check(&hours, "2026-03-08T06:30:00Z", "");
        check(&hours, "2026-03-08T07:29:59Z", "");
        check(&hours, "2026-03-08T07:30:00Z", "2026-03-08T07:30:00Z");
        check(&hours, "2026-11-01T05:30:00Z", "");
        check(&hours, "2026-11-01T07:29:59Z", "");
        check(&hours, "2026-11-01T07:30:00Z", "2026-11-01T07:30:00Z");
    }

    #[test]
    fn wrong_hours_are_told() {
        let text = "timezone = \"Bogota\"\nmon = [\"9-13\", \"09:00-09:00\", \"24:00-01:00\", \"23:60-24:00\"]\n\
                    tue = [\"09:00-13:00\", \"12:59-14:00\"]\nholidays = [\"25/12\"]\n";
        let problems = read(text).unwrap_err();
        assert_eq!(problems.len(), 7, "{problems:#?}");
        assert!(problems[6].starts_with("t:4:13: must be a day"), "{problems:#?}");
        assert!(read("timezone = \"UTC\"\n").unwrap_err()[0].contains("must have hours on some day"));
    }

    proptest! {
        #[test]
        fn any_hours_answer_at_any_moment(from in 0u32..24, to in 0u32..24, minute in 0u32..60, at in any::<i64>()) {
            let text = format!("timezone = \"America/Santiago\"\nsun = [\"{from:02}:{minute:02}-{to:02}:00\"]\n");
            if let Ok(hours) = read(&text) {
                prop_assert!(hours.closed_since(at).is_none_or(|since| since <= at));
            }
        }
    }
}
