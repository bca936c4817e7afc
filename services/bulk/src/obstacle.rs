//! Why nothing is sent while a campaign runs.

/// What a campaign waits for by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Obstacle {
    /// The hours in which nothing is sent.
    QuietHours {
        /// Their end, unix milliseconds.
        until_ms: i64,
    },
    /// The number is not connected, or takes no campaigns for a while.
    Number {
        /// Until when, unix milliseconds; 0 where that is not known.
        until_ms: i64,
    },
}

impl Obstacle {
    /// As it is told, and as operators see it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::QuietHours { .. } => "quiet_hours",
            Self::Number { .. } => "number",
        }
    }

    /// Until when, unix milliseconds; 0 where that is not known.
    pub(crate) fn until_ms(self) -> i64 {
        match self {
            Self::QuietHours { until_ms } | Self::Number { until_ms } => until_ms,
        }
    }
}
