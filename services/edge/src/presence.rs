//! Who is online, shown to front ends: each change for itself, and now and then the whole list.
//!
//! Both are only worth knowing now. A burst (a node died, everybody comes back) is shown by its list alone, and the
//! longer the list, the rarer it is: what a list costs grows with the square of the people.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use chasqui_presence::{Board, Change, Transition, Watcher, Who};
use chasqui_proto::{
    Tenant,
    v1::{self, PersonKind},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    event::{Event, Fact},
    hub::Hub,
};

/// For how long changes are gathered before they are shown.
const GATHER: Duration = Duration::from_millis(50);
/// The most changes of a tenant that are shown one by one at once; more are a burst.
const SINGLY_MAX: usize = 20;
/// How much longer a list is waited for with each person on it.
const LIST_PAUSE_PER_PERSON: Duration = Duration::from_millis(1);
/// The longest time between two lists of a tenant whose people change.
const LIST_PAUSE_MAX: Duration = Duration::from_secs(10);

/// Who is online, by what all nodes say.
#[derive(Debug, Clone)]
pub(crate) struct Presences {
    watcher: Watcher,
}

impl Presences {
    pub(crate) fn new(watcher: Watcher) -> Self {
        Self { watcher }
    }

    /// BEN-09, BEN-11: the ids of a tenant's users and agents who are online, in order.
    pub(crate) fn online(&self, tenant: &Tenant) -> Vec<String> {
        let online = |board: &Board| {
            board.online().filter(|(_, who)| is_listed(who)).map(|(_, who)| who.user_id.to_string()).collect()
        };
        self.watcher.read(tenant, online).unwrap_or_default()
    }

    /// Shows what is new until stopped.
    pub(crate) async fn show(self, hub: Arc<Hub>, news: Arc<News>, stop: CancellationToken) {
        let mut lists = Lists::default();
        while stop.run_until_cancelled(news.next(lists.are_owed())).await.is_some() {
            for (tenant, transitions) in news.take() {
                if transitions.len() <= SINGLY_MAX {
                    for transition in transitions {
                        hub.show(
                            &tenant,
                            Event::of_state(Fact::Presence(Box::new(shown(&tenant, transition)))),
                        );
                    }
                }
                lists.owe(tenant);
            }
            for tenant in lists.due(Instant::now()) {
                let users = self.online(&tenant);
                lists.shown(&tenant, users.len(), Instant::now());
                hub.show(&tenant, Event::of_state(Fact::Online(users.into())));
            }
        }
    }
}

/// BEN-13: contacts and staff are no part of the list.
fn is_listed(who: &Who) -> bool {
    matches!(who.kind, PersonKind::User | PersonKind::Agent)
}

fn shown(tenant: &Tenant, transition: Transition) -> v1::Presence {
    let Transition { person, who, change } = transition;
    let is_online = change != Change::Offline;
    v1::Presence {
        tenant: tenant.to_string(),
        person: person.to_string(),
        user_id: who.user_id.into(),
        kind: who.kind.into(),
        agent_id: who.agent_id.map(Into::into).unwrap_or_default(),
        // Which connections is nobody's business; that there are any is.
        connections: if is_online { vec![v1::Connection::default()] } else { Vec::new() },
        ..v1::Presence::default()
    }
}

/// What was not shown yet.
#[derive(Debug, Default)]
pub(crate) struct News {
    waiting: Mutex<HashMap<Tenant, Vec<Transition>>>,
    came: Notify,
}

impl News {
    /// Adds who came and who went. Of a burst it is enough to know that it is one.
    pub(crate) fn add(&self, tenant: &Tenant, transitions: &[Transition]) {
        let is_news = |each: &&Transition| each.change != Change::Connections && is_listed(&each.who);
        let mut fresh = transitions.iter().filter(is_news).peekable();
        if fresh.peek().is_none() {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let gathered = waiting.entry(tenant.clone()).or_default();
        let room = (SINGLY_MAX + 1).saturating_sub(gathered.len());
        gathered.extend(fresh.take(room).cloned());
        drop(waiting);
        self.came.notify_one();
    }

    /// Waits until there may be something to show: for news, or no longer than a moment when a list is owed.
    async fn next(&self, is_list_owed: bool) {
        if !is_list_owed {
            self.came.notified().await;
        }
        tokio::time::sleep(GATHER).await;
    }

    fn take(&self) -> HashMap<Tenant, Vec<Transition>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// When each tenant's list may be shown again.
#[derive(Debug, Default)]
struct Lists {
    owed: HashMap<Tenant, Instant>,
    /// Tenants whose last list was so long that the next one must wait.
    resting: HashMap<Tenant, Instant>,
}

impl Lists {
    fn owe(&mut self, tenant: Tenant) {
        if let Entry::Vacant(owed) = self.owed.entry(tenant) {
            let from = self.resting.remove(owed.key()).unwrap_or_else(Instant::now);
            owed.insert(from);
        }
    }

    fn are_owed(&self) -> bool {
        !self.owed.is_empty()
    }

    fn due(&mut self, now: Instant) -> Vec<Tenant> {
        self.resting.retain(|_, until| *until > now);
        self.owed.extract_if(|_, from| *from <= now).map(|(tenant, _)| tenant).collect()
    }

    fn shown(&mut self, tenant: &Tenant, people: usize, now: Instant) {
        let people = u32::try_from(people).unwrap_or(u32::MAX);
        let pause = LIST_PAUSE_PER_PERSON.saturating_mul(people).min(LIST_PAUSE_MAX);
        self.resting.insert(tenant.clone(), now + pause);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transition(user: &str, kind: PersonKind, change: Change) -> Transition {
        let who = Who { user_id: user.into(), kind, agent_id: None };
        Transition { person: format!("web_{user}").parse().unwrap(), who, change }
    }

    #[test]
    fn ben_13_only_users_and_agents_who_come_or_go_are_news() {
        let (news, tenant) = (News::default(), "default".parse().unwrap());
        for (kind, change) in [
            (PersonKind::Contact, Change::Online),
            (PersonKind::Staff, Change::Offline),
            (PersonKind::User, Change::Connections),
        ] {
            news.add(&tenant, &[transition("u1", kind, change)]);
        }
        assert!(news.take().is_empty());
        news.add(&tenant, &[transition("u1", PersonKind::User, Change::Online)]);
        news.add(&tenant, &[transition("u2", PersonKind::Agent, Change::Offline)]);
        assert_eq!(news.take()[&tenant].len(), 2);
        let burst = vec![transition("u1", PersonKind::User, Change::Online); 1_000];
        news.add(&tenant, &burst);
        assert_eq!(news.take()[&tenant].len(), SINGLY_MAX + 1);
    }

    #[test]
    fn the_longer_a_list_the_rarer_it_is() {
        let (mut lists, tenant): (Lists, Tenant) = (Lists::default(), "default".parse().unwrap());
        lists.owe(tenant.clone());
        let now = Instant::now();
        assert_eq!(lists.due(now), std::slice::from_ref(&tenant));
        lists.shown(&tenant, 5_000, now);
        lists.owe(tenant.clone());
        assert!(lists.due(now + Duration::from_millis(4_999)).is_empty());
        assert_eq!(lists.due(now + Duration::from_secs(5)).len(), 1);
        lists.shown(&tenant, 100_000, now);
        assert!(lists.due(now + LIST_PAUSE_MAX).is_empty());
        assert!(lists.resting.is_empty(), "a quiet tenant is forgotten");
    }
}
