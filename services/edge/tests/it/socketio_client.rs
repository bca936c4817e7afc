//! The real `socket.io-client` from npm, unmodified, over each transport.

use std::collections::VecDeque;

use chasqui_edge::engineio::Settings;
use chasqui_testkit::Program;
use serde_json::{Value, json};

use crate::echo::{DEADLINE, EchoServer, Seen};

/// Transports as clients choose them, and the one they end on.
const TRANSPORTS: [(&str, &str); 3] = [
    (r#"["websocket"]"#, "websocket"),
    (r#"["polling"]"#, "polling"),
    (r#"["polling","websocket"]"#, "websocket"),
];

pub(crate) struct Client {
    program: Program,
    /// What it said and nobody asked about yet.
    said: VecDeque<Value>,
}

impl Client {
    fn start(server: &EchoServer, transports: &str, rest: &str) -> Self {
        let options = format!(r#"{{"transports":{transports}{rest}}}"#);
        Self::at(&server.url(), &options)
    }

    pub(crate) fn at(url: &str, options: &str) -> Self {
        Self { program: Program::node("socketio.mjs", &[url, options]).unwrap(), said: VecDeque::new() }
    }

    pub(crate) fn tell(&mut self, command: &Value) {
        self.program.write_line(&command.to_string());
    }

    /// The first thing not asked about yet that `is` of the given kind.
    pub(crate) async fn hears(&mut self, is: &str) -> Value {
        loop {
            if let Some(index) = self.said.iter().position(|line| line["is"] == is) {
                return self.said.remove(index).unwrap();
            }
            self.said.push_back(self.program.json(DEADLINE, is).await);
        }
    }

    pub(crate) async fn hears_event(&mut self, name: &str) -> Value {
        let event = self.hears("event").await;
        assert_eq!(event["name"], name);
        event["arguments"][0].clone()
    }
}

#[tokio::test]
async fn events_go_both_ways_over_every_transport() {
    for (transports, last) in TRANSPORTS {
        let server = EchoServer::start(Settings::default()).await;
        let rest = r#","query":{"userPhone":"5491100000001"},"auth":{"token":"ok"}"#;
        let mut client = Client::start(&server, transports, rest);
        client.hears("connect").await;
        assert_eq!(server.seen().await, Seen::Connecting);
        assert_eq!(server.seen().await, Seen::Connected(Some("5491100000001".into())));
        assert_eq!(client.hears_event("auth").await, json!({"token": "ok"}));
        if transports.contains("polling") && last == "websocket" {
            assert_eq!(client.hears("upgrade").await["transport"], "websocket");
        }

        let words = json!(["¿Qué tal, ñandú? 🦙", {"nested": [1, null, true]}]);
        client.tell(&json!({"emit": "say", "arguments": words}));
        assert_eq!(client.hears_event("echo").await["arguments"], words, "{transports}");
        client.tell(&json!({"emit": "ask", "arguments": words, "ack": true}));
        assert_eq!(client.hears("ack").await["arguments"], words, "{transports}");

        client.tell(&json!({"emit": "durable", "arguments": [1]}));
        assert_eq!(client.hears_event("durable").await, 1);
        server.until(|seen| matches!(seen, Seen::Confirmed(_)).then_some(())).await;

        client.tell(&json!({"do": "disconnect"}));
        assert_eq!(client.hears("disconnect").await["reason"], "io client disconnect");
        let reason = server.disconnected().await;
        assert_eq!(reason.as_str(), "client namespace disconnect", "{transports}");
    }
}

#[tokio::test]
async fn a_refused_client_hears_why() {
    for (transports, _) in TRANSPORTS {
        let server = EchoServer::start(Settings::default()).await;
        let mut client = Client::start(&server, transports, r#","auth":{"token":"bad"}"#);
        let error = client.hears("connect_error").await;
        assert_eq!(error["message"], "unauthorized", "{transports}");
        assert_eq!(error["data"], json!({"code": 4500}), "{transports}");
    }
}

#[tokio::test]
async fn a_client_sent_away_stays_away_and_one_called_back_comes_back() {
    for (transports, _) in TRANSPORTS {
        let server = EchoServer::start(Settings::default()).await;
        let mut client = Client::start(&server, transports, "");
        let first = client.hears("connect").await["id"].clone();
        client.tell(&json!({"emit": "drain", "arguments": []}));
        assert_eq!(client.hears("disconnect").await["reason"], "transport close", "{transports}");
        assert_ne!(client.hears("connect").await["id"], first, "{transports}");
        client.tell(&json!({"emit": "kick", "arguments": []}));
        // This is the reason after which the client does not reconnect by itself.
        assert_eq!(client.hears("disconnect").await["reason"], "io server disconnect", "{transports}");
    }
}

#[tokio::test]
async fn a_client_whose_transport_breaks_comes_back() {
    for (transports, _) in TRANSPORTS {
        let server = EchoServer::start(Settings::default()).await;
        let mut client = Client::start(&server, transports, "");
        client.hears("connect").await;
        client.tell(&json!({"do": "break"}));
        client.hears("disconnect").await;
        assert_eq!(server.disconnected().await.as_str(), "transport close", "{transports}");
        client.hears("connect").await;
    }
}

#[tokio::test]
async fn a_client_that_sends_too_much_is_cut_off() {
    for (transports, _) in &TRANSPORTS[..2] {
        let server = EchoServer::start(Settings::default()).await;
        let mut client = Client::start(&server, transports, "");
        client.hears("connect").await;
        client.tell(&json!({"emit": "say", "size": 200_000}));
        client.hears("disconnect").await;
        client.hears("connect").await;
    }
}

#[tokio::test]
async fn a_client_of_an_unknown_namespace_hears_so() {
    let server = EchoServer::start(Settings::default()).await;
    let options = r#"{"transports":["websocket"]}"#;
    let url = format!("{}/nowhere", server.url());
    let mut client = Client::at(&url, options);
    assert_eq!(client.hears("connect_error").await["message"], "Invalid namespace");
}
