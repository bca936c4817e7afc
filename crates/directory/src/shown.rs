//! Entries as people and their programs read them. The names are those of the payloads.

use chasqui_proto::v1::{Responder, directory_entry::Entry};
use serde_json::{Value, json};

/// An entry as JSON. Times are unix milliseconds; 0 stands for never.
pub fn shown(entry: &Entry) -> Value {
    match entry {
        Entry::Tenant(entry) => json!({
            "tenant": entry.tenant,
            "name": entry.name,
            "suspended": entry.suspended,
            "responder": Some(entry.responder()).filter(|it| *it != Responder::Unspecified).map(Responder::name),
        }),
        Entry::User(entry) => json!({
            "tenant": entry.tenant,
            "id": entry.id,
            "name": entry.name,
            "email": entry.email,
            "suspended": entry.suspended,
            "last_seen_at_ms": entry.last_seen_at_ms,
        }),
        Entry::Agent(entry) => json!({
            "tenant": entry.tenant,
            "id": entry.id,
            "user_id": entry.user_id,
            "name": entry.name,
            "status": entry.status().name(),
            "chats_max": entry.chats_max,
        }),
        Entry::ApiKey(entry) => json!({
            "tenant": entry.tenant,
            "id": entry.id,
            "name": entry.name,
            "scopes": entry.scopes,
            "created_at_ms": entry.created_at_ms,
            "expires_at_ms": entry.expires_at_ms,
        }),
        Entry::Number(entry) => json!({
            "tenant": entry.tenant,
            "id": entry.id,
            "display_phone_number": entry.display_phone_number,
            "account_id": entry.account_id,
            "messages_per_second_max": entry.messages_per_second_max,
        }),
        // Its secrets stay out, sealed as they are.
        Entry::Listener(entry) => json!({
            "tenant": entry.tenant,
            "id": entry.id,
            "url": entry.url,
            "events": entry.events,
            "format": entry.format().name(),
            "secrets": entry.sealed_secrets.len(),
            "disabled": entry.disabled,
            "disabled_reason": entry.disabled_reason,
            "answers": entry.answers,
            "description": entry.description,
            "created_at_ms": entry.created_at_ms,
            "updated_at_ms": entry.updated_at_ms,
        }),
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{AgentEntry, AgentStatus, ApiKeyEntry};

    use super::*;

    #[test]
    fn a_key_is_shown_without_its_hash() {
        let sha256 = "0a".repeat(32);
        let key = ApiKeyEntry { id: "k1".into(), sha256: sha256.clone(), ..ApiKeyEntry::default() };
        assert!(!shown(&Entry::ApiKey(key)).to_string().contains(&sha256));
    }

    #[test]
    fn an_agent_is_active_or_not_by_name() {
        let agent = AgentEntry { status: AgentStatus::Inactive.into(), ..AgentEntry::default() };
        assert_eq!(shown(&Entry::Agent(agent))["status"], "INACTIVE");
    }
}
