//! The contact's widget over Socket.IO, on the bus.

use std::time::Duration;

use chasqui_kit::{TraceContext, request::RequestError, serve::Responder};
use chasqui_proto::{
    service::{MESSAGES_UNDELIVERED, PERSISTENCE},
    subject, v1,
};
use chasqui_testkit::wait_for;
use futures::StreamExt;
use prost::Message;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::socketio_client::Client as RealClient;
use crate::world::{Client, DEADLINE, Node, World, jwt, token};

const NUMBER: &str = "5491100000001";

async fn widget(node: &Node, query: &str, auth: &str) -> Client {
    let url = format!("ws://{}/socket.io/?EIO=4&transport=websocket{query}", node.address);
    let mut client = Client::open(&url).await;
    assert!(client.packet().await.starts_with('0'));
    client.say_text(&format!("40{auth}")).await;
    client
}

/// The next event's name and argument; the answer to CONNECT is passed over, and so is the offset.
async fn event(client: &mut Client) -> (String, Value) {
    loop {
        let packet = client.packet().await;
        if let Some(event) = packet.strip_prefix("42") {
            let (name, argument, _offset): (String, Value, String) = serde_json::from_str(event).unwrap();
            return (name, argument);
        }
        assert!(packet.starts_with("40"), "{packet}");
    }
}

async fn reply(client: &mut Client) -> String {
    let (name, data) = event(client).await;
    assert_eq!(name, "bot-response");
    data["text"].as_str().unwrap().to_owned()
}

async fn is_connected(world: &World) -> bool {
    let subject = subject::edge_contacts(&world.tenant, &token(NUMBER));
    let wait = Duration::from_millis(500);
    let asked =
        world.bus.ask_subject(subject.as_str(), &v1::FindContact {}, TraceContext::root(), wait).await;
    match asked {
        Ok(v1::ContactFound { absent, .. }) => !absent,
        Err(RequestError::NoResponders(_)) => false,
        // Asked while the last socket was leaving. Who asks reads it the same way: only "nobody is there" is a no.
        Err(RequestError::TimedOut(_)) => true,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_06_every_connection_of_a_phone_gets_the_reply_and_its_arrival_is_recorded_once() {
    let world = World::start().await;
    let open = &[("widget_anonymous", "true")];
    let (one, two) = (Node::start(&world, "one", open).await, Node::start(&world, "two", open).await);
    let recorded = subject::messages_status(&world.tenant, &token(NUMBER));
    let mut statuses = world.bus.client().subscribe(recorded.as_str().to_owned()).await.unwrap();
    let mut first = widget(&one, "&userPhone=%2B54%20911%200000-0001", "").await;
    let mut second = widget(&two, "&userPhone=5491100000001", "").await;
    for client in [&mut first, &mut second] {
        assert_eq!(event(client).await.0, "session");
    }
    assert!(is_connected(&world).await);
    let id = world.bot_replies(NUMBER, "hola").await;
    assert_eq!(reply(&mut first).await, "hola");
    assert_eq!(reply(&mut second).await, "hola");
    // Both answer the ping that follows the reply.
    first.say_text("3").await;
    second.say_text("3").await;
    let status = tokio::time::timeout(DEADLINE, statuses.next()).await.unwrap().unwrap();
    let status = v1::MessageStatus::decode(status.payload).unwrap();
    assert_eq!((status.message_id, status.status), (id, v1::Status::Delivered.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_11_nobody_answers_for_a_contact_that_has_left() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("widget_anonymous", "true")]).await;
    assert!(!is_connected(&world).await);
    let mut client = widget(&node, "&userPhone=5491100000001", "").await;
    event(&mut client).await;
    assert!(is_connected(&world).await);
    drop(client);
    let gone = async || (!is_connected(&world).await).then_some(());
    wait_for(DEADLINE, "the contact counts as gone", gone).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_11_what_was_written_to_nobody_is_shown_on_the_next_connection() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("widget_anonymous", "true")]).await;
    // Persistence has stored the first reply only; the stream has both.
    let stop = CancellationToken::new();
    let persistence =
        Responder::start(&world.bus, PERSISTENCE, "played by the test", stop.clone()).await.unwrap();
    world.bot_replies(NUMBER, "stored").await;
    let stream = world.bus.jetstream().get_stream("MESSAGES").await.unwrap();
    let subject = subject::messages_out(&world.tenant, &token(NUMBER));
    let stored = stream.direct_get_last_for_subject(subject.as_str()).await.unwrap();
    let message = v1::Message::decode(stored.payload).unwrap();
    let seq = stored.sequence;
    persistence
        .endpoint(MESSAGES_UNDELIVERED, move |_, _| {
            let stored = v1::StoredMessage { message: Some(message.clone()), status: 0, seq };
            std::future::ready(Ok::<_, chasqui_edge::Error>(v1::UndeliveredPage {
                messages: vec![stored],
                watermark_seq: seq,
            }))
        })
        .await
        .unwrap();
    world.bus.barrier().await.unwrap();
    world.bot_replies(NUMBER, "not stored yet").await;
    let mut client = widget(&node, "&userPhone=5491100000001", "").await;
    let (name, session) = event(&mut client).await;
    // A client that leaves now comes back with this cursor, and must be given both.
    assert_eq!((name.as_str(), &session["seq"]), ("session", &json!(seq - 1)));
    assert_eq!(reply(&mut client).await, "stored");
    assert_eq!(reply(&mut client).await, "not stored yet");
    world.bot_replies(NUMBER, "live").await;
    assert_eq!(reply(&mut client).await, "live");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_with_a_cursor_is_given_what_came_after_it() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("widget_anonymous", "true")]).await;
    let mut client = widget(&node, "&userPhone=5491100000001", "").await;
    let (_, session) = event(&mut client).await;
    world.bot_replies(NUMBER, "seen").await;
    let (_, seen) = event(&mut client).await;
    drop(client);
    world.bot_replies(NUMBER, "missed").await;
    let since = json!({ "since": { "epoch": session["epoch"], "seq": seen["seq"] } });
    let mut back = widget(&node, "&userPhone=5491100000001", &since.to_string()).await;
    let (_, session) = event(&mut back).await;
    assert_eq!(session["recovered"], true);
    assert_eq!(reply(&mut back).await, "missed");
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_23_a_widget_proves_whose_it_is_unless_the_operator_asked_otherwise() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let staff = json!({ "token": jwt(&json!({ "id": 7 })) }).to_string();
    let forged = json!({ "token": "a.b.c" }).to_string();
    for (auth, why) in
        [("", "a token is needed"), (staff.as_str(), "names no phone"), (forged.as_str(), "invalid")]
    {
        let mut refused = widget(&node, "&userPhone=5491100000001", auth).await;
        let packet = refused.packet().await;
        assert!(packet.starts_with("44") && packet.contains(why), "{packet}");
    }
    let mine = json!({ "token": jwt(&json!({ "id": 7, "phone": NUMBER })) });
    // The token's phone counts, not the one the page claims.
    let mut client = widget(&node, "&userPhone=5491100000099", &mine.to_string()).await;
    assert_eq!(event(&mut client).await.0, "session");
    world.bot_replies(NUMBER, "yours").await;
    assert_eq!(reply(&mut client).await, "yours");
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_05_a_connection_without_a_phone_is_accepted_and_shown_nothing() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("widget_anonymous", "true")]).await;
    let mut client = widget(&node, "", "").await;
    assert!(client.packet().await.starts_with("40"));
    client.say_text(r#"421["user-message",{"text":"hola"}]"#).await;
    let answer = client.packet().await;
    assert!(answer.starts_with("431[") && answer.contains("userPhone"), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn kon_16_what_the_contact_types_is_durable_when_it_is_acknowledged() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("widget_anonymous", "true")]).await;
    let mut client = widget(&node, "&userPhone=5491100000001", "").await;
    event(&mut client).await;
    client.say_text(r#"427["user-message",{"text":" hola ñ 🦙 "}]"#).await;
    let answer = client.packet().await;
    assert!(answer.starts_with("437[") && answer.contains("\"success\":true"), "{answer}");
    let stream = world.bus.jetstream().get_stream("MESSAGES").await.unwrap();
    let subject = subject::messages_in(&world.tenant, &token(NUMBER));
    let stored = stream.direct_get_last_for_subject(subject.as_str()).await.unwrap();
    let message = v1::Message::decode(stored.payload).unwrap();
    assert_eq!((message.text.as_str(), message.sender_type()), ("hola ñ 🦙", v1::SenderType::User));
    client.say_text(r#"428["user-message",{"text":5}]"#).await;
    assert!(client.packet().await.contains("invalid_input"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_widget_that_finds_the_node_full_comes_back_by_itself() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("sockets_max", "1")]).await;
    let url = format!("{}/socket.io/?EIO=4&transport=", node.address);
    let mut early = Client::open(&format!("ws://{url}websocket")).await;
    assert!(early.packet().await.starts_with('0'));
    let mut staff = node.staff("default", None).await;
    assert_eq!(staff.frame().await["type"], "connected");
    let auth = json!({ "token": jwt(&json!({ "id": NUMBER, "phone": NUMBER })) });
    // A `connect_error` would keep it away for ever.
    early.say_text(&format!("40{auth}")).await;
    assert_eq!(early.close_code().await, 4000);
    let refused = reqwest::get(format!("http://{url}polling")).await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let options = json!({ "auth": auth }).to_string();
    let mut client = RealClient::at(&format!("http://{}", node.address), &options);
    client.hears("connect_error").await;
    drop(staff);
    client.hears("connect").await;
}
