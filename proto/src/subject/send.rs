//! The way of a message through its number: its queue, the number's owner, the connector.

use super::{NodeToken, Pattern, Subject};
use crate::{ConversationToken, MessageId, Tenant, v1};

/// What a session may send now, or as soon as its limits allow.
pub fn sends_due(
    tenant: &Tenant,
    session: &NodeToken,
    priority: v1::Priority,
    conversation: &ConversationToken,
) -> Subject<v1::Message> {
    Subject::new(format!("sends.due.{tenant}.{session}.{}.{conversation}", priority.name()))
}

/// Everything of one priority that a session may send.
pub fn sends_of_session(tenant: &Tenant, session: &NodeToken, priority: v1::Priority) -> Pattern {
    Pattern(format!("sends.due.{tenant}.{session}.{}.*", priority.name()))
}

/// What a session may send at a set time: the broker then moves it to `sends.due`.
pub fn sends_later(tenant: &Tenant, session: &NodeToken, message: &MessageId) -> Subject<v1::Message> {
    Subject::new(format!("sends.later.{tenant}.{session}.{message}"))
}

/// Where the owner of a session is asked; nobody answers while it has none.
pub fn whatsapp_owner(tenant: &Tenant, session: &NodeToken) -> Subject<v1::OwnerRequest> {
    Subject::new(format!("whatsapp.owners.{tenant}.{session}"))
}

/// Where the connector that has a linked session is told what to do.
pub fn linked_commands(tenant: &Tenant, session: &NodeToken) -> Subject<v1::LinkCommand> {
    Subject::new(format!("linked.commands.{tenant}.{session}"))
}
