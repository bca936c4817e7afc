use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chasqui_simulator::{payload, signature};
use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::{
    Cluster, DEADLINE,
    cluster::{API_KEY, APP_SECRET},
};

/// The business number that contacts write to.
pub(crate) const NUMBER: &str = "100000000000001";
/// The shortest patience that is reported of Meta.
const ANSWER_WAIT: Duration = Duration::from_secs(5);
/// Between two tries. Meta's is longer; stories are shorter.
const PAUSE: Duration = Duration::from_millis(20);

/// Who sends to the ingests: Meta with its webhooks, bots with their replies.
pub(crate) struct Meta {
    client: Client,
    ingests: Vec<String>,
    /// Takes turns, as a load balancer does.
    next: AtomicUsize,
    /// Tries that were not answered 200.
    refused: AtomicUsize,
}

impl Meta {
    pub(crate) fn new(cluster: &Cluster) -> Self {
        Self {
            client: Client::builder().no_proxy().timeout(ANSWER_WAIT).build().unwrap(),
            ingests: cluster.ingests.iter().map(|ingest| ingest.url("")).collect(),
            next: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
        }
    }

    /// Tries once; the status.
    pub(crate) async fn try_once(&self, ingest: usize, webhook: &Value) -> reqwest::Result<u16> {
        let body = webhook.to_string();
        let request = self
            .client
            .post(format!("{}/webhooks/whatsapp", self.ingests[ingest]))
            .header("content-type", "application/json")
            .header(signature::HEADER, signature::sign(APP_SECRET, body.as_bytes()))
            .body(body);
        Ok(request.send().await?.status().as_u16())
    }

    /// Tries each ingest in turn until one says 200.
    pub(crate) async fn deliver(&self, webhook: &Value) {
        again("an ingest takes the webhook", || async {
            let taken = matches!(self.try_once(self.turn(), webhook).await, Ok(200));
            self.refused.fetch_add(usize::from(!taken), Ordering::Relaxed);
            taken
        })
        .await;
    }

    /// A text of a contact; its WhatsApp id.
    pub(crate) async fn text(&self, from: &str, text: &str) -> String {
        let wamid = payload::wamid();
        self.deliver(&payload::webhook(NUMBER, &[payload::text(from, &wamid, text)])).await;
        wamid
    }

    /// A text of a contact to a number of somebody's.
    pub(crate) async fn text_to(&self, number: &str, from: &str, text: &str) {
        self.deliver(&payload::webhook(number, &[payload::text(from, &payload::wamid(), text)])).await;
    }

    /// A bot's reply; status and body of the answer.
    pub(crate) async fn bot_reply(&self, contact: &str, text: &str) -> (u16, Value) {
        self.bot_says(&reply(contact, text)).await
    }

    /// A bot's reply until it is stored, whether or not somebody sees it now.
    pub(crate) async fn store_bot_reply(&self, contact: &str, text: &str) {
        let (reply, key) = (reply(contact, text), payload::wamid());
        again("an ingest takes the bot's reply", || async {
            let answer = self.bot(&reply).header("idempotency-key", &key).send().await;
            answer.is_ok_and(|answer| matches!(answer.status().as_u16(), 200 | 404))
        })
        .await;
    }

    /// Any body for `/api/bot-reply`; status and body of the answer.
    pub(crate) async fn bot_says(&self, body: &Value) -> (u16, Value) {
        let answer = self.bot(body).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    fn bot(&self, body: &Value) -> RequestBuilder {
        let url = format!("{}/api/bot-reply", self.ingests[self.turn()]);
        self.client.post(url).header("x-api-key", API_KEY).json(body)
    }

    /// How many tries were not answered 200.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    fn turn(&self) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % self.ingests.len()
    }
}

/// Tries again and again, with the pause between that a sender makes.
async fn again<F: Future<Output = bool>>(claim: &str, mut once: impl FnMut() -> F) {
    let tries = async {
        while !once().await {
            tokio::time::sleep(PAUSE).await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, tries).await.is_ok(),
        "after {DEADLINE:?} still not true: {claim}"
    );
}

fn reply(contact: &str, text: &str) -> Value {
    json!({ "targetUserWhatsAppNumber": contact, "messageText": text })
}
