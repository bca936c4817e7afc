//! Members of a tenant's staff, by the token they signed in with.

use chasqui_directory::Directory;
use chasqui_identity::{Authenticator, Identity, TokenSettings};
use chasqui_kit::{Code, Coded};
use chasqui_proto::{Tenant, v1::AgentStatus};
use tokio_util::sync::CancellationToken;

use crate::admission::{Caller, Proof};

/// Who of those that sign in may act for their tenant.
#[derive(Debug)]
pub(crate) struct Staff {
    authenticator: Authenticator,
    directory: Directory,
    /// Every user of a tenant is staff.
    everybody: bool,
}

/// Why a token does not let its bearer in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum StaffError {
    /// It proves nothing, or cannot be checked now.
    #[error(transparent)]
    Token(#[from] chasqui_identity::Error),
    /// It is a contact's, and opens the contact's own widget.
    #[error("a contact's token opens the widget only")]
    Contact,
    #[error("the tenant is suspended")]
    TenantSuspended,
    #[error("the user is suspended")]
    UserSuspended,
    #[error("the user is not staff: no active agent, no role `staff`")]
    NotStaff,
}

impl Coded for StaffError {
    fn code(&self) -> Code {
        match self {
            Self::Token(error) => error.code(),
            Self::Contact | Self::TenantSuspended | Self::UserSuspended | Self::NotStaff => Code::Forbidden,
        }
    }
}

impl Staff {
    /// With the directory's users and agents; `None` where there is no key that a token could be checked with.
    pub(crate) fn new(
        settings: &TokenSettings,
        default_tenant: &Tenant,
        directory: &Directory,
    ) -> Option<Self> {
        settings.has_keys().then(|| Self {
            authenticator: Authenticator::new(settings, default_tenant.clone()),
            directory: directory.clone(),
            everybody: settings.users_are_staff,
        })
    }

    /// Keeps the issuer's keys fresh until stopped.
    pub(crate) async fn run(&self, stop: CancellationToken) {
        self.authenticator.run(stop).await;
    }

    /// Whom a token lets in.
    pub(crate) async fn admit(&self, token: &str) -> Result<Caller, StaffError> {
        let identity = self.authenticator.identify(token).await?;
        self.check(&identity)?;
        Ok(Caller { tenant: identity.tenant, by: Proof::Staff(identity.user) })
    }

    fn check(&self, identity: &Identity) -> Result<(), StaffError> {
        let Identity { tenant, person, .. } = identity;
        if !identity.is_user() {
            return Err(StaffError::Contact);
        }
        if self.directory.is_suspended(tenant) {
            return Err(StaffError::TenantSuspended);
        }
        if self.directory.user(tenant, person).is_some_and(|user| user.suspended) {
            return Err(StaffError::UserSuspended);
        }
        let agent = self.directory.agent_of_user(tenant, person);
        let is_agent = agent.is_some_and(|agent| agent.status() == AgentStatus::Active);
        let is_staff = self.everybody || identity.has_staff_role || is_agent;
        is_staff.then_some(()).ok_or(StaffError::NotStaff)
    }
}
