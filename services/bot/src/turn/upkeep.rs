//! Changes of a conversation's state that answer nobody.

use chasqui_proto::v1::{BotConversation, Chat, Responder, Waiting};

use crate::{obstacle::Obstacle, office::Office, place::Place};

/// A person of the tenant wrote at `at_ms`: where no chat says who has the conversation, the bot is silent for a while.
/// Who wrote in a chat that is closed by now has given the conversation back.
pub(crate) async fn hush(office: &Office, place: &Place, at_ms: i64) -> Result<(), Obstacle> {
    let standing = office.responders.of(&place.tenant, &place.conversation).await?;
    if standing.responder != Responder::Builtin {
        return Ok(());
    }
    let within_chat = |chat: &Chat| chat.closed_at_ms >= at_ms;
    if standing.chat.as_ref().is_some_and(within_chat) {
        return Ok(());
    }
    let quiet_until_ms = at_ms.saturating_add(office.config.quiet_ms());
    let record = office.conversations.get_newest(place).await?;
    if record.state.quiet_until_ms >= quiet_until_ms {
        return Ok(());
    }
    let state = BotConversation { quiet_until_ms, ..record.state.clone() };
    office.conversations.put(place, &record, state).await.map(drop)
}

/// This replica does not ask the language model any more: another one may, at once.
pub(crate) async fn release(office: &Office, place: &Place) -> Result<(), Obstacle> {
    let record = office.conversations.get_newest(place).await?;
    let Some(waiting) = record.state.waiting.clone() else { return Ok(()) };
    if waiting.holder != office.node.as_str() {
        return Ok(());
    }
    let attempts = waiting.attempts.saturating_sub(1);
    let waiting = Waiting { holder: String::new(), held_until_ms: 0, attempts, ..waiting };
    let state = BotConversation { waiting: Some(waiting), ..record.state.clone() };
    office.conversations.put(place, &record, state).await.map(drop)
}
