use chasqui_proto::{
    MessageId,
    v1::{Alias, AliasKind, Message, MessageStatus, MessageType, ProviderNotice, SenderType, Status},
};
use chasqui_simulator::payload;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const CONTACT: &str = "5491100000001";
const BSUID: &str = "AR.13491208655302741918";
const NUMBER: &str = "100000000000001";
const NOW_MS: i64 = 1_800_000_000_000;

fn tenant() -> Tenant {
    "default".parse().unwrap()
}

fn facts(webhook: &Value) -> Vec<Fact> {
    parse(&Bytes::from(webhook.to_string()), |_| tenant(), NOW_MS).unwrap()
}

fn message(message: &Value) -> Message {
    match only(&payload::webhook(NUMBER, std::slice::from_ref(message))) {
        Fact::Message(message) => *message,
        other => panic!("{message} became {other:?}"),
    }
}

fn status(status: &Value) -> MessageStatus {
    match only(&payload::status_webhook(NUMBER, std::slice::from_ref(status))) {
        Fact::Status(status) => *status,
        other => panic!("{status} became {other:?}"),
    }
}

fn notice(webhook: &Value) -> ProviderNotice {
    match only(webhook) {
        Fact::Notice(notice) => *notice,
        other => panic!("{webhook} became {other:?}"),
    }
}

fn only(webhook: &Value) -> Fact {
    let mut facts = facts(webhook);
    assert_eq!(facts.len(), 1, "{webhook}");
    facts.remove(0)
}

#[test]
fn every_type_is_read_as_its_type_and_kept_verbatim() {
    for (name, sample) in payload::every_type(CONTACT) {
        let read = message(&sample);
        let expected = format!("MESSAGE_TYPE_{}", name.to_uppercase());
        assert_eq!(read.r#type().as_str_name(), expected, "{sample}");
        assert_eq!(read.raw, sample.to_string());
        assert_eq!(read.provider_type, sample["type"].as_str().unwrap());
        assert!(!read.text.is_empty(), "{sample}");
        assert_eq!((read.conversation.as_str(), read.direction()), (CONTACT, Direction::In));
        let id = MessageId::of_provider(&tenant(), sample["id"].as_str().unwrap()).to_string();
        assert_eq!(read.id, id);
    }
}

#[test]
fn what_a_message_says_is_where_readers_look_for_it() {
    let read = |r#type: &str, members: Value| message(&payload::message(CONTACT, "wamid.A", r#type, members));
    let audio = read("audio", json!({ "audio": { "id": "7", "voice": true } }));
    assert!(audio.media.as_ref().is_some_and(|media| media.voice && media.id == "7"));
    assert_eq!(audio.text, "[voice]");
    let row = json!({ "type": "list_reply", "list_reply": { "id": "1", "title": "Lunes", "description": "10:00" } });
    let chosen = read("interactive", json!({ "interactive": row })).choice.unwrap();
    assert_eq!(
        (chosen.kind.as_str(), chosen.id.as_str(), chosen.title.as_str()),
        ("list_reply", "1", "Lunes")
    );
    let removed = read("reaction", json!({ "reaction": { "message_id": "wamid.B" } }));
    assert_eq!((removed.emoji.as_str(), removed.text.as_str()), ("", "[reaction removed]"));
    let context = removed.context.unwrap();
    assert_eq!(context.message_id, MessageId::of_provider(&tenant(), "wamid.B").to_string());
    let inner = json!({ "type": "image", "image": { "id": "7", "caption": "nueva" } });
    let edit = read("edit", json!({ "edit": { "original_message_id": "wamid.B", "message": inner } }));
    assert_eq!((edit.r#type(), edit.text.as_str()), (MessageType::Edit, "nueva"));
    assert_eq!(edit.context.unwrap().provider_message_id, "wamid.B");
    let system = read("system", json!({ "system": { "body": "cambió" } }));
    assert_eq!(system.sender_type(), SenderType::System);
}

#[test]
fn a_reply_and_a_forward_say_so() {
    let mut answer = payload::text(CONTACT, "wamid.A", "sí");
    answer["context"] = json!({ "from": "5491100000099", "id": "wamid.B" });
    let context = message(&answer).context.unwrap();
    assert_eq!(context.message_id, MessageId::of_provider(&tenant(), "wamid.B").to_string());
    answer["context"] = json!({ "frequently_forwarded": true });
    let context = message(&answer).context.unwrap();
    assert!(context.forwarded && context.frequently_forwarded && context.message_id.is_empty());
}

#[test]
fn a_known_type_without_its_body_is_unsupported_and_keeps_its_name() {
    for (name, mut sample) in payload::every_type(CONTACT) {
        let r#type = sample["type"].as_str().unwrap().to_owned();
        if ["request_welcome", "unsupported"].contains(&r#type.as_str()) {
            continue;
        }
        for broken in [json!(null), json!("x"), json!({}), json!([7])] {
            sample[&r#type] = broken;
            let read = message(&sample);
            assert_eq!(read.r#type(), MessageType::Unsupported, "{name}: {sample}");
            assert_eq!(
                (read.provider_type.as_str(), read.raw.as_ref()),
                (r#type.as_str(), sample.to_string().as_bytes())
            );
        }
    }
}

#[test]
fn a_message_without_its_body_carries_the_reason_beside_it() {
    let message = payload::message(CONTACT, "wamid.A", "interactive", json!({}));
    let mut webhook = payload::webhook(NUMBER, &[message]);
    webhook["entry"][0]["changes"][0]["value"]["errors"] = json!([{ "code": 131_000, "title": "Something" }]);
    let Fact::Message(read) = only(&webhook) else { panic!("not a message") };
    assert_eq!((read.r#type(), read.errors[0].code), (MessageType::Unsupported, 131_000));
}

#[test]
fn a_contact_is_named_by_its_phone_number_else_by_its_user_id() {
    let kinds = |message: &Message| -> Vec<AliasKind> {
        message.contact.as_ref().unwrap().aliases.iter().map(Alias::kind).collect()
    };
    let hidden = message(&payload::text(BSUID, "wamid.A", "hola"));
    assert_eq!(
        (hidden.conversation.as_str(), kinds(&hidden)),
        ("bsuid_AR=2E13491208655302741918", vec![AliasKind::Bsuid])
    );
    let mut both = payload::text(CONTACT, "wamid.A", "hola");
    both["from_user_id"] = BSUID.into();
    let both = message(&both);
    assert_eq!(
        (both.conversation.as_str(), kinds(&both)),
        (CONTACT, vec![AliasKind::Phone, AliasKind::Bsuid])
    );
    let mut webhook = payload::webhook(NUMBER, &[payload::text(CONTACT, "wamid.A", "hola")]);
    let value = &mut webhook["entry"][0]["changes"][0]["value"];
    value["contacts"][0] = json!({ "wa_id": CONTACT, "user_id": BSUID, "profile": { "name": "Contact", "username": "contact" } });
    value["messages"][0].as_object_mut().unwrap().remove("from");
    let Fact::Message(alone) = only(&webhook) else { panic!("not a message") };
    assert_eq!(kinds(&alone), [AliasKind::Phone, AliasKind::Bsuid]);
    let contact = alone.contact.unwrap();
    assert_eq!((contact.name.as_str(), contact.username.as_str()), ("Contact", "contact"));
}

#[test]
fn a_status_is_of_our_message_where_it_carries_our_id() {
    let mut sent = payload::status("wamid.A", CONTACT, "delivered");
    let plain = status(&sent);
    assert_eq!((plain.status(), plain.conversation.as_str()), (Status::Delivered, CONTACT));
    assert_eq!(plain.message_id, MessageId::of_provider(&tenant(), "wamid.A").to_string());
    let ours = MessageId::now().to_string();
    sent["biz_opaque_callback_data"] = ours.clone().into();
    assert_eq!(status(&sent).message_id, ours);
    sent["biz_opaque_callback_data"] = format!("{ours} order 7 ").into();
    let told = status(&sent);
    assert_eq!((told.message_id, told.callback_data.as_str()), (ours, "order 7 "));
    sent["biz_opaque_callback_data"] = "campaign 7".into();
    let others = status(&sent);
    assert_eq!((others.message_id, others.callback_data.as_str()), (plain.message_id, ""));
}

#[test]
fn each_step_of_a_message_has_an_id_of_its_own() {
    let names = ["sent", "delivered", "read", "played", "failed"];
    let at = |name: &str, timestamp: &str| {
        let mut sent = payload::status("wamid.A", CONTACT, name);
        sent["timestamp"] = timestamp.into();
        status(&sent)
    };
    let ids: std::collections::HashSet<String> = names.iter().map(|name| at(name, "1700000000").id).collect();
    assert_eq!(ids.len(), names.len());
    assert_eq!(at("read", "1700000000").id, at("read", "1700000000").id);
    assert_eq!(at("failed", "1700000000").errors[0].code, 131_026);
    assert_eq!(at("sent", "1700000000").occurred_at_ms, 1_700_000_000_000);
}

#[test]
fn times_are_read_in_every_spelling_and_garbage_is_now() {
    for (timestamp, expected) in [
        (json!("1700000000"), 1_700_000_000_000),
        (json!(1_700_000_000), 1_700_000_000_000),
        (json!("yesterday"), NOW_MS),
        (json!(""), NOW_MS),
        (json!(-5), NOW_MS),
        (json!("9223372036854775807"), NOW_MS),
        (json!(null), NOW_MS),
    ] {
        let mut sample = payload::text(CONTACT, "wamid.A", "hola");
        sample["timestamp"] = timestamp.clone();
        assert_eq!(message(&sample).occurred_at_ms, expected, "{timestamp}");
    }
}

#[test]
fn what_is_no_message_is_a_notice() {
    let update = payload::change(NUMBER, "account_update", json!({ "event": "VERIFIED_ACCOUNT" }));
    let told = notice(&update);
    assert_eq!((told.field.as_str(), told.channel.unwrap().id.as_str()), ("account_update", NUMBER));
    assert_eq!(told.raw, update["entry"][0]["changes"][0].to_string());
    let errors = json!([{ "code": 130_429, "title": "Rate limit hit", "error_data": { "details": "slow" } }]);
    let told = notice(&payload::change(NUMBER, "messages", json!({ "errors": errors })));
    assert_eq!((told.errors[0].code, told.errors[0].details.as_str()), (130_429, "slow"));
    for odd in [
        json!(7),
        json!({}),
        json!({ "entry": {} }),
        json!({ "entry": [7] }),
        json!({ "entry": [{ "changes": 7 }] }),
    ] {
        assert_eq!(notice(&odd).field, UNREADABLE, "{odd}");
    }
    assert!(facts(&json!({ "object": "whatsapp_business_account", "entry": [] })).is_empty());
}

#[test]
fn what_stands_beside_statuses_is_not_lost() {
    let mut webhook = payload::status_webhook(NUMBER, &[payload::status("wamid.A", CONTACT, "read")]);
    let value = &mut webhook["entry"][0]["changes"][0]["value"];
    value["messages"] = json!({ "0": payload::text(CONTACT, "wamid.B", "hola") });
    let labels: Vec<String> = facts(&webhook).iter().map(Fact::label).collect();
    assert_eq!(labels, ["notice", "status"]);
    let value = &mut webhook["entry"][0]["changes"][0]["value"];
    value["messages"] = json!([]);
    value["errors"] = json!([{ "code": 130_429 }]);
    let labels: Vec<String> = facts(&webhook).iter().map(Fact::label).collect();
    assert_eq!(labels, ["notice", "status"]);
}

#[test]
fn a_message_or_status_that_names_nobody_or_nothing_is_kept_as_a_notice() {
    for (key, value) in [
        ("id", json!(null)),
        ("id", json!("x".repeat(129))),
        ("from", json!(null)),
        ("from", json!("9".repeat(200))),
    ] {
        let mut sample = payload::text(CONTACT, "wamid.A", "hola");
        sample[key] = value;
        let mut webhook = payload::webhook(NUMBER, &[sample.clone()]);
        webhook["entry"][0]["changes"][0]["value"]["contacts"] = json!([]);
        assert_eq!(notice(&webhook).raw, sample.to_string());
    }
    for (key, value) in [
        ("id", json!(7.5e300)),
        ("id", json!({})),
        ("recipient_id", json!(null)),
        ("status", json!("teleported")),
    ] {
        let mut sample = payload::status("wamid.A", CONTACT, "read");
        sample[key] = value;
        if key != "id" || sample["id"].is_object() {
            assert_eq!(notice(&payload::status_webhook(NUMBER, &[sample.clone()])).raw, sample.to_string());
        }
    }
}

#[test]
fn what_the_tenant_writes_in_whatsapps_own_app_goes_out() {
    let mut echo = payload::text("5491100000099", "wamid.A", "desde el teléfono");
    echo["to"] = CONTACT.into();
    let webhook = payload::change(NUMBER, "smb_message_echoes", json!({ "message_echoes": [echo] }));
    let Fact::Message(read) = only(&webhook) else { panic!("not a message") };
    assert_eq!((read.direction(), read.sender_type()), (Direction::Out, SenderType::Agent));
    assert_eq!(read.conversation, CONTACT);
}

#[test]
fn all_four_levels_are_walked_in_order() {
    let messages: Vec<Value> =
        (0..3).map(|n| payload::text(CONTACT, &format!("wamid.{n}"), &n.to_string())).collect();
    let mut webhook = payload::webhook(NUMBER, &messages);
    let statuses =
        json!([payload::status("wamid.X", CONTACT, "sent"), payload::status("wamid.X", CONTACT, "read")]);
    webhook["entry"][0]["changes"][0]["value"]["statuses"] = statuses;
    let change = webhook["entry"][0]["changes"][0].clone();
    webhook["entry"][0]["changes"].as_array_mut().unwrap().push(change);
    let entry = webhook["entry"][0].clone();
    webhook["entry"].as_array_mut().unwrap().push(entry);
    let facts = facts(&webhook);
    assert_eq!(facts.len(), 2 * 2 * (3 + 2));
    let labels: Vec<String> = facts.iter().take(5).map(Fact::label).collect();
    assert_eq!(labels, ["text", "text", "text", "status", "status"]);
}

#[test]
fn the_raw_json_is_byte_for_byte_what_came() {
    let spaced = format!(
        r#"{{ "from":"{CONTACT}","id" : "wamid.A",  "type":"text", "text":{{"body":"\u00f1 ñ 👋"}}, "n":1.50 }}"#
    );
    let body = format!(
        r#"{{"entry":[{{"id":"1","changes":[{{"field":"messages","value":{{"messages":[ {spaced} ]}}}}]}}]}}"#
    );
    let facts = parse(&Bytes::from(body), |_| tenant(), NOW_MS).unwrap();
    let Fact::Message(read) = &facts[0] else { panic!("not a message") };
    assert_eq!((read.raw.as_ref(), read.text.as_str()), (spaced.as_bytes(), "ñ ñ 👋"));
}

#[test]
fn an_edit_of_an_edit_ends() {
    let mut inner = json!({ "type": "text", "text": { "body": "x" } });
    for _ in 0..50 {
        inner = json!({ "type": "edit", "edit": { "original_message_id": "wamid.B", "message": inner } });
    }
    inner["from"] = CONTACT.into();
    inner["id"] = "wamid.A".into();
    assert_eq!(message(&inner).r#type(), MessageType::Edit);
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let body =
        format!(r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"messages":[{deep}]}}}}]}}]}}"#);
    assert_eq!(parse(&Bytes::from(body), |_| tenant(), NOW_MS).unwrap().len(), 1);
}

/// A webhook with a bit of everything.
fn everything() -> Value {
    let messages: Vec<Value> = payload::every_type(CONTACT).into_iter().map(|(_, sample)| sample).collect();
    let mut webhook = payload::webhook(NUMBER, &messages);
    webhook["entry"][0]["changes"][0]["value"]["statuses"] =
        json!([payload::status("wamid.A", CONTACT, "failed")]);
    webhook
}

fn nodes(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(nodes).sum(),
        Value::Object(members) => members.values().map(nodes).sum(),
        _ => 0,
    }
}

/// Replaces the node at a position in depth-first order; tells how many positions are left to walk.
fn replace(value: &mut Value, at: usize, with: &Value) -> Option<usize> {
    let Some(mut left) = at.checked_sub(1) else {
        value.clone_from(with);
        return None;
    };
    let children: Vec<&mut Value> = match value {
        Value::Array(items) => items.iter_mut().collect(),
        Value::Object(members) => members.values_mut().collect(),
        _ => Vec::new(),
    };
    for child in children {
        left = replace(child, left, with)?;
    }
    Some(left)
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        Just(Value::from("9".repeat(300))),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::vec((".{0,6}", inner), 0..3).prop_map(|members| members.into_iter().collect()),
        ]
    })
}

proptest! {
    #[test]
    fn whatever_one_part_of_a_webhook_becomes_nothing_is_lost(at in 0_usize..10_000, with in any_json()) {
        let mut webhook = everything();
        let count = nodes(&webhook);
        replace(&mut webhook, at % count, &with);
        let changes = &webhook["entry"][0]["changes"];
        let empty = |value: &Value| value.as_array().is_some_and(Vec::is_empty);
        let expected = match (&webhook["entry"], changes) {
            (entry, _) if empty(entry) => 0,
            (_, changes) if empty(changes) => 0,
            _ => {
                let value = &changes[0]["value"];
                let messages = changes[0]["field"] == "messages";
                let count = |key: &str| value[key].as_array().map_or(0, Vec::len);
                if messages { (count("messages") + count("statuses")).max(1) } else { 1 }
            }
        };
        // A replaced `entry` or `changes` may be an array of several broken parts.
        let found = facts(&webhook).len();
        prop_assert!(found >= expected, "{found} facts of {expected}");
    }

    #[test]
    fn no_bytes_make_it_panic(at in 0_usize..100_000, byte in any::<u8>(), cut in 0_usize..100_000) {
        let mut body = everything().to_string().into_bytes();
        let length = body.len();
        body[at % length] = byte;
        let _ = parse(&Bytes::from(body.clone()), |_| tenant(), NOW_MS);
        body.truncate(cut % length);
        let _ = parse(&Bytes::from(body), |_| tenant(), NOW_MS);
    }
}
