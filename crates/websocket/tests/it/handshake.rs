use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::client::{Client, VERSION, frame, handshake};
use crate::server::{Server, heard};

#[tokio::test]
async fn another_version_is_told_the_right_one() {
    let server = Server::start().await;
    let request = handshake("Sec-WebSocket-Version: 8\r\n");
    let answer = Client::say_first(server.address, request.as_bytes()).await.answer().await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.contains("sec-websocket-version: 13\r\n"), "{answer}");
}

#[tokio::test]
async fn a_plain_request_is_told_that_this_is_a_websocket() {
    let server = Server::start().await;
    let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let answer = Client::say_first(server.address, request).await.answer().await;
    assert!(answer.starts_with("HTTP/1.1 426 "), "{answer}");
    assert!(answer.contains("upgrade: websocket\r\n"), "{answer}");
}

#[tokio::test]
async fn only_a_known_subprotocol_is_answered() {
    let server = Server::start().await;
    let answered = async |offered: &str| {
        let mut request = format!("ws://{}/", server.address).into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", offered.parse().unwrap());
        let (_socket, response) = connect_async(request).await?;
        Ok::<_, tokio_tungstenite::tungstenite::Error>(
            response.headers().get("sec-websocket-protocol").cloned(),
        )
    };
    assert_eq!(answered("secret, other, chasqui").await.unwrap().unwrap(), "chasqui");
    assert_eq!(answered("other").await.unwrap().unwrap(), "other");
    let (_, answer) = Client::open(server.address, "Sec-WebSocket-Protocol: secret\r\n").await;
    assert!(!answer.contains("secret") && !answer.contains("protocol"), "{answer}");
}

#[tokio::test]
async fn frames_right_behind_the_handshake_are_not_lost() {
    for mut server in [Server::start().await, Server::start_wrapped().await] {
        let early = [handshake(VERSION).as_bytes(), &frame(0x81, b"one"), &frame(0x81, b"two")].concat();
        let _client = Client::say_first(server.address, &early).await;
        let mut socket = server.socket().await;
        for expected in ["one", "two"] {
            assert_eq!(heard(&mut socket).await, chasqui_websocket::Message::Text(expected.into()));
        }
    }
}
