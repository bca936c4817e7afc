//! The WebSocket transport.

use std::time::Duration;

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures::SinkExt as _;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use super::conversation::EndReason;
use super::packet::Packet;
use super::transport::Inbound;
use crate::close::CloseCode;
use crate::outbox::Frame;

/// Kept for every open socket; a larger message grows it for a moment. The library's default of 128 KiB would be most
/// of an idle socket.
const READ_BUFFER_BYTES: usize = 1024;

/// Frames of a batch are joined up to here before they are written to the socket.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;

/// Time to write a close frame, and then again to see the client's answer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The upgrade with our bounds.
pub(super) fn bounded(upgrade: WebSocketUpgrade, max_payload_bytes: usize) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_frame_size(max_payload_bytes)
        .max_message_size(max_payload_bytes)
}

pub(super) async fn next(socket: &mut WebSocket) -> Inbound {
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => {
            Packet::parse(text).map_or(Inbound::Ended(EndReason::ParseError), Inbound::Packet)
        }
        Some(Ok(Message::Binary(bytes))) => Inbound::Packet(Packet::Binary(bytes)),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Inbound::Nothing,
        Some(Ok(Message::Close(_))) | None => Inbound::Ended(EndReason::TransportClosed),
        Some(Err(error)) => Inbound::Ended(blame(error)),
    }
}

pub(super) async fn write(
    socket: &mut WebSocket,
    frames: &mut Vec<Frame>,
    limit: Duration,
) -> Result<(), EndReason> {
    let written = timeout(limit, async {
        for frame in frames.drain(..) {
            socket.feed(frame.into()).await?;
        }
        socket.flush().await
    });
    match written.await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(EndReason::TransportClosed),
        Err(_) => Err(EndReason::WriteTimeout),
    }
}

/// Writes the close frame, if there is one to write. A socket that does not take it is left to be dropped.
pub(super) async fn close(socket: &mut WebSocket, code: Option<CloseCode>) {
    if let Some(CloseCode { code, reason }) = code {
        let frame = Message::Close(Some(CloseFrame { code, reason: reason.into() }));
        let _ = timeout(CLOSE_TIMEOUT, socket.send(frame)).await;
    }
}

/// Reads until the client has answered the close. A socket dropped with unread bytes would be reset, and the reset
/// could overtake the close frame.
pub(super) async fn linger(mut socket: WebSocket) {
    let _ = timeout(CLOSE_TIMEOUT, async { while let Some(Ok(_)) = socket.recv().await {} }).await;
}

fn blame(error: Error) -> EndReason {
    match error.into_inner().downcast_ref::<tungstenite::Error>() {
        Some(tungstenite::Error::Capacity(_)) => EndReason::TooLarge,
        Some(tungstenite::Error::Utf8(_)) => EndReason::ParseError,
        Some(tungstenite::Error::Protocol(error)) => match error {
            tungstenite::error::ProtocolError::ResetWithoutClosingHandshake => EndReason::TransportClosed,
            _ => EndReason::ParseError,
        },
        _ => EndReason::TransportClosed,
    }
}
