//! Every frame as it stands on the wire.

use chasqui_proto::address::parse_address;

use super::*;
use crate::{
    dialect::{
        chat::{encode, encode_notice},
        view::conversation_number,
    },
    event::{Event, Fact},
};

const CHAT: &str = "977fa746-63ba-5b7b-8772-fac72cc7ce51";

fn token() -> String {
    ConversationToken::of(&parse_address("u1").unwrap()).to_string()
}

fn decoded(frame: Option<String>) -> Value {
    serde_json::from_str(&frame.expect("the dialect shows it")).unwrap()
}

fn shown(fact: Fact) -> Value {
    decoded(encode(&Event::of_state(fact)))
}

fn message(direction: Direction, sender: SenderType, sender_id: &str) -> v1::Message {
    v1::Message {
        id: "m1".to_owned(),
        tenant: "default".to_owned(),
        conversation: token(),
        direction: direction.into(),
        sender_type: sender.into(),
        sender_id: sender_id.to_owned(),
        r#type: MessageType::Text.into(),
        text: "hola ñandú".to_owned(),
        occurred_at_ms: 1_700_000_000_000,
        ..v1::Message::default()
    }
}

fn written(message: v1::Message) -> Event {
    Event::of_store("", 42, Fact::Message { message: Box::new(message), status: Status::Unspecified })
}

fn chat_that_is(status: ChatStatus) -> v1::Chat {
    let assigned = status != ChatStatus::Waiting;
    let given = |text: &str| if assigned { text.to_owned() } else { String::new() };
    v1::Chat {
        id: CHAT.to_owned(),
        tenant: "default".to_owned(),
        conversation: token(),
        episode: 2,
        status: status.into(),
        user_id: "u1".to_owned(),
        user_name: "Contact".to_owned(),
        agent_id: given("a1"),
        agent_user_id: given("u9"),
        opened_at_ms: 1_700_000_000_000,
        ..v1::Chat::default()
    }
}

#[test]
fn ben_21_25_a_message_is_one_frame_whoever_wrote_it() {
    let expected = |sender_id: &str, sender_type: &str| {
        json!({
            "event": "chat_message",
            "chat_id": CHAT,
            "message_id": "m1",
            "message": "hola ñandú",
            "sender_id": sender_id,
            "sender_type": sender_type,
            "status": "sent",
            "created_at": "2023-11-14T22:13:20.000Z",
            "seq": 42,
        })
    };
    for (direction, sender, sender_id, shown_id, shown_type) in [
        (Direction::In, SenderType::User, "", "u1", "USER"),
        (Direction::Out, SenderType::Agent, "u9", "u9", "AGENT"),
        (Direction::Out, SenderType::Ai, "", "bot", "BOT"),
        (Direction::Out, SenderType::System, "campaign-7", "campaign-7", "BOT"),
    ] {
        let event = written(message(direction, sender, sender_id));
        assert_eq!(decoded(encode(&event)), expected(shown_id, shown_type));
    }
    let image =
        v1::Message { r#type: MessageType::Image.into(), ..message(Direction::In, SenderType::User, "") };
    assert_eq!(decoded(encode(&written(image)))["message_type"], "image");
}

#[test]
fn ben_21_the_peer_is_notified_with_the_same_payload() {
    for (direction, sender) in [(Direction::In, SenderType::User), (Direction::Out, SenderType::Agent)] {
        let event = written(message(direction, sender, "u9"));
        let (mut all, notice) = (decoded(encode(&event)), decoded(encode_notice(&event)));
        all["event"] = json!("new_message");
        assert_eq!(notice, all);
    }
}

#[test]
fn ben_35_what_a_bot_says_is_a_chatbot_message() {
    let event = written(message(Direction::Out, SenderType::Ai, "flow"));
    assert_eq!(
        decoded(encode_notice(&event)),
        json!({
            "event": "chatbot_message",
            "message": "hola ñandú",
            "sender_type": "BOT",
            "message_id": "m1",
            "chat_id": CHAT,
            "created_at": "2023-11-14T22:13:20.000Z",
            "seq": 42,
        })
    );
}

#[test]
fn ben_27_44_a_receipt_names_chat_message_and_reader() {
    let status = |status: Status, reader: &str| {
        Fact::Status(Box::new(v1::MessageStatus {
            tenant: "default".to_owned(),
            conversation: token(),
            message_id: "m1".to_owned(),
            status: status.into(),
            reader_id: reader.to_owned(),
            occurred_at_ms: 1_700_000_000_000,
            ..v1::MessageStatus::default()
        }))
    };
    for (reader, shown_reader) in [("u9", "u9"), ("", "u1")] {
        let event = Event::of_store("", 43, status(Status::Read, reader));
        assert_eq!(
            decoded(encode(&event)),
            json!({
                "event": "message_read",
                "chat_id": CHAT,
                "message_id": "m1",
                "reader_id": shown_reader,
                "read_at": "2023-11-14T22:13:20.000Z",
                "seq": 43,
            })
        );
    }
    for other in [Status::Sent, Status::Delivered, Status::Failed] {
        assert_eq!(encode(&Event::of_store("", 43, status(other, ""))), None);
    }
}

#[test]
fn ben_30_a_chat_is_opened_assigned_and_closed() {
    for (status, event, name) in [
        (ChatStatus::Waiting, "chat_opened", "waiting"),
        (ChatStatus::Assigned, "chat_assigned", "assigned"),
        (ChatStatus::Closed, "chat_closed", "closed"),
    ] {
        let frame = shown(Fact::Chat(Box::new(chat_that_is(status))));
        assert_eq!((&frame["event"], &frame["chat"]["status"]), (&json!(event), &json!(name)));
    }
    assert_eq!(
        shown(Fact::Chat(Box::new(chat_that_is(ChatStatus::Waiting)))),
        json!({
            "event": "chat_opened",
            "chat": {
                "id": CHAT,
                "user_id": "u1",
                "user_name": "Contact",
                "agent_id": null,
                "agent_user_id": null,
                "status": "waiting",
                "episode": 2,
                "opened_at": "2023-11-14T22:13:20.000Z",
                "assigned_at": null,
                "closed_at": null,
                "closed_by": null,
                "reason": null,
            },
        })
    );
    let handed_over = v1::Chat { reason: "keyword".to_owned(), ..chat_that_is(ChatStatus::Waiting) };
    assert_eq!(shown(Fact::Chat(Box::new(handed_over)))["chat"]["reason"], "keyword");
}

#[test]
fn ben_28_29_typing_names_the_chat_and_who_types() {
    for (typing, event) in [(true, "typing"), (false, "stop_typing")] {
        let fact = Fact::Typing(Box::new(v1::Typing {
            tenant: "default".to_owned(),
            conversation: token(),
            user_id: "u9".to_owned(),
            sender_type: SenderType::Agent.into(),
            typing,
            at_ms: 0,
            ..v1::Typing::default()
        }));
        assert_eq!(shown(fact), json!({ "event": event, "chat_id": CHAT, "user_id": "u9" }));
    }
}

#[test]
fn ben_28_35_a_bot_types_under_its_own_name_and_its_draft_is_shown_as_it_grows() {
    let typing = |draft: Option<v1::Draft>| {
        Box::new(v1::Typing {
            tenant: "default".to_owned(),
            conversation: token(),
            sender_type: SenderType::Ai.into(),
            typing: true,
            draft,
            ..v1::Typing::default()
        })
    };
    let expected = json!({ "event": "typing", "chat_id": CHAT, "user_id": "bot" });
    assert_eq!(shown(Fact::Typing(typing(None))), expected);
    let draft = v1::Draft { message_id: "m1".to_owned(), index: 2, delta: " ñandú".to_owned() };
    assert_eq!(
        shown(Fact::Draft(typing(Some(draft)))),
        json!({ "event": "chatbot_draft", "message_id": "m1", "chat_id": CHAT, "index": 2, "delta": " ñandú" })
    );
}

#[test]
fn ben_13_14_a_person_comes_and_goes() {
    let presence = |connections: Vec<v1::Connection>| {
        Fact::Presence(Box::new(v1::Presence {
            user_id: "u1".to_owned(),
            connections,
            ..v1::Presence::default()
        }))
    };
    let here = shown(presence(vec![v1::Connection::default()]));
    assert_eq!(here, json!({ "event": "user_connected", "user_id": "u1" }));
    assert_eq!(shown(presence(Vec::new())), json!({ "event": "user_disconnected", "user_id": "u1" }));
}

#[test]
fn ben_10_11_12_what_a_connection_begins_with() {
    let agent = Agent {
        id: "a1".to_owned(),
        user_id: "u9".to_owned(),
        name: "Agente".to_owned(),
        status: v1::AgentStatus::Active.name(),
    };
    let frame: Value = serde_json::from_str(&agent_connected(&agent)).unwrap();
    assert_eq!(
        frame,
        json!({
            "event": "agent_connected",
            "agent": { "id": "a1", "user_id": "u9", "name": "Agente", "status": "ACTIVE" },
        })
    );
    let greeting = Greeting { epoch: "18a".to_owned(), seq: 7, recovered: true, fresh: false, told: None };
    let chats: Value =
        serde_json::from_str(&active_chats([chat_that_is(ChatStatus::Assigned)].iter(), &greeting, "s.1"))
            .unwrap();
    assert_eq!((&chats["event"], &chats["chats"][0]["id"]), (&json!("active_chats"), &json!(CHAT)));
    assert_eq!(
        (&chats["epoch"], &chats["seq"], &chats["recovered"]),
        (&json!("18a"), &json!(7), &json!(true))
    );
    assert_eq!(
        &*online_users(&["u1".to_owned(), "u9".to_owned()]),
        r#"{"event":"online_users","users":["u1","u9"]}"#
    );
}

#[test]
fn ben_41_an_appointment_changed() {
    let appointment = v1::Appointment {
        id: "p1".to_owned(),
        tenant: "default".to_owned(),
        conversation: token(),
        user_id: "u1".to_owned(),
        status: "confirmed".to_owned(),
        city: "Bogotá".to_owned(),
        specialty: "Cardiología".to_owned(),
        visit_type: "control".to_owned(),
        description: "dolor".to_owned(),
        patient_document: "12345678".to_owned(),
        patient_name: "Contact".to_owned(),
        created_at_ms: 1_700_000_000_000,
        ..v1::Appointment::default()
    };
    assert_eq!(
        shown(Fact::Appointment(Box::new(appointment))),
        json!({
            "event": "appointment_updated",
            "appointment": {
                "id": "p1",
                "conversation_id": conversation_number("default", &token()),
                "chat_id": CHAT,
                "user_id": "u1",
                "status": "confirmed",
                "city": "Bogotá",
                "specialty": "Cardiología",
                "visit_type": "control",
                "description": "dolor",
                "patient_document": "12345678",
                "patient_name": "Contact",
                "scheduled_at": null,
                "created_at": "2023-11-14T22:13:20.000Z",
                "updated_at": null,
            },
        })
    );
}

#[test]
fn ben_42_an_announcement_has_its_own_name() {
    let frame = |event: &str, data: &str| {
        encode(&Event::of_state(Fact::Announcement(Box::new(v1::Announcement {
            event: event.to_owned(),
            data: data.as_bytes().to_vec().into(),
            ..v1::Announcement::default()
        }))))
    };
    let fields = decoded(frame("maintenance", r#"{"minutes":5,"event":"spoofed"}"#));
    assert_eq!(fields, json!({ "event": "maintenance", "minutes": 5 }));
    assert_eq!(decoded(frame("notice", "[1]")), json!({ "event": "notice", "data": [1] }));
    assert_eq!(decoded(frame("notice", "no JSON")), json!({ "event": "notice" }));
    assert_eq!(frame("", "{}"), None);
}

#[test]
fn ben_43_only_an_approved_payment_is_told() {
    let payment = |status: &str| {
        Fact::Payment(Box::new(v1::Payment {
            reference: "r1".to_owned(),
            status: status.to_owned(),
            plan: "pro".to_owned(),
            ..v1::Payment::default()
        }))
    };
    assert_eq!(
        shown(payment("approved")),
        json!({ "event": "payment_succeeded", "reference": "r1", "status": "approved", "plan": "pro" })
    );
    for other in ["pending", "declined", "voided", "error"] {
        assert_eq!(encode(&Event::of_state(payment(other))), None);
    }
}

#[test]
fn a_named_message_is_answered_and_the_end_of_a_token_is_told() {
    assert_eq!(
        &*message_accepted(&json!("n1"), "m1", 7),
        r#"{"client_id":"n1","event":"message_accepted","message_id":"m1","seq":7}"#
    );
    assert_eq!(
        &*token_expiring(1_700_000_000_000),
        r#"{"event":"token_expiring","expires_at":"2023-11-14T22:13:20.000Z"}"#
    );
    assert_eq!(&*token_refreshed(None), r#"{"event":"token_refreshed","expires_at":null}"#);
}
