//! The form of the WhatsApp Cloud API: its clients and bots work with ours by another URL and secret.

#[cfg(test)]
mod tests;

use chasqui_proto::{
    MessageId,
    address::external_id,
    v1::{
        Alias, AliasKind, Channel, ChannelKind, Contact, Direction, Message, MessageStatus, MessageType,
        ProviderError, Session, delivery::Fact,
    },
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{Told, is_connected, verbatim};

/// One entry with one change.
pub(super) fn render(told: &Told<'_>) -> Vec<u8> {
    match told.fact {
        Fact::Message(message) if message.direction() == Direction::Out => of_echo(told, message),
        Fact::Message(message) => of_message(told, message),
        Fact::Status(status) => of_status(told, status),
        Fact::Session(session) => of_session(session),
    }
}

fn of_message(told: &Told<'_>, message: &Message) -> Vec<u8> {
    let channel = message.channel.as_ref();
    // What WhatsApp wrote is passed on as it is: it has fields that nobody here knows. Its file is another one here.
    let verbatim = verbatim(channel, &message.raw).map(|raw| verbatim::with_own_file(raw, told.file));
    let shown = verbatim.unwrap_or_else(|| rebuilt(told, message).to_string());
    let head = format!(
        r#""messaging_product":"whatsapp","metadata":{},"contacts":{},"messages":[{shown}]"#,
        metadata(channel),
        json!([contact(message.contact.as_ref())]),
    );
    envelope(channel, "messages", &format!("{{{head}}}"))
}

/// What we sent is told like what the tenant sends from its own phone.
fn of_echo(told: &Told<'_>, message: &Message) -> Vec<u8> {
    let channel = message.channel.as_ref();
    let mut echo = rebuilt(told, message);
    echo["from"] = json!(digits(channel.map_or("", |channel| &channel.display_phone_number)));
    echo["to"] = json!(reply_address(contact_aliases(message.contact.as_ref())));
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": metadata(channel),
        "message_echoes": [echo],
    });
    envelope(channel, "message_echoes", &value.to_string())
}

fn of_status(told: &Told<'_>, status: &MessageStatus) -> Vec<u8> {
    let channel = status.channel.as_ref();
    let original = verbatim(channel, &status.raw).and_then(|raw| serde_json::from_str(raw.get()).ok());
    let mut shown: Map<String, Value> = original.unwrap_or_else(|| rebuilt_status(status));
    shown.insert("id".to_owned(), json!(told_id(told, status)));
    // What WhatsApp has there is ours; the sender of the message knows its own.
    shown.remove("biz_opaque_callback_data");
    if !status.callback_data.is_empty() {
        shown.insert("biz_opaque_callback_data".to_owned(), json!(status.callback_data));
    }
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": metadata(channel),
        "statuses": [shown],
    });
    envelope(channel, "messages", &value.to_string())
}

/// The Cloud API has no word for it: its numbers are always connected.
fn of_session(session: &Session) -> Vec<u8> {
    let value = json!({
        "messaging_product": "whatsapp",
        "metadata": { "display_phone_number": session.phone, "phone_number_id": session.id },
        "status": session.status().name(),
        "connected": is_connected(session.status()),
        "qr": session.qr,
        "reason": session.reason,
        "timestamp": seconds(session.updated_at_ms),
    });
    envelope(None, "session_status", &value.to_string())
}

/// `value` is JSON. It goes last so that it stays as it is.
fn envelope(channel: Option<&Channel>, field: &str, value: &str) -> Vec<u8> {
    let account = json!(channel.map_or("", |channel| &channel.account_id));
    format!(
        r#"{{"object":"whatsapp_business_account","entry":[{{"id":{account},"changes":[{{"field":"{field}","value":{value}}}]}}]}}"#
    )
    .into_bytes()
}

fn metadata(channel: Option<&Channel>) -> Value {
    json!({
        "display_phone_number": digits(channel.map_or("", |channel| &channel.display_phone_number)),
        "phone_number_id": channel.map_or("", |channel| &channel.id),
    })
}

fn contact(contact: Option<&Contact>) -> Value {
    let aliases = contact_aliases(contact);
    let mut shown = json!({ "profile": { "name": contact.map_or("", |contact| &contact.name) } });
    shown["wa_id"] = json!(reply_address(aliases));
    if let Some(bsuid) = aliases.iter().find(|alias| alias.kind() == AliasKind::Bsuid) {
        shown["user_id"] = json!(bsuid.value);
    }
    shown
}

fn contact_aliases(contact: Option<&Contact>) -> &[Alias] {
    contact.map_or(&[], |contact| &contact.aliases)
}

/// What a client answers to: the contact's number; where it is hidden, its other address, and so that it is not taken for
/// a number.
fn reply_address(aliases: &[Alias]) -> String {
    let phone = aliases.iter().find(|alias| alias.kind() == AliasKind::Phone);
    phone.or(aliases.first()).map_or_else(String::new, |alias| match alias.kind() {
        AliasKind::Phone => alias.value.clone(),
        _ => external_id(alias),
    })
}

/// The provider's own JSON, where it is the Cloud API's and one object.
fn verbatim<'a>(channel: Option<&Channel>, raw: &'a [u8]) -> Option<&'a RawValue> {
    let is_cloud = channel.is_some_and(|channel| channel.kind() == ChannelKind::WhatsappCloud);
    let value: &RawValue = serde_json::from_slice(raw).ok()?;
    (is_cloud && value.get().starts_with('{')).then_some(value)
}

/// A message as the Cloud API would have written it.
fn rebuilt(told: &Told<'_>, message: &Message) -> Value {
    let kind = message.r#type();
    let mut shown = json!({
        "from": reply_address(contact_aliases(message.contact.as_ref())),
        "id": message_id(message),
        "timestamp": seconds(message.occurred_at_ms),
        "type": kind.name(),
    });
    if kind != MessageType::Unspecified {
        shown[kind.name()] = content(told, message);
    }
    if let Some(context) = &message.context {
        shown["context"] = json!({ "from": context.from, "id": context.provider_message_id });
    }
    shown
}

fn content(told: &Told<'_>, message: &Message) -> Value {
    let context = message.context.as_ref();
    match message.r#type() {
        MessageType::Image
        | MessageType::Audio
        | MessageType::Video
        | MessageType::Document
        | MessageType::Sticker => of_media(told, message),
        MessageType::Location => message.location.as_ref().map_or(Value::Null, |location| {
            json!({
                "latitude": location.latitude,
                "longitude": location.longitude,
                "name": location.name,
                "address": location.address,
            })
        }),
        MessageType::Reaction => json!({
            "message_id": context.map_or("", |context| &context.provider_message_id),
            "emoji": message.emoji,
        }),
        MessageType::Interactive => message.choice.as_ref().map_or(Value::Null, |choice| {
            let mut shown = json!({ "type": choice.kind });
            shown[&choice.kind] =
                json!({ "id": choice.id, "title": choice.title, "description": choice.description });
            shown
        }),
        MessageType::Button => message
            .choice
            .as_ref()
            .map_or(Value::Null, |choice| json!({ "payload": choice.id, "text": choice.title })),
        // A text, and whatever has no form of its own here.
        _ => json!({ "body": message.text }),
    }
}

fn of_media(told: &Told<'_>, message: &Message) -> Value {
    let Some(media) = &message.media else { return Value::Null };
    let mut shown =
        json!({ "id": told.file.id(media), "mime_type": media.mime_type, "sha256": media.sha256 });
    if let Some(url) = &told.file.url {
        shown["url"] = json!(url);
    }
    if !message.text.is_empty() {
        shown["caption"] = json!(message.text);
    }
    match message.r#type() {
        MessageType::Audio => shown["voice"] = json!(media.voice),
        MessageType::Sticker => shown["animated"] = json!(media.animated),
        MessageType::Document => shown["filename"] = json!(media.filename),
        _ => {}
    }
    shown
}

/// The provider's id; what has none yet is known by the id that clients were told.
fn message_id(message: &Message) -> String {
    if message.direction() == Direction::In && !message.provider_id.is_empty() {
        return message.provider_id.clone();
    }
    message.id.parse().map_or_else(|_| message.id.clone(), MessageId::to_wamid)
}

/// Clients know what they sent through us by our id of it. What was sent elsewhere has only the provider's.
fn told_id(told: &Told<'_>, status: &MessageStatus) -> String {
    let provider_id = &status.provider_message_id;
    let Ok(ours) = status.message_id.parse::<MessageId>() else { return provider_id.clone() };
    let is_derived = told.tenant().is_some_and(|tenant| MessageId::of_provider(&tenant, provider_id) == ours);
    if is_derived { provider_id.clone() } else { ours.to_wamid() }
}

fn rebuilt_status(status: &MessageStatus) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert("status".to_owned(), json!(status.status().name()));
    shown.insert("timestamp".to_owned(), json!(seconds(status.occurred_at_ms)));
    shown.insert("recipient_id".to_owned(), json!(reply_address(&status.recipient)));
    if !status.errors.is_empty() {
        let error = |error: &ProviderError| {
            json!({
                "code": error.code,
                "title": error.title,
                "message": error.message,
                "error_data": { "details": error.details },
            })
        };
        shown.insert("errors".to_owned(), status.errors.iter().map(error).collect());
    }
    shown
}

/// Times are texts of unix seconds.
fn seconds(at_ms: i64) -> String {
    (at_ms / 1_000).to_string()
}

fn digits(text: &str) -> String {
    text.chars().filter(char::is_ascii_digit).collect()
}
