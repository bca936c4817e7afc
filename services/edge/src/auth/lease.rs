//! How long a connection may go on with its token. Pure: it is told what time it is.

/// When a client is warned, and when it is closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LeaseRules {
    /// How long before the token's end the client is warned, milliseconds.
    pub(crate) warning_ms: i64,
    /// How long after the token's end the connection goes on, milliseconds.
    pub(crate) grace_ms: i64,
}

/// The term of one token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lease {
    expires_at_ms: i64,
    rules: LeaseRules,
    is_warned: bool,
}

/// What a lease asks for at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// Look again at [`Lease::next_at_ms`].
    Nothing,
    /// Warn the client; then look again.
    Warning {
        /// When the token ends.
        expires_at_ms: i64,
    },
    /// Close the connection.
    End,
}

impl Lease {
    pub(super) fn new(expires_at_ms: i64, rules: LeaseRules) -> Self {
        Self { expires_at_ms, rules, is_warned: false }
    }

    /// When there is something to do.
    pub(super) fn next_at_ms(&self) -> i64 {
        if self.is_warned {
            self.expires_at_ms.saturating_add(self.rules.grace_ms)
        } else {
            self.expires_at_ms.saturating_sub(self.rules.warning_ms)
        }
    }

    /// What there is to do now. A warning is told once, before the end.
    pub(super) fn look(&mut self, now_ms: i64) -> Due {
        if now_ms < self.next_at_ms() {
            Due::Nothing
        } else if self.is_warned {
            Due::End
        } else {
            self.is_warned = true;
            Due::Warning { expires_at_ms: self.expires_at_ms }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: LeaseRules = LeaseRules { warning_ms: 60, grace_ms: 25 };

    #[test]
    fn a_client_is_warned_once_and_closed_after_the_grace() {
        let mut lease = Lease::new(1_000, RULES);
        assert_eq!((lease.next_at_ms(), lease.look(939)), (940, Due::Nothing));
        assert_eq!(lease.look(940), Due::Warning { expires_at_ms: 1_000 });
        assert_eq!((lease.next_at_ms(), lease.look(1_024)), (1_025, Due::Nothing));
        assert_eq!(lease.look(1_025), Due::End);
    }

    #[test]
    fn whoever_comes_with_little_time_left_is_warned_before_it_is_closed() {
        let mut lease = Lease::new(1_000, RULES);
        assert_eq!(lease.look(2_000), Due::Warning { expires_at_ms: 1_000 });
        assert_eq!(lease.look(2_000), Due::End);
        assert_eq!(Lease::new(i64::MAX, RULES).look(i64::MAX - 1), Due::Warning { expires_at_ms: i64::MAX });
    }
}
