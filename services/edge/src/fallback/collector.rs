//! What one poll is answered with.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use chasqui_websocket::Text;
use tokio::sync::Notify;

use super::viewer::Viewer;
use crate::{
    cursor,
    event::Event,
    feed::{Greeting, Member},
    hub::Cursor,
};

/// The most events with a position in one answer; the client has the others with its next request.
const EVENTS_MAX: usize = 200;
/// The most bytes of them; a single larger event passes alone.
const EVENTS_BYTES_MAX: usize = 1024 * 1024;
/// The most states beside them. Those beyond are left out: they only say how things stand.
const STATES_MAX: usize = 100;

/// The member of a feed that a poll waits with.
#[derive(Debug)]
pub(super) struct Collector {
    viewer: Viewer,
    collected: Mutex<Collected>,
    news: Notify,
}

/// What came so far.
#[derive(Debug, Default)]
struct Collected {
    greeting: Option<Greeting>,
    /// With their positions; states have none.
    frames: Vec<(Option<u64>, Text)>,
    /// How many of them have a position, and the bytes of those.
    events: usize,
    bytes: usize,
    /// How many are states.
    states: usize,
    /// The last position among them.
    last_seq: Option<u64>,
    /// The last position of a campaign's state.
    told: Option<u64>,
    /// The lowest such position that did not fit.
    left_told: Option<u64>,
    /// The lowest position that did not fit: events may come out of order, and the cursor must not pass it.
    left_seq: Option<u64>,
    /// No more fits: what comes now is for the next request.
    is_full: bool,
    /// The member has joined: states are news now, and not what a client may have been shown already.
    is_live: bool,
    has_news: bool,
}

/// The answer's content.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Harvest {
    pub(super) frames: Vec<Text>,
    pub(super) cursor: Cursor,
    pub(super) recovered: bool,
}

impl Collector {
    pub(super) fn new(viewer: Viewer) -> Arc<Self> {
        Arc::new(Self { viewer, collected: Mutex::default(), news: Notify::new() })
    }

    /// Everything it missed was delivered: whatever comes now is new.
    pub(super) fn go_live(&self) {
        self.collected().is_live = true;
    }

    /// Whether the client's cursor was honoured.
    pub(super) fn is_recovered(&self) -> bool {
        self.collected().greeting.as_ref().is_some_and(|greeting| greeting.recovered)
    }

    /// Waits until there is something to answer with.
    pub(super) async fn something(&self) {
        loop {
            let news = self.news.notified();
            if self.collected().has_news {
                return;
            }
            news.await;
        }
    }

    /// Takes what came; `head` is what the feed had shown before this was called.
    pub(super) fn harvest(&self, head: u64) -> Option<Harvest> {
        let Collected { greeting, frames, last_seq, left_seq, told, left_told, is_full, .. } =
            std::mem::take(&mut *self.collected());
        let Greeting { epoch, seq, recovered, told: greeted, .. } = greeting?;
        let told = told.max(greeted).map(|told| left_told.map_or(told, |left| told.min(left - 1)));
        let epoch = cursor::epoch(&epoch, told);
        let reached = last_seq.unwrap_or(seq).max(seq);
        // What did not fit lies between the last of them and the head.
        let seq = if is_full { reached } else { reached.max(head) };
        let seq = left_seq.map_or(seq, |left| seq.min(left.saturating_sub(1)));
        // Those beyond it come with what did not fit, once.
        let frames = frames.into_iter().filter(|(at, _)| at.is_none_or(|at| at <= seq));
        let frames = frames.map(|(_, frame)| frame).collect();
        Some(Harvest { frames, cursor: Cursor { epoch, seq }, recovered })
    }

    fn collected(&self) -> MutexGuard<'_, Collected> {
        // Nothing under this lock leaves it half changed.
        self.collected.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member for Collector {
    fn greet(&self, greeting: &Greeting) {
        self.collected().greeting = Some(greeting.clone());
    }

    fn deliver(&self, event: &Arc<Event>) {
        // Who types or comes is over before the next request.
        if event.fact.is_volatile() {
            return;
        }
        let Some(frame) = self.viewer.frame(event) else { return };
        let mut collected = self.collected();
        match &event.mark {
            Some(mark) => collected.take_campaign(frame, mark.seq),
            None => collected.take(frame, event.seq),
        }
        if collected.has_news {
            self.news.notify_one();
        }
    }

    fn dismiss(&self) {
        let mut collected = self.collected();
        // The feed went past what it could show: the cursor must not.
        (collected.is_full, collected.has_news) = (true, true);
        self.news.notify_one();
    }
}

impl Collected {
    /// Takes a state, unless there are too many; says whether it did.
    fn take_state(&mut self, frame: Text) -> bool {
        let fits = !self.is_full && self.states < STATES_MAX;
        if fits {
            self.states += 1;
            self.frames.push((None, frame));
        }
        fits
    }

    /// The cursor tells which of them the client was shown: it is always news, and what does not fit comes next time.
    fn take_campaign(&mut self, frame: Text, seq: u64) {
        self.has_news = true;
        if self.take_state(frame) {
            self.told = self.told.max(Some(seq));
        } else {
            self.left_told = Some(self.left_told.map_or(seq, |left| left.min(seq)));
        }
    }

    fn take(&mut self, frame: Text, seq: Option<u64>) {
        let Some(seq) = seq else {
            self.has_news |= self.take_state(frame) && self.is_live;
            return;
        };
        self.has_news = true;
        let fits = self.events < EVENTS_MAX && self.bytes + frame.len() <= EVENTS_BYTES_MAX;
        if self.is_full || (self.events > 0 && !fits) {
            self.is_full = true;
            self.left_seq = Some(self.left_seq.map_or(seq, |left| left.min(seq)));
            return;
        }
        self.events += 1;
        self.bytes += frame.len();
        self.last_seq = self.last_seq.max(Some(seq));
        self.frames.push((Some(seq), frame));
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1;

    use super::*;
    use crate::event::{Fact, Mark};

    fn greeted(seq: u64) -> Arc<Collector> {
        let collector = Collector::new(Viewer::Staff);
        collector.greet(&Greeting {
            epoch: "18a".to_owned(),
            seq,
            recovered: true,
            fresh: false,
            told: None,
        });
        collector
    }

    fn message(seq: u64) -> Arc<Event> {
        let fact = Fact::Message { message: Box::default(), status: v1::Status::Unspecified };
        Arc::new(Event::of_store("", seq, fact))
    }

    fn state() -> Arc<Event> {
        Arc::new(Event::of_state(Fact::Conversation(Box::default())))
    }

    fn has_news(collector: &Collector) -> bool {
        collector.collected().has_news
    }

    #[test]
    fn without_news_the_cursor_goes_to_the_head_of_the_feed_and_never_back() {
        assert_eq!(greeted(7).harvest(9).unwrap().cursor.seq, 9);
        assert_eq!(greeted(7).harvest(5).unwrap().cursor.seq, 7, "the client comes from a faster node");
    }

    #[test]
    fn what_does_not_fit_is_left_for_the_next_request() {
        let collector = greeted(0);
        for seq in 1..=500 {
            collector.deliver(&message(seq));
        }
        let harvest = collector.harvest(500).unwrap();
        assert_eq!((harvest.frames.len(), harvest.cursor.seq), (EVENTS_MAX, EVENTS_MAX as u64));
    }

    #[test]
    fn the_cursor_never_passes_what_came_out_of_order_and_did_not_fit() {
        let collector = greeted(0);
        for seq in (1..=150).chain(152..=202).chain([151, 203]) {
            collector.deliver(&message(seq));
        }
        let harvest = collector.harvest(203).unwrap();
        assert_eq!(
            (harvest.frames.len(), harvest.cursor.seq),
            (150, 150),
            "those after it come once, with it"
        );
    }

    #[test]
    fn a_state_that_was_missed_is_no_news_and_one_that_comes_now_is() {
        let collector = greeted(7);
        collector.deliver(&state());
        assert!(!has_news(&collector), "else every request would be answered with it at once");
        collector.go_live();
        collector.deliver(&state());
        assert!(has_news(&collector));
    }

    #[test]
    fn what_is_only_worth_knowing_now_answers_no_poll() {
        let collector = greeted(7);
        collector.go_live();
        collector.deliver(&Arc::new(Event::of_state(Fact::Typing(Box::default()))));
        assert!(!has_news(&collector) && collector.harvest(7).unwrap().frames.is_empty());
    }

    #[test]
    fn states_are_bounded_and_never_keep_an_event_out() {
        let collector = greeted(0);
        for _ in 0..2 * STATES_MAX {
            collector.deliver(&state());
        }
        collector.deliver(&message(3));
        let harvest = collector.harvest(3).unwrap();
        assert_eq!((harvest.frames.len(), harvest.cursor.seq), (STATES_MAX + 1, 3));
    }

    #[test]
    fn the_cursor_tells_which_campaigns_were_shown_and_those_that_do_not_fit_come_next() {
        let campaign = |seq| {
            let progress =
                v1::BulkProgress { status: v1::CampaignStatus::Running.into(), ..Default::default() };
            Arc::new(Event::of_campaign(progress, Mark { life: "18a".into(), seq }))
        };
        let collector = greeted(7);
        collector.deliver(&campaign(41));
        assert!(has_news(&collector), "it is told once, so that it is news whenever it was");
        assert_eq!(collector.harvest(7).unwrap().cursor.to_string(), "18a-41.7");
        let collector = greeted(7);
        for seq in 1..=150 {
            collector.deliver(&campaign(seq));
        }
        let harvest = collector.harvest(7).unwrap();
        assert_eq!((harvest.frames.len(), harvest.cursor.told()), (STATES_MAX, Some(STATES_MAX as u64)));
    }

    #[test]
    fn a_feed_that_gave_up_answers_with_what_was_shown() {
        let collector = greeted(7);
        collector.deliver(&message(8));
        collector.dismiss();
        assert_eq!(collector.harvest(20).unwrap().cursor.seq, 8);
    }
}
