//! Which messages go first where they compete for what a number may send.

use chasqui_proto::v1::{Message, Priority, SenderType};

/// From the most urgent to the least.
pub(crate) const PRIORITIES: [Priority; 3] = [Priority::Reply, Priority::Transactional, Priority::Campaign];

/// How urgent a message is: as its sender says, else by who its sender is.
pub(crate) fn of(message: &Message) -> Priority {
    match (message.priority(), message.sender_type()) {
        (Priority::Unspecified, SenderType::Agent | SenderType::Ai) => Priority::Reply,
        (Priority::Unspecified, _) => Priority::Transactional,
        (told, _) => told,
    }
}

/// The place of a priority in `PRIORITIES`.
pub(crate) fn rank(priority: Priority) -> usize {
    match priority {
        Priority::Reply => 0,
        Priority::Transactional | Priority::Unspecified => 1,
        Priority::Campaign => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_goes_before_who_announces() {
        let check = |priority: Priority, sender: SenderType, expected: Priority| {
            let message =
                Message { priority: priority.into(), sender_type: sender.into(), ..Message::default() };
            assert_eq!(of(&message), expected);
            assert_eq!(PRIORITIES[rank(expected)], expected);
        };
        check(Priority::Unspecified, SenderType::Agent, Priority::Reply);
        check(Priority::Unspecified, SenderType::Ai, Priority::Reply);
        check(Priority::Unspecified, SenderType::System, Priority::Transactional);
        check(Priority::Unspecified, SenderType::Unspecified, Priority::Transactional);
        check(Priority::Campaign, SenderType::Agent, Priority::Campaign);
    }
}
