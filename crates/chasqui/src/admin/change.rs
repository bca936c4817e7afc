//! What a command makes of an entry. Pure.

use chasqui_proto::v1::{
    AgentEntry, AgentStatus, ApiKeyEntry, EntryKind, NumberEntry, Responder, TenantEntry, UserEntry,
    directory_entry::Entry,
};

use super::arguments::{
    Activity, AgentFields, Answering, KeyFields, KeyScope, NumberFields, TenantFields, UserFields,
};

/// Fields of a kind of entry, as far as they were given.
pub(super) trait Fields {
    /// Which kind.
    const KIND: EntryKind;

    /// The entry with these fields, made of the one there is. None where there must be one.
    fn apply(&self, tenant: String, id: &str, before: Option<Entry>) -> Option<Entry>;
}

impl Fields for TenantFields {
    const KIND: EntryKind = EntryKind::Tenant;

    fn apply(&self, _: String, id: &str, before: Option<Entry>) -> Option<Entry> {
        let mut entry = match before {
            Some(Entry::Tenant(entry)) => entry,
            _ => TenantEntry { tenant: id.to_owned(), ..TenantEntry::default() },
        };
        change(&mut entry.name, self.name.as_ref());
        change(&mut entry.suspended, self.suspended.as_ref());
        match self.responder {
            Some(Answering::Builtin) => entry.set_responder(Responder::Builtin),
            Some(Answering::External) => entry.set_responder(Responder::External),
            Some(Answering::Default) => entry.set_responder(Responder::Unspecified),
            None => {}
        }
        Some(Entry::Tenant(entry))
    }
}

impl Fields for UserFields {
    const KIND: EntryKind = EntryKind::User;

    fn apply(&self, tenant: String, id: &str, before: Option<Entry>) -> Option<Entry> {
        let mut entry = match before {
            Some(Entry::User(entry)) => entry,
            _ => UserEntry { tenant, id: id.to_owned(), ..UserEntry::default() },
        };
        change(&mut entry.name, self.name.as_ref());
        change(&mut entry.email, self.email.as_ref());
        change(&mut entry.suspended, self.suspended.as_ref());
        Some(Entry::User(entry))
    }
}

impl Fields for AgentFields {
    const KIND: EntryKind = EntryKind::Agent;

    fn apply(&self, tenant: String, id: &str, before: Option<Entry>) -> Option<Entry> {
        let mut entry = if let Some(Entry::Agent(entry)) = before {
            entry
        } else {
            let status = AgentStatus::Active.into();
            AgentEntry { tenant, id: id.to_owned(), status, ..AgentEntry::default() }
        };
        change(&mut entry.user_id, self.user.as_ref());
        change(&mut entry.name, self.name.as_ref());
        change(&mut entry.chats_max, self.chats_max.as_ref());
        match self.status {
            Some(Activity::Active) => entry.set_status(AgentStatus::Active),
            Some(Activity::Inactive) => entry.set_status(AgentStatus::Inactive),
            None => {}
        }
        Some(Entry::Agent(entry))
    }
}

impl Fields for KeyFields {
    const KIND: EntryKind = EntryKind::ApiKey;

    fn apply(&self, _: String, _: &str, before: Option<Entry>) -> Option<Entry> {
        let Some(Entry::ApiKey(mut entry)) = before else { return None };
        change(&mut entry.name, self.name.as_ref());
        if !self.scope.is_empty() {
            entry.scopes = scopes(&self.scope);
        }
        Some(Entry::ApiKey(entry))
    }
}

impl Fields for NumberFields {
    const KIND: EntryKind = EntryKind::Number;

    fn apply(&self, tenant: String, id: &str, before: Option<Entry>) -> Option<Entry> {
        let mut entry = match before {
            Some(Entry::Number(entry)) => entry,
            _ => NumberEntry { tenant, id: id.to_owned(), ..NumberEntry::default() },
        };
        change(&mut entry.display_phone_number, self.display_phone_number.as_ref());
        change(&mut entry.account_id, self.account_id.as_ref());
        change(&mut entry.messages_per_second_max, self.messages_per_second.as_ref());
        Some(Entry::Number(entry))
    }
}

/// A key that is stored under the hash of its secret.
pub(super) fn new_key(tenant: String, id: String, sha256: String, scope: &[KeyScope]) -> ApiKeyEntry {
    ApiKeyEntry { tenant, id, sha256, scopes: scopes(scope), ..ApiKeyEntry::default() }
}

/// Each once.
fn scopes(given: &[KeyScope]) -> Vec<String> {
    let mut scopes: Vec<String> = given.iter().map(|scope| scope.name()).collect();
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

pub(super) fn change<T: Clone>(field: &mut T, given: Option<&T>) {
    if let Some(given) = given {
        field.clone_from(given);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_given_stays() {
        let named = UserFields { name: Some("Contact".into()), email: None, suspended: None };
        let made = named.apply("acme".into(), "u1", None);
        let suspended = UserFields { name: None, email: None, suspended: Some(true) };
        let Some(Entry::User(user)) = suspended.apply("acme".into(), "u1", made) else { panic!("no user") };
        assert_eq!((user.id.as_str(), user.name.as_str(), user.suspended), ("u1", "Contact", true));
    }

    #[test]
    fn who_answers_a_tenant_stays_until_it_is_said_anew() {
        let fields = |name: Option<&str>, responder| TenantFields {
            name: name.map(str::to_owned),
            suspended: None,
            responder,
        };
        let mut entry = None;
        for (fields, expected) in [
            (fields(None, Some(Answering::Builtin)), Responder::Builtin),
            (fields(Some("Acme"), None), Responder::Builtin),
            (fields(None, Some(Answering::External)), Responder::External),
            (fields(None, Some(Answering::Default)), Responder::Unspecified),
        ] {
            let Some(Entry::Tenant(tenant)) = fields.apply("acme".into(), "acme", entry) else {
                panic!("no tenant")
            };
            assert_eq!(tenant.responder(), expected);
            entry = Some(Entry::Tenant(tenant));
        }
    }

    #[test]
    fn a_new_agent_is_active_and_a_key_is_not_made_by_changing_it() {
        let fields = AgentFields { user: Some("u1".into()), name: None, status: None, chats_max: None };
        let Some(Entry::Agent(agent)) = fields.apply("acme".into(), "a1", None) else { panic!("no agent") };
        assert_eq!((agent.status(), agent.user_id.as_str()), (AgentStatus::Active, "u1"));
        let fields = KeyFields { name: None, scope: vec![KeyScope::Send, KeyScope::Send] };
        assert_eq!(fields.apply("acme".into(), "k1", None), None);
        let before = Some(Entry::ApiKey(ApiKeyEntry::default()));
        let Some(Entry::ApiKey(key)) = fields.apply("acme".into(), "k1", before) else { panic!("no key") };
        assert_eq!(key.scopes, ["send"]);
    }
}
