//! Persistence, as a runner asks it: campaigns and their recipients in memory, by the rules of the contract.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use anyhow::Result;
use chasqui_kit::{Bus, Code, Coded, clock, serve::Responder};
use chasqui_proto::{
    MessageId,
    service::{CAMPAIGNS_ADVANCE, CAMPAIGNS_CHANGE, CAMPAIGNS_DUE, CAMPAIGNS_UNSETTLED, PERSISTENCE},
    v1::{
        AdvanceCampaign, Campaign, CampaignAction, CampaignAdvanced, CampaignStatus, ChangeCampaign,
        DueCampaign, DueCampaigns, FailureCount, ListDueCampaigns, ListUnsettled, ProviderError, Recipient,
        RecipientCounts, RecipientState, UnsettledPage,
    },
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long a recipient that waits for itself is counted as under way, milliseconds.
const UNDER_WAY_MS: i64 = 60_000;
const KNOWN: &str = "lines are of recipients";

/// What persistence keeps.
#[derive(Clone, Default)]
pub(crate) struct Office(Arc<Mutex<HashMap<String, Kept>>>);

/// While persistence answers.
pub(crate) struct Open {
    stop: CancellationToken,
    answering: JoinHandle<()>,
}

/// A campaign and whom it writes to.
#[derive(Default)]
pub(crate) struct Kept {
    pub(crate) campaign: Campaign,
    pub(crate) recipients: BTreeMap<u32, Recipient>,
    pending: BTreeSet<u32>,
    pub(crate) queued: BTreeSet<u32>,
    by_message: HashMap<String, u32>,
    /// Messages that are stored.
    stored: HashSet<String>,
    pub(crate) told_version: u64,
    ownership: u64,
    /// Every claim that was asked for, and what was under way after it.
    pub(crate) claims: Vec<(AdvanceCampaign, usize)>,
    /// When the last one was.
    pub(crate) asked_at: Option<Instant>,
    /// So many answers that give recipients out get lost on their way.
    pub(crate) answers_lost: u32,
}

#[derive(Debug)]
pub(crate) struct Refusal(Code, &'static str);

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.1)
    }
}

impl std::error::Error for Refusal {}

impl Coded for Refusal {
    fn code(&self) -> Code {
        self.0
    }
}

impl Open {
    pub(crate) async fn close(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.answering.await?)
    }
}

impl Office {
    /// Begins to answer.
    pub(crate) async fn open(&self, bus: &Bus) -> Result<Open> {
        let stop = CancellationToken::new();
        let responder = Responder::start(bus, PERSISTENCE, "persistence of the test", stop.clone()).await?;
        macro_rules! answer {
            ($endpoint:ident, $method:ident) => {
                let office = self.clone();
                let answer = move |question, _| {
                    let answer = office.$method(&question);
                    async move { answer }
                };
                responder.endpoint($endpoint, answer).await?;
            };
        }
        let office = self.clone();
        let due = move |question: ListDueCampaigns, _| {
            let answer = office.due(question.limit);
            async move { answer }
        };
        responder.endpoint(CAMPAIGNS_DUE, due).await?;
        answer!(CAMPAIGNS_ADVANCE, advance);
        answer!(CAMPAIGNS_UNSETTLED, unsettled);
        answer!(CAMPAIGNS_CHANGE, change);
        bus.barrier().await?;
        Ok(Open { stop, answering: tokio::spawn(responder.stopped()) })
    }

    /// A campaign is there.
    pub(crate) fn add(&self, kept: Kept) {
        self.all().insert(kept.campaign.id.clone(), kept);
    }

    /// Looks at a campaign, or changes it.
    pub(crate) fn look<T>(&self, id: &str, look: impl FnOnce(&mut Kept) -> T) -> T {
        look(self.all().get_mut(id).expect("the campaign is there"))
    }

    /// The campaign that a message is of.
    pub(crate) fn of_message(&self, message_id: &str, change: impl FnOnce(&mut Kept, u32)) {
        for kept in self.all().values_mut() {
            if let Some(line) = kept.by_message.get(message_id).copied() {
                return change(kept, line);
            }
        }
    }

    fn all(&self) -> std::sync::MutexGuard<'_, HashMap<String, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn due(&self, limit: u32) -> Result<DueCampaigns, Refusal> {
        if limit == 0 {
            return Err(Refusal(Code::InvalidInput, "limit: must be at least 1"));
        }
        let mut campaigns: Vec<DueCampaign> = self
            .all()
            .values()
            .filter(|kept| kept.is_due())
            .map(|kept| DueCampaign { tenant: kept.campaign.tenant.clone(), id: kept.campaign.id.clone() })
            .collect();
        campaigns.truncate(limit as usize);
        Ok(DueCampaigns { campaigns })
    }

    fn advance(&self, question: &AdvanceCampaign) -> Result<CampaignAdvanced, Refusal> {
        let mut all = self.all();
        let kept = all.get_mut(&question.id).ok_or(Refusal(Code::NotFound, "there is no such campaign"))?;
        kept.own(question.ownership)?;
        kept.told_version = kept.told_version.max(question.told_version);
        let recipients = kept.advance(question);
        let is_lost = !recipients.is_empty() && kept.answers_lost > 0;
        let plan = kept.campaign.plan.clone().filter(|_| question.limit == 0);
        let campaign = Some(Campaign { plan, ..kept.campaign.clone() });
        kept.claims.push((question.clone(), kept.queued.len()));
        kept.asked_at = Some(Instant::now());
        if is_lost {
            kept.answers_lost -= 1;
            return Err(Refusal(Code::Unavailable, "the answer is lost"));
        }
        Ok(CampaignAdvanced { campaign, recipients })
    }

    fn unsettled(&self, question: &ListUnsettled) -> Result<UnsettledPage, Refusal> {
        let mut all = self.all();
        let kept = all.get_mut(&question.id).ok_or(Refusal(Code::NotFound, "there is no such campaign"))?;
        kept.own(question.ownership)?;
        let lines = kept.queued.range(question.after_line + 1..);
        let recipients = lines
            .map(|line| &kept.recipients[line])
            .filter(|recipient| !kept.stored.contains(&recipient.message_id))
            .take(question.limit as usize)
            .cloned()
            .collect();
        Ok(UnsettledPage { recipients })
    }

    fn change(&self, question: &ChangeCampaign) -> Result<Campaign, Refusal> {
        let mut all = self.all();
        let kept = all.get_mut(&question.id).ok_or(Refusal(Code::NotFound, "there is no such campaign"))?;
        if question.action() != CampaignAction::Stop {
            return Err(Refusal(Code::InvalidInput, "a runner only stops campaigns"));
        }
        kept.own(question.ownership)?;
        if kept.campaign.status() != CampaignStatus::Running {
            return Err(Refusal(Code::Conflict, "it does not run"));
        }
        kept.turn(CampaignStatus::Failed);
        kept.campaign.error.clone_from(&question.error);
        Ok(kept.campaign.clone())
    }
}

impl Kept {
    /// A campaign that does not run yet.
    pub(crate) fn new(campaign: Campaign, recipients: impl IntoIterator<Item = Recipient>) -> Self {
        let recipients: BTreeMap<u32, Recipient> =
            recipients.into_iter().map(|recipient| (recipient.line, recipient)).collect();
        let total = u32::try_from(recipients.len()).expect("a list is short");
        let counts = Some(RecipientCounts { total, pending: total, ..RecipientCounts::default() });
        let mut kept = Self {
            campaign: Campaign { counts, version: 1, ..campaign },
            pending: recipients.keys().copied().collect(),
            ..Self::default()
        };
        kept.by_message =
            recipients.iter().map(|(line, recipient)| (recipient.message_id.clone(), *line)).collect();
        kept.recipients = recipients;
        kept
    }

    fn is_due(&self) -> bool {
        match self.campaign.status() {
            CampaignStatus::Running => true,
            CampaignStatus::Scheduled if self.is_time() => true,
            _ => self.told_version < self.campaign.version,
        }
    }

    fn is_time(&self) -> bool {
        self.campaign.plan.as_ref().is_some_and(|plan| plan.scheduled_at_ms <= clock::now_ms())
    }

    fn own(&mut self, ownership: u64) -> Result<(), Refusal> {
        if ownership < self.ownership {
            return Err(Refusal(Code::Conflict, "another runner has it"));
        }
        self.ownership = ownership;
        Ok(())
    }

    /// Its status changes; what a start, an end and a change set is set.
    pub(crate) fn turn(&mut self, status: CampaignStatus) {
        let now_ms = clock::now_ms();
        self.campaign.set_status(status);
        match status {
            CampaignStatus::Running => {
                (self.campaign.started_at_ms, self.campaign.ended_at_ms) = (now_ms, 0);
                self.campaign.error.clear();
            }
            CampaignStatus::Completed | CampaignStatus::Cancelled => self.campaign.ended_at_ms = now_ms,
            _ => {}
        }
        if status == CampaignStatus::Cancelled {
            for line in std::mem::take(&mut self.pending) {
                self.put(line, RecipientState::Cancelled);
            }
        }
        self.changed();
    }

    /// Failed recipients get their turn again.
    pub(crate) fn retry(&mut self) {
        let failed = self.recipients.values().filter(|one| one.state() == RecipientState::Failed);
        for line in failed.map(|one| one.line).collect::<Vec<_>>() {
            let id = MessageId::now().to_string();
            let recipient = self.recipients.get_mut(&line).expect(KNOWN);
            recipient.attempt += 1;
            recipient.message_id.clone_from(&id);
            self.by_message.insert(id, line);
            self.put(line, RecipientState::Pending);
            self.pending.insert(line);
        }
        self.campaign.failures.clear();
        self.turn(CampaignStatus::Running);
    }

    /// A message is stored.
    pub(crate) fn store(&mut self, message_id: &str) {
        self.stored.insert(message_id.to_owned());
    }

    /// What became of a recipient's message.
    pub(crate) fn raise(&mut self, line: u32, state: RecipientState, error: Option<ProviderError>) {
        self.queued.remove(&line);
        self.put(line, state);
        if let Some(error) = error {
            let same = |one: &&mut FailureCount| (one.code, &one.title) == (error.code, &error.title);
            match self.campaign.failures.iter_mut().find(same) {
                Some(failure) => failure.count += 1,
                None => self.campaign.failures.push(FailureCount {
                    code: error.code,
                    title: error.title,
                    count: 1,
                }),
            }
        }
        self.changed();
    }

    fn advance(&mut self, question: &AdvanceCampaign) -> Vec<Recipient> {
        if self.campaign.status() == CampaignStatus::Scheduled && self.is_time() {
            self.turn(CampaignStatus::Running);
        }
        if self.campaign.status() != CampaignStatus::Running {
            return Vec::new();
        }
        let now_ms = clock::now_ms();
        let is_recent = |line: &&u32| self.recipients[line].queued_at_ms > now_ms - UNDER_WAY_MS;
        let under_way = self.queued.iter().filter(is_recent).count();
        let room = (question.window as usize).saturating_sub(under_way).min(question.limit as usize);
        let recipients = self.hand_out(room);
        if recipients.is_empty() && self.pending.is_empty() && self.queued.is_empty() {
            self.turn(CampaignStatus::Completed);
        }
        recipients
    }

    /// So many recipients are under way from now on.
    pub(crate) fn hand_out(&mut self, count: usize) -> Vec<Recipient> {
        let lines: Vec<u32> = self.pending.iter().take(count).copied().collect();
        for line in &lines {
            self.pending.remove(line);
            self.queued.insert(*line);
            self.put(*line, RecipientState::Queued);
            self.recipients.get_mut(line).expect(KNOWN).queued_at_ms = clock::now_ms();
        }
        if !lines.is_empty() {
            self.changed();
        }
        lines.iter().map(|line| self.recipients[line].clone()).collect()
    }

    fn put(&mut self, line: u32, state: RecipientState) {
        let recipient = self.recipients.get_mut(&line).expect(KNOWN);
        let counts = self.campaign.counts.as_mut().expect("it was made with counts");
        *count(counts, recipient.state()) -= 1;
        recipient.set_state(state);
        *count(counts, state) += 1;
    }

    fn changed(&mut self) {
        self.campaign.version += 1;
        self.campaign.updated_at_ms = clock::now_ms();
    }
}

fn count(counts: &mut RecipientCounts, state: RecipientState) -> &mut u32 {
    match state {
        RecipientState::Unspecified | RecipientState::Pending => &mut counts.pending,
        RecipientState::Queued => &mut counts.queued,
        RecipientState::Sent => &mut counts.sent,
        RecipientState::Delivered => &mut counts.delivered,
        RecipientState::Read => &mut counts.read,
        RecipientState::Failed => &mut counts.failed,
        RecipientState::Skipped => &mut counts.skipped,
        RecipientState::Cancelled => &mut counts.cancelled,
    }
}
