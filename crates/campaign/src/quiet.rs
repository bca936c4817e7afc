//! The hours in which nothing is sent.

use chasqui_proto::v1::{CampaignPlan, QuietHours};
use jiff::{Timestamp, ToSpan, civil::Time, tz::TimeZone};

use crate::time::{TimeError, zone};

/// A stretch of each day in a time zone.
#[derive(Clone, Debug)]
pub struct Quiet {
    from: Time,
    to: Time,
    zone: TimeZone,
}

impl Quiet {
    /// The quiet hours of a plan; `None` where it has none.
    pub fn read(plan: &CampaignPlan) -> Result<Option<Self>, TimeError> {
        let zone = zone(&plan.time_zone)?;
        let Some(QuietHours { from_minute, to_minute }) = plan.quiet_hours else { return Ok(None) };
        if from_minute == to_minute {
            return Err(TimeError::Empty);
        }
        Ok(Some(Self { from: clock(from_minute)?, to: clock(to_minute)?, zone }))
    }

    /// When the quiet hours end, unix milliseconds, if it is quiet at `now_ms`.
    pub fn ends_at_ms(&self, now_ms: i64) -> Option<i64> {
        let now = Timestamp::from_millisecond(now_ms).ok()?.to_zoned(self.zone.clone());
        let (date, time) = (now.date(), now.time());
        let is_quiet = if self.from < self.to {
            self.from <= time && time < self.to
        } else {
            self.from <= time || time < self.to
        };
        if !is_quiet {
            return None;
        }
        let day = if time < self.to { date } else { date.checked_add(1.day()).ok()? };
        let end = self.zone.to_timestamp(day.to_datetime(self.to)).ok()?.as_millisecond();
        // Where a clock is put back, the hour that comes twice may hold the end before now: it is quiet until the second.
        Some(end.max(now_ms + 1))
    }
}

fn clock(minute: u32) -> Result<Time, TimeError> {
    let (hour, minute) = (i8::try_from(minute / 60), i8::try_from(minute % 60));
    let (Ok(hour), Ok(minute)) = (hour, minute) else { return Err(TimeError::Clock) };
    Time::new(hour, minute, 0, 0).map_err(|_| TimeError::Clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{minute_of_day, moment};

    const ZONE: &str = "America/Argentina/Buenos_Aires";

    fn plan(from: &str, to: &str, zone: &str) -> CampaignPlan {
        let quiet_hours = Some(QuietHours {
            from_minute: minute_of_day(from).unwrap(),
            to_minute: minute_of_day(to).unwrap(),
        });
        CampaignPlan { quiet_hours, time_zone: zone.to_owned(), ..CampaignPlan::default() }
    }

    fn at(text: &str) -> i64 {
        moment(text, &zone(ZONE).unwrap()).unwrap()
    }

    #[test]
    fn over_midnight_it_is_quiet_until_the_morning() {
        let quiet = Quiet::read(&plan("21:00", "09:00", ZONE)).unwrap().unwrap();
        let check =
            |now: &str, end: Option<&str>| assert_eq!(quiet.ends_at_ms(at(now)), end.map(at), "{now}");
        check("2026-12-01T20:59:59", None);
        check("2026-12-01T21:00:00", Some("2026-12-02T09:00:00"));
        check("2026-12-02T08:59:59", Some("2026-12-02T09:00:00"));
        check("2026-12-02T09:00:00", None);
    }

    #[test]
    fn at_noon_it_is_quiet_for_an_hour() {
        let quiet = Quiet::read(&plan("13:00", "14:00", ZONE)).unwrap().unwrap();
        assert_eq!(quiet.ends_at_ms(at("2026-12-01T13:30")), Some(at("2026-12-01T14:00")));
        assert_eq!(quiet.ends_at_ms(at("2026-12-01T14:00")), None);
    }

    #[test]
    fn the_night_the_clocks_change_ends_when_the_clock_says_so() {
        let quiet = Quiet::read(&plan("21:00", "09:00", "Europe/Madrid")).unwrap().unwrap();
        let madrid = zone("Europe/Madrid").unwrap();
        let now = moment("2026-10-24T22:00", &madrid).unwrap();
        let end = quiet.ends_at_ms(now).unwrap();
        assert_eq!(end, moment("2026-10-25T09:00:00+01:00", &madrid).unwrap());
        assert_eq!(end - now, 12 * 3_600_000, "an hour came twice");
    }

    #[test]
    fn what_is_no_stretch_is_refused() {
        assert_eq!(Quiet::read(&plan("09:00", "09:00", ZONE)).unwrap_err(), TimeError::Empty);
        assert_eq!(Quiet::read(&plan("09:00", "10:00", "Mars")).unwrap_err(), TimeError::Zone);
        let late = QuietHours { from_minute: 1_440, to_minute: 0 };
        let plan = CampaignPlan { quiet_hours: Some(late), ..CampaignPlan::default() };
        assert_eq!(Quiet::read(&plan).unwrap_err(), TimeError::Clock);
        assert!(Quiet::read(&CampaignPlan::default()).unwrap().is_none());
    }
}
