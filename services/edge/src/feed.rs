//! One scope's events, in order and without holes, to every socket of this node that may see them.

mod start;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::OnceCell;

use crate::{
    campaigns::Campaigns,
    event::Event,
    flow::{Accepted, Flow, Missing},
    history::History,
    log::Bounds,
    position::Position,
    scope::Scope,
    steps::Steps,
};

pub(crate) use start::{Greeting, NotJoined, Start};

/// Someone who is shown what happens.
pub(crate) trait Member: Send + Sync {
    /// Comes first, before any event.
    fn greet(&self, greeting: &Greeting);

    /// Shows one event. Must not block: a member that cannot keep up closes itself.
    fn deliver(&self, event: &Arc<Event>);

    /// The feed cannot go on: the member must come back with its cursor.
    fn dismiss(&self);
}

/// The feed of one scope.
#[derive(Debug)]
pub(crate) struct Feed {
    scope: Scope,
    replay_max: u32,
    /// Set once it has a position in the stream; until then it holds back what it is given, and nobody joins it.
    pub(crate) begun: OnceCell<()>,
    state: Mutex<State>,
}

struct State {
    epoch: Arc<str>,
    flow: Flow,
    /// Of a tenant; contacts are shown none.
    campaigns: Option<Box<Campaigns>>,
    members: Vec<Place>,
    next_member: u64,
    /// When the last member left.
    empty_since: Instant,
    ended: bool,
}

/// A member, and what it has seen elsewhere.
struct Place {
    id: u64,
    member: Arc<dyn Member>,
    /// It has seen everything up to here. The node it was at before, or its history, may be ahead of this feed.
    after: u64,
    /// The same of campaigns, among the states.
    told: u64,
}

impl Place {
    fn wants(&self, event: &Event) -> bool {
        event.seq.is_none_or(|seq| seq > self.after)
            && event.mark.as_ref().is_none_or(|mark| mark.seq > self.told)
    }
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("flow", &self.flow)
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}

/// A member's place in a feed; dropping it leaves.
#[derive(Debug)]
pub(crate) struct Membership {
    feed: Arc<Feed>,
    member: u64,
}

impl Drop for Membership {
    fn drop(&mut self) {
        self.feed.leave(self.member);
    }
}

impl Membership {
    /// The highest position of the feed: what a heartbeat carries.
    pub(crate) fn head(&self) -> u64 {
        self.feed.state().flow.log().head()
    }
}

impl Feed {
    /// A feed that holds back what it is given until it begins.
    pub(crate) fn new(scope: Scope, bounds: Bounds, replay_max: u32) -> Self {
        let state = State {
            epoch: Arc::default(),
            flow: Flow::new(bounds),
            campaigns: scope.conversation().is_none().then(Box::default),
            members: Vec::new(),
            next_member: 0,
            empty_since: Instant::now(),
            ended: false,
        };
        Self { scope, replay_max, begun: OnceCell::new(), state: Mutex::new(state) }
    }

    /// Whose events it carries.
    pub(crate) fn scope(&self) -> &Scope {
        &self.scope
    }

    /// Begins: it sees everything after the position.
    pub(crate) fn begin(&self, position: &Position) -> Option<Missing> {
        let mut state = self.state();
        let State { epoch, flow, members, .. } = &mut *state;
        *epoch = position.epoch.clone();
        flow.begin(position.seq, |event| show(members, event))
    }

    /// The life of the stream that its positions belong to.
    pub(crate) fn epoch(&self) -> Arc<str> {
        self.state().epoch.clone()
    }

    /// Takes an event as it comes.
    pub(crate) fn accept(&self, event: &Arc<Event>) -> Option<Missing> {
        if event.mark.is_some() {
            self.tell(event);
            return None;
        }
        let mut state = self.state();
        if state.ended {
            return None;
        }
        let State { flow, members, .. } = &mut *state;
        match flow.accept(event, |event| show(members, event)) {
            Accepted::Done => None,
            Accepted::Missing(missing) => Some(missing),
            Accepted::Overflow => {
                drop(state);
                self.give_up();
                None
            }
        }
    }

    /// Takes the state of a campaign, and shows it unless it is known: it has no place in what happened, so nothing is
    /// waited for.
    pub(crate) fn tell(&self, event: &Arc<Event>) {
        // It came before the feed began: then it is in what is read since.
        if event.mark.as_ref().is_none_or(|mark| mark.life.is_empty()) {
            return;
        }
        let mut state = self.state();
        let State { campaigns, members, .. } = &mut *state;
        if let Some(event) = campaigns.as_mut().and_then(|campaigns| campaigns.take(event)) {
            show(members, &event);
        }
    }

    /// Up to where its campaigns were read of the stream of states; `None` where it has none.
    pub(crate) fn campaigns_read(&self) -> Option<u64> {
        self.state().campaigns.as_ref().map(|campaigns| campaigns.read())
    }

    /// Its campaigns were read up to this position.
    pub(crate) fn mark_campaigns_read(&self, seq: u64) {
        if let Some(campaigns) = &mut self.state().campaigns {
            campaigns.mark_read(seq);
        }
    }

    /// Something may have gone past it.
    pub(crate) fn disturb(&self) -> Option<Missing> {
        let mut state = self.state();
        if state.ended { None } else { state.flow.disturb() }
    }

    /// Something may have gone past a while ago: what is to be read of the stream, while what comes is shown.
    pub(crate) fn look(&self) -> Option<Missing> {
        let mut state = self.state();
        if state.ended { None } else { state.flow.look() }
    }

    /// Takes what was read of the stream: how much of it was not known, and whether more is missing.
    pub(crate) fn mend(&self, events: &[Arc<Event>]) -> (usize, Option<Missing>) {
        let mut state = self.state();
        let State { flow, members, .. } = &mut *state;
        flow.mend(events, |event| show(members, event))
    }

    /// Takes what a look read of the stream: how much of it was not known.
    pub(crate) fn add(&self, events: &[Arc<Event>]) -> usize {
        let mut state = self.state();
        let State { flow, members, .. } = &mut *state;
        flow.add(events, |event| show(members, event))
    }

    /// Shows what is only worth knowing now to whoever is here.
    pub(crate) fn show_now(&self, event: &Arc<Event>) {
        for place in &self.state().members {
            place.member.deliver(event);
        }
    }

    /// Whether anybody reads it.
    pub(crate) fn has_members(&self) -> bool {
        !self.state().members.is_empty()
    }

    /// Lets a member in, with whatever it missed, and with how campaigns stand as far as that is news after `told`. The
    /// feed's epoch belongs to the positions of `start`.
    pub(crate) fn join(
        self: &Arc<Self>,
        member: &Arc<dyn Member>,
        start: Start,
        told: Option<u64>,
    ) -> Result<Membership, NotJoined> {
        let mut state = self.state();
        if state.ended {
            return Err(NotJoined::Ended(start));
        }
        let news = state.campaigns.as_ref().map_or_else(Vec::new, |campaigns| campaigns.since(told));
        // A client that leaves before it has seen the first of them must not be taken to have.
        let greeted = if news.is_empty() { state.campaigns_head().max(told) } else { told };
        let after = self.bring_up_to_date(&state, &**member, start, greeted)?;
        for event in &news {
            member.deliver(event);
        }
        let id = state.next_member;
        state.next_member += 1;
        if state.members.is_empty() {
            // Most contacts have one socket.
            state.members.reserve_exact(1);
        }
        state.members.push(Place { id, member: member.clone(), after, told: told.unwrap_or_default() });
        drop(state);
        Ok(Membership { feed: self.clone(), member: id })
    }

    /// Ends the feed if nobody has read it for `linger`; nobody can join it then.
    pub(crate) fn end_if_idle(&self, linger: Duration) -> bool {
        let mut state = self.state();
        state.ended |= state.members.is_empty() && state.empty_since.elapsed() >= linger;
        state.ended
    }

    /// It is too far behind to bring every socket up to date here: it ends, and they come back with their cursors.
    pub(crate) fn give_up(&self) {
        metrics::counter!("chasqui_edge_feeds_given_up_total").increment(1);
        let tenant = self.scope.tenant().as_str();
        tracing::error!(tenant, "a feed fell too far behind; its clients are sent to resume");
        let mut state = self.state();
        state.ended = true;
        for place in &state.members {
            place.member.dismiss();
        }
    }

    /// Nobody can join it any more.
    pub(crate) fn has_ended(&self) -> bool {
        self.state().ended
    }

    /// Everything that was shown when this was last told came undisturbed, unless something is missing.
    pub(crate) fn mark_safe(&self) {
        self.state().flow.mark_safe();
    }

    /// Forgets what was safe when it was last told to: a contact who chatted an hour ago costs as much as one who never
    /// did.
    pub(crate) fn age(&self) {
        self.state().flow.age();
    }

    fn leave(&self, member: u64) {
        let mut state = self.state();
        if let Some(index) = state.members.iter().position(|place| place.id == member) {
            state.members.swap_remove(index);
        }
        if state.members.is_empty() {
            state.members.shrink_to_fit();
            state.empty_since = Instant::now();
        }
    }

    /// Greets a member and shows it what it missed; the position up to which it has then seen everything.
    fn bring_up_to_date(
        &self,
        state: &State,
        member: &dyn Member,
        start: Start,
        told: Option<u64>,
    ) -> Result<u64, NotJoined> {
        let greeting =
            |seq, recovered, fresh| Greeting { epoch: state.epoch.to_string(), seq, recovered, fresh, told };
        let head = state.flow.log().head();
        match start {
            Start::Now => member.greet(&greeting(head, false, true)),
            Start::Lost => member.greet(&greeting(head, false, false)),
            Start::After(since) => match state.flow.log().after(since) {
                Some(missed) => {
                    let missed: Vec<&Arc<Event>> = missed.collect();
                    // States are few, one a conversation and kind; what happened is what a client can be sent too much of.
                    let happened = missed.iter().filter(|event| event.seq.is_some()).count();
                    if happened > self.replay_max as usize {
                        return Err(NotJoined::Behind(Start::Lost));
                    }
                    member.greet(&greeting(since, true, false));
                    for event in missed {
                        member.deliver(event);
                    }
                    return Ok(since);
                }
                None => return Err(NotJoined::Behind(start)),
            },
            Start::With { since, history } => {
                let Some(recent) = state.flow.log().after(history.covered_seq) else {
                    return Err(NotJoined::Behind(Start::After(since)));
                };
                member.greet(&greeting(since, true, false));
                let covered_seq = history.covered_seq;
                deliver_merged(member, history, recent);
                return Ok(since.max(covered_seq));
            }
            Start::Backlog { history, fresh } => {
                let Some(recent) = state.flow.log().after(history.covered_seq) else {
                    return Err(NotJoined::Behind(if fresh { Start::Now } else { Start::Lost }));
                };
                // The cursor of a client that leaves before it has seen the first of them must not lie behind it.
                let first = history.events.first().and_then(|event| event.seq);
                let seq = first.map_or(head, |first| first.saturating_sub(1));
                member.greet(&greeting(seq, false, fresh));
                let covered_seq = history.covered_seq;
                deliver_merged(member, history, recent);
                return Ok(covered_seq);
            }
        }
        Ok(0)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing under this lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The position of the newest state of a campaign; `None` where there are none.
    fn campaigns_head(&self) -> Option<u64> {
        self.campaigns.as_ref().map(|campaigns| campaigns.head())
    }
}

fn show(members: &[Place], event: &Arc<Event>) {
    for place in members.iter().filter(|place| place.wants(event)) {
        place.member.deliver(event);
    }
}

/// Shows a history and what the feed has beyond it, each event once, in order; then the states that changed.
fn deliver_merged<'a>(
    member: &dyn Member,
    mut history: History,
    recent: impl Iterator<Item = &'a Arc<Event>>,
) {
    let mut steps = Steps::default();
    history.events.iter_mut().for_each(|event| steps.mark(event));
    let mut merged: BTreeMap<u64, Arc<Event>> =
        history.events.into_iter().filter_map(|event| Some((event.seq?, Arc::new(event)))).collect();
    let mut states: Vec<Arc<Event>> = history.states.into_iter().map(Arc::new).collect();
    for event in recent {
        match event.seq {
            Some(seq) => drop(merged.entry(seq).or_insert_with(|| event.clone())),
            None => states.push(event.clone()),
        }
    }
    merged.values().chain(&states).for_each(|event| member.deliver(event));
}

#[cfg(test)]
mod tests;
