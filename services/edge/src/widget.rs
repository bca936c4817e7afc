//! The contact's widget on Socket.IO: who it is, what it is shown, what it says, what it has certainly received.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use chasqui_kit::Coded;
use chasqui_proto::{ConversationToken, Tenant, address::parse_address};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    auth::Identity,
    close::CloseCode,
    dialect::{Dialect, crm::cursor, widget},
    doorbell::Doorbell,
    error::Error,
    event::{Event, Fact},
    feed::{Greeting, Member, Membership},
    history::is_for_widget,
    hub::Wish,
    outbox::{Delivery, Outbox},
    scope::Scope,
    service::{Edge, SocketPlace},
    socketio::{self, Application, ConnectRequest, DisconnectReason, Refusal},
    speech,
};

/// The most messages of one socket that wait for its confirmation; a client that confirms nothing is closed as slow
/// long before, by the bytes in its outbox.
const UNCONFIRMED_MAX: usize = 4_096;

/// The widget as a Socket.IO application.
#[derive(Debug)]
pub(crate) struct Widget {
    edge: Arc<Edge>,
}

/// One connected widget.
#[derive(Debug)]
pub(crate) struct Session {
    /// `None` for a client that did not say who it is (KON-05).
    contact: Option<Contact>,
    _place: SocketPlace,
}

#[derive(Debug)]
struct Contact {
    tenant: Tenant,
    conversation: ConversationToken,
    screen: Arc<Screen>,
    _membership: Membership,
    _doorbell: Doorbell,
}

/// What the widget shows: the member that its feed delivers to.
#[derive(Debug)]
struct Screen {
    outbox: Arc<Outbox>,
    /// Messages that left and are not confirmed yet, with their place in the outbox.
    unconfirmed: Mutex<VecDeque<(u64, String)>>,
}

impl Member for Screen {
    fn greet(&self, greeting: &Greeting) {
        let _ = self.outbox.push(widget::session(greeting), Delivery::Reply);
    }

    fn deliver(&self, event: &Arc<Event>) {
        let Some(frame) = event.frame(Dialect::Widget) else { return };
        let Fact::Message { message, .. } = &event.fact else { return };
        // A full outbox closes itself: the client comes back and is shown what it did not confirm.
        let Ok(position) = self.outbox.push(frame.clone(), Delivery::Durable) else { return };
        if is_for_widget(message) {
            let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
            unconfirmed.push_back((position, message.id.clone()));
            if unconfirmed.len() > UNCONFIRMED_MAX {
                self.outbox.close(CloseCode::SLOW_CONSUMER);
            }
        }
    }

    fn dismiss(&self) {
        self.outbox.close(CloseCode::SLOW_CONSUMER);
    }
}

impl Screen {
    fn take_confirmed(&self, position: u64) -> Vec<String> {
        let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = unconfirmed.iter().take_while(|(at, _)| *at <= position).count();
        let confirmed = unconfirmed.drain(..count).map(|(_, message)| message).collect();
        if unconfirmed.is_empty() {
            unconfirmed.shrink_to_fit();
        }
        confirmed
    }
}

/// The client's `auth` object.
#[derive(Debug, Default, Deserialize)]
struct Auth {
    token: Option<String>,
    #[serde(default)]
    since: Value,
}

impl Widget {
    pub(crate) fn new(edge: Arc<Edge>) -> Self {
        Self { edge }
    }

    /// KON-04, KON-05, KON-23: whose widget this is.
    fn contact(
        &self,
        request: &ConnectRequest,
        auth: &Auth,
    ) -> Result<Option<(Tenant, ConversationToken)>, Error> {
        let given = request.handshake.query("userPhone").filter(|phone| !phone.trim().is_empty());
        let token = auth.token.as_deref().or_else(|| request.handshake.query("token"));
        let proved = token.map(|token| self.edge.authenticator.identify(token)).transpose()?;
        let (tenant, phone) = match (proved, given) {
            (Some(Identity { tenant, phone: Some(phone), .. }), _) => (tenant, phone),
            (Some(_), _) => return Err(Error::Unauthorized("the token names no phone: it needs `phone`")),
            (None, None) => return Ok(None),
            (None, Some(_)) if !self.edge.config.widget_anonymous => {
                return Err(Error::Unauthorized("a token is needed: auth.token with the claim `phone`"));
            }
            (None, Some(phone)) => (self.edge.tenant.clone(), phone.to_owned()),
        };
        let alias = parse_address(&phone).map_err(|error| Error::Invalid(format!("userPhone: {error}")))?;
        Ok(Some((tenant, ConversationToken::of(&alias))))
    }
}

impl Application for Widget {
    type Session = Session;

    async fn connect(&self, request: ConnectRequest, outbox: Arc<Outbox>) -> Result<Session, Refusal> {
        let place = self.edge.take_place().ok_or_else(|| Refusal::new("the node is full"))?;
        let auth = match &request.auth {
            Some(auth) => serde_json::from_str(auth.get())
                .map_err(|_| Refusal::new("auth must be an object with `token` and `since`"))?,
            None => Auth::default(),
        };
        let Some((tenant, conversation)) = self.contact(&request, &auth).map_err(|error| refusal(&error))?
        else {
            tracing::info!("a widget connected without userPhone; it is shown nothing");
            return Ok(Session { contact: None, _place: place });
        };
        let wish = match &auth.since {
            Value::Null => Wish::Undelivered,
            since => Wish::Since(
                cursor(since)
                    .ok_or_else(|| Refusal::new("auth.since must be {\"epoch\":string,\"seq\":number}"))?,
            ),
        };
        let contact = (&tenant, &conversation);
        let doorbell = Doorbell::hang(&self.edge.bus, &self.edge.node, contact, &self.edge.tasks).await;
        let doorbell = doorbell.map_err(|error| refusal(&error))?;
        let screen = Arc::new(Screen { outbox, unconfirmed: Mutex::default() });
        let scope = Scope::Contact(tenant.clone(), conversation.clone());
        let joined = self.edge.hub.join(&scope, screen.clone(), &wish).await;
        let membership = joined.map_err(|error| {
            tracing::warn!(%error, "a widget could not be let in");
            Refusal::new("the node cannot reach the stream; try again")
        })?;
        tracing::debug!(tenant = tenant.as_str(), "a widget connected");
        Ok(Session {
            contact: Some(Contact {
                tenant,
                conversation,
                screen,
                _membership: membership,
                _doorbell: doorbell,
            }),
            _place: place,
        })
    }

    async fn event(&self, session: &Session, event: socketio::Event) {
        if event.name != "user-message" {
            return;
        }
        let answer = match self.user_message(session, &event).await {
            Ok(answer) => answer,
            Err(error) => {
                json!({ "success": false, "error": error.to_string(), "code": error.code().as_str() })
            }
        };
        if let Some(ack) = event.ack
            && let Err(error) = ack.reply(&[answer])
        {
            tracing::debug!(%error, "a widget left before its answer");
        }
    }

    fn confirmed(&self, session: &Session, position: u64) {
        let Some(contact) = &session.contact else { return };
        for message in contact.screen.take_confirmed(position) {
            let (edge, tenant, conversation) =
                (self.edge.clone(), contact.tenant.clone(), contact.conversation.clone());
            self.edge.tasks.spawn(async move {
                // Not told, the message is shown once more on the next connection: better than lost.
                if let Err(error) = speech::widget_received(&edge.bus, &tenant, &conversation, message).await
                {
                    tracing::warn!(%error, "a delivery could not be recorded");
                }
            });
        }
    }

    async fn disconnect(&self, session: Session, reason: DisconnectReason) {
        metrics::counter!("chasqui_edge_closes_total", "dialect" => "widget", "reason" => reason.as_str())
            .increment(1);
        drop(session);
    }
}

impl Widget {
    async fn user_message(&self, session: &Session, event: &socketio::Event) -> Result<Value, Error> {
        #[derive(Deserialize)]
        struct UserMessage {
            text: String,
        }
        let Some(contact) = &session.contact else {
            return Err(Error::Unauthorized("this connection named no userPhone"));
        };
        let message: UserMessage = event
            .argument(0)
            .map_err(|_| Error::Invalid("user-message expects {\"text\":string}".to_owned()))?;
        let text = widget::user_message(&message.text).map_err(Error::Invalid)?;
        let accepted =
            speech::contact_wrote(&self.edge.bus, &contact.tenant, &contact.conversation, text).await?;
        Ok(json!({ "success": true, "id": accepted.message_id, "seq": accepted.seq }))
    }
}

fn refusal(error: &Error) -> Refusal {
    Refusal { message: error.to_string(), data: Some(json!({ "code": error.code().as_str() })) }
}
