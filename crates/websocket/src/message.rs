//! What comes in.

use bytes::Bytes;

use crate::Text;

/// One whole message, or one control frame, from the client. Owns just its own bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// A text message.
    Text(Text),
    /// A binary message.
    Binary(Bytes),
    /// A ping. Its pong is already on the way.
    Ping(Bytes),
    /// A pong.
    Pong(Bytes),
    /// The client closes: its code and reason, if it named any. The answer is already on the way.
    Close(Option<(u16, String)>),
}
