//! One campaign, as long as this replica has it: who is next, their messages, and how far it is.

use std::time::{Duration, Instant};

use chasqui_kit::{Bus, clock, pause::Pause};
use chasqui_proto::v1::{Campaign, CampaignStatus, Recipient};
use prost::Message;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::{
    board::Board,
    channel::{Line, Number},
    key::CampaignKey,
    ledger::{Claim, Ledger},
    meter,
    obstacle::Obstacle,
    order::Order,
    pace::Pace,
    pause::pause,
    progress::{View, is_due, progress},
    publication,
    trouble::Trouble,
    window::window,
};

/// How often a campaign that sends, or changes, is looked at.
const TICK: Duration = Duration::from_millis(200);
/// How often one is that only waits.
const IDLE_TICK: Duration = Duration::from_millis(500);
/// How long nothing must have changed in a campaign that does not run before it is let go. Whatever changes later makes
/// persistence ask for a runner again.
const REST_AFTER: Duration = Duration::from_secs(10);
/// How many recipients are asked for at once.
#[expect(clippy::cast_possible_truncation, reason = "it is small")]
const BATCH_MAX: u32 = publication::IN_FLIGHT_MAX as u32;
/// Recipients of so many bytes are a full answer, however few they are: persistence gives no more at once.
const ANSWER_BYTES_FULL: usize = 512 * 1024;

/// Runs a campaign until it rests, is lost, or everything is to stop; then what is in hand is finished.
pub(crate) async fn run(bus: &Bus, key: &CampaignKey, ownership: u64, stop: &CancellationToken) {
    let (mut begun, mut trouble) = (None, None);
    while !stop.is_cancelled() {
        let wait = match step(&mut begun, bus, key, ownership).await {
            Ok(Next::Rest) => return,
            Ok(Next::After(wait)) => {
                trouble = None;
                wait
            }
            Err(Trouble::Away(reason)) => {
                let growing: &mut Pause = trouble.get_or_insert_with(|| {
                    let cause = if bus.is_connected() { "persistence" } else { "broker" };
                    tracing::warn!(campaign = %key, reason, "a campaign waits: {cause} is away");
                    meter::waits(cause);
                    pause()
                });
                growing.lengthen()
            }
            Err(error) => {
                tracing::info!(%error, campaign = %key, "a campaign is let go");
                return;
            }
        };
        stop.run_until_cancelled(sleep(wait)).await;
    }
}

/// The first step is to find out where it stands.
async fn step(
    begun: &mut Option<Run>,
    bus: &Bus,
    key: &CampaignKey,
    ownership: u64,
) -> Result<Next, Trouble> {
    match begun {
        Some(run) => run.step().await,
        None => begun.insert(Run::begin(bus, key, ownership).await?).step().await,
    }
}

/// What comes after a step.
enum Next {
    After(Duration),
    /// Nothing more happens by itself.
    Rest,
}

struct Run {
    bus: Bus,
    key: CampaignKey,
    ledger: Ledger,
    board: Board,
    /// As persistence told it last, without its plan.
    campaign: Campaign,
    /// Why it cannot be run, where it cannot.
    order: Result<Order, String>,
    number: Number,
    pace: Pace,
    view: View,
    /// Whatever was given out before is published.
    is_settled: bool,
    /// The version that persistence knows to have been told.
    reported: u64,
    /// When it changed last.
    changed_at: Instant,
}

impl Run {
    async fn begin(bus: &Bus, key: &CampaignKey, ownership: u64) -> Result<Self, Trouble> {
        let board = Board::read(bus, key).await?;
        let ledger = Ledger::new(bus, key, ownership);
        let mut campaign = ledger.look(board.told_version()).await?;
        let plan = campaign.plan.take().unwrap_or_default();
        let (now_ms, counts) = (clock::now_ms(), campaign.counts.unwrap_or_default());
        let begins = counts.pending + counts.skipped + counts.cancelled == counts.total;
        let mut view = View::default();
        if let Some(told) = board.told() {
            view.current.clone_from(&told.current_conversation);
            if told.status() == CampaignStatus::Running {
                meter::taken_over();
            }
        }
        let channel = plan.message.as_ref().and_then(|message| message.channel.as_ref());
        tracing::info!(campaign = %key, ownership, status = campaign.status().name(), "runs a campaign");
        Ok(Self {
            number: Number::new(bus, &key.tenant, channel),
            order: Order::read(key, &plan),
            pace: Pace::new(&plan, begins, now_ms),
            bus: bus.clone(),
            key: key.clone(),
            ledger,
            reported: board.told_version(),
            board,
            campaign,
            view,
            is_settled: false,
            changed_at: Instant::now(),
        })
    }

    async fn step(&mut self) -> Result<Next, Trouble> {
        let now_ms = clock::now_ms();
        self.look_around(now_ms).await?;
        self.settle().await?;
        let (claim, told_version) = (self.claim(now_ms), self.board.told_version());
        let (campaign, recipients) = self.ledger.advance(told_version, claim).await?;
        self.reported = told_version;
        self.note(campaign);
        self.pace.take(u32::try_from(recipients.len()).unwrap_or(u32::MAX));
        let is_full = is_full(&recipients, claim);
        self.write_to(recipients).await?;
        self.tell().await?;
        Ok(if is_full { Next::After(Duration::ZERO) } else { self.next() })
    }

    /// Finds out whether anything is in the way; what does not go away by itself stops the campaign.
    async fn look_around(&mut self, now_ms: i64) -> Result<(), Trouble> {
        let is_running = self.is(CampaignStatus::Running);
        if !is_running && !self.is(CampaignStatus::Scheduled) {
            self.meet(None);
            return Ok(());
        }
        let order = match &self.order {
            Ok(order) => order,
            Err(problem) if is_running => return self.stop(problem.clone()).await,
            Err(_) => return Ok(()),
        };
        if let Some(until_ms) = order.quiet.as_ref().and_then(|quiet| quiet.ends_at_ms(now_ms)) {
            self.meet(Some(Obstacle::QuietHours { until_ms }));
            return Ok(());
        }
        match self.number.look(self.campaign.started_at_ms, now_ms).await {
            Line::Open => self.meet(None),
            Line::Waits { until_ms } => self.meet(Some(Obstacle::Number { until_ms })),
            Line::Broken(reason) if is_running => return self.stop(reason).await,
            Line::Broken(_) => self.meet(Some(Obstacle::Number { until_ms: 0 })),
        }
        Ok(())
    }

    fn meet(&mut self, obstacle: Option<Obstacle>) {
        let before = self.view.obstacle.map(Obstacle::name);
        if let Some(new) = obstacle.filter(|new| Some(new.name()) != before) {
            meter::waits(new.name());
        }
        self.view.obstacle = obstacle;
    }

    async fn stop(&mut self, reason: String) -> Result<(), Trouble> {
        tracing::warn!(campaign = %self.key, reason, "a campaign stops");
        if let Some(campaign) = self.ledger.stop(reason).await? {
            meter::stopped();
            self.note(campaign);
        }
        Ok(())
    }

    /// Publishes what was given out before and may never have been published. What was cancelled meanwhile is not sent.
    async fn settle(&mut self) -> Result<(), Trouble> {
        let is_cancelled = self.is(CampaignStatus::Cancelled);
        if self.is_settled || self.order.is_err() || !(is_cancelled || self.sends()) {
            return Ok(());
        }
        let mut after_line = 0;
        loop {
            let recipients = self.ledger.unsettled(after_line).await?;
            let Some(last) = recipients.last() else { break };
            after_line = last.line;
            self.write_to(recipients).await?;
        }
        self.is_settled = true;
        Ok(())
    }

    fn claim(&mut self, now_ms: i64) -> Claim {
        let allowed = self.pace.allowed(self.campaign.started_at_ms, now_ms).min(BATCH_MAX);
        let limit = match self.campaign.status() {
            _ if self.view.obstacle.is_some() || self.order.is_err() => 0,
            // Whoever is next shows that its time has come.
            CampaignStatus::Scheduled => 1,
            CampaignStatus::Running if !self.is_settled => 0,
            CampaignStatus::Running if self.nobody_is_left() => allowed.max(1),
            CampaignStatus::Running => allowed,
            _ => 0,
        };
        Claim { limit, window: window(self.view.settled.per_second()) }
    }

    /// Publishes the messages to recipients that were given out.
    async fn write_to(&mut self, recipients: Vec<Recipient>) -> Result<(), Trouble> {
        let (Ok(order), Some(last)) = (&self.order, recipients.last()) else { return Ok(()) };
        let current = last.conversation.clone();
        let is_cancelled = self.is(CampaignStatus::Cancelled);
        let published = match order.letters(recipients, is_cancelled) {
            Ok(letters) => publication::publish(&self.bus, &self.key.tenant, &order.text, letters).await,
            Err(error) => Err(error),
        };
        self.view.current = current;
        if let Err(error) = published {
            // Whoever resumes it meets the same recipient again.
            self.is_settled = false;
            self.stop(error.to_string()).await?;
        }
        Ok(())
    }

    fn note(&mut self, campaign: Campaign) {
        if campaign.version != self.campaign.version {
            self.changed_at = Instant::now();
        }
        self.campaign = Campaign { plan: None, report: None, ..campaign };
        self.view.note(&self.campaign.counts.unwrap_or_default(), clock::now_ms());
    }

    async fn tell(&mut self) -> Result<(), Trouble> {
        let next = progress(&self.campaign, &self.view, self.board.told(), clock::now_ms());
        if !self.is(CampaignStatus::Uploading) && is_due(self.board.told(), &next) {
            self.board.tell(next).await?;
        }
        Ok(())
    }

    fn next(&self) -> Next {
        let is_told = self.reported >= self.campaign.version;
        let (is_running, since) = (self.is(CampaignStatus::Running), self.changed_at.elapsed());
        let rests = is_told && since >= REST_AFTER || self.is(CampaignStatus::Uploading);
        if !is_running && rests {
            return Next::Rest;
        }
        let is_idle = (!self.sends() || self.nobody_is_left()) && since >= TICK;
        Next::After(if is_idle { IDLE_TICK } else { TICK })
    }

    fn sends(&self) -> bool {
        self.is(CampaignStatus::Running) && self.view.obstacle.is_none() && self.order.is_ok()
    }

    /// Whoever is under way may be so for a day: WhatsApp asks to try some again tomorrow.
    fn nobody_is_left(&self) -> bool {
        self.campaign.counts.is_some_and(|counts| counts.pending == 0)
    }

    fn is(&self, status: CampaignStatus) -> bool {
        self.campaign.status() == status
    }
}

/// Whether persistence may have more to give at once.
fn is_full(recipients: &[Recipient], claim: Claim) -> bool {
    let has_all = claim.limit == BATCH_MAX && recipients.len() == BATCH_MAX as usize;
    has_all || recipients.iter().map(Message::encoded_len).sum::<usize>() >= ANSWER_BYTES_FULL
}
