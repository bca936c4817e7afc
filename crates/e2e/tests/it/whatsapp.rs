//! WhatsApp both ways: numbers, their owners, and what goes wrong between them and the provider.

mod both_ways;
mod cloud_api;
mod killed;
mod refused;

use chasqui_testkit::wait_for;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::world::{Cluster, DEADLINE, FrontDoor, http};

/// A back end that sends through `/api/whatsapp/send`.
pub(super) struct Sender<'a> {
    cluster: &'a Cluster,
    door: &'a FrontDoor,
}

impl<'a> Sender<'a> {
    pub(super) fn new(cluster: &'a Cluster, door: &'a FrontDoor) -> Self {
        Self { cluster, door }
    }

    /// Our id of the message that was taken.
    pub(super) async fn sends(&self, message: &Value) -> String {
        let (status, answer) = self.tries(message, None).await;
        assert_eq!(status, 200, "{answer}");
        answer["messageId"].as_str().unwrap().to_owned()
    }

    /// Status and body of the answer.
    pub(super) async fn tries(&self, message: &Value, key: Option<&str>) -> (StatusCode, Value) {
        let url = format!("{}/api/whatsapp/send", self.door.http());
        let mut request = http().post(url).header("x-api-key", Cluster::api_key()).json(message);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await.unwrap();
        (answer.status(), answer.json().await.unwrap())
    }

    /// Waits until the number can send.
    pub(super) async fn is_connected(&self) {
        let url = format!("{}/api/whatsapp/status", self.door.http());
        wait_for(DEADLINE, "the number is connected", async || {
            let request = http().get(&url).header("x-api-key", Cluster::api_key());
            let status: Value = request.send().await.ok()?.json().await.ok()?;
            (status["connected"] == true).then_some(())
        })
        .await;
    }

    /// Waits until the message's stored status is one of these; which.
    pub(super) async fn status_is(&self, contact: &str, id: &str, expected: &[&str]) -> String {
        let url = self.cluster.edges[0].url(&format!("/api/conversations/{contact}/messages?limit=100"));
        wait_for(DEADLINE, &format!("{id} is {expected:?}"), async || {
            let request = http().get(&url).bearer_auth(&self.cluster.token);
            let page: Value = request.send().await.ok()?.json().await.ok()?;
            let message = page["messages"].as_array()?.iter().find(|message| message["id"] == id)?.clone();
            let status = message["status"].as_str()?.to_owned();
            expected.contains(&status.as_str()).then_some(status)
        })
        .await
    }
}

/// A text.
pub(super) fn text(to: &str, message: &str) -> Value {
    json!({ "to": to, "message": message })
}
