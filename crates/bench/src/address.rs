//! Where a process of the deployment listens.

use anyhow::{Context, bail, ensure};
use hyper::Uri;
use tokio::net::TcpStream;

/// The base address of a process: a host and a port, without TLS. The bench measures the services, not a proxy's
/// handshakes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    host: String,
    /// The port it listens on.
    pub(crate) port: u16,
}

impl Address {
    /// Reads `http://host:port`.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let uri: Uri = url.parse().with_context(|| format!("{url:?} is no URL"))?;
        ensure!(uri.scheme_str() == Some("http"), "{url:?} must begin with http://");
        ensure!(matches!(uri.path(), "" | "/"), "{url:?} must be the base address, without a path");
        let Some(host) = uri.host() else { bail!("{url:?} names no host") };
        Ok(Self { host: host.to_owned(), port: uri.port_u16().unwrap_or(80) })
    }

    /// `host:port`, as it stands in a request's `Host`.
    pub(crate) fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Opens a connection that sends each message at once.
    pub(crate) async fn connect(&self) -> anyhow::Result<TcpStream> {
        let authority = self.authority();
        let stream =
            TcpStream::connect(&authority).await.with_context(|| format!("cannot reach {authority}"))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port() {
        assert_eq!(Address::parse("http://127.0.0.1:3001/").unwrap().authority(), "127.0.0.1:3001");
        assert_eq!(Address::parse("http://edge").unwrap().port, 80);
        for wrong in ["127.0.0.1:3001", "https://127.0.0.1:3001", "http://127.0.0.1:3001/ws", ""] {
            assert!(Address::parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
