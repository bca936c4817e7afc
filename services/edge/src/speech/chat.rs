//! What users and agents say in their chats.

use chasqui_kit::{Bus, TraceContext, clock::now_ms, publish::Fact};
use chasqui_proto::{ConversationToken, MessageId, id::fact_id, service::CONVERSATIONS_GET, subject, v1};
use chasqui_responder::{FLOW_START, TO_FLOW};
use serde_json::Value;

use super::{Accepted, Attached, store, text_message, way_to, web};
use crate::{auth::Identity, error::Error};

/// The longest name of a user that a chat carries: 256 bytes, whatever the characters.
const NAME_CHARS_MAX: usize = 64;

/// A user's name as its chat carries it.
pub(crate) fn name_in_chat(name: &str) -> String {
    name.chars().take(NAME_CHARS_MAX).collect()
}

/// A text, and the name its client gave it.
#[derive(Debug)]
pub(crate) struct Words {
    pub(crate) text: String,
    pub(crate) attached: Option<Attached>,
    /// Unique among what its writer ever wrote, so that the same words sent again are stored once.
    pub(crate) client_id: Option<Value>,
}

impl Words {
    fn id(&self, writer: &Identity, conversation: &ConversationToken) -> MessageId {
        let Some(client_id) = &self.client_id else { return MessageId::now() };
        // With the text: a client that counts from 1 on every visit loses nothing.
        let client_id = client_id.to_string();
        let mut parts =
            vec![writer.tenant.as_str(), &writer.user, conversation.as_str(), &client_id, &self.text];
        if let Some(Attached { media, .. }) = &self.attached {
            // Not the id: what comes again with its bytes is kept under another one.
            parts.extend([media.sha256.as_str(), &media.url]);
        }
        MessageId(fact_id(&parts))
    }
}

/// BEN-19: a user wrote in its chat.
pub(crate) async fn user_wrote(bus: &Bus, user: &Identity, words: Words) -> Result<Accepted, Error> {
    let message = of_user(user, words);
    store(bus, subject::messages_in(&user.tenant, &user.person), message).await
}

/// BEN-17, BEN-18: a user wrote to the guided flow, which begins anew without a text.
pub(crate) async fn user_wrote_to_bot(
    bus: &Bus,
    user: &Identity,
    text: Option<String>,
    client_id: Option<Value>,
) -> Result<Accepted, Error> {
    let message = match text {
        Some(text) => {
            let words = Words { text, attached: None, client_id };
            v1::Message { provider_type: TO_FLOW.to_owned(), ..of_user(user, words) }
        }
        None => v1::Message {
            r#type: v1::MessageType::Interactive.into(),
            provider_type: FLOW_START.to_owned(),
            choice: Some(v1::Choice {
                kind: "command".to_owned(),
                id: FLOW_START.to_owned(),
                ..v1::Choice::default()
            }),
            ..of_user(user, Words { text: FLOW_START.to_owned(), attached: None, client_id })
        },
    };
    store(bus, subject::messages_in(&user.tenant, &user.person), message).await
}

/// BEN-25: an agent wrote in one of its chats.
pub(crate) async fn agent_answered(
    bus: &Bus,
    agent: &Identity,
    conversation: &ConversationToken,
    words: Words,
) -> Result<Accepted, Error> {
    let (channel, contact) = recipient(bus, agent, conversation).await?;
    let mut message = v1::Message {
        id: words.id(agent, conversation).to_string(),
        direction: v1::Direction::Out.into(),
        sender_type: v1::SenderType::Agent.into(),
        sender_id: agent.user.clone(),
        channel,
        contact,
        ..text_message(&agent.tenant, conversation, words.text)
    };
    if let Some(attached) = words.attached {
        attached.put_into(&mut message);
    }
    store(bus, subject::messages_out(&agent.tenant, conversation), message).await
}

/// BEN-27: a user or agent has read a message of the other side.
pub(crate) async fn person_read(
    bus: &Bus,
    reader: &Identity,
    conversation: &ConversationToken,
    message: MessageId,
) -> Result<(), Error> {
    let (now, state, message_id) = (now_ms(), v1::Status::Read, message.to_string());
    let status = v1::MessageStatus {
        // Every tab of the reader says so; the stream keeps the first.
        id: fact_id(&[reader.tenant.as_str(), &message_id, state.name(), &reader.user]).to_string(),
        tenant: reader.tenant.to_string(),
        conversation: conversation.to_string(),
        message_id,
        status: state.into(),
        channel: Some(web()),
        reader_id: reader.user.clone(),
        occurred_at_ms: now,
        received_at_ms: now,
        ..v1::MessageStatus::default()
    };
    let subject = subject::messages_status(&reader.tenant, conversation);
    bus.publish(Fact::new(subject, &status, status.id.clone(), TraceContext::root())).await?;
    Ok(())
}

fn of_user(user: &Identity, words: Words) -> v1::Message {
    let alias = user.person.alias();
    // Empty for the contact, unless its front end knows it by another id than its address.
    let sender_id = if alias.value == user.user { String::new() } else { user.user.clone() };
    v1::Message {
        id: words.id(user, &user.person).to_string(),
        direction: v1::Direction::In.into(),
        sender_type: v1::SenderType::User.into(),
        sender_id,
        channel: Some(web()),
        contact: Some(v1::Contact {
            aliases: vec![alias],
            name: user.name.clone(),
            ..v1::Contact::default()
        }),
        ..text_message(&user.tenant, &user.person, words.text)
    }
}

/// How the contact of a chat is reached. Users of a front end are reached through it; of others persistence knows.
async fn recipient(
    bus: &Bus,
    agent: &Identity,
    conversation: &ConversationToken,
) -> Result<(Option<v1::Channel>, Option<v1::Contact>), Error> {
    let alias = conversation.alias();
    if alias.kind() == v1::AliasKind::Web {
        let contact = v1::Contact { aliases: vec![alias], ..v1::Contact::default() };
        return Ok((Some(web()), Some(contact)));
    }
    let question =
        v1::GetConversation { tenant: agent.tenant.to_string(), conversation: conversation.to_string() };
    let known = bus.ask(CONVERSATIONS_GET, &question, TraceContext::root()).await?;
    Ok((way_to(conversation, known.channel), known.contact))
}
