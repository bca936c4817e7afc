//! What goes out.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;

use crate::{
    Text, close,
    compression::{self, WINDOW_BITS_MAX},
    header::{FIN, Opcode, RSV1},
    negotiation::Agreement,
};

/// One message for any number of sockets. Clones share the payload and its compressed form, which is made once, when
/// the first socket that wants it sends the frame.
#[derive(Clone)]
pub struct Frame(Arc<Shared>);

struct Shared {
    opcode: Opcode,
    payload: Payload,
    /// With the largest window; `None` inside when it would not be smaller.
    deflated: OnceLock<Option<Bytes>>,
}

#[derive(PartialEq)]
enum Payload {
    Text(Text),
    Binary(Bytes),
}

impl Frame {
    /// A text message.
    pub fn text(text: impl Into<Text>) -> Self {
        Self::new(Opcode::Text, Payload::Text(text.into()))
    }

    /// A binary message.
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self::new(Opcode::Binary, Payload::Binary(bytes.into()))
    }

    /// A ping. More than 125 bytes are cut off.
    pub fn ping(bytes: impl Into<Bytes>) -> Self {
        Self::control(Opcode::Ping, bytes.into())
    }

    pub(crate) fn pong(bytes: Bytes) -> Self {
        Self::control(Opcode::Pong, bytes)
    }

    pub(crate) fn close(code_and_reason: Option<(u16, &str)>) -> Self {
        let payload = code_and_reason.map(|(code, reason)| close::payload(code, reason));
        Self::control(Opcode::Close, payload.unwrap_or_default().into())
    }

    fn control(opcode: Opcode, mut bytes: Bytes) -> Self {
        const CONTROL_BYTES_MAX: usize = 125;
        bytes.truncate(CONTROL_BYTES_MAX);
        Self::new(opcode, Payload::Binary(bytes))
    }

    fn new(opcode: Opcode, payload: Payload) -> Self {
        Self(Arc::new(Shared { opcode, payload, deflated: OnceLock::new() }))
    }

    /// The payload, uncompressed.
    pub fn payload(&self) -> &Bytes {
        match &self.0.payload {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(bytes) => bytes,
        }
    }

    /// The text of a text message.
    pub fn as_text(&self) -> Option<&Text> {
        match &self.0.payload {
            Payload::Text(text) => Some(text),
            Payload::Binary(_) => None,
        }
    }

    /// Size of the uncompressed payload in bytes.
    pub fn len(&self) -> usize {
        self.payload().len()
    }

    /// Whether the payload is empty.
    pub fn is_empty(&self) -> bool {
        self.payload().is_empty()
    }

    pub(crate) fn is_pong(&self) -> bool {
        self.0.opcode == Opcode::Pong
    }

    /// The same frame with the compressed form made that a socket will ask for.
    pub(crate) fn prepared(self, agreement: Option<&Agreement>) -> Self {
        let Some(agreement) = agreement.filter(|agreement| self.is_compressed_for(agreement)) else {
            return self;
        };
        let (level, window_bits) = (agreement.deflate.level, agreement.window_bits);
        if window_bits == WINDOW_BITS_MAX {
            self.0.deflated.get_or_init(|| compression::deflate(self.payload(), level, window_bits));
            return self;
        }
        // A small window is so rare that its form is not shared.
        let deflated = compression::deflate(self.payload(), level, window_bits);
        let (opcode, payload) = (self.0.opcode, Payload::Binary(self.payload().clone()));
        Self(Arc::new(Shared { opcode, payload, deflated: OnceLock::from(deflated) }))
    }

    /// First byte of the header and payload for a socket, the same each time for a prepared frame.
    pub(crate) fn wire(&self, agreement: Option<&Agreement>) -> (u8, &Bytes) {
        let first = FIN | self.0.opcode as u8;
        let wants = agreement.is_some_and(|agreement| self.is_compressed_for(agreement));
        match self.0.deflated.get() {
            Some(Some(deflated)) if wants => (first | RSV1, deflated),
            _ => (first, self.payload()),
        }
    }

    fn is_compressed_for(&self, agreement: &Agreement) -> bool {
        !self.0.opcode.is_control() && self.len() >= agreement.deflate.payload_bytes_min
    }
}

impl PartialEq for Frame {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (&*self.0, &*other.0);
        Arc::ptr_eq(&self.0, &other.0) || (ours.opcode == theirs.opcode && self.payload() == other.payload())
    }
}

impl Eq for Frame {}

impl fmt::Debug for Frame {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:?}({:?})", self.0.opcode, self.payload())
    }
}

impl From<Text> for Frame {
    fn from(text: Text) -> Self {
        Self::text(text)
    }
}

impl From<String> for Frame {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}

impl From<&'static str> for Frame {
    fn from(text: &'static str) -> Self {
        Self::text(Text::from_static(text))
    }
}

impl From<Bytes> for Frame {
    fn from(bytes: Bytes) -> Self {
        Self::binary(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Deflate;

    fn agreement(offer: &str) -> Agreement {
        Agreement::reach([offer].into_iter(), Deflate::default()).unwrap()
    }

    #[test]
    fn a_frame_is_compressed_once_for_all_its_sockets() {
        let frame = Frame::text("hello, ".repeat(100));
        let socket = agreement("permessage-deflate");
        let first = frame.clone().prepared(Some(&socket));
        let second = frame.clone().prepared(Some(&socket));
        let (bits, deflated) = first.wire(Some(&socket));
        assert_eq!(bits, FIN | RSV1 | 1);
        assert!(deflated.len() < frame.len());
        assert_eq!(deflated.as_ptr(), second.wire(Some(&socket)).1.as_ptr());
        assert_eq!(frame.wire(None), (FIN | 1, frame.payload()), "other sockets get the plain form");
    }

    #[test]
    fn a_small_window_gets_its_own_form() {
        let frame = Frame::text("hello, ".repeat(100));
        let socket = agreement("permessage-deflate; server_max_window_bits=9");
        let prepared = frame.clone().prepared(Some(&socket));
        assert_eq!(prepared.wire(Some(&socket)).0, FIN | RSV1 | 1);
        assert_eq!(frame.0.deflated.get(), None);
    }

    #[test]
    fn short_frames_and_control_frames_are_sent_as_they_are() {
        let socket = agreement("permessage-deflate");
        for frame in [Frame::text("short"), Frame::ping(vec![b'a'; 125])] {
            let frame = frame.prepared(Some(&socket));
            assert_eq!(frame.wire(Some(&socket)).0 & RSV1, 0);
        }
    }
}
