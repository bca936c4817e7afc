//! What a provider's refusal means for the message, its contact and its number.

use std::time::Duration;

/// What is to be done after a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Tried again after a short pause that grows, `tries_max` times in all; then it is a dead letter.
    Retry {
        /// `None` leaves it to the configuration.
        tries_max: Option<u32>,
    },
    /// The number sends too fast: it pauses, and the message goes first after that.
    ThrottleNumber(Duration),
    /// The contact gets too many: only it waits.
    ThrottlePair,
    /// Once more, and not before this.
    Later(Duration),
    /// The number or its credentials are refused: nothing can be sent.
    StopNumber,
    /// Campaigns would only be refused; answers go on.
    StopCampaigns,
    /// The contact wants no marketing.
    OptOut,
    /// The contact may be written to only by template.
    NeedsTemplate,
    /// The message cannot be sent.
    Permanent,
}

impl Verdict {
    /// In one word, for metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Retry { .. } => "retry",
            Self::ThrottleNumber(_) => "throttle_number",
            Self::ThrottlePair => "throttle_pair",
            Self::Later(_) => "later",
            Self::StopNumber => "stop_number",
            Self::StopCampaigns => "stop_campaigns",
            Self::OptOut => "opt_out",
            Self::NeedsTemplate => "needs_template",
            Self::Permanent => "permanent",
        }
    }
}

const RETRY: Verdict = Verdict::Retry { tries_max: None };
const ONCE_MORE: Verdict = Verdict::Retry { tries_max: Some(2) };
/// What the number waits after it sent too fast for a second.
const BREATH: Duration = Duration::from_secs(1);
/// What it waits while its limit is being raised, which takes up to a minute.
const UPGRADE: Duration = Duration::from_secs(10);
/// What it waits after too many calls in an hour.
const QUOTA: Duration = Duration::from_mins(1);
const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);

/// By code. WhatsApp asks to decide by the code alone, never by its title or the HTTP status.
const CODES: [(std::ops::RangeInclusive<i64>, Verdict); 41] = [
    (1..=2, RETRY),
    (4..=4, Verdict::ThrottleNumber(QUOTA)),
    (10..=10, Verdict::StopNumber),
    (33..=33, Verdict::Permanent),
    (100..=100, Verdict::Permanent),
    (190..=190, Verdict::StopNumber),
    (200..=299, Verdict::StopNumber),
    (368..=368, Verdict::StopNumber),
    (80007..=80007, Verdict::ThrottleNumber(QUOTA)),
    (130_429..=130_429, Verdict::ThrottleNumber(BREATH)),
    (130_472..=130_472, Verdict::Permanent),
    (130_497..=130_497, Verdict::StopCampaigns),
    (131_000..=131_000, RETRY),
    (131_008..=131_009, Verdict::Permanent),
    (131_016..=131_016, RETRY),
    (131_021..=131_021, Verdict::Permanent),
    (131_026..=131_026, Verdict::Permanent),
    (131_030..=131_030, Verdict::Permanent),
    (131_031..=131_031, Verdict::StopNumber),
    (131_037..=131_037, Verdict::Permanent),
    (131_042..=131_042, Verdict::StopNumber),
    (131_045..=131_045, Verdict::StopNumber),
    (131_047..=131_047, Verdict::NeedsTemplate),
    (131_048..=131_048, Verdict::StopCampaigns),
    (131_049..=131_049, Verdict::Later(DAY)),
    (131_050..=131_050, Verdict::OptOut),
    (131_051..=131_053, Verdict::Permanent),
    (131_056..=131_056, Verdict::ThrottlePair),
    (131_057..=131_057, Verdict::ThrottleNumber(UPGRADE)),
    (131_062..=131_063, Verdict::Permanent),
    (131_064..=131_064, Verdict::StopCampaigns),
    (132_000..=132_001, Verdict::Permanent),
    (132_005..=132_005, Verdict::Permanent),
    (132_007..=132_008, Verdict::Permanent),
    (132_012..=132_012, Verdict::Permanent),
    (132_015..=132_016, Verdict::StopCampaigns),
    (132_068..=132_068, Verdict::Permanent),
    (132_069..=132_069, Verdict::Later(HOUR)),
    (133_004..=133_004, RETRY),
    (135_000..=135_000, ONCE_MORE),
    (137_000..=137_000, Verdict::Permanent),
];

/// What a refusal means. `http_status` decides only where the code says nothing; it is 0 where the provider does not
/// speak HTTP.
pub(crate) fn of(code: i64, http_status: u16) -> Verdict {
    let known = CODES.iter().find(|(codes, _)| codes.contains(&code));
    known.map_or_else(|| of_status(code, http_status), |(_, verdict)| *verdict)
}

fn of_status(code: i64, http_status: u16) -> Verdict {
    match (code, http_status) {
        (_, 408 | 500..) | (0, 0) => RETRY,
        (_, 429) => Verdict::ThrottleNumber(BREATH),
        (0, 401 | 403) => Verdict::StopNumber,
        _ => Verdict::Permanent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(verdict: Verdict, codes: impl IntoIterator<Item = i64>) {
        for code in codes {
            for http_status in [0, 400, 500] {
                assert_eq!(of(code, http_status), verdict, "{code}");
            }
        }
    }

    #[test]
    fn every_documented_code_has_its_verdict() {
        check(RETRY, [1, 2, 131_000, 131_016, 133_004]);
        check(ONCE_MORE, [135_000]);
        check(Verdict::ThrottleNumber(QUOTA), [4, 80_007]);
        check(Verdict::ThrottleNumber(BREATH), [130_429]);
        check(Verdict::ThrottleNumber(UPGRADE), [131_057]);
        check(Verdict::ThrottlePair, [131_056]);
        check(Verdict::Later(DAY), [131_049]);
        check(Verdict::Later(HOUR), [132_069]);
        check(Verdict::StopNumber, [10, 190, 368, 131_031, 131_042, 131_045]);
        check(Verdict::StopNumber, 200..=299);
        check(Verdict::StopCampaigns, [130_497, 131_048, 131_064, 132_015, 132_016]);
        check(Verdict::OptOut, [131_050]);
        check(Verdict::NeedsTemplate, [131_047]);
        let message = [33, 100, 130_472, 131_008, 131_009, 131_021, 131_026, 131_030, 131_037, 131_051];
        check(Verdict::Permanent, message);
        check(Verdict::Permanent, [131_052, 131_053, 131_062, 131_063, 137_000]);
        check(Verdict::Permanent, [132_000, 132_001, 132_005, 132_007, 132_008, 132_012, 132_068]);
    }

    #[test]
    fn where_the_code_says_nothing_the_status_decides() {
        assert_eq!(of(0, 401), Verdict::StopNumber);
        assert_eq!(of(0, 503), RETRY);
        assert_eq!(of(0, 429), Verdict::ThrottleNumber(BREATH));
        assert_eq!(of(0, 404), Verdict::Permanent);
        assert_eq!(of(3, 500), RETRY);
        assert_eq!(of(999_999, 400), Verdict::Permanent);
        // A connector of a linked device that gives no code says nothing about the message.
        assert_eq!(of(0, 0), RETRY);
    }
}
