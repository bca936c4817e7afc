//! How fast connections may be opened: after a node dies, its clients come all at once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, Uri, header::RETRY_AFTER},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rand::Rng;

use super::{Bucket, Rate};
use crate::sockets::Sockets;

/// The longest time a refused client is told to wait, seconds.
const RETRY_SECS_MAX: u64 = 5;
/// A burst is this many seconds of the steady rate.
const BURST_SECONDS: u32 = 5;

/// The node's door-keeper.
#[derive(Debug)]
pub(crate) struct Handshakes {
    rate: Rate,
    bucket: Mutex<Bucket>,
    sockets: Arc<Sockets>,
    /// Where alone a request may belong to a session that is open.
    sessions_path: &'static str,
}

impl Handshakes {
    /// Lets clients in at a rate, and while `sockets` has places. Engine.IO answers at `sessions_path`.
    pub(crate) fn new(per_second: u32, sockets: Arc<Sockets>, sessions_path: &'static str) -> Arc<Self> {
        let rate = Rate::new(per_second, per_second.saturating_mul(BURST_SECONDS));
        Arc::new(Self { rate, bucket: Mutex::default(), sockets, sessions_path })
    }

    fn opens_nothing(&self, uri: &Uri) -> bool {
        uri.path() == self.sessions_path && names_a_session(uri.query().unwrap_or_default())
    }

    /// Lets one more connection be opened; how long to wait when it may not.
    fn take(&self, now: Instant) -> Result<(), Duration> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(self.rate, now)
    }
}

/// Refuses to open a connection when too many were opened just now, and when there is no place for it. Requests of an
/// open Engine.IO session pass.
pub(crate) async fn pace(
    State(handshakes): State<Arc<Handshakes>>,
    request: Request,
    next: Next,
) -> Response {
    if handshakes.opens_nothing(request.uri()) {
        return next.run(request).await;
    }
    if handshakes.take(Instant::now()).is_err() {
        metrics::counter!("chasqui_edge_limited_total", "limit" => "handshakes").increment(1);
        return come_again("too many connections are being opened; try again\n".to_owned());
    }
    match handshakes.sockets.have_place() {
        Ok(()) => next.run(request).await,
        Err(reason) => come_again(format!("{reason}; try again\n")),
    }
}

fn come_again(body: String) -> Response {
    // Not the same for all: they would come back together.
    let retry = rand::rng().random_range(1..=RETRY_SECS_MAX).to_string();
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, retry)], body).into_response()
}

fn names_a_session(query: &str) -> bool {
    query.split('&').any(|pair| pair.strip_prefix("sid=").is_some_and(|sid| !sid.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_rate(per_second: u32) -> Arc<Handshakes> {
        Handshakes::new(per_second, Sockets::new(1), "/socket.io/")
    }

    #[test]
    fn requests_of_an_open_session_are_no_handshakes() {
        let handshakes = at_rate(1);
        let opens_nothing = |uri: &str| handshakes.opens_nothing(&uri.parse().unwrap());
        assert!(opens_nothing("/socket.io/?EIO=4&transport=polling&sid=abc"));
        for opening in ["", "?EIO=4&transport=polling", "?sid=", "?userPhone=sid=abc"] {
            assert!(!opens_nothing(&format!("/socket.io/{opening}")), "{opening}");
        }
        for elsewhere in ["/ws?sid=x", "/?sid=x", "/sse?sid=x", "/socket.io?sid=x"] {
            assert!(!opens_nothing(elsewhere), "{elsewhere} knows no sessions");
        }
    }

    #[test]
    fn a_storm_is_let_in_at_the_steady_rate() {
        let (handshakes, start) = (at_rate(10), Instant::now());
        assert_eq!((0..100).filter(|_| handshakes.take(start).is_ok()).count(), 50);
        assert_eq!((0..100).filter(|_| handshakes.take(start + Duration::from_secs(1)).is_ok()).count(), 10);
    }
}
