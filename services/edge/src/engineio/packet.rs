//! The Engine.IO v4 wire: one packet a WebSocket frame, many in a polling payload.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use chasqui_websocket::Text;
use thiserror::Error;

use crate::outbox::Frame;

/// What separates the packets of a polling payload.
const SEPARATOR: char = '\x1e';

/// What a binary packet starts with where only text can travel.
const BINARY_PREFIX: char = 'b';

pub(super) const CLOSE: &str = "1";
pub(super) const PING: &str = "2";
pub(super) const PROBE_PING: &str = "2probe";
pub(super) const PROBE_PONG: &str = "3probe";
pub(super) const UPGRADE: &str = "5";
pub(super) const NOOP: &str = "6";

/// One packet from a client.
#[derive(Debug, Clone, PartialEq)]
pub enum Packet {
    /// `1`: the client leaves.
    Close,
    /// `2`: only a probe is allowed to send it; the server owns the heartbeat.
    Ping,
    /// `3`: the answer to our ping.
    Pong,
    /// `4`: the whole frame, with its leading `4`, so that nothing is copied.
    Message(Text),
    /// A binary message.
    Binary(Bytes),
    /// `5`: the last packet of an upgrade.
    Upgrade,
    /// `6`: nothing.
    Noop,
}

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum PacketError {
    /// The first character names no packet a client may send.
    #[error("unknown packet type")]
    UnknownType,
    /// A `b…` packet whose rest is not base64.
    #[error("binary packet is not base64")]
    Base64,
}

impl Packet {
    /// Reads one text packet.
    pub fn parse(text: Text) -> Result<Self, PacketError> {
        match text.as_bytes().first() {
            Some(b'1') => Ok(Self::Close),
            Some(b'2') => Ok(Self::Ping),
            Some(b'3') => Ok(Self::Pong),
            Some(b'4') => Ok(Self::Message(text)),
            Some(b'5') => Ok(Self::Upgrade),
            Some(b'6') => Ok(Self::Noop),
            _ => Err(PacketError::UnknownType),
        }
    }

    /// Reads one WebSocket frame.
    pub(super) fn of_frame(frame: &Frame) -> Result<Self, PacketError> {
        match frame.as_text() {
            Some(text) => Self::parse(text.clone()),
            None => Ok(Self::Binary(frame.payload().clone())),
        }
    }

    /// Reads a polling payload: packets joined by the record separator, binary ones as base64.
    pub fn parse_payload(payload: &str) -> Result<Vec<Self>, PacketError> {
        payload.split(SEPARATOR).map(Self::parse_in_payload).collect()
    }

    fn parse_in_payload(text: &str) -> Result<Self, PacketError> {
        match text.strip_prefix(BINARY_PREFIX) {
            Some(encoded) => {
                let bytes = BASE64.decode(encoded).map_err(|_| PacketError::Base64)?;
                Ok(Self::Binary(bytes.into()))
            }
            None => Self::parse(Text::from(text)),
        }
    }
}

/// Joins frames, each a whole packet, to a polling payload.
pub(super) fn join_payload(frames: impl IntoIterator<Item = Frame>) -> String {
    let mut payload = String::new();
    for frame in frames {
        if !payload.is_empty() {
            payload.push(SEPARATOR);
        }
        if let Some(text) = frame.as_text() {
            payload.push_str(text);
        } else {
            payload.push(BINARY_PREFIX);
            BASE64.encode_string(frame.payload(), &mut payload);
        }
    }
    payload
}

/// The bytes of a frame in a polling payload, with what separates it from the next.
pub(super) fn payload_len(frame: &Frame) -> usize {
    SEPARATOR.len_utf8()
        + match frame.as_text() {
            Some(text) => text.len(),
            None => BINARY_PREFIX.len_utf8() + frame.len().div_ceil(3) * 4,
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(payload: &str, expected: &Result<Vec<Packet>, PacketError>) {
        assert_eq!(&Packet::parse_payload(payload), expected, "{payload:?}");
    }

    #[test]
    fn payloads_as_clients_send_them() {
        check("3", &Ok(vec![Packet::Pong]));
        check("4hello", &Ok(vec![Packet::Message("4hello".into())]));
        check("1\x1e6", &Ok(vec![Packet::Close, Packet::Noop]));
        check("bAQIDBA==", &Ok(vec![Packet::Binary(Bytes::from_static(&[1, 2, 3, 4]))]));
        check("4año 🦙\x1e5", &Ok(vec![Packet::Message("4año 🦙".into()), Packet::Upgrade]));
    }

    #[test]
    fn garbage_is_refused() {
        check("", &Err(PacketError::UnknownType));
        check("abc", &Err(PacketError::UnknownType));
        check("0{}", &Err(PacketError::UnknownType));
        check("4a\x1e", &Err(PacketError::UnknownType));
        check("b!", &Err(PacketError::Base64));
    }

    fn frame() -> impl Strategy<Value = Frame> {
        prop_oneof![
            "[^\x1e]{0,40}".prop_map(|text| Frame::from(format!("4{text}"))),
            proptest::collection::vec(any::<u8>(), 0..40).prop_map(|bytes| Frame::from(Bytes::from(bytes))),
        ]
    }

    proptest! {
        #[test]
        fn what_is_joined_is_read_back(frames in proptest::collection::vec(frame(), 1..10)) {
            let packets: Vec<Packet> = frames
                .iter()
                .map(|frame| match frame.as_text() {
                    Some(text) => Packet::Message(text.clone()),
                    None => Packet::Binary(frame.payload().clone()),
                })
                .collect();
            prop_assert_eq!(Packet::parse_payload(&join_payload(frames)), Ok(packets));
        }

        #[test]
        fn a_payload_is_as_long_as_was_reckoned(frames in proptest::collection::vec(frame(), 1..10)) {
            let reckoned: usize = frames.iter().map(payload_len).sum();
            prop_assert_eq!(join_payload(frames).len() + SEPARATOR.len_utf8(), reckoned);
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = Packet::parse_payload(&text);
        }
    }
}
