//! Where the bucket keeps an entry.

use chasqui_proto::{
    ConversationToken, Tenant,
    address::{self, InvalidAddress},
    stream,
    v1::{Alias, DirectoryEntry, directory_entry::Entry},
};

/// The name that a user has as a person: the one its conversation and its presence carry.
pub fn person(id: &str) -> Result<ConversationToken, InvalidAddress> {
    address::parse_address(id).map(|alias| ConversationToken::of(&alias))
}

/// The token of a provider's number.
pub(crate) fn number(id: &str) -> ConversationToken {
    // Not an address of anybody: only its characters must fit into a key.
    ConversationToken::of(&Alias { kind: address::phone("").kind, value: id.to_owned() })
}

/// The key of an entry in the bucket; `None` when the entry is of a kind unknown here, or names no tenant or nobody.
pub fn key_of(entry: &DirectoryEntry) -> Option<String> {
    let tenant = |name: &str| name.parse::<Tenant>().ok();
    match entry.entry.as_ref()? {
        Entry::Tenant(entry) => Some(stream::tenant_key(&tenant(&entry.tenant)?)),
        Entry::User(entry) => Some(stream::user_key(&tenant(&entry.tenant)?, &person(&entry.id).ok()?)),
        Entry::Agent(entry) => {
            Some(stream::agent_key(&tenant(&entry.tenant)?, &person(&entry.user_id).ok()?))
        }
        Entry::ApiKey(entry) => Some(stream::api_key_key(&entry.sha256)),
        Entry::Number(entry) => Some(stream::number_key(&number(&entry.id))),
        Entry::Listener(entry) => {
            let id: uuid::Uuid = entry.id.parse().ok()?;
            Some(stream::listener_key(&tenant(&entry.tenant)?, &id.to_string()))
        }
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{AgentEntry, NumberEntry, UserEntry};

    use super::*;

    fn check(entry: Entry, expected: &str) {
        assert_eq!(key_of(&DirectoryEntry { entry: Some(entry) }).as_deref(), Some(expected));
    }

    #[test]
    fn an_entry_stands_where_those_look_who_know_only_the_person() {
        let tenant = "acme".to_owned();
        let user = UserEntry { tenant: tenant.clone(), id: "u.1".to_owned(), ..UserEntry::default() };
        check(Entry::User(user), "user.acme.web_u=2E1");
        let user_id = "+54 911 0000-0001".to_owned();
        check(
            Entry::Agent(AgentEntry { tenant: tenant.clone(), user_id, ..AgentEntry::default() }),
            "agent.acme.5491100000001",
        );
        let id = "102290129340398".to_owned();
        check(Entry::Number(NumberEntry { tenant, id, ..NumberEntry::default() }), "number.102290129340398");
    }

    #[test]
    fn an_entry_of_nobody_stands_nowhere() {
        assert_eq!(key_of(&DirectoryEntry::default()), None);
        let user = UserEntry { tenant: "acme".to_owned(), ..UserEntry::default() };
        assert_eq!(key_of(&DirectoryEntry { entry: Some(Entry::User(user)) }), None);
    }
}
