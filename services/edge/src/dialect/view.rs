//! Messages, conversations and counters as front ends see them, in sockets and REST alike.

use chasqui_proto::{
    ConversationId, ConversationToken, Tenant,
    address::external_id,
    v1::{self, AliasKind, Direction, MessageType, SenderType, Status},
};
use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;
use time::{OffsetDateTime, format_description::BorrowedFormatItem, macros::format_description};
use utoipa::ToSchema;

/// ISO 8601 with milliseconds, as `Date.prototype.toISOString` writes it.
const ISO_MILLISECONDS: &[BorrowedFormatItem<'static>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// A moment in unix milliseconds, as text.
pub(crate) fn iso(at_ms: i64) -> String {
    let moment = OffsetDateTime::from_unix_timestamp_nanos(i128::from(at_ms) * 1_000_000);
    let moment = moment.unwrap_or(OffsetDateTime::UNIX_EPOCH);
    moment.format(ISO_MILLISECONDS).expect("the format asks for nothing a moment lacks")
}

/// A moment, unless there was none.
pub(crate) fn iso_unless_zero(at_ms: i64) -> Option<String> {
    (at_ms != 0).then(|| iso(at_ms))
}

/// What front ends call a conversation: a number, and the address of its contact.
pub(crate) fn conversation_names(tenant: &str, token: &str) -> (u64, String) {
    let names = || {
        let (tenant, token): (Tenant, ConversationToken) = (tenant.parse().ok()?, token.parse().ok()?);
        Some((ConversationId::of(&tenant, &token).number(), external_id(&token.alias())))
    };
    names().unwrap_or_default()
}

/// A conversation's number.
pub(crate) fn conversation_number(tenant: &str, token: &str) -> u64 {
    conversation_names(tenant, token).0
}

/// A chat's id, from its conversation's token. Empty when the token is none.
pub(crate) fn chat_id(tenant: &str, conversation: &str) -> String {
    let (tenant, token): (Result<Tenant, _>, Result<ConversationToken, _>) =
        (tenant.parse(), conversation.parse());
    match (tenant, token) {
        (Ok(tenant), Ok(token)) => ConversationId::of(&tenant, &token).to_string(),
        _ => String::new(),
    }
}

/// A message.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MessageView<'a> {
    id: &'a str,
    conversation_id: u64,
    external_id: String,
    direction: &'static str,
    sender_type: &'static str,
    #[serde(skip_serializing_if = "str::is_empty")]
    sender_id: &'a str,
    message_type: &'static str,
    text_content: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    media: Option<MediaView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<ContextView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    choice: Option<ChoiceView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    location: Option<LocationView<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    emoji: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<&'static str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<ErrorView<'a>>,
    created_at: String,
    received_at: String,
    /// The provider's own JSON, for everything that is more than text.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    payload: Option<&'a RawValue>,
}

impl<'a> MessageView<'a> {
    pub(crate) fn new(message: &'a v1::Message, status: Status) -> Self {
        let (conversation_id, external_id) = conversation_names(&message.tenant, &message.conversation);
        let kind = message.r#type();
        Self {
            id: &message.id,
            conversation_id,
            external_id,
            direction: message.direction().name(),
            sender_type: message.sender_type().name(),
            sender_id: &message.sender_id,
            message_type: kind.name(),
            text_content: &message.text,
            media: message.media.as_ref().map(MediaView::new),
            context: message.context.as_ref().map(ContextView::new),
            choice: message.choice.as_ref().map(ChoiceView::new),
            location: message.location.as_ref().map(LocationView::new),
            emoji: (kind == MessageType::Reaction).then_some(&message.emoji),
            provider_id: &message.provider_id,
            provider_type: (kind == MessageType::Unsupported).then_some(&message.provider_type),
            status: (status != Status::Unspecified).then(|| status.name()),
            errors: message.errors.iter().map(ErrorView::new).collect(),
            created_at: iso(message.occurred_at_ms),
            received_at: iso(message.received_at_ms),
            payload: (kind != MessageType::Text).then(|| serde_json::from_slice(&message.raw).ok()).flatten(),
        }
    }
}

/// The file of a message; its address is good for a while.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MediaView<'a> {
    id: &'a str,
    mime_type: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    filename: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'a str,
    voice: bool,
    animated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    size_bytes: Option<u64>,
}

impl<'a> MediaView<'a> {
    pub(crate) fn new(media: &'a v1::Media) -> Self {
        Self {
            id: &media.id,
            mime_type: &media.mime_type,
            filename: &media.filename,
            url: &media.url,
            voice: media.voice,
            animated: media.animated,
            size_bytes: (media.size_bytes > 0).then_some(media.size_bytes),
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ContextView<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    message_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    provider_message_id: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    from: &'a str,
    forwarded: bool,
    frequently_forwarded: bool,
}

impl<'a> ContextView<'a> {
    fn new(context: &'a v1::Context) -> Self {
        Self {
            message_id: &context.message_id,
            provider_message_id: &context.provider_message_id,
            from: &context.from,
            forwarded: context.forwarded,
            frequently_forwarded: context.frequently_forwarded,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ChoiceView<'a> {
    kind: &'a str,
    id: &'a str,
    title: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    description: &'a str,
}

impl<'a> ChoiceView<'a> {
    fn new(choice: &'a v1::Choice) -> Self {
        Self { kind: &choice.kind, id: &choice.id, title: &choice.title, description: &choice.description }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct LocationView<'a> {
    latitude: f64,
    longitude: f64,
    #[serde(skip_serializing_if = "str::is_empty")]
    name: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    address: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    url: &'a str,
}

impl<'a> LocationView<'a> {
    fn new(location: &'a v1::Location) -> Self {
        Self {
            latitude: location.latitude,
            longitude: location.longitude,
            name: &location.name,
            address: &location.address,
            url: &location.url,
        }
    }
}

#[derive(Debug, Serialize, ToSchema)]
struct ErrorView<'a> {
    code: i64,
    title: &'a str,
    details: &'a str,
}

impl<'a> ErrorView<'a> {
    fn new(error: &'a v1::ProviderError) -> Self {
        Self { code: error.code, title: &error.title, details: &error.details }
    }
}

/// A conversation.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConversationView<'a> {
    id: u64,
    uuid: String,
    external_id: String,
    contact_name: &'a str,
    contact_phone: Option<&'a str>,
    contact_photo_url: Option<&'a str>,
    unread_count: u32,
    last_message: Option<MessageView<'a>>,
    last_message_status: Option<&'static str>,
    last_message_at: Option<String>,
    started_at: Option<String>,
    ai_active: bool,
    no_ac_ai: bool,
    personality_id: Option<&'a str>,
    updated_at: Option<String>,
}

impl<'a> ConversationView<'a> {
    pub(crate) fn new(conversation: &'a v1::Conversation) -> Self {
        let contact = conversation.contact.as_ref();
        let status = conversation.last_message_status();
        Self {
            id: conversation.number,
            uuid: conversation.id.clone(),
            last_message: conversation
                .last_message
                .as_ref()
                .map(|message| MessageView::new(message, Status::Unspecified)),
            last_message_status: (status != Status::Unspecified).then(|| status.name()),
            last_message_at: iso_unless_zero(conversation.last_message_at_ms),
            started_at: iso_unless_zero(conversation.started_at_ms),
            unread_count: conversation.unread_count,
            ai_active: conversation.ai_active,
            no_ac_ai: conversation.no_ac_ai,
            personality_id: Some(conversation.personality_id.as_str()).filter(|id| !id.is_empty()),
            updated_at: iso_unless_zero(conversation.updated_at_ms),
            ..Self::of_contact(&conversation.tenant, &conversation.token, contact)
        }
    }

    /// The conversation of a message, before persistence has told its state.
    pub(crate) fn of_message(message: &'a v1::Message) -> Self {
        Self {
            last_message: Some(MessageView::new(message, Status::Unspecified)),
            last_message_at: Some(iso(message.occurred_at_ms)),
            unread_count: u32::from(message.direction() == Direction::In),
            ..Self::of_contact(&message.tenant, &message.conversation, message.contact.as_ref())
        }
    }

    fn of_contact(tenant: &str, token: &str, contact: Option<&'a v1::Contact>) -> Self {
        let (id, external_id) = conversation_names(tenant, token);
        let uuid = match (tenant.parse(), token.parse()) {
            (Ok(tenant), Ok(token)) => ConversationId::of(&tenant, &token).to_string(),
            _ => String::new(),
        };
        let phone = |contact: &'a v1::Contact| {
            contact
                .aliases
                .iter()
                .find(|alias| alias.kind() == AliasKind::Phone)
                .map(|alias| alias.value.as_str())
        };
        Self {
            id,
            uuid,
            external_id,
            contact_name: contact.map_or("", |contact| &contact.name),
            contact_phone: contact.and_then(phone),
            contact_photo_url: contact
                .map(|contact| contact.photo_url.as_str())
                .filter(|url| !url.is_empty()),
            unread_count: 0,
            last_message: None,
            last_message_status: None,
            last_message_at: None,
            started_at: None,
            ai_active: false,
            no_ac_ai: false,
            personality_id: None,
            updated_at: None,
        }
    }
}

/// A tenant's counters.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatsView<'a> {
    messages_in: u64,
    messages_out: u64,
    conversations: u64,
    unread: u64,
    #[schema(value_type = HashMap<String, u64>)]
    by_status: Counts<'a>,
    #[schema(value_type = HashMap<String, u64>)]
    by_sender_type: Counts<'a>,
    response_time_mean_ms: u64,
    response_time_max_ms: u64,
    responses: u64,
    updated_at: String,
}

impl<'a> StatsView<'a> {
    pub(crate) fn new(stats: &'a v1::Stats) -> Self {
        Self {
            messages_in: stats.messages_in,
            messages_out: stats.messages_out,
            conversations: stats.conversations,
            unread: stats.unread,
            by_status: Counts(&stats.by_status),
            by_sender_type: Counts(&stats.by_sender_type),
            response_time_mean_ms: stats.response_time_mean_ms,
            response_time_max_ms: stats.response_time_max_ms,
            responses: stats.responses,
            updated_at: iso(stats.updated_at_ms),
        }
    }
}

/// Counters by name, as an object.
#[derive(Debug)]
struct Counts<'a>(&'a [v1::Count]);

impl Serialize for Counts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        self.0.iter().try_for_each(|count| map.serialize_entry(&count.name, &count.count))?;
        map.end()
    }
}

/// Who wrote a message, as the widget of the contact tells it.
pub(crate) fn widget_sender(message: &v1::Message) -> &'static str {
    match message.sender_type() {
        SenderType::User => "user",
        SenderType::Ai | SenderType::Agent | SenderType::System | SenderType::Unspecified => "bot",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_look_as_javascript_writes_them() {
        assert_eq!(iso(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso(1_700_000_000_123), "2023-11-14T22:13:20.123Z");
        assert_eq!(iso(i64::MAX), "1970-01-01T00:00:00.000Z");
    }
}
