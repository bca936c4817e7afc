//! Whether campaigns go through a session, told by its state.

use super::{Machine, next_version, readable};

impl Machine {
    /// The provider refuses campaigns, though it takes answers. A refusal after this one begins the pause anew.
    pub(crate) fn campaigns_refused(&mut self, reason: &str, pause_ms: i64, now_ms: i64) {
        self.session.campaigns_halted = readable(reason);
        self.session.campaigns_halted_at_ms = now_ms;
        self.session.campaigns_halted_until_ms = now_ms.saturating_add(pause_ms);
        next_version(&mut self.session, now_ms);
    }

    /// Until when campaigns are held back, unix milliseconds; `None` where they are not.
    pub(crate) fn campaigns_held_until_ms(&self) -> Option<i64> {
        let until_ms = self.session.campaigns_halted_until_ms;
        (until_ms > 0).then_some(until_ms)
    }

    /// Ends the pause of campaigns when its time has come.
    pub(super) fn let_campaigns_go_on(&mut self, now_ms: i64) {
        if self.campaigns_held_until_ms().is_some_and(|until_ms| until_ms <= now_ms) {
            self.forget_refused_campaigns();
            next_version(&mut self.session, now_ms);
        }
    }

    pub(super) fn forget_refused_campaigns(&mut self) {
        self.session.campaigns_halted.clear();
        self.session.campaigns_halted_at_ms = 0;
        self.session.campaigns_halted_until_ms = 0;
    }
}
