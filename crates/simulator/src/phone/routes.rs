//! The hands on a contact's phone: write, read, look, send a file.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    body::Bytes,
    extract::{DefaultBodyLimit, Path, Query, State},
    http::{HeaderMap, header::CONTENT_TYPE},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chasqui_kit::clock::now_ms;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use super::{PhoneError, is_contact, messages, statuses};
use crate::{
    answer::{Body, Refused, wanted},
    delivery::Answer,
    files::File,
    graph::{News, Told, Update},
    history::{Direction, Progress, Wanted, Written},
    payload,
    world::World,
};

/// The largest file a phone sends.
const FILE_BYTES_MAX: usize = 100 * 1024 * 1024;
/// How long a phone is looked at until something happens, at most.
const LOOK_MAX: Duration = Duration::from_mins(1);
/// How many messages a phone shows at most.
const SHOWN_MAX: usize = 1_000;
/// What WhatsApp itself tells in a message: the contact wrote nothing.
const NOT_WRITTEN: [&str; 2] = ["system", "request_welcome"];
/// The longest id of a number.
const NUMBER_LENGTH_MAX: usize = 20;

/// How a webhook is sent.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Manner {
    /// Twice, as Meta now and then does.
    duplicate: bool,
    /// The number it is about.
    phone_number_id: Option<String>,
}

/// What is looked at.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Look {
    after: u64,
    /// How long to wait for a message when there is none.
    wait_ms: u64,
    number: Option<String>,
}

/// What was read: one message, or all.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct ReadMark {
    id: Option<String>,
}

pub(crate) fn routes(world: Arc<World>) -> Router {
    Router::new()
        .route("/phones/{contact}/messages", get(look).post(write))
        .route("/phones/{contact}/statuses", post(report))
        .route("/phones/{contact}/read", post(read))
        .route("/phones/{contact}/media", post(keep_file).layer(DefaultBodyLimit::max(FILE_BYTES_MAX)))
        .with_state(world)
}

async fn write(
    State(world): State<Arc<World>>,
    Path(contact): Path<String>,
    Query(manner): Query<Manner>,
    body: Body,
) -> Result<Response, Refused> {
    let mut wanted = wanted(body)?;
    let number = number(&world, &manner, &mut wanted)?;
    let mut items = messages(&contact, wanted).map_err(refused)?;
    for item in &mut items {
        world.files.describe(item);
    }
    record(&world, &number, &contact, &items);
    let webhook = payload::webhook(&number, &items);
    Ok(deliver(&world, &manner, &webhook, &items).await)
}

async fn report(
    State(world): State<Arc<World>>,
    Path(contact): Path<String>,
    Query(manner): Query<Manner>,
    body: Body,
) -> Result<Response, Refused> {
    let mut wanted = wanted(body)?;
    let number = number(&world, &manner, &mut wanted)?;
    let items = statuses(&contact, wanted).map_err(refused)?;
    let webhook = payload::status_webhook(&number, &items);
    Ok(deliver(&world, &manner, &webhook, &items).await)
}

/// The contact has written: its window opens, and its phone shows it.
fn record(world: &World, number: &Arc<str>, contact: &str, items: &[Value]) {
    let contact: Arc<str> = contact.into();
    let mut book = world.book();
    let time_ms = now_ms();
    if items.iter().any(|item| item["type"].as_str().is_none_or(|kind| !NOT_WRITTEN.contains(&kind))) {
        book.limits.written(&(number.clone(), contact.clone()), time_ms);
    }
    for item in items {
        book.history.add(Written {
            number: number.clone(),
            contact: contact.clone(),
            direction: Direction::Sent,
            id: item["id"].as_str().map_or_else(payload::wamid, str::to_owned),
            time_ms,
            body: serde_json::value::to_raw_value(item).expect("JSON can be written"),
            callback_data: None,
            progress: Progress::Delivered,
        });
    }
    drop(book);
    world.changed();
}

async fn deliver(world: &World, manner: &Manner, webhook: &Value, items: &[Value]) -> Response {
    let answer = world.delivery.send(webhook).await;
    if manner.duplicate {
        world.delivery.send(webhook).await;
    }
    let ids: Vec<&Value> = items.iter().map(|item| &item["id"]).collect();
    let id = ids.first();
    Json(match answer {
        Answer::Status(status) => json!({ "id": id, "ids": ids, "webhook_status": status }),
        Answer::Unreachable(error) => json!({ "id": id, "ids": ids, "webhook_status": null, "error": error }),
    })
    .into_response()
}

async fn look(
    State(world): State<Arc<World>>,
    Path(contact): Path<String>,
    Query(look): Query<Look>,
) -> Result<Json<Value>, Refused> {
    if !is_contact(&contact) {
        return Err(refused(PhoneError::Contact));
    }
    let wanted = Wanted {
        contact: Some(contact.clone()),
        number: look.number,
        after: look.after,
        most: SHOWN_MAX,
        ..Wanted::default()
    };
    let until = tokio::time::Instant::now() + Duration::from_millis(look.wait_ms).min(LOOK_MAX);
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        let shown = world.book().history.show(&wanted);
        let waits = shown.is_empty() && !world.stop.is_cancelled() && tokio::time::Instant::now() < until;
        if !waits {
            return Ok(Json(view(&world, &contact, &shown)));
        }
        tokio::select! {
            _ = changes.changed() => {}
            () = tokio::time::sleep_until(until) => {}
            () = world.stop.cancelled() => {}
        }
    }
}

fn view(world: &World, contact: &str, shown: &[Box<RawValue>]) -> Value {
    let book = world.book();
    json!({
        "contact": contact,
        "messages": shown,
        "last": book.history.last(),
        "typing": book.history.typing_to(contact, now_ms()),
    })
}

/// The contact reads what it has received; each message's business is told.
async fn read(
    State(world): State<Arc<World>>,
    Path(contact): Path<String>,
    mark: Option<Json<ReadMark>>,
) -> Json<Value> {
    let mark = mark.map(|Json(mark)| mark).unwrap_or_default();
    let book = world.book();
    let unread = book.history.unread(&contact, mark.id.as_deref());
    // What a linked device was sent is told over NATS, by its own clock.
    let of_graph = unread.into_iter().filter(|message| !message.number.contains('/'));
    let updates: Vec<Update> = of_graph
        .map(|message| Update {
            number: message.number.clone(),
            contact: message.contact.clone(),
            id: message.id.clone(),
            news: News::Told(Told::Read),
            callback_data: message.callback_data.clone(),
            is_template: false,
            version: 0,
        })
        .collect();
    drop(book);
    let ids: Vec<String> = updates.iter().map(|update| update.id.clone()).collect();
    world.tell(updates);
    Json(json!({ "read": ids }))
}

/// A file as the body, with its type as the content type.
async fn keep_file(
    State(world): State<Arc<World>>,
    Path(contact): Path<String>,
    headers: HeaderMap,
    content: Bytes,
) -> Result<Json<Value>, Refused> {
    if !is_contact(&contact) {
        return Err(refused(PhoneError::Contact));
    }
    let mime_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let mime_type = mime_type.unwrap_or("application/octet-stream").to_owned();
    Ok(Json(json!({ "id": world.files.add(File { mime_type, filename: None, content }) })))
}

fn refused(error: PhoneError) -> Refused {
    Refused::bad(error.to_string())
}

/// The number a request is about: named in the query or the body, else the default one.
fn number(world: &World, manner: &Manner, body: &mut Value) -> Result<Arc<str>, Refused> {
    let in_body = body.as_object_mut().and_then(|body| body.remove("phone_number_id"));
    let named = manner.phone_number_id.clone().map(Value::String).or(in_body);
    match named {
        None => Ok(world.default_number.clone()),
        Some(Value::String(number))
            if (1..=NUMBER_LENGTH_MAX).contains(&number.len())
                && number.bytes().all(|byte| byte.is_ascii_digit()) =>
        {
            Ok(number.into())
        }
        Some(_) => Err(Refused::bad("phone_number_id: expected a text of 1 to 20 digits")),
    }
}
