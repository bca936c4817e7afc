//! What a node knows of conversations, to show it beside their messages.

use std::{collections::HashMap, sync::Arc};

use crate::event::{Event, Fact};

/// How many conversations' states a feed remembers to show beside new messages, in each of two generations.
const STATES_MAX: usize = 4_096;

/// The newest known state of the conversations that were heard of last: two generations, so that forgetting is cheap.
#[derive(Debug, Default)]
pub(crate) struct Conversations {
    young: HashMap<String, Arc<Event>>,
    old: HashMap<String, Arc<Event>>,
}

impl Conversations {
    /// Puts the conversation's state beside a message.
    pub(crate) fn beside(&self, event: &mut Event) {
        if let Fact::Message { message, .. } = &event.fact {
            event.conversation = self.get(&message.conversation).cloned();
        }
    }

    fn get(&self, token: &str) -> Option<&Arc<Event>> {
        self.young.get(token).or_else(|| self.old.get(token))
    }

    /// False for a state that is older than the one already known: it is not shown.
    pub(crate) fn remember(&mut self, event: &Arc<Event>) -> bool {
        let Fact::Conversation(conversation) = &event.fact else { return true };
        let newer = |known: &Arc<Event>| match &known.fact {
            Fact::Conversation(known) => known.version > conversation.version,
            _ => false,
        };
        // Two replicas of persistence may publish in another order than they wrote.
        if self.get(&conversation.token).is_some_and(newer) {
            return false;
        }
        self.young.insert(conversation.token.clone(), event.clone());
        if self.young.len() > STATES_MAX {
            self.old = std::mem::take(&mut self.young);
        }
        true
    }
}
