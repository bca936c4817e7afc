use std::collections::VecDeque;

use chasqui_testkit::Program;
use serde_json::{Value, json};

use super::{Cluster, DEADLINE};

/// The contact's web chat: the real `socket.io-client`, in a process of its own.
pub(crate) struct Widget {
    program: Program,
    /// What it said and nobody asked about yet.
    said: VecDeque<Value>,
    /// Where it is: `{epoch, seq, recovered}`.
    pub(crate) session: Value,
}

impl Widget {
    /// Connects to one edge as the original did, with `userPhone` and nothing else; returns when it is live.
    pub(crate) async fn open(cluster: &Cluster, edge: usize, phone: &str) -> Self {
        Self::open_with(cluster, edge, phone, json!({})).await
    }

    /// Connects with further options of `socket.io-client`.
    pub(crate) async fn open_with(cluster: &Cluster, edge: usize, phone: &str, options: Value) -> Self {
        let mut options = options;
        options["query"] = json!({ "userPhone": phone });
        let url = cluster.edges[edge].url("");
        let program = Program::node("socketio.mjs", &[&url, &options.to_string()]).unwrap();
        let mut widget = Self { program, said: VecDeque::new(), session: Value::Null };
        widget.hears("connect").await;
        widget.session = widget.event("session").await;
        widget
    }

    /// The next reply it shows.
    pub(crate) async fn reply(&mut self) -> Value {
        self.event("bot-response").await
    }

    /// The text of the next reply it shows.
    pub(crate) async fn reply_text(&mut self) -> String {
        self.reply().await["text"].as_str().expect("a reply has a text").to_owned()
    }

    /// What the contact types; the edge's answer.
    pub(crate) async fn types(&mut self, text: &str) -> Value {
        self.tell(&json!({ "emit": "user-message", "arguments": [{ "text": text }], "ack": true }));
        self.hears("ack").await["arguments"][0].clone()
    }

    /// Leaves as the page does when it closes.
    pub(crate) async fn leave(mut self) {
        self.tell(&json!({ "do": "disconnect" }));
        self.hears("disconnect").await;
    }

    /// The first thing nobody asked about yet that `is` of a kind.
    pub(crate) async fn hears(&mut self, is: &str) -> Value {
        self.find(is, |line| line["is"] == is).await
    }

    /// Everything it showed that nobody asked about yet, until `is` happens.
    pub(crate) async fn replies_before(&mut self, is: &str) -> Vec<Value> {
        self.hears(is).await;
        let said = std::mem::take(&mut self.said);
        said.into_iter()
            .filter(|line| line["name"] == "bot-response")
            .map(|line| line["arguments"][0].clone())
            .collect()
    }

    /// The next event of a name.
    pub(crate) async fn event(&mut self, name: &str) -> Value {
        self.find(name, |line| line["name"] == name).await["arguments"][0].clone()
    }

    async fn find(&mut self, claim: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            if let Some(index) = self.said.iter().position(&wanted) {
                return self.said.remove(index).expect("it was found there");
            }
            self.said.push_back(self.program.json(DEADLINE, &format!("the widget hears {claim}")).await);
        }
    }

    fn tell(&mut self, command: &Value) {
        self.program.write_line(&command.to_string());
    }
}
