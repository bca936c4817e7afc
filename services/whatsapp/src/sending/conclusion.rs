//! What becomes of a message, told and written down.

use std::time::{Duration, Instant};

use chasqui_kit::clock;
use chasqui_proto::v1::{Priority, ProviderError, Send, SendState, Status};

use super::{
    attempt::End,
    hand::{Hand, Written, changed},
    meter,
    parcel::Parcel,
};
use crate::outbox::{self, Next};

impl Hand {
    /// Tells, writes, and only then acknowledges: what is unacknowledged is unresolved.
    pub(super) async fn conclude(
        &self,
        parcel: &mut Parcel,
        priority: Priority,
        (send, next): (Send, Next),
    ) -> End {
        match next {
            Next::Accepted { provider_id } => {
                if !self.tell(parcel, (Status::Accepted, send.attempts), &provider_id, None).await {
                    return End::Done;
                }
                meter::accepted(&parcel.message, priority);
                let send = Send { provider_id, error: None, ..changed(&send, SendState::Accepted) };
                self.finish(parcel, send).await
            }
            Next::Uncertain { cause } => {
                tracing::warn!(session = %self.line.session, message = %parcel.id, cause, "whether a message was sent is unknown");
                if !self.tell(parcel, (Status::Uncertain, send.attempts), "", None).await {
                    return End::Done;
                }
                match self.write(parcel, changed(&send, SendState::Uncertain)).await {
                    Written::Ours => End::Uncertain,
                    Written::Theirs => End::Again(Instant::now()),
                    Written::GaveUp => End::Done,
                }
            }
            Next::Failed { error, dead } => self.fail(parcel, send, (error, dead)).await,
            Next::Fallback { error } => {
                meter::fallback();
                let send = Send {
                    fallback: true,
                    error: Some(error),
                    attempts: send.attempts - 1,
                    next_at_ms: 0,
                    ..changed(&send, SendState::Waiting)
                };
                self.write(parcel, send).await;
                End::Again(Instant::now())
            }
            Next::Again(again) => {
                let at_ms = clock::now_ms()
                    .saturating_add(i64::try_from(again.pause.as_millis()).unwrap_or(i64::MAX));
                // It would wait only to expire, and the provider's word on it would be lost.
                if !again.with_owner && outbox::has_expired(&parcel.message, at_ms) {
                    return self.fail(parcel, send, (again.error, None)).await;
                }
                let send = Send {
                    next_at_ms: at_ms,
                    attempts: send.attempts - u32::from(!again.counted),
                    error: Some(again.error),
                    ..changed(&send, SendState::Waiting)
                };
                let written = self.write(parcel, send.clone()).await;
                if written == Written::Ours && !again.with_owner {
                    return self.wait(parcel, priority, at_ms).await;
                }
                End::Again(Instant::now() + again.pause)
            }
        }
    }

    /// Lets a message wait: a short time here, a long one with the broker.
    pub(super) async fn wait(&self, parcel: &Parcel, priority: Priority, at_ms: i64) -> End {
        let pause = Duration::from_millis(u64::try_from(at_ms - clock::now_ms()).unwrap_or(0));
        if pause <= self.settings.later_after {
            return End::Again(Instant::now() + pause);
        }
        if self.schedule(parcel, priority, at_ms).await {
            parcel.delivery.done().await;
        }
        End::Done
    }

    /// Gives a message up.
    pub(super) async fn fail(
        &self,
        parcel: &mut Parcel,
        send: Send,
        (error, dead): (ProviderError, Option<&'static str>),
    ) -> End {
        if !self.tell(parcel, (Status::Failed, send.attempts), "", Some(&error)).await {
            return End::Done;
        }
        let text = format!("{} ({}) {}", error.title, error.code, error.message);
        if let Some(reason) = dead
            && !self.copy_to_dead_letters(&parcel.delivery, reason, &text).await
        {
            return End::Done;
        }
        let send = Send { error: Some(error), ..changed(&send, SendState::Failed) };
        self.finish(parcel, send).await
    }

    async fn finish(&self, parcel: &mut Parcel, send: Send) -> End {
        match self.write(parcel, send).await {
            Written::Ours => {
                parcel.delivery.done().await;
                End::Done
            }
            Written::Theirs => End::Again(Instant::now()),
            Written::GaveUp => End::Done,
        }
    }
}

/// How an attempt ended, for metrics.
pub(super) fn result_of(next: &Next) -> &'static str {
    match next {
        Next::Accepted { .. } => "accepted",
        Next::Uncertain { .. } => "uncertain",
        Next::Failed { .. } => "failed",
        Next::Again(_) => "again",
        Next::Fallback { .. } => "fallback",
    }
}
