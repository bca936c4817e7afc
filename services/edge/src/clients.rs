//! Clients on Socket.IO: contacts in their widgets and owners of WhatsApp numbers, over one kind of connection.

mod connection;
pub(crate) mod device;
mod widget;

use std::sync::Arc;

use chasqui_kit::{Code, Coded};
use serde::Deserialize;
use serde_json::{Value, json};

use self::{
    connection::Connection,
    device::Device,
    widget::{Contact, Earlier},
};
use crate::{
    auth::Identity,
    close::CloseCode,
    dialect::crm::cursor,
    error::Error,
    outbox::Outbox,
    service::Edge,
    socketio::{Application, ConnectRequest, DisconnectReason, Event, Refusal, Welcome},
    verdict::Ticket,
};

/// What clients on Socket.IO connect to.
#[derive(Debug)]
pub(crate) struct Clients {
    edge: Arc<Edge>,
}

/// One connected client.
#[derive(Debug)]
pub(crate) struct Session {
    connection: Connection,
    /// `None` for a client that did not say who it is (KON-05).
    contact: Option<Contact>,
    /// WAB-14: any connection may become a device's.
    device: Device,
}

/// The client's `auth` object.
#[derive(Default, Deserialize)]
struct Auth {
    token: Option<String>,
    #[serde(default)]
    since: Value,
    session: Option<String>,
}

impl Auth {
    fn of(request: &ConnectRequest) -> Result<Self, Refusal> {
        let Some(auth) = &request.auth else { return Ok(Self::default()) };
        serde_json::from_str(auth.get())
            .map_err(|_| Refusal::new("auth must be an object with `token`, `since` and `session`"))
    }

    fn earlier(&self, request: ConnectRequest) -> Result<Earlier, Refusal> {
        let wrong = || Refusal::new("auth.since must be {\"epoch\":string,\"seq\":number}");
        let cursor = match &self.since {
            Value::Null => None,
            since => Some(cursor(since).ok_or_else(wrong)?),
        };
        let ticket = self.session.as_deref().and_then(Ticket::parse);
        Ok(Earlier { cursor, ticket, recovery: request.recovery })
    }
}

impl Clients {
    pub(crate) fn new(edge: Arc<Edge>) -> Self {
        Self { edge }
    }

    /// KON-04, KON-05, KON-23: whose widget this is.
    async fn identity(&self, request: &ConnectRequest, auth: &Auth) -> Result<Option<Arc<Identity>>, Error> {
        let given = request.handshake.query("userPhone").filter(|phone| !phone.trim().is_empty());
        let token = auth.token.as_deref().or_else(|| request.handshake.query("token"));
        let proved = match token {
            Some(token) => Some(self.edge.gate.identify(token).await?),
            None => None,
        };
        let identity = match (proved, given) {
            (Some(identity), _) if identity.phone.is_some() => identity,
            (Some(_), _) => return Err(Error::Unauthorized("the token names no phone: it needs `phone`")),
            (None, None) => return Ok(None),
            (None, Some(_)) if !self.edge.config.widget_anonymous => {
                return Err(Error::Unauthorized("a token is needed: auth.token with the claim `phone`"));
            }
            (None, Some(phone)) => Identity::of_phone(self.edge.tenant.clone(), phone)
                .map_err(|error| Error::Invalid(format!("userPhone: {error}")))?,
        };
        Ok(Some(Arc::new(identity)))
    }
}

impl Application for Clients {
    type Session = Session;

    async fn connect(
        &self,
        request: ConnectRequest,
        outbox: Arc<Outbox>,
    ) -> Result<Welcome<Session>, Refusal> {
        let place = self.edge.sockets.take_place().map_err(|reason| {
            outbox.close(CloseCode::GOING_AWAY);
            Refusal::new(reason.to_string())
        })?;
        let connection = Connection { edge: self.edge.clone(), outbox, place };
        let device = Device::default();
        let auth = Auth::of(&request)?;
        let known = self.identity(&request, &auth).await;
        let Some(identity) = known.map_err(|error| refusal(&connection, &error))? else {
            tracing::info!("a widget connected without userPhone; it is shown nothing");
            return Ok(Welcome::without_recovery(Session { connection, contact: None, device }));
        };
        let entered = Contact::enter(&connection, identity, auth.earlier(request)?).await;
        let (contact, pid) = entered.map_err(|error| refusal(&connection, &error))?;
        Ok(Welcome { session: Session { connection, contact: Some(contact), device }, pid: Some(pid) })
    }

    async fn event(&self, session: &Session, event: Event) {
        let answered = match event.name.as_str() {
            "user-message" | "refresh-token" => session.of_contact(&event).await,
            _ => return session.device.event(&session.connection, &event).await,
        };
        answer(event, answered);
    }

    fn refused(&self, session: &Session, event: Event, why: &'static str) {
        if device::is_for_device(&event) {
            Device::refused(&session.connection);
        } else {
            answer(event, Err(Error::RateLimited(why)));
        }
    }

    fn confirmed(&self, session: &Session, position: u64) {
        if let Some(contact) = &session.contact {
            contact.confirmed(&session.connection, position);
        }
    }

    async fn disconnect(&self, session: Session, reason: DisconnectReason) {
        metrics::counter!("chasqui_edge_closes_total", "dialect" => "widget", "reason" => reason.as_str())
            .increment(1);
        drop(session);
    }
}

impl Session {
    /// An event that only a contact has.
    async fn of_contact(&self, event: &Event) -> Result<Value, Error> {
        let contact = self.contact.as_ref();
        let contact = contact.ok_or(Error::Unauthorized("this connection named no userPhone"))?;
        self.connection.judge(contact.tenant())?;
        match event.name.as_str() {
            "user-message" => contact.write(&self.connection, event).await,
            _ => contact.refresh_token(&self.connection, event).await,
        }
    }
}

/// Calls the client's callback, where it waits for an answer.
fn answer(event: Event, answered: Result<Value, Error>) {
    let answer = answered.unwrap_or_else(
        |error| json!({ "success": false, "error": error.to_string(), "code": error.code().as_str() }),
    );
    if let Some(ack) = event.ack
        && let Err(error) = ack.reply(&[answer])
    {
        tracing::debug!(%error, "a client left before its answer");
    }
}

/// Why a client is not let in. One that would be let in later is made to come back by itself.
fn refusal(connection: &Connection, error: &Error) -> Refusal {
    if matches!(error.code(), Code::Unavailable | Code::Timeout) {
        connection.outbox.close(CloseCode::INTERNAL);
    }
    Refusal { message: error.to_string(), data: Some(json!({ "code": error.code().as_str() })) }
}
