//! What was said in a conversation, as the model is shown it.

use std::{collections::HashSet, time::Duration};

use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::{
    ConversationToken, Tenant, service,
    v1::{Direction, Heard, ListMessages, Message, MessageType, Status, StoredMessage},
};
use serde::Serialize;

/// The most that the model is shown of a conversation, characters: about 8,000 tokens.
const CHARACTERS_MAX: usize = 32_000;
/// The most of one message, characters.
const MESSAGE_CHARACTERS_MAX: usize = 8_000;
/// The most messages that are asked for.
const MESSAGES_MAX: u32 = 100;

/// One thing that somebody said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) content: String,
}

/// Who said it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    System,
    /// The contact.
    User,
    /// The tenant: its bots, its people, its campaigns. To the contact they are one voice, and a mark at each would only
    /// teach the model to write such marks.
    Assistant,
}

impl Turn {
    /// What the model is told of how to be.
    pub(super) fn system(prompt: &str) -> Self {
        Self { role: Role::System, content: prompt.to_owned() }
    }
}

/// The newest messages that are stored; none where that cannot be found out in time. Then only what the contact said now
/// is answered.
pub(super) async fn stored(
    bus: &Bus,
    (tenant, conversation): (&Tenant, &ConversationToken),
    most: u32,
    trace: TraceContext,
    wait: Duration,
) -> Vec<StoredMessage> {
    let limit = most.min(MESSAGES_MAX);
    if limit == 0 {
        return Vec::new();
    }
    let question = ListMessages {
        tenant: tenant.to_string(),
        conversation: conversation.to_string(),
        cursor: String::new(),
        limit,
    };
    match bus.ask_subject(service::MESSAGES_LIST.subject, &question, trace, wait).await {
        Ok(chasqui_proto::v1::MessagePage { messages, .. }) => messages,
        Err(error) => {
            tracing::warn!(%tenant, %error, "the language model is not shown what was said before");
            Vec::new()
        }
    }
}

/// What was said, oldest first: what is stored, and at the end what the contact said now, which perhaps is stored too.
/// What the contact said later is answered later. The oldest is left out where it is too much.
pub(super) fn turns(mut stored: Vec<StoredMessage>, heard: &[Heard]) -> Vec<Turn> {
    let now: HashSet<&str> = heard.iter().map(|heard| heard.message_id.as_str()).collect();
    let newest = heard.iter().map(|heard| heard.seq).max().unwrap_or(u64::MAX);
    stored.sort_by_key(|stored| stored.seq);
    let before = stored.iter().filter_map(|stored| {
        let message = stored.message.as_ref()?;
        let is_later = message.direction() == Direction::In && stored.seq > newest;
        let is_lost = stored.status() == Status::Failed;
        (!now.contains(message.id.as_str()) && !is_later && !is_lost).then(|| turn(message)).flatten()
    });
    let said = heard.iter().filter_map(|heard| spoken(Role::User, &heard.text));
    bounded(before.chain(said).collect())
}

fn turn(message: &Message) -> Option<Turn> {
    let role = if message.direction() == Direction::In { Role::User } else { Role::Assistant };
    match message.r#type() {
        MessageType::Reaction | MessageType::Edit | MessageType::Revoke | MessageType::System => None,
        kind => spoken(role, &marked(kind, &message.text)),
    }
}

/// A text or caption as the model is shown it: with a word for what it cannot see or hear.
pub(crate) fn marked(kind: MessageType, text: &str) -> String {
    let mark = match kind {
        MessageType::Image => "[image]",
        MessageType::Audio => "[audio]",
        MessageType::Video => "[video]",
        MessageType::Document => "[document]",
        MessageType::Sticker => "[sticker]",
        MessageType::Location => "[location]",
        MessageType::Contacts => "[contacts]",
        MessageType::Order => "[order]",
        MessageType::Unsupported => "[unsupported]",
        MessageType::Text
        | MessageType::Interactive
        | MessageType::Button
        | MessageType::Template
        | MessageType::Reaction
        | MessageType::Edit
        | MessageType::Revoke
        | MessageType::System
        | MessageType::Unspecified => "",
    };
    format!("{mark} {text}").trim().to_owned()
}

fn spoken(role: Role, text: &str) -> Option<Turn> {
    let content: String = text.trim().chars().take(MESSAGE_CHARACTERS_MAX).collect();
    (!content.is_empty()).then_some(Turn { role, content })
}

/// The newest that are not too much. The very newest is always among them.
fn bounded(turns: Vec<Turn>) -> Vec<Turn> {
    let mut characters = 0;
    let fitting = turns.iter().rev().take_while(|turn| {
        characters += turn.content.chars().count();
        characters <= CHARACTERS_MAX
    });
    let first = turns.len() - fitting.count();
    turns.into_iter().skip(first).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(seq: u64, direction: Direction, r#type: MessageType, text: &str) -> StoredMessage {
        let message = Message {
            id: format!("m{seq}"),
            direction: direction.into(),
            r#type: r#type.into(),
            text: text.to_owned(),
            ..Message::default()
        };
        StoredMessage { message: Some(message), status: Status::Sent.into(), seq }
    }

    fn said(seq: u64, text: &str) -> StoredMessage {
        stored(seq, Direction::In, MessageType::Text, text)
    }

    fn answered(seq: u64, text: &str) -> StoredMessage {
        stored(seq, Direction::Out, MessageType::Text, text)
    }

    fn heard(seq: u64, text: &str) -> Heard {
        Heard { message_id: format!("m{seq}"), seq, text: text.to_owned(), at_ms: 0 }
    }

    fn check(stored: Vec<StoredMessage>, heard: &[Heard], expected: &[(Role, &str)]) {
        let turns = turns(stored, heard);
        let shown: Vec<_> = turns.iter().map(|turn| (turn.role, turn.content.as_str())).collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn what_is_stored_comes_first_and_what_was_heard_last_and_once() {
        check(
            vec![said(4, "dos"), answered(3, "¡Hola!"), said(2, "hola")],
            &[heard(4, "dos"), heard(5, "tres")],
            &[(Role::User, "hola"), (Role::Assistant, "¡Hola!"), (Role::User, "dos"), (Role::User, "tres")],
        );
    }

    #[test]
    fn without_a_store_only_what_was_heard_is_shown() {
        check(Vec::new(), &[heard(1, " hola "), heard(2, " ")], &[(Role::User, "hola")]);
    }

    #[test]
    fn what_the_contact_said_later_is_answered_later() {
        check(
            vec![said(9, "y otra cosa"), answered(8, "Buenas."), said(7, "hola")],
            &[heard(7, "hola")],
            &[(Role::Assistant, "Buenas."), (Role::User, "hola")],
        );
    }

    #[test]
    fn what_has_no_words_is_named_and_what_says_nothing_is_left_out() {
        let mut lost = answered(6, "never arrived");
        lost.status = Status::Failed.into();
        check(
            vec![
                stored(1, Direction::In, MessageType::Image, "mi receta"),
                stored(2, Direction::In, MessageType::Audio, ""),
                stored(3, Direction::In, MessageType::Reaction, "👍"),
                stored(4, Direction::Out, MessageType::Template, "Oferta"),
                stored(5, Direction::In, MessageType::Text, " "),
                lost,
            ],
            &[],
            &[(Role::User, "[image] mi receta"), (Role::User, "[audio]"), (Role::Assistant, "Oferta")],
        );
    }

    #[test]
    fn the_oldest_is_left_out_where_it_is_too_much() {
        let long = "ñ".repeat(MESSAGE_CHARACTERS_MAX + 1);
        let turns = turns((1..=9).map(|seq| said(seq, &long)).collect(), &[heard(10, "hola")]);
        assert_eq!(turns.len(), 1 + (CHARACTERS_MAX - 4) / MESSAGE_CHARACTERS_MAX);
        assert_eq!(turns.last().map(|turn| turn.content.as_str()), Some("hola"));
        assert_eq!(turns[0].content.chars().count(), MESSAGE_CHARACTERS_MAX);
    }
}
