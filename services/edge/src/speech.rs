//! What clients say, put on the bus: the message is durable when these return.

pub(crate) mod chat;

use chasqui_kit::{Bus, TraceContext, clock::now_ms, publish::Fact, publish::Stored};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant,
    id::fact_id,
    service::{CONVERSATIONS_GET, CONVERSATIONS_MARK_READ},
    subject, v1,
};

use crate::{auth::Identity, error::Error};

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
        channel: Some(v1::Channel { kind: v1::ChannelKind::Widget.into(), ..v1::Channel::default() }),
        contact: Some(contact),
        ..text_message(tenant, conversation, text)
    };
    store(bus, subject::messages_in(tenant, conversation), message).await
}

/// An agent wrote to a contact. `conversation` is any of the conversation's names.
pub(crate) async fn agent_wrote(
    bus: &Bus,
    agent: &Identity,
    conversation: String,
    text: String,
) -> Result<Accepted, Error> {
    let question = v1::GetConversation { tenant: agent.tenant.to_string(), conversation };
    let known = bus.ask(CONVERSATIONS_GET, &question, TraceContext::root()).await?;
    let token: ConversationToken = known.token.parse().map_err(|_| no_address())?;
    let message = v1::Message {
        direction: v1::Direction::Out.into(),
        sender_type: v1::SenderType::Agent.into(),
        sender_id: agent.user.clone(),
        channel: known.channel,
        contact: known.contact,
        ..text_message(&agent.tenant, &token, text)
    };
    store(bus, subject::messages_out(&agent.tenant, &token), message).await
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
        channel: Some(v1::Channel { kind: v1::ChannelKind::Widget.into(), ..v1::Channel::default() }),
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
