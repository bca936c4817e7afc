//! Whoever keeps campaigns.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};

use anyhow::Result;
use chasqui_kit::{Code, Coded, serve::Responder};
use chasqui_proto::{
    service,
    v1::{
        AppendRecipients, Campaign, CampaignAction, CampaignPage, CampaignStatus, ChangeCampaign,
        CreateCampaign, DuplicateRow, GetCampaign, ListCampaigns, ListRecipients, Recipient, RecipientCounts,
        RecipientPage, RecipientsAppended, SealCampaign,
    },
};
use prost::Message;
use tokio_util::sync::CancellationToken;

use crate::{directory::bus, world::World};

/// What persistence refuses with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("there is no such campaign")]
    Unknown,
    #[error("Idempotency-Key: it was used for another campaign")]
    Another,
    #[error("another upload takes its place")]
    Superseded,
    #[error("a campaign that was cancelled cannot be changed")]
    Ended,
    #[error("the database is away")]
    Away,
}

impl Coded for Refusal {
    fn code(&self) -> Code {
        match self {
            Self::Unknown => Code::NotFound,
            Self::Another | Self::Superseded | Self::Ended => Code::Conflict,
            Self::Away => Code::Unavailable,
        }
    }
}

/// A campaign and what belongs to it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Kept {
    pub(crate) campaign: Campaign,
    pub(crate) recipients: Vec<Recipient>,
    pub(crate) start: bool,
    upload: String,
    digest: Vec<u8>,
    lines: BTreeMap<String, u32>,
}

type Held = Arc<Mutex<BTreeMap<String, Kept>>>;

/// Keeps campaigns in its memory, by their ids.
pub(crate) struct Store {
    held: Held,
    /// Numbers of contacts who want no campaigns.
    pub(crate) opted_out: Arc<Mutex<BTreeSet<String>>>,
    /// Rows and bytes of each batch.
    pub(crate) batches: Arc<Mutex<Vec<(usize, usize)>>>,
    /// How many campaigns were opened.
    pub(crate) opened: Arc<AtomicUsize>,
    /// How many batches were handled at the same time, at most.
    pub(crate) at_once: Arc<AtomicUsize>,
    /// Recipients are neither taken nor told.
    pub(crate) is_away: Arc<AtomicBool>,
    stop: CancellationToken,
    responder: Responder,
}

impl Store {
    pub(crate) async fn start(world: &World) -> Result<Self> {
        let (bus, stop) = (bus(world).await?, CancellationToken::new());
        let responder = Responder::start(&bus, service::PERSISTENCE, "a stand-in", stop.clone()).await?;
        let store = Self {
            held: Held::default(),
            opted_out: Arc::default(),
            batches: Arc::default(),
            opened: Arc::default(),
            at_once: Arc::default(),
            is_away: Arc::default(),
            stop,
            responder,
        };
        store.take_campaigns().await?;
        store.take_recipients().await?;
        store.tell().await?;
        bus.barrier().await?;
        Ok(store)
    }

    async fn take_campaigns(&self) -> Result<()> {
        let (of, opened) = (self.held.clone(), self.opened.clone());
        let create = move |question: CreateCampaign, _| {
            opened.fetch_add(1, Ordering::Relaxed);
            let mut held = of.lock().expect("no panic");
            let kept = held.entry(question.id.clone()).or_default();
            if kept.campaign.status() <= CampaignStatus::Unspecified
                || kept.campaign.status() == CampaignStatus::Uploading
            {
                let campaign = Campaign {
                    tenant: question.tenant,
                    id: question.id,
                    name: question.name,
                    plan: question.plan,
                    created_by: question.created_by,
                    status: CampaignStatus::Uploading.into(),
                    created_at_ms: 1_795_435_200_000,
                    ..Campaign::default()
                };
                *kept = Kept { campaign, upload: question.upload, ..Kept::default() };
            }
            let campaign = kept.campaign.clone();
            async move { Ok::<_, Refusal>(campaign) }
        };
        self.responder.endpoint(service::CAMPAIGNS_CREATE, create).await?;
        let of = self.held.clone();
        let seal = move |question: SealCampaign, _| {
            let sealed = seal(&mut of.lock().expect("no panic"), question);
            async move { sealed }
        };
        Ok(self.responder.endpoint(service::CAMPAIGNS_SEAL, seal).await?)
    }

    async fn take_recipients(&self) -> Result<()> {
        let (of, opted_out, batches) = (self.held.clone(), self.opted_out.clone(), self.batches.clone());
        let (is_away, at_once, now) =
            (self.is_away.clone(), self.at_once.clone(), Arc::new(AtomicUsize::new(0)));
        let append = move |question: AppendRecipients, _| {
            at_once.fetch_max(now.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
            batches.lock().expect("no panic").push((question.recipients.len(), question.encoded_len()));
            let appended = if is_away.load(Ordering::Relaxed) {
                Err(Refusal::Away)
            } else {
                append(&mut of.lock().expect("no panic"), &opted_out.lock().expect("no panic"), question)
            };
            let now = now.clone();
            async move {
                // Long enough for another one to come, if there is any.
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
                now.fetch_sub(1, Ordering::Relaxed);
                appended
            }
        };
        Ok(self.responder.endpoint(service::CAMPAIGNS_APPEND, append).await?)
    }

    async fn tell(&self) -> Result<()> {
        let of = self.held.clone();
        let get = move |question: GetCampaign, _| {
            let found = of.lock().expect("no panic").get(&question.id).cloned();
            let found = found.filter(|kept| kept.campaign.tenant == question.tenant);
            async move { found.map(|kept| kept.campaign).ok_or(Refusal::Unknown) }
        };
        self.responder.endpoint(service::CAMPAIGNS_GET, get).await?;
        let of = self.held.clone();
        let list = move |question: ListCampaigns, _| {
            let held = of.lock().expect("no panic");
            let is_asked = |kept: &&Kept| {
                let is_own = kept.campaign.tenant == question.tenant;
                is_own && (question.status == 0 || kept.campaign.status == question.status)
            };
            let all =
                held.values().filter(is_asked).map(|kept| Campaign { report: None, ..kept.campaign.clone() });
            let campaigns: Vec<_> = all.take(question.limit as usize).collect();
            async move { Ok::<_, Refusal>(CampaignPage { campaigns, next: "more".into() }) }
        };
        self.responder.endpoint(service::CAMPAIGNS_LIST, list).await?;
        let of = self.held.clone();
        let change = move |question: ChangeCampaign, _| {
            let changed = change(&mut of.lock().expect("no panic"), &question);
            async move { changed }
        };
        self.responder.endpoint(service::CAMPAIGNS_CHANGE, change).await?;
        let (of, is_away) = (self.held.clone(), self.is_away.clone());
        let recipients = move |question: ListRecipients, _| {
            let found = of.lock().expect("no panic").get(&question.id).cloned();
            let found = found.filter(|kept| kept.campaign.tenant == question.tenant);
            let page = found.map(|kept| page(&kept, &question)).ok_or(Refusal::Unknown);
            let is_away = is_away.load(Ordering::Relaxed) && !question.cursor.is_empty();
            async move { if is_away { Err(Refusal::Away) } else { page } }
        };
        Ok(self.responder.endpoint(service::CAMPAIGNS_RECIPIENTS, recipients).await?)
    }

    /// Everything that is kept.
    pub(crate) fn held(&self) -> MutexGuard<'_, BTreeMap<String, Kept>> {
        self.held.lock().expect("no panic")
    }

    /// The only campaign that is kept.
    pub(crate) fn only(&self) -> Kept {
        let held = self.held();
        assert_eq!(held.len(), 1, "one campaign");
        held.values().next().cloned().expect("one campaign")
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        self.responder.stopped().await;
    }
}

fn seal(held: &mut BTreeMap<String, Kept>, question: SealCampaign) -> Result<Campaign, Refusal> {
    let kept = held.get_mut(&question.id).ok_or(Refusal::Unknown)?;
    if kept.campaign.status() != CampaignStatus::Uploading {
        let is_same = kept.digest == question.digest;
        return if is_same { Ok(kept.campaign.clone()) } else { Err(Refusal::Another) };
    }
    if kept.upload != question.upload {
        return Err(Refusal::Superseded);
    }
    let is_scheduled = kept.campaign.plan.as_ref().is_some_and(|plan| plan.scheduled_at_ms != 0);
    let status = match (question.start, is_scheduled) {
        (false, _) => CampaignStatus::Draft,
        (true, true) => CampaignStatus::Scheduled,
        (true, false) => CampaignStatus::Running,
    };
    let total = u32::try_from(kept.recipients.len()).expect("a few");
    kept.campaign.counts = Some(RecipientCounts { total, pending: total, ..RecipientCounts::default() });
    kept.campaign.status = status.into();
    kept.campaign.report = question.report;
    kept.digest = question.digest;
    kept.start = question.start;
    let campaign = kept.campaign.clone();
    if question.discard {
        held.remove(&question.id);
    }
    Ok(campaign)
}

fn append(
    held: &mut BTreeMap<String, Kept>,
    opted_out: &BTreeSet<String>,
    question: AppendRecipients,
) -> Result<RecipientsAppended, Refusal> {
    let kept = held.get_mut(&question.id).ok_or(Refusal::Unknown)?;
    if kept.upload != question.upload {
        return Err(Refusal::Superseded);
    }
    let mut appended = RecipientsAppended::default();
    for recipient in question.recipients {
        let (line, to) = (recipient.line, recipient.contact.clone().unwrap_or_default().value);
        if let Some(first_line) = kept.lines.get(&to) {
            appended.duplicates.push(DuplicateRow { line, first_line: *first_line });
            continue;
        }
        if opted_out.contains(&to) {
            appended.opted_out.push(line);
        }
        kept.lines.insert(to, line);
        kept.recipients.push(recipient);
    }
    Ok(appended)
}

fn change(held: &mut BTreeMap<String, Kept>, question: &ChangeCampaign) -> Result<Campaign, Refusal> {
    let kept = held.get_mut(&question.id).filter(|kept| kept.campaign.tenant == question.tenant);
    let kept = kept.ok_or(Refusal::Unknown)?;
    if kept.campaign.status() == CampaignStatus::Cancelled {
        return Err(Refusal::Ended);
    }
    let status = match question.action() {
        CampaignAction::Start if question.scheduled_at_ms != 0 => CampaignStatus::Scheduled,
        CampaignAction::Pause => CampaignStatus::Paused,
        CampaignAction::Cancel => CampaignStatus::Cancelled,
        _ => CampaignStatus::Running,
    };
    kept.campaign.status = status.into();
    kept.campaign.plan.get_or_insert_default().scheduled_at_ms = question.scheduled_at_ms;
    Ok(kept.campaign.clone())
}

/// Pages by position, which the cursor is.
fn page(kept: &Kept, question: &ListRecipients) -> RecipientPage {
    let from: usize = question.cursor.parse().unwrap_or_default();
    let is_asked = |recipient: &&Recipient| question.state == 0 || recipient.state == question.state;
    let rest: Vec<_> = kept.recipients.iter().filter(is_asked).skip(from).cloned().collect();
    let limit = question.limit as usize;
    let next = if rest.len() > limit { (from + limit).to_string() } else { String::new() };
    RecipientPage { recipients: rest.into_iter().take(limit).collect(), next }
}
