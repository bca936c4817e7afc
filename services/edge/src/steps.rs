//! How far messages got. Providers tell steps in any order; front ends show the last they heard of, so a step that
//! comes after a further one is not shown.

use crate::{
    event::{Event, Fact},
    generations::Generations,
};

/// How many messages are remembered, in each of two generations. A step later than that is shown as it comes.
const MESSAGES_MAX: usize = 4_096;

/// The furthest step of the messages that were heard of last.
#[derive(Debug)]
pub(crate) struct Steps(Generations<Furthest>);

#[derive(Debug, Clone, Copy)]
struct Furthest {
    status: i32,
    /// The step's place in the stream: heard twice, it is no step back.
    seq: Option<u64>,
}

impl Default for Steps {
    fn default() -> Self {
        Self(Generations::new(MESSAGES_MAX))
    }
}

impl Steps {
    /// Remembers a step, and marks the event when it leads no further.
    pub(crate) fn mark(&mut self, event: &mut Event) {
        let Fact::Status(status) = &event.fact else { return };
        let id = status.message_id.as_str();
        let furthest = self.0.get(id).filter(|furthest| furthest.seq != event.seq);
        event.is_step_back = furthest.is_some_and(|furthest| status.status <= furthest.status);
        if !event.is_step_back {
            self.0.insert(id, Furthest { status: status.status, seq: event.seq });
        }
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{self, Status};

    use super::*;
    use crate::dialect::Dialect;

    fn is_shown(steps: &mut Steps, message_id: &str, seq: u64, status: Status) -> bool {
        let fact = v1::MessageStatus {
            message_id: message_id.to_owned(),
            status: status.into(),
            ..v1::MessageStatus::default()
        };
        let mut event = Event::of_store("", seq, Fact::Status(Box::new(fact)));
        steps.mark(&mut event);
        event.frame(Dialect::Crm).is_some()
    }

    #[test]
    fn a_step_back_is_not_shown() {
        let mut steps = Steps::default();
        let order = [Status::Sent, Status::Read, Status::Delivered, Status::Read, Status::Played];
        let shown: Vec<bool> =
            (1..).zip(order).map(|(seq, status)| is_shown(&mut steps, "m1", seq, status)).collect();
        assert_eq!(shown, [true, true, false, false, true]);
        assert!(is_shown(&mut steps, "m2", 6, Status::Sent), "another message");
    }

    #[test]
    fn the_same_step_read_once_more_for_another_feed_is_shown_there_too() {
        let mut steps = Steps::default();
        assert!(is_shown(&mut steps, "m1", 1, Status::Read));
        assert!(is_shown(&mut steps, "m1", 1, Status::Read));
        assert!(!is_shown(&mut steps, "m1", 2, Status::Delivered));
    }
}
