//! The words that stand in the database for the numbers on the bus.

use chasqui_proto::v1::{ChannelKind, Direction, MessageType, SenderType, Status};

/// Every status that is counted, lowest first.
pub(crate) const STATUSES: [Status; 9] = [
    Status::Queued,
    Status::Sending,
    Status::Uncertain,
    Status::Accepted,
    Status::Sent,
    Status::Failed,
    Status::Delivered,
    Status::Read,
    Status::Played,
];

/// Every sender type.
pub(crate) const SENDER_TYPES: [SenderType; 4] =
    [SenderType::User, SenderType::Ai, SenderType::Agent, SenderType::System];

pub(crate) fn direction(direction: Direction) -> &'static str {
    if direction == Direction::In { "in" } else { "out" }
}

pub(crate) fn sender_type(sender: SenderType) -> &'static str {
    match sender {
        SenderType::User => "user",
        SenderType::Ai => "ai",
        SenderType::Agent => "agent",
        SenderType::System | SenderType::Unspecified => "system",
    }
}

pub(crate) fn message_type(kind: MessageType) -> &'static str {
    match kind {
        MessageType::Text => "text",
        MessageType::Image => "image",
        MessageType::Audio => "audio",
        MessageType::Video => "video",
        MessageType::Document => "document",
        MessageType::Sticker => "sticker",
        MessageType::Location => "location",
        MessageType::Contacts => "contacts",
        MessageType::Reaction => "reaction",
        MessageType::Interactive => "interactive",
        MessageType::Button => "button",
        MessageType::Order => "order",
        MessageType::Edit => "edit",
        MessageType::Revoke => "revoke",
        MessageType::System => "system",
        MessageType::Template => "template",
        MessageType::Unsupported | MessageType::Unspecified => "unsupported",
    }
}

pub(crate) fn channel_kind(kind: ChannelKind) -> Option<&'static str> {
    match kind {
        ChannelKind::WhatsappCloud => Some("whatsapp_cloud"),
        ChannelKind::WhatsappLinked => Some("whatsapp_linked"),
        ChannelKind::Widget => Some("widget"),
        ChannelKind::Unspecified => None,
    }
}

pub(crate) fn read_channel_kind(word: &str) -> ChannelKind {
    [ChannelKind::WhatsappCloud, ChannelKind::WhatsappLinked, ChannelKind::Widget]
        .into_iter()
        .find(|kind| channel_kind(*kind) == Some(word))
        .unwrap_or(ChannelKind::Unspecified)
}

/// The same words as the generated column `messages.status`.
pub(crate) fn status(status: Status) -> Option<&'static str> {
    match status {
        Status::Unspecified => None,
        Status::Queued => Some("queued"),
        Status::Sending => Some("sending"),
        Status::Uncertain => Some("uncertain"),
        Status::Accepted => Some("accepted"),
        Status::Sent => Some("sent"),
        Status::Failed => Some("failed"),
        Status::Delivered => Some("delivered"),
        Status::Read => Some("read"),
        Status::Played => Some("played"),
    }
}

/// The status of a rank that the database holds.
pub(crate) fn status_of_rank(rank: i16) -> Status {
    Status::try_from(i32::from(rank)).unwrap_or(Status::Unspecified)
}
