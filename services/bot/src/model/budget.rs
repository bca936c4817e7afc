//! What the language model costs each tenant a day, over all replicas.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use async_nats::jetstream::kv::Store;
use chasqui_kit::{Bus, bucket::CompareAndSetError};
use chasqui_proto::{
    Tenant,
    stream::{self, BOT},
    v1::BotBudget,
};
use prost::Message as _;
use time::OffsetDateTime;
use tokio::sync::OnceCell;

/// How old may be what is known of what other replicas spent.
const KNOWN_MAX: Duration = Duration::from_secs(5);
/// How long reading it may take.
const READ_WAIT: Duration = Duration::from_secs(1);
/// How often it is written when other replicas write it at the same time.
const WRITES_MAX: u32 = 8;

/// The budgets of all tenants.
#[derive(Debug)]
pub(super) struct Budgets {
    bus: Bus,
    store: OnceCell<Store>,
    known: Mutex<HashMap<Tenant, Known>>,
}

/// What is known of a tenant.
#[derive(Debug, Default)]
struct Known {
    day: String,
    /// What all replicas spent that day.
    stored: BotBudget,
    read_at: Option<Instant>,
    /// What this replica spent and could not write yet.
    owed: BotBudget,
}

impl Known {
    fn tokens(&self) -> u64 {
        self.stored.tokens.saturating_add(self.owed.tokens)
    }
}

impl Budgets {
    pub(super) fn new(bus: &Bus) -> Self {
        Self { bus: bus.clone(), store: OnceCell::new(), known: Mutex::default() }
    }

    /// What a tenant spent today, tokens; where the bucket is away, as far as is known. A bot without its bucket answers
    /// nobody for long, so nothing is refused for that.
    pub(super) async fn spent(&self, tenant: &Tenant, now_ms: i64) -> u64 {
        let day = day(now_ms);
        if let Some(tokens) = self.known().get(tenant).and_then(|known| fresh(known, &day)) {
            return tokens;
        }
        let read = tokio::time::timeout(READ_WAIT, self.read(tenant, &day)).await;
        match read.unwrap_or_else(|_| Err("not in time".to_owned())) {
            Ok((stored, _)) => self.learn(tenant, day, stored),
            Err(error) => {
                tracing::warn!(%tenant, error, "what the language model cost today is not known");
                self.known_of(tenant, now_ms)
            }
        }
    }

    /// What this replica knows that a tenant spent today, tokens.
    pub(super) fn known_of(&self, tenant: &Tenant, now_ms: i64) -> u64 {
        let day = day(now_ms);
        self.known().get(tenant).filter(|known| known.day == day).map_or(0, Known::tokens)
    }

    /// Adds an answer. What cannot be written by then is written with the next one.
    pub(super) async fn add(
        &self,
        tenant: &Tenant,
        spent: BotBudget,
        now_ms: i64,
        until: tokio::time::Instant,
    ) {
        let day = day(now_ms);
        let owed = {
            let mut known = self.known();
            let owed = known.entry(tenant.clone()).or_default();
            std::mem::take(&mut owed.owed)
        };
        let sum = plus(&owed, &spent);
        let added = tokio::time::timeout_at(until, self.write(tenant, &day, &sum)).await;
        match added.unwrap_or_else(|_| Err("not in time".to_owned())) {
            Ok(stored) => drop(self.learn(tenant, day, stored)),
            Err(error) => {
                let mut known = self.known();
                let known = known.entry(tenant.clone()).or_default();
                known.owed = plus(&known.owed, &sum);
                if known.day != day {
                    (known.day, known.stored) = (day, BotBudget::default());
                }
                tracing::warn!(%tenant, error, "what the language model cost is not written yet");
            }
        }
    }

    /// What is stored, and its revision, which is 0 where nothing is.
    async fn read(&self, tenant: &Tenant, day: &str) -> Result<(BotBudget, u64), String> {
        let store = self.store().await?;
        let found =
            store.entry(stream::bot_budget_key(tenant, day)).await.map_err(|error| error.to_string())?;
        let Some(entry) = found else { return Ok((BotBudget::default(), 0)) };
        Ok((BotBudget::decode(entry.value).unwrap_or_default(), entry.revision))
    }

    async fn write(&self, tenant: &Tenant, day: &str, more: &BotBudget) -> Result<BotBudget, String> {
        let key = stream::bot_budget_key(tenant, day);
        for _ in 0..WRITES_MAX {
            let (stored, revision) = self.read(tenant, day).await?;
            let sum = plus(&stored, more);
            match self.bus.compare_and_set(&BOT, &key, sum.encode_to_vec().into(), revision).await {
                Ok(_) => return Ok(sum),
                Err(CompareAndSetError::Overtaken) => {}
                Err(CompareAndSetError::Away(error)) => return Err(error),
            }
        }
        Err("others wrote it each time".to_owned())
    }

    async fn store(&self) -> Result<&Store, String> {
        let open = async || self.bus.jetstream().get_key_value(BOT.name).await;
        self.store.get_or_try_init(open).await.map_err(|error| error.to_string())
    }

    fn learn(&self, tenant: &Tenant, day: String, stored: BotBudget) -> u64 {
        let mut known = self.known();
        let known = known.entry(tenant.clone()).or_default();
        // Of two that were read at once the later one may be learned first.
        let is_older = known.day == day && known.stored.tokens > stored.tokens;
        if !is_older {
            (known.day, known.stored) = (day, stored);
        }
        known.read_at = Some(Instant::now());
        known.tokens()
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Tenant, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known, where it is not too old.
fn fresh(known: &Known, day: &str) -> Option<u64> {
    let is_fresh = known.read_at.is_some_and(|at| at.elapsed() <= KNOWN_MAX);
    (known.day == day && is_fresh).then(|| known.tokens())
}

fn plus(one: &BotBudget, other: &BotBudget) -> BotBudget {
    BotBudget {
        tokens: one.tokens.saturating_add(other.tokens),
        answers: one.answers.saturating_add(other.answers),
    }
}

/// `20261123`, in UTC.
fn day(now_ms: i64) -> String {
    let at =
        OffsetDateTime::from_unix_timestamp(now_ms.div_euclid(1_000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    format!("{:04}{:02}{:02}", at.year(), u8::from(at.month()), at.day())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_begins_at_midnight_utc() {
        for (now_ms, expected) in [
            (0, "19700101"),
            (86_399_999, "19700101"),
            (86_400_000, "19700102"),
            (1_795_392_000_000, "20261123"),
        ] {
            assert_eq!(day(now_ms), expected);
        }
    }
}
