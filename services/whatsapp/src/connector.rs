//! What connects a session to its provider.

use std::{fmt, time::Duration};

use bytes::Bytes;
use chasqui_proto::v1::{LinkEvent, Media, Message, ProviderError};
use futures::future::BoxFuture;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A message with everything that is needed to send it.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    /// The message itself.
    pub(crate) message: Message,
    /// The provider's id of the message it answers or reacts to.
    pub(crate) answers: Option<String>,
    /// The template that takes its place, as the Cloud API's `template` object.
    pub(crate) instead: Option<Bytes>,
}

/// How an attempt to send ended.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// The provider took it.
    Accepted {
        /// The provider's id of it.
        provider_id: String,
    },
    /// The provider answered that it does not.
    Refused {
        /// Why; a code of 0 where the answer had none.
        error: ProviderError,
        /// The answer's status; 0 where the provider does not speak HTTP.
        http_status: u16,
        /// When it may be tried again, where the provider says so.
        retry_after: Option<Duration>,
    },
    /// Not a byte reached the provider: nobody answered, or the connection could not be made.
    NotWritten(String),
    /// Bytes were written and no answer came: whether it was taken is unknown.
    Unknown(String),
}

/// What a connector could not do besides sending.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectorError {
    /// The provider answered that it does not.
    #[error("the provider refused: {} ({})", .0.message, .0.code)]
    Refused(ProviderError),
    /// Nobody answered.
    #[error("the provider cannot be reached: {0}")]
    Away(String),
    /// The file is larger than the limit for its type.
    #[error("the file has more than {0} bytes")]
    TooLarge(u64),
    /// This kind of connector does not offer it.
    #[error("this connector cannot {0}")]
    Unsupported(&'static str),
}

/// A file of the provider, as it comes.
pub(crate) struct Fetched {
    /// As the provider gives it.
    pub(crate) mime_type: String,
    /// The bytes, in pieces.
    pub(crate) content: futures::stream::BoxStream<'static, Result<Bytes, ConnectorError>>,
}

/// What connects one session to its provider. Cancelling a future of it may leave bytes written: only `send` distinguishes.
pub(crate) trait Connector: fmt::Debug + Send + Sync {
    /// Connects, keeps the connection, and tells what becomes of it, until stopped. The provider decides when a session
    /// is connected, disconnected or logged out; what contacts write does not come this way.
    fn run(&self, events: mpsc::Sender<LinkEvent>, stop: CancellationToken) -> BoxFuture<'_, ()>;

    /// How much longer than the provider may answer sending takes at most, for what must be there first, such as files. A
    /// connector that takes longer is not waited for, and nobody knows what it did.
    fn preparation_max(&self, _outgoing: &Outgoing) -> Duration {
        Duration::ZERO
    }

    /// Sends a message once. Repeating it under the same id is the caller's decision.
    fn send<'a>(&'a self, outgoing: &'a Outgoing) -> BoxFuture<'a, Outcome>;

    /// Tells the contact that its message was read, and that an answer is being written.
    fn read<'a>(
        &'a self,
        provider_message_id: &'a str,
        typing: bool,
    ) -> BoxFuture<'a, Result<(), ConnectorError>>;

    /// Opens a file of the provider.
    fn fetch<'a>(&'a self, media: &'a Media) -> BoxFuture<'a, Result<Fetched, ConnectorError>>;

    /// Ends the session at the provider.
    fn log_out(&self) -> BoxFuture<'_, Result<(), ConnectorError>>;
}
