//! Following campaigns until they end.

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail, ensure};
use async_nats::{Message, jetstream::stream::Stream};
use chasqui_kit::clock;
use chasqui_proto::{
    service, stream,
    subject::{self, NodeToken, Subject},
    v1::{BulkProgress, Campaign, CampaignStatus, GetCampaign},
};
use futures::{StreamExt, stream::select_all};
use prost::Message as _;
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{MissedTickBehavior, interval},
};
use uuid::Uuid;

use super::{Tool, screen::Screen};
use crate::output::Reader;

/// How many campaigns can be followed at once.
pub(super) const WATCHED_MAX: usize = 64;
/// How often what goes by itself is drawn again: how long it still waits.
const TICK: Duration = Duration::from_secs(1);

/// Shows how campaigns go on until all have ended; an error says which did not complete.
pub(super) async fn watch(tool: &Tool<'_>, ids: &[Uuid]) -> anyhow::Result<()> {
    ensure!(ids.len() <= WATCHED_MAX, "at most {WATCHED_MAX} campaigns can be followed at once");
    // Listened for from here on: a signal before that would end the process as a failure.
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut disruptions = tool.bus.disruptions();
    disruptions.mark_unchanged();
    // First the subscription, then what is: so nothing is missed between the two.
    let mut live = Vec::new();
    for id in ids {
        let pattern = subject::live(&subject_of(tool, *id));
        live.push(tool.bus.client().subscribe(pattern.as_str().to_owned()).await?);
    }
    tool.bus.barrier().await?;
    let mut live = select_all(live);
    let mut watched = Watched::default();
    for id in ids {
        watched.take(newest(tool, *id).await?);
    }
    let mut screen = Screen::new(tool.json, tool.full);
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if screen.show(&watched.shown(), clock::now_ms())? == Reader::Left {
            return Ok(());
        }
        if watched.have_ended() {
            return watched.verdict();
        }
        tokio::select! {
            Some(message) = live.next() => watched.take(read(&message)?),
            _ = ticks.tick() => {}
            _ = disruptions.changed() => {
                // While the connection is away this fails, and the next change is that it is back.
                for id in ids {
                    if let Ok(progress) = newest(tool, *id).await {
                        watched.take(progress);
                    }
                }
            }
            _ = interrupts.recv() => bail!("not watched any more; nothing was stopped"),
        }
    }
}

/// The campaigns, as far as they are known.
#[derive(Default)]
struct Watched {
    by_id: BTreeMap<String, BulkProgress>,
}

impl Watched {
    /// Takes what is not older than what is known.
    fn take(&mut self, progress: BulkProgress) {
        let known = self.by_id.get(&progress.campaign).map_or(0, |known| known.version);
        if progress.version >= known {
            self.by_id.insert(progress.campaign.clone(), progress);
        }
    }

    fn shown(&self) -> Vec<&BulkProgress> {
        self.by_id.values().collect()
    }

    fn have_ended(&self) -> bool {
        self.by_id.values().all(has_ended)
    }

    /// An error names those that did not complete.
    fn verdict(&self) -> anyhow::Result<()> {
        let lost = self.by_id.values().filter(|progress| progress.status() != CampaignStatus::Completed);
        let lost: Vec<String> = lost
            .map(|progress| {
                let reason = if progress.error.is_empty() { "" } else { ": " };
                let status = progress.status().name();
                format!("campaign {} is {status}{reason}{}", progress.campaign, progress.error)
            })
            .collect();
        if lost.is_empty() { Ok(()) } else { bail!(lost.join("\n")) }
    }
}

fn has_ended(progress: &BulkProgress) -> bool {
    matches!(
        progress.status(),
        CampaignStatus::Completed | CampaignStatus::Cancelled | CampaignStatus::Failed
    )
}

/// The newest of what was told and what is stored: who has not begun was never told of.
async fn newest(tool: &Tool<'_>, id: Uuid) -> anyhow::Result<BulkProgress> {
    let question = GetCampaign { tenant: tool.tenant.to_string(), id: id.to_string() };
    let stored = standing(&tool.ask(service::CAMPAIGNS_GET, &question).await?);
    let told = told(tool, id).await?;
    Ok(told.filter(|told| told.version >= stored.version).unwrap_or(stored))
}

/// What was told last.
async fn told(tool: &Tool<'_>, id: Uuid) -> anyhow::Result<Option<BulkProgress>> {
    use async_nats::jetstream::stream::LastRawMessageErrorKind::NoMessageFound;
    let states: Stream<()> = tool.bus.jetstream().get_stream_no_info(stream::STATE.name).await?;
    // The leader is asked: another replica may not have yet what was repeated before the subscription.
    match states.get_last_raw_message_by_subject(subject_of(tool, id).as_str()).await {
        Ok(stored) => Ok(Some(BulkProgress::decode(stored.payload)?)),
        Err(error) if error.kind() == NoMessageFound => Ok(None),
        Err(error) => Err(error).context("what was told last cannot be read"),
    }
}

fn read(message: &Message) -> anyhow::Result<BulkProgress> {
    BulkProgress::decode(message.payload.clone())
        .with_context(|| format!("{} cannot be read", message.subject))
}

fn subject_of(tool: &Tool<'_>, id: Uuid) -> Subject<BulkProgress> {
    subject::bulk_progress(&tool.tenant, &NodeToken::new(&id.to_string()))
}

/// A campaign of which nothing was told yet.
fn standing(campaign: &Campaign) -> BulkProgress {
    let counts = campaign.counts.unwrap_or_default();
    BulkProgress {
        tenant: campaign.tenant.clone(),
        campaign: campaign.id.clone(),
        status: campaign.status,
        sent: counts.sent + counts.delivered + counts.read,
        total: counts.total,
        failed: counts.failed,
        error: campaign.error.clone(),
        updated_at_ms: campaign.updated_at_ms,
        name: campaign.name.clone(),
        delivered: counts.delivered + counts.read,
        read: counts.read,
        skipped: counts.skipped + counts.cancelled,
        queued: counts.queued,
        failures: campaign.failures.clone(),
        version: campaign.version,
        started_at_ms: campaign.started_at_ms,
        ended_at_ms: campaign.ended_at_ms,
        ..BulkProgress::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(campaign: &str, version: u64, status: CampaignStatus) -> BulkProgress {
        BulkProgress {
            campaign: campaign.to_owned(),
            version,
            status: status.into(),
            ..BulkProgress::default()
        }
    }

    #[test]
    fn of_two_states_the_newer_counts_whichever_comes_first() {
        let mut watched = Watched::default();
        watched.take(progress("a", 5, CampaignStatus::Paused));
        watched.take(progress("a", 4, CampaignStatus::Running));
        assert_eq!(watched.shown()[0].status(), CampaignStatus::Paused);
        watched.take(BulkProgress { rate_per_second: 2.0, ..progress("a", 5, CampaignStatus::Paused) });
        assert!(watched.shown()[0].rate_per_second > 1.0, "the same version with another rate");
    }

    #[test]
    fn it_is_over_when_all_have_ended_and_good_when_all_completed() {
        let mut watched = Watched::default();
        watched.take(progress("a", 1, CampaignStatus::Completed));
        watched.take(progress("b", 1, CampaignStatus::Running));
        assert!(!watched.have_ended());
        watched.take(progress("b", 2, CampaignStatus::Completed));
        assert!(watched.have_ended() && watched.verdict().is_ok());
        watched.take(progress("c", 1, CampaignStatus::Cancelled));
        let failed = progress("d", 1, CampaignStatus::Failed);
        watched.take(BulkProgress { error: "the number is logged out".to_owned(), ..failed });
        let told = watched.verdict().unwrap_err().to_string();
        assert_eq!(told, "campaign c is cancelled\ncampaign d is failed: the number is logged out");
    }
}
