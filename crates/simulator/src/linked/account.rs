//! One linked number at its connector: let go, waiting for a scan, connected, down, logged out. Pure: the time is an
//! argument.

use std::collections::{HashSet, VecDeque};

use chasqui_proto::v1::{
    LinkConnected, LinkDisconnected, LinkEvent, LinkLoggedOut, LinkQr, SessionStatus, link_event::What,
};
use uuid::Uuid;

/// How many QRs are shown before the connector gives up.
const QRS_MAX: u32 = 5;
/// How many messages are remembered as sent.
const SENT_MAX: usize = 100_000;
/// What a phone that logs out is told as.
const LOGGED_OUT: &str = "logged_out";

/// How a number stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum State {
    /// No owner has started it, or the last let it go.
    #[default]
    Stopped,
    /// A QR can be scanned.
    Scanning {
        code: String,
        expires_at_ms: i64,
        shown: u32,
    },
    Connected,
    /// The connection broke; it comes back by itself, if at all, at `back_at_ms`.
    Down {
        back_at_ms: Option<i64>,
    },
    LoggedOut,
}

/// One number.
#[derive(Debug, Default)]
pub(super) struct Account {
    state: State,
    /// The phone it is paired with: kept until it is logged out.
    phone: Option<String>,
    /// The highest ownership that was seen.
    ownership: u64,
    /// What the owner has to know, until it does; grows with each event.
    news: Option<(u64, LinkEvent)>,
    events: u64,
    sent: HashSet<String>,
    /// The same, oldest first.
    sent_order: VecDeque<String>,
}

impl Account {
    /// Whether this owner may speak: none with a higher ownership has been seen.
    pub(super) fn obeys(&mut self, ownership: u64) -> bool {
        let obeys = ownership >= self.ownership;
        self.ownership = self.ownership.max(ownership);
        obeys
    }

    /// An owner wants it connected: without a QR when it is paired. A QR that can be scanned stays.
    pub(super) fn start(&mut self, url: &str, qr_lifetime_ms: i64, now_ms: i64) {
        match &self.state {
            _ if self.phone.is_some() => self.state = State::Connected,
            State::Scanning { expires_at_ms, .. } if now_ms < *expires_at_ms => {}
            _ => self.show(url, qr_lifetime_ms, 1, now_ms),
        }
        self.tell_state();
    }

    /// A phone scans the QR, if there is one.
    pub(super) fn scan(&mut self, phone: &str, now_ms: i64) -> bool {
        match self.state {
            State::Connected => true,
            State::Scanning { expires_at_ms, .. } if now_ms < expires_at_ms => {
                self.phone = Some(phone.to_owned());
                self.turn(State::Connected);
                true
            }
            _ => false,
        }
    }

    /// The connection breaks, for so long or until it is started again.
    pub(super) fn disconnect(&mut self, for_ms: Option<i64>, now_ms: i64) -> bool {
        let connected = self.state == State::Connected;
        if connected {
            self.turn(State::Down { back_at_ms: for_ms.map(|for_ms| now_ms.saturating_add(for_ms)) });
        }
        connected
    }

    /// The phone removes the linked device.
    pub(super) fn log_out_by_phone(&mut self) {
        self.phone = None;
        self.turn(State::LoggedOut);
    }

    /// The owner logs it out: nothing that it does not know.
    pub(super) fn log_out_by_owner(&mut self) {
        (self.phone, self.state, self.news) = (None, State::LoggedOut, None);
    }

    /// The owner lets it go. What it is paired with stays.
    pub(super) fn stop(&mut self) {
        if self.state != State::LoggedOut {
            self.state = State::Stopped;
        }
        self.news = None;
    }

    /// When time changes something.
    pub(super) fn deadline_ms(&self) -> Option<i64> {
        match self.state {
            State::Scanning { expires_at_ms, .. } => Some(expires_at_ms),
            State::Down { back_at_ms } => back_at_ms,
            _ => None,
        }
    }

    /// Does what the time has come for.
    pub(super) fn tick(&mut self, url: &str, qr_lifetime_ms: i64, now_ms: i64) {
        if self.deadline_ms().is_none_or(|at_ms| now_ms < at_ms) {
            return;
        }
        match self.state {
            State::Scanning { shown, .. } if shown < QRS_MAX => {
                self.show(url, qr_lifetime_ms, shown + 1, now_ms);
                self.tell_state();
            }
            State::Scanning { .. } => {
                self.state = State::Stopped;
                self.tell(What::Disconnected(LinkDisconnected { reason: "nobody scanned".to_owned() }));
            }
            _ => self.turn(State::Connected),
        }
    }

    /// What the owner has to be told.
    pub(super) fn news(&self) -> Option<&(u64, LinkEvent)> {
        self.news.as_ref()
    }

    /// The owner was told.
    pub(super) fn told(&mut self, event: u64) {
        self.news.take_if(|(newest, _)| *newest == event);
    }

    /// Whether a message is sent for the first time.
    pub(super) fn is_new(&mut self, provider_id: &str) -> bool {
        if !self.sent.insert(provider_id.to_owned()) {
            return false;
        }
        self.sent_order.push_back(provider_id.to_owned());
        if self.sent_order.len() > SENT_MAX
            && let Some(oldest) = self.sent_order.pop_front()
        {
            self.sent.remove(&oldest);
        }
        true
    }

    pub(super) fn is_connected(&self) -> bool {
        self.state == State::Connected
    }

    pub(super) fn phone(&self) -> &str {
        self.phone.as_deref().unwrap_or_default()
    }

    pub(super) fn ownership(&self) -> u64 {
        self.ownership
    }

    pub(super) fn status(&self) -> SessionStatus {
        match self.state {
            State::Stopped => SessionStatus::Stopped,
            State::Scanning { .. } => SessionStatus::ScanQr,
            State::Connected => SessionStatus::Connected,
            State::Down { .. } => SessionStatus::Reconnecting,
            State::LoggedOut => SessionStatus::LoggedOut,
        }
    }

    /// The text of the QR, and how long it can be scanned.
    pub(super) fn qr(&self) -> (&str, i64) {
        match &self.state {
            State::Scanning { code, expires_at_ms, .. } => (code, *expires_at_ms),
            _ => ("", 0),
        }
    }

    fn show(&mut self, url: &str, qr_lifetime_ms: i64, shown: u32, now_ms: i64) {
        let code = format!("{url}/scan?code={}", Uuid::new_v4().simple());
        self.state = State::Scanning { code, expires_at_ms: now_ms + qr_lifetime_ms, shown };
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.tell_state();
    }

    fn tell_state(&mut self) {
        self.tell(match &self.state {
            State::Scanning { code, expires_at_ms, .. } => {
                What::Qr(LinkQr { code: code.clone(), expires_at_ms: *expires_at_ms })
            }
            State::Connected => What::Connected(LinkConnected { phone: self.phone().to_owned() }),
            State::LoggedOut => What::LoggedOut(LinkLoggedOut { reason: LOGGED_OUT.to_owned() }),
            State::Stopped | State::Down { .. } => {
                What::Disconnected(LinkDisconnected { reason: "connection lost".to_owned() })
            }
        });
    }

    fn tell(&mut self, what: What) {
        self.events += 1;
        self.news = Some((self.events, LinkEvent { what: Some(what), ..LinkEvent::default() }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIFETIME_MS: i64 = 180_000;

    fn waiting() -> Account {
        let mut account = Account::default();
        account.start("http://phone", LIFETIME_MS, 0);
        account
    }

    fn newest(account: &Account) -> What {
        account.news().unwrap().1.what.clone().unwrap()
    }

    #[test]
    fn wab_29_a_qr_is_the_same_for_three_minutes_and_the_next_one_follows() {
        let mut account = waiting();
        let first = account.qr().0.to_owned();
        account.start("http://phone", LIFETIME_MS, LIFETIME_MS - 1);
        account.tick("http://phone", LIFETIME_MS, LIFETIME_MS - 1);
        assert_eq!(account.qr().0, first);
        assert!(!account.scan("5491100000090", LIFETIME_MS), "too late");
        account.tick("http://phone", LIFETIME_MS, LIFETIME_MS);
        assert_ne!(account.qr().0, first);
        assert!(matches!(newest(&account), What::Qr(qr) if qr.expires_at_ms == 2 * LIFETIME_MS));
        for shown in 2..=5 {
            account.tick("http://phone", LIFETIME_MS, shown * LIFETIME_MS);
        }
        assert!(matches!(newest(&account), What::Disconnected(end) if end.reason == "nobody scanned"));
        assert_eq!(account.status(), SessionStatus::Stopped);
    }

    #[test]
    fn wab_10_who_is_paired_gets_no_qr_until_it_logs_out() {
        let mut account = waiting();
        assert!(account.scan("5491100000090", 1));
        account.stop();
        assert_eq!((account.status(), account.news()), (SessionStatus::Stopped, None));
        account.start("http://phone", LIFETIME_MS, 2);
        assert!(matches!(newest(&account), What::Connected(now) if now.phone == "5491100000090"));
        account.log_out_by_phone();
        assert!(matches!(newest(&account), What::LoggedOut(out) if out.reason == "logged_out"));
        account.start("http://phone", LIFETIME_MS, 3);
        assert!(matches!(newest(&account), What::Qr(_)));
    }

    #[test]
    fn a_broken_connection_comes_back_by_itself() {
        let mut account = waiting();
        assert!(!account.disconnect(Some(1_000), 1), "nothing to break");
        account.scan("5491100000090", 1);
        assert!(account.disconnect(Some(1_000), 10));
        account.tick("http://phone", LIFETIME_MS, 1_009);
        assert_eq!(account.status(), SessionStatus::Reconnecting);
        account.tick("http://phone", LIFETIME_MS, 1_010);
        assert!(matches!(newest(&account), What::Connected(_)));
    }

    #[test]
    fn the_highest_ownership_is_obeyed() {
        let mut account = Account::default();
        assert!(account.obeys(3) && account.obeys(3) && account.obeys(5));
        assert!(!account.obeys(4) && account.obeys(5));
    }

    #[test]
    fn only_the_newest_event_counts_as_told() {
        let mut account = waiting();
        let first = account.news().unwrap().0;
        account.scan("5491100000090", 1);
        account.told(first);
        assert!(account.news().is_some());
        account.told(account.news().unwrap().0);
        assert!(account.news().is_none());
    }

    #[test]
    fn a_message_is_new_once() {
        let mut account = Account::default();
        assert!(account.is_new("a") && !account.is_new("a") && account.is_new("b"));
    }
}
