//! Whom a valid token speaks for.

use chasqui_proto::{
    ConversationToken, Tenant,
    address::{InvalidAddress, parse_address},
    v1::PersonKind,
};

use crate::Error;

/// Whom a valid token speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user's id within the tenant.
    pub user: String,
    /// The tenant whose conversations the user may see.
    pub tenant: Tenant,
    /// Whether the token itself names the tenant.
    pub is_tenant_named: bool,
    /// The contact's number, for widgets: such a token opens that conversation and nothing else.
    pub phone: Option<String>,
    /// The user's name among the people of its tenant, on the bus.
    pub person: ConversationToken,
    /// What the user is to its tenant.
    pub kind: PersonKind,
    /// The issuer calls the user a member of the tenant's staff.
    pub has_staff_role: bool,
    /// The name people know the user by; empty where nobody said it.
    pub name: String,
    /// BEN-08: the agent the user is, active or not.
    pub agent: Option<Agent>,
    /// When the token ends, unix milliseconds; `None` when it never does.
    pub expires_at_ms: Option<i64>,
}

/// A user who answers others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its id in the directory.
    pub id: String,
    /// An inactive agent is treated as a regular user (BEN-09).
    pub is_active: bool,
}

impl Identity {
    /// The contact with this phone number, whoever says so.
    pub fn of_phone(tenant: Tenant, phone: &str) -> Result<Self, InvalidAddress> {
        Ok(Self {
            user: phone.to_owned(),
            tenant,
            is_tenant_named: false,
            phone: Some(phone.to_owned()),
            person: ConversationToken::of(&parse_address(phone)?),
            kind: PersonKind::Contact,
            name: String::new(),
            has_staff_role: false,
            agent: None,
            expires_at_ms: None,
        })
    }

    /// A user of the tenant, and not a contact whose token opens its widget only.
    pub fn is_user(&self) -> bool {
        self.phone.is_none()
    }

    /// Whether the user answers others now.
    pub fn is_active_agent(&self) -> bool {
        self.agent.as_ref().is_some_and(|agent| agent.is_active)
    }

    /// Whether a connection may go on with the other's token: it speaks for the same user of the same tenant.
    pub fn may_become(&self, other: &Self) -> Result<(), Error> {
        let same = (&self.user, &self.tenant, &self.phone) == (&other.user, &other.tenant, &other.phone);
        same.then_some(()).ok_or(Error::Forbidden("the new token must name the same user, tenant and phone"))
    }
}
