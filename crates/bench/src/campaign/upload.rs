//! Handing the list in: `POST /api/campaigns`, as a stream.

use std::{
    convert::Infallible,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use reqwest::{
    Body, Client,
    multipart::{Form, Part},
};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use uuid::Uuid;

use super::list;
use crate::address::Address;

/// How long the longest list may take.
const ANSWER_WAIT: Duration = Duration::from_mins(5);

/// What is handed in.
#[derive(Debug)]
pub(super) struct Upload<'a> {
    pub(super) ingest: &'a Address,
    pub(super) key: &'a SecretString,
    pub(super) recipients: u32,
    pub(super) rate_per_s: Option<u32>,
}

/// How it was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Uploaded {
    pub(super) campaign: Uuid,
    pub(super) accepted: u32,
    pub(super) bytes: u64,
    /// From the first byte of the request until the whole answer.
    pub(super) seconds: f64,
}

#[derive(Deserialize)]
struct Answer {
    campaign: Made,
    report: Found,
}

#[derive(Deserialize)]
struct Made {
    id: Uuid,
}

#[derive(Deserialize)]
struct Found {
    accepted: u32,
}

impl Upload<'_> {
    /// Streams the list and waits for what was found in it.
    pub(super) async fn send(&self) -> anyhow::Result<Uploaded> {
        let bytes = Arc::new(AtomicU64::new(0));
        let counted = bytes.clone();
        let pieces = list::pieces(self.recipients).map(move |piece| {
            counted.fetch_add(u64::try_from(piece.len()).unwrap_or(u64::MAX), Ordering::Relaxed);
            Ok::<_, Infallible>(piece)
        });
        let file = Part::stream(Body::wrap_stream(futures::stream::iter(pieces)));
        let file = file.file_name("contacts.csv").mime_str("text/csv")?;
        let form = Form::new().text("campaign", self.definition().to_string()).part("file", file);
        let client = Client::builder().no_proxy().timeout(ANSWER_WAIT).build()?;
        let url = format!("http://{}/api/campaigns", self.ingest.authority());
        let request = client.post(&url).header("x-api-key", self.key.expose_secret()).multipart(form);
        let begun = Instant::now();
        let response = request.send().await.with_context(|| format!("{url} did not answer"))?;
        let (status, body) = (response.status(), response.text().await?);
        let seconds = begun.elapsed().as_secs_f64();
        ensure!(
            status.is_success(),
            "{url} answered {status}: {}",
            body.chars().take(1_000).collect::<String>()
        );
        let Answer { campaign, report } =
            serde_json::from_str(&body).context("the answer is not understood")?;
        Ok(Uploaded {
            campaign: campaign.id,
            accepted: report.accepted,
            bytes: bytes.load(Ordering::Relaxed),
            seconds,
        })
    }

    /// A template, since nobody of the list has written.
    fn definition(&self) -> Value {
        let template = json!({ "name": "bench", "language": { "code": "es" } });
        let mut definition = json!({
            "name": "bench",
            "message": { "type": "template", "template": template },
            "template_variables": list::VARIABLES,
        });
        if let Some(rate_per_s) = self.rate_per_s {
            definition["rate_per_minute"] = json!(rate_per_s * 60);
        }
        definition
    }
}
