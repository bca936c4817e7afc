//! How the campaigns of a tenant stand: the newest state of each, for whoever was not there when it was told. Pure.
//!
//! A client is told each state once, as it comes. Who connects is told of those that are under way; who comes back, of
//! those that changed after the position in its cursor.

mod reading;

use std::{collections::HashMap, sync::Arc};

use chasqui_proto::v1::{BulkProgress, CampaignStatus};

use crate::event::{Event, Fact, Mark};

pub(crate) use reading::read;

/// How many campaigns that are under way are remembered, those that were told of last.
const UNDER_WAY_MAX: usize = 100;
/// The same of campaigns that have ended.
const ENDED_MAX: usize = 100;

/// The newest state of each campaign of a tenant.
#[derive(Debug, Default)]
pub(crate) struct Campaigns {
    /// By the campaign's id.
    newest: HashMap<Box<str>, Standing>,
    /// The position of the newest state that was taken.
    head: u64,
    /// The newest position that was forgotten: what is not known and not after it is no news.
    forgotten: u64,
    /// Everything up to this position was read of the stream of states.
    read: u64,
}

/// One campaign.
#[derive(Debug)]
struct Standing {
    /// As somebody is shown it who was away: no word after the end, but the end.
    event: Arc<Event>,
    /// Where it stands among the states.
    seq: u64,
    /// Where it was told that the campaign has ended; `None` while it is under way.
    end: Option<u64>,
}

impl Campaigns {
    /// Takes a state: what those are shown who are here.
    pub(crate) fn take(&mut self, event: &Arc<Event>) -> Option<Arc<Event>> {
        let (Fact::Bulk(progress), Some(mark)) = (&event.fact, &event.mark) else { return None };
        self.head = self.head.max(mark.seq);
        let known = self.newest.get(progress.campaign.as_str());
        if mark.seq <= known.map_or(self.forgotten, |known| known.seq) {
            return None;
        }
        let end = match phase_of(progress) {
            Phase::UnderWay => None,
            Phase::Ended => Some(end_of(progress, mark.seq, known)),
            Phase::NotBegun => return None,
        };
        // A word after the end is none that anybody is shown, unless the end itself went past.
        let told = known.map_or(self.forgotten, |known| known.end.unwrap_or_default());
        let is_news = !progress.after_end || end.is_some_and(|end| end > told);
        let event = without_what_came_after(event, progress, mark);
        let standing = Standing { event: event.clone(), seq: mark.seq, end };
        self.newest.insert(progress.campaign.as_str().into(), standing);
        self.forget_the_oldest(end.is_some());
        is_news.then_some(event)
    }

    /// What somebody is shown who was told everything up to `told`, and `None` what somebody is shown who was told
    /// nothing: oldest first. Whoever has seen the last of them was told everything that is known.
    pub(crate) fn since(&self, told: Option<u64>) -> Vec<Arc<Event>> {
        let is_news = |standing: &&Standing| match told {
            Some(told) => standing.end.unwrap_or(standing.seq) > told,
            None => standing.end.is_none(),
        };
        let mut news: Vec<&Standing> = self.newest.values().filter(is_news).collect();
        news.sort_unstable_by_key(|standing| standing.seq);
        let mut events: Vec<Arc<Event>> = news.iter().map(|standing| standing.event.clone()).collect();
        if let (Some(last), Some(event)) =
            (news.last().filter(|last| last.seq < self.head), events.last_mut())
        {
            let (Fact::Bulk(progress), Some(mark)) = (&last.event.fact, &last.event.mark) else {
                return events;
            };
            let mark = Mark { seq: self.head, ..(**mark).clone() };
            *event = Arc::new(Event::of_campaign((**progress).clone(), mark));
        }
        events
    }

    /// The position of the newest state that was taken.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    /// Everything up to this position was read of the stream of states.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// Everything up to this position was read.
    pub(crate) fn mark_read(&mut self, seq: u64) {
        self.read = self.read.max(seq);
    }

    fn forget_the_oldest(&mut self, ended: bool) {
        let alike = || self.newest.iter().filter(|(_, standing)| standing.end.is_some() == ended);
        if alike().count() <= if ended { ENDED_MAX } else { UNDER_WAY_MAX } {
            return;
        }
        let oldest = alike().min_by_key(|(_, standing)| standing.seq);
        let Some((id, seq)) = oldest.map(|(id, standing)| (id.clone(), standing.seq)) else { return };
        self.newest.remove(&id);
        self.forgotten = self.forgotten.max(seq);
    }
}

enum Phase {
    /// Nobody is told of it yet.
    NotBegun,
    UnderWay,
    Ended,
}

fn phase_of(progress: &BulkProgress) -> Phase {
    match progress.status() {
        CampaignStatus::Scheduled | CampaignStatus::Running | CampaignStatus::Paused => Phase::UnderWay,
        CampaignStatus::Completed | CampaignStatus::Cancelled | CampaignStatus::Failed => Phase::Ended,
        CampaignStatus::Unspecified | CampaignStatus::Uploading | CampaignStatus::Draft => Phase::NotBegun,
    }
}

/// Where it was told that a campaign has ended. Where nobody knows any more, what was heard of it first counts.
fn end_of(progress: &BulkProgress, seq: u64, known: Option<&Standing>) -> u64 {
    if !progress.after_end {
        return seq;
    }
    let told = Some(progress.end_seq).filter(|seq| *seq > 0);
    told.or_else(|| known.and_then(|known| known.end)).unwrap_or(seq)
}

/// Who has missed the end is shown it with what is known now.
fn without_what_came_after(event: &Arc<Event>, progress: &BulkProgress, mark: &Mark) -> Arc<Event> {
    if !progress.after_end {
        return event.clone();
    }
    let end = BulkProgress { after_end: false, ..progress.clone() };
    Arc::new(Event::of_campaign(end, mark.clone()))
}

#[cfg(test)]
mod tests;
