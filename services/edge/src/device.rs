//! The owner of a WhatsApp number on Socket.IO: joins with a token, opens its session, sends, and is shown what becomes
//! of both.

mod account;
mod rest;

use std::{sync::Arc, time::Duration};

use chasqui_kit::{Code, Coded, TraceContext};
use chasqui_proto::{
    Tenant,
    service::SESSIONS_OPEN,
    subject,
    v1::{self, SessionStatus},
};
use serde::Deserialize;
use tokio::sync::Mutex;

pub use account::DeviceTenants;
pub(crate) use rest::{conversations, messages, qr};

use crate::{
    auth::Identity,
    close::CloseCode,
    dialect::{
        Dialect,
        device::{self, SendMessage, Sending},
    },
    error::Error,
    event::Event,
    feed::{Greeting, Member, Membership},
    hub::Wish,
    latest,
    outbox::{Delivery, Outbox},
    scope::Scope,
    service::Edge,
    socketio, speech,
};

/// How long the owner of the numbers may take to open a session. What becomes of it comes as an event.
const OPEN_WAIT: Duration = Duration::from_secs(10);

/// What an owner is told, in the language of its front ends (WAB-22, WAB-32).
mod told {
    pub(super) const NO_TOKEN: &str = "Falta el parámetro token";
    pub(super) const NO_CONVERSATION: &str = "Conversación no encontrada";
    pub(super) const NO_SERVICE: &str = "El servicio de WhatsApp no está disponible, intente nuevamente";
    pub(super) const NOT_CONNECTED: &str = "WhatsApp no está conectado: escanee el código QR";
    pub(super) const INTERNAL: &str = "Error interno, por favor intente nuevamente más tarde";
}

/// The device side of one connection: nothing until the client joins.
#[derive(Debug, Default)]
pub(crate) struct Device {
    joined: Mutex<Option<Joined>>,
}

/// An owner that proved who it is.
#[derive(Debug)]
struct Joined {
    user: String,
    account: Tenant,
    _membership: Membership,
}

/// The member that the account's feed shows events to.
#[derive(Debug)]
struct Screen {
    outbox: Arc<Outbox>,
}

impl Member for Screen {
    fn greet(&self, _: &Greeting) {}

    fn deliver(&self, event: &Arc<Event>) {
        if let Some(frame) = event.frame(Dialect::Device) {
            // A full outbox closes itself; a client that comes back joins again and is told how its session stands.
            let _ = self.outbox.push(frame.clone(), Delivery::Reply);
        }
    }

    fn dismiss(&self) {
        self.outbox.close(CloseCode::SLOW_CONSUMER);
    }
}

/// What every event of an owner carries.
#[derive(Debug, Default, Deserialize)]
struct Bearer {
    #[serde(default)]
    token: String,
}

impl Device {
    /// Does what an event asks for, if it is one of a device; mistakes are answered with `error` (WAB-22).
    pub(crate) async fn event(&self, edge: &Arc<Edge>, outbox: &Arc<Outbox>, event: &socketio::Event) {
        let done = match event.name.as_str() {
            "join" => self.join(edge, outbox, event).await.map(drop),
            "get-qr" => self.get_qr(edge, outbox, event).await,
            "send-message" => self.send_message(edge, outbox, event).await,
            _ => return,
        };
        if let Err(message) = done {
            metrics::counter!("chasqui_edge_refused_events_total", "dialect" => "device").increment(1);
            let _ = outbox.push(device::error(&message), Delivery::Reply);
        }
    }

    /// WAB-14: proves who the client is and lets it into its account; then it is told how the session stands.
    async fn join(
        &self,
        edge: &Arc<Edge>,
        outbox: &Arc<Outbox>,
        event: &socketio::Event,
    ) -> Result<Identity, String> {
        let identity = owner(edge, &bearer(event)?).await?;
        let mut joined = self.joined.lock().await;
        let stands = |joined: &Joined| joined.user == identity.user && joined.account == identity.tenant;
        if !joined.as_ref().is_some_and(stands) {
            let scope = Scope::Tenant(identity.tenant.clone());
            let screen = Arc::new(Screen { outbox: outbox.clone() });
            let membership = edge.hub.join(&scope, screen, &Wish::Live).await.map_err(|error| failure(&error))?;
            *joined = Some(Joined {
                user: identity.user.clone(),
                account: identity.tenant.clone(),
                _membership: membership,
            });
        }
        drop(joined);
        if event.name == "join" {
            let session = newest_session(edge, &identity.tenant).await.map_err(|error| failure(&error))?;
            if let Some(frame) = session.as_ref().and_then(device::session_frame) {
                let _ = outbox.push(frame, Delivery::Reply);
            }
        }
        Ok(identity)
    }

    /// WAB-15: ends in a QR, in `session-ready`, or in an error. A QR that is not there yet comes as an event.
    async fn get_qr(
        &self,
        edge: &Arc<Edge>,
        outbox: &Arc<Outbox>,
        event: &socketio::Event,
    ) -> Result<(), String> {
        let identity = self.join(edge, outbox, event).await?;
        let session = open_session(edge, &identity.tenant).await.map_err(|error| failure(&error))?;
        if let Some(frame) = device::session_frame(&session) {
            let _ = outbox.push(frame, Delivery::Reply);
        }
        Ok(())
    }

    /// WAB-16, WAB-21, WAB-32.
    async fn send_message(
        &self,
        edge: &Arc<Edge>,
        outbox: &Arc<Outbox>,
        event: &socketio::Event,
    ) -> Result<(), String> {
        let identity = self.join(edge, outbox, event).await?;
        let message: SendMessage = event.argument(0).map_err(|_| unreadable(event))?;
        let Sending { conversation, text } = message.check()?;
        connected(edge, &identity.tenant).await?;
        let sent = speech::agent_wrote(&edge.bus, &identity, conversation.clone(), text).await;
        let accepted = sent.map_err(|error| match error.code() {
            Code::NotFound => told::NO_CONVERSATION.to_owned(),
            _ => failure(&error),
        })?;
        let _ = outbox.push(device::message_sent(&conversation, &accepted.message_id), Delivery::Reply);
        Ok(())
    }
}

/// Whom a token speaks for, with the account it opens as its tenant.
async fn owner(edge: &Edge, token: &str) -> Result<Identity, String> {
    let identity = edge.identify(token).await.map_err(|error| match error.code() {
        Code::Unauthorized | Code::Forbidden | Code::InvalidInput => format!("Token inválido: {error}"),
        _ => failure(&error),
    })?;
    if !identity.is_staff() {
        return Err("Token inválido: solo abre el widget de un contacto".to_owned());
    }
    let tenant = account::tenant_of(&identity, &edge.tenant, edge.config.device_tenants);
    Ok(Identity { tenant, ..identity })
}

fn bearer(event: &socketio::Event) -> Result<String, String> {
    let bearer: Bearer = event.argument(0).map_err(|_| unreadable(event))?;
    if bearer.token.is_empty() { Err(told::NO_TOKEN.to_owned()) } else { Ok(bearer.token) }
}

fn unreadable(event: &socketio::Event) -> String {
    let expected = match event.name.as_str() {
        "send-message" => "{token, conversationId, textContent, attachments}",
        _ => "{token}",
    };
    format!("{} espera un objeto {expected}", event.name)
}

/// What a client may know of a failure; the rest is in one log line.
fn failure(error: &Error) -> String {
    match error.code() {
        Code::Unavailable | Code::Timeout => {
            tracing::warn!(%error, "a device could not be served");
            told::NO_SERVICE.to_owned()
        }
        Code::Internal => {
            tracing::error!(%error, "a device could not be served");
            told::INTERNAL.to_owned()
        }
        _ => error.to_string(),
    }
}

async fn newest_session(edge: &Edge, account: &Tenant) -> Result<Option<v1::Session>, Error> {
    latest::of(&edge.bus, &subject::sessions_updated(account, &account::session())).await
}

/// Asks the owner of the numbers for the account's session.
async fn open_session(edge: &Edge, account: &Tenant) -> Result<v1::Session, Error> {
    let question = v1::OpenSession { tenant: account.to_string(), session: account::SESSION.to_owned() };
    let asked =
        edge.bus.ask_subject(SESSIONS_OPEN.subject, &question, TraceContext::root(), OPEN_WAIT).await;
    Ok(asked?)
}

/// WAB-32: a session that is not connected is started first.
async fn connected(edge: &Edge, account: &Tenant) -> Result<(), String> {
    let known = newest_session(edge, account).await.map_err(|error| failure(&error))?;
    if known.is_some_and(|session| session.status() == SessionStatus::Connected) {
        return Ok(());
    }
    let session = open_session(edge, account).await.map_err(|error| failure(&error))?;
    match session.status() {
        SessionStatus::Connected => Ok(()),
        _ => Err(told::NOT_CONNECTED.to_owned()),
    }
}
