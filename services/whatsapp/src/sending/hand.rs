//! What every attempt of a session holds, and how it writes down what becomes of a message.

use std::{fmt::Display, time::Duration};

use chasqui_kit::{
    clock,
    consume::{self, Cause, Delivery},
};
use chasqui_proto::{
    subject,
    v1::{ChannelKind, Priority, ProviderError, Send, SendState, Status},
};
use tokio::time::Instant;

use super::{Settings, parcel::Parcel};
use crate::{
    PART,
    later::{self, Due},
    line::Line,
    pace::gate::Gate,
    sends::{Record, Sends, SendsError},
    tell::{self, Told},
    window::Windows,
};

/// The pause before something that the broker did not take is given to it again.
const AGAIN_PAUSE: Duration = Duration::from_millis(200);
/// How long a process that stops, or no longer owns the session, tries to tell what it knows.
const LAST_WORD_MAX: Duration = Duration::from_secs(5);

/// One session's connector, buckets and settings.
#[derive(Debug)]
pub(crate) struct Hand {
    pub(crate) line: Line,
    pub(crate) settings: Settings,
    pub(crate) sends: Sends,
    pub(crate) windows: Windows,
    /// What every message passes right before its bytes are written.
    pub(crate) gate: Gate,
}

/// What came of writing down what becomes of a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Written {
    Ours,
    /// Somebody else decided already; the parcel has what.
    Theirs,
    /// The broker was away until the time was up.
    GaveUp,
}

impl Hand {
    /// The `Send` of a message that nobody has tried.
    pub(crate) fn blank(&self, parcel: &Parcel) -> Send {
        Send {
            message_id: parcel.id.to_string(),
            tenant: self.line.tenant.to_string(),
            conversation: parcel.pair.to_string(),
            session: self.line.session.to_string(),
            message_seq: parcel.message_seq,
            ..Send::default()
        }
    }

    /// The template that can take the place of a message.
    pub(crate) fn fallback_of(&self, parcel: &Parcel) -> Option<bytes::Bytes> {
        if self.line.kind() != ChannelKind::WhatsappCloud {
            return None;
        }
        let given = Some(&parcel.message.fallback).filter(|fallback| !fallback.is_empty());
        given.or(self.line.fallback.as_ref()).cloned()
    }

    /// Reads how a message stands.
    pub(crate) async fn refresh(&self, parcel: &mut Parcel) -> Result<(), SendsError> {
        let found = self.sends.get(&self.line.tenant, &self.line.session, &parcel.id).await?;
        parcel.record = Some(found.unwrap_or_else(|| Record::none(self.blank(parcel))));
        parcel.fresh = false;
        Ok(())
    }

    /// Writes once, over what is known.
    pub(crate) async fn put(&self, parcel: &mut Parcel, send: Send) -> Result<(), SendsError> {
        let record = parcel.record.clone().unwrap_or_else(|| Record::none(self.blank(parcel)));
        let (tenant, session) = (&self.line.tenant, &self.line.session);
        parcel.record = Some(self.sends.put(tenant, session, &parcel.id, (&record, send)).await?);
        Ok(())
    }

    /// Writes what became of an attempt, over an attempt only: whatever somebody else has learned meanwhile stays.
    pub(crate) async fn write(&self, parcel: &mut Parcel, send: Send) -> Written {
        let mut until = None;
        loop {
            match self.put(parcel, send.clone()).await {
                Ok(()) => return Written::Ours,
                Err(error) => tracing::debug!(%error, "a send was not written; looking at it"),
            }
            if self.refresh(parcel).await.is_ok() {
                let found = parcel.record.as_ref().map(|record| &record.send);
                if found == Some(&send) {
                    return Written::Ours;
                }
                let open = [SendState::Sending, SendState::Uncertain];
                if found.is_none_or(|found| !open.contains(&found.state())) {
                    return Written::Theirs;
                }
            }
            if !self.may_insist(&mut until).await {
                return Written::GaveUp;
            }
        }
    }

    /// Tells everybody how a message stands; `false` if the broker was away until the time was up.
    pub(crate) async fn tell(
        &self,
        parcel: &Parcel,
        (status, attempt): (Status, u32),
        provider_id: &str,
        error: Option<&ProviderError>,
    ) -> bool {
        let mut until = None;
        loop {
            let told = Told {
                message: &parcel.message,
                id: parcel.id,
                channel: Some(self.line.channel.clone()),
                status,
                attempt,
                provider_id: provider_id.to_owned(),
                errors: error.cloned().into_iter().collect(),
            };
            match tell::status(&self.line.bus, (&self.line.tenant, &parcel.pair), told, parcel.trace).await {
                Ok(()) => return true,
                Err(error) => tracing::debug!(%error, "a status was not published; trying again"),
            }
            if !self.may_insist(&mut until).await {
                return false;
            }
        }
    }

    /// Puts a message among the dead letters, unacknowledged; `false` if the broker was away until the time was up.
    pub(crate) async fn copy_to_dead_letters(
        &self,
        delivery: &Delivery,
        reason: &'static str,
        error: &impl Display,
    ) -> bool {
        let text = error.to_string();
        let cause = Cause { service: PART, reason, first_error: &text, last_error: &text };
        let mut until = None;
        loop {
            match consume::copy_to_dead_letters(&self.line.bus, delivery, &cause).await {
                Ok(()) => return true,
                Err(error) => tracing::debug!(%error, "a dead letter was not stored; trying again"),
            }
            if !self.may_insist(&mut until).await {
                return false;
            }
        }
    }

    /// Leaves a message with the broker until it is due.
    pub(crate) async fn schedule(&self, parcel: &Parcel, priority: Priority, at_ms: i64) -> bool {
        let (tenant, session) = (&self.line.tenant, &self.line.session);
        let mut until = None;
        loop {
            let due = Due {
                later: subject::sends_later(tenant, session, &parcel.id),
                target: subject::sends_due(tenant, session, priority, &parcel.pair),
                at_ms,
                id: format!("{}:later:{at_ms}", parcel.id),
            };
            let headers = later::headers_of(&parcel.message.id, parcel.message_seq);
            match later::schedule(&self.line.bus, due, parcel.delivery.payload().clone(), headers).await {
                Ok(()) => return true,
                Err(error) => tracing::debug!(%error, "a message was not scheduled; trying again"),
            }
            if !self.may_insist(&mut until).await {
                return false;
            }
        }
    }

    /// Waits a little; `false` once that has been done for too long after the session was lost.
    async fn may_insist(&self, until: &mut Option<Instant>) -> bool {
        if self.line.stop.is_cancelled() {
            let until = until.get_or_insert_with(|| Instant::now() + LAST_WORD_MAX);
            if Instant::now() >= *until {
                return false;
            }
        }
        tokio::time::sleep(AGAIN_PAUSE).await;
        true
    }
}

/// A `Send` in another state, changed now.
pub(crate) fn changed(send: &Send, state: SendState) -> Send {
    Send { state: state.into(), changed_at_ms: clock::now_ms(), ..send.clone() }
}
