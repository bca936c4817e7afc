//! How fast connections may be opened: after a node dies, its clients come all at once.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use axum::{
    extract::{Request, State},
    http::{StatusCode, header::RETRY_AFTER},
    middleware::Next,
    response::{IntoResponse, Response},
};
use rand::Rng;

use super::{Bucket, Rate};

/// The longest time a refused client is told to wait, seconds.
const RETRY_SECS_MAX: u64 = 5;
/// A burst is this many seconds of the steady rate.
const BURST_SECONDS: u32 = 5;

/// The node's door-keeper.
#[derive(Debug)]
pub(crate) struct Handshakes {
    rate: Rate,
    bucket: Mutex<Bucket>,
}

impl Handshakes {
    pub(crate) fn new(per_second: u32) -> Arc<Self> {
        let rate = Rate::new(per_second, per_second.saturating_mul(BURST_SECONDS));
        Arc::new(Self { rate, bucket: Mutex::default() })
    }

    /// Lets one more connection be opened; how long to wait when it may not.
    fn take(&self, now: Instant) -> Result<(), Duration> {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(self.rate, now)
    }
}

/// Refuses to open a connection when too many were opened just now. Requests of an open Engine.IO session pass.
pub(crate) async fn pace(
    State(handshakes): State<Arc<Handshakes>>,
    request: Request,
    next: Next,
) -> Response {
    if opens_nothing(request.uri().query().unwrap_or_default()) || handshakes.take(Instant::now()).is_ok() {
        return next.run(request).await;
    }
    metrics::counter!("chasqui_edge_limited_total", "limit" => "handshakes").increment(1);
    // Not the same for all: they would come back together.
    let retry = rand::rng().random_range(1..=RETRY_SECS_MAX).to_string();
    let body = "too many connections are being opened; try again\n";
    (StatusCode::SERVICE_UNAVAILABLE, [(RETRY_AFTER, retry)], body).into_response()
}

fn opens_nothing(query: &str) -> bool {
    query.split('&').any(|pair| pair.strip_prefix("sid=").is_some_and(|sid| !sid.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_of_an_open_session_are_no_handshakes() {
        assert!(opens_nothing("EIO=4&transport=polling&sid=abc"));
        for opening in ["", "EIO=4&transport=polling", "sid=", "userPhone=sid=abc"] {
            assert!(!opens_nothing(opening), "{opening}");
        }
    }

    #[test]
    fn a_storm_is_let_in_at_the_steady_rate() {
        let (handshakes, start) = (Handshakes::new(10), Instant::now());
        assert_eq!((0..100).filter(|_| handshakes.take(start).is_ok()).count(), 50);
        assert_eq!((0..100).filter(|_| handshakes.take(start + Duration::from_secs(1)).is_ok()).count(), 10);
    }
}
