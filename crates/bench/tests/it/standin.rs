//! A deployment in one process: takes messages, shows them at its sockets, and errs where it is told to.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::{
        Path, Query, State,
        ws::{Message, WebSocket, WebSocketUpgrade},
    },
    http::{HeaderMap, StatusCode},
    response::Response,
    routing::{get, post},
};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::broadcast, task::JoinSet};

/// What the stand-in does wrong with one message in every ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    /// It shows it at no socket.
    Loses,
    /// It shows it twice.
    Doubles,
    /// It leaves it out of the history.
    Forgets,
    /// It refuses it.
    Refuses,
    /// It does not show it to clients that come back.
    ForgetsReturners,
}

pub(crate) struct StandIn {
    pub(crate) url: String,
    _running: JoinSet<()>,
}

type Shown = (usize, String, String);

struct Shared {
    fault: Fault,
    /// Texts by phone, in order.
    history: Mutex<HashMap<String, Vec<String>>>,
    /// Phone and text of each message, in order.
    log: Mutex<Vec<(String, String)>>,
    /// The same with its position, as it is shown.
    shown: broadcast::Sender<Shown>,
}

impl StandIn {
    pub(crate) async fn start(fault: Fault) -> Self {
        let shared = Arc::new(Shared {
            fault,
            history: Mutex::default(),
            log: Mutex::default(),
            shown: broadcast::channel(10_000).0,
        });
        let routes = Router::new()
            .route("/webhooks/whatsapp", post(webhook))
            .route("/api/bot-reply", post(bot_reply))
            .route("/api/conversations/{phone}/messages", get(messages))
            .route("/readyz", get(async || "ready"))
            .route("/ws", get(crm))
            .route("/socket.io/", get(widget))
            .with_state(shared);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut running = JoinSet::new();
        running.spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { url, _running: running }
    }
}

async fn webhook(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Json<Value>) -> StatusCode {
    if !headers.contains_key("x-hub-signature-256") {
        return StatusCode::UNAUTHORIZED;
    }
    let message = &body["entry"][0]["changes"][0]["value"]["messages"][0];
    shared.take(string(&message["from"]), string(&message["text"]["body"]))
}

async fn bot_reply(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Json<Value>) -> StatusCode {
    if headers.get("x-api-key").is_none_or(|key| key != "key") {
        return StatusCode::UNAUTHORIZED;
    }
    shared.take(string(&body["targetUserWhatsAppNumber"]), string(&body["messageText"]))
}

impl Shared {
    fn take(&self, phone: &str, text: &str) -> StatusCode {
        // The text is "[bench RUN NUMBER]…": every tenth number ends in a 7.
        let errs = |fault| self.fault == fault && text.split(']').next().unwrap().ends_with('7');
        if errs(Fault::Refuses) {
            return StatusCode::SERVICE_UNAVAILABLE;
        }
        if !errs(Fault::Forgets) {
            self.history.lock().unwrap().entry(phone.to_owned()).or_default().push(text.to_owned());
        }
        let copies = if errs(Fault::Loses) { 0 } else { 1 + usize::from(errs(Fault::Doubles)) };
        let mut log = self.log.lock().unwrap();
        log.push((phone.to_owned(), text.to_owned()));
        for _ in 0..copies {
            let _ = self.shown.send((log.len(), phone.to_owned(), text.to_owned()));
        }
        StatusCode::OK
    }

    /// What a client has missed, its position after that, and what comes from then on.
    fn since(&self, since: Option<usize>) -> (Vec<Shown>, usize, broadcast::Receiver<Shown>) {
        let log = self.log.lock().unwrap();
        let (seq, forgets) = (since.unwrap_or(log.len()), self.fault == Fault::ForgetsReturners);
        let missed =
            (1..).zip(log.iter()).skip(seq).map(|(seq, (phone, text))| (seq, phone.clone(), text.clone()));
        let missed = missed.filter(|(seq, ..)| !(forgets && seq % 10 == 0)).collect();
        (missed, seq, self.shown.subscribe())
    }
}

/// Pages of 100, newest first; the cursor is where the page begins.
async fn messages(
    State(shared): State<Arc<Shared>>,
    Path(phone): Path<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Result<Json<Value>, StatusCode> {
    let history = shared.history.lock().unwrap();
    let texts = history.get(&phone).ok_or(StatusCode::NOT_FOUND)?;
    let begin = query.get("cursor").map_or(0, |cursor| cursor.trim_start_matches('+').parse().unwrap());
    let page: Vec<Value> =
        texts.iter().rev().skip(begin).take(100).map(|text| json!({ "text_content": text })).collect();
    let next = (begin + 100 < texts.len()).then(|| format!("+{}", begin + 100));
    Ok(Json(json!({ "messages": page, "next": next })))
}

async fn crm(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let (missed, seq, mut shown) = shared.since(query.get("since").map(|since| since.parse().unwrap()));
    let recovered = query.contains_key("since");
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        let greeting = json!({ "epoch": "e", "seq": seq, "recovered": recovered });
        say(&mut socket, json!({ "type": "connected", "data": greeting, "seq": seq }).to_string()).await;
        let mut missed = missed.into_iter();
        loop {
            let next = match missed.next() {
                Some(next) => next,
                None => match shown.recv().await {
                    Ok(next) => next,
                    Err(_) => return,
                },
            };
            let (seq, _, text) = next;
            let message = json!({ "text_content": text });
            // Quotes the message, and is no delivery of it.
            let update = json!({ "type": "conversation_updated", "data": { "conversation": { "last_message": message } } });
            say(&mut socket, update.to_string()).await;
            let new = json!({ "type": "new_message", "data": { "message": message }, "seq": seq });
            if !say(&mut socket, new.to_string()).await {
                return;
            }
        }
    })
}

async fn widget(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<HashMap<String, String>>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let phone = query["userPhone"].clone();
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        say(&mut socket, r#"0{"sid":"a","upgrades":[],"pingInterval":25000,"pingTimeout":20000}"#.to_owned())
            .await;
        // The first ping may come before the client has joined, and must be answered.
        say(&mut socket, "2".to_owned()).await;
        let connect = heard(&mut socket).await;
        assert_eq!(heard(&mut socket).await, "3");
        let auth: Value = serde_json::from_str(connect.strip_prefix("40").unwrap()).unwrap_or_default();
        let since = auth["since"]["seq"].as_u64().map(|seq| usize::try_from(seq).unwrap());
        let (missed, seq, mut shown) = shared.since(since);
        say(&mut socket, r#"40{"sid":"b"}"#.to_owned()).await;
        say(&mut socket, "2".to_owned()).await;
        assert_eq!(heard(&mut socket).await, "3");
        let session = json!(["session", { "epoch": "e", "seq": seq, "recovered": since.is_some() }]);
        say(&mut socket, format!("42{session}")).await;
        let mut missed = missed.into_iter();
        loop {
            let next = match missed.next() {
                Some(next) => next,
                None => match shown.recv().await {
                    Ok(next) => next,
                    Err(_) => return,
                },
            };
            let (seq, to, text) = next;
            let reply = json!(["bot-response", { "text": text, "sender": "bot", "seq": seq }]);
            if to == phone && !say(&mut socket, format!("42{reply}")).await {
                return;
            }
        }
    })
}

/// False once the client has left.
async fn say(socket: &mut WebSocket, text: String) -> bool {
    socket.send(Message::text(text)).await.is_ok()
}

async fn heard(socket: &mut WebSocket) -> String {
    socket.recv().await.unwrap().unwrap().into_text().unwrap().to_string()
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap()
}
