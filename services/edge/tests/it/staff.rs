//! Staff on the JSON WebSocket: who gets in, what they see, how they come back.

use std::time::{Duration, Instant};

use chasqui_kit::{bus::NatsConfig, serve::Responder};
use chasqui_proto::{
    service::{CONVERSATIONS_MARK_READ, PERSISTENCE},
    v1,
};
use chasqui_testkit::wait_for;
use futures::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_util::sync::CancellationToken;

use crate::cable::Cable;
use crate::world::{Client, DEADLINE, Node, World, jwt};

#[tokio::test(flavor = "multi_thread")]
async fn crm_01_what_a_contact_writes_is_shown_to_its_tenants_staff_and_to_nobody_else() {
    let world = World::start().await;
    let (one, two) = (Node::start(&world, "one", &[]).await, Node::start(&world, "two", &[]).await);
    let (mut near, mut far) = (one.staff("default", None).await, two.staff("default", None).await);
    let mut stranger = two.staff("acme", None).await;
    for client in [&mut near, &mut far, &mut stranger] {
        let greeting = client.frame().await;
        assert_eq!((&greeting["type"], &greeting["data"]["fresh"]), (&json!("connected"), &json!(true)));
    }
    let seq = world.contact_writes("5491100000001", "hola").await;
    assert_eq!(near.messages(1).await, [("hola".to_owned(), seq)]);
    assert_eq!(far.messages(1).await, [("hola".to_owned(), seq)]);
    // The stranger's own message comes first: nothing of the other tenant was before it.
    let acme = "acme".parse().unwrap();
    let seq = world.contact_of_tenant_writes(&acme, "5491100000001", "for acme").await;
    assert_eq!(stranger.messages(1).await, [("for acme".to_owned(), seq)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_token_may_stand_in_the_subprotocol_and_is_never_echoed() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let token = jwt(&json!({ "id": 7 }));
    let url = format!("ws://{}/ws", node.address);
    let (mut client, chosen) = Client::open_with_protocols(&url, &format!("chasqui, {token}")).await;
    assert_eq!(chosen.as_deref(), Some("chasqui"));
    assert_eq!(client.frame().await["type"], "connected");
    let mut by_query = Client::open(&format!("{url}?token={token}")).await;
    assert_eq!(by_query.frame().await["type"], "connected");
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_proves_nothing_is_told_why_and_not_to_come_back() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("connect_wait_ms", "100")]).await;
    let url = format!("ws://{}/ws", node.address);
    let phone_token = jwt(&json!({ "id": 7, "phone": "5491100000001" }));
    for (token, code) in [("nonsense", "unauthorized"), (phone_token.as_str(), "forbidden")] {
        let mut client = Client::open(&format!("{url}?token={token}")).await;
        assert_eq!(client.frame().await["data"]["code"], code);
        assert_eq!(client.close_code().await, 4500);
    }
    let mut garbage = Client::open(&url).await;
    garbage.say_text("{").await;
    assert_eq!(garbage.frame().await["data"]["code"], "invalid_input");
    assert_eq!(garbage.close_code().await, 4502);
    let mut silent = Client::open(&url).await;
    assert_eq!(silent.close_code().await, 4005, "come back when you know who you are");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bad_frame_is_answered_by_name_and_the_socket_stays() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut client = node.staff("default", None).await;
    client.frame().await;
    for (frame, names) in [
        ("{", "JSON object"),
        (r#"{"type":"dance"}"#, "dance"),
        (r#"{"type":"send_message","data":{"conversation_id":1}}"#, "data.text"),
    ] {
        client.say_text(frame).await;
        let error = client.frame().await;
        assert_eq!(error["type"], "error");
        assert!(error["data"]["message"].as_str().unwrap().contains(names), "{error}");
    }
    client.say(&json!({ "type": "ping" })).await;
    assert_eq!(client.frame().await["type"], "pong");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_back_is_given_what_it_missed_once_and_in_order() {
    let world = World::start().await;
    let (one, two) = (Node::start(&world, "one", &[]).await, Node::start(&world, "two", &[]).await);
    let mut client = one.staff("default", None).await;
    let epoch = client.frame().await["data"]["epoch"].as_str().unwrap().to_owned();
    let seen = world.contact_writes("5491100000001", "seen").await;
    assert_eq!(client.messages(1).await.len(), 1);
    drop(client);
    let mut missed = Vec::new();
    for index in 0..10 {
        let number = format!("549110000000{}", index % 3);
        let text = format!("missed {index}");
        missed.push((text.clone(), world.contact_writes(&number, &text).await));
    }
    // The first node answers from its window; the second never heard of any of it and reads the stream.
    for node in [&one, &two] {
        let mut back = node.staff("default", Some((&epoch, seen))).await;
        let greeting = back.frame().await;
        assert_eq!((&greeting["data"]["recovered"], &greeting["data"]["seq"]), (&json!(true), &json!(seen)));
        assert_eq!(back.messages(missed.len()).await, missed);
        let text = format!("live on {}", node.address);
        let live = (text.clone(), world.contact_writes("5491100000001", &text).await);
        assert_eq!(back.messages(1).await, std::slice::from_ref(&live));
        missed.push(live);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_that_cannot_be_honoured_is_said_so() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("replay_events_max", "5")]).await;
    let mut client = node.staff("default", None).await;
    let greeting = client.frame().await;
    let (epoch, seq) =
        (greeting["data"]["epoch"].as_str().unwrap(), greeting["data"]["seq"].as_u64().unwrap());
    for index in 0..6 {
        world.contact_writes("5491100000001", &format!("{index}")).await;
    }
    assert_eq!(client.messages(6).await.len(), 6);
    for cursor in [("another life", seq), (epoch, seq)] {
        let mut back = node.staff("default", Some(cursor)).await;
        let greeting = back.frame().await;
        assert_eq!(
            (&greeting["data"]["recovered"], &greeting["data"]["fresh"]),
            (&json!(false), &json!(false))
        );
        let text = format!("live after {}", cursor.0);
        let live = world.contact_writes("5491100000001", &text).await;
        assert_eq!(back.messages(1).await, [(text, live)], "not a part of what was missed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_restarts_costs_no_connected_client_a_message() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut client = node.staff("default", None).await;
    client.frame().await;
    let mut expected = vec![("before".to_owned(), world.contact_writes("5491100000001", "before").await)];
    world.nats.kill();
    world.nats.restart().await.unwrap();
    // The publisher may be back before the node: what it publishes then is never repeated live to it.
    for index in 0..20 {
        let text = format!("after {index}");
        let seq = wait_for(DEADLINE, "the stream takes messages again", async || {
            world.try_contact_writes("5491100000001", &text).await
        });
        expected.push((text.clone(), seq.await));
    }
    assert_eq!(client.messages(21).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happened_while_the_node_had_lost_the_broker_is_shown_when_it_is_back() {
    let world = World::start().await;
    let cable = Cable::to(world.nats.port()).await;
    let node = Node::start_behind(&cable, &world, "one").await;
    let mut reads = world.bus.client().subscribe("$JS.API.DIRECT.GET.MESSAGES").await.unwrap();
    world.bus.barrier().await.unwrap();
    let mut client = node.staff("default", None).await;
    client.frame().await;
    // The look that every feed takes soon after going live is over: it cannot be what finds the messages.
    tokio::time::timeout(DEADLINE, reads.next()).await.expect("the feed looks a second time").unwrap();
    let mut expected = vec![("before".to_owned(), world.contact_writes("5491100000001", "before").await)];
    assert_eq!(client.messages(1).await, expected);
    cable.cut();
    expected.clear();
    for index in 0..20 {
        let text = format!("unheard {index}");
        expected.push((text.clone(), world.contact_writes("5491100000001", &text).await));
    }
    cable.mend();
    // Nothing new is published: no later fact gives the gap away.
    assert_eq!(client.messages(20).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_leader_of_the_stream_is_asked_for_what_the_old_one_may_not_have_repeated() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut reads = world.bus.client().subscribe("$JS.API.DIRECT.GET.MESSAGES").await.unwrap();
    world.bus.barrier().await.unwrap();
    let mut client = node.staff("default", None).await;
    client.frame().await;
    let mut read = async || {
        tokio::time::timeout(DEADLINE, reads.next()).await.expect("the feed reads the stream").unwrap()
    };
    read().await;
    let advisory = "$JS.EVENT.ADVISORY.STREAM.LEADER_ELECTED.MESSAGES";
    world.bus.client().publish(advisory, "{}".into()).await.unwrap();
    read().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_sends_its_clients_to_another() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut client = node.staff("default", None).await;
    client.frame().await;
    node.stop().await;
    assert_eq!(client.close_code().await, 4000);
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_12_a_client_is_shown_the_types_of_events_it_chose() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let mut client = node.staff("default", None).await;
    client.frame().await;
    let subscribe = |types: &Value| json!({ "type": "subscribe", "data": { "types": types } });
    client.say(&subscribe(&json!(["message_status_updated"]))).await;
    let answer = json!({ "type": "subscribed", "data": { "types": ["message_status_updated"] } });
    assert_eq!(client.frame().await, answer);
    world.contact_writes("5491100000001", "not shown").await;
    client.say(&subscribe(&json!(["dance"]))).await;
    assert_eq!(client.frame().await["data"]["code"], "invalid_input");
    // The message is in the feed by the time that a later one is shown.
    let mut other = node.staff("default", None).await;
    other.frame().await;
    world.contact_writes("5491100000001", "not shown either").await;
    other.messages(1).await;
    client.say(&subscribe(&Value::Null)).await;
    assert_eq!(client.frame().await["type"], "subscribed", "nothing was shown meanwhile");
    let seq = world.contact_writes("5491100000001", "shown").await;
    assert_eq!(client.messages(1).await, [("shown".to_owned(), seq)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_28_a_flood_is_answered_dropped_and_in_the_end_closed() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("frames_per_second_max", "5")]).await;
    let mut client = node.staff("default", None).await;
    client.frame().await;
    for _ in 0..30 {
        client.say(&json!({ "type": "ping" })).await;
    }
    let mut refused = 0;
    for _ in 0..30 {
        let answer = client.frame().await;
        if answer["type"] == "error" {
            assert_eq!(answer["data"]["code"], "rate_limited", "{answer}");
            refused += 1;
        }
    }
    assert!((15..=20).contains(&refused), "ten at once and five a second: {refused} refused");
    // Somebody who goes on is closed, and told not to come back by itself.
    let (mut says, mut hears) = client.split();
    let flood = tokio::spawn(async move { while says.say(r#"{"type":"ping"}"#).await {} });
    assert_eq!(hears.close_code().await, 4505);
    flood.abort();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_connections_is_let_in_at_the_steady_rate_and_told_when_to_come_back() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("handshakes_per_second_max", "1")]).await;
    let connect = async || {
        let request = reqwest::Client::new()
            .get(format!("http://{}/ws", node.address))
            .header("connection", "upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        request.send().await.unwrap()
    };
    for _ in 0..5 {
        assert_eq!(connect().await.status(), 101);
    }
    let refused = connect().await;
    assert_eq!(refused.status(), 503);
    let retry: u32 = refused.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=5).contains(&retry));
    let page = reqwest::get(format!("http://{}/api/conversations", node.address)).await.unwrap();
    assert_eq!(page.status(), 401, "requests that open nothing are not held back");
}

#[tokio::test(flavor = "multi_thread")]
async fn crm_27_frames_are_compressed_for_whoever_asks_and_only_then() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[("compression", "true")]).await;
    let agreed = async |offer: Option<&'static str>| {
        let mut request = format!("ws://{}/ws?token={}", node.address, jwt(&json!({ "id": 7 })))
            .into_client_request()
            .unwrap();
        if let Some(offer) = offer {
            request.headers_mut().insert("sec-websocket-extensions", offer.parse().unwrap());
        }
        let (_, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
        answer.headers().get("sec-websocket-extensions").map(|value| value.to_str().unwrap().to_owned())
    };
    assert_eq!(agreed(None).await, None);
    let answer = agreed(Some("permessage-deflate; client_max_window_bits")).await.unwrap();
    assert!(answer.starts_with("permessage-deflate"), "{answer}");
    let plain = Node::start(&world, "two", &[]).await;
    let url = format!("ws://{}/ws", plain.address);
    let mut request = url.into_client_request().unwrap();
    request.headers_mut().insert("sec-websocket-extensions", "permessage-deflate".parse().unwrap());
    let (_, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert!(answer.headers().get("sec-websocket-extensions").is_none(), "it is off by default");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_shown_while_a_command_waits_for_another_service() {
    let world = World::start().await;
    let node = Node::start(&world, "one", &[]).await;
    let persistence =
        Responder::start(&world.bus, PERSISTENCE, "played by the test", CancellationToken::new())
            .await
            .unwrap();
    let (asked, mut was_asked) = tokio::sync::mpsc::channel(1);
    let never = move |_: v1::MarkRead, _| {
        let asked = asked.clone();
        async move {
            asked.send(()).await.unwrap();
            std::future::pending::<Result<v1::Conversation, chasqui_edge::Error>>().await
        }
    };
    persistence.endpoint(CONVERSATIONS_MARK_READ, never).await.unwrap();
    let mut client = node.staff("default", None).await;
    client.frame().await;
    let begun = Instant::now();
    client.say(&json!({ "type": "mark_read", "data": { "conversation_id": "5491100000001" } })).await;
    was_asked.recv().await.unwrap();
    let seq = world.contact_writes("5491100000001", "hola").await;
    let frame = client.frame().await;
    assert_eq!((&frame["type"], &frame["seq"]), (&json!("new_message"), &json!(seq)));
    let command_wait = Duration::from_millis(NatsConfig::default().request_wait_ms);
    assert!(begun.elapsed() < command_wait, "the command has not been given up yet");
}
