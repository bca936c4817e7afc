//! Entries as administrators write them. Pure.

use chasqui_directory::NewKey;
use chasqui_proto::v1::{
    AgentEntry, AgentStatus, ApiKeyEntry, EntryKind, NumberEntry, Responder, TenantEntry, UserEntry,
    directory_entry::Entry,
};
use secrecy::SecretString;
use uuid::Uuid;

use super::error::{AdminError, wrong};
use crate::fields::Fields;

/// Reads the entry of a tenant and an id. What is left out is empty; `before` is the key that is changed.
pub(super) fn read(
    kind: EntryKind,
    tenant: String,
    id: String,
    before: Option<Entry>,
    mut fields: Fields,
) -> Result<Entry, AdminError> {
    if fields.text("id")?.is_some_and(|named| named != id) {
        return Err(wrong("id", "must be as in the path"));
    }
    fields.ignore(&["last_seen_at_ms", "created_at_ms"]);
    let name = if kind == EntryKind::Number { None } else { fields.text("name")? };
    let name = name.unwrap_or_default();
    let entry = match kind {
        EntryKind::Tenant => Entry::Tenant(TenantEntry {
            tenant,
            name,
            suspended: fields.flag("suspended")?,
            responder: responder(&mut fields)?.into(),
        }),
        EntryKind::User => Entry::User(UserEntry {
            tenant,
            id,
            name,
            email: fields.text("email")?.unwrap_or_default(),
            suspended: fields.flag("suspended")?,
            last_seen_at_ms: 0,
        }),
        EntryKind::Agent => Entry::Agent(AgentEntry {
            tenant,
            id,
            user_id: fields.text("user_id")?.unwrap_or_default(),
            name,
            status: status(&mut fields)?.into(),
            chats_max: fields.number("chats_max")?,
        }),
        EntryKind::ApiKey => {
            let Some(Entry::ApiKey(before)) = before else { return Err(AdminError::NoEntry("key")) };
            Entry::ApiKey(ApiKeyEntry {
                name,
                scopes: fields.texts("scopes")?.unwrap_or_default(),
                expires_at_ms: fields.number("expires_at_ms")?,
                ..before
            })
        }
        EntryKind::Number => Entry::Number(NumberEntry {
            tenant,
            id,
            display_phone_number: fields.text("display_phone_number")?.unwrap_or_default(),
            account_id: fields.text("account_id")?.unwrap_or_default(),
            messages_per_second_max: fields.number("messages_per_second_max")?,
        }),
        // Listeners have routes of their own, which seal their secrets.
        EntryKind::Listener | EntryKind::Unspecified => return Err(AdminError::NoCollection),
    };
    fields.end()?;
    Ok(entry)
}

/// A key that was not there before, and its secret.
pub(super) fn new_key(tenant: String, mut fields: Fields) -> Result<(SecretString, Entry), AdminError> {
    let NewKey { secret, sha256 } = NewKey::generate();
    let key = ApiKeyEntry {
        tenant,
        id: Uuid::now_v7().to_string(),
        name: fields.text("name")?.unwrap_or_default(),
        sha256,
        scopes: fields.texts("scopes")?.unwrap_or_default(),
        created_at_ms: 0,
        expires_at_ms: fields.number("expires_at_ms")?,
    };
    fields.end()?;
    Ok((secret, Entry::ApiKey(key)))
}

/// An agent is active unless it is said to be not.
fn status(fields: &mut Fields) -> Result<AgentStatus, AdminError> {
    let Some(name) = fields.text("status")? else { return Ok(AgentStatus::Active) };
    let known = AgentStatus::of_name(&name).filter(|status| *status != AgentStatus::Unspecified);
    known.ok_or_else(|| wrong("status", "must be ACTIVE or INACTIVE"))
}

/// Without one, the deployment says who answers.
fn responder(fields: &mut Fields) -> Result<Responder, AdminError> {
    let Some(name) = fields.text("responder")? else { return Ok(Responder::Unspecified) };
    let is_bot = |responder: &Responder| matches!(responder, Responder::Builtin | Responder::External);
    let known = Responder::of_name(&name).filter(is_bot);
    known.ok_or_else(|| wrong("responder", "must be builtin, external or null"))
}

#[cfg(test)]
mod tests {
    use chasqui_directory::shown;
    use proptest::prelude::*;

    use super::*;

    const KINDS: [EntryKind; 5] =
        [EntryKind::Tenant, EntryKind::User, EntryKind::Agent, EntryKind::ApiKey, EntryKind::Number];

    fn read_text(kind: EntryKind, body: &str) -> Result<Entry, AdminError> {
        let before = (kind == EntryKind::ApiKey).then(|| Entry::ApiKey(ApiKeyEntry::default()));
        read(kind, "acme".into(), "x1".into(), before, Fields::read(body.as_bytes())?)
    }

    fn refused(kind: EntryKind, body: &str, field: &str) {
        let told = read_text(kind, body).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{field}: ")), "{body}: {told}");
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(EntryKind::User, "[]", "body");
        refused(EntryKind::User, "{", "body");
        refused(EntryKind::User, r#"{"name":7}"#, "name");
        refused(EntryKind::User, r#"{"suspended":"yes"}"#, "suspended");
        refused(EntryKind::User, r#"{"nmae":"x"}"#, "nmae");
        refused(EntryKind::User, r#"{"id":"other"}"#, "id");
        refused(EntryKind::Agent, r#"{"status":"BUSY"}"#, "status");
        refused(EntryKind::Agent, r#"{"status":""}"#, "status");
        for number in ["-1", "1.5", "\"1\"", "4294967296"] {
            refused(EntryKind::Agent, &format!(r#"{{"chats_max":{number}}}"#), "chats_max");
        }
        for responder in ["\"person\"", "\"\"", "true"] {
            refused(EntryKind::Tenant, &format!(r#"{{"responder":{responder}}}"#), "responder");
        }
        refused(EntryKind::ApiKey, r#"{"scopes":"send"}"#, "scopes");
        refused(EntryKind::ApiKey, r#"{"scopes":[1]}"#, "scopes");
        refused(EntryKind::ApiKey, r#"{"sha256":"x"}"#, "sha256");
    }

    #[test]
    fn what_was_read_can_be_sent_back() {
        let kinds = KINDS
            .into_iter()
            .map(|kind| (kind, if kind == EntryKind::Tenant { "{}" } else { r#"{"id":"x1"}"# }));
        for (kind, body) in kinds.chain([(EntryKind::Tenant, r#"{"responder":"builtin"}"#)]) {
            let Ok(entry) = read_text(kind, body) else { panic!("{kind:?}") };
            let mut back = shown(&entry);
            // The tenant is taken before, and a key that was made here has no name of its own in this test.
            back.as_object_mut().unwrap().retain(|name, _| name != "tenant" && name != "id");
            assert_eq!(read_text(kind, &back.to_string()).unwrap(), entry);
        }
    }

    proptest! {
        #[test]
        fn no_body_makes_it_panic(body in ".*", kind in 0..5_usize) {
            let _ = read_text(KINDS[kind], &body);
            let _ = read_text(KINDS[kind], &format!(r#"{{"name":{body}}}"#));
        }
    }
}
