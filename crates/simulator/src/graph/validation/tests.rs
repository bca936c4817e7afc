use proptest::prelude::*;
use serde_json::json;

use super::*;

const CONTACT: &str = "5491100000001";

fn body(kind: &str, content: &Value) -> Value {
    json!({ "messaging_product": "whatsapp", "to": CONTACT, "type": kind, kind: content })
}

fn refusal(body: &Value) -> (i64, String) {
    let error = read(body).unwrap_err();
    (error.code, error.details)
}

#[test]
fn every_type_of_the_documentation_is_taken() {
    let reply = json!({ "type": "reply", "reply": { "id": "si", "title": "Sí" } });
    let buttons = json!({ "type": "button", "body": { "text": "¿Va?" }, "action": { "buttons": [reply] } });
    let rows = json!([{ "id": "1", "title": "Lunes", "description": "10:00" }]);
    let list = json!({
        "type": "list", "body": { "text": "Elija" }, "header": { "type": "text", "text": "Turnos" },
        "action": { "button": "Ver", "sections": [{ "title": "Mayo", "rows": rows }] },
    });
    for (kind, content) in [
        ("text", json!({ "body": "hola", "preview_url": true })),
        ("image", json!({ "id": "1", "caption": "x" })),
        ("video", json!({ "link": "https://example.org/a.mp4" })),
        ("audio", json!({ "id": "1" })),
        ("sticker", json!({ "link": "http://example.org/a.webp" })),
        ("document", json!({ "id": "1", "filename": "a.pdf", "caption": "x" })),
        ("location", json!({ "latitude": -34.6, "longitude": "-58.4" })),
        ("contacts", json!([{ "name": { "formatted_name": "Contact" } }])),
        ("reaction", json!({ "message_id": "wamid.A", "emoji": "" })),
        (
            "template",
            json!({ "name": "turno_1", "language": { "code": "es_AR" }, "components": [
            { "type": "body", "parameters": [{ "type": "text", "text": "x" }] } ] }),
        ),
        ("interactive", buttons),
        ("interactive", list),
    ] {
        assert!(matches!(read(&body(kind, &content)), Ok(Request::Send(_))), "{kind} {content}");
    }
}

#[test]
fn a_body_that_meta_refuses_is_refused_with_its_code() {
    let title = |length: usize| json!({ "type": "reply", "reply": { "id": "x".repeat(length), "title": "x".repeat(length) } });
    let buttons = |buttons: Value| json!({ "type": "button", "body": { "text": "?" }, "action": { "buttons": buttons } });
    for (kind, content, code) in [
        ("text", json!({}), 131_008),
        ("text", json!({ "body": "x".repeat(4_097) }), 100),
        ("image", json!({}), 100),
        ("image", json!({ "id": "1", "link": "https://a" }), 100),
        ("image", json!({ "link": "ftp://a" }), 100),
        ("audio", json!({ "id": "1", "caption": "x" }), 100),
        ("location", json!({ "latitude": 1 }), 131_008),
        ("location", json!({ "latitude": 91, "longitude": 0 }), 131_009),
        ("contacts", json!([]), 131_008),
        ("reaction", json!({ "message_id": "wamid.A" }), 131_008),
        ("template", json!({ "name": "turno" }), 131_008),
        ("template", json!({ "name": "Turno", "language": { "code": "es" } }), 132_001),
        ("template", json!({ "name": "turno", "language": { "code": "es-AR" } }), 132_001),
        ("interactive", buttons(json!([])), 131_008),
        ("interactive", buttons(json!([title(21)])), 131_009),
        ("interactive", buttons(json!([title(1), title(1)])), 131_009),
        ("interactive", buttons(json!([title(1), title(2), title(3), title(4)])), 131_009),
        ("interactive", json!({ "type": "quiz" }), 100),
        ("poll", json!({}), 100),
    ] {
        assert_eq!(refusal(&body(kind, &content)).0, code, "{kind} {content}");
    }
}

#[test]
fn the_recipient_is_a_number_in_any_spelling_or_a_user_id() {
    let to = |members: Value| {
        let mut whole = json!({ "messaging_product": "whatsapp", "text": { "body": "x" } });
        whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        read(&whole)
    };
    let Ok(Request::Send(sent)) = to(json!({ "to": "+54 911 0000-0001" })) else { panic!("refused") };
    assert_eq!((sent.to.as_str(), sent.input.as_str()), (CONTACT, "+54 911 0000-0001"));
    let Ok(Request::Send(sent)) = to(json!({ "recipient": "AR.1349", "to": CONTACT })) else {
        panic!("refused")
    };
    assert_eq!(sent.to, CONTACT, "`to` wins");
    let Ok(Request::Send(sent)) = to(json!({ "recipient": "AR.1349" })) else { panic!("refused") };
    assert_eq!(sent.to, "AR.1349");
    for (members, code) in [
        (json!({}), 100),
        (json!({ "to": "nobody" }), 131_009),
        (json!({ "to": "5491100000001@c.us" }), 131_009),
        (json!({ "to": 5 }), 100),
        (json!({ "recipient": "1349" }), 131_009),
        (json!({ "to": CONTACT, "biz_opaque_callback_data": "x".repeat(513) }), 100),
        (json!({ "to": CONTACT, "context": {} }), 131_008),
    ] {
        assert_eq!(to(members.clone()).unwrap_err().code, code, "{members}");
    }
}

#[test]
fn a_read_mark_may_say_that_somebody_is_typing() {
    let mark = |members: Value| {
        let mut whole = json!({ "messaging_product": "whatsapp", "status": "read", "message_id": "wamid.A" });
        whole.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        read(&whole)
    };
    let read = |typing| Request::Read { message_id: "wamid.A".to_owned(), typing };
    assert_eq!(mark(json!({})), Ok(read(false)));
    assert_eq!(mark(json!({ "typing_indicator": { "type": "text" } })), Ok(read(true)));
    assert_eq!(mark(json!({ "status": "delivered" })).unwrap_err().code, 100);
}

fn any_json() -> impl Strategy<Value = Value> {
    let keys =
        prop::sample::select(vec!["to", "type", "text", "body", "name", "id", "action", "buttons", "rows"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from)
    ];
    leaf.prop_recursive(4, 32, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::hash_map(keys.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn reading_a_body_never_panics(content in any_json(), kind in prop::sample::select(KINDS.to_vec())) {
        let _ = read(&content);
        let _ = read(&body(kind, &content));
    }
}
