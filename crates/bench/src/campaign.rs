//! A campaign from its file to its end: how fast the file is taken, how fast its messages go out, how soon that is told.

mod ear;
mod list;
mod memory;
mod outcome;
mod report;
mod tally;
mod upload;

use std::{collections::HashSet, sync::Arc, time::Duration};

use anyhow::{bail, ensure};
use chasqui_kit::Bus;
use chasqui_proto::{ConversationToken, MessageId, address, v1::CampaignStatus};
use hyper::StatusCode;
use serde_json::json;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;
use uuid::Uuid;

use crate::{address::Address, api, api::Api, clock::Clock, options::Options, process, process::Snapshot};

use ear::Ear;
use memory::Sampler;
use outcome::Outcome;
use tally::Tally;
use upload::Upload;

pub use memory::Memory;
pub use outcome::Published;
pub use report::CampaignReport;
pub use tally::{Pace, Progress};

/// The most recipients: each has a phone number that belongs to nobody.
pub(crate) const RECIPIENTS_MAX: u32 = list::CONTACTS_MAX;
/// The most messages a second that a campaign can be told to send.
pub(crate) const RATE_MAX: u32 = 1_000;
/// How long a campaign may stand still before it is given up and cancelled.
const STILL_MAX: Duration = Duration::from_mins(1);
/// Pause between two looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Progress a second that is too much.
const PROGRESS_PER_S_MAX: u32 = 5;

/// Uploads a list of so many recipients, starts the campaign, and follows it to its end.
pub(crate) async fn measure(
    options: &Options,
    recipients: u32,
    rate_per_s: Option<u32>,
) -> anyhow::Result<CampaignReport> {
    let ingest = Address::parse(&options.ingest)?;
    let key = api::needed(options.api_key.as_ref())?;
    let bus = Bus::connect("bench campaign", &options.nats).await?;
    let mut disruptions = bus.disruptions();
    disruptions.mark_unchanged();
    let clock = Clock::start();

    let sampler = Sampler::start(process::services(&options.processes)?)?;
    let upload = Upload { ingest: &ingest, key, recipients, rate_per_s };
    let uploaded = upload.send().await?;
    let memory = sampler.stop().await?;
    let campaign = uploaded.campaign;

    let messages = messages(campaign, recipients);
    let tally = Arc::new(tally::Shared::new(messages.clone()));
    let hearing = Ear::open(&bus).await?.hear(campaign, tally.clone(), clock);
    let _hearing = AbortOnDropHandle::new(tokio::spawn(hearing));
    let outcome = Outcome::open(&bus).await?;
    let before = Snapshot::take(&options.processes, clock)?;
    let mut api = Api::new(&ingest, key);
    act(&mut api, campaign, "start").await?;
    let started_us = clock.now_us();
    let ended = until_ended(&tally).await;
    let cpu = Snapshot::take(&options.processes, clock)?.since(&before, uploaded.accepted);
    if !ended {
        act(&mut api, campaign, "cancel").await?;
    }
    let is_disrupted = disruptions.has_changed().unwrap_or(true);
    ensure!(!is_disrupted, "the connection to NATS was lost meanwhile, or could not keep up");

    let published = outcome.read(&messages).await?;
    let tally = tally.lock();
    let status = tally.latest().map_or(CampaignStatus::Unspecified, chasqui_proto::v1::BulkProgress::status);
    let progress = tally.progress();
    let mut warnings = Vec::new();
    if !ended {
        warnings.push(format!(
            "it stood still for {} s and was cancelled{}",
            STILL_MAX.as_secs(),
            waits(&tally)
        ));
    }
    if progress.per_second_max > PROGRESS_PER_S_MAX {
        warnings.push(format!("progress was told {} times within a second", progress.per_second_max));
    }
    if let Some(cores) = process::others_cores(&cpu) {
        warnings.push(format!("other processes used {cores:.2} cores meanwhile"));
    }
    Ok(CampaignReport {
        recipients,
        accepted: uploaded.accepted,
        upload_seconds: uploaded.seconds,
        upload_bytes: uploaded.bytes,
        memory,
        rate_per_s,
        status: status.name(),
        sent: tally.latest().map_or(0, |progress| progress.sent),
        failed: tally.latest().map_or(0, |progress| progress.failed),
        pace: tally.pace(started_us),
        progress,
        published,
        cpu,
        warnings,
    })
}

/// The ids of the campaign's messages.
fn messages(campaign: Uuid, recipients: u32) -> HashSet<Uuid> {
    let id = |contact: u32| {
        let token = ConversationToken::of(&address::phone(&list::contact(contact)));
        MessageId::of_campaign(campaign, &token, 1).0
    };
    (0..recipients).map(id).collect()
}

async fn act(api: &mut Api, campaign: Uuid, action: &str) -> anyhow::Result<()> {
    let path = format!("/api/campaigns/{campaign}/{action}");
    let (status, answer) = api.post(&path, &json!({})).await?;
    if status != StatusCode::OK {
        bail!("{path} answered {status}: {}", String::from_utf8_lossy(&answer));
    }
    Ok(())
}

/// Whether it ended before it stood still for too long.
async fn until_ended(tally: &tally::Shared) -> bool {
    let mut looks = interval(LOOK_EVERY);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut moved, mut moved_at) = (tally.lock().moved(), Instant::now());
    loop {
        looks.tick().await;
        let tally = tally.lock();
        if tally.has_ended() {
            return true;
        }
        if tally.moved() != moved {
            (moved, moved_at) = (tally.moved(), Instant::now());
        } else if moved_at.elapsed() > STILL_MAX {
            return false;
        }
    }
}

/// What it said that it waits for.
fn waits(tally: &Tally) -> String {
    let waits_for = tally.latest().map_or("", |progress| progress.waits_for.as_str());
    if waits_for.is_empty() { String::new() } else { format!(": it waits for {waits_for}") }
}
