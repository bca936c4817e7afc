//! The feeds of one tenant on this node, and which of them want a fact.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chasqui_proto::{ConversationToken, Tenant, subject::Parts};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

use crate::{
    addresses::Addresses,
    context::Context,
    event::{Audience, Event},
    feed::Feed,
    scope::Scope,
};

/// The feeds of one tenant. Its staff's feed is fed by the tenant's tap; a contact's feed by a line of its own, or by the
/// tap when there is one anyway or when there are more contacts than lines are worth: a tap hears the whole tenant, a
/// line is a handful of subscriptions for one.
#[derive(Debug)]
pub(crate) struct Feeds {
    pub(crate) tenant: Tenant,
    /// So many contacts may have lines of their own.
    lines_max: usize,
    state: Mutex<State>,
    context: Mutex<Context>,
    /// Of the files that messages have.
    addresses: Addresses,
}

#[derive(Debug, Default)]
struct State {
    staff: Option<Arc<Feed>>,
    contacts: HashMap<Box<str>, Contact>,
    tap: Option<Arc<Tap>>,
}

#[derive(Debug)]
struct Contact {
    feed: Arc<Feed>,
    /// Its own line; `None` rides on the tap.
    line: Option<Line>,
}

/// Dropped, it ends.
#[derive(Debug)]
struct Line(CancellationToken);

impl Drop for Line {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

/// What the feeds of a tenant share: one set of subscriptions for all that concerns it. Dropped, it ends.
#[derive(Debug)]
pub(crate) struct Tap {
    /// Set once the subscriptions are on their way to the broker.
    pub(crate) open: OnceCell<()>,
    /// Cancelled when nobody needs the tap any more.
    pub(crate) stopped: CancellationToken,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.stopped.cancel();
    }
}

/// Where a feed is fed from.
#[derive(Debug)]
pub(crate) enum Source {
    Tap(Arc<Tap>),
    /// A line of its own, until this is cancelled.
    Line(CancellationToken),
}

/// What a node knows of a contact that somebody asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Presence {
    Here,
    Absent,
    /// The contact's own line answers.
    AskedElsewhere,
}

impl Feeds {
    pub(crate) fn new(tenant: Tenant, lines_max: usize, addresses: Addresses) -> Self {
        Self { tenant, lines_max, addresses, state: Mutex::default(), context: Mutex::default() }
    }

    /// The feed of a scope of this tenant, made with `make` where there is none, and what feeds it. `stop` ends it all.
    pub(crate) fn seat(
        &self,
        scope: &Scope,
        stop: &CancellationToken,
        make: impl FnOnce() -> Feed,
    ) -> (Arc<Feed>, Source) {
        let mut state = self.state();
        let Some(conversation) = scope.conversation().map(ConversationToken::as_str) else {
            let tap = state.tap(stop);
            if state.staff.as_ref().is_none_or(|feed| feed.has_ended()) {
                state.staff = Some(Arc::new(make()));
            }
            let feed = state.staff.clone().expect("it was just made where there was none");
            return (feed, Source::Tap(tap));
        };
        if let Some(contact) = state.contacts.get(conversation).filter(|contact| !contact.feed.has_ended()) {
            let source = match &contact.line {
                Some(line) => Source::Line(line.0.clone()),
                None => Source::Tap(state.tap.clone().expect("a tap lives while somebody rides on it")),
            };
            return (contact.feed.clone(), source);
        }
        let feed = Arc::new(make());
        let (source, line) = if state.staff.is_some() || state.contacts.len() >= self.lines_max {
            (Source::Tap(state.tap(stop)), None)
        } else {
            let line = stop.child_token();
            (Source::Line(line.clone()), Some(Line(line)))
        };
        state.contacts.insert(conversation.into(), Contact { feed: feed.clone(), line });
        (feed, source)
    }

    /// Puts an event beside what is known of the tenant; `None` for one that nobody is shown.
    pub(crate) fn place(&self, mut event: Event) -> Option<Arc<Event>> {
        self.addresses.give_fact(&mut event.fact);
        if let Some(mark) = &mut event.mark {
            mark.life = self.state().staff.as_ref().map(|feed| feed.epoch()).unwrap_or_default();
        }
        self.context.lock().unwrap_or_else(PoisonError::into_inner).place(event)
    }

    /// The feeds on the tap that want what this audience may be shown. Lines hear it themselves.
    pub(crate) fn on_tap(&self, audience: Audience<'_>) -> Vec<Arc<Feed>> {
        self.state().listeners(audience, |contact| contact.line.is_none())
    }

    /// Every feed that wants what this audience may be shown.
    pub(crate) fn all(&self, audience: Audience<'_>) -> Vec<Arc<Feed>> {
        self.state().listeners(audience, |_| true)
    }

    /// Whether a contact is connected, as the tap answers it.
    pub(crate) fn find(&self, conversation: &str) -> Presence {
        match self.state().contacts.get(conversation) {
            Some(contact) if contact.line.is_some() => Presence::AskedElsewhere,
            Some(contact) if contact.feed.has_members() => Presence::Here,
            Some(_) | None => Presence::Absent,
        }
    }

    /// Ends what nobody has read for `linger`, the tap as well when nobody needs it; whether any feed is left.
    pub(crate) fn sweep(&self, linger: Duration, look_over: impl Fn(&Feed)) -> bool {
        let mut state = self.state();
        let stays = |feed: &Feed| {
            let stays = !feed.end_if_idle(linger);
            if stays {
                look_over(feed);
            }
            stays
        };
        state.staff = state.staff.take().filter(|feed| stays(feed));
        state.contacts.retain(|_, contact| stays(&contact.feed));
        // While few are left they keep the tap, and who comes new gets a line.
        if state.staff.is_none() && state.contacts.values().all(|contact| contact.line.is_some()) {
            state.tap = None;
        }
        state.staff.is_some() || !state.contacts.is_empty()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn tap(&mut self, stop: &CancellationToken) -> Arc<Tap> {
        let tap = self
            .tap
            .get_or_insert_with(|| Arc::new(Tap { open: OnceCell::new(), stopped: stop.child_token() }));
        tap.clone()
    }

    fn listeners(&self, audience: Audience<'_>, hears: impl Fn(&Contact) -> bool) -> Vec<Arc<Feed>> {
        let mut listeners: Vec<Arc<Feed>> = self.staff.iter().cloned().collect();
        match audience {
            Audience::Staff => {}
            Audience::Contact(conversation) => {
                let contact = self.contacts.get(conversation).filter(|contact| hears(contact));
                listeners.extend(contact.map(|contact| contact.feed.clone()));
            }
            Audience::Everyone => {
                let contacts = self.contacts.values().filter(|contact| hears(contact));
                listeners.extend(contacts.map(|contact| contact.feed.clone()));
            }
        }
        listeners
    }
}

/// Who may be shown a fact, as far as its subject tells: most events of a tenant concern contacts that are elsewhere, and
/// need not be decoded here.
pub(crate) fn audience_of<'a>(parts: &Parts<'a>) -> Option<Audience<'a>> {
    match parts.noun {
        "messages" | "conversations" | "chats" | "typing" => Some(Audience::Contact(parts.key)),
        "announcements" => Some(Audience::Everyone),
        // Their payload names the conversation.
        "appointments" | "payments" => None,
        _ => Some(Audience::Staff),
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::subject;

    use super::*;
    use crate::{
        feed::{Greeting, Member, Membership, Start},
        log::Bounds,
        position::Position,
    };

    const BOUNDS: Bounds = Bounds { events_max: 9, bytes_max: 9_999 };
    const NO_LINGER: Duration = Duration::ZERO;

    struct Nobody;

    impl Member for Nobody {
        fn greet(&self, _: &Greeting) {}
        fn deliver(&self, _: &Arc<Event>) {}
        fn dismiss(&self) {}
    }

    fn tenant() -> Tenant {
        "default".parse().unwrap()
    }

    fn contact(number: u32) -> Scope {
        let token: ConversationToken = format!("549110000000{number}").parse().unwrap();
        Scope::Contact(tenant(), token)
    }

    fn seat(feeds: &Feeds, scope: &Scope) -> (Arc<Feed>, Source) {
        let seat = feeds.seat(scope, &CancellationToken::new(), || Feed::new(scope.clone(), BOUNDS, 9));
        let _ = seat.0.begin(&Position { epoch: "life".into(), seq: 1 });
        seat
    }

    fn join(feeds: &Feeds, scope: &Scope) -> (Membership, bool) {
        let (feed, source) = seat(feeds, scope);
        let member: Arc<dyn Member> = Arc::new(Nobody);
        (feed.join(&member, Start::Now, None).unwrap(), matches!(source, Source::Tap(_)))
    }

    fn sweep(feeds: &Feeds) -> bool {
        feeds.sweep(NO_LINGER, |_| {})
    }

    #[test]
    fn the_first_contacts_have_lines_and_the_others_ride_on_a_tap() {
        let feeds = Feeds::new(tenant(), 2, Addresses::default());
        let contacts: Vec<_> = (1..=4).map(|number| join(&feeds, &contact(number))).collect();
        let ride: Vec<bool> = contacts.iter().map(|(_, rides)| *rides).collect();
        assert_eq!(ride, [false, false, true, true]);
        assert_eq!(feeds.on_tap(Audience::Contact("5491100000001")).len(), 0, "its line hears it");
        assert_eq!(feeds.on_tap(Audience::Contact("5491100000003")).len(), 1);
        assert_eq!(feeds.on_tap(Audience::Contact("5491100000009")).len(), 0, "nobody here wants it");
        assert_eq!(feeds.on_tap(Audience::Everyone).len(), 2);
        assert_eq!(feeds.all(Audience::Everyone).len(), 4);
        assert_eq!(feeds.on_tap(Audience::Staff).len(), 0);
    }

    #[test]
    fn with_staff_every_new_contact_rides_and_who_has_a_line_keeps_it() {
        let feeds = Feeds::new(tenant(), 64, Addresses::default());
        let first = join(&feeds, &contact(1));
        let staff = join(&feeds, &Scope::Tenant(tenant()));
        let second = join(&feeds, &contact(2));
        assert_eq!([first.1, staff.1, second.1], [false, true, true]);
        assert!(!join(&feeds, &contact(1)).1);
        assert_eq!(feeds.on_tap(Audience::Contact("5491100000002")).len(), 2);
        assert_eq!(feeds.on_tap(Audience::Contact("5491100000001")).len(), 1);
    }

    #[test]
    fn a_tap_ends_with_the_last_who_needs_it_and_drains_out_while_few_are_left() {
        let feeds = Feeds::new(tenant(), 64, Addresses::default());
        let staff = join(&feeds, &Scope::Tenant(tenant()));
        let rider = join(&feeds, &contact(1));
        let tap = feeds.state().tap.as_ref().unwrap().stopped.clone();
        drop(staff);
        assert!(sweep(&feeds));
        assert!(!join(&feeds, &contact(2)).1, "a tap is no longer worth it");
        assert!(sweep(&feeds) && !tap.is_cancelled(), "somebody still rides on it");
        drop(rider);
        sweep(&feeds);
        assert!(tap.is_cancelled() && feeds.state().tap.is_none());
        assert!(!sweep(&feeds), "nothing is left");
    }

    #[test]
    fn kon_11_the_tap_answers_for_who_rides_on_it_and_is_silent_for_who_has_a_line() {
        let feeds = Feeds::new(tenant(), 1, Addresses::default());
        let (_line, rider) = (join(&feeds, &contact(1)), join(&feeds, &contact(2)));
        assert_eq!(feeds.find("5491100000001"), Presence::AskedElsewhere);
        assert_eq!(feeds.find("5491100000002"), Presence::Here);
        assert_eq!(feeds.find("5491100000003"), Presence::Absent);
        drop(rider);
        assert_eq!(feeds.find("5491100000002"), Presence::Absent, "its feed lingers, its socket is gone");
    }

    #[test]
    fn a_feed_that_ended_is_replaced_and_its_line_ends() {
        let feeds = Feeds::new(tenant(), 64, Addresses::default());
        let (feed, Source::Line(line)) = seat(&feeds, &contact(1)) else { panic!("it has a line") };
        feed.give_up();
        let (other, _) = seat(&feeds, &contact(1));
        assert!(line.is_cancelled() && !Arc::ptr_eq(&feed, &other));
    }

    #[test]
    fn a_subject_tells_who_may_be_shown_what_is_published_there() {
        for (name, audience) in [
            ("live.messages.in.default.5491100000001", Some(Audience::Contact("5491100000001"))),
            ("live.chats.updated.default.web_u1", Some(Audience::Contact("web_u1"))),
            ("typing.changed.default.web_u1", Some(Audience::Contact("web_u1"))),
            ("live.stats.updated.default", Some(Audience::Staff)),
            ("live.sessions.updated.default.main", Some(Audience::Staff)),
            ("announcements.made.default", Some(Audience::Everyone)),
            ("live.payments.updated.default.r1", None),
        ] {
            assert_eq!(audience_of(&subject::parse(name).unwrap()), audience, "{name}");
        }
    }
}
