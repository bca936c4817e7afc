//! Campaigns: one message to many contacts, made of a list or a file, looked after, and told what became of them.
//! Persistence keeps them; `bulk` sends them.

mod columns;
mod content;
pub(crate) mod create;
mod creation;
mod criteria;
mod definition;
mod form;
mod intake;
mod list;
mod report;
pub(crate) mod rest;
pub(crate) mod results;
mod sheet;
mod shown;
mod table;

use std::sync::Arc;

use axum::{
    Router,
    http::HeaderMap,
    routing::{get, post},
};
use chasqui_directory::Scope;
use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::v1::CampaignReport;
use tokio::sync::{Semaphore, SemaphorePermit};
use uuid::Uuid;

use crate::{
    admission::Caller,
    machine::{MachineError, Machines},
};

/// How many campaigns are handed in at once: each holds a body of JSON of 8 MiB, or some 2 MiB of a file.
const UPLOADS_MAX: usize = 8;

/// What the handlers share.
#[derive(Debug)]
pub(crate) struct Campaigns {
    machines: Arc<Machines>,
    uploads: Semaphore,
}

pub(crate) fn routes(machines: Arc<Machines>) -> Router {
    Router::new()
        .route("/api/campaigns", get(rest::list).post(create::receive))
        .route("/api/campaigns/{id}", get(rest::show))
        .route("/api/campaigns/{id}/{action}", post(rest::change))
        .route("/api/campaigns/{id}/recipients", get(results::list))
        .route("/api/campaigns/{id}/results.csv", get(results::file))
        .with_state(Arc::new(Campaigns { machines, uploads: Semaphore::new(UPLOADS_MAX) }))
}

impl Campaigns {
    fn bus(&self) -> &Bus {
        &self.machines.bus
    }

    /// Who may send may send to many.
    async fn caller(&self, headers: &HeaderMap) -> Result<(Caller, TraceContext), MachineError> {
        let caller = self.machines.caller(headers, &[Scope::Send]).await?;
        Ok((caller, TraceContext::of_http(headers)))
    }

    /// A place for an upload, held until it is done.
    fn place(&self) -> Result<SemaphorePermit<'_>, MachineError> {
        self.uploads.try_acquire().map_err(|_| MachineError::TooManyUploads(UPLOADS_MAX))
    }
}

/// The id of a campaign in a path.
fn campaign_id(text: &str) -> Result<String, MachineError> {
    let id: Uuid = text.parse().map_err(|_| MachineError::NoCampaign)?;
    Ok(id.to_string())
}

/// How many campaigns were made, started, … lately.
fn count(result: &'static str) {
    metrics::counter!("chasqui_ingest_campaigns_total", "result" => result).increment(1);
}

/// How many rows of campaigns were good, and why the others were not.
fn count_rows(report: &CampaignReport) {
    for (outcome, rows) in [
        ("accepted", report.accepted),
        ("invalid", report.invalid),
        ("duplicate", report.duplicates),
        ("opted_out", report.opted_out),
    ] {
        metrics::counter!("chasqui_ingest_campaign_rows_total", "outcome" => outcome).increment(rows.into());
    }
}
