use chasqui_proto::v1;

use super::*;
use crate::event::{Fact, Mark};

#[derive(Default)]
struct Screen(Mutex<Vec<u64>>);

impl Member for Screen {
    fn greet(&self, _: &Greeting) {}

    fn deliver(&self, event: &Arc<Event>) {
        self.0.lock().unwrap().extend(event.seq);
    }

    fn dismiss(&self) {}
}

fn event(seq: u64) -> Event {
    let fact = Fact::Message { message: Box::default(), status: v1::Status::Unspecified };
    Event::of_store("a", seq, fact)
}

const BOUNDS: Bounds = Bounds { events_max: 9, bytes_max: 99_999 };

/// What a member is shown that joins a feed at 10, which then hears everything up to 14.
fn shown(start: Start) -> Vec<u64> {
    let feed = Arc::new(Feed::new(Scope::Tenant("default".parse().unwrap()), BOUNDS, 9));
    assert_eq!(feed.begin(&Position { epoch: "life".into(), seq: 10 }), None);
    let screen = Arc::new(Screen::default());
    let member: Arc<dyn Member> = screen.clone();
    let _place = feed.join(&member, start, None).unwrap();
    for seq in 11..=14 {
        assert_eq!(feed.accept(&Arc::new(event(seq))), None);
    }
    screen.0.lock().unwrap().clone()
}

#[test]
fn a_client_that_comes_from_a_faster_node_is_shown_nothing_twice() {
    assert_eq!(shown(Start::After(12)), [13, 14]);
    let history = || History { events: vec![event(9), event(12)], states: Vec::new(), covered_seq: 12 };
    assert_eq!(shown(Start::With { since: 8, history: history() }), [9, 12, 13, 14]);
    assert_eq!(shown(Start::Backlog { history: history(), fresh: true }), [9, 12, 13, 14]);
    assert_eq!(shown(Start::Now), [11, 12, 13, 14]);
}

/// What a client keeps of a campaign's frames: what it was greeted with, and the states it was shown.
#[derive(Default)]
struct Watcher {
    greeted: Mutex<Option<u64>>,
    shown: Mutex<Vec<u64>>,
}

impl Member for Watcher {
    fn greet(&self, greeting: &Greeting) {
        *self.greeted.lock().unwrap() = greeting.told;
    }

    fn deliver(&self, event: &Arc<Event>) {
        self.shown.lock().unwrap().extend(event.mark.as_ref().map(|mark| mark.seq));
    }

    fn dismiss(&self) {}
}

/// A campaign as it stands at a position.
fn campaign(id: &str, status: v1::CampaignStatus, seq: u64) -> Arc<Event> {
    let progress =
        v1::BulkProgress { campaign: id.to_owned(), status: status.into(), ..v1::BulkProgress::default() };
    Arc::new(Event::of_campaign(progress, Mark { life: "life".into(), seq }))
}

#[test]
fn a_client_is_told_each_state_of_a_campaign_once_wherever_it_was_before() {
    use v1::CampaignStatus::{Completed, Running};
    let check = |told: Option<u64>, greeted: Option<u64>, shown: &[u64]| {
        let feed = Arc::new(Feed::new(Scope::Tenant("default".parse().unwrap()), BOUNDS, 9));
        assert_eq!(feed.begin(&Position { epoch: "life".into(), seq: 10 }), None);
        feed.tell(&campaign("a", Running, 41));
        feed.tell(&campaign("b", Completed, 45));
        let watcher = Arc::new(Watcher::default());
        let member: Arc<dyn Member> = watcher.clone();
        let _place = feed.join(&member, Start::Now, told).unwrap();
        // What was read of the stream comes live too, or once more; then there is news.
        for (seq, status) in [(41, Running), (47, Running), (44, Running), (49, Completed)] {
            feed.tell(&campaign("a", status, seq));
        }
        assert_eq!(*watcher.greeted.lock().unwrap(), greeted, "told {told:?}");
        assert_eq!(*watcher.shown.lock().unwrap(), shown, "told {told:?}");
    };
    // The last of what it is brought up to date with counts for everything.
    check(None, None, &[45, 47, 49]);
    check(Some(40), Some(40), &[41, 45, 47, 49]);
    check(Some(41), Some(41), &[45, 47, 49]);
    check(Some(45), Some(45), &[47, 49]);
    // It comes from a node that is ahead of this one.
    check(Some(48), Some(48), &[49]);
}

#[test]
fn contacts_are_told_of_no_campaigns() {
    let scope = Scope::Contact("default".parse().unwrap(), "5491100000001".parse().unwrap());
    let feed = Arc::new(Feed::new(scope, BOUNDS, 9));
    let watcher = Arc::new(Watcher::default());
    let member: Arc<dyn Member> = watcher.clone();
    let _place = feed.join(&member, Start::Now, Some(3)).unwrap();
    feed.tell(&campaign("a", v1::CampaignStatus::Running, 41));
    assert!(watcher.shown.lock().unwrap().is_empty() && feed.campaigns_read().is_none());
}
