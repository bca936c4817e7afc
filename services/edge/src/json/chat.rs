//! Dialect `chat` on the JSON WebSocket: users, and the agents who answer them.

mod handover;
mod screen;
mod viewer;

use std::sync::Arc;

use chasqui_kit::{Code, Coded, TraceContext};
use chasqui_proto::{
    ConversationToken,
    service::{CHATS_CLOSE, CHATS_OPEN},
    v1,
};
use chasqui_websocket::Text;

use self::{screen::Screen, viewer::Side};
use super::{Entry, Introduction, JsonDialect, Obeyed, Seat};
use crate::{
    auth::Identity,
    close::CloseCode,
    dialect::chat::{self, Command, Refusal, Style, Write},
    error::Error,
    feed::Member,
    hub::Wish,
    outbox::Delivery,
    scope::Scope,
    service::Edge,
    speech::{
        chat::{self as speech, Words},
        widget_received,
    },
    typing::Typist,
};

/// A connected user or agent.
pub(crate) struct Chat {
    seat: Seat,
    screen: Arc<Screen>,
    typist: Typist,
}

/// BEN-09: an inactive agent is a regular user.
fn active_agent(identity: &Identity) -> Option<&str> {
    identity.agent.as_ref().filter(|agent| agent.is_active).map(|agent| agent.id.as_str())
}

impl JsonDialect for Chat {
    const NAME: &'static str = "chat";
    const REFUSES_BEFORE_UPGRADE: bool = true;

    fn admit(_: &Edge, identity: &Identity) -> Result<Entry, Error> {
        let tenant = identity.tenant.clone();
        Ok(match active_agent(identity) {
            Some(_) => Entry { scope: Scope::Tenant(tenant), wish: Wish::Live },
            None => Entry { scope: Scope::Contact(tenant, identity.person.clone()), wish: Wish::Undelivered },
        })
    }

    fn open(mut seat: Seat) -> Self {
        let agent_id = active_agent(&seat.identity).map(str::to_owned);
        if let Some(id) = &agent_id {
            let agent = chat::Agent {
                id: id.clone(),
                user_id: seat.identity.user.clone(),
                name: seat.identity.name.clone(),
                status: v1::AgentStatus::Active.name(),
            };
            // An empty outbox takes it.
            let _ = seat.outbox.push(chat::agent_connected(&agent), Delivery::Reply);
        }
        let screen = Screen::new(&mut seat, agent_id);
        Self { seat, screen, typist: Typist::default() }
    }

    fn member(&self) -> Arc<dyn Member> {
        self.screen.clone()
    }

    async fn obey(&mut self, text: &str) -> Result<Obeyed, CloseCode> {
        let done = match chat::parse(text) {
            Ok(Command::RefreshToken { token }) => return Ok(Obeyed::Refresh { token }),
            Ok(command) => self.act(command).await,
            Err(refusal) => Err(refusal),
        };
        match done {
            Ok(None) => Ok(Obeyed::Done),
            Ok(Some(frame)) => self.seat.reply(frame),
            Err(refusal) => {
                let labels = [("dialect", Self::NAME), ("reason", refusal.reason())];
                metrics::counter!("chasqui_edge_refused_frames_total", &labels).increment(1);
                self.seat.reply(refusal.frame())
            }
        }
    }

    fn confirmed(&mut self, position: u64) {
        for message in self.screen.take_confirmed(position) {
            let (edge, user) = (self.seat.edge.clone(), self.seat.identity.clone());
            self.seat.edge.tasks.spawn(async move {
                let stored = widget_received(&edge.bus, &user.tenant, &user.person, message).await;
                // Not told, the message is shown once more on the next connection: better than lost.
                if let Err(error) = stored {
                    tracing::warn!(%error, "a delivery could not be recorded");
                }
            });
        }
    }

    fn introduction(_: &str) -> Result<Introduction, String> {
        Err("the token must stand in the request".to_owned())
    }

    fn error(code: &str, message: &str) -> Text {
        let refusal = if code == Code::InvalidInput.as_str() {
            Refusal::Garbage
        } else {
            Refusal::Invalid(message.to_owned())
        };
        refusal.frame()
    }

    fn heartbeat(_: u64) -> Option<Text> {
        None
    }

    fn token_expiring(expires_at_ms: i64) -> Text {
        chat::token_expiring(expires_at_ms)
    }

    fn token_refreshed(expires_at_ms: Option<i64>) -> Text {
        chat::token_refreshed(expires_at_ms)
    }
}

/// The answer to a frame, where there is one.
type Answer = Result<Option<Text>, Refusal>;

impl Chat {
    async fn act(&mut self, command: Command) -> Answer {
        match command {
            Command::Write(write) => self.write(write).await,
            Command::ToBot { text, client_id } => {
                let (bus, user) = (&self.seat.edge.bus, &self.seat.identity);
                let accepted = speech::user_wrote_to_bot(bus, user, text, client_id.clone()).await;
                let accepted = accepted.map_err(|error| failed(Style::Chat, &error))?;
                Ok(client_id.map(|id| chat::message_accepted(&id, &accepted.message_id, accepted.seq)))
            }
            Command::Read { chat, message } => self.read(&chat, &message).await,
            Command::Typing { chat, typing } => self.typing(&chat, typing).await,
            Command::OpenChat => self.change(&self.seat.identity.person, self.open_chat()).await,
            Command::CloseChat { chat } => self.close_chat(chat.as_deref()).await,
            Command::RefreshToken { .. } | Command::Unknown => {
                metrics::counter!("chasqui_edge_unknown_events_total", "dialect" => Self::NAME).increment(1);
                Ok(None)
            }
        }
    }

    /// BEN-15, BEN-25, BEN-33: who writes is who is connected, and what it writes goes where it takes part.
    async fn write(&mut self, write: Write) -> Answer {
        let Write { style, chat: name, text, file, claimed_sender, client_id } = write;
        let (bus, identity) = (&self.seat.edge.bus, &self.seat.identity);
        if claimed_sender.is_some_and(|sender| !self.is_own_id(&sender)) {
            return Err(Refusal::NotYou);
        }
        let (conversation, side) = self.find(&name, style)?;
        let attached = match file {
            Some(_) if side == Side::User => {
                return Err(Refusal::Unwelcome(
                    style,
                    "attachment: solo los agentes adjuntan archivos".to_owned(),
                ));
            }
            Some(file) => {
                let attached = self.seat.edge.files.attach(&identity.tenant, *file).await;
                Some(attached.map_err(|error| failed(style, &error))?)
            }
            None => None,
        };
        let words = Words { text, attached, client_id: client_id.clone() };
        let written = match side {
            Side::Agent => speech::agent_answered(bus, identity, &conversation, words).await,
            Side::User => match self.opened(&conversation).await {
                Ok(()) => speech::user_wrote(bus, identity, words).await,
                Err(error) => Err(error),
            },
        };
        let accepted = written.map_err(|error| failed(style, &error))?;
        self.press(&conversation, side, false).await;
        Ok(client_id.map(|id| chat::message_accepted(&id, &accepted.message_id, accepted.seq)))
    }

    /// Front ends name an agent by its user or by its agent id.
    fn is_own_id(&self, id: &str) -> bool {
        id == self.seat.identity.user || active_agent(&self.seat.identity) == Some(id)
    }

    fn find(&self, name: &str, style: Style) -> Result<(ConversationToken, Side), Refusal> {
        let found = self.screen.viewer(|viewer| viewer.find(name));
        found.ok_or_else(|| not_open(style))
    }

    /// A user that writes without an open chat opens one.
    async fn opened(&self, conversation: &ConversationToken) -> Result<(), Error> {
        if self.screen.viewer(|viewer| viewer.chat(conversation).is_none()) {
            let chat = self.open_chat().await?;
            self.screen.learn(chat);
        }
        Ok(())
    }

    async fn open_chat(&self) -> Result<v1::Chat, Error> {
        let identity = &self.seat.identity;
        let question = v1::OpenChat {
            tenant: identity.tenant.to_string(),
            conversation: identity.person.to_string(),
            user_id: identity.user.clone(),
            user_name: speech::name_in_chat(&identity.name),
            ..v1::OpenChat::default()
        };
        Ok(self.seat.edge.bus.ask(CHATS_OPEN, &question, TraceContext::root()).await?)
    }

    async fn read(&self, name: &str, message: &str) -> Answer {
        let (conversation, _) = self.find(name, Style::Chat)?;
        let message = message
            .parse()
            .map_err(|_| Refusal::Invalid("message_id debe ser el id de un mensaje".to_owned()))?;
        let (bus, reader) = (&self.seat.edge.bus, &self.seat.identity);
        speech::person_read(bus, reader, &conversation, message).await.map_err(|error| {
            tracing::warn!(%error, "a receipt could not be stored");
            Refusal::Invalid("No se pudo registrar la lectura".to_owned())
        })?;
        Ok(None)
    }

    async fn typing(&mut self, name: &str, typing: bool) -> Answer {
        let (conversation, side) = self.find(name, Style::Chat)?;
        self.press(&conversation, side, typing).await;
        Ok(None)
    }

    async fn press(&mut self, conversation: &ConversationToken, side: Side, typing: bool) {
        let sender = match side {
            Side::User => v1::SenderType::User,
            Side::Agent => v1::SenderType::Agent,
        };
        let Seat { edge, identity, .. } = &self.seat;
        self.typist.press(edge, identity, conversation, (sender, typing)).await;
    }

    async fn close_chat(&self, name: Option<&str>) -> Answer {
        let identity = &self.seat.identity;
        let (conversation, _) = self.find(name.unwrap_or(&identity.user), Style::Chat)?;
        let question = v1::CloseChat {
            tenant: identity.tenant.to_string(),
            chat: conversation.to_string(),
            closed_by: identity.user.clone(),
        };
        let closed =
            async { Ok(self.seat.edge.bus.ask(CHATS_CLOSE, &question, TraceContext::root()).await?) };
        self.change(&conversation, closed).await
    }

    /// Shows a chat as it stands after something was asked of it; the answer is for a client that was shown that
    /// before.
    async fn change(
        &self,
        conversation: &ConversationToken,
        asked: impl Future<Output = Result<v1::Chat, Error>>,
    ) -> Answer {
        let before = self.screen.viewer(|viewer| viewer.version(conversation.as_str()));
        match asked.await {
            Ok(chat) => {
                let known = (before >= chat.version).then(|| chat::chat(&chat));
                self.screen.learn(chat);
                Ok(known)
            }
            Err(error) if error.code() == Code::NotFound => Err(not_open(Style::Chat)),
            Err(error) => {
                tracing::warn!(%error, "a chat could not be changed");
                Err(Refusal::Invalid("No se pudo cambiar el chat, intente nuevamente".to_owned()))
            }
        }
    }
}

fn not_open(style: Style) -> Refusal {
    Refusal::Unwelcome(style, "chat_id no es un chat abierto tuyo".to_owned())
}

/// BEN-22, BEN-26
fn failed(style: Style, error: &Error) -> Refusal {
    tracing::warn!(%error, "a message of a chat could not be stored");
    Refusal::Failed(
        style,
        match error.code() {
            Code::Unavailable | Code::Timeout => "el servicio no está disponible, intente nuevamente",
            Code::TooLarge => "el mensaje es demasiado grande",
            _ => "error interno",
        },
    )
}
