//! What may stand in the directory. Pure.

use chasqui_directory::{Scope, key_of, person};
use chasqui_proto::{
    Tenant,
    address::ADDRESS_LENGTH_MAX,
    v1::{
        AgentEntry, AgentStatus, ApiKeyEntry, DirectoryEntry, EntryKind, NumberEntry, Responder, TenantEntry,
        UserEntry, directory_entry::Entry,
    },
};

use super::listener;
use crate::error::Error;

/// The longest name of anything, bytes.
const NAME_LENGTH_MAX: usize = 256;
/// The longest address that mail is sent to, bytes (RFC 5321).
const EMAIL_LENGTH_MAX: usize = 254;
/// The most chats that an agent may be given at a time.
const CHATS_MAX: u32 = 10_000;
/// What WhatsApp lets any number send a second, at most.
const MESSAGES_PER_SECOND_MAX: u32 = 1_000;
/// What a request may be about.
const KINDS: &str = "must be one of tenant, user, agent, api_key, number and listener";
/// The last moment that has a date everywhere, unix milliseconds: the end of the year 9999.
const EXPIRES_AT_MS_MAX: i64 = 253_402_300_799_999;

/// An entry that may be stored, and where the bucket keeps it.
#[derive(Debug)]
pub(crate) struct Valid {
    pub(crate) entry: Entry,
    pub(crate) key: String,
}

/// Checks an entry.
pub(crate) fn check(entry: Option<DirectoryEntry>) -> Result<Valid, Error> {
    let entry = entry.and_then(|entry| entry.entry).ok_or_else(|| invalid("entry", KINDS.to_owned()))?;
    let tenant = tenant_name(name_of(&entry).0)?;
    match &entry {
        Entry::Tenant(entry) => check_tenant(entry)?,
        Entry::User(user) => check_user(user)?,
        Entry::Agent(agent) => check_agent(agent)?,
        Entry::ApiKey(api_key) => check_api_key(api_key)?,
        Entry::Number(number) => check_number(number)?,
        Entry::Listener(listener) => listener::check(&tenant, listener)?,
    }
    let key = key_of(&DirectoryEntry { entry: Some(entry.clone()) });
    let key = key.ok_or_else(|| invalid("id", "must name somebody".to_owned()))?;
    Ok(Valid { entry, key })
}

/// The kind that a request is about.
pub(crate) fn kind(kind: EntryKind) -> Result<EntryKind, Error> {
    if kind == EntryKind::Unspecified {
        return Err(invalid("kind", KINDS.to_owned()));
    }
    Ok(kind)
}

/// The kind of an entry.
pub(crate) fn kind_of(entry: &Entry) -> EntryKind {
    match entry {
        Entry::Tenant(_) => EntryKind::Tenant,
        Entry::User(_) => EntryKind::User,
        Entry::Agent(_) => EntryKind::Agent,
        Entry::ApiKey(_) => EntryKind::ApiKey,
        Entry::Number(_) => EntryKind::Number,
        Entry::Listener(_) => EntryKind::Listener,
    }
}

/// The tenant and the id of an entry: its name for whoever edits it.
pub(crate) fn name_of(entry: &Entry) -> (&str, &str) {
    match entry {
        Entry::Tenant(entry) => (&entry.tenant, &entry.tenant),
        Entry::User(entry) => (&entry.tenant, &entry.id),
        Entry::Agent(entry) => (&entry.tenant, &entry.id),
        Entry::ApiKey(entry) => (&entry.tenant, &entry.id),
        Entry::Number(entry) => (&entry.tenant, &entry.id),
        Entry::Listener(entry) => (&entry.tenant, &entry.id),
    }
}

/// An entry as the bucket has it. When a user was last seen changes all the time and is only for those who ask.
pub(crate) fn replicated(entry: Entry) -> DirectoryEntry {
    let entry = match entry {
        Entry::User(user) => Entry::User(UserEntry { last_seen_at_ms: 0, ..user }),
        other => other,
    };
    DirectoryEntry { entry: Some(entry) }
}

/// The name of a tenant.
pub(crate) fn tenant_name(name: &str) -> Result<Tenant, Error> {
    name.parse().map_err(|error| invalid("tenant", format!("{error}")))
}

fn check_tenant(entry: &TenantEntry) -> Result<(), Error> {
    text("name", &entry.name, NAME_LENGTH_MAX)?;
    match Responder::try_from(entry.responder) {
        Ok(Responder::Unspecified | Responder::Builtin | Responder::External) => Ok(()),
        _ => Err(invalid("responder", "must be builtin or external, or absent".to_owned())),
    }
}

fn check_user(user: &UserEntry) -> Result<(), Error> {
    user_id("id", &user.id)?;
    text("name", &user.name, NAME_LENGTH_MAX)?;
    text("email", &user.email, EMAIL_LENGTH_MAX)?;
    let is_address =
        user.email.split_once('@').is_some_and(|(local, host)| !local.is_empty() && !host.is_empty());
    if user.email.is_empty() || (is_address && !user.email.contains(char::is_whitespace)) {
        return Ok(());
    }
    Err(invalid("email", "must be empty or an address, such as contact@example.org".to_owned()))
}

fn check_agent(agent: &AgentEntry) -> Result<(), Error> {
    id(&agent.id)?;
    user_id("user_id", &agent.user_id)?;
    text("name", &agent.name, NAME_LENGTH_MAX)?;
    if agent.status() == AgentStatus::Unspecified {
        return Err(invalid("status", "must be ACTIVE or INACTIVE".to_owned()));
    }
    if agent.chats_max > CHATS_MAX {
        return Err(invalid("chats_max", format!("must be 0 (no limit) to {CHATS_MAX}")));
    }
    Ok(())
}

fn check_api_key(api_key: &ApiKeyEntry) -> Result<(), Error> {
    id(&api_key.id)?;
    text("name", &api_key.name, NAME_LENGTH_MAX)?;
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if api_key.sha256.len() != 64 || !api_key.sha256.bytes().all(is_digit) {
        return Err(invalid("sha256", "must be the SHA-256 of the key in 64 lower-case digits".to_owned()));
    }
    let is_scope = |scope: &String| Scope::ALL.iter().any(|known| known.as_str() == scope);
    let scopes = &api_key.scopes;
    if scopes.is_empty() || scopes.len() > Scope::ALL.len() || !scopes.iter().all(is_scope) {
        return Err(invalid("scopes", "must be one or more of send, listen and admin".to_owned()));
    }
    if !(0..=EXPIRES_AT_MS_MAX).contains(&api_key.expires_at_ms) {
        let expected = format!("must be unix milliseconds up to {EXPIRES_AT_MS_MAX}, or 0 for never");
        return Err(invalid("expires_at_ms", expected));
    }
    Ok(())
}

fn check_number(number: &NumberEntry) -> Result<(), Error> {
    id(&number.id)?;
    text("display_phone_number", &number.display_phone_number, NAME_LENGTH_MAX)?;
    text("account_id", &number.account_id, ADDRESS_LENGTH_MAX)?;
    if number.messages_per_second_max > MESSAGES_PER_SECOND_MAX {
        let expected = format!("must be 0 (as of a usual number) to {MESSAGES_PER_SECOND_MAX}");
        return Err(invalid("messages_per_second_max", expected));
    }
    Ok(())
}

/// A name within a tenant, as it may stand in a path.
pub(crate) fn id(id: &str) -> Result<(), Error> {
    let is_good =
        (1..=ADDRESS_LENGTH_MAX).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    if is_good {
        return Ok(());
    }
    Err(invalid("id", format!("must be 1 to {ADDRESS_LENGTH_MAX} visible ASCII characters")))
}

fn user_id(field: &'static str, id: &str) -> Result<(), Error> {
    let is_plain = id.trim() == id && !id.contains(char::is_control);
    if is_plain && person(id).is_ok() {
        return Ok(());
    }
    let expected =
        format!("must be 1 to {ADDRESS_LENGTH_MAX} bytes, as in the tokens, without blanks around it");
    Err(invalid(field, expected))
}

/// Any text that PostgreSQL can hold and a log can show.
pub(crate) fn text(field: &'static str, text: &str, length_max: usize) -> Result<(), Error> {
    if text.len() <= length_max && !text.contains(char::is_control) {
        return Ok(());
    }
    Err(invalid(field, format!("must be at most {length_max} bytes without control characters")))
}

pub(super) fn invalid(field: &'static str, expected: String) -> Error {
    Error::Invalid { field, expected }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::TenantEntry;
    use proptest::prelude::*;

    use super::*;

    fn user() -> UserEntry {
        UserEntry { tenant: "acme".into(), id: "u1".into(), ..UserEntry::default() }
    }

    fn agent() -> AgentEntry {
        let (tenant, id, user_id) = ("acme".into(), "a1".into(), "u1".into());
        AgentEntry { tenant, id, user_id, status: AgentStatus::Active.into(), ..AgentEntry::default() }
    }

    fn api_key() -> ApiKeyEntry {
        let (tenant, id, sha256) = ("acme".into(), "k1".into(), "0a".repeat(32));
        ApiKeyEntry { tenant, id, sha256, scopes: vec!["send".into()], ..ApiKeyEntry::default() }
    }

    fn number() -> NumberEntry {
        NumberEntry { tenant: "acme".into(), id: "102290129340398".into(), ..NumberEntry::default() }
    }

    fn checked(entry: Entry) -> Result<Valid, Error> {
        check(Some(DirectoryEntry { entry: Some(entry) }))
    }

    fn refused(entry: Entry, field: &str) {
        let text = format!("{entry:?}");
        let told = checked(entry).expect_err(&text).to_string();
        assert!(told.starts_with(&format!("{field}: must ")) || field == "tenant", "{text}: {told}");
        assert!(told.contains(field), "{text}: {told}");
    }

    #[test]
    fn what_is_whole_has_its_place() {
        assert_eq!(checked(Entry::User(user())).unwrap().key, "user.acme.web_u1");
        assert_eq!(checked(Entry::Agent(agent())).unwrap().key, "agent.acme.web_u1");
        assert_eq!(checked(Entry::ApiKey(api_key())).unwrap().key, format!("key.{}", "0a".repeat(32)));
        assert_eq!(checked(Entry::Number(number())).unwrap().key, "number.102290129340398");
    }

    #[test]
    fn what_is_wrong_is_named() {
        refused(Entry::Tenant(TenantEntry { tenant: "A b".into(), ..TenantEntry::default() }), "tenant");
        refused(Entry::User(UserEntry { tenant: String::new(), ..user() }), "tenant");
        for id in ["", " u1", "u\n1", &"x".repeat(129)] {
            refused(Entry::User(UserEntry { id: id.into(), ..user() }), "id");
            refused(Entry::Agent(AgentEntry { user_id: id.into(), ..agent() }), "user_id");
        }
        refused(Entry::User(UserEntry { name: "x".repeat(257), ..user() }), "name");
        for email in ["nobody", "@", "a@", "@b", "a b@c"] {
            refused(Entry::User(UserEntry { email: email.into(), ..user() }), "email");
        }
        refused(Entry::Agent(AgentEntry { id: "a b".into(), ..agent() }), "id");
        refused(Entry::Agent(AgentEntry { status: 7, ..agent() }), "status");
        refused(Entry::Agent(AgentEntry { chats_max: CHATS_MAX + 1, ..agent() }), "chats_max");
        for sha256 in ["", &"0A".repeat(32), &"0a".repeat(31)] {
            refused(Entry::ApiKey(ApiKeyEntry { sha256: sha256.into(), ..api_key() }), "sha256");
        }
        for scopes in [vec![], vec!["root".into()], vec!["send".into(); 4]] {
            refused(Entry::ApiKey(ApiKeyEntry { scopes, ..api_key() }), "scopes");
        }
        for expires_at_ms in [-1, i64::MAX] {
            refused(Entry::ApiKey(ApiKeyEntry { expires_at_ms, ..api_key() }), "expires_at_ms");
        }
        refused(Entry::Number(NumberEntry { id: "ñ".into(), ..number() }), "id");
        let messages_per_second_max = MESSAGES_PER_SECOND_MAX + 1;
        let too_fast = NumberEntry { messages_per_second_max, ..number() };
        refused(Entry::Number(too_fast), "messages_per_second_max");
        assert!(check(None).is_err() && check(Some(DirectoryEntry::default())).is_err());
        assert!(kind(EntryKind::Unspecified).is_err());
    }

    proptest! {
        #[test]
        fn whatever_is_taken_fits_into_a_key(id in ".{0,40}", tenant in "[a-zA-Z0-9.*>-]{0,20}") {
            let entries = [
                Entry::User(UserEntry { tenant: tenant.clone(), id: id.clone(), ..user() }),
                Entry::Agent(AgentEntry { tenant: tenant.clone(), user_id: id.clone(), ..agent() }),
                Entry::Number(NumberEntry { tenant, id, ..number() }),
            ];
            for valid in entries.into_iter().filter_map(|entry| checked(entry).ok()) {
                prop_assert!(valid.key.chars().all(|c| c.is_ascii_alphanumeric() || "-_=.".contains(c)));
                prop_assert!(valid.key.split('.').all(|token| !token.is_empty()));
            }
        }
    }
}
