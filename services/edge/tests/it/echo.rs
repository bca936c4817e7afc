//! A server whose application does what the client tells it, and tells the test what happens to it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chasqui_edge::close::CloseCode;
use chasqui_edge::engineio::{self, Settings};
use chasqui_edge::outbox::{Delivery, Outbox, PushError};
use chasqui_edge::peers::NatsPeers;
use chasqui_edge::socketio::{
    self, Application, ConnectRequest, DisconnectReason, Event, Refusal, SocketIo, Welcome, encode_event_in,
};
use chasqui_kit::Bus;
use chasqui_proto::subject::NodeToken;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// How long a test waits for a fact.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

/// What happened to the application.
#[derive(Debug, PartialEq)]
pub(crate) enum Seen {
    Connecting,
    Connected(Option<String>),
    Confirmed(u64),
    Overflow(PushError),
    Disconnected(DisconnectReason),
}

pub(crate) struct Echo {
    seen: mpsc::UnboundedSender<Seen>,
    /// `connect` with `?wait` in the query takes one of these.
    gate: Semaphore,
}

pub(crate) struct EchoSession {
    outbox: Arc<Outbox>,
}

impl Application for Echo {
    type Session = EchoSession;

    async fn connect(
        &self,
        request: ConnectRequest,
        outbox: Arc<Outbox>,
    ) -> Result<Welcome<EchoSession>, Refusal> {
        let _ = self.seen.send(Seen::Connecting);
        if request.handshake.query("wait").is_some() {
            self.gate.acquire().await.expect("the gate is never closed").forget();
        }
        let auth: Value = request.auth.map_or(json!({}), |auth| serde_json::from_str(auth.get()).unwrap());
        if auth["token"] == "bad" {
            return Err(Refusal { message: "unauthorized".into(), data: Some(json!({ "code": 4500 })) });
        }
        let hello = encode_event_in(&request.namespace, "auth", &auth).unwrap();
        // Refused when the client has left meanwhile.
        let _ = outbox.push(hello, Delivery::Volatile);
        // Gives the session the chance to send the greeting too early.
        tokio::task::yield_now().await;
        let phone = request.handshake.query("userPhone").map(str::to_owned);
        let _ = self.seen.send(Seen::Connected(phone));
        Ok(Welcome::without_recovery(EchoSession { outbox }))
    }

    async fn event(&self, session: &EchoSession, event: Event) {
        let EchoSession { outbox } = session;
        match event.name.as_str() {
            "ask" => event.ack.unwrap().reply_with(&event.arguments, event.attachments).unwrap(),
            "durable" => {
                let argument: Value = event.argument(0).unwrap();
                outbox
                    .push(encode_event_in(&event.namespace, "durable", &argument).unwrap(), Delivery::Durable)
                    .unwrap();
            }
            "kick" => outbox.close(CloseCode::UNAUTHORIZED),
            "drain" => outbox.close(CloseCode::GOING_AWAY),
            "flood" => drop(tokio::spawn(flood(Arc::clone(outbox), self.seen.clone()))),
            "panic" => panic!("as the test wants it"),
            _ => {
                let back: Vec<Value> =
                    event.arguments.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
                let back = json!({ "arguments": back, "attachments": event.attachments.len() });
                outbox
                    .push(encode_event_in(&event.namespace, "echo", &back).unwrap(), Delivery::Volatile)
                    .unwrap();
            }
        }
    }

    fn refused(&self, _session: &EchoSession, _event: Event, _why: &'static str) {}

    fn confirmed(&self, _session: &EchoSession, position: u64) {
        let _ = self.seen.send(Seen::Confirmed(position));
    }

    async fn disconnect(&self, _session: EchoSession, reason: DisconnectReason) {
        let _ = self.seen.send(Seen::Disconnected(reason));
    }
}

/// Pushes until the client is too slow.
async fn flood(outbox: Arc<Outbox>, seen: mpsc::UnboundedSender<Seen>) {
    let frame = encode_event_in("/", "flood", &"x".repeat(10_000)).unwrap();
    loop {
        if let Err(error) = outbox.push(frame.clone(), Delivery::Durable) {
            let _ = seen.send(Seen::Overflow(error));
            return;
        }
        tokio::task::yield_now().await;
    }
}

pub(crate) struct EchoServer {
    pub(crate) address: SocketAddr,
    pub(crate) server: engineio::Server<SocketIo<Echo>>,
    pub(crate) stop: CancellationToken,
    application: Arc<Echo>,
    seen: Mutex<mpsc::UnboundedReceiver<Seen>>,
    http: JoinHandle<std::io::Result<()>>,
    /// What works off other nodes' messages.
    serving: Option<JoinHandle<()>>,
}

impl EchoServer {
    pub(crate) async fn start(settings: Settings) -> Self {
        let (sender, seen) = mpsc::unbounded_channel();
        let application = Arc::new(Echo { seen: sender, gate: Semaphore::new(0) });
        let stop = CancellationToken::new();
        let server = socketio::server(settings, &["/", "/custom"], Arc::clone(&application), stop.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = server.router().into_make_service_with_connect_info::<SocketAddr>();
        let http = tokio::spawn(axum::serve(listener, service).into_future());
        Self { address, server, stop, application, seen: Mutex::new(seen), http, serving: None }
    }

    /// A server among those of the same broker.
    pub(crate) async fn start_among(settings: Settings, bus: &Bus, name: &str) -> Self {
        let (peers, inbox) = NatsPeers::listen(bus, &NodeToken::new(name)).await.unwrap();
        let mut server = Self::start(Settings { peers: Some(peers.clone()), ..settings }).await;
        let serving = peers.serve(inbox, server.server.clone(), CancellationToken::new());
        server.serving = Some(tokio::spawn(serving));
        bus.barrier().await.unwrap();
        server
    }

    /// For the other servers it is as if the process had died: nobody listens on its subject any more.
    pub(crate) async fn die(&mut self) {
        let serving = self.serving.take().expect("it dies once");
        serving.abort();
        assert!(serving.await.unwrap_err().is_cancelled());
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn open_gate(&self) {
        self.application.gate.add_permits(1);
    }

    /// The next thing that happened.
    pub(crate) async fn seen(&self) -> Seen {
        let mut seen = self.seen.lock().await;
        timeout(DEADLINE, seen.recv()).await.expect("something happens in time").unwrap()
    }

    /// The next thing that happened and that `matches`.
    pub(crate) async fn until<T>(&self, matches: impl Fn(&Seen) -> Option<T>) -> T {
        loop {
            if let Some(found) = matches(&self.seen().await) {
                return found;
            }
        }
    }

    pub(crate) async fn disconnected(&self) -> DisconnectReason {
        self.until(|seen| if let Seen::Disconnected(reason) = seen { Some(*reason) } else { None }).await
    }

    /// Whether nothing has happened that nobody has looked at.
    pub(crate) async fn is_quiet(&self) -> bool {
        self.seen.lock().await.is_empty()
    }
}

impl Drop for EchoServer {
    fn drop(&mut self) {
        self.http.abort();
        if let Some(serving) = &self.serving {
            serving.abort();
        }
    }
}
