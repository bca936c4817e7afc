//! The number and the provider behind it: reads what is to be sent, sends each message once, and says what became of it.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::Result;
use async_nats::jetstream::consumer::{DeliverPolicy, pull};
use chasqui_kit::{Bus, Code, Coded, clock, serve::Responder};
use chasqui_proto::{
    service::{SESSIONS_GET, WHATSAPP},
    stream, subject,
    v1::{GetSession, Message, MessageStatus, ProviderError, RecipientState, Session, SessionStatus},
};
use futures::StreamExt;
use prost::Message as _;
use tokio::task::JoinHandle;
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::office::Office;

pub(crate) const NUMBER: &str = "100000000000001";

/// The number, and what it sent.
#[derive(Clone, Default)]
pub(crate) struct Outside(Arc<Mutex<Seen>>);

pub(crate) struct Seen {
    pub(crate) session: Session,
    /// How many a second are sent; `None` is all of them at once, 0 is none.
    pub(crate) per_second: Option<u32>,
    /// What becomes of a message, by the last digits of its contact; else it is sent.
    pub(crate) outcomes: HashMap<String, RecipientState>,
    /// What was sent, in order.
    pub(crate) sent: Vec<Message>,
    /// When, unix milliseconds.
    pub(crate) sent_at_ms: Vec<i64>,
    /// Messages that the stream has more than once, under whatever position.
    pub(crate) repeated: usize,
    /// What had expired when its turn came.
    pub(crate) expired: Vec<Message>,
    /// What failed before it was sent.
    pub(crate) refused: Vec<MessageStatus>,
    ids: HashSet<String>,
}

impl Default for Seen {
    fn default() -> Self {
        let session = Session {
            id: NUMBER.to_owned(),
            status: SessionStatus::Connected.into(),
            version: 1,
            ..Session::default()
        };
        Self {
            session,
            per_second: None,
            outcomes: HashMap::new(),
            sent: Vec::new(),
            sent_at_ms: Vec::new(),
            repeated: 0,
            expired: Vec::new(),
            refused: Vec::new(),
            ids: HashSet::new(),
        }
    }
}

#[derive(Debug, thiserror::Error)]
#[error("there is no session {0}")]
pub(crate) struct NoSession(String);

impl Coded for NoSession {
    fn code(&self) -> Code {
        Code::NotFound
    }
}

/// While the number's service answers.
pub(crate) struct Answering {
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Answering {
    pub(crate) async fn close(self) -> Result<()> {
        self.stop.cancel();
        Ok(self.task.await?)
    }
}

impl Outside {
    /// What was seen, or what the number is to do.
    pub(crate) fn look<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Begins to say how the number stands.
    pub(crate) async fn open(&self, bus: &Bus) -> Result<Answering> {
        let stop = CancellationToken::new();
        let responder = Responder::start(bus, WHATSAPP, "the number of the test", stop.clone()).await?;
        let outside = self.clone();
        let answer = move |question: GetSession, _| {
            let session = outside.look(|seen| seen.session.clone());
            async move { if question.session == NUMBER { Ok(session) } else { Err(NoSession(question.session)) } }
        };
        responder.endpoint(SESSIONS_GET, answer).await?;
        bus.barrier().await?;
        Ok(Answering { stop, task: tokio::spawn(responder.stopped()) })
    }

    /// Stores what the stream has, and sends it, for as long as this is kept.
    pub(crate) fn read(&self, bus: &Bus, office: &Office) -> AbortOnDropHandle<()> {
        let (this, bus, office) = (self.clone(), bus.clone(), office.clone());
        let (due, turns) = tokio::sync::mpsc::unbounded_channel();
        let sending = this.clone().send(turns, office.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let reading = async {
                let mut from = 1;
                loop {
                    // The broker may be away, and comes again.
                    let _ = this.read_from(&bus, &office, &mut from, &due).await;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::join!(reading, sending);
        }))
    }

    async fn read_from(
        &self,
        bus: &Bus,
        office: &Office,
        from: &mut u64,
        due: &tokio::sync::mpsc::UnboundedSender<Message>,
    ) -> Result<()> {
        let stream = bus.jetstream().get_stream(stream::MESSAGES.name).await?;
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: *from },
            ..pull::OrderedConfig::default()
        };
        let mut messages = stream.create_consumer(config).await?.messages().await?;
        while let Some(delivery) = messages.next().await {
            let delivery = delivery?;
            *from = delivery.info().map_err(|error| anyhow::anyhow!("{error}"))?.stream_sequence + 1;
            let parts = subject::parse(&delivery.subject).expect("it is a subject of ours");
            if parts.fact == "status" {
                let status = MessageStatus::decode(delivery.payload.clone())?;
                self.look(|seen| seen.refused.push(status));
                continue;
            }
            let message = Message::decode(delivery.payload.clone())?;
            office.of_message(&message.id, |kept, _| kept.store(&message.id));
            if self.look(|seen| seen.ids.insert(message.id.clone())) {
                let _ = due.send(message);
            } else {
                self.look(|seen| seen.repeated += 1);
            }
        }
        Ok(())
    }

    async fn send(self, mut turns: tokio::sync::mpsc::UnboundedReceiver<Message>, office: Office) {
        while let Some(message) = turns.recv().await {
            while let Some(per_second) = self.look(|seen| seen.per_second) {
                if per_second > 0 {
                    tokio::time::sleep(Duration::from_secs(1) / per_second).await;
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let (state, error) = self.outcome(message.clone());
            office.of_message(&message.id, |kept, line| kept.raise(line, state, error));
        }
    }

    fn outcome(&self, message: Message) -> (RecipientState, Option<ProviderError>) {
        let now_ms = clock::now_ms();
        let error = |title: &str| ProviderError { title: title.to_owned(), ..ProviderError::default() };
        self.look(|seen| {
            let refusal = seen.refused.iter().find(|status| status.message_id == message.id);
            let refusal = refusal.map(|status| status.errors[0].clone());
            if (1..=now_ms).contains(&message.expires_at_ms) {
                seen.expired.push(message);
                return (RecipientState::Failed, Some(refusal.unwrap_or_else(|| error("expired"))));
            }
            let state = seen.outcomes.iter().find(|(end, _)| message.conversation.ends_with(end.as_str()));
            let state = state.map_or(RecipientState::Sent, |(_, state)| *state);
            seen.sent.push(message);
            seen.sent_at_ms.push(now_ms);
            (state, (state == RecipientState::Failed).then(|| error("Message undeliverable")))
        })
    }
}
