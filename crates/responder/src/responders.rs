//! Who answers, as the broker has it.

use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use chasqui_directory::Directory;
use chasqui_kit::{Bus, Code, Coded};
use chasqui_proto::{
    ConversationToken, Subject, Tenant, stream,
    subject::{chats_updated, conversations_updated},
    v1::Responder,
};
use prost::Message;

use crate::standing::{Standing, decide};

/// Who answers could not be found out.
#[derive(Debug, thiserror::Error)]
#[error("who answers cannot be found out: {0}")]
pub struct RespondersError(String);

impl Coded for RespondersError {
    fn code(&self) -> Code {
        Code::Unavailable
    }
}

/// Who answers each contact: read from the newest states that the stream `STATE` keeps.
#[derive(Clone, Debug)]
pub struct Responders {
    states: Stream,
    directory: Directory,
    /// Who answers where a tenant does not say.
    default: Responder,
}

impl Responders {
    /// Opens the stream of states, which must be there. `directory` must follow tenants.
    pub async fn open(bus: &Bus, directory: Directory, default: Responder) -> Result<Self, RespondersError> {
        let states = bus.jetstream().get_stream(stream::STATE.name).await;
        Ok(Self { states: states.map_err(failed)?, directory, default })
    }

    /// Who answers where a conversation says nothing of its own.
    pub fn of_tenant(&self, tenant: &Tenant) -> Responder {
        let said = self.directory.tenant(tenant).map(|entry| entry.responder());
        said.filter(|responder| *responder != Responder::Unspecified).unwrap_or(self.default)
    }

    /// Who answers a contact now.
    pub async fn of(
        &self,
        tenant: &Tenant,
        conversation: &ConversationToken,
    ) -> Result<Standing, RespondersError> {
        let (conversation, chat) = tokio::try_join!(
            self.newest(conversations_updated(tenant, conversation)),
            self.newest(chats_updated(tenant, conversation)),
        )?;
        let (responder, reason) = decide(conversation.as_ref(), chat.as_ref(), self.of_tenant(tenant));
        Ok(Standing { responder, reason, conversation, chat })
    }

    async fn newest<P: Message + Default>(&self, subject: Subject<P>) -> Result<Option<P>, RespondersError> {
        match self.states.direct_get_last_for_subject(subject.as_str()).await {
            Ok(message) => P::decode(message.payload).map(Some).map_err(failed),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: impl std::fmt::Display) -> RespondersError {
    RespondersError(error.to_string())
}
