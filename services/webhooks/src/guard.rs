//! The way out: a client that reaches only what events may be posted to.

use std::{
    fmt,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};

use chasqui_callback::Allowed;
use reqwest::{
    Client,
    dns::{Addrs, Name, Resolve, Resolving},
    redirect::Policy,
};

use tokio::{sync::Semaphore, task::spawn_blocking};

use crate::Error;

/// Tells listeners who posts.
const USER_AGENT: &str = concat!("chasqui-webhooks/", env!("CARGO_PKG_VERSION"));
/// How many connections to one host are kept for the next event: many listeners may share one.
const IDLE_CONNECTIONS_MAX: usize = 64;
/// How long they are kept. Shorter than what common servers do (five seconds): an event that is written to a connection
/// which the listener is just closing looks like a listener that does not answer.
const IDLE_MAX: Duration = Duration::from_secs(4);
/// How many names are resolved at once. Each takes a thread until the resolver gives up; files need some of them too.
const LOOKUPS_MAX: usize = 128;

/// A client that follows no redirects, knows no proxies, and asks [`Allowed`] about every address that a name has, each
/// time it connects. Addresses that stand in URLs themselves are never resolved: they are judged with the URL.
pub(crate) fn client(allowed: &Arc<Allowed>) -> Result<Client, Error> {
    Client::builder()
        .user_agent(USER_AGENT)
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .pool_max_idle_per_host(IDLE_CONNECTIONS_MAX)
        .pool_idle_timeout(IDLE_MAX)
        .dns_resolver(Arc::new(Guard::new(allowed.clone())))
        .build()
        .map_err(|error| Error::Client(reason(&error)))
}

/// Resolves names into permitted addresses only.
struct Guard {
    allowed: Arc<Allowed>,
    lookups: Arc<Semaphore>,
}

impl Guard {
    fn new(allowed: Arc<Allowed>) -> Self {
        Self { allowed, lookups: Arc::new(Semaphore::new(LOOKUPS_MAX)) }
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, lookups) = (self.allowed.clone(), self.lookups.clone());
        Box::pin(async move {
            let place = lookups.acquire_owned().await.expect("the semaphore is never closed");
            let host = name.as_str().to_owned();
            let lookup = spawn_blocking(move || {
                // A lookup cannot be cut off: it has its place until it ends, also when nobody waits for it any more.
                let _place = place;
                (host.as_str(), 0).to_socket_addrs()
            });
            let found = lookup.await??;
            let permitted: Vec<SocketAddr> = found.filter(|address| allowed.permits(address.ip())).collect();
            if permitted.is_empty() {
                return Err(Forbidden(name.as_str().to_owned()).into());
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// A name that leads only where events may not be posted to.
#[derive(Debug)]
struct Forbidden(String);

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.0;
        write!(f, "{name} has no public address, and none in a network of webhooks.private_networks_allowed")
    }
}

impl std::error::Error for Forbidden {}

/// Why a request failed, without its URL: the innermost cause says most.
pub(crate) fn reason(error: &reqwest::Error) -> String {
    let mut innermost: &dyn std::error::Error = error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    if innermost.source().is_none() && std::ptr::addr_eq(innermost, error) {
        return "the request could not be sent".to_owned();
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;
    use tokio::net::TcpListener;

    use super::*;

    /// Posts to a name that resolves to this machine. What happened, and whether anybody connected.
    async fn posted(allowed: &[&str]) -> (Result<(), String>, bool) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://localhost:{}/", listener.local_addr().unwrap().port());
        let client = client(&Arc::new(Allowed::new(allowed).unwrap())).unwrap();
        let request = client.post(url).send();
        let answering = async {
            let (socket, _) = listener.accept().await.unwrap();
            drop(socket);
        };
        let (answer, ()) = tokio::select! {
            answer = request => (answer, ()),
            () = answering => return (Ok(()), true),
        };
        let has_connected = listener.accept().now_or_never().is_some();
        (answer.map(drop).map_err(|error| reason(&error)), has_connected)
    }

    #[tokio::test]
    async fn shc_25_a_name_that_leads_into_our_own_networks_is_not_connected_to() {
        let (answer, has_connected) = posted(&[]).await;
        assert!(answer.unwrap_err().contains("localhost has no public address"));
        assert!(!has_connected);
        let (_, has_connected) = posted(&["127.0.0.0/8", "::1"]).await;
        assert!(has_connected);
    }
}
