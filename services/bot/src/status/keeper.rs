//! The replica that counts, and tells everybody how the bots stand.

use std::time::Duration;

use async_nats::{
    Message, Subject,
    jetstream::stream::{DirectGetErrorKind, Stream},
};
use chasqui_kit::{TraceContext, clock, lease::Held, publish::Fact};
use chasqui_proto::{
    Tenant,
    id::fact_id,
    stream::{BOT_CONSUMER, BOT_STATUS_LEASE, MESSAGES, STATE},
    subject::{self, bot_updated, bot_updated_of_all, bot_worked_of_all},
    v1::{BotStatus, BotWork},
};
use futures::{StreamExt, TryStreamExt};
use prost::Message as _;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::{
    Status,
    board::Board,
    meter,
    queue::{Queue, Waiting},
    stand::Queued,
};

/// How often it is looked whether something changed, and whether the lease is free.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many states are told at once.
const TOLD_AT_ONCE: usize = 32;
/// The most words of replicas that wait to be counted for good; more are told again by their replicas.
const WORDS_MAX: usize = 10_000;

/// Counting ends, and begins again with whoever takes the lease next.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Away(String);

fn away(error: impl std::fmt::Display) -> Away {
    Away(error.to_string())
}

/// Counts and tells whenever the lease is free, until stopped.
pub(super) async fn keep(status: &Status, stop: &CancellationToken) {
    let mut look = interval(LOOK_EVERY);
    look.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while stop.run_until_cancelled(look.tick()).await.is_some() {
        match status.leases.take(BOT_STATUS_LEASE).await {
            Ok(Some(held)) => hold(status, held, stop).await,
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "who tells how the bots stand is not known now"),
        }
    }
}

async fn hold(status: &Status, held: Held, stop: &CancellationToken) {
    tracing::info!(ownership = held.ownership, "this replica tells how the bots stand");
    let counted = tokio::select! {
        () = held.lost().cancelled() => Ok(()),
        counted = Keeper::run(status, stop) => counted,
    };
    if let Err(error) = counted {
        tracing::warn!(%error, "how the bots stand cannot be told now; it is tried again");
    }
    // Another replica tells from now on.
    meter::bots(|_| 0);
    meter::queued(0);
    held.release().await;
}

struct Keeper<'a> {
    status: &'a Status,
    states: Stream<()>,
    messages: Stream<()>,
    board: Board,
    queue: Queue,
    /// Whom to tell that their words are counted, once that is stored.
    counted: Vec<Subject>,
}

impl<'a> Keeper<'a> {
    async fn run(status: &'a Status, stop: &CancellationToken) -> Result<(), Away> {
        let mut words =
            status.bus.client().subscribe(bot_worked_of_all().as_str().to_owned()).await.map_err(away)?;
        let stream = async |name| status.bus.jetstream().get_stream_no_info(name).await.map_err(away);
        let mut keeper = Self {
            status,
            states: stream(STATE.name).await?,
            messages: stream(MESSAGES.name).await?,
            board: Board::default(),
            queue: Queue::new(status.answer_time_max()),
            counted: Vec::new(),
        };
        keeper.read_states().await?;
        let mut look = interval(LOOK_EVERY);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return keeper.look().await,
                Some(told) = words.next() => keeper.count(told).await?,
                _ = look.tick() => keeper.look().await?,
            }
        }
    }

    /// Everything that was told before: what is not so any more is told anew.
    async fn read_states(&mut self) -> Result<(), Away> {
        let subjects = self.states.info_with_subjects(bot_updated_of_all().as_str()).await.map_err(away)?;
        let subjects: Vec<(String, usize)> = subjects.try_collect().await.map_err(away)?;
        for (subject, _) in subjects {
            let tenant = subject::parse(&subject).and_then(|parts| parts.tenant.parse().ok());
            if let Some(tenant) = tenant {
                self.add(tenant).await?;
            }
        }
        Ok(())
    }

    async fn add(&mut self, tenant: Tenant) -> Result<(), Away> {
        if !self.board.has(&tenant) {
            let stored = match self.states.direct_get_last_for_subject(bot_updated(&tenant).as_str()).await {
                // What cannot be read is begun anew.
                Ok(stored) => BotStatus::decode(stored.payload).ok(),
                Err(error) if error.kind() == DirectGetErrorKind::NotFound => None,
                Err(error) => return Err(away(error)),
            };
            self.board.add(tenant, stored);
        }
        Ok(())
    }

    /// A word of a replica, which is counted for good with the next look.
    async fn count(&mut self, told: Message) -> Result<(), Away> {
        let Ok(work) = BotWork::decode(told.payload) else { return Ok(()) };
        let (Ok(tenant), Some(reply)) = (work.tenant.parse::<Tenant>(), told.reply) else { return Ok(()) };
        if self.counted.len() == WORDS_MAX {
            return Ok(());
        }
        self.add(tenant.clone()).await?;
        self.board.count(&tenant, &work, clock::now_ms());
        self.counted.push(reply);
        Ok(())
    }

    async fn look(&mut self) -> Result<(), Away> {
        for tenant in self.status.tenants() {
            self.add(tenant).await?;
        }
        let now_ms = clock::now_ms();
        // Before the first replica has made the consumer, nothing waits for it.
        if let Ok(info) = self.messages.consumer_info(BOT_CONSUMER).await {
            let waiting = Waiting {
                untaken: info.num_pending,
                in_hand: info.num_ack_pending as u64,
                taken_seq: info.delivered.stream_sequence,
                done_seq: info.ack_floor.stream_sequence,
            };
            self.queue.look(waiting, now_ms);
        }
        let queued = Queued { length: self.queue.length(), trouble: self.queue.trouble(now_ms) };
        meter::queued(queued.length);
        let changed = self.board.changed(|tenant| self.status.seen(tenant), queued, now_ms);
        let told = futures::stream::iter(changed).map(async |(tenant, next)| {
            self.tell(&tenant, &next).await?;
            Ok((tenant, next))
        });
        for (tenant, next) in told.buffer_unordered(TOLD_AT_ONCE).try_collect::<Vec<_>>().await? {
            self.board.told(&tenant, next);
        }
        meter::bots(|state| self.board.number_in(state));
        for reply in self.counted.drain(..) {
            self.status.bus.client().publish(reply, bytes::Bytes::new()).await.map_err(away)?;
        }
        Ok(())
    }

    async fn tell(&self, tenant: &Tenant, status: &BotStatus) -> Result<(), Away> {
        let (node, at) = (self.status.node.as_str(), status.updated_at_ms.to_string());
        let id = fact_id(&["bot.status", tenant.as_str(), node, &at]).to_string();
        let fact = Fact::new(bot_updated(tenant), status, id, TraceContext::root());
        self.status.bus.publish(fact).await.map(|_| ()).map_err(away)
    }
}
