//! The words that stand in the database for the values on the bus: their names, and what stands for a missing one.

use chasqui_proto::v1::{ChannelKind, ChatStatus, Direction, MessageType, SenderType, Status};

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
    named(direction.name()).unwrap_or(Direction::Out.name())
}

pub(crate) fn sender_type(sender: SenderType) -> &'static str {
    named(sender.name()).unwrap_or(SenderType::System.name())
}

pub(crate) fn message_type(kind: MessageType) -> &'static str {
    named(kind.name()).unwrap_or(MessageType::Unsupported.name())
}

pub(crate) fn channel_kind(kind: ChannelKind) -> Option<&'static str> {
    named(kind.name())
}

pub(crate) fn read_channel_kind(word: &str) -> ChannelKind {
    ChannelKind::of_name(word).unwrap_or(ChannelKind::Unspecified)
}

pub(crate) fn read_chat_status(word: &str) -> ChatStatus {
    ChatStatus::of_name(word).unwrap_or(ChatStatus::Unspecified)
}

/// The same words as the generated column `messages.status`.
pub(crate) fn status(status: Status) -> Option<&'static str> {
    named(status.name())
}

/// The status of a rank that the database holds.
pub(crate) fn status_of_rank(rank: i16) -> Status {
    Status::try_from(i32::from(rank)).unwrap_or(Status::Unspecified)
}

/// Unspecified values have no name.
fn named(name: &'static str) -> Option<&'static str> {
    (!name.is_empty()).then_some(name)
}
