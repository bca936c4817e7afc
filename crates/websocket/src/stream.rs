//! The connection below a WebSocket.

use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// A connection, without anybody's buffers.
pub(crate) enum Stream {
    Tcp(TcpStream),
    /// Whatever else the HTTP server was given.
    Other(Box<dyn Connection>),
}

/// Any byte stream in both directions.
pub(crate) trait Connection: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Connection for T {}

impl Stream {
    /// Takes the connection back from the HTTP server, with what was read of it beyond the handshake.
    pub(crate) fn of(upgraded: Upgraded) -> (Self, Bytes) {
        match upgraded.downcast::<TokioIo<TcpStream>>() {
            // Copied, since it is a piece of the HTTP server's read buffer.
            Ok(parts) => (Self::Tcp(parts.io.into_inner()), Bytes::copy_from_slice(&parts.read_buf)),
            Err(upgraded) => (Self::Other(Box::new(TokioIo::new(upgraded))), Bytes::new()),
        }
    }

    fn connection(&mut self) -> Pin<&mut dyn Connection> {
        match self {
            Self::Tcp(stream) => Pin::new(stream),
            Self::Other(connection) => Pin::new(&mut **connection),
        }
    }

    /// How many bytes were read; 0 at the end.
    pub(crate) fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut buffer = ReadBuf::new(into);
        ready!(self.connection().poll_read(context, &mut buffer))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }

    /// How many bytes were written, never 0.
    pub(crate) fn poll_write(
        &mut self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match ready!(self.connection().poll_write_vectored(context, slices)) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            written => Poll::Ready(written),
        }
    }

    pub(crate) fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection().poll_flush(context)
    }

    /// Tells the peer that nothing more will come.
    pub(crate) fn poll_shutdown(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.connection().poll_shutdown(context)
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(stream) => stream.fmt(formatter),
            Self::Other(_) => formatter.write_str("Other"),
        }
    }
}
