//! Who is there in one tenant, by what all nodes say. Pure: the time comes as an argument.

use std::{
    collections::{BTreeMap, HashMap},
    time::{Duration, Instant},
};

use chasqui_proto::{ConversationToken, subject::NodeToken};

use crate::{
    person::{Connection, Who},
    said::{Entry, Said, Touched},
    told::{Told, Word},
};

/// A node that was silent for so long is dead: three beats.
pub const SILENCE_MAX: Duration = Duration::from_secs(9);
/// How long a node that took its leave is remembered, so that nothing it said before brings it back.
const LEFT_KEPT: Duration = Duration::from_secs(30);
/// The most nodes that are believed in one tenant.
pub const NODES_MAX: usize = 1_000;

/// Something that followed from what a node said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transition {
    /// The person's token.
    pub person: ConversationToken,
    /// Who that is.
    pub who: Who,
    /// What became of it.
    pub change: Change,
}

/// What became of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It has a connection somewhere, and had none.
    Online,
    /// Its last connection anywhere is gone.
    Offline,
    /// It was and is there; which connections it has changed.
    Connections,
}

/// What followed from something that was heard.
#[derive(Debug, Default)]
pub struct Heard {
    /// What became of whom.
    pub transitions: Vec<Transition>,
    /// The node has said something that did not arrive: a snapshot is needed.
    pub is_behind: bool,
    /// It is the first word of this life of the node.
    pub is_newcomer: bool,
}

/// What all nodes say in one tenant.
#[derive(Debug, Default)]
pub struct Board {
    nodes: HashMap<NodeToken, Said>,
    left: HashMap<NodeToken, (i64, Instant)>,
}

impl Board {
    /// Takes in what a node told. The same told twice, late or in another order comes to the same.
    pub fn hear(&mut self, told: Told, now: Instant) -> Heard {
        let (node, incarnation) = (told.node, told.incarnation);
        if self.is_of_the_past(&node, incarnation) {
            return Heard::default();
        }
        if told.word == Word::Left {
            self.left.insert(node.clone(), (incarnation, now));
            return Heard { transitions: self.forget(&node), ..Heard::default() };
        }
        let is_newcomer = self.nodes.get(&node).is_none_or(|said| said.incarnation < incarnation);
        if is_newcomer && !self.nodes.contains_key(&node) && self.nodes.len() >= NODES_MAX {
            return Heard::default();
        }
        let mut transitions = if is_newcomer { self.forget(&node) } else { Vec::new() };
        let said = self.nodes.entry(node.clone()).or_insert_with(|| Said::new(incarnation, now));
        said.heard = now;
        let touched = match told.word {
            Word::Changed(change) => said.change(change).into_iter().collect(),
            Word::Alive { version } => {
                said.beat(version);
                Vec::new()
            }
            Word::Page(page) => said.page(page),
            Word::Left => Vec::new(),
        };
        let is_behind = said.is_behind();
        transitions.extend(touched.into_iter().filter_map(|touched| self.transition(&node, touched)));
        Heard { transitions, is_behind, is_newcomer }
    }

    /// Drops the nodes that were silent for [`SILENCE_MAX`], but never `own`.
    pub fn expire(&mut self, now: Instant, own: Option<&NodeToken>) -> Vec<Transition> {
        self.left.retain(|_, (_, since)| now.saturating_duration_since(*since) < LEFT_KEPT);
        let is_silent = |said: &Said| now.saturating_duration_since(said.heard) >= SILENCE_MAX;
        let silent: Vec<NodeToken> = self
            .nodes
            .iter()
            .filter(|(node, said)| is_silent(said) && own != Some(*node))
            .map(|(node, _)| node.clone())
            .collect();
        silent.iter().flat_map(|node| self.forget(node)).collect()
    }

    /// Takes every node as heard right now: whoever could not listen must not call others silent.
    pub fn excuse_all(&mut self, now: Instant) {
        self.nodes.values_mut().for_each(|said| said.heard = now);
    }

    /// A person's connections, on all nodes.
    pub fn connections(&self, person: &ConversationToken) -> Vec<Connection> {
        self.entries(person).flat_map(|entry| entry.connections.iter().copied()).collect()
    }

    /// Whether a person has a connection anywhere.
    pub fn is_online(&self, person: &ConversationToken) -> bool {
        self.entries(person).next().is_some()
    }

    /// Who a person is, if it is there.
    pub fn who(&self, person: &ConversationToken) -> Option<&Who> {
        self.entries(person).map(|entry| &entry.who).max_by(|one, other| foremost(one, other))
    }

    /// Everyone who is there, in the order of their tokens.
    pub fn online(&self) -> impl Iterator<Item = (&ConversationToken, &Who)> {
        let mut people: BTreeMap<&ConversationToken, &Who> = BTreeMap::new();
        for (person, entry) in self.nodes.values().flat_map(Said::people) {
            let shown = people.entry(person).or_insert(&entry.who);
            if foremost(&entry.who, shown).is_gt() {
                *shown = &entry.who;
            }
        }
        people.into_iter()
    }

    /// Whether no node has said anything that still holds.
    pub fn is_empty(&self) -> bool {
        self.nodes.is_empty()
    }

    /// What the node itself said.
    pub(crate) fn said(&self, node: &NodeToken) -> Option<&Said> {
        self.nodes.get(node)
    }

    /// Begins a life of the node itself.
    pub(crate) fn begin(&mut self, node: &NodeToken, incarnation: i64, now: Instant) {
        self.nodes.insert(node.clone(), Said::new(incarnation, now));
    }

    /// Says something as the node itself, which must have begun: the number of the change, and what follows from it.
    pub(crate) fn say(
        &mut self,
        node: &NodeToken,
        person: &ConversationToken,
        who: Who,
        connections: Vec<Connection>,
    ) -> Option<(u64, Option<Transition>)> {
        let (version, touched) = self.nodes.get_mut(node)?.say(person, who, connections);
        Some((version, touched.and_then(|touched| self.transition(node, touched))))
    }

    /// Words of a life that ended, or of one that another has followed.
    fn is_of_the_past(&self, node: &NodeToken, incarnation: i64) -> bool {
        self.left.get(node).is_some_and(|(left, _)| incarnation <= *left)
            || self.nodes.get(node).is_some_and(|said| incarnation < said.incarnation)
    }

    fn forget(&mut self, node: &NodeToken) -> Vec<Transition> {
        let touched = self.nodes.remove(node).map(Said::into_touched).unwrap_or_default();
        touched.into_iter().filter_map(|touched| self.transition(node, touched)).collect()
    }

    fn transition(&self, node: &NodeToken, touched: Touched) -> Option<Transition> {
        let Touched { person, before } = touched;
        let here = self.nodes.get(node).and_then(|said| said.entry(&person)).map(|entry| &entry.who);
        let elsewhere = self.nodes.iter().any(|(other, said)| other != node && said.entry(&person).is_some());
        let change = match (before.is_some(), here.is_some()) {
            (false, false) => return None,
            _ if elsewhere => Change::Connections,
            (false, true) => Change::Online,
            (true, false) => Change::Offline,
            (true, true) => Change::Connections,
        };
        let who = self.who(&person).cloned().or(before)?;
        Some(Transition { person, who, change })
    }

    fn entries(&self, person: &ConversationToken) -> impl Iterator<Item = &Entry> {
        self.nodes.values().filter_map(move |said| said.entry(person))
    }
}

/// Which of two things a person is shown as; the same on every node, whatever order its board has.
fn foremost(one: &Who, other: &Who) -> std::cmp::Ordering {
    let key = |who: &Who| (who.rank(), who.user_id.clone(), who.agent_id.clone());
    key(one).cmp(&key(other))
}

#[cfg(test)]
mod tests;
