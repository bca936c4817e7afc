//! Zones and times, as people write them.

use chasqui_kit::{Code, Coded};
use jiff::{Timestamp, civil, tz::TimeZone};

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

    proptest! {
        #[test]
        fn reading_never_panics(text in ".*") {
            let _ = (minute_of_day(&text), moment(&text, &TimeZone::UTC), zone(&text));
        }
    }
}
