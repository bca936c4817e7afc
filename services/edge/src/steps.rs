//! How far messages got. Providers tell steps in any order; front ends show the last they heard of, so a step that
//! comes after a further one is not shown.

use std::collections::HashMap;

use crate::event::{Event, Fact};

/// How many messages are remembered, in each of two generations. A step later than that is shown as it comes.
const MESSAGES_MAX: usize = 4_096;

/// The furthest step of the messages that were heard of last: two generations, so that forgetting is cheap.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    young: HashMap<Box<str>, i32>,
    old: HashMap<Box<str>, i32>,
}

impl Steps {
    /// Remembers a step, and marks the event when it leads no further.
    pub(crate) fn mark(&mut self, event: &mut Event) {
        let Fact::Status(status) = &event.fact else { return };
        let id = status.message_id.as_str();
        let known = self.young.get(id).or_else(|| self.old.get(id));
        event.is_step_back = known.is_some_and(|furthest| status.status <= *furthest);
        if !event.is_step_back {
            self.young.insert(id.into(), status.status);
            if self.young.len() > MESSAGES_MAX {
                self.old = std::mem::take(&mut self.young);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1::{self, Status};

    use super::*;
    use crate::dialect::Dialect;

    fn is_shown(steps: &mut Steps, message_id: &str, status: Status) -> bool {
        let fact = v1::MessageStatus {
            message_id: message_id.to_owned(),
            status: status.into(),
            ..v1::MessageStatus::default()
        };
        let mut event = Event::of_store("", 1, Fact::Status(Box::new(fact)));
        steps.mark(&mut event);
        event.frame(Dialect::Crm).is_some()
    }

    #[test]
    fn a_step_back_is_not_shown() {
        let mut steps = Steps::default();
        let order = [Status::Sent, Status::Read, Status::Delivered, Status::Read, Status::Played];
        let shown = order.map(|status| is_shown(&mut steps, "m1", status));
        assert_eq!(shown, [true, true, false, false, true]);
        assert!(is_shown(&mut steps, "m2", Status::Sent), "another message");
    }

    #[test]
    fn what_is_long_ago_is_forgotten() {
        let mut steps = Steps::default();
        is_shown(&mut steps, "first", Status::Read);
        for index in 0..=2 * MESSAGES_MAX {
            is_shown(&mut steps, &index.to_string(), Status::Sent);
        }
        assert!(steps.young.len() + steps.old.len() <= 2 * MESSAGES_MAX + 1);
        assert!(is_shown(&mut steps, "first", Status::Sent));
    }
}
