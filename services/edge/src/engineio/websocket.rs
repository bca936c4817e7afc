//! The WebSocket transport.

use std::time::Duration;

use axum::response::Response;
use chasqui_websocket::{Error, Limits, Message, Text, Upgrade, WebSocket};
use tokio::time::timeout;

use super::bridge::Goodbye;
use super::conversation::EndReason;
use crate::outbox::Frame;

/// Time to write a close frame, and then again to see the client's answer.
pub(super) const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

/// The WebSocket close code that says no more than that it is over (RFC 6455, section 7.4.1).
const NORMAL_CLOSURE: u16 = 1000;

/// The upgrade with our bounds.
pub(super) fn bounded(upgrade: Upgrade, max_payload_bytes: usize) -> Upgrade {
    upgrade.limits(Limits::of(max_payload_bytes))
}

/// Accepts a WebSocket that its session does not want, and closes it. The Node.js implementation does so too: a client
/// may have given up its upgrade and begun another.
pub(super) fn turn_away(upgrade: Upgrade) -> Response {
    upgrade.on_upgrade(|mut socket| async move {
        close(&mut socket, None).await;
        linger(socket).await;
    })
}

/// The next frame; `None` for a ping or a pong. Dropping the future loses nothing.
pub(super) async fn read(socket: &mut WebSocket) -> Result<Option<Frame>, EndReason> {
    match socket.recv().await {
        Some(Ok(Message::Text(text))) => Ok(Some(Frame::text(text))),
        Some(Ok(Message::Binary(bytes))) => Ok(Some(Frame::binary(bytes))),
        Some(Ok(Message::Ping(_) | Message::Pong(_))) => Ok(None),
        Some(Ok(Message::Close(_))) | None => Err(EndReason::TransportClosed),
        Some(Err(error)) => Err(blame(&error)),
    }
}

pub(super) async fn write(
    socket: &mut WebSocket,
    frames: &mut Vec<Frame>,
    limit: Duration,
) -> Result<(), EndReason> {
    match timeout(limit, socket.write(frames)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) => Err(EndReason::TransportClosed),
        Err(_) => Err(EndReason::WriteTimeout),
    }
}

/// Writes the close frame: with the normal code where there is nothing else to say. A socket that does not take it is
/// left to be dropped.
pub(super) async fn close(socket: &mut WebSocket, goodbye: Option<Goodbye>) {
    let Goodbye { code, reason } = goodbye.unwrap_or(Goodbye { code: NORMAL_CLOSURE, reason: Text::new() });
    let _ = timeout(CLOSE_TIMEOUT, socket.close(code, &reason)).await;
}

/// Waits until the client has answered the close.
pub(super) async fn linger(socket: WebSocket) {
    socket.linger(CLOSE_TIMEOUT).await;
}

fn blame(error: &Error) -> EndReason {
    match error {
        Error::TooLarge { .. } | Error::InflatesTooLarge { .. } => EndReason::TooLarge,
        Error::NotUtf8 | Error::NotDeflate | Error::Protocol(_) => EndReason::ParseError,
        Error::Ended | Error::Closed | Error::Io(_) => EndReason::TransportClosed,
    }
}
