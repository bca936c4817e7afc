//! What is sent, as it is stored.

use anyhow::{Context as _, Result};
use chasqui_proto::{
    MessageId, address,
    v1::{AliasKind, ChannelKind, Direction, Message, MessageType, Priority, SenderType},
};
use serde_json::{Value, json};

use super::door::{Door, body, text};
use crate::world::{CONTACT, NUMBER, answer};

/// Each type with a content of it.
fn contents() -> Vec<(&'static str, MessageType, Value)> {
    let file = "0192f0c1-2222-7000-8000-000000000001";
    vec![
        ("text", MessageType::Text, json!({ "body": "hola", "preview_url": false })),
        ("image", MessageType::Image, json!({ "id": file, "caption": "foto" })),
        ("audio", MessageType::Audio, json!({ "link": "https://example.org/a.ogg" })),
        ("video", MessageType::Video, json!({ "id": "1013859600285441", "caption": "video" })),
        (
            "document",
            MessageType::Document,
            json!({ "link": "https://example.org/a.pdf", "filename": "a.pdf" }),
        ),
        ("sticker", MessageType::Sticker, json!({ "id": file })),
        (
            "location",
            MessageType::Location,
            json!({ "latitude": -34.6, "longitude": -58.4, "name": "Obelisco" }),
        ),
        ("reaction", MessageType::Reaction, json!({ "message_id": "wamid.A", "emoji": "👍" })),
        ("contacts", MessageType::Contacts, json!([{ "name": { "formatted_name": "Contact" } }])),
        (
            "interactive",
            MessageType::Interactive,
            json!({
                "type": "button",
                "body": { "text": "¿Confirma?" },
                "action": { "buttons": [{ "type": "reply", "reply": { "id": "si", "title": "Sí" } }] },
            }),
        ),
        ("template", MessageType::Template, json!({ "name": "saludo", "language": { "code": "es_AR" } })),
    ]
}

#[tokio::test]
async fn every_type_is_accepted_and_published_with_its_content() -> Result<()> {
    let door = Door::start().await?;
    for (kind, r#type, content) in contents() {
        let (status, told) = answer(door.message(&body(kind, &content)).send().await?).await?;
        assert_eq!(status, 200, "{kind}: {told}");
        let wamid = told["messages"][0]["id"].as_str().unwrap_or_default().to_owned();
        let id = MessageId::of_wamid(&wamid).context("an id of ours")?;
        let exactly = json!({
            "messaging_product": "whatsapp",
            "contacts": [{ "input": CONTACT, "wa_id": CONTACT }],
            "messages": [{ "id": wamid, "message_status": "accepted" }],
        });
        assert_eq!(told, exactly);
        let stored = door.world.stored().await?;
        let stored = stored.last().context("it is stored")?;
        assert_eq!(stored.subject, format!("messages.out.default.{CONTACT}"));
        let message: Message = stored.decode()?;
        assert_eq!((message.id.clone(), message.r#type()), (id.to_string(), r#type), "{kind}");
        let channel = message.channel.clone().unwrap_or_default();
        assert_eq!((channel.kind(), channel.id.as_str()), (ChannelKind::WhatsappCloud, NUMBER));
        assert_eq!((message.direction(), message.sender_type()), (Direction::Out, SenderType::Ai));
        assert_eq!(message.contact.clone().unwrap_or_default().aliases, [address::phone(CONTACT)]);
        check_content(kind, &content, &message)?;
    }
    door.world.stop().await
}

fn check_content(kind: &str, content: &Value, message: &Message) -> Result<()> {
    let media = message.media.clone().unwrap_or_default();
    let about = message.context.clone().unwrap_or_default();
    match kind {
        "text" => assert_eq!(message.text, "hola"),
        "image" => assert_eq!(
            (media.id.as_str(), message.text.as_str()),
            ("0192f0c1-2222-7000-8000-000000000001", "foto")
        ),
        "audio" => assert_eq!(media.url, "https://example.org/a.ogg"),
        "video" => assert_eq!(media.id, "1013859600285441"),
        "document" => assert_eq!((media.filename.as_str(), message.text.as_str()), ("a.pdf", "")),
        "sticker" => assert_eq!(media.id, "0192f0c1-2222-7000-8000-000000000001"),
        "location" => assert_eq!(
            (message.location.clone().context("a place")?.name, message.text.as_str()),
            ("Obelisco".into(), "Obelisco")
        ),
        "reaction" => {
            assert_eq!((message.emoji.as_str(), about.provider_message_id.as_str()), ("👍", "wamid.A"));
        }
        _ => {
            assert_eq!(
                serde_json::from_slice::<Value>(&message.raw)?,
                json!({ "type": kind, kind: content })
            );
        }
    }
    let is_template = message.r#type() == MessageType::Template;
    assert_eq!(message.priority() == Priority::Transactional, is_template);
    Ok(())
}

#[tokio::test]
async fn a_number_is_taken_in_every_spelling_and_a_hidden_one_by_its_id() -> Result<()> {
    let door = Door::start().await?;
    let bsuid = "AR.13491208655302741918";
    let hola = json!({ "messaging_product": "whatsapp", "text": { "body": "hola" } });
    let to = |to: Value, recipient: Value| {
        let mut body = hola.clone();
        (body["to"], body["recipient"]) = (to, recipient);
        body
    };
    let contact = |input: &str, key: &str, value: &str| json!([{ "input": input, key: value }]);
    let spelled = "+54 911 0000-0001";
    for (body, expected) in [
        (to(json!(spelled), Value::Null), contact(spelled, "wa_id", CONTACT)),
        (to(json!(5_491_100_000_001_u64), Value::Null), contact(CONTACT, "wa_id", CONTACT)),
        (to(json!(CONTACT), json!(bsuid)), contact(CONTACT, "wa_id", CONTACT)),
        (to(Value::Null, json!(bsuid)), contact(bsuid, "user_id", bsuid)),
    ] {
        let (status, told) = answer(door.message(&body).send().await?).await?;
        assert_eq!((status, &told["contacts"]), (200, &expected));
    }
    let last = door.sent().await?.pop().context("four messages")?;
    assert_eq!(last.contact.unwrap_or_default().aliases[0].kind(), AliasKind::Bsuid);
    for (body, code, details) in [
        (to(Value::Null, Value::Null), 131_008, "to is needed"),
        (to(json!("visitor-7"), Value::Null), 131_009, "to must be a phone number with its country code"),
        (to(Value::Null, json!(CONTACT)), 131_009, "recipient must be a business-scoped user id"),
        (to(json!([CONTACT]), Value::Null), 100, "to must be a string"),
    ] {
        let refusal = Door::refusal(door.message(&body)).await?;
        assert_eq!(refusal, (400, code, None, details.to_owned()));
    }
    door.world.stop().await
}

#[tokio::test]
async fn an_answer_names_what_it_answers_and_data_comes_along() -> Result<()> {
    let door = Door::start().await?;
    let first = answer(door.message(&text("hola")).send().await?).await?.1;
    let mut second = text("¿sí?");
    second["context"] = json!({ "message_id": first["messages"][0]["id"] });
    second["biz_opaque_callback_data"] = json!("order 7");
    door.message(&second).send().await?.error_for_status()?;
    let sent = door.sent().await?;
    assert_eq!(sent[1].context.clone().unwrap_or_default().message_id, sent[0].id);
    assert_eq!(sent[1].callback_data, "order 7");
    door.world.stop().await
}
