//! The JSON WebSocket: one frame that several dialects share.
//!
//! What a client goes through is the same in each of them and stands here: the upgrade and who may have it (`open`),
//! then the socket's life (`session`). What differs is a [`JsonDialect`]: one value a socket, in `json/crm.rs` and
//! `json/chat.rs`, over the pure functions of `dialect/`.

mod chat;
mod crm;
mod entrance;
mod open;
mod session;

use std::sync::Arc;

use chasqui_proto::v1::PersonKind;
use chasqui_websocket::Text;

pub(crate) use chat::Chat;
pub(crate) use crm::Crm;
pub(crate) use entrance::{at_root, at_ws};

use crate::{
    auth::Identity,
    close::CloseCode,
    error::Error,
    feed::Member,
    hub::{Cursor, Wish},
    outbox::{Delivery, Outbox},
    scope::Scope,
    service::Edge,
};

/// One client's side of a dialect. The session owns it and calls it from its one task, in this order: [`admit`],
/// [`open`], [`member`] (which the feed then greets and delivers to), [`obey`] for each frame, [`leave`].
///
/// Everything for the client goes through the [`Seat`]'s outbox, where events of the feed wait too: what is pushed
/// first leaves first. A dialect never writes to the socket, never closes it itself and never waits for a frame to
/// leave; to end the connection it answers with a [`CloseCode`].
///
/// [`admit`]: Self::admit
/// [`open`]: Self::open
/// [`member`]: Self::member
/// [`obey`]: Self::obey
/// [`leave`]: Self::leave
pub(crate) trait JsonDialect: Send + Sized + 'static {
    /// Its name in metrics and logs.
    const NAME: &'static str;

    /// What becomes of a client that does not prove who it is. True: HTTP 401 and no socket (BEN-04, BEN-05, BEN-06);
    /// the token must then stand in the request. False: it gets a socket, may still say its token in the first frame,
    /// and is told in its dialect why it is closed.
    const REFUSES_BEFORE_UPGRADE: bool;

    /// Decides whether the client may come in, and what its feed is. No side effects: the client is not in yet.
    fn admit(edge: &Edge, identity: &Identity) -> Result<Entry, Error>;

    /// What an admitted client is to its tenant, in the eyes of the others who are connected.
    fn kind(identity: &Identity) -> PersonKind {
        identity.kind
    }

    /// The client was admitted. Frames pushed here stand before the greeting of the feed.
    fn open(seat: Seat) -> Self;

    /// Whom the feed greets and delivers to. Its [`Member::dismiss`] is to close the outbox.
    fn member(&self) -> Arc<dyn Member>;

    /// Does what one text frame asks for, and answers it through the outbox, mistakes included. The next frame waits
    /// until this is done; events of the feed do so as well, so every wait in here needs a bound.
    fn obey(&mut self, text: &str) -> impl Future<Output = Result<Obeyed, CloseCode>> + Send;

    /// Everything up to this position of the outbox has certainly arrived.
    fn confirmed(&mut self, _position: u64) {}

    /// The client has left, or was never let into its feed. Called once for every [`Self::open`], on every way out.
    fn leave(self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Reads the first frame of a client whose request carried no token; the error names the field and what was
    /// expected. Never called where [`Self::REFUSES_BEFORE_UPGRADE`].
    fn introduction(text: &str) -> Result<Introduction, String>;

    /// What went wrong, as the dialect says it. `code` is one of [`chasqui_kit::Code::as_str`].
    fn error(code: &str, message: &str) -> Text;

    /// What a heartbeat says beside the protocol's ping; `None` where clients do not know such a frame. Everything up
    /// to `seq` was shown.
    fn heartbeat(seq: u64) -> Option<Text>;

    /// The token ends then (unix milliseconds), and the connection some time after it, unless the client sends another.
    fn token_expiring(expires_at_ms: i64) -> Text;

    /// The connection goes on with the new token; `None` when that one never ends.
    fn token_refreshed(expires_at_ms: Option<i64>) -> Text;
}

/// Where a client that is let in sits.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) edge: Arc<Edge>,
    pub(crate) identity: Arc<Identity>,
    /// Everything for the client.
    pub(crate) outbox: Arc<Outbox>,
    /// The ticket that the client brings when it comes back.
    pub(crate) session: Box<str>,
}

impl Seat {
    /// Queues an answer to the client's own frame; the code to close with when it does not fit.
    pub(crate) fn reply(&self, frame: Text) -> Result<Obeyed, CloseCode> {
        match self.outbox.push(frame, Delivery::Reply) {
            Ok(_) => Ok(Obeyed::Done),
            Err(_) => Err(CloseCode::SLOW_CONSUMER),
        }
    }
}

/// What an admitted client is shown.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Whose events.
    pub(crate) scope: Scope,
    /// From where, when it brings no cursor.
    pub(crate) wish: Wish,
}

/// Who a client says it is, in its first frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) token: String,
    pub(crate) earlier: Earlier,
}

/// What a client brings of an earlier connection.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Earlier {
    /// Where it was.
    pub(crate) cursor: Option<Cursor>,
    /// The ticket of its session; the connection it is of is fenced.
    pub(crate) session: Option<String>,
}

impl Earlier {
    /// This, and of the other what is missing here.
    fn or(self, other: Self) -> Self {
        Self { cursor: self.cursor.or(other.cursor), session: self.session.or(other.session) }
    }
}

/// What is left to do after a frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Obeyed {
    /// Nothing: it was done and answered.
    Done,
    /// The session is to take another token, and answers by itself with [`JsonDialect::token_refreshed`] or
    /// [`JsonDialect::error`].
    Refresh { token: String },
}
