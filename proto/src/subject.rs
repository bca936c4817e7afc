//! Every subject, bound to the type of its payload. No subject is written anywhere else.
//!
//! The grammar is `<noun>.<fact>.<tenant>[.<key>]`; JetStream repeats each stored fact under `live.`.

use std::marker::PhantomData;

use crate::{ConversationToken, Tenant, v1};

/// What a republished fact's subject starts with.
pub const LIVE_PREFIX: &str = "live.";

/// A subject and the type of what is published there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject<P> {
    name: String,
    payload: PhantomData<fn() -> P>,
}

impl<P> Subject<P> {
    fn new(name: String) -> Self {
        Self { name, payload: PhantomData }
    }

    /// The subject as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

/// A subject with wildcards, to subscribe to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern as it stands on the wire.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A message from the contact.
pub fn messages_in(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::Message> {
    Subject::new(format!("messages.in.{tenant}.{conversation}"))
}

/// A message to the contact.
pub fn messages_out(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::Message> {
    Subject::new(format!("messages.out.{tenant}.{conversation}"))
}

/// A step of a message on its way.
pub fn messages_status(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::MessageStatus> {
    Subject::new(format!("messages.status.{tenant}.{conversation}"))
}

/// What a provider says about an account rather than a message. `account` is the provider's id of it.
pub fn messages_notice(tenant: &Tenant, account: &str) -> Subject<v1::ProviderNotice> {
    let key =
        ConversationToken::of(&v1::Alias { kind: v1::AliasKind::Phone.into(), value: account.to_owned() });
    Subject::new(format!("messages.notice.{tenant}.{key}"))
}

/// A conversation as it stands.
pub fn conversations_updated(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::Conversation> {
    Subject::new(format!("conversations.updated.{tenant}.{conversation}"))
}

/// The counters of a tenant as they stand.
pub fn stats_updated(tenant: &Tenant) -> Subject<v1::Stats> {
    Subject::new(format!("stats.updated.{tenant}"))
}

/// A node's sign of life to itself. It goes through the stream whose republishing it proves; only the newest is kept.
pub fn messages_canary(node: &NodeToken) -> Subject<v1::Canary> {
    Subject::new(format!("messages.canary._nodes.{node}"))
}

/// Where every node that holds a socket of the contact answers; nobody answers when none does.
pub fn edge_contacts(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::FindContact> {
    Subject::new(format!("edge.contacts.{tenant}.{conversation}"))
}

/// A message that `service` could not handle: the original's subject follows.
pub fn dead_letter(service: &'static str, original: &str) -> Subject<()> {
    Subject::new(format!("dlq.{service}.{original}"))
}

/// The republished form of a stored fact's subject.
pub fn live<P>(subject: &Subject<P>) -> Pattern {
    Pattern(format!("{LIVE_PREFIX}{}", subject.name))
}

/// Everything stored that concerns one tenant, as it happens.
pub fn live_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("{LIVE_PREFIX}*.*.{tenant}.>"))
}

/// What concerns one tenant as a whole, as it happens: subjects without a key.
pub fn live_tenant_wide(tenant: &Tenant) -> Pattern {
    Pattern(format!("{LIVE_PREFIX}*.*.{tenant}"))
}

/// Everything stored that concerns one conversation, as it happens.
pub fn live_conversation(tenant: &Tenant, conversation: &ConversationToken) -> Pattern {
    Pattern(format!("{LIVE_PREFIX}*.*.{tenant}.{conversation}"))
}

/// The stored messages and statuses of one tenant.
pub fn messages_of_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("messages.*.{tenant}.>"))
}

/// The stored messages and statuses of one conversation.
pub fn messages_of_conversation(tenant: &Tenant, conversation: &ConversationToken) -> Pattern {
    Pattern(format!("messages.*.{tenant}.{conversation}"))
}

/// What persistence stores: every message and status of every tenant.
pub fn persisted() -> [Pattern; 3] {
    ["in", "out", "status"].map(|fact| Pattern(format!("messages.{fact}.>")))
}

/// A message of `chasqui bench`: its payload is a text that means nothing.
pub fn bench(conversation: u32) -> Subject<()> {
    Subject::new(format!("bench.text.{conversation}"))
}

/// Everything `chasqui bench` published, as it is stored.
pub fn live_bench() -> Pattern {
    Pattern(crate::stream::BENCH_REPUBLISH_TO.to_owned())
}

/// A name of a process in a subject: letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct NodeToken(String);

impl NodeToken {
    /// The name with everything a token cannot hold replaced by `-`.
    pub fn new(name: &str) -> Self {
        let token: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(64).collect();
        Self(if token.is_empty() { "node".to_owned() } else { token })
    }

    /// The name as it stands in a subject.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for NodeToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a subject says about the fact published there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts<'a> {
    /// `messages`, `conversations`, …
    pub noun: &'a str,
    /// `in`, `out`, `updated`, …
    pub fact: &'a str,
    /// The tenant's name.
    pub tenant: &'a str,
    /// What it is about within the tenant; empty where the tenant itself is meant.
    pub key: &'a str,
}

/// Takes a subject apart, with or without `live.` in front.
pub fn parse(subject: &str) -> Option<Parts<'_>> {
    let mut tokens = subject.strip_prefix(LIVE_PREFIX).unwrap_or(subject).splitn(4, '.');
    let mut token = || tokens.next().filter(|token| !token.is_empty());
    Some(Parts { noun: token()?, fact: token()?, tenant: token()?, key: token().unwrap_or_default() })
}

/// The protobuf type of what is published on a subject.
pub fn payload_type(subject: &str) -> Option<&'static str> {
    let parts = parse(subject)?;
    Some(match (parts.noun, parts.fact) {
        ("messages", "in" | "out") => "chasqui.v1.Message",
        ("messages", "status") => "chasqui.v1.MessageStatus",
        ("messages", "notice") => "chasqui.v1.ProviderNotice",
        ("messages", "canary") => "chasqui.v1.Canary",
        ("conversations", "updated") => "chasqui.v1.Conversation",
        ("stats", "updated") => "chasqui.v1.Stats",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use prost::Name;

    use super::*;

    fn check<P: Name>(subject: &Subject<P>, name: &str) {
        assert_eq!(subject.as_str(), name);
        assert_eq!(payload_type(name), Some(P::full_name().as_str()));
        assert_eq!(payload_type(&format!("live.{name}")), payload_type(name));
    }

    #[test]
    fn a_subject_names_the_type_of_its_payload() {
        let tenant: Tenant = "default".parse().unwrap();
        let conversation: ConversationToken = "5491100000001".parse().unwrap();
        check(&messages_in(&tenant, &conversation), "messages.in.default.5491100000001");
        check(&messages_out(&tenant, &conversation), "messages.out.default.5491100000001");
        check(&messages_status(&tenant, &conversation), "messages.status.default.5491100000001");
        check(&messages_notice(&tenant, "102290129340398"), "messages.notice.default.102290129340398");
        check(&conversations_updated(&tenant, &conversation), "conversations.updated.default.5491100000001");
        check(&stats_updated(&tenant), "stats.updated.default");
        check(&messages_canary(&NodeToken::new("edge 1")), "messages.canary._nodes.edge-1");
    }

    #[test]
    fn a_subject_is_taken_apart_into_what_it_was_made_of() {
        let parts = Parts { noun: "messages", fact: "in", tenant: "default", key: "web_a=2Eb" };
        assert_eq!(parse("live.messages.in.default.web_a=2Eb"), Some(parts));
        assert_eq!(parse("stats.updated.default").unwrap().key, "");
        assert_eq!(parse("messages.in"), None);
        assert_eq!(parse("messages..default.x"), None);
    }
}
