//! When to ping, when a client counts as gone, and what its pongs confirm.
//!
//! Clients do not acknowledge events, but every client answers a ping, and frames keep their order. So a pong says
//! that whatever was written before its ping has arrived. After a durable frame a ping is due at once, if none is on
//! its way; the regular heartbeat is the same ping.

use std::time::Duration;

use tokio::time::Instant;

/// The heartbeat of one session. Pure: the time is an argument.
#[derive(Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
    ping: Ping,
    last_heard: Instant,
    /// Position of the last frame written.
    written: u64,
    /// Position of the last durable frame written.
    written_durable: u64,
    confirmed: u64,
}

#[derive(Debug, Clone, Copy)]
enum Ping {
    /// Nothing outstanding; the next regular ping goes out at this time.
    Waiting { next: Instant },
    /// To be written as soon as the transport can; the client's time to answer already runs.
    Due { since: Instant },
    /// Written after the frame at `position`; the pong is awaited.
    Sent { since: Instant, position: u64 },
}

impl Heartbeat {
    /// A heartbeat whose first ping comes after `first`, so that many sessions do not beat together.
    pub(super) fn new(interval: Duration, timeout: Duration, first: Duration, now: Instant) -> Self {
        Self {
            interval,
            timeout,
            ping: Ping::Waiting { next: now + first },
            last_heard: now,
            written: 0,
            written_durable: 0,
            confirmed: 0,
        }
    }

    /// When [`Self::tick`] wants to be called next.
    pub(super) fn deadline(&self) -> Instant {
        match self.ping {
            Ping::Waiting { next } => next,
            Ping::Due { since } | Ping::Sent { since, .. } => since.max(self.last_heard) + self.timeout,
        }
    }

    /// Looks at the clock. `false`: the client has been silent for too long.
    pub(super) fn tick(&mut self, now: Instant) -> bool {
        match self.ping {
            Ping::Waiting { next } if now >= next => self.ping = Ping::Due { since: now },
            Ping::Waiting { .. } => {}
            Ping::Due { .. } | Ping::Sent { .. } => return now < self.deadline(),
        }
        true
    }

    /// Anything arrived from the client.
    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// Frames up to `position` were written.
    pub(super) fn wrote(&mut self, position: u64, durable: bool, now: Instant) {
        self.written = position;
        if durable {
            self.written_durable = position;
            self.confirm_later(now);
        }
    }

    /// Whether a ping should be written now.
    pub(super) fn is_due(&self) -> bool {
        matches!(self.ping, Ping::Due { .. })
    }

    /// A ping was written.
    pub(super) fn pinged(&mut self) {
        if let Ping::Due { since } = self.ping {
            self.ping = Ping::Sent { since, position: self.written };
        }
    }

    /// A pong arrived: the position up to which everything has certainly arrived, if it is news.
    pub(super) fn ponged(&mut self, now: Instant) -> Option<u64> {
        let Ping::Sent { position, .. } = self.ping else { return None };
        self.ping = Ping::Waiting { next: now + self.interval };
        let news = position > self.confirmed;
        self.confirmed = position;
        self.confirm_later(now);
        news.then_some(position)
    }

    fn confirm_later(&mut self, now: Instant) {
        if self.written_durable > self.confirmed && matches!(self.ping, Ping::Waiting { .. }) {
            self.ping = Ping::Due { since: now };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(25);
    const TIMEOUT: Duration = Duration::from_secs(20);
    const SECOND: Duration = Duration::from_secs(1);

    fn heartbeat() -> (Heartbeat, Instant) {
        let now = Instant::now();
        (Heartbeat::new(INTERVAL, TIMEOUT, SECOND, now), now)
    }

    #[test]
    fn a_silent_client_is_given_up_after_interval_and_timeout() {
        let (mut heartbeat, start) = heartbeat();
        assert!(heartbeat.tick(start + SECOND) && heartbeat.is_due());
        heartbeat.pinged();
        assert_eq!(heartbeat.ponged(start + SECOND), None, "nothing was written");
        assert_eq!(heartbeat.deadline(), start + SECOND + INTERVAL);
        let second_ping = start + SECOND + INTERVAL;
        assert!(heartbeat.tick(second_ping));
        heartbeat.pinged();
        assert!(heartbeat.tick(second_ping + TIMEOUT - SECOND));
        assert!(!heartbeat.tick(second_ping + TIMEOUT));
    }

    #[test]
    fn any_frame_counts_as_a_sign_of_life() {
        let (mut heartbeat, start) = heartbeat();
        heartbeat.tick(start + SECOND);
        heartbeat.pinged();
        heartbeat.heard(start + TIMEOUT);
        assert!(heartbeat.tick(start + SECOND + TIMEOUT));
        assert!(!heartbeat.tick(start + TIMEOUT + TIMEOUT));
    }

    #[test]
    fn a_ping_that_could_not_be_written_runs_out_too() {
        let (mut heartbeat, start) = heartbeat();
        heartbeat.tick(start + SECOND);
        assert!(!heartbeat.tick(start + SECOND + TIMEOUT));
    }

    #[test]
    fn a_pong_confirms_what_was_written_before_its_ping_and_no_more() {
        let (mut heartbeat, now) = heartbeat();
        heartbeat.wrote(3, true, now);
        assert!(heartbeat.is_due());
        heartbeat.pinged();
        heartbeat.wrote(5, true, now);
        assert!(!heartbeat.is_due(), "one outstanding ping at a time");
        assert_eq!(heartbeat.ponged(now), Some(3));
        assert!(heartbeat.is_due(), "the rest is asked for after the pong");
        heartbeat.pinged();
        assert_eq!(heartbeat.ponged(now), Some(5));
        assert!(!heartbeat.is_due());
    }

    #[test]
    fn volatile_frames_ask_for_no_ping() {
        let (mut heartbeat, now) = heartbeat();
        heartbeat.wrote(3, false, now);
        assert!(!heartbeat.is_due());
        assert_eq!(heartbeat.ponged(now), None, "a pong nobody asked for says nothing");
    }
}
