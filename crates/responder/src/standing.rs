//! Who answers, from what is known of a conversation. Pure.

use chasqui_proto::v1::{Chat, ChatStatus, Conversation, Responder};

/// Why it is the one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// People have an open chat with the contact.
    Chat,
    /// Bots were told to keep out of the conversation (`no_ac_ai`).
    NoBot,
    /// The bot was told to answer in the conversation (`ai_active`).
    Active,
    /// So it is for the tenant.
    Tenant,
}

/// Who answers a contact.
#[derive(Clone, Debug)]
pub struct Standing {
    /// Never `Unspecified`.
    pub responder: Responder,
    /// Why.
    pub reason: Reason,
    /// The conversation as it stands; none while nothing is stored of it.
    pub conversation: Option<Conversation>,
    /// Its newest chat; none if there never was one.
    pub chat: Option<Chat>,
}

/// Who answers a contact of a tenant for which `tenant` answers where nothing else says so.
pub fn decide(
    conversation: Option<&Conversation>,
    chat: Option<&Chat>,
    tenant: Responder,
) -> (Responder, Reason) {
    let is_open = |chat: &Chat| matches!(chat.status(), ChatStatus::Waiting | ChatStatus::Assigned);
    if chat.is_some_and(is_open) {
        return (Responder::Person, Reason::Chat);
    }
    match conversation {
        Some(conversation) if conversation.no_ac_ai => (Responder::Person, Reason::NoBot),
        Some(conversation) if conversation.ai_active => (Responder::Builtin, Reason::Active),
        _ => (tenant, Reason::Tenant),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(ai_active: bool, no_ac_ai: bool, chat: Option<ChatStatus>, expected: (Responder, Reason)) {
        let conversation = Conversation { ai_active, no_ac_ai, ..Conversation::default() };
        let chat = chat.map(|status| Chat { status: status.into(), ..Chat::default() });
        assert_eq!(decide(Some(&conversation), chat.as_ref(), Responder::External), expected);
    }

    #[test]
    fn people_come_before_bots_and_the_conversation_before_the_tenant() {
        let of_tenant = (Responder::External, Reason::Tenant);
        check(false, false, None, of_tenant);
        check(false, false, Some(ChatStatus::Closed), of_tenant);
        check(true, false, None, (Responder::Builtin, Reason::Active));
        check(true, true, None, (Responder::Person, Reason::NoBot));
        check(true, false, Some(ChatStatus::Waiting), (Responder::Person, Reason::Chat));
        check(true, true, Some(ChatStatus::Assigned), (Responder::Person, Reason::Chat));
        assert_eq!(decide(None, None, Responder::Builtin), (Responder::Builtin, Reason::Tenant));
    }
}
