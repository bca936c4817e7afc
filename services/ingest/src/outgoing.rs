//! What tenants send to contacts, in the shape of the Cloud API, checked before it is stored. Pure: JSON in, the content
//! of a message out.
//!
//! What was checked is what is sent: content that the fields of a message do not hold whole goes on as the JSON that was
//! read, not as the bytes that came.

mod contacts;
mod error;
mod interactive;
mod media;
mod part;
mod plain;
mod template;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use chasqui_proto::{
    MessageId, Tenant,
    v1::{Context, Location, Media, Message, MessageType},
};
use serde_json::{Map, Value, json};
use uuid::Uuid;

pub(crate) use error::OutgoingError;
pub(crate) use part::Part;

use crate::fields::FieldError;

/// The longest id of a message, characters: WhatsApp's own.
const MESSAGE_ID_LENGTH_MAX: usize = 128;

/// The longest text that comes back with each status, characters: WhatsApp takes 512, and our id with a space goes in
/// front.
const CALLBACK_DATA_LENGTH_MAX: usize = 512 - 37;

/// The types that can be sent, as the Cloud API names them.
const TYPES: [&str; 11] = [
    "text",
    "image",
    "audio",
    "video",
    "document",
    "sticker",
    "location",
    "contacts",
    "reaction",
    "interactive",
    "template",
];

/// The content of a message to a contact.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Outgoing {
    r#type: MessageType,
    /// Text, caption (empty where there is none, since it would be sent), or how a message without text reads.
    text: String,
    media: Option<Media>,
    context: Option<Context>,
    location: Option<Location>,
    emoji: String,
    /// The content as the Cloud API is sent it, where the other fields do not hold all of it.
    raw: Bytes,
    callback_data: String,
}

impl Outgoing {
    /// Reads `type`, the content of that type, `context` and `biz_opaque_callback_data`. Who it goes to is another's.
    pub(crate) fn read(message: &Map<String, Value>, tenant: &Tenant) -> Result<Self, OutgoingError> {
        let message = Part::root(message);
        let kind = message.optional_text("type", 1..=64)?.unwrap_or("text");
        let content = match kind {
            "text" => plain::text(&message.object(kind)?),
            "image" => media::read(MessageType::Image, &message.object(kind)?),
            "audio" => media::read(MessageType::Audio, &message.object(kind)?),
            "video" => media::read(MessageType::Video, &message.object(kind)?),
            "document" => media::read(MessageType::Document, &message.object(kind)?),
            "sticker" => media::read(MessageType::Sticker, &message.object(kind)?),
            "location" => plain::location(&message.object(kind)?),
            "reaction" => plain::reaction(&message.object(kind)?, tenant),
            "contacts" => contacts::read(&message),
            "interactive" => interactive::read(&message.object(kind)?),
            "template" => template::read(&message.object(kind)?),
            unknown => Err(OutgoingError::Type(unknown.to_owned())),
        }?;
        // A reaction refers to the message it is about.
        let refers_to =
            content.context.clone().map_or_else(|| answered(&message, tenant), |own| Ok(Some(own)))?;
        let callback_data =
            message.optional_text("biz_opaque_callback_data", 1..=CALLBACK_DATA_LENGTH_MAX)?;
        Ok(Self {
            context: refers_to,
            callback_data: callback_data.unwrap_or_default().to_owned(),
            ..content
        })
    }

    /// What kind of message it is.
    pub(crate) fn kind(&self) -> MessageType {
        self.r#type
    }

    /// Makes it the content of a message.
    pub(crate) fn fill(self, message: Message) -> Message {
        Message {
            r#type: self.r#type.into(),
            text: self.text,
            media: self.media,
            context: self.context,
            location: self.location,
            emoji: self.emoji,
            raw: self.raw,
            callback_data: self.callback_data,
            ..message
        }
    }

    /// Content that goes on as the JSON it was read from, and reads as `text`.
    fn verbatim(r#type: MessageType, name: &str, content: &Value, text: String) -> Self {
        Self { r#type, text, raw: raw(name, content), ..Self::default() }
    }
}

/// A template that is sent where WhatsApp takes only one, judged as if it were sent: the Cloud API's `template`.
pub(crate) fn fallback(template: Value, tenant: &Tenant) -> Result<Bytes, FieldError> {
    let sent = Map::from_iter([("type".to_owned(), json!("template")), ("template".to_owned(), template)]);
    if let Err(error) = Outgoing::read(&sent, tenant) {
        return Err(FieldError::new("fallback_template", error.to_string()));
    }
    Ok(sent["template"].to_string().into())
}

fn raw(name: &str, content: &Value) -> Bytes {
    json!({ "type": name, name: content }).to_string().into()
}

/// The message that is answered.
fn answered(message: &Part<'_>, tenant: &Tenant) -> Result<Option<Context>, OutgoingError> {
    let Some(context) = message.optional_object("context")? else { return Ok(None) };
    Ok(Some(reference(context.text("message_id", 1..=MESSAGE_ID_LENGTH_MAX)?, tenant)))
}

/// A message by the id its sender or receiver was told: ours in the form of WhatsApp's, ours as it is, or WhatsApp's.
fn reference(id: &str, tenant: &Tenant) -> Context {
    if let Some(ours) = MessageId::of_wamid(id).or_else(|| id.parse::<Uuid>().ok().map(MessageId)) {
        return Context { message_id: ours.to_string(), ..Context::default() };
    }
    Context {
        message_id: MessageId::of_provider(tenant, id).to_string(),
        provider_message_id: id.to_owned(),
        ..Context::default()
    }
}
