use std::time::Duration;

use futures::{SinkExt, StreamExt};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{
    Answers,
    noise::{Garbage, Noise},
};
use crate::world::{DEADLINE, Dialect, http, name_of};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Packets of one Socket.IO connection; the first that is none ends it.
const PACKETS_A_CONNECTION: u64 = 8;
/// Packets of one polling body.
const PACKETS_A_BODY: u64 = 8;
/// Frames that are on the way at once.
const FRAMES_A_BATCH: u64 = 500;
/// What a client of dialect `crm` may say.
const CRM_TYPES: [&str; 7] =
    ["connect", "ping", "subscribe", "send_message", "mark_read", "typing", "refresh_token"];

/// A JSON WebSocket that many frames are pushed through.
pub(super) struct Pipe {
    dialect: Dialect,
    socket: Socket,
}

impl Pipe {
    pub(super) async fn open(address: &str, dialect: Dialect, token: &str) -> Self {
        let name = if dialect == Dialect::Crm { "crm" } else { "chat" };
        let url = format!("ws://{address}/ws?dialect={name}&token={token}");
        Self { dialect, socket: connect_async(url).await.unwrap().0 }
    }

    /// Sends so many frames, and counts what they are answered with.
    pub(super) async fn noise(mut self, frames: u64, mut noise: Noise) -> Answers {
        let mut answers = Answers::default();
        for batch in 0..frames / FRAMES_A_BATCH {
            let all: Vec<Garbage> = (0..FRAMES_A_BATCH).map(|_| noise.frame(self.dialect)).collect();
            answers.malformed += all.iter().filter(|garbage| self.is_malformed(garbage)).count() as u64;
            answers.answered += self.exchange(all, batch).await;
        }
        answers
    }

    /// Sends a batch and something that is certainly answered last; how often it was told that something was no frame.
    async fn exchange(&mut self, batch: Vec<Garbage>, number: u64) -> u64 {
        let (mut to_edge, mut from_edge) = (&mut self.socket).split();
        let end = format!("the end of {number}");
        let last = match self.dialect {
            Dialect::Crm => json!({ "type": end }),
            Dialect::Chat => json!({ "event": "agent_chat_message", "chat_id": "x", "message": "x",
                "client_id": { "no": "client id" } }),
        };
        let writes = async {
            for garbage in batch {
                let message = match garbage {
                    Garbage::Text(text) => Message::text(text),
                    Garbage::Bytes(bytes) => Message::binary(bytes),
                };
                to_edge.feed(message).await.expect("the connection stays open");
            }
            to_edge.send(Message::text(last.to_string())).await.expect("the connection stays open");
        };
        let reads = async {
            let mut told = 0;
            loop {
                let frame = timeout(DEADLINE, from_edge.next()).await.expect("frames are answered in time");
                let Message::Text(text) = frame.expect("it stays open").expect("it stays open") else {
                    continue;
                };
                let frame: Value = serde_json::from_str(&text).unwrap();
                if is_told_malformed(self.dialect, &frame, &end) {
                    told += 1;
                } else if is_end(self.dialect, &frame, &end) {
                    return told;
                }
            }
        };
        tokio::join!(writes, reads).1
    }

    /// Whether it is certainly no frame of the dialect.
    fn is_malformed(&self, garbage: &Garbage) -> bool {
        let Garbage::Text(text) = garbage else { return true };
        match (self.dialect, serde_json::from_str::<Value>(text)) {
            (_, Err(_)) => true,
            (Dialect::Chat, Ok(frame)) => !frame.is_object(),
            (Dialect::Crm, Ok(frame)) => {
                !frame["type"].as_str().is_some_and(|name| CRM_TYPES.contains(&name))
            }
        }
    }
}

/// Whether a frame says that another was none of its dialect.
fn is_told_malformed(dialect: Dialect, frame: &Value, end: &str) -> bool {
    if dialect == Dialect::Chat {
        return frame["error"] == "Error al procesar el mensaje";
    }
    let words = frame["data"]["message"].as_str().unwrap_or_default();
    let of_the_frame = ["a frame must", "type must", "frames must", "type \""];
    name_of(frame) == "error"
        && !words.contains(end)
        && of_the_frame.iter().any(|begin| words.contains(begin))
}

fn is_end(dialect: Dialect, frame: &Value, end: &str) -> bool {
    match dialect {
        Dialect::Crm => frame["data"]["message"].as_str().is_some_and(|words| words.contains(end)),
        Dialect::Chat => frame["error"]
            .as_str()
            .or(frame["message"].as_str())
            .is_some_and(|words| words.contains("client_id")),
    }
}

/// Sends packets over WebSockets of Socket.IO, on a new one whenever the last was ended for what it said.
pub(super) async fn socketio(address: &str, packets: u64, mut noise: Noise) {
    let url = format!("ws://{address}/socket.io/?EIO=4&transport=websocket");
    for _ in 0..packets / PACKETS_A_CONNECTION {
        let (mut socket, _) = connect_async(&url).await.unwrap();
        let _ = socket.feed(Message::text("40")).await;
        for _ in 0..PACKETS_A_CONNECTION {
            // It may be closed already.
            let _ = socket.feed(Message::text(noise.packet())).await;
        }
        // A last packet that is none: the server must end the connection, if it has not done so before.
        let _ = socket.send(Message::text("9")).await;
        let ends = async { while let Some(Ok(_)) = socket.next().await {} };
        timeout(DEADLINE, ends).await.expect("the connection is ended");
    }
}

/// Sends bodies of polling, each in a session of its own.
pub(super) async fn polling(address: &str, packets: u64, mut noise: Noise) {
    let (client, url) = (http(), format!("http://{address}/socket.io/?EIO=4&transport=polling"));
    for _ in 0..packets / PACKETS_A_BODY {
        let opened = client.get(&url).send().await.unwrap().text().await.unwrap();
        let opened: Value = serde_json::from_str(&opened[1..]).unwrap();
        let session = format!("{url}&sid={}", opened["sid"].as_str().unwrap());
        for body in ["40".to_owned(), noise.body(PACKETS_A_BODY), "9".to_owned()] {
            let answer = client.post(&session).body(body).send().await.unwrap();
            assert!([StatusCode::OK, StatusCode::BAD_REQUEST].contains(&answer.status()), "{answer:?}");
        }
    }
}

/// Asks for what is not there, as nobody.
pub(super) async fn queries(address: &str, requests: u64, mut noise: Noise) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(30)).build().unwrap();
    for _ in 0..requests {
        let url = format!("http://{address}{}", noise.query());
        let answer = client.get(&url).send().await.unwrap();
        assert!(!answer.status().is_server_error(), "{url}: {answer:?}");
    }
}
