//! What a bot is writing, shown as it grows: to whoever sees the conversation, and to nobody else.

use chasqui_proto::{ConversationToken, Tenant, subject, v1};
use prost::Message as _;
use serde_json::{Value, json};

use crate::chat_desk::{Desk, chat_id, person};
use crate::chat_office::{connect, expect};
use crate::sse;
use crate::world::{Client, Node, World, jwt, token};

const NUMBER: &str = "5491100000001";

/// A bot types; with a piece of text where there is one.
async fn bot_types(world: &World, conversation: &ConversationToken, draft: Option<v1::Draft>) {
    let typing = v1::Typing {
        tenant: "default".to_owned(),
        conversation: conversation.to_string(),
        user_id: "bot".to_owned(),
        sender_type: v1::SenderType::Ai.into(),
        typing: true,
        draft,
        ..v1::Typing::default()
    };
    let subject = subject::typing_changed(&world.tenant, conversation).as_str().to_owned();
    world.bus.client().publish(subject, typing.encode_to_vec().into()).await.unwrap();
}

fn draft(index: u32, delta: &str) -> v1::Draft {
    v1::Draft { message_id: "m1".to_owned(), index, delta: delta.to_owned() }
}

/// What everybody of a tenant is shown, and so what was shown before it is all there was.
async fn announce(world: &World, tenant: &str) {
    let tenant: Tenant = tenant.parse().unwrap();
    let announcement = v1::Announcement {
        tenant: tenant.to_string(),
        event: "barrier".to_owned(),
        data: b"{}"[..].into(),
        ..v1::Announcement::default()
    };
    let subject = subject::announcements_made(&tenant).as_str().to_owned();
    world.bus.client().publish(subject, announcement.encode_to_vec().into()).await.unwrap();
}

/// The next frame of dialect `crm` that does not say who is there.
async fn crm_frame(client: &mut Client) -> Value {
    loop {
        let frame = client.frame().await;
        if !["presence_changed", "online_users"].iter().any(|name| frame["type"] == *name) {
            return frame;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_35_a_draft_is_shown_to_the_user_and_to_staff_and_to_nobody_else() {
    let world = World::start().await;
    let _desk = Desk::open(&world).await;
    let node = Node::start(&world, "one", &[]).await;
    let (mut staff, mut abroad) = (node.staff("default", None).await, node.staff("acme", None).await);
    for client in [&mut staff, &mut abroad] {
        assert_eq!(crm_frame(client).await["type"], "connected");
    }
    let mut user = connect(&node, "u1", "default").await;
    let mut stranger = connect(&node, "u2", "default").await;
    let mut namesake = connect(&node, "u1", "acme").await;
    for client in [&mut user, &mut stranger, &mut namesake] {
        expect(client, "active_chats").await;
    }
    bot_types(&world, &person("u1"), None).await;
    bot_types(&world, &person("u1"), Some(draft(0, "Bue"))).await;
    bot_types(&world, &person("u1"), Some(draft(1, "nas"))).await;
    let chat = chat_id("default", "u1");
    let typing = json!({ "event": "typing", "chat_id": chat, "user_id": "bot" });
    assert_eq!(expect(&mut user, "typing").await, typing);
    for (index, delta) in [(0, "Bue"), (1, "nas")] {
        assert_eq!(
            expect(&mut user, "chatbot_draft").await,
            json!({ "event": "chatbot_draft", "message_id": "m1", "chat_id": chat, "index": index, "delta": delta })
        );
    }
    let shown = crm_frame(&mut staff).await;
    assert_eq!(
        (&shown["type"], &shown["data"]["sender_type"]),
        (&json!("typing_changed"), &json!("ai")),
        "{shown}"
    );
    let number = shown["data"]["conversation_id"].clone();
    for (index, delta) in [(0, "Bue"), (1, "nas")] {
        let data = json!({ "message_id": "m1", "conversation_id": number, "index": index, "delta": delta });
        assert_eq!(crm_frame(&mut staff).await, json!({ "type": "message_draft", "data": data }));
    }
    for tenant in ["default", "acme"] {
        announce(&world, tenant).await;
    }
    for client in [&mut user, &mut stranger, &mut namesake] {
        expect(client, "barrier").await;
    }
    for client in [&mut staff, &mut abroad] {
        assert_eq!(crm_frame(client).await["type"], "announcement", "a draft is not typing as well");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_12_who_does_not_want_drafts_is_shown_none() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut staff = node.staff("default", None).await;
    crm_frame(&mut staff).await;
    staff.say(&json!({ "type": "subscribe", "data": { "types": ["typing_changed"] } })).await;
    assert_eq!(crm_frame(&mut staff).await["type"], "subscribed");
    bot_types(&world, &token(NUMBER), Some(draft(0, "Bue"))).await;
    bot_types(&world, &token(NUMBER), None).await;
    assert_eq!(crm_frame(&mut staff).await["type"], "typing_changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_contact_is_shown_the_draft_of_its_own_answer_by_widget_and_by_stream() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("widget_anonymous", "true")]).await;
    let widget = async |number: &str| {
        let query = format!("EIO=4&transport=websocket&userPhone={number}");
        let mut client = Client::open(&format!("ws://{}/socket.io/?{query}", node.address)).await;
        assert!(client.packet().await.starts_with('0'));
        client.say_text("40").await;
        assert!(client.packet().await.starts_with("40"));
        assert!(client.packet().await.starts_with(r#"42["session""#));
        client
    };
    let (mut own, mut other) = (widget(NUMBER).await, widget("5491100000002").await);
    let mut stream = sse::Stream::open(&node, &jwt(&json!({ "id": NUMBER, "phone": NUMBER }))).await;
    assert_eq!(stream.event().await.name, "connected");
    bot_types(&world, &token(NUMBER), None).await;
    bot_types(&world, &token(NUMBER), Some(draft(0, "Bue"))).await;
    assert_eq!(own.packet().await, r#"42["bot-draft",{"delta":"Bue","id":"m1","index":0}]"#);
    let event = stream.event().await;
    assert_eq!((event.name.as_str(), &event.frame["data"]["delta"]), ("message_draft", &json!("Bue")));
    assert_eq!(event.id, None, "there is no place to come back to");
    // Its own answer is the first thing that the other contact is shown.
    bot_types(&world, &token("5491100000002"), Some(draft(0, "Otra"))).await;
    assert_eq!(other.packet().await, r#"42["bot-draft",{"delta":"Otra","id":"m1","index":0}]"#);
}
