//! A proxy without sticky sessions: each HTTP request goes to the node that the test chooses.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

/// Which node the request with this head goes to; the number says how many requests came before it.
pub(crate) type Choice = fn(head: &str, before: usize) -> usize;

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    ways: Arc<Ways>,
    taking: JoinHandle<()>,
}

struct Ways {
    nodes: Vec<Way>,
    choice: Choice,
    /// The nodes chosen so far.
    chosen: Mutex<Vec<usize>>,
    /// Connections that broke on the clients' side only are given to whoever waits for them.
    stranded: Mutex<Option<mpsc::UnboundedSender<TcpStream>>>,
}

struct Way {
    address: SocketAddr,
    /// `false` once the node is dead: its connections are cut, and its requests go to the next one.
    stands: watch::Sender<bool>,
}

impl Proxy {
    pub(crate) async fn start(nodes: &[SocketAddr], choice: Choice) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let nodes = nodes.iter().map(|&address| Way { address, stands: watch::channel(true).0 }).collect();
        let ways = Arc::new(Ways { nodes, choice, chosen: Mutex::default(), stranded: Mutex::default() });
        let taking = tokio::spawn({
            let ways = Arc::clone(&ways);
            async move {
                while let Ok((client, _)) = listener.accept().await {
                    tokio::spawn(carry(client, Arc::clone(&ways)));
                }
            }
        });
        Self { address, ways, taking }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The node is dead for clients. With all of them dead, connections are taken and dropped.
    pub(crate) fn cut(&self, node: usize) {
        self.ways.nodes[node].stands.send_replace(false);
    }

    pub(crate) fn mend(&self, node: usize) {
        self.ways.nodes[node].stands.send_replace(true);
    }

    /// From now on connections that are cut are lost for the clients alone: the nodes notice nothing.
    pub(crate) fn strand(&self) -> Stranded {
        let (sender, connections) = mpsc::unbounded_channel();
        *self.ways.stranded.lock().unwrap() = Some(sender);
        Stranded(connections)
    }

    /// How many requests each node got.
    pub(crate) fn requests(&self) -> Vec<usize> {
        let chosen = self.ways.chosen.lock().unwrap();
        (0..self.ways.nodes.len()).map(|node| chosen.iter().filter(|&&other| other == node).count()).collect()
    }
}

/// The nodes' ends of connections whose clients are gone.
pub(crate) struct Stranded(mpsc::UnboundedReceiver<TcpStream>);

impl Stranded {
    /// Reads the next connection, a WebSocket, until its node closes it with this code.
    pub(crate) async fn hears_close(&mut self, code: u16) {
        let mut node = self.0.recv().await.expect("the proxy lives");
        let (mut read, [high, low]) = (Vec::new(), code.to_be_bytes());
        let is_close = |frame: &[u8]| frame[0] == 0x88 && frame[2..] == [high, low];
        while !read.windows(4).any(is_close) {
            assert_ne!(node.read_buf(&mut read).await.unwrap(), 0, "it ended without the code");
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.taking.abort();
    }
}

impl Ways {
    fn choose(&self, head: &str) -> Option<&Way> {
        let mut chosen = self.chosen.lock().unwrap();
        let wanted = (self.choice)(head, chosen.len());
        let standing = (0..self.nodes.len()).map(|step| (wanted + step) % self.nodes.len());
        let node = standing.into_iter().find(|&node| *self.nodes[node].stands.borrow())?;
        chosen.push(node);
        Some(&self.nodes[node])
    }
}

/// One request a connection, so that the next one may go elsewhere.
async fn carry(mut client: TcpStream, ways: Arc<Ways>) -> Option<()> {
    let mut read = Vec::new();
    let head_len = loop {
        if let Some(end) = read.windows(4).position(|window| window == b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut read).await.ok()? == 0 {
            return None;
        }
    };
    let head = str::from_utf8(&read[..head_len]).ok()?;
    let way = ways.choose(head)?;
    let head = if head.to_ascii_lowercase().contains("\r\nupgrade:") {
        head.to_owned()
    } else {
        let kept = head.split("\r\n").filter(|line| !line.to_ascii_lowercase().starts_with("connection:"));
        kept.collect::<Vec<_>>().join("\r\n") + "\r\nConnection: close"
    };
    let mut node = TcpStream::connect(way.address).await.ok()?;
    node.write_all(head.as_bytes()).await.ok()?;
    node.write_all(&read[head_len..]).await.ok()?;
    let mut stands = way.stands.subscribe();
    tokio::select! {
        // Nothing that a client says after the cut gets through: not its goodbye either.
        biased;
        _ = stands.wait_for(|stands| !stands) => {
            if let Some(stranded) = &*ways.stranded.lock().unwrap() {
                let _ = stranded.send(node);
            }
        }
        _ = copy_bidirectional(&mut client, &mut node) => {}
    }
    Some(())
}
