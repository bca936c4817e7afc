//! What becomes of a message to a contact: pure decisions, taken by its `Send` in the bucket.

use std::time::Duration;

use chasqui_proto::v1::{Message, Priority, ProviderError, Send, SendState};

use crate::{
    connector::Outcome,
    verdict::{self, Verdict},
};

/// The longest short pause before a message is tried again.
const RETRY_PAUSE_MAX: Duration = Duration::from_mins(1);

/// What its `Send` asks of whoever holds the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// It is to be sent now.
    Attempt,
    /// It is to be sent at this time, unix milliseconds.
    Wait(i64),
    /// Somebody began to send it, and nothing was heard of that.
    Doubt,
    /// Only the provider's word resolves it.
    Uncertain,
    /// The provider's word did not come in time.
    Overdue,
    /// Nothing is left to do.
    Settled,
}

/// What is to be done with a message that nobody is sending in this process.
pub(crate) fn step(send: &Send, now_ms: i64, uncertain_wait: Duration) -> Step {
    match send.state() {
        SendState::Waiting if send.next_at_ms > now_ms => Step::Wait(send.next_at_ms),
        SendState::Unspecified | SendState::Waiting => Step::Attempt,
        SendState::Sending => Step::Doubt,
        SendState::Uncertain
            if u128::from((now_ms - send.changed_at_ms).unsigned_abs()) < uncertain_wait.as_millis() =>
        {
            Step::Uncertain
        }
        SendState::Uncertain => Step::Overdue,
        SendState::Accepted | SendState::Failed => Step::Settled,
    }
}

/// Whether its sender does not want a message to be sent any more at a time, unix milliseconds.
pub(crate) fn has_expired(message: &Message, at_ms: i64) -> bool {
    message.expires_at_ms > 0 && message.expires_at_ms <= at_ms
}

/// What an attempt knows besides its outcome.
#[derive(Debug)]
pub(crate) struct Case<'a> {
    /// As it stood during the attempt, the attempt counted.
    pub(crate) send: &'a Send,
    pub(crate) priority: Priority,
    /// A template could take its place and has not yet.
    pub(crate) has_fallback: bool,
    /// The provider is tried one message at a time, since it does not answer.
    pub(crate) probing: bool,
    /// How long the contact waits if it gets too many; `None` where it waited often enough.
    pub(crate) pair_pause: Option<Duration>,
    /// From 0 to 1.
    pub(crate) jitter: f64,
    pub(crate) attempts_max: u32,
    /// The first short pause; it doubles.
    pub(crate) retry_pause: Duration,
    pub(crate) campaign_pause: Duration,
}

/// What becomes of a message after an attempt.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Next {
    Accepted {
        provider_id: String,
    },
    Uncertain {
        cause: String,
    },
    /// `dead` says in one word why it goes to the dead letters, where somebody may want to send it after all.
    Failed {
        error: ProviderError,
        dead: Option<&'static str>,
    },
    /// Tried again after a pause.
    Again(Again),
    /// The template is sent in its place.
    Fallback {
        error: ProviderError,
    },
}

/// How a message is tried again.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Again {
    pub(crate) error: ProviderError,
    pub(crate) pause: Duration,
    /// The attempt counts.
    pub(crate) counted: bool,
    /// It waits with its owner, however long, because what it waits for is its owner's.
    pub(crate) with_owner: bool,
}

/// What an attempt means for everything else that the number sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Effect {
    Accepted,
    /// The provider answered.
    Answered,
    /// The provider did not answer.
    Silent,
    /// Not a byte reached the provider.
    Unwritten,
    NumberThrottled(Duration),
    PairRefused,
    NumberHalted(String),
    CampaignsHalted(String),
}

/// What becomes of a message, and of the others.
pub(crate) fn after(case: &Case<'_>, outcome: Outcome) -> (Next, Effect) {
    match outcome {
        Outcome::Accepted { provider_id } => (Next::Accepted { provider_id }, Effect::Accepted),
        Outcome::Unknown(text) => (Next::Uncertain { cause: text }, Effect::Silent),
        Outcome::NotWritten(text) => {
            let error =
                ProviderError { title: "not_sent".to_owned(), message: text, ..ProviderError::default() };
            // While nobody answers at all, no message is to blame.
            (retried(case, error, None, None, !case.probing), Effect::Unwritten)
        }
        Outcome::Refused { error, http_status, retry_after } => {
            refused(case, error, http_status, retry_after)
        }
    }
}

fn refused(
    case: &Case<'_>,
    error: ProviderError,
    http_status: u16,
    retry_after: Option<Duration>,
) -> (Next, Effect) {
    let again = |error, pause, counted, with_owner| Next::Again(Again { error, pause, counted, with_owner });
    let failed = |error, dead| Next::Failed { error, dead };
    let reason = reason_of(&error);
    match verdict::of(error.code, http_status) {
        Verdict::Retry { tries_max } => {
            (retried(case, error, tries_max, retry_after, true), Effect::Answered)
        }
        Verdict::ThrottleNumber(pause) => {
            let pause = retry_after.unwrap_or(pause);
            (again(error, Duration::ZERO, false, true), Effect::NumberThrottled(pause))
        }
        Verdict::ThrottlePair => match case.pair_pause {
            Some(pause) => (again(error, pause, false, false), Effect::PairRefused),
            None => (failed(error, Some("attempts")), Effect::PairRefused),
        },
        Verdict::Later(_) if had(case.send, error.code) => (failed(error, None), Effect::Answered),
        Verdict::Later(pause) => (again(error, pause, true, false), Effect::Answered),
        Verdict::StopNumber => (again(error, Duration::ZERO, false, true), Effect::NumberHalted(reason)),
        Verdict::StopCampaigns if case.priority == Priority::Campaign => {
            (again(error, case.campaign_pause, false, true), Effect::CampaignsHalted(reason))
        }
        Verdict::StopCampaigns => (failed(error, Some("refused")), Effect::CampaignsHalted(reason)),
        Verdict::NeedsTemplate if case.has_fallback => (Next::Fallback { error }, Effect::Answered),
        Verdict::NeedsTemplate | Verdict::OptOut | Verdict::Permanent => {
            (failed(error, None), Effect::Answered)
        }
    }
}

/// An error in a few words, such as `spam limit (131048)`.
pub(crate) fn reason_of(error: &ProviderError) -> String {
    format!("{} ({})", if error.title.is_empty() { &error.message } else { &error.title }, error.code)
}

/// Whether the attempt before failed for the same reason.
pub(crate) fn had(send: &Send, code: i64) -> bool {
    send.error.as_ref().is_some_and(|error| error.code == code)
}

fn retried(
    case: &Case<'_>,
    error: ProviderError,
    tries_max: Option<u32>,
    retry_after: Option<Duration>,
    counted: bool,
) -> Next {
    if counted && case.send.attempts >= tries_max.unwrap_or(case.attempts_max).min(case.attempts_max) {
        return Next::Failed { error, dead: Some("attempts") };
    }
    let doubled = case.retry_pause.saturating_mul(1 << case.send.attempts.saturating_sub(1).min(16));
    let pause = doubled.min(RETRY_PAUSE_MAX).mul_f64(0.5 + case.jitter / 2.0);
    let pause = retry_after.map_or(pause, |told| told.max(pause));
    Next::Again(Again { error, pause, counted, with_owner: false })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn send(state: SendState, attempts: u32) -> Send {
        Send { state: state.into(), attempts, changed_at_ms: 1_000, ..Send::default() }
    }

    fn case(send: &Send) -> Case<'_> {
        Case {
            send,
            priority: Priority::Transactional,
            has_fallback: false,
            probing: false,
            pair_pause: Some(Duration::from_secs(4)),
            jitter: 1.0,
            attempts_max: 5,
            retry_pause: Duration::from_secs(1),
            campaign_pause: MINUTE,
        }
    }

    fn refusal(code: i64) -> Outcome {
        let error = ProviderError { code, title: "t".to_owned(), ..ProviderError::default() };
        Outcome::Refused { error, http_status: 400, retry_after: None }
    }

    fn pause_of(next: &Next) -> Option<Duration> {
        if let Next::Again(again) = next { Some(again.pause) } else { None }
    }

    #[test]
    fn a_message_is_sent_by_exactly_one_state() {
        let check = |state, now_ms, expected| {
            assert_eq!(step(&Send { next_at_ms: 5_000, ..send(state, 1) }, now_ms, MINUTE), expected);
        };
        check(SendState::Waiting, 4_999, Step::Wait(5_000));
        check(SendState::Waiting, 5_000, Step::Attempt);
        check(SendState::Sending, 5_000, Step::Doubt);
        check(SendState::Uncertain, 60_999, Step::Uncertain);
        check(SendState::Uncertain, 61_000, Step::Overdue);
        check(SendState::Accepted, 5_000, Step::Settled);
        check(SendState::Failed, 5_000, Step::Settled);
    }

    #[test]
    fn short_pauses_double_and_end_with_the_fifth_attempt() {
        let pauses: Vec<_> = (1..=5)
            .map(|attempts| pause_of(&after(&case(&send(SendState::Sending, attempts)), refusal(131_000)).0))
            .collect();
        assert_eq!(pauses, [Some(1), Some(2), Some(4), Some(8), None].map(|s| s.map(Duration::from_secs)));
        let (next, _) = after(&case(&send(SendState::Sending, 5)), refusal(131_000));
        assert!(matches!(next, Next::Failed { dead: Some("attempts"), .. }));
        let (next, _) = after(&case(&send(SendState::Sending, 2)), refusal(135_000));
        assert!(matches!(next, Next::Failed { .. }), "135000 is tried once more, not twice");
    }

    #[test]
    fn nobody_is_blamed_for_a_provider_that_is_away() {
        let send = send(SendState::Sending, 5);
        let away = || Outcome::NotWritten("connection refused".to_owned());
        assert!(matches!(after(&case(&send), away()).0, Next::Failed { dead: Some("attempts"), .. }));
        let (next, effect) = after(&Case { probing: true, ..case(&send) }, away());
        assert!(matches!(next, Next::Again(Again { counted: false, .. })));
        assert_eq!(effect, Effect::Unwritten);
    }

    #[test]
    fn throttles_never_use_up_the_attempts() {
        let send = send(SendState::Sending, 5);
        for (code, effect) in [
            (130_429, Effect::NumberThrottled(Duration::from_secs(1))),
            (131_056, Effect::PairRefused),
            (190, Effect::NumberHalted("t (190)".to_owned())),
        ] {
            let (next, seen) = after(&case(&send), refusal(code));
            assert!(matches!(next, Next::Again(Again { counted: false, .. })), "{code}");
            assert_eq!(seen, effect);
        }
        let (next, _) = after(&Case { pair_pause: None, ..case(&send) }, refusal(131_056));
        assert!(matches!(next, Next::Failed { dead: Some(_), .. }));
    }

    #[test]
    fn whom_whatsapp_spares_is_tried_once_more_a_day_later() {
        let first = send(SendState::Sending, 1);
        assert_eq!(pause_of(&after(&case(&first), refusal(131_049)).0), Some(Duration::from_hours(24)));
        let error = ProviderError { code: 131_049, ..ProviderError::default() };
        let second = Send { error: Some(error), ..send(SendState::Sending, 2) };
        assert!(matches!(after(&case(&second), refusal(131_049)).0, Next::Failed { dead: None, .. }));
    }

    #[test]
    fn a_stopped_campaign_burns_no_message_of_its_list() {
        let send = send(SendState::Sending, 1);
        let campaign = Case { priority: Priority::Campaign, ..case(&send) };
        let (next, effect) = after(&campaign, refusal(131_048));
        assert!(matches!(next, Next::Again(Again { with_owner: true, counted: false, .. })));
        assert_eq!(effect, Effect::CampaignsHalted("t (131048)".to_owned()));
        assert!(matches!(after(&case(&send), refusal(131_048)).0, Next::Failed { dead: Some(_), .. }));
    }

    #[test]
    fn outside_its_window_a_contact_gets_the_template_or_nothing() {
        let send = send(SendState::Sending, 1);
        let fallback = Case { has_fallback: true, ..case(&send) };
        assert!(matches!(after(&fallback, refusal(131_047)).0, Next::Fallback { .. }));
        assert!(matches!(after(&case(&send), refusal(131_047)).0, Next::Failed { dead: None, .. }));
    }
}
