use chasqui_proto::v1::Media;
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn tenant() -> Tenant {
    "default".parse().unwrap()
}

fn read(message: &Value) -> Result<Outgoing, OutgoingError> {
    Outgoing::read(message.as_object().unwrap(), &tenant())
}

fn taken(message: &Value) -> Outgoing {
    read(message).unwrap_or_else(|error| panic!("{message}: {error}"))
}

/// It is refused with this code, and the error says this.
fn refused(message: &Value, code: i64, said: &str) {
    let error = read(message).expect_err(&message.to_string());
    assert_eq!((error.graph_code(), error.to_string().as_str()), (code, said), "{message}");
}

/// `{"type":<type>,<type>:<content>}`.
fn of(kind: &str, content: &Value) -> Value {
    json!({ "type": kind, kind: content })
}

fn characters(count: usize) -> String {
    "ñ".repeat(count)
}

#[test]
fn a_text_is_a_text_with_or_without_its_type() {
    let expected = Outgoing { r#type: MessageType::Text, text: "hola".into(), ..Outgoing::default() };
    for message in [
        json!({ "text": { "body": "hola" } }),
        json!({ "type": "text", "text": { "body": "hola", "preview_url": false } }),
        json!({ "type": null, "text": { "body": "hola" }, "context": null, "biz_opaque_callback_data": "" }),
    ] {
        assert_eq!(taken(&message), expected, "{message}");
    }
    let preview = of("text", &json!({ "body": "https://example.org", "preview_url": true }));
    assert_eq!(taken(&preview).raw, preview.to_string());
    assert_eq!(taken(&of("text", &json!({ "body": characters(4_096) }))).text.chars().count(), 4_096);
    let long = of("text", &json!({ "body": characters(4_097) }));
    refused(&long, 131_009, "text.body must have 1 to 4096 characters");
    refused(&json!({}), 131_008, "text is needed");
    refused(&json!({ "text": {} }), 131_008, "text.body is needed");
    refused(&json!({ "text": { "body": "" } }), 131_008, "text.body is needed");
    refused(&json!({ "text": { "body": 7 } }), 100, "text.body must be a string");
    refused(&json!({ "text": "hola" }), 100, "text must be an object");
    refused(&json!({ "text": { "body": "a\0b" } }), 131_009, "text.body must not contain U+0000");
}

#[test]
fn a_type_that_cannot_be_sent_is_named() {
    let list =
        "text, image, audio, video, document, sticker, location, contacts, reaction, interactive, template";
    refused(&json!({ "type": "poll" }), 131_051, &format!("type must be one of {list}, not \"poll\""));
    refused(&json!({ "type": ["text"] }), 100, "type must be a string");
}

#[test]
fn a_file_has_an_id_or_a_link() {
    let ours = "0192f0c1-2222-7000-8000-000000000001";
    let media = |id: &str, url: &str| Media { id: id.into(), url: url.into(), ..Media::default() };
    for (kind, r#type) in [
        ("image", MessageType::Image),
        ("audio", MessageType::Audio),
        ("video", MessageType::Video),
        ("document", MessageType::Document),
        ("sticker", MessageType::Sticker),
    ] {
        let expected = |media| Outgoing { r#type, media: Some(media), ..Outgoing::default() };
        assert_eq!(taken(&of(kind, &json!({ "id": ours }))), expected(media(ours, "")));
        assert_eq!(
            taken(&of(kind, &json!({ "id": 1_013_859_600_285_441_u64 }))),
            expected(media("1013859600285441", ""))
        );
        let link = "https://example.org/a.b?c=d";
        assert_eq!(taken(&of(kind, &json!({ "link": link, "id": "" }))), expected(media("", link)));
        refused(&of(kind, &json!({})), 131_008, &format!("{kind}.id or link is needed"));
        let both = format!("{kind}.link must be left out where there is an id");
        refused(&of(kind, &json!({ "id": "1", "link": link })), 131_009, &both);
        for link in
            ["ftp://example.org/a", "/a", "example.org/a", "https://u:p@example.org/a", "https:///a", "a b"]
        {
            let web = format!("{kind}.link must be an https or http URL of a host");
            refused(&of(kind, &json!({ "link": link })), 131_009, &web);
        }
        refused(
            &of(kind, &json!({ "id": "a b" })),
            131_009,
            &format!("{kind}.id must be the id of an uploaded file"),
        );
    }
}

#[test]
fn captions_and_names_stand_where_whatsapp_shows_them() {
    let image = taken(&of("image", &json!({ "id": "1", "caption": "hola" })));
    assert_eq!((image.text.as_str(), image.raw.len()), ("hola", 0));
    let document = taken(&of("document", &json!({ "id": "1", "caption": "hola", "filename": "a.pdf" })));
    assert_eq!(document.media.unwrap().filename, "a.pdf");
    let voice = taken(&of("audio", &json!({ "id": "1", "voice": true })));
    assert!(voice.media.unwrap().voice && !voice.raw.is_empty(), "shown as one and sent as one");
    for kind in ["audio", "sticker"] {
        let none = format!("{kind}.caption must be left out: {kind} has none");
        refused(&of(kind, &json!({ "id": "1", "caption": "hola" })), 131_009, &none);
    }
    let long = of("image", &json!({ "id": "1", "caption": characters(1_025) }));
    refused(&long, 131_009, "image.caption must have 1 to 1024 characters");
    let more = of("image", &json!({ "id": "1", "provider": { "name": "x" } }));
    assert_eq!(taken(&more).raw, more.to_string(), "what the fields do not hold goes on as it is");
}

#[test]
fn a_place_is_on_earth() {
    let place =
        json!({ "latitude": -34.6, "longitude": "-58.38", "name": "Obelisco", "address": "Av. 9 de Julio" });
    let place = taken(&of("location", &place));
    let location = place.location.unwrap();
    assert_eq!((location.latitude, location.longitude, place.text.as_str()), (-34.6, -58.38, "Obelisco"));
    assert_eq!(taken(&of("location", &json!({ "latitude": 90, "longitude": -180 }))).text, "90, -180");
    let latitude = "location.latitude must be a number from -90 to 90";
    for wrong in [json!(90.1), json!("north"), json!("NaN"), json!("inf")] {
        refused(&of("location", &json!({ "latitude": wrong, "longitude": 0 })), 131_009, latitude);
    }
    refused(&of("location", &json!({ "latitude": 0 })), 131_008, "location.longitude is needed");
    refused(&of("location", &json!({ "latitude": [] })), 100, "location.latitude must be a number");
}

#[test]
fn a_reaction_is_about_a_message() {
    let id = MessageId::now();
    let reaction = taken(&of("reaction", &json!({ "message_id": id.to_wamid(), "emoji": "👍🏽" })));
    assert_eq!((reaction.emoji.as_str(), reaction.text.as_str()), ("👍🏽", "👍🏽"));
    assert_eq!(reaction.context, Some(Context { message_id: id.to_string(), ..Context::default() }));
    let back = taken(&of("reaction", &json!({ "message_id": "wamid.A", "emoji": "" })));
    assert_eq!((back.emoji.as_str(), back.text.as_str()), ("", "[reaction removed]"));
    assert_eq!(back.context.unwrap().provider_message_id, "wamid.A");
    refused(&of("reaction", &json!({ "emoji": "👍" })), 131_008, "reaction.message_id is needed");
    refused(&of("reaction", &json!({ "message_id": "wamid.A" })), 131_008, "reaction.emoji is needed");
    let wrong = "reaction.emoji must be an emoji, or empty to take the reaction back";
    refused(&of("reaction", &json!({ "message_id": "wamid.A", "emoji": "ok" })), 131_009, wrong);
}

#[test]
fn an_answer_names_its_message_by_any_id_it_was_told() {
    let of_id = |id: &str| {
        let message = json!({ "text": { "body": "hola" }, "context": { "message_id": id } });
        taken(&message).context.unwrap()
    };
    let ours = MessageId::now();
    let expected = Context { message_id: ours.to_string(), ..Context::default() };
    assert_eq!((of_id(&ours.to_wamid()), of_id(&ours.to_string())), (expected.clone(), expected));
    let theirs = of_id("wamid.A");
    assert_eq!(theirs.message_id, MessageId::of_provider(&tenant(), "wamid.A").to_string());
    assert_eq!(theirs.provider_message_id, "wamid.A");
    let empty = json!({ "text": { "body": "hola" }, "context": {} });
    refused(&empty, 131_008, "context.message_id is needed");
    let long = json!({ "text": { "body": "hola" }, "context": { "message_id": characters(129) } });
    refused(&long, 131_009, "context.message_id must have 1 to 128 characters");
}

#[test]
fn callback_data_leaves_room_for_our_id() {
    let message = |data: &str| json!({ "text": { "body": "hola" }, "biz_opaque_callback_data": data });
    assert_eq!(taken(&message("order 7")).callback_data, "order 7");
    assert_eq!(taken(&message(&characters(475))).callback_data.chars().count() + 37, 512);
    let long = "biz_opaque_callback_data must have 1 to 475 characters";
    refused(&message(&characters(476)), 131_009, long);
}

#[test]
fn cards_name_somebody() {
    let card =
        |name: &str| json!({ "name": { "formatted_name": name }, "phones": [{ "phone": "5491100000002" }] });
    let message = json!({ "type": "contacts", "contacts": [card("Contact A"), card("Contact B")] });
    let cards = taken(&message);
    assert_eq!((cards.r#type, cards.text.as_str()), (MessageType::Contacts, "Contact A, Contact B"));
    assert_eq!(cards.raw, message.to_string());
    refused(&json!({ "type": "contacts" }), 131_008, "contacts is needed");
    refused(&json!({ "type": "contacts", "contacts": {} }), 100, "contacts must be an array");
    refused(&json!({ "type": "contacts", "contacts": [] }), 131_009, "contacts must have 1 to 257 elements");
    refused(&json!({ "type": "contacts", "contacts": [7] }), 100, "contacts[0] must be an object");
    let second = json!({ "type": "contacts", "contacts": [card("Contact A"), { "name": {} }] });
    refused(&second, 131_008, "contacts[1].name.formatted_name is needed");
    let phones = json!({ "type": "contacts", "contacts": [{ "name": { "formatted_name": "A" }, "phones": [{ "phone": 7 }] }] });
    refused(&phones, 100, "contacts[0].phones[0].phone must be a string");
}

fn button(title: &str) -> Value {
    json!({ "type": "reply", "reply": { "id": title, "title": title } })
}

fn buttons(buttons: &[Value]) -> Value {
    let action = json!({ "buttons": buttons });
    of("interactive", &json!({ "type": "button", "body": { "text": "¿Confirma?" }, "action": action }))
}

#[test]
fn buttons_are_three_at_most_and_differ() {
    let message = buttons(&[button("Sí"), button("No"), button("Luego")]);
    let sent = taken(&message);
    assert_eq!((sent.text.as_str(), sent.raw.as_ref()), ("¿Confirma?", message.to_string().as_bytes()));
    let at = "interactive.action.buttons";
    let four: Vec<Value> = ["a", "b", "c", "d"].map(button).into();
    refused(&buttons(&four), 131_009, &format!("{at} must have 1 to 3 elements"));
    refused(&buttons(&[]), 131_009, &format!("{at} must have 1 to 3 elements"));
    let same = format!("{at}[1].reply.title must differ from those of the other buttons");
    refused(&buttons(&[button("a"), button("a")]), 131_009, &same);
    let long = format!("{at}[0].reply.title must have 1 to 20 characters");
    refused(
        &buttons(&[json!({ "type": "reply", "reply": { "id": "a", "title": characters(21) } })]),
        131_009,
        &long,
    );
    let long = format!("{at}[0].reply.id must have 1 to 256 characters");
    refused(
        &buttons(&[json!({ "type": "reply", "reply": { "id": characters(257), "title": "a" } })]),
        131_009,
        &long,
    );
    refused(&buttons(&[json!({ "type": "url" })]), 131_009, &format!("{at}[0].type must be reply"));
}

#[test]
fn what_interactive_messages_share_is_checked_for_all_of_them() {
    let with = |key: &str, value: Value| {
        let mut message = buttons(&[button("a")]);
        message["interactive"][key] = value;
        message
    };
    taken(&with("header", json!({ "type": "image", "image": { "link": "https://example.org/a.png" } })));
    taken(&with("footer", json!({ "text": characters(60) })));
    refused(&with("body", Value::Null), 131_008, "interactive.body is needed");
    let long = "interactive.body.text must have 1 to 1024 characters";
    refused(&with("body", json!({ "text": characters(1_025) })), 131_009, long);
    let long = "interactive.footer.text must have 1 to 60 characters";
    refused(&with("footer", json!({ "text": characters(61) })), 131_009, long);
    refused(&with("header", json!({ "type": "image" })), 131_008, "interactive.header.image is needed");
    let unknown = "interactive.header.type must be text, image, video or document";
    refused(&with("header", json!({ "type": "poem" })), 131_009, unknown);
    refused(&with("action", Value::Null), 131_008, "interactive.action is needed");
    let link = json!({ "type": "cta_url", "body": { "text": "Ver" }, "action": { "name": "cta_url", "parameters": {} } });
    taken(&of("interactive", &link));
    let product = json!({ "type": "product", "action": { "catalog_id": "1", "product_retailer_id": "2" } });
    assert_eq!(taken(&of("interactive", &product)).text, "[product]");
}

fn list(sections: &Value) -> Value {
    let action = json!({ "button": "Ver", "sections": sections });
    of("interactive", &json!({ "type": "list", "body": { "text": "Elija" }, "action": action }))
}

fn row(id: usize) -> Value {
    json!({ "id": id.to_string(), "title": "Fila", "description": "…" })
}

#[test]
fn a_list_has_ten_rows_at_most() {
    let rows = |count: usize| (0..count).map(row).collect::<Vec<_>>();
    taken(&list(&json!([{ "rows": rows(10) }])));
    let at = "interactive.action.sections";
    refused(&list(&json!([])), 131_009, &format!("{at} must have 1 to 10 elements"));
    refused(
        &list(&json!([{ "rows": rows(11) }])),
        131_009,
        &format!("{at}[0].rows must have 1 to 10 elements"),
    );
    refused(
        &list(&json!([{ "rows": [row(1)] }, { "rows": [row(2)] }])),
        131_008,
        &format!("{at}[0].title is needed"),
    );
    let twice = json!([{ "title": "A", "rows": rows(6) }, { "title": "B", "rows": (6..12).map(row).collect::<Vec<_>>() }]);
    refused(&list(&twice), 131_009, &format!("{at} must have at most 10 rows in all"));
    let same = json!([{ "title": "A", "rows": [row(1)] }, { "title": "B", "rows": [row(1)] }]);
    refused(&list(&same), 131_009, &format!("{at}[1].rows[0].id must differ from those of the other rows"));
    let long = json!([{ "rows": [{ "id": "1", "title": characters(25) }] }]);
    refused(&list(&long), 131_009, &format!("{at}[0].rows[0].title must have 1 to 24 characters"));
    let long = json!([{ "rows": [{ "id": "1", "title": "a", "description": characters(73) }] }]);
    refused(&list(&long), 131_009, &format!("{at}[0].rows[0].description must have 1 to 72 characters"));
    let mut header = list(&json!([{ "rows": [row(1)] }]));
    header["interactive"]["header"] = json!({ "type": "image", "image": { "id": "1" } });
    refused(&header, 131_009, "interactive.header.type must be text in a list");
}

#[test]
fn a_template_says_which_in_which_language() {
    let components = json!([
        { "type": "header", "parameters": [{ "type": "image", "image": { "id": "1" } }] },
        { "type": "body", "parameters": [
            { "type": "text", "text": "Contact" },
            { "type": "currency", "currency": { "fallback_value": "$1", "code": "USD", "amount_1000": 1000 } },
            { "type": "date_time", "date_time": { "fallback_value": "hoy" } },
        ] },
        { "type": "button", "sub_type": "quick_reply", "index": "0", "parameters": [{ "type": "payload", "payload": "x" }] },
        { "type": "limited_time_offer", "parameters": [{ "type": "limited_time_offer" }] },
    ]);
    let template = |template: Value| of("template", &template);
    let message =
        template(json!({ "name": "saludo_1", "language": { "code": "es_AR" }, "components": components }));
    let sent = taken(&message);
    assert_eq!((sent.r#type, sent.text.as_str()), (MessageType::Template, "[template: saludo_1]"));
    assert_eq!(sent.raw, message.to_string());
    for code in ["es", "fil", "en_US", "zh_CN"] {
        taken(&template(json!({ "name": "a", "language": { "code": code, "policy": "deterministic" } })));
    }
    for code in ["ES", "spanish", "es-AR", "e", "es_"] {
        let wrong = "template.language.code must be a language such as es or es_AR";
        refused(&template(json!({ "name": "a", "language": { "code": code } })), 131_009, wrong);
    }
    refused(&template(json!({ "name": "a" })), 131_008, "template.language is needed");
    refused(&template(json!({ "name": "Hola!" })), 131_009, "template.name must be of a-z, 0-9 and _");
    let with = |component: Value| {
        template(json!({ "name": "a", "language": { "code": "es" }, "components": [component] }))
    };
    let at = "template.components[0]";
    refused(&with(json!({})), 131_008, &format!("{at}.type is needed"));
    refused(&with(json!({ "type": "button", "sub_type": "url" })), 131_008, &format!("{at}.index is needed"));
    let text = json!({ "type": "body", "parameters": [{ "type": "text" }] });
    refused(&with(text), 131_008, &format!("{at}.parameters[0].text is needed"));
    let image = json!({ "type": "header", "parameters": [{ "type": "image", "image": {} }] });
    refused(&with(image), 131_008, &format!("{at}.parameters[0].image.id or link is needed"));
}

#[test]
fn content_fills_a_message_and_nothing_else_of_it() {
    let message = Message { id: "7".into(), ..Message::default() };
    let filled = taken(&of("image", &json!({ "id": "1", "caption": "hola" }))).fill(message);
    assert_eq!(
        (filled.id.as_str(), filled.r#type(), filled.text.as_str()),
        ("7", MessageType::Image, "hola")
    );
}

/// JSON in which the names that are read stand where they may be read.
fn json_of_names() -> impl Strategy<Value = Value> {
    let names = [
        "text",
        "body",
        "image",
        "id",
        "link",
        "interactive",
        "action",
        "sections",
        "rows",
        "buttons",
        "reply",
        "title",
        "template",
        "name",
        "language",
        "code",
        "components",
        "parameters",
        "contacts",
        "formatted_name",
        "reaction",
        "emoji",
        "message_id",
        "location",
        "latitude",
        "longitude",
        "context",
        "header",
        "index",
    ];
    let kinds = TYPES.into_iter().chain(["button", "list", "header", "es_AR", "", "\0", "https://a", "ñ"]);
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        prop::sample::select(kinds.collect::<Vec<_>>()).prop_map(Value::from),
    ];
    leaf.prop_recursive(6, 60, 6, move |inner| {
        let member = (prop::sample::select(names.to_vec()), inner.clone());
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            prop::collection::vec(member, 0..6).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn no_json_makes_it_panic(kind in prop::sample::select(&TYPES[..]), content in json_of_names(), other in json_of_names()) {
        let message = json!({ "type": kind, kind: content, "context": other });
        if let Err(error) = read(&message) {
            prop_assert!(error.to_string().len() < 4_096);
        }
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>(), other in any::<String>()) {
        let _ = read(&json!({ "type": text, &text: { &other: text } }));
        let _ = read(&of("template", &json!({ "name": "a", "language": { "code": text } })));
        let _ = read(&of("image", &json!({ "link": other })));
        let _ = read(&of("reaction", &json!({ "message_id": text, "emoji": other })));
    }
}
