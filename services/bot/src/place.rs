//! Which conversation it is about.

use std::fmt;

use chasqui_proto::{ConversationToken, Tenant};

/// A conversation of a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Place {
    pub(crate) tenant: Tenant,
    pub(crate) conversation: ConversationToken,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.conversation)
    }
}
