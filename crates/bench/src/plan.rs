//! Who sends what and when: the arithmetic of a trial, without a clock.

use std::ops::Range;

/// The most messages one trial sends; their records are kept until it is settled.
pub(crate) const MESSAGES_MAX: u32 = 5_000_000;

/// A sender that is at most this late is measured from when it really sent. The runtime's timer rounds up to a
/// millisecond, which is not the fault of what is measured; anything beyond is a queue, and counts.
pub(crate) const LATE_FORGIVEN_US: u64 = 2_000;

/// When the next message is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At fixed times, however long the answers take.
    Open {
        /// Messages a second over all lanes.
        rate_per_s: u32,
    },
    /// As soon as the message before it is answered.
    Closed,
}

/// The messages of one trial. A lane sends one message at a time, and a conversation belongs to one lane: so the order
/// in which the messages of a conversation were sent is known, and can be asked of the sockets.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// Sets this trial's messages apart from everybody else's.
    pub(crate) run: String,
    /// When messages are sent.
    pub(crate) pace: Pace,
    /// How long they are sent, seconds.
    pub(crate) seconds: u32,
    /// How many send at once.
    pub(crate) lanes: u32,
    /// How many conversations they write in: a multiple of the lanes.
    pub(crate) conversations: u32,
}

impl Plan {
    /// A plan with at least as many conversations as were asked for.
    pub(crate) fn new(pace: Pace, seconds: u32, lanes: u32, conversations: u32) -> Self {
        let lanes = lanes.max(1);
        Self {
            run: uuid::Uuid::new_v4().simple().to_string()[..8].to_owned(),
            pace,
            seconds,
            lanes,
            conversations: conversations.max(1).next_multiple_of(lanes),
        }
    }

    /// The numbers of the messages that a lane sends.
    pub(crate) fn messages_of(&self, lane: u32) -> impl Iterator<Item = u32> + use<> {
        self.numbers().skip(lane as usize).step_by(self.lanes as usize)
    }

    fn numbers(&self) -> Range<u32> {
        match self.pace {
            Pace::Open { rate_per_s } => 0..rate_per_s.saturating_mul(self.seconds).min(MESSAGES_MAX),
            Pace::Closed => 0..MESSAGES_MAX,
        }
    }

    /// The conversation a message is written in.
    pub(crate) fn conversation_of(&self, message: u32) -> u32 {
        message % self.conversations
    }

    /// Where the record of a message stands: its lane, and its place among the lane's messages.
    pub(crate) fn place_of(&self, message: u32) -> (usize, usize) {
        ((message % self.lanes) as usize, (message / self.lanes) as usize)
    }

    /// When a message is due, microseconds after the start; `None` where it follows the one before.
    pub(crate) fn due_us(&self, message: u32) -> Option<u64> {
        match self.pace {
            Pace::Open { rate_per_s } => Some(u64::from(message) * 1_000_000 / u64::from(rate_per_s.max(1))),
            Pace::Closed => None,
        }
    }
}

/// The moment from which a message's latency counts.
pub(crate) fn origin_us(due_us: Option<u64>, sent_us: u64) -> u64 {
    match due_us {
        Some(due_us) if sent_us.saturating_sub(due_us) > LATE_FORGIVEN_US => due_us,
        _ => sent_us,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_share_the_messages_and_no_conversation_has_two_lanes() {
        let plan = Plan::new(Pace::Open { rate_per_s: 100 }, 3, 8, 50);
        assert_eq!(plan.conversations, 56);
        let mut all: Vec<u32> = (0..plan.lanes).flat_map(|lane| plan.messages_of(lane)).collect();
        all.sort_unstable();
        assert_eq!(all, (0..300).collect::<Vec<_>>());
        for lane in 0..plan.lanes {
            for (place, message) in plan.messages_of(lane).enumerate() {
                assert_eq!(plan.place_of(message), (lane as usize, place));
                assert_eq!(plan.conversation_of(message) % plan.lanes, lane);
            }
        }
    }

    #[test]
    fn messages_are_due_evenly() {
        let plan = Plan::new(Pace::Open { rate_per_s: 500 }, 10, 4, 4);
        assert_eq!(
            [0, 1, 500, 4_999].map(|message| plan.due_us(message)),
            [Some(0), Some(2_000), Some(1_000_000), Some(9_998_000)]
        );
        assert_eq!(Plan::new(Pace::Closed, 10, 4, 4).due_us(7), None);
    }

    #[test]
    fn the_timers_rounding_is_forgiven_and_a_queue_is_not() {
        assert_eq!(origin_us(Some(1_000), 2_100), 2_100);
        assert_eq!(origin_us(Some(1_000), 3_000), 3_000);
        assert_eq!(origin_us(Some(1_000), 3_001), 1_000);
        assert_eq!(origin_us(None, 3_001), 3_001);
    }

    #[test]
    fn a_trial_never_sends_more_than_it_can_keep() {
        let plan = Plan::new(Pace::Open { rate_per_s: 1_000_000 }, 1_000, 1, 1);
        assert_eq!(plan.messages_of(0).last(), Some(MESSAGES_MAX - 1));
    }
}
