//! The upgrade of a polling session to a WebSocket: `2probe`, `3probe`, `5`, then the session takes the socket over.

use std::time::Duration;

use axum::extract::ws::{Message, Utf8Bytes, WebSocket};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::packet;
use super::polling::Request;

/// Probes `socket` and hands it to the session behind `requests`; drops it when the client does something else or is
/// not through within `limit`.
pub(super) async fn run(mut socket: WebSocket, requests: mpsc::Sender<Request>, limit: Duration) {
    if let Ok(Some(hand_over)) = timeout(limit, probe(&mut socket, &requests)).await {
        // The session may have ended meanwhile; dropping the socket tells the client.
        let _ = hand_over.send(socket);
    }
}

async fn probe(
    socket: &mut WebSocket,
    requests: &mpsc::Sender<Request>,
) -> Option<oneshot::Sender<WebSocket>> {
    expect(socket, packet::PROBE_PING).await?;
    let (hand_over, upgraded) = oneshot::channel();
    requests.send(Request::Upgrade(upgraded)).await.ok()?;
    socket.send(Message::Text(Utf8Bytes::from_static(packet::PROBE_PONG))).await.ok()?;
    expect(socket, packet::UPGRADE).await?;
    Some(hand_over)
}

async fn expect(socket: &mut WebSocket, packet: &str) -> Option<()> {
    loop {
        match socket.recv().await?.ok()? {
            Message::Text(text) => return (text == packet).then_some(()),
            Message::Ping(_) | Message::Pong(_) => {}
            Message::Binary(_) | Message::Close(_) => return None,
        }
    }
}
