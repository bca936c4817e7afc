//! The streams, as data: `kit` makes them, operators see them with `nats stream ls`.

use crate::subject::LIVE_PREFIX;

/// How a stream is kept. Replicas and the byte limit come from configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stream {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people who list streams.
    pub description: &'static str,
    /// What it stores.
    pub subjects: &'static [&'static str],
    /// How many messages it keeps of each subject; `None` is all of them.
    pub per_subject_max: Option<i64>,
    /// How long it keeps a message, seconds; `None` is for ever.
    pub age_max_secs: Option<u64>,
    /// How long it remembers ids to drop repeated publishes, seconds. Longer than the longest time a publisher tries.
    pub duplicate_window_secs: u64,
    /// Whether each stored message is repeated under `live.`.
    pub republish: bool,
}

/// Where a stored fact of any subject is repeated.
pub const REPUBLISH_TO: &str = "live.>";

/// What happened: messages and their statuses, in the order that every reader sees.
pub const MESSAGES: Stream = Stream {
    name: "MESSAGES",
    description: "What happened: messages in and out, their statuses, notices of providers",
    subjects: &["messages.>"],
    per_subject_max: None,
    age_max_secs: Some(7 * 24 * 3600),
    duplicate_window_secs: 20 * 60,
    republish: true,
};

/// What is: the newest state of each thing.
pub const STATE: Stream = Stream {
    name: "STATE",
    description: "What is: the newest state of each conversation, campaign, session and counter",
    subjects: &[
        "conversations.updated.>",
        "stats.updated.>",
        "bulk.progress.>",
        "sessions.updated.>",
        "bot.updated.>",
        "appointments.updated.>",
        "payments.updated.>",
        "chats.updated.>",
    ],
    per_subject_max: Some(1),
    age_max_secs: None,
    duplicate_window_secs: 2 * 60,
    republish: true,
};

/// What could not be handled, with the reason in its headers.
pub const DLQ: Stream = Stream {
    name: "DLQ",
    description: "Dead letters: messages a service could not handle, with the reason in the headers",
    subjects: &["dlq.>"],
    per_subject_max: None,
    age_max_secs: Some(30 * 24 * 3600),
    duplicate_window_secs: 20 * 60,
    republish: false,
};

/// Every stream.
pub const ALL: [Stream; 3] = [MESSAGES, STATE, DLQ];

/// What `chasqui bench` measures the broker with. It exists only while the bench runs, which makes and removes it, so it
/// is not among `ALL`; what it stores is repeated under `BENCH_REPUBLISH_TO`, where no service listens.
pub const BENCH: Stream = Stream {
    name: "BENCH",
    description: "Measurements of chasqui bench; removed when it ends",
    subjects: &["bench.>"],
    per_subject_max: None,
    age_max_secs: Some(3600),
    duplicate_window_secs: 2 * 60,
    republish: true,
};

/// Where what `BENCH` stores is repeated.
pub const BENCH_REPUBLISH_TO: &str = "live-bench.>";

/// The KV bucket of who belongs to the tenants, and of which conversation the further addresses of a contact belong to.
pub const DIRECTORY_BUCKET: &str = "directory";

/// Where the directory keeps a tenant.
pub fn tenant_key(tenant: &crate::Tenant) -> String {
    format!("tenant.{tenant}")
}

/// Where the directory keeps a user: under its name as a person.
pub fn user_key(tenant: &crate::Tenant, person: &crate::ConversationToken) -> String {
    format!("user.{tenant}.{person}")
}

/// Where the directory keeps the agent that a user is.
pub fn agent_key(tenant: &crate::Tenant, person: &crate::ConversationToken) -> String {
    format!("agent.{tenant}.{person}")
}

/// Where the directory keeps a machine's key, by the lower-case hexadecimal SHA-256 of it.
pub fn api_key_key(sha256: &str) -> String {
    format!("key.{sha256}")
}

/// Where the directory keeps a provider's number, by its token (see `subject::messages_notice`).
pub fn number_key(number: &crate::ConversationToken) -> String {
    format!("number.{number}")
}

/// The keys of every entry of a kind, with wildcards.
pub fn entries_of(kind: crate::v1::EntryKind) -> &'static str {
    match kind {
        crate::v1::EntryKind::Tenant => "tenant.*",
        crate::v1::EntryKind::User => "user.*.*",
        crate::v1::EntryKind::Agent => "agent.*.*",
        crate::v1::EntryKind::ApiKey => "key.*",
        crate::v1::EntryKind::Number => "number.*",
        crate::v1::EntryKind::Unspecified => "none",
    }
}

/// The key of an address in the directory.
pub fn directory_key(tenant: &crate::Tenant, alias: &crate::ConversationToken) -> String {
    format!("alias.{tenant}.{alias}")
}

/// The durable consumer through which persistence reads `MESSAGES`.
pub const PERSISTENCE_CONSUMER: &str = "persistence";

/// The subject under which a fact came before it was repeated.
pub fn original(live_subject: &str) -> &str {
    live_subject.strip_prefix(LIVE_PREFIX).unwrap_or(live_subject)
}
