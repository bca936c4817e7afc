//! Which conversation it is about.

use std::fmt;

use chasqui_proto::{ConversationToken, Tenant, address};

/// A conversation of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    pub(crate) conversation: ConversationToken,
}

/// As logs show it.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, address::masked(&self.conversation.to_string()))
    }
}
