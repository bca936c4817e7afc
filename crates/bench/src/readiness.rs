//! Whether the edges say that they are ready, all the while.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Request, StatusCode, header::HOST};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::{address::Address, http::Http};

/// Pause between two questions.
const ASK_EVERY: Duration = Duration::from_millis(200);

/// What `/readyz` said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// How often it was asked.
    pub asked: u32,
    /// How often the answer was another than 200.
    pub not_ready: u32,
    /// How often there was none.
    pub unanswered: u32,
}

/// Asks every edge until stopped.
pub(crate) async fn watch(edges: Vec<Address>, stop: CancellationToken) -> Readiness {
    let mut readiness = Readiness::default();
    let mut connections: Vec<(Address, Http)> =
        edges.into_iter().map(|edge| (edge.clone(), Http::new(&edge))).collect();
    while stop.run_until_cancelled(tokio::time::sleep(ASK_EVERY)).await.is_some() {
        for (edge, http) in &mut connections {
            let request = Request::get("/readyz").header(HOST, edge.authority());
            let request = request.body(Full::<Bytes>::default()).expect("an authority is a valid header");
            readiness.asked += 1;
            match http.ask(request).await {
                Ok((StatusCode::OK, _)) => {}
                Ok(_) => readiness.not_ready += 1,
                Err(_) => readiness.unanswered += 1,
            }
        }
    }
    readiness
}
