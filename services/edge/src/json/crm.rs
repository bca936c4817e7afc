//! Dialect `crm` on the JSON WebSocket: staff of a tenant.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use chasqui_kit::Coded;
use chasqui_proto::{
    ConversationToken,
    v1::{PersonKind, SenderType},
};
use chasqui_websocket::Text;

use super::{Earlier, Entry, Introduction, JsonDialect, Obeyed, Seat};
use crate::{
    auth::Identity,
    close::CloseCode,
    dialect::{
        Dialect,
        crm::{self, Command, Topic, Topics},
    },
    error::Error,
    event::Event,
    feed::{Greeting, Member},
    hub::Wish,
    outbox::{Delivery, Outbox},
    scope::Scope,
    service::Edge,
    speech,
    typing::Typist,
};

/// A connected member of staff.
pub(crate) struct Crm {
    seat: Seat,
    screen: Arc<Screen>,
    typist: Typist,
    /// The conversation it types in: as the client calls it, and its token.
    typed_in: Option<(String, ConversationToken)>,
}

/// What the client shows: the member that its feed delivers to.
#[derive(Debug)]
struct Screen {
    outbox: Arc<Outbox>,
    node: String,
    heartbeat_ms: u64,
    session: Box<str>,
    /// What the client wants to be shown, as [`Topics`].
    topics: AtomicU32,
}

impl Member for Screen {
    fn greet(&self, greeting: &Greeting) {
        let frame = crm::connected(greeting, &self.node, self.heartbeat_ms, &self.session);
        let _ = self.outbox.push(frame, Delivery::Reply);
    }

    fn deliver(&self, event: &Arc<Event>) {
        let topics = Topics::of_bits(self.topics.load(Ordering::Relaxed));
        if !topics.contain(Topic::of(&event.fact)) {
            return;
        }
        if let Some(frame) = event.frame(Dialect::Crm) {
            // A full outbox closes itself, and the socket's task sees that.
            let _ = self.outbox.push(frame.clone(), event.delivery());
        }
    }

    fn dismiss(&self) {
        self.outbox.close(CloseCode::SLOW_CONSUMER);
    }
}

impl JsonDialect for Crm {
    const NAME: &'static str = "crm";
    const REFUSES_BEFORE_UPGRADE: bool = false;

    fn admit(edge: &Edge, identity: &Identity) -> Result<Entry, Error> {
        edge.admits_staff(identity)?;
        Ok(Entry { scope: Scope::Tenant(identity.tenant.clone()), wish: Wish::Live })
    }

    fn kind(identity: &Identity) -> PersonKind {
        if identity.is_active_agent() { PersonKind::Agent } else { PersonKind::Staff }
    }

    fn open(mut seat: Seat) -> Self {
        let screen = Screen {
            outbox: seat.outbox.clone(),
            node: seat.edge.node.to_string(),
            heartbeat_ms: seat.edge.config.heartbeat_interval_ms,
            session: std::mem::take(&mut seat.session),
            topics: AtomicU32::new(Topics::ALL.bits()),
        };
        Self { seat, screen: Arc::new(screen), typist: Typist::default(), typed_in: None }
    }

    fn member(&self) -> Arc<dyn Member> {
        self.screen.clone()
    }

    async fn obey(&mut self, text: &str) -> Result<Obeyed, CloseCode> {
        match self.act(text).await {
            Ok(Answer::Nothing) => Ok(Obeyed::Done),
            Ok(Answer::Frame(frame)) => self.seat.reply(frame),
            Ok(Answer::Refresh(token)) => Ok(Obeyed::Refresh { token }),
            Err(error) => self.seat.reply(Self::error(error.code().as_str(), &error.to_string())),
        }
    }

    fn introduction(text: &str) -> Result<Introduction, String> {
        match crm::parse(text)? {
            Command::Connect { token: Some(token), since: cursor, session } => {
                Ok(Introduction { token, earlier: Earlier { cursor, session } })
            }
            _ => Err("the first frame must be {\"type\":\"connect\",\"data\":{\"token\":…}}".to_owned()),
        }
    }

    fn error(code: &str, message: &str) -> Text {
        crm::error(code, message)
    }

    fn heartbeat(seq: u64) -> Option<Text> {
        Some(crm::heartbeat(seq))
    }

    fn token_expiring(expires_at_ms: i64) -> Text {
        crm::token_expiring(expires_at_ms)
    }

    fn token_refreshed(expires_at_ms: Option<i64>) -> Text {
        crm::token_refreshed(expires_at_ms)
    }
}

/// What a frame is answered with.
enum Answer {
    Nothing,
    Frame(Text),
    Refresh(String),
}

impl Crm {
    async fn act(&mut self, text: &str) -> Result<Answer, Error> {
        let (bus, identity) = (&self.seat.edge.bus, &self.seat.identity);
        Ok(match crm::parse(text).map_err(Error::Invalid)? {
            Command::Ping => Answer::Frame(crm::pong()),
            Command::Connect { .. } => {
                return Err(Error::Invalid("type: the connection stands already".to_owned()));
            }
            Command::Subscribe(topics) => {
                self.screen.topics.store(topics.bits(), Ordering::Relaxed);
                Answer::Frame(crm::subscribed(topics))
            }
            Command::Typing { conversation, typing } => {
                self.type_in(conversation, typing).await?;
                Answer::Nothing
            }
            Command::RefreshToken { token } => Answer::Refresh(token),
            Command::SendMessage { conversation, text, file, client_id } => {
                let files = match file {
                    Some(file) => vec![self.seat.edge.files.attach(&identity.tenant, *file).await?],
                    None => Vec::new(),
                };
                let parts = speech::parts(text, files);
                let accepted = speech::agent_wrote(bus, identity, conversation, parts).await?;
                let frame = crm::message_accepted(client_id.as_ref(), &accepted.message_id, accepted.seq);
                Answer::Frame(frame)
            }
            Command::MarkRead { conversation } => {
                speech::agent_read(bus, identity, conversation).await?;
                Answer::Nothing
            }
        })
    }

    /// Every keystroke says it, and most are in the conversation of the one before.
    async fn type_in(&mut self, conversation: String, typing: bool) -> Result<(), Error> {
        let Seat { edge, identity, .. } = &self.seat;
        if self.typed_in.as_ref().is_none_or(|(name, _)| *name != conversation) {
            let token = speech::conversation_named(&edge.bus, &identity.tenant, conversation.clone()).await?;
            self.typed_in = Some((conversation, token));
        }
        if let Some((_, token)) = &self.typed_in {
            self.typist.press(edge, identity, token, (SenderType::Agent, typing)).await;
        }
        Ok(())
    }
}
