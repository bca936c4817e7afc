//! What one node says in one tenant.
//!
//! A node numbers its changes. `known` is the number up to which everything is reflected here; what was heard beyond it
//! stands in `ahead` until the hole before it is filled, by the late change itself or by a snapshot. A page is all there
//! is to say about its part of the people as of its own number, so a snapshot need not be taken at one moment: when its
//! last page is in, everything up to the number of the first one is reflected.

use std::{
    collections::{BTreeMap, HashSet},
    ops::Bound,
    time::Instant,
};

use chasqui_proto::ConversationToken;

use crate::{
    person::{Connection, Who},
    told::{Listed, Page},
};

/// The most people a node may have in a tenant; who comes after them is not shown to be there.
pub(crate) const PEOPLE_OF_NODE_MAX: usize = 1_000_000;
/// The most changes kept beyond a hole; more wait for the snapshot.
const AHEAD_MAX: usize = 4_096;

/// A person on a node. Without connections it has left, which is remembered only while the change is ahead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) version: u64,
    pub(crate) who: Who,
    pub(crate) connections: Box<[Connection]>,
}

/// A person whose connections on the node are others now.
#[derive(Debug)]
pub(crate) struct Touched {
    pub(crate) person: ConversationToken,
    /// Who it was, if it was there before.
    pub(crate) before: Option<Who>,
}

#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) incarnation: i64,
    /// When the node was last heard.
    pub(crate) heard: Instant,
    known: u64,
    /// The highest number heard of.
    newest: u64,
    ahead: BTreeMap<u64, ConversationToken>,
    people: BTreeMap<ConversationToken, Entry>,
    /// The snapshot that is being read.
    reading: Option<Reading>,
}

#[derive(Debug)]
struct Reading {
    /// The number of its first page.
    since: u64,
    /// Where its next page begins.
    after: ConversationToken,
}

impl Said {
    pub(crate) fn new(incarnation: i64, heard: Instant) -> Self {
        Self {
            incarnation,
            heard,
            known: 0,
            newest: 0,
            ahead: BTreeMap::new(),
            people: BTreeMap::new(),
            reading: None,
        }
    }

    /// The newest change that is reflected without a hole.
    pub(crate) fn known(&self) -> u64 {
        self.known
    }

    /// Whether something is known to be missing.
    pub(crate) fn is_behind(&self) -> bool {
        self.known < self.newest
    }

    /// Says something new, as the node itself; the number of the change.
    pub(crate) fn say(
        &mut self,
        person: &ConversationToken,
        who: Who,
        connections: Vec<Connection>,
    ) -> (u64, Option<Touched>) {
        let version = self.known + 1;
        let touched = self.change(Listed { person: person.clone(), version, who, connections });
        (version, touched)
    }

    /// Hears a change, once or often, early or late.
    pub(crate) fn change(&mut self, change: Listed) -> Option<Touched> {
        let version = change.version;
        self.newest = self.newest.max(version);
        if version <= self.known || self.ahead.contains_key(&version) {
            return None;
        }
        if version > self.known + 1 && self.ahead.len() >= AHEAD_MAX {
            return None;
        }
        let person = change.person.clone();
        let touched = if self.is_read(&change) { None } else { self.put(change) };
        self.ahead.insert(version, person);
        self.close_holes();
        touched
    }

    /// Hears which change is the newest.
    pub(crate) fn beat(&mut self, version: u64) {
        self.newest = self.newest.max(version);
    }

    /// Hears a page of a snapshot.
    pub(crate) fn page(&mut self, page: Page) -> Vec<Touched> {
        self.newest = self.newest.max(page.version);
        let since = match (&page.after, self.reading.take()) {
            (None, _) => Some(page.version),
            (Some(after), Some(reading)) if reading.after == *after => Some(reading.since),
            (Some(_), _) => None,
        };
        let mut touched = Vec::new();
        if page.version > self.known {
            touched = self.remove_unlisted(&page);
            touched.extend(page.people.into_iter().filter_map(|listed| self.put(listed)));
        }
        match (since, page.next) {
            (Some(since), Some(after)) => self.reading = Some(Reading { since, after }),
            (Some(since), None) => {
                self.known = self.known.max(since);
                self.close_holes();
            }
            (None, _) => {}
        }
        touched
    }

    /// A page of everyone after a person, at most about `bytes_max` by `size`.
    pub(crate) fn list(
        &self,
        after: Option<&ConversationToken>,
        bytes_max: usize,
        size: impl Fn(&ConversationToken, &Entry) -> usize,
    ) -> (Vec<(&ConversationToken, &Entry)>, Option<&ConversationToken>) {
        let begin = after.map_or(Bound::Unbounded, Bound::Excluded);
        let mut people: Vec<(&ConversationToken, &Entry)> = Vec::new();
        let mut bytes = 0;
        for (person, entry) in
            self.people.range((begin, Bound::Unbounded)).filter(|(_, entry)| entry.is_there())
        {
            bytes += size(person, entry);
            if bytes > bytes_max
                && let Some((last, _)) = people.last()
            {
                let last = *last;
                return (people, Some(last));
            }
            people.push((person, entry));
        }
        (people, None)
    }

    /// A person that is there.
    pub(crate) fn entry(&self, person: &ConversationToken) -> Option<&Entry> {
        self.people.get(person).filter(|entry| entry.is_there())
    }

    /// Everyone who is there, in order.
    pub(crate) fn people(&self) -> impl Iterator<Item = (&ConversationToken, &Entry)> {
        self.people.iter().filter(|(_, entry)| entry.is_there())
    }

    /// Everyone who was there, when the node is not any more.
    pub(crate) fn into_touched(self) -> Vec<Touched> {
        let there = self.people.into_iter().filter(|(_, entry)| entry.is_there());
        there.map(|(person, entry)| Touched { person, before: Some(entry.who) }).collect()
    }

    #[cfg(test)]
    pub(crate) fn ahead_is_empty(&self) -> bool {
        self.ahead.is_empty()
    }

    fn put(&mut self, listed: Listed) -> Option<Touched> {
        let before = self.people.get(&listed.person);
        if before.is_some_and(|before| before.version >= listed.version)
            || (before.is_none() && self.people.len() >= PEOPLE_OF_NODE_MAX)
        {
            return None;
        }
        let connections = listed.connections.into_boxed_slice();
        let same = before.map_or(connections.is_empty(), |before| before.connections == connections);
        let entry = Entry { version: listed.version, who: listed.who, connections };
        let before = self.people.insert(listed.person.clone(), entry).filter(Entry::is_there);
        (!same).then(|| Touched { person: listed.person, before: before.map(|entry| entry.who) })
    }

    /// The snapshot being read has been at the person already, and knew the change.
    fn is_read(&self, change: &Listed) -> bool {
        self.reading
            .as_ref()
            .is_some_and(|reading| change.version <= reading.since && change.person <= reading.after)
    }

    /// Removes who is there no more. Who is remembered as having left stays so: an earlier change may yet arrive.
    fn remove_unlisted(&mut self, page: &Page) -> Vec<Touched> {
        let listed: HashSet<&ConversationToken> = page.people.iter().map(|listed| &listed.person).collect();
        let begin = page.after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
        let end = page.next.as_ref().map_or(Bound::Unbounded, Bound::Included);
        let gone: Vec<ConversationToken> = self
            .people
            .range((begin, end))
            .filter(|(_, entry)| entry.is_there() && entry.version <= page.version)
            .map(|(person, _)| person.clone())
            .filter(|person| !listed.contains(person))
            .collect();
        let mut touched = Vec::new();
        for person in gone {
            if let Some(entry) = self.people.remove(&person) {
                touched.push(Touched { person, before: Some(entry.who) });
            }
        }
        touched
    }

    /// Moves `known` over what has been heard already, and forgets who left by then.
    fn close_holes(&mut self) {
        while let Some(entry) = self.ahead.first_entry()
            && *entry.key() <= self.known + 1
        {
            let (version, person) = entry.remove_entry();
            self.known = self.known.max(version);
            let left = |entry: &Entry| entry.version == version && !entry.is_there();
            if self.people.get(&person).is_some_and(left) {
                self.people.remove(&person);
            }
        }
    }
}

impl Entry {
    pub(crate) fn is_there(&self) -> bool {
        !self.connections.is_empty()
    }
}
