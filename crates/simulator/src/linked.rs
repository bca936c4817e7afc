//! A linked device: the QR of a session, the phone that scans it, and what is written to that phone. It speaks only
//! NATS, as the connector of a real one does; the HTTP routes are the hands on the phone.

mod account;
mod qr;
mod routes;

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard},
};

use chasqui_kit::{
    Bus, Code, Coded, TraceContext, clock::now_ms, publish::Fact, publish::PublishError, serve::Responder,
};
use chasqui_proto::{
    ConversationToken, Tenant, address,
    service::{SESSIONS_CLOSE, SESSIONS_OPEN, WHATSAPP},
    subject::{self, NodeToken},
    v1,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use account::Account;
pub(crate) use routes::routes;

/// The most sessions at a time.
const SESSIONS_MAX: usize = 10_000;

/// Which number: the tenant that owns it, and its name there.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    tenant: Tenant,
    session: NodeToken,
}

/// Why the device does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DeviceError {
    #[error("{0}")]
    Invalid(String),
    #[error("session {0} is not {1}")]
    WrongState(String, &'static str),
    #[error("there are {SESSIONS_MAX} sessions already")]
    Full,
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl Coded for DeviceError {
    fn code(&self) -> Code {
        match self {
            Self::Invalid(_) => Code::InvalidInput,
            Self::WrongState(..) => Code::Conflict,
            Self::Full => Code::Unavailable,
            Self::Publish(error) => error.code(),
        }
    }
}

/// Every simulated number.
#[derive(Debug)]
pub(crate) struct Devices {
    bus: Bus,
    /// Where the phone's pages are: what a QR leads to.
    base_url: String,
    accounts: Mutex<HashMap<Key, Account>>,
}

impl Devices {
    pub(crate) fn new(bus: Bus, base_url: String) -> Arc<Self> {
        Arc::new(Self { bus, base_url, accounts: Mutex::default() })
    }

    /// Answers as the service that owns the numbers.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        stop: CancellationToken,
    ) -> Result<Responder, chasqui_kit::serve::ServeError> {
        let responder = Responder::start(&self.bus, WHATSAPP, "Simulated linked devices", stop).await?;
        let devices = self.clone();
        let open = move |question: v1::OpenSession, trace| {
            let devices = devices.clone();
            async move { devices.open(&key(&question.tenant, &question.session)?, trace).await }
        };
        responder.endpoint(SESSIONS_OPEN, open).await?;
        let devices = self.clone();
        let close = move |question: v1::CloseSession, trace| {
            let devices = devices.clone();
            async move { devices.log_out(&key(&question.tenant, &question.session)?, trace).await }
        };
        responder.endpoint(SESSIONS_CLOSE, close).await?;
        Ok(responder)
    }

    /// A session that is connected, or one with a QR that can still be scanned.
    async fn open(&self, key: &Key, trace: TraceContext) -> Result<v1::Session, DeviceError> {
        let url = format!("{}/linked/{}/{}", self.base_url, key.tenant, key.session);
        self.change(key, trace, |account, now| account.open(&url, now)).await
    }

    async fn scan(&self, key: &Key, phone: &str) -> Result<v1::Session, DeviceError> {
        let trace = TraceContext::root();
        let scanned = self.change(key, trace, |account, now| account.scan(phone, now)).await?;
        if scanned.status() == v1::SessionStatus::Connected {
            Ok(scanned)
        } else {
            Err(DeviceError::WrongState(key.session.to_string(), "waiting for a scan"))
        }
    }

    async fn log_out(&self, key: &Key, trace: TraceContext) -> Result<v1::Session, DeviceError> {
        self.change(key, trace, Account::log_out).await
    }

    /// A contact writes to the linked phone.
    async fn receive(&self, key: &Key, from: &str, text: String) -> Result<v1::Message, DeviceError> {
        let alias =
            address::parse_address(from).map_err(|error| DeviceError::Invalid(format!("from: {error}")))?;
        let state = self.accounts().get(key).map(|account| account.state(key));
        let Some(session) = state.filter(|state| state.status() == v1::SessionStatus::Connected) else {
            return Err(DeviceError::WrongState(key.session.to_string(), "connected"));
        };
        let conversation = ConversationToken::of(&alias);
        let message = v1::Message {
            id: Uuid::now_v7().to_string(),
            tenant: key.tenant.to_string(),
            conversation: conversation.to_string(),
            contact: Some(v1::Contact { aliases: vec![alias], ..v1::Contact::default() }),
            channel: Some(v1::Channel {
                kind: v1::ChannelKind::WhatsappLinked.into(),
                id: key.session.to_string(),
                display_phone_number: session.phone,
                ..v1::Channel::default()
            }),
            direction: v1::Direction::In.into(),
            sender_type: v1::SenderType::User.into(),
            r#type: v1::MessageType::Text.into(),
            text,
            occurred_at_ms: now_ms(),
            received_at_ms: now_ms(),
            ..v1::Message::default()
        };
        let subject = subject::messages_in(&key.tenant, &conversation);
        self.bus.publish(Fact::new(subject, &message, message.id.clone(), TraceContext::root())).await?;
        Ok(message)
    }

    /// Changes an account and tells its state, also where nothing changed: whoever asks may have missed it.
    async fn change(
        &self,
        key: &Key,
        trace: TraceContext,
        change: impl FnOnce(&mut Account, i64),
    ) -> Result<v1::Session, DeviceError> {
        let state = {
            let mut accounts = self.accounts();
            if accounts.len() >= SESSIONS_MAX && !accounts.contains_key(key) {
                return Err(DeviceError::Full);
            }
            let account = accounts.entry(key.clone()).or_default();
            change(account, now_ms());
            account.state(key)
        };
        let id = format!("{}-{}-{}", key.tenant, key.session, state.version);
        let subject = subject::sessions_updated(&key.tenant, &key.session);
        self.bus.publish(Fact::new(subject, &state, id, trace)).await?;
        Ok(state)
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Key, Account>> {
        self.accounts.lock().expect("no holder of this lock panics")
    }
}

fn key(tenant: &str, session: &str) -> Result<Key, DeviceError> {
    let tenant = tenant.parse().map_err(|error| DeviceError::Invalid(format!("tenant: {error}")))?;
    if session.is_empty() || NodeToken::new(session).as_str() != session {
        return Err(DeviceError::Invalid("session: expected 1 to 64 letters, digits or `-`".to_owned()));
    }
    Ok(Key { tenant, session: NodeToken::new(session) })
}
