//! The forms, each whole.

use chasqui_proto::v1::{Delivery, ListenerFormat::CloudApi};

use super::super::{
    File,
    golden::{FILE, WAMID, check, file, message, session, status},
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
                "id": FILE,
                "mime_type": "image/jpeg",
                "sha256": "",
                "caption": "¡hola! 👋",
                "url": file().url,
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
        String::from_utf8(render(&Delivery { fact, ..Delivery::default() }, CloudApi, &file())).unwrap()
    };
    assert!(of(ChannelKind::WhatsappCloud).contains(&format!(r#""messages":[{raw}]"#)));
    assert!(!of(ChannelKind::WhatsappLinked).contains("1.50"), "another provider's JSON is another shape");
}

#[test]
fn the_file_of_what_whatsapp_wrote_is_the_one_in_our_store() {
    let raw = |file: &str| {
        format!(
            r#"{{"from":"5491100000001","id":"wamid.A","type":"image","image":{{{file},"new":1.50}},"last":{{"id":"7"}}}}"#
        )
    };
    let mut message = message();
    message.raw = raw(
        r#""caption":"¡hola!","mime_type":"image/jpeg","sha256":"a","id":"300000000000001","url":"https://lookaside.fbsbx.com/?mid=3""#,
    )
    .into();
    let delivery = Delivery { fact: Some(Fact::Message(message)), ..Delivery::default() };
    let shown = |file: &File| String::from_utf8(render(&delivery, CloudApi, file)).unwrap();
    let own = raw(&format!(
        r#""caption":"¡hola!","mime_type":"image/jpeg","sha256":"a","id":"{FILE}","url":"https://chat.example.com/media/default/{FILE}""#
    ));
    assert!(shown(&file()).contains(&format!(r#""messages":[{own}]"#)), "{}", shown(&file()));
    let unsigned = raw(&format!(r#""caption":"¡hola!","mime_type":"image/jpeg","sha256":"a","id":"{FILE}""#));
    let without_url = shown(&File { url: None, ..file() });
    assert!(without_url.contains(&format!(r#""messages":[{unsigned}]"#)), "{without_url}");
}

/// A client answers to what it was told.
#[test]
fn an_answer_to_what_is_told_reaches_the_same_contact() {
    let alias = |kind: AliasKind, value: &str| Alias { kind: kind.into(), value: value.to_owned() };
    let lid = alias(AliasKind::Lid, "100000000000077");
    for aliases in [
        vec![lid.clone()],
        vec![alias(AliasKind::Bsuid, "AR.13491208655302741918"), lid],
        vec![alias(AliasKind::Phone, "5491100000001")],
    ] {
        let told = reply_address(&aliases);
        assert_eq!(chasqui_proto::address::parse_address(&told).as_ref(), Ok(&aliases[0]), "{told}");
        let mut hidden = message();
        hidden.channel.as_mut().unwrap().kind = ChannelKind::WhatsappLinked.into();
        hidden.contact.as_mut().unwrap().aliases.clone_from(&aliases);
        let fact = Some(Fact::Message(hidden));
        let body = render(&Delivery { fact, ..Delivery::default() }, CloudApi, &File::default());
        let body: Value = serde_json::from_slice(&body).unwrap();
        let value = &body["entry"][0]["changes"][0]["value"];
        assert_eq!(
            (&value["messages"][0]["from"], &value["contacts"][0]["wa_id"]),
            (&json!(told), &json!(told))
        );
    }
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
