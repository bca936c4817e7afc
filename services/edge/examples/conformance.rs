//! The server that the public suites of Engine.IO v4 and Socket.IO v5 expect on port 3000: everything is echoed, and
//! pings are short. `docs/conformance.md` says how to run the suites.

use std::error::Error;
use std::future::Future;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use chasqui_edge::close::CloseCode;
use chasqui_edge::engineio::{
    self, Conversation, EndReason, Handshake, Incoming, Protocol, Received, Settings,
};
use chasqui_edge::outbox::{Delivery, Frame, Outbox};
use chasqui_edge::socketio::{
    self, Application, ConnectRequest, DisconnectReason, Event, Refusal, Welcome, encode_binary_event_in,
    encode_event_in,
};
use serde_json::value::RawValue;
use tokio::net::TcpListener;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Where the suites look for the server.
const PORT: u16 = 3000;

/// Time to join a namespace.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Between the answer to CONNECT and the event `auth`.
const HELLO_PAUSE: Duration = Duration::from_millis(20);

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let stop = CancellationToken::new();
    let engine_settings = Settings { path: "/engine.io/", ..settings() };
    let engine = engineio::Server::new(engine_settings, EngineEcho, stop.clone());
    let socket_settings = Settings { connect_timeout: CONNECT_TIMEOUT, ..settings() };
    let sockets = socketio::server(socket_settings, &["/", "/custom"], Arc::new(SocketEcho), stop);
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, PORT)).await?;
    println!("echoing on http://localhost:{PORT}/engine.io/ and /socket.io/");
    axum::serve(listener, engine.router().merge(sockets.router())).await?;
    Ok(())
}

fn settings() -> Settings {
    Settings {
        ping_interval: Duration::from_millis(300),
        ping_timeout: Duration::from_millis(200),
        max_payload_bytes: 1_000_000,
        ..Settings::default()
    }
}

/// Engine.IO: each message comes back.
struct EngineEcho;

impl Protocol for EngineEcho {
    type Conversation = Self;

    fn open(&self, _handshake: Arc<Handshake>, _outbox: Arc<Outbox>) -> Self {
        Self
    }
}

impl Conversation for EngineEcho {
    type Outcome = ();

    fn receive(&mut self, message: Incoming, replies: &mut Vec<Frame>) -> Received<()> {
        replies.push(match message {
            Incoming::Text(text) => text.into(),
            Incoming::Binary(bytes) => bytes.into(),
        });
        Received::Done
    }

    fn complete(&mut self, (): (), _replies: &mut Vec<Frame>) {}

    fn holds_outbox(&self) -> bool {
        false
    }

    fn deadline(&self) -> Option<Instant> {
        None
    }

    fn confirmed(&self, _position: u64) {}

    fn farewell(&mut self, _code: CloseCode, _replies: &mut Vec<Frame>) {}

    fn end(self, _reason: EndReason) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// Socket.IO: `auth` says what the client brought, `message` comes back as `message-back`, `message-with-ack` as its
/// answer.
struct SocketEcho;

impl Application for SocketEcho {
    type Session = Arc<Outbox>;

    async fn connect(
        &self,
        request: ConnectRequest,
        outbox: Arc<Outbox>,
    ) -> Result<Welcome<Arc<Outbox>>, Refusal> {
        let auth = match request.auth {
            Some(auth) => auth,
            None => RawValue::from_string("{}".to_owned()).expect("an empty object is JSON"),
        };
        let hello = encode_event_in(&request.namespace, "auth", &auth).expect("JSON is encoded");
        let later = Arc::clone(&outbox);
        tokio::spawn(async move {
            // The suite loses one of two messages that reach it with the same segment of TCP.
            tokio::time::sleep(HELLO_PAUSE).await;
            // Refused when the client has left meanwhile.
            let _ = later.push(hello, Delivery::Reply);
        });
        Ok(Welcome::without_recovery(outbox))
    }

    async fn event(&self, outbox: &Arc<Outbox>, event: Event) {
        let Event { namespace, name, arguments, attachments, ack } = event;
        let echoed = match (name.as_str(), ack) {
            ("message-with-ack", Some(ack)) => {
                ack.reply_with(&arguments, attachments).map_err(|error| error.to_string())
            }
            ("message", _) => encode_binary_event_in(&namespace, "message-back", &arguments, attachments)
                .map_err(|error| error.to_string())
                .and_then(|frames| {
                    outbox.push_together(frames, Delivery::Reply).map_err(|error| error.to_string())
                })
                .map(|_| ()),
            _ => Ok(()),
        };
        if let Err(error) = echoed {
            println!("{name} was not echoed: {error}");
        }
    }

    fn refused(&self, _outbox: &Arc<Outbox>, _event: Event, _why: &'static str) {}

    fn confirmed(&self, _outbox: &Arc<Outbox>, _position: u64) {}

    async fn disconnect(&self, _outbox: Arc<Outbox>, _reason: DisconnectReason) {}
}
