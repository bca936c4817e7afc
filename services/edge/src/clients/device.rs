//! The owner of a WhatsApp number on Socket.IO: joins with a token, opens its session, sends, and is shown what becomes
//! of both.

mod account;
pub(crate) mod rest;
mod session;

use std::sync::Arc;

use chasqui_kit::{Code, Coded};
use chasqui_media::MediaError;
use chasqui_proto::{Tenant, v1};
use serde::Deserialize;
use tokio::sync::Mutex;

pub(crate) use account::DeviceTenants;
pub(crate) use rest::{conversations, messages, qr, upload};

use super::connection::Connection;
use crate::{
    auth::{Hold, Identity},
    close::CloseCode,
    dialect::{
        Dialect,
        device::{self, SendMessage, Sending},
        widget,
    },
    error::Error,
    event::Event,
    feed::{Greeting, Member, Membership},
    hub::Wish,
    outbox::{Delivery, Outbox},
    roster::Stay,
    scope::Scope,
    service::Edge,
    socketio,
    sockets::Seat,
    speech,
};

/// What an owner is told, in the language of its front ends (WAB-22, WAB-32).
mod told {
    pub(super) const NO_TOKEN: &str = "Falta el parámetro token";
    pub(super) const NOT_STAFF: &str = "Token inválido: la cuenta de un tenant la abre solo su personal";
    pub(super) const NO_CONVERSATION: &str = "Conversación no encontrada";
    pub(super) const NO_SERVICE: &str = "El servicio de WhatsApp no está disponible, intente nuevamente";
    pub(super) const NOT_CONNECTED: &str = "WhatsApp no está conectado: escanee el código QR";
    pub(super) const TOO_MANY: &str = "Demasiadas conexiones simultáneas";
    pub(super) const TOO_FAST: &str = "Demasiados mensajes, espere un momento";
    pub(super) const INTERNAL: &str = "Error interno, por favor intente nuevamente más tarde";
}

/// The device side of one connection: nothing until the client joins.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// Boxed: most connections are widgets and never join.
    joined: Mutex<Option<Box<Joined>>>,
}

/// An owner that proved who it is.
#[derive(Debug)]
struct Joined {
    owner: Owner,
    /// Renewed with the token of each event.
    lease: Hold,
    _seat: Option<Seat>,
    _membership: Membership,
    _stay: Stay,
}

/// Who a token speaks for, and the tenant whose session it opens.
#[derive(Debug, Clone)]
struct Owner {
    identity: Arc<Identity>,
    account: Tenant,
}

impl Owner {
    fn is(&self, other: &Self) -> bool {
        (&self.identity.user, &self.account) == (&other.identity.user, &other.account)
    }

    /// The owner as a person of its account.
    fn in_account(&self) -> Identity {
        Identity { tenant: self.account.clone(), ..(*self.identity).clone() }
    }
}

/// The member that the account's feed shows events to.
#[derive(Debug)]
struct Screen {
    outbox: Arc<Outbox>,
}

impl Member for Screen {
    fn greet(&self, _: &Greeting) {}

    fn deliver(&self, event: &Arc<Event>) {
        if account::is_of_another_session(event) {
            return;
        }
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

/// Whether an event is one of a device.
pub(super) fn is_for_device(event: &socketio::Event) -> bool {
    matches!(event.name.as_str(), "join" | "get-qr" | "send-message")
}

impl Device {
    /// Does what an event asks for, if it is one of a device; mistakes are answered with `error` (WAB-22).
    pub(super) async fn event(&self, connection: &Connection, event: &socketio::Event) {
        let done = match event.name.as_str() {
            "join" => self.join(connection, event).await,
            "get-qr" => self.get_qr(connection, event).await,
            "send-message" => self.send_message(connection, event).await,
            _ => return,
        };
        if let Err(message) = done {
            refuse(connection, &message);
        }
    }

    /// Answers an event that came too fast.
    pub(super) fn refused(connection: &Connection) {
        refuse(connection, told::TOO_FAST);
    }

    /// WAB-14: proves who the client is and lets it into its account; then it is told how the session stands.
    async fn join(&self, connection: &Connection, event: &socketio::Event) -> Result<(), String> {
        let owner = self.admit(connection, event).await?;
        let known = session::newest(&connection.edge, &owner.account).await;
        if let Some(session) = known.map_err(|error| failure(&error))? {
            show(connection, &session);
        }
        Ok(())
    }

    /// WAB-15: ends in a QR, in `session-ready`, or in an error. A QR that is not there yet comes as an event.
    async fn get_qr(&self, connection: &Connection, event: &socketio::Event) -> Result<(), String> {
        let owner = self.admit(connection, event).await?;
        let opened = session::open(&connection.edge, &owner.account).await;
        show(connection, &opened.map_err(|error| failure(&error))?);
        Ok(())
    }

    /// WAB-16, WAB-21, WAB-32.
    async fn send_message(&self, connection: &Connection, event: &socketio::Event) -> Result<(), String> {
        let owner = self.admit(connection, event).await?;
        let message: SendMessage = event.argument(0).map_err(|_| unreadable(event))?;
        let Sending { conversation, text, attachments } = message.check()?;
        let edge = &connection.edge;
        session::connected(edge, &owner.account).await?;
        let mut files = Vec::with_capacity(attachments.len());
        for (at, attachment) in attachments.into_iter().enumerate() {
            let attached = edge.files.attach(&owner.account, attachment).await;
            files.push(attached.map_err(|error| file_failure(at, &error))?);
        }
        let parts = speech::parts(text, files);
        let sent = speech::agent_wrote(&edge.bus, &owner.in_account(), conversation.clone(), parts).await;
        let accepted = sent.map_err(|error| match error.code() {
            Code::NotFound => told::NO_CONVERSATION.to_owned(),
            _ => failure(&error),
        })?;
        connection.say(device::message_sent(&conversation, &accepted.message_id));
        Ok(())
    }

    /// Checks the token of an event and lets its owner into its account, unless it is in already.
    async fn admit(&self, connection: &Connection, event: &socketio::Event) -> Result<Owner, String> {
        let owner = owner(&connection.edge, &bearer(event)?).await?;
        connection.judge(&owner.account).map_err(|_| told::TOO_FAST.to_owned())?;
        let mut joined = self.joined.lock().await;
        match &mut *joined {
            Some(joined) if joined.owner.is(&owner) => joined.lease.renew(owner.identity.expires_at_ms),
            // The old place is given up first: one person is not to count twice.
            other => {
                *other = None;
                *other = Some(Box::new(Joined::enter(connection, owner.clone()).await?));
            }
        }
        Ok(owner)
    }
}

impl Joined {
    async fn enter(Connection { edge, outbox, place }: &Connection, owner: Owner) -> Result<Self, String> {
        let seat = place.seat(&owner.identity, outbox);
        let lease = edge.leases.hold(owner.identity.expires_at_ms, outbox, widget::token_expiring);
        let entered = edge.roster.enter((&owner.in_account()).into(), None, outbox.clone());
        let stay = entered.map_err(|_| told::TOO_MANY.to_owned())?;
        let (scope, screen) =
            (Scope::Tenant(owner.account.clone()), Arc::new(Screen { outbox: outbox.clone() }));
        let joined = edge.hub.join(&scope, screen, &Wish::Live).await;
        let membership = joined.map_err(|error| failure(&error))?;
        Ok(Self { owner, lease, _seat: seat, _membership: membership, _stay: stay })
    }
}

/// How a session stands, where there is anything to tell.
fn show(connection: &Connection, session: &v1::Session) {
    if let Some(frame) = device::session_frame(session) {
        connection.say(frame);
    }
}

fn refuse(connection: &Connection, message: &str) {
    metrics::counter!("chasqui_edge_refused_events_total", "dialect" => "device").increment(1);
    connection.say(device::error(message));
}

/// Whom a token speaks for, with the account it opens as its tenant. That of a whole tenant is its staff's alone.
async fn owner(edge: &Edge, token: &str) -> Result<Owner, String> {
    let identity = edge.gate.identify(token).await.map_err(|error| match error.code() {
        Code::Unauthorized | Code::Forbidden | Code::InvalidInput => format!("Token inválido: {error}"),
        _ => failure(&error),
    })?;
    if !identity.is_user() {
        return Err("Token inválido: solo abre el widget de un contacto".to_owned());
    }
    if identity.is_tenant_named && edge.admits_staff(&identity).is_err() {
        return Err(told::NOT_STAFF.to_owned());
    }
    let account = account::tenant_of(&identity, edge.config.device_tenants);
    Ok(Owner { identity: Arc::new(identity), account })
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

/// Why a file could not go with a message.
fn file_failure(at: usize, error: &Error) -> String {
    match error {
        Error::Media(MediaError::NotFound) => format!("attachments[{at}].id: no existe ese archivo"),
        Error::Media(MediaError::TooLarge(bytes_max)) => {
            format!("attachments[{at}]: el archivo supera los {bytes_max} bytes permitidos para su tipo")
        }
        _ => failure(error),
    }
}
