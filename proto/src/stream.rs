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
    /// Whether it is a queue: what is acknowledged is gone, each message has one consumer, messages may be due later, and
    /// a full one takes no more instead of dropping the oldest.
    pub is_queue: bool,
    /// Which part of the configured byte limit it may keep: one over this. A queue has no limit but the broker's storage,
    /// which refuses what does not fit.
    pub bytes_divisor: Option<i64>,
}

/// A KV bucket. Replicas come from configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// Its name.
    pub name: &'static str,
    /// What it is, for people who list buckets.
    pub description: &'static str,
    /// How long it keeps a value, seconds; `None` is for ever.
    pub age_max_secs: Option<u64>,
    /// Whether a single value may end earlier.
    pub has_ttls: bool,
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
    is_queue: false,
    bytes_divisor: Some(1),
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
        "listeners.updated.>",
    ],
    per_subject_max: Some(1),
    age_max_secs: None,
    duplicate_window_secs: 2 * 60,
    republish: true,
    is_queue: false,
    bytes_divisor: Some(1),
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
    is_queue: false,
    bytes_divisor: Some(1),
};

/// Messages that wait to be handed to a provider.
pub const OUTBOX: Stream = Stream {
    name: "OUTBOX",
    description: "Messages that wait for the owner of their WhatsApp number to send them",
    subjects: &["sends.due.>", "sends.later.>"],
    per_subject_max: None,
    age_max_secs: None,
    duplicate_window_secs: 20 * 60,
    republish: false,
    is_queue: true,
    bytes_divisor: None,
};

/// Events that wait to be posted to a listener.
pub const DELIVERIES: Stream = Stream {
    name: "DELIVERIES",
    description: "Events that wait to be posted to a listener",
    subjects: &["deliveries.due.>", "deliveries.later.>", "deliveries.parked.>"],
    per_subject_max: None,
    age_max_secs: None,
    duplicate_window_secs: 20 * 60,
    republish: false,
    is_queue: true,
    bytes_divisor: None,
};

/// What was posted to listeners, and how it went.
pub const DELIVERY_LOG: Stream = Stream {
    name: "DELIVERY_LOG",
    description: "What was posted to listeners, and how it went",
    subjects: &["deliveries.attempted.>"],
    per_subject_max: None,
    age_max_secs: Some(24 * 3600),
    duplicate_window_secs: 2 * 60,
    republish: false,
    is_queue: false,
    bytes_divisor: Some(8),
};

/// Every stream.
pub const ALL: [Stream; 6] = [MESSAGES, STATE, DLQ, OUTBOX, DELIVERIES, DELIVERY_LOG];

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
    is_queue: false,
    bytes_divisor: Some(1),
};

/// Where what `BENCH` stores is repeated.
pub const BENCH_REPUBLISH_TO: &str = "live-bench.>";

/// The KV bucket of who belongs to the tenants, and of which conversation the further addresses of a contact belong to.
pub const DIRECTORY_BUCKET: &str = "directory";

/// Who belongs to the tenants.
pub const DIRECTORY: Bucket = Bucket {
    name: DIRECTORY_BUCKET,
    description: "Who belongs to the tenants, and which conversation a contact's further addresses belong to",
    age_max_secs: None,
    has_ttls: false,
};

/// Who owns what only one process may do.
pub const LEASES: Bucket = Bucket {
    name: "leases",
    description: "Which process owns a WhatsApp number, a partition of deliveries, a campaign",
    age_max_secs: None,
    has_ttls: true,
};

/// Where each message to a contact stands with the owner of its number. It outlives MESSAGES, so that no message there
/// is ever taken for a new one.
pub const SENDS: Bucket = Bucket {
    name: "sends",
    description: "Where each message to a contact stands with the owner of its number",
    age_max_secs: Some(8 * 24 * 3600),
    has_ttls: false,
};

/// When contacts last wrote, for the time in which they may be written to freely.
pub const WINDOWS: Bucket = Bucket {
    name: "windows",
    description: "When each contact last wrote to a number",
    age_max_secs: Some(48 * 3600),
    has_ttls: false,
};

/// Where the bot stands in each conversation. It outlives MESSAGES, so that nothing there is ever answered again.
pub const BOT: Bucket = Bucket {
    name: "bot",
    description: "Where the bot stands in each conversation, and what its language model cost each tenant a day",
    age_max_secs: Some(30 * 24 * 3600),
    has_ttls: false,
};

/// Every bucket.
pub const BUCKETS: [Bucket; 5] = [DIRECTORY, LEASES, SENDS, WINDOWS, BOT];

/// Where the bucket `bot` keeps a conversation.
pub fn bot_key(tenant: &crate::Tenant, conversation: &crate::ConversationToken) -> String {
    format!("conversation.{tenant}.{conversation}")
}

/// Where the bucket `bot` keeps what a tenant's language model cost in a day; `day` is `20261123`, in UTC.
pub fn bot_budget_key(tenant: &crate::Tenant, day: &str) -> String {
    format!("budget.{tenant}.{day}")
}

/// The lease of the replica that tells how the bot of each tenant stands.
pub const BOT_STATUS_LEASE: &str = "bot.status";

/// The lease of a WhatsApp number or session.
pub fn session_lease(tenant: &crate::Tenant, session: &crate::subject::NodeToken) -> String {
    format!("session.{tenant}.{session}")
}

/// The lease of a partition of deliveries.
pub fn delivery_lease(partition: u32) -> String {
    format!("deliveries.{partition}")
}

/// The lease of a campaign.
pub fn campaign_lease(tenant: &crate::Tenant, campaign: uuid::Uuid) -> String {
    format!("campaign.{tenant}.{campaign}")
}

/// Where the bucket `sends` keeps a message. `message_id` is a UUID.
pub fn send_key(
    tenant: &crate::Tenant,
    session: &crate::subject::NodeToken,
    message_id: &crate::MessageId,
) -> String {
    format!("{tenant}.{session}.{message_id}")
}

/// The keys of every message of a session in the bucket `sends`.
pub fn sends_of(tenant: &crate::Tenant, session: &crate::subject::NodeToken) -> String {
    format!("{tenant}.{session}.*")
}

/// Where the bucket `windows` keeps a contact of a session.
pub fn window_key(
    tenant: &crate::Tenant,
    session: &crate::subject::NodeToken,
    conversation: &crate::ConversationToken,
) -> String {
    format!("{tenant}.{session}.{conversation}")
}

/// What the keys of all numbers begin with.
pub const NUMBERS_PREFIX: &str = "number.";

/// What the keys of all listeners of a tenant begin with.
pub fn listeners_prefix(tenant: &crate::Tenant) -> String {
    format!("listener.{tenant}.")
}

/// The subject under which a bucket keeps a key, for what its own interface does not offer.
pub fn bucket_subject(bucket: &Bucket, key: &str) -> String {
    format!("$KV.{}.{key}", bucket.name)
}

/// The stream that a bucket is.
pub fn bucket_stream(bucket: &Bucket) -> String {
    format!("KV_{}", bucket.name)
}

/// Where the directory keeps a listener.
pub fn listener_key(tenant: &crate::Tenant, listener: &str) -> String {
    format!("listener.{tenant}.{listener}")
}

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
        crate::v1::EntryKind::Listener => "listener.*.*",
        crate::v1::EntryKind::Unspecified => "none",
    }
}

/// The key of an address in the directory.
pub fn directory_key(tenant: &crate::Tenant, alias: &crate::ConversationToken) -> String {
    format!("alias.{tenant}.{alias}")
}

/// The durable consumer through which persistence reads `MESSAGES`.
pub const PERSISTENCE_CONSUMER: &str = "persistence";
/// The durable consumer through which persistence reads `DELIVERY_LOG`.
pub const DELIVERY_LOG_CONSUMER: &str = "persistence-deliveries";
/// The durable consumer that brings messages to contacts from `MESSAGES` into `OUTBOX`.
pub const OUTBOX_ROUTER_CONSUMER: &str = "whatsapp-router";
/// The durable consumer through which the owners of numbers hear what providers say of their messages.
pub const SEND_STATUS_CONSUMER: &str = "whatsapp-statuses";
/// The durable consumer through which the owners of numbers hear what contacts write.
pub const WINDOW_CONSUMER: &str = "whatsapp-windows";
/// The durable consumer through which files of contacts' messages are brought into the media store.
pub const WHATSAPP_MEDIA_CONSUMER: &str = "whatsapp-media";
/// The durable consumer through which the bot hears what contacts and agents write.
pub const BOT_CONSUMER: &str = "bot";
/// The durable consumer that brings events from `MESSAGES` into `DELIVERIES`.
pub const DELIVERY_ROUTER_CONSUMER: &str = "webhooks-router";

/// The durable consumer that brings the states of sessions from `STATE` into `DELIVERIES`.
pub const SESSION_ROUTER_CONSUMER: &str = "webhooks-sessions";

/// The lease of the replica that brings events into `DELIVERIES`: one reader keeps their order.
pub const DELIVERY_ROUTER_LEASE: &str = "deliveries.router";

/// How many partitions deliveries have. Changing it moves listeners to other partitions, whatever waits for them not.
pub const DELIVERY_PARTITIONS: u32 = 16;

/// The durable consumer of the owner of a session, one a priority.
pub fn sends_consumer(
    tenant: &crate::Tenant,
    session: &crate::subject::NodeToken,
    priority: crate::v1::Priority,
) -> String {
    format!("{tenant}-{session}-{}", priority.name())
}

/// The durable consumer of the owner of a partition.
pub fn deliveries_consumer(partition: u32) -> String {
    format!("partition-{partition}")
}

/// The subject under which a fact came before it was repeated.
pub fn original(live_subject: &str) -> &str {
    live_subject.strip_prefix(LIVE_PREFIX).unwrap_or(live_subject)
}
