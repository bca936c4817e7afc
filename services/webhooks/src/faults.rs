//! Events that a listener did not answer to, to find those that are at fault themselves.

use std::collections::HashMap;

/// How many events are remembered: more than a lane has in hand.
const REMEMBERED_MAX: usize = 128;

/// Per event: how often no answer came, and how many had been delivered when that happened first.
#[derive(Debug, Default)]
pub(crate) struct Faults(HashMap<String, (u32, u64)>);

impl Faults {
    /// No answer came to an event, when `delivered` others had been delivered. How often that has happened.
    pub(crate) fn count(&mut self, id: &str, delivered: u64) -> u32 {
        if self.0.len() >= REMEMBERED_MAX && !self.0.contains_key(id) {
            self.0.clear();
        }
        let (times, _) = self.0.entry(id.to_owned()).or_insert((0, delivered));
        *times += 1;
        *times
    }

    /// Others were delivered since no answer came to this one first.
    pub(crate) fn is_its_own(&self, id: &str, delivered: u64) -> bool {
        self.0.get(id).is_some_and(|(times, then)| *times > 1 && delivered > *then)
    }

    /// The event is settled. How often no answer came to it.
    pub(crate) fn forget(&mut self, id: &str) -> u32 {
        self.0.remove(id).map_or(0, |(times, _)| times)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_at_fault_when_others_came_through_since() {
        let mut faults = Faults::default();
        assert_eq!(faults.count("poison", 7), 1);
        assert!(!faults.is_its_own("poison", 9), "once is nobody's fault");
        assert_eq!(faults.count("poison", 7), 2);
        assert!(!faults.is_its_own("poison", 7), "nothing came through: the listener is away");
        assert!(faults.is_its_own("poison", 8));
        assert_eq!((faults.forget("poison"), faults.forget("poison")), (2, 0));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut faults = Faults::default();
        for id in 0..1_000 {
            faults.count(&id.to_string(), 0);
        }
        assert!(faults.0.len() <= REMEMBERED_MAX);
    }
}
