use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::error::{Doing, Error};

/// The most bytes of a request's head.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// A load balancer without sticky sessions: each request, and each WebSocket, goes to the next node in turn; a node that
/// refuses the connection is passed over.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    taking: JoinHandle<()>,
}

/// Where requests go, by the beginning of their path; the first that fits.
pub type Pools = Vec<(&'static str, Vec<SocketAddr>)>;

impl Proxy {
    /// Listens on a free port of this machine.
    pub async fn start(pools: Pools) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").await.doing(|| "listen as a proxy".to_owned())?;
        let address = listener.local_addr().doing(|| "listen as a proxy".to_owned())?;
        let ways = Arc::new((pools, AtomicUsize::new(0)));
        let taking = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, ways.clone()));
            }
        });
        Ok(Self { address, taking })
    }

    /// Where it listens, as `127.0.0.1:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

/// One request a connection, so that the next one goes elsewhere.
async fn carry(mut client: TcpStream, ways: Arc<(Pools, AtomicUsize)>) -> Option<()> {
    let mut read = Vec::new();
    let head_len = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if read.len() > HEAD_BYTES_MAX || client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = std::str::from_utf8(&read[..head_len]).ok()?;
    let (pools, turn) = &*ways;
    let path = head.split(' ').nth(1)?;
    let (_, nodes) = pools.iter().find(|(beginning, _)| path.starts_with(beginning))?;
    let mut node = connect(nodes, turn.fetch_add(1, Ordering::Relaxed)).await?;
    node.write_all(for_one_request(head).as_bytes()).await.ok()?;
    node.write_all(&read[head_len..]).await.ok()?;
    copy_bidirectional(&mut client, &mut node).await.ok()?;
    Some(())
}

async fn connect(nodes: &[SocketAddr], turn: usize) -> Option<TcpStream> {
    for step in 0..nodes.len() {
        if let Ok(node) = TcpStream::connect(nodes[(turn + step) % nodes.len()]).await {
            return Some(node);
        }
    }
    None
}

fn for_one_request(head: &str) -> String {
    if head.to_ascii_lowercase().contains("\r\nupgrade:") {
        return head.to_owned();
    }
    let kept = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
    kept.collect::<Vec<_>>().join("\r\n") + "\r\nConnection: close"
}
