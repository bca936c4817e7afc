//! The Graph API over HTTP.

use std::{io, sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, FromRequestParts, Path, State},
    http::{StatusCode, header::CONTENT_TYPE, request::Parts},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json, value::RawValue};

use super::{
    error::{GraphError, PARAMETER, TOKEN},
    media,
    messages::{Answer, Arrived},
    validation::{self, Request},
};
use crate::{files::Files, payload, world::World};

/// The largest body of a message: a text of 4,096 characters, many times over.
const BODY_BYTES_MAX: usize = 256 * 1024;
/// The longest that a request is left without an answer: longer than any client waits.
const NOTHING_MAX: Duration = Duration::from_mins(10);
/// What a proxy says whose server is away.
const PAGE: &str = "<!DOCTYPE html><html><head><title>Error</title></head><body><h1>Sorry, something went wrong.</h1>\
                    </body></html>";

/// The routes that businesses know.
pub(crate) fn routes(world: Arc<World>) -> Router {
    Router::new()
        .route("/{version}/{id}/messages", post(send).layer(DefaultBodyLimit::max(BODY_BYTES_MAX)))
        .route(
            "/{version}/{id}/media",
            post(media::upload).layer(DefaultBodyLimit::max(media::BODY_BYTES_MAX)),
        )
        .route("/{version}/{id}", get(show).delete(media::remove))
        .route("/graph/files/{id}", get(media::download))
        .with_state(world)
}

/// A request with the right token.
#[derive(Debug)]
pub(super) struct Allowed;

impl FromRequestParts<Arc<World>> for Allowed {
    type Rejection = GraphError;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, GraphError> {
        let authorization = parts.headers.get("authorization").and_then(|value| value.to_str().ok());
        match authorization.and_then(|value| value.strip_prefix("Bearer ")) {
            Some(token) if world.is_token(token) => Ok(Self),
            Some(_) => {
                Err(GraphError::new(TOKEN, "Error validating access token: it is not simulator.access_token"))
            }
            None => Err(GraphError::new(TOKEN, "An access token is required to request this resource.")),
        }
    }
}

/// A version and an id, both well-formed.
#[derive(Debug)]
pub(super) struct Object {
    version: u32,
    pub(super) id: String,
}

impl FromRequestParts<Arc<World>> for Object {
    type Rejection = GraphError;

    async fn from_request_parts(parts: &mut Parts, world: &Arc<World>) -> Result<Self, GraphError> {
        let unknown = |path: &str| GraphError::new(2_500, format!("Unknown path components: /{path}"));
        let path = Path::<(String, String)>::from_request_parts(parts, world).await;
        let Path((version, id)) = path.map_err(|rejection| unknown(&rejection.body_text()))?;
        let major = version.strip_prefix('v').and_then(|version| version.split_once('.'));
        let version = major.and_then(|(major, _)| major.parse().ok()).ok_or_else(|| unknown(&version))?;
        if id.is_empty() || id.len() > 20 || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(GraphError::no_object(&id));
        }
        Ok(Self { version, id })
    }
}

async fn send(_: Allowed, object: Object, State(world): State<Arc<World>>, body: Bytes) -> Response {
    let number: Arc<str> = object.id.as_str().into();
    let (request, body) = match read(&body) {
        Ok(read) => read,
        Err(error) => {
            world.book().stats.refused(error.code);
            return error.into_response();
        }
    };
    match request {
        Request::Read { message_id, typing } => match world.mark_read(&number, &message_id, typing) {
            Ok(()) => Json(json!({ "success": true })).into_response(),
            Err(error) => error.into_response(),
        },
        Request::Send(outgoing) => {
            let contact = recipient(&outgoing.input, &outgoing.to);
            let answer = world.take(Arrived { number, version: object.version, outgoing, body });
            respond(&world, answer, &contact).await
        }
    }
}

fn read(body: &[u8]) -> Result<(Request, Box<RawValue>), GraphError> {
    let unreadable =
        |error: serde_json::Error| GraphError::new(PARAMETER, format!("The body is not JSON: {error}"));
    let raw: Box<RawValue> = serde_json::from_slice(body).map_err(unreadable)?;
    let body: Value = serde_json::from_str(raw.get()).map_err(unreadable)?;
    Ok((validation::read(&body)?, raw))
}

async fn respond(world: &World, answer: Answer, contact: &Value) -> Response {
    match answer {
        Answer::Taken { id, after_ms } => {
            if after_ms > 0 {
                pause(world, Duration::from_millis(after_ms)).await;
            }
            Json(
                json!({ "messaging_product": "whatsapp", "contacts": [contact], "messages": [{ "id": id }] }),
            )
            .into_response()
        }
        Answer::Refused(error) => error.into_response(),
        Answer::Nothing => {
            pause(world, NOTHING_MAX).await;
            closed()
        }
        Answer::Closed => closed(),
        Answer::Html => {
            (StatusCode::INTERNAL_SERVER_ERROR, [(CONTENT_TYPE, "text/html")], PAGE).into_response()
        }
    }
}

/// Who stops the simulator does not wait for answers that never come.
async fn pause(world: &World, pause: Duration) {
    world.stop.run_until_cancelled(tokio::time::sleep(pause)).await;
}

/// An answer whose body fails before its first byte closes the connection before a byte of the answer is written.
fn closed() -> Response {
    let failure = futures::stream::once(async { Err::<Bytes, _>(io::Error::other("closed on request")) });
    Response::new(Body::from_stream(failure))
}

fn recipient(input: &str, to: &str) -> Value {
    let key = if to.bytes().all(|byte| byte.is_ascii_digit()) { "wa_id" } else { "user_id" };
    json!({ "input": input, key: to })
}

/// A file, or a number.
async fn show(
    _: Allowed,
    object: Object,
    State(world): State<Arc<World>>,
    headers: axum::http::HeaderMap,
) -> Result<Json<Value>, GraphError> {
    if let Some(file) = world.files.get(&object.id) {
        return Ok(Json(media::view(&object.id, &file, &headers)));
    }
    if Files::is_file_id(&object.id) {
        return Err(GraphError::no_object(&object.id));
    }
    let fast = world.book().settings.messages_per_second_max > 80;
    Ok(Json(json!({
        "id": object.id,
        "verified_name": "Chasqui Simulator",
        "display_phone_number": payload::DISPLAY_PHONE_NUMBER,
        "code_verification_status": "VERIFIED",
        "quality_rating": "GREEN",
        "platform_type": "CLOUD_API",
        "throughput": { "level": if fast { "HIGH" } else { "STANDARD" } },
    })))
}
