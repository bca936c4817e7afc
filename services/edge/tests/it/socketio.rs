//! Socket.IO v5 on the wire, over a WebSocket.

use std::time::Duration;

use chasqui_edge::engineio::{EndReason, Settings};
use chasqui_edge::outbox::PushError;
use chasqui_edge::socketio::DisconnectReason;
use chasqui_testkit::wait_for;
use futures::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;

use crate::echo::{DEADLINE, EchoServer, Seen};
use crate::engineio::{close_code, knows, open_websocket, say, text};

const WEBSOCKET: &str = "EIO=4&transport=websocket";

macro_rules! join {
    ($server:expr, $query:expr) => {{
        let mut socket = open_websocket($server, &format!("{WEBSOCKET}&{}", $query)).await;
        assert!(text(&mut socket).await.starts_with('0'));
        say(&mut socket, "40").await;
        assert!(text(&mut socket).await.starts_with("40{\"sid\":"));
        assert_eq!(text(&mut socket).await, r#"42["auth",{}]"#);
        socket
    }};
}

#[tokio::test]
async fn namespaces_are_joined_left_and_refused() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = join!(&server, "");
    say(&mut socket, r#"40/custom,{"token":"abc"}"#).await;
    let connected = text(&mut socket).await;
    let payload: Value = serde_json::from_str(connected.strip_prefix("40/custom,").unwrap()).unwrap();
    assert!(payload["sid"].is_string());
    assert_eq!(text(&mut socket).await, r#"42/custom,["auth",{"token":"abc"}]"#);
    say(&mut socket, "40/random").await;
    assert_eq!(text(&mut socket).await, r#"44/random,{"message":"Invalid namespace"}"#);
    say(&mut socket, "41/custom").await;
    assert_eq!(server.disconnected().await.as_str(), "client namespace disconnect");
    say(&mut socket, r#"42["a",1]"#).await;
    assert!(text(&mut socket).await.starts_with(r#"42["echo","#), "the root namespace is still joined");
}

#[tokio::test]
async fn binary_arguments_are_put_together() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = join!(&server, "");
    say(&mut socket, r#"452-["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#).await;
    socket.send(Message::binary(vec![1, 2])).await.unwrap();
    socket.send(Message::binary(vec![3])).await.unwrap();
    assert!(text(&mut socket).await.contains(r#""attachments":2"#));
}

#[tokio::test]
async fn an_answer_may_carry_binary_arguments() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = join!(&server, "");
    say(&mut socket, r#"451-9["ask",{"_placeholder":true,"num":0}]"#).await;
    socket.send(Message::binary(vec![1, 2])).await.unwrap();
    assert_eq!(text(&mut socket).await, r#"461-9[{"_placeholder":true,"num":0}]"#);
    let attachment =
        timeout(DEADLINE, socket.next()).await.expect("the attachment follows").unwrap().unwrap();
    assert_eq!(attachment, Message::binary(vec![1, 2]));
}

#[tokio::test]
async fn what_the_protocol_forbids_ends_the_connection() {
    for bad in ["4abc", "42{}", r#"42abc["a"]"#, "40", r#"42/custom,["a"]"#, r#"451-["a"]42"#, "2", ""] {
        let server = EchoServer::start(Settings::default()).await;
        let mut socket = join!(&server, "");
        say(&mut socket, bad).await;
        assert_eq!(close_code(&mut socket).await, Some(4502), "{bad:?}");
        assert_eq!(server.disconnected().await.as_str(), "parse error", "{bad:?}");
    }
}

#[tokio::test]
async fn a_client_that_never_joins_is_closed() {
    let settings = Settings { connect_timeout: Duration::from_millis(50), ..Settings::default() };
    let server = EchoServer::start(settings).await;
    let mut socket = open_websocket(&server, WEBSOCKET).await;
    assert_eq!(close_code(&mut socket).await, Some(4005));
}

#[tokio::test]
async fn the_pong_confirms_what_was_sent_before_it() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = join!(&server, "");
    say(&mut socket, r#"42["durable",1]"#).await;
    assert_eq!(text(&mut socket).await, r#"42["durable",1]"#);
    assert_eq!(text(&mut socket).await, "2", "a durable frame asks for a pong at once");
    say(&mut socket, r#"42["durable",2]"#).await;
    assert_eq!(text(&mut socket).await, r#"42["durable",2]"#);
    say(&mut socket, "3").await;
    assert_eq!(text(&mut socket).await, "2", "what was sent meanwhile is asked for after the pong");
    // Position 1 is the volatile greeting.
    let confirmed = |seen: &Seen| if let Seen::Confirmed(position) = seen { Some(*position) } else { None };
    assert_eq!(server.until(confirmed).await, 2);
    say(&mut socket, "3").await;
    assert_eq!(server.until(confirmed).await, 3);
}

#[tokio::test]
async fn a_client_that_leaves_while_it_connects_is_disconnected_exactly_once() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = open_websocket(&server, &format!("{WEBSOCKET}&wait=1")).await;
    let open = text(&mut socket).await;
    say(&mut socket, "40").await;
    assert_eq!(server.seen().await, Seen::Connecting);
    assert!(knows(&server, &open).await);
    drop(socket);
    let gone = async || (!knows(&server, &open).await).then_some(());
    wait_for(DEADLINE, "the server notices that the client left", gone).await;
    assert!(server.is_quiet().await, "the application is not called while its connect runs");
    server.open_gate();
    assert_eq!(server.seen().await, Seen::Connected(None));
    assert_eq!(server.disconnected().await.as_str(), "transport close");
    server.stop.cancel();
    server.server.ended().await;
    assert!(server.is_quiet().await);
}

#[tokio::test]
async fn a_client_that_waits_long_for_connect_keeps_its_heartbeat() {
    let settings = Settings {
        ping_interval: Duration::from_millis(100),
        ping_timeout: Duration::from_millis(100),
        ..Settings::default()
    };
    let server = EchoServer::start(settings).await;
    let mut socket = open_websocket(&server, &format!("{WEBSOCKET}&wait=1")).await;
    text(&mut socket).await;
    say(&mut socket, "40").await;
    for _ in 0..4 {
        assert_eq!(text(&mut socket).await, "2");
        say(&mut socket, "3").await;
    }
    server.open_gate();
    assert!(text(&mut socket).await.starts_with("40"));
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_in_bounded_time_and_memory() {
    let settings = Settings { write_timeout: Duration::from_millis(300), ..Settings::default() };
    let server = EchoServer::start(settings).await;
    let mut socket = join!(&server, "");
    say(&mut socket, r#"42["flood"]"#).await;
    let overflow = |seen: &Seen| if let Seen::Overflow(error) = seen { Some(*error) } else { None };
    assert_eq!(server.until(overflow).await, PushError::Overflow);
    assert_eq!(server.disconnected().await, DisconnectReason::Ended(EndReason::WriteTimeout));
}

#[tokio::test]
async fn a_panic_of_the_application_costs_one_client_its_connection_and_is_cleaned_up() {
    let server = EchoServer::start(Settings::default()).await;
    let mut socket = join!(&server, "");
    say(&mut socket, r#"42["panic"]"#).await;
    assert_eq!(close_code(&mut socket).await, Some(4004));
    assert_eq!(server.disconnected().await.as_str(), "server namespace disconnect");
}
