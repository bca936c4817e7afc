//! Who is next: a lane for each conversation, the urgent before the rest, one message at a time in each.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap, VecDeque},
    time::{Duration, Instant},
};

use chasqui_proto::v1::Priority;

use crate::{
    line::Pair,
    pace::pair::Pairs,
    priority::{PRIORITIES, rank},
};

/// What would hold a priority back by no more than this much longer is the same again: every message of a campaign may say
/// so, and each news is told.
const SAME_HOLD: Duration = Duration::from_mins(1);

/// Something that waits for its turn.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    /// Its place among those of its conversation and priority.
    pub(crate) order: u64,
    pub(crate) priority: Priority,
    /// Not before this.
    pub(crate) not_before: Instant,
    pub(crate) item: T,
}

/// Everything that waits. It has no bound of its own: what it holds is unacknowledged, and the consumers that fill it
/// stop at so many.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    lanes: HashMap<Pair, Lane<T>>,
    /// Conversations that may go now, by the priority of what they would send.
    ready: [VecDeque<(Pair, u64)>; 3],
    /// Conversations that may go later.
    resting: BinaryHeap<Reverse<(Instant, u64, Pair)>>,
    /// Priorities that are held back.
    held: [Option<Instant>; 3],
    lengths: [usize; 3],
    ticket_last: u64,
}

#[derive(Debug)]
struct Lane<T> {
    waiting: [VecDeque<Waiting<T>>; 3],
    /// One of it is under way.
    busy: bool,
    place: Option<Place>,
    /// Only the entry with this number in `ready` or `resting` counts.
    ticket: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Ready(usize),
    Resting(Instant),
}

impl<T> Queue<T> {
    /// An empty queue.
    pub(crate) fn new() -> Self {
        Self {
            lanes: HashMap::new(),
            ready: Default::default(),
            resting: BinaryHeap::new(),
            held: [None; 3],
            lengths: [0; 3],
            ticket_last: 0,
        }
    }

    /// How many of a priority wait.
    pub(crate) fn length(&self, priority: Priority) -> usize {
        self.lengths[rank(priority)]
    }

    /// How many of a conversation wait.
    pub(crate) fn length_of(&self, pair: &Pair) -> usize {
        self.lanes.get(pair).map_or(0, |lane| lane.waiting.iter().map(VecDeque::len).sum())
    }

    /// Puts something into the lane of its conversation, behind whatever has a lower order.
    pub(crate) fn push(&mut self, pair: &Pair, waiting: Waiting<T>, now: Instant, pairs: &Pairs) {
        let class = rank(waiting.priority);
        let lane = self.lanes.entry(pair.clone()).or_insert_with(Lane::new);
        let lane = &mut lane.waiting[class];
        // Mostly it is the newest.
        let behind = lane.iter().rev().take_while(|other| other.order > waiting.order).count();
        lane.insert(lane.len() - behind, waiting);
        self.lengths[class] += 1;
        self.place(pair, now, pairs);
    }

    /// The next that may go now. Its conversation waits until it is released.
    pub(crate) fn next(&mut self, now: Instant, pairs: &Pairs) -> Option<(Pair, Waiting<T>)> {
        while let Some(Reverse((at, ticket, _))) = self.resting.peek()
            && *at <= now
        {
            let ticket = *ticket;
            let Reverse((_, _, pair)) = self.resting.pop().expect("it was seen");
            if self.lanes.get(&pair).is_some_and(|lane| lane.ticket == ticket) {
                self.place(&pair, now, pairs);
            }
        }
        for class in 0..self.ready.len() {
            while let Some((pair, ticket)) = self.ready[class].pop_front() {
                let Some(lane) = self.lanes.get_mut(&pair).filter(|lane| lane.ticket == ticket) else {
                    continue;
                };
                lane.place = None;
                match lane.choice(&self.held, pairs.earliest(&pair, now), now) {
                    Some(Place::Ready(chosen)) if chosen <= class => {
                        let next = lane.waiting[chosen].pop_front().expect("it was chosen by its head");
                        lane.busy = true;
                        self.lengths[chosen] -= 1;
                        return Some((pair, next));
                    }
                    _ => self.place(&pair, now, pairs),
                }
            }
        }
        None
    }

    /// What was under way in a conversation is over.
    pub(crate) fn release(&mut self, pair: &Pair, now: Instant, pairs: &Pairs) {
        let Some(lane) = self.lanes.get_mut(pair) else { return };
        lane.busy = false;
        if lane.waiting.iter().all(VecDeque::is_empty) {
            self.lanes.remove(pair);
        } else {
            self.place(pair, now, pairs);
        }
    }

    /// Holds a priority back; says whether that is news.
    pub(crate) fn hold(&mut self, priority: Priority, until: Instant, now: Instant) -> bool {
        let held = &mut self.held[rank(priority)];
        if held.is_some_and(|held| now < held && until < held + SAME_HOLD) {
            return false;
        }
        *held = Some(until);
        true
    }

    /// When somebody who rests may go.
    pub(crate) fn wake_at(&self) -> Option<Instant> {
        self.resting.peek().map(|Reverse((at, ..))| *at)
    }

    /// Whether somebody may go now, as far as is known.
    pub(crate) fn is_ready(&self) -> bool {
        self.ready.iter().any(|lanes| !lanes.is_empty())
    }

    fn place(&mut self, pair: &Pair, now: Instant, pairs: &Pairs) {
        let Some(lane) = self.lanes.get_mut(pair).filter(|lane| !lane.busy) else { return };
        let Some(place) = lane.choice(&self.held, pairs.earliest(pair, now), now) else { return };
        if lane.place == Some(place) && matches!(place, Place::Ready(_)) {
            return;
        }
        self.ticket_last += 1;
        (lane.place, lane.ticket) = (Some(place), self.ticket_last);
        match place {
            Place::Ready(class) => self.ready[class].push_back((pair.clone(), lane.ticket)),
            Place::Resting(at) => self.resting.push(Reverse((at, lane.ticket, pair.clone()))),
        }
    }
}

impl<T> Default for Queue<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Lane<T> {
    fn new() -> Self {
        Self { waiting: Default::default(), busy: false, place: None, ticket: 0 }
    }

    /// Where the lane belongs: to the most urgent of its heads that may go now, else until the first of them may.
    fn choice(&self, held: &[Option<Instant>; 3], pair_free: Instant, now: Instant) -> Option<Place> {
        let mut first: Option<Instant> = None;
        for priority in PRIORITIES {
            let class = rank(priority);
            let Some(first_waiting) = self.waiting[class].front() else { continue };
            let at = first_waiting.not_before.max(pair_free).max(held[class].unwrap_or(pair_free));
            if at <= now {
                return Some(Place::Ready(class));
            }
            first = Some(first.map_or(at, |first| first.min(at)));
        }
        first.map(Place::Resting)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::pace::pair::Trip;

    fn pair(number: u32) -> Pair {
        format!("5491100{number:06}").parse().unwrap()
    }

    fn waiting(order: u64, priority: Priority, not_before: Instant) -> Waiting<u64> {
        Waiting { order, priority, not_before, item: order }
    }

    #[test]
    fn a_reply_overtakes_every_campaign() {
        let (now, pairs, mut queue) = (Instant::now(), Pairs::new(true), Queue::new());
        for order in 0..10_000u32 {
            queue.push(&pair(order), waiting(order.into(), Priority::Campaign, now), now, &pairs);
        }
        // Also one to a contact that a campaign waits for.
        queue.push(&pair(9_999), waiting(20_000, Priority::Reply, now), now, &pairs);
        assert_eq!(queue.next(now, &pairs).unwrap().1.item, 20_000);
        assert_eq!(queue.length(Priority::Campaign), 10_000);
        let campaign = std::iter::from_fn(|| queue.next(now, &pairs)).count();
        // Its own conversation waits until the reply is over.
        assert_eq!(campaign, 9_999);
        queue.release(&pair(9_999), now, &pairs);
        assert_eq!(queue.next(now, &pairs).unwrap().1.item, 9_999);
    }

    #[test]
    fn what_waits_for_its_time_keeps_the_later_of_its_kind_behind_but_not_a_reply() {
        let (now, pairs, mut queue) = (Instant::now(), Pairs::new(true), Queue::new());
        let later = now + Duration::from_secs(4);
        queue.push(&pair(1), waiting(1, Priority::Transactional, later), now, &pairs);
        queue.push(&pair(1), waiting(2, Priority::Transactional, now), now, &pairs);
        assert!(queue.next(now, &pairs).is_none());
        assert_eq!(queue.wake_at(), Some(later));
        queue.push(&pair(1), waiting(3, Priority::Reply, now), now, &pairs);
        assert_eq!(queue.next(now, &pairs).unwrap().1.item, 3);
        queue.release(&pair(1), now, &pairs);
        assert_eq!(queue.next(later, &pairs).unwrap().1.item, 1);
        queue.release(&pair(1), later, &pairs);
        assert_eq!(queue.next(later, &pairs).unwrap().1.item, 2);
    }

    #[test]
    fn a_priority_that_is_held_waits_and_goes_on() {
        let (now, pairs, mut queue) = (Instant::now(), Pairs::new(true), Queue::new());
        let until = now + Duration::from_mins(15);
        for number in 0..5u32 {
            queue.push(&pair(number), waiting(number.into(), Priority::Campaign, now), now, &pairs);
        }
        assert!(queue.hold(Priority::Campaign, until, now));
        assert!(!queue.hold(Priority::Campaign, until + SAME_HOLD / 2, now), "it is held already");
        queue.push(&pair(3), waiting(10, Priority::Reply, now), now, &pairs);
        assert_eq!(queue.next(now, &pairs).unwrap().1.item, 10);
        assert!(queue.next(now, &pairs).is_none());
        queue.release(&pair(3), now, &pairs);
        let longer = until + SAME_HOLD;
        assert!(queue.hold(Priority::Campaign, longer, now), "it is held for longer");
        assert!(queue.next(until, &pairs).is_none());
        assert_eq!(std::iter::from_fn(|| queue.next(longer, &pairs)).count(), 5);
        assert!(queue.hold(Priority::Campaign, longer + SAME_HOLD / 2, longer), "the hold before is over");
    }

    #[test]
    fn a_contact_that_has_had_enough_does_not_keep_others_waiting() {
        let (now, mut pairs, mut queue) = (Instant::now(), Pairs::new(true), Queue::new());
        for _ in 0..45 {
            pairs.take(&pair(1), Trip { written: now, answered: now });
        }
        queue.push(&pair(1), waiting(1, Priority::Reply, now), now, &pairs);
        queue.push(&pair(2), waiting(2, Priority::Campaign, now), now, &pairs);
        assert_eq!(queue.next(now, &pairs).unwrap().1.item, 2);
        assert_eq!(queue.wake_at(), Some(pairs.earliest(&pair(1), now)));
    }

    proptest! {
        #[test]
        fn every_conversation_is_in_order_and_one_at_a_time(
            steps in proptest::collection::vec((0u32..4, 0usize..3, 0u8..4, 0u64..2_000), 1..300),
        ) {
            let begin = Instant::now();
            let (mut pairs, mut queue) = (Pairs::new(false), Queue::new());
            let mut now = begin;
            let mut busy: Vec<Pair> = Vec::new();
            let mut last: HashMap<(Pair, usize), u64> = HashMap::new();
            let (mut order, mut gone) = (0u64, 0usize);
            let mut pushed = 0usize;
            let mut go = |queue: &mut Queue<u64>, pairs: &Pairs, busy: &mut Vec<Pair>, now| {
                if let Some((pair, next)) = queue.next(now, pairs) {
                    assert!(!busy.contains(&pair), "two at a time");
                    assert!(next.not_before <= now);
                    let before = last.insert((pair.clone(), rank(next.priority)), next.order);
                    assert!(before.is_none_or(|before| before < next.order), "out of order");
                    busy.push(pair);
                    gone += 1;
                    true
                } else {
                    false
                }
            };
            for (number, class, action, wait) in steps {
                match action {
                    0 | 1 => {
                        order += 1;
                        pushed += 1;
                        let not_before = now + Duration::from_millis(wait * u64::from(action));
                        queue.push(&pair(number), waiting(order, PRIORITIES[class], not_before), now, &pairs);
                    }
                    2 => { go(&mut queue, &pairs, &mut busy, now); }
                    _ => {
                        now += Duration::from_millis(wait);
                        if let Some(pair) = busy.pop() {
                            if wait % 5 == 0 { pairs.refused(&pair, now); }
                            queue.release(&pair, now, &pairs);
                        }
                    }
                }
            }
            now += Duration::from_secs(100_000);
            loop {
                while go(&mut queue, &pairs, &mut busy, now) {}
                let Some(pair) = busy.pop() else { break };
                queue.release(&pair, now, &pairs);
            }
            prop_assert_eq!(gone, pushed);
            prop_assert!(queue.lanes.is_empty());
        }
    }
}
