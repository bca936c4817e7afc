use std::sync::{Arc, Mutex};

use chasqui_testkit::wait_for;
use futures::{SinkExt, StreamExt, stream::SplitStream};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async, tungstenite::Message};

use super::{Cluster, DEADLINE, Texts};

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// A member of staff with a console that behaves: it connects again, to the next edge, with the cursor of the last
/// frame it saw.
pub(crate) struct Staff {
    seen: Arc<Mutex<Seen>>,
    says: UnboundedSender<Value>,
    console: JoinHandle<()>,
}

/// What the console was sent, over all its connections.
#[derive(Default)]
struct Seen {
    frames: Vec<Value>,
    connections: usize,
    /// The name of the node it is live at; none while it is away.
    node: Option<String>,
    /// Connections that brought a cursor and were told to reload.
    reloads: usize,
}

/// A message as a console shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shown {
    pub(crate) phone: String,
    pub(crate) id: String,
    pub(crate) kind: String,
    pub(crate) text: String,
    pub(crate) seq: u64,
}

impl Staff {
    /// Opens a console at one edge; returns when it is live.
    pub(crate) async fn open(cluster: &Cluster, edge: usize) -> Self {
        let mut edges: Vec<String> =
            cluster.edges.iter().map(|edge| format!("ws://{}/ws", edge.address())).collect();
        edges.rotate_left(edge);
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (says, said) = mpsc::unbounded_channel();
        let console =
            Console { edges, token: cluster.token.clone(), seen: seen.clone(), cursor: Value::Null };
        let staff = Self { seen, says, console: tokio::spawn(console.run(said)) };
        staff.is_live_away_from("").await;
        staff
    }

    /// How often it has connected.
    pub(crate) fn connections(&self) -> usize {
        self.seen.lock().unwrap().connections
    }

    /// Waits until it is live at another node than `node`.
    pub(crate) async fn is_live_away_from(&self, node: &str) {
        wait_for(DEADLINE, "the console is live elsewhere", async || {
            self.seen.lock().unwrap().node.as_deref().filter(|live| *live != node).map(drop)
        })
        .await;
    }

    /// Sends a frame.
    pub(crate) fn says(&self, frame: Value) {
        self.says.send(frame).unwrap();
    }

    /// Waits for a frame in which `wanted` finds something, among all there ever were.
    pub(crate) async fn sees<T>(&self, claim: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        wait_for(DEADLINE, claim, async || self.seen.lock().unwrap().frames.iter().find_map(&wanted)).await
    }

    /// Waits for a message with this text; every message shown up to then, in order.
    ///
    /// # Panics
    /// When positions do not grow from frame to frame, or it was told to reload.
    pub(crate) async fn messages_until(&self, last: &str) -> Vec<Shown> {
        let is_last = |frame: &Value| Shown::of(frame).filter(|shown| shown.text == last);
        self.sees(&format!("a console shows {last:?}"), is_last).await;
        let seen = self.seen.lock().unwrap();
        assert_eq!(seen.reloads, 0, "a console was told to reload");
        let shown: Vec<Shown> = seen.frames.iter().filter_map(Shown::of).collect();
        for pair in shown.windows(2) {
            assert!(pair[0].seq < pair[1].seq, "twice or out of order: {pair:?}");
        }
        shown
    }

    /// Waits for `last` and says what was shown of the contacts in `texts`.
    pub(crate) async fn texts_until(&self, last: &str, contacts: &Texts) -> Texts {
        let mut texts: Texts = contacts.keys().map(|phone| (phone.clone(), Vec::new())).collect();
        for shown in self.messages_until(last).await {
            if let Some(texts) = texts.get_mut(&shown.phone) {
                texts.push(shown.text);
            }
        }
        texts
    }

    /// Every frame there was of a type.
    pub(crate) fn frames(&self, kind: &str) -> Vec<Value> {
        self.seen.lock().unwrap().frames.iter().filter(|frame| frame["type"] == kind).cloned().collect()
    }
}

impl Drop for Staff {
    fn drop(&mut self) {
        self.console.abort();
    }
}

impl Shown {
    fn of(frame: &Value) -> Option<Self> {
        if frame["type"] != "new_message" {
            return None;
        }
        let message = &frame["data"]["message"];
        let text = |name: &str| message[name].as_str().unwrap_or_default().to_owned();
        let phone = text("external_id").split('@').next().unwrap_or_default().to_owned();
        let seq = frame["seq"].as_u64().expect("a message has a position");
        Some(Self { phone, id: text("id"), kind: text("message_type"), text: text("text_content"), seq })
    }
}

/// The console's own life.
struct Console {
    edges: Vec<String>,
    token: String,
    seen: Arc<Mutex<Seen>>,
    /// `{epoch, seq}` of the last frame.
    cursor: Value,
}

impl Console {
    async fn run(mut self, mut said: UnboundedReceiver<Value>) {
        loop {
            // A dead edge refuses at once, and the next one gets its turn.
            if let Ok((socket, _)) = connect_async(&self.edges[0]).await {
                self.follow(socket, &mut said).await;
                self.seen.lock().unwrap().node = None;
            }
            self.edges.rotate_left(1);
        }
    }

    async fn follow(&mut self, socket: Socket, said: &mut UnboundedReceiver<Value>) {
        let (mut writer, mut reader) = socket.split();
        let connect = json!({ "type": "connect", "data": { "token": self.token, "since": self.cursor } });
        let _ = writer.send(Message::text(connect.to_string())).await;
        loop {
            tokio::select! {
                frame = next_frame(&mut reader) => match frame {
                    Some(frame) => self.take(frame),
                    None => return,
                },
                Some(frame) = said.recv() => {
                    let _ = writer.send(Message::text(frame.to_string())).await;
                }
            }
        }
    }

    fn take(&mut self, frame: Value) {
        let mut seen = self.seen.lock().unwrap();
        if frame["type"] == "connected" {
            seen.connections += 1;
            seen.node = frame["data"]["node"].as_str().map(str::to_owned);
            let resumes = !self.cursor.is_null();
            seen.reloads += usize::from(resumes && frame["data"]["recovered"] != true);
            self.cursor = json!({ "epoch": frame["data"]["epoch"] });
        }
        if frame["seq"].is_u64() && self.cursor.is_object() {
            self.cursor["seq"] = frame["seq"].clone();
        }
        seen.frames.push(frame);
    }
}

/// The next JSON frame; `None` when the connection has ended.
async fn next_frame(reader: &mut SplitStream<Socket>) -> Option<Value> {
    loop {
        match reader.next().await?.ok()? {
            Message::Text(text) => return serde_json::from_str(&text).ok(),
            Message::Close(_) => return None,
            _ => {}
        }
    }
}
