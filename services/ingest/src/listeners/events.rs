//! What was delivered to a listener, and how to try again.

use std::{sync::Arc, time::Duration};

use axum::{
    Json,
    extract::{Path, Query, Request, State, rejection::QueryRejection},
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use chasqui_proto::{
    service,
    v1::{
        DeliveriesReplayed, DeliveryAttempt, DeliveryOutcome, ListDeliveries, ReplayDeliveries, TestListener,
    },
};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::IntoParams;
use uuid::Uuid;

use super::{
    Listeners,
    shown::{attempt, delivery},
};
use crate::{
    fields::{FieldError, Fields},
    machine::{self, answer},
    openapi::{DeliveryPageShown, MachineRefusals, ReplayBody, Replayed, Tested},
    query,
};

/// How long a listener may take to answer a test: as long as events are given, and a little.
const TEST_WAIT: Duration = Duration::from_secs(35);

/// What may stand in the query of a list of deliveries.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Only those whose last attempt ended so: `delivered`, `retrying` or `failed`.
    outcome: String,
    /// Only those that were attempted after this, unix milliseconds.
    since_ms: i64,
    /// How many, 1 to 200. Default 50.
    limit: u32,
    /// `next` of the page before.
    cursor: String,
}

/// What was delivered to a listener, newest first
#[utoipa::path(
    get, operation_id = "list_deliveries", path = "/api/whatsapp/listeners/{id}/deliveries", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The listener's id"), Asked),
    responses((status = 200, description = "A page of them, each by its last attempt", body = DeliveryPageShown), MachineRefusals)
)]
pub(crate) async fn list(
    State(listeners): State<Arc<Listeners>>,
    Path(id): Path<String>,
    asked: Result<Query<Asked>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(&headers).await?;
        let asked = query::read(asked)?;
        let known = DeliveryOutcome::of_name(&asked.outcome);
        let outcome =
            known.ok_or_else(|| FieldError::new("outcome", "must be delivered, retrying or failed"))?;
        let listener = listeners.get(&caller.tenant, &id, trace).await?;
        let question = ListDeliveries {
            tenant: caller.tenant.to_string(),
            listener: listener.id,
            outcome: outcome.into(),
            cursor: asked.cursor,
            limit: asked.limit,
            since_ms: asked.since_ms,
        };
        let page = listeners.bus().ask(service::DELIVERIES_LIST, &question, trace).await?;
        let deliveries: Vec<Value> = page.deliveries.iter().map(delivery).collect();
        let next = Some(page.next).filter(|next| !next.is_empty());
        Ok(Json(json!({ "success": true, "deliveries": deliveries, "next": next })).into_response())
    })
    .await
}

/// Posts a made-up event to a listener, once
#[utoipa::path(
    post, operation_id = "test_listener", path = "/api/whatsapp/listeners/{id}/test", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The listener's id")),
    responses((status = 200, description = "How it went; `success` says whether the listener took it", body = Tested), MachineRefusals)
)]
pub(crate) async fn test(
    State(listeners): State<Arc<Listeners>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(&headers).await?;
        let listener = listeners.get(&caller.tenant, &id, trace).await?;
        let question = TestListener { tenant: caller.tenant.to_string(), listener: listener.id };
        let subject = service::LISTENERS_TEST.subject;
        let tried: DeliveryAttempt =
            listeners.bus().ask_subject(subject, &question, trace, TEST_WAIT).await?;
        let success = tried.outcome() == DeliveryOutcome::Delivered;
        Ok(Json(json!({ "success": success, "attempt": attempt(&tried) })).into_response())
    })
    .await
}

/// Brings events to a listener once more
#[utoipa::path(
    post, operation_id = "replay_deliveries", path = "/api/whatsapp/listeners/{id}/replay", tag = "listeners",
    security(("key" = []), ("bearer" = [])), params(("id" = String, Path, description = "The listener's id")),
    request_body(content = ReplayBody),
    responses((status = 200, description = "They are on their way", body = Replayed), MachineRefusals)
)]
pub(crate) async fn replay(
    State(listeners): State<Arc<Listeners>>,
    Path(id): Path<String>,
    request: Request,
) -> Response {
    answer(async {
        let (caller, trace) = listeners.caller(request.headers()).await?;
        let (delivery_id, since_ms) = wanted(Fields::read(&machine::body(request).await?)?)?;
        let listener = listeners.get(&caller.tenant, &id, trace).await?;
        let question =
            ReplayDeliveries { tenant: caller.tenant.to_string(), listener: listener.id, delivery_id, since_ms };
        let DeliveriesReplayed { count } =
            listeners.bus().ask(service::DELIVERIES_REPLAY, &question, trace).await?;
        tracing::info!(tenant = %caller.tenant, listener = question.listener, count, "deliveries were asked for again");
        Ok(Json(json!({ "success": true, "count": count })).into_response())
    })
    .await
}

/// One delivery, or since when: exactly one of them.
fn wanted(mut fields: Fields) -> Result<(String, i64), FieldError> {
    let delivery_id = fields.text("delivery_id")?;
    let since_ms: Option<i64> = fields.optional_number("since_ms")?;
    fields.end()?;
    match (delivery_id, since_ms) {
        (Some(id), None) => match id.parse::<Uuid>() {
            Ok(id) => Ok((id.to_string(), 0)),
            Err(_) => Err(FieldError::new("delivery_id", "must be the id of a delivery")),
        },
        (None, Some(since_ms)) if since_ms > 0 => Ok((String::new(), since_ms)),
        (None, Some(_)) => Err(FieldError::new("since_ms", "must be a time, unix milliseconds")),
        (Some(_), Some(_)) | (None, None) => {
            Err(FieldError::new("delivery_id", "is needed, or since_ms, and not both"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replay_is_of_one_delivery_or_since_a_time() {
        let read =
            |body: &str| wanted(Fields::read(body.as_bytes()).unwrap()).map_err(|error| error.to_string());
        let id = Uuid::nil().to_string();
        assert_eq!(read(&format!(r#"{{"delivery_id":"{id}"}}"#)), Ok((id.clone(), 0)));
        assert_eq!(read(r#"{"since_ms":5}"#), Ok((String::new(), 5)));
        for (body, field) in [
            ("{}".to_owned(), "delivery_id"),
            (format!(r#"{{"delivery_id":"{id}","since_ms":5}}"#), "delivery_id"),
            (r#"{"delivery_id":"7"}"#.to_owned(), "delivery_id"),
            (r#"{"since_ms":0}"#.to_owned(), "since_ms"),
            (r#"{"since_ms":"5"}"#.to_owned(), "since_ms"),
            (r#"{"since":5}"#.to_owned(), "since"),
        ] {
            assert!(read(&body).unwrap_err().starts_with(&format!("{field}: ")), "{body}");
        }
    }
}
