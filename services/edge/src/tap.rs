//! What feeds feeds: one set of subscriptions for all of a tenant, or a line for one contact.

use std::{sync::Arc, time::Duration};

use async_nats::{Message, Subscriber};
use chasqui_kit::Bus;
use chasqui_proto::subject::{self, Parts};
use futures::{StreamExt, stream::SelectAll};
use tokio_util::sync::CancellationToken;

use crate::{
    doorbell::Doorbell,
    error::Error,
    event::{Audience, Event},
    feed::Feed,
    feeds::{Feeds, Presence, audience_of},
    repair::Repairs,
    scope::Scope,
};

/// How long after going live, again after the connection to the broker was lost too, the stream is read once more: a
/// subscription needs up to 10 ms to be known on the other servers of a cluster, and what was published meanwhile went
/// past it. Who comes to a tap later needs no second look:
/// its subscriptions are known everywhere by then.
pub(crate) const SECOND_LOOK_AFTER: Duration = Duration::from_secs(1);

/// What is heard, of whatever kind.
pub(crate) type Heard = SelectAll<Subscriber>;

/// Subscribes to all that concerns a scope.
pub(crate) async fn subscribe(bus: &Bus, scope: &Scope) -> Result<Heard, Error> {
    let tenant = scope.tenant();
    let announcements = subject::announcements_made(tenant).as_str().to_owned();
    let Some(conversation) = scope.conversation() else {
        let patterns = [
            subject::live_tenant(tenant),
            subject::live_tenant_wide(tenant),
            subject::typing_of_tenant(tenant),
            subject::edge_contacts_of_tenant(tenant),
        ];
        return listen(bus, patterns.map(|pattern| pattern.as_str().to_owned()), [announcements]).await;
    };
    let patterns = [
        subject::live_conversation(tenant, conversation),
        subject::live_appointments_of_tenant(tenant),
        subject::live_payments_of_tenant(tenant),
    ];
    let typing = subject::typing_changed(tenant, conversation).as_str().to_owned();
    let questions = subject::edge_contacts(tenant, conversation).as_str().to_owned();
    let subjects = [typing, questions, announcements];
    listen(bus, patterns.map(|pattern| pattern.as_str().to_owned()), subjects).await
}

async fn listen(
    bus: &Bus,
    patterns: impl IntoIterator<Item = String>,
    subjects: impl IntoIterator<Item = String>,
) -> Result<Heard, Error> {
    let mut heard = SelectAll::new();
    for subject in patterns.into_iter().chain(subjects) {
        let subscribed = bus.client().subscribe(subject).await;
        heard.push(subscribed.map_err(|error| Error::Subscribe(error.to_string()))?);
    }
    Ok(heard)
}

/// The task that feeds feeds.
pub(crate) struct Pump {
    pub(crate) feeds: Arc<Feeds>,
    /// The only feed that is fed; `None` feeds all that ride on the tap.
    pub(crate) only: Option<Arc<Feed>>,
    pub(crate) doorbell: Doorbell,
    pub(crate) repairs: Arc<Repairs>,
}

impl Pump {
    /// Until stopped.
    pub(crate) async fn run(self, mut heard: Heard, stop: CancellationToken) {
        let second_look = tokio::time::sleep(SECOND_LOOK_AFTER);
        let mut second_look = std::pin::pin!(second_look);
        let mut has_looked = false;
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                message = heard.next() => match message {
                    Some(message) => self.hear(&message).await,
                    None => break,
                },
                () = &mut second_look, if !has_looked => {
                    has_looked = true;
                    for feed in self.fed(Audience::Everyone) {
                        self.repairs.look(&self.feeds, feed);
                    }
                }
            }
        }
    }

    async fn hear(&self, message: &Message) {
        let Some(parts) = subject::parse(&message.subject) else { return };
        if (parts.noun, parts.fact) == ("edge", "contacts") {
            self.answer(&parts, message).await;
        } else {
            self.tell(&parts, message);
        }
    }

    async fn answer(&self, parts: &Parts<'_>, question: &Message) {
        let presence = match &self.only {
            Some(feed) if feed.has_members() => Presence::Here,
            Some(_) => Presence::Absent,
            None => self.feeds.find(parts.key),
        };
        self.doorbell.answer(question, presence).await;
    }

    /// Decodes a fact once for everybody here who wants it, and not at all for nobody.
    fn tell(&self, parts: &Parts<'_>, message: &Message) {
        let audience = audience_of(parts);
        if audience.is_some_and(|audience| self.fed(audience).is_empty()) {
            return;
        }
        let Some(event) = Event::of_nats(message) else { return };
        if event.fact.is_volatile() {
            let event = Arc::new(event);
            self.fed(event.fact.audience()).iter().for_each(|feed| feed.show_now(&event));
            return;
        }
        let Some(event) = self.feeds.place(event) else { return };
        for feed in self.fed(event.fact.audience()) {
            let missing = feed.accept(&event);
            if missing.is_some() {
                metrics::counter!("chasqui_edge_gaps_total").increment(1);
                self.repairs.start(&self.feeds, feed, missing, "gap");
            }
        }
    }

    /// Whom of an audience this feeds.
    fn fed(&self, audience: Audience<'_>) -> Vec<Arc<Feed>> {
        let Some(only) = &self.only else { return self.feeds.on_tap(audience) };
        let wants = match audience {
            Audience::Staff => false,
            Audience::Contact(token) => only.scope().conversation().is_some_and(|own| own.as_str() == token),
            Audience::Everyone => true,
        };
        if wants { vec![only.clone()] } else { Vec::new() }
    }
}
