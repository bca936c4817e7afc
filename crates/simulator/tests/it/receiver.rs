use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use axum::{
    Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use chasqui_simulator::signature;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::simulator::SOON;

pub(crate) const APP_SECRET: &str = "app-secret";

/// Takes webhooks, and refuses as many as it is told to.
#[derive(Clone, Default)]
pub(crate) struct Receiver {
    inbox: Arc<Mutex<Vec<Value>>>,
    refusals: Arc<Mutex<VecDeque<StatusCode>>>,
}

impl Receiver {
    /// Starts listening; returns its URL.
    pub(crate) async fn start(refusals: &[StatusCode]) -> Result<(Self, String)> {
        let receiver = Self::default();
        receiver.refusals.lock().expect("no holder of this lock panics").extend(refusals);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let url = format!("http://{}/webhook", listener.local_addr()?);
        let routes = Router::new().route("/webhook", post(receive)).with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok((receiver, url))
    }

    /// The webhooks that arrived with a right signature.
    pub(crate) fn inbox(&self) -> Vec<Value> {
        self.inbox.lock().expect("no holder of this lock panics").clone()
    }

    /// The statuses of a message so far, in the order of arrival.
    pub(crate) fn statuses(&self, id: &str) -> Vec<Value> {
        let webhooks = self.inbox();
        let statuses = webhooks
            .iter()
            .filter_map(|webhook| webhook["entry"][0]["changes"][0]["value"]["statuses"].as_array().cloned());
        statuses.flatten().filter(|status| status["id"] == id).collect()
    }

    /// Waits until a message has so many statuses; returns their names.
    pub(crate) async fn told(&self, id: &str, count: usize) -> Vec<String> {
        let statuses = chasqui_testkit::wait_for(SOON, "the statuses are told", async || {
            let statuses = self.statuses(id);
            (statuses.len() >= count).then_some(statuses)
        })
        .await;
        statuses.iter().map(|status| status["status"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

async fn receive(State(receiver): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let signed = headers.get(signature::HEADER).and_then(|value| value.to_str().ok());
    if signed != Some(&signature::sign(APP_SECRET, &body)) {
        return StatusCode::UNAUTHORIZED;
    }
    receiver
        .inbox
        .lock()
        .expect("no holder of this lock panics")
        .push(serde_json::from_slice(&body).expect("webhooks are JSON"));
    receiver.refusals.lock().expect("no holder of this lock panics").pop_front().unwrap_or(StatusCode::OK)
}
