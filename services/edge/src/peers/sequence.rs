//! The numbers on the segments of one end of a bridge: nothing is missing, and neither end runs far ahead.

use thiserror::Error;

/// How many segments an end sends before the other has worked them off.
pub(super) const WINDOW: usize = 8;

/// One end's count of what it sent and what it was sent. Pure.
#[derive(Debug, Default)]
pub(super) struct Sequence {
    sent: u64,
    /// Of what was sent, what the other end has worked off.
    confirmed: u64,
    arrived: u64,
    worked_off: u64,
    /// Up to where the other end was told what was worked off.
    told: u64,
}

/// A segment was lost, or the other end does not keep to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a segment is missing")]
pub(super) struct Gap;

impl Sequence {
    /// Whether one more segment may be sent now.
    pub(super) fn may_send(&self) -> bool {
        self.sent - self.confirmed < WINDOW as u64
    }

    /// The number of the next segment.
    pub(super) fn send(&mut self) -> u64 {
        self.sent += 1;
        self.sent
    }

    /// What the segment that leaves now tells the other end: up to where its segments were worked off.
    pub(super) fn tell(&mut self) -> u64 {
        self.told = self.worked_off;
        self.told
    }

    /// A segment arrived; whether it is one to work off.
    pub(super) fn arrive(&mut self, number: u64, received: u64) -> Result<bool, Gap> {
        if !(self.confirmed..=self.sent).contains(&received) {
            return Err(Gap);
        }
        self.confirmed = received;
        if number == 0 {
            return Ok(false);
        }
        if number != self.arrived + 1 || self.arrived - self.worked_off >= WINDOW as u64 {
            return Err(Gap);
        }
        self.arrived = number;
        Ok(true)
    }

    /// The oldest segment that arrived was worked off; whether the other end should be told at once, before it has to
    /// wait.
    pub(super) fn work_off(&mut self) -> bool {
        self.worked_off += 1;
        self.worked_off - self.told >= WINDOW as u64 / 2
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_missing_a_repeated_and_an_invented_number_end_the_bridge() {
        let mut end = Sequence::default();
        assert_eq!(end.arrive(1, 0), Ok(true));
        assert_eq!(end.arrive(3, 0), Err(Gap));
        assert_eq!(end.arrive(1, 0), Err(Gap));
        assert_eq!(end.arrive(2, 1), Err(Gap), "nothing was sent that could be confirmed");
        assert_eq!(end.arrive(2, 0), Ok(true));
    }

    #[test]
    fn an_end_waits_when_the_other_does_not_keep_up() {
        let mut end = Sequence::default();
        while end.may_send() {
            end.send();
        }
        assert_eq!(end.sent, WINDOW as u64);
        assert_eq!(end.arrive(0, 1), Ok(false));
        assert!(end.may_send());
        assert_eq!(end.arrive(0, 0), Err(Gap), "a confirmation is never taken back");
    }

    #[test]
    fn who_does_not_wait_is_cut_off() {
        let mut end = Sequence::default();
        assert!((1..=WINDOW as u64).all(|number| end.arrive(number, 0) == Ok(true)));
        assert_eq!(end.arrive(WINDOW as u64 + 1, 0), Err(Gap));
        end.work_off();
        assert_eq!(end.arrive(WINDOW as u64 + 1, 0), Ok(true));
    }

    proptest! {
        #[test]
        fn two_ends_that_keep_to_it_never_get_stuck(steps in proptest::collection::vec(any::<bool>(), 1..300)) {
            let (mut one, mut other) = (Sequence::default(), Sequence::default());
            let (mut on_the_way, mut waiting) = (0_u64, 0_u64);
            for sends in steps {
                if sends && one.may_send() {
                    prop_assert_eq!(other.arrive(one.send(), 0), Ok(true));
                    waiting += 1;
                    on_the_way += 1;
                } else if waiting > 0 {
                    waiting -= 1;
                    if other.work_off() {
                        prop_assert_eq!(one.arrive(0, other.tell()), Ok(false));
                    }
                }
            }
            prop_assert!(on_the_way == 0 || waiting > 0 || one.may_send());
        }
    }
}
