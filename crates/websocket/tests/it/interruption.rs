use chasqui_websocket::{Frame, Message};
use futures::FutureExt;

use crate::client::{Client, frame};
use crate::server::{Server, heard, within};

/// More than the kernel takes for a client that does not read.
const MANY_BYTES: usize = 64 * 1024 * 1024;
const FRAME_BYTES: usize = 256 * 1024;

#[tokio::test]
async fn a_receive_that_is_dropped_loses_nothing() {
    let mut server = Server::start().await;
    let (mut client, _) = Client::open(server.address, "").await;
    let mut socket = server.socket().await;
    let wire = [frame(0x01, b"wie"), frame(0x80, b"der"), frame(0x81, b"noch")].concat();
    for byte in wire {
        // Polled once and dropped, with whatever part of a frame is there.
        if let Some(received) = socket.recv().now_or_never() {
            assert_eq!(received.unwrap().unwrap(), Message::Text("wieder".into()));
            client.say(&[byte]).await;
            continue;
        }
        client.say(&[byte]).await;
    }
    let mut last = heard(&mut socket).await;
    if last == Message::Text("wieder".into()) {
        last = heard(&mut socket).await;
    }
    assert_eq!(last, Message::Text("noch".into()));
}

#[tokio::test]
async fn a_write_that_is_dropped_goes_on_where_it_stopped() {
    let mut server = Server::start().await;
    let (mut client, _) = Client::open(server.address, "").await;
    let mut socket = server.socket().await;
    let count = MANY_BYTES / FRAME_BYTES;
    let mut frames: Vec<Frame> = (0..count)
        .map(|number| Frame::binary(vec![u8::try_from(number % 251).unwrap(); FRAME_BYTES]))
        .collect();
    assert!(socket.write(&mut frames).now_or_never().is_none(), "the client does not read");
    assert!(frames.is_empty());
    let mut late = vec![Frame::text("late")];
    assert!(socket.write(&mut late).now_or_never().is_none());
    assert_eq!(late.len(), 1, "not taken while the rest still waits");

    // Listening is enough to have the rest written, and a ping is answered in between.
    client.say(&frame(0x89, b"?")).await;
    assert_eq!(heard(&mut socket).await, Message::Ping("?".into()));
    let listening = tokio::spawn(async move {
        let closed = socket.recv().await;
        (socket, closed)
    });
    let mut heard = Vec::new();
    let mut has_pong = false;
    while heard.len() < count {
        match client.hear().await {
            (0x82, payload) => heard.push(payload),
            other => {
                assert_eq!(other, (0x8a, b"?".to_vec()));
                has_pong = true;
            }
        }
    }
    assert!(has_pong);
    for (number, payload) in heard.iter().enumerate() {
        assert_eq!(payload.len(), FRAME_BYTES);
        assert!(payload.iter().all(|byte| usize::from(*byte) == number % 251), "frame {number}");
    }
    client.say(&frame(0x81, b"thanks")).await;
    let (mut socket, thanks) = within(listening).await.unwrap();
    assert_eq!(thanks.unwrap().unwrap(), Message::Text("thanks".into()));
    within(socket.write(&mut late)).await.unwrap();
    assert_eq!(client.hear().await, (0x81, b"late".to_vec()));
}
