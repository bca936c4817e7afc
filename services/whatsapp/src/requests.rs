//! What other services ask of the numbers. Any replica is asked; what only the owner can do is handed to it.

use std::time::Duration;

use chasqui_kit::{Bus, Code, TraceContext, clock::now_ms, request::RequestError, serve::Responder};
use chasqui_media::MediaStore;
use chasqui_proto::{
    service::{MEDIA_FETCH, SESSIONS_CLOSE, SESSIONS_GET, SESSIONS_OPEN, WHATSAPP, WHATSAPP_READ},
    subject,
    v1::{
        CloseOwned, CloseSession, FetchMedia, GetSession, MessageRead, OpenOwned, OpenSession, OwnerRequest,
        ReadMessage, Session, SessionStatus, StoredMedia, owner_request::What,
    },
};
use prost::Message;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error, media,
    sessions::{
        SESSIONS_MAX, SessionKey, Sessions, lives,
        machine::{advance, blank},
        parse_tenant,
        store::{self, WriteError},
    },
};

/// How often a session is tried to be opened while it changes its owner.
const OPEN_ATTEMPTS_MAX: u32 = 5;
/// The pause between two of them.
const OPEN_PAUSE: Duration = Duration::from_millis(300);
/// How long an owner may take to open a session: it only begins to.
const OPEN_WAIT: Duration = Duration::from_secs(3);
/// How long it may take to log a session out, or to tell a contact that its message was read.
const OWNER_WAIT: Duration = Duration::from_secs(15);

/// Asks the owners of sessions. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Requests {
    bus: Bus,
    sessions: Sessions,
    media: MediaStore,
}

impl Requests {
    pub(crate) fn new(bus: &Bus, sessions: &Sessions, media: &MediaStore) -> Self {
        Self { bus: bus.clone(), sessions: sessions.clone(), media: media.clone() }
    }

    /// Answers as the micro service of the numbers.
    pub(crate) async fn answer(&self, stop: CancellationToken) -> Result<Responder, Error> {
        let responder =
            Responder::start(&self.bus, WHATSAPP, "WhatsApp numbers and linked devices", stop).await?;
        let this = self.clone();
        let open = move |question: OpenSession, _| {
            let this = this.clone();
            async move { this.open(&question).await }
        };
        responder.endpoint(SESSIONS_OPEN, open).await?;
        let this = self.clone();
        let close = move |question: CloseSession, _| {
            let this = this.clone();
            async move { this.close(&question).await }
        };
        responder.endpoint(SESSIONS_CLOSE, close).await?;
        let this = self.clone();
        let get = move |question: GetSession, _| {
            let this = this.clone();
            async move { this.get(&question) }
        };
        responder.endpoint(SESSIONS_GET, get).await?;
        let this = self.clone();
        let read = move |question: ReadMessage, trace| {
            let this = this.clone();
            async move { this.read(question, trace).await }
        };
        responder.endpoint(WHATSAPP_READ, read).await?;
        let this = self.clone();
        let fetch = move |question: FetchMedia, trace| {
            let this = this.clone();
            async move { this.fetch(question, trace).await }
        };
        responder.endpoint(MEDIA_FETCH, fetch).await?;
        Ok(responder)
    }

    /// Answers at once: what becomes of the session is told by its state.
    async fn open(&self, question: &OpenSession) -> Result<Session, Error> {
        let key = self.named(&question.tenant, &question.session)?;
        let mut outcome = Err(Error::NoOwner(key.to_string()));
        for attempt in 0..OPEN_ATTEMPTS_MAX {
            if attempt > 0 {
                tokio::time::sleep(OPEN_PAUSE).await;
            }
            outcome = match self.ask(&key, What::Open(OpenOwned {}), TraceContext::root(), OPEN_WAIT).await {
                Err(Error::NoOwner(_)) => self.begin(&key).await,
                // It is changing its owner.
                Err(Error::Owner(RequestError::Refused { code: Code::Unavailable, message })) => {
                    Err(Error::Away(message))
                }
                answer => return answer,
            };
            if outcome.is_ok() {
                return outcome;
            }
        }
        outcome
    }

    /// Makes a session that has no owner want one.
    async fn begin(&self, key: &SessionKey) -> Result<Session, Error> {
        let (stored, seq) = store::read(&self.bus, key).await?;
        if stored.is_none() && self.sessions.is_full() {
            return Err(Error::Full(SESSIONS_MAX));
        }
        let mut session = stored.unwrap_or_else(|| blank(key));
        let is_under_way = match session.status() {
            SessionStatus::Starting | SessionStatus::Connected | SessionStatus::Reconnecting => true,
            SessionStatus::ScanQr => now_ms() < session.qr_expires_at_ms,
            _ => false,
        };
        if is_under_way {
            return Ok(session);
        }
        advance(&mut session, SessionStatus::Starting, "", now_ms());
        let writer = Uuid::now_v7().to_string();
        match store::write(&self.bus, key, &session, seq, &writer).await {
            Ok(seq) => {
                self.sessions.apply(key, session.clone(), seq);
                Ok(session)
            }
            Err(WriteError::Overtaken) => Err(Error::NoOwner(key.to_string())),
            Err(WriteError::Failed(error)) => Err(error.into()),
        }
    }

    async fn close(&self, question: &CloseSession) -> Result<Session, Error> {
        let key = self.named(&question.tenant, &question.session)?;
        let closed = self.ask(&key, What::Close(CloseOwned {}), TraceContext::root(), OWNER_WAIT).await;
        let Err(Error::NoOwner(_)) = closed else { return closed };
        let session = store::read(&self.bus, &key).await?.0.unwrap_or_else(|| blank(&key));
        if self.sessions.number(&key).is_none() && !lives(session.status()) {
            return Ok(session);
        }
        closed
    }

    fn get(&self, question: &GetSession) -> Result<Session, Error> {
        let key = if question.session.is_empty() {
            self.sessions.default_of(&parse_tenant(&question.tenant)?)
        } else {
            self.known(&question.tenant, &question.session)?
        };
        Ok(self.sessions.state(&key).unwrap_or_else(|| blank(&key)))
    }

    /// Tells the contact that its message was read, and that an answer is being written.
    pub(crate) async fn read(
        &self,
        question: ReadMessage,
        trace: TraceContext,
    ) -> Result<MessageRead, Error> {
        let key = self.named(&question.tenant, &question.session)?;
        if question.provider_message_id.is_empty() {
            return Err(Error::Invalid("provider_message_id: expected the provider's id".to_owned()));
        }
        self.ask(&key, What::Read(question), trace, OWNER_WAIT).await
    }

    async fn fetch(&self, question: FetchMedia, trace: TraceContext) -> Result<StoredMedia, Error> {
        self.named(&question.tenant, &question.session)?;
        Ok(media::request(&self.bus, &self.media, &question, trace).await?)
    }

    /// A session that may be asked for something.
    fn named(&self, tenant: &str, session: &str) -> Result<SessionKey, Error> {
        let key = self.known(tenant, session)?;
        if self.sessions.is_suspended(&key.tenant) {
            return Err(Error::Suspended(key.tenant.to_string()));
        }
        Ok(key)
    }

    /// A session that there is or could be.
    fn known(&self, tenant: &str, session: &str) -> Result<SessionKey, Error> {
        let key = SessionKey::parse(tenant, session)?;
        match self.sessions.kind(&key) {
            Some(_) => Ok(key),
            None => Err(Error::NoSession(key.session.to_string())),
        }
    }

    async fn ask<A: Message + Default>(
        &self,
        key: &SessionKey,
        what: What,
        trace: TraceContext,
        wait: Duration,
    ) -> Result<A, Error> {
        let subject = subject::whatsapp_owner(&key.tenant, &key.session);
        let request = OwnerRequest { what: Some(what) };
        match self.bus.ask_subject(subject.as_str(), &request, trace, wait).await {
            Ok(answer) => Ok(answer),
            Err(RequestError::NoResponders(_)) => Err(Error::NoOwner(key.to_string())),
            Err(error) => Err(error.into()),
        }
    }
}
