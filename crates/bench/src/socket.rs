//! The sockets of a deployment: the staff's JSON WebSocket and the contact's Socket.IO.

use std::{borrow::Cow, time::Duration};

use anyhow::{Context, ensure};
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::{
    address::Address, audience::Source, credential::Credential, letter::phone, websocket::WebSocket,
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
}

impl Socket {
    /// Opens a socket as the `number`th user or contact, and waits until the server says that it is ready.
    pub(crate) async fn open(
        dialect: Dialect,
        at: &Address,
        credential: &Credential,
        number: u32,
    ) -> anyhow::Result<Self> {
        let opening = async {
            match dialect {
                Dialect::Crm => open_crm(at, credential, number).await,
                Dialect::Widget => open_widget(at, credential, number).await,
            }
        };
        let websocket = timeout(OPEN_WAIT, opening).await.context("a socket was not ready in time")??;
        Ok(Self { websocket, dialect })
    }
}

impl Source for Socket {
    async fn next_text(&mut self) -> Option<String> {
        loop {
            let frame = self.websocket.frame().await?;
            let text = match self.dialect {
                Dialect::Crm => text_of_crm(&frame),
                Dialect::Widget if frame.as_str() == "2" => {
                    self.websocket.send("3").await.ok()?;
                    None
                }
                Dialect::Widget => text_of_widget(&frame),
            };
            if let Some(text) = text {
                return Some(text.into_owned());
            }
        }
    }
}

async fn open_crm(at: &Address, credential: &Credential, number: u32) -> anyhow::Result<WebSocket> {
    let token = credential.of_staff(number)?;
    let mut websocket = WebSocket::open(at, &format!("/ws?token={token}")).await?;
    let frame = websocket.expect_frame("`connected`").await?;
    let kind = serde_json::from_str::<Frame<'_>>(&frame).map(|frame| frame.kind.into_owned());
    ensure!(kind.is_ok_and(|kind| kind == "connected"), "the first frame is not `connected`: {frame}");
    Ok(websocket)
}

async fn open_widget(at: &Address, credential: &Credential, number: u32) -> anyhow::Result<WebSocket> {
    let phone = phone(number);
    let token = credential.of_contact(&phone)?.map(|token| format!("&token={token}")).unwrap_or_default();
    let path = format!("/socket.io/?EIO=4&transport=websocket&userPhone={phone}{token}");
    let mut websocket = WebSocket::open(at, &path).await?;
    let opened = websocket.expect_frame("the Engine.IO handshake").await?;
    ensure!(opened.starts_with('0'), "no Engine.IO handshake: {opened}");
    websocket.send("40").await?;
    loop {
        let frame = websocket.expect_frame("the Socket.IO connection").await?;
        match frame.as_str() {
            "2" => websocket.send("3").await?,
            connected if connected.starts_with("40") => return Ok(websocket),
            refused => anyhow::bail!("the widget was not let in: {refused}"),
        }
    }
}

#[derive(Deserialize)]
struct Frame<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
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
}

/// The text of a message frame. Other frames quote messages too, and are not deliveries.
fn text_of_crm(frame: &str) -> Option<Cow<'_, str>> {
    let frame: Frame<'_> = serde_json::from_str(frame).ok()?;
    let data = (frame.kind == "new_message").then_some(frame.data).flatten()?;
    serde_json::from_str::<NewMessage<'_>>(data.get()).ok().map(|new| new.message.text_content)
}

/// The text of a `bot-response` event.
fn text_of_widget(packet: &str) -> Option<Cow<'_, str>> {
    let event = packet.strip_prefix("42")?;
    let arguments: Vec<&RawValue> = serde_json::from_str(event).ok()?;
    let [name, reply, ..] = arguments.as_slice() else { return None };
    let reply = (name.get() == "\"bot-response\"").then_some(reply)?;
    serde_json::from_str::<Reply<'_>>(reply.get()).ok().map(|reply| reply.text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_new_message_is_a_delivery() {
        let new = r#"{"type":"new_message","data":{"message":{"id":"x","text_content":"[bench a 1]"},"conversation":{"last_message":{"text_content":"[bench a 1]"}}},"seq":5}"#;
        assert_eq!(text_of_crm(new).as_deref(), Some("[bench a 1]"));
        for other in [
            r#"{"type":"conversation_updated","data":{"conversation":{"last_message":{"text_content":"[bench a 1]"}}}}"#,
            r#"{"type":"error","data":{"code":"x","message":"[bench a 1]"}}"#,
            r#"{"type":"message_edited","data":{"message":{"text_content":"[bench a 1]"}}}"#,
            r#"{"type":"heartbeat","data":{},"seq":5}"#,
            "nonsense",
        ] {
            assert_eq!(text_of_crm(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_bot_response_is_a_reply() {
        let reply = r#"42["bot-response",{"text":"hola \"vos\"","sender":"bot","timestamp":"x","seq":1}]"#;
        assert_eq!(text_of_widget(reply).as_deref(), Some("hola \"vos\""));
        for other in
            [r#"42["session",{"epoch":"e","seq":1}]"#, "2", r#"40{"sid":"x"}"#, r#"42["bot-response"]"#]
        {
            assert_eq!(text_of_widget(other), None, "{other}");
        }
    }
}
