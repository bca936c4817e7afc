//! What is written, type by type. These bodies are WhatsApp's contract: a change here is a change of what is sent.

use bytes::Bytes;
use chasqui_proto::{
    address,
    v1::{Alias, AliasKind, Contact, Location, Media},
};
use proptest::prelude::*;

use super::*;

const ID: &str = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a10";
const FILE: &str = "018f4e6e-7d55-7c7e-8a7b-0d3b5c1f2a11";
const CONTACT: &str = "5491100000001";
const BSUID: &str = "AR.13491208655302741918";

fn message(kind: MessageType) -> Message {
    Message {
        id: ID.to_owned(),
        conversation: CONTACT.to_owned(),
        contact: Some(Contact { aliases: vec![address::phone(CONTACT)], ..Contact::default() }),
        r#type: kind.into(),
        ..Message::default()
    }
}

fn raw(content: &Value) -> Message {
    Message { raw: content.to_string().into(), ..message(MessageType::Template) }
}

fn outgoing(message: Message) -> Outgoing {
    Outgoing { message, answers: None, instead: None }
}

fn body(outgoing: &Outgoing) -> Value {
    serde_json::from_slice(&Draft::of(outgoing).unwrap().into_bytes()).unwrap()
}

/// The body of a message whose content is `content`, under the name of its type.
fn check(message: Message, name: &str, content: &Value) {
    let expected = json!({
        "messaging_product": "whatsapp",
        "recipient_type": "individual",
        "to": CONTACT,
        "biz_opaque_callback_data": ID,
        "type": name,
        name: content,
    });
    assert_eq!(body(&outgoing(message)), expected);
}

fn refused(message: Message) -> String {
    Draft::of(&outgoing(message)).unwrap_err().to_string()
}

#[test]
fn every_type_is_written_as_the_cloud_api_takes_it() {
    let with = |kind, text: &str, media: Media| Message {
        text: text.to_owned(),
        media: Some(media),
        ..message(kind)
    };
    let stored = || Media { id: "1234567890123456".to_owned(), ..Media::default() };
    let linked = || Media { url: "https://example.com/a".to_owned(), ..Media::default() };
    check(
        Message { text: "hola".to_owned(), ..message(MessageType::Text) },
        "text",
        &json!({ "body": "hola" }),
    );
    check(
        with(MessageType::Image, "mira", stored()),
        "image",
        &json!({ "id": "1234567890123456", "caption": "mira" }),
    );
    check(with(MessageType::Video, "", linked()), "video", &json!({ "link": "https://example.com/a" }));
    check(with(MessageType::Audio, "lost", stored()), "audio", &json!({ "id": "1234567890123456" }));
    check(
        with(MessageType::Sticker, "lost", linked()),
        "sticker",
        &json!({ "link": "https://example.com/a" }),
    );
    check(
        with(MessageType::Document, "lee", Media { filename: "a.pdf".to_owned(), ..stored() }),
        "document",
        &json!({ "id": "1234567890123456", "caption": "lee", "filename": "a.pdf" }),
    );
    let place =
        Location { latitude: -34.6, longitude: -58.4, name: "Obelisco".to_owned(), ..Location::default() };
    check(
        Message { location: Some(place), ..message(MessageType::Location) },
        "location",
        &json!({ "latitude": -34.6, "longitude": -58.4, "name": "Obelisco" }),
    );
    for (name, content) in [
        ("template", json!({ "name": "hello", "language": { "code": "es" } })),
        ("interactive", json!({ "type": "button", "body": { "text": "?" }, "action": { "buttons": [] } })),
        ("contacts", json!([{ "name": { "formatted_name": "Contact" } }])),
        ("text", json!({ "body": "https://example.com", "preview_url": true })),
    ] {
        check(raw(&json!({ "type": name, name: content, "to": "ignored" })), name, &content);
    }
}

#[test]
fn a_reaction_names_its_message_and_an_answer_what_it_answers() {
    let reaction = Message { emoji: "👍".to_owned(), ..message(MessageType::Reaction) };
    let reaction = Outgoing { answers: Some("wamid.A".to_owned()), ..outgoing(reaction) };
    let read = body(&reaction);
    assert_eq!(read["reaction"], json!({ "message_id": "wamid.A", "emoji": "👍" }));
    assert!(read.get("context").is_none());
    let text = Message { text: "si".to_owned(), ..message(MessageType::Text) };
    let answer = Outgoing { answers: Some("wamid.A".to_owned()), ..outgoing(text) };
    assert_eq!(body(&answer)["context"], json!({ "message_id": "wamid.A" }));
    let told = refused(message(MessageType::Reaction));
    assert_eq!(told, "context.provider_message_id: expected the message that is reacted to");
}

#[test]
fn a_contact_without_a_phone_number_is_reached_by_its_business_scoped_id() {
    let bsuid = Alias { kind: AliasKind::Bsuid.into(), value: BSUID.to_owned() };
    let text = |aliases: Vec<Alias>, conversation: &str| Message {
        text: "hola".to_owned(),
        contact: Some(Contact { aliases, ..Contact::default() }),
        conversation: conversation.to_owned(),
        ..message(MessageType::Text)
    };
    let token = ConversationToken::of(&bsuid).to_string();
    let hidden = body(&outgoing(text(vec![bsuid.clone()], &token)));
    assert_eq!((&hidden["recipient"], hidden.get("to")), (&json!(BSUID), None));
    let both = body(&outgoing(text(vec![bsuid.clone(), address::phone(CONTACT)], &token)));
    assert_eq!((&both["to"], both.get("recipient")), (&json!(CONTACT), None));
    assert_eq!(body(&outgoing(text(vec![], CONTACT)))["to"], json!(CONTACT));
    assert_eq!(body(&outgoing(text(vec![], &token)))["recipient"], json!(BSUID));
    let web = Alias { kind: AliasKind::Web.into(), value: "visitor-7".to_owned() };
    let told = refused(text(vec![web.clone()], &ConversationToken::of(&web).to_string()));
    assert_eq!(told, "contact: expected a phone number or a business-scoped id");
}

#[test]
fn a_template_takes_the_place_of_what_may_not_be_sent() {
    let text = Message { text: "hola".to_owned(), ..message(MessageType::Text) };
    let template = json!({ "name": "hello", "language": { "code": "es" } });
    let instead = Some(Bytes::from(template.to_string()));
    let read = body(&Outgoing { instead, ..outgoing(text.clone()) });
    assert_eq!((&read["type"], &read["template"], read.get("text")), (&json!("template"), &template, None));
    let broken = Outgoing { instead: Some(Bytes::from_static(b"[]")), ..outgoing(text) };
    assert_eq!(Draft::of(&broken).unwrap_err().to_string(), "instead: expected a JSON object");
}

#[test]
fn what_the_sender_wants_to_see_again_goes_along_as_far_as_it_fits() {
    let data = |data: &str| {
        let text =
            Message { text: "x".to_owned(), callback_data: data.to_owned(), ..message(MessageType::Text) };
        body(&outgoing(text))["biz_opaque_callback_data"].as_str().unwrap().to_owned()
    };
    assert_eq!(data(""), ID);
    assert_eq!(data("order 17"), format!("{ID} order 17"));
    let longest = "ñ".repeat(CALLBACK_DATA_LENGTH_MAX - ID.len() - 1);
    assert_eq!(data(&longest).chars().count(), CALLBACK_DATA_LENGTH_MAX);
    assert_eq!(data(&format!("{longest}x")), ID);
}

#[test]
fn a_file_of_ours_is_found_wherever_it_stands_and_becomes_the_providers() {
    let card = |id: &str| json!({ "type": "image", "image": { "id": id } });
    let template = json!({ "name": "offer", "language": { "code": "es" }, "components": [
        { "type": "header", "parameters": [card(FILE)] },
        { "type": "carousel", "cards": [{ "components": [{ "parameters": [card(FILE), card("17")] }] }] },
        { "type": "button", "parameters": [{ "type": "payload", "payload": FILE, "id": FILE }] },
    ] });
    let mut draft = Draft::of(&outgoing(raw(&json!({ "type": "template", "template": template })))).unwrap();
    let file = FILE.parse().unwrap();
    assert_eq!(draft.files(), [file]);
    draft.put_media_id(file, "99");
    let read: Value = serde_json::from_slice(&draft.into_bytes()).unwrap();
    let components = &read["template"]["components"];
    assert_eq!(components[0]["parameters"][0], card("99"));
    assert_eq!(components[1]["cards"][0]["components"][0]["parameters"], json!([card("99"), card("17")]));
    assert_eq!(components[2]["parameters"][0]["id"], json!(FILE));

    let image = Media { id: FILE.to_owned(), ..Media::default() };
    let mut draft =
        Draft::of(&outgoing(Message { media: Some(image), ..message(MessageType::Image) })).unwrap();
    assert_eq!(draft.files(), [file]);
    draft.put_media_id(file, "99");
    let read: Value = serde_json::from_slice(&draft.into_bytes()).unwrap();
    assert_eq!(read["image"], json!({ "id": "99" }));
}

#[test]
fn what_cannot_be_written_names_the_field() {
    for (message, field) in [
        (message(MessageType::Text), "text"),
        (message(MessageType::Image), "media"),
        (message(MessageType::Location), "location"),
        (message(MessageType::Template), "raw"),
        (message(MessageType::Interactive), "raw"),
        (message(MessageType::Contacts), "raw"),
        (message(MessageType::Order), "type"),
        (message(MessageType::Unspecified), "type"),
        (Message { raw: Bytes::from_static(b"{"), ..message(MessageType::Text) }, "raw"),
        (raw(&json!({ "type": "template" })), "raw"),
        (raw(&json!({ "type": "../template", "../template": {} })), "raw.type"),
        (raw(&json!({ "template": {} })), "raw.type"),
    ] {
        let told = refused(message);
        assert!(told.starts_with(&format!("{field}: expected ")), "{field}: {told}");
    }
    let nowhere = Location { latitude: f64::NAN, ..Location::default() };
    let told = refused(Message { location: Some(nowhere), ..message(MessageType::Location) });
    assert!(told.starts_with("location"), "{told}");
    let many: Vec<Value> =
        (0..=FILES_MAX).map(|_| json!({ "image": { "id": FileId::now().to_string() } })).collect();
    assert!(
        refused(raw(&json!({ "type": "template", "template": { "components": many } }))).starts_with("raw")
    );
}

proptest! {
    #[test]
    fn no_raw_content_breaks_the_writer(text in ".{0,120}", name in "[a-z_]{0,12}", member in ".{0,12}") {
        let _ = Draft::of(&outgoing(Message { raw: text.clone().into(), ..message(MessageType::Text) }));
        let content = json!({ "type": name, member: { "image": { "id": text } } });
        if let Ok(mut draft) = Draft::of(&outgoing(raw(&content))) {
            for file in draft.files() {
                draft.put_media_id(file, "1");
            }
            prop_assert!(draft.files().is_empty());
            let read: Value = serde_json::from_slice(&draft.into_bytes()).unwrap();
            prop_assert_eq!(&read["to"], &json!(CONTACT));
        }
    }
}
