//! Why a connection cannot go on.

use std::io;

use thiserror::Error;

use crate::close;

/// What ended a connection without a close handshake. Nothing can be received after one.
#[derive(Debug, Error)]
pub enum Error {
    /// The client broke RFC 6455.
    #[error("the client broke the WebSocket protocol: {0}")]
    Protocol(#[from] Violation),
    /// A text message or a close reason was not UTF-8.
    #[error("text was not UTF-8")]
    NotUtf8,
    /// A frame or a message was longer than [`Limits`](crate::Limits) allow.
    #[error("a message was longer than {bytes_max} bytes")]
    TooLarge {
        /// The bound that was exceeded.
        bytes_max: usize,
    },
    /// A compressed message would inflate to more than [`Limits`](crate::Limits) allow.
    #[error("a message inflates to more than {bytes_max} bytes")]
    InflatesTooLarge {
        /// The bound that was exceeded.
        bytes_max: usize,
    },
    /// A compressed message could not be inflated.
    #[error("a compressed message could not be inflated")]
    NotDeflate,
    /// The client left without a close frame.
    #[error("the connection ended without a close frame")]
    Ended,
    /// Something was to be written after a close frame.
    #[error("the connection is closed already")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Io(#[from] io::Error),
}

impl Error {
    /// The close code to tell the client, where there is still somebody to tell.
    pub fn close_code(&self) -> Option<u16> {
        match self {
            Self::Protocol(_) => Some(close::PROTOCOL_ERROR),
            Self::NotUtf8 | Self::NotDeflate => Some(close::INVALID_PAYLOAD),
            Self::TooLarge { .. } | Self::InflatesTooLarge { .. } => Some(close::TOO_LARGE),
            Self::Ended | Self::Closed | Self::Io(_) => None,
        }
    }
}

/// How a client broke RFC 6455.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Violation {
    /// A reserved bit was set that no extension gives a meaning (section 5.2).
    #[error("a reserved bit was set")]
    ReservedBit,
    /// An opcode nobody defined (section 5.2).
    #[error("opcode {0:#x} is reserved")]
    ReservedOpcode(u8),
    /// Clients must mask every frame (section 5.1).
    #[error("a frame was not masked")]
    NotMasked,
    /// A length was not written in its shortest form, or with its highest bit set (section 5.2).
    #[error("a frame's length was not in its shortest form")]
    Length,
    /// A control frame of more than 125 bytes (section 5.5).
    #[error("a control frame was longer than 125 bytes")]
    LongControl,
    /// A control frame in several parts (section 5.5).
    #[error("a control frame was fragmented")]
    FragmentedControl,
    /// A continuation frame, but nothing to continue (section 5.4).
    #[error("a continuation without a beginning")]
    NothingToContinue,
    /// A message began inside another (section 5.4).
    #[error("a message began before the last one ended")]
    InsideMessage,
    /// A close frame of one byte (section 5.5.1).
    #[error("a close frame held half a code")]
    HalfCloseCode,
    /// A close code that may not be sent (section 7.4).
    #[error("close code {0} may not be sent")]
    CloseCode(u16),
}
