//! The order in which a feed's events are shown: each once, none before what is missing ahead of it.
//!
//! Pure: no clock, no socket, no broker.

use std::{collections::VecDeque, sync::Arc};

use crate::{
    event::Event,
    log::{Bounds, Log, Offered},
};

/// How many events are held back while the stream is read for what went past. Past it the feed cannot go on.
const HELD_EVENTS_MAX: usize = 20_000;

/// Something went past: the stream must be read after this position, and what is there given to [`Flow::mend`]. Until
/// then what comes is held back.
#[must_use = "everything is held back until the flow is mended"]
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) after: u64,
}

/// What became of an event.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Accepted {
    /// It was shown, known, or is held back with others.
    Done,
    /// It is held back, and the stream must be read.
    Missing(Missing),
    /// More waits than can be held.
    Overflow,
}

/// A feed's events, in order.
#[derive(Debug)]
pub(crate) struct Flow {
    log: Log,
    /// Everything up to here came while nothing was known to be disturbed.
    safe_seq: u64,
    /// What is safe the next time that is told: whatever went past a subscription just before has been found by then.
    seen_seq: u64,
    /// Everything up to here is old enough to be forgotten the next time.
    old_seq: u64,
    /// What came while the stream is read for what went past; `None` while nothing is missing.
    held: Option<Box<Held>>,
}

#[derive(Debug, Default)]
struct Held {
    /// The event that a gap was found by: whatever the stream has before it has been read when this is released.
    gap: Option<Arc<Event>>,
    /// What came after it.
    waiting: VecDeque<Arc<Event>>,
    /// Disturbed meanwhile: the stream must be read once more.
    again: bool,
}

impl Flow {
    /// A flow that holds back what it is given until it begins.
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { log: Log::new(0, bounds), safe_seq: 0, seen_seq: 0, old_seq: 0, held: Some(Box::default()) }
    }

    /// The window of recent events.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// Begins: it is given everything after `seq`.
    pub(crate) fn begin(&mut self, seq: u64, show: impl Fn(&Arc<Event>)) -> Option<Missing> {
        self.log = Log::new(seq, self.log.bounds());
        (self.safe_seq, self.seen_seq, self.old_seq) = (seq, seq, seq);
        self.release(&show)
    }

    /// Takes an event as it comes.
    pub(crate) fn accept(&mut self, event: &Arc<Event>, show: impl Fn(&Arc<Event>)) -> Accepted {
        if let Some(held) = &mut self.held {
            held.waiting.push_back(event.clone());
            return if held.waiting.len() > HELD_EVENTS_MAX { Accepted::Overflow } else { Accepted::Done };
        }
        let Err(missing) = self.offer(event, &show) else { return Accepted::Done };
        self.held = Some(Box::new(Held { gap: Some(event.clone()), ..Held::default() }));
        Accepted::Missing(missing)
    }

    /// Something may have gone past since all was well: what comes now waits until the stream has been read again, else
    /// a client could leave in between with a cursor beyond what it never saw.
    pub(crate) fn disturb(&mut self) -> Option<Missing> {
        if let Some(held) = &mut self.held {
            held.again = true;
            return None;
        }
        self.held = Some(Box::default());
        Some(Missing { after: self.safe_seq })
    }

    /// Something may have gone past a while ago: the stream is read again while what comes is shown as it comes. Whoever
    /// has left since has a cursor beyond it anyway, and holding a busy tenant back would only end in a burst.
    pub(crate) fn look(&mut self) -> Option<Missing> {
        if let Some(held) = &mut self.held {
            held.again = true;
            return None;
        }
        Some(Missing { after: self.safe_seq })
    }

    /// Takes what was read of the stream, shows what was not known of it, and then what was held back: how many were
    /// not known, and whether more is missing.
    pub(crate) fn mend(
        &mut self,
        events: &[Arc<Event>],
        show: impl Fn(&Arc<Event>),
    ) -> (usize, Option<Missing>) {
        let mended = events.iter().filter(|event| self.take(event, &show)).count();
        (mended, self.release(&show))
    }

    /// Takes what a look read of the stream, shows what was not known of it: how much that was. What is held back for
    /// another reason goes on waiting.
    pub(crate) fn add(&mut self, events: &[Arc<Event>], show: impl Fn(&Arc<Event>)) -> usize {
        events.iter().filter(|event| self.take(event, &show)).count()
    }

    /// Everything that was shown when this was last told came undisturbed, unless something is missing.
    pub(crate) fn mark_safe(&mut self) {
        if self.held.is_none() {
            self.safe_seq = std::mem::replace(&mut self.seen_seq, self.log.head());
        }
    }

    /// Forgets what was safe when it was last told to.
    pub(crate) fn age(&mut self) {
        let old_seq = std::mem::replace(&mut self.old_seq, self.safe_seq);
        self.log.forget_until(old_seq);
    }

    /// Shows an event, unless one before it is missing.
    fn offer(&mut self, event: &Arc<Event>, show: &impl Fn(&Arc<Event>)) -> Result<(), Missing> {
        match self.log.offer(event) {
            Offered::Appended => show(event),
            Offered::Known => {}
            Offered::Gap { missing } => return Err(Missing { after: missing.saturating_sub(1) }),
        }
        Ok(())
    }

    fn take(&mut self, event: &Arc<Event>, show: &impl Fn(&Arc<Event>)) -> bool {
        let new = self.log.take(event) == Offered::Appended;
        if new {
            show(event);
        }
        new
    }

    /// Shows what was held back, up to the next gap.
    fn release(&mut self, show: &impl Fn(&Arc<Event>)) -> Option<Missing> {
        let mut held = self.held.take()?;
        if std::mem::take(&mut held.again) {
            self.held = Some(held);
            return Some(Missing { after: self.safe_seq });
        }
        if let Some(event) = held.gap.take() {
            self.take(&event, show);
        }
        while let Some(event) = held.waiting.pop_front() {
            if let Err(missing) = self.offer(&event, show) {
                held.gap = Some(event);
                self.held = Some(held);
                return Some(missing);
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use chasqui_proto::v1;

    use super::*;
    use crate::event::Fact;

    const BOUNDS: Bounds = Bounds { events_max: 99, bytes_max: 999_999 };

    /// A flow and what it has shown.
    struct Screen {
        flow: Flow,
        shown: RefCell<Vec<u64>>,
    }

    impl Screen {
        /// A flow that began at 10.
        fn at_10() -> Self {
            let mut flow = Flow::new(BOUNDS);
            assert_eq!(flow.begin(10, |_| {}), None);
            Self { flow, shown: RefCell::default() }
        }

        fn accept(&mut self, seq: u64, previous: u64) -> Accepted {
            self.flow.accept(&event(seq, previous), |event| self.shown.borrow_mut().extend(event.seq))
        }

        fn mend(&mut self, events: &[Arc<Event>]) -> (usize, Option<Missing>) {
            self.flow.mend(events, |event| self.shown.borrow_mut().extend(event.seq))
        }
    }

    fn event(seq: u64, previous: u64) -> Arc<Event> {
        let fact = Fact::Message { message: Box::default(), status: v1::Status::Unspecified };
        let mut event = Event::of_store("a", seq, fact);
        event.previous = previous;
        Arc::new(event)
    }

    fn missing(after: u64) -> Accepted {
        Accepted::Missing(Missing { after })
    }

    #[test]
    fn what_comes_before_there_is_a_position_is_shown_once_there_is() {
        let mut flow = Flow::new(BOUNDS);
        for seq in 9..=12 {
            assert_eq!(flow.accept(&event(seq, seq - 1), |_| panic!("shown too early")), Accepted::Done);
        }
        let shown = RefCell::new(Vec::new());
        assert_eq!(flow.begin(10, |event| shown.borrow_mut().extend(event.seq)), None);
        assert_eq!(shown.into_inner(), [11, 12]);
    }

    #[test]
    fn what_comes_behind_a_gap_waits_until_the_gap_is_closed() {
        let mut screen = Screen::at_10();
        assert_eq!(screen.accept(13, 12), missing(11));
        assert_eq!(screen.accept(14, 13), Accepted::Done);
        // 15 is lost while the stream is read: found when the events that waited are let through.
        assert_eq!(screen.accept(16, 15), Accepted::Done);
        assert!(screen.shown.borrow().is_empty());
        assert_eq!(screen.mend(&[event(12, 0)]), (1, Some(Missing { after: 14 })));
        assert_eq!(screen.mend(&[event(15, 14)]), (1, None));
        assert_eq!(screen.accept(17, 16), Accepted::Done);
        assert_eq!(screen.shown.into_inner(), [12, 13, 14, 15, 16, 17]);
    }

    #[test]
    fn what_the_stream_no_longer_has_is_not_waited_for() {
        let mut screen = Screen::at_10();
        assert_eq!(screen.accept(13, 12), missing(11));
        assert_eq!(screen.mend(&[]), (0, None));
        assert_eq!(screen.shown.into_inner(), [13]);
    }

    #[test]
    fn after_a_disturbance_nothing_is_shown_before_the_stream_was_read_again() {
        let mut screen = Screen::at_10();
        assert_eq!(screen.accept(11, 0), Accepted::Done);
        assert_eq!(screen.flow.disturb(), Some(Missing { after: 10 }));
        assert_eq!(screen.accept(13, 0), Accepted::Done);
        screen.flow.mark_safe();
        assert_eq!(screen.flow.disturb(), None, "one reading at a time");
        assert_eq!(screen.mend(&[event(11, 0)]), (0, Some(Missing { after: 10 })));
        assert_eq!(screen.mend(&[event(11, 0), event(12, 0)]), (1, None));
        assert_eq!(screen.shown.into_inner(), [11, 12, 13]);
    }

    #[test]
    fn what_came_just_before_all_seemed_well_is_read_again() {
        let mut screen = Screen::at_10();
        assert_eq!(screen.accept(12, 0), Accepted::Done);
        // 11 went past, and nobody knows yet.
        screen.flow.mark_safe();
        assert_eq!(screen.flow.disturb(), Some(Missing { after: 10 }));
        assert_eq!(screen.mend(&[event(11, 0), event(12, 0)]), (1, None));
        screen.flow.mark_safe();
        assert_eq!(screen.flow.disturb(), Some(Missing { after: 12 }));
    }

    #[test]
    fn a_flow_ages_without_forgetting_what_may_still_be_missed() {
        let mut screen = Screen::at_10();
        for seq in 11..=13 {
            assert_eq!(screen.accept(seq, seq - 1), Accepted::Done);
        }
        screen.flow.age();
        screen.flow.mark_safe();
        screen.flow.mark_safe();
        screen.flow.age();
        assert_eq!(screen.flow.log().after(10).map(Iterator::count), Some(3));
        screen.flow.age();
        assert!(screen.flow.log().after(12).is_none());
        assert_eq!(screen.flow.log().after(13).map(Iterator::count), Some(0));
        assert_eq!(screen.accept(14, 13), Accepted::Done);
    }

    #[test]
    fn what_is_held_back_is_bounded() {
        let mut screen = Screen::at_10();
        assert_eq!(screen.accept(13, 12), missing(11));
        let outcomes = (14..).map(|seq| screen.accept(seq, 0)).take(HELD_EVENTS_MAX + 1);
        assert_eq!(outcomes.last(), Some(Accepted::Overflow));
    }
}
