//! Who answers, as the broker has it.

use std::time::Duration;

use async_nats::jetstream::stream::{DirectGetErrorKind, Stream};
use chasqui_directory::Directory;
use chasqui_kit::{Bus, Code, Coded};
use chasqui_proto::{
    ConversationToken, Subject, Tenant, stream,
    subject::{chats_updated, conversations_updated},
    v1::Responder,
};
use prost::Message;
use tokio::time::timeout;

use crate::standing::{Standing, decide};

/// How long a look-up may take. It takes a fraction of a millisecond; a stream that changes its leader is there again
/// after some of these, and whoever asked tries again.
const WAIT_MAX: Duration = Duration::from_secs(2);

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
    bus: Bus,
    states: Stream,
    directory: Directory,
    /// Who answers where a tenant does not say.
    default: Responder,
}

impl Responders {
    /// Opens the stream of states, which must be there. `directory` must follow tenants.
    pub async fn open(bus: &Bus, directory: Directory, default: Responder) -> Result<Self, RespondersError> {
        let states = bus.jetstream().get_stream(stream::STATE.name).await;
        Ok(Self { bus: bus.clone(), states: states.map_err(failed)?, directory, default })
    }

    /// Who answers where a conversation says nothing of its own.
    pub fn of_tenant(&self, tenant: &Tenant) -> Responder {
        let said = self.directory.tenant(tenant).map(|entry| entry.responder());
        said.filter(|responder| *responder != Responder::Unspecified).unwrap_or(self.default)
    }

    /// Who answers a contact now. It fails while the broker is away, and after two seconds without its answer.
    pub async fn of(
        &self,
        tenant: &Tenant,
        conversation: &ConversationToken,
    ) -> Result<Standing, RespondersError> {
        let newest = async {
            tokio::try_join!(
                self.newest(conversations_updated(tenant, conversation)),
                self.newest(chats_updated(tenant, conversation)),
            )
        };
        let (conversation, chat) = self.in_time(newest).await?;
        let (responder, reason) = decide(conversation.as_ref(), chat.as_ref(), self.of_tenant(tenant));
        Ok(Standing { responder, reason, conversation, chat })
    }

    /// Whether a conversation says of itself that the bot of the pipeline answers there. People may have it all the same,
    /// which `of` knows; this is one look where that is two. It fails as `of` does.
    pub async fn is_given_to_bot(
        &self,
        tenant: &Tenant,
        conversation: &ConversationToken,
    ) -> Result<bool, RespondersError> {
        let newest = self.newest(conversations_updated(tenant, conversation));
        let conversation = self.in_time(newest).await?;
        Ok(decide(conversation.as_ref(), None, Responder::External).0 == Responder::Builtin)
    }

    async fn in_time<T>(
        &self,
        look: impl Future<Output = Result<T, RespondersError>>,
    ) -> Result<T, RespondersError> {
        // Without a connection the requests would only wait for their time-out.
        if !self.bus.is_connected() {
            return Err(failed("the message broker is away"));
        }
        timeout(WAIT_MAX, look).await.map_err(|_| failed("the message broker does not answer"))?
    }

    async fn newest<P: Message + Default>(&self, subject: Subject<P>) -> Result<Option<P>, RespondersError> {
        let message = match self.states.direct_get_last_for_subject(subject.as_str()).await {
            Ok(message) => message,
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        // Waiting would not mend it, and everything behind it would wait as well.
        let read = P::decode(message.payload).inspect_err(|error| {
            tracing::error!(subject = subject.as_str(), seq = message.sequence, %error, "a state cannot be read");
        });
        Ok(read.ok())
    }
}

fn failed(error: impl std::fmt::Display) -> RespondersError {
    RespondersError(error.to_string())
}
