//! A WebSocket on one node, its session on another: the two ends and what goes between them.

use chasqui_websocket::Text;
use tokio::sync::mpsc;

use crate::close::CloseCode;
use crate::outbox::Frame;

/// How many pieces wait between the engine and the carrier of one end. Few: the carrier has a window of its own.
const PIECES_MAX: usize = 2;

/// One end of a bridge. Dropping it closes the bridge.
#[derive(Debug)]
pub struct Bridge {
    /// What the other end sent; `None` once it or the way to it is gone.
    pub incoming: mpsc::Receiver<Carried>,
    /// What the other end is to be sent.
    pub outgoing: mpsc::Sender<Carried>,
}

/// A piece of what goes over a bridge.
#[derive(Debug, Clone, PartialEq)]
pub enum Carried {
    /// Frames of the WebSocket, in order.
    Frames(Vec<Frame>),
    /// The last piece: the WebSocket closes, with a code where there is one to tell.
    Closed(Option<Goodbye>),
}

/// A close code with its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    /// The WebSocket close code.
    pub code: u16,
    /// One short phrase for people.
    pub reason: Text,
}

impl From<CloseCode> for Goodbye {
    fn from(code: CloseCode) -> Self {
        Self { code: code.code, reason: Text::from_static(code.words()) }
    }
}

impl Bridge {
    /// Two ends of one bridge: the engine has one, who carries the pieces has the other.
    pub fn pair() -> (Self, Self) {
        let (to_far, from_near) = mpsc::channel(PIECES_MAX);
        let (to_near, from_far) = mpsc::channel(PIECES_MAX);
        (Self { incoming: from_far, outgoing: to_far }, Self { incoming: from_near, outgoing: to_near })
    }
}
