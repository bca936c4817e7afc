use std::sync::{Arc, Mutex};

use chasqui_testkit::wait_for;
use futures::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinHandle;
use tokio_tungstenite::{connect_async, tungstenite::Message};

use super::{Cluster, DEADLINE};

/// The first close code that tells a client not to come back.
const STAY_AWAY_FROM: u16 = 4500;
/// What a client without a close frame saw of the end.
const NO_CODE: u16 = 1006;

/// What a front end on a native WebSocket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    Crm,
    Chat,
}

/// A front end on a native WebSocket that behaves: it comes back, to the next edge, with cursor and session, unless the
/// close code or the story tells it to stay away.
pub(crate) struct Native {
    seen: Arc<Mutex<Seen>>,
    says: UnboundedSender<String>,
    life: JoinHandle<()>,
}

/// What it was sent, over all its connections.
#[derive(Default)]
struct Seen {
    frames: Vec<Value>,
    /// How its connections ended, in order.
    closes: Vec<u16>,
    /// How often it was let in.
    greetings: usize,
    /// How often it brought a cursor and was told to reload.
    reloads: usize,
    /// The edge it is live at; none while it is away.
    edge: Option<usize>,
    /// It does not come back any more.
    stays_away: bool,
}

impl Native {
    /// Opens it at one edge; returns when it is live.
    pub(crate) async fn open(cluster: &Cluster, edge: usize, dialect: Dialect, token: &str) -> Self {
        let front_end = Self::begin(cluster, edge, dialect, token);
        wait_for(DEADLINE, "the front end is let in", async || front_end.edge().map(drop)).await;
        front_end
    }

    /// Opens it at one edge, whatever becomes of it.
    pub(crate) fn begin(cluster: &Cluster, edge: usize, dialect: Dialect, token: &str) -> Self {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (says, said) = mpsc::unbounded_channel();
        let life = Life {
            edges: cluster.edges.iter().map(|edge| format!("ws://{}", edge.address())).collect(),
            edge,
            dialect,
            token: token.to_owned(),
            seen: seen.clone(),
            cursor: None,
            session: None,
        };
        Self { seen, says, life: tokio::spawn(life.run(said)) }
    }

    /// When its connection ends, it stays away.
    pub(crate) fn is_the_last_time(&self) {
        self.seen.lock().unwrap().stays_away = true;
    }

    /// Sends a frame.
    pub(crate) fn says(&self, frame: &Value) {
        self.says_text(frame.to_string());
    }

    /// Sends what may be no frame.
    pub(crate) fn says_text(&self, text: String) {
        // After it stayed away nobody listens.
        let _ = self.says.send(text);
    }

    /// The edge it is live at.
    pub(crate) fn edge(&self) -> Option<usize> {
        self.seen.lock().unwrap().edge
    }

    /// How its connections ended.
    pub(crate) fn closes(&self) -> Vec<u16> {
        self.seen.lock().unwrap().closes.clone()
    }

    /// How often it was let in, and how often it was told to reload although it brought a cursor.
    pub(crate) fn greetings(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        (seen.greetings, seen.reloads)
    }

    /// Waits until it is live at another edge than `edge`.
    pub(crate) async fn is_live_away_from(&self, edge: usize) {
        wait_for(DEADLINE, "the front end is live elsewhere", async || {
            self.edge().filter(|live| *live != edge).map(drop)
        })
        .await;
    }

    /// Waits until its connection has ended for good; how.
    pub(crate) async fn ends(&self) -> u16 {
        wait_for(DEADLINE, "the front end stays away", async || {
            let seen = self.seen.lock().unwrap();
            seen.closes.last().copied().filter(|_| seen.stays_away)
        })
        .await
    }

    /// Waits for a frame in which `wanted` finds something, among all there ever were.
    pub(crate) async fn sees<T>(&self, claim: &str, wanted: impl Fn(&Value) -> Option<T>) -> T {
        let mut looked_at = 0;
        wait_for(DEADLINE, claim, async || {
            let seen = self.seen.lock().unwrap();
            let found = seen.frames[looked_at..].iter().find_map(&wanted);
            looked_at = seen.frames.len();
            found
        })
        .await
    }

    /// Every frame there was of a name.
    pub(crate) fn frames(&self, name: &str) -> Vec<Value> {
        let seen = self.seen.lock().unwrap();
        seen.frames.iter().filter(|frame| name_of(frame) == name).cloned().collect()
    }

    /// Every frame there was.
    pub(crate) fn everything(&self) -> Vec<Value> {
        self.seen.lock().unwrap().frames.clone()
    }

    /// Waits for a message with this text; the texts of all messages there were, in order.
    pub(crate) async fn texts_until(&self, last: &str) -> Vec<String> {
        let is_last = |frame: &Value| text_of(frame).filter(|text| *text == last).map(drop);
        self.sees(&format!("a front end shows {last:?}"), is_last).await;
        let seen = self.seen.lock().unwrap();
        seen.frames.iter().filter_map(text_of).map(str::to_owned).collect()
    }
}

impl Drop for Native {
    fn drop(&mut self) {
        self.life.abort();
    }
}

/// The name of a frame, in both dialects.
pub(crate) fn name_of(frame: &Value) -> &str {
    frame["type"].as_str().or(frame["event"].as_str()).unwrap_or_default()
}

/// The text of a message: a frame that shows one, and shows it as the first one of its dialect.
fn text_of(frame: &Value) -> Option<&str> {
    match (frame["type"].as_str(), frame["event"].as_str()) {
        (Some("new_message"), _) => frame["data"]["message"]["text_content"].as_str(),
        (_, Some("chat_message")) => frame["message"].as_str(),
        _ => None,
    }
}

/// The front end's own life.
struct Life {
    edges: Vec<String>,
    edge: usize,
    dialect: Dialect,
    token: String,
    seen: Arc<Mutex<Seen>>,
    /// Epoch and position of the last frame.
    cursor: Option<(String, u64)>,
    session: Option<String>,
}

impl Life {
    async fn run(mut self, mut said: UnboundedReceiver<String>) {
        loop {
            // A dead edge refuses at once, and the next one gets its turn.
            if let Some(code) = self.connect(&mut said).await {
                let mut seen = self.seen.lock().unwrap();
                seen.edge = None;
                seen.closes.push(code);
                seen.stays_away |= code >= STAY_AWAY_FROM;
                if seen.stays_away {
                    return;
                }
            }
            self.edge = (self.edge + 1) % self.edges.len();
        }
    }

    fn url(&self) -> String {
        let path = match self.dialect {
            Dialect::Crm => "/ws?dialect=crm",
            Dialect::Chat => "/ws?dialect=chat",
        };
        let since = self.cursor.as_ref().map(|(epoch, seq)| format!("&since={epoch}.{seq}"));
        let session = self.session.as_ref().map(|session| format!("&session={session}"));
        let (since, session) = (since.unwrap_or_default(), session.unwrap_or_default());
        format!("{}{path}&token={}{since}{session}", self.edges[self.edge], self.token)
    }

    /// How the connection ended; nothing when there was none.
    async fn connect(&mut self, said: &mut UnboundedReceiver<String>) -> Option<u16> {
        let (mut socket, _) = connect_async(self.url()).await.ok()?;
        loop {
            tokio::select! {
                message = socket.next() => match message {
                    Some(Ok(Message::Text(text))) => self.take(serde_json::from_str(&text).unwrap()),
                    Some(Ok(Message::Close(Some(frame)))) => return Some(frame.code.into()),
                    Some(Ok(Message::Close(None)) | Err(_)) | None => return Some(NO_CODE),
                    Some(Ok(_)) => {}
                },
                Some(text) = said.recv() => {
                    // A connection that breaks is seen by the other branch.
                    let _ = socket.send(Message::text(text)).await;
                }
            }
        }
    }

    fn take(&mut self, frame: Value) {
        let greeting = match name_of(&frame) {
            "connected" => Some(&frame["data"]),
            "active_chats" => Some(&frame),
            _ => None,
        };
        let mut seen = self.seen.lock().unwrap();
        if let Some(greeting) = greeting {
            seen.greetings += 1;
            seen.reloads += usize::from(self.cursor.is_some() && greeting["recovered"] != json!(true));
            seen.edge = Some(self.edge);
            self.session = greeting["session"].as_str().map(str::to_owned);
            let epoch = greeting["epoch"].as_str().expect("a greeting has an epoch").to_owned();
            self.cursor = Some((epoch, greeting["seq"].as_u64().expect("a greeting has a position")));
        } else if let (Some(cursor), Some(seq)) = (&mut self.cursor, frame["seq"].as_u64()) {
            cursor.1 = cursor.1.max(seq);
        }
        seen.frames.push(frame);
    }
}
