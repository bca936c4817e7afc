//! The name of a session.

use std::fmt;

use chasqui_proto::{Tenant, subject::NodeToken};

use crate::{Error, config::is_phone_number_id};

/// The tenant that owns a session, and the session's name there.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) tenant: Tenant,
    pub(crate) session: NodeToken,
}

impl SessionKey {
    /// The session that a request names.
    pub(crate) fn parse(tenant: &str, session: &str) -> Result<Self, Error> {
        let tenant = parse_tenant(tenant)?;
        let token = NodeToken::new(session);
        if session.is_empty() || token.as_str() != session {
            return Err(Error::Invalid(format!(
                "session: expected 1 to 64 letters, digits or `-`, got {session:?}"
            )));
        }
        Ok(Self { tenant, session: token })
    }

    /// Whether it is named like a number of the Cloud API; linked sessions have names.
    pub(crate) fn is_numeric(&self) -> bool {
        is_phone_number_id(self.session.as_str())
    }
}

/// The tenant that a request names.
pub(crate) fn parse_tenant(tenant: &str) -> Result<Tenant, Error> {
    tenant.parse().map_err(|error| Error::Invalid(format!("tenant: {error}")))
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.session)
    }
}
