//! Who a client is to the chats of its tenant, and what of an event it is therefore shown. Pure.

use std::collections::HashMap;

use chasqui_proto::{
    ConversationId, ConversationToken, Tenant,
    v1::{self, ChatStatus, Direction, SenderType},
};
use chasqui_responder::FLOW_START;

use crate::{
    auth::Identity,
    dialect::{Dialect, chat},
    event::{Event, Fact},
};

/// On which side of a chat a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// It is the one who is helped.
    User,
    /// It is the one who helps.
    Agent,
}

/// A user or agent, with the chats it takes part in.
#[derive(Debug)]
pub(super) struct Viewer {
    tenant: Tenant,
    user: String,
    /// Its own conversation: where it is the user.
    person: ConversationToken,
    /// Empty for regular users.
    agent_id: String,
    /// The open chats it takes part in, by their conversation's token.
    chats: HashMap<String, v1::Chat>,
    /// The newest version heard of its own chat, open or not.
    own_version: u64,
}

impl Viewer {
    /// A client whose chats are not known yet. `agent_id` is that of an active agent.
    pub(super) fn new(identity: &Identity, agent_id: Option<String>) -> Self {
        Self {
            tenant: identity.tenant.clone(),
            user: identity.user.clone(),
            person: identity.person.clone(),
            agent_id: agent_id.unwrap_or_default(),
            chats: HashMap::new(),
            own_version: 0,
        }
    }

    /// Takes a chat as it stands; true when the client takes part in it now, or did until now. A state that is not
    /// newer than the known one changes nothing.
    pub(super) fn learn(&mut self, state: &v1::Chat) -> bool {
        if self.version(&state.conversation) >= state.version {
            return false;
        }
        let is_own = state.conversation == self.person.as_str();
        if is_own {
            self.own_version = state.version;
        }
        let is = self.takes_part(state);
        let was = if is {
            self.chats.insert(state.conversation.clone(), state.clone())
        } else {
            self.chats.remove(&state.conversation)
        };
        was.is_some() || is || is_own
    }

    /// The version of a conversation's chat that the client was shown; 0 for none.
    pub(super) fn version(&self, conversation: &str) -> u64 {
        if conversation == self.person.as_str() {
            return self.own_version;
        }
        self.chats.get(conversation).map_or(0, |chat| chat.version)
    }

    fn takes_part(&self, chat: &v1::Chat) -> bool {
        match chat.status() {
            ChatStatus::Closed | ChatStatus::Unspecified => false,
            ChatStatus::Waiting => chat.conversation == self.person.as_str(),
            ChatStatus::Assigned => {
                chat.conversation == self.person.as_str()
                    || (!self.agent_id.is_empty() && chat.agent_id == self.agent_id)
            }
        }
    }

    /// Its open chats, oldest first.
    pub(super) fn chats(&self) -> impl Iterator<Item = &v1::Chat> {
        let mut chats: Vec<_> = self.chats.values().collect();
        chats.sort_by_key(|chat| chat.opened_at_ms);
        chats.into_iter()
    }

    /// The open chat of a conversation, if the client takes part in it.
    pub(super) fn chat(&self, conversation: &ConversationToken) -> Option<&v1::Chat> {
        self.chats.get(conversation.as_str())
    }

    /// What a client calls a chat: its id, or the user's own id or token. `None` where it takes no part.
    pub(super) fn find(&self, name: &str) -> Option<(ConversationToken, Side)> {
        let own = ConversationId::of(&self.tenant, &self.person).to_string();
        if name == own || name == self.user || name == self.person.as_str() {
            return Some((self.person.clone(), Side::User));
        }
        let chat = self.chats.values().find(|chat| chat.id == name)?;
        Some((chat.conversation.parse().ok()?, Side::Agent))
    }

    fn side(&self, conversation: &str) -> Option<Side> {
        if conversation == self.person.as_str() {
            return Some(Side::User);
        }
        self.chats.contains_key(conversation).then_some(Side::Agent)
    }

    /// A message in a chat that may become the client's: an agent's client may hear of it before it hears of the chat.
    pub(super) fn may_concern_later(&self, fact: &Fact) -> bool {
        let Fact::Message { message, .. } = fact else { return false };
        !self.agent_id.is_empty() && self.side(&message.conversation).is_none()
    }

    /// The frames a client is shown of an event, in this order. Chats as such are not decided here: see `learn`.
    pub(super) fn frames(&self, event: &Event) -> &'static [Dialect] {
        const ALL: &[Dialect] = &[Dialect::Chat];
        let side = event.fact.conversation().and_then(|conversation| self.side(conversation));
        let is_shown = match (&event.fact, side) {
            (Fact::Message { message, .. }, Some(side)) => return frames_of_message(message, side),
            (Fact::Announcement(_) | Fact::Online(_), _)
            | (Fact::Appointment(_) | Fact::Draft(_), Some(_))
            | (Fact::Payment(_), Some(Side::User)) => true,
            // BEN-41: agents look after all of them, whoever has the chat.
            (Fact::Appointment(_), None) => !self.agent_id.is_empty(),
            (Fact::Presence(presence), _) => presence.user_id != self.user,
            (Fact::Status(status), Some(_)) => chat::reader_of(status) != self.user,
            (Fact::Typing(typing), Some(_)) => {
                typing.sender_type() == SenderType::Ai || typing.user_id != self.user
            }
            _ => false,
        };
        if is_shown { ALL } else { &[] }
    }
}

/// BEN-21, BEN-25: both sides are shown a message, and the one it was written to is notified.
fn frames_of_message(message: &v1::Message, side: Side) -> &'static [Dialect] {
    let is_out = message.direction() == Direction::Out;
    match side {
        Side::User if chat::is_to_bot(message) => &[],
        // A command to the flow, and nobody's words.
        Side::Agent if message.provider_type == FLOW_START => &[],
        Side::User if chat::is_from_bot(message) => &[Dialect::ChatNotice],
        Side::User if is_out => &[Dialect::Chat, Dialect::ChatNotice],
        Side::Agent if !is_out && !chat::is_to_bot(message) => &[Dialect::Chat, Dialect::ChatNotice],
        Side::User | Side::Agent => &[Dialect::Chat],
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::address::parse_address;
    use chasqui_responder::TO_FLOW;

    use super::*;

    fn person(user: &str) -> ConversationToken {
        ConversationToken::of(&parse_address(user).unwrap())
    }

    fn viewer(user: &str, agent_id: &str) -> Viewer {
        Viewer {
            tenant: "default".parse().unwrap(),
            user: user.to_owned(),
            person: person(user),
            agent_id: agent_id.to_owned(),
            chats: HashMap::new(),
            own_version: 0,
        }
    }

    fn chat(user: &str, status: ChatStatus, agent_id: &str, version: u64) -> v1::Chat {
        let token = person(user);
        v1::Chat {
            id: ConversationId::of(&"default".parse().unwrap(), &token).to_string(),
            conversation: token.to_string(),
            status: status.into(),
            agent_id: agent_id.to_owned(),
            version,
            ..v1::Chat::default()
        }
    }

    fn message(user: &str, direction: Direction, sender: SenderType, provider_type: &str) -> Event {
        let message = v1::Message {
            conversation: person(user).to_string(),
            direction: direction.into(),
            sender_type: sender.into(),
            provider_type: provider_type.to_owned(),
            ..v1::Message::default()
        };
        let fact = Fact::Message { message: Box::new(message), status: v1::Status::Unspecified };
        Event::of_store("", 1, fact)
    }

    #[test]
    fn an_agent_takes_part_while_a_chat_is_its_own_and_is_told_when_it_ends() {
        let mut agent = viewer("u9", "a1");
        assert!(!agent.learn(&chat("u1", ChatStatus::Waiting, "", 1)), "nobody's yet");
        assert!(agent.learn(&chat("u1", ChatStatus::Assigned, "a1", 2)));
        assert!(!agent.learn(&chat("u1", ChatStatus::Assigned, "a1", 2)), "known");
        let id = chat("u1", ChatStatus::Assigned, "a1", 2).id;
        assert_eq!(agent.find(&id), Some((person("u1"), Side::Agent)));
        assert!(agent.learn(&chat("u1", ChatStatus::Assigned, "a2", 3)), "given to another agent");
        assert_eq!(agent.find(&id), None);
        assert!(!agent.learn(&chat("u1", ChatStatus::Closed, "a2", 4)), "not its own any more");
    }

    #[test]
    fn a_user_takes_part_in_its_own_chat_only() {
        let mut user = viewer("u1", "");
        assert!(user.learn(&chat("u1", ChatStatus::Waiting, "", 1)));
        assert!(!user.learn(&chat("u2", ChatStatus::Waiting, "", 1)));
        assert!(!user.learn(&chat("u2", ChatStatus::Assigned, "", 2)), "no agent is nobody's agent");
        assert!(user.learn(&chat("u1", ChatStatus::Closed, "a1", 2)));
        assert!(!user.learn(&chat("u1", ChatStatus::Closed, "a1", 2)), "told already");
        assert_eq!(user.chats().count(), 0);
        for name in ["u1", person("u1").as_str(), &chat("u1", ChatStatus::Closed, "", 1).id] {
            assert_eq!(user.find(name), Some((person("u1"), Side::User)), "{name}");
        }
        assert_eq!(user.find(&chat("u2", ChatStatus::Closed, "", 1).id), None);
    }

    #[test]
    fn ben_21_25_a_message_is_shown_to_both_sides_and_notified_to_its_reader() {
        let (user, mut agent) = (viewer("u1", ""), viewer("u9", "a1"));
        agent.learn(&chat("u1", ChatStatus::Assigned, "a1", 1));
        let check = |event: Event, user_sees: &[Dialect], agent_sees: &[Dialect]| {
            assert_eq!((user.frames(&event), agent.frames(&event)), (user_sees, agent_sees), "{event:?}");
            let nothing: &[Dialect] = &[];
            assert_eq!(viewer("u2", "").frames(&event), nothing, "another user");
            assert_eq!(viewer("u8", "a2").frames(&event), nothing, "another agent");
        };
        let (all, notice) = (Dialect::Chat, Dialect::ChatNotice);
        let (into, out) = (Direction::In, Direction::Out);
        check(message("u1", into, SenderType::User, ""), &[all], &[all, notice]);
        check(message("u1", out, SenderType::Agent, ""), &[all, notice], &[all]);
        check(message("u1", out, SenderType::Ai, ""), &[notice], &[all]);
        check(message("u1", into, SenderType::User, TO_FLOW), &[], &[all]);
        check(message("u1", into, SenderType::User, FLOW_START), &[], &[]);
    }

    #[test]
    fn ben_27_28_receipts_and_typing_are_shown_to_the_others_only() {
        let (user, mut agent) = (viewer("u1", ""), viewer("u9", "a1"));
        agent.learn(&chat("u1", ChatStatus::Assigned, "a1", 1));
        let conversation = person("u1").to_string();
        let read = |reader: &str| {
            Event::of_state(Fact::Status(Box::new(v1::MessageStatus {
                conversation: conversation.clone(),
                status: v1::Status::Read.into(),
                reader_id: reader.to_owned(),
                ..v1::MessageStatus::default()
            })))
        };
        let typing = |writer: &str| {
            Event::of_state(Fact::Typing(Box::new(v1::Typing {
                conversation: conversation.clone(),
                user_id: writer.to_owned(),
                ..v1::Typing::default()
            })))
        };
        for event in [read("u9"), typing("u9")] {
            assert_eq!((user.frames(&event).len(), agent.frames(&event).len()), (1, 0));
        }
        for event in [read("u1"), read(""), typing("u1")] {
            assert_eq!((user.frames(&event).len(), agent.frames(&event).len()), (0, 1));
        }
    }

    #[test]
    fn ben_28_35_what_a_bot_writes_is_shown_to_those_of_the_chat_only() {
        let (user, mut agent) = (viewer("u1", ""), viewer("u9", "a1"));
        agent.learn(&chat("u1", ChatStatus::Assigned, "a1", 1));
        // A user may have the bot's id.
        let namesake = viewer("bot", "");
        let typing = |user: &str| {
            Box::new(v1::Typing {
                conversation: person(user).to_string(),
                user_id: "bot".to_owned(),
                sender_type: SenderType::Ai.into(),
                ..v1::Typing::default()
            })
        };
        for fact in [Fact::Typing(typing("u1")), Fact::Draft(typing("u1"))] {
            let event = Event::of_state(fact);
            assert_eq!((user.frames(&event).len(), agent.frames(&event).len()), (1, 1), "{event:?}");
            for other in [viewer("u2", ""), viewer("u8", "a2"), viewer("bot", "")] {
                assert_eq!(other.frames(&event).len(), 0, "{other:?}");
            }
        }
        assert_eq!(namesake.frames(&Event::of_state(Fact::Typing(typing("bot")))).len(), 1);
    }

    #[test]
    fn ben_41_a_user_is_shown_its_own_appointments_and_agents_are_shown_all() {
        let appointment =
            v1::Appointment { conversation: person("u1").to_string(), ..v1::Appointment::default() };
        let event = Event::of_state(Fact::Appointment(Box::new(appointment)));
        let shown = |user: &str, agent: &str| viewer(user, agent).frames(&event).len();
        assert_eq!((shown("u1", ""), shown("u2", ""), shown("u9", "a1")), (1, 0, 1));
    }

    #[test]
    fn ben_13_the_others_are_told_who_is_there() {
        let presence = v1::Presence { user_id: "u1".to_owned(), ..v1::Presence::default() };
        let event = Event::of_state(Fact::Presence(Box::new(presence)));
        let shown = |user: &str| viewer(user, "").frames(&event).len();
        assert_eq!((shown("u1"), shown("u2")), (0, 1));
    }
}
