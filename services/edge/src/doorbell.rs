//! "Is this contact connected anywhere?" is one request on the bus: whoever holds a socket of it answers, and nobody
//! answers when none does. One doorbell a socket, so that the answer ends with the socket.

use bytes::Bytes;
use chasqui_kit::Bus;
use chasqui_proto::{
    ConversationToken, Tenant,
    subject::{self, NodeToken},
    v1,
};
use futures::StreamExt;
use prost::Message;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

use crate::error::Error;

/// Answers for one socket; dropping it ends that.
#[derive(Debug)]
pub(crate) struct Doorbell {
    _stop: DropGuard,
}

impl Doorbell {
    /// Answers from now on. The subscription is on its way when this returns; a barrier makes it stand.
    pub(crate) async fn hang(
        bus: &Bus,
        node: &NodeToken,
        contact: (&Tenant, &ConversationToken),
        tasks: &TaskTracker,
    ) -> Result<Self, Error> {
        let subject = subject::edge_contacts(contact.0, contact.1);
        // In a group of the node's own: of several sockets of one contact one answers. The server lets a request be
        // answered once.
        let subscribed = bus.client().queue_subscribe(subject.as_str().to_owned(), node.to_string()).await;
        let mut questions = subscribed.map_err(|error| Error::Subscribe(error.to_string()))?;
        let stop = CancellationToken::new();
        let (client, stopped) = (bus.client().clone(), stop.clone());
        let found = v1::ContactFound { node: node.to_string(), absent: false };
        tasks.spawn(async move {
            let answer = Bytes::from(found.encode_to_vec());
            while let Some(Some(question)) = stopped.run_until_cancelled(questions.next()).await {
                let Some(reply) = question.reply else { continue };
                if let Err(error) = client.publish(reply, answer.clone()).await {
                    tracing::debug!(%error, "an answer was not sent");
                }
            }
        });
        Ok(Self { _stop: stop.drop_guard() })
    }
}
