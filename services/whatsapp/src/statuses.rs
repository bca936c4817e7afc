//! What providers say later of messages that were sent.

use std::time::Duration;

use chasqui_kit::{
    Bus, TraceContext, clock,
    consume::{ConsumerSpec, Delivery, Start},
};
use chasqui_proto::{
    ConversationToken, MessageId, Tenant,
    stream::{self, MESSAGES},
    subject::{self, NodeToken},
    v1::{
        HaltOwned, HaltTaken, Message, MessageStatus, OwnerRequest, ProviderError, Send, SendState, Status,
        owner_request::What,
    },
};
use prost::Message as _;
use tokio_util::sync::CancellationToken;

use crate::{
    consumer::{self, until_open},
    later::{self, Due},
    outbox::{had, has_expired, reason_of},
    priority,
    sends::{Record, Sends, SendsError},
    verdict::{self, Verdict},
};

/// How often a message is sent at most, whatever the provider says of it later.
const ATTEMPTS_MAX: u32 = 5;
/// What a message waits that the provider gave up after it took it.
const AGAIN_PAUSE_MS: i64 = 10_000;

/// How long an owner may take to hear that its number is refused.
const HALT_WAIT: Duration = Duration::from_secs(2);
/// How old word of that may be: what a provider tells after days says nothing about today. Milliseconds.
const HALT_AGE_MAX_MS: i64 = 15 * 60 * 1000;

/// Resolves what is uncertain, and gives messages another chance that the provider took and then gave up, until
/// stopped. Any number of replicas share the work. `on_read` is told what people of the tenant have read.
pub(crate) async fn follow_statuses(
    bus: Bus,
    has_fallback: bool,
    on_read: impl Fn(MessageStatus),
    stop: CancellationToken,
) {
    let spec = ConsumerSpec {
        stream: MESSAGES,
        name: stream::SEND_STATUS_CONSUMER,
        description: "Tells the owners of WhatsApp numbers what providers say of their messages",
        filters: vec![subject::messages_status_of_all()],
        start: Start::Everything,
        ack_wait: consumer::ACK_WAIT,
        ack_pending_max: consumer::ACK_PENDING_MAX,
    };
    let Some(sends) = until_open(&stop, || Sends::open(&bus)).await else { return };
    let follower = Follower { bus: bus.clone(), sends, has_fallback };
    consumer::follow(&bus, &spec, &stop, |delivery| {
        let (follower, on_read) = (&follower, &on_read);
        async move { follower.hear(delivery, on_read).await }
    })
    .await;
}

struct Follower {
    bus: Bus,
    sends: Sends,
    has_fallback: bool,
}

/// A status and the message it is about.
struct Word {
    status: MessageStatus,
    tenant: Tenant,
    session: NodeToken,
    conversation: ConversationToken,
    id: MessageId,
}

/// What a status means for a message.
#[derive(Debug, PartialEq)]
enum Change {
    None,
    Accepted,
    Failed,
    /// To be sent again at this time, unix milliseconds; the fallback if so.
    Again {
        at_ms: i64,
        fallback: bool,
    },
    /// It is so already; the message may not have been put into the queue.
    AgainAlready {
        at_ms: i64,
    },
}

impl Follower {
    async fn hear(&self, delivery: Delivery, on_read: impl Fn(MessageStatus)) {
        let Ok(status) = MessageStatus::decode(delivery.payload().clone()) else {
            return delivery.done().await;
        };
        if !status.reader_id.is_empty() {
            on_read(status);
            return delivery.done().await;
        }
        let Some(word) = read(status, delivery.subject()) else { return delivery.done().await };
        match self.apply(&word).await {
            Ok(()) => delivery.done().await,
            Err(error) => {
                tracing::debug!(%error, "a status was not applied; it comes again");
                delivery.again(consumer::AGAIN_PAUSE).await;
            }
        }
    }

    async fn apply(&self, word: &Word) -> Result<(), SendsError> {
        let found = self.sends.get(&word.tenant, &word.session, &word.id).await?;
        let Some(record) = found else { return Ok(()) };
        // Whether there is a fallback is known with the message; it is fetched only where it matters.
        let message = if record.send.state() == SendState::Accepted && word.status.status() == Status::Failed
        {
            self.message(&record.send).await?
        } else {
            None
        };
        let given = message.as_ref().is_some_and(|message| !message.fallback.is_empty());
        let change = match change(&record.send, &word.status, self.has_fallback || given, clock::now_ms()) {
            // It would wait only to expire.
            Change::Again { at_ms, .. }
                if message.as_ref().is_some_and(|message| has_expired(message, at_ms)) =>
            {
                Change::Failed
            }
            change => change,
        };
        if word.status.status() == Status::Failed && change != Change::None {
            let code = word.status.errors.first().map_or(0, |error| error.code);
            let class = verdict::of(code, 0).name();
            metrics::counter!("chasqui_whatsapp_given_up_total", "class" => class).increment(1);
        }
        match change {
            Change::None => Ok(()),
            Change::Accepted => self.write(word, &record, SendState::Accepted, None).await,
            Change::Failed => {
                if let Some(halt) = halt_of(&word.status, clock::now_ms()) {
                    self.tell_owner(word, halt).await;
                }
                self.write(word, &record, SendState::Failed, None).await
            }
            Change::Again { at_ms, fallback } => {
                let queued = record.send.state() != SendState::Accepted;
                if !queued && message.is_none() {
                    return self.write(word, &record, SendState::Failed, None).await;
                }
                self.write(word, &record, SendState::Waiting, Some((at_ms, fallback))).await?;
                // The owner still holds what it was uncertain about.
                if queued { Ok(()) } else { self.queue(word, &record.send, message, at_ms).await }
            }
            Change::AgainAlready { at_ms } => {
                let message = self.message(&record.send).await?;
                self.queue(word, &record.send, message, at_ms).await
            }
        }
    }

    /// Has the owner do as if the next message had been refused like this one. Where there is no owner nothing is sent,
    /// and the next one is refused soon enough.
    async fn tell_owner(&self, word: &Word, halt: HaltOwned) {
        let subject = subject::whatsapp_owner(&word.tenant, &word.session);
        let request = OwnerRequest { what: Some(What::Halt(halt)) };
        let trace = TraceContext::root();
        let told = self.bus.ask_subject::<_, HaltTaken>(subject.as_str(), &request, trace, HALT_WAIT).await;
        if let Err(error) = told {
            tracing::warn!(%error, session = %word.session, "the owner of a number was not told that it is refused");
        }
    }

    async fn write(
        &self,
        word: &Word,
        record: &Record,
        state: SendState,
        again: Option<(i64, bool)>,
    ) -> Result<(), SendsError> {
        let (next_at_ms, fallback) = again.unwrap_or((0, record.send.fallback));
        let error = word.status.errors.first().cloned().or_else(|| record.send.error.clone());
        let provider_id = if word.status.provider_message_id.is_empty() {
            record.send.provider_id.clone()
        } else {
            word.status.provider_message_id.clone()
        };
        let send = Send {
            state: state.into(),
            changed_at_ms: clock::now_ms(),
            next_at_ms,
            provider_id,
            error,
            fallback,
            ..record.send.clone()
        };
        self.sends.put(&word.tenant, &word.session, &word.id, (record, send)).await?;
        Ok(())
    }

    /// The message as its sender published it; `None` where it is gone or its place is not known.
    async fn message(&self, send: &Send) -> Result<Option<Message>, SendsError> {
        use async_nats::jetstream::stream::RawMessageErrorKind;
        if send.message_seq == 0 {
            return Ok(None);
        }
        let away = |error: &dyn std::fmt::Display| SendsError::Away(error.to_string());
        let stream = self.bus.jetstream().get_stream_no_info(MESSAGES.name).await;
        let stream = stream.map_err(|error| away(&error))?;
        match stream.get_raw_message(send.message_seq).await {
            Ok(found) => {
                Ok(Message::decode(found.payload).ok().filter(|message| message.id == send.message_id))
            }
            Err(error) if error.kind() == RawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(away(&error)),
        }
    }

    async fn queue(
        &self,
        word: &Word,
        send: &Send,
        message: Option<Message>,
        at_ms: i64,
    ) -> Result<(), SendsError> {
        let Some(message) = message else { return Ok(()) };
        let target =
            subject::sends_due(&word.tenant, &word.session, priority::of(&message), &word.conversation);
        let due = Due {
            later: subject::sends_later(&word.tenant, &word.session, &word.id),
            target,
            at_ms,
            // The same for whoever repeats this status, another for the next attempt.
            id: format!("{}:given-up:{}", word.id, send.attempts),
        };
        let payload = message.encode_to_vec().into();
        let headers = later::headers_of(&message.id, send.message_seq);
        later::schedule(&self.bus, due, payload, headers)
            .await
            .map_err(|error| SendsError::Away(error.to_string()))
    }
}

/// A provider's word on a message of ours. What owners of numbers publish themselves carries no provider's id, or
/// says only that the message was accepted; what readers publish names a reader.
fn read(status: MessageStatus, name: &str) -> Option<Word> {
    let is_word = matches!(
        status.status(),
        Status::Sent | Status::Delivered | Status::Read | Status::Played | Status::Failed
    );
    if !is_word || status.provider_message_id.is_empty() {
        return None;
    }
    let parts = subject::parse(name)?;
    Some(Word {
        tenant: parts.tenant.parse().ok()?,
        session: NodeToken::new(&status.channel.as_ref()?.id),
        conversation: parts.key.parse().ok()?,
        id: status.message_id.parse().ok()?,
        status,
    })
}

fn change(send: &Send, status: &MessageStatus, has_fallback: bool, now_ms: i64) -> Change {
    if status.status() != Status::Failed {
        return match send.state() {
            SendState::Sending | SendState::Uncertain => Change::Accepted,
            _ => Change::None,
        };
    }
    let error = status.errors.first().cloned().unwrap_or_default();
    match send.state() {
        SendState::Sending | SendState::Uncertain | SendState::Accepted => {
            // An older message of the provider that an attempt before this one was.
            let stale = !send.provider_id.is_empty() && send.provider_id != status.provider_message_id;
            if stale { Change::None } else { given_up(send, &error, has_fallback, now_ms) }
        }
        // Somebody began to apply this very status.
        SendState::Waiting if had(send, error.code) && send.provider_id == status.provider_message_id => {
            Change::AgainAlready { at_ms: send.next_at_ms }
        }
        _ => Change::None,
    }
}

/// What becomes of a message that the provider took and gave up.
fn given_up(send: &Send, error: &ProviderError, has_fallback: bool, now_ms: i64) -> Change {
    let again = |pause_ms, fallback| Change::Again { at_ms: now_ms + pause_ms, fallback };
    if send.attempts >= ATTEMPTS_MAX {
        return Change::Failed;
    }
    match verdict::of(error.code, 0) {
        Verdict::NeedsTemplate if has_fallback && !send.fallback => again(0, true),
        Verdict::Later(pause) if !had(send, error.code) => {
            again(i64::try_from(pause.as_millis()).unwrap_or(i64::MAX), send.fallback)
        }
        Verdict::Retry { .. } | Verdict::ThrottleNumber(_) | Verdict::ThrottlePair
            if !had(send, error.code) =>
        {
            again(AGAIN_PAUSE_MS, send.fallback)
        }
        _ => Change::Failed,
    }
}

/// What a message that was given up means for all others of its session.
fn halt_of(status: &MessageStatus, now_ms: i64) -> Option<HaltOwned> {
    let error = status.errors.first()?;
    let campaigns = match verdict::of(error.code, 0) {
        Verdict::StopNumber => false,
        Verdict::StopCampaigns => true,
        _ => return None,
    };
    let is_news = status.occurred_at_ms == 0 || now_ms - status.occurred_at_ms <= HALT_AGE_MAX_MS;
    is_news.then(|| HaltOwned { campaigns, reason: reason_of(error) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(state: SendState, status: Status, code: i64, expected: &Change) {
        let send = Send { state: state.into(), attempts: 1, ..Send::default() };
        let errors = vec![ProviderError { code, ..ProviderError::default() }];
        let status = MessageStatus { status: status.into(), errors, ..MessageStatus::default() };
        assert_eq!(&change(&send, &status, true, 1_000), expected, "{state:?} {code}");
    }

    #[test]
    fn a_refusal_of_the_whole_number_is_told_to_its_owner_while_it_is_news() {
        let halt = |code, age_ms| {
            let error = ProviderError { code, title: "t".to_owned(), ..ProviderError::default() };
            let occurred_at_ms = 1_000_000_000 - age_ms;
            let status = MessageStatus { errors: vec![error], occurred_at_ms, ..MessageStatus::default() };
            halt_of(&status, 1_000_000_000).map(|halt| (halt.campaigns, halt.reason))
        };
        for code in [190, 10, 200, 368, 131_031, 131_042, 131_045] {
            assert_eq!(halt(code, 0), Some((false, format!("t ({code})"))));
        }
        for code in [130_497, 131_048, 131_064, 132_015, 132_016] {
            assert_eq!(halt(code, HALT_AGE_MAX_MS), Some((true, format!("t ({code})"))));
            assert_eq!(halt(code, HALT_AGE_MAX_MS + 1), None);
        }
        for code in [131_026, 131_049, 131_050, 131_056, 0] {
            assert_eq!(halt(code, 0), None, "{code}");
        }
    }

    #[test]
    fn the_providers_word_resolves_what_is_uncertain() {
        check(SendState::Uncertain, Status::Sent, 0, &Change::Accepted);
        check(SendState::Sending, Status::Delivered, 0, &Change::Accepted);
        check(SendState::Uncertain, Status::Failed, 131_026, &Change::Failed);
        check(SendState::Accepted, Status::Read, 0, &Change::None);
        check(SendState::Failed, Status::Failed, 131_026, &Change::None);
    }

    #[test]
    fn what_the_provider_took_and_gave_up_is_treated_once_as_if_it_had_been_refused() {
        let day: i64 = 24 * 3600 * 1000;
        let again = |pause: i64, fallback| Change::Again { at_ms: 1_000 + pause, fallback };
        check(SendState::Accepted, Status::Failed, 131_049, &again(day, false));
        check(SendState::Accepted, Status::Failed, 131_047, &again(0, true));
        check(SendState::Accepted, Status::Failed, 131_000, &again(10_000, false));
        check(SendState::Accepted, Status::Failed, 131_050, &Change::Failed);
        let error = ProviderError { code: 131_049, ..ProviderError::default() };
        let send = Send {
            state: SendState::Accepted.into(),
            attempts: 2,
            error: Some(error.clone()),
            ..Send::default()
        };
        let status =
            MessageStatus { status: Status::Failed.into(), errors: vec![error], ..MessageStatus::default() };
        assert_eq!(change(&send, &status, false, 0), Change::Failed);
    }
}
