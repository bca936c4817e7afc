//! What a contact writes to a linked device.

use chasqui_kit::{TraceContext, clock::now_ms, publish::Fact};
use chasqui_proto::{
    ConversationToken, MessageId, address, subject,
    v1::{self, MessageType},
};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::{DeviceError, Devices, Key};
use crate::{
    history::{Direction, Progress, Written},
    samples,
};

/// What a contact writes: a text, or a file with the text as its caption.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Said {
    from: String,
    #[serde(default)]
    text: String,
    /// The name the contact gives itself.
    #[serde(default)]
    name: String,
    #[serde(default, rename = "type")]
    kind: Kind,
    /// A file that was uploaded for it; else the sample of its type.
    media_id: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    #[default]
    Text,
    Image,
    Audio,
    Video,
    Document,
    Sticker,
}

impl Devices {
    /// A contact writes to the linked phone; returns our id of it and the provider's.
    pub(super) async fn receive(&self, key: &Key, said: Said) -> Result<Value, DeviceError> {
        let alias = address::parse_address(&said.from)
            .map_err(|error| DeviceError::Invalid(format!("from: {error}")))?;
        let phone = {
            let devices = self.known();
            let account =
                devices.get(key).map(|device| &device.account).filter(|account| account.is_connected());
            let connected =
                account.ok_or_else(|| DeviceError::WrongState(key.session.to_string(), "connected"))?;
            connected.phone().to_owned()
        };
        let media = self.media(&said)?;
        let provider_id = format!("3EB0{}", Uuid::now_v7().simple().to_string().to_uppercase());
        let (conversation, kind) = (ConversationToken::of(&alias), said.kind.of_message());
        let contact = alias.value.clone();
        let message = v1::Message {
            id: MessageId::of_provider(&key.tenant, &provider_id).to_string(),
            tenant: key.tenant.to_string(),
            conversation: conversation.to_string(),
            contact: Some(v1::Contact { aliases: vec![alias], name: said.name, ..v1::Contact::default() }),
            channel: Some(v1::Channel {
                kind: v1::ChannelKind::WhatsappLinked.into(),
                id: key.session.to_string(),
                display_phone_number: phone,
                ..v1::Channel::default()
            }),
            direction: v1::Direction::In.into(),
            sender_type: v1::SenderType::User.into(),
            r#type: kind.into(),
            text: said.text,
            media,
            provider_id: provider_id.clone(),
            occurred_at_ms: now_ms(),
            received_at_ms: now_ms(),
            ..v1::Message::default()
        };
        let subject = subject::messages_in(&key.tenant, &conversation);
        self.bus.publish(Fact::new(subject, &message, message.id.clone(), TraceContext::root())).await?;
        let body = json!({ "text": message.text, "media": message.media.as_ref().map(|media| &media.id) });
        self.world.record(Written {
            number: key.number().into(),
            contact: contact.into(),
            direction: Direction::Sent,
            id: provider_id.clone(),
            time_ms: now_ms(),
            body: serde_json::value::to_raw_value(&body).expect("JSON can be written"),
            callback_data: None,
            progress: Progress::Delivered,
        });
        Ok(json!({ "id": message.id, "provider_id": provider_id }))
    }

    fn media(&self, said: &Said) -> Result<Option<v1::Media>, DeviceError> {
        let Some(sample) = said.kind.sample() else { return Ok(None) };
        let id = said.media_id.as_deref().unwrap_or(sample);
        let unknown = || DeviceError::Invalid(format!("media_id: there is no file {id}"));
        let file = self.world.files.get(id).ok_or_else(unknown)?;
        Ok(Some(v1::Media {
            id: id.to_owned(),
            sha256: samples::checksum(&file.content),
            size_bytes: file.content.len() as u64,
            voice: file.mime_type.starts_with("audio/ogg"),
            filename: file.filename.unwrap_or_default(),
            mime_type: file.mime_type,
            ..v1::Media::default()
        }))
    }
}

impl Kind {
    fn of_message(self) -> MessageType {
        match self {
            Self::Text => MessageType::Text,
            Self::Image => MessageType::Image,
            Self::Audio => MessageType::Audio,
            Self::Video => MessageType::Video,
            Self::Document => MessageType::Document,
            Self::Sticker => MessageType::Sticker,
        }
    }

    fn sample(self) -> Option<&'static str> {
        let mime_type = match self {
            Self::Text => return None,
            Self::Image => "image/jpeg",
            Self::Audio => "audio/ogg; codecs=opus",
            Self::Video => "video/mp4",
            Self::Document => "application/pdf",
            Self::Sticker => "image/webp",
        };
        Some(samples::of(mime_type).id)
    }
}
