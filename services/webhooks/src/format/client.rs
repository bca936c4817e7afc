//! The flat form that bots of shared WhatsApp clients read.

use chasqui_proto::v1::{Direction, Message, MessageStatus, ProviderError, Session, delivery::Fact};
use serde_json::{Value, json};

use super::{Told, address, contact_address, is_connected, own_address};

pub(super) fn render(told: &Told<'_>) -> Value {
    match told.fact {
        Fact::Message(message) => of_message(told, message),
        Fact::Status(status) => of_status(told, status),
        Fact::Session(session) => of_session(told, session),
    }
}

fn of_message(told: &Told<'_>, message: &Message) -> Value {
    let is_ours = message.direction() == Direction::Out;
    let theirs = contact_address(message.contact.as_ref());
    let ours = own_address(message.channel.as_ref());
    let (from, to) = if is_ours { (ours, theirs) } else { (theirs, ours) };
    let mut event = json!({
        "event": told.name,
        "id": message.id,
        "providerId": message.provider_id,
        "from": from,
        "to": to,
        "fromMe": is_ours,
        "name": message.contact.as_ref().map_or("", |contact| &contact.name),
        "body": message.text,
        "type": message.r#type().name(),
        "hasMedia": message.media.is_some(),
        "timestamp": message.occurred_at_ms / 1_000,
        "session": message.channel.as_ref().map_or("", |channel| &channel.id),
        "conversation": message.conversation,
    });
    if let Some(media) = &message.media {
        event["mimetype"] = json!(media.mime_type);
        event["filename"] = json!(media.filename);
        event["mediaUrl"] = json!(told.file.url);
    }
    if let Some(location) = &message.location {
        event["location"] = json!({ "latitude": location.latitude, "longitude": location.longitude });
    }
    if let Some(choice) = &message.choice {
        event["selectedId"] = json!(choice.id);
    }
    if let Some(context) = &message.context {
        event["quotedId"] = json!(context.message_id);
        event["quotedProviderId"] = json!(context.provider_message_id);
    }
    event
}

fn of_status(told: &Told<'_>, status: &MessageStatus) -> Value {
    let error = |error: &ProviderError| json!({ "code": error.code, "message": error.title });
    json!({
        "event": told.name,
        "id": status.message_id,
        "providerId": status.provider_message_id,
        "to": address(&status.recipient),
        "status": status.status().name(),
        "errors": status.errors.iter().map(error).collect::<Vec<_>>(),
        "callbackData": status.callback_data,
        "timestamp": status.occurred_at_ms / 1_000,
        "session": status.channel.as_ref().map_or("", |channel| &channel.id),
        "conversation": status.conversation,
    })
}

fn of_session(told: &Told<'_>, session: &Session) -> Value {
    json!({
        "event": told.name,
        "session": session.id,
        "status": session.status().name(),
        "connected": is_connected(session.status()),
        "phone": session.phone,
        "qr": session.qr,
        "reason": session.reason,
        "timestamp": session.updated_at_ms / 1_000,
    })
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{Alias, AliasKind, ListenerFormat::Client};

    use super::super::File;
    use super::super::golden::{WAMID, check, file, message, session, status};
    use super::*;

    #[test]
    fn shc_13_a_message_is_flat() {
        let expected = json!({
            "event": "message.received",
            "id": "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10",
            "providerId": WAMID,
            "from": "5491100000001@c.us",
            "to": "5491100000099@c.us",
            "fromMe": false,
            "name": "Contact",
            "body": "¡hola! 👋",
            "type": "image",
            "hasMedia": true,
            "mimetype": "image/jpeg",
            "filename": "",
            "mediaUrl": file().url,
            "timestamp": 1_700_000_000,
            "session": "100000000000001",
            "conversation": "5491100000001",
        });
        check(Client, "message.received", Fact::Message(message()), &expected);
    }

    #[test]
    fn shc_13_who_hides_its_number_has_another_address() {
        let mut hidden = message();
        hidden.contact.as_mut().unwrap().aliases =
            vec![Alias { kind: AliasKind::Lid.into(), value: "123".to_owned() }];
        let fact = Fact::Message(hidden);
        let told = Told { name: "message.received", tenant: "default", fact: &fact, file: &File::default() };
        assert_eq!(render(&told)["from"], "123@lid");
    }

    #[test]
    fn a_status_and_a_session_are_flat_too() {
        let expected = json!({
            "event": "message.status",
            "id": "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11",
            "providerId": WAMID,
            "to": "5491100000001@c.us",
            "status": "failed",
            "errors": [{ "code": 131_047, "message": "Re-engagement message" }],
            "callbackData": "order-7",
            "timestamp": 1_700_000_001,
            "session": "100000000000001",
            "conversation": "5491100000001",
        });
        check(Client, "message.status", Fact::Status(status()), &expected);
        let expected = json!({
            "event": "session.status",
            "session": "main",
            "status": "connected",
            "connected": true,
            "phone": "5491100000099",
            "qr": "",
            "reason": "",
            "timestamp": 1_700_000_002,
        });
        check(Client, "session.status", Fact::Session(session()), &expected);
    }
}
