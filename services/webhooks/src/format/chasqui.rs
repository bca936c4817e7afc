//! Our own form, `{"type","timestamp","data"}`: everything that is known, under the names of the payloads.

use chasqui_proto::v1::{
    Alias, Channel, Context, Media, Message, MessageStatus, ProviderError, Session, delivery::Fact,
};
use serde_json::{Value, json};

use super::{File, Told, iso};

pub(super) fn render(told: &Told<'_>) -> Value {
    let (at_ms, data) = match told.fact {
        Fact::Message(message) => (message.occurred_at_ms, of_message(told, message)),
        Fact::Status(status) => (status.occurred_at_ms, of_status(status)),
        Fact::Session(session) => (session.updated_at_ms, of_session(session)),
    };
    json!({ "type": told.name, "timestamp": iso(at_ms), "data": data })
}

fn of_message(told: &Told<'_>, message: &Message) -> Value {
    let contact = message.contact.as_ref();
    json!({
        "id": message.id,
        "provider_id": message.provider_id,
        "conversation": message.conversation,
        "contact": {
            "name": contact.map_or("", |contact| &contact.name),
            "username": contact.map_or("", |contact| &contact.username),
            "aliases": contact.map(|contact| aliases(&contact.aliases)),
        },
        "channel": message.channel.as_ref().map(of_channel),
        "direction": message.direction().name(),
        "sender_type": message.sender_type().name(),
        "sender_id": message.sender_id,
        "type": message.r#type().name(),
        "text": message.text,
        "media": message.media.as_ref().map(|media| of_media(media, told.file)),
        "context": message.context.as_ref().map(of_context),
        "choice": message.choice.as_ref().map(|choice| json!({
            "kind": choice.kind,
            "id": choice.id,
            "title": choice.title,
            "description": choice.description,
        })),
        "location": message.location.as_ref().map(|location| json!({
            "latitude": location.latitude,
            "longitude": location.longitude,
            "name": location.name,
            "address": location.address,
        })),
        "emoji": message.emoji,
        "errors": errors(&message.errors),
    })
}

fn of_status(status: &MessageStatus) -> Value {
    json!({
        "message_id": status.message_id,
        "provider_message_id": status.provider_message_id,
        "conversation": status.conversation,
        "recipient": aliases(&status.recipient),
        "channel": status.channel.as_ref().map(of_channel),
        "status": status.status().name(),
        "errors": errors(&status.errors),
        "callback_data": status.callback_data,
    })
}

fn of_session(session: &Session) -> Value {
    json!({
        "id": session.id,
        "status": session.status().name(),
        "phone": session.phone,
        "qr": session.qr,
        "reason": session.reason,
    })
}

fn of_channel(channel: &Channel) -> Value {
    json!({
        "kind": channel.kind().name(),
        "id": channel.id,
        "display_phone_number": channel.display_phone_number,
    })
}

fn of_media(media: &Media, file: &File) -> Value {
    json!({
        "id": file.id(media),
        "mime_type": media.mime_type,
        "filename": media.filename,
        "size_bytes": media.size_bytes,
        "voice": media.voice,
        "url": file.url,
    })
}

fn of_context(context: &Context) -> Value {
    json!({
        "message_id": context.message_id,
        "provider_message_id": context.provider_message_id,
        "forwarded": context.forwarded,
    })
}

fn aliases(aliases: &[Alias]) -> Value {
    let alias = |alias: &Alias| json!({ "kind": alias.kind().name(), "value": alias.value });
    aliases.iter().map(alias).collect()
}

fn errors(errors: &[ProviderError]) -> Value {
    let error =
        |error: &ProviderError| json!({ "code": error.code, "title": error.title, "details": error.details });
    errors.iter().map(error).collect()
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::ListenerFormat::Chasqui;

    use super::super::golden::{FILE, WAMID, check, file, message, session, status};
    use super::*;

    #[test]
    fn a_message_tells_everything_that_is_known() {
        let expected = json!({
            "type": "message.received",
            "timestamp": "2023-11-14T22:13:20.5Z",
            "data": {
                "id": "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10",
                "provider_id": WAMID,
                "conversation": "5491100000001",
                "contact": {
                    "name": "Contact",
                    "username": "",
                    "aliases": [
                        { "kind": "bsuid", "value": "AR.13491208655302741918" },
                        { "kind": "phone", "value": "5491100000001" },
                    ],
                },
                "channel": {
                    "kind": "whatsapp_cloud",
                    "id": "100000000000001",
                    "display_phone_number": "+54 911 0000-0099",
                },
                "direction": "in",
                "sender_type": "user",
                "sender_id": "",
                "type": "image",
                "text": "¡hola! 👋",
                "media": {
                    "id": FILE,
                    "mime_type": "image/jpeg",
                    "filename": "",
                    "size_bytes": 0,
                    "voice": false,
                    "url": file().url,
                },
                "context": null,
                "choice": null,
                "location": null,
                "emoji": "",
                "errors": [],
            },
        });
        check(Chasqui, "message.received", Fact::Message(message()), &expected);
    }

    #[test]
    fn a_status_and_a_session_have_the_same_frame() {
        let expected = json!({
            "type": "message.status",
            "timestamp": "2023-11-14T22:13:21Z",
            "data": {
                "message_id": "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11",
                "provider_message_id": WAMID,
                "conversation": "5491100000001",
                "recipient": [{ "kind": "phone", "value": "5491100000001" }],
                "channel": {
                    "kind": "whatsapp_cloud",
                    "id": "100000000000001",
                    "display_phone_number": "+54 911 0000-0099",
                },
                "status": "failed",
                "errors": [{
                    "code": 131_047,
                    "title": "Re-engagement message",
                    "details": "More than 24 hours have passed",
                }],
                "callback_data": "order-7",
            },
        });
        check(Chasqui, "message.status", Fact::Status(status()), &expected);
        let data =
            json!({ "id": "main", "status": "connected", "phone": "5491100000099", "qr": "", "reason": "" });
        let expected = json!({ "type": "session.status", "timestamp": "2023-11-14T22:13:22Z", "data": data });
        check(Chasqui, "session.status", Fact::Session(session()), &expected);
    }
}
