//! What a client missed, from where it is stored: persistence up to its watermark, the stream above it.

use std::{collections::HashMap, time::Duration};

use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::{
    service::{EVENTS_SINCE, MESSAGES_UNDELIVERED},
    stream::MESSAGES,
    subject, v1,
};

use crate::{
    addresses::Addresses,
    error::Error,
    event::{Event, Fact},
    position::Positions,
    scope::Scope,
    tail,
};

/// How long persistence may take; past it the stream alone answers, which costs the broker more.
const STORE_WAIT: Duration = Duration::from_secs(2);

/// What happened in a scope, without a hole.
#[derive(Debug)]
pub(crate) struct History {
    /// Oldest first.
    pub(crate) events: Vec<Event>,
    /// States that changed in between.
    pub(crate) states: Vec<Event>,
    /// Nothing up to this position is missing.
    pub(crate) covered_seq: u64,
}

/// Reads histories.
#[derive(Debug)]
pub(crate) struct Historian<'a> {
    pub(crate) bus: &'a Bus,
    pub(crate) addresses: &'a Addresses,
    pub(crate) positions: &'a Positions,
    /// More events than this are not replayed.
    pub(crate) events_max: u32,
}

impl Historian<'_> {
    /// Everything after `since`; `None` when it is more than a client should be sent.
    pub(crate) async fn since(&self, scope: &Scope, since: u64) -> Result<Option<History>, Error> {
        let covered_seq = self.positions.after_barrier().await?.seq;
        let page = match self.stored_since(scope, since).await {
            Ok(page) if page.truncated => return Ok(None),
            Ok(page) => page,
            Err(error) => {
                tracing::warn!(%error, "persistence does not answer; reading the stream instead");
                v1::EventPage { watermark_seq: since, ..v1::EventPage::default() }
            }
        };
        let watermark = page.watermark_seq.max(since);
        let stored = page.events.into_iter().filter(|event| event.seq <= watermark).filter_map(of_stored);
        let mut events: Vec<Event> = stored.collect();
        let room = self.events_max as usize - events.len().min(self.events_max as usize);
        let tail = tail::read(self.bus, &MESSAGES, &scope.stored(), watermark, room).await?;
        if tail.truncated || tail.events.len() > room {
            return Ok(None);
        }
        events.extend(tail.events);
        let covered_seq = covered_seq.max(last_seq(&events));
        let states = page
            .conversations
            .into_iter()
            .map(|conversation| Event::of_state(Fact::Conversation(Box::new(conversation))))
            .collect();
        Ok(Some(self.addressed(History { events, states, covered_seq })))
    }

    /// What was written to a contact's widget while nobody had it open.
    pub(crate) async fn undelivered(&self, scope: &Scope) -> Result<History, Error> {
        let covered_seq = self.positions.after_barrier().await?.seq;
        let question = v1::ListUndelivered {
            tenant: scope.tenant().to_string(),
            conversation: scope.conversation().map(ToString::to_string).unwrap_or_default(),
            limit: self.events_max,
        };
        let asked =
            self.bus.ask_subject(MESSAGES_UNDELIVERED.subject, &question, TraceContext::root(), STORE_WAIT);
        let page: v1::UndeliveredPage = asked.await?;
        let tail =
            tail::read(self.bus, &MESSAGES, &scope.stored(), page.watermark_seq, self.events_max as usize)
                .await?;
        let stored = page.messages.into_iter().filter_map(|stored| {
            let event = v1::StoredEvent {
                seq: stored.seq,
                fact: Some(v1::stored_event::Fact::Message(stored.message?)),
            };
            of_stored(event)
        });
        let covered_seq = covered_seq.max(last_seq(&tail.events));
        let events = only_undelivered(stored.chain(tail.events).collect());
        Ok(self.addressed(History { events, states: Vec::new(), covered_seq }))
    }

    fn addressed(&self, mut history: History) -> History {
        for event in history.events.iter_mut().chain(&mut history.states) {
            self.addresses.give_fact(&mut event.fact);
        }
        history
    }

    async fn stored_since(&self, scope: &Scope, since: u64) -> Result<v1::EventPage, Error> {
        let question = v1::ListEvents {
            tenant: scope.tenant().to_string(),
            conversation: scope.conversation().map(ToString::to_string).unwrap_or_default(),
            after_seq: since,
            limit: self.events_max,
        };
        let asked = self.bus.ask_subject(EVENTS_SINCE.subject, &question, TraceContext::root(), STORE_WAIT);
        Ok(asked.await?)
    }
}

/// Where a reading of the stream ended. What happened while it was read is in it too.
fn last_seq(events: &[Event]) -> u64 {
    events.last().and_then(|event| event.seq).unwrap_or_default()
}

/// Messages for a widget that no status calls delivered.
fn only_undelivered(events: Vec<Event>) -> Vec<Event> {
    let mut reached: HashMap<String, i32> = HashMap::new();
    for event in &events {
        if let Fact::Status(status) = &event.fact {
            let highest = reached.entry(status.message_id.clone()).or_default();
            *highest = status.status.max(*highest);
        }
    }
    let waits = |event: &Event| match &event.fact {
        Fact::Message { message, .. } => {
            is_for_widget(message)
                && reached.get(&message.id).is_none_or(|status| *status < v1::Status::Delivered.into())
        }
        _ => false,
    };
    events.into_iter().filter(waits).collect()
}

/// Written to the contact, through the web widget and nothing else.
pub(crate) fn is_for_widget(message: &v1::Message) -> bool {
    let channel = message.channel.as_ref().map_or(v1::ChannelKind::Unspecified, v1::Channel::kind);
    message.direction() == v1::Direction::Out && channel == v1::ChannelKind::Widget
}

fn of_stored(stored: v1::StoredEvent) -> Option<Event> {
    let fact = match stored.fact? {
        v1::stored_event::Fact::Message(message) => {
            Fact::Message { message: Box::new(message), status: v1::Status::Unspecified }
        }
        v1::stored_event::Fact::Status(status) => Fact::Status(Box::new(status)),
    };
    let subject = subject_of(&fact)?;
    Some(Event::of_store(&subject, stored.seq, fact))
}

fn subject_of(fact: &Fact) -> Option<String> {
    let parse = |tenant: &str, conversation: &str| Some((tenant.parse().ok()?, conversation.parse().ok()?));
    match fact {
        Fact::Message { message, .. } => {
            let (tenant, conversation) = parse(&message.tenant, &message.conversation)?;
            let made = match message.direction() {
                v1::Direction::Out => subject::messages_out(&tenant, &conversation),
                v1::Direction::In | v1::Direction::Unspecified => {
                    subject::messages_in(&tenant, &conversation)
                }
            };
            Some(made.as_str().to_owned())
        }
        Fact::Status(status) => {
            let (tenant, conversation) = parse(&status.tenant, &status.conversation)?;
            Some(subject::messages_status(&tenant, &conversation).as_str().to_owned())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str, channel: v1::ChannelKind) -> Event {
        let message = v1::Message {
            id: id.to_owned(),
            direction: v1::Direction::Out.into(),
            channel: Some(v1::Channel { kind: channel.into(), ..v1::Channel::default() }),
            ..v1::Message::default()
        };
        Event::of_store("", 1, Fact::Message { message: Box::new(message), status: v1::Status::Unspecified })
    }

    fn status(message_id: &str, status: v1::Status) -> Event {
        let status = v1::MessageStatus {
            message_id: message_id.to_owned(),
            status: status.into(),
            ..Default::default()
        };
        Event::of_store("", 2, Fact::Status(Box::new(status)))
    }

    #[test]
    fn kon_11_only_what_no_widget_has_shown_waits_for_the_next_connection() {
        let waiting = only_undelivered(vec![
            message("shown", v1::ChannelKind::Widget),
            message("waiting", v1::ChannelKind::Widget),
            message("on-whatsapp", v1::ChannelKind::WhatsappCloud),
            status("shown", v1::Status::Delivered),
            status("waiting", v1::Status::Queued),
        ]);
        let ids: Vec<&str> = waiting
            .iter()
            .map(|event| match &event.fact {
                Fact::Message { message, .. } => message.id.as_str(),
                other => panic!("{other:?} is no message"),
            })
            .collect();
        assert_eq!(ids, ["waiting"]);
    }
}
