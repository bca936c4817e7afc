//! One kept-alive HTTP connection with one request in flight.

use std::time::Duration;

use anyhow::{Context, anyhow};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, StatusCode, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;
use tokio_util::task::AbortOnDropHandle;

use crate::address::Address;

/// How long an answer is waited for. The services give up after 5 s themselves.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// The largest answer that is read: a page of messages.
const ANSWER_BYTES_MAX: usize = 16 * 1024 * 1024;

/// A connection that is opened with the first request, and again after a failure.
#[derive(Debug)]
pub(crate) struct Http {
    address: Address,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    sender: http1::SendRequest<Full<Bytes>>,
    /// Moves the bytes; ends with us.
    _connection: AbortOnDropHandle<()>,
}

impl Http {
    /// A connection to the address, not opened yet.
    pub(crate) fn new(address: &Address) -> Self {
        Self { address: address.clone(), open: None }
    }

    /// Sends a request and reads its whole answer.
    pub(crate) async fn ask(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        let answered = timeout(ANSWER_WAIT, self.exchange(request)).await;
        let answer =
            answered.unwrap_or_else(|_| Err(anyhow!("no answer within {} s", ANSWER_WAIT.as_secs())));
        if answer.is_err() {
            // A connection whose answer never came must not give it to the next request.
            self.open = None;
        }
        answer
    }

    async fn exchange(&mut self, request: Request<Full<Bytes>>) -> anyhow::Result<(StatusCode, Bytes)> {
        self.make_ready().await?;
        let open = self.open.as_mut().context("the connection was just made ready")?;
        let (head, body) = open.sender.send_request(request).await?.into_parts();
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await;
        let body = body.map_err(|error| anyhow!("the answer cannot be read: {error}"))?.to_bytes();
        Ok((head.status, body))
    }

    /// Opens the connection where there is none that can take a request.
    pub(crate) async fn make_ready(&mut self) -> anyhow::Result<()> {
        let ready = match &mut self.open {
            Some(open) => open.sender.ready().await.is_ok(),
            None => false,
        };
        if !ready {
            self.open = Some(open(&self.address).await?);
        }
        Ok(())
    }
}

async fn open(address: &Address) -> anyhow::Result<Open> {
    let stream = TokioIo::new(address.connect().await?);
    let (mut sender, connection) = http1::handshake(stream).await?;
    // What ends a connection is seen by the request on it.
    let connection = tokio::spawn(async move { drop(connection.await) });
    sender.ready().await.context("the connection closed at once")?;
    Ok(Open { sender, _connection: AbortOnDropHandle::new(connection) })
}
