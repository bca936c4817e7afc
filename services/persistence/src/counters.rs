//! What is counted of a tenant, by name.

use std::collections::BTreeMap;

use chasqui_proto::v1::{self, Direction, SenderType, Status};

use crate::{response::Responses, word};

pub(crate) const MESSAGES_IN: &str = "messages_in";
pub(crate) const MESSAGES_OUT: &str = "messages_out";
pub(crate) const CONVERSATIONS: &str = "conversations";
pub(crate) const UNREAD: &str = "unread";
const RESPONSES: &str = "responses";
const RESPONSE_MS_SUM: &str = "response_ms_sum";
/// The only counter whose changes are not added: the greatest stays. Where an answer is stored before an earlier answer
/// to the same message, it may stay above what it would be in order.
pub(crate) const RESPONSE_MS_MAX: &str = "response_ms_max";

/// Changes of the counters of tenants, in the order in which they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes(pub(crate) BTreeMap<(String, String), i64>);

impl Changes {
    /// Adds to a counter.
    pub(crate) fn add(&mut self, tenant: &str, counter: &str, change: i64) {
        if change != 0 {
            *self.0.entry((tenant.to_owned(), counter.to_owned())).or_default() += change;
        }
    }

    /// A new message.
    pub(crate) fn message(&mut self, tenant: &str, direction: Direction, sender: SenderType) {
        let inbound = direction == Direction::In;
        self.add(tenant, if inbound { MESSAGES_IN } else { MESSAGES_OUT }, 1);
        self.add(tenant, &format!("sender/{}", word::sender_type(sender)), 1);
        if inbound {
            self.add(tenant, UNREAD, 1);
        }
    }

    /// A message whose status changed.
    pub(crate) fn status(&mut self, tenant: &str, old: Status, new: Status) {
        for (status, change) in [(old, -1), (new, 1)] {
            if let Some(name) = word::status(status) {
                self.add(tenant, &format!("status/{name}"), change);
            }
        }
    }

    /// Answers to the contact.
    pub(crate) fn responses(&mut self, tenant: &str, responses: Responses) {
        self.add(tenant, RESPONSES, responses.count);
        self.add(tenant, RESPONSE_MS_SUM, responses.sum_ms);
        let greatest = self.0.entry((tenant.to_owned(), RESPONSE_MS_MAX.to_owned())).or_default();
        *greatest = responses.max_ms.max(*greatest);
    }
}

/// The counters of a tenant as they go over the bus.
pub(crate) fn stats(tenant: &str, counters: &BTreeMap<String, i64>, updated_at_ms: i64) -> v1::Stats {
    let value =
        |name: &str| u64::try_from(counters.get(name).copied().unwrap_or_default()).unwrap_or_default();
    let count = |prefix: &str, name: &str| {
        let count = value(&format!("{prefix}/{name}"));
        (count > 0).then(|| v1::Count { name: name.to_owned(), count })
    };
    let responses = value(RESPONSES);
    v1::Stats {
        tenant: tenant.to_owned(),
        messages_in: value(MESSAGES_IN),
        messages_out: value(MESSAGES_OUT),
        conversations: value(CONVERSATIONS),
        unread: value(UNREAD),
        by_status: word::STATUSES
            .into_iter()
            .filter_map(word::status)
            .filter_map(|name| count("status", name))
            .collect(),
        by_sender_type: word::SENDER_TYPES
            .into_iter()
            .filter_map(|sender| count("sender", word::sender_type(sender)))
            .collect(),
        response_time_mean_ms: value(RESPONSE_MS_SUM).checked_div(responses).unwrap_or_default(),
        response_time_max_ms: value(RESPONSE_MS_MAX),
        responses,
        updated_at_ms,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_counted_once_wherever_it_came_from() {
        let mut changes = Changes::default();
        changes.message("a", Direction::Out, SenderType::Ai);
        changes.status("a", Status::Unspecified, Status::Sent);
        changes.status("a", Status::Sent, Status::Read);
        let counters = changes.0.into_iter().map(|((_, counter), value)| (counter, value)).collect();
        let stats = stats("a", &counters, 1);
        assert_eq!(stats.by_status, [v1::Count { name: "read".to_owned(), count: 1 }]);
        assert_eq!(stats.by_sender_type, [v1::Count { name: "ai".to_owned(), count: 1 }]);
        assert_eq!((stats.messages_in, stats.messages_out, stats.unread), (0, 1, 0));
    }

    #[test]
    fn the_mean_of_no_answers_is_nothing() {
        assert_eq!(stats("a", &BTreeMap::new(), 1).response_time_mean_ms, 0);
    }
}
