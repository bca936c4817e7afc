//! Messages as they are handed in: `POST /api/whatsapp/send`.

use std::{
    collections::VecDeque,
    sync::{Mutex, PoisonError},
};

use hyper::StatusCode;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::now_us;
use crate::{address::Address, api::Api};

const PATH: &str = "/api/whatsapp/send";

/// What kind of message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A template of a campaign.
    Campaign,
    /// A template to the one contact.
    Pair,
    /// A text to a contact that wrote.
    Reply,
}

/// A message, and how it was answered.
#[derive(Clone, Debug)]
pub(super) struct Handed {
    /// What the deployment calls it, and the number it goes through; how it was refused.
    pub(super) answer: Result<Taken, String>,
    /// When the answer had come.
    pub(super) answered_us: i64,
}

/// What the deployment says of a message that it took.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Taken {
    #[serde(rename = "messageId")]
    pub(super) id: String,
    session: String,
}

impl Handed {
    /// The number it goes through.
    pub(super) fn number(&self) -> Option<&str> {
        self.answer.as_ref().ok().map(|taken| taken.session.as_str())
    }
}

/// Where messages of a run are handed in.
#[derive(Debug)]
pub(super) struct Door {
    ingest: Address,
    key: SecretString,
    run: Uuid,
}

/// One connection to the door.
#[derive(Debug)]
pub(super) struct Lane {
    api: Api,
    run: Uuid,
}

impl Door {
    pub(super) fn new(ingest: &Address, key: &SecretString, run: Uuid) -> Self {
        Self { ingest: ingest.clone(), key: key.clone(), run }
    }

    pub(super) fn lane(&self) -> Lane {
        Lane { api: Api::new(&self.ingest, &self.key), run: self.run }
    }

    /// Hands in so many messages over so many connections, as fast as they are taken. One connection keeps their order.
    pub(super) async fn several(
        &self,
        lanes: u32,
        count: u32,
        kind: Kind,
        to: impl Fn(u32) -> String,
    ) -> Vec<Handed> {
        let left = Mutex::new((0..count).collect::<VecDeque<u32>>());
        let next = || left.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
        let lanes = (0..lanes).map(|_| async {
            let (mut lane, mut handed) = (self.lane(), Vec::new());
            while let Some(number) = next() {
                handed.push(lane.hand(kind, number, &to(number)).await);
            }
            handed
        });
        futures::future::join_all(lanes).await.concat()
    }
}

impl Lane {
    /// Hands in one message and waits for the answer.
    pub(super) async fn hand(&mut self, kind: Kind, number: u32, to: &str) -> Handed {
        let answer = match self.api.post(PATH, &order(kind, number, to, self.run)).await {
            Ok((StatusCode::OK, body)) => serde_json::from_slice(&body).map_err(|error| error.to_string()),
            Ok((status, _)) => Err(status.as_u16().to_string()),
            Err(_) => Err("no answer".to_owned()),
        };
        Handed { answer, answered_us: now_us() }
    }
}

fn order(kind: Kind, number: u32, to: &str, run: Uuid) -> Value {
    let template = json!({
        "name": "bench",
        "language": { "code": "es" },
        "components": [{ "type": "body", "parameters": [{ "type": "text", "text": format!("{run} {number}") }] }],
    });
    match kind {
        Kind::Campaign => {
            json!({ "to": to, "type": "template", "template": template, "priority": "campaign" })
        }
        Kind::Pair => {
            json!({ "to": to, "type": "template", "template": template, "priority": "transactional" })
        }
        Kind::Reply => json!({ "to": to, "message": format!("[bench {run} {number}]"), "priority": "reply" }),
    }
}
