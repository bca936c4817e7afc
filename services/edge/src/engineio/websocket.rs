//! The WebSocket transport.

use std::time::Duration;

use axum::Error;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use futures::SinkExt as _;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite;

use super::bridge::Goodbye;
use super::conversation::EndReason;
use crate::outbox::Frame;

/// Kept for every open socket; a larger message grows it for a moment. The library's default of 128 KiB would be most
/// of an idle socket.
const READ_BUFFER_BYTES: usize = 1024;

/// Frames of a batch are joined up to here before they are written to the socket.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;

/// Time to write a close frame, and then again to see the client's answer.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The upgrade with our bounds.
pub(super) fn bounded(upgrade: WebSocketUpgrade, max_payload_bytes: usize) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(WRITE_BUFFER_BYTES)
        .max_frame_size(max_payload_bytes)
        .max_message_size(max_payload_bytes)
}

/// The next frame; `None` for a ping or a pong. Dropping the future loses nothing.
pub(super) async fn read(socket: &mut WebSocket) -> Result<Option<Frame>, EndReason> {
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => Ok(Some(Frame::Text(text))),
        Some(Ok(Message::Binary(bytes))) => Ok(Some(Frame::Binary(bytes))),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) | None => Err(EndReason::TransportClosed),
        Some(Err(error)) => Err(blame(error)),
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
pub(super) async fn close(socket: &mut WebSocket, goodbye: Option<Goodbye>) {
    if let Some(Goodbye { code, reason }) = goodbye {
        let frame = Message::Close(Some(CloseFrame { code, reason }));
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
