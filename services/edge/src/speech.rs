//! What clients say, put on the bus: the message is durable when these return.

pub(crate) mod chat;

use chasqui_kit::{Bus, TraceContext, clock::now_ms, publish::Fact, publish::Stored};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant,
    id::fact_id,
    service::{CONVERSATIONS_GET, CONVERSATIONS_MARK_READ},
    subject, v1,
};

use crate::{auth::Identity, dialect::attachment::has_caption, error::Error};

/// A message that the stream has.
#[derive(Debug)]
pub(crate) struct Accepted {
    pub(crate) message_id: String,
    pub(crate) seq: u64,
}

/// KON-16: the contact wrote in its web widget.
pub(crate) async fn contact_wrote(
    bus: &Bus,
    tenant: &Tenant,
    conversation: &ConversationToken,
    text: String,
) -> Result<Accepted, Error> {
    let contact = v1::Contact { aliases: vec![conversation.alias()], ..v1::Contact::default() };
    let message = v1::Message {
        direction: v1::Direction::In.into(),
        sender_type: v1::SenderType::User.into(),
        channel: Some(web()),
        contact: Some(contact),
        ..text_message(tenant, conversation, text)
    };
    store(bus, subject::messages_in(tenant, conversation), message).await
}

/// A file that goes with a message, and what the message is then.
#[derive(Debug, Clone)]
pub(crate) struct Attached {
    pub(crate) kind: v1::MessageType,
    pub(crate) media: v1::Media,
}

impl Attached {
    /// Makes a text the message of the file.
    fn put_into(self, message: &mut v1::Message) {
        message.r#type = self.kind.into();
        message.media = Some(self.media);
    }
}

/// One message of what is written to a contact.
#[derive(Debug, Default)]
pub(crate) struct Part {
    pub(crate) text: String,
    pub(crate) attached: Option<Attached>,
}

/// What is written to a contact, as WhatsApp takes it: a file a message, the text with the first if that shows it.
pub(crate) fn parts(text: String, files: Vec<Attached>) -> Vec<Part> {
    let mut parts: Vec<Part> =
        files.into_iter().map(|file| Part { text: String::new(), attached: Some(file) }).collect();
    match parts.first_mut() {
        Some(Part { text: caption, attached: Some(file) }) if has_caption(file.kind) => *caption = text,
        _ if text.is_empty() => {}
        _ => parts.insert(0, Part { text, attached: None }),
    }
    parts
}

/// An agent wrote to a contact. `conversation` is any of the conversation's names. Where a part cannot be stored, those
/// before it are. Returns the first.
pub(crate) async fn agent_wrote(
    bus: &Bus,
    agent: &Identity,
    conversation: String,
    parts: Vec<Part>,
) -> Result<Accepted, Error> {
    let question = v1::GetConversation { tenant: agent.tenant.to_string(), conversation };
    let known = bus.ask(CONVERSATIONS_GET, &question, TraceContext::root()).await?;
    let token: ConversationToken = known.token.parse().map_err(|_| no_address())?;
    let channel = way_to(&token, known.channel);
    let mut first = None;
    for Part { text, attached } in parts {
        let mut message = v1::Message {
            direction: v1::Direction::Out.into(),
            sender_type: v1::SenderType::Agent.into(),
            sender_id: agent.user.clone(),
            channel: channel.clone(),
            contact: known.contact.clone(),
            ..text_message(&agent.tenant, &token, text)
        };
        if let Some(attached) = attached {
            attached.put_into(&mut message);
        }
        let accepted = store(bus, subject::messages_out(&agent.tenant, &token), message).await?;
        first.get_or_insert(accepted);
    }
    first.ok_or_else(|| Error::Invalid("data.text: there is nothing to send".to_owned()))
}

/// Through which number or site a contact is written to: the one it is known by; else a user of a front end through that,
/// and everybody else through the tenant's default number, which is not for us to say.
pub(crate) fn way_to(token: &ConversationToken, known: Option<v1::Channel>) -> Option<v1::Channel> {
    let known = known.filter(|channel| channel.kind() != v1::ChannelKind::Unspecified);
    known.or_else(|| (token.alias().kind() == v1::AliasKind::Web).then(web))
}

/// The front end of the tenant itself.
pub(crate) fn web() -> v1::Channel {
    v1::Channel { kind: v1::ChannelKind::Widget.into(), ..v1::Channel::default() }
}

fn no_address() -> Error {
    Error::Invalid("data.conversation_id: the conversation has no address".to_owned())
}

/// The token of a conversation, by any of its names.
pub(crate) async fn conversation_named(
    bus: &Bus,
    tenant: &Tenant,
    name: String,
) -> Result<ConversationToken, Error> {
    let question = v1::GetConversation { tenant: tenant.to_string(), conversation: name };
    let known = bus.ask(CONVERSATIONS_GET, &question, TraceContext::root()).await?;
    known.token.parse().map_err(|_| no_address())
}

/// An agent has seen a conversation.
pub(crate) async fn agent_read(bus: &Bus, agent: &Identity, conversation: String) -> Result<(), Error> {
    let question = v1::MarkRead { tenant: agent.tenant.to_string(), conversation };
    bus.ask(CONVERSATIONS_MARK_READ, &question, TraceContext::root()).await?;
    Ok(())
}

/// The contact's widget has certainly received a message.
pub(crate) async fn widget_received(
    bus: &Bus,
    tenant: &Tenant,
    conversation: &ConversationToken,
    message_id: String,
) -> Result<(), Error> {
    let now = now_ms();
    let state = v1::Status::Delivered;
    let status = v1::MessageStatus {
        // Every tab and node that shows the message says so; the stream keeps the first.
        id: fact_id(&[tenant.as_str(), &message_id, state.name()]).to_string(),
        tenant: tenant.to_string(),
        conversation: conversation.to_string(),
        message_id,
        status: state.into(),
        channel: Some(web()),
        occurred_at_ms: now,
        received_at_ms: now,
        ..v1::MessageStatus::default()
    };
    let subject = subject::messages_status(tenant, conversation);
    bus.publish(Fact::new(subject, &status, status.id.clone(), TraceContext::root())).await?;
    Ok(())
}

fn text_message(tenant: &Tenant, conversation: &ConversationToken, text: String) -> v1::Message {
    let now = now_ms();
    v1::Message {
        id: MessageId::now().to_string(),
        tenant: tenant.to_string(),
        conversation: conversation.to_string(),
        r#type: v1::MessageType::Text.into(),
        text,
        occurred_at_ms: now,
        received_at_ms: now,
        ..v1::Message::default()
    }
}

async fn store(
    bus: &Bus,
    subject: chasqui_proto::Subject<v1::Message>,
    message: v1::Message,
) -> Result<Accepted, Error> {
    let fact = Fact::new(subject, &message, message.id.clone(), TraceContext::root());
    let Stored { seq, .. } = bus.publish(fact).await?;
    Ok(Accepted { message_id: message.id, seq })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(kind: v1::MessageType) -> Attached {
        Attached { kind, media: v1::Media::default() }
    }

    #[test]
    fn wab_16_the_text_goes_with_the_first_file_that_shows_it_and_else_before_it() {
        use v1::MessageType::{Audio, Image};
        let shown = |text: &str, kinds: &[v1::MessageType]| {
            let files = kinds.iter().copied().map(file).collect();
            parts(text.to_owned(), files)
                .into_iter()
                .map(|part| (part.text, part.attached.map(|file| file.kind)))
                .collect::<Vec<_>>()
        };
        let (none, hola) = (String::new(), "hola".to_owned());
        assert_eq!(shown("hola", &[]), [(hola.clone(), None)]);
        assert_eq!(
            shown("hola", &[Image, Image]),
            [(hola.clone(), Some(Image)), (none.clone(), Some(Image))]
        );
        assert_eq!(shown("hola", &[Audio]), [(hola, None), (none.clone(), Some(Audio))]);
        assert_eq!(shown("", &[Audio]), [(none, Some(Audio))]);
    }

    #[test]
    fn who_is_known_by_nothing_is_reached_by_the_default_number_unless_it_is_a_user_of_ours() {
        let kind = |token: &str, known| way_to(&token.parse().unwrap(), known).map(|channel| channel.kind());
        let linked = v1::Channel { kind: v1::ChannelKind::WhatsappLinked.into(), ..v1::Channel::default() };
        assert_eq!(kind("5491100000001", Some(linked)), Some(v1::ChannelKind::WhatsappLinked));
        assert_eq!(kind("5491100000001", None), None);
        assert_eq!(kind("5491100000001", Some(v1::Channel::default())), None);
        assert_eq!(kind("web_u1", None), Some(v1::ChannelKind::Widget));
    }
}
