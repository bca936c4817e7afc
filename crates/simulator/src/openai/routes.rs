//! The door to the language model, and the hands on it.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Body,
    extract::State,
    http::{
        HeaderMap, HeaderValue, StatusCode,
        header::{AUTHORIZATION, CONTENT_TYPE, LOCATION, RETRY_AFTER},
    },
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::{Value, json};

use super::{
    fault::{Fault, HttpError},
    model::Model,
    settings::Settings,
    written::{Writing, write},
};
use crate::answer::{self, Refused, wanted};

/// How long a request that is never answered is held at most.
const HANG: Duration = Duration::from_hours(1);

pub(crate) fn routes(model: Arc<Model>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(complete))
        .route("/openai/settings", get(settings).put(change))
        .route("/openai/faults", post(add_fault).delete(remove_faults))
        .route("/openai/requests", get(requests).delete(forget))
        .with_state(model)
}

async fn complete(State(model): State<Arc<Model>>, headers: HeaderMap, body: Bytes) -> Response {
    let body: Value = serde_json::from_slice(&body).unwrap_or_default();
    let bearer = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let key = bearer.and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
    let is_authorized = model.is_key(key);
    model.book().record(is_authorized, &body);
    if !is_authorized {
        return refusal(StatusCode::UNAUTHORIZED, "Incorrect API key provided.", "invalid_api_key");
    }
    if let Err(wrong) = check(&body) {
        return refusal(StatusCode::BAD_REQUEST, &wrong, "invalid_request");
    }
    let ((text, fault), settings) = {
        let mut book = model.book();
        (book.next(&body), book.settings.clone())
    };
    match fault {
        Some(Fault::Hang) => {
            model.stop.run_until_cancelled(tokio::time::sleep(HANG)).await;
            closed()
        }
        Some(Fault::Reset) => closed(),
        Some(Fault::Html) => {
            ([(CONTENT_TYPE, "text/html")], "<html><body>Welcome to nginx!</body></html>").into_response()
        }
        Some(Fault::Redirect) => {
            (StatusCode::TEMPORARY_REDIRECT, [(LOCATION, "/v1/chat/completions")]).into_response()
        }
        Some(Fault::Http(error)) => http(&error),
        fault => {
            let written =
                write(&Writing { body: &body, text, settings: &settings, fault }, model.stop.clone());
            ([(CONTENT_TYPE, "text/event-stream; charset=utf-8")], Body::from_stream(written)).into_response()
        }
    }
}

/// What is wrong with a request, as far as a server that streams can tell.
fn check(body: &Value) -> Result<(), String> {
    let says = |key: &str| body[key].as_str().is_some_and(|text| !text.is_empty());
    if !says("model") {
        return Err("model: expected a name".to_owned());
    }
    if body["stream"] != true {
        return Err("stream: expected true; nothing else is played".to_owned());
    }
    let messages = body["messages"].as_array().filter(|messages| !messages.is_empty());
    let is_message = |message: &Value| {
        let is_role = ["system", "user", "assistant"].iter().any(|role| message["role"] == *role);
        is_role && message["content"].is_string()
    };
    match messages {
        Some(messages) if messages.iter().all(is_message) => Ok(()),
        _ => Err("messages: expected at least one, each with a role and a content".to_owned()),
    }
}

fn http(error: &HttpError) -> Response {
    let status = StatusCode::from_u16(error.status).expect("it was checked when it was added");
    let message = error.message.as_deref().unwrap_or("Asked for by a test");
    let mut response = refusal(status, message, error.code.as_deref().unwrap_or("asked_for"));
    let after = error.retry_after.as_deref().and_then(|after| HeaderValue::from_str(after).ok());
    if let Some(after) = after {
        response.headers_mut().insert(RETRY_AFTER, after);
    }
    response
}

fn refusal(status: StatusCode, message: &str, code: &str) -> Response {
    let error = json!({ "message": message, "type": "simulated", "param": null, "code": code });
    (status, Json(json!({ "error": error }))).into_response()
}

/// An answer whose body fails before its first byte closes the connection before a byte of the answer is written.
fn closed() -> Response {
    let failure = futures::stream::once(async { Err::<Bytes, _>(io::Error::other("closed on request")) });
    Response::new(Body::from_stream(failure))
}

async fn settings(State(model): State<Arc<Model>>) -> Json<Settings> {
    Json(model.book().settings.clone())
}

async fn change(State(model): State<Arc<Model>>, body: answer::Body) -> Result<Json<Settings>, Refused> {
    let changes = wanted(body)?;
    let mut book = model.book();
    book.settings = book.settings.changed(changes).map_err(Refused::bad)?;
    Ok(Json(book.settings.clone()))
}

async fn add_fault(State(model): State<Arc<Model>>, body: answer::Body) -> Result<Json<Value>, Refused> {
    let wanted = wanted(body)?;
    model.book().faults.add(wanted).map(Json).map_err(Refused::bad)
}

async fn remove_faults(State(model): State<Arc<Model>>) -> Json<Value> {
    Json(json!({ "removed": model.book().faults.clear() }))
}

async fn requests(State(model): State<Arc<Model>>) -> Json<Value> {
    Json(model.book().requests())
}

async fn forget(State(model): State<Arc<Model>>) -> Json<Value> {
    Json(json!({ "removed": model.book().clear() }))
}
