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
}

pub(crate) struct StandIn {
    pub(crate) url: String,
    _running: JoinSet<()>,
}

struct Shared {
    fault: Fault,
    /// Texts by phone, in order.
    history: Mutex<HashMap<String, Vec<String>>>,
    /// Phone and text of each message, as it is shown.
    shown: broadcast::Sender<(String, String)>,
}

impl StandIn {
    pub(crate) async fn start(fault: Fault) -> Self {
        let shared =
            Arc::new(Shared { fault, history: Mutex::default(), shown: broadcast::channel(10_000).0 });
        let routes = Router::new()
            .route("/webhooks/whatsapp", post(webhook))
            .route("/api/bot-reply", post(bot_reply))
            .route("/api/conversations/{phone}/messages", get(messages))
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
        for _ in 0..copies {
            let _ = self.shown.send((phone.to_owned(), text.to_owned()));
        }
        StatusCode::OK
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

async fn crm(State(shared): State<Arc<Shared>>, upgrade: WebSocketUpgrade) -> Response {
    let mut shown = shared.shown.subscribe();
    upgrade.on_upgrade(async move |mut socket: WebSocket| {
        say(&mut socket, json!({ "type": "connected", "data": {}, "seq": 0 }).to_string()).await;
        while let Ok((_, text)) = shown.recv().await {
            let message = json!({ "text_content": text });
            // Quotes the message, and is no delivery of it.
            let update = json!({ "type": "conversation_updated", "data": { "conversation": { "last_message": message } } });
            say(&mut socket, update.to_string()).await;
            let new = json!({ "type": "new_message", "data": { "message": message }, "seq": 1 });
            say(&mut socket, new.to_string()).await;
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
        assert_eq!(heard(&mut socket).await, "40");
        assert_eq!(heard(&mut socket).await, "3");
        let mut shown = shared.shown.subscribe();
        say(&mut socket, r#"40{"sid":"b"}"#.to_owned()).await;
        say(&mut socket, "2".to_owned()).await;
        assert_eq!(heard(&mut socket).await, "3");
        while let Ok((to, text)) = shown.recv().await {
            if to == phone {
                let reply = json!(["bot-response", { "text": text, "sender": "bot" }]);
                say(&mut socket, format!("42{reply}")).await;
            }
        }
    })
}

async fn say(socket: &mut WebSocket, text: String) {
    // The client leaves when the trial is over.
    let _ = socket.send(Message::text(text)).await;
}

async fn heard(socket: &mut WebSocket) -> String {
    socket.recv().await.unwrap().unwrap().into_text().unwrap().to_string()
}

fn string(value: &Value) -> &str {
    value.as_str().unwrap()
}
