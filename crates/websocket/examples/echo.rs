//! Echoes every message, for the Autobahn suite. Argument: the port, default 9001.

use std::time::Duration;

use axum::{Router, response::Response, routing::get};
use chasqui_websocket::{Deflate, Frame, Limits, Message, Upgrade, WebSocket};

/// The largest message of the suite is 16 MiB.
const BYTES_MAX: usize = 16 * 1024 * 1024;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port = std::env::args().nth(1).unwrap_or_else(|| "9001".to_owned());
    let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
    axum::serve(listener, Router::new().route("/", get(open))).await
}

async fn open(upgrade: Upgrade) -> Response {
    let deflate = Deflate { payload_bytes_min: 1, ..Deflate::default() };
    upgrade.limits(Limits::of(BYTES_MAX)).compression(Some(deflate)).on_upgrade(echo)
}

async fn echo(mut socket: WebSocket) {
    while let Some(received) = socket.recv().await {
        let sent = match received {
            Ok(Message::Text(text)) => socket.send(Frame::text(text)).await,
            Ok(Message::Binary(bytes)) => socket.send(Frame::binary(bytes)).await,
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Close(_)) => Ok(()),
            Err(error) => match error.close_code() {
                Some(code) => socket.close(code, &error.to_string()).await,
                None => return,
            },
        };
        if sent.is_err() {
            return;
        }
    }
    socket.linger(Duration::from_secs(2)).await;
}
