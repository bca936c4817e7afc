//! The socket: decoder, queue and connection together.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::time::timeout;

use crate::{
    Error, Frame, Limits, Message, decoder::Decoder, negotiation::Agreement, outgoing::Outgoing,
    stream::Stream,
};

/// How much is read at once. Every thread has one such buffer, no socket has.
const READ_BYTES: usize = 64 * 1024;
/// How much of what a client still sends after a failure is thrown away before it is hung up on.
const DISCARDED_BYTES_MAX: usize = 1024 * 1024;

thread_local! {
    static BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// An open WebSocket, the server's end. One task owns it.
///
/// All its futures may be dropped at any time without losing anything: what was not received or written yet is
/// received or written by the next call.
#[derive(Debug)]
pub struct WebSocket {
    stream: Stream,
    decoder: Decoder,
    agreement: Option<Agreement>,
    outgoing: Outgoing,
    /// Bytes after the last message that was handed out. Empty unless the client sent several at once.
    unread: Bytes,
    incoming: Incoming,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Incoming {
    Open,
    /// The client's close frame came in.
    Closed,
    /// Something came in that ended it all, or nothing will any more.
    Failed,
}

impl WebSocket {
    pub(crate) fn new(stream: Stream, unread: Bytes, limits: Limits, agreement: Option<Agreement>) -> Self {
        Self {
            stream,
            decoder: Decoder::new(limits, agreement.is_some()),
            agreement,
            outgoing: Outgoing::default(),
            unread,
            incoming: Incoming::Open,
        }
    }

    /// The next message. Pings and the client's close are answered before they are returned; what else waits is
    /// written meanwhile too. `None` after a close frame, once it is answered, and after an error.
    pub async fn recv(&mut self) -> Option<Result<Message, Error>> {
        poll_fn(|context| self.poll_recv(context)).await
    }

    /// Writes all `frames`, with one system call where the kernel takes them, and empties the vector. Dropped halfway,
    /// it leaves the frames in the vector or in the socket, which writes them before anything else.
    pub async fn write(&mut self, frames: &mut Vec<Frame>) -> Result<(), Error> {
        self.ready_for_more().await?;
        for frame in frames.drain(..) {
            self.outgoing.push(frame, self.agreement.as_ref());
        }
        self.flush().await
    }

    /// Writes one frame.
    pub async fn send(&mut self, frame: impl Into<Frame>) -> Result<(), Error> {
        self.ready_for_more().await?;
        self.outgoing.push(frame.into(), self.agreement.as_ref());
        self.flush().await
    }

    /// Writes what still waits: answers to pings, and the rest of a dropped [`write`](Self::write).
    pub async fn flush(&mut self) -> Result<(), Error> {
        poll_fn(|context| self.poll_flush(context)).await
    }

    /// Writes a close frame unless one was written before. The reason is cut to 123 bytes.
    pub async fn close(&mut self, code: u16, reason: &str) -> Result<(), Error> {
        self.outgoing.close(Some((code, reason)));
        self.flush().await
    }

    /// Waits, no longer than `limit`, until the client has seen our close: a socket dropped with unread bytes would be
    /// reset, and the reset could overtake the close frame.
    pub async fn linger(mut self, limit: Duration) {
        // Past the limit there is nobody to wait for.
        let _ = timeout(limit, self.see_off()).await;
    }

    /// Whether permessage-deflate was agreed on.
    pub fn is_compressed(&self) -> bool {
        self.agreement.is_some()
    }

    /// So that a caller who drops its writes halfway cannot pile up frames here.
    async fn ready_for_more(&mut self) -> Result<(), Error> {
        self.flush().await?;
        if self.outgoing.is_closing() { Err(Error::Closed) } else { Ok(()) }
    }

    async fn see_off(&mut self) -> Result<(), Error> {
        self.flush().await?;
        while let Some(received) = self.recv().await {
            if received.is_err() {
                break;
            }
        }
        if self.incoming == Incoming::Failed {
            poll_fn(|context| self.stream.poll_shutdown(context)).await?;
            poll_fn(|context| self.poll_discard(context)).await?;
        }
        Ok(())
    }

    fn poll_recv(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Message, Error>>> {
        // A failure to write is not told here: what was received before it still is, and then reading fails too.
        let flushed = self.poll_flush(context);
        if self.incoming != Incoming::Open {
            return flushed.map(|_| None);
        }
        let received = ready!(self.poll_message(context));
        match &received {
            Ok(Message::Ping(payload)) => self.outgoing.pong(payload.clone()),
            Ok(Message::Close(close)) => {
                self.incoming = Incoming::Closed;
                self.outgoing.close(close.as_ref().map(|(code, _)| (*code, "")));
            }
            Ok(_) => return Poll::Ready(Some(received)),
            Err(_) => {
                self.incoming = Incoming::Failed;
                self.unread = Bytes::new();
            }
        }
        // At once if the kernel takes it, else with the next call.
        let _ = self.poll_flush(context);
        Poll::Ready(Some(received))
    }

    fn poll_message(&mut self, context: &mut Context<'_>) -> Poll<Result<Message, Error>> {
        if let Some(message) = self.decode_unread()? {
            return Poll::Ready(Ok(message));
        }
        let mut buffer = BUFFER.take();
        buffer.resize(READ_BYTES, 0);
        let received = self.poll_message_into(context, &mut buffer);
        BUFFER.set(buffer);
        received
    }

    fn decode_unread(&mut self) -> Result<Option<Message>, Error> {
        let mut rest = &*self.unread;
        let message = self.decoder.decode(&mut rest)?;
        let taken = self.unread.len() - rest.len();
        self.unread.advance(taken);
        if self.unread.is_empty() {
            // An empty view would still hold the memory.
            self.unread = Bytes::new();
        }
        Ok(message)
    }

    fn poll_message_into(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<Result<Message, Error>> {
        loop {
            let count = ready!(self.stream.poll_read(context, buffer))?;
            if count == 0 {
                return Poll::Ready(Err(Error::Ended));
            }
            let mut rest = &buffer[..count];
            if let Some(message) = self.decoder.decode(&mut rest)? {
                self.unread = Bytes::copy_from_slice(rest);
                return Poll::Ready(Ok(message));
            }
        }
    }

    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let Self { stream, agreement, outgoing, .. } = self;
        let agreement = agreement.as_ref();
        while !outgoing.is_empty() {
            let written = outgoing.write_with(agreement, |slices| stream.poll_write(context, slices));
            match ready!(written) {
                Ok(bytes) => outgoing.advance(bytes, agreement),
                Err(error) => {
                    outgoing.abandon();
                    return Poll::Ready(Err(error.into()));
                }
            }
        }
        stream.poll_flush(context).map_err(Error::from)
    }

    fn poll_discard(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Error>> {
        let mut buffer = [0; 4 * 1024];
        for _ in 0..DISCARDED_BYTES_MAX / buffer.len() {
            if ready!(self.stream.poll_read(context, &mut buffer))? == 0 {
                break;
            }
        }
        Poll::Ready(Ok(()))
    }
}
