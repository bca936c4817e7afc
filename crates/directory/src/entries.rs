//! What is held of the bucket. Pure: keys and values in, entries out.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Bound,
};

use chasqui_proto::{
    Tenant,
    v1::{AgentEntry, DirectoryEntry, directory_entry::Entry},
};
use prost::Message;

/// The largest value that is kept, bytes. Persistence writes none of a quarter of it.
const VALUE_BYTES_MAX: usize = 16 * 1024;

/// The entries, as the bytes they came in: there may be many users, and few are asked for at a time.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    by_key: BTreeMap<Box<str>, Box<[u8]>>,
    /// The keys of agents by tenant and id; they stand under the person who each is.
    agents: HashMap<(Box<str>, Box<str>), Box<str>>,
}

/// One change of the bucket.
#[derive(Debug, PartialEq)]
pub(crate) struct Change {
    pub(crate) key: String,
    /// The new value; none when the entry was removed.
    pub(crate) value: Option<Box<[u8]>>,
}

impl Entries {
    pub(crate) fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Every value by its key.
    pub(crate) fn into_values(self) -> BTreeMap<Box<str>, Box<[u8]>> {
        self.by_key
    }

    /// What cannot be read is not taken over: what was known before stays.
    pub(crate) fn apply(&mut self, change: Change) {
        let Change { key, value } = change;
        let entry = value.as_deref().map(read);
        if let Some(None) = entry {
            tracing::warn!(key, "an entry of the directory cannot be read; the one before it stays");
            return;
        }
        if let Some(Entry::Agent(before)) = self.get(&key) {
            let place = place(&before);
            // Another key may have become the agent's meanwhile.
            if self.agents.get(&place).is_some_and(|known| **known == *key) {
                self.agents.remove(&place);
            }
        }
        if let Some(Some(Entry::Agent(agent))) = entry {
            self.agents.insert(place(&agent), key.as_str().into());
        }
        match value {
            Some(value) => self.by_key.insert(key.into(), value),
            None => self.by_key.remove(key.as_str()),
        };
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        self.by_key.get(key).and_then(|value| read(value))
    }

    /// Every entry whose key begins so, by key.
    pub(crate) fn below(&self, prefix: &str) -> impl Iterator<Item = Entry> {
        let from = self.by_key.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        from.take_while(move |(key, _)| key.starts_with(prefix)).filter_map(|(_, value)| read(value))
    }

    pub(crate) fn agent(&self, tenant: &Tenant, id: &str) -> Option<AgentEntry> {
        let key = self.agents.get(&(tenant.as_str().into(), id.into()))?;
        match self.get(key)? {
            Entry::Agent(agent) => Some(agent),
            _ => None,
        }
    }
}

fn place(agent: &AgentEntry) -> (Box<str>, Box<str>) {
    (agent.tenant.as_str().into(), agent.id.as_str().into())
}

fn read(value: &[u8]) -> Option<Entry> {
    if value.len() > VALUE_BYTES_MAX {
        return None;
    }
    DirectoryEntry::decode(value).ok()?.entry
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::TenantEntry;
    use proptest::prelude::*;

    use super::*;

    fn put(key: &str, entry: Entry) -> Change {
        let value = DirectoryEntry { entry: Some(entry) }.encode_to_vec();
        Change { key: key.to_owned(), value: Some(value.into()) }
    }

    fn remove(key: &str) -> Change {
        Change { key: key.to_owned(), value: None }
    }

    fn agent(id: &str, user_id: &str) -> Entry {
        let (tenant, id, user_id) = ("acme".to_owned(), id.to_owned(), user_id.to_owned());
        Entry::Agent(AgentEntry { tenant, id, user_id, ..AgentEntry::default() })
    }

    #[test]
    fn an_agent_is_found_by_its_id_wherever_it_moved() {
        let (tenant, mut entries) = ("acme".parse().unwrap(), Entries::default());
        let user_of = |entries: &Entries, id: &str| entries.agent(&tenant, id).map(|agent| agent.user_id);
        entries.apply(put("agent.acme.web_u1", agent("a1", "u1")));
        assert_eq!(user_of(&entries, "a1").as_deref(), Some("u1"));
        // It becomes another user: the new place may be told before the old one is removed.
        entries.apply(put("agent.acme.web_u2", agent("a1", "u2")));
        entries.apply(remove("agent.acme.web_u1"));
        assert_eq!(user_of(&entries, "a1").as_deref(), Some("u2"));
        entries.apply(put("agent.acme.web_u2", agent("a2", "u2")));
        assert_eq!((user_of(&entries, "a1"), user_of(&entries, "a2").as_deref()), (None, Some("u2")));
        entries.apply(remove("agent.acme.web_u2"));
        assert_eq!((user_of(&entries, "a2"), entries.len(), entries.agents.len()), (None, 0, 0));
    }

    #[test]
    fn what_cannot_be_read_changes_nothing() {
        let mut entries = Entries::default();
        let tenant = TenantEntry { tenant: "acme".to_owned(), ..TenantEntry::default() };
        entries.apply(put("tenant.acme", Entry::Tenant(tenant.clone())));
        for value in [vec![0xff], Vec::new(), vec![0; VALUE_BYTES_MAX + 1]] {
            entries.apply(Change { key: "tenant.acme".to_owned(), value: Some(value.into()) });
        }
        assert_eq!(entries.get("tenant.acme"), Some(Entry::Tenant(tenant)));
    }

    proptest! {
        #[test]
        fn no_value_makes_it_panic(value in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut entries = Entries::default();
            entries.apply(Change { key: "x".to_owned(), value: Some(value.into()) });
        }
    }
}
