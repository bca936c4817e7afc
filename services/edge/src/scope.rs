//! Whose events a feed carries.

use chasqui_proto::{ConversationToken, Pattern, Tenant, subject};

/// Whose events a feed carries.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Scope {
    /// Everything of a tenant: for its staff.
    Tenant(Tenant),
    /// One conversation: for its contact.
    Contact(Tenant, ConversationToken),
}

impl Scope {
    pub(crate) fn tenant(&self) -> &Tenant {
        match self {
            Self::Tenant(tenant) | Self::Contact(tenant, _) => tenant,
        }
    }

    pub(crate) fn conversation(&self) -> Option<&ConversationToken> {
        match self {
            Self::Tenant(_) => None,
            Self::Contact(_, conversation) => Some(conversation),
        }
    }

    /// The stored subjects whose facts belong to the scope.
    pub(crate) fn stored(&self) -> Pattern {
        match self {
            Self::Tenant(tenant) => subject::messages_of_tenant(tenant),
            Self::Contact(tenant, conversation) => subject::messages_of_conversation(tenant, conversation),
        }
    }
}
