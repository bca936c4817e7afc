//! A WebSocket client with small buffers.

use anyhow::{Context, bail};
use futures::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    WebSocketStream, client_async_with_config,
    tungstenite::{Message, Utf8Bytes, protocol::WebSocketConfig},
};

use crate::address::Address;

/// Enough for most frames at once; the default of 128 KiB a socket would be 1.3 GB for ten thousand.
const BUFFER_BYTES: usize = 4 * 1024;
/// The largest frame that is accepted: the media of a message are references, so all are far smaller.
const FRAME_BYTES_MAX: usize = 4 * 1024 * 1024;

/// An open WebSocket. Pings are answered while frames are awaited.
#[derive(Debug)]
pub(crate) struct WebSocket(WebSocketStream<TcpStream>);

impl WebSocket {
    /// Opens `path` at the address.
    pub(crate) async fn open(at: &Address, path: &str) -> anyhow::Result<Self> {
        let url = format!("ws://{}{path}", at.authority());
        let config = WebSocketConfig::default()
            .read_buffer_size(BUFFER_BYTES)
            .write_buffer_size(0)
            .max_frame_size(Some(FRAME_BYTES_MAX))
            .max_message_size(Some(FRAME_BYTES_MAX));
        let opened = client_async_with_config(url, at.connect().await?, Some(config)).await;
        let (stream, _) = opened.with_context(|| format!("{} opened no WebSocket", at.authority()))?;
        Ok(Self(stream))
    }

    /// The next text frame; `None` once the connection has ended.
    pub(crate) async fn frame(&mut self) -> Option<Utf8Bytes> {
        loop {
            match self.0.next().await? {
                Ok(Message::Text(text)) => return Some(text),
                Ok(Message::Close(_)) | Err(_) => return None,
                Ok(_) => {}
            }
        }
    }

    /// The next text frame of a connection that should not have ended yet.
    pub(crate) async fn expect_frame(&mut self, awaited: &str) -> anyhow::Result<Utf8Bytes> {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Ok(text),
            Some(Ok(Message::Close(reason))) => bail!("closed before {awaited}: {reason:?}"),
            Some(Ok(other)) => bail!("{other:?} came instead of {awaited}"),
            Some(Err(error)) => bail!("the connection broke before {awaited}: {error}"),
            None => bail!("the connection ended before {awaited}"),
        }
    }

    /// Sends a text frame.
    pub(crate) async fn send(&mut self, text: impl Into<Utf8Bytes>) -> anyhow::Result<()> {
        Ok(self.0.send(Message::Text(text.into())).await?)
    }
}
