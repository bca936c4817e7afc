//! Socket.IO on several nodes behind a proxy without sticky sessions.

use std::time::Duration;

use chasqui_edge::engineio::Settings;
use chasqui_edge::socketio::DisconnectReason;
use chasqui_kit::{Bus, bus::NatsConfig};
use chasqui_proto::{
    subject::{self, NodeToken},
    v1::{Forgotten, Forward, ForwardAnswer, ForwardKind, ForwardOutcome, ForwardRequest, forward::What},
};
use chasqui_testkit::{NatsServer, wait_for};
use futures::StreamExt;
use prost::Message;
use serde_json::{Value, json};
use tokio::time::timeout;
use tokio_tungstenite::connect_async;

use crate::cable::Cable;
use crate::echo::{DEADLINE, EchoServer, Seen};
use crate::engineio::{close_code, say, text};
use crate::proxy::{Choice, Proxy};
use crate::socketio_client::Client;

/// Time until a client knows that its session is not at the other end any more: a look every 2 s, and the way.
const NOTICED: Duration = Duration::from_secs(4);

const POLLING: &str = "EIO=4&transport=polling";

/// Some nodes, each with a connection of its own to one broker, and a proxy.
struct Nodes {
    nats: NatsServer,
    /// The first node's way to the broker.
    cable: Cable,
    buses: Vec<Bus>,
    edges: Vec<EchoServer>,
    proxy: Proxy,
}

impl Nodes {
    async fn start(count: usize, choice: Choice, settings: Settings) -> Self {
        let nats = NatsServer::start().await.unwrap();
        let cable = Cable::to(nats.port()).await;
        let (mut edges, mut buses) = (Vec::new(), Vec::new());
        for index in 0..count {
            let name = format!("edge-{index}");
            let url = if index == 0 { format!("nats://{}", cable.address) } else { nats.url() };
            let broker = NatsConfig { url, ..NatsConfig::default() };
            let bus = Bus::connect(&name, &broker).await.unwrap();
            edges.push(EchoServer::start_among(settings.clone(), &bus, &name).await);
            buses.push(bus);
        }
        let addresses: Vec<_> = edges.iter().map(|node| node.address).collect();
        Self { nats, cable, buses, proxy: Proxy::start(&addresses, choice).await, edges }
    }

    fn client(&self, transports: &str) -> Client {
        let options = format!(r#"{{"transports":{transports},"auth":{{"token":"ok"}}}}"#);
        Client::at(&self.proxy.url(), &options)
    }

    /// A request to one of the nodes, past the proxy.
    async fn get(&self, node: usize, query: &str) -> (u16, String) {
        let url = format!("{}/socket.io/?{query}", self.edges[node].url());
        let response = reqwest::get(url).await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    async fn post(&self, node: usize, sid: &str, body: &'static str) -> (u16, String) {
        let url = format!("{}/socket.io/?{POLLING}&sid={sid}", self.edges[node].url());
        let response = reqwest::Client::new().post(url).body(body).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// The first node loses its connection to the broker and has it again as soon as it can.
    async fn jolt(&self) {
        let mut disruptions = self.buses[0].disruptions();
        self.cable.cut();
        disruptions.changed().await.unwrap();
        self.cable.mend();
        wait_for(DEADLINE, "the connection", async || self.buses[0].is_connected().then_some(())).await;
        self.buses[0].barrier().await.unwrap();
    }

    /// A polling session of the first node, joined by way of the second.
    async fn join(&self) -> String {
        let (_, body) = self.get(0, POLLING).await;
        let handshake: Value = serde_json::from_str(&body[1..]).unwrap();
        let sid = handshake["sid"].as_str().unwrap().to_owned();
        assert_eq!(self.post(1, &sid, "40").await, (200, "ok".into()));
        let mut answers = String::new();
        while !answers.contains(r#"42["auth",{}]"#) {
            let (status, answer) = self.get(1, &format!("{POLLING}&sid={sid}")).await;
            assert_eq!(status, 200);
            answers += &answer;
        }
        sid
    }
}

fn in_turn(_head: &str, before: usize) -> usize {
    before
}

/// WebSockets to the last of three, polling to the others in turn: sessions never live where their WebSocket is.
fn websockets_elsewhere(head: &str, before: usize) -> usize {
    if head.contains("transport=websocket") { 2 } else { before % 2 }
}

/// The id the client knows its connection by.
async fn arrive(client: &mut Client) -> Value {
    let id = client.hears("connect").await["id"].clone();
    assert_eq!(client.hears_event("auth").await, json!({"token": "ok"}));
    id
}

async fn converse(client: &mut Client) {
    let words = json!(["¿Qué tal, ñandú? 🦙", {"nested": [1, null, true]}, "x".repeat(90_000)]);
    client.tell(&json!({"emit": "say", "arguments": words}));
    assert_eq!(client.hears_event("echo").await["arguments"], words);
    client.tell(&json!({"emit": "ask", "arguments": words, "ack": true}));
    assert_eq!(client.hears("ack").await["arguments"], words);
    for number in 0..50 {
        client.tell(&json!({"emit": "durable", "arguments": [number]}));
    }
    for number in 0..50 {
        assert_eq!(client.hears_event("durable").await, number);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_polling_client_is_served_by_every_node_in_turn() {
    for count in [2, 3] {
        let nodes = Nodes::start(count, in_turn, Settings::default()).await;
        let mut client = nodes.client(r#"["polling"]"#);
        arrive(&mut client).await;
        converse(&mut client).await;
        client.tell(&json!({"do": "disconnect"}));
        assert_eq!(nodes.edges[0].disconnected().await.as_str(), "client namespace disconnect");
        assert!(nodes.proxy.requests().iter().all(|&requests| requests > 3), "{:?}", nodes.proxy.requests());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_moves_to_a_websocket_of_another_node() {
    let nodes = Nodes::start(3, websockets_elsewhere, Settings::default()).await;
    let mut client = nodes.client(r#"["polling","websocket"]"#);
    arrive(&mut client).await;
    assert_eq!(client.hears("upgrade").await["transport"], "websocket");
    converse(&mut client).await;
    assert_eq!(nodes.proxy.requests()[2], 1, "the WebSocket");
    client.tell(&json!({"do": "disconnect"}));
    assert_eq!(nodes.edges[0].disconnected().await.as_str(), "client namespace disconnect");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_owner_says_at_the_end_reaches_a_client_on_another_node() {
    for transports in [r#"["polling"]"#, r#"["polling","websocket"]"#] {
        let nodes = Nodes::start(3, websockets_elsewhere, Settings::default()).await;
        let mut client = nodes.client(transports);
        let first = arrive(&mut client).await;
        if transports.contains("websocket") {
            client.hears("upgrade").await;
        }
        client.tell(&json!({"emit": "drain", "arguments": []}));
        assert_eq!(client.hears("disconnect").await["reason"], "transport close", "{transports}");
        assert_ne!(arrive(&mut client).await, first, "{transports}");
        client.tell(&json!({"emit": "kick", "arguments": []}));
        assert_eq!(client.hears("disconnect").await["reason"], "io server disconnect", "{transports}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_owner_dies_its_clients_come_back_elsewhere() {
    for transports in [r#"["polling"]"#, r#"["polling","websocket"]"#] {
        let mut nodes = Nodes::start(3, websockets_elsewhere, Settings::default()).await;
        let mut client = nodes.client(transports);
        arrive(&mut client).await;
        if transports.contains("websocket") {
            client.hears("upgrade").await;
        }
        nodes.edges[0].die().await;
        nodes.proxy.cut(0);
        // No wait for a heartbeat of 45 s: the others know that the process is gone.
        client.hears("disconnect").await;
        arrive(&mut client).await;
        converse(&mut client).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn when_the_owners_connection_is_jolted_the_websockets_lent_to_it_are_closed_before_any_heartbeat() {
    let nodes = Nodes::start(3, websockets_elsewhere, Settings::default()).await;
    let mut client = nodes.client(r#"["polling","websocket"]"#);
    let first = arrive(&mut client).await;
    client.hears("upgrade").await;
    converse(&mut client).await;
    // After one question and its answer nothing is on the way that would tell the nodes of it.
    client.tell(&json!({"emit": "ask", "arguments": [1], "ack": true}));
    assert_eq!(client.hears("ack").await["arguments"], json!([1]));
    nodes.jolt().await;
    assert_eq!(nodes.edges[0].disconnected().await.as_str(), "transport close");
    let told =
        timeout(NOTICED, client.hears("disconnect")).await.expect("the client says nothing, yet is told");
    assert_eq!(told["reason"], "transport close");
    assert_ne!(arrive(&mut client).await, first);
    converse(&mut client).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_whose_owner_knows_nothing_of_it_ends_before_any_heartbeat_and_others_go_on() {
    let nodes = Nodes::start(1, in_turn, Settings::default()).await;
    let owner = NodeToken::new("owner");
    let broker = NatsConfig { url: nodes.nats.url(), ..NatsConfig::default() };
    let bus = Bus::connect("owner", &broker).await.unwrap();
    let subject = subject::edge_engineio(&owner).as_str().to_owned();
    let mut inbox = bus.client().subscribe(subject).await.unwrap();
    bus.barrier().await.unwrap();
    let publish = async |subject: async_nats::Subject, payload: Vec<u8>| {
        bus.client().publish(subject, payload.into()).await.unwrap();
    };
    let owns = async {
        let (mut kept, mut looks) = (None, 0);
        while let Some(message) = inbox.next().await {
            let forward = Forward::decode(message.payload).unwrap();
            let (Some(What::Request(request)), Some(reply)) = (forward.what, message.reply) else { continue };
            let ForwardRequest { id, session_id, node, held, .. } = request.clone();
            let done = ForwardAnswer { outcome: ForwardOutcome::Done.into(), payload: "2".to_owned() };
            match request.kind() {
                // As if the request, or its answer, had been lost.
                ForwardKind::Poll if session_id.starts_with("lost") => {}
                ForwardKind::Poll => kept = Some((id, reply)),
                _ => {
                    looks += 1;
                    let (kept_id, kept_reply) = kept.clone().unwrap();
                    let ids = held.into_iter().filter(|id| *id != kept_id).collect();
                    let forgotten = Forgotten { node: owner.to_string(), ids };
                    let forward = Forward { what: Some(What::Forgotten(forgotten)) };
                    let asker = subject::edge_engineio(&NodeToken::new(&node));
                    publish(asker.as_str().into(), forward.encode_to_vec()).await;
                    publish(reply, done.encode_to_vec()).await;
                    if looks == 2 {
                        publish(kept_reply, done.encode_to_vec()).await;
                    }
                }
            }
        }
    };
    let (lost, kept) = (format!("{POLLING}&sid=lost.owner"), format!("{POLLING}&sid=kept.owner"));
    let gets = async {
        let kept = nodes.get(0, &kept);
        let lost = async { timeout(NOTICED, nodes.get(0, &lost)).await.expect("it is noticed") };
        tokio::join!(lost, kept)
    };
    let (lost, kept) = tokio::select! {
        answers = gets => answers,
        () = owns => panic!("the owner goes on"),
    };
    assert_eq!(lost, (400, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned()));
    assert_eq!(kept, (200, "2".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_that_hangs_at_its_owner_is_left_alone_by_the_looks() {
    let settings = Settings { ping_interval: Duration::from_secs(5), ..Settings::default() };
    let nodes = Nodes::start(2, in_turn, settings).await;
    let sid = nodes.join().await;
    // Longer than two looks.
    assert_eq!(nodes.get(1, &format!("{POLLING}&sid={sid}")).await, (200, "2".to_owned()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_stops_sends_the_clients_away_whose_websockets_it_lent() {
    let nodes = Nodes::start(3, websockets_elsewhere, Settings::default()).await;
    let mut client = nodes.client(r#"["polling","websocket"]"#);
    arrive(&mut client).await;
    client.hears("upgrade").await;
    // What comes over the WebSocket is answered once the session has moved to it.
    converse(&mut client).await;
    nodes.edges[2].stop.cancel();
    timeout(DEADLINE, nodes.edges[2].server.ended()).await.expect("the lent WebSocket is closed");
    assert_eq!(client.hears("disconnect").await["reason"], "transport close");
    assert_eq!(nodes.edges[0].disconnected().await.as_str(), "transport close");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_get_cancelled_at_another_node_ends_the_session() {
    let nodes = Nodes::start(2, in_turn, Settings::default()).await;
    let sid = nodes.join().await;
    let query = format!("{POLLING}&sid={sid}");
    let hanging = timeout(Duration::from_millis(50), nodes.get(1, &query));
    assert!(hanging.await.is_err(), "nothing to say, so the request hangs");
    assert_eq!(nodes.edges[0].disconnected().await.as_str(), "transport close");
    let unknown = (400, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned());
    assert_eq!(nodes.get(1, &query).await, unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_session_of_a_dead_node_is_unknown_and_so_is_that_of_one_that_never_was() {
    let mut nodes = Nodes::start(2, in_turn, Settings::default()).await;
    let sid = nodes.join().await;
    nodes.edges[0].die().await;
    let unknown = (400, r#"{"code":1,"message":"Session ID unknown"}"#.to_owned());
    for sid in [sid.as_str(), "abc.never-was", "abc.*", "abc.>", "abc.a%20b", "abc."] {
        assert_eq!(nodes.get(1, &format!("{POLLING}&sid={sid}")).await, unknown, "{sid}");
        assert_eq!(nodes.post(1, sid, "40").await, unknown, "{sid}");
        let url = format!("{}/socket.io/?EIO=4&transport=websocket&sid={sid}", nodes.edges[1].url());
        assert!(connect_async(url.replace("http", "ws")).await.is_err(), "{sid}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_too_large_is_refused_before_it_is_forwarded_and_garbage_after() {
    let nodes = Nodes::start(2, in_turn, Settings { max_payload_bytes: 10, ..Settings::default() }).await;
    let sid = nodes.join().await;
    assert_eq!(nodes.post(1, &sid, "4567890123456").await.0, 413);
    assert_eq!(nodes.post(1, &sid, "abc").await.0, 400);
    assert_eq!(nodes.edges[0].disconnected().await.as_str(), "parse error");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_does_not_read_a_lent_websocket_is_closed_in_bounded_time() {
    let settings = Settings { write_timeout: Duration::from_millis(300), ..Settings::default() };
    let nodes = Nodes::start(2, in_turn, settings).await;
    let sid = nodes.join().await;
    let url = format!("{}/socket.io/?EIO=4&transport=websocket&sid={sid}", nodes.edges[1].url());
    let (mut socket, _) = connect_async(url.replace("http", "ws")).await.unwrap();
    say(&mut socket, "2probe").await;
    assert_eq!(text(&mut socket).await, "3probe");
    say(&mut socket, "5").await;
    say(&mut socket, r#"42["flood"]"#).await;
    nodes.edges[0].until(|seen| matches!(seen, Seen::Overflow(_)).then_some(())).await;
    let DisconnectReason::Ended(_) = nodes.edges[0].disconnected().await else { panic!("it was closed") };
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_websocket_keeps_the_owners_close_code() {
    let nodes = Nodes::start(2, in_turn, Settings::default()).await;
    for (frame, code) in [(r#"42["drain"]"#, 4000), (r#"42["kick"]"#, 4500), ("abc", 4502)] {
        let sid = nodes.join().await;
        let url = format!("{}/socket.io/?EIO=4&transport=websocket&sid={sid}", nodes.edges[1].url());
        let (mut socket, _) = connect_async(url.replace("http", "ws")).await.unwrap();
        say(&mut socket, "2probe").await;
        assert_eq!(text(&mut socket).await, "3probe");
        say(&mut socket, "5").await;
        say(&mut socket, frame).await;
        assert_eq!(close_code(&mut socket).await, Some(code), "{frame}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_answer_can_hold_waits_for_the_next_get() {
    let settings = Settings { outbox_bytes_max: 4 * 1024 * 1024, ..Settings::default() };
    let nodes = Nodes::start(2, in_turn, settings).await;
    let sid = nodes.join().await;
    // 30 echoes of 60 KB each: more than the broker takes in one message.
    let url = format!("{}/socket.io/?{POLLING}&sid={sid}", nodes.edges[1].url());
    for number in 0..30 {
        let body = format!(r#"42["say",{number},"{}"]"#, "x".repeat(60_000));
        let posted = reqwest::Client::new().post(&url).body(body).send().await.unwrap();
        assert_eq!(posted.status(), 200);
    }
    let mut numbers = Vec::new();
    while numbers.len() < 30 {
        let (status, answer) = nodes.get(1, &format!("{POLLING}&sid={sid}")).await;
        assert_eq!(status, 200);
        assert!(answer.len() <= 512 * 1024, "{} bytes", answer.len());
        for packet in answer.split('\x1e').filter_map(|packet| packet.strip_prefix("42")) {
            let (_, echo): (String, Value) = serde_json::from_str(packet).unwrap();
            numbers.push(echo["arguments"][0].as_u64().unwrap());
        }
    }
    assert_eq!(numbers, (0..30).collect::<Vec<_>>());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_a_lent_websocket_leaves_the_session() {
    let nodes = Nodes::start(2, in_turn, Settings::default()).await;
    let sid = nodes.join().await;
    let url = format!("{}/socket.io/?EIO=4&transport=websocket&sid={sid}", nodes.edges[1].url());
    let (mut socket, _) = connect_async(url.replace("http", "ws")).await.unwrap();
    say(&mut socket, "2probe").await;
    assert_eq!(text(&mut socket).await, "3probe");
    say(&mut socket, "5").await;
    say(&mut socket, r#"42["say",1]"#).await;
    assert!(text(&mut socket).await.contains("echo"));
    let (mut second, _) = connect_async(url.replace("http", "ws")).await.unwrap();
    assert_eq!(close_code(&mut second).await, Some(1000), "there is no second upgrade");
    drop(socket);
    assert_eq!(nodes.edges[0].disconnected().await.as_str(), "transport close");
}
