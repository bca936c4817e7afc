//! The sockets of a deployment: the staff's JSON WebSocket and the contact's Socket.IO.

use std::{
    borrow::Cow,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::{
    address::Address,
    audience::Source,
    credential::Credential,
    cursor::{Cursor, Greeting},
    letter::phone,
    websocket::WebSocket,
};

/// How long a socket may take until it is ready.
const OPEN_WAIT: Duration = Duration::from_secs(20);

/// Which sockets listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// The staff's JSON WebSocket `/ws`: shows every message of the tenant.
    Crm,
    /// The contact's Socket.IO `/socket.io/`: shows the replies of one conversation. Hand-written over a WebSocket.
    Widget,
}

/// An open socket that is ready for messages.
#[derive(Debug)]
pub(crate) struct Socket {
    websocket: WebSocket,
    dialect: Dialect,
    /// What the server said last of where the client is.
    pub(crate) greeting: Option<Greeting>,
    /// The position of the newest frame that had one.
    pub(crate) seq: u64,
    /// Counts text frames, whatever they are.
    frames: Option<Arc<AtomicU64>>,
}

/// Who opens a socket, and where.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) dialect: Dialect,
    pub(crate) at: Address,
    pub(crate) credential: Credential,
    /// Which user or contact.
    pub(crate) number: u32,
}

impl Socket {
    /// Opens a socket as the `number`th user or contact, and waits until the server says that it is ready.
    pub(crate) async fn open(
        dialect: Dialect,
        at: &Address,
        credential: &Credential,
        number: u32,
    ) -> anyhow::Result<Self> {
        let caller = Caller { dialect, at: at.clone(), credential: credential.clone(), number };
        Self::resume(&caller, None).await
    }

    /// The same for somebody who was here before.
    pub(crate) async fn resume(caller: &Caller, cursor: Option<&Cursor>) -> anyhow::Result<Self> {
        let opening = async {
            match caller.dialect {
                Dialect::Crm => open_crm(caller, cursor).await,
                Dialect::Widget => open_widget(caller, cursor).await,
            }
        };
        timeout(OPEN_WAIT, opening).await.context("a socket was not ready in time")?
    }

    /// Counts every text frame from now on.
    pub(crate) fn counting(self, frames: Arc<AtomicU64>) -> Self {
        Self { frames: Some(frames), ..self }
    }

    fn new(websocket: WebSocket, dialect: Dialect) -> Self {
        Self { websocket, dialect, greeting: None, seq: 0, frames: None }
    }

    /// Waits for the server's word on where the client is; `None` once the connection has ended.
    pub(crate) async fn next_greeting(&mut self) -> Option<()> {
        while self.greeting.is_none() {
            let frame = self.websocket.frame().await?;
            if self.dialect == Dialect::Widget && frame.as_str() == "2" {
                self.websocket.send("3").await.ok()?;
            } else {
                self.read(&frame);
            }
        }
        Some(())
    }

    /// The text of a frame that is a delivery.
    fn read<'a>(&mut self, frame: &'a str) -> Option<Cow<'a, str>> {
        let read = match self.dialect {
            Dialect::Crm => read_crm(frame)?,
            Dialect::Widget => read_widget(frame)?,
        };
        self.seq = self.seq.max(read.seq);
        self.greeting = read.greeting.or(self.greeting.take());
        read.text
    }
}

impl Source for Socket {
    async fn next_text(&mut self) -> Option<String> {
        loop {
            let frame = self.websocket.frame().await?;
            if let Some(frames) = &self.frames {
                frames.fetch_add(1, Ordering::Relaxed);
            }
            if self.dialect == Dialect::Widget && frame.as_str() == "2" {
                self.websocket.send("3").await.ok()?;
            } else if let Some(text) = self.read(&frame) {
                return Some(text.into_owned());
            }
        }
    }
}

async fn open_crm(caller: &Caller, cursor: Option<&Cursor>) -> anyhow::Result<Socket> {
    let token = caller.credential.of_staff(caller.number)?;
    let since = cursor.map(|cursor| format!("&epoch={}&since={}", cursor.epoch, cursor.seq));
    let path = format!("/ws?token={token}{}", since.unwrap_or_default());
    let mut websocket = WebSocket::open(&caller.at, &path).await?;
    let frame = websocket.expect_frame("`connected`").await?;
    let kind = serde_json::from_str::<Frame<'_>>(&frame).map(|frame| frame.kind.into_owned());
    ensure!(kind.is_ok_and(|kind| kind == "connected"), "the first frame is not `connected`: {frame}");
    let mut socket = Socket::new(websocket, Dialect::Crm);
    socket.read(&frame);
    Ok(socket)
}

async fn open_widget(caller: &Caller, cursor: Option<&Cursor>) -> anyhow::Result<Socket> {
    let phone = phone(caller.number);
    let token = caller.credential.of_contact(&phone)?.map(|token| format!("&token={token}"));
    let token = token.unwrap_or_default();
    let path = format!("/socket.io/?EIO=4&transport=websocket&userPhone={phone}{token}");
    let mut websocket = WebSocket::open(&caller.at, &path).await?;
    let opened = websocket.expect_frame("the Engine.IO handshake").await?;
    ensure!(opened.starts_with('0'), "no Engine.IO handshake: {opened}");
    let since = cursor.map(|cursor| serde_json::json!({ "since": cursor }).to_string());
    websocket.send(format!("40{}", since.unwrap_or_default())).await?;
    loop {
        let frame = websocket.expect_frame("the Socket.IO connection").await?;
        match frame.as_str() {
            "2" => websocket.send("3").await?,
            connected if connected.starts_with("40") => return Ok(Socket::new(websocket, Dialect::Widget)),
            refused => anyhow::bail!("the widget was not let in: {refused}"),
        }
    }
}

/// What a frame says.
#[derive(Debug, Default, PartialEq)]
struct Read<'a> {
    /// The text of a message; other frames quote messages too, and are not deliveries.
    text: Option<Cow<'a, str>>,
    greeting: Option<Greeting>,
    seq: u64,
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
    #[serde(default)]
    seq: u64,
}

#[derive(Deserialize)]
struct NewMessage<'a> {
    #[serde(borrow)]
    message: Written<'a>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow)]
    text_content: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Reply<'a> {
    #[serde(borrow)]
    text: Cow<'a, str>,
    #[serde(default)]
    seq: u64,
}

fn read_crm(frame: &str) -> Option<Read<'_>> {
    let frame: Frame<'_> = serde_json::from_str(frame).ok()?;
    let mut read = Read { seq: frame.seq, ..Read::default() };
    match (frame.kind.as_ref(), frame.data) {
        ("connected", Some(data)) => read.greeting = serde_json::from_str(data.get()).ok(),
        ("new_message", Some(data)) => {
            let new = serde_json::from_str::<NewMessage<'_>>(data.get());
            read.text = new.ok().map(|new| new.message.text_content);
        }
        _ => {}
    }
    Some(read)
}

fn read_widget(packet: &str) -> Option<Read<'_>> {
    let event = packet.strip_prefix("42")?;
    let arguments: Vec<&RawValue> = serde_json::from_str(event).ok()?;
    let [name, argument, ..] = arguments.as_slice() else { return None };
    match name.get() {
        "\"session\"" => {
            let greeting: Greeting = serde_json::from_str(argument.get()).ok()?;
            Some(Read { seq: greeting.cursor.seq, greeting: Some(greeting), text: None })
        }
        "\"bot-response\"" => {
            let reply: Reply<'_> = serde_json::from_str(argument.get()).ok()?;
            Some(Read { text: Some(reply.text), seq: reply.seq, greeting: None })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_message_is_a_delivery() {
        let new = r#"{"type":"new_message","data":{"message":{"id":"x","text_content":"[bench a 1]"},"conversation":{"last_message":{"text_content":"[bench a 1]"}}},"seq":5}"#;
        let read = read_crm(new).unwrap();
        assert_eq!((read.text.as_deref(), read.seq), (Some("[bench a 1]"), 5));
        for other in [
            r#"{"type":"conversation_updated","data":{"conversation":{"last_message":{"text_content":"[bench a 1]"}}}}"#,
            r#"{"type":"error","data":{"code":"x","message":"[bench a 1]"}}"#,
            r#"{"type":"message_edited","data":{"message":{"text_content":"[bench a 1]"}}}"#,
            r#"{"type":"heartbeat","data":{},"seq":5}"#,
            "nonsense",
        ] {
            assert_eq!(read_crm(other).and_then(|read| read.text), None, "{other}");
        }
    }

    #[test]
    fn only_a_bot_response_is_a_reply() {
        let reply = r#"42["bot-response",{"text":"hola \"vos\"","sender":"bot","timestamp":"x","seq":1}]"#;
        let read = read_widget(reply).unwrap();
        assert_eq!((read.text.as_deref(), read.seq), (Some("hola \"vos\""), 1));
        for other in
            [r#"42["session",{"epoch":"e","seq":1}]"#, "2", r#"40{"sid":"x"}"#, r#"42["bot-response"]"#]
        {
            assert_eq!(read_widget(other).and_then(|read| read.text), None, "{other}");
        }
    }

    #[test]
    fn both_greetings_tell_where_the_client_is() {
        let greeting = Greeting { cursor: Cursor { epoch: "e".to_owned(), seq: 7 }, recovered: true };
        let connected =
            r#"{"type":"connected","data":{"epoch":"e","seq":7,"recovered":true,"fresh":false},"seq":7}"#;
        assert_eq!(read_crm(connected).unwrap().greeting.as_ref(), Some(&greeting));
        let session = r#"42["session",{"epoch":"e","seq":7,"recovered":true},"e.7"]"#;
        assert_eq!(read_widget(session).unwrap().greeting.as_ref(), Some(&greeting));
    }
}
