//! The names of enum values outside the bus: in JSON, in the database, in logs.

use crate::v1::{
    AgentStatus, AliasKind, BotState, CampaignAction, CampaignStatus, ChannelKind, ChatStatus,
    DeliveryOutcome, Direction, EntryKind, ListenerFormat, MessageType, PersonKind, Priority, RecipientState,
    Responder, SendState, SenderType, SessionStatus, Status,
};

/// A contact wrote.
pub const EVENT_MESSAGE_RECEIVED: &str = "message.received";
/// Something was written to a contact.
pub const EVENT_MESSAGE_SENT: &str = "message.sent";
/// A message to a contact got further, or a contact's message was read.
pub const EVENT_MESSAGE_STATUS: &str = "message.status";
/// A WhatsApp session changed.
pub const EVENT_SESSION_STATUS: &str = "session.status";

/// The names of the events that listeners may ask for.
pub const EVENTS: [&str; 4] =
    [EVENT_MESSAGE_RECEIVED, EVENT_MESSAGE_SENT, EVENT_MESSAGE_STATUS, EVENT_SESSION_STATUS];

macro_rules! names {
    ($($(#[$doc:meta])* $type:ident { $($value:ident = $name:literal),* $(,)? })*) => {$(
        impl $type {
            $(#[$doc])*
            pub fn name(self) -> &'static str {
                match self { $(Self::$value => $name),* }
            }

            /// The value of a name, if there is one.
            pub fn of_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$value),)* _ => None }
            }
        }
    )*};
}

names! {
    /// `in` or `out`.
    Direction { Unspecified = "", In = "in", Out = "out" }
    /// `user`, `ai`, `agent` or `system`.
    SenderType { Unspecified = "", User = "user", Ai = "ai", Agent = "agent", System = "system" }
    /// The name of a message type, the provider's where it has one.
    MessageType {
        Unspecified = "", Text = "text", Image = "image", Audio = "audio", Video = "video", Document = "document",
        Sticker = "sticker", Location = "location", Contacts = "contacts", Reaction = "reaction",
        Interactive = "interactive", Button = "button", Order = "order", Edit = "edit", Revoke = "revoke",
        System = "system", Template = "template", Unsupported = "unsupported",
    }
    /// The name of a status, the provider's where it has one.
    Status {
        Unspecified = "", Queued = "queued", Sending = "sending", Uncertain = "uncertain", Accepted = "accepted",
        Sent = "sent", Failed = "failed", Delivered = "delivered", Read = "read", Played = "played",
    }
    /// The name of a kind of address.
    AliasKind { Unspecified = "", Phone = "phone", Bsuid = "bsuid", Lid = "lid", Web = "web" }
    /// The name of a kind of channel.
    ChannelKind {
        Unspecified = "", WhatsappCloud = "whatsapp_cloud", WhatsappLinked = "whatsapp_linked", Widget = "widget",
    }
    /// `waiting`, `assigned` or `closed`.
    ChatStatus { Unspecified = "", Waiting = "waiting", Assigned = "assigned", Closed = "closed" }
    /// The name of a state of a WhatsApp session.
    SessionStatus {
        Unspecified = "", Stopped = "stopped", Starting = "starting", ScanQr = "scan_qr", Connected = "connected",
        Reconnecting = "reconnecting", LoggedOut = "logged_out", Failed = "failed",
    }
    /// `running`, `degraded` or `off`.
    BotState { Unspecified = "", Running = "running", Degraded = "degraded", Off = "off" }
    /// The name of a state of a campaign.
    CampaignStatus {
        Unspecified = "", Running = "running", Paused = "paused", Completed = "completed", Cancelled = "cancelled",
        Failed = "failed", Uploading = "uploading", Draft = "draft", Scheduled = "scheduled",
    }
    /// What is done to a campaign.
    CampaignAction {
        Unspecified = "", Start = "start", Pause = "pause", Resume = "resume", Cancel = "cancel", Retry = "retry",
        Stop = "stop",
    }
    /// The name of a state of a recipient.
    RecipientState {
        Unspecified = "", Pending = "pending", Queued = "queued", Sent = "sent", Delivered = "delivered",
        Read = "read", Failed = "failed", Skipped = "skipped", Cancelled = "cancelled",
    }
    /// `builtin`, `external` or `person`.
    Responder { Unspecified = "", Builtin = "builtin", External = "external", Person = "person" }
    /// What a person is to the tenant.
    PersonKind { Unspecified = "", Contact = "contact", User = "user", Agent = "agent", Staff = "staff" }
    /// `ACTIVE` or `INACTIVE`, as front ends and their databases write it.
    AgentStatus { Unspecified = "", Active = "ACTIVE", Inactive = "INACTIVE" }
    /// The name of a kind of directory entry.
    EntryKind {
        Unspecified = "", Tenant = "tenant", User = "user", Agent = "agent", ApiKey = "api_key", Number = "number",
        Listener = "listener",
    }
    /// `reply`, `transactional` or `campaign`.
    Priority { Unspecified = "", Reply = "reply", Transactional = "transactional", Campaign = "campaign" }
    /// Where a message stands with the owner of its number.
    SendState {
        Unspecified = "", Waiting = "waiting", Sending = "sending", Uncertain = "uncertain", Accepted = "accepted",
        Failed = "failed",
    }
    /// How a listener wants its events.
    ListenerFormat { Unspecified = "", Client = "client", Chasqui = "chasqui", CloudApi = "cloud_api" }
    /// How an attempt of a delivery ended.
    DeliveryOutcome { Unspecified = "", Delivered = "delivered", Retrying = "retrying", Failed = "failed" }
}
