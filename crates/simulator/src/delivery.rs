//! Webhooks on their way, as Meta sends them: signed, and again while they are not taken.

use std::{sync::Arc, time::Duration};

use reqwest::{Client, StatusCode, header::CONTENT_TYPE, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{Config, Error, signature};

/// How often a webhook is sent at most. Meta tries for seven days; we for two minutes.
const TRIES_MAX: u32 = 7;
/// How many refused webhooks wait for their next try at once; further ones are given up.
const WAITING_MAX: usize = 10_000;
/// How long the receiver may take to answer: the shortest patience that is reported of Meta.
const ANSWER_WAIT: Duration = Duration::from_secs(5);

/// Sends webhooks to one receiver.
#[derive(Clone, Debug)]
pub(crate) struct Delivery {
    client: Client,
    url: String,
    app_secret: SecretString,
    pause: Duration,
    waiting: Arc<Semaphore>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// How the first try ended.
#[derive(Debug)]
pub(crate) enum Answer {
    /// The receiver answered with this status.
    Status(u16),
    /// It did not answer.
    Unreachable(String),
}

impl Delivery {
    pub(crate) fn new(config: &Config, stop: CancellationToken) -> Result<Self, Error> {
        // Meta follows no redirect; a proxy from the environment would not reach this machine.
        let client = Client::builder().redirect(redirect::Policy::none()).no_proxy().timeout(ANSWER_WAIT);
        Ok(Self {
            client: client.build().map_err(Error::Client)?,
            url: config.webhook_url.clone(),
            app_secret: config.app_secret.clone().unwrap_or_default(),
            pause: Duration::from_millis(config.retry_pause_ms),
            waiting: Arc::new(Semaphore::new(WAITING_MAX)),
            tasks: TaskTracker::new(),
            stop,
        })
    }

    /// Sends a webhook, and tells how that ended. What was not taken is sent again in the background.
    pub(crate) async fn send(&self, webhook: &Value) -> Answer {
        let body = webhook.to_string();
        let answer = self.try_once(&body).await;
        if !answer.is_taken() {
            self.send_again(body);
        }
        answer
    }

    /// Waits until nothing is sent any more.
    pub(crate) async fn stopped(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn send_again(&self, body: String) {
        let Ok(place) = self.waiting.clone().try_acquire_owned() else {
            tracing::error!("too many webhooks wait to be sent again; one was given up");
            return;
        };
        let delivery = self.clone();
        self.tasks.spawn(async move {
            // Who stops the simulator does not want to wait for webhooks nobody takes.
            delivery.stop.clone().run_until_cancelled(delivery.keep_trying(&body)).await;
            drop(place);
        });
    }

    async fn keep_trying(&self, body: &str) {
        for tried in 1..TRIES_MAX {
            tokio::time::sleep(self.pause.saturating_mul(1 << (tried - 1))).await;
            if self.try_once(body).await.is_taken() {
                return;
            }
        }
        tracing::error!(url = self.url, tries = TRIES_MAX, "a webhook was not taken and is given up");
    }

    async fn try_once(&self, body: &str) -> Answer {
        let request = self
            .client
            .post(&self.url)
            .header(CONTENT_TYPE, "application/json")
            .header(signature::HEADER, signature::sign(self.app_secret.expose_secret(), body.as_bytes()))
            .body(body.to_owned());
        match request.send().await {
            Ok(response) => Answer::Status(response.status().as_u16()),
            Err(error) => {
                tracing::warn!(%error, "the receiver of webhooks cannot be reached");
                Answer::Unreachable(error.to_string())
            }
        }
    }
}

impl Answer {
    /// Meta counts nothing but 200 as taken.
    fn is_taken(&self) -> bool {
        matches!(self, Self::Status(status) if *status == StatusCode::OK.as_u16())
    }
}
