//! What an answer means.

use std::time::Duration;

/// How an attempt ended, for the delivery and for its listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It has the event.
    Delivered,
    /// It never wants an event again.
    Gone,
    /// It answered, and did not want this event.
    Refused {
        /// It asked for this pause.
        retry_after: Option<Duration>,
    },
    /// It did not answer, or somebody else said that it does not: no event would have been taken.
    Away {
        /// It asked for this pause.
        retry_after: Option<Duration>,
    },
}

impl Verdict {
    /// The verdict on an answer's status (<https://www.standardwebhooks.com>): 2xx is success, redirects are not followed.
    pub(crate) fn of_status(status: u16, retry_after: Option<Duration>) -> Self {
        match status {
            200..=299 => Self::Delivered,
            410 => Self::Gone,
            429 | 502 | 503 | 504 => Self::Away { retry_after },
            _ => Self::Refused { retry_after },
        }
    }
}

/// `Retry-After`: seconds, or a date.
pub(crate) fn retry_after(value: &str, now_ms: i64) -> Option<Duration> {
    let value = value.trim();
    if let Ok(secs) = value.parse() {
        return Some(Duration::from_secs(secs));
    }
    let date = time::PrimitiveDateTime::parse(value, HTTP_DATE).ok()?.assume_utc();
    let wait_ms = date.unix_timestamp().checked_mul(1_000)?.saturating_sub(now_ms);
    Some(Duration::from_millis(u64::try_from(wait_ms).unwrap_or(0)))
}

/// RFC 9110, 5.6.7.
const HTTP_DATE: &[time::format_description::BorrowedFormatItem<'_>] = time::macros::format_description!(
    "[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT"
);

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn shc_32_each_answer_has_its_meaning() {
        let (refused, away) = (Verdict::Refused { retry_after: None }, Verdict::Away { retry_after: None });
        for (statuses, verdict) in [
            (&[200, 201, 204, 299][..], Verdict::Delivered),
            (&[410], Verdict::Gone),
            (&[300, 301, 302, 307, 308, 400, 401, 404, 413, 500, 501], refused),
            (&[429, 502, 503, 504], away),
        ] {
            for status in statuses {
                assert_eq!(Verdict::of_status(*status, None), verdict, "{status}");
            }
        }
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        let now_ms = 1_445_412_470_500;
        assert_eq!(retry_after(" 120 ", now_ms), Some(Duration::from_mins(2)));
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        assert_eq!(retry_after(date, now_ms), Some(Duration::from_millis(9_500)));
        assert_eq!(retry_after(date, now_ms + 60_000), Some(Duration::ZERO));
        for wrong in ["", "soon", "-1", "1.5", "Wed, 21 Oct 2015"] {
            assert_eq!(retry_after(wrong, now_ms), None, "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(value in ".{0,40}", now_ms: i64) {
            let _ = retry_after(&value, now_ms);
        }
    }
}
