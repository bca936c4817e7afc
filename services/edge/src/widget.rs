//! The contact's widget on Socket.IO: who it is, what it is shown, what it says, what it has certainly received.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Instant,
};

use chasqui_kit::{Code, Coded};
use chasqui_proto::{ConversationToken, Tenant};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{
    auth::{Hold, Identity},
    close::CloseCode,
    device::Device,
    dialect::{Dialect, crm::cursor, view::iso, widget},
    error::Error,
    event::{Event, Fact},
    feed::{Greeting, Member, Membership},
    history::is_for_widget,
    hub::{Cursor, Wish},
    limit::{Pace, Verdict},
    outbox::{Delivery, Outbox},
    roster::Stay,
    scope::Scope,
    service::Edge,
    socketio::{
        self, Application, ConnectRequest, DisconnectReason, Pid, Recovery, Refusal, Welcome, with_offset,
    },
    sockets::SocketPlace,
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
    /// WAB-14: any connection may become a device's.
    device: Device,
    place: SocketPlace,
}

#[derive(Debug)]
struct Contact {
    identity: Arc<Identity>,
    /// Whatever its token says; renewed by `refresh-token`.
    lease: Mutex<Hold>,
    pace: Mutex<Pace>,
    tenant: Tenant,
    conversation: ConversationToken,
    screen: Arc<Screen>,
    _membership: Membership,
    _stay: Stay,
}

/// What the widget shows: the member that its feed delivers to.
#[derive(Debug)]
struct Screen {
    outbox: Arc<Outbox>,
    /// It shows nothing unless everything since the client's offset follows.
    only_recovered: bool,
    /// The ticket that the client brings when it comes back.
    session: Box<str>,
    /// What it was greeted with.
    greeting: OnceLock<Greeting>,
    /// Messages that left and are not confirmed yet, with their place in the outbox.
    unconfirmed: Mutex<VecDeque<(u64, String)>>,
}

impl Member for Screen {
    fn greet(&self, greeting: &Greeting) {
        let _ = self.greeting.set(greeting.clone());
        if self.shown().is_some() {
            let _ = self.outbox.push(widget::session(greeting, &self.session), Delivery::Reply);
        }
    }

    fn deliver(&self, event: &Arc<Event>) {
        let Some(frame) = event.frame(Dialect::Widget) else { return };
        let (Fact::Message { message, .. }, Some(greeting)) = (&event.fact, self.shown()) else { return };
        let frame = match (event.seq, frame.as_text()) {
            (Some(seq), Some(text)) => {
                with_offset(text, &Cursor { epoch: greeting.epoch.clone(), seq }.to_string()).into()
            }
            _ => frame.clone(),
        };
        // Before the frame can leave: its confirmation must not come first.
        let mut unconfirmed = self.unconfirmed.lock().unwrap_or_else(PoisonError::into_inner);
        // A full outbox closes itself: the client comes back and is shown what it did not confirm.
        let Ok(position) = self.outbox.push(frame, Delivery::Durable) else { return };
        if is_for_widget(message) {
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

impl Contact {
    /// Whether the contact may send now.
    fn judge(&self, edge: &Edge) -> Result<(), Error> {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        match edge.paces.judge(&mut pace, &self.tenant, Instant::now()) {
            Verdict::Pass => Ok(()),
            Verdict::Refuse(why) => Err(Error::RateLimited(why)),
            Verdict::Close => {
                self.screen.outbox.close(CloseCode::RATE_LIMITED);
                Err(Error::RateLimited(CloseCode::RATE_LIMITED.reason))
            }
        }
    }
}

impl Screen {
    fn new(outbox: Arc<Outbox>, stay: &Stay, only_recovered: bool) -> Arc<Self> {
        let (greeting, unconfirmed) = (OnceLock::new(), Mutex::default());
        let session = stay.ticket().into();
        Arc::new(Self { outbox, only_recovered, session, greeting, unconfirmed })
    }

    /// The greeting, if what follows it is shown.
    fn shown(&self) -> Option<&Greeting> {
        self.greeting.get().filter(|greeting| greeting.recovered || !self.only_recovered)
    }

    /// The pid for the client: the one it brought, if everything it missed follows.
    fn pid(&self, brought: Option<Recovery>) -> Pid {
        let recovered = self.greeting.get().is_some_and(|greeting| greeting.recovered);
        brought.filter(|_| recovered).map_or_else(Pid::random, |brought| brought.pid)
    }

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
    session: Option<String>,
}

impl Widget {
    pub(crate) fn new(edge: Arc<Edge>) -> Self {
        Self { edge }
    }

    /// KON-04, KON-05, KON-23: whose widget this is.
    async fn contact(&self, request: &ConnectRequest, auth: &Auth) -> Result<Option<Arc<Identity>>, Error> {
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

impl Application for Widget {
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
        let auth = match &request.auth {
            Some(auth) => serde_json::from_str(auth.get())
                .map_err(|_| Refusal::new("auth must be an object with `token`, `since` and `session`"))?,
            None => Auth::default(),
        };
        let known = self.contact(&request, &auth).await;
        let Some(identity) = known.map_err(|error| refuse(&outbox, &error))? else {
            tracing::info!("a widget connected without userPhone; it is shown nothing");
            return Ok(Welcome::without_recovery(self.session(None, &outbox, place)));
        };
        let since = match &auth.since {
            Value::Null => None,
            since => Some(
                cursor(since)
                    .ok_or_else(|| Refusal::new("auth.since must be {\"epoch\":string,\"seq\":number}"))?,
            ),
        };
        let (tenant, conversation) = (identity.tenant.clone(), identity.person.clone());
        place.attach(&identity, &outbox);
        let lease = self.edge.leases.hold(identity.expires_at_ms, &outbox, widget::token_expiring);
        let entered = self.edge.roster.enter((&*identity).into(), auth.session.as_deref(), outbox.clone());
        let stay = entered.map_err(|code| refuse(&outbox, &Error::RateLimited(code.reason)))?;
        let scope = Scope::Contact(tenant.clone(), conversation.clone());
        let shown = self.show(&scope, (&outbox, &stay), since, request.recovery.as_ref()).await;
        let (screen, membership) = shown.map_err(|error| {
            tracing::warn!(%error, "a widget could not be let in");
            refuse(&outbox, &Error::NotNow("the node cannot reach the stream; try again"))
        })?;
        tracing::debug!(tenant = tenant.as_str(), "a widget connected");
        let pid = Some(screen.pid(request.recovery));
        let contact = Contact {
            identity,
            lease: Mutex::new(lease),
            pace: Mutex::default(),
            tenant,
            conversation,
            screen,
            _membership: membership,
            _stay: stay,
        };
        Ok(Welcome { session: self.session(Some(contact), &outbox, place), pid })
    }

    async fn event(&self, session: &Session, event: socketio::Event) {
        let answered = match event.name.as_str() {
            "user-message" => self.user_message(session, &event).await,
            "refresh-token" => self.refresh_token(session, &event).await,
            _ => return session.device.event(&session.place, &event).await,
        };
        let answer = match answered {
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
    fn session(&self, contact: Option<Contact>, outbox: &Arc<Outbox>, place: SocketPlace) -> Session {
        Session { contact, device: Device::new(self.edge.clone(), outbox.clone()), place }
    }

    /// Lets a widget into its feed: with everything since its cursor or its offset; where it has none, or its offset
    /// is too old, with what was written to it and not confirmed.
    async fn show(
        &self,
        scope: &Scope,
        (outbox, stay): (&Arc<Outbox>, &Stay),
        since: Option<Cursor>,
        recovery: Option<&Recovery>,
    ) -> Result<(Arc<Screen>, Membership), Error> {
        let offset = recovery.and_then(|recovery| recovery.offset.as_deref()?.parse().ok());
        if let (None, Some(offset)) = (&since, offset) {
            let screen = Screen::new(outbox.clone(), stay, true);
            let membership = self.edge.hub.join(scope, screen.clone(), &Wish::Since(offset)).await?;
            if screen.shown().is_some() {
                return Ok((screen, membership));
            }
        }
        let screen = Screen::new(outbox.clone(), stay, false);
        let wish = since.map_or(Wish::Undelivered, Wish::Since);
        let membership = self.edge.hub.join(scope, screen.clone(), &wish).await?;
        Ok((screen, membership))
    }

    async fn user_message(&self, session: &Session, event: &socketio::Event) -> Result<Value, Error> {
        #[derive(Deserialize)]
        struct UserMessage {
            text: String,
        }
        let Some(contact) = &session.contact else {
            return Err(Error::Unauthorized("this connection named no userPhone"));
        };
        contact.judge(&self.edge)?;
        let message: UserMessage = event
            .argument(0)
            .map_err(|_| Error::Invalid("user-message expects {\"text\":string}".to_owned()))?;
        let text = widget::user_message(&message.text).map_err(Error::Invalid)?;
        let accepted =
            speech::contact_wrote(&self.edge.bus, &contact.tenant, &contact.conversation, text).await?;
        Ok(json!({ "success": true, "id": accepted.message_id, "seq": accepted.seq }))
    }
}

impl Widget {
    /// The connection goes on with another token of the same contact.
    async fn refresh_token(&self, session: &Session, event: &socketio::Event) -> Result<Value, Error> {
        #[derive(Deserialize)]
        struct RefreshToken {
            token: String,
        }
        let Some(contact) = &session.contact else {
            return Err(Error::Unauthorized("this connection named no userPhone"));
        };
        contact.judge(&self.edge)?;
        let given: RefreshToken = event
            .argument(0)
            .map_err(|_| Error::Invalid("refresh-token expects {\"token\":string}".to_owned()))?;
        let new = self.edge.gate.identify(&given.token).await?;
        contact.identity.may_become(&new)?;
        contact.lease.lock().unwrap_or_else(PoisonError::into_inner).renew(new.expires_at_ms);
        let _ = contact.screen.outbox.push(widget::token_refreshed(new.expires_at_ms), Delivery::Reply);
        Ok(json!({ "success": true, "expires_at": new.expires_at_ms.map(iso) }))
    }
}

/// Why a client is not let in. One that would be let in later is made to come back by itself.
fn refuse(outbox: &Outbox, error: &Error) -> Refusal {
    if matches!(error.code(), Code::Unavailable | Code::Timeout) {
        outbox.close(CloseCode::INTERNAL);
    }
    Refusal { message: error.to_string(), data: Some(json!({ "code": error.code().as_str() })) }
}
