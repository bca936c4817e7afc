//! The Socket.IO v5 wire, from client to server.

use bytes::Bytes;
use serde_json::value::RawValue;
use thiserror::Error;

use super::ROOT;

/// The most binary attachments of one packet, as in the Node.js parser.
const ATTACHMENTS_MAX: usize = 10;

/// Event names that mean something inside a client or a server and never travel.
const RESERVED: [&str; 6] =
    ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"];

/// One packet from a client.
#[derive(Debug)]
pub enum Packet {
    /// `0`: join a namespace.
    Connect {
        /// The namespace, without a query.
        namespace: String,
        /// An object, if there is one.
        auth: Option<Box<RawValue>>,
    },
    /// `1`: leave a namespace.
    Disconnect {
        /// The namespace.
        namespace: String,
    },
    /// `2`, `5`: an event.
    Event {
        /// The namespace.
        namespace: String,
        /// Set if the client waits for an answer.
        ack_id: Option<u64>,
        /// The event's name.
        name: String,
        /// Its arguments.
        arguments: Vec<Box<RawValue>>,
        /// How many binary messages follow and belong to it.
        attachments: usize,
    },
    /// `3`, `6`: an answer to an event of ours. We ask for none.
    Ack {
        /// How many binary messages follow and belong to it.
        attachments: usize,
    },
    /// `4`: means nothing from a client.
    ConnectError,
}

/// What is wrong with a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    /// The first character is no packet type.
    #[error("unknown packet type")]
    Type,
    /// The number of attachments is missing, zero or too large.
    #[error("illegal attachments")]
    Attachments,
    /// The number of the wanted answer is too large.
    #[error("illegal acknowledgement id")]
    AckId,
    /// The payload is not what the packet type wants.
    #[error("invalid payload")]
    Payload,
}

impl Packet {
    /// Reads a packet, without the `4` of the Engine.IO message around it.
    pub fn parse(text: &str) -> Result<Self, ParseError> {
        let kind =
            *text.as_bytes().first().filter(|kind| (b'0'..=b'6').contains(kind)).ok_or(ParseError::Type)?;
        let mut rest = &text[1..];
        let attachments = if kind >= b'5' { take_attachments(&mut rest)? } else { 0 };
        let namespace = take_namespace(&mut rest);
        let ack_id = take_ack_id(&mut rest)?;
        match kind {
            b'0' => Ok(Self::Connect { namespace: namespace.to_owned(), auth: object(rest)? }),
            b'1' if rest.is_empty() => Ok(Self::Disconnect { namespace: namespace.to_owned() }),
            b'1' => Err(ParseError::Payload),
            b'2' | b'5' => {
                let (name, arguments) = event(rest)?;
                Ok(Self::Event { namespace: namespace.to_owned(), ack_id, name, arguments, attachments })
            }
            b'3' | b'6' => list(rest).map(|_| Self::Ack { attachments }),
            _ => Ok(Self::ConnectError),
        }
    }

    /// How many binary messages must follow before the packet is whole.
    pub fn attachments(&self) -> usize {
        match self {
            Self::Event { attachments, .. } | Self::Ack { attachments } => *attachments,
            _ => 0,
        }
    }
}

/// A packet that waits for its binary messages.
#[derive(Debug)]
pub(super) struct Partial {
    pub(super) packet: Packet,
    pub(super) attachments: Vec<Bytes>,
}

impl Partial {
    pub(super) fn is_whole(&self) -> bool {
        self.attachments.len() == self.packet.attachments()
    }
}

fn take_attachments(rest: &mut &str) -> Result<usize, ParseError> {
    let (number, after) = rest.split_once('-').ok_or(ParseError::Attachments)?;
    *rest = after;
    let number = number.parse().map_err(|_| ParseError::Attachments)?;
    if (1..=ATTACHMENTS_MAX).contains(&number) { Ok(number) } else { Err(ParseError::Attachments) }
}

fn take_namespace<'a>(rest: &mut &'a str) -> &'a str {
    if !rest.starts_with('/') {
        return ROOT;
    }
    let (namespace, after) = rest.split_once(',').unwrap_or((rest, ""));
    *rest = after;
    namespace.split_once('?').map_or(namespace, |(name, _query)| name)
}

fn take_ack_id(rest: &mut &str) -> Result<Option<u64>, ParseError> {
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    let (number, after) = rest.split_at(digits);
    *rest = after;
    if number.is_empty() { Ok(None) } else { number.parse().map(Some).map_err(|_| ParseError::AckId) }
}

fn object(text: &str) -> Result<Option<Box<RawValue>>, ParseError> {
    if text.is_empty() {
        return Ok(None);
    }
    let value: Box<RawValue> = serde_json::from_str(text).map_err(|_| ParseError::Payload)?;
    if value.get().starts_with('{') { Ok(Some(value)) } else { Err(ParseError::Payload) }
}

fn list(text: &str) -> Result<Vec<Box<RawValue>>, ParseError> {
    serde_json::from_str(text).map_err(|_| ParseError::Payload)
}

/// The name and the arguments. A number may stand for a name.
fn event(text: &str) -> Result<(String, Vec<Box<RawValue>>), ParseError> {
    let mut arguments = list(text)?;
    if arguments.is_empty() {
        return Err(ParseError::Payload);
    }
    let first = arguments.remove(0);
    let name = match serde_json::from_str(first.get()) {
        Ok(serde_json::Value::String(name)) if !RESERVED.contains(&name.as_str()) => name,
        Ok(serde_json::Value::Number(number)) => number.to_string(),
        _ => return Err(ParseError::Payload),
    };
    Ok((name, arguments))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check_event(text: &str, expected: (&str, Option<u64>, &str, &[&str], usize)) {
        let Ok(Packet::Event { namespace, ack_id, name, arguments, attachments }) = Packet::parse(text)
        else {
            panic!("{text} is no event")
        };
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.get()).collect();
        assert_eq!((&*namespace, ack_id, &*name, &*arguments, attachments), expected, "{text}");
    }

    #[test]
    fn events_as_clients_send_them() {
        check_event(r#"2["a"]"#, ("/", None, "a", &[], 0));
        check_event(r#"2["a",1,"2",{"3":[true]}]"#, ("/", None, "a", &["1", r#""2""#, r#"{"3":[true]}"#], 0));
        check_event(r#"2456["a","ñ🦙"]"#, ("/", Some(456), "a", &[r#""ñ🦙""#], 0));
        check_event(r#"2/chat,7["a"]"#, ("/chat", Some(7), "a", &[], 0));
        check_event(r"2[5]", ("/", None, "5", &[], 0));
        check_event(
            r#"52-/chat,9["a",{"_placeholder":true,"num":0}]"#,
            ("/chat", Some(9), "a", &[r#"{"_placeholder":true,"num":0}"#], 2),
        );
    }

    #[test]
    fn namespaces_are_joined_and_left() {
        let Ok(Packet::Connect { namespace, auth: None }) = Packet::parse("0") else { panic!() };
        assert_eq!(namespace, "/");
        let Ok(Packet::Connect { namespace, auth: Some(auth) }) =
            Packet::parse(r#"0/chat?a=b,{"token":"1"}"#)
        else {
            panic!()
        };
        assert_eq!((&*namespace, auth.get()), ("/chat", r#"{"token":"1"}"#));
        let Ok(Packet::Disconnect { namespace }) = Packet::parse("1/chat,") else { panic!() };
        assert_eq!(namespace, "/chat");
    }

    #[test]
    fn garbage_is_refused() {
        for (text, error) in [
            ("", ParseError::Type),
            ("abc", ParseError::Type),
            ("7", ParseError::Type),
            ("ñ", ParseError::Type),
            ("2", ParseError::Payload),
            ("2{}", ParseError::Payload),
            ("2[]", ParseError::Payload),
            ("2[{}]", ParseError::Payload),
            (r#"2["disconnect"]"#, ParseError::Payload),
            (r#"2abc["a"]"#, ParseError::Payload),
            (r#"299999999999999999999["a"]"#, ParseError::AckId),
            ("0[]", ParseError::Payload),
            ("1{}", ParseError::Payload),
            (r#"5["a"]"#, ParseError::Attachments),
            (r#"50-["a"]"#, ParseError::Attachments),
            (r#"511-["a"]"#, ParseError::Attachments),
        ] {
            assert_eq!(Packet::parse(text).unwrap_err(), error, "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_packet_with_a_character_put_in_or_taken_out_is_read_or_refused(
            packet in prop::sample::select(vec![
                r#"0/chat,{"token":"1"}"#, r#"2456["a","ñ🦙"]"#, r#"2/chat,7["a",{"b":[1]}]"#, "1/chat,", "37[true]",
                r#"52-/chat,9["a",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]"#,
            ]),
            changes in prop::collection::vec((any::<prop::sample::Index>(), prop::option::of(any::<char>())), 1..4),
        ) {
            let mut characters: Vec<char> = packet.chars().collect();
            for (index, put) in changes {
                if characters.is_empty() {
                    break;
                }
                let place = index.index(characters.len());
                match put {
                    Some(put) => characters.insert(place, put),
                    None => drop(characters.remove(place)),
                }
            }
            if let Ok(packet) = Packet::parse(&characters.into_iter().collect::<String>()) {
                prop_assert!(packet.attachments() <= ATTACHMENTS_MAX);
            }
        }

        #[test]
        fn no_text_makes_the_parser_panic(text in ".{0,200}") {
            let _ = Packet::parse(&text);
        }

        #[test]
        fn nothing_that_starts_like_a_packet_makes_it_panic(
            text in r#"[0-6]([0-9]{0,3}-)?(/[a-z?]{0,5},?)?[0-9]{0,25}[\[{]?["a-z0-9,:\[\]{}ñ]{0,30}"#
        ) {
            let _ = Packet::parse(&text);
        }

        #[test]
        fn every_event_is_read_back(name in "[a-z-]{1,20}x", id in any::<Option<u64>>(), argument in ".{0,40}") {
            let id_text = id.map_or(String::new(), |id| id.to_string());
            let payload = serde_json::to_string(&(&name, &argument)).unwrap();
            let Ok(Packet::Event { ack_id, name: read, arguments, .. }) =
                Packet::parse(&format!("2{id_text}{payload}"))
            else {
                panic!("no event")
            };
            prop_assert_eq!((ack_id, read), (id, name));
            prop_assert_eq!(serde_json::from_str::<String>(arguments[0].get()).unwrap(), argument);
        }
    }
}
