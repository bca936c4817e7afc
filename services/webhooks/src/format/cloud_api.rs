//! The form of the WhatsApp Cloud API: its clients and bots work with ours by another URL and secret.

use chasqui_proto::{
    MessageId,
    v1::{
        Alias, AliasKind, Channel, ChannelKind, Contact, Direction, Message, MessageStatus, MessageType,
        ProviderError, Session, delivery::Fact,
    },
};
use serde_json::{Map, Value, json, value::RawValue};

use super::{Told, is_connected};

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
    // What WhatsApp wrote is passed on byte for byte: it has fields that nobody here knows.
    let verbatim = verbatim(channel, &message.raw).map(RawValue::get);
    let shown = verbatim.map_or_else(|| rebuilt(told, message).to_string(), str::to_owned);
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
    echo["to"] = json!(number(contact_aliases(message.contact.as_ref())));
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
    shown["wa_id"] = json!(number(aliases));
    if let Some(bsuid) = aliases.iter().find(|alias| alias.kind() == AliasKind::Bsuid) {
        shown["user_id"] = json!(bsuid.value);
    }
    shown
}

fn contact_aliases(contact: Option<&Contact>) -> &[Alias] {
    contact.map_or(&[], |contact| &contact.aliases)
}

/// The number of a contact; where it is hidden, whatever else it is reached by.
fn number(aliases: &[Alias]) -> &str {
    let phone = aliases.iter().find(|alias| alias.kind() == AliasKind::Phone);
    phone.or(aliases.first()).map_or("", |alias| &alias.value)
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
        "from": number(contact_aliases(message.contact.as_ref())),
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
    let mut shown = json!({ "id": media.id, "mime_type": media.mime_type, "sha256": media.sha256 });
    if let Some(url) = told.media_url {
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
    shown.insert("recipient_id".to_owned(), json!(number(&status.recipient)));
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

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{Delivery, ListenerFormat::CloudApi};

    use super::super::{
        golden::{WAMID, check, message, session, status},
        render,
    };
    use super::*;

    fn change(field: &str, account: &str, value: &Value) -> Value {
        json!({
            "object": "whatsapp_business_account",
            "entry": [{ "id": account, "changes": [{ "field": field, "value": value }] }],
        })
    }

    #[test]
    fn a_message_of_any_channel_has_the_shape_of_the_cloud_api() {
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "5491100000099", "phone_number_id": "100000000000001" },
            "contacts": [{
                "profile": { "name": "Contact" },
                "wa_id": "5491100000001",
                "user_id": "AR.13491208655302741918",
            }],
            "messages": [{
                "from": "5491100000001",
                "id": WAMID,
                "timestamp": "1700000000",
                "type": "image",
                "image": {
                    "id": "300000000000001",
                    "mime_type": "image/jpeg",
                    "sha256": "",
                    "caption": "¡hola! 👋",
                    "url": "https://chat.example.com/media/default/1",
                },
            }],
        });
        let expected = change("messages", "200000000000001", &value);
        check(CloudApi, "message.received", Fact::Message(message()), &expected);
    }

    #[test]
    fn what_the_cloud_api_wrote_is_passed_on_byte_for_byte() {
        let raw = r#"{"from":"5491100000001",  "id":"wamid.A","new":1.50}"#;
        let of = |kind: ChannelKind| {
            let mut message = message();
            message.raw = raw.as_bytes().into();
            message.channel.as_mut().unwrap().kind = kind.into();
            let fact = Some(Fact::Message(message));
            String::from_utf8(render(&Delivery { fact, ..Delivery::default() }, CloudApi, None)).unwrap()
        };
        assert!(of(ChannelKind::WhatsappCloud).contains(&format!(r#""messages":[{raw}]"#)));
        assert!(
            !of(ChannelKind::WhatsappLinked).contains("1.50"),
            "another provider's JSON is another shape"
        );
    }

    #[test]
    fn a_status_names_the_message_as_its_sender_was_told_it() {
        let mut ours = status();
        ours.raw = format!(
            r#"{{"id":"{WAMID}","status":"failed","timestamp":"1700000001","recipient_id":"5491100000001",
                "biz_opaque_callback_data":"018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11 order-7","pricing":{{"billable":true}}}}"#
        )
        .into();
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "5491100000099", "phone_number_id": "100000000000001" },
            "statuses": [{
                "id": "wamid.chasqui_018f4e6e7d557c7e8a7b0d3b5c1f2a11",
                "status": "failed",
                "timestamp": "1700000001",
                "recipient_id": "5491100000001",
                "biz_opaque_callback_data": "order-7",
                "pricing": { "billable": true },
            }],
        });
        let expected = change("messages", "200000000000001", &value);
        check(CloudApi, "message.status", Fact::Status(ours), &expected);
    }

    #[test]
    fn a_status_without_json_of_its_own_is_rebuilt() {
        let tenant = "default".parse().unwrap();
        let elsewhere = MessageStatus {
            message_id: MessageId::of_provider(&tenant, WAMID).to_string(),
            callback_data: String::new(),
            ..status()
        };
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "5491100000099", "phone_number_id": "100000000000001" },
            "statuses": [{
                "id": WAMID,
                "status": "failed",
                "timestamp": "1700000001",
                "recipient_id": "5491100000001",
                "errors": [{
                    "code": 131_047,
                    "title": "Re-engagement message",
                    "message": "Re-engagement message",
                    "error_data": { "details": "More than 24 hours have passed" },
                }],
            }],
        });
        let expected = change("messages", "200000000000001", &value);
        check(CloudApi, "message.status", Fact::Status(elsewhere), &expected);
    }

    #[test]
    fn what_we_sent_is_an_echo_and_a_session_has_a_field_of_its_own() {
        let sent = Message {
            direction: Direction::Out.into(),
            r#type: MessageType::Text.into(),
            media: None,
            provider_id: String::new(),
            ..message()
        };
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "5491100000099", "phone_number_id": "100000000000001" },
            "message_echoes": [{
                "from": "5491100000099",
                "to": "5491100000001",
                "id": "wamid.chasqui_018f4e6e7d557c7e8a7b0d3b5c1f2a10",
                "timestamp": "1700000000",
                "type": "text",
                "text": { "body": "¡hola! 👋" },
            }],
        });
        let expected = change("message_echoes", "200000000000001", &value);
        check(CloudApi, "message.sent", Fact::Message(sent), &expected);
        let value = json!({
            "messaging_product": "whatsapp",
            "metadata": { "display_phone_number": "5491100000099", "phone_number_id": "main" },
            "status": "connected",
            "connected": true,
            "qr": "",
            "reason": "",
            "timestamp": "1700000002",
        });
        check(CloudApi, "session.status", Fact::Session(session()), &change("session_status", "", &value));
    }
}
