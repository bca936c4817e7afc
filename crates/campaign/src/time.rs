//! Zones and times, as people write them.

use chasqui_kit::{Code, Coded};
use jiff::{Timestamp, civil, tz::TimeZone};

/// How far ahead a campaign can be scheduled, milliseconds: a later year is a slip of the pen.
const AHEAD_MAX_MS: i64 = 366 * 86_400_000;
/// How long ago the time may be that a campaign is scheduled for, milliseconds: a request that is repeated stays right.
const PAST_MAX_MS: i64 = 3_600_000;

/// What is no time, or no zone. The text goes on after the name of its field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// No zone has this name.
    #[error("must be a time zone such as America/Argentina/Buenos_Aires")]
    Zone,
    /// No clock shows it.
    #[error("must be a time of day from 00:00 to 23:59")]
    Clock,
    /// No calendar has it.
    #[error("must be a moment such as 2026-12-01T09:00:00-03:00, or 2026-12-01T09:00 in time_zone")]
    Moment,
    /// Nobody means it.
    #[error("must lie ahead, within a year")]
    Range,
    /// Quiet hours that end when they begin.
    #[error("must not begin and end at the same time")]
    Empty,
}

impl Coded for TimeError {
    fn code(&self) -> Code {
        Code::InvalidInput
    }
}

/// The zone of an IANA name; UTC where none is given.
pub fn zone(name: &str) -> Result<TimeZone, TimeError> {
    if name.is_empty() {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| TimeError::Zone)
}

/// The minutes after midnight that `21:30` is.
pub fn minute_of_day(text: &str) -> Result<u32, TimeError> {
    let two_digits = |digits: &str| {
        let is_number = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| digits.parse::<u32>().ok()).flatten()
    };
    let (hour, minute) = text.split_once(':').ok_or(TimeError::Clock)?;
    match (two_digits(hour), two_digits(minute)) {
        (Some(hour @ 0..=23), Some(minute @ 0..=59)) => Ok(hour * 60 + minute),
        _ => Err(TimeError::Clock),
    }
}

/// A moment, unix milliseconds: with its distance to UTC, or as the clocks of a zone show it.
pub fn moment(text: &str, zone: &TimeZone) -> Result<i64, TimeError> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Ok(moment.as_millisecond());
    }
    let local: civil::DateTime = text.parse().map_err(|_| TimeError::Moment)?;
    let moment = zone.to_timestamp(local).map_err(|_| TimeError::Moment)?;
    Ok(moment.as_millisecond())
}

/// The moment a campaign is to begin, written as `moment` takes it.
pub fn beginning(text: &str, zone: &TimeZone, now_ms: i64) -> Result<i64, TimeError> {
    let at_ms = moment(text, zone)?;
    let is_within = (now_ms - PAST_MAX_MS..=now_ms + AHEAD_MAX_MS).contains(&at_ms);
    is_within.then_some(at_ms).ok_or(TimeError::Range)
}

/// A moment as programs and people read it: ISO 8601 with milliseconds; nothing where it never was.
pub fn iso(at_ms: i64) -> Option<String> {
    let moment = Timestamp::from_millisecond(at_ms).ok()?;
    (at_ms != 0).then(|| format!("{moment:.3}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_moment_is_written_with_its_distance_or_as_a_zone_shows_it() {
        let buenos_aires = zone("America/Argentina/Buenos_Aires").unwrap();
        let expected = Ok(1_796_126_400_000);
        assert_eq!(moment("2026-12-01T09:00:00-03:00", &TimeZone::UTC), expected);
        assert_eq!(moment("2026-12-01T12:00:00Z", &buenos_aires), expected);
        assert_eq!(moment("2026-12-01T09:00", &buenos_aires), expected);
        for wrong in ["", "tomorrow", "2026-13-01T09:00", "1796126400000"] {
            assert_eq!(moment(wrong, &buenos_aires), Err(TimeError::Moment), "{wrong}");
        }
    }

    #[test]
    fn a_campaign_begins_within_a_year() {
        let begins = |text: &str| beginning(text, &TimeZone::UTC, 1_796_126_400_000);
        assert_eq!(begins("2026-12-01T12:00:01Z"), Ok(1_796_126_401_000));
        assert!(begins("2026-12-01T11:00:00Z").is_ok(), "a request that is repeated");
        for wrong in ["2026-12-01T10:59:59Z", "2027-12-02T12:00:01Z", "2206-12-01T12:00:00Z"] {
            assert_eq!(begins(wrong), Err(TimeError::Range), "{wrong}");
        }
    }

    #[test]
    fn a_clock_has_24_hours_of_60_minutes() {
        let check = |text: &str, minutes: u32| assert_eq!(minute_of_day(text), Ok(minutes), "{text}");
        check("00:00", 0);
        check("09:05", 545);
        check("23:59", 1_439);
        for wrong in ["", "9:00", "24:00", "12:60", "12:00:00", "+9:00", "١٢:00"] {
            assert_eq!(minute_of_day(wrong), Err(TimeError::Clock), "{wrong}");
        }
    }

    #[test]
    fn a_zone_is_known_by_its_name() {
        assert_eq!(zone("").unwrap(), TimeZone::UTC);
        assert_eq!(zone("Buenos Aires").unwrap_err(), TimeError::Zone);
    }

    #[test]
    fn what_never_was_has_no_time() {
        assert_eq!(iso(0), None);
        assert_eq!(iso(1), Some("1970-01-01T00:00:00.001Z".to_owned()));
    }

    proptest! {
        #[test]
        fn reading_never_panics(text in ".*") {
            let _ = (minute_of_day(&text), moment(&text, &TimeZone::UTC), zone(&text));
        }
    }
}
