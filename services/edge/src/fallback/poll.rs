//! `GET /api/events`: long polling, for clients behind whatever lets nothing else through.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Query, State, rejection::QueryRejection},
    http::{HeaderMap, header},
    response::{IntoResponse, Response},
};
use chasqui_websocket::Text;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};

use super::{
    collector::{Collector, Harvest},
    viewer::{Admitted, admit},
};
use crate::{
    error::Error,
    hub::{Cursor, Wish},
    rest,
    service::Edge,
};

/// How long a request waits for something to happen when the client does not say, seconds.
const WAIT_SECS_DEFAULT: u64 = 25;
/// The longest it may ask for, seconds: proxies cut silent requests after a minute.
const WAIT_SECS_MAX: u64 = 50;
/// What is left of interval and time-out of the heartbeat, so that an answer is on its way before that.
const WAIT_MARGIN: Duration = Duration::from_secs(1);

/// What a client may say in the URL.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Parameters {
    /// The `cursor` of the answer before; without it the request is answered at once with the current one.
    since: Option<String>,
    /// How long to wait for something to happen, seconds, 0 to 50. Default 25. Never longer than interval and time-out
    /// of the heartbeat together.
    wait: Option<u64>,
    /// The JWT, for clients that cannot set a header.
    token: Option<String>,
}

type Asked = Result<Query<Parameters>, QueryRejection>;

/// What happened.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Answer {
    success: bool,
    /// Frames of dialect `crm`, oldest first.
    #[schema(value_type = Vec<Object>)]
    events: Vec<Box<RawValue>>,
    /// What the next request brings as `since`.
    cursor: String,
    /// Whether everything since the client's cursor is here, or comes with the next requests. When not: load everything
    /// again.
    recovered: bool,
}

/// Events after a cursor, or the next ones
#[utoipa::path(
    get, operation_id = "poll_events", path = "/api/events", tag = "events", security(("token" = [])), params(Parameters),
    description = "Long polling: answers at once with what came after `since`, else waits for something to happen.",
    responses(
        (status = 200, description = "What happened, perhaps nothing, and the next cursor", body = Answer),
        (status = 400, description = "A parameter is wrong", body = rest::Refusal),
        (status = 401, description = "The token is missing or refused", body = rest::Refusal),
        (status = 403, description = "The user is not staff", body = rest::Refusal),
        (status = 503, description = "The node is full, stops, or cannot read the stream; try again", body = rest::Refusal),
    )
)]
pub(crate) async fn events(State(edge): State<Arc<Edge>>, headers: HeaderMap, asked: Asked) -> Response {
    rest::answer(wait(&edge, &headers, asked).await)
}

async fn wait(edge: &Edge, headers: &HeaderMap, asked: Asked) -> Result<Response, Error> {
    let Query(parameters) =
        asked.map_err(|error| Error::Invalid(format!("since, wait, token: {}", error.body_text())))?;
    let (cursor, longest) = bounds(&parameters)?;
    // Those that wait are bounded as sockets are.
    let _place =
        edge.sockets.take_place().map_err(|_| Error::NotNow("this node takes no more connections"))?;
    let Admitted { scope, viewer, .. } = admit(edge, headers, parameters.token.as_deref()).await?;
    let collector = Collector::new(viewer);
    let wish = cursor.map_or(Wish::Live, Wish::Since);
    let joined = Box::pin(edge.hub.join(&scope, collector.clone(), &wish)).await;
    let membership = joined.map_err(|error| {
        tracing::warn!(%error, "a poll could not be answered");
        Error::NotNow("the stream of events cannot be read just now; try again")
    })?;
    collector.go_live();
    // Without a cursor, or with one that is of no use, the client has to read everything first.
    if collector.is_recovered() {
        let longest = longest.min(edge.longest_silence().saturating_sub(WAIT_MARGIN));
        let something = edge.stop.run_until_cancelled(collector.something());
        drop(timeout(longest, something).await);
    }
    let harvest = collector.harvest(membership.head()).expect("whoever joined was greeted");
    let result = if harvest.frames.is_empty() { "empty" } else { "events" };
    metrics::counter!("chasqui_edge_polls_total", "result" => result).increment(1);
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(Answer::new(harvest))).into_response())
}

fn bounds(parameters: &Parameters) -> Result<(Option<Cursor>, Duration), Error> {
    let since = parameters.since.as_deref().filter(|since| !since.is_empty()).map(str::parse);
    let cursor = since.transpose().map_err(|error| Error::Invalid(format!("since: {error}")))?;
    let wait = parameters.wait.unwrap_or(WAIT_SECS_DEFAULT);
    if wait > WAIT_SECS_MAX {
        return Err(Error::Invalid(format!("wait must be 0 to {WAIT_SECS_MAX} seconds")));
    }
    Ok((cursor, Duration::from_secs(wait)))
}

impl Answer {
    fn new(harvest: Harvest) -> Self {
        let Harvest { frames, cursor, recovered } = harvest;
        let raw = |frame: &Text| RawValue::from_string(frame.to_string()).expect("a frame is JSON");
        Self {
            success: true,
            events: frames.iter().map(raw).collect(),
            cursor: cursor.to_string(),
            recovered,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn asked(since: Option<&str>, wait: Option<u64>) -> Parameters {
        Parameters { since: since.map(str::to_owned), wait, token: None }
    }

    #[test]
    fn a_mistake_is_named() {
        assert_eq!(bounds(&asked(None, None)).unwrap(), (None, Duration::from_secs(WAIT_SECS_DEFAULT)));
        for (parameters, names) in
            [(asked(Some("7"), None), "since: "), (asked(None, Some(51)), "wait must be 0 to 50")]
        {
            let error = bounds(&parameters).unwrap_err().to_string();
            assert!(error.contains(names), "{error}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(since in ".{0,100}", wait in any::<u64>()) {
            let _ = bounds(&asked(Some(&since), Some(wait)));
        }
    }
}
