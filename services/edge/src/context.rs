//! What a node knows of a tenant's events before it shows the next one.

use std::sync::Arc;

use crate::{
    event::{Event, Fact},
    generations::Generations,
    steps::Steps,
};

/// How many things' newest states are remembered, in each of two generations.
const STATES_MAX: usize = 4_096;

/// What was heard of a tenant last: states, and how far messages got. Shared by every feed of the tenant, so that an
/// event is looked at once for all of them.
#[derive(Debug)]
pub(crate) struct Context {
    states: Generations<Arc<Event>>,
    steps: Steps,
}

impl Default for Context {
    fn default() -> Self {
        Self { states: Generations::new(STATES_MAX), steps: Steps::default() }
    }
}

impl Context {
    /// Puts an event beside what is known; `None` for a state that is older than the one already known, which nobody
    /// is shown.
    pub(crate) fn place(&mut self, mut event: Event) -> Option<Arc<Event>> {
        if let Fact::Message { message, .. } = &event.fact {
            event.conversation = self.states.get(&message.conversation).cloned();
        }
        self.steps.mark(&mut event);
        let event = Arc::new(event);
        let Some(version) = event.fact.version() else { return Some(event) };
        // A token holds no dot and a subject does, so they share the map.
        let name = match &event.fact {
            Fact::Conversation(conversation) => conversation.token.as_str(),
            _ => &event.subject,
        };
        // Two replicas of a service may publish in another order than they wrote.
        let known = self.states.get(name).and_then(|known| known.fact.version());
        if known.is_some_and(|known| known > version) {
            return None;
        }
        self.states.insert(name, event.clone());
        Some(event)
    }
}

#[cfg(test)]
mod tests {
    use chasqui_proto::v1;

    use super::*;

    fn state(version: u64) -> Event {
        let conversation = v1::Conversation { token: "a".to_owned(), version, ..v1::Conversation::default() };
        Event::of_state(Fact::Conversation(Box::new(conversation)))
    }

    #[test]
    fn a_message_stands_beside_the_newest_state_of_its_conversation() {
        let mut context = Context::default();
        assert!(context.place(state(2)).is_some());
        assert!(context.place(state(1)).is_none(), "older than what is known");
        let message = Box::new(v1::Message { conversation: "a".to_owned(), ..v1::Message::default() });
        let fact = Fact::Message { message, status: v1::Status::Unspecified };
        let placed = context.place(Event::of_store("a", 1, fact)).unwrap();
        assert_eq!(placed.conversation.as_ref().and_then(|state| state.fact.version()), Some(2));
    }
}
