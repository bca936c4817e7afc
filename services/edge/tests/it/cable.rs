//! A cable between a node and its broker, which the test can cut while everyone else stays connected.

use std::net::SocketAddr;

use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

pub(crate) struct Cable {
    pub(crate) address: SocketAddr,
    whole: watch::Sender<bool>,
    carrying: JoinHandle<()>,
}

impl Cable {
    /// A cable to a port of this machine.
    pub(crate) async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (whole, state) = watch::channel(true);
        let carrying = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                // Cut, it takes connections and drops them.
                if *state.borrow() {
                    tokio::spawn(carry(near, port, state.clone()));
                }
            }
        });
        Self { address, whole, carrying }
    }

    pub(crate) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(crate) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.carrying.abort();
    }
}

async fn carry(mut near: TcpStream, port: u16, mut state: watch::Receiver<bool>) {
    let Ok(mut far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
    tokio::select! {
        _ = copy_bidirectional(&mut near, &mut far) => {}
        _ = state.wait_for(|whole| !whole) => {}
    }
}
