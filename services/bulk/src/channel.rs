//! The number that a campaign is sent through: whether it takes messages now.

use std::time::Duration;

use chasqui_kit::{Bus, Code, TraceContext, request::RequestError};
use chasqui_proto::{
    Tenant,
    service::SESSIONS_GET,
    v1::{Channel, GetSession, Session, SessionStatus},
};

/// How often a number is asked for, milliseconds.
const ASK_EVERY_MS: i64 = 2_000;
/// How long a campaign waits for the answer. Without one it waits for the number.
const ANSWER_WAIT: Duration = Duration::from_millis(500);

/// What a number means for a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It sends.
    Open,
    /// It will send again by itself.
    Waits {
        /// When, unix milliseconds; 0 where that is not known.
        until_ms: i64,
    },
    /// People have to do something about it: the campaign stops.
    Broken(String),
}

/// The number of one campaign.
#[derive(Debug)]
pub(crate) struct Number {
    bus: Bus,
    question: GetSession,
    known: Known,
    /// When it was asked for last, and for which start: whoever starts a campaign may have mended its number just now.
    asked: Option<(i64, i64)>,
}

/// What was answered last.
#[derive(Debug)]
enum Known {
    Nothing,
    Session(Box<Session>),
    NoSession(String),
}

impl Number {
    /// The number of a channel; without one, the tenant's default.
    pub(crate) fn new(bus: &Bus, tenant: &Tenant, channel: Option<&Channel>) -> Self {
        let session = channel.map(|channel| channel.id.clone()).unwrap_or_default();
        let question = GetSession { tenant: tenant.to_string(), session };
        Self { bus: bus.clone(), question, known: Known::Nothing, asked: None }
    }

    /// What the number means for a campaign that was started at `started_at_ms`.
    pub(crate) async fn look(&mut self, started_at_ms: i64, now_ms: i64) -> Line {
        let is_fresh = |(asked_at_ms, asked_for_ms): (i64, i64)| {
            (0..ASK_EVERY_MS).contains(&(now_ms - asked_at_ms)) && asked_for_ms == started_at_ms
        };
        if !self.asked.is_some_and(is_fresh) {
            self.known = self.ask().await;
            self.asked = Some((now_ms, started_at_ms));
        }
        match &self.known {
            Known::Nothing => Line::Waits { until_ms: 0 },
            Known::Session(session) => line(session, started_at_ms, now_ms),
            Known::NoSession(problem) => Line::Broken(problem.clone()),
        }
    }

    async fn ask(&self) -> Known {
        let (subject, trace) = (SESSIONS_GET.subject, TraceContext::root());
        match self.bus.ask_subject(subject, &self.question, trace, ANSWER_WAIT).await {
            Ok(session) => Known::Session(Box::new(session)),
            Err(RequestError::Refused { code: Code::NotFound | Code::InvalidInput, message }) => {
                Known::NoSession(message)
            }
            Err(error) => {
                tracing::debug!(%error, "how a number stands is not known now; its campaigns wait");
                Known::Nothing
            }
        }
    }
}

/// What a session's state means for a campaign. What campaigns were held back for before this one was started is known to
/// whoever started it: it waits for the end, and does not stop again.
fn line(session: &Session, started_at_ms: i64, now_ms: i64) -> Line {
    let is_halted = !session.campaigns_halted.is_empty();
    if is_halted && session.campaigns_halted_at_ms > started_at_ms {
        return Line::Broken(session.campaigns_halted.clone());
    }
    match session.status() {
        // Nobody has opened it yet, or its owner is about to.
        SessionStatus::Stopped if session.version == 0 => Line::Waits { until_ms: 0 },
        SessionStatus::Stopped | SessionStatus::Failed | SessionStatus::LoggedOut => {
            Line::Broken(broken(session))
        }
        SessionStatus::Connected if is_halted && session.campaigns_halted_until_ms > now_ms => {
            Line::Waits { until_ms: session.campaigns_halted_until_ms }
        }
        SessionStatus::Connected => Line::Open,
        SessionStatus::Unspecified
        | SessionStatus::Starting
        | SessionStatus::ScanQr
        | SessionStatus::Reconnecting => Line::Waits { until_ms: 0 },
    }
}

fn broken(session: &Session) -> String {
    let (id, status) = (&session.id, session.status().name());
    if session.reason.is_empty() {
        format!("the WhatsApp session {id} is {status}")
    } else {
        format!("the WhatsApp session {id} is {status}: {}", session.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STARTED_MS: i64 = 1_000_000;
    const NOW_MS: i64 = 1_060_000;

    fn session(status: SessionStatus) -> Session {
        Session { id: "main".to_owned(), status: status.into(), version: 1, ..Session::default() }
    }

    fn halted(at_ms: i64, until_ms: i64) -> Session {
        Session {
            campaigns_halted: "spam limit (131048)".to_owned(),
            campaigns_halted_at_ms: at_ms,
            campaigns_halted_until_ms: until_ms,
            ..session(SessionStatus::Connected)
        }
    }

    fn check(session: &Session, expected: &Line) {
        assert_eq!(line(session, STARTED_MS, NOW_MS), *expected, "{session:?}");
    }

    #[test]
    fn what_comes_back_by_itself_is_waited_for_and_what_does_not_stops_the_campaign() {
        let wait = Line::Waits { until_ms: 0 };
        check(&session(SessionStatus::Connected), &Line::Open);
        check(&session(SessionStatus::Starting), &wait);
        check(&session(SessionStatus::Reconnecting), &wait);
        check(&session(SessionStatus::ScanQr), &wait);
        check(&Session { version: 0, ..session(SessionStatus::Stopped) }, &wait);
        let failed = Session { reason: "timeout".to_owned(), ..session(SessionStatus::Failed) };
        check(&failed, &Line::Broken("the WhatsApp session main is failed: timeout".to_owned()));
        let stopped = Line::Broken("the WhatsApp session main is stopped".to_owned());
        check(&session(SessionStatus::Stopped), &stopped);
        let logged_out = Line::Broken("the WhatsApp session main is logged_out".to_owned());
        check(&session(SessionStatus::LoggedOut), &logged_out);
    }

    #[test]
    fn a_halt_stops_those_who_run_and_makes_those_who_are_started_later_wait() {
        let spam = Line::Broken("spam limit (131048)".to_owned());
        check(&halted(STARTED_MS + 1, NOW_MS + 5), &spam);
        check(&halted(STARTED_MS, NOW_MS + 5), &Line::Waits { until_ms: NOW_MS + 5 });
        check(&halted(STARTED_MS - 1, NOW_MS), &Line::Open);
    }
}
