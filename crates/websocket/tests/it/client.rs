//! A client that says every byte itself.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::within;

const MASK: [u8; 4] = [0xa5, 0x17, 0x00, 0xf3];

/// A handshake with further header lines, each ended by `\r\n`.
pub(crate) fn handshake(further: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{further}\r\n"
    )
}

pub(crate) const VERSION: &str = "Sec-WebSocket-Version: 13\r\n";

/// A masked frame of at most 65,535 bytes.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    if let Ok(length @ 0..126) = u8::try_from(payload.len()) {
        frame.push(0x80 | length);
    } else {
        frame.push(0xfe);
        frame.extend(u16::try_from(payload.len()).expect("a frame of a test is short").to_be_bytes());
    }
    frame.extend(MASK);
    frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
}

impl Client {
    /// Connects, and says `bytes` in one go.
    pub(crate) async fn say_first(address: SocketAddr, bytes: &[u8]) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        Self { stream }
    }

    /// Opens a WebSocket with further header lines; also what was answered.
    pub(crate) async fn open(address: SocketAddr, further: &str) -> (Self, String) {
        let mut client = Self::say_first(address, handshake(&format!("{VERSION}{further}")).as_bytes()).await;
        let answer = client.answer().await;
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        (client, answer)
    }

    /// Status line and headers in lower case, but for the status line.
    pub(crate) async fn answer(&mut self) -> String {
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(within(self.stream.read_u8()).await.unwrap());
        }
        String::from_utf8(answer).unwrap()
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        within(self.stream.write_all(bytes)).await.unwrap();
    }

    /// First byte and payload of the next frame.
    pub(crate) async fn hear(&mut self) -> (u8, Vec<u8>) {
        let first = within(self.stream.read_u8()).await.unwrap();
        let length = match self.stream.read_u8().await.unwrap() {
            126 => u64::from(self.stream.read_u16().await.unwrap()),
            127 => self.stream.read_u64().await.unwrap(),
            length => u64::from(length),
        };
        let mut payload = vec![0; usize::try_from(length).unwrap()];
        within(self.stream.read_exact(&mut payload)).await.unwrap();
        (first, payload)
    }

    /// Waits until the server hangs up, without a reset.
    pub(crate) async fn hear_the_end(&mut self) {
        assert_eq!(within(self.stream.read(&mut [0; 1])).await.unwrap(), 0);
    }
}
