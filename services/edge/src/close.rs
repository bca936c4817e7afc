//! Why a socket is closed, as the number its client sees.
//!
//! | band | a client should |
//! |---|---|
//! | 4000–4499 | connect again, with a jittered pause, and resume |
//! | 4500–4999 | not connect again before something changed (a token, the client itself) |
//!
//! | code | constant | when |
//! |---|---|---|
//! | 4000 | [`CloseCode::GOING_AWAY`] | the node stops or drains |
//! | 4001 | [`CloseCode::SLOW_CONSUMER`] | the outgoing queue of the socket was full, or one write took too long |
//! | 4002 | [`CloseCode::HEARTBEAT_TIMEOUT`] | nothing was heard from the client in time |
//! | 4003 | [`CloseCode::FENCED`] | a newer connection resumed the same session |
//! | 4004 | [`CloseCode::INTERNAL`] | something failed on our side |
//! | 4005 | [`CloseCode::HANDSHAKE_TIMEOUT`] | the client connected but never said who it is |
//! | 4006 | [`CloseCode::CLIENT_LEFT`] | the client went first; nobody sees this one but our metrics |
//! | 4500 | [`CloseCode::UNAUTHORIZED`] | the credentials were refused |
//! | 4501 | [`CloseCode::TOKEN_EXPIRED`] | the token ran out and was not refreshed |
//! | 4502 | [`CloseCode::PROTOCOL_ERROR`] | the client sent what its protocol does not allow |
//! | 4503 | [`CloseCode::FRAME_TOO_LARGE`] | the client sent more bytes at once than allowed |
//! | 4504 | [`CloseCode::CONNECTION_LIMIT`] | the user has too many connections |
//! | 4505 | [`CloseCode::RATE_LIMITED`] | the client went on sending faster than allowed |

/// The number and the words a socket is closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseCode {
    /// The WebSocket close code, 4000–4999.
    pub code: u16,
    /// One short phrase for people; programs look at the code.
    pub reason: &'static str,
}

/// The first code that tells a client not to come back.
const STAY_AWAY_FROM: u16 = 4500;

impl CloseCode {
    /// The node stops or drains: come back, to another node.
    pub const GOING_AWAY: Self = Self::new(4000, "going away");
    /// The client read too slowly: come back and resume.
    pub const SLOW_CONSUMER: Self = Self::new(4001, "slow consumer");
    /// Nothing was heard from the client in time.
    pub const HEARTBEAT_TIMEOUT: Self = Self::new(4002, "heartbeat timeout");
    /// A newer connection took over the session.
    pub const FENCED: Self = Self::new(4003, "fenced by a newer session");
    /// Something failed on our side.
    pub const INTERNAL: Self = Self::new(4004, "internal error");
    /// The client connected but never said who it is.
    pub const HANDSHAKE_TIMEOUT: Self = Self::new(4005, "handshake timeout");
    /// The client went first.
    pub const CLIENT_LEFT: Self = Self::new(4006, "client left");
    /// The credentials were refused.
    pub const UNAUTHORIZED: Self = Self::new(4500, "unauthorized");
    /// The token ran out and was not refreshed.
    pub const TOKEN_EXPIRED: Self = Self::new(4501, "token expired");
    /// The client sent what its protocol does not allow.
    pub const PROTOCOL_ERROR: Self = Self::new(4502, "protocol error");
    /// The client sent more bytes at once than allowed.
    pub const FRAME_TOO_LARGE: Self = Self::new(4503, "frame too large");
    /// The user has too many connections.
    pub const CONNECTION_LIMIT: Self = Self::new(4504, "too many connections");

    /// The client went on sending faster than allowed: were it to come back by itself, it would do so for ever.
    pub const RATE_LIMITED: Self = Self::new(4505, "too many frames");

    const fn new(code: u16, reason: &'static str) -> Self {
        Self { code, reason }
    }

    /// The words of the close frame: the reason, and for a whole node's clients when to come back (CRM-13).
    pub const fn words(self) -> &'static str {
        if self.code == Self::GOING_AWAY.code { "going away; retry in 0-5 s" } else { self.reason }
    }

    /// Whether the client should connect again by itself.
    pub const fn reconnect(self) -> bool {
        self.code < STAY_AWAY_FROM
    }
}

#[cfg(test)]
mod tests {
    use super::CloseCode;

    #[test]
    fn the_band_tells_whether_to_come_back() {
        assert!(CloseCode::GOING_AWAY.reconnect());
        assert!(CloseCode::HANDSHAKE_TIMEOUT.reconnect());
        assert!(!CloseCode::UNAUTHORIZED.reconnect());
        assert!(!CloseCode::CONNECTION_LIMIT.reconnect());
    }
}
