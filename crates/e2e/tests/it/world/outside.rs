use chasqui_testkit::wait_for;
use reqwest::Method;
use serde_json::{Value, json};

use super::{Cluster, DEADLINE, http, process::Process};

/// WhatsApp and its phones, in a connected cluster.
pub(crate) struct Outside<'a>(&'a Process);

impl<'a> Outside<'a> {
    pub(crate) fn of(cluster: &'a Cluster) -> Self {
        Self(&cluster.outside)
    }

    /// A contact writes; WhatsApp's id of the message.
    pub(crate) async fn writes(&self, contact: &str, message: Value) -> String {
        let answer = self.asks(Method::POST, &format!("/phones/{contact}/messages"), Some(message)).await;
        answer["id"].as_str().unwrap().to_owned()
    }

    /// What a contact's phone was sent, once it has so many.
    pub(crate) async fn phone_has(&self, contact: &str, count: usize) -> Vec<Value> {
        let claim = format!("{contact} has {count} messages");
        wait_for(DEADLINE, &claim, async || {
            let shown = self.asks(Method::GET, &format!("/phones/{contact}/messages"), None).await;
            let all = shown["messages"].as_array().unwrap();
            let received: Vec<Value> =
                all.iter().filter(|message| message["direction"] == "received").cloned().collect();
            (received.len() >= count).then_some(received)
        })
        .await
    }

    /// Every message that WhatsApp took.
    pub(crate) async fn taken(&self) -> Vec<Value> {
        let taken = self.asks(Method::GET, "/graph/messages?limit=10000", None).await;
        taken.as_array().expect("a list").clone()
    }

    /// What WhatsApp counted.
    pub(crate) async fn stats(&self) -> Value {
        self.asks(Method::GET, "/graph/stats", None).await
    }

    /// What befalls messages from now on.
    pub(crate) async fn fault(&self, fault: Value) {
        self.asks(Method::POST, "/graph/faults", Some(fault)).await;
    }

    /// What the language model says from now on, in turn.
    pub(crate) async fn model_says(&self, answers: &[&str]) {
        self.asks(Method::PUT, "/openai/settings", Some(json!({ "answers": answers }))).await;
    }

    /// What befalls those who ask the language model from now on.
    pub(crate) async fn model_fails(&self, fault: Value) {
        self.asks(Method::POST, "/openai/faults", Some(fault)).await;
    }

    /// How WhatsApp behaves from now on.
    pub(crate) async fn behaves(&self, settings: Value) {
        self.asks(Method::PUT, "/graph/settings", Some(settings)).await;
    }

    /// The number takes as much as WhatsApp's fastest.
    pub(crate) async fn is_as_fast_as_whatsapp_allows(&self) {
        self.behaves(json!({ "messages_per_second_max": 1_000 })).await;
    }

    /// Contacts may be written to though they never wrote.
    pub(crate) async fn opens_every_window(&self) {
        self.behaves(json!({ "window": "off" })).await;
    }

    async fn asks(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let mut request = http().request(method, self.0.url(path));
        if let Some(body) = &body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert!(status.is_success(), "{path}: {status} {text}");
        serde_json::from_str(&text).unwrap()
    }
}

/// The text of a message that a phone was sent.
pub(crate) fn text_of(message: &Value) -> &str {
    message["body"]["text"]["body"].as_str().unwrap_or_default()
}
