//! What a linked device sends to a contact, and what becomes of it.

use std::{sync::Arc, time::Duration};

use chasqui_kit::{TraceContext, clock::now_ms, publish::Fact};
use chasqui_proto::{
    ConversationToken, Tenant, id,
    subject::{self, NodeToken},
    v1::{self, Alias, LinkAnswer, Message, MessageStatus, MessageType, Status},
};
use serde_json::{Value, json};

use super::{Devices, Key, commands::Refusal};
use crate::{
    graph::Told,
    history::{Direction, Progress, Written},
};

/// How often a status is published while the broker does not take it, at most.
const TRIES_MAX: u32 = 20;
/// The pause between two tries.
const PAUSE: Duration = Duration::from_millis(500);

/// A message that was sent, as its statuses name it.
#[derive(Debug)]
struct Sent {
    tenant: Tenant,
    session: NodeToken,
    conversation: ConversationToken,
    alias: Alias,
    provider_id: String,
    message: Message,
    trace: TraceContext,
}

impl Devices {
    /// Sends a message once, however often it is told to.
    pub(super) fn send(self: &Arc<Self>, key: &Key, message: Message, trace: TraceContext) -> LinkAnswer {
        if message.id.is_empty() {
            return Refusal::Invalid.answer("send.id: expected the message's id");
        }
        let Ok(conversation) = message.conversation.parse::<ConversationToken>() else {
            return Refusal::Invalid.answer("send.conversation: expected a conversation's token");
        };
        let contact = message.contact.as_ref().and_then(|contact| contact.aliases.first());
        let alias = contact.cloned().unwrap_or_else(|| conversation.alias());
        let unique = id::fact_id(&[key.tenant.as_str(), key.session.as_str(), &message.id]);
        let provider_id = format!("3EB0{}", unique.simple().to_string().to_uppercase());
        if !self.is_connected(key) {
            return Refusal::NotConnected.answer("the session is not connected");
        }
        if self.change(key, |account, _| account.is_new(&provider_id)) == Some(true) {
            self.world.record(Written {
                number: key.number().into(),
                contact: alias.value.as_str().into(),
                direction: Direction::Received,
                id: provider_id.clone(),
                time_ms: now_ms(),
                body: serde_json::value::to_raw_value(&content(&message)).expect("JSON can be written"),
                callback_data: Some(message.id.clone()),
                progress: Progress::Accepted,
            });
            let sent = Sent {
                tenant: key.tenant.clone(),
                session: key.session.clone(),
                conversation,
                alias,
                provider_id: provider_id.clone(),
                message,
                trace,
            };
            let (devices, stop) = (self.clone(), self.world.stop.clone());
            self.tasks.spawn(async move { stop.run_until_cancelled(devices.report(&sent)).await });
        }
        LinkAnswer { provider_id, ..LinkAnswer::default() }
    }

    /// Publishes each status at its time.
    async fn report(&self, sent: &Sent) {
        let settings = self.world.book().settings.clone();
        let mut plan: Vec<(u64, Told)> =
            settings.statuses.iter().map(|told| (settings.delay_ms(*told), *told)).collect();
        plan.sort_unstable();
        let mut waited_ms = 0;
        for (at_ms, told) in plan {
            tokio::time::sleep(Duration::from_millis(at_ms - waited_ms)).await;
            waited_ms = at_ms;
            let (status, progress) = match told {
                Told::Sent => (Status::Sent, Progress::Sent),
                Told::Delivered => (Status::Delivered, Progress::Delivered),
                Told::Read => (Status::Read, Progress::Read),
            };
            self.world.book().history.advance(&sent.provider_id, progress);
            self.world.changed();
            self.publish(sent, status).await;
        }
    }

    async fn publish(&self, sent: &Sent, status: Status) {
        let status = sent.status(status);
        for _ in 0..TRIES_MAX {
            let subject = subject::messages_status(&sent.tenant, &sent.conversation);
            let fact = Fact::new(subject, &status, status.id.clone(), sent.trace);
            match self.bus.publish(fact).await {
                Ok(_) => return,
                Err(error) => tracing::warn!(%error, "a status was not taken; it is published again"),
            }
            tokio::time::sleep(PAUSE).await;
        }
        tracing::error!(tries = TRIES_MAX, "a status was not taken and is given up");
    }
}

impl Sent {
    fn status(&self, status: Status) -> MessageStatus {
        let unique = [self.tenant.as_str(), &self.provider_id, status.as_str_name()];
        let channel = v1::Channel {
            kind: v1::ChannelKind::WhatsappLinked.into(),
            id: self.session.to_string(),
            ..v1::Channel::default()
        };
        MessageStatus {
            id: id::fact_id(&unique).to_string(),
            tenant: self.tenant.to_string(),
            conversation: self.conversation.to_string(),
            message_id: self.message.id.clone(),
            provider_message_id: self.provider_id.clone(),
            status: status.into(),
            recipient: vec![self.alias.clone()],
            channel: Some(channel),
            occurred_at_ms: now_ms(),
            received_at_ms: now_ms(),
            callback_data: self.message.callback_data.clone(),
            ..MessageStatus::default()
        }
    }
}

/// A message as the contact's phone shows it, in the Graph API's words.
fn content(message: &Message) -> Value {
    if let Ok(raw @ Value::Object(_)) = serde_json::from_slice(&message.raw) {
        return raw;
    }
    let kind = match message.r#type() {
        MessageType::Unspecified => "text".to_owned(),
        other => other.as_str_name().trim_start_matches("MESSAGE_TYPE_").to_ascii_lowercase(),
    };
    let said = match (&message.media, &message.location) {
        (Some(media), _) => json!({
            "id": media.id, "link": media.url, "mime_type": media.mime_type, "filename": media.filename,
            "caption": message.text,
        }),
        (None, Some(place)) => json!({
            "latitude": place.latitude, "longitude": place.longitude, "name": place.name, "address": place.address,
        }),
        (None, None) if kind == "reaction" => json!({ "emoji": message.emoji }),
        (None, None) => json!({ "body": message.text }),
    };
    let mut shown = json!({ "type": kind, kind.as_str(): said });
    if let Some(context) = message.context.as_ref().filter(|context| !context.provider_message_id.is_empty())
    {
        shown["context"] = json!({ "message_id": context.provider_message_id });
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_phone_shows_what_was_sent() {
        let text = Message { text: "hola".to_owned(), ..Message::default() };
        assert_eq!(content(&text), json!({ "type": "text", "text": { "body": "hola" } }));
        let raw =
            Message { raw: br#"{"type":"contacts","contacts":[]}"#.to_vec().into(), ..Message::default() };
        assert_eq!(content(&raw)["type"], "contacts");
        let reaction = Message {
            r#type: MessageType::Reaction.into(),
            emoji: "👍".to_owned(),
            context: Some(v1::Context { provider_message_id: "3EB0".to_owned(), ..v1::Context::default() }),
            ..Message::default()
        };
        assert_eq!(content(&reaction)["reaction"]["emoji"], "👍");
        assert_eq!(content(&reaction)["context"]["message_id"], "3EB0");
    }
}
