//! How a session stands, and what moves it. Pure: the time is an argument, what becomes of the connection is told.
//!
//! Nothing lasts for ever but connected, stopped, logged out and failed: every other state has an end, so that whoever
//! opens a session and waits is told a QR, that it is ready, or why not.

mod campaigns;
#[cfg(test)]
mod tests;

use chasqui_proto::v1::{LinkEvent, LinkQr, Session, SessionStatus, link_event::What};

use super::SessionKey;
use crate::{Config, Error, qr};

/// How long a QR can be scanned, milliseconds (WAB-29).
const QR_LIFETIME_MS_MAX: i64 = 3 * 60 * 1_000;
/// How long a new owner finds its connector before the session counts as disconnected, milliseconds: a take-over that is
/// shorter is shown to nobody.
const TAKEOVER_GRACE_MS: i64 = 10_000;
/// How long a session has stood before a failure counts as the first again, milliseconds.
const STEADY_MS: i64 = 60 * 60 * 1_000;
/// Why a number is stopped that somebody closed: it stays so until somebody opens it.
const CLOSED: &str = "closed";
/// The most characters of a reason, and digits of a phone.
const REASON_CHARS_MAX: usize = 200;
const PHONE_DIGITS_MAX: usize = 20;

/// Pauses that double, milliseconds.
#[derive(Clone, Copy, Debug)]
struct Pauses {
    min_ms: i64,
    max_ms: i64,
}

impl Pauses {
    /// Between attempts to connect.
    const RECONNECT: Self = Self { min_ms: 1_000, max_ms: 30_000 };
    /// Between looks whether a provider or connector that was away is back, once the session has failed.
    const AWAY: Self = Self { min_ms: 15_000, max_ms: 5 * 60 * 1_000 };
    /// Between looks whether a provider takes a number again that it refused. Its management calls are counted.
    const REFUSED: Self = Self { min_ms: 60_000, max_ms: 60 * 60 * 1_000 };

    fn after(self, failures: u32) -> i64 {
        self.min_ms.saturating_mul(1 << failures.min(20)).min(self.max_ms)
    }
}

/// The bounds of a session's states.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// How long it may take to start or to come back, milliseconds.
    pub(crate) session_timeout_ms: i64,
    /// How many attempts fail, and how many QRs are shown, before it has failed.
    pub(crate) retries_max: u32,
}

impl Limits {
    pub(crate) fn new(config: &Config) -> Self {
        let session_timeout_ms = i64::try_from(config.session_timeout_ms).unwrap_or(i64::MAX);
        Self { session_timeout_ms, retries_max: config.retries_max }
    }
}

/// Whether the connector is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    Off,
    On,
    /// From this moment, unix milliseconds.
    At(i64),
}

/// One session while it has an owner.
#[derive(Debug)]
pub(crate) struct Machine {
    session: Session,
    /// Since when its status is what it is, unix milliseconds.
    since_ms: i64,
    is_cloud: bool,
    limits: Limits,
    run: Run,
    /// When the present state ends by itself, unix milliseconds.
    deadline_ms: Option<i64>,
    /// Attempts to connect that failed since it was connected or opened.
    retries: u32,
    /// QRs that were shown since then.
    qrs: u32,
    /// Failures in a row, for the pauses after them.
    failures: u32,
    pauses_after_failure: Pauses,
    /// This owner has been told that it is connected. The one before may have been; until then nothing is sent.
    confirmed: bool,
}

impl Machine {
    /// A session as its new owner finds it.
    pub(crate) fn resume(
        key: &SessionKey,
        stored: Option<Session>,
        is_cloud: bool,
        limits: Limits,
        now_ms: i64,
    ) -> Self {
        let is_new = stored.is_none();
        let session = stored.unwrap_or_else(|| blank(key));
        let mut machine = Self {
            since_ms: session.updated_at_ms,
            session,
            is_cloud,
            limits,
            run: Run::On,
            deadline_ms: None,
            retries: 0,
            qrs: 0,
            failures: 0,
            pauses_after_failure: Pauses::AWAY,
            confirmed: false,
        };
        match machine.session.status() {
            _ if is_new => machine.start(now_ms),
            SessionStatus::Connected => machine.deadline_ms = Some(now_ms + TAKEOVER_GRACE_MS),
            SessionStatus::ScanQr if !is_cloud && now_ms < machine.session.qr_expires_at_ms => {
                (machine.qrs, machine.deadline_ms) = (1, Some(machine.session.qr_expires_at_ms));
            }
            SessionStatus::Reconnecting => machine.deadline_ms = Some(now_ms + limits.session_timeout_ms),
            // Once it was connected, it comes back by itself.
            SessionStatus::Failed if is_cloud || !machine.session.phone.is_empty() => {}
            SessionStatus::Failed => machine.run = Run::Off,
            _ if machine.is_closed() => machine.run = Run::Off,
            _ => machine.start(now_ms),
        }
        machine
    }

    /// The state as it is told.
    pub(crate) fn session(&self) -> &Session {
        &self.session
    }

    /// Whether messages may be sent.
    pub(crate) fn is_open(&self) -> bool {
        self.session.status() == SessionStatus::Connected && self.confirmed
    }

    /// Whether the connector is to run now.
    pub(crate) fn runs(&self) -> bool {
        self.run == Run::On
    }

    /// When to call [`Machine::tick`] at the latest, unix milliseconds.
    pub(crate) fn next_tick_ms(&self) -> Option<i64> {
        let run = if let Run::At(at_ms) = self.run { Some(at_ms) } else { None };
        [run, self.deadline_ms, self.campaigns_held_until_ms()].into_iter().flatten().min()
    }

    /// Somebody wants it connected. What is under way goes on; what has ended begins again.
    pub(crate) fn open(&mut self, now_ms: i64) {
        match self.session.status() {
            SessionStatus::Connected | SessionStatus::Starting => {}
            SessionStatus::ScanQr if now_ms < self.session.qr_expires_at_ms => {}
            SessionStatus::Reconnecting => self.run = Run::On,
            _ => self.start(now_ms),
        }
    }

    /// Somebody wants it ended. The caller has told the provider.
    pub(crate) fn close(&mut self, now_ms: i64) {
        if self.is_closed() {
            return;
        }
        if self.is_cloud {
            self.turn(SessionStatus::Stopped, CLOSED, now_ms);
        } else {
            self.log_out("", now_ms);
        }
        (self.run, self.deadline_ms) = (Run::Off, None);
    }

    /// The directory knows it no longer, or its tenant is suspended. It begins again once that is over.
    pub(crate) fn suspend(&mut self, now_ms: i64) {
        let status = if self.is_cloud { SessionStatus::Stopped } else { SessionStatus::Reconnecting };
        self.turn(status, "suspended", now_ms);
        (self.run, self.deadline_ms) = (Run::Off, None);
    }

    /// What the connector tells. A QR that cannot be shown is refused and changes nothing.
    pub(crate) fn told(&mut self, event: &LinkEvent, now_ms: i64) -> Result<(), Error> {
        // What comes after the end is of a connector that was let go.
        if self.run == Run::Off {
            return Ok(());
        }
        match &event.what {
            Some(What::Qr(qr)) => return self.show(qr, now_ms),
            Some(What::Connected(connected)) => self.connected(&connected.phone, now_ms),
            Some(What::Disconnected(told)) => self.disconnected(&told.reason, now_ms),
            Some(What::LoggedOut(told)) if self.is_cloud => {
                self.pauses_after_failure = Pauses::REFUSED;
                self.fail(&told.reason, now_ms);
            }
            Some(What::LoggedOut(told)) => {
                self.log_out(&told.reason, now_ms);
                (self.run, self.deadline_ms) = (Run::Off, None);
            }
            None => return Err(Error::Invalid("link: expected one of its events".to_owned())),
        }
        Ok(())
    }

    /// The provider refuses to send for it.
    pub(crate) fn halted(&mut self, reason: &str, now_ms: i64) {
        if self.session.status() == SessionStatus::Connected {
            self.pauses_after_failure = Pauses::REFUSED;
            self.fail(reason, now_ms);
        }
    }

    /// The connector has ended by itself.
    pub(crate) fn ended(&mut self, now_ms: i64) {
        if self.run == Run::On {
            self.run = Run::At(now_ms + self.pause());
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now_ms: i64) {
        if matches!(self.run, Run::At(at_ms) if at_ms <= now_ms) {
            self.run = Run::On;
        }
        self.let_campaigns_go_on(now_ms);
        if self.deadline_ms.is_none_or(|deadline_ms| now_ms < deadline_ms) {
            return;
        }
        match self.session.status() {
            SessionStatus::ScanQr if self.qrs < self.limits.retries_max => self.wait_for_connector(now_ms),
            SessionStatus::Connected => self.reconnect("taken_over", now_ms),
            _ => self.fail("timeout", now_ms),
        }
    }

    fn is_closed(&self) -> bool {
        match self.session.status() {
            SessionStatus::LoggedOut => true,
            SessionStatus::Stopped => self.session.reason == CLOSED,
            _ => false,
        }
    }

    /// Another state of this version, or a later one, was stored: this one comes after it.
    pub(crate) fn outdo(&mut self, version: u64) {
        self.session.version = self.session.version.max(version + 1);
    }

    fn start(&mut self, now_ms: i64) {
        (self.run, self.retries, self.qrs, self.failures) = (Run::On, 0, 0, 0);
        self.wait_for_connector(now_ms);
    }

    fn wait_for_connector(&mut self, now_ms: i64) {
        self.turn(SessionStatus::Starting, "", now_ms);
        self.deadline_ms = Some(now_ms + self.limits.session_timeout_ms);
    }

    fn show(&mut self, LinkQr { code, expires_at_ms }: &LinkQr, now_ms: i64) -> Result<(), Error> {
        let picture = qr::data_url(code)
            .ok_or_else(|| Error::Invalid("link.qr.code: expected 1 to 1,024 bytes".to_owned()))?;
        if *expires_at_ms != 0 && *expires_at_ms <= now_ms {
            return Err(Error::Invalid("link.qr.expires_at_ms: expected a time to come".to_owned()));
        }
        let is_shown = self.session.status() == SessionStatus::ScanQr && self.session.qr == picture;
        if is_shown && now_ms < self.session.qr_expires_at_ms {
            return Ok(());
        }
        self.qrs += 1;
        if self.qrs > self.limits.retries_max {
            self.fail("timeout", now_ms);
            return Ok(());
        }
        self.turn(SessionStatus::ScanQr, "", now_ms);
        let longest = now_ms + QR_LIFETIME_MS_MAX;
        let expires_at_ms = if *expires_at_ms == 0 { longest } else { longest.min(*expires_at_ms) };
        (self.session.qr, self.session.qr_expires_at_ms) = (picture, expires_at_ms);
        self.session.phone.clear();
        self.deadline_ms = Some(expires_at_ms);
        Ok(())
    }

    fn connected(&mut self, phone: &str, now_ms: i64) {
        let phone: String = phone.chars().filter(char::is_ascii_digit).take(PHONE_DIGITS_MAX).collect();
        if self.session.status() != SessionStatus::Connected || self.session.phone != phone {
            self.turn(SessionStatus::Connected, "", now_ms);
            self.session.phone = phone;
        }
        (self.confirmed, self.deadline_ms) = (true, None);
        (self.retries, self.qrs) = (0, 0);
        self.pauses_after_failure = Pauses::AWAY;
    }

    fn disconnected(&mut self, reason: &str, now_ms: i64) {
        match self.session.status() {
            SessionStatus::Connected => return self.reconnect(reason, now_ms),
            // Its QR leads nowhere any more.
            SessionStatus::ScanQr => self.wait_for_connector(now_ms),
            SessionStatus::Starting | SessionStatus::Reconnecting => {}
            _ => return,
        }
        self.retries += 1;
        if self.retries >= self.limits.retries_max {
            self.fail(reason, now_ms);
        }
    }

    fn reconnect(&mut self, reason: &str, now_ms: i64) {
        self.forget_old_failures(now_ms);
        self.turn(SessionStatus::Reconnecting, reason, now_ms);
        self.deadline_ms = Some(now_ms + self.limits.session_timeout_ms);
    }

    fn fail(&mut self, reason: &str, now_ms: i64) {
        self.forget_old_failures(now_ms);
        self.turn(SessionStatus::Failed, if reason.is_empty() { "failed" } else { reason }, now_ms);
        self.deadline_ms = None;
        // Nobody scans the QRs of a device that was never linked: it is opened again by whoever wants it.
        let comes_back = self.is_cloud || !self.session.phone.is_empty();
        self.run = if comes_back { Run::At(now_ms + self.pause()) } else { Run::Off };
    }

    fn log_out(&mut self, reason: &str, now_ms: i64) {
        let reason = if reason.is_empty() { SessionStatus::LoggedOut.name() } else { reason };
        self.turn(SessionStatus::LoggedOut, reason, now_ms);
        self.session.phone.clear();
        self.forget_refused_campaigns();
    }

    /// How long nothing is tried now.
    fn pause(&mut self) -> i64 {
        if self.session.status() != SessionStatus::Failed {
            return Pauses::RECONNECT.after(self.retries.saturating_sub(1));
        }
        self.failures += 1;
        self.pauses_after_failure.after(self.failures - 1)
    }

    fn forget_old_failures(&mut self, now_ms: i64) {
        let connected = self.session.status() == SessionStatus::Connected;
        if connected && now_ms - self.since_ms >= STEADY_MS {
            self.failures = 0;
        }
    }

    fn turn(&mut self, status: SessionStatus, reason: &str, now_ms: i64) {
        advance(&mut self.session, status, reason, now_ms);
        (self.since_ms, self.confirmed) = (now_ms, false);
    }
}

/// A session of which nothing is stored.
pub(crate) fn blank(key: &SessionKey) -> Session {
    Session {
        tenant: key.tenant.to_string(),
        id: key.session.to_string(),
        status: SessionStatus::Stopped.into(),
        ..Session::default()
    }
}

/// The session in another state. Whether campaigns go through it stays as it is.
pub(crate) fn advance(session: &mut Session, status: SessionStatus, reason: &str, now_ms: i64) {
    session.set_status(status);
    session.reason = readable(reason);
    (session.qr, session.qr_expires_at_ms) = (String::new(), 0);
    next_version(session, now_ms);
}

/// Versions grow over owners and restarts: milliseconds, or one more than before.
fn next_version(session: &mut Session, now_ms: i64) {
    session.version = u64::try_from(now_ms).unwrap_or_default().max(session.version + 1);
    session.updated_at_ms = now_ms;
}

/// A reason as people are shown it.
fn readable(reason: &str) -> String {
    reason.chars().filter(|character| !character.is_control()).take(REASON_CHARS_MAX).collect()
}
