use rand::{Rng, SeedableRng, rngs::StdRng, seq::IndexedRandom};
use serde_json::{Value, json};

use crate::world::Dialect;

/// The longest run of nonsense, characters.
const LENGTH_MAX: usize = 200;
/// How deep nonsense is nested: deeper than a parser may follow.
const DEPTH: usize = 300;

/// Garbage, the same for the same seed.
pub(super) struct Noise(StdRng);

/// One thing to send.
pub(super) enum Garbage {
    Text(String),
    /// No UTF-8.
    Bytes(Vec<u8>),
}

impl Noise {
    pub(super) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A frame for a JSON WebSocket.
    pub(super) fn frame(&mut self, dialect: Dialect) -> Garbage {
        Garbage::Text(match self.0.random_range(0..100) {
            0..10 => self.nonsense(),
            10..20 => self.value(3).to_string(),
            20..22 => "[".repeat(DEPTH),
            22..24 => format!("{}{}", r#"{"a":"#.repeat(DEPTH), "}".repeat(DEPTH)),
            24..34 => return Garbage::Bytes(self.bytes()),
            34..60 => self.with_a_field_replaced(dialect),
            _ => {
                let frame = self.frame_of(dialect).to_string();
                self.mutated(&frame)
            }
        })
    }

    /// A packet for Engine.IO.
    pub(super) fn packet(&mut self) -> String {
        const PACKETS: [&str; 9] = [
            r#"42["user-message",{"text":"hola"}]"#,
            r#"421["user-message",{"text":7}]"#,
            r#"42["join",{"token":"x"}]"#,
            r#"42["send-message",{"token":"x","conversationId":"y","textContent":"z"}]"#,
            r#"451-["user-message",{"_placeholder":true,"num":0}]"#,
            r#"40{"token":"x","since":{"epoch":"e","seq":1}}"#,
            "41",
            "3probe",
            "430[]",
        ];
        match self.0.random_range(0..4) {
            0 => self.nonsense(),
            1 => format!("42{}", self.value(3)),
            _ => {
                let packet = *PACKETS.choose(&mut self.0).expect("there are some");
                self.mutated(packet)
            }
        }
    }

    /// Packets of one polling body.
    pub(super) fn body(&mut self, packets: u64) -> String {
        let packets: Vec<String> = (0..packets).map(|_| self.packet()).collect();
        packets.join("\u{1e}")
    }

    /// A path with a query.
    pub(super) fn query(&mut self) -> String {
        const PATHS: [&str; 6] = ["/socket.io/", "/ws", "/", "/sse", "/api/events", "/api/conversations"];
        const NAMES: [&str; 10] =
            ["EIO", "transport", "sid", "userPhone", "token", "since", "epoch", "session", "limit", "cursor"];
        let mut query = (*PATHS.choose(&mut self.0).expect("there are some")).to_owned();
        for number in 0..self.0.random_range(1..6) {
            let name = NAMES.choose(&mut self.0).expect("there are some");
            let value = match self.0.random_range(0..4) {
                0 => "4".to_owned(),
                1 => "polling".to_owned(),
                _ => self.bytes().iter().flat_map(|byte| ['%', hex(byte >> 4), hex(byte & 15)]).collect(),
            };
            query.extend([if number == 0 { "?" } else { "&" }, name, "=", &value]);
        }
        query
    }

    fn frame_of(&mut self, dialect: Dialect) -> Value {
        let nobody = "00000000-0000-4000-8000-000000000000";
        let crm = || {
            [
                json!({ "type": "connect", "data": { "token": "x", "since": { "epoch": "e", "seq": 1 } } }),
                json!({ "type": "send_message", "data": { "conversation_id": nobody, "text": "x" } }),
                json!({ "type": "subscribe", "data": { "types": ["new_message"] } }),
                json!({ "type": "refresh_token", "data": { "token": "x.y.z" } }),
                json!({ "type": "mark_read", "data": { "conversation_id": nobody } }),
                json!({ "type": "typing", "data": { "conversation_id": nobody, "typing": true } }),
            ]
        };
        let chat = || {
            [
                json!({ "event": "chat_message", "chat_id": nobody, "sender_id": "x", "message": "x" }),
                json!({ "event": "agent_chat_message", "chat_id": nobody, "message": "x" }),
                json!({ "event": "message_read", "chat_id": nobody, "message_id": nobody }),
                json!({ "event": "typing", "chat_id": nobody }),
                json!({ "event": "close_chat", "chat_id": nobody }),
                json!({ "event": "refresh_token", "token": "x.y.z" }),
            ]
        };
        let frames = if dialect == Dialect::Crm { crm() } else { chat() };
        frames.choose(&mut self.0).expect("there are some").clone()
    }

    fn with_a_field_replaced(&mut self, dialect: Dialect) -> String {
        let (mut frame, value) = (self.frame_of(dialect), self.value(2));
        let fields = if dialect == Dialect::Crm { &mut frame["data"] } else { &mut frame };
        let fields = fields.as_object_mut().expect("it was made as one");
        let names: Vec<String> = fields.keys().cloned().collect();
        let name = names.choose(&mut self.0).expect("there are some").clone();
        fields.insert(name, value);
        frame.to_string()
    }

    /// A text with up to four characters changed, added or taken away.
    fn mutated(&mut self, text: &str) -> String {
        let mut characters: Vec<char> = text.chars().collect();
        for _ in 0..self.0.random_range(1..5) {
            let index = self.0.random_range(0..=characters.len());
            match self.0.random_range(0..3) {
                0 if index < characters.len() => drop(characters.remove(index)),
                1 if index < characters.len() => characters[index] = self.character(),
                _ => characters.insert(index, self.character()),
            }
        }
        characters.into_iter().collect()
    }

    fn nonsense(&mut self) -> String {
        (0..self.0.random_range(0..LENGTH_MAX)).map(|_| self.character()).collect()
    }

    fn character(&mut self) -> char {
        const LIKELY: &[char] =
            &['{', '}', '[', ']', '"', ':', ',', '\\', '\0', '0', '-', '.', ' ', '\u{1e}', 'ñ'];
        if self.0.random_bool(0.6) {
            *LIKELY.choose(&mut self.0).expect("there are some")
        } else {
            self.0.random()
        }
    }

    /// Bytes that no text has.
    fn bytes(&mut self) -> Vec<u8> {
        let mut bytes: Vec<u8> = (0..self.0.random_range(0..32)).map(|_| self.0.random()).collect();
        bytes.push(0xff);
        bytes
    }

    fn value(&mut self, depth: usize) -> Value {
        match self.0.random_range(0..if depth == 0 { 5 } else { 7 }) {
            0 => Value::Null,
            1 => json!(self.0.random::<bool>()),
            2 => json!(self.0.random::<i64>()),
            3 => json!(self.0.random::<f64>()),
            4 => json!(self.nonsense()),
            5 => (0..self.0.random_range(0..4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let fields = (0..self.0.random_range(0..4)).map(|_| (self.nonsense(), self.value(depth - 1)));
                Value::Object(fields.collect())
            }
        }
    }
}

fn hex(digit: u8) -> char {
    char::from_digit(digit.into(), 16).expect("it is below 16")
}
