//! What an agent is shown of a chat that others had, or that waited, before it became its own. Pure.

use std::{collections::BTreeMap, sync::Arc};

use chasqui_proto::v1;

use crate::event::{Event, Fact};

/// The most earlier messages an agent is shown.
pub(super) const EARLIER_MESSAGES_MAX: u32 = 50;
/// A chat that had to wait longer than this for its agent has earlier messages, milliseconds. Of any other the node
/// itself has heard everything just now.
const WAIT_MS: i64 = 1_000;
/// How far the clocks of nodes and database may differ, milliseconds.
const CLOCKS_APART_MS: i64 = 5_000;

/// Whether a chat that was given to an agent just now may have messages from before.
pub(super) fn has_earlier(chat: &v1::Chat) -> bool {
    chat.assigned_at_ms.saturating_sub(chat.opened_at_ms) > WAIT_MS
}

/// The messages of a chat since it was opened, and what was heard of it meanwhile: each once, in order.
pub(super) fn merge(chat: &v1::Chat, stored: v1::MessagePage, heard: Vec<Arc<Event>>) -> Vec<Arc<Event>> {
    let since = chat.opened_at_ms.saturating_sub(CLOCKS_APART_MS);
    let earlier = stored.messages.into_iter().filter_map(|stored| {
        let (seq, status) = (stored.seq, stored.status());
        let message = Box::new(stored.message.filter(|message| message.received_at_ms >= since)?);
        Some((seq, Arc::new(Event::of_store("", seq, Fact::Message { message, status }))))
    });
    let mut placed: BTreeMap<u64, Arc<Event>> = earlier.collect();
    let (happened, passing): (Vec<_>, Vec<_>) = heard.into_iter().partition(|event| event.seq.is_some());
    placed.extend(happened.into_iter().filter_map(|event| Some((event.seq?, event))));
    placed.into_values().chain(passing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(received_at_ms: i64) -> v1::Message {
        v1::Message { received_at_ms, ..v1::Message::default() }
    }

    fn stored(seq: u64, received_at_ms: i64) -> v1::StoredMessage {
        let status = v1::Status::Sent.into();
        v1::StoredMessage { message: Some(message(received_at_ms)), status, seq }
    }

    fn heard(seq: u64) -> Arc<Event> {
        let fact = Fact::Message { message: Box::new(message(0)), status: v1::Status::Unspecified };
        Arc::new(Event::of_store("", seq, fact))
    }

    #[test]
    fn what_was_stored_and_what_was_heard_is_shown_once_and_in_order() {
        let chat = v1::Chat { opened_at_ms: 100_000, ..v1::Chat::default() };
        let messages = vec![stored(9, 100_900), stored(7, 99_000), stored(3, 10_000)];
        let page = v1::MessagePage { messages, ..v1::MessagePage::default() };
        let typing = Arc::new(Event::of_state(Fact::Typing(Box::default())));
        let shown = merge(&chat, page, vec![heard(9), typing, heard(11)]);
        let seqs: Vec<_> = shown.iter().map(|event| event.seq).collect();
        assert_eq!(seqs, [Some(7), Some(9), Some(11), None], "3 is of an earlier episode");
    }

    #[test]
    fn only_a_chat_that_waited_has_earlier_messages() {
        let chat = |assigned_at_ms| v1::Chat { opened_at_ms: 1_000, assigned_at_ms, ..v1::Chat::default() };
        assert!(!has_earlier(&chat(0)));
        assert!(!has_earlier(&chat(1_500)));
        assert!(has_earlier(&chat(9_000)));
    }
}
