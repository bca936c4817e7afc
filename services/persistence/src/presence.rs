//! Who is there, as the database has it: nodes tell it each other, and users are marked as online.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chasqui_kit::{Bus, pause::Pause};
use chasqui_presence::{Board, Change, Listener, Transition, Watcher, board::SILENCE_MAX};
use chasqui_proto::{ConversationToken, Tenant};
use sqlx::PgPool;
use tokio::{
    sync::{Notify, watch},
    time::{Instant, MissedTickBehavior},
};
use tokio_util::sync::CancellationToken;

use crate::{
    chats::Chats,
    error::Error,
    meter,
    store::presence::{self as rows, Person},
};

/// How many people one transaction marks at most.
const BATCH_MAX: usize = 5_000;
/// How long changes gather before they are stored: what comes in between shares a transaction.
const REST: Duration = Duration::from_millis(50);
/// How often everybody is compared with what is stored: a user may be made known after coming.
const COMPARE_EVERY: Duration = Duration::from_secs(10);
/// How often it is looked whether that is due.
const TICK: Duration = Duration::from_millis(500);

/// Keeps users marked as online until stopped; chats follow.
pub(crate) async fn keep(
    bus: &Bus,
    pool: &PgPool,
    chats: &Chats,
    retry_pause_max: Duration,
    stop: &CancellationToken,
) {
    let heard = Arc::new(Heard::default());
    let mut pause = Pause::up_to(retry_pause_max);
    let watcher = loop {
        match Watcher::of_all(bus.clone(), heard.clone()).await {
            Ok(watcher) => break watcher,
            Err(error) => {
                tracing::warn!(%error, "cannot watch who is there yet; trying again");
                meter::retry("presence");
                if stop.run_until_cancelled(tokio::time::sleep(pause.lengthen())).await.is_none() {
                    return;
                }
            }
        }
    };
    let keeper = Keeper { heard, pool, chats };
    keeper.run(&mut Hearing::new(bus), retry_pause_max, stop).await;
    watcher.stopped().await;
}

struct Keeper<'a> {
    heard: Arc<Heard>,
    pool: &'a PgPool,
    chats: &'a Chats,
}

impl Keeper<'_> {
    async fn run(&self, hearing: &mut Hearing<'_>, retry_pause_max: Duration, stop: &CancellationToken) {
        let mut pause = Pause::up_to(retry_pause_max);
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut compared_at: Option<Instant> = None;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.heard.changed.notified() => {}
                _ = tick.tick() => {}
            }
            let compare_due = compared_at.is_none_or(|at| at.elapsed() >= COMPARE_EVERY);
            // In this order: asked each time, since it also has to notice what is no longer known.
            let outcome = if hearing.is_complete() && compare_due {
                compared_at = Some(Instant::now());
                self.compare().await
            } else {
                self.store_changes().await
            };
            let rest = match outcome {
                Ok(()) => {
                    pause = Pause::up_to(retry_pause_max);
                    REST
                }
                Err(error) => {
                    tracing::debug!(%error, "who is there could not be stored; trying again");
                    meter::retry("presence");
                    compared_at = None;
                    pause.lengthen()
                }
            };
            if stop.run_until_cancelled(tokio::time::sleep(rest)).await.is_none() {
                return;
            }
        }
    }

    /// Marks whoever came or went.
    async fn store_changes(&self) -> Result<(), Error> {
        loop {
            let batch = self.heard.picture().take(BATCH_MAX);
            if batch.is_empty() {
                return Ok(());
            }
            if let Err(error) = self.mark(&batch).await {
                self.heard.picture().put_back(batch);
                return Err(error);
            }
        }
    }

    /// Marks everybody who is there, and nobody else. Changes that are not stored yet are part of it.
    async fn compare(&self) -> Result<(), Error> {
        let (people, changes) = {
            let mut picture = self.heard.picture();
            (picture.everybody(), picture.take(usize::MAX))
        };
        let outcome = async {
            let mut tenants = rows::leave_only(self.pool, &people).await?;
            for batch in people.chunks(BATCH_MAX) {
                tenants.extend(rows::mark(self.pool, batch, true).await?);
            }
            self.settle(tenants).await
        };
        let outcome = outcome.await;
        if outcome.is_err() {
            self.heard.picture().put_back(changes);
        }
        outcome
    }

    async fn mark(&self, batch: &[(Person, bool)]) -> Result<(), Error> {
        let mut tenants = BTreeSet::new();
        for online in [false, true] {
            let people: Vec<Person> =
                batch.iter().filter(|(_, is)| *is == online).map(|(person, _)| person.clone()).collect();
            if !people.is_empty() {
                tenants.extend(rows::mark(self.pool, &people, online).await?);
            }
        }
        self.settle(tenants).await
    }

    /// Agents came or went in these tenants.
    async fn settle(&self, tenants: BTreeSet<String>) -> Result<(), Error> {
        for tenant in tenants {
            let tenant: Tenant = tenant.parse().map_err(|_| Error::Unreadable("tenant"))?;
            self.chats.settle(&tenant).await?;
        }
        Ok(())
    }
}

/// Whether everybody who is there has been heard of: nothing disturbed the hearing for as long as a node may be silent.
struct Hearing<'a> {
    bus: &'a Bus,
    disruptions: watch::Receiver<u64>,
    undisturbed_since: Instant,
}

impl<'a> Hearing<'a> {
    fn new(bus: &'a Bus) -> Self {
        Self { bus, disruptions: bus.disruptions(), undisturbed_since: Instant::now() }
    }

    fn is_complete(&mut self) -> bool {
        let disturbed = self.disruptions.has_changed().unwrap_or(true) || !self.bus.is_connected();
        self.disruptions.mark_unchanged();
        if disturbed {
            self.undisturbed_since = Instant::now();
        }
        self.undisturbed_since.elapsed() > SILENCE_MAX
    }
}

/// What the watcher told and the keeper stores.
#[derive(Debug, Default)]
struct Heard {
    picture: Mutex<Picture>,
    changed: Notify,
}

impl Heard {
    fn picture(&self) -> MutexGuard<'_, Picture> {
        self.picture.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Listener for Heard {
    fn changed(&self, tenant: &Tenant, _: &Board, transitions: &[Transition]) {
        let mut picture = self.picture();
        for transition in transitions {
            match transition.change {
                Change::Online => picture.note(tenant, &transition.person, true),
                Change::Offline => picture.note(tenant, &transition.person, false),
                Change::Connections => {}
            }
        }
        self.changed.notify_one();
    }
}

/// Who is there, and what of it is not stored yet. As large as the boards of the watcher.
#[derive(Debug, Default)]
struct Picture {
    online: BTreeSet<Person>,
    changes: BTreeMap<Person, bool>,
}

impl Picture {
    fn note(&mut self, tenant: &Tenant, person: &ConversationToken, online: bool) {
        let person = Person { tenant: tenant.clone(), token: person.clone() };
        if online {
            self.online.insert(person.clone());
        } else {
            self.online.remove(&person);
        }
        self.changes.insert(person, online);
    }

    fn everybody(&self) -> Vec<Person> {
        self.online.iter().cloned().collect()
    }

    /// The first changes that are not stored yet, in the order in which rows are taken.
    fn take(&mut self, max: usize) -> Vec<(Person, bool)> {
        if self.changes.len() <= max {
            return std::mem::take(&mut self.changes).into_iter().collect();
        }
        std::iter::from_fn(|| self.changes.pop_first()).take(max).collect()
    }

    /// Changes that could not be stored; what was heard meanwhile is newer.
    fn put_back(&mut self, changes: Vec<(Person, bool)>) {
        for (person, online) in changes {
            self.changes.entry(person).or_insert(online);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(token: &str) -> Person {
        Person { tenant: "default".parse().unwrap(), token: token.parse().unwrap() }
    }

    fn note(picture: &mut Picture, token: &str, online: bool) {
        let Person { tenant, token } = person(token);
        picture.note(&tenant, &token, online);
    }

    #[test]
    fn whoever_comes_and_goes_between_two_transactions_is_stored_once() {
        let mut picture = Picture::default();
        for (token, online) in [("web_a", true), ("web_b", true), ("web_a", false), ("web_c", true)] {
            note(&mut picture, token, online);
        }
        assert_eq!(picture.everybody(), [person("web_b"), person("web_c")]);
        assert_eq!(picture.take(2), [(person("web_a"), false), (person("web_b"), true)]);
        assert_eq!(picture.take(2), [(person("web_c"), true)]);
        assert!(picture.take(2).is_empty());
    }

    #[test]
    fn what_could_not_be_stored_is_tried_again_unless_there_is_news() {
        let mut picture = Picture::default();
        note(&mut picture, "web_a", true);
        note(&mut picture, "web_b", true);
        let taken = picture.take(9);
        note(&mut picture, "web_a", false);
        picture.put_back(taken);
        assert_eq!(picture.take(9), [(person("web_a"), false), (person("web_b"), true)]);
    }
}
