//! From what the bot says to messages: the same ones, whoever makes them of the same decision. Pure.

use chasqui_proto::{
    MessageId,
    id::fact_id,
    v1::{Channel, ChannelKind, Direction, Message, MessageType, Priority, SenderType},
};
use chasqui_responder::TO_FLOW;

use crate::{interactive, language::Language, meter::By, model::split, place::Place, reply::Reply};

/// Who wrote, as front ends are told.
const SENDER: &str = "bot";
/// The longest text that WhatsApp takes, characters.
const TEXT_CHARACTERS_MAX: usize = 4_096;

/// Something to say, and what it came from.
pub(crate) type Answer = (By, Reply);

/// Which of the answers to a message they are: the ids of one kind are never those of the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Those that were decided at once.
    AtOnce,
    /// Those after a pause, or of the language model.
    Later,
}

/// The id of an answer, the same on every replica.
pub(crate) fn answer_id(place: &Place, input_id: &str, moment: Moment, number: usize) -> MessageId {
    let number = match moment {
        Moment::AtOnce => number.to_string(),
        Moment::Later => format!("later {number}"),
    };
    MessageId(fact_id(&["bot", place.tenant.as_str(), input_id, &number]))
}

/// The messages that answer `input`.
pub(crate) fn messages(
    place: &Place,
    input: &Message,
    (moment, language): (Moment, Language),
    answers: &[Answer],
    now_ms: i64,
) -> Vec<Message> {
    let channel = input.channel.clone().unwrap_or_default();
    let parts = answers.iter().flat_map(|(_, reply)| parts(reply, &channel));
    let message = |(number, reply): (usize, Reply)| {
        let is_cloud = channel.kind() == ChannelKind::WhatsappCloud;
        let content = interactive::content(&reply, language).filter(|_| is_cloud);
        Message {
            id: answer_id(place, &input.id, moment, number).to_string(),
            tenant: place.tenant.to_string(),
            conversation: place.conversation.to_string(),
            contact: input.contact.clone(),
            channel: Some(channel.clone()),
            direction: Direction::Out.into(),
            sender_type: SenderType::Ai.into(),
            sender_id: SENDER.to_owned(),
            r#type: MessageType::Text.into(),
            text: reply.text,
            // Without the provider's id, which would quote the message.
            answers: input.id.clone(),
            provider_type: TO_FLOW.to_owned(),
            raw: content.map_or_else(Default::default, |content| content.to_string().into()),
            occurred_at_ms: now_ms,
            received_at_ms: now_ms,
            priority: Priority::Reply.into(),
            ..Message::default()
        }
    };
    parts.enumerate().map(message).collect()
}

/// A reply in parts that its channel takes; the last one has the options.
fn parts(reply: &Reply, channel: &Channel) -> Vec<Reply> {
    if channel.kind() == ChannelKind::Widget || reply.text.chars().count() <= TEXT_CHARACTERS_MAX {
        return vec![reply.clone()];
    }
    let mut parts: Vec<Reply> =
        split(&reply.text, TEXT_CHARACTERS_MAX).into_iter().map(Reply::text).collect();
    if let Some(last) = parts.last_mut() {
        last.options.clone_from(&reply.options);
    }
    parts
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::reply::ReplyOption;

    fn place() -> Place {
        Place { tenant: "default".parse().unwrap(), conversation: "5491100000001".parse().unwrap() }
    }

    fn input(kind: ChannelKind) -> Message {
        let channel = Channel { kind: kind.into(), id: "100000000000001".to_owned(), ..Channel::default() };
        Message { id: "input".to_owned(), channel: Some(channel), ..Message::default() }
    }

    fn said(kind: ChannelKind, replies: &[Reply]) -> Vec<Message> {
        let answers: Vec<Answer> = replies.iter().map(|reply| (By::Rule, reply.clone())).collect();
        messages(&place(), &input(kind), (Moment::AtOnce, Language::Spanish), &answers, 7)
    }

    #[test]
    fn an_answer_has_the_same_id_on_every_replica_and_no_other_answer_has_it() {
        let ids = |moment| (0..3).map(move |number| answer_id(&place(), "input", moment, number));
        let all: HashSet<MessageId> = ids(Moment::AtOnce).chain(ids(Moment::Later)).collect();
        assert_eq!(all.len(), 6);
        assert_eq!(answer_id(&place(), "input", Moment::AtOnce, 0), all_first());
        assert_ne!(answer_id(&place(), "another", Moment::AtOnce, 0), all_first());
    }

    fn all_first() -> MessageId {
        MessageId(fact_id(&["bot", "default", "input", "0"]))
    }

    #[test]
    fn an_answer_goes_where_the_message_came_from_and_quotes_nothing() {
        let replies = [Reply::text("uno"), Reply::text("dos")];
        let said = said(ChannelKind::WhatsappLinked, &replies);
        let texts: Vec<&str> = said.iter().map(|message| message.text.as_str()).collect();
        assert_eq!(texts, ["uno", "dos"]);
        let first = &said[0];
        assert_eq!((first.sender_type(), first.sender_id.as_str()), (SenderType::Ai, "bot"));
        assert_eq!((first.priority(), first.provider_type.as_str()), (Priority::Reply, "chatbot"));
        assert_eq!(first.channel.as_ref().unwrap().id, "100000000000001");
        assert_eq!((first.answers.as_str(), &first.context), ("input", &None), "it is not quoted");
    }

    #[test]
    fn options_are_buttons_on_the_cloud_channel_alone() {
        let option = ReplyOption { id: "1".to_owned(), label: "Sí".to_owned() };
        let reply = Reply { text: "¿Sí?\n1. Sí".to_owned(), options: vec![option] };
        let of = |kind| said(kind, std::slice::from_ref(&reply)).remove(0);
        let message = of(ChannelKind::WhatsappCloud);
        let raw: serde_json::Value = serde_json::from_slice(&message.raw).unwrap();
        assert_eq!(raw["interactive"]["action"]["buttons"][0]["reply"]["title"], "Sí");
        assert_eq!((message.r#type(), message.text.as_str()), (MessageType::Text, "¿Sí?\n1. Sí"));
        assert!(of(ChannelKind::Widget).raw.is_empty());
        assert!(of(ChannelKind::WhatsappLinked).raw.is_empty());
    }

    #[test]
    fn what_whatsapp_would_refuse_for_its_length_is_sent_in_parts() {
        let long = Reply::text("Una frase. ".repeat(900));
        let texts = said(ChannelKind::WhatsappCloud, std::slice::from_ref(&long));
        assert!(texts.len() > 1);
        assert!(texts.iter().all(|message| message.text.chars().count() <= TEXT_CHARACTERS_MAX));
        assert_eq!(said(ChannelKind::Widget, &[long]).len(), 1);
    }
}
