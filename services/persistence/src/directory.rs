//! The directory: who belongs to the tenants, and which conversation the further addresses of a contact belong to, for those who must know before
//! they publish.

mod administration;
mod entry;
mod listener;
mod replication;

pub(crate) use administration::Administration;
pub(crate) use replication::Replication;

use async_nats::jetstream::kv::Store;
use chasqui_kit::{Bus, publish::PublishError};
use chasqui_proto::stream;

use crate::store::aliases::FurtherAlias;

/// The bucket `directory`.
#[derive(Clone, Debug)]
pub(crate) struct Directory(Store);

impl Directory {
    pub(crate) async fn open(bus: &Bus) -> Result<Self, PublishError> {
        let opened = bus.jetstream().get_key_value(stream::DIRECTORY_BUCKET).await;
        opened.map(Self).map_err(|error| PublishError::Refused(error.to_string()))
    }

    /// Tells where addresses belong. Saying it twice changes nothing.
    pub(crate) async fn tell(&self, aliases: &[FurtherAlias]) -> Result<(), PublishError> {
        for alias in aliases {
            let parsed = alias.tenant.parse().ok().zip(alias.alias.parse().ok());
            let (tenant, token) = parsed.expect("both were parsed before they were stored");
            let key = stream::directory_key(&tenant, &token);
            let told = self.0.put(key, alias.conversation_token.clone().into()).await;
            told.map_err(|error| PublishError::Refused(error.to_string()))?;
        }
        Ok(())
    }
}
