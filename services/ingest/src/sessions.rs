//! How the connection to a WhatsApp number stands, asked of whoever owns it.

use std::{
    collections::HashMap,
    str::FromStr,
    sync::Mutex,
    time::{Duration, Instant},
};

use chasqui_kit::{Bus, Code, Coded, TraceContext};
use chasqui_proto::{
    Tenant,
    service::{Endpoint, SESSIONS_GET, SESSIONS_OPEN},
    v1::{Channel, ChannelKind, GetSession, OpenSession, Session, SessionStatus},
};
use prost::Message;

/// How long the owner may take to answer; a caller waits as long before it is told that WhatsApp is away.
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// How long an answer holds: a connection that is lost is noticed this much later by whoever hands in messages.
const KNOWN_FOR: Duration = Duration::from_millis(500);
/// How many sessions are remembered; past it all are forgotten. About 200 bytes each, and the QR of those that show one.
const KNOWN_MAX: usize = 10_000;
/// The longest name of a session, characters.
const NAME_LENGTH_MAX: usize = 64;

/// The name of a session: the phone number id of a number of the Cloud API, or the name of a linked device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct SessionName(String);

/// A text that no session is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must have 1 to {NAME_LENGTH_MAX} letters, digits and -")]
pub(crate) struct InvalidSession;

impl FromStr for SessionName {
    type Err = InvalidSession;

    fn from_str(name: &str) -> Result<Self, InvalidSession> {
        let is_name = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        if !is_name || !(1..=NAME_LENGTH_MAX).contains(&name.len()) {
            return Err(InvalidSession);
        }
        Ok(Self(name.to_owned()))
    }
}

/// A session that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SessionError {
    /// SHC-08, word for word.
    #[error("Cliente de WhatsApp no está conectado")]
    NotConnected,
    /// The tenant has none of this name.
    #[error("session: there is no such session")]
    Unknown,
    /// Who owns the sessions was asked in vain.
    #[error("Cliente de WhatsApp no está conectado")]
    Away,
}

impl Coded for SessionError {
    fn code(&self) -> Code {
        match self {
            Self::NotConnected | Self::Away => Code::Unavailable,
            Self::Unknown => Code::InvalidInput,
        }
    }
}

/// Asks for sessions, and remembers the answers for a moment.
#[derive(Debug)]
pub(crate) struct Sessions {
    bus: Bus,
    /// By tenant and the name asked for, which is empty for the default session.
    known: Mutex<HashMap<(Tenant, String), (Session, Instant)>>,
}

impl Sessions {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus, known: Mutex::default() }
    }

    /// A session as it stood a moment ago; the tenant's default one when none is named.
    pub(crate) async fn get(
        &self,
        tenant: &Tenant,
        name: Option<&SessionName>,
        trace: TraceContext,
    ) -> Result<Session, SessionError> {
        let key = (tenant.clone(), name.map_or_else(String::new, |name| name.0.clone()));
        if let Some(session) = self.recall(&key) {
            return Ok(session);
        }
        let question = GetSession { tenant: tenant.to_string(), session: key.1.clone() };
        let session = self.ask(SESSIONS_GET, &question, trace).await?;
        self.remember(key, session.clone());
        Ok(session)
    }

    /// The session that a client means which had the only number behind a name of its own: the device that was linked under
    /// the name, else the tenant's number of the Cloud API, where it has one.
    pub(crate) async fn behind(
        &self,
        tenant: &Tenant,
        name: &SessionName,
        trace: TraceContext,
    ) -> Result<Session, SessionError> {
        let named = self.get(tenant, Some(name), trace).await;
        if named.as_ref().is_ok_and(|session| session.updated_at_ms != 0) {
            return named;
        }
        let default = self.get(tenant, None, trace).await;
        let is_number = |session: &Session| channel(&session.id).kind() == ChannelKind::WhatsappCloud;
        if default.as_ref().is_ok_and(is_number) { default } else { named }
    }

    /// A session that takes messages: it is connected, or was and is being connected again by itself.
    pub(crate) async fn taking(
        &self,
        tenant: &Tenant,
        name: Option<&SessionName>,
        trace: TraceContext,
    ) -> Result<Session, SessionError> {
        let session = match self.get(tenant, name, trace).await {
            // Who names none cannot have named a wrong one.
            Err(SessionError::Unknown) if name.is_none() => return Err(SessionError::NotConnected),
            session => session?,
        };
        match session.status() {
            SessionStatus::Connected | SessionStatus::Reconnecting => Ok(session),
            _ => Err(SessionError::NotConnected),
        }
    }

    /// Starts a session unless it runs.
    pub(crate) async fn open(
        &self,
        tenant: &Tenant,
        name: &SessionName,
        trace: TraceContext,
    ) -> Result<Session, SessionError> {
        let question = OpenSession { tenant: tenant.to_string(), session: name.0.clone() };
        let session = self.ask(SESSIONS_OPEN, &question, trace).await?;
        self.remember((tenant.clone(), name.0.clone()), session.clone());
        Ok(session)
    }

    async fn ask<Q: Message>(
        &self,
        endpoint: Endpoint<Q, Session>,
        question: &Q,
        trace: TraceContext,
    ) -> Result<Session, SessionError> {
        let asked = self.bus.ask_subject(endpoint.subject, question, trace, ANSWER_WAIT).await;
        asked.map_err(|error| {
            if error.code() == Code::NotFound {
                return SessionError::Unknown;
            }
            tracing::warn!(%error, subject = endpoint.subject, "the owners of sessions were asked in vain");
            SessionError::Away
        })
    }

    fn recall(&self, key: &(Tenant, String)) -> Option<Session> {
        let known = self.known.lock().expect("no holder of this lock panics");
        let (session, since) = known.get(key)?;
        (since.elapsed() < KNOWN_FOR).then(|| session.clone())
    }

    fn remember(&self, key: (Tenant, String), session: Session) {
        let mut known = self.known.lock().expect("no holder of this lock panics");
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key, (session, Instant::now()));
    }
}

/// What a session is called by clients of the shared WhatsApp client.
pub(crate) fn spelled(status: SessionStatus) -> &'static str {
    match status {
        SessionStatus::Connected => "CONNECTED",
        SessionStatus::ScanQr => "SCAN_QR",
        SessionStatus::Starting => "STARTING",
        SessionStatus::Reconnecting => "RECONNECTING",
        SessionStatus::LoggedOut => "LOGGED_OUT",
        SessionStatus::Failed => "FAILED",
        SessionStatus::Stopped | SessionStatus::Unspecified => "DISCONNECTED",
    }
}

/// The channel of a message that goes through a session: ids of the Cloud API are digits, names of devices are not.
pub(crate) fn channel(session: &str) -> Channel {
    let is_number = !session.is_empty() && session.bytes().all(|byte| byte.is_ascii_digit());
    let kind = if is_number { ChannelKind::WhatsappCloud } else { ChannelKind::WhatsappLinked };
    Channel { kind: kind.into(), id: session.to_owned(), ..Channel::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_token() {
        for good in ["haby", "main", "100000000000001", "a-b", &"x".repeat(64)] {
            assert!(good.parse::<SessionName>().is_ok(), "{good}");
        }
        for bad in ["", "a.b", "a*", "a b", ">", "ñ", &"x".repeat(65)] {
            assert_eq!(bad.parse::<SessionName>(), Err(InvalidSession), "{bad}");
        }
    }

    #[test]
    fn a_number_of_the_cloud_api_is_told_by_its_digits() {
        assert_eq!(channel("100000000000001").kind(), ChannelKind::WhatsappCloud);
        assert_eq!(channel("haby").kind(), ChannelKind::WhatsappLinked);
        assert_eq!(channel("").kind(), ChannelKind::WhatsappLinked);
    }

    #[test]
    fn shc_04_every_state_has_its_word() {
        let states = [
            (SessionStatus::Connected, "CONNECTED"),
            (SessionStatus::ScanQr, "SCAN_QR"),
            (SessionStatus::Starting, "STARTING"),
            (SessionStatus::Reconnecting, "RECONNECTING"),
            (SessionStatus::LoggedOut, "LOGGED_OUT"),
            (SessionStatus::Failed, "FAILED"),
            (SessionStatus::Stopped, "DISCONNECTED"),
            (SessionStatus::Unspecified, "DISCONNECTED"),
        ];
        for (status, word) in states {
            assert_eq!(spelled(status), word);
        }
    }
}
