//! The recent events of a feed, in order: what is known, what is missing, what a returning client has not seen.
//!
//! Pure: no clock, no socket, no broker.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use crate::event::Event;

/// How much a log keeps.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Events.
    pub(crate) events_max: usize,
    /// Bytes, by [`Event::cost`].
    pub(crate) bytes_max: usize,
}

/// What became of an event that was offered.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// It is new, and nothing is missing before it on its subject.
    Appended,
    /// It was there already.
    Known,
    /// The fact at this position, on the same subject, was never seen.
    Gap { missing: u64 },
}

/// An ordered window over one scope of the stream.
#[derive(Debug)]
pub(crate) struct Log {
    /// Everything of the scope after this position is in the window.
    floor: u64,
    /// The highest position seen or confirmed.
    head: u64,
    bounds: Bounds,
    /// Nothing while there are no recent events, as in most feeds of contacts most of the time.
    window: Option<Box<Window>>,
}

#[derive(Debug, Default)]
struct Window {
    entries: VecDeque<Entry>,
    /// The newest position of each subject in the window.
    newest: HashMap<Box<str>, u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Entry {
    /// The event's position; for a state the head when it came.
    at: u64,
    event: Arc<Event>,
}

impl Log {
    /// A log that knows nothing before `position` and misses nothing after it.
    pub(crate) fn new(position: u64, bounds: Bounds) -> Self {
        Self { floor: position, head: position, bounds, window: None }
    }

    /// How much it keeps.
    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// The highest position seen.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Offers an event; a gap leaves the log as it was.
    pub(crate) fn offer(&mut self, event: &Arc<Event>) -> Offered {
        let Some(seq) = event.seq else {
            self.insert(self.head, event.clone());
            return Offered::Appended;
        };
        if self.knows(seq) {
            return Offered::Known;
        }
        // 0 means the stream does not know what came before: limits may have removed it.
        let previous = event.previous;
        let newest = self.window.as_ref().and_then(|window| window.newest.get(&event.subject));
        let linked = previous <= self.floor || newest >= Some(&previous);
        if linked { self.take(event) } else { Offered::Gap { missing: previous } }
    }

    /// Takes an event in whatever is missing before it: the repair read everything there was.
    pub(crate) fn take(&mut self, event: &Arc<Event>) -> Offered {
        let Some(seq) = event.seq else { return Offered::Known };
        if self.knows(seq) {
            return Offered::Known;
        }
        let newest = self.window.get_or_insert_default().newest.entry(event.subject.clone()).or_default();
        *newest = seq.max(*newest);
        self.head = self.head.max(seq);
        self.insert(seq, event.clone());
        Offered::Appended
    }

    /// Events after `since`, oldest first; `None` when some of them are no longer here.
    pub(crate) fn after(&self, since: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        // A state that came right after the event at `since` may not have been seen.
        let unseen =
            move |entry: &&Entry| entry.at > since || (entry.event.seq.is_none() && entry.at == since);
        (since >= self.floor).then(|| self.entries().filter(unseen).map(|entry| &entry.event))
    }

    /// Forgets the events up to a position.
    pub(crate) fn forget_until(&mut self, position: u64) {
        while self.entries().next().is_some_and(|oldest| oldest.at <= position) {
            self.forget_oldest();
        }
        if self.entries().next().is_none() {
            self.window = None;
        }
    }

    fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.window.iter().flat_map(|window| &window.entries)
    }

    fn knows(&self, seq: u64) -> bool {
        let same = |entry: &Entry| entry.event.seq == Some(seq);
        seq <= self.floor
            || (seq <= self.head && self.entries().rev().take_while(|entry| entry.at >= seq).any(same))
    }

    fn insert(&mut self, at: u64, event: Arc<Event>) {
        let window = self.window.get_or_insert_default();
        window.bytes += event.cost();
        let later = window.entries.iter().rev().take_while(|entry| entry.at > at).count();
        window.entries.insert(window.entries.len() - later, Entry { at, event });
        while self.is_over_its_bounds() {
            self.forget_oldest();
        }
    }

    fn is_over_its_bounds(&self) -> bool {
        let over = |window: &Window| {
            window.entries.len() > self.bounds.events_max || window.bytes > self.bounds.bytes_max
        };
        self.window.as_deref().is_some_and(over)
    }

    fn forget_oldest(&mut self) {
        let Some(window) = &mut self.window else { return };
        let Some(Entry { event, .. }) = window.entries.pop_front() else { return };
        window.bytes -= event.cost();
        let Some(seq) = event.seq else { return };
        self.floor = self.floor.max(seq);
        if window.newest.get(&event.subject) == Some(&seq) {
            window.newest.remove(&event.subject);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::event::Fact;

    const BOUNDS: Bounds = Bounds { events_max: 4, bytes_max: 1_000_000 };

    fn event(subject: &str, seq: u64, previous: u64) -> Arc<Event> {
        let fact = Fact::Status(Box::default());
        let mut event = Event::of_store(subject, seq, fact);
        event.previous = previous;
        Arc::new(event)
    }

    fn seqs(log: &Log, since: u64) -> Option<Vec<u64>> {
        log.after(since).map(|events| events.filter_map(|event| event.seq).collect())
    }

    #[test]
    fn a_missing_fact_is_noticed_by_the_next_on_its_subject() {
        let mut log = Log::new(10, BOUNDS);
        assert_eq!(log.offer(&event("a", 11, 3)), Offered::Appended);
        assert_eq!(log.offer(&event("b", 13, 0)), Offered::Appended);
        assert_eq!(log.offer(&event("a", 14, 12)), Offered::Gap { missing: 12 });
        assert_eq!(log.take(&event("a", 12, 11)), Offered::Appended);
        assert_eq!(log.offer(&event("a", 14, 12)), Offered::Appended);
        assert_eq!(seqs(&log, 10), Some(vec![11, 12, 13, 14]));
    }

    #[test]
    fn what_comes_twice_is_known() {
        let mut log = Log::new(10, BOUNDS);
        assert_eq!(log.offer(&event("a", 9, 0)), Offered::Known);
        assert_eq!(log.offer(&event("a", 11, 9)), Offered::Appended);
        assert_eq!(log.offer(&event("a", 11, 9)), Offered::Known);
        assert_eq!(seqs(&log, 10), Some(vec![11]));
    }

    #[test]
    fn past_its_bounds_it_says_that_it_cannot_answer() {
        let mut log = Log::new(0, BOUNDS);
        for seq in 1..=6 {
            log.offer(&event("a", seq, seq - 1));
        }
        assert_eq!(seqs(&log, 2), Some(vec![3, 4, 5, 6]));
        assert_eq!(seqs(&log, 1), None);
    }

    #[test]
    fn a_state_is_shown_again_to_who_left_just_before_it() {
        let mut log = Log::new(0, BOUNDS);
        log.offer(&event("a", 1, 0));
        log.offer(&Arc::new(Event::of_state(Fact::Stats(Box::default()))));
        log.offer(&event("a", 2, 1));
        assert_eq!(log.after(1).map(Iterator::count), Some(2));
        assert_eq!(log.after(2).map(Iterator::count), Some(0));
    }

    #[test]
    fn what_is_forgotten_costs_nothing_and_is_not_missed() {
        let mut log = Log::new(0, BOUNDS);
        for seq in 1..=3 {
            log.offer(&event("a", seq, seq - 1));
        }
        log.forget_until(2);
        assert_eq!((seqs(&log, 2), seqs(&log, 1)), (Some(vec![3]), None));
        log.forget_until(3);
        assert!(log.window.is_none());
        assert_eq!(log.offer(&event("a", 3, 2)), Offered::Known);
        assert_eq!(log.offer(&event("a", 5, 3)), Offered::Appended);
        assert_eq!(log.offer(&event("a", 7, 6)), Offered::Gap { missing: 6 });
    }

    proptest! {
        /// Whatever the broker drops or repeats: after the repair of each gap, everything is there once, in order.
        #[test]
        fn nothing_is_lost_and_nothing_twice(
            facts in prop::collection::vec((0usize..3, 0u8..4), 1..60),
        ) {
            let subjects = ["a", "b", "c"];
            let mut previous = [0u64; 3];
            let stream: Vec<Arc<Event>> = facts.iter().enumerate().map(|(index, (subject, _))| {
                let seq = index as u64 + 1;
                let before = std::mem::replace(&mut previous[*subject], seq);
                event(subjects[*subject], seq, before)
            }).collect();
            let bounds = Bounds { events_max: 100, bytes_max: 1_000_000 };
            let mut log = Log::new(0, bounds);
            for (event, (_, fate)) in stream.iter().zip(&facts) {
                // 0: dropped, 1: repeated, else: arrives once.
                let times = match fate { 0 => 0, 1 => 2, _ => 1 };
                for _ in 0..times {
                    if let Offered::Gap { missing } = log.offer(event) {
                        for earlier in stream.iter().filter(|earlier| earlier.seq >= Some(missing)) {
                            log.take(earlier);
                        }
                    }
                }
            }
            for event in &stream {
                log.take(event);
            }
            let expected: Vec<u64> = (1..=stream.len() as u64).collect();
            prop_assert_eq!(seqs(&log, 0), Some(expected));
        }
    }
}
