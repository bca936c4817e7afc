//! A conversation as it is stored, and what a message does to it.
//!
//! Replicas store messages side by side and in any order. So everything here gives the same end whatever the order:
//! the newest position wins, counts are added.

use chasqui_proto::v1::{self, Direction};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::{
    fact::{self, Fact},
    response::{Turn, Waiting},
    word,
};

/// What changes in a conversation. Held under the row's lock from reading to writing.
#[derive(Clone, Debug, Default, PartialEq, Eq, sqlx::FromRow)]
pub(crate) struct Conversation {
    pub(crate) id: Uuid,
    pub(crate) tenant: String,
    pub(crate) contact_name: Option<String>,
    pub(crate) contact_username: Option<String>,
    pub(crate) contact_photo_url: Option<String>,
    pub(crate) contact_seq: i64,
    pub(crate) channel_kind: Option<String>,
    pub(crate) channel_id: Option<String>,
    pub(crate) channel_number: Option<String>,
    pub(crate) channel_account_id: Option<String>,
    pub(crate) channel_seq: i64,
    pub(crate) started_at: Option<OffsetDateTime>,
    pub(crate) unread_count: i32,
    pub(crate) last_message_id: Option<Uuid>,
    pub(crate) last_message_at: Option<OffsetDateTime>,
    pub(crate) last_seq: i64,
    pub(crate) last_out_seq: i64,
    /// Position of the newest message when everything was last marked as read.
    pub(crate) read_seq: i64,
    pub(crate) awaiting_seq: Option<i64>,
    pub(crate) awaiting_reply_since: Option<OffsetDateTime>,
}

impl Conversation {
    /// Takes in a message that was not stored before.
    pub(crate) fn absorb(&mut self, fact: &Fact, message: &v1::Message) {
        let at = fact::moment(fact::either(message.occurred_at_ms, message.received_at_ms));
        self.started_at = Some(self.started_at.map_or(at, |earlier| earlier.min(at)));
        if message.direction() == Direction::In {
            self.unread_count = self.unread_count.saturating_add(1);
        } else {
            self.last_out_seq = self.last_out_seq.max(fact.seq);
        }
        if fact.seq > self.last_seq {
            self.last_seq = fact.seq;
            self.last_message_id = Some(fact.id);
            self.last_message_at = Some(at);
        }
        if let Some(contact) = &message.contact {
            self.absorb_contact(fact.seq, contact);
        }
        if let Some(channel) = &message.channel
            && fact.seq > self.channel_seq
        {
            self.channel_seq = fact.seq;
            self.channel_kind = word::channel_kind(channel.kind()).map(str::to_owned);
            self.channel_id = fact::text(&channel.id);
            self.channel_number = fact::text(&channel.display_phone_number);
            self.channel_account_id = fact::text(&channel.account_id);
        }
    }

    /// The agent's side has read a message of the contact. Says whether that makes one less unread.
    pub(crate) fn read(&mut self, seq: i64) -> bool {
        let lowers = seq > self.read_seq && self.unread_count > 0;
        self.unread_count -= i32::from(lowers);
        lowers
    }

    /// Names are taken from the newest message that has any, and only those it has.
    fn absorb_contact(&mut self, seq: i64, contact: &v1::Contact) {
        let names = [&contact.name, &contact.username, &contact.photo_url].map(|name| fact::text(name));
        if names.iter().all(Option::is_none) {
            return;
        }
        let newer = seq > self.contact_seq;
        let fields = [&mut self.contact_name, &mut self.contact_username, &mut self.contact_photo_url];
        for (field, name) in fields.into_iter().zip(names) {
            if name.is_some() && (newer || field.is_none()) {
                *field = name;
            }
        }
        self.contact_seq = self.contact_seq.max(seq);
    }

    /// The contact's first unanswered message.
    pub(crate) fn waiting(&self) -> Option<Waiting> {
        let (seq, since) = (self.awaiting_seq?, self.awaiting_reply_since?);
        Some(Waiting { seq, since_ms: fact::milliseconds(since) })
    }

    /// Sets the contact's first unanswered message.
    pub(crate) fn set_waiting(&mut self, waiting: Option<Waiting>) {
        self.awaiting_seq = waiting.map(|first| first.seq);
        self.awaiting_reply_since = waiting.map(|first| fact::moment(first.since_ms));
    }
}

/// A message as a turn of its conversation.
pub(crate) fn turn(fact: &Fact, message: &v1::Message) -> Turn {
    let at_ms = fact::either(message.received_at_ms, message.occurred_at_ms);
    Turn { seq: fact.seq, direction: message.direction(), at_ms }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::subject;
    use prost::Message as _;

    use super::*;

    fn message(seq: u64, name: &str, direction: Direction) -> Fact {
        let message = v1::Message {
            id: Uuid::from_u128(u128::from(seq)).to_string(),
            tenant: "default".to_owned(),
            conversation: "5491100000001".to_owned(),
            direction: direction.into(),
            contact: Some(v1::Contact { name: name.to_owned(), ..v1::Contact::default() }),
            channel: Some(v1::Channel { id: format!("channel {seq}"), ..v1::Channel::default() }),
            occurred_at_ms: 1_000 * i64::try_from(seq).unwrap(),
            ..v1::Message::default()
        };
        let payload = message.encode_to_vec().into();
        let subject = subject::messages_in(&"default".parse().unwrap(), &"5491100000001".parse().unwrap());
        fact::read(subject.as_str(), &payload, seq, false).unwrap()
    }

    fn absorb_all<'a>(facts: impl IntoIterator<Item = &'a Fact>) -> Conversation {
        let mut conversation = Conversation::default();
        for fact in facts {
            conversation.absorb(fact, fact.message().unwrap());
        }
        conversation
    }

    #[test]
    fn the_order_of_arrival_does_not_matter() {
        let facts = [
            message(1, "Contact", Direction::In),
            message(2, "", Direction::Out),
            message(3, "Contact (renamed)", Direction::In),
            message(4, "", Direction::In),
        ];
        let forwards = absorb_all(&facts);
        assert_eq!(forwards, absorb_all(facts.iter().rev()));
        assert_eq!(forwards.contact_name.as_deref(), Some("Contact (renamed)"));
        assert_eq!((forwards.unread_count, forwards.last_seq, forwards.last_out_seq), (3, 4, 2));
        assert_eq!(forwards.channel_id.as_deref(), Some("channel 4"));
        assert_eq!(forwards.started_at, Some(fact::moment(1_000)));
    }
}
