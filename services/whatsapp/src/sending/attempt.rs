//! One attempt: written down before a byte leaves, and resolved after.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use chasqui_kit::clock;
use chasqui_proto::v1::{ChannelKind, MessageType, Priority, ProviderError, Send, SendState, Status};
use futures::FutureExt;
use rand::Rng;

use super::{
    conclusion,
    hand::{Hand, changed},
    meter,
    parcel::Parcel,
};
use crate::{
    connector::{Outcome, Outgoing},
    outbox::{self, Case, Effect, Step},
    pace::pair::Trip,
    sends::{Record, SendsError},
    verdict, window,
};

/// How often a message is looked at again when others change how it stands at the same moment.
const LOOKS_MAX: u32 = 5;
/// How old a claim may be when the bytes are written: whoever finds one that is older than its owner's lease takes it
/// for an attempt that ended, and in the end for one that failed.
const CLAIM_AGE_MAX: Duration = Duration::from_secs(1);
/// How often a claim is written anew before the message is looked at again.
const CLAIMS_MAX: u32 = 10;
/// The pause before a message that could not be looked at is taken up again.
const LOOK_PAUSE: Duration = Duration::from_secs(1);

/// What the desk gives with a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chance {
    pub(crate) priority: Priority,
    pub(crate) probing: bool,
    pub(crate) pair_pause: Option<Duration>,
}

/// Where an attempt left its message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// Acknowledged, or the next owner's.
    Done,
    /// Back into its lane, not before this.
    Again(Instant),
    /// The provider's word is waited for.
    Uncertain,
}

/// What the desk gets back.
#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) parcel: Box<Parcel>,
    pub(crate) priority: Priority,
    pub(crate) end: End,
    pub(crate) effect: Option<Effect>,
    /// Where its bytes may have reached the provider.
    pub(crate) trip: Option<Trip>,
    /// It held its lane.
    pub(crate) was_attempt: bool,
}

/// Sends a message, unless that was done or is not to be done.
pub(crate) async fn attempt(hand: Arc<Hand>, mut parcel: Box<Parcel>, chance: Chance) -> Report {
    let (end, made) = hand.attempt(&mut parcel, chance).await;
    let (effect, trip) = made.map_or((None, None), |made| (Some(made.effect), made.trip));
    Report { parcel, priority: chance.priority, end, effect, trip, was_attempt: true }
}

/// Leaves a message with the broker until it is due.
pub(crate) async fn defer(hand: Arc<Hand>, parcel: Box<Parcel>, priority: Priority, at_ms: i64) -> Report {
    if hand.schedule(&parcel, priority, at_ms).await {
        parcel.delivery.done().await;
    }
    Report { parcel, priority, end: End::Done, effect: None, trip: None, was_attempt: false }
}

/// Looks whether a message is uncertain still. Nothing is sent.
pub(crate) async fn look(hand: Arc<Hand>, mut parcel: Box<Parcel>, priority: Priority) -> Report {
    (parcel.fresh, parcel.record) = (false, None);
    let end = match hand.look(&mut parcel, priority).await {
        Look::Ended(end) => end,
        Look::Attempt | Look::Overtaken => End::Again(Instant::now()),
    };
    // What cannot be looked at is as uncertain as before.
    let known = parcel.record.as_ref().map(|record| record.send.state());
    let end = if known.is_none() { End::Uncertain } else { end };
    Report { parcel, priority, end, effect: None, trip: None, was_attempt: false }
}

/// An attempt that was made.
struct Made {
    effect: Effect,
    trip: Option<Trip>,
}

enum Look {
    Attempt,
    Overtaken,
    Ended(End),
}

impl Hand {
    async fn attempt(&self, parcel: &mut Parcel, chance: Chance) -> (End, Option<Made>) {
        for _ in 0..LOOKS_MAX {
            match self.look(parcel, chance.priority).await {
                Look::Ended(end) => return (end, None),
                Look::Overtaken => continue,
                Look::Attempt => {}
            }
            let mut send =
                parcel.record.as_ref().map_or_else(|| self.blank(parcel), |record| record.send.clone());
            if let Some(error) = self.refusal(parcel, &mut send).await {
                // Nobody is told that it failed before it is known that nobody has sent it.
                if parcel.fresh {
                    (parcel.fresh, parcel.record) = (false, None);
                    continue;
                }
                return (self.fail(parcel, send, (error, None)).await, None);
            }
            let outgoing = self.outgoing(parcel, &send).await;
            // A claim of our own that was written after all is counted already.
            let attempts = send.attempts + u32::from(send.state() != SendState::Sending);
            send = Send { owner: self.line.node.to_string(), attempts, ..send };
            match self.claim(parcel, &mut send).await {
                Ok(()) => return self.send(parcel, (send, outgoing), chance).await,
                Err(SendsError::Overtaken) => (parcel.fresh, parcel.record) = (false, None),
                Err(SendsError::Away(error)) => {
                    tracing::debug!(error, "an attempt was not written down and not made");
                    break;
                }
            }
        }
        (parcel.fresh, parcel.record) = (false, None);
        (End::Again(Instant::now() + LOOK_PAUSE), None)
    }

    /// What is to be done with a message, after whatever else it needs was done.
    async fn look(&self, parcel: &mut Parcel, priority: Priority) -> Look {
        if parcel.record.is_none() {
            if parcel.fresh {
                parcel.record = Some(Record::none(self.blank(parcel)));
            } else if let Err(error) = self.refresh(parcel).await {
                tracing::debug!(%error, "how a message stands is not known; looking again");
                return Look::Ended(End::Again(Instant::now() + LOOK_PAUSE));
            }
        }
        let send = parcel.record.as_ref().map(|record| record.send.clone()).unwrap_or_default();
        // It was written after all, and no byte left.
        if send.state() == SendState::Sending && parcel.claim.as_ref() == Some(&send) {
            return Look::Attempt;
        }
        match outbox::step(&send, clock::now_ms(), self.settings.uncertain_wait) {
            Step::Attempt => Look::Attempt,
            Step::Wait(at_ms) => Look::Ended(self.wait(parcel, priority, at_ms).await),
            Step::Uncertain => Look::Ended(End::Uncertain),
            Step::Doubt => self.doubt(parcel, &send).await,
            Step::Overdue if self.settings.uncertain_resend => {
                match self.put(parcel, changed(&send, SendState::Waiting)).await {
                    Ok(()) => Look::Ended(End::Again(Instant::now())),
                    Err(_) => Look::Ended(End::Uncertain),
                }
            }
            Step::Overdue => {
                let error = error_of("uncertain", "whether the provider took it stayed unknown");
                Look::Ended(self.fail(parcel, send, (error, Some("uncertain"))).await)
            }
            Step::Settled if send.state() == SendState::Failed && parcel.is_replayed(&send) => {
                let record = parcel.record.as_mut().expect("it was just read");
                record.send = Send { attempts: 0, error: None, ..changed(&send, SendState::Waiting) };
                Look::Attempt
            }
            Step::Settled => {
                parcel.delivery.done().await;
                Look::Ended(End::Done)
            }
        }
    }

    /// Somebody began to send it and was not heard of again.
    async fn doubt(&self, parcel: &mut Parcel, send: &Send) -> Look {
        if !self.tell(parcel, (Status::Uncertain, send.attempts), "", None).await {
            return Look::Ended(End::Done);
        }
        match self.put(parcel, changed(send, SendState::Uncertain)).await {
            Ok(()) => Look::Ended(End::Uncertain),
            Err(SendsError::Overtaken) => {
                (parcel.fresh, parcel.record) = (false, None);
                Look::Overtaken
            }
            Err(SendsError::Away(_)) => Look::Ended(End::Again(Instant::now() + LOOK_PAUSE)),
        }
    }

    /// Why it is not sent at all; puts the fallback in its place where that is already known to be needed.
    async fn refusal(&self, parcel: &Parcel, send: &mut Send) -> Option<ProviderError> {
        let now_ms = clock::now_ms();
        if outbox::has_expired(&parcel.message, now_ms) {
            return Some(error_of("expired", "its sender wanted it to be sent earlier"));
        }
        let is_free = self.line.kind() == ChannelKind::WhatsappCloud
            && parcel.message.r#type() != MessageType::Template
            && !send.fallback;
        if !is_free {
            return None;
        }
        // A bucket that cannot be asked leaves it to the provider.
        let asked = self.windows.get(&self.line.tenant, &self.line.session, &parcel.pair).await;
        let closed = asked.ok().flatten().is_some_and(|known| !window::is_open(known.last_in_at_ms, now_ms));
        if closed && self.fallback_of(parcel).is_none() {
            let error = ProviderError {
                code: 131_047,
                title: "Re-engagement message".to_owned(),
                message: "the contact wrote more than 24 hours ago: only a template may be sent".to_owned(),
                ..ProviderError::default()
            };
            return Some(error);
        }
        if closed {
            send.fallback = true;
            meter::fallback();
        }
        None
    }

    /// Writes down that its bytes may be written at any moment, and waits until they may. A claim that has grown old is
    /// written anew: a process that was paused meanwhile may have been taken for dead, and its session be another's.
    pub(super) async fn claim(&self, parcel: &mut Parcel, send: &mut Send) -> Result<(), SendsError> {
        for _ in 0..CLAIMS_MAX {
            let asked = Instant::now();
            *send = changed(send, SendState::Sending);
            parcel.claim = Some(send.clone());
            self.put(parcel, send.clone()).await?;
            // Only now: what waits for a slow broker would else go all at once when it answers.
            let turn = self.gate.turn().await;
            if asked.elapsed() <= CLAIM_AGE_MAX {
                turn.take();
                return Ok(());
            }
        }
        Err(SendsError::Away("it takes too long to write claims down".to_owned()))
    }

    /// The message with what it needs.
    async fn outgoing(&self, parcel: &Parcel, send: &Send) -> Outgoing {
        Outgoing {
            message: parcel.message.clone(),
            answers: self.answers(parcel).await,
            instead: self.fallback_of(parcel).filter(|_| send.fallback),
        }
    }

    async fn send(
        &self,
        parcel: &mut Parcel,
        (send, outgoing): (Send, Outgoing),
        chance: Chance,
    ) -> (End, Option<Made>) {
        if self.line.stop.is_cancelled() {
            // No byte left, so nobody has to wonder.
            let _ = self
                .put(parcel, Send { attempts: send.attempts - 1, ..changed(&send, SendState::Waiting) })
                .await;
            return (End::Done, None);
        }
        // From here on it is no longer known that no byte left.
        parcel.claim = None;
        let written = Instant::now();
        let answer = AssertUnwindSafe(self.line.connector.send(&outgoing)).catch_unwind();
        let wait = self.settings.send_wait.saturating_add(self.line.connector.preparation_max(&outgoing));
        let outcome = match tokio::time::timeout(wait, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Outcome::Unknown("the connector failed".to_owned()),
            Err(_) => Outcome::Unknown("the provider did not answer in time".to_owned()),
        };
        let has_trip = !matches!(outcome, Outcome::NotWritten(_));
        let trip = has_trip.then(|| Trip { written, answered: Instant::now() });
        let class = class_of(&outcome);
        let case = Case {
            send: &send,
            priority: chance.priority,
            has_fallback: self.fallback_of(parcel).is_some() && !send.fallback,
            probing: chance.probing,
            pair_pause: chance.pair_pause,
            jitter: rand::rng().random(),
            attempts_max: self.settings.attempts_max,
            retry_pause: self.settings.retry_pause,
            campaign_pause: self.settings.campaign_pause,
        };
        let (next, effect) = outbox::after(&case, outcome);
        meter::attempt(conclusion::result_of(&next), class, chance.priority);
        (self.conclude(parcel, chance.priority, (send, next)).await, Some(Made { effect, trip }))
    }

    /// The provider's id of what the message answers.
    async fn answers(&self, parcel: &Parcel) -> Option<String> {
        let context = parcel.message.context.as_ref()?;
        if !context.provider_message_id.is_empty() {
            return Some(context.provider_message_id.clone());
        }
        let id = context.message_id.parse().ok()?;
        let (tenant, session) = (&self.line.tenant, &self.line.session);
        // One of ours, or the contact's newest.
        let ours =
            self.sends.get(tenant, session, &id).await.ok().flatten().map(|record| record.send.provider_id);
        if let Some(provider_id) = ours.filter(|id| !id.is_empty()) {
            return Some(provider_id);
        }
        let newest = self.windows.get(tenant, session, &parcel.pair).await.ok().flatten()?;
        (newest.message_id == context.message_id).then_some(newest.provider_message_id)
    }
}

fn error_of(title: &str, message: &str) -> ProviderError {
    ProviderError { title: title.to_owned(), message: message.to_owned(), ..ProviderError::default() }
}

fn class_of(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted { .. } => "accepted",
        Outcome::Refused { error, http_status, .. } => verdict::of(error.code, *http_status).name(),
        Outcome::NotWritten(_) => "unreachable",
        Outcome::Unknown(_) => "no_answer",
    }
}
