//! Everything that was written, both ways: what phones show and what tests ask for. Pure.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use serde::Serialize;
use serde_json::value::RawValue;

/// How many messages are kept; past it the oldest go.
const ENTRIES_MAX: usize = 200_000;
/// How long a typing indicator is shown, milliseconds, as WhatsApp does.
const TYPING_MS: i64 = 25_000;
/// How many contacts may be shown that somebody types.
const TYPING_MAX: usize = 10_000;

/// Which way a message went, seen from the phone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Direction {
    /// To the phone.
    Received,
    /// By the phone.
    Sent,
}

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Progress {
    /// Taken.
    Accepted,
    /// On its way.
    Sent,
    /// On the phone, or with the business.
    Delivered,
    /// Read.
    Read,
    /// It did not arrive.
    Failed,
}

/// A message as it is recorded.
#[derive(Debug)]
pub(crate) struct Written {
    /// The number: an id of the Graph API, or `tenant/session` of a linked device.
    pub(crate) number: Arc<str>,
    pub(crate) contact: Arc<str>,
    pub(crate) direction: Direction,
    /// The provider's id.
    pub(crate) id: String,
    pub(crate) time_ms: i64,
    pub(crate) body: Box<RawValue>,
    pub(crate) callback_data: Option<String>,
    pub(crate) progress: Progress,
}

/// A message as it is shown.
#[derive(Debug, Serialize)]
pub(crate) struct Shown<'a> {
    /// Grows by one with each message.
    seq: u64,
    direction: Direction,
    number: &'a str,
    contact: &'a str,
    id: &'a str,
    time_ms: i64,
    status: Progress,
    biz_opaque_callback_data: Option<&'a str>,
    body: &'a RawValue,
}

/// Which messages are asked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) contact: Option<String>,
    pub(crate) number: Option<String>,
    pub(crate) direction: Option<Direction>,
    /// Only those after this one.
    pub(crate) after: u64,
    /// The newest so many.
    pub(crate) most: usize,
}

/// The messages, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History {
    entries: VecDeque<Written>,
    /// How many are gone: the first entry has this number plus one.
    gone: u64,
    by_id: HashMap<String, u64>,
    by_contact: HashMap<Arc<str>, VecDeque<u64>>,
    /// Until when each contact is shown that the number types.
    typing: HashMap<(Arc<str>, Arc<str>), i64>,
}

impl History {
    /// Records a message, once an id; returns its position.
    pub(crate) fn add(&mut self, written: Written) -> u64 {
        if let Some(seq) = self.by_id.get(&written.id) {
            return *seq;
        }
        if self.entries.len() >= ENTRIES_MAX {
            self.forget_oldest();
        }
        let seq = self.last() + 1;
        if written.direction == Direction::Received {
            self.typing.remove(&(written.number.clone(), written.contact.clone()));
        }
        self.by_id.insert(written.id.clone(), seq);
        self.by_contact.entry(written.contact.clone()).or_default().push_back(seq);
        self.entries.push_back(written);
        seq
    }

    /// The position of the newest.
    pub(crate) fn last(&self) -> u64 {
        self.gone + self.entries.len() as u64
    }

    pub(crate) fn find(&self, id: &str) -> Option<&Written> {
        self.get(*self.by_id.get(id)?)
    }

    /// Moves a message forward; `false` when it is unknown or was there already.
    pub(crate) fn advance(&mut self, id: &str, progress: Progress) -> bool {
        let entry = self
            .by_id
            .get(id)
            .and_then(|seq| self.entries.get_mut(usize::try_from(seq - self.gone - 1).ok()?));
        let moves = entry.filter(|entry| entry.progress < progress);
        moves.map(|entry| entry.progress = progress).is_some()
    }

    /// Messages to a contact that it has not read, or just the one with this id.
    pub(crate) fn unread(&self, contact: &str, id: Option<&str>) -> Vec<&Written> {
        let unread = |entry: &&Written| {
            entry.direction == Direction::Received
                && entry.progress < Progress::Read
                && id.is_none_or(|id| entry.id == id)
        };
        self.of_contact(contact).filter(unread).collect()
    }

    /// The contact is shown that the number types, until it writes or 25 s are over.
    pub(crate) fn type_to(&mut self, number: Arc<str>, contact: Arc<str>, now_ms: i64) {
        if self.typing.len() >= TYPING_MAX {
            self.typing.retain(|_, until_ms| now_ms < *until_ms);
        }
        self.typing.insert((number, contact), now_ms + TYPING_MS);
    }

    /// The numbers that are shown to type to a contact.
    pub(crate) fn typing_to(&self, contact: &str, now_ms: i64) -> Vec<&str> {
        let typing = self.typing.iter().filter(|((_, to), until_ms)| &**to == contact && now_ms < **until_ms);
        typing.map(|((number, _), _)| &**number).collect()
    }

    /// What is wanted, oldest first.
    pub(crate) fn show(&self, wanted: &Wanted) -> Vec<Box<RawValue>> {
        let fits = |entry: &&Written| {
            wanted.number.as_deref().is_none_or(|number| number == &*entry.number)
                && wanted.direction.is_none_or(|direction| direction == entry.direction)
        };
        let shown = |entry: &Written| {
            let seq = self.by_id.get(&entry.id).copied().unwrap_or_default();
            serde_json::value::to_raw_value(&entry.shown(seq)).expect("what was read as JSON can be written")
        };
        let after = |entry: &&Written| self.by_id.get(&entry.id).is_some_and(|seq| *seq > wanted.after);
        let mut newest: Vec<_> = match &wanted.contact {
            Some(contact) => self
                .of_contact(contact)
                .rev()
                .take_while(after)
                .filter(fits)
                .take(wanted.most)
                .map(shown)
                .collect(),
            None => self
                .entries
                .iter()
                .rev()
                .take_while(after)
                .filter(fits)
                .take(wanted.most)
                .map(shown)
                .collect(),
        };
        newest.reverse();
        newest
    }

    /// Forgets every message; positions go on.
    pub(crate) fn clear(&mut self) -> usize {
        let cleared = self.entries.len();
        *self = Self { gone: self.last(), typing: std::mem::take(&mut self.typing), ..Self::default() };
        cleared
    }

    fn get(&self, seq: u64) -> Option<&Written> {
        self.entries.get(usize::try_from(seq.checked_sub(self.gone + 1)?).ok()?)
    }

    fn of_contact(&self, contact: &str) -> impl DoubleEndedIterator<Item = &Written> {
        self.by_contact.get(contact).into_iter().flatten().filter_map(|seq| self.get(*seq))
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.entries.pop_front() else { return };
        self.gone += 1;
        self.by_id.remove(&oldest.id);
        if let Some(of_contact) = self.by_contact.get_mut(&oldest.contact) {
            of_contact.pop_front();
            if of_contact.is_empty() {
                self.by_contact.remove(&oldest.contact);
            }
        }
    }
}

impl Written {
    fn shown(&self, seq: u64) -> Shown<'_> {
        Shown {
            seq,
            direction: self.direction,
            number: &self.number,
            contact: &self.contact,
            id: &self.id,
            time_ms: self.time_ms,
            status: self.progress,
            biz_opaque_callback_data: self.callback_data.as_deref(),
            body: &self.body,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(contact: &str, id: &str, direction: Direction) -> Written {
        Written {
            number: "100000000000001".into(),
            contact: contact.into(),
            direction,
            id: id.to_owned(),
            time_ms: 1,
            body: RawValue::from_string("{}".to_owned()).unwrap(),
            callback_data: None,
            progress: Progress::Accepted,
        }
    }

    fn ids(history: &History, wanted: &Wanted) -> Vec<String> {
        let id = |shown: Box<RawValue>| {
            serde_json::from_str::<serde_json::Value>(shown.get()).unwrap()["id"].clone()
        };
        history.show(wanted).into_iter().map(|shown| id(shown).as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn a_phone_shows_its_own_messages_oldest_first() {
        let mut history = History::default();
        for (contact, id) in [("1", "a"), ("2", "b"), ("1", "c"), ("1", "c")] {
            history.add(written(contact, id, Direction::Received));
        }
        let of = |after| Wanted { contact: Some("1".to_owned()), after, most: 9, ..Wanted::default() };
        assert_eq!(ids(&history, &of(0)), ["a", "c"], "an id is one message");
        assert_eq!(ids(&history, &of(1)), ["c"]);
        assert_eq!(ids(&history, &Wanted { most: 2, ..Wanted::default() }), ["b", "c"], "the newest two");
        assert_eq!((history.clear(), history.last()), (3, 3), "positions go on");
        assert_eq!(history.add(written("1", "d", Direction::Received)), 4);
        assert_eq!(ids(&history, &of(3)), ["d"]);
    }

    #[test]
    fn a_message_only_moves_forward() {
        let mut history = History::default();
        history.add(written("1", "a", Direction::Received));
        assert!(history.advance("a", Progress::Delivered));
        assert!(!history.advance("a", Progress::Sent));
        assert_eq!(history.unread("1", None).len(), 1);
        assert!(history.advance("a", Progress::Read));
        assert!(history.unread("1", Some("a")).is_empty());
        assert!(!history.advance("b", Progress::Read));
    }

    #[test]
    fn typing_ends_with_an_answer_or_after_25_seconds() {
        let mut history = History::default();
        history.type_to("100000000000001".into(), "1".into(), 0);
        assert_eq!(history.typing_to("1", 24_999), ["100000000000001"]);
        assert!(history.typing_to("1", 25_000).is_empty());
        history.add(written("1", "a", Direction::Received));
        assert!(history.typing_to("1", 1).is_empty());
    }

    #[test]
    fn the_oldest_go() {
        let mut history = History::default();
        for at in 0..=ENTRIES_MAX {
            history.add(written("1", &at.to_string(), Direction::Sent));
        }
        assert_eq!(history.last(), ENTRIES_MAX as u64 + 1);
        assert!(history.find("0").is_none());
        assert_eq!(ids(&history, &Wanted { most: 1, ..Wanted::default() }), [ENTRIES_MAX.to_string()]);
    }
}
