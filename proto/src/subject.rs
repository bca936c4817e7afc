//! Every subject, bound to the type of its payload. No subject is written anywhere else.
//!
//! The grammar is `<noun>.<fact>.<tenant>[.<key>]`; JetStream repeats each stored fact under `live.`.

mod delivery;
mod flow_call;
mod send;

use std::marker::PhantomData;

use crate::{ConversationToken, Tenant, v1};
pub use delivery::{
    deliveries_attempted, deliveries_attempted_of_all, deliveries_due, deliveries_later,
    deliveries_of_partition, listeners_updated,
};
pub use flow_call::{FlowCall, InvalidFlowCall};
pub use send::{linked_commands, sends_due, sends_later, sends_of_session, whatsapp_owner};

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

/// The chat of a conversation as it stands.
pub fn chats_updated(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::Chat> {
    Subject::new(format!("chats.updated.{tenant}.{conversation}"))
}

/// A WhatsApp session as it stands.
pub fn sessions_updated(tenant: &Tenant, session: &NodeToken) -> Subject<v1::Session> {
    Subject::new(format!("sessions.updated.{tenant}.{session}"))
}

/// The sessions of every tenant, as they change.
pub fn live_sessions() -> Pattern {
    Pattern(format!("{LIVE_PREFIX}sessions.updated.*.*"))
}

/// The stored state of every session of every tenant.
pub fn sessions_of_all() -> Pattern {
    Pattern("sessions.updated.*.*".to_owned())
}

/// The messages to contacts of every tenant.
pub fn messages_out_of_all() -> Pattern {
    Pattern("messages.out.>".to_owned())
}

/// The messages from contacts of every tenant.
pub fn messages_in_of_all() -> Pattern {
    Pattern("messages.in.>".to_owned())
}

/// The statuses of messages of every tenant.
pub fn messages_status_of_all() -> Pattern {
    Pattern("messages.status.>".to_owned())
}

/// Whoever types, in every tenant.
pub fn typing_of_all() -> Pattern {
    Pattern("typing.changed.*.*".to_owned())
}

/// An event that waits behind others until its listener takes events again. They stay in the order they came in.
pub fn deliveries_parked(partition: u32, tenant: &Tenant, listener: &NodeToken) -> Subject<v1::Delivery> {
    Subject::new(format!("deliveries.parked.{partition}.{tenant}.{listener}"))
}

/// Every event of a partition that waits for its listener.
pub fn deliveries_parked_of_partition(partition: u32) -> Pattern {
    Pattern(format!("deliveries.parked.{partition}.>"))
}

/// The tenant and the token of the listener of a delivery that is due or parked.
pub fn listener_of_delivery(subject: &str) -> Option<(&str, &str)> {
    let mut tokens = subject.strip_prefix("deliveries.")?.split('.');
    let (_, _) = (tokens.next()?, tokens.next()?);
    let place = (tokens.next()?, tokens.next()?);
    tokens.next().is_none().then_some(place)
}

/// The bot of a tenant as it stands.
pub fn bot_updated(tenant: &Tenant) -> Subject<v1::BotStatus> {
    Subject::new(format!("bot.updated.{tenant}"))
}

/// The stored state of the bot of every tenant.
pub fn bot_updated_of_all() -> Pattern {
    Pattern("bot.updated.*".to_owned())
}

/// What one replica of the bot did for a tenant. Not stored.
pub fn bot_worked(tenant: &Tenant, node: &NodeToken) -> Subject<v1::BotWork> {
    Subject::new(format!("bot.worked.{tenant}.{node}"))
}

/// What every replica of the bot did.
pub fn bot_worked_of_all() -> Pattern {
    Pattern("bot.worked.*.*".to_owned())
}

/// Where what a flow looks up or has done is answered.
pub fn flows(name: &FlowCall) -> Subject<v1::FlowRequest> {
    Subject::new(format!("flows.{name}"))
}

/// A campaign as it stands.
pub fn bulk_progress(tenant: &Tenant, campaign: &NodeToken) -> Subject<v1::BulkProgress> {
    Subject::new(format!("bulk.progress.{tenant}.{campaign}"))
}

/// The stored state of every campaign of every tenant.
pub fn bulk_progress_of_all() -> Pattern {
    Pattern("bulk.progress.*.*".to_owned())
}

/// The stored state of every campaign of a tenant.
pub fn bulk_progress_of_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("bulk.progress.{tenant}.*"))
}

/// An appointment as it stands.
pub fn appointments_updated(tenant: &Tenant, appointment: &NodeToken) -> Subject<v1::Appointment> {
    Subject::new(format!("appointments.updated.{tenant}.{appointment}"))
}

/// A payment as it stands.
pub fn payments_updated(tenant: &Tenant, reference: &NodeToken) -> Subject<v1::Payment> {
    Subject::new(format!("payments.updated.{tenant}.{reference}"))
}

/// A person's connections on one node, after a change. Not stored.
pub fn presence_changed(tenant: &Tenant, person: &ConversationToken) -> Subject<v1::Presence> {
    Subject::new(format!("presence.changed.{tenant}.{person}"))
}

/// A node that has people of the tenant lives. Not stored.
pub fn presence_alive(tenant: &Tenant, node: &NodeToken) -> Subject<v1::PresenceBeat> {
    Subject::new(format!("presence.alive.{tenant}.{node}"))
}

/// Everything about who is there, in one tenant.
pub fn presence_of_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("presence.*.{tenant}.*"))
}

/// Everything about who is there, in every tenant.
pub fn presence_of_all() -> Pattern {
    Pattern("presence.*.*.*".to_owned())
}

/// Where a node tells who is there at it.
pub fn edge_presence(node: &NodeToken) -> Subject<v1::ListPresence> {
    Subject::new(format!("edge.presence.{node}"))
}

/// Somebody types, or stopped. Not stored.
pub fn typing_changed(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::Typing> {
    Subject::new(format!("typing.changed.{tenant}.{conversation}"))
}

/// Whoever types in a tenant.
pub fn typing_of_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("typing.changed.{tenant}.*"))
}

/// Told to everyone of the tenant who is connected. Not stored.
pub fn announcements_made(tenant: &Tenant) -> Subject<v1::Announcement> {
    Subject::new(format!("announcements.made.{tenant}"))
}

/// Where a node that listens for all contacts of a tenant is asked.
pub fn edge_contacts_of_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("edge.contacts.{tenant}.*"))
}

/// A node's sign of life to itself. It goes through the stream whose republishing it proves; only the newest is kept.
pub fn messages_canary(node: &NodeToken) -> Subject<v1::Canary> {
    Subject::new(format!("messages.canary._nodes.{node}"))
}

/// Where every node that holds a socket of the contact answers; nobody answers when none does.
pub fn edge_contacts(tenant: &Tenant, conversation: &ConversationToken) -> Subject<v1::FindContact> {
    Subject::new(format!("edge.contacts.{tenant}.{conversation}"))
}

/// Where a node hears of its Engine.IO sessions from the nodes that their clients reached instead, and of the
/// WebSockets it holds for other nodes' sessions.
pub fn edge_engineio(node: &NodeToken) -> Subject<v1::Forward> {
    Subject::new(format!("edge.engineio.{node}"))
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

/// Every appointment of a tenant, as it changes.
pub fn live_appointments_of_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("{LIVE_PREFIX}appointments.updated.{tenant}.*"))
}

/// Every payment of a tenant, as it changes.
pub fn live_payments_of_tenant(tenant: &Tenant) -> Pattern {
    Pattern(format!("{LIVE_PREFIX}payments.updated.{tenant}.*"))
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
        ("messages", "in" | "out") | ("sends", "due" | "later") => "chasqui.v1.Message",
        ("messages", "status") => "chasqui.v1.MessageStatus",
        ("messages", "notice") => "chasqui.v1.ProviderNotice",
        ("messages", "canary") => "chasqui.v1.Canary",
        ("conversations", "updated") => "chasqui.v1.Conversation",
        ("stats", "updated") => "chasqui.v1.Stats",
        ("chats", "updated") => "chasqui.v1.Chat",
        ("sessions", "updated") => "chasqui.v1.Session",
        ("bot", "updated") => "chasqui.v1.BotStatus",
        ("bot", "worked") => "chasqui.v1.BotWork",
        ("bulk", "progress") => "chasqui.v1.BulkProgress",
        ("appointments", "updated") => "chasqui.v1.Appointment",
        ("payments", "updated") => "chasqui.v1.Payment",
        ("deliveries", "due" | "later" | "parked") => "chasqui.v1.Delivery",
        ("deliveries", "attempted") => "chasqui.v1.DeliveryAttempt",
        ("listeners", "updated") => "chasqui.v1.ListenerState",
        ("whatsapp", "owners") => "chasqui.v1.OwnerRequest",
        ("linked", "commands") => "chasqui.v1.LinkCommand",
        ("presence", "changed") => "chasqui.v1.Presence",
        ("presence", "alive") => "chasqui.v1.PresenceBeat",
        ("typing", "changed") => "chasqui.v1.Typing",
        ("announcements", "made") => "chasqui.v1.Announcement",
        ("edge", "engineio") => "chasqui.v1.Forward",
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
        let name = NodeToken::new("main");
        check(&chats_updated(&tenant, &conversation), "chats.updated.default.5491100000001");
        check(&sessions_updated(&tenant, &name), "sessions.updated.default.main");
        check(&bot_updated(&tenant), "bot.updated.default");
        check(&bot_worked(&tenant, &name), "bot.worked.default.main");
        assert_eq!(flows(&"patients.find".parse().unwrap()).as_str(), "flows.patients.find");
        let (reply, message) = (v1::Priority::Reply, crate::MessageId(uuid::Uuid::nil()));
        let nil = "00000000-0000-0000-0000-000000000000";
        check(&sends_due(&tenant, &name, reply, &conversation), "sends.due.default.main.reply.5491100000001");
        check(&sends_later(&tenant, &name, &message), &format!("sends.later.default.main.{nil}"));
        check(&whatsapp_owner(&tenant, &name), "whatsapp.owners.default.main");
        check(&linked_commands(&tenant, &name), "linked.commands.default.main");
        check(&deliveries_due(3, &tenant, &name), "deliveries.due.3.default.main");
        check(&deliveries_later(&tenant, &name), "deliveries.later.default.main");
        check(&deliveries_parked(3, &tenant, &name), "deliveries.parked.3.default.main");
        assert_eq!(listener_of_delivery("deliveries.parked.3.default.main"), Some(("default", "main")));
        assert_eq!(listener_of_delivery("deliveries.due.3.default"), None);
        check(&deliveries_attempted(&tenant, &name), "deliveries.attempted.default.main");
        check(&listeners_updated(&tenant, &name), "listeners.updated.default.main");
        check(&bulk_progress(&tenant, &name), "bulk.progress.default.main");
        check(&appointments_updated(&tenant, &name), "appointments.updated.default.main");
        check(&payments_updated(&tenant, &name), "payments.updated.default.main");
        check(&presence_changed(&tenant, &conversation), "presence.changed.default.5491100000001");
        check(&presence_alive(&tenant, &name), "presence.alive.default.main");
        check(&typing_changed(&tenant, &conversation), "typing.changed.default.5491100000001");
        check(&announcements_made(&tenant), "announcements.made.default");
        check(&messages_canary(&NodeToken::new("edge 1")), "messages.canary._nodes.edge-1");
        check(&edge_engineio(&NodeToken::new("edge 1")), "edge.engineio.edge-1");
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
