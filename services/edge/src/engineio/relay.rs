//! A WebSocket of this node whose session lives on another one: everything is handed on, both ways.

use std::time::Duration;

use chasqui_websocket::WebSocket;
use tokio::select;
use tokio_util::sync::CancellationToken;

use super::bridge::{Bridge, Carried, Goodbye};
use super::websocket;
use crate::close::CloseCode;

/// Hands on until one side closes or this node stops; returning means that the WebSocket is closed.
pub(super) async fn run(mut socket: WebSocket, bridge: Bridge, limit: Duration, stop: CancellationToken) {
    let goodbye = select! {
        goodbye = hand_on(&mut socket, bridge, limit) => goodbye,
        () = stop.cancelled() => Some(CloseCode::GOING_AWAY.into()),
    };
    websocket::close(&mut socket, goodbye).await;
    websocket::linger(socket).await;
}

/// Returns what the client is to be told; dropping the bridge tells the session.
async fn hand_on(socket: &mut WebSocket, mut bridge: Bridge, limit: Duration) -> Option<Goodbye> {
    // While the session takes no more, the socket is not read further: TCP slows the client down. What the session
    // says goes on meanwhile, or both could wait for each other.
    let mut unsent = None;
    loop {
        select! {
            carried = bridge.incoming.recv() => match carried {
                Some(Carried::Frames(mut frames)) => {
                    if let Err(reason) = websocket::write(socket, &mut frames, limit).await {
                        return reason.close_code().map(Into::into);
                    }
                }
                Some(Carried::Closed(goodbye)) => return goodbye,
                // The owner is gone, or the way to it: the client comes back, and is recovered elsewhere.
                None => return Some(CloseCode::GOING_AWAY.into()),
            },
            permit = bridge.outgoing.reserve(), if unsent.is_some() => match permit {
                Ok(permit) => permit.send(Carried::Frames(unsent.take().into_iter().collect())),
                Err(_) => return Some(CloseCode::GOING_AWAY.into()),
            },
            frame = websocket::read(socket), if unsent.is_none() => match frame {
                Ok(frame) => unsent = frame,
                Err(reason) => return reason.close_code().map(Into::into),
            },
        }
    }
}
