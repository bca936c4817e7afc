//! The simulator, asked over its own interface: what arrived, and what it refused.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use anyhow::{Context, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Request, StatusCode,
    header::{CONTENT_TYPE, HOST},
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_json::json;
use tokio::{sync::Notify, time::Instant};
use tokio_util::sync::CancellationToken;

use super::tally::{Arrival, Seen};
use crate::{address::Address, http::Http};

/// Pause between two looks at what arrived.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// The most that one look shows: the simulator's own bound.
const SHOWN_MAX: u32 = 10_000;

/// The simulator's address.
#[derive(Clone, Debug)]
pub(super) struct Simulator {
    address: Address,
}

/// What it has counted.
#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Counts {
    accepted: u64,
    #[serde(flatten)]
    refusals: Refusals,
}

/// What it refused, by why.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct Refusals {
    /// Messages that were refused, by code.
    #[serde(rename = "refused")]
    pub by_code: BTreeMap<String, u64>,
    /// Those that broke a contact's limit.
    #[serde(rename = "pair_violations")]
    pub of_pairs: u64,
    /// Those that broke the number's limit.
    #[serde(rename = "number_violations")]
    pub of_numbers: u64,
}

impl Counts {
    /// What it refused since an earlier look, when `arrived` messages were seen. Where it has counted fewer, somebody had
    /// it forget, and what was seen is not everything.
    pub(super) fn refused_since(&self, earlier: &Self, arrived: u64) -> anyhow::Result<Refusals> {
        ensure!(
            self.accepted >= earlier.accepted + arrived,
            "somebody cleared the simulator's records meanwhile (DELETE /graph/messages)"
        );
        Ok(self.refusals.since(&earlier.refusals))
    }
}

impl Refusals {
    fn since(&self, earlier: &Self) -> Self {
        let since = |(code, count): (&String, &u64)| {
            let before = earlier.by_code.get(code).copied().unwrap_or(0);
            (code.clone(), count.saturating_sub(before))
        };
        Self {
            by_code: self.by_code.iter().map(since).filter(|(_, count)| *count > 0).collect(),
            of_pairs: self.of_pairs.saturating_sub(earlier.of_pairs),
            of_numbers: self.of_numbers.saturating_sub(earlier.of_numbers),
        }
    }
}

#[derive(Deserialize)]
struct Settings {
    messages_per_second_max: u32,
}

#[derive(Deserialize)]
struct Written {
    webhook_status: Option<u16>,
}

impl Simulator {
    pub(super) fn new(address: &Address) -> Self {
        Self { address: address.clone() }
    }

    /// How many a second it lets a number send.
    pub(super) async fn messages_per_second_max(&self) -> anyhow::Result<u32> {
        let settings: Settings = self.get(&mut self.connection(), "/graph/settings").await?;
        Ok(settings.messages_per_second_max)
    }

    /// What it has counted so far.
    pub(super) async fn counts(&self) -> anyhow::Result<Counts> {
        self.get(&mut self.connection(), "/graph/stats").await
    }

    /// The position of the newest message.
    pub(super) async fn newest(&self) -> anyhow::Result<u64> {
        let newest: Vec<Arrival> = self.get(&mut self.connection(), "/graph/messages?limit=1").await?;
        Ok(newest.last().map_or(0, |arrival| arrival.seq))
    }

    /// A contact writes to the number, so that it may be answered.
    pub(super) async fn write(&self, contact: &str) -> anyhow::Result<()> {
        let body = json!({ "text": "bench" }).to_string();
        let request = Request::post(format!("/phones/{contact}/messages"))
            .header(HOST, self.address.authority())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let written: Written = asked(&mut self.connection(), request).await?;
        ensure!(
            written.webhook_status == Some(200),
            "a contact wrote, and the webhook was answered {:?}",
            written.webhook_status
        );
        Ok(())
    }

    /// Looks at what arrives after this position until stopped.
    pub(super) async fn watch(
        self,
        witness: Arc<Witness>,
        after: u64,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let (mut connection, mut after) = (self.connection(), after);
        loop {
            let is_last = stop.run_until_cancelled(tokio::time::sleep(LOOK_EVERY)).await.is_none();
            let path = format!("/graph/messages?after={after}&limit={SHOWN_MAX}");
            let arrived: Vec<Arrival> = self.get(&mut connection, &path).await?;
            after = arrived.last().map_or(after, |arrival| arrival.seq);
            witness.add(arrived);
            if is_last {
                return Ok(());
            }
        }
    }

    fn connection(&self) -> Http {
        Http::new(&self.address)
    }

    async fn get<T: DeserializeOwned>(&self, connection: &mut Http, path: &str) -> anyhow::Result<T> {
        let request = Request::get(path).header(HOST, self.address.authority());
        asked(connection, request.body(Full::default())?).await
    }
}

async fn asked<T: DeserializeOwned>(
    connection: &mut Http,
    request: Request<Full<Bytes>>,
) -> anyhow::Result<T> {
    let path = request.uri().path().to_owned();
    let (status, body) = connection.ask(request).await.context("the simulator cannot be asked")?;
    ensure!(status == StatusCode::OK, "{path} of the simulator answered {status}");
    serde_json::from_slice(&body).with_context(|| format!("{path} of the simulator is not understood"))
}

/// What has arrived so far, for everybody who waits for it.
#[derive(Debug, Default)]
pub(super) struct Witness {
    seen: Mutex<Seen>,
    news: Notify,
}

impl Witness {
    fn add(&self, arrived: Vec<Arrival>) {
        self.seen().add(arrived);
        self.news.notify_waiters();
    }

    /// What has arrived.
    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until what has arrived is enough, at most until the deadline.
    pub(super) async fn until(&self, deadline: Instant, is_enough: impl Fn(&Seen) -> bool) {
        let enough = async {
            loop {
                let news = self.news.notified();
                if is_enough(&self.seen()) {
                    return;
                }
                news.await;
            }
        };
        // What is missing then is told by the account.
        let _ = tokio::time::timeout_at(deadline, enough).await;
    }
}
