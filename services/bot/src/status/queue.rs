//! What waits for an answer, and since when. Pure.

use std::time::Duration;

/// How long messages may wait until a replica takes them.
const TAKEN_WAIT_MS: i64 = 15_000;

/// What the broker says of the consumer at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Messages that no replica has taken.
    pub(super) untaken: u64,
    /// Messages that replicas have in hand.
    pub(super) in_hand: u64,
    /// The last that was taken.
    pub(super) taken_seq: u64,
    /// Everything up to here is done.
    pub(super) done_seq: u64,
}

/// The queue of messages, of all tenants together: they share it.
#[derive(Debug)]
pub(super) struct Queue {
    now: Waiting,
    /// Since when nothing was taken, though something waits.
    untaken_since_ms: Option<i64>,
    /// Since when the oldest was not done.
    undone_since_ms: Option<i64>,
    answer_ms_max: i64,
}

impl Queue {
    /// `answer_time_max` is how long an answer may take.
    pub(super) fn new(answer_time_max: Duration) -> Self {
        let answer_ms_max = i64::try_from(answer_time_max.as_millis()).unwrap_or(i64::MAX);
        Self { now: Waiting::default(), untaken_since_ms: None, undone_since_ms: None, answer_ms_max }
    }

    /// What the broker says now.
    pub(super) fn look(&mut self, waiting: Waiting, now_ms: i64) {
        let stays = |is: bool, moved: bool, since: Option<i64>| {
            is.then(|| since.filter(|_| !moved).unwrap_or(now_ms))
        };
        let (last, next) = (self.now, waiting);
        self.untaken_since_ms =
            stays(next.untaken > 0, next.taken_seq != last.taken_seq, self.untaken_since_ms);
        self.undone_since_ms = stays(next.in_hand > 0, next.done_seq != last.done_seq, self.undone_since_ms);
        self.now = next;
    }

    /// How many messages wait for an answer.
    pub(super) fn length(&self) -> u32 {
        u32::try_from(self.now.untaken.saturating_add(self.now.in_hand)).unwrap_or(u32::MAX)
    }

    /// Why they wait in vain, if they do.
    pub(super) fn trouble(&self, now_ms: i64) -> Option<&'static str> {
        let is_over = |since: Option<i64>, most: i64| since.is_some_and(|since| now_ms - since > most);
        if is_over(self.untaken_since_ms, TAKEN_WAIT_MS) {
            return Some("messages wait and no replica takes them");
        }
        is_over(self.undone_since_ms, self.answer_ms_max).then_some("a message waits too long for its answer")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(untaken: u64, in_hand: u64, taken_seq: u64, done_seq: u64) -> Waiting {
        Waiting { untaken, in_hand, taken_seq, done_seq }
    }

    #[test]
    fn a_queue_that_moves_is_no_trouble_however_long_it_is() {
        let mut queue = Queue::new(Duration::from_mins(1));
        for second in 0..200 {
            let at = u64::try_from(second).unwrap();
            queue.look(waiting(1_000, 500, 500 + at, at), second * 1_000);
            assert_eq!((queue.length(), queue.trouble(second * 1_000)), (1_500, None));
        }
        queue.look(waiting(0, 0, 700, 700), 200_000);
        assert_eq!((queue.length(), queue.trouble(900_000)), (0, None));
    }

    #[test]
    fn what_nobody_takes_or_finishes_is_told() {
        let mut queue = Queue::new(Duration::from_mins(1));
        queue.look(waiting(1, 0, 7, 7), 1_000);
        assert_eq!(queue.trouble(1_000 + TAKEN_WAIT_MS), None);
        queue.look(waiting(1, 0, 7, 7), 1_001 + TAKEN_WAIT_MS);
        assert_eq!(queue.trouble(1_001 + TAKEN_WAIT_MS), Some("messages wait and no replica takes them"));
        queue.look(waiting(0, 1, 8, 7), 20_000);
        assert_eq!(queue.trouble(80_000), None);
        assert_eq!(queue.trouble(80_001), Some("a message waits too long for its answer"));
    }
}
