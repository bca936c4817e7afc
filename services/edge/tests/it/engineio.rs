//! Engine.IO v4 on the wire: handshake, polling, heartbeat, upgrade, limits.

use std::time::Duration;

use chasqui_edge::engineio::{Origins, Settings};
use futures::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::echo::{DEADLINE, EchoServer};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

fn impatient() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        ..Settings::default()
    }
}

fn endpoint(server: &EchoServer, query: &str) -> String {
    format!("{}/socket.io/?{query}", server.url())
}

async fn get(server: &EchoServer, query: &str) -> (u16, String) {
    let response = reqwest::get(endpoint(server, query)).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

/// Whether the server has the session that opened with this packet.
pub(crate) async fn knows(server: &EchoServer, open: &str) -> bool {
    let handshake: Value = serde_json::from_str(open.strip_prefix('0').unwrap()).unwrap();
    let (_, refusal) = get(server, &polling(handshake["sid"].as_str().unwrap())).await;
    !refusal.contains("Session ID unknown")
}

async fn post(server: &EchoServer, sid: &str, body: impl Into<reqwest::Body>) -> (u16, String) {
    let url = endpoint(server, &polling(sid));
    let response = reqwest::Client::new().post(url).body(body).send().await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

fn polling(sid: &str) -> String {
    format!("EIO=4&transport=polling&sid={sid}")
}

async fn open_polling(server: &EchoServer) -> String {
    let (status, body) = get(server, "EIO=4&transport=polling").await;
    assert_eq!(status, 200);
    let handshake: Value = serde_json::from_str(body.strip_prefix('0').unwrap()).unwrap();
    handshake["sid"].as_str().unwrap().to_owned()
}

/// A polling session that has joined the root namespace and read all that comes of it.
async fn join_polling(server: &EchoServer) -> String {
    let sid = open_polling(server).await;
    assert_eq!(post(server, &sid, "40").await, (200, "ok".into()));
    let joined = get(server, &polling(&sid)).await.1;
    assert!(joined.starts_with("40{"), "{joined}");
    if !joined.contains("auth") {
        assert_eq!(get(server, &polling(&sid)).await.1, r#"42["auth",{}]"#);
    }
    sid
}

pub(crate) async fn open_websocket(server: &EchoServer, query: &str) -> Socket {
    let url = endpoint(server, query).replace("http", "ws");
    connect_async(url).await.expect("the upgrade is accepted").0
}

pub(crate) async fn text(socket: &mut Socket) -> String {
    loop {
        let message = timeout(DEADLINE, socket.next()).await.expect("a frame comes in time");
        if let Message::Text(text) = message.expect("the socket is open").unwrap() {
            return text.to_string();
        }
    }
}

pub(crate) async fn say(socket: &mut Socket, text: impl Into<String>) {
    socket.send(Message::text(text.into())).await.unwrap();
}

/// The code of the close frame; `None` if the connection ends without one.
pub(crate) async fn close_code(socket: &mut Socket) -> Option<u16> {
    loop {
        match timeout(DEADLINE, socket.next()).await.expect("the socket is closed in time") {
            Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return None,
        }
    }
}

#[tokio::test]
async fn refusals_look_as_those_of_the_node_server() {
    let server = EchoServer::start(Settings::default()).await;
    for (query, expected) in [
        ("EIO=4", r#"{"code":0,"message":"Transport unknown"}"#),
        ("EIO=4&transport=abc", r#"{"code":0,"message":"Transport unknown"}"#),
        ("EIO=4&transport=polling&sid=unknown", r#"{"code":1,"message":"Session ID unknown"}"#),
        ("EIO=4&transport=websocket", r#"{"code":3,"message":"Bad request"}"#),
        ("EIO=3&transport=polling", r#"{"code":5,"message":"Unsupported protocol version"}"#),
        ("transport=polling", r#"{"code":5,"message":"Unsupported protocol version"}"#),
    ] {
        assert_eq!(get(&server, query).await, (400, expected.into()), "{query}");
    }
    let bad_method = (400, r#"{"code":2,"message":"Bad handshake method"}"#.into());
    assert_eq!(post(&server, "", "").await, bad_method);
}

#[tokio::test]
async fn the_handshake_tells_the_settings() {
    let server = EchoServer::start(Settings::default()).await;
    let (_, body) = get(&server, "EIO=4&transport=polling").await;
    let handshake: Value = serde_json::from_str(&body[1..]).unwrap();
    assert_eq!(handshake["upgrades"], serde_json::json!(["websocket"]));
    assert_eq!(handshake["pingInterval"], 25_000);
    assert_eq!(handshake["pingTimeout"], 20_000);
    assert_eq!(handshake["maxPayload"], 100_000);
    let mut socket = open_websocket(&server, "EIO=4&transport=websocket").await;
    assert!(text(&mut socket).await.contains(r#""upgrades":[]"#));
}

#[tokio::test]
async fn a_polling_client_is_heard_and_answered() {
    let server = EchoServer::start(Settings::default()).await;
    let sid = join_polling(&server).await;
    assert_eq!(post(&server, &sid, "42[\"a\",1]\x1e42[\"b\",2]").await.0, 200);
    let mut answers = String::new();
    while answers.matches("echo").count() < 2 {
        answers += &get(&server, &polling(&sid)).await.1;
    }
    assert!(answers.contains(r#""arguments":[1]"#) && answers.contains(r#""arguments":[2]"#), "{answers}");
}

#[tokio::test]
async fn a_second_get_ends_the_session() {
    let server = EchoServer::start(Settings::default()).await;
    let sid = open_polling(&server).await;
    let query = polling(&sid);
    let (first, second) = tokio::join!(get(&server, &query), get(&server, &query));
    let mut answers = [first, second];
    answers.sort();
    assert_eq!(answers[0], (200, "1".into()));
    assert_eq!(answers[1].0, 400);
    assert_eq!(get(&server, &query).await.0, 400);
}

#[tokio::test]
async fn a_cancelled_get_ends_the_session() {
    let server = EchoServer::start(Settings::default()).await;
    let sid = join_polling(&server).await;
    let query = polling(&sid);
    let hanging = timeout(Duration::from_millis(500), get(&server, &query));
    assert!(hanging.await.is_err(), "nothing to say, so the request hangs");
    assert_eq!(server.disconnected().await.as_str(), "transport close");
}

#[tokio::test]
async fn a_close_packet_ends_the_session_and_frees_the_hanging_get() {
    let server = EchoServer::start(Settings::default()).await;
    let sid = join_polling(&server).await;
    let query = polling(&sid);
    let (hanging, closed) = tokio::join!(get(&server, &query), async {
        post(&server, &sid, "6").await;
        post(&server, &sid, "1").await
    });
    assert_eq!(hanging.1, "6");
    assert_eq!(closed, (200, "ok".into()));
    assert_eq!(get(&server, &query).await.0, 400);
}

#[tokio::test]
async fn a_close_packet_closes_a_websocket_at_once() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = open_websocket(&server, "EIO=4&transport=websocket").await;
    text(&mut socket).await;
    say(&mut socket, "1").await;
    let closed = timeout(Duration::from_secs(1), close_code(&mut socket));
    assert_eq!(closed.await, Ok(Some(1000)));
}

#[tokio::test]
async fn garbage_ends_the_session() {
    let server = EchoServer::start(Settings::default()).await;
    let sid = join_polling(&server).await;
    assert_eq!(post(&server, &sid, "abc").await.0, 400);
    assert_eq!(server.disconnected().await.as_str(), "parse error");
    let mut socket = open_websocket(&server, "EIO=4&transport=websocket").await;
    say(&mut socket, "abc").await;
    assert_eq!(close_code(&mut socket).await, Some(4502));
}

#[tokio::test]
async fn too_much_at_once_is_refused() {
    let server = EchoServer::start(Settings { max_payload_bytes: 1_000, ..Settings::default() }).await;
    let sid = open_polling(&server).await;
    assert_eq!(post(&server, &sid, "4".repeat(1_001)).await.0, 413);
    let mut socket = open_websocket(&server, "EIO=4&transport=websocket").await;
    say(&mut socket, "4".repeat(1_001)).await;
    assert_eq!(close_code(&mut socket).await, Some(4503));
}

#[tokio::test]
async fn too_many_sessions_are_refused() {
    let server = EchoServer::start(Settings { sessions_max: 1, ..Settings::default() }).await;
    open_polling(&server).await;
    assert_eq!(get(&server, "EIO=4&transport=polling").await.0, 503);
}

#[tokio::test]
async fn a_client_that_answers_pings_stays() {
    // It asks again only once it was answered.
    let ping_interval = impatient().ping_interval;
    let server = EchoServer::start(Settings { ping_interval, ..Settings::default() }).await;
    let mut socket = open_websocket(&server, "EIO=4&transport=websocket").await;
    text(&mut socket).await;
    for _ in 0..3 {
        assert_eq!(text(&mut socket).await, "2");
        say(&mut socket, "3").await;
    }
    let sid = open_polling(&server).await;
    for _ in 0..3 {
        assert_eq!(get(&server, &polling(&sid)).await, (200, "2".into()));
        assert_eq!(post(&server, &sid, "3").await.0, 200);
    }
}

#[tokio::test]
async fn a_silent_client_is_closed() {
    let server = EchoServer::start(impatient()).await;
    let sid = join_polling(&server).await;
    assert_eq!(server.disconnected().await.as_str(), "ping timeout");
    assert_eq!(get(&server, &polling(&sid)).await.0, 400);
    let mut socket = open_websocket(&server, "EIO=4&transport=websocket").await;
    assert_eq!(close_code(&mut socket).await, Some(4002));
}

#[tokio::test]
async fn polling_moves_to_a_websocket_and_nothing_is_lost() {
    let server = EchoServer::start(Settings::default()).await;
    let sid = join_polling(&server).await;
    let upgrade = format!("EIO=4&transport=websocket&sid={sid}");
    let mut socket = open_websocket(&server, &upgrade).await;
    say(&mut socket, "2probe").await;
    assert_eq!(text(&mut socket).await, "3probe");
    assert_eq!(get(&server, &polling(&sid)).await, (200, "6".into()), "the hanging GET is freed");
    post(&server, &sid, "42[\"before\",1]").await;
    say(&mut socket, "5").await;
    assert!(text(&mut socket).await.contains(r#""arguments":[1]"#));
    say(&mut socket, "42[\"after\",2]").await;
    assert!(text(&mut socket).await.contains(r#""arguments":[2]"#));

    assert_eq!(get(&server, &polling(&sid)).await.0, 400, "polling is over");
    let mut second = open_websocket(&server, &upgrade).await;
    assert_eq!(close_code(&mut second).await, Some(1000), "there is no second upgrade");
    say(&mut socket, "42[\"still\",3]").await;
    assert!(text(&mut socket).await.contains(r#""arguments":[3]"#));
}

#[tokio::test]
async fn an_abandoned_upgrade_leaves_the_polling_session_as_it_was() {
    let server = EchoServer::start(Settings::default()).await;
    let sid = join_polling(&server).await;
    let mut socket = open_websocket(&server, &format!("EIO=4&transport=websocket&sid={sid}")).await;
    say(&mut socket, "2probe").await;
    assert_eq!(text(&mut socket).await, "3probe");
    drop(socket);
    post(&server, &sid, "42[\"a\",1]").await;
    let mut answer = get(&server, &polling(&sid)).await.1;
    if answer == "6" {
        answer = get(&server, &polling(&sid)).await.1;
    }
    assert!(answer.contains("echo"), "{answer}");
}

#[tokio::test]
async fn web_pages_of_other_origins_are_kept_out_if_so_set() {
    let ours = HeaderValue::from_static("https://app.example.org");
    let anyone = EchoServer::start(Settings::default()).await;
    let restricted = Settings { origins: Origins::Only(vec![ours.clone()]), ..Settings::default() };
    let restricted = EchoServer::start(restricted).await;
    for (server, origin, allowed) in [
        (&anyone, "https://else.example.org", Some("*")),
        (&restricted, "https://app.example.org", Some("https://app.example.org")),
        (&restricted, "https://else.example.org", None),
    ] {
        let url = endpoint(server, "EIO=4&transport=polling");
        let request = reqwest::Client::new().get(url).header("origin", origin);
        let response = request.send().await.unwrap();
        let header = response.headers().get("access-control-allow-origin");
        assert_eq!(header.map(|value| value.to_str().unwrap()), allowed, "{origin}");
    }
}

#[tokio::test]
async fn a_stopped_server_closes_its_sessions_and_takes_no_more() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = open_websocket(&server, "EIO=4&transport=websocket").await;
    let sid = join_polling(&server).await;
    let query = polling(&sid);
    let (hanging, ()) = tokio::join!(get(&server, &query), async { server.stop.cancel() });
    assert_eq!(hanging.1, "1");
    assert_eq!(close_code(&mut socket).await, Some(4000));
    drop(socket);
    timeout(DEADLINE, server.server.ended()).await.expect("every session ends");
    assert_eq!(get(&server, "EIO=4&transport=polling").await.0, 503);
}
