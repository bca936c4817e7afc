//! Who is let in: what a token proves, and what the directory says of the user it names.

use std::{sync::Arc, time::Duration};

use chasqui_directory::Directory;
use chasqui_identity::{Agent, Authenticator, Identity};
use chasqui_kit::{Bus, TraceContext};
use chasqui_proto::{
    Tenant,
    service::DIRECTORY_PUT,
    v1::{AgentStatus, DirectoryEntry, PersonKind, PutEntry, UserEntry, directory_entry::Entry},
};
use tokio::{sync::Semaphore, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    config::{Config, UnknownUsers},
    error::Error,
};

/// How long a new user waits to be entered into the directory before it is let in without.
const PROVISION_WAIT: Duration = Duration::from_secs(1);
/// How many new users are entered at once; those beyond are let in, and entered when they come again.
const PROVISIONS_MAX: usize = 64;

/// Decides who is let in.
#[derive(Debug)]
pub(crate) struct Gate {
    authenticator: Authenticator,
    directory: Directory,
    bus: Bus,
    unknown_users: UnknownUsers,
    provisions: Semaphore,
}

impl Gate {
    pub(crate) fn new(config: &Config, default_tenant: Tenant, directory: Directory, bus: Bus) -> Arc<Self> {
        Arc::new(Self {
            authenticator: Authenticator::new(&config.token_settings(), default_tenant),
            directory,
            bus,
            unknown_users: config.unknown_users,
            provisions: Semaphore::new(PROVISIONS_MAX),
        })
    }

    /// Keeps the issuer's keys fresh until stopped.
    pub(crate) async fn run(self: Arc<Self>, stop: CancellationToken) {
        self.authenticator.run(stop).await;
    }

    /// Who a client is that brings this token.
    pub(crate) async fn identify(&self, token: &str) -> Result<Identity, Error> {
        let mut identity = self.authenticator.identify(token).await?;
        self.check(&identity)?;
        if identity.phone.is_none() {
            self.look_up(&mut identity).await?;
        }
        Ok(identity)
    }

    /// Whether somebody who was let in may stay.
    pub(crate) fn check(&self, identity: &Identity) -> Result<(), Error> {
        let Identity { tenant, person, .. } = identity;
        if self.directory.is_suspended(tenant) {
            return Err(Error::Forbidden("the tenant is suspended"));
        }
        let user = identity.phone.is_none().then(|| self.directory.user(tenant, person)).flatten();
        if user.is_some_and(|user| user.suspended) {
            return Err(Error::Forbidden("the user is suspended"));
        }
        Ok(())
    }

    /// BEN-06, BEN-07, BEN-08: the user, and the agent it may be. Who is no agent is a user.
    async fn look_up(&self, identity: &mut Identity) -> Result<(), Error> {
        match self.directory.user(&identity.tenant, &identity.person) {
            Some(user) if identity.name.is_empty() => identity.name = user.name,
            Some(_) => {}
            None => self.meet(identity).await?,
        }
        if let Some(agent) = self.directory.agent_of_user(&identity.tenant, &identity.person) {
            let is_active = agent.status() == AgentStatus::Active;
            if is_active {
                identity.kind = PersonKind::Agent;
            }
            identity.agent = Some(Agent { id: agent.id, is_active });
        }
        Ok(())
    }

    /// Somebody comes whom the directory does not know.
    async fn meet(&self, identity: &Identity) -> Result<(), Error> {
        if self.unknown_users == UnknownUsers::Refuse {
            return Err(Error::Unauthorized("the user is not in the directory"));
        }
        let Ok(_one) = self.provisions.try_acquire() else { return Ok(()) };
        let user = UserEntry {
            tenant: identity.tenant.to_string(),
            id: identity.user.clone(),
            name: identity.name.clone(),
            ..UserEntry::default()
        };
        let entry = DirectoryEntry { entry: Some(Entry::User(user)) };
        let put = PutEntry { entry: Some(entry), if_absent: true };
        let asked = self.bus.ask(DIRECTORY_PUT, &put, TraceContext::root());
        let result = match timeout(PROVISION_WAIT, asked).await {
            // It was there before, and this node had not heard of it.
            Ok(Ok(DirectoryEntry { entry: Some(Entry::User(user)) })) if user.suspended => {
                return Err(Error::Forbidden("the user is suspended"));
            }
            Ok(Ok(_)) => "entered",
            Ok(Err(_)) | Err(_) => "failed",
        };
        metrics::counter!("chasqui_edge_users_provisioned_total", "result" => result).increment(1);
        Ok(())
    }
}
