use std::time::Duration;

use bytes::Bytes;
use chasqui_websocket::{Error, Frame, Message, Violation, WebSocket};
use futures::{SinkExt, StreamExt};
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{self, protocol::CloseFrame};

use crate::client::{Client, frame};
use crate::server::{BYTES_MAX, PATIENCE, Server, heard, within};

/// The error that ends a conversation.
async fn failure(socket: &mut WebSocket) -> Error {
    within(socket.recv()).await.expect("an error is told").expect_err("the client broke the protocol")
}

#[tokio::test]
async fn an_independent_client_is_understood_and_understands() {
    for mut server in [Server::start().await, Server::start_wrapped().await] {
        let (mut client, _) = connect_async(format!("ws://{}/", server.address)).await.unwrap();
        let mut socket = server.socket().await;

        let long = "ñandú ".repeat(10_000);
        client.send(long.as_str().into()).await.unwrap();
        client.send(Bytes::from_static(&[0, 255]).into()).await.unwrap();
        client.send(tungstenite::Message::Ping(Bytes::from_static(b"?"))).await.unwrap();
        assert_eq!(heard(&mut socket).await, Message::Text(long.as_str().into()));
        assert_eq!(heard(&mut socket).await, Message::Binary(Bytes::from_static(&[0, 255])));
        assert_eq!(heard(&mut socket).await, Message::Ping(Bytes::from_static(b"?")));

        let mut frames = vec![Frame::text(long.clone()), Frame::binary(vec![0, 255]), Frame::ping("!")];
        within(socket.write(&mut frames)).await.unwrap();
        assert!(frames.is_empty());
        let expected = [
            tungstenite::Message::Pong(Bytes::from_static(b"?")),
            long.into(),
            Bytes::from_static(&[0, 255]).into(),
            tungstenite::Message::Ping(Bytes::from_static(b"!")),
        ];
        for expected in expected {
            assert_eq!(within(client.next()).await.unwrap().unwrap(), expected);
        }

        client.flush().await.unwrap();
        assert_eq!(heard(&mut socket).await, Message::Pong(Bytes::from_static(b"!")));

        let bye = CloseFrame { code: 4001.into(), reason: "bye".into() };
        client.close(Some(bye)).await.unwrap();
        assert_eq!(heard(&mut socket).await, Message::Close(Some((4001, "bye".to_owned()))));
        assert!(within(socket.recv()).await.is_none());
        assert!(matches!(socket.send("late").await, Err(Error::Closed)));
        let answer = within(client.next()).await.unwrap().unwrap();
        assert!(matches!(answer, tungstenite::Message::Close(Some(close)) if u16::from(close.code) == 4001));
    }
}

#[tokio::test]
async fn the_client_sees_why_we_close_even_while_it_talks() {
    let mut server = Server::start().await;
    let (mut client, _) = Client::open(server.address, "").await;
    let mut socket = server.socket().await;
    client.say(&frame(0x81, b"unread")).await;
    socket.close(4008, "too slow").await.unwrap();
    let seeing_off = tokio::spawn(socket.linger(PATIENCE));
    assert_eq!(client.hear().await, (0x88, b"\x0f\xa8too slow".to_vec()));
    client.say(&frame(0x81, b"still talking")).await;
    assert!(!seeing_off.is_finished());
    client.say(&frame(0x88, b"\x0f\xa8")).await;
    client.hear_the_end().await;
    within(seeing_off).await.unwrap();
}

/// What a client says, the close code for it, and whether an error is the right one.
type Case = (Vec<u8>, u16, fn(&Error) -> bool);

#[tokio::test]
async fn what_is_wrong_is_told_apart() {
    let cases: [Case; 4] = [
        (frame(0xc1, b"x"), 1002, |error| matches!(error, Error::Protocol(Violation::ReservedBit))),
        (vec![0x81, 0x01, b'x'], 1002, |error| matches!(error, Error::Protocol(Violation::NotMasked))),
        (frame(0x81, b"\xff"), 1007, |error| matches!(error, Error::NotUtf8)),
        (vec![0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0], 1009, |error| {
            matches!(error, Error::TooLarge { bytes_max: BYTES_MAX })
        }),
    ];
    for (mut wrong, code, is_it) in cases {
        let mut server = Server::start().await;
        let (mut client, _) = Client::open(server.address, "").await;
        let mut socket = server.socket().await;
        // More than is read at once, so that some of it is still unread when the server hangs up.
        wrong.resize(150_000, 0);
        client.say(&wrong).await;
        let error = failure(&mut socket).await;
        assert!(is_it(&error), "{error:?}");
        assert_eq!(error.close_code(), Some(code));
        assert!(within(socket.recv()).await.is_none(), "nothing comes after an error");
        socket.close(code, &error.to_string()).await.unwrap();
        let seeing_off = tokio::spawn(socket.linger(PATIENCE));
        let (first, payload) = client.hear().await;
        assert_eq!((first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        client.hear_the_end().await;
        drop(client);
        within(seeing_off).await.unwrap();
    }
}

#[tokio::test]
async fn a_client_that_leaves_without_a_word_is_told_apart_from_one_that_closes() {
    let mut server = Server::start().await;
    let (client, _) = Client::open(server.address, "").await;
    let mut socket = server.socket().await;
    drop(client);
    assert!(matches!(failure(&mut socket).await, Error::Ended));
    assert!(within(socket.recv()).await.is_none());
}

#[tokio::test]
async fn a_client_that_never_answers_the_close_is_not_waited_for() {
    let mut server = Server::start().await;
    let (mut client, _) = Client::open(server.address, "").await;
    let mut socket = server.socket().await;
    socket.close(1001, "going away").await.unwrap();
    within(socket.linger(Duration::from_millis(50))).await;
    assert_eq!(client.hear().await.0, 0x88);
    client.hear_the_end().await;
}
