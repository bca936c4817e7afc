//! Every frame as it stands on the wire.

use std::sync::Arc;

use super::*;

fn message() -> v1::Message {
    v1::Message {
        id: "0d9a4a5e-0000-4000-8000-000000000001".to_owned(),
        tenant: "default".to_owned(),
        conversation: "5491100000001".to_owned(),
        contact: Some(v1::Contact {
            aliases: vec![chasqui_proto::address::phone("5491100000001")],
            name: "Contact".to_owned(),
            ..v1::Contact::default()
        }),
        direction: v1::Direction::In.into(),
        sender_type: v1::SenderType::User.into(),
        r#type: v1::MessageType::Text.into(),
        text: "hola 🦙".to_owned(),
        provider_id: "wamid.A".to_owned(),
        occurred_at_ms: 1_700_000_000_000,
        received_at_ms: 1_700_000_000_500,
        ..v1::Message::default()
    }
}

fn decoded(event: &Event) -> Value {
    serde_json::from_str(&encode(event).expect("the dialect shows it")).unwrap()
}

#[test]
fn crm_01_a_new_message_comes_with_its_conversation() {
    let fact = Fact::Message { message: Box::new(message()), status: Status::Unspecified };
    let number = 1_508_543_608_044_010_u64;
    let shown = json!({
        "id": "0d9a4a5e-0000-4000-8000-000000000001",
        "conversation_id": number,
        "external_id": "5491100000001@s.whatsapp.net",
        "direction": "in",
        "sender_type": "user",
        "message_type": "text",
        "text_content": "hola 🦙",
        "provider_id": "wamid.A",
        "created_at": "2023-11-14T22:13:20.000Z",
        "received_at": "2023-11-14T22:13:20.500Z",
    });
    let expected = json!({
        "type": "new_message",
        "data": {
            "message": shown,
            "conversation": {
                "id": number,
                "uuid": "2ae0196f-15cf-5517-a33e-8d03afa6cbbe",
                "external_id": "5491100000001@s.whatsapp.net",
                "contact_name": "Contact",
                "contact_phone": "5491100000001",
                "contact_photo_url": null,
                "unread_count": 1,
                "last_message": shown,
                "last_message_status": null,
                "last_message_at": "2023-11-14T22:13:20.000Z",
                "started_at": null,
                "ai_active": false,
                "no_ac_ai": false,
                "personality_id": null,
                "updated_at": null,
            },
        },
        "seq": 42,
    });
    assert_eq!(decoded(&Event::of_store("", 42, fact)), expected);
}

#[test]
fn crm_01_the_conversation_is_the_newest_the_node_knows() {
    let state = v1::Conversation { unread_count: 7, token: "5491100000001".to_owned(), ..Default::default() };
    let fact = Fact::Message { message: Box::new(message()), status: Status::Unspecified };
    let mut event = Event::of_store("", 42, fact);
    event.conversation = Some(Arc::new(Event::of_state(Fact::Conversation(Box::new(state)))));
    assert_eq!(decoded(&event)["data"]["conversation"]["unread_count"], 7);
}

#[test]
fn crm_02_a_status_names_its_message_and_a_numeric_conversation() {
    let status = v1::MessageStatus {
        tenant: "default".to_owned(),
        conversation: "5491100000001".to_owned(),
        message_id: "m1".to_owned(),
        status: Status::Read.into(),
        ..v1::MessageStatus::default()
    };
    assert_eq!(
        decoded(&Event::of_store("", 43, Fact::Status(Box::new(status)))),
        json!({
            "type": "message_status_updated",
            "data": { "message_id": "m1", "conversation_id": 1_508_543_608_044_010_u64, "status": "read" },
            "seq": 43,
        })
    );
}

#[test]
fn a_failure_says_why() {
    let error = v1::ProviderError {
        code: 131_026,
        title: "Message undeliverable".to_owned(),
        message: "Message undeliverable".to_owned(),
        details: "The contact has no WhatsApp".to_owned(),
    };
    let status = v1::MessageStatus {
        status: Status::Failed.into(),
        errors: vec![error],
        ..v1::MessageStatus::default()
    };
    let shown = decoded(&Event::of_store("", 44, Fact::Status(Box::new(status))));
    let error = json!({ "code": 131_026, "title": "Message undeliverable", "details": "The contact has no WhatsApp" });
    assert_eq!(shown["data"]["error"], error);
}

#[test]
fn a_type_nobody_knows_shows_what_the_provider_sent() {
    let mut message = message();
    message.r#type = v1::MessageType::Unsupported.into();
    message.provider_type = "hologram".to_owned();
    message.raw = br#"{"type":"hologram","x":1}"#.to_vec().into();
    let shown = decoded(&Event::of_store(
        "",
        1,
        Fact::Message { message: Box::new(message), status: Status::Unspecified },
    ));
    let shown = &shown["data"]["message"];
    assert_eq!(
        (&shown["message_type"], &shown["provider_type"]),
        (&json!("unsupported"), &json!("hologram"))
    );
    assert_eq!(shown["payload"]["x"], 1);
}

#[test]
fn crm_05_crm_06_states_are_shown_as_dashboards_know_them() {
    let check = |fact: Fact, kind: &str, data: Value| {
        let shown = decoded(&Event::of_state(fact));
        assert_eq!(shown, json!({ "type": kind, "data": data }));
    };
    let at_ms = 1_700_000_000_000;
    let at = "2023-11-14T22:13:20.000Z";
    let bot = v1::BotStatus {
        state: v1::BotState::Degraded.into(),
        queued: 3,
        answer_time_mean_ms: 800,
        model_state: "over_budget".to_owned(),
        answers: 41,
        handoffs: 2,
        reason: "no model".to_owned(),
        updated_at_ms: at_ms,
        ..v1::BotStatus::default()
    };
    let shown = json!({ "botStatus": { "state": "degraded", "queued": 3, "answer_time_mean_ms": 800,
        "model": null, "model_state": "over_budget", "answers": 41, "handoffs": 2, "reason": "no model",
        "updated_at": at } });
    check(Fact::Bot(Box::new(bot)), "bot_status_changed", shown);
    let session = v1::Session {
        id: "main".to_owned(),
        status: v1::SessionStatus::Connected.into(),
        phone: "5491100000009".to_owned(),
        campaigns_halted: "spam limit (131048)".to_owned(),
        campaigns_halted_until_ms: at_ms,
        updated_at_ms: at_ms,
        ..v1::Session::default()
    };
    let shown = json!({ "whatsappState": { "session": "main", "status": "connected", "connected": true,
        "qr": null, "qr_expires_at": null, "reason": null, "phone": "5491100000009",
        "campaigns_halted": "spam limit (131048)", "campaigns_halted_until": at, "updated_at": at } });
    check(Fact::Session(Box::new(session)), "whatsapp_status_changed", shown);
}

fn campaign(status: v1::CampaignStatus) -> v1::BulkProgress {
    let failure = |code, title: &str, count| v1::FailureCount { code, title: title.to_owned(), count };
    v1::BulkProgress {
        campaign: "c1".to_owned(),
        status: status.into(),
        sent: 7,
        total: 10,
        failed: 2,
        current_conversation: "5491100000001".to_owned(),
        name: "Vacunación".to_owned(),
        delivered: 6,
        read: 5,
        skipped: 1,
        failures: vec![failure(131_026, "Message undeliverable", 1), failure(0, "not_sent", 1)],
        version: 12,
        started_at_ms: 1_700_000_000_000,
        updated_at_ms: 1_700_000_001_000,
        ..v1::BulkProgress::default()
    }
}

/// The frame of a campaign whose state stands at 815.
fn of_campaign(progress: v1::BulkProgress) -> Option<Value> {
    let event = Event::of_campaign(progress, Mark { life: "18a".into(), seq: 815 });
    encode(&event).map(|frame| serde_json::from_str(&frame).unwrap())
}

/// The frame of a campaign: what its kind says, and what each says beside it.
fn campaign_frame(kind: &str, status: &str, ended_at: Option<&str>, says: Value) -> Value {
    let mut data = json!({ "campaign": "c1", "name": "Vacunación", "status": status, "total": 10,
        "delivered": 6, "read": 5, "skipped": 1, "queued": 0,
        "failures": [{ "code": 131_026, "title": "Message undeliverable", "count": 1 },
            { "code": null, "title": "not_sent", "count": 1 }],
        "started_at": "2023-11-14T22:13:20.000Z", "ended_at": ended_at,
        "updated_at": "2023-11-14T22:13:21.000Z" });
    let Value::Object(says) = says else { panic!("{says} is no object") };
    data.as_object_mut().unwrap().extend(says);
    json!({ "type": kind, "data": data, "epoch": "18a-815" })
}

#[test]
fn crm_07_a_campaign_under_way_shows_its_progress_and_what_it_waits_for() {
    use v1::CampaignStatus::{Paused, Running, Scheduled};
    let says = |rate: f64, remaining: Option<u32>, waits: Option<&str>, until: Option<&str>| {
        json!({ "progress": { "sent": 7, "total": 10, "currentConversation": "5491100000001" },
            "failed": 2, "rate": rate, "remaining_secs": remaining, "waits_for": waits, "waits_until": until })
    };
    let running = v1::BulkProgress { rate_per_second: 2.5, remaining_secs: Some(4), ..campaign(Running) };
    let shown = campaign_frame("bulk_message_progress", "running", None, says(2.5, Some(4), None, None));
    assert_eq!(of_campaign(running), Some(shown));
    let waits = v1::BulkProgress {
        waits_for: "quiet_hours".to_owned(),
        waits_until_ms: 1_700_000_002_000,
        ..campaign(Running)
    };
    let says_so = says(0.0, None, Some("quiet_hours"), Some("2023-11-14T22:13:22.000Z"));
    assert_eq!(of_campaign(waits), Some(campaign_frame("bulk_message_progress", "running", None, says_so)));
    for (status, name) in [(Paused, "paused"), (Scheduled, "scheduled")] {
        let shown = campaign_frame("bulk_message_progress", name, None, says(0.0, None, None, None));
        assert_eq!(of_campaign(campaign(status)), Some(shown));
    }
}

#[test]
fn crm_08_crm_09_a_campaign_that_ended_shows_its_counts_or_why_it_stopped() {
    use v1::CampaignStatus::{Cancelled, Completed, Failed};
    let ended = |status| v1::BulkProgress { ended_at_ms: 1_700_000_001_000, ..campaign(status) };
    let at = Some("2023-11-14T22:13:21.000Z");
    for (status, name) in [(Completed, "completed"), (Cancelled, "cancelled")] {
        let says = json!({ "successCount": 7, "errorCount": 2 });
        assert_eq!(
            of_campaign(ended(status)),
            Some(campaign_frame("bulk_message_completed", name, at, says))
        );
    }
    let failed = v1::BulkProgress { error: "spam limit (131048)".to_owned(), ..ended(Failed) };
    let says = json!({ "error": "spam limit (131048)", "sent": 7, "failed": 2 });
    assert_eq!(of_campaign(failed), Some(campaign_frame("bulk_message_error", "failed", at, says)));
}

#[test]
fn crm_20_nobody_is_told_of_a_campaign_that_was_not_started_nor_of_what_comes_after_its_end() {
    use v1::CampaignStatus::{Completed, Draft, Failed, Unspecified, Uploading};
    for status in [Draft, Uploading, Unspecified] {
        assert_eq!(of_campaign(campaign(status)), None);
    }
    for status in [Completed, Failed] {
        assert_eq!(of_campaign(v1::BulkProgress { after_end: true, ..campaign(status) }), None);
    }
}

#[test]
fn crm_25_every_feature_has_its_event() {
    let number = 1_508_543_608_044_010_u64;
    let tenant = || "default".to_owned();
    let token = || "5491100000001".to_owned();
    let typing = v1::Typing {
        tenant: tenant(),
        conversation: token(),
        user_id: "agent-1".to_owned(),
        sender_type: v1::SenderType::Agent.into(),
        typing: true,
        ..v1::Typing::default()
    };
    let shown = decoded(&Event::of_state(Fact::Typing(Box::new(typing))));
    assert_eq!(shown["data"]["conversation_id"], number);
    assert_eq!((&shown["type"], &shown["data"]["typing"]), (&json!("typing_changed"), &json!(true)));
    let draft = v1::Draft { message_id: "m1".to_owned(), index: 2, delta: "hola".to_owned() };
    let writing =
        v1::Typing { tenant: tenant(), conversation: token(), draft: Some(draft), ..v1::Typing::default() };
    assert_eq!(
        decoded(&Event::of_state(Fact::Draft(Box::new(writing)))),
        json!({ "type": "message_draft", "data": { "message_id": "m1", "conversation_id": number,
            "index": 2, "delta": "hola" } })
    );
    let gone = v1::Presence {
        user_id: "u1".to_owned(),
        kind: v1::PersonKind::User.into(),
        ..v1::Presence::default()
    };
    let shown = decoded(&Event::of_state(Fact::Presence(Box::new(gone))));
    let expected = json!({ "user_id": "u1", "kind": "user", "agent_id": null, "online": false });
    assert_eq!((&shown["type"], &shown["data"]), (&json!("presence_changed"), &expected));
    let chat = v1::Chat {
        tenant: tenant(),
        conversation: token(),
        status: v1::ChatStatus::Waiting.into(),
        reason: "failure".to_owned(),
        ..v1::Chat::default()
    };
    let shown = decoded(&Event::of_state(Fact::Chat(Box::new(chat))));
    assert_eq!(
        (&shown["type"], &shown["data"]["chat"]["status"]),
        (&json!("chat_updated"), &json!("waiting"))
    );
    assert_eq!(shown["data"]["chat"]["agent_id"], Value::Null);
    assert_eq!(shown["data"]["chat"]["reason"], "failure");
    let said = |data: &[u8]| {
        let announcement = v1::Announcement {
            event: "news".to_owned(),
            data: data.to_vec().into(),
            ..v1::Announcement::default()
        };
        encode(&Event::of_state(Fact::Announcement(Box::new(announcement))))
    };
    let shown: Value = serde_json::from_str(&said(br#"{"x":1}"#).unwrap()).unwrap();
    assert_eq!(shown["data"]["data"], json!({ "x": 1 }));
    assert_eq!(said(b"no JSON"), None, "it would break the frame");
}
