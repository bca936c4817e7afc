//! How many messages may be under way at once. Pure.

/// What a number sends in so many seconds is handed to it in advance: more than the way there and back takes, and few
/// enough that pausing and cancelling are felt.
const SECONDS_AHEAD: f64 = 3.0;
/// Until a rate is known, and where it is low.
const WINDOW_MIN: u32 = 64;
/// Whatever the rate.
pub(crate) const WINDOW_MAX: u32 = 5_000;

/// The window of a campaign whose messages leave the queue of its number at so many a second.
pub(crate) fn window(per_second: f64) -> u32 {
    let ahead = (per_second * SECONDS_AHEAD).ceil();
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it lies between the bounds")]
    let ahead = ahead.clamp(f64::from(WINDOW_MIN), f64::from(WINDOW_MAX)) as u32;
    ahead
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_window_is_three_seconds_wide_within_its_bounds() {
        let check = |per_second: f64, expected: u32| assert_eq!(window(per_second), expected, "{per_second}");
        check(0.0, 64);
        check(80.0, 240);
        check(500.0, 1_500);
        check(10_000.0, 5_000);
    }

    proptest! {
        #[test]
        fn no_window_leaves_its_bounds(per_second in proptest::num::f64::POSITIVE | proptest::num::f64::ZERO) {
            prop_assert!((WINDOW_MIN..=WINDOW_MAX).contains(&window(per_second)));
        }
    }
}
