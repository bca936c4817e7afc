//! Reading the states of all sessions and following them.

use std::{fmt::Display, time::Duration};

use async_nats::jetstream::consumer::{
    DeliverPolicy,
    pull::{Ordered, OrderedConfig},
};
use chasqui_kit::Bus;
use chasqui_proto::{stream::STATE, subject, v1::Session};
use futures::StreamExt;
use prost::Message;
use tokio::sync::watch;

use super::{SessionKey, Sessions};
use crate::Error;

/// The pause before the states are read again after they could not be.
const AGAIN_PAUSE: Duration = Duration::from_secs(1);
/// How long one request for changes stands: half of it without a sign of life, and the reading goes on anew.
const PULL_MAX: Duration = Duration::from_secs(4);
/// How long nothing comes before a first state counts as complete: only where its last entry was replaced meanwhile
/// does nobody say that it was the last.
const QUIET: Duration = Duration::from_secs(3);

impl Sessions {
    /// Follows the states for ever, through everything that may happen to the stream. `ready` turns true once all that
    /// was there at the beginning is known.
    pub(crate) async fn follow(self, bus: Bus, ready: watch::Sender<bool>) {
        loop {
            if let Err(error) = self.read_and_follow(&bus, &ready).await {
                tracing::warn!(%error, "the sessions are read again soon; until then what is known counts");
            }
            tokio::time::sleep(AGAIN_PAUSE).await;
            while !bus.is_connected() {
                tokio::time::sleep(AGAIN_PAUSE).await;
            }
        }
    }

    /// Returns when the connection was lost: reading anew is sooner than the client's own repair.
    async fn read_and_follow(&self, bus: &Bus, ready: &watch::Sender<bool>) -> Result<(), Error> {
        let config = OrderedConfig {
            description: Some("a reader of the WhatsApp sessions".to_owned()),
            filter_subject: subject::sessions_of_all().as_str().to_owned(),
            deliver_policy: DeliverPolicy::LastPerSubject,
            max_expires: PULL_MAX,
            ..OrderedConfig::default()
        };
        let mut disruptions = bus.disruptions();
        let consumer = bus.jetstream().create_consumer_on_stream(config, STATE.name).await;
        let consumer = consumer.map_err(|error| unread(&error))?;
        let mut is_complete = consumer.cached_info().num_pending == 0;
        let mut states: Ordered = consumer.messages().await.map_err(|error| unread(&error))?;
        loop {
            if is_complete {
                ready.send_replace(true);
            }
            tokio::select! {
                state = states.next() => {
                    let state = state.ok_or_else(|| unread(&"the stream ended"))?.map_err(|error| unread(&error))?;
                    let position = state.info().map_err(|error| unread(&error))?;
                    is_complete |= position.pending == 0;
                    self.take(state.subject.as_str(), &state.payload, position.stream_sequence);
                }
                () = tokio::time::sleep(QUIET), if !is_complete => is_complete = bus.is_connected(),
                _ = disruptions.changed() => {
                    // Others overflow too; that is nothing to us.
                    if !bus.is_connected() {
                        return Ok(());
                    }
                }
            }
        }
    }

    /// Takes over what came, unless it cannot be read.
    fn take(&self, name: &str, payload: &[u8], seq: u64) {
        let parts = subject::parse(name);
        let key = parts.and_then(|parts| SessionKey::parse(parts.tenant, parts.key).ok());
        if let (Some(key), Ok(session)) = (key, Session::decode(payload)) {
            self.apply(&key, session, seq);
        } else {
            tracing::warn!(subject = name, "the state of a session cannot be read; the one before it stays");
        }
    }
}

fn unread(error: &dyn Display) -> Error {
    Error::State(error.to_string())
}
