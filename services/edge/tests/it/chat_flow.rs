//! The guided flow as its users see it, on the native WebSocket client.

use chasqui_kit::{TraceContext, publish::Fact};
use chasqui_proto::{subject, v1};
use futures::StreamExt;
use prost::Message as _;
use serde_json::json;
use tokio::time::timeout;

use crate::chat_desk::{chat_id, person};
use crate::chat_office::{Office, connect, connect_at, expect};
use crate::world::DEADLINE;

const WELCOME: &str = "Bienvenido al chat de citas. Para empezar, por favor ingresa el documento...";

/// What the bot answers, as it publishes it.
async fn bot_says(office: &Office, text: &str) {
    let token = person("u1");
    let reply = v1::Message {
        id: uuid::Uuid::now_v7().to_string(),
        tenant: "default".to_owned(),
        conversation: token.to_string(),
        contact: Some(v1::Contact { aliases: vec![token.alias()], ..v1::Contact::default() }),
        channel: Some(v1::Channel { kind: v1::ChannelKind::Widget.into(), ..v1::Channel::default() }),
        direction: v1::Direction::Out.into(),
        sender_type: v1::SenderType::Ai.into(),
        sender_id: "bot".to_owned(),
        r#type: v1::MessageType::Text.into(),
        provider_type: "chatbot".to_owned(),
        text: text.to_owned(),
        ..v1::Message::default()
    };
    let subject = subject::messages_out(&office.world.tenant, &token);
    let fact = Fact::new(subject, &reply, reply.id.clone(), TraceContext::root());
    office.world.bus.publish(fact).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn ben_35_39_a_flow_is_shown_in_every_tab_and_goes_on_after_a_reconnect_on_another_node() {
    let office = Office::open().await;
    let mut inbox = {
        let subject = subject::messages_in(&office.world.tenant, &person("u1"));
        office.world.bus.client().subscribe(subject.as_str().to_owned()).await.unwrap()
    };
    office.world.bus.barrier().await.unwrap();
    let mut heard = async || {
        let message = timeout(DEADLINE, inbox.next()).await.unwrap().unwrap();
        v1::Message::decode(message.payload).unwrap()
    };
    let mut user = connect(&office.one, "u1", "default").await;
    let epoch = expect(&mut user, "active_chats").await["epoch"].as_str().unwrap().to_owned();
    let mut tab = connect(&office.two, "u1", "default").await;
    expect(&mut tab, "active_chats").await;
    let mut stranger = connect(&office.one, "u2", "default").await;
    expect(&mut stranger, "active_chats").await;
    user.say(&json!({ "event": "chatbot_init" })).await;
    assert_eq!(heard().await.provider_type, "chatbot_init");
    bot_says(&office, WELCOME).await;
    let shown = expect(&mut user, "chatbot_message").await;
    assert_eq!(
        (&shown["message"], &shown["sender_type"], &shown["chat_id"]),
        (&json!(WELCOME), &json!("BOT"), &json!(chat_id("default", "u1")))
    );
    assert_eq!(expect(&mut tab, "chatbot_message").await, shown);
    user.say(&json!({ "source": "chatbot", "message": "12345678" })).await;
    assert_eq!(heard().await.text, "12345678");
    let seen = shown["seq"].as_u64().unwrap();
    drop(user);
    bot_says(&office, "Elija una ciudad").await;
    expect(&mut tab, "chatbot_message").await;
    let mut back = connect_at(&office.two, "u1", "default", &format!("/?since={epoch}.{seen}")).await;
    assert_eq!(expect(&mut back, "active_chats").await["recovered"], true);
    assert_eq!(expect(&mut back, "chatbot_message").await["message"], "Elija una ciudad");
    back.say(&json!({ "source": "chatbot", "message": "1" })).await;
    assert_eq!((heard().await.text.as_str(), "chatbot"), ("1", "chatbot"));
    bot_says(&office, "Escriba la especialidad").await;
    for client in [&mut back, &mut tab] {
        assert_eq!(expect(client, "chatbot_message").await["message"], "Escriba la especialidad", "once");
    }
    office.announce("default", "barrier").await;
    expect(&mut stranger, "barrier").await;
}
